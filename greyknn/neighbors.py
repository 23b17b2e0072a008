"""From gaps to donors: who is nearest to each row, on a device; the only caller of the search."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Bools, Floats, Ints
from greyknn.donors import DonorTable, DonorTables, Geometry
from greyknn.methods import Method
from greyknn.progress import Progress, Report, silent, unreported
from greyknn.scaling import Scale
from greyknn.sharing import share
from greyknn_kernels import formula, layout

DISTINCT_SHARE = 0.9
"""Equal queries are searched once where fewer than this share are distinct."""


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

    @property
    def geometry(self) -> Geometry:
        """The part that donors are laid out by."""
        return Geometry(self.method.metric, self.categorical, self.rho, self.kernels)

    def tables(self, values: Floats, rows: Ints, groups: Ints, observed: Bools) -> DonorTables:
        """The donors of each column; arguments as in ``DonorTables``."""
        only = observed if self.donors == "observed" else None
        return DonorTables(self.geometry, self.weights, values, rows, groups, only)


@dataclass(frozen=True)
class Neighbors:
    """The nearest donors of some rows, nearest first.

    Parameters
    ----------
    rows : array of shape (n_queries, k), int32
        Rows of the donors' table; -1 behind the last neighbour.
    distances : array of shape (n_queries, k), float64
        1 - GRG (equation 36), HEOM (equations 7 and 31) or nan_euclidean distances.
    counts : array of shape (n_queries,), int64
        How many neighbours there are; 0 when no observed cell says who is near.
    """

    rows: NDArray[np.int32]
    distances: Floats
    counts: Ints

    def __getitem__(self, queries: Ints | Bools) -> Neighbors:
        return Neighbors(self.rows[queries], self.distances[queries], self.counts[queries])


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

    def cells(self, gaps: Bools) -> tuple[Ints, Ints, Ints]:
        """The gaps that this serves: their rows here, in the queries' table, and their columns.

        Parameters
        ----------
        gaps : array of shape (n_rows, n_columns)
            Of the queries' table.
        """
        lists, picked = np.nonzero(gaps[np.ix_(self.queries, self.columns)])
        return lists, self.queries[lists], self.columns[picked]


def nearest(
    donors: DonorTable,
    weights: Floats,
    n_neighbors: int,
    queries: Floats,
    *,
    rows: Ints | None = None,
    groups: Ints | None = None,
    kin: Ints | None = None,
    report: Report = unreported,
) -> Neighbors:
    """The nearest donors of each query.

    Parameters
    ----------
    donors : DonorTable
    weights : array of shape (n_columns,)
    n_neighbors : int
    queries : array of shape (n_queries, n_columns)
        As the donors' values.
    rows : array of shape (n_queries,), optional
        The row of the donors' table that each query is; by default they are none of them.
    groups : array of shape (n_queries,), optional
        The group of donors each query sees; by default group 0.
    kin : array of shape (n_queries,), optional
        As in ``DonorTable``; by default each query's own row.
    report : callable
        Called with the number of queries that were searched, and of all; equal ones are one.

    Returns
    -------
    Neighbors
        Ties in distance go to the lower row.
    """
    groups = np.zeros(len(queries), dtype=np.int64) if groups is None else groups
    alone = rows is not None and kin is None
    if kin is None:
        kin = np.full(len(queries), -1) if rows is None else rows
    # A row that donates and its equal that does not have other donors.
    unlike = donors.position[rows] < len(donors.rows) if alone else kin
    searched, twin = _distinct(queries, groups, unlike)
    if searched is None:
        return _searched(donors, weights, n_neighbors, queries, rows, groups, kin, report)
    # Rows that are equal differ only in that each is not its own donor: their common search
    # sees all of them, finds one donor more than wanted, and each leaves itself out.
    several = np.bincount(twin)[twin[searched]] > 1
    itself = kin[searched] if not alone else np.where(several, -1, kin[searched])
    found = _searched(
        donors, weights, n_neighbors + alone, queries[searched],
        None if rows is None else rows[searched], groups[searched], itself, report,
        kin[searched],
    )[twin]  # fmt: skip
    if not alone:
        return found
    dropped = found.rows == kin[:, None]
    dropped[~dropped.any(axis=1), -1] = True
    shape = len(queries), n_neighbors
    left = found.rows[~dropped].reshape(shape)
    distances = found.distances[~dropped].reshape(shape)
    return Neighbors(left, distances, np.count_nonzero(left >= 0, axis=1))


def _searched(
    donors: DonorTable, weights: Floats, n_neighbors: int, values: Floats, rows: Ints | None,
    groups: Ints, kin: Ints, report: Report, extreme_kin: Ints | None = None,
) -> Neighbors:  # fmt: skip
    """Search every query; arguments as in ``nearest``, whose extremes may see other kin."""
    n_queries = len(values)
    geometry = donors.geometry
    metric = geometry.code
    values = np.ascontiguousarray(values)
    smallest, offset = np.zeros(n_queries), np.ones(n_queries)
    if metric == formula.GREY:
        unlike = kin if extreme_kin is None else extreme_kin
        smallest, offset = donors.extremes(values, groups, unlike)
        offset *= geometry.rho
    packed = donors.packed(weights)
    order, homes = np.arange(n_queries), np.zeros(n_queries, dtype=np.int64)
    if rows is not None:  # neighbours one after another visit the same blocks
        order = np.argsort(donors.position[rows], kind="stable")
        homes = np.searchsorted(packed.stops, donors.position[rows], side="right")
    found = layout.Found(
        np.full((n_queries, n_neighbors), np.inf),
        np.full((n_queries, n_neighbors), -1, dtype=np.int32),
        np.zeros(n_queries, dtype=np.int64),
        np.zeros(n_queries, dtype=np.int64),
    )
    queries = layout.Queries(values, order, homes, groups, kin.astype(np.int32), smallest, offset)
    measures = layout.Measure(geometry.categorical, weights, donors.steps)
    geometry.kernels.nearest(metric, donors.worth_pruning, measures, packed, queries, found, report)
    return Neighbors(found.rows, found.distances, found.counts)


def _distinct(queries: Floats, groups: Ints, unlike: Any) -> tuple[Ints | None, Ints]:
    """The first of equal queries, and for every query which of these it equals.

    Equal queries have the same group and the same ``unlike``, too. None if so few are equal that
    it is not worth it.
    """

    def bits(some: Any) -> Any:
        return (queries[some] + 0.0).view(np.uint64)  # one zero, not two

    rng = np.random.default_rng(0)
    odd = rng.integers(0, 2**63, queries.shape[1] + 2, dtype=np.uint64) * np.uint64(2)
    odd += np.uint64(1)
    mixed = np.empty(len(queries), dtype=np.uint64)

    def mix(begin: int, end: int) -> None:
        some = bits(slice(begin, end))
        mixed[begin:end] = (some ^ (some >> np.uint64(32))) @ odd[2:]

    share(mix, len(queries), 4.0 * queries.shape[1])
    mixed += groups.astype(np.uint64) * odd[0] + unlike.astype(np.uint64) * odd[1]
    _, first, twin = np.unique(mixed, return_index=True, return_inverse=True)
    if len(first) > DISTINCT_SHARE * len(queries):
        return None, twin
    same = (bits(slice(None)) == bits(first)[twin]).all() and (groups == groups[first[twin]]).all()
    same = same and (unlike == unlike[first[twin]]).all()
    return (first if same else None), twin


def rank_gaps(
    comparison: Comparison,
    n_neighbors: int,
    *,
    queries: Floats,
    gaps: Bools,
    donors: DonorTables,
    rows: Ints | None = None,
    groups: Ints | None = None,
    step: str = "neighbours",
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
    donors : DonorTables
    rows, groups : as in ``nearest``
    step : str
        What progress calls it.

    Returns
    -------
    list of Ranking
        A single one, or one for each column with gaps when weights or donors depend on it.
    """
    n_columns = queries.shape[1]
    weights = comparison.weights
    per_column = weights.ndim == 2 or comparison.donors == "observed"
    targets = [np.arange(n_columns)]
    if per_column:
        targets = [np.array([column]) for column in range(n_columns)]
    wanting = [np.flatnonzero(gaps[:, columns].any(axis=1)) for columns in targets]
    total = sum(map(len, wanting))
    done = 0
    rankings = []
    for columns, some in zip(targets, wanting, strict=True):
        if len(some) == 0:
            continue

        def report(more: int, of: int, before: int = done, these: int = len(some)) -> None:
            comparison.progress(step, before + these * more // of, total)

        found = nearest(
            donors.of(columns[0]),
            weights[columns[0]] if weights.ndim == 2 else weights,
            n_neighbors,
            queries if len(some) == len(queries) else queries[some],
            rows=None if rows is None else rows[some],
            groups=None if groups is None else groups[some],
            report=report,
        )
        done += len(some)
        rankings.append(Ranking(some, columns, found))
    return rankings
