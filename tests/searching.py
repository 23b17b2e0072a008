"""Searches and their references, for the tests of the search."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from greyknn.donors import METRICS, DonorTable, Geometry
from greyknn.neighbors import Neighbors, nearest
from greyknn_kernels import cpu, formula
from greyknn_kernels.formula import EUCLIDEAN, HEOM

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NAMES = list(METRICS)
RHO = 0.5


def table(
    rng: np.random.Generator, shape: tuple[int, int], *, gap: float = 0.1, ties: bool = False,
    codes: int = 4, numeric: bool = False,
) -> tuple[Floats, Bools]:  # fmt: skip
    """Numbers in [0, 1], on a coarse grid if they are to tie, and codes in every third column."""
    values = rng.random(shape)
    if ties:
        values = np.round(values * 4) / 4
    categorical = (np.arange(shape[1]) % 3 == 2) & (not numeric)
    values[:, categorical] = rng.integers(0, codes, (shape[0], int(categorical.sum())))
    values[rng.random(shape) < gap] = np.nan
    return values, categorical


def measured(
    metric: int, query: Floats, donor: Floats, categorical: Bools, weights: Floats,
    smallest: float, offset: float,
) -> float:  # fmt: skip
    """Distance of two rows by the leaf that measures a pair of cells, column by column."""
    total = 0.0
    for column, weight in enumerate(weights):
        total += weight * formula.dissimilarity(
            metric, query[column], donor[column], categorical[column], smallest, offset
        )
    if metric == EUCLIDEAN:
        common = np.count_nonzero(~np.isnan(query) & ~np.isnan(donor))
        return math.sqrt(total * len(query) / common) if common else math.inf
    total = formula.settled(total)
    return math.sqrt(total) if metric == HEOM else total


def brute_force(
    metric: int, query: Floats, values: Floats, rows: Any, categorical: Bools, weights: Floats,
    smallest: float, offset: float,
) -> list[tuple[float, int]]:  # fmt: skip
    """Every neighbour, nearest first; none for a query that has no cell to compare."""
    if np.isnan(query[weights > 0.0]).all():
        return []
    pairs = [
        (measured(metric, query, values[row], categorical, weights, smallest, offset), int(row))
        for row in rows
    ]
    return sorted(pair for pair in pairs if pair[0] < math.inf)


def paper_extremes(query: Floats, donors: Floats, categorical: Bools) -> tuple[float, float]:
    """``Dmin`` and ``Dmax`` over every pair of numbers (equation 32)."""
    differences = np.abs(donors - query)[:, ~categorical]
    differences = differences[~np.isnan(differences)]
    return (differences.min(), differences.max()) if len(differences) else (0.0, 0.0)


def searched(
    name: str, values: Floats, categorical: Bools, weights: Floats, k: int, *,
    donors: Any = None, groups: Any = None, kin: Any = None, queries: Any = None, rows: Any = None,
    query_groups: Any = None, query_kin: Any = None, kernels: Any = cpu,
) -> Neighbors:  # fmt: skip
    """What ``nearest`` finds; by default every row looks for neighbours among the others."""
    everyone = np.arange(len(values))
    groups = np.zeros(len(values), dtype=np.int64) if groups is None else groups
    made = DonorTable(
        Geometry(name, categorical, RHO, kernels), weights, values,
        everyone if donors is None else donors, groups, kin,
    )  # fmt: skip
    if queries is None:
        rows = everyone if rows is None else rows
        queries, query_groups = values[rows], groups[rows]
    return nearest(made, weights, k, queries, rows=rows, groups=query_groups, kin=query_kin)


def check(
    name: str, values: Floats, categorical: Bools, weights: Floats, k: int, *,
    donors: Any = None, groups: Any = None, kin: Any = None, queries: Any = None, rows: Any = None,
    query_groups: Any = None, query_kin: Any = None, kernels: Any = cpu, checked: int = 10**9,
) -> Neighbors:  # fmt: skip
    """Search, and compare some of what was found with every pair measured, to the last bit."""
    found = searched(
        name, values, categorical, weights, k, donors=donors, groups=groups, kin=kin,
        queries=queries, rows=rows, query_groups=query_groups, query_kin=query_kin,
        kernels=kernels,
    )  # fmt: skip
    everyone = np.arange(len(values))
    groups = np.zeros(len(values), dtype=np.int64) if groups is None else groups
    donors = everyone if donors is None else donors
    if queries is None:
        rows = everyone if rows is None else rows
        queries, query_groups = values[rows], groups[rows]
    query_groups = np.zeros(len(queries), np.int64) if query_groups is None else query_groups
    if query_kin is None:
        query_kin = np.full(len(queries), -1) if rows is None else rows
    kin = everyone if kin is None else kin
    for query in np.unique(
        np.linspace(0, len(queries) - 1, min(checked, len(queries))).astype(int)
    ):
        others = donors[(groups[donors] == query_groups[query]) & (kin[donors] != query_kin[query])]
        low, high = paper_extremes(queries[query], values[others], categorical)
        reference = brute_force(
            METRICS[name], queries[query], values, others, categorical, weights, low, RHO * high
        )[:k]  # fmt: skip
        count = len(reference)
        assert found.counts[query] == count
        distances, nearest_rows = found.distances[query], found.rows[query]
        assert list(zip(distances[:count], nearest_rows[:count], strict=True)) == reference
        assert (distances[count:] == np.inf).all()
        assert (nearest_rows[count:] == -1).all()
    return found


def weights_for(name: str, rng: np.random.Generator, n_columns: int) -> Floats:
    """Some are 0, some too small for the filter; nan_euclidean has none."""
    if name == "euclidean":
        return np.ones(n_columns)
    return rng.random(n_columns) * rng.choice([0.0, 1e-7, 1.0], n_columns, p=[0.2, 0.2, 0.6])


class Spy(SimpleNamespace):
    """The processor's loops, which remember whether searches were pruned and what they found."""

    def __init__(self) -> None:
        super().__init__(arrange=cpu.arrange, extremes=cpu.extremes, pruned=[], found=None)

    def nearest(
        self, metric: int, prunable: bool, measures: Any, donors: Any, queries: Any, found: Any,
        report: Any,
    ) -> None:  # fmt: skip
        self.found, self.n_leaves = found, len(donors.starts)
        search = cpu.searched

        def noted(metric: int, pruned: bool, *arguments: Any) -> None:
            self.pruned.append(pruned)
            search(metric, pruned, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpu, "searched", noted)
            cpu.nearest(metric, prunable, measures, donors, queries, found, report)


def assert_same(ours: Neighbors, others: Neighbors) -> None:
    """To the last bit."""
    assert (ours.counts == others.counts).all()
    assert (ours.rows == others.rows).all()
    assert (ours.distances.view(np.int64) == others.distances.view(np.int64)).all()
