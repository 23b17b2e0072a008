"""Whether what is said to be sure is right as often, on held-out cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from greyknn.arrays import Bools, Floats

BINS = 15
"""Of confidence."""

CENTRAL = np.arange(1, 10) / 10
"""Shares of cells that central intervals are to hold."""

ENOUGH = 100
"""Held-out cells that a column needs for quantiles of its own."""


def reliability(confidence: Floats, right: Bools) -> Floats:
    """Numbers of cells, sums of confidences, and numbers of right cells, (3, BINS).

    Parameters
    ----------
    confidence : array of shape (n_cells,)
        Probability of the level that each cell is taken for.
    right : array of shape (n_cells,)
        Whether that is its level.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counted = [None, confidence, right]
    return np.stack([np.bincount(place, of, BINS).astype(float) for of in counted])


def expected_error(bins: Floats) -> float:
    """Expected calibration error of what `reliability` returns; 0 without cells."""
    counts, sure, right = bins
    return float(np.abs(right - sure).sum() / max(counts.sum(), 1.0))


def coverage(ratios: Sequence[Floats], halves: Sequence[Bools]) -> list[Floats]:
    """Shares of each column's cells within central intervals, (2, len(CENTRAL)); NaN without any.

    First of intervals of a normal distribution as wide as the network says, then of those made of
    quantiles, which are learnt from one half of the cells and judged by the other.

    Parameters
    ----------
    ratios : sequence of array of shape (n_cells,)
        Of each column, residuals over the network's scales.
    halves : sequence of bool array of shape (n_cells,)
        Which half each cell is in.
    """
    pooled = {
        half: np.concatenate([r[s == half] for r, s in zip(ratios, halves, strict=True)])
        for half in (False, True)
        if ratios
    }
    levels = np.stack([1 - CENTRAL, 1 + CENTRAL]) / 2
    shared = {half: np.quantile(each, levels) for half, each in pooled.items() if len(each)}
    found = []
    for ratio, side in zip(ratios, halves, strict=True):
        inside, judged = np.zeros((2, len(CENTRAL))), 0
        for half, limits in shared.items():
            learnt, cells = ratio[side == half], ratio[side != half]
            if len(ratio) >= ENOUGH and len(learnt):
                limits = np.quantile(learnt, levels)
            if len(cells):
                inside[0] += _within(cells, ndtri(levels))
                inside[1] += _within(cells, limits)
                judged += len(cells)
        found.append(inside / judged if judged else np.full(inside.shape, np.nan))
    return found


def _within(values: Floats, limits: Floats) -> Floats:
    """How many values are between limits (2, n_intervals)."""
    low, high = limits[:, :, None]
    counts: Floats = ((values >= low) & (values <= high)).sum(axis=1).astype(np.float64)
    return counts
