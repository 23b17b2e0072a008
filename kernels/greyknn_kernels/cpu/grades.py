"""Grey relational coefficients, all of them."""

from __future__ import annotations

from typing import Any

import numba

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import leaf, loop
from greyknn_kernels.formula import GREY

_dissimilarity = leaf(formula.dissimilarity)


@loop
def coefficients(
    queries: Any, donors: Any, categorical: Any, smallest: Any, offset: Any, grades: Any
) -> None:
    """Every grey relational coefficient, for small tables (equation 32).

    Parameters
    ----------
    queries, donors, categorical, smallest, offset : as in ``nearest``
    grades : array of shape (n_queries, n_donors, n_columns), float64
        Written.
    """
    for row in numba.prange(len(queries)):
        for donor in range(len(donors)):
            for column in range(queries.shape[1]):
                grades[row, donor, column] = 1.0 - _dissimilarity(
                    GREY, queries[row, column], donors[donor, column], categorical[column],
                    smallest[row], offset[row],
                )  # fmt: skip
