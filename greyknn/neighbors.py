"""From gaps to donors: who is nearest to each row, on a device; the only caller of the search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Bools, Floats, Ints
from greyknn.methods import Method
from greyknn.progress import Progress, silent
from greyknn.scaling import Scale
from greyknn_kernels import formula, packing

METRICS = {"grey": formula.GREY, "heom": formula.HEOM}

BATCH = 2**31
"""Pairs of cells searched between two reports of progress, about a quarter of a second."""

SMALLEST_BATCH = 1024
"""Queries of a batch at least, so that all threads have work."""


@dataclass(frozen=True)
class Comparison:
    """How rows are compared, and what of a row takes part.

    Parameters
    ----------
    method : Method
    categorical : array of shape (n_columns,)
    scale : Scale
        Puts numbers on [0, 1].
    weights : array of shape (n_columns,) or (n_columns, n_columns)
        lambda; with two axes, a row for each target column.
    kernels : module
        The device's loops.
    metric_on : {"observed", "imputed"}
        Whether distances see observed cells only, or the values filled so far as well.
    donors : {"all", "observed"}
        Whether a row that lacks a column may donate its filled value there.
    rho : float
        Distinguishing coefficient of equation 32.
    progress : callable
        As ``progress.Progress``.
    """

    method: Method
    categorical: Bools
    scale: Scale
    weights: Floats
    kernels: ModuleType
    metric_on: str = "observed"
    donors: str = "all"
    rho: float = 0.5
    progress: Progress = silent


@dataclass(frozen=True)
class Neighbors:
    """The nearest donors of some rows, nearest first.

    Parameters
    ----------
    rows : array of shape (n_queries, k), int32
        Rows of the donors' table; -1 behind the last neighbour.
    distances : array of shape (n_queries, k), float64
        1 - GRG (equation 36) or HEOM distances (equations 7 and 31).
    counts : array of shape (n_queries,), int64
        How many neighbours there are; 0 when no observed cell says who is near.
    """

    rows: NDArray[np.integer]
    distances: Floats
    counts: Ints


@dataclass(frozen=True)
class Ranking:
    """Neighbours of the rows that lack certain columns.

    Parameters
    ----------
    queries : array of shape (n_queries,)
        Rows of the queries' table.
    columns : array
        The columns to fill from these neighbours.
    neighbors : Neighbors
    """

    queries: Ints
    columns: Ints
    neighbors: Neighbors


class DonorTable:
    """Donors laid out for the search: sorted by group, each group a range.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
        Scaled numbers and category codes, NaN for gaps.
    rows : array of shape (n_donors,)
        The rows of ``values`` that are donors, ascending.
    groups : array of shape (n_rows,)
        Group of each row, 0 or more for donors. A query sees the donors of one group.
    """

    def __init__(self, values: Floats, rows: Ints, groups: Ints) -> None:
        order = np.argsort(groups[rows], kind="stable")
        self.rows = rows[order]
        self.values = np.ascontiguousarray(values[self.rows])
        n_groups = int(groups[rows].max()) + 1 if len(rows) else 0
        self.starts = np.searchsorted(groups[self.rows], np.arange(n_groups + 1))
        self.blocks = packing.pack_donors(self.values)
        self.position = np.full(len(values), -1, dtype=np.int64)
        self.position[self.rows] = np.arange(len(rows))
        self._numbers: tuple[Floats, Ints] | None = None

    def numbers(self, categorical: Bools) -> tuple[Floats, Ints]:
        """Numeric columns, ascending in each group, and how many cells are observed before each.

        Made once: they do not depend on weights.
        """
        if self._numbers is None:
            columns = np.ascontiguousarray(self.values[:, ~categorical].T)
            for start, stop in pairwise(self.starts):
                columns[:, start:stop].sort(axis=1)
            known = np.zeros((len(columns), len(self.values) + 1), dtype=np.int64)
            np.cumsum(~np.isnan(columns), axis=1, out=known[:, 1:])
            self._numbers = columns, known
        return self._numbers

    def ranges(self, groups: Ints) -> tuple[Ints, Ints]:
        """First and last position of the donors that queries of these groups see."""
        known = groups < len(self.starts) - 1
        group = np.where(known, groups, 0)
        first = np.where(known, self.starts[group], 0)
        last = np.where(known, self.starts[np.minimum(group + 1, len(self.starts) - 1)], 0)
        return first, last


def nearest(
    comparison: Comparison,
    weights: Floats,
    n_neighbors: int,
    donors: DonorTable,
    queries: Floats,
    *,
    own: Ints | None = None,
    groups: Ints | None = None,
) -> Neighbors:
    """The nearest donors of each query.

    Parameters
    ----------
    comparison : Comparison
    weights : array of shape (n_columns,)
    n_neighbors : int
    donors : DonorTable
    queries : array of shape (n_queries, n_columns)
        As the donors' values.
    own : array of shape (n_queries,), optional
        The row of the donors' table that each query itself is, -1 for none; by default none.
    groups : array of shape (n_queries,), optional
        The group of donors each query sees; by default group 0.

    Returns
    -------
    Neighbors
        Ties in distance go to the lower row.
    """
    n_queries = len(queries)
    queries = np.ascontiguousarray(queries)
    itself = np.full(n_queries, -1, dtype=np.int64)
    if own is not None:
        itself[own >= 0] = donors.position[own[own >= 0]]
    first, last = donors.ranges(np.zeros(n_queries, np.int64) if groups is None else groups)
    metric = METRICS[comparison.method.metric]
    if metric == formula.GREY:
        smallest, offset = grey_extremes(comparison, donors, queries, itself, first, last)
        offset *= comparison.rho
    else:
        smallest, offset = np.zeros(n_queries), np.ones(n_queries)
    found = Neighbors(
        rows=np.full((n_queries, n_neighbors), -1, dtype=np.int64),
        distances=np.full((n_queries, n_neighbors), np.inf),
        counts=np.zeros(n_queries, dtype=np.int64),
    )
    widest = int((last - first).max(initial=1)) * queries.shape[1]
    step = max(BATCH // widest, SMALLEST_BATCH)
    for start in range(0, n_queries, step):
        part = slice(start, start + step)
        comparison.kernels.nearest(
            metric, queries[part], itself[part], first[part], last[part], donors.values,
            donors.blocks, comparison.categorical, weights, smallest[part], offset[part],
            found.distances[part], found.rows[part], found.counts[part],
        )  # fmt: skip
        comparison.progress("neighbours", min(start + step, n_queries), n_queries)
    # Rows fit into 32 bits, and lists of neighbours are what large tables need most memory for.
    rows = np.append(donors.rows, -1).astype(np.int32)[found.rows]
    return replace(found, rows=rows)


def grey_extremes(
    comparison: Comparison, donors: DonorTable, queries: Floats, own: Ints, first: Ints, last: Ints
) -> tuple[Floats, Floats]:
    """``Dmin`` and ``Dmax`` of equation 32 for each query, over its donors and all numbers."""
    columns, known = donors.numbers(comparison.categorical)
    observed = np.ascontiguousarray((known[:, last] - known[:, first]).T)
    smallest, largest = np.empty(len(queries)), np.empty(len(queries))
    numbers = np.ascontiguousarray(queries[:, ~comparison.categorical])
    comparison.kernels.extremes(
        numbers, own, first, last, columns, observed,
        smallest, largest,
    )  # fmt: skip
    return smallest, largest


def rank_gaps(
    comparison: Comparison,
    n_neighbors: int,
    *,
    queries: Floats,
    gaps: Bools,
    donor_values: Floats,
    donor_observed: Bools,
    donor_rows: Ints,
    donor_groups: Ints,
    own: Ints | None = None,
    groups: Ints | None = None,
) -> list[Ranking]:
    """Donors for every gap: one ranking for all columns where the method allows it.

    Parameters
    ----------
    comparison : Comparison
    n_neighbors : int
    queries : array of shape (n_queries, n_columns)
        What distances see of the rows with gaps.
    gaps : array of shape (n_queries, n_columns)
        The cells to fill.
    donor_values, donor_groups : as ``values`` and ``groups`` in ``DonorTable``
    donor_observed : array of shape (n_rows, n_columns)
        Whether a cell of the donors' table was observed.
    donor_rows : array
        The rows that may donate.
    own, groups : as in ``nearest``

    Returns
    -------
    list of Ranking
        A single one, or one for each column with gaps when weights or donors depend on it.
    """
    n_columns = queries.shape[1]
    per_column = comparison.weights.ndim == 2 or comparison.donors == "observed"
    targets = (
        [np.array([column]) for column in range(n_columns)]
        if per_column
        else [np.arange(n_columns)]
    )
    everyone = None if comparison.donors == "observed" else donor_rows
    table = None if everyone is None else DonorTable(donor_values, everyone, donor_groups)
    rankings = []
    for columns in targets:
        wanting = np.flatnonzero(gaps[:, columns].any(axis=1))
        if len(wanting) == 0:
            continue
        if comparison.donors == "observed":
            rows = donor_rows[donor_observed[donor_rows, columns[0]]]
            table = DonorTable(donor_values, rows, donor_groups)
        assert table is not None
        weights = comparison.weights
        found = nearest(
            comparison,
            weights[columns[0]] if weights.ndim == 2 else weights,
            n_neighbors,
            table,
            queries[wanting],
            own=None if own is None else own[wanting],
            groups=None if groups is None else groups[wanting],
        )
        rankings.append(Ranking(wanting, columns, found))
    return rankings
