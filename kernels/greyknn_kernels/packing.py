"""The layout that the search reads: coded cells as single-precision numbers without branches.

A donor's number stays what it is, a category stays its code, and a gap becomes ``-FAR``.  The
query brings the rest: ``offset`` is ``rho * Dmax`` for a number and ``CATEGORY_OFFSET`` for a
category, whose codes are at least 1 apart, so ``weight / (|query - donor| + offset)`` is the grey
coefficient times the column's weight for numbers, the weight or (nearly) nothing for categories,
and (nearly) nothing for a gap.  Columns that the query lacks, or that weigh nothing, are left out.
What single precision and "nearly" can cost is bounded by ``pack_query``; the search uses the
bound and so never loses a neighbour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn_kernels.formula import GRAIN, GREY

BLOCK = 256
"""Donors in one block: a block's cells of one column are one contiguous vector."""

CHAIN = 4
"""Columns whose fractions are joined before one division."""

FAR = 2.0**30
"""A gap's distance. CHAIN factors of it stay inside single precision."""

CATEGORY_OFFSET = 2.0**-24
SMALLEST_OFFSET = 2.0**-24
LARGEST_CELL = 2.0**10
LARGEST_CODE = 2.0**24
UNIT = 2.0**-24
"""Relative error of one rounding to single precision."""


def pack_donors(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Feature-major blocks of donors.

    Parameters
    ----------
    values : array of shape (n_donors, n_columns)
        Scaled numbers and category codes, NaN for gaps.

    Returns
    -------
    array of shape (n_blocks, n_columns + 1, BLOCK), float32
        Rows that fill up the last block are all gaps.  The last column is 0 everywhere: queries
        whose columns do not fill a chain point to it.
    """
    n_donors, n_columns = values.shape
    n_blocks = -(-n_donors // BLOCK)
    blocks = np.full((n_blocks, n_columns + 1, BLOCK), -FAR, dtype=np.float32)
    blocks[:, n_columns] = 0.0
    for block in range(n_blocks):
        rows = values[block * BLOCK : (block + 1) * BLOCK].T
        blocks[block, :n_columns, : rows.shape[1]] = np.where(np.isnan(rows), -FAR, rows)
    return blocks


def pack_query(
    metric: int,
    query: Any,
    categorical: Any,
    weights: Any,
    smallest: Any,
    offset: Any,
    cells: Any,
    cell_weights: Any,
    offsets: Any,
    columns: Any,
) -> tuple[Any, Any, Any]:
    """One query as the search reads it; a plain function that each device binds.

    Parameters
    ----------
    metric : int
    query, categorical, weights : array of shape (n_columns,)
        Weights of the order of 1 in total.
    smallest, offset : float
        ``Dmin`` and ``rho * Dmax`` of the query (``GREY``), 0 and 1 for ``HEOM``.
    cells, cell_weights, offsets : array of shape (n_columns + CHAIN - 1,), float32
        Written: the query's observed columns of positive weight, filled up to whole chains.
    columns : array of the same shape, int
        Written: the column each entry belongs to.

    Returns
    -------
    n_chains : int
    base : float
        A donor's total distance is ``base`` minus its score.
    slack : float
        Bound on the error of that difference; infinite when single precision cannot hold the
        query, which must then be searched in double precision.
    """
    n_columns = len(query)
    size = 0
    base = 0.0
    total = 0.0
    reach = 0.0
    for column in range(n_columns):
        weight = weights[column]
        total += weight
        if metric == GREY:
            base += weight
        cell = query[column]
        if weight <= 0.0:
            continue
        if cell != cell:
            if metric != GREY:
                base += weight
            continue
        near = offset
        if categorical[column]:
            if cell >= LARGEST_CODE:
                return 1, 0.0, np.inf
            if metric == GREY:
                near = CATEGORY_OFFSET
            cell_weights[size] = weight * near
        else:
            # equation 32 with Dmax = 0 is 1 wherever both cells are observed, like an equal code
            if metric == GREY and offset == 0.0:
                near = CATEGORY_OFFSET
            if abs(cell) > LARGEST_CELL or near > LARGEST_CELL or near < SMALLEST_OFFSET:
                return 1, 0.0, np.inf
            reach = max(reach, (abs(cell) + 1.0) / min(near, 1.0))
            cell_weights[size] = weight * (smallest + near)
        cells[size] = cell
        offsets[size] = near
        columns[size] = column
        size += 1
    n_chains = (size + CHAIN - 1) // CHAIN
    for entry in range(size, n_chains * CHAIN):
        cells[entry] = 0.0
        cell_weights[entry] = 0.0
        offsets[entry] = 1.0
        columns[entry] = n_columns
    # Roundings: two cells and their difference relative to the offset (reach), about 40 in a
    # chain and its division, one per sum; gaps and unequal categories that are not quite 0.
    # Twice the bound leaves room for what a compiler may reorder.
    slack = 2.0 * UNIT * total * (48.0 + n_columns + 2.0 * reach)
    slack += total * (smallest + offset) * 4.0 / FAR + GRAIN
    return n_chains, base, slack
