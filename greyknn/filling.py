"""The mean or vote of the neighbours, and iteration to the stopping criterion."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.donors import DonorTables
from greyknn.neighbors import Comparison, Neighbors, Ranking, rank_gaps
from greyknn.start import centers, starting_fill
from greyknn_kernels import formula

AVERAGES = {"plain": formula.PLAIN, "weighted": formula.WEIGHTED}

SAME_FILL = 1e-12
"""Difference below which two iterations count as equal when a cycle is looked for."""


@dataclass(frozen=True)
class Stopping:
    """When iterating ends (equations 15 and 37).

    Parameters
    ----------
    tol : float
        On the root mean square change of the missing cells, numbers on the [0, 1] scale,
        a changed category counting 1.
    max_iter : int
    """

    tol: float
    max_iter: int


@dataclass(frozen=True)
class Filled:
    """A filled table and how it came about.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
        Numbers and category codes, complete.
    convergence : tuple of float
        delta of equation 37, one for each iteration.
    converged : bool
        Whether the last delta reached the tolerance.
    rankings : list of Ranking
        The neighbours that the last iteration averaged.
    """

    values: Floats
    convergence: tuple[float, ...]
    converged: bool
    rankings: list[Ranking]


def average(
    comparison: Comparison,
    n_neighbors: int,
    neighbors: Neighbors,
    lists: Ints,
    columns: Ints,
    table: Floats,
    cells: Floats,
) -> Floats:
    """What the neighbours say about some missing cells (equations 11 to 14 and 36).

    Parameters
    ----------
    comparison : Comparison
    n_neighbors : int
        At most as many as were ranked.
    neighbors : Neighbors
    lists, columns : array of shape (n_cells,)
        Each cell's query, a row of ``neighbors``, and its column.
    table : array of shape (n_rows, n_columns)
        The donors' values, complete: the iteration before.
    cells : array of shape (n_cells,)
        What the cells of queries without neighbours stay.

    Returns
    -------
    array of shape (n_cells,)
    """
    filled = cells.copy()
    comparison.kernels.fill(
        AVERAGES[comparison.method.average], n_neighbors, lists, columns,
        comparison.categorical, table, neighbors.rows, neighbors.distances, neighbors.counts,
        filled,
    )  # fmt: skip
    return filled


def fill_together(
    comparison: Comparison, n_neighbors: int, values: Floats, groups: Ints, stopping: Stopping
) -> Filled:
    """Fill the rows of a training table from one another until nothing changes (Jacobi).

    Parameters
    ----------
    comparison : Comparison
    n_neighbors : int
        A row of a smaller group uses as many as there are.
    values : array of shape (n_rows, n_columns)
        NaN where missing.
    groups : array of shape (n_rows,)
        Rows take donors from their own group. Rows with -1 give nothing to others and are filled
        last, as new rows are.
    stopping : Stopping

    Returns
    -------
    Filled
    """
    observed = ~np.isnan(values)
    member = groups >= 0
    donor_rows = np.flatnonzero(member)
    queries = np.flatnonzero(member & ~observed.all(axis=1))
    gaps = ~observed[queries]
    cells = np.nonzero(gaps)
    table = starting_fill(values, comparison.categorical, groups)
    missing = queries[cells[0]], cells[1]
    history = [table[missing]]  # the missing cells of X(t-2), X(t-1), X(t)
    rankings: list[Ranking] = []
    convergence: list[float] = []
    converged = cycling = False
    while not (converged or cycling or len(convergence) == stopping.max_iter):
        if comparison.metric_on == "imputed" or not convergence:
            again = f" ({len(convergence) + 1})" if convergence else ""
            seen = comparison.scale.scaled(values if comparison.metric_on == "observed" else table)
            rankings = rank_gaps(
                comparison, n_neighbors, queries=seen[queries], gaps=gaps,
                donors=comparison.tables(seen, donor_rows, groups, observed), rows=queries,
                groups=groups[queries], step="neighbours" + again,
            )  # fmt: skip
            wanting = [ranking.cells(gaps) for ranking in rankings]
        filled = [
            average(
                comparison, n_neighbors, ranking.neighbors, lists, columns, table,
                table[queries[rows], columns],
            )
            for ranking, (lists, rows, columns) in zip(rankings, wanting, strict=True)
        ]  # fmt: skip
        for now, (_, rows, columns) in zip(filled, wanting, strict=True):
            table[queries[rows], columns] = now
        history = [*history[-2:], table[missing]]
        change = squared_change(comparison, history[-1], history[-2], cells[1])
        convergence.append(float(np.sqrt(change.sum() / max(len(change), 1))))
        converged = convergence[-1] <= stopping.tol
        if len(history) == 3:
            over_two = squared_change(comparison, history[-1], history[-3], cells[1])
            cycling = bool((over_two <= SAME_FILL**2).all())
    rankings = [replace(ranking, queries=queries[ranking.queries]) for ranking in rankings]
    if not member.all():
        everywhere = centers(values, comparison.categorical)
        training = Training(table, observed, donor_rows, everywhere)
        rest = np.flatnonzero(~member)
        table[rest], _, others = fill_new(comparison, n_neighbors, values[rest], training, stopping)
        rankings += [replace(ranking, queries=rest[ranking.queries]) for ranking in others]
    return Filled(table, tuple(convergence), converged, rankings)


@dataclass
class Training:
    """What new rows are filled from; pickled without what can be made again.

    Parameters
    ----------
    filled : array of shape (n_rows, n_columns)
        The training table, complete.
    observed : array of shape (n_rows, n_columns)
        Which of its cells were not filled.
    rows : array
        The rows that may donate.
    center : array of shape (n_columns,)
        Mean or mode of each column, the starting fill of new rows.
    """

    filled: Floats
    observed: Bools
    rows: Ints
    center: Floats
    _donors: DonorTables | None = field(default=None, repr=False)

    def donors(self, comparison: Comparison) -> DonorTables:
        """All rows that may donate, whatever their group; laid out once."""
        if self._donors is None or self._donors.geometry.kernels is not comparison.kernels:
            seen = self.filled
            if comparison.metric_on == "observed":
                seen = np.where(self.observed, self.filled, np.nan)
            no_groups = np.zeros(len(seen), dtype=np.int64)
            seen = comparison.scale.scaled(seen)
            self._donors = comparison.tables(seen, self.rows, no_groups, self.observed)
        return self._donors

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_donors": None}


def fill_new(
    comparison: Comparison, n_neighbors: int, values: Floats, training: Training, stopping: Stopping
) -> tuple[Floats, int, list[Ranking]]:
    """Fill rows whose class is not known, each by itself, from all training rows.

    Parameters
    ----------
    comparison : Comparison
    n_neighbors : int
    values : array of shape (n_queries, n_columns)
        NaN where missing.
    training : Training
    stopping : Stopping
        For each row by itself.

    Returns
    -------
    filled : array of shape (n_queries, n_columns)
    n_unsettled : int
        Rows that reached neither the tolerance nor a cycle.
    rankings : list of Ranking
        The neighbours that each row's last iteration averaged.
    """
    gaps = np.isnan(values)
    filled = np.where(gaps, training.center, values)
    active = np.flatnonzero(gaps.any(axis=1))
    on_observed = comparison.metric_on == "observed"
    scaled = comparison.scale.scaled
    donors = training.donors(comparison)
    final: list[Ranking] = []
    last = filled[active]
    for iteration in range(stopping.max_iter):
        if len(active) == 0:
            break
        rankings = rank_gaps(
            comparison, n_neighbors, queries=scaled((values if on_observed else filled)[active]),
            gaps=gaps[active], donors=donors,
        )  # fmt: skip
        before, now = filled[active], filled[active]
        for ranking in rankings:
            lists, rows, columns = ranking.cells(gaps[active])
            now[rows, columns] = average(
                comparison, n_neighbors, ranking.neighbors, lists, columns, training.filled,
                before[rows, columns],
            )  # fmt: skip
        filled[active] = now
        everything = np.arange(values.shape[1])
        change = squared_change(comparison, now, before, everything)
        delta = np.sqrt(change.sum(axis=1) / gaps[active].sum(axis=1))
        over_two = squared_change(comparison, now, last, everything)
        cycling = (iteration > 0) & (over_two <= SAME_FILL**2).all(axis=1)
        going = (delta > stopping.tol) & ~cycling
        if on_observed:  # neither neighbours nor donors change any more
            going[:] = False
        stays = ~going if iteration + 1 < stopping.max_iter else np.ones(len(going), dtype=bool)
        final += [_only(ranking, stays, active) for ranking in rankings]
        last, active = before[going], active[going]
    return filled, len(active), final


def _only(ranking: Ranking, kept: Bools, queries: Ints) -> Ranking:
    """The part of a ranking for some queries, which ``queries`` renumbers."""
    kept = kept[ranking.queries]
    return Ranking(queries[ranking.queries[kept]], ranking.columns, ranking.neighbors[kept])


def squared_change(comparison: Comparison, now: Floats, before: Floats, columns: Ints) -> Floats:
    """Squared change of cells of these columns on the [0, 1] scale; 1 for another category."""
    scaled = (now - before) / comparison.scale.ranges[columns]
    return np.where(comparison.categorical[columns], now != before, scaled**2)
