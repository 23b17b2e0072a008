"""How plain functions become the card's machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import cuda

from greyknn_kernels.cuda.machine import SIMULATED

Function = TypeVar("Function", bound=Callable[..., Any])

WARP = 32
"""Threads that run together."""

ALL = 0xFFFFFFFF
"""Every lane of a warp."""


def kernel(threads: int, blocks: int = 1) -> Callable[[Function], Any]:
    """A decorator: a kernel for blocks of ``threads``, of which ``blocks`` share a processor."""
    options = {} if SIMULATED else {"launch_bounds": (threads, blocks)}
    return cast("Callable[[Function], Any]", cuda.jit(**options))


def leaf(function: Function) -> Function:
    """A decorator: runs as a part of a kernel."""
    options = {} if SIMULATED else {"inline": "always"}
    return cast("Function", cuda.jit(device=True, **options)(function))
