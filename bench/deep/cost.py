"""What DeepImputer takes, and whether it comes back from a file and learns more as it should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone

from bench.data import clustered
from bench.deep.tables import study_table
from bench.deep.tasks import Frame, Task, scattered
from greyknn.evaluation.tables import Data

TABLES, RATE = ("mixed", "bc"), 0.2
METHODS = ("deep-apart", "deep-halves", "deep-kept")
SIZES, LARGE_RATE = (10_000, 100_000), 0.1
LARGE_METHODS = ("deep", "mean", "fwgknn")


def costly(seeds: Sequence[int]) -> Iterator[tuple[Task, tuple[str, ...]]]:
    """Tables on which DeepImputer fits, goes on, and is stored."""
    tables = [study_table(name) for name in TABLES]
    for repeat in seeds:
        for data in tables:
            hidden = scattered(~np.isnan(data.matrix), RATE, repeat)
            yield Task("cost", data, hidden, "mcar", RATE, repeat), METHODS


def large() -> Iterator[tuple[Task, tuple[str, ...]]]:
    """Tables of many rows, twelve numbers and eight categories of up to 30 levels."""
    for n_rows in SIZES:
        table, y = clustered(n_rows)
        data = Data.of(table, y, "from_dtype", f"clustered {n_rows}")
        hidden = scattered(~np.isnan(data.matrix), LARGE_RATE, 0)
        yield Task("large", data, hidden, "mcar", LARGE_RATE, 0), LARGE_METHODS


class Apart(BaseEstimator):  # type: ignore[misc]
    """``fit``, then ``transform`` of the same rows.

    Parameters
    ----------
    imputer : DeepImputer
    random_state : int or None
        By which rows are drawn, if they are.

    Attributes
    ----------
    checks_ : dict
        What was found beside the fills.
    """

    def __init__(self, imputer: Any, random_state: Any = None) -> None:
        self.imputer = imputer
        self.random_state = random_state

    def fit(self, X: Frame, y: Any) -> Self:
        """Fit a copy."""
        self.checks_: dict[str, bool] = {}
        self.imputer_ = self._fresh().fit(X, y)
        return self

    def transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill rows."""
        return self.imputer_.transform(X, y)

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fit, and fill."""
        return self.fit(X, y).transform(X, y)

    def _fresh(self) -> Any:
        return clone(self.imputer)


class Halves(Apart):
    """``fit`` on half of the rows, drawn, ``partial_fit`` on the others."""

    def fit(self, X: Frame, y: Any) -> Self:
        """Fit a copy in two steps."""
        first = np.random.default_rng(self.random_state).permutation(len(X)) < len(X) // 2
        self.checks_ = {}
        self.imputer_ = self._fresh().fit(X[first], y[first])
        self.imputer_.partial_fit(X[~first], y[~first])
        return self


class Kept(Apart):
    """``fit`` twice, once through a file; ``checks_`` says whether the fills are the same."""

    def fit(self, X: Frame, y: Any) -> Self:
        """Fit two copies, and save and load one."""
        super().fit(X, y)
        filled = self.transform(X, y)
        twin = self._fresh().fit(X, y)
        self.checks_["same_seed"] = bool(filled.equals(twin.transform(X, y)))
        with TemporaryDirectory() as folder:
            path = Path(folder, "imputer.safetensors")
            twin.save(path)
            self.imputer_ = type(twin).load(path)
        self.checks_["loaded"] = bool(filled.equals(self.transform(X, y)))
        return self
