"""The search: its kernels beside what the GPU can compute at most, and other shapes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from numba import cuda, float32

from bench.gpu.part import Part, Row
from bench.gpu.timing import in_turns, launches, spread, watched
from greyknn import device, donors, neighbors
from greyknn.donors import DonorTable, Geometry
from greyknn_kernels.cuda import shapes
from greyknn_kernels.cuda.shapes import CHAIN, Shape
from greyknn_kernels.formula import GREY

COLUMNS = 50

ISSUE_SLOTS = {8: 4.135, 4: 4.24}
"""Instructions for a pair of cells, by donors of a lane: ``python -m bench.sass`` counts them."""

FILTER = "candidates"
"""The kernel's function."""

SIZES = (20_000, 100_000, 1_000_000)

MOST_QUERIES = 2**17
"""Of a million rows, where all of them would take too long."""

AIM = 85.0
"""Milliseconds for 100,000 x 100,000 x 50 with 10 neighbours on an H200."""

PREPARING = 1.2e-7
"""Seconds that one cell takes to be laid out, sorted and packed, about."""


@dataclass(frozen=True)
class Case:
    """Uniform numbers without gaps, where pruning is not tried.

    Parameters
    ----------
    table : DonorTable
    weights, values, groups : as in ``DonorTable``
    """

    table: DonorTable
    weights: Any
    values: Any
    groups: Any

    @classmethod
    def of(cls, n_rows: int, n_columns: int, n_classes: int, kernels: ModuleType) -> Case:
        """Rows of as many classes, each a group of donors."""
        rng = np.random.default_rng(0)
        values = rng.random((n_rows, n_columns))
        weights = rng.random(n_columns) + 0.5
        weights /= weights.sum()
        groups = rng.integers(0, n_classes, n_rows)
        geometry = Geometry("grey", np.zeros(n_columns, dtype=bool), 0.5, kernels)
        with mock.patch.object(donors, "FEWEST_LEAVES", n_rows):
            table = DonorTable(geometry, weights, values, np.arange(n_rows), groups)
        return cls(table, weights, values, groups)

    def nearest(self, k: int, n_queries: int | None = None) -> neighbors.Neighbors:
        """The search as whole imputations do it; of the first rows, if so many are told."""
        asked = np.arange(len(self.values))[:n_queries]
        return neighbors.nearest(
            self.table, self.weights, k, self.values[asked], rows=asked, groups=self.groups[asked]
        )

    def pairs(self, n_queries: int | None = None) -> float:
        """Pairs of cells that are compared."""
        sizes = np.bincount(self.groups)
        rows = int(sizes[self.groups[:n_queries]].sum())
        return float(rows) * float(self.values.shape[1])


@cuda.jit  # type: ignore[untyped-decorator]
def multiply_and_add(turns: Any, factor: Any, sums: Any) -> None:
    """256 of them a turn and thread, in eight chains; a turn itself takes 6 more instructions."""
    chains = cuda.local.array(8, float32)
    for chain in range(8):
        chains[chain] = float32(chain)
    for _ in range(turns):
        for _ in range(16):
            for chain in range(8):
                chains[chain] = chains[chain] * factor + float32(0.5)
        for _ in range(16):  # compilers do not unroll 32
            for chain in range(8):
                chains[chain] = chains[chain] * factor + float32(0.25)
    total = float32(0.0)
    for chain in range(8):
        total += chains[chain]
    sums[cuda.grid(1)] = total


def measured_rates(turns: int, times: int) -> list[float]:
    """Instructions of one lane that the GPU issues a second when nothing is in their way."""
    blocks, threads, warm = 1, 32, 0
    if turns > 1:
        blocks, threads, warm = 8 * int(cuda.get_current_device().MULTIPROCESSOR_COUNT), 256, 10
    sums = cuda.device_array(blocks * threads, np.float32)
    with launches() as told:
        for _ in range(warm + times):
            multiply_and_add[blocks, threads](turns, np.float32(0.5), sums)
    work = 256e3 * turns * blocks * threads
    return [work / milliseconds for milliseconds in told["multiply_and_add"][warm:]]


