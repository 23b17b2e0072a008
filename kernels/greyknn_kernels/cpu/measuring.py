"""Exact distances, in double precision and in column order."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import inner, leaf
from greyknn_kernels.formula import EUCLIDEAN

LANES = 16
"""Donors that are measured side by side; so many that the compiler keeps the loop over them."""

_dissimilarity = leaf(formula.dissimilarity)
_settled = leaf(formula.settled)


@inner
def measure(
    metric: int, query: Any, categorical: Any, weights: Any, smallest: float, offset: float,
    values: Any, places: Any, cells: Any, totals: Any, common: Any,
) -> None:  # fmt: skip
    """Distances of LANES donors from a query, those of HEOM and EUCLIDEAN squared.

    Parameters
    ----------
    metric : int
    query, categorical, weights : array of shape (n_columns,)
    smallest, offset : float
        As in ``formula.dissimilarity``.
    values : array of shape (n_donors, n_columns), float64
    places : array of shape (LANES,), int64
        Which donors.
    cells : array of shape (n_columns, LANES), float64
        Scratch.
    totals : array of shape (LANES,), float64
        Written: sums in column order (equations 33 and 35; 7 and 31 squared); infinite where
        EUCLIDEAN has no column to compare.
    common : array of shape (LANES,), float64
        Scratch.
    """
    n_columns = len(query)
    for lane in range(LANES):
        totals[lane] = 0.0
        common[lane] = 0.0
        row = values[places[lane]]
        for column in range(n_columns):
            cells[column, lane] = row[column]
    for column in range(n_columns):
        cell = query[column]
        weight = weights[column]
        category = categorical[column]
        donors = cells[column]
        for lane in range(LANES):
            totals[lane] += weight * _dissimilarity(
                metric, cell, donors[lane], category, smallest, offset
            )
        if metric == EUCLIDEAN and cell == cell:
            for lane in range(LANES):
                common[lane] += 1.0 if donors[lane] == donors[lane] else 0.0
    for lane in range(LANES):
        if metric == EUCLIDEAN:
            number = common[lane]
            totals[lane] = totals[lane] * n_columns / number if number > 0.0 else np.inf
        else:
            totals[lane] = _settled(totals[lane])
