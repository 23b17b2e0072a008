"""The layout that the search reads: coded cells as single-precision numbers without branches.

Whatever a cell is, ``|query - donor| + offset`` is the inverse of what it adds to the grade:

- a number is divided by its column's weight, its offset is ``rho * Dmax`` over the weight;
- a category is its code times a step so large that different codes add nearly nothing; its offset
  is ``Dmin + rho * Dmax`` over the weight;
- a donor's gap is ``-FAR`` and adds nearly nothing.

The grade is the sum times ``Dmin + rho * Dmax``.  Columns that the query lacks, or that weigh
next to nothing, are left out.  What single precision and "nearly" can cost is bounded by
``pack_query``; the search uses the bound and so never loses a neighbour.  HEOM and EUCLIDEAN sum
squares instead, of cells times the root of the weight.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn_kernels.formula import EUCLIDEAN, GRAIN, GREY

BLOCK = 256
"""Donors in one block: a block's cells of one column are one contiguous vector."""

CHAIN = 4
"""Columns whose inverse coefficients are joined before one division."""

FAR = 2.0**30
"""A gap's distance. CHAIN factors of twice that stay inside single precision."""

GAP = -(2.0**29)
"""Packed cells below this are gaps."""

SMALLEST_OFFSET = 2.0**-24
LARGEST_CELL = 2.0**9
SMALLEST_WEIGHT = 2.0**-20
"""Lighter columns are left out of the filter, which allows for them."""

WIDEST = 2**14
"""More columns add up to sums of squares that single precision does not hold well enough."""

LARGEST_STEP = 2.0**22
LARGEST_CODE = 2.0**24
UNIT = 2.0**-24
"""Relative error of one rounding to single precision."""

CACHE_LINE = 64


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Uninitialised single-precision numbers that start at a cache line.

    Wide loads that straddle two lines halve the speed of the search.
    """
    size = int(np.prod(shape)) * 4
    raw = np.empty(size + CACHE_LINE, dtype=np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(np.float32).reshape(shape)


def code_steps(values: NDArray[np.float64], categorical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What one code is worth when packed, by column: a power of two, 1 for numbers.

    Parameters
    ----------
    values : array of shape (n_donors, n_columns)
    categorical : array of shape (n_columns,)
    """
    steps = np.ones(values.shape[1])
    if len(values):
        largest = np.nan_to_num(np.fmax.reduce(values[:, categorical], axis=0))
        room = 2.0 ** np.floor(np.log2(-GAP / (largest + 1.0)))
        steps[categorical] = np.clip(room, 1.0, LARGEST_STEP)
    return steps


