"""Grey relational grades of rows with a few others, and sums of values weighted by them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import inner, leaf, loop
from greyknn_kernels.formula import GREY

_dissimilarity = leaf(formula.dissimilarity)


@inner
def _grades(
    query: Any, donors: Any, weights: Any, categorical: Any, offset: float, out: Any
) -> None:
    """Grade (equation 35) of one row with all donors, between a smallest difference of 0 and 1.

    With the extremes fixed the grade is symmetric, and every weighted sum of such coefficients is
    positive definite (Polya's criterion), gaps included: a kernel for ridge regression.
    """
    out[:] = 0.0
    for column in range(len(weights)):
        weight, cell = weights[column], query[column]
        if weight == 0.0 or cell != cell:
            continue
        others, codes = donors[column], categorical[column]
        for donor in range(len(out)):
            apart = _dissimilarity(GREY, cell, others[donor], codes, 0.0, offset)
            out[donor] += weight * (1.0 - apart)


@loop
def resemblances(
    begin: int, end: int, queries: Any, donors: Any, weights: Any, categorical: Any, offset: float,
    grades: Any,
) -> None:  # fmt: skip
    """Grade of every query with every donor (equation 35, Dmin = 0 and Dmax = 1).

    Parameters
    ----------
    begin, end : int
        The queries to compare.
    queries : array of shape (n_queries, n_columns), float64
        Numbers on the [0, 1] scale and category codes, NaN for gaps.
    donors : array of shape (n_columns, n_donors), float64
    weights : array of shape (n_columns,), float64
    categorical : array of shape (n_columns,), bool
    offset : float
        rho.
    grades : array of shape (n_queries, n_donors), float64
        Written.
    """
    for row in range(begin, end):
        _grades(queries[row], donors, weights, categorical, offset, grades[row])


@loop
def resembling_sums(
    begin: int, end: int, queries: Any, donors: Any, weights: Any, categorical: Any, offset: float,
    sharpness: float, level: float, duals: Any, sums: Any,
) -> None:  # fmt: skip
    """Sum of the donors' duals times their resemblance to each query, in the order of the donors.

    Parameters
    ----------
    begin, end, queries, donors, weights, categorical, offset : as in ``resemblances``
    sharpness : float
        The resemblance is exp(sharpness * (grade - 1)), or with 0 the grade itself.
    level : float
        Added to every resemblance.
    duals : array of shape (n_donors, n_outputs), float64
    sums : array of shape (n_queries, n_outputs), float64
        Written.
    """
    grades = np.empty(donors.shape[1])
    for row in range(begin, end):
        _grades(queries[row], donors, weights, categorical, offset, grades)
        sums[row, :] = 0.0
        for donor in range(len(grades)):
            resemblance = grades[donor]
            if sharpness > 0.0:
                resemblance = math.exp(sharpness * (resemblance - 1.0))
            resemblance += level
            for output in range(duals.shape[1]):
                sums[row, output] += resemblance * duals[donor, output]
