"""How plain functions become the card's machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import cuda

from greyknn_kernels import cache
from greyknn_kernels.cuda.machine import SIMULATED

Function = TypeVar("Function", bound=Callable[..., Any])

WARP = 32
"""Threads that run together."""

ALL = 0xFFFFFFFF
"""Every lane of a warp."""


if SIMULATED:

    def kernel(threads: int, blocks: int = 1) -> Callable[[Function], Any]:
        """A decorator: a kernel for blocks of ``threads``, ``blocks`` to a multiprocessor."""
        return cast("Callable[[Function], Any]", cuda.jit)

    def leaf(function: Function) -> Function:
        """A decorator: runs as a part of a kernel."""
        return cast("Function", cuda.jit(device=True)(function))

else:
    from numba.cuda.dispatcher import CUDACache

    class CardCache(cache.Stamped, CUDACache):  # type: ignore[misc]
        """Compiled kernels on disk."""

    def kernel(threads: int, blocks: int = 1) -> Callable[[Function], Any]:
        """A decorator: a kernel for blocks of ``threads``, ``blocks`` to a multiprocessor."""
        compiled = cuda.jit(launch_bounds=(threads, blocks))
        return lambda function: cache.kept(compiled(function), CardCache)

    def leaf(function: Function) -> Function:
        """A decorator: runs as a part of a kernel."""
        return cast("Function", cuda.jit(device=True, inline="always")(function))
