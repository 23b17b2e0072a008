"""Each row's smallest and largest difference: a thread for each row."""

from __future__ import annotations

from numba import cuda

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import kernel, leaf

THREADS = 128
"""In a block."""

INFINITE = float("inf")

_differences = leaf(formula.differences)


@kernel(THREADS)
def extremes(
    queries, groups, kin, starts, columns, column_kin, observed, smallest, largest
):  # fmt: skip
    """``Dmin`` and ``Dmax`` (equation 32); a grid of at least as many threads as rows.

    Parameters
    ----------
    queries, groups, kin, starts, columns, column_kin, observed, smallest, largest :
        as in ``cpu.differences.extremes``, but infinite where no pair can be compared
    """
    row = cuda.grid(1)
    if row >= len(queries):
        return
    least = INFINITE
    most = 0.0
    group = groups[row]
    if 0 <= group < len(starts) - 1:
        for number in range(queries.shape[1]):
            cell = queries[row, number]
            if cell == cell:
                first = starts[group]
                low, high = _differences(
                    columns[number], column_kin[number], first, first + observed[number, group],
                    cell, kin[row],
                )  # fmt: skip
                least = min(least, low)
                most = max(most, high)
    smallest[row] = least
    largest[row] = most
