"""Small awkward tables, as plain lists for naive.py and as arrays for greyknn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """One table: numbers, category codes 0, 1, ... in the order of first use, NaN for gaps."""

    X: NDArray[np.float64]
    categorical: list[bool]
    y: list[int | None] | None

    @property
    def table(self) -> list[list[float | None]]:
        return plain(self.X)


def plain(X: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(cell) else float(cell) for cell in row] for row in X]


@st.composite
def cases(draw: st.DrawFn, *, labelled: bool = True, max_rows: int = 24) -> Case:
    """Mixed types, constant columns, duplicates, one-row classes, classes that never saw a
    column, rows with nothing observed, unlabelled rows.

    Numbers are continuous, so that distances tie only where rows are duplicates or categories
    decide: there, every correct program ties exactly.
    """
    n_rows = draw(st.integers(3, max_rows))
    categorical = draw(st.lists(st.booleans(), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n_rows, len(categorical))) * 10.0 ** rng.integers(-3, 4, len(categorical))
    codes = rng.integers(0, draw(st.integers(1, 4)), X.shape)
    X[:, categorical] = codes[:, categorical]
    if draw(st.booleans()):
        X[:, rng.integers(len(categorical))] = 1.0  # a constant column
    if draw(st.booleans()):
        X[rng.integers(n_rows, size=n_rows // 3)] = X[rng.integers(n_rows)]  # duplicates
    X[rng.random(X.shape) < draw(st.sampled_from([0.0, 0.1, 0.4, 0.7]))] = np.nan
    y: list[int | None] | None = None
    if labelled and draw(st.booleans()):
        labels = rng.integers(0, draw(st.integers(1, 4)), n_rows)
        y = [int(label) for label in labels]
        if draw(st.booleans()):
            X[labels == 0, 0] = np.nan  # a class that never saw the first column
        if draw(st.booleans()):
            for row in rng.integers(n_rows, size=n_rows // 4):
                y[row] = None
        if all(label is None for label in y):
            y[0] = 0
    if draw(st.booleans()):
        X[rng.integers(n_rows)] = np.nan  # a row with nothing observed
    for column in range(X.shape[1]):
        if np.isnan(X[:, column]).all():
            X[rng.integers(n_rows), column] = 1.0 if categorical[column] else 0.5
        if categorical[column]:
            X[:, column] = _dense(X[:, column])
    return Case(X, categorical, y)


def _dense(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Codes without holes, so that a code is the position of its level."""
    seen = ~np.isnan(codes)
    dense = codes.copy()
    dense[seen] = np.unique(codes[seen], return_inverse=True)[1]
    return dense
