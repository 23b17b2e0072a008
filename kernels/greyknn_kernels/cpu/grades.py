"""Grey relational coefficients, all of them."""

from __future__ import annotations

from typing import Any

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import leaf, loop
from greyknn_kernels.formula import GREY

_dissimilarity = leaf(formula.dissimilarity)


@loop
def coefficients(
    begin: int, end: int, queries: Any, donors: Any, categorical: Any, smallest: Any, offset: Any,
    grades: Any,
) -> None:  # fmt: skip
    """Every grey relational coefficient, for small tables (equation 32).

    Parameters
    ----------
    begin, end : int
        The queries to compare.
    queries : array of shape (n_queries, n_columns), float64
    donors : array of shape (n_donors, n_columns), float64
    categorical : array of shape (n_columns,), bool
    smallest, offset : array of shape (n_queries,), float64
    grades : array of shape (n_queries, n_donors, n_columns), float64
        Written.
    """
    for row in range(begin, end):
        for donor in range(len(donors)):
            for column in range(queries.shape[1]):
                grades[row, donor, column] = 1.0 - _dissimilarity(
                    GREY, queries[row, column], donors[donor, column], categorical[column],
                    smallest[row], offset[row],
                )  # fmt: skip
