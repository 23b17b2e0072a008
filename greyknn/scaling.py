"""Numbers to the [0, 1] scale of the training table (equation 34)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from greyknn.arrays import Bools, Floats
from greyknn.sharing import share

FAR = 1e100
"""Scaled cells are kept within this, so that no difference of two or its square overflows."""


@dataclass(frozen=True)
class Scale:
    """Scaled = (value - low) / range, by column.

    Parameters
    ----------
    lows, ranges : array of shape (n_columns,)
        0 and 1 for categories, whose codes stay what they are, and for empty columns. The range
        of a constant column is 1.
    """

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
        lows, spans = np.where(codes, 0.0, lows), np.where(codes, 0.0, highs - lows)
        return cls(lows, np.where(spans > 0, spans, 1.0))

    def scaled(self, values: Floats) -> Floats:
        """Values on the scale; those outside the range of fit are not clipped to it."""
        scaled = np.empty(values.shape)

        def scale(begin: int, end: int) -> None:
            part = scaled[begin:end]
            with np.errstate(over="ignore"):
                np.subtract(values[begin:end], self.lows, out=part)
                np.divide(part, self.ranges, out=part)
                np.clip(part, -FAR, FAR, out=part)

        share(scale, len(values), 4.0 * values.shape[1])
        return scaled


@dataclass(frozen=True)
class Ranks:
    """Scaled = share of the observed training numbers that are smaller, of equal ones half.

    What is near does not change when a column is measured on another monotone scale.

    Parameters
    ----------
    numbers : tuple of arrays
        Each column's observed training numbers, ascending; none for categories, whose codes stay
        what they are.
    """

    numbers: tuple[Floats, ...]

    @classmethod
    def fit(cls, values: Floats, categorical: Bools) -> Ranks:
        """The ranks of observed numbers; arguments as in ``Scale.fit``."""
        cells = (values[:, column] for column in range(values.shape[1]))
        return cls(
            tuple(
                np.empty(0) if codes else np.sort(column[~np.isnan(column)])
                for column, codes in zip(cells, categorical, strict=True)
            )
        )

    def scaled(self, values: Floats) -> Floats:
        """Values on the scale; 0 below all training numbers and 1 above them."""
        scaled = values.copy()

        def rank(begin: int, end: int) -> None:
            for column in range(begin, end):
                numbers, cells = self.numbers[column], values[:, column]
                if len(numbers):
                    below = np.searchsorted(numbers, cells, "left")
                    upto = np.searchsorted(numbers, cells, "right")
                    shares = (below + upto) / (2.0 * len(numbers))
                    scaled[:, column] = np.where(np.isnan(cells), np.nan, shares)

        share(rank, values.shape[1], 100.0 * len(values))
        return scaled
