"""Mutual information: exact sums are the paper's, and binned densities agree with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

import naive
from conftest import COMPILED
from greyknn import METHODS, relevance
from greyknn_kernels import cpu

Floats = NDArray[np.float64]

ROWS = 3000 if COMPILED else 150

DISTRIBUTIONS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "heavy": lambda rng, n: np.exp(1.5 * rng.normal(size=n)),
    "two humps": lambda rng, n: rng.normal(size=n) + 6.0 * (rng.random(n) < 0.4),
    "rounded": lambda rng, n: np.round(rng.normal(size=n)),
}


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    n_classes=st.integers(1, 5),
    categorical=st.booleans(),
)
def test_information_about_the_class(seed: int, n: int, n_classes: int, categorical: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, n_classes, n)
    column = rng.integers(0, 3, n) * 1.0 if categorical else labels + rng.normal(size=n)
    column[rng.random(n) < 0.2] = np.nan
    ours = relevance.class_information(column[:, None], np.array([categorical]), labels, cpu)
    reference = naive.class_information(
        [None if np.isnan(cell) else float(cell) for cell in column],
        [None if label < 0 else int(label) for label in labels],
        categorical,
    )
    assert ours[0] == pytest.approx(reference, rel=1e-9, abs=1e-11)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    kinds=st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_information_between_columns(seed: int, n: int, kinds: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    values = common[:, None] + rng.normal(size=(n, len(kinds)))
    values[:, kinds] = np.clip(np.round(values[:, kinds]), 0, 2)
    values[rng.random(values.shape) < 0.2] = np.nan
    ours = relevance.feature_information(values, np.array(kinds), cpu)
    plain = [[None if np.isnan(cell) else float(cell) for cell in row] for row in values.T]
    for i in range(len(kinds)):
        for j in range(len(kinds)):
            reference = (
                0.0 if i == j else naive.feature_information(plain[i], plain[j], kinds[i], kinds[j])
            )
            assert ours[i, j] == pytest.approx(reference, rel=1e-9, abs=1e-11)


def test_iris_is_as_published() -> None:
    X, y = load_iris(return_X_y=True)
    bits = relevance.class_information(X, np.zeros(4, bool), y, cpu)
    assert bits == pytest.approx([0.681, 0.386, 1.264, 1.343], abs=1e-3)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("n_classes", [2, 7])
def test_binned_class_information_agrees_with_exact_sums(
    distribution: str, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    x = DISTRIBUTIONS[distribution](rng, ROWS)
    noisy = x + 0.3 * x.std() * rng.normal(size=ROWS)
    y = np.searchsorted(np.quantile(x, np.arange(1, n_classes) / n_classes), noisy)
    exact, binned = exact_and_binned(monkeypatch, x[:, None], y)
    assert exact[0] > 0.01
    assert abs(exact[0] - binned[0]) < 1e-3


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_binned_joint_information_agrees_with_exact_sums(
    distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(6)
    x = DISTRIBUTIONS[distribution](rng, ROWS)
    z = x + 0.5 * x.std() * rng.normal(size=ROWS)
    answers = []
    for exact_rows in (ROWS, 10):
        monkeypatch.setattr(relevance, "EXACT_ROWS", exact_rows)
        answers.append(
            relevance.feature_information(np.column_stack([x, z]), np.zeros(2, bool), cpu)[0, 1]
        )
    assert answers[0] > 0.1
    assert abs(answers[0] - answers[1]) < 1e-3


def exact_and_binned(
    monkeypatch: pytest.MonkeyPatch, values: Floats, labels: NDArray[np.int64]
) -> list[Floats]:
    answers = []
    for exact_rows in (len(values), 10):
        monkeypatch.setattr(relevance, "EXACT_ROWS", exact_rows)
        answers.append(
            relevance.class_information(values, np.zeros(values.shape[1], bool), labels, cpu)
        )
    return answers


@pytest.mark.jit
def test_large_samples_order_columns_as_a_nearest_neighbour_estimator_does() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=20_000)
    values = np.column_stack([x, x + rng.normal(size=x.size), rng.normal(size=x.size)])
    y = (x > 0).astype(np.int64)
    ours = relevance.class_information(values, np.zeros(3, bool), y, cpu)
    theirs = mutual_info_classif(values, y, random_state=0) / np.log(2)
    assert ours == pytest.approx(theirs, abs=0.12)
    joint = relevance.feature_information(values, np.zeros(3, bool), cpu)[0]
    theirs = mutual_info_regression(values[:, 1:], x, random_state=0) / np.log(2)
    assert joint[1:] == pytest.approx(theirs, abs=0.12)


def test_scale_does_not_matter_and_constants_tell_nothing() -> None:
    rng = np.random.default_rng(8)
    y = rng.integers(0, 2, 50)
    x = y + rng.normal(size=50)
    values = np.column_stack([x, 1e6 * x - 3.0, np.full(50, 2.5)])
    bits = relevance.class_information(values, np.zeros(3, bool), y, cpu)
    assert bits[0] == pytest.approx(bits[1])
    assert bits[2] == 0.0


def test_without_information_all_columns_weigh_the_same() -> None:
    values = np.ones((10, 4))
    none = np.zeros(4, bool)
    labels = np.arange(10) % 2
    by_class = relevance.column_weights(METHODS["cgknn"], values, none, labels, cpu)
    assert (by_class == relevance.column_weights(METHODS["gknn"], values, none, labels, cpu)).all()
    by_feature = relevance.column_weights(METHODS["fwgknn"], values, none, labels, cpu)
    assert (by_feature == (1 - np.eye(4)) / 3).all()
    heom = relevance.column_weights(METHODS["iknn"], values, none, labels, cpu)
    assert (heom == 1.0).all()
