"""Tables drawn from what is known about their gaps, for multiple imputation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from greyknn.arrays import Bools, Floats
from greyknn.deep.fills import Teller
from greyknn.deep.reader import Read

ROUNDS = 4
"""A row's gaps are drawn in so many portions, each knowing what was drawn before."""


def samples(
    teller: Teller, read: Read, gaps: Bools, m: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Drawn values of the modelled columns (n_rows, n_modelled), one array after another.

    Cells of a row belong together: each of its gaps is in one of the rounds, at random, and those
    drawn first are as good as observed to those drawn later (any-order autoregression).

    Parameters
    ----------
    teller : Teller
    read : Read
    gaps : array of shape (n_rows, n_modelled)
        The cells to draw.
    m : int
    rng : Generator
    """
    for _ in range(m):
        values = read.values.copy()
        round_of = np.where(gaps, rng.integers(ROUNDS, size=gaps.shape), -1)
        for turn in range(ROUNDS):
            now = round_of == turn
            if now.any():
                predicted = teller.model.predict(values, read.texts, timeline=read.timeline)
                values[now] = teller.draws(predicted, rng)[now]
        yield values
