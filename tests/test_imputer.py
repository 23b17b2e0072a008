"""What a user meets: attributes, warnings, errors, invariances, and no label leak."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline

import greyknn
import naive
from asserts import assert_observed_kept
from greyknn import METHODS, GreyKNNImputer, Method, gpu, selection
from greyknn_kernels.cpu import threads
from strategies import Case, cases


def holey(
    n_rows: int = 60, n_columns: int = 4, seed: int = 0, rate: float = 0.15
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Numbers around a mean for each of three classes, with gaps."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n_rows)
    X = y[:, None] + rng.normal(size=(n_rows, n_columns))
    X[rng.random(X.shape) < rate] = np.nan
    return X, y


# --- what a fitted imputer tells


def test_fitted_attributes() -> None:
    X, y = holey()
    imputer = GreyKNNImputer().fit(X, y)
    assert 1 <= imputer.n_neighbors_ <= 20
    assert imputer.selection_errors_ is not None
    assert imputer.selection_errors_[imputer.n_neighbors_ - 1] == imputer.selection_errors_.min()
    assert imputer.feature_weights_.sum() == pytest.approx(1.0)
    assert imputer.convergence_.shape == (imputer.n_iter_,)
    assert imputer.converged_
    assert imputer.convergence_[-1] <= imputer.tol < imputer.convergence_[0]
    assert imputer.n_features_in_ == 4
    assert imputer.classes_.tolist() == [0, 1, 2]
    assert not hasattr(imputer, "feature_names_in_")
    assert GreyKNNImputer("fwgknn").fit(X, y).feature_weights_.shape == (4, 4)
    assert GreyKNNImputer(n_neighbors=7).fit(X, y).selection_errors_ is None


def test_names_of_features() -> None:
    X, y = holey()
    frame = pd.DataFrame(X, columns=list("abcd"))
    imputer = GreyKNNImputer().fit(frame, y)
    assert imputer.feature_names_in_.tolist() == list("abcd")
    assert imputer.get_feature_names_out().tolist() == list("abcd")
    assert GreyKNNImputer().fit(X, y).get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(library: str) -> None:
    X, y = holey()
    imputer = GreyKNNImputer().set_output(transform=library)
    for out in (imputer.fit_transform(X, y), imputer.transform(X)):
        assert type(out).__module__.startswith(library)
        assert list(out.columns) == ["x0", "x1", "x2", "x3"]
        assert not np.isnan(np.asarray(out)).any()


@pytest.mark.parametrize("given", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("wanted", ["pandas", "polars"])
def test_set_output_of_frames_keeps_their_types(given: str, wanted: str) -> None:
    whole = pd.array([1, None, 3, 4], dtype="Int64")
    frame = pd.DataFrame({"n": whole, "f": [0.5, 1.5, None, 2.5], "s": list("xyxy")})
    table = {
        "pandas": lambda: frame,
        "polars": lambda: pl.from_pandas(frame),
        "pyarrow": lambda: pa.Table.from_pandas(frame, preserve_index=False),
    }[given]()
    imputer = GreyKNNImputer("iknn", n_neighbors=1).set_output(transform=wanted)
    for out in (imputer.fit_transform(table), imputer.transform(table)):
        assert type(out).__module__.startswith(wanted)
        assert list(out.columns) == ["n", "f", "s"]
        assert [float(value) for value in out["n"]] == [1, float(out["n"][1]), 3, 4]
        assert "float" in str(out.dtypes[1] if wanted == "polars" else out.dtypes["f"]).lower()


def test_nothing_missing_is_one_iteration_without_change() -> None:
    X, y = holey(rate=0.0)
    imputer = GreyKNNImputer()
    out = imputer.fit_transform(X, y)
    assert (out == X).all()
    assert out is not X
    assert (imputer.n_iter_, imputer.convergence_.tolist(), imputer.converged_) == (1, [0.0], True)


def test_a_pickled_imputer_fills_the_same() -> None:
    X, y = holey()
    imputer = GreyKNNImputer().fit(X, y)
    again = pickle.loads(pickle.dumps(imputer))
    new = holey(seed=1)[0]
    assert (again.transform(new) == imputer.transform(new)).all()
    row, column = np.argwhere(np.isnan(X))[0]
    assert again.explain(row, column) == imputer.explain(row, column)


def test_explained_values_are_the_user_s_own() -> None:
    table = pd.DataFrame({"size": [1.0, 1.1, 5.0, None, 5.1], "kind": ["a", "a", "b", "b", None]})
    imputer = GreyKNNImputer("iknn", n_neighbors=2).fit(table)
    by_name = imputer.explain(4, "kind")
    assert by_name == imputer.explain(4, 1)
    assert by_name[0].value == "b"
    assert by_name[0].row == 2
    assert by_name[0].observed
    # Row 4 has no kind, which is as far from "b" as the kind of row 0: the lower row is taken.
    assert [donor.row for donor in imputer.explain(3, "size")] == [2, 0]


# --- warnings


def test_fewer_rows_than_neighbours_warns_once_and_names_the_class() -> None:
    X, _ = holey()
    y = np.array(["big"] * 50 + ["small"] * 10)
    X[55, 0] = np.nan
    with pytest.warns(UserWarning, match="n_neighbors=30 is more than the 9 .*'small'") as caught:
        out = greyknn.impute(X, y, n_neighbors=30)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert_observed_kept(X, out)
    with pytest.warns(UserWarning, match="more than the 59 other rows there are"):
        GreyKNNImputer(n_neighbors=1000).fit(X)


def test_a_class_that_needs_no_donors_may_be_small() -> None:
    X, _ = holey()
    X[-2:] = 1.0
    out = greyknn.impute(X, [0] * 58 + [1] * 2, n_neighbors=10)  # without a warning
    assert_observed_kept(X, out)


def test_not_converging_warns() -> None:
    X, y = holey()
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1 after 1 iterations.*raise max_iter"):
        imputer = GreyKNNImputer(max_iter=1).fit(X, y)
    assert (imputer.n_iter_, imputer.converged_) == (1, False)


def test_a_cycle_ends_and_is_told() -> None:
    # Filled cells that are one another's neighbours may swap their values for ever.
    for seed in range(300):
        rng = np.random.default_rng(seed)
        X = np.round(rng.random((7, 3)) * 2)
        X[rng.random(X.shape) < 0.5] = np.nan
        if np.isnan(X).all(axis=0).any():
            continue
        imputer = GreyKNNImputer(
            "fwgknn", n_neighbors=1, metric_on="imputed", categorical_features=[0, 1, 2]
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            imputer.fit(X)
        if not imputer.converged_ and imputer.n_iter_ < imputer.max_iter:
            assert any("in a cycle" in str(warning.message) for warning in caught)
            assert imputer.convergence_[-1] > imputer.tol
            return
    pytest.fail("no cycle was found to test with")


def test_new_rows_that_do_not_settle_warn() -> None:
    X, y = holey()
    imputer = GreyKNNImputer("iknn", n_neighbors=3, metric_on="imputed", max_iter=1)
    with pytest.warns(ConvergenceWarning):
        imputer.fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"of 60 rows did not settle within max_iter=1"):
        imputer.transform(X)


def test_what_is_probably_no_class_and_no_category_is_told() -> None:
    X, y = holey()
    with (
        pytest.warns(UserWarning, match="60 different labels in 60 rows.*method='iknn'"),
        pytest.warns(UserWarning, match="0 other rows of class"),
    ):
        greyknn.impute(X, np.arange(60))
    frame = pd.DataFrame({"x": X[:, 0], "name": [f"row {i}" for i in range(60)]})
    with pytest.warns(UserWarning, match="Column 'name' has another category in every row"):
        greyknn.impute(frame, y)
    with pytest.warns(UserWarning, match="Column 'id' counts the rows"):
        greyknn.impute(frame.assign(name="", id=range(60)), y)
    ages = pd.DataFrame({"x": X[:, 0], "age": ["31", "42", "1O", None, "55", "8"] * 10})
    with pytest.warns(UserWarning, match="Column 'age' is taken for categories because of '1O'"):
        greyknn.impute(ages, y)


def test_a_number_to_predict_is_no_class() -> None:
    X, _ = holey()
    rng = np.random.default_rng(0)
    target = rng.normal(size=60)
    imputer = GreyKNNImputer()
    assert (imputer.fit_transform(X, target) == GreyKNNImputer().fit_transform(X)).all()
    assert len(imputer.classes_) == 0
    make_pipeline(GreyKNNImputer(), KNeighborsRegressor()).fit(X, target)


def test_new_rows_are_explained_too() -> None:
    X, y = holey()
    imputer = GreyKNNImputer(n_neighbors=4).fit(X, y)
    new = holey(seed=5)[0][:10]
    out = imputer.transform(new)
    for row, column in np.argwhere(np.isnan(new)):
        donors = imputer.explain(row, column, new)
        assert len(donors) == 4
        assert out[row, column] == pytest.approx(sum(d.weight * d.value for d in donors))
    with pytest.raises(KeyError, match="was not filled"):
        imputer.explain(*np.argwhere(~np.isnan(new))[0], new)


def test_only_a_partition_runs_out_of_a_class() -> None:
    X, y = holey()
    with pytest.warns(UserWarning, match="more than the 59 other rows there are"):
        greyknn.impute(X, y, method="miknn", n_neighbors=100)


# --- labels


LABELS: dict[str, Any] = {
    "strings": np.array(["x", "y", "z"]),
    "objects": np.array(["x", "y", "z"], dtype=object),
    "integers": np.array([-1, 0, 7]),
    "floats": np.array([0.5, 1.5, 2.5]),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("container", [np.asarray, list, pd.Series, pd.Categorical])
def test_labels_of_any_type_say_the_same(kind: str, container: Any) -> None:
    X, y = holey()
    reference = greyknn.impute(X, y)
    assert (greyknn.impute(X, container(LABELS[kind][y])) == reference).all()


def test_boolean_and_polars_labels() -> None:
    polars = pytest.importorskip("polars")
    X, y = holey()
    reference = greyknn.impute(X, y > 0)
    assert (greyknn.impute(X, (y > 0).astype(int)) == reference).all()
    assert (greyknn.impute(X, polars.Series(y > 0)) == reference).all()


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA])
def test_rows_without_a_label_are_filled_like_new_rows(nothing: Any) -> None:
    X, y = holey()
    labels = y.astype(object)
    unknown = np.arange(0, 60, 4)
    labels[unknown] = nothing
    imputer = GreyKNNImputer(n_neighbors=4)
    out = imputer.fit_transform(X, labels)
    assert_observed_kept(X, out)
    known = np.setdiff1d(np.arange(60), unknown)
    rest = GreyKNNImputer(n_neighbors=4)
    # Scale and starting fill come from all rows; with both equal, only labelled rows are donors.
    X[known[:2]] = [np.nanmin(X, axis=0), np.nanmax(X, axis=0)]
    assert imputer.classes_.tolist() == [0, 1, 2]
    rest.fit(X[known], y[known])
    out = imputer.fit(X, labels).fit_transform(X, labels)
    np.testing.assert_allclose(out[unknown], rest.transform(X[unknown]))


def test_no_labels_is_one_class() -> None:
    X, _ = holey()
    for method in METHODS:
        one_class = greyknn.impute(X, np.zeros(60), method=method, n_neighbors=5)
        assert (greyknn.impute(X, method=method, n_neighbors=5) == one_class).all()


@pytest.mark.parametrize("k", [np.int64(3), np.uint8(3)])
def test_k_may_be_any_integer(k: Any) -> None:
    X, y = holey()
    assert (greyknn.impute(X, y, n_neighbors=k) == greyknn.impute(X, y, n_neighbors=3)).all()


def test_without_classes_k_comes_from_masked_cells() -> None:
    X, _ = holey()
    chosen = GreyKNNImputer(n_neighbors="masked").fit(X).n_neighbors_
    assert GreyKNNImputer(n_neighbors="cv").fit(X).n_neighbors_ == chosen
    assert GreyKNNImputer(n_neighbors="cv").fit(X, ["a"] * 60).n_neighbors_ == chosen


# --- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "knn"}, "'method' parameter.*'knn'"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter.*Got 0"),
        ({"n_neighbors": "best"}, "'n_neighbors' parameter.*'best'"),
        ({"rho": 0.0}, "'rho' parameter.*Got 0.0"),
        ({"tol": -1.0}, "'tol' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"metric_on": "all"}, "'metric_on' parameter"),
        ({"donors": "some"}, "'donors' parameter"),
        ({"device": "tpu"}, "device='tpu' is unknown; use 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_parameters_are_checked_in_fit(options: dict[str, Any], message: str) -> None:
    X, y = holey()
    imputer = GreyKNNImputer(**options)
    with pytest.raises(ValueError, match=message):
        imputer.fit(X, y)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_is_refused_before_any_work(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "obstacle", lambda index: f"no GPU {index} today")
    message = rf"device='{device}' cannot be used: no GPU {device[5:] or 0} today"
    with pytest.raises(RuntimeError, match=message):
        greyknn.impute("no table at all", device=device)


def test_errors_about_labels() -> None:
    X, y = holey()
    with pytest.raises(ValueError, match=r"3 labels.*60 rows"):
        greyknn.impute(X, [1, 2, 3])
    with pytest.raises(ValueError, match=r"All 60 labels in y are missing.*'cgknn'"):
        greyknn.impute(X, [None] * 60)
    assert_observed_kept(X, greyknn.impute(X, [None] * 60, method="iknn"))
    with pytest.raises(TypeError, match="nonsense"):
        greyknn.impute(X, y, nonsense=1)


def test_not_fitted() -> None:
    with pytest.raises(NotFittedError):
        GreyKNNImputer().transform([[1.0]])
    with pytest.raises(NotFittedError):
        GreyKNNImputer().explain(0, 0)


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_a_frame_comes_back_as_an_array_if_fit_saw_one() -> None:
    X, y = holey()
    imputer = GreyKNNImputer().fit(X, y)
    out = imputer.transform(pd.DataFrame(X))
    assert type(out) is np.ndarray
    assert (out == imputer.transform(X)).all()


def test_empty_columns() -> None:
    X, y = holey()
    X[:, 2] = np.nan
    with pytest.raises(ValueError, match=r"keep_empty_features=True"):
        greyknn.impute(X, y)
    imputer = GreyKNNImputer("fwgknn", keep_empty_features=True)
    with pytest.warns(UserWarning, match="without any observed value stay empty: 2"):
        out = imputer.fit_transform(X, y)
    assert np.isnan(out[:, 2]).all()
    assert_observed_kept(X[:, [0, 1, 3]], out[:, [0, 1, 3]])
    assert (imputer.feature_weights_[2] == 0).all()
    assert (imputer.feature_weights_[:, 2] == 0).all()
    assert np.isnan(imputer.transform(X)[:, 2]).all()
    with pytest.raises(KeyError):
        imputer.explain(0, 2)
    with pytest.raises(ValueError, match="No column has an observed value"):
        GreyKNNImputer(keep_empty_features=True).fit(np.full((3, 2), np.nan))


def test_transform_checks_columns() -> None:
    X, y = holey()
    frame = pd.DataFrame(X, columns=list("abcd"))
    imputer = GreyKNNImputer().fit(frame, y)
    with pytest.raises(ValueError, match="expecting 4 features"):
        GreyKNNImputer().fit(X, y).transform(X[:, :2])
    with pytest.raises(ValueError, match="yet now missing"):
        imputer.transform(frame[["a", "b"]])
    with pytest.raises(ValueError, match="feature names should match"):
        imputer.transform(frame[list("dcba")])
    with pytest.raises(ValueError, match="feature names should match"):
        imputer.transform(frame.rename(columns={"a": "z"}))
    with pytest.raises((TypeError, ValueError), match="'b'"):
        imputer.transform(frame.astype({"b": str}))
    with pytest.raises(ValueError, match="Reshape your data"):
        imputer.transform(X[0])


def test_a_failed_fit_leaves_the_imputer_as_it_was() -> None:
    X, y = holey()
    frame = pd.DataFrame(X, columns=list("abcd"))
    imputer = GreyKNNImputer(keep_empty_features=True).fit(frame, y)
    before = imputer.transform(frame)
    with pytest.raises(ValueError, match="labels"):
        imputer.fit(frame[["a", "b"]], y[:5])
    with pytest.raises(ValueError, match="No column has an observed value"):
        imputer.fit(frame[["a", "b", "c"]] * np.nan)
    pd.testing.assert_frame_equal(imputer.transform(frame), before)
    assert imputer.n_features_in_ == 4


# --- SPEC: hand-picked cases


def test_unseen_categories_are_gaps_of_the_distance_and_stay() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "x", "y", "y"]})
    imputer = GreyKNNImputer("iknn", n_neighbors=2).fit(table)
    new = pd.DataFrame({"a": [1.4, np.nan], "b": ["new", "new"]})
    out = imputer.transform(new)
    assert out["b"].tolist() == ["new", "new"]
    hidden = imputer.transform(pd.DataFrame({"a": [np.nan], "b": [None]}).astype({"b": object}))
    assert out["a"][1] == hidden["a"][0]


def test_class_that_never_saw_a_column_takes_the_global_mean() -> None:
    X, y = holey(rate=0.0)
    X[y == 1, 0] = np.nan
    out = greyknn.impute(X, y, n_neighbors=3)
    assert out[y == 1, 0] == pytest.approx(np.nanmean(X[:, 0]))


def test_a_row_with_nothing_observed_takes_its_class_mean() -> None:
    X, y = holey(rate=0.0)
    X[5] = np.nan
    out = greyknn.impute(X, y, n_neighbors=3)
    assert out[5] == pytest.approx(np.nanmean(X[y == y[5]], axis=0))


def test_a_class_of_one_row_takes_the_global_mean() -> None:
    X, y = holey(rate=0.0)
    y[5] = 9
    X[5, 1] = np.nan
    with pytest.warns(UserWarning, match="more than the 0 other rows of class .*9"):
        out = greyknn.impute(X, y, n_neighbors=3)
    assert out[5, 1] == pytest.approx(np.nanmean(X[:, 1]))


@pytest.mark.parametrize("method", METHODS)
def test_neither_steps_nor_threads_matter(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = holey()
    new = holey(seed=1)[0]
    imputer = GreyKNNImputer(method)
    whole = imputer.fit_transform(X, y), imputer.transform(new)
    monkeypatch.setattr(threads, "STEP", 1.0)
    monkeypatch.setattr(threads, "LEAST", 1.0)
    monkeypatch.setattr(threads, "n_threads", lambda: 3)
    assert (imputer.fit_transform(X, y) == whole[0]).all()
    assert (imputer.transform(new) == whole[1]).all()


def test_a_large_table_is_scored_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = holey()
    monkeypatch.setattr(selection, "MOST_SCORED", 15)
    for n_neighbors in ("cv", "masked"):
        imputer = GreyKNNImputer(n_neighbors=n_neighbors).fit(X, y)
        assert (
            imputer.n_neighbors_ == GreyKNNImputer(n_neighbors=n_neighbors).fit(X, y).n_neighbors_
        )
        assert len(imputer.selection_errors_) == 20


def test_very_large_and_very_small_numbers() -> None:
    X, y = holey()
    plain = greyknn.impute(X, y, n_neighbors=4)
    for factor in (1e295, 1e-295):
        np.testing.assert_allclose(greyknn.impute(X * factor, y, n_neighbors=4) / factor, plain)
    imputer = GreyKNNImputer(n_neighbors=4).fit(X * 1e-200, y)
    out = imputer.transform(np.array([[9e299, np.nan, -9e299, 1.0]]))
    assert np.nanmin(X[:, 1]) <= out[0, 1] * 1e200 <= np.nanmax(X[:, 1])
    X[3, 2] = 2e300
    with pytest.raises(ValueError, match=r"Column 2 holds 2e\+300 in row 3.*cannot be averaged"):
        greyknn.impute(X, y)


@pytest.mark.parametrize("method", naive.METHODS)
def test_one_neighbour_gives_its_own_value(method: str) -> None:
    X, y = holey(n_rows=120)
    X = np.round(X, 2) + 0.01
    imputer = GreyKNNImputer(method, n_neighbors=1, donors="observed")
    out = imputer.fit_transform(X, y)
    for row, column in np.argwhere(np.isnan(X)):
        assert out[row, column] in X[:, column]
        (donor,) = imputer.explain(row, column)
        assert donor.value == X[donor.row, column] == out[row, column]


def test_duplicates_give_their_value() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((30, 3))
    X[1] = X[0]
    X[2] = X[0]
    X[0, 2] = np.nan
    # The gap itself counts 1 in HEOM and in the grade, so only "imputed" distances reach 0.
    imputer = GreyKNNImputer("iknn", n_neighbors=5).fit(X)
    assert {donor.row for donor in imputer.explain(0, 2)[:2]} == {1, 2}


@pytest.mark.parametrize("method", METHODS)
def test_only_categories_and_only_constants(method: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    words = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, (40, 3))]
    words[rng.random(words.shape) < 0.2] = None
    out = greyknn.impute(words, y, method=method)
    assert set(np.unique(out.astype(str))) == {"a", "b", "c"}
    constant = np.full((40, 2), 3.25)
    constant[::7, 0] = np.nan
    assert (greyknn.impute(constant, y, method=method) == 3.25).all()


@given(case=cases(labelled=True), method=st.sampled_from(["gknn", "iknn"]), seed=st.integers(0, 99))
@pytest.mark.filterwarnings("ignore:n_neighbors=", "ignore:Filling stopped")
def test_the_order_of_rows_does_not_matter(case: Case, method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.where(np.isnan(case.X), np.nan, rng.random(case.X.shape))
    X[:, 0] = rng.random(len(X))  # two rows always have a column in common, so no distances tie
    order = rng.permutation(len(X))
    y = None if case.y is None else np.array(case.y, dtype=object)
    plain = greyknn.impute(X, y, method=method, n_neighbors=3)
    turned = greyknn.impute(X[order], None if y is None else y[order], method=method, n_neighbors=3)
    np.testing.assert_allclose(turned, plain[order], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_units_do_not_matter(method: str) -> None:
    X, y = holey()
    scale, shift = np.array([1.0, 1000.0, 0.01, -5.0]), np.array([0.0, -7.0, 100.0, 3.0])
    plain = greyknn.impute(X, y, method=method, n_neighbors=6)
    np.testing.assert_allclose(
        greyknn.impute(X * scale + shift, y, method=method, n_neighbors=6), plain * scale + shift
    )


@pytest.mark.jit
def test_weights_find_the_informative_columns() -> None:
    from bench.paper_tables import VARIANTS, error, four_cubes

    ratio = []
    for method in ("cgknn", "cgknn, equal weights"):
        X, y = four_cubes(np.random.default_rng(100))
        gaps = np.zeros(X.shape, dtype=bool)
        gaps[np.random.default_rng(0).choice(400, 40, replace=False), 0] = True
        ratio.append(error(X, y, gaps, VARIANTS[method], "observed"))
    assert ratio[0] < 0.75 * ratio[1]


def test_a_misspelt_method_description_is_refused() -> None:
    with pytest.raises(ValueError, match="metric='gray' is none of 'grey', 'heom'"):
        Method("gray", "class", True, "weighted")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weights='bogus'"):
        Method("grey", "bogus", True, "weighted")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="partition='yes' is none of True, False"):
        Method("grey", "none", "yes", "weighted")  # type: ignore[arg-type]


def test_a_method_may_be_described_by_its_parts() -> None:
    X, y = holey()
    unweighted = replace(METHODS["cgknn"], weights="none", average="plain")
    assert (
        greyknn.impute(X, y, method=unweighted, n_neighbors=5)
        == greyknn.impute(X, y, method="gknn", n_neighbors=5)
    ).all()


@pytest.mark.jit
def test_shuffled_labels_score_at_chance_in_a_pipeline() -> None:
    X, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    X[rng.random(X.shape) < 0.4] = np.nan
    scores, leaky = [], []
    for _ in range(4):
        shuffled = rng.permutation(y)
        pipeline = make_pipeline(GreyKNNImputer(n_neighbors=10), KNeighborsClassifier())
        scores.append(cross_val_score(pipeline, X, shuffled).mean())
        filled = greyknn.impute(X, shuffled, n_neighbors=10, metric_on="imputed", tol=0.02)
        leaky.append(cross_val_score(KNeighborsClassifier(), filled, shuffled).mean())
    assert np.mean(scores) < 0.40
    assert np.mean(leaky) > np.mean(scores) + 0.05  # this test can see a leak


def test_grid_search() -> None:
    X, y = holey()
    search = GridSearchCV(
        make_pipeline(GreyKNNImputer(n_neighbors=3), KNeighborsClassifier()),
        {"greyknnimputer__method": ["cgknn", "iknn"], "greyknnimputer__rho": [0.1, 0.5]},
        cv=3,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.5


def test_better_than_the_mean() -> None:
    X, y = load_iris(return_X_y=True)
    gaps = np.random.default_rng(0).random(X.shape) < 0.2
    hidden = np.where(gaps, np.nan, X)
    ours = np.abs(greyknn.impute(hidden, y) - X)[gaps].mean()
    assert ours < 0.5 * np.abs(SimpleImputer().fit_transform(hidden) - X)[gaps].mean()


def test_few_rows_are_enough_to_choose_k() -> None:
    X = np.array([[0.0, 1.0], [0.1, np.nan], [5.0, 6.0], [5.1, 6.1], [5.2, 6.3]])
    imputer = GreyKNNImputer().fit(X, ["a", "a", "b", "b", "b"])
    assert 1 <= imputer.n_neighbors_ <= 4


def test_each_column_of_a_method_by_column_explains_its_own_donors() -> None:
    X, y = holey()
    X[0, :2] = np.nan
    X[1] = np.nan
    imputer = GreyKNNImputer("fwgknn", n_neighbors=4).fit(X, y)
    first, second = imputer.explain(0, 0), imputer.explain(0, 1)
    assert len(first) == len(second) == 4
    assert [donor.distance for donor in first] != [donor.distance for donor in second]
    assert imputer.explain(1, 0) == []


@pytest.mark.jit
def test_memory_grows_with_the_rows_not_with_their_square() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((200_000, 5))
    X[rng.integers(200_000, size=300), rng.integers(5, size=300)] = np.nan
    greyknn.impute(X[:1000], n_neighbors=5)  # compiling takes memory of its own
    tracemalloc.start()
    out = greyknn.impute(X, n_neighbors=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not np.isnan(out).any()
    assert peak < 20 * X.nbytes
