"""The processor and the GPU side by side, small: ``pytest bench/test_gpu_benchmarks.py``.

All that is worth knowing of a GPU, and takes minutes, is in ``python -m bench.gpu``.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import greyknn
from bench import data
from greyknn import gpu
from greyknn.device import kernels
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest

OBSTACLE = "numba.cuda is the simulator" if gpu.simulated() else gpu.obstacle(0)

pytestmark = pytest.mark.skipif(OBSTACLE is not None, reason=f"no GPU: {OBSTACLE}")

N_COLUMNS = 50

both = pytest.mark.parametrize("device", ["cpu", "cuda"])
sizes = pytest.mark.parametrize("n_rows", [5_000, 20_000, 100_000])


@sizes
@both
def test_search(benchmark: Any, device: str, n_rows: int) -> None:
    values = data.with_gaps(np.random.default_rng(0).random((n_rows, N_COLUMNS)))
    rows = np.arange(n_rows)
    weights = np.full(N_COLUMNS, 1.0 / N_COLUMNS)
    geometry = Geometry("grey", np.zeros(N_COLUMNS, dtype=bool), 0.5, kernels(device))
    donors = DonorTable(geometry, weights, values, rows, np.zeros_like(rows))
    benchmark.group = f"search {n_rows}"
    found = benchmark.pedantic(
        lambda: nearest(donors, weights, 10, values, rows=rows), rounds=3, warmup_rounds=1
    )
    assert found.rows.shape == (n_rows, 10)


@sizes
@both
def test_impute(benchmark: Any, device: str, n_rows: int) -> None:
    X, y = data.factors(n_rows, N_COLUMNS)
    X = data.with_gaps(X)
    benchmark.group = f"impute {n_rows}"

    def impute() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return greyknn.impute(X, y, n_neighbors=10, device=device)

    assert not np.isnan(benchmark.pedantic(impute, rounds=3, warmup_rounds=1)).any()
