"""How plain functions become machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """A decorator; options as in ``numba.njit``.

    Python's test for a zero divisor would keep the compiler from vectorising, hence
    ``error_model="numpy"``.
    """
    return cast("Callable[[Function], Function]", numba.njit(error_model="numpy", **options))


leaf = compiled(inline="always")
inner = compiled()
loop = compiled(parallel=True, cache=True)

# For filters with a proven bound only (``pack_query``): additions may be reordered, and a division
# replaced by an estimate and a Newton step.
fast = compiled(fastmath=True)
fast_leaf = compiled(fastmath=True, inline="always")
