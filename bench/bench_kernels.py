"""The fused search, in pair-features per second, beside the same formula in numpy.

python -m bench.bench_kernels
"""

from __future__ import annotations

import numpy as np

from bench.report import seconds, show
from greyknn import METHODS
from greyknn.neighbors import Comparison, DonorTable, nearest
from greyknn.scaling import Scale
from greyknn_kernels import cpu

N_DONORS = 20_000
N_QUERIES = 4_096
N_NUMPY = 64


def main() -> None:
    """Random numbers: nothing for the search to profit from but its own loops."""
    rng = np.random.default_rng(0)
    rows = []
    for n_columns in (8, 20, 50, 200):
        values = rng.random((N_DONORS, n_columns))
        values[rng.random(values.shape) < 0.1] = np.nan
        weights = rng.random(n_columns)
        weights /= weights.sum()
        queries = values[:N_QUERIES]
        own = np.arange(N_QUERIES)
        donors = DonorTable(values, np.arange(N_DONORS), np.zeros(N_DONORS, np.int64))
        for metric in ("cgknn", "iknn"):
            categorical = np.zeros(n_columns, dtype=bool)
            scale = Scale.fit(values, categorical)
            comparison = Comparison(METHODS[metric], categorical, scale, weights, cpu)
            numpy_rate = (
                N_NUMPY
                * N_DONORS
                * n_columns
                / seconds(
                    lambda: in_numpy(values, weights, METHODS[metric].metric),
                    1,
                )
            )
            for k in (5, 10, 30):

                def search() -> None:
                    nearest(comparison, weights, k, donors, queries, own=own)

                search()
                taken = seconds(search)
                rate = N_QUERIES * N_DONORS * n_columns / taken
                rows.append(
                    {
                        "metric": METHODS[metric].metric,
                        "columns": n_columns,
                        "k": k,
                        "seconds": taken,
                        "G pair-features/s": rate / 1e9,
                        "times numpy": rate / numpy_rate,
                    }
                )
    show(
        "kernels",
        f"Search of {N_QUERIES} among {N_DONORS} rows, 10 % gaps, exact (goal: 4 G/s)",
        rows,
    )


def in_numpy(values: np.ndarray, weights: np.ndarray, metric: str) -> np.ndarray:
    """The nearest 10 of a few queries with the n x m matrix, as one would write it in numpy."""
    total = np.zeros((N_NUMPY, len(values)), dtype=np.float32)
    cells = values.astype(np.float32)
    for column, weight in enumerate(weights.astype(np.float32)):
        difference = np.abs(cells[:N_NUMPY, None, column] - cells[None, :, column])
        if metric == "grey":
            total += weight * np.nan_to_num(np.float32(0.5) / (difference + np.float32(0.5)))
        else:
            total -= weight * np.nan_to_num(difference, nan=1.0) ** 2
    best = np.argpartition(-total, 10, axis=1)[:, :10]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(total, best, 1), 1), 1)


if __name__ == "__main__":
    main()
