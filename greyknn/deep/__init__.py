"""The deep imputer: a network that starts from near rows and can only improve.

Needs torch, ``pip install "greyknn[deep]"``; importing greyknn does not import it.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'The deep imputer needs torch, which is not installed: pip install "greyknn[deep]".'
    ) from error

from greyknn.deep.imputer import DeepImputer

__all__ = ["DeepImputer"]
