"""The deep imputer: a network that starts from near rows and can only improve.

Needs torch, ``pip install "greyknn[deep]"``; importing greyknn does not import it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'The deep imputer needs torch, which is not installed: pip install "greyknn[deep]".'
    ) from error

from greyknn.deep.imputer import DeepImputer

if TYPE_CHECKING:
    from greyknn.deep.datawig import SimpleImputer, complete

__all__ = ["DeepImputer", "SimpleImputer", "complete"]


def __getattr__(name: str) -> Any:
    if name in ("SimpleImputer", "complete"):
        return getattr(import_module("greyknn.deep.datawig"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
