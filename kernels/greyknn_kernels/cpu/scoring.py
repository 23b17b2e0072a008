"""Single-precision scores of one query with a block of donors, and bounds on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import fast, fast_leaf
from greyknn_kernels.formula import EUCLIDEAN, GREY
from greyknn_kernels.layout import FAN
from greyknn_kernels.packing import BLOCK, CHAIN, FAR, GAP

GROUP = 16
"""Neighbouring donors that are passed over together if none is near."""

_inverse_coefficient = fast_leaf(formula.inverse_coefficient)
_capped_square = fast_leaf(formula.capped_square)
_common_difference = fast_leaf(formula.common_difference)
_is_common = fast_leaf(formula.is_common)

NO_CELL = np.float32(GAP)


@fast
def score_block(
    metric: int, cells: Any, offsets: Any, columns: Any, member: int, n_entries: int, block: Any,
    lowest: Any, scores: Any, common: Any,
) -> Any:  # fmt: skip
    """Closeness of one query to every donor of a block, CHAIN columns at a time.

    Parameters
    ----------
    metric : int
    cells, offsets, columns : array of shape (n_queries, n_columns + CHAIN - 1)
        As written by ``packing.pack_query``.
    member : int
        Which query.
    n_entries : int
        A multiple of CHAIN.
    block : array of shape (n_columns + 1, BLOCK), float32
    lowest : float
        In single precision.
    scores : array of shape (BLOCK,), float32
        Written; larger is closer.
    common : array of shape (BLOCK,), float32
        Scratch.

    Returns
    -------
    int
        How many scores are at least ``lowest``.
    """
    for donor in range(BLOCK):
        scores[donor] = 0.0
    if metric == EUCLIDEAN:
        for donor in range(BLOCK):
            common[donor] = 0.0
    for entry in range(0, n_entries, CHAIN):
        donors0 = block[columns[member, entry]]
        donors1 = block[columns[member, entry + 1]]
        donors2 = block[columns[member, entry + 2]]
        donors3 = block[columns[member, entry + 3]]
        cell0, offset0 = cells[member, entry], offsets[member, entry]
        cell1, offset1 = cells[member, entry + 1], offsets[member, entry + 1]
        cell2, offset2 = cells[member, entry + 2], offsets[member, entry + 2]
        cell3, offset3 = cells[member, entry + 3], offsets[member, entry + 3]
        if metric == GREY:
            for donor in range(BLOCK):
                a0 = _inverse_coefficient(cell0, donors0[donor], offset0)
                a1 = _inverse_coefficient(cell1, donors1[donor], offset1)
                a2 = _inverse_coefficient(cell2, donors2[donor], offset2)
                a3 = _inverse_coefficient(cell3, donors3[donor], offset3)
                a01 = a0 * a1
                a23 = a2 * a3
                scores[donor] += ((a0 + a1) * a23 + (a2 + a3) * a01) / (a01 * a23)
        elif metric == EUCLIDEAN:
            for donor in range(BLOCK):
                d0 = _common_difference(cell0, donors0[donor], NO_CELL)
                d1 = _common_difference(cell1, donors1[donor], NO_CELL)
                d2 = _common_difference(cell2, donors2[donor], NO_CELL)
                d3 = _common_difference(cell3, donors3[donor], NO_CELL)
                scores[donor] -= (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
                n01 = _is_common(donors0[donor], NO_CELL) + _is_common(donors1[donor], NO_CELL)
                n23 = _is_common(donors2[donor], NO_CELL) + _is_common(donors3[donor], NO_CELL)
                common[donor] += n01 + n23
        else:
            for donor in range(BLOCK):
                s0 = _capped_square(cell0, donors0[donor], offset0)
                s1 = _capped_square(cell1, donors1[donor], offset1)
                s2 = _capped_square(cell2, donors2[donor], offset2)
                s3 = _capped_square(cell3, donors3[donor], offset3)
                scores[donor] -= (s0 + s1) + (s2 + s3)
    if metric == EUCLIDEAN:
        for donor in range(BLOCK):
            number = common[donor]
            scores[donor] = scores[donor] / number if number > 0.0 else -np.float32(FAR)
    # Counting vectorises, a search for the best score does not.
    near = np.int32(0)
    for donor in range(BLOCK):
        near += np.int32(scores[donor] >= lowest)
    return near


@fast
def score_pack(
    metric: int, cells: Any, offsets: Any, columns: Any, member: int, n_entries: int,
    categorical: Any, query: Any, low: Any, high: Any, codes: Any, bounds: Any,
) -> None:  # fmt: skip
    """What the best donor of each node of a pack can score at most.

    Parameters
    ----------
    metric, cells, offsets, columns, member, n_entries : as in ``score_block``
    categorical : array of shape (n_columns,), bool
    query : array of shape (n_columns,), float64
        The unpacked query, for its codes.
    low, high, codes : array of shape (n_columns, FAN)
    bounds : array of shape (FAN,), float32
        Written.
    """
    for lane in range(FAN):
        bounds[lane] = 0.0
    number = np.float32(0.0)
    for entry in range(n_entries):
        column = columns[member, entry]
        if column == len(categorical):
            break
        cell, offset = cells[member, entry], offsets[member, entry]
        lows, highs = low[column], high[column]
        if categorical[column]:
            bit = np.uint64(np.int64(query[column])) & np.uint64(63)
            present = codes[column]
            for lane in range(FAN):
                held = (present[lane] >> bit) & np.uint64(1)
                difference = np.float32(0.0) if held else np.float32(FAR)
                if metric == GREY:
                    bounds[lane] += np.float32(1.0) / (difference + offset)
                else:
                    bounds[lane] -= _capped_square(difference, np.float32(0.0), offset)
        else:
            number += np.float32(1.0)
            for lane in range(FAN):
                nearest = min(max(cell, lows[lane]), highs[lane])
                if metric == GREY:
                    inverse = _inverse_coefficient(cell, nearest, offset)
                    bounds[lane] += np.float32(1.0) / inverse
                elif metric == EUCLIDEAN:
                    difference = cell - nearest
                    bounds[lane] -= difference * difference
                else:
                    bounds[lane] -= _capped_square(cell, nearest, offset)
    if metric == EUCLIDEAN:
        for lane in range(FAN):
            bounds[lane] /= max(number, np.float32(1.0))


@fast
def near_in_group(scores: Any, start: int, lowest: Any) -> Any:
    """How many of GROUP neighbouring scores are at least ``lowest``."""
    group = scores[start : start + GROUP]
    near = np.int32(0)
    for donor in range(GROUP):
        near += np.int32(group[donor] >= lowest)
    return near
