"""Our KNNImputer is scikit-learn's, but for ties, rounding and speed."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import impute, set_config
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks as checks

import greyknn
from greyknn import KNNImputer, donors, knn_imputer
from greyknn_kernels.cpu import threads

Floats = NDArray[np.float64]


def inverse_square(distances: Floats) -> Floats:
    return (1.0 + distances) ** -2.0


def ones(distances: Floats) -> Floats:
    return np.ones_like(distances)  # not even a donor without a distance weighs nothing


def direct_distance(x: Floats, y: Floats, *, missing_values: float = np.nan) -> float:
    """nan_euclidean by differences.

    scikit-learn's own is ||x||^2 + ||y||^2 - 2 xy: of near rows it keeps few digits, or none.
    """
    total, common = 0.0, 0
    for one, other in zip(x.tolist(), y.tolist()):
        if one == one and other == other and missing_values not in (one, other):
            total += (one - other) ** 2
            common += 1
    return float(np.sqrt(total * len(x) / common)) if common else np.nan


def by_loops(fit: Floats, X: Floats, k: int, weights: Any) -> Floats:
    """What KNNImputer means, one gap after the other; ties go to the lower row."""
    out = np.where(np.isnan(fit).all(axis=0), 0.0, X)
    for row, column in np.argwhere(np.isnan(out)):
        rows = np.flatnonzero(~np.isnan(fit[:, column]))
        distances = np.array([direct_distance(X[row], fit[donor]) for donor in rows])
        nearest = np.argsort(distances, kind="stable")[:k]  # NaN comes last
        near, values = distances[nearest], fit[rows[nearest], column]
        if np.isnan(near[0]):
            out[row, column] = fit[rows, column].mean()
            continue
        if weights == "uniform":
            shares = np.where(np.isnan(near), 0.0, 1.0)
        elif weights == "distance":
            shares = (near == 0.0) * 1.0 if near[0] == 0.0 else np.nan_to_num(1.0 / near)
        else:
            shares = np.nan_to_num(weights(near[None])[0])
        out[row, column] = (shares * values).sum() / shares.sum()
    return out


def assert_close(ours: Floats, reference: Floats, fit: Floats, tol: float = 1e-12) -> None:
    """Equal to ``tol`` of the largest number in each column, and without gaps."""
    size = np.nan_to_num(np.fmax.reduce(np.abs(fit), axis=0))
    assert ours.shape == reference.shape
    assert not np.isnan(ours).any()
    off = np.abs(ours - reference) > tol * size
    assert not off.any(), f"{np.argwhere(off)[:5].tolist()}: {ours[off]} {reference[off]}"


WEIGHTS = st.sampled_from(["uniform", "distance", inverse_square, ones])


@st.composite
def tables(draw: st.DrawFn, *, ties: bool) -> tuple[Floats, Floats]:
    """A training table and the rows to fill, often the same."""
    n_rows, n_columns = draw(st.integers(1, 24)), draw(st.integers(1, 6))
    n_new = draw(st.sampled_from([0, 0, 7]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = n_rows + n_new, n_columns
    X = rng.normal(size=shape) + draw(st.sampled_from([0.0, 1e3])) * rng.normal(size=n_columns)
    if ties:
        X = rng.integers(0, draw(st.integers(1, 9)), shape).astype(float)
    if draw(st.booleans()):
        X[rng.integers(len(X), size=len(X) // 3)] = X[rng.integers(len(X))]  # duplicates
    X *= 10.0 ** (rng.integers(-6, 7, n_columns) * draw(st.booleans()))
    X[rng.random(shape) < draw(st.sampled_from([0.05, 0.3, 0.6]))] = np.nan
    if draw(st.booleans()):
        X[rng.integers(len(X))] = np.nan
    if draw(st.booleans()):
        X[:, rng.integers(n_columns)] = np.nan
    if ties and draw(st.booleans()):
        X[:, 0] = np.where(np.isnan(X[:, 0]), np.nan, 1.0)  # a constant column
    return X[:n_rows], X[n_rows:] if n_new else X[:n_rows]


# --- the same answers


@given(tables(ties=True) | tables(ties=False), st.integers(1, 30), WEIGHTS)
def test_the_definition(case: tuple[Floats, Floats], k: int, weights: Any) -> None:
    fit, X = case
    ours = KNNImputer(n_neighbors=k, weights=weights, keep_empty_features=True).fit(fit)
    assert_close(ours.transform(X), by_loops(fit, X, k, weights), fit)


@given(
    tables(ties=False), st.integers(1, 30), WEIGHTS, st.booleans(), st.booleans(),
    st.sampled_from([np.nan, -7.0]),
)  # fmt: skip
def test_scikit_learn_with_exact_distances(
    case: tuple[Floats, Floats], k: int, weights: Any, indicator: bool, keep: bool, gap: float
) -> None:
    """All but the distances is scikit-learn's own work here."""
    fit, X = (np.where(np.isnan(table), gap, table) for table in case)
    if weights is ones and k < len(fit):  # it may pick any of the donors without a distance
        weights = inverse_square
    options = {
        "n_neighbors": k, "weights": weights, "add_indicator": indicator, "missing_values": gap,
        "keep_empty_features": keep,
    }  # fmt: skip
    ours = KNNImputer(**options).fit(fit)
    theirs = impute.KNNImputer(metric=direct_distance, **options).fit(fit)
    expected = theirs.transform(X)
    assert_close(ours.transform(X), expected, expected)
    if not keep:  # scikit-learn forgets the names of kept columns
        names = theirs.get_feature_names_out().tolist()
        assert ours.get_feature_names_out().tolist() == names


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("k", [1, 5, 200])
def test_scikit_learn_as_it_is(share: float, k: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 8))
    X[rng.random(X.shape) < share] = np.nan
    for fit, new in [(X, X), (X[:90], X[90:])]:
        for weights, tol in [("uniform", 1e-12), ("distance", 1e-7)]:  # see direct_distance
            ours, theirs = (
                kind(n_neighbors=k, weights=weights).fit(fit).transform(new)
                for kind in (KNNImputer, impute.KNNImputer)
            )
            assert_close(ours, theirs, fit, tol)


