"""Every kernel with the types it is called with, to compile and examine it without a card."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import boolean, float32, float64, int32, int64, uint8, uint64, void

from greyknn_kernels.cuda import (
    averaging,
    differences,
    information,
    measuring,
    pruning,
    queries,
    thorough,
    tiles,
)
from greyknn_kernels.cuda.binding import WARP
from greyknn_kernels.cuda.shapes import CHAIN, shape_for
from greyknn_kernels.formula import EUCLIDEAN, GREY, HEOM

METRICS = {"grey": GREY, "heom": HEOM, "euclidean": EUCLIDEAN}

F4, F8, I4, I8 = float32[::1], float64[::1], int32[::1], int64[::1]
ROWS4, ROWS8, ROWS_I4 = float32[:, ::1], float64[:, ::1], int32[:, ::1]
FLAGS, MARKS = boolean[::1], uint8[::1]

FILTER = void(F4, F4, F4, I4, I4, I4, I4, I4, I4, I4, *[int32] * 6, F4, I4)
PACK = void(
    int64, ROWS8, FLAGS, F8, F8, F8, F8, I4, int64, int64, int64, ROWS4, ROWS4, ROWS_I4, I4, F8,
    F8, F8, F4, F4,
)  # fmt: skip
SETTLE = void(
    int64, ROWS8, FLAGS, F8, F8, F8, I4, I4, F8, F8, F8, ROWS8, boolean, I4, int64, int64, int64,
    F4, I4, ROWS8, ROWS_I4, MARKS,
)  # fmt: skip
SCAN = void(
    int64, ROWS8, FLAGS, F8, F8, F8, I4, I4, F8, F8, F8, ROWS4, ROWS4, ROWS_I4, I4, ROWS8, I4,
    int64, I4, I4, F4, int64, int64, int64, ROWS8, int64, I4, I4, boolean, ROWS8, ROWS_I4,
)  # fmt: skip
JOIN = void(I4, int64, ROWS8, ROWS_I4, ROWS8, ROWS_I4)
REACH = void(
    int64, ROWS8, FLAGS, I4, F4, I4, ROWS4, ROWS4, ROWS_I4, int64, int64, I4, I4, I4,
    int64[:, ::1], float32[:, :, ::1], float32[:, :, ::1], uint64[:, :, ::1], int64, int64, F4,
    uint8[:, ::1],
)  # fmt: skip
FILL = void(int64, int64, I8, I8, I8, FLAGS, ROWS8, ROWS_I4, ROWS8, I8, F8)
EXTREMES = void(ROWS8, I8, I4, I8, ROWS8, ROWS_I4, int64[:, ::1], F8, F8)
ENTROPIES = void(F8, I8, float64, ROWS8, F8)
JOINT = void(F8, F8, float64, float64, F8)


class Entry(NamedTuple):
    """One kernel.

    Parameters
    ----------
    name : str
    function : callable
        Plain Python.
    signature : numba signature
    launch_bounds : (int, int)
        Threads of a block, and blocks that share a multiprocessor.
    shared_bytes : int
        Shared memory that its launch asks for.
    pair_features : int
        Pairs of cells that a thread compares in one turn of the innermost loop, 0 if that is not
        what the kernel does.
    """

    name: str
    function: Any
    signature: Any
    launch_bounds: tuple[int, int]
    shared_bytes: int
    pair_features: int


def catalogue(capability: tuple[int, int]) -> list[Entry]:
    """All kernels as they are compiled for a compute capability."""
    entries = []
    for name, metric in METRICS.items():
        for slots in (32, 64, 96):
            shape = shape_for(metric, capability, slots)
            entries.append(
                Entry(
                    f"filter {name} {slots}", tiles.filtering(metric, shape).py_func, FILTER,
                    (shape.threads, shape.blocks), shape.shared_bytes,
                    shape.queries * shape.donors * CHAIN,
                )
            )  # fmt: skip
    for name, kernel, signature, threads in [
        ("pack", queries.pack, PACK, queries.THREADS),
        ("settle", measuring.settle, SETTLE, WARP * measuring.WARPS),
        ("scan", thorough.scan, SCAN, WARP * measuring.WARPS),
        ("join", thorough.join, JOIN, WARP * measuring.WARPS),
        ("reach", pruning.reach, REACH, WARP * pruning.WARPS),
        ("fill", averaging.fill, FILL, WARP * averaging.WARPS),
        ("extremes", differences.extremes, EXTREMES, differences.THREADS),
        ("class entropies", information.class_entropies, ENTROPIES, information.THREADS),
        ("joint information", information.joint_information, JOINT, information.THREADS),
    ]:
        entries.append(Entry(name, kernel.py_func, signature, (threads, 1), 0, 0))
    return entries
