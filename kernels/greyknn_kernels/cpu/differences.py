"""Each row's smallest and largest difference, without a pass over pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import inner, loop

_differences = inner(formula.differences)


@loop
def extremes(
    begin: int, end: int, queries: Any, groups: Any, kin: Any, starts: Any, columns: Any,
    column_kin: Any, observed: Any, smallest: Any, largest: Any,
) -> None:  # fmt: skip
    """``Dmin`` and ``Dmax`` of the query rows ``begin`` to ``end`` (equation 32).

    Parameters
    ----------
    begin, end : int
    queries : array of shape (n_queries, n_numeric), float64
    groups, kin : array of shape (n_queries,)
        As in ``layout.Queries``.
    starts : array of shape (n_groups + 1,), int64
        Each group's donors.
    columns : array of shape (n_numeric, n_donors), float64
        The donors' numbers, ascending within each group, gaps last.
    column_kin : array of shape (n_numeric, n_donors), int32
        Whose numbers they are.
    observed : array of shape (n_numeric, n_groups), int64
        How many numbers each group has.
    smallest, largest : array of shape (n_queries,), float64
        Written: 0 where no pair can be compared.
    """
    for row in range(begin, end):
        smallest[row] = np.inf
        largest[row] = 0.0
    # Column by column, because a large table's columns do not fit into the cache together.
    for number in range(queries.shape[1]):
        column = columns[number]
        whose = column_kin[number]
        for row in range(begin, end):
            cell = queries[row, number]
            group = groups[row]
            if cell != cell or group < 0 or group >= len(starts) - 1:
                continue
            first = starts[group]
            low, high = _differences(
                column, whose, first, first + observed[number, group], cell, kin[row]
            )
            smallest[row] = min(smallest[row], low)
            largest[row] = max(largest[row], high)
    for row in range(begin, end):
        if smallest[row] == np.inf:
            smallest[row] = 0.0
