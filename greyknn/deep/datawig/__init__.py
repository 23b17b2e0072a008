"""Datawig's interface on greyknn's deep imputer, for those who come from Datawig.

Its examples run after ``import datawig`` has become ``from greyknn.deep import datawig``, and
``from datawig...`` has become ``from greyknn.deep.datawig...``. What is other than in Datawig, and
why:

- Nothing is written to disk, logged or seeded; ``save`` writes, in a format without code.
- The frames of the user stay as they are, whatever their index and dtypes.
- A ``precision_threshold`` is a precision, learnt from held-out cells; Datawig compares
  probabilities with it.
- ``load_metrics`` tells the precision where it says so, and hidden layers have widths of their own
  and are not linear.
- ``complete`` fills every column, text as well, by one model.
- Label shift is solved so that weights cannot be negative, whichever labels are predicted.
- Time limits hold within trials, too.

Not here are ``load_hpo_model``, as ``fit_hpo`` keeps the best model only, and the lower-level
``Imputer`` with its encoders and featurizers, as ``DeepImputer`` takes tables as they are.
"""

from greyknn.deep.datawig import utils
from greyknn.deep.datawig.completing import complete
from greyknn.deep.datawig.simple_imputer import SimpleImputer
from greyknn.deep.datawig.utils import ColumnOverwriteException

__all__ = ["ColumnOverwriteException", "SimpleImputer", "complete", "utils"]
