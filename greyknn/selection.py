"""How many neighbours: the number that predicts the class, or masked cells, best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Floats, Ints
from greyknn.donors import DonorTable
from greyknn.filling import average, squared_change
from greyknn.neighbors import Comparison, nearest, rank_gaps
from greyknn.start import starting_fill

MOST_NEIGHBORS = 20
"""k is chosen from 1 to this."""

FOLDS = 10

STEP = "choice of k"
"""What progress calls it."""

MOST_SCORED = 2_000
"""At most so many rows (by label) or cells (by masking) are scored, a random sample of them."""

SAME_ERROR = 1e-12
"""Relative difference below which two errors count as equal."""


@dataclass(frozen=True)
class Choice:
    """A chosen number of neighbours.

    Parameters
    ----------
    n_neighbors : int
    errors : array of shape (n_candidates,)
        Error rate, or mean squared error of masked cells, with 1, 2, ... neighbours.
    """

    n_neighbors: int
    errors: Floats


def choose_by_label(
    comparison: Comparison, weights: Floats, values: Floats, labels: Ints,
    random_state: np.random.RandomState,
) -> Choice:  # fmt: skip
    """The k whose majority vote misses the class least, by stratified 10-fold cross-validation.

    One search of the nearest 20 scores every k. Held-out rows see the rows of the other folds,
    whatever their class. Of equally good k the largest is chosen.

    Parameters
    ----------
    comparison : Comparison
    weights : array of shape (n_columns,)
        Of the distance in which the class is predicted.
    values : array of shape (n_rows, n_columns)
        What distances see.
    labels : array of shape (n_rows,)
        -1 for rows without a label, which take no part.
    random_state : RandomState
        For the folds.
    """
    rows = np.flatnonzero(labels >= 0)
    folds = np.full(len(values), -1)
    folds[rows] = stratified_folds(labels[rows], random_state)
    most = min(MOST_NEIGHBORS, len(rows) - int(np.bincount(folds[rows]).max()))
    scored = rows
    if len(rows) > MOST_SCORED:
        scored = rows[np.sort(random_state.permutation(len(rows))[:MOST_SCORED])]
    no_groups = np.zeros(len(values), dtype=np.int64)
    donors = DonorTable(comparison.geometry, weights, values, rows, no_groups, folds)
    found = nearest(
        donors, weights, most, values[scored], rows=scored, kin=folds[scored],
        report=lambda done, total: comparison.progress(STEP, done, total),
    )  # fmt: skip
    known = found.counts > 0
    winners = np.empty((int(known.sum()), most), dtype=np.int64)
    comparison.kernels.majorities(labels[found.rows[known]], winners)
    wrong = np.count_nonzero(winners != labels[scored[known], None], axis=0)
    return _smallest(wrong / max(len(winners), 1))


def stratified_folds(labels: Ints, random_state: np.random.RandomState) -> Ints:
    """A fold for each row, every class spread over the folds as evenly as its size allows."""
    shuffled = random_state.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % FOLDS
    return folds


def masked_folds(observed: NDArray[np.bool_], random_state: np.random.RandomState) -> list[Ints]:
    """Observed cells in parts of at most a tenth, as pairs (row, column): arrays (n_cells, 2).

    A part never holds all observed cells of a column: one stays to be learnt from.
    """
    cells = np.flatnonzero(observed)
    if len(cells) > 10 * MOST_SCORED:  # a permutation of all would take more memory than the table
        cells = cells[np.unique(random_state.randint(len(cells), size=2 * MOST_SCORED))]
    cells = cells[random_state.permutation(len(cells))[:MOST_SCORED]]
    cells = np.column_stack(np.unravel_index(cells, observed.shape))
    folds = []
    n_parts = -(-FOLDS * len(cells) // max(int(np.count_nonzero(observed)), 1))
    for part in (cells[fold::n_parts] for fold in range(n_parts)):
        hidden = np.bincount(part[:, 1], minlength=observed.shape[1])
        whole = np.flatnonzero((hidden > 0) & (hidden == observed.sum(axis=0)))
        first = [int(np.flatnonzero(part[:, 1] == column)[0]) for column in whole]
        folds.append(np.delete(part, first, axis=0))
    return folds


def choose_by_masking(
    comparison: Comparison, values: Floats, groups: Ints, random_state: np.random.RandomState
) -> Choice:
    """The k that restores observed cells best which are hidden, at most a tenth at a time.

    One search of the nearest 20 scores every k. Of equally good k the largest is chosen.

    Parameters
    ----------
    comparison : Comparison
    values, groups : as in ``filling.fill_together``
        Rows of group -1 take no part.
    random_state : RandomState
        For the parts.
    """
    donor_rows = np.flatnonzero(groups >= 0)
    takes_part = ~np.isnan(values) & (groups >= 0)[:, None]
    loss = np.zeros(MOST_NEIGHBORS)
    most = 1
    total = 0
    for cells in masked_folds(takes_part, random_state):
        masked = values.copy()
        masked[cells[:, 0], cells[:, 1]] = np.nan
        start = starting_fill(masked, comparison.categorical, groups)
        queries, lists = np.unique(cells[:, 0], return_inverse=True)
        gaps = np.zeros((len(queries), values.shape[1]), dtype=bool)
        gaps[lists, cells[:, 1]] = True
        seen = comparison.scale.scaled(masked if comparison.metric_on == "observed" else start)
        rankings = rank_gaps(
            comparison, MOST_NEIGHBORS, queries=seen[queries], gaps=gaps,
            donors=comparison.tables(seen, donor_rows, groups, ~np.isnan(masked)), rows=queries,
            groups=groups[queries], step=STEP,
        )  # fmt: skip
        for ranking in rankings:
            lists, rows, columns = ranking.cells(gaps)
            served = ranking.neighbors.counts[lists] > 0
            truth = values[queries[rows], columns][served]
            total += len(truth)
            most = max(most, int(ranking.neighbors.counts[lists].max()))
            for k in range(MOST_NEIGHBORS):
                restored = average(
                    comparison, k + 1, ranking.neighbors, lists, columns, start,
                    start[queries[rows], columns],
                )[served]  # fmt: skip
                change = squared_change(comparison, restored, truth, columns[served])
                loss[k] += change.sum()
    return _smallest(loss[:most] / max(total, 1))


def _smallest(errors: Floats) -> Choice:
    """The largest k with the smallest error."""
    best = np.flatnonzero(errors <= errors.min() * (1.0 + SAME_ERROR))[-1]
    return Choice(int(best) + 1, errors)