def pack_donors(
    metric: int, values: NDArray[np.float64], categorical: NDArray[np.bool_],
    weights: NDArray[np.float64], steps: NDArray[np.float64],
) -> NDArray[np.float32]:  # fmt: skip
    """Feature-major blocks of donors.

    Parameters
    ----------
    metric : int
    values : array of shape (n_donors, n_columns)
        Scaled numbers and category codes, NaN for gaps.
    categorical : array of shape (n_columns,)
    weights, steps : array of shape (n_columns,)

    Returns
    -------
    array of shape (n_blocks, n_columns + 1, BLOCK), float32
        Rows that fill up the last block are all gaps.  The last column is all gaps too: queries
        whose columns do not fill a chain point to it.
    """
    n_donors, n_columns = values.shape
    n_blocks = -(-n_donors // BLOCK)
    folded = np.where(categorical, steps, cell_factors(metric, weights))
    blocks = aligned((n_blocks, n_columns + 1, BLOCK))
    for number in range(n_blocks):
        rows = (values[number * BLOCK : (number + 1) * BLOCK] * folded).T
        blocks[number, :n_columns, : rows.shape[1]] = rows
        blocks[number, :, rows.shape[1] :] = np.nan
    blocks[:, n_columns] = np.nan
    np.copyto(blocks, -FAR, where=~(np.abs(blocks) < -GAP))
    return blocks


def cell_factors(metric: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """What numbers are multiplied with before they are packed, by column."""
    if metric == GREY:
        used = weights >= SMALLEST_WEIGHT
        return np.divide(1.0, weights, out=np.zeros_like(weights), where=used)
    return np.sqrt(weights)


def pack_query(
    metric: int, query: Any, categorical: Any, weights: Any, steps: Any, smallest: float,
    offset: float, cells: Any, offsets: Any, columns: Any,
) -> tuple[int, float, float, float]:  # fmt: skip
    """One query as the search reads it; a plain function that each device binds.

    Parameters
    ----------
    metric : int
    query, categorical, weights, steps : array of shape (n_columns,)
        Weights of the order of 1 in total (``GREY``), at most 1 (``HEOM``), or 1.
    smallest, offset : float
        ``Dmin`` and ``rho * Dmax`` of the query (``GREY``), 0 and 1 otherwise.
    cells, offsets : array of shape (n_columns + CHAIN - 1,), float32
        Written: the query's observed columns of positive weight, filled up to whole chains.
        The offset of ``HEOM`` is the largest difference; ``EUCLIDEAN`` has none.
    columns : array of the same shape, int
        Written: the column each entry belongs to.

    Returns
    -------
    n_chains : int
        0 if no cell says who is near.
    base, unit : float
        A donor's total distance is ``base`` minus ``unit`` times its score.
    slack : float
        Bound on the error of a score, for ``EUCLIDEAN`` of its root; infinite when single
        precision cannot hold the query, which must then be searched in double precision.
    """
    n_columns = len(query)
    size = 0
    base = 0.0
    total = 0.0
    reach = 0.0
    lost = 0.0
    seen = 0
    unit = smallest + offset if metric == GREY and offset > 0.0 else 1.0
    held = SMALLEST_OFFSET <= unit <= LARGEST_CELL and (
        metric != EUCLIDEAN or n_columns <= WIDEST
    )  # whether single precision can hold the query
    for column in range(n_columns):
        weight = weights[column]
        cell = query[column]
        total += weight
        if metric == GREY or (metric != EUCLIDEAN and cell != cell):
            base += weight
        if weight <= 0.0 or cell != cell:
            continue
        seen += 1
        if categorical[column]:
            if cell >= LARGEST_CODE or cell * steps[column] > -GAP:
                held = False
            if metric == GREY:
                lost += unit / steps[column]
        else:
            near = offset if metric == GREY and offset > 0.0 else 1.0
            if not (abs(cell) <= LARGEST_CELL and near >= SMALLEST_OFFSET):
                held = False
            reach = max(reach, abs(cell) if metric == EUCLIDEAN else 2.0 * abs(cell) / near)
        if metric == GREY and weight < SMALLEST_WEIGHT:
            lost += weight
            continue
        if not held:
            continue
        columns[size] = column
        if metric == GREY:
            cells[size] = cell * steps[column] if categorical[column] else cell / weight
            offsets[size] = (unit if categorical[column] or offset == 0.0 else offset) / weight
        else:
            cells[size] = cell * steps[column] if categorical[column] else cell * math.sqrt(weight)
            offsets[size] = math.sqrt(weight)
        size += 1
    n_chains = max((size + CHAIN - 1) // CHAIN, 1 if seen > 0 else 0)
    for entry in range(size, n_chains * CHAIN):
        cells[entry] = 0.0
        offsets[entry] = FAR if metric == GREY else 0.0
        columns[entry] = n_columns
    if not held:
        return n_chains, base, unit, np.inf
    if metric == EUCLIDEAN:
        return n_chains, 0.0, float(n_columns), 4.0 * UNIT * reach + 1e-18
    # Roundings: two cells and their difference relative to the offset (reach), about 40 in a
    # chain and its division, one per sum; gaps and unequal categories that are not quite 0.
    # Twice the bound leaves room for what a compiler may reorder.
    slack = 2.0 * UNIT * total * (48.0 + n_columns + 2.0 * reach)
    slack += 2.0 * lost + 4.0 * unit * n_columns / FAR + GRAIN
    return n_chains, base, unit, slack / unit
