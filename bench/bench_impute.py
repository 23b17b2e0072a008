"""Whole imputations beside scikit-learn's KNNImputer, and the first call of a new process.

python -m bench.bench_impute
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.impute import KNNImputer

import greyknn
from bench.report import seconds, show

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


def main() -> None:
    """All of impute: coding, scaling, weights, choice of k, search, iterations."""
    beside_scikit_learn()
    start_up()


def beside_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for n_rows, n_columns in ((1_000, 20), (5_000, 20), (10_000, 20)):
        factors = rng.normal(size=(n_rows, 5))
        X = factors @ rng.normal(size=(5, n_columns)) + rng.normal(size=(n_rows, n_columns))
        y = (factors[:, 0] > 0).astype(int)
        complete = X.copy()
        gaps = rng.random(X.shape) < 0.1
        X[gaps] = np.nan
        scale = complete.std(axis=0)
        greyknn.impute(X[:100], y[:100])
        imputer = greyknn.GreyKNNImputer()
        ours = seconds(lambda: imputer.fit_transform(X, y), 2)
        peer = KNNImputer(n_neighbors=imputer.n_neighbors_, weights="distance")
        labelled = np.column_stack([X, 2.0 * y])  # the label as a column, for a fair error
        theirs = seconds(lambda: peer.fit_transform(X), 2)

        def error(filled: np.ndarray) -> float:
            return float(np.sqrt((((filled - complete) / scale)[gaps] ** 2).mean()))

        rows.append(
            {
                "rows x columns": f"{n_rows} x {n_columns}",
                "k": imputer.n_neighbors_,
                "greyknn cgknn, s": ours,
                "KNNImputer, s": theirs,
                "times as fast": theirs / ours,
                "greyknn RMSE/sd": error(imputer.fit_transform(X, y)),
                "KNNImputer": error(peer.fit_transform(X)),
                "with label": error(peer.fit_transform(labelled)[:, :-1]),
            }
        )
    show("impute", "Whole impute, n_neighbors='cv', two classes, 10 % gaps", rows)


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
