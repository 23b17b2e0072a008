"""Where filling starts: the mean or mode of each column."""

from __future__ import annotations

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.sharing import share


def centers(values: Floats, categorical: Bools, rows: Ints | None = None) -> Floats:
    """Mean of the observed numbers or mode of the observed codes, per column; NaN for none.

    Of equally frequent codes the smallest is the mode.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
    categorical : array of shape (n_columns,)
    rows : array, optional
        The rows that count; by default all.
    """
    center = np.full(values.shape[1], np.nan)
    numeric = np.flatnonzero(~categorical)

    def average(begin: int, end: int) -> None:
        some = numeric[begin:end]
        cells = values[:, some] if rows is None else values[rows[:, None], some]
        numbers = np.ascontiguousarray(cells.T)
        seen = ~np.isnan(numbers)
        counts = np.where(seen.any(axis=1), seen.sum(axis=1), np.nan)
        means = np.where(seen, numbers, 0.0).sum(axis=1) / counts
        # Rounding must not lead out of the range: the mean of a constant is that constant.
        low, high = np.fmin.reduce(numbers, axis=1), np.fmax.reduce(numbers, axis=1)
        center[some] = np.clip(means, low, high)

    if len(values):
        share(average, len(numeric), 10.0 * (len(values) if rows is None else len(rows)))
    for column in np.flatnonzero(categorical):
        cells = values[:, column] if rows is None else values[rows, column]
        codes = cells[~np.isnan(cells)].astype(np.int64)
        if len(codes):
            center[column] = np.bincount(codes).argmax()
    return center


def starting_fill(values: Floats, categorical: Bools, groups: Ints) -> Floats:
    """X(0): gaps filled with the mean or mode of the row's group, else of the table.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
    categorical : array of shape (n_columns,)
    groups : array of shape (n_rows,)
        -1 for rows that belong to no group.
    """
    everywhere = centers(values, categorical)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    center = np.tile(everywhere, (len(members), 1))
    number = np.empty(len(values), dtype=np.int64)
    for group, rows in enumerate(members):
        number[rows] = group
        if groups[rows[0]] >= 0 and len(members) > 1:
            within = centers(values, categorical, rows)
            center[group] = np.where(np.isnan(within), everywhere, within)
    filled = values.copy()
    gaps = np.nonzero(np.isnan(values))
    filled[gaps] = center[number[gaps[0]], gaps[1]]
    return filled
