"""A table with cells hidden: what every method of the comparison is given."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from greyknn.arrays import Bools
from greyknn.evaluation.runs import Run
from greyknn.evaluation.tables import Data

Frame = Any  # of pandas, whose types mypy does not follow
MASKS = 1000
"""Masks are drawn from seeds above this, fills from those below."""


@dataclass(frozen=True)
class Task:
    """One table, and the cells of it that are hidden and scored.

    Attributes
    ----------
    part : str
        Of the comparison, such as "tables".
    data : Data
        The columns that may have gaps, and the class.
    hidden : bool, shape (n_rows, n_columns)
        Cells that are observed, are taken out, and are scored.
    mechanism : str
        By which they were drawn.
    rate : float
        The share of cells that was asked for.
    repeat : int
        From 0; the seed of the mask and of the fill.
    context : pandas.DataFrame, optional
        Columns without gaps that are not scored, such as a text, or a series and its time.
    """

    part: str
    data: Data
    hidden: Bools
    mechanism: str
    rate: float
    repeat: int
    context: Frame = None

    def gappy(self, with_context: bool = False) -> Frame:
        """The table as it is given to a method."""
        table = self.data.frame.mask(self.hidden)
        return self.context.join(table) if with_context and self.context is not None else table

    @property
    def labels(self) -> Any:
        """The class of all rows, or None."""
        return self.data.y(np.arange(len(self.data.frame)))

    def run(self, method: str, settings: str) -> Run:
        """The key of a method's row in the store."""
        digest = blake2b(settings.encode(), digest_size=4).hexdigest()
        return Run(
            self.data.name, self.data.digest, method, digest, self.mechanism, self.rate,
            self.repeat, test_size=0.0, classifiers="", seed=MASKS,
        )  # fmt: skip


def scattered(observed: Bools, rate: float, repeat: int) -> Bools:
    """Observed cells drawn one by one; a row that would lose all of several keeps one."""
    rng = np.random.default_rng(MASKS + repeat)
    hidden: Bools = observed & (rng.random(observed.shape) < rate)
    for row in np.flatnonzero((hidden == observed).all(axis=1) & (observed.sum(axis=1) > 1)):
        hidden[row, rng.choice(np.flatnonzero(observed[row]))] = False
    return hidden