@cache
def ceiling(simulated: bool) -> float:
    """The best of ``measured_rates``."""
    return max(measured_rates(1, 1) if simulated else measured_rates(10_000, 10))


def shape_of(k: int) -> Shape:
    """The filter's, for the metric that is measured here."""
    capability = tuple(cuda.get_current_device().compute_capability)
    slots = min(shapes.slots_for(k), shapes.MOST_SLOTS)
    return shapes.shape_for(GREY, (capability[0], capability[1]), slots)


def predicted(case: Case, n_queries: int | None, shape: Shape, rate: float) -> float:
    """Milliseconds of the filter, had it nothing to do but its inner loop at the full rate."""
    n_columns = case.values.shape[1]
    padded = -(-n_columns // CHAIN) * CHAIN
    slots = ISSUE_SLOTS[shape.donors] * case.pairs(n_queries) * padded / n_columns
    return float(1e3 * slots / rate)


def search(part: Part) -> None:
    """Sizes, numbers of neighbours, one class and two."""
    face = device.kernels("cuda")
    n_columns = 4 if part.simulated else COLUMNS
    rate = ceiling(part.simulated)
    processors = int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
    told = {"when": "before", "10^12 lane instructions/s": rate / 1e12}
    part.row("Ceiling", told | {"as MHz of 128 lanes": rate / processors / 128e6})
    for n_rows in part.sizes(SIZES, (2_000, 5_000), (24,)):
        for n_classes in (1, 2):
            wanted = 2.0 * PREPARING * n_rows * n_columns
            what = f"{n_rows} rows, classes: {n_classes}"
            if not part.fits(wanted + _expected(n_rows, n_rows, n_classes, rate), what):
                continue
            case = Case.of(n_rows, n_columns, n_classes, face)
            for k in (3,) if part.simulated else (10, 30, 64):
                _one_search(part, case, k, n_classes, rate)
    if not part.simulated:
        rate = max(measured_rates(10_000, 5))
        told = {"when": "after", "10^12 lane instructions/s": rate / 1e12}
        part.row("Ceiling", told | {"as MHz of 128 lanes": rate / processors / 128e6})


def _expected(n_rows: int, n_queries: int, n_classes: int, rate: float) -> float:
    """Seconds of two searches, roughly."""
    return 12.0 * n_rows * n_queries * COLUMNS / n_classes / max(rate, 1.0)


def _one_search(part: Part, case: Case, k: int, n_classes: int, rate: float) -> None:
    n_rows = len(case.values)
    n_queries = n_rows if k == 10 else min(n_rows, MOST_QUERIES)
    if n_rows >= 1_000_000 and k > 30:
        return
    expected = _expected(n_rows, n_queries, n_classes, rate)
    if not part.fits(expected, f"{n_rows} rows, classes: {n_classes}, k={k}"):
        return
    short = expected < 2.0 and not part.simulated
    if not part.simulated:
        case.nearest(k, min(n_queries, 4096))  # loads what is needed
    cards: list[float] = []

    def run() -> None:
        with watched([("card", case.table.geometry.kernels, "nearest")]) as seconds:
            case.nearest(k, n_queries)
        cards.append(seconds["card"])

    with launches({FILTER: 3} if short else {}) as told:
        whole = in_turns({"": run}, 1)[""]
    if short:
        cards.clear()
        whole = in_turns({"": run}, 3, part.left)[""]
    own = sum(told[FILTER])
    shape, pairs = shape_of(k), case.pairs(n_queries)
    floor = predicted(case, n_queries, shape, rate)
    others = sum(sum(times) for name, times in told.items() if name != FILTER)
    part.row(
        "Search, times in ms",
        {
            "rows": n_rows, "queries": n_queries, "classes": n_classes, "k": k,
            "filter, ms": own, "floor, ms": floor, "of ceiling": floor / own,
            "10^12 pairs/s": pairs / own / 1e9, "other kernels, ms": others,
            "not proven, ms": sum(told.get("scan", [0.0])), **spread("on the card, ms", cards, 1e3),
            "nearest, ms": 1e3 * min(whole),
        },
    )  # fmt: skip
    if (n_rows, n_classes, k) == (100_000, 1, 10):
        what = "filter, 100k x 100k x 50, k=10"
        part.goal(what, f"{AIM:.0f} ms or less", f"{own:.1f} ms", own <= AIM)
        told_ratio = f"{own / floor:.2f} ({own:.1f} ms / {floor:.1f} ms)"
        part.goal(
            "the same / floor of its inner loop", "1.35 or less", told_ratio, own <= 1.35 * floor
        )


VARIANTS = [
    Shape(4, 8, 8, 3, 12, 32),
    Shape(8, 8, 4, 2, 12, 32),
    Shape(4, 8, 8, 3, 9, 32),
    Shape(4, 8, 8, 3, 6, 32),
    Shape(8, 8, 4, 2, 9, 32),
    Shape(8, 4, 8, 2, 12, 32),
    Shape(4, 8, 4, 4, 12, 32),
    Shape(4, 8, 8, 2, 12, 32),
    Shape(4, 8, 8, 3, 9, 64),
    Shape(4, 8, 8, 3, 6, 96),
    Shape(8, 8, 4, 2, 6, 32),
    Shape(4, 8, 8, 3, 15, 32),
    Shape(8, 8, 4, 1, 12, 32),
    Shape(4, 8, 4, 4, 12, 64),
    Shape(8, 4, 4, 3, 12, 32),
    Shape(4, 4, 8, 4, 9, 32),
    Shape(2, 8, 8, 6, 6, 32),
]
"""A, B, and what might be better; the most promising first."""

TINY = Shape(1, 4, 4, 1, 6, 32, False)
"""What the simulator is spared by."""

SHARED_BYTES = 48 * 1024
"""A block gets no more than this."""


@contextmanager
def shaped(shape: Shape) -> Iterator[None]:
    """Let searches use this shape."""
    with (
        mock.patch.object(shapes, "shape_for", return_value=shape),
        mock.patch.object(shapes, "slots_for", return_value=shape.slots),
    ):
        yield


def tuning(part: Part) -> None:
    """Each shape at 100,000 rows of one class; wrong answers are told, too."""
    face = device.kernels("cuda")
    n_rows, n_columns, k = (20_000 if part.quick else 100_000), COLUMNS, 10
    variants = VARIANTS[:2] if part.quick else VARIANTS
    if part.simulated:
        n_rows, n_columns, k = 20, 3, 2
        variants = [TINY]
    rate = ceiling(part.simulated)
    case = Case.of(n_rows, n_columns, 1, face)
    expected = case.nearest(k).rows
    for shape in variants:
        if shape.shared_bytes > SHARED_BYTES:
            continue
        row: Row = {
            "warps": shape.warps, "queries": shape.queries, "donors": shape.donors,
            "blocks": shape.blocks, "chunk": shape.chunk, "slots": shape.slots,
            "filter, ms": None, "median": None, "of ceiling": None, "wrong rows": None,
        }  # fmt: skip
        if not part.fits(8.0, f"shapes as of {shape}"):
            return
        try:
            with shaped(shape):
                found = case.nearest(k).rows
                times = []
                for _ in range(1 if part.simulated else 3):
                    with launches({} if part.simulated else {FILTER: 2}) as told:
                        case.nearest(k)
                    times.append(sum(told[FILTER]))
            row |= spread("filter, ms", times)
            row["of ceiling"] = predicted(case, None, shape, rate) / min(times)
            row["wrong rows"] = int((found != expected).any(axis=1).sum())
        except Exception as error:
            part.note(f"{shape}: {type(error).__name__}: {str(error)[:200]}")
        part.row(f"Filter, {n_rows} x {n_rows} x {n_columns}, k={k}", row)
