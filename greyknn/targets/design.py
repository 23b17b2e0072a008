"""A filled table as the inputs of a line: numbers, and ones and zeros for categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from greyknn.arrays import Bools, Floats, Ints

MOST_LEVELS = 12
"""Categories with more levels are no inputs of a line."""


@dataclass(frozen=True)
class Design:
    """Which inputs there are.

    Parameters
    ----------
    columns : array of shape (n_inputs,)
        The column that each input is made of.
    levels : array of shape (n_inputs,)
        The level that it is 1 for; NaN for a number.
    """

    columns: Ints
    levels: Floats

    @classmethod
    def of(cls, values: Floats, categorical: Bools) -> Design:
        """The inputs that a table (n_rows, n_columns) with gaps has."""
        columns, levels = [], []
        for column, codes in enumerate(categorical):
            known = np.unique(values[~np.isnan(values[:, column]), column]) if codes else [np.nan]
            if len(known) <= MOST_LEVELS:
                columns += [column] * len(known)
                levels += list(known)
        return cls(np.array(columns, dtype=np.int64), np.array(levels))

    def inputs(self, values: Floats) -> Floats:
        """Inputs (n_rows, n_inputs) of a table (n_rows, n_columns); a missing category is all 0."""
        cells = values[:, self.columns]
        return np.where(np.isnan(self.levels), cells, cells == self.levels)