def test_scikit_learns_own_tests(tmp_path: Path) -> None:
    """Its file, with another import."""
    spec = find_spec("sklearn.impute.tests.test_knn")
    if spec is None or spec.origin is None:
        pytest.skip("this scikit-learn comes without its tests")
    source = Path(spec.origin).read_text(encoding="utf-8")
    changed, count = re.subn(
        r"^from sklearn\.impute import KNNImputer$", "from greyknn import KNNImputer", source,
        flags=re.MULTILINE,
    )  # fmt: skip
    assert count == 1
    (tmp_path / "test_theirs.py").write_text(changed, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider",
         "--rootdir", str(tmp_path), "test_theirs.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    passed = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout
    assert passed is not None, done.stdout
    assert int(passed[1]) >= 30


# --- whatever way they are found


def correlated(n_rows: int, seed: int = 0) -> Floats:
    """Rows of low rank; gaps come together, and column 0 is lacking where column 1 is low."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, 6))
    X[rng.random(X.shape) < 0.25] = np.nan
    X[rng.random(n_rows) < 0.2, 2:4] = np.nan
    X[X[:, 1] < np.nanmedian(X[:, 1]), 0] = np.nan
    X[n_rows // 10 :, 5] = np.nan  # hardly ever observed
    return X


def ways(X: Floats, monkeypatch: pytest.MonkeyPatch, n_neighbors: int = 5) -> list[Floats]:
    """The fills by one search for all columns, by one for each, part by part, as new rows."""
    imputer = KNNImputer(n_neighbors=n_neighbors, weights="distance").fit(X)
    found = [imputer.transform(X)]
    for name, value in [("SPARSE", 2.0), ("SPARSE", 0.0), ("PART", 1)]:
        with monkeypatch.context() as patch:
            patch.setattr(knn_imputer, name, value)
            found.append(imputer.transform(X))
    found.append(np.vstack([imputer.transform(X[:1]), imputer.transform(X[1:])]))
    return found


def test_one_search_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    X = correlated(60)
    first, *others = ways(X, monkeypatch)
    assert_close(first, by_loops(X, X, 5, "distance"), X)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.jit
def test_pruned_search(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    X = np.vstack([correlated(3000), rng.normal(size=(1500, 6))])
    X[3000:, 0][rng.random(1500) < 0.1] = np.nan  # few gaps, where pruning pays
    X[0, 0] = X[1, 1] = 1e9  # not even single precision can hold the others beside it
    with monkeypatch.context() as patch:
        patch.setattr(donors, "FEWEST_LEAVES", 10**9)
        whole = KNNImputer(weights="distance").fit_transform(X)
    monkeypatch.setattr(donors, "FEWEST_LEAVES", 1)
    for other in ways(X, monkeypatch):
        np.testing.assert_array_equal(other, whole)
    monkeypatch.setattr(threads, "LEAST", 1.0)
    for number in (1, 5):
        monkeypatch.setattr(threads, "n_threads", lambda number=number: number)
        np.testing.assert_array_equal(KNNImputer(weights="distance").fit_transform(X), whole)
    some = rng.choice(len(X), 40, replace=False)
    assert_close(whole[some], by_loops(X, X[some], 5, "distance"), X)


@pytest.mark.parametrize("power", [-320, -300, -100, 100, 300, 306])
def test_units_do_not_matter(power: int) -> None:
    X = np.array([[1.0, 2.0], [1.5, np.nan], [4.0, 3.0], [4.5, 3.5], [np.nan, 1.0]])
    plain = KNNImputer(n_neighbors=2).fit_transform(X)
    scaled = KNNImputer(n_neighbors=2).fit_transform(X * 10.0**power)
    np.testing.assert_allclose(scaled, plain * 10.0**power, rtol=1e-3 if power < -310 else 1e-12)


def test_rows_far_from_all_others() -> None:
    imputer = KNNImputer(n_neighbors=1).fit([[1.0, 2.0], [3.0, 4.0]])
    assert imputer.transform([[1e308, np.nan], [-1e308, np.nan]])[:, 1].tolist() == [2.0, 2.0]
    huge = KNNImputer(n_neighbors=1).fit([[1.7e308, 2.0], [-1.7e308, 4.0]])
    assert huge.transform([[1.7e308, np.nan], [-1.7e308, np.nan]])[:, 1].tolist() == [2.0, 4.0]


def test_a_large_offset_costs_no_digits() -> None:
    """scikit-learn's distances are noise here."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X[:, 0] = 1e9 + np.round(X[:, 0], 3)
    X[::4, 2] = np.nan
    ours = KNNImputer(n_neighbors=3, weights="distance").fit_transform(X)
    assert_close(ours, by_loops(X, X, 3, "distance"), X)


# --- the same manners


@pytest.mark.parametrize(
    ("estimator", "check"), list(checks.estimator_checks_generator(KNNImputer()))
)
def test_scikit_learn_checks(estimator: KNNImputer, check: Any) -> None:
    check(estimator)


def test_same_parameters() -> None:
    ours, theirs = KNNImputer(), impute.KNNImputer()
    assert str(ours.get_params()) == str(theirs.get_params())
    assert isinstance(ours, impute.KNNImputer)
    assert greyknn.KNNImputer is KNNImputer
    options = {"n_neighbors": 2, "weights": "distance", "add_indicator": True}
    assert str(clone(KNNImputer(**options))) == str(impute.KNNImputer(**options))


def test_pickled() -> None:
    X = correlated(30)
    imputer = KNNImputer(weights="distance").fit(X)
    again = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(again.transform(X), imputer.transform(X))


@pytest.mark.parametrize("metric", ["nan_euclidean", direct_distance])
def test_frames(metric: Any) -> None:
    frame = pd.DataFrame(correlated(30), columns=list("abcdef")).assign(e=np.nan)
    frame.index = frame.index + 10
    for options in ({}, {"add_indicator": True}):
        ours, theirs = (
            kind(metric=metric, **options).set_output(transform="pandas").fit(frame)
            for kind in (KNNImputer, impute.KNNImputer)
        )
        pd.testing.assert_frame_equal(ours.transform(frame), theirs.transform(frame))
        assert ours.feature_names_in_.tolist() == list("abcdef")


def test_polars_by_configuration() -> None:
    X = correlated(20)
    set_config(transform_output="polars")
    try:
        for metric in ("nan_euclidean", direct_distance):
            out = KNNImputer(metric=metric).fit(X).transform(X)
            assert type(out).__module__.startswith("polars")
            assert out.null_count().sum_horizontal().item() == 0
    finally:
        set_config(transform_output="default")


def test_in_a_pipeline() -> None:
    X = correlated(40)
    y = np.nan_to_num(X[:, 1])
    ours, theirs = (
        make_pipeline(kind(add_indicator=True), LinearRegression()).fit(X, y).predict(X)
        for kind in (KNNImputer, impute.KNNImputer)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_single_precision_stays() -> None:
    X = correlated(40).astype(np.float32)
    out = KNNImputer().fit_transform(X)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, KNNImputer().fit_transform(X.astype(float)), rtol=1e-6)


def test_whole_numbers() -> None:
    X = np.array([[1, 2], [-1, 3], [4, 5]])
    out = KNNImputer(missing_values=-1, n_neighbors=1).fit_transform(X)
    assert out.tolist() == [[1.0, 2.0], [1.0, 3.0], [4.0, 5.0]]
    assert X[1, 0] == -1


def test_in_place() -> None:
    X = correlated(30)
    expected = KNNImputer(keep_empty_features=True).fit_transform(X)
    new = correlated(9, seed=1)
    filled_new = KNNImputer(keep_empty_features=True).fit(X).transform(new)
    imputer = KNNImputer(copy=False, keep_empty_features=True).fit(X)
    out = imputer.transform(X)
    assert np.shares_memory(out, X)
    np.testing.assert_array_equal(out, expected)
    # scikit-learn would now take its own fills for observed; who is near would depend on them.
    np.testing.assert_array_equal(imputer.transform(new), filled_new)


def test_what_callables_see() -> None:
    seen = []

    def weights(distances: Floats) -> Floats:
        seen.append(distances.shape)
        distances[:] = 1.0 / (1.0 + distances)
        return distances

    X = correlated(30)
    out = KNNImputer(n_neighbors=4, weights=weights).fit_transform(X)
    theirs = impute.KNNImputer(n_neighbors=4, weights=weights).fit_transform(X)
    np.testing.assert_allclose(out, theirs, rtol=1e-9)
    assert {shape[1] for shape in seen} == {2, 4}  # column 5 has two donors


def test_a_callable_metric() -> None:
    def farthest_first(x: Floats, y: Floats, *, missing_values: float) -> float:
        return 1.0 / (1.0 + direct_distance(x, y))

    out = KNNImputer(n_neighbors=1, metric=farthest_first).fit_transform(
        [[1, np.nan], [2, 3], [9, 4]]
    )
    assert out[0, 1] == 4.0


def test_weights_that_cancel() -> None:
    X = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, np.nan]])

    def none(distances: Floats) -> Floats:
        return np.zeros_like(distances)

    ours, theirs = (
        kind(n_neighbors=2, weights=none).fit_transform(X)
        for kind in (KNNImputer, impute.KNNImputer)
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_neighbors": 0}, "'n_neighbors'"), ({"weights": "x"}, "'weights'"),
     ({"metric": "euclidean"}, "'metric'")],
)  # fmt: skip
def test_wrong_parameters(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KNNImputer(**options).fit([[1.0], [np.nan]])
