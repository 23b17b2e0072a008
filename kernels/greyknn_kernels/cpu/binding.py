"""How plain functions become machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

from greyknn_kernels import cache

Function = TypeVar("Function", bound=Callable[..., Any])


class LoopCache(cache.Stamped, FunctionCache):  # type: ignore[misc]
    """Compiled loops on disk."""


def compiled(**options: Any) -> Callable[[Function], Function]:
    """A decorator; options as in ``numba.njit``.

    Python's test for a zero divisor would keep the compiler from vectorising, hence
    ``error_model="numpy"``.
    """
    return cast("Callable[[Function], Function]", numba.njit(error_model="numpy", **options))


def kept(function: Function) -> Function:
    """A decorator: runs without Python's global lock, compiled once for a machine."""
    return cast("Function", cache.kept(compiled(nogil=True)(function), LoopCache))


loop = kept
"""For loops over ``range(begin, end)``, their first two arguments: see ``threads.share``."""

leaf = compiled(inline="always")
inner = compiled()

# For filters with a proven bound only (``pack_query``): additions may be reordered, and a division
# replaced by an estimate and a Newton step.
fast = compiled(fastmath=True)
fast_leaf = compiled(fastmath=True, inline="always")
