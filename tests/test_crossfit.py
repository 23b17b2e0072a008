"""Training rows filled without their labels, from the other folds, and what that hides."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import greyknn
from asserts import assert_observed_kept
from conftest import COMPILED
from greyknn import METHODS, GreyKNNImputer, imputer
from greyknn.cli import main
from greyknn_kernels.cpu import threads
from strategies import Case, cases

# A table is filled eleven times: too slow where kernels are interpreted.
pytestmark = pytest.mark.jit

ROWS = 60 if COMPILED else 30

METHODS_HERE = [
    # Interpreted it takes as long as all others; test_targets.py cross-fits it then.
    pytest.param(method, marks=pytest.mark.jit) if method == "tgknn" else method
    for method in METHODS
]

quietly = pytest.mark.filterwarnings(
    "ignore:n_neighbors=", "ignore:Filling stopped", "ignore:.*cross-fitted"
)


def mixed(
    n_rows: int = ROWS, seed: int = 0, rate: float = 0.25
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two numbers and two categories that tell of three classes, and some rows without a label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n_rows).astype(float)
    X = y[:, None] + rng.normal(size=(n_rows, 4))
    X[:, 2:] = np.clip(X[:, 2:].round(), 0, 3)
    X[rng.random(X.shape) < rate] = np.nan
    y[rng.random(n_rows) < 0.1] = np.nan
    return X, y


def crossed(**options: Any) -> GreyKNNImputer:
    return GreyKNNImputer(**{"categorical_features": [2, 3], "label_use": "cross-fit", **options})


def in_two_folds(labels: Any, _random_state: Any) -> NDArray[np.int64]:
    """Folds that do not look at the labels."""
    return np.arange(len(labels), dtype=np.int64) % 2


# --- the fills are those of transform


@quietly
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "fwgknn", "n_neighbors": "masked", "random_state": 7},
        pytest.param(
            {"method": "miknn", "n_neighbors": 4, "metric_on": "imputed"}, marks=pytest.mark.jit
        ),
        {"method": "gknn", "donors": "observed"},
        {"method": "iknn", "rho": 0.2, "tol": 0.1, "max_iter": 3},
        pytest.param({"method": "tgknn", "random_state": 3}, marks=pytest.mark.jit),
    ],
    ids=str,
)
def test_a_fold_is_filled_as_by_transform_from_the_others(options: dict[str, Any]) -> None:
    X, y = mixed()
    filling = crossed(**options)
    filled = filling.fit_transform(X, y)
    assert filling.folds_ is not None
    assert np.unique(filling.folds_).tolist() == list(range(10))
    for fold in range(10):
        held_out = filling.folds_ == fold
        others = crossed(**options, label_use="fit").fit(X[~held_out], y[~held_out])
        np.testing.assert_array_equal(filled[held_out], others.transform(X[held_out]))
    assert (filled != crossed(**options, label_use="fit").fit_transform(X, y)).any()


@quietly
def test_new_rows_are_filled_from_all_training_rows_and_labels() -> None:
    X, y = mixed()
    new = mixed(seed=1)[0]
    ours, plain = crossed().fit(X, y), crossed(label_use="fit").fit(X, y)
    np.testing.assert_array_equal(ours.transform(new), plain.transform(new))
    assert ours.n_neighbors_ == plain.n_neighbors_
    assert ours.convergence_.tolist() == plain.convergence_.tolist()
    assert (ours.transform(X) != ours.fit_transform(X, y)).any()
    row, column = np.argwhere(np.isnan(new))[0]
    assert ours.explain(row, column, new) == plain.explain(row, column, new)


def test_folds_spread_every_class_and_the_rows_without_label() -> None:
    X, y = mixed()
    folds = crossed(n_neighbors=3).fit(X, y).folds_
    for rows in (np.isnan(y), *(y == label for label in range(3))):
        sizes = np.bincount(folds[rows], minlength=10)
        assert sizes.max() - sizes.min() <= 1
    assert (crossed(n_neighbors=3, random_state=1).fit(X, y).folds_ != folds).any()


# --- what a row's own label can do


@quietly
@pytest.mark.parametrize("method", METHODS_HERE)
def test_labels_of_the_own_fold_have_no_influence(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imputer, "stratified_folds", in_two_folds)
    X, y = mixed()
    own = np.arange(len(y)) % 2 == 0
    rng = np.random.default_rng(0)
    tables = {}
    for use in ("cross-fit", "fit"):
        filling = crossed(method=method, label_use=use)
        tables[use] = [filling.fit_transform(X, y)]
        for labels in (
            rng.permutation(y[own]),
            np.full(own.sum(), 9.0),
            np.full(own.sum(), np.nan),
        ):
            changed = y.copy()
            changed[own] = labels
            tables[use].append(filling.fit_transform(X, changed))
    before, *after = tables["cross-fit"]
    for now in after:
        np.testing.assert_array_equal(now[own], before[own])
    if METHODS[method].partition:  # this test can see a leak, and labels of others do count
        assert all((now[own] != tables["fit"][0][own]).any() for now in tables["fit"][1:])
        assert all((now[~own] != before[~own]).any() for now in after)


@quietly
@pytest.mark.jit  # takes too long otherwise
def test_shuffled_labels_score_at_chance_on_a_cross_fitted_table() -> None:
    X, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    X[rng.random(X.shape) < 0.6] = np.nan
    scores: dict[str, list[float]] = {"fit": [], "cross-fit": [], "never": []}
    for _ in range(4):
        shuffled = rng.permutation(y)
        for use, reached in scores.items():
            filled = greyknn.impute(X, shuffled, n_neighbors=10, label_use=use)
            reached.append(cross_val_score(KNeighborsClassifier(), filled, shuffled).mean())
    assert np.mean(scores["fit"]) > 0.5
    assert np.mean(scores["cross-fit"]) < 0.38
    assert np.mean(scores["never"]) < 0.38


@quietly
def test_a_cross_fitted_table_looks_like_new_rows() -> None:
    X, y = load_iris(return_X_y=True)
    whole = X.copy()
    gaps = np.random.default_rng(0).random(X.shape) < 0.4
    X[gaps] = np.nan
    train = np.arange(len(X)) % 2 == 0
    error = {}
    for use in ("fit", "cross-fit"):
        filling = GreyKNNImputer(n_neighbors=5, label_use=use)
        own, new = filling.fit_transform(X[train], y[train]), filling.transform(X[~train])
        error[use] = [
            np.sqrt(np.mean((filled - whole[rows])[gaps[rows]] ** 2))
            for filled, rows in ((own, train), (new, ~train))
        ]
    assert error["fit"][0] < 0.8 * error["fit"][1]
    assert 0.8 < error["cross-fit"][0] / error["cross-fit"][1] < 1.25


@quietly
@pytest.mark.parametrize("method", METHODS_HERE)
def test_never_is_y_none(method: str) -> None:
    X, y = mixed()
    never, without = crossed(method=method, label_use="never"), crossed(method=method)
    np.testing.assert_array_equal(never.fit_transform(X, y), without.fit_transform(X))
    new = mixed(seed=1)[0]
    np.testing.assert_array_equal(never.transform(new), without.transform(new))
    assert np.array_equal(never.n_neighbors_, without.n_neighbors_)
    assert never.feature_weights_.tolist() == without.feature_weights_.tolist()
    assert never.classes_.tolist() == []
    nothing = np.full(len(y), np.nan)  # labels that are all missing are missed by nobody
    np.testing.assert_array_equal(never.fit_transform(X, nothing), without.fit_transform(X))


@quietly
def test_without_labels_there_is_nothing_to_hide() -> None:
    X, y = mixed()
    filling = crossed()
    plain = crossed(label_use="fit")
    for nothing in (None, np.random.default_rng(0).random(len(X))):  # y to predict is not used
        np.testing.assert_array_equal(
            filling.fit_transform(X, nothing), plain.fit_transform(X, nothing)
        )
        assert filling.folds_ is None
    assert filling.fit(X, y).folds_ is not None
    assert filling.set_params(label_use="fit").fit(X, y).folds_ is None
    row, column = np.argwhere(np.isnan(X))[0]
    assert filling.explain(row, column) == plain.fit(X, y).explain(row, column)


# --- explain


@quietly
def test_explained_donors_are_rows_of_other_folds_and_add_up_to_the_fill() -> None:
    X, y = mixed()
    filling = crossed(n_neighbors=3)
    filled = filling.fit_transform(X, y)
    again = pickle.loads(pickle.dumps(filling))
    assert filling.folds_ is not None
    n_filled_donors = 0
    for row, column in np.argwhere(np.isnan(X)):
        donors = filling.explain(row, column)
        assert donors == again.explain(row, column)
        assert len(donors) == 3
        assert sum(donor.weight for donor in donors) == pytest.approx(1.0)
        assert [donor.distance for donor in donors] == sorted(d.distance for d in donors)
        for donor in donors:
            assert filling.folds_[donor.row] != filling.folds_[row]
            assert donor.observed == ~np.isnan(X[donor.row, column])
            assert not donor.observed or donor.value == X[donor.row, column]
            n_filled_donors += not donor.observed
        if column < 2:
            mean = sum(donor.weight * donor.value for donor in donors)
            assert filled[row, column] == pytest.approx(mean, abs=1e-12)
        else:
            votes = {value: 0.0 for _, _, _, value, _ in donors}
            for donor in donors:
                votes[donor.value] += donor.weight
            assert votes[filled[row, column]] == pytest.approx(max(votes.values()))
    assert n_filled_donors > 10
    with pytest.raises(KeyError, match="was not filled"):
        filling.explain(*np.argwhere(~np.isnan(X))[0])
    with pytest.raises(KeyError, match=f"no row {ROWS}"):
        filling.explain(ROWS, 0)


# --- small and awkward


def test_a_column_that_the_other_folds_lack_holds_the_mean_of_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imputer, "stratified_folds", in_two_folds)
    n = np.nan
    X = np.array([[1.0, 4.0], [n, 1.0], [2.0, n], [n, 2.0], [n, 3.0], [n, n]])
    filling = GreyKNNImputer(n_neighbors=1, donors="observed", label_use="cross-fit")
    filled = filling.fit_transform(X, ["a", "a", "a", "b", "b", "b"])
    assert filled[4, 0] == 1.5  # only its own fold observed the first column: 1 and 2
    assert filling.explain(4, 0) == []
    assert filled[1, 0] == 1.0
    assert [donor.row for donor in filling.explain(1, 0)] == [0]
    assert filled[2, 1] == 1.5  # nothing says who is near: the mean of the other fold, 1 and 2
    assert not np.isnan(filled).any()
    X[1::2] = n  # what fills the first fold is empty altogether
    filled = filling.fit_transform(X, ["a", "a", "a", "b", "b", "b"])
    assert filled[[4, 2], [0, 1]].tolist() == [1.5, 3.5]
    assert filling.explain(4, 0) == []


@quietly
@pytest.mark.parametrize("rest", ["b", None])
def test_the_fold_with_the_only_label_of_a_class(rest: str | None) -> None:
    X = mixed()[0]
    y = np.array(["a", *[rest] * (len(X) - 1)], dtype=object)
    filling = crossed()
    filled = filling.fit_transform(X, y)
    held_out = filling.folds_ == filling.folds_[0]
    left = None if rest is None else y[~held_out]  # without any label: one class of all rows
    others = crossed(label_use="fit").fit(X[~held_out], left)
    assert others.selection_errors_ is not None
    np.testing.assert_array_equal(filled[held_out], others.transform(X[held_out]))


@pytest.mark.filterwarnings("ignore")
@given(
    case=cases(max_rows=24 if COMPILED else 12), method=st.sampled_from(list(METHODS)),
    k=st.sampled_from([1, "cv", "masked"]),
)  # fmt: skip
def test_no_gap_is_left_and_nothing_lost(case: Case, method: str, k: int | str) -> None:
    categorical = np.flatnonzero(case.categorical).tolist()
    for y in (case.y, np.arange(len(case.X)), [1.0] + [None] * (len(case.X) - 1)):
        filling = GreyKNNImputer(
            method, n_neighbors=k, categorical_features=categorical, label_use="cross-fit"
        )
        filled = filling.fit_transform(case.X, y)
        assert_observed_kept(case.X, filled)
        for row, column in np.argwhere(np.isnan(case.X)):
            assert row not in [donor.row for donor in filling.explain(row, column)]


def test_folds_that_do_not_settle_are_told() -> None:
    X, y = mixed(90, rate=0.4)
    filling = crossed(method="iknn", n_neighbors=3, max_iter=8)
    plain = crossed(method="iknn", n_neighbors=3, max_iter=8, label_use="fit")
    plain.fit(X, y)  # which settles: errors are warnings
    with pytest.warns(ConvergenceWarning, match="rows were cross-fitted from folds") as caught:
        filling.fit(X, y)
    assert len(caught) == 1
    assert not filling.converged_
    assert filling.convergence_.tolist() == plain.convergence_.tolist()


@quietly
@pytest.mark.jit  # takes too long otherwise
def test_answers_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = mixed(600)
    tables = []
    monkeypatch.setattr(threads, "LEAST", 1.0)
    monkeypatch.setattr(threads, "STEP", 1.0)
    for workers in (1, 3):
        monkeypatch.setattr(threads, "n_threads", lambda workers=workers: workers)
        tables.append(crossed().fit_transform(X, y))
    np.testing.assert_array_equal(tables[0], tables[1])


# --- the ways in


@quietly
def test_in_a_pipeline_and_as_one_call() -> None:
    X, y = load_iris(return_X_y=True)
    if not COMPILED:
        X, y = X[::3], y[::3]
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    filling = GreyKNNImputer(n_neighbors=5, label_use="cross-fit")
    scores = cross_val_score(make_pipeline(filling, KNeighborsClassifier()), X, y, cv=3)
    assert scores.mean() > 0.9
    called = greyknn.impute(X, y, n_neighbors=5, label_use="cross-fit")
    np.testing.assert_array_equal(called, filling.fit_transform(X, y))


@quietly
def test_in_the_shell(tmp_path: Any) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.3)[:: 3 if COMPILED else 5]
    y = y[:: 3 if COMPILED else 5]
    X.assign(y=y).to_csv(tmp_path / "in.csv", index=False)
    filled = {}
    for use in ("fit", "cross-fit", "never"):
        options = ["-o", f"{tmp_path}/{use}.csv", "-t", "y", "--label-use", use]
        result = CliRunner().invoke(main, ["impute", f"{tmp_path}/in.csv", *options])
        assert result.exit_code == 0, result.output
        filled[use] = pd.read_csv(tmp_path / f"{use}.csv")
        ours = greyknn.impute(X, y, label_use=use)
        np.testing.assert_allclose(filled[use].drop(columns="y"), ours, atol=0.006)
    assert not filled["fit"].equals(filled["cross-fit"])
    assert not filled["never"].equals(filled["cross-fit"])


@pytest.mark.parametrize("wrong", ["crossfit", "always", None, True])
def test_another_use_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"'label_use' parameter .* must be a str among"):
        GreyKNNImputer(label_use=wrong).fit([[1.0], [2.0]])


@pytest.mark.parametrize("use", ["fit", "cross-fit", "never"])
def test_labels_are_checked_whether_used_or_not(use: str) -> None:
    with pytest.raises(ValueError, match="y has 3 labels, but X has 2 rows"):
        GreyKNNImputer(label_use=use).fit([[1.0], [2.0]], [0, 1, 0])
    if use != "never":
        with pytest.raises(ValueError, match="method='cgknn' needs the class"):
            GreyKNNImputer(label_use=use).fit([[1.0], [2.0]], [np.nan, np.nan])
