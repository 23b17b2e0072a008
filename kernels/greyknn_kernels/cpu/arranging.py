"""Rows that are alike next to one another: a k-d order of each group's donors."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import inner, leaf, loop
from greyknn_kernels.layout import FAN
from greyknn_kernels.packing import BLOCK

SAMPLE = 64
"""Pairs of rows that tell which column to split."""

DEPTH = 64

_dissimilarity = leaf(formula.dissimilarity)


@inner
def _widest(
    metric: int, categorical: Any, weights: Any, offset: float, values: Any, order: Any
) -> int:
    """The column in which pairs of these rows differ most, -1 if they are all alike."""
    n_rows = len(order)
    stride = max(n_rows // SAMPLE, 1)
    best = 0.0
    widest = -1
    for column in range(len(weights)):
        spread = 0.0
        for place in range(0, n_rows, stride):
            one = values[order[place], column]
            other = values[order[(place + n_rows // 2) % n_rows], column]
            if one == one or other == other:
                spread += _dissimilarity(metric, one, other, categorical[column], 0.0, offset)
        if spread * weights[column] > best:
            best = spread * weights[column]
            widest = column
    return widest


@inner
def _partition(keys: Any, order: Any, middle: int) -> None:
    """Move the ``middle`` smallest keys, and their rows, to the front."""
    low = 0
    high = len(keys) - 1
    while low < high:
        pivot = keys[(low + high) // 2]
        left = low
        right = high
        while left <= right:
            while keys[left] < pivot:
                left += 1
            while keys[right] > pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                order[left], order[right] = order[right], order[left]
                left += 1
                right -= 1
        if middle <= right:
            high = right
        elif middle >= left:
            low = left
        else:
            return


@loop
def arrange(
    begin: int, end: int, metric: int, categorical: Any, weights: Any, offset: float, values: Any,
    starts: Any, order: Any,
) -> None:  # fmt: skip
    """Put the donors of the groups ``begin`` to ``end`` into k-d order.

    A group is split at the middle of the column in which its rows differ most, and each part
    again, down to single blocks, which always begin at multiples of BLOCK.

    Parameters
    ----------
    begin, end : int
    metric, categorical, weights : as in ``measure``
    offset : float
        A typical ``rho * Dmax``.
    values : array of shape (n_rows, n_columns), float64
    starts : array of shape (n_groups + 1,), int64
    order : array of shape (n_donors,), int64
        Rows, those of group ``g`` at ``starts[g]:starts[g + 1]``; permuted within each group.
    """
    firsts = np.empty(DEPTH, np.int64)
    lasts = np.empty(DEPTH, np.int64)
    for group in range(begin, end):
        start, stop = starts[group], starts[group + 1]
        block = start // BLOCK
        keys = np.empty(stop - start)
        firsts[0], lasts[0] = 0, (stop + BLOCK - 1) // BLOCK - block
        depth = 1
        while depth > 0:
            depth -= 1
            first, last = firsts[depth], lasts[depth]  # blocks, counted from the group's first
            if last - first < 2:
                continue
            low = max(start, (block + first) * BLOCK)
            high = min(stop, (block + last) * BLOCK)
            part = order[low:high]
            column = _widest(metric, categorical, weights, offset, values, part)
            if column < 0:
                continue
            unit = 1
            while unit * FAN < last - first:
                unit *= FAN
            middle = first + max((last - first) // 2 // unit * unit, unit)
            for place in range(high - low):
                key = values[part[place], column]
                keys[place] = key if key == key else np.inf
            _partition(keys[: high - low], part, (block + middle) * BLOCK - low)
            firsts[depth], lasts[depth] = first, middle
            firsts[depth + 1], lasts[depth + 1] = middle, last
            depth += 2
