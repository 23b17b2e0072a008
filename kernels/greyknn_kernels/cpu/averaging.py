"""What neighbours say together about a missing cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import leaf, loop

_mean_weight = leaf(formula.mean_weight)
_vote_weight = leaf(formula.vote_weight)


@loop
def fill(
    begin: int, end: int, average: int, n_neighbors: int, lists: Any, columns: Any,
    categorical: Any, table: Any, donors: Any, distances: Any, counts: Any, filled: Any,
) -> None:  # fmt: skip
    """Weighted mean or vote of the missing cells ``begin`` to ``end`` (equations 11 to 14 and 36).

    Parameters
    ----------
    begin, end : int
    average : int
        ``formula.PLAIN`` or ``formula.WEIGHTED``.
    n_neighbors : int
        How many of the listed neighbours to use, at most.
    lists, columns : array of shape (n_cells,), int64
        Each cell's list of neighbours and its column.
    categorical : array of shape (n_columns,), bool
    table : array of shape (n_rows, n_columns), float64
        The donors' values of the iteration before; complete.
    donors, distances, counts : ``rows`` and the rest, as in ``layout.Found``
    filled : array of shape (n_cells,), float64
        Written where the cell has neighbours. Of equal votes the smallest code wins.
    """
    for cell in range(begin, end):
        number = lists[cell]
        column = columns[cell]
        count = min(counts[number], n_neighbors)
        if count == 0:
            continue
        near = distances[number]
        rows = donors[number]
        if categorical[column]:
            best = -1.0
            for candidate in range(count):
                code = table[rows[candidate], column]
                votes = 0.0
                for voter in range(count):
                    if table[rows[voter], column] == code:
                        votes += _vote_weight(average, near[0], near[count - 1], near[voter])
                if votes > best or (votes == best and code < filled[cell]):
                    best = votes
                    filled[cell] = code
        else:
            weights = 0.0
            low = np.inf
            high = -np.inf
            for neighbor in range(count):
                weights += _mean_weight(average, near[0], near[neighbor])
                low = min(low, table[rows[neighbor], column])
                high = max(high, table[rows[neighbor], column])
            total = 0.0
            for neighbor in range(count):
                share = _mean_weight(average, near[0], near[neighbor]) / weights
                total += share * table[rows[neighbor], column]
            # Rounding must not lead out of what the neighbours have: equal values stay equal.
            filled[cell] = min(max(total, low), high)


@loop
def majorities(begin: int, end: int, voted: Any, winners: Any) -> None:
    """The label that the first 1, 2, ... neighbours of some queries vote for.

    Parameters
    ----------
    begin, end : int
    voted : array of shape (n_queries, k), int64
        The neighbours' labels, 0 or more.
    winners : array of shape (n_queries, k), int64
        Written. Of labels with equally many votes the smallest wins.
    """
    for query in range(begin, end):
        most = 0
        winner = -1
        for last in range(voted.shape[1]):
            label = voted[query, last]
            votes = 0
            for neighbor in range(last + 1):
                votes += voted[query, neighbor] == label
            if votes > most or (votes == most and label < winner):
                most = votes
                winner = label
            winners[query, last] = winner
