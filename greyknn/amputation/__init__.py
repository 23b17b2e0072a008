"""Amputation: observed cells are made missing on purpose, to see how well they are filled.

``calls.py`` and ``logistic.py`` have the public calls. ``design.py`` says which cells go together
and which columns decide about them, ``drawing.py`` draws them, ``emptying.py`` writes the gaps.
"""

from greyknn.amputation.calls import ampute
from greyknn.amputation.logistic import ampute_logistic

__all__ = ["ampute", "ampute_logistic"]
