"""Numbers to the [0, 1] scale of the training table, and back (equation 34)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from greyknn.arrays import Bools, Floats

HUGE = 2.0**1000
"""Columns that reach this are shrunk first, so that their range does not overflow."""


@dataclass(frozen=True)
class Scale:
    """Scaled = (value * unit - low) / range, by column.

    Parameters
    ----------
    units, lows, ranges : array of shape (n_columns,)
        1, 0 and 1 for categories, whose codes stay what they are, and for empty columns. The range
        of a constant column is 1.
    """

    units: Floats
    lows: Floats
    ranges: Floats

    @classmethod
    def fit(cls, values: Floats, categorical: Bools) -> Scale:
        """The scale on which observed numbers fill [0, 1].

        Parameters
        ----------
        values : array of shape (n_rows, n_columns)
            NaN where missing.
        categorical : array of shape (n_columns,)
        """
        lows, highs = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
        codes = categorical | np.isnan(lows)
        lows, highs = np.where(codes, 0.0, lows), np.where(codes, 0.0, highs)
        units = np.where(np.maximum(np.abs(lows), np.abs(highs)) < HUGE, 1.0, 2.0**-10)
        spans = highs * units - lows * units
        return cls(units, lows * units, np.where(spans > 0, spans, 1.0))

    def scaled(self, values: Floats) -> Floats:
        """Values on the scale; those outside the range of fit are not clipped."""
        return (values * self.units - self.lows) / self.ranges

    def unscaled(self, scaled: Floats) -> Floats:
        """Values as they came in."""
        return (scaled * self.ranges + self.lows) / self.units
