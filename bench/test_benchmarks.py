"""Small timings for everyday comparison: ``pytest bench --benchmark-compare``.

They say how fast, never whether fast enough; ratios against peers are in the tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.impute import KNNImputer

import greyknn
from bench import data
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn.relevance import class_information
from greyknn_kernels import cpu

N_ROWS = 5_000


@pytest.fixture(scope="module")
def holey() -> tuple[Any, Any]:
    X, y = data.factors(N_ROWS)
    return data.with_gaps(X), y


@pytest.mark.parametrize("metric", ["grey", "heom", "euclidean"])
@pytest.mark.parametrize("n_columns", [8, 50])
@pytest.mark.parametrize("k", [5, 30])
def test_search(benchmark: Any, metric: str, n_columns: int, k: int) -> None:
    values = data.with_gaps(np.random.default_rng(0).random((N_ROWS, n_columns)))
    rows = np.arange(N_ROWS)
    weights = np.full(n_columns, 1.0 if metric == "euclidean" else 1.0 / n_columns)
    geometry = Geometry(metric, np.zeros(n_columns, dtype=bool), 0.5, cpu)
    donors = DonorTable(geometry, weights, values, rows, np.zeros_like(rows))
    found = benchmark(lambda: nearest(donors, weights, k, values, rows=rows))
    assert found.rows.shape == (N_ROWS, k)


def test_layout(benchmark: Any, holey: tuple[Any, Any]) -> None:
    X = holey[0]
    weights = np.full(X.shape[1], 1.0 / X.shape[1])
    geometry = Geometry("grey", np.zeros(X.shape[1], dtype=bool), 0.5, cpu)
    rows = np.arange(N_ROWS)

    def lay_out() -> Any:
        return DonorTable(geometry, weights, X, rows, np.zeros_like(rows)).packed(weights)

    assert len(benchmark(lay_out).leaves) == 2


def test_class_information(benchmark: Any, holey: tuple[Any, Any]) -> None:
    X, y = holey
    categorical = np.zeros(X.shape[1], dtype=bool)
    assert (benchmark(lambda: class_information(X, categorical, y, cpu)) >= 0).all()


@pytest.mark.parametrize("method", list(greyknn.METHODS))
def test_impute(benchmark: Any, holey: tuple[Any, Any], method: str) -> None:
    X, y = holey
    filled = benchmark(lambda: greyknn.impute(X, y, method=method, n_neighbors=10))
    assert not np.isnan(filled).any()


def test_choice_of_k(benchmark: Any, holey: tuple[Any, Any]) -> None:
    X, y = holey
    assert not np.isnan(benchmark(lambda: greyknn.impute(X, y))).any()


@pytest.mark.parametrize("imputer", [greyknn.KNNImputer, KNNImputer], ids=["greyknn", "sklearn"])
def test_knn_imputer(benchmark: Any, holey: tuple[Any, Any], imputer: Any) -> None:
    X = holey[0]
    assert not np.isnan(benchmark(lambda: imputer().fit_transform(X))).any()
