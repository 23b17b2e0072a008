"""Whole imputations beside scikit-learn's KNNImputer, and the first call of a new process.

python -m bench.whole
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

import greyknn
from bench import data
from bench.report import show, side_by_side

FIRST_CALL = """
import time
begun = time.perf_counter()
import greyknn
bare = time.perf_counter()
from greyknn import GreyKNNImputer, impute
imported = time.perf_counter()
from sklearn.datasets import load_iris
import numpy as np
X, y = load_iris(return_X_y=True)
X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
called = time.perf_counter()
impute(X, y)
print(bare - begun, imported - begun, time.perf_counter() - called)
"""


SHAPES = [(1_000, 20), (5_000, 20), (10_000, 20), (20_000, 20), (10_000, 50)]


def main() -> None:
    """All of impute: coding, scaling, weights, choice of k, search, iterations."""
    beside_scikit_learn()
    drop_in()
    beside_iterative_imputer()
    start_up()


def beside_scikit_learn() -> None:
    rows = []
    for n_rows, n_columns in SHAPES:
        complete, y = data.factors(n_rows, n_columns)
        X = data.with_gaps(complete)
        gaps = np.isnan(X)
        scale = complete.std(axis=0)
        imputer = greyknn.GreyKNNImputer()
        filled = imputer.fit_transform(X, y)
        peer = KNNImputer(n_neighbors=imputer.n_neighbors_, weights="distance")
        labelled = np.column_stack([X, 2.0 * y])  # the label as a column, for a fair error
        ours, theirs = side_by_side(
            lambda: imputer.fit_transform(X, y), lambda: peer.fit_transform(X), _repeats(n_rows)
        )

        def error(filled: np.ndarray) -> float:
            return float(np.sqrt((((filled - complete) / scale)[gaps] ** 2).mean()))

        rows.append(
            {
                "rows x columns": f"{n_rows} x {n_columns}",
                "k": imputer.n_neighbors_,
                "greyknn cgknn, s": ours,
                "KNNImputer, s": theirs,
                "times as fast": theirs / ours,
                "greyknn RMSE/sd": error(filled),
                "KNNImputer": error(peer.fit_transform(X)) if n_rows <= 5_000 else "-",
                "with label": error(peer.fit_transform(labelled)[:, :-1])
                if n_rows <= 5_000
                else "-",
            }
        )
    show("impute", "Whole impute, n_neighbors='cv', two classes, 10 % gaps", rows)


def _repeats(n_rows: int) -> int:
    return 10 if n_rows <= 1_000 else 3 if n_rows <= 10_000 else 2


def drop_in() -> None:
    rows = []
    for n_rows, n_columns in SHAPES:
        X = data.with_gaps(data.factors(n_rows, n_columns)[0])
        for weights in ("uniform", "distance") if n_rows < 20_000 else ("uniform",):
            mine = greyknn.KNNImputer(weights=weights)
            peer = KNNImputer(weights=weights)
            difference = np.abs(mine.fit_transform(X) - peer.fit_transform(X)).max()
            ours, theirs = side_by_side(
                lambda: mine.fit_transform(X), lambda: peer.fit_transform(X), _repeats(n_rows)
            )
            rows.append(
                {
                    "rows x columns": f"{n_rows} x {n_columns}",
                    "weights": weights,
                    "greyknn.KNNImputer, s": ours,
                    "scikit-learn, s": theirs,
                    "times as fast": theirs / ours,
                    "largest difference": float(difference),
                }
            )
    show("drop_in", "KNNImputer(): one changed import, 10 % gaps", rows)


def beside_iterative_imputer() -> None:
    complete, y = data.factors(20_000, 20)
    X = data.with_gaps(complete)
    peer = IterativeImputer(random_state=0)
    greyknn.impute(X, y)
    ours, theirs = side_by_side(lambda: greyknn.impute(X, y), lambda: peer.fit_transform(X), 3)
    row = {"rows x columns": "20000 x 20", "greyknn cgknn, s": ours, "IterativeImputer, s": theirs}
    show(
        "iterative",
        "Whole impute beside IterativeImputer (BayesianRidge)",
        [row | {"times as fast": theirs / ours}],
    )


def start_up() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for run in ("first: kernels compiled", "second: kernels from disk", "third"):
            begun = time.perf_counter()
            said = subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "NUMBA_CACHE_DIR": cache},
            ).stdout.split()
            rows.append(
                {
                    "process": run,
                    "import greyknn, s": float(said[0]),
                    "from greyknn import impute, s": float(said[1]),
                    "impute(iris), s": float(said[2]),
                    "start of Python to result, s": time.perf_counter() - begun,
                }
            )
    show("start_up", "A new process's first impute", rows)


if __name__ == "__main__":
    main()
