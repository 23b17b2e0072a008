"""Target-weighted grey kNN from end to end: method="tgknn"."""

from __future__ import annotations

import pickle
import sys
import threading
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.impute import KNNImputer

import greyknn
import naive_targets as naive
from asserts import assert_fills_close, assert_observed_kept
from greyknn import METHODS, GreyKNNImputer, Method
from greyknn.cli import main
from greyknn.neighbors import Neighbors
from greyknn.targets import learner, near, target
from greyknn_kernels.cpu import threads
from strategies import Case, cases, plain

Floats = NDArray[np.float64]

KINDS = [False, False, False, True, True]
n = np.nan


def tgknn(**options: Any) -> GreyKNNImputer:
    return GreyKNNImputer("tgknn", **options)


def mixed(seed: int = 0, n_rows: int = 20, rate: float = 0.15) -> tuple[Floats, Floats]:
    """Three numbers and two categories from two hidden causes, and a class that tells of one."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_rows, 2))
    X = np.column_stack([
        hidden[:, 0] + 0.3 * rng.normal(size=n_rows),
        100.0 * hidden[:, 0] + 50.0 * hidden[:, 1],
        np.exp(hidden[:, 1]),
        1.0 * (hidden[:, 0] > 0) + (hidden[:, 1] > 0.5),
        rng.integers(0, 2, n_rows),
    ])  # fmt: skip
    y = (hidden[:, 0] + 0.3 * rng.normal(size=n_rows) > 0).astype(float)
    X[rng.random(X.shape) < rate] = np.nan
    return X, y


def of_mixed(**options: Any) -> GreyKNNImputer:
    return tgknn(categorical_features=[3, 4], **options)


def rmse(filled: Floats, X: Floats, gaps: Any) -> float:
    """Of the filled cells, in each column's standard deviations."""
    return float(np.sqrt(np.mean(((filled - X) / X.std(axis=0))[gaps] ** 2)))


# --- against loops


@pytest.mark.parametrize("seed", range(6))
def test_everything_is_that_of_loops(seed: int) -> None:
    X, y = mixed(seed)
    if seed in (2, 3):  # ties, distances of 0, a row and a pair of columns without anything
        X[5], X[6, 1:], X[7] = X[4], X[4, 1:], np.nan
        X[:10, 0], X[10:, 2] = np.nan, np.nan
    if seed == 5:
        y[::3] = np.nan
    labels = y if seed % 2 else None
    options: dict[str, Any] = {} if seed < 4 else {"rho": 0.5}
    filling = of_mixed(**options, **({"n_neighbors": 3} if seed == 4 else {}))
    filled = filling.fit_transform(X, labels)
    new = np.empty((0, 5)) if seed % 2 else mixed(seed + 100, 5)[0]
    reference = naive.impute(
        plain(X), KINDS, None if labels is None else [row[0] for row in plain(y[:, None])],
        new=plain(new), **options, **({"sizes": [3]} if seed == 4 else {}),
    )  # fmt: skip
    np.testing.assert_allclose(filling.feature_weights_, reference.weights, atol=1e-12)
    assert filling.targets_ is not None
    gappy = np.flatnonzero(np.isnan(X).any(axis=0))
    assert list(filling.targets_) == gappy.tolist()
    for column, report in filling.targets_.items():
        assert report.n_neighbors == reference.sizes[column] == filling.n_neighbors_[column]
        ours = list(report.shares.values())
        np.testing.assert_allclose(ours, reference.shares[column], atol=1e-7)
        assert report.error == pytest.approx(reference.errors[column], rel=1e-7)
        assert report.categorical == KINDS[column]
    assert_observed_kept(X, filled)
    if seed == 5:  # rows without a label are filled as if nobody had one
        blind = naive.impute(plain(X), KINDS, **options).filled
        reference.filled[::3] = blind[::3]
    assert_fills_close(filled, reference.filled, X, tol=1e-7)
    if len(new):
        assert_fills_close(filling.transform(new), reference.new, X, tol=1e-7)


def of_many_levels() -> Floats:
    """Numbers, 14 levels of two or three rows that these tell of, and a coin."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(40, 1))
    numbers = hidden + 0.3 * rng.normal(size=(40, 3))
    levels = np.argsort(np.argsort(hidden[:, 0])) // 3
    X = np.column_stack([numbers, levels, rng.integers(0, 2, 40)])
    X[rng.random(X.shape) < 0.15] = np.nan
    return X


def test_levels_that_no_pillar_has_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    X = of_many_levels()
    new = np.column_stack([np.random.default_rng(1).normal(size=(6, 3)), np.full((6, 2), n)])
    monkeypatch.setattr(learner, "MOST_PILLARS", 8)
    filling = of_mixed().fit(X)
    filled, out = filling.fit_transform(X), filling.transform(new)
    tasks = {column: one.task for column, one in filling._model.known.targets.items()}
    reference = naive.impute(
        plain(X), KINDS, new=plain(new),
        pillars={column: task.pillars.tolist() for column, task in tasks.items()},
    )  # fmt: skip
    assert filling.targets_ is not None
    for column, report in filling.targets_.items():
        shares = list(report.shares.values())
        np.testing.assert_allclose(shares, reference.shares[column], atol=1e-7)
        assert report.error == pytest.approx(reference.errors[column], rel=1e-7)
    assert_fills_close(filled, reference.filled, X, tol=1e-7)
    assert_fills_close(out, reference.new, X, tol=1e-7)
    fillable = set(X[tasks[3].pillars, 3])
    assert tasks[3].n_outputs == len(fillable) <= 8
    assert len(np.unique(X[~np.isnan(X[:, 3]), 3])) > 8
    assert set(filled[np.isnan(X[:, 3]), 3]) | set(out[:, 3]) <= fillable


def test_donors_with_levels_that_no_pillar_has_are_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X = of_many_levels()
    monkeypatch.setattr(learner, "MOST_PILLARS", 8)
    filling = of_mixed().fit(X)
    fillable = set(X[filling._model.known.targets[3].task.pillars, 3])
    for row in np.flatnonzero(np.isnan(X[:, 3])):
        donors = filling.explain(row, 3)
        assert sum(donor.weight for donor in donors) == pytest.approx(1.0)
        assert {donor.value for donor in donors} <= fillable
    found = Neighbors(np.array([[0, 1, 2]]), np.array([[0.0, 0.5, 0.5]]), np.array([3]))
    one, center = np.array([n, 0.0, 1.0]), np.array([0.9, 0.1])
    sizes = dict(near.means(found, one, 2, (1, 2, 3), center))
    assert {size: mean[0].tolist() for size, mean in sizes.items()} == {
        1: [0.9, 0.1], 2: [1.0, 0.0], 3: [0.5, 0.5],
    }  # fmt: skip


# --- any table


@given(case=cases(max_rows=16), k=st.sampled_from(["cv", 1, 7]))
def test_no_gap_is_left_and_nothing_lost(case: Case, k: Any) -> None:
    filling = tgknn(n_neighbors=k, categorical_features=case.categorical)
    y = None if case.y is None else np.array(case.y, dtype=object)
    filled = filling.fit_transform(case.X, y)
    new = case.X[::-1][:4].copy()
    new[:, ~np.array(case.categorical)] *= 3.0
    filled_new = filling.transform(new)
    assert_observed_kept(case.X, filled)
    assert_observed_kept(new, filled_new)
    for column, codes in enumerate(case.categorical):
        seen = case.X[~np.isnan(case.X[:, column]), column]
        for fills in (filled[np.isnan(case.X[:, column])], filled_new[np.isnan(new[:, column])]):
            assert (fills[:, column] >= seen.min()).all()
            assert (fills[:, column] <= seen.max()).all()
            assert not codes or np.isin(fills[:, column], seen).all()
    assert filling.converged_
    labels = case.y if case.y is not None and len({*case.y} - {None}) > 1 else [None] * len(case.X)
    for row, column in np.argwhere(np.isnan(case.X))[:2]:
        donors = filling.explain(row, column)
        if np.isnan(case.X[row]).all() and labels[row] is None:
            assert donors == []
        else:
            assert sum(donor.weight for donor in donors) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[1.0], [n], [3.0], [5.0]], [[1.0], [3.0], [3.0], [5.0]]),
        ([[1.0, 2.0], [n, 3.0]], [[1.0, 2.0], [1.0, 3.0]]),
        ([[1.5, 2.0]], [[1.5, 2.0]]),
        ([[4.0, 1.0], [n, 1.0], [4.0, n]], [[4.0, 1.0], [4.0, 1.0], [4.0, 1.0]]),
        ([[7.0, 1.0], [n, 2.0], [n, 3.0]], [[7.0, 1.0], [7.0, 2.0], [7.0, 3.0]]),
    ],
    ids=["one column", "two rows", "one row", "constants", "one observed"],
)
def test_tiny_tables(table: Any, expected: Any) -> None:
    filling = tgknn()
    assert filling.fit_transform(table) == pytest.approx(np.array(expected))
    width = len(table[0])
    alone = filling.transform([[n] * width, *([[9.0] * width] if width > 1 else [])])
    assert np.isfinite(alone).all()
    assert (alone[0] >= np.nanmin(table, axis=0)).all()
    assert (alone[0] <= np.nanmax(table, axis=0)).all()


def test_columns_that_are_never_observed_together() -> None:
    table = [[1.0, n], [2.0, n], [n, 3.0], [n, n], [6.0, n]]
    filling = tgknn()
    filled = filling.fit_transform(table)
    assert filled[2:4, 0] == pytest.approx(3.0, rel=0.1)  # nothing is known but the mean
    assert (filled[:, 1] == 3.0).all()
    np.testing.assert_array_equal(filling.feature_weights_, [[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize("labels", ["none", "one", "never", "cross-fit", "known", "unknown"])
@pytest.mark.jit
def test_rows_without_anything_hold_the_mean_or_mode(labels: str) -> None:
    X, y = mixed(n_rows=40)
    X[3] = np.nan
    y[3] = np.nan if labels == "unknown" else y[3]
    use = labels if labels in ("never", "cross-fit") else "fit"
    filling = of_mixed(label_use=use)
    told: Any = {"none": None, "one": np.zeros(40)}.get(labels, y)
    filled = filling.fit_transform(X, told)
    counts = [np.bincount(X[~np.isnan(X[:, c]), c].astype(int)).argmax() for c in (3, 4)]
    center = [*np.nanmean(X[:, :3], axis=0), *counts]
    np.testing.assert_allclose(filling.transform(X[3:4])[0], center)
    assert filling.explain(0, 1, X[3:4]) == []
    if labels == "known":  # a label is something
        assert (filled[3] != center).any()
        assert sum(donor.weight for donor in filling.explain(3, 1)) == pytest.approx(1.0)
    elif labels == "cross-fit":  # of the others, without the row's fold
        others = X[filling.folds_ != filling.folds_[3]]
        np.testing.assert_allclose(filled[3, :3], np.nanmean(others[:, :3], axis=0))
        assert filling.explain(3, 1) == []
    else:
        np.testing.assert_allclose(filled[3], center)
        for column in range(5):
            assert filling.explain(3, column) == []


@pytest.mark.parametrize("n_levels", [1, 2, 70])
def test_categories(n_levels: int) -> None:
    rng = np.random.default_rng(0)
    codes = np.append(np.arange(n_levels), rng.integers(0, n_levels, 140))
    words = np.array([f"level {code}" for code in codes], dtype=object)
    number = codes + 0.1 * rng.normal(size=len(codes))
    gaps = np.flatnonzero(rng.random(len(codes)) < 0.1)[1:] + 0
    holey = words.copy()
    holey[gaps] = None
    filled = greyknn.impute(pd.DataFrame({"a": holey, "b": number}), method="tgknn")
    assert set(filled["a"]) <= set(words[~pd.isna(holey)])
    if n_levels <= 2:
        assert (filled["a"].to_numpy() == words).all()


@pytest.mark.jit
def test_very_large_and_very_small_numbers() -> None:
    X, y = mixed(n_rows=30)
    X = X[:, :3]
    expected = greyknn.impute(X, y, method="tgknn")
    for factor in (1e295, 1e-295):
        ours = greyknn.impute(X * factor, y, method="tgknn") / factor
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    filling = tgknn().fit(X * 1e-200)
    out = filling.transform([[9e299, n, -9e299], [n, 9e299, 0.0]])
    assert np.nanmin(X[:, 1]) <= out[0, 1] * 1e200 <= np.nanmax(X[:, 1])
    skewed = X.copy()
    skewed[np.flatnonzero(~np.isnan(X[:, 0]))[0], 0] = 1e300
    others = greyknn.impute(skewed, y, method="tgknn")
    assert_observed_kept(skewed, others)


def test_fills_do_not_leave_the_observed_range() -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(20, 1)) ** [1, 3]
        out = tgknn().fit(X).transform([[n, 1e6], [n, -1e6]])[:, 0]
        assert X[:, 0].min() <= out.min()
        assert out.max() <= X[:, 0].max()
        assert out.max() > np.sort(X[:, 0])[-5]  # the range was reached for


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_frames_keep_their_types(library: Any) -> None:
    frame = library({
        "whole": [1, 2, None, 4, 5, 6, 7, 8], "word": ["a", "a", "a", None, "b", "b", "b", "b"],
        "flag": [True, None, True, True, False, False, False, False],
        "real": [0.1, 0.2, 0.3, 0.4, None, 0.6, 0.7, 0.8],
    })  # fmt: skip
    if library is pd.DataFrame:
        frame = frame.astype({"whole": "Int32", "flag": "boolean", "real": "float32"})
    filling = tgknn()
    out = filling.fit_transform(frame)
    assert list(out.dtypes) == list(frame.dtypes)
    assert list(filling.targets_ or {}) == ["whole", "word", "flag", "real"]
    assert out["word"][3] in ("a", "b")
    assert out["whole"][2] == 3
    array = mixed()[0].astype(np.float32)
    assert_observed_kept(array, of_mixed().fit_transform(array))


# --- what must not matter


@pytest.mark.jit
def test_order_of_rows_and_columns_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    # Ranks of a single column tie; sums of several, which count differently, do not.
    X = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(50, 6))
    y = (X[:, 0] > 0).astype(float)
    X[rng.random(X.shape) < 0.05] = np.nan
    rows, columns = rng.permutation(50), rng.permutation(6)
    whole = tgknn().fit_transform(X, y)
    assert_fills_close(tgknn().fit_transform(X[rows], y[rows]), whole[rows], X[rows], tol=1e-7)
    turned = tgknn().fit_transform(X[:, columns], y)
    assert_fills_close(turned, whole[:, columns], X[:, columns], tol=1e-7)


@pytest.mark.jit
def test_weights_and_distances_see_ranks() -> None:
    X, y = mixed(n_rows=40)
    bent = X.copy()
    bent[:, 0] = np.exp(2.0 * X[:, 0])
    bent[:, 1] = np.cbrt(X[:, 1])
    before, after = of_mixed().fit(X, y), of_mixed().fit(bent, y)
    np.testing.assert_array_equal(after.feature_weights_, before.feature_weights_)
    assert after.n_neighbors_[[2, 3, 4]].tolist() == before.n_neighbors_[[2, 3, 4]].tolist()
    row = int(np.flatnonzero(np.isnan(X[:, 2]))[0])
    far = [{donor.row: donor.distance for donor in one.explain(row, 2)} for one in (before, after)]
    assert far[0] == far[1]
    # A line sees the numbers themselves, and all but it does not.
    for column in (2, 3, 4):
        one, two = (filling._model.known.targets[column] for filling in (before, after))
        np.testing.assert_array_equal(one.early, two.early)


@pytest.mark.jit
def test_new_rows_are_filled_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = mixed(n_rows=30)
    X[:, 4] = np.nan_to_num(X[:, 4])  # complete in fit
    new = mixed(1, 12, 0.4)[0]
    filling = of_mixed().fit(X, y)
    copy = pickle.loads(pickle.dumps(filling))
    whole, together = filling.transform(new), of_mixed().fit_transform(X, y)
    assert not np.isnan(whole).any()
    for row in range(len(new)):
        np.testing.assert_array_equal(filling.transform(new[row : row + 1]), whole[row : row + 1])
    np.testing.assert_array_equal(copy.transform(new[::-1]), whole[::-1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(copy)).transform(new), whole)
    for limit, number in (("CHUNK", 5), ("MOST_OUTPUTS", 10)):  # 3 rows of 3 levels
        with monkeypatch.context() as limited:
            limited.setattr(learner, limit, number)
            np.testing.assert_array_equal(filling.transform(new), whole)
            np.testing.assert_array_equal(of_mixed().fit_transform(X, y), together)
    np.testing.assert_array_equal(of_mixed().fit(X, y).transform(new), whole)
    np.testing.assert_array_equal(of_mixed().fit_transform(X, y), of_mixed().fit_transform(X, y))


@pytest.mark.jit
def test_threads_do_not_matter_to_new_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = mixed(n_rows=30)
    new = mixed(1, 12, 0.4)[0]
    whole = of_mixed().fit(X, y).transform(new)
    monkeypatch.setattr(threads, "STEP", 1.0)
    monkeypatch.setattr(threads, "LEAST", 1.0)
    monkeypatch.setattr(threads, "n_threads", lambda: 3)
    np.testing.assert_array_equal(of_mixed().fit(X, y).transform(new), whole)


@pytest.mark.jit  # interpreted threads wait for each other
def test_several_threads_may_ask_a_fitted_imputer_at_once() -> None:
    X, _ = mixed(n_rows=60)
    X[:, :2] = np.nan_to_num(X[:, :2])
    new = mixed(1, 30, 0.4)[0]
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            filling = of_mixed().fit(X)
            answers: dict[int, Any] = {}
            start = threading.Barrier(4)

            def ask(
                who: int, filling: Any = filling, start: Any = start, said: Any = answers
            ) -> None:
                start.wait()
                said[who] = filling.transform(new)

            asking = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
            for one in asking:
                one.start()
            for one in asking:
                one.join()
            assert len(answers) == 4
            for answer in answers.values():
                np.testing.assert_array_equal(answer, of_mixed().fit(X).transform(new))
    finally:
        sys.setswitchinterval(switching)


# --- labels


@pytest.mark.jit
def test_new_rows_know_nothing_of_labels() -> None:
    X, y = mixed(n_rows=40)
    new = mixed(1, 10, 0.4)[0]
    rng = np.random.default_rng(0)
    without = of_mixed().fit(X).transform(new)
    for labels in (y, rng.permutation(y), np.where(rng.random(40) < 0.3, np.nan, y)):
        np.testing.assert_array_equal(of_mixed().fit(X, labels).transform(new), without)


def test_labels_help_rows_that_have_one() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60).astype(float)
    whole = np.column_stack([y + 0.1 * rng.normal(size=60), rng.normal(size=60)])
    X = whole.copy()
    X[::3, 0] = np.nan
    filling = tgknn()
    filled = filling.fit_transform(X, y)
    assert np.abs(filled - whole)[::3, 0].max() < 0.5
    assert 1.0 - filling.feature_weights_[0].sum() > 0.9  # the label's
    never = tgknn(label_use="never").fit_transform(X, y)
    np.testing.assert_array_equal(never, tgknn().fit_transform(X))
    assert np.abs(never - whole)[::3, 0].max() > 0.5
    some = y.copy()
    some[::6] = np.nan
    partly = tgknn().fit_transform(X, some)
    np.testing.assert_array_equal(partly[::6], never[::6])  # filled as if there were no class
    assert np.abs(partly - whole)[3::6, 0].max() < 0.5


@pytest.mark.parametrize("y", ["one", "missing", "fractions"])
def test_labels_that_tell_nothing(y: str) -> None:
    X, _ = mixed()
    labels: Any = {
        "one": np.zeros(20), "missing": np.full(20, np.nan),
        "fractions": np.random.default_rng(0).random(20),
    }[y]  # fmt: skip
    np.testing.assert_array_equal(of_mixed().fit_transform(X, labels), of_mixed().fit_transform(X))


@pytest.mark.jit
def test_cross_fitted_rows_do_not_see_their_label() -> None:
    X, y = mixed(n_rows=30)
    filling = of_mixed(label_use="cross-fit")
    filled = filling.fit_transform(X, y)
    fold = filling.folds_[np.flatnonzero(np.isnan(X).any(axis=1))[0]]
    held_out = filling.folds_ == fold
    others = of_mixed().fit(X[~held_out], y[~held_out])
    np.testing.assert_array_equal(filled[held_out], others.transform(X[held_out]))
    blind = of_mixed().fit(X)
    np.testing.assert_array_equal(filling.feature_weights_, blind.feature_weights_)
    assert filling.targets_ == blind.targets_  # nothing is learnt from labels, but the folds
    row, column = np.argwhere(np.isnan(X))[0]
    donors = filling.explain(row, column)
    assert sum(donor.weight for donor in donors) == pytest.approx(1.0)
    assert all(filling.folds_[donor.row] != filling.folds_[row] for donor in donors)


# --- what it tells


@pytest.mark.parametrize("labelled", [True, False])
def test_explained_donors_add_up_to_the_fill(labelled: bool) -> None:
    X, y = mixed(n_rows=30)
    y[::4] = np.nan
    new = mixed(1, 8, 0.4)[0]
    filling = of_mixed()
    tables = (X, filling.fit_transform(X, y if labelled else None), None), (
        new, filling.transform(new), new,
    )  # fmt: skip
    n_negative = 0
    for holey, filled, asked in tables:
        for row, column in np.argwhere(np.isnan(holey)):
            donors = filling.explain(row, column, asked)
            assert sum(donor.weight for donor in donors) == pytest.approx(1.0)
            counted = [abs(donor.weight) for donor in donors]
            assert counted == sorted(counted, reverse=True)
            assert len({donor.row for donor in donors}) == len(donors)
            n_negative += sum(donor.weight < 0 for donor in donors)
            for donor in donors:
                assert donor.observed
                assert donor.value == X[donor.row, column]
                assert 0.0 <= donor.distance <= 1.0
            if column < 3:
                mean = sum(donor.weight * donor.value for donor in donors)
                clipped = np.clip(mean, np.nanmin(X[:, column]), np.nanmax(X[:, column]))
                assert filled[row, column] == pytest.approx(clipped, rel=1e-7)
            else:
                votes = dict.fromkeys({donor.value for donor in donors}, 0.0)
                for donor in donors:
                    votes[donor.value] += donor.weight
                assert votes[filled[row, column]] == pytest.approx(max(votes.values()))
    assert n_negative > 0


def test_a_nearest_donor_of_a_fill_is_at_the_grey_distance() -> None:
    X, _ = mixed(n_rows=30)
    filling = of_mixed().fit(X)
    seen = naive.ranks(plain(X), plain(X), KINDS)
    weights = filling.feature_weights_.tolist()
    row, column = (int(place) for place in np.argwhere(np.isnan(X))[0])
    for donor in filling.explain(row, column):
        grade = naive.grade(seen[row], seen[donor.row], weights[column], KINDS, 0.2)
        assert donor.distance == pytest.approx(1.0 - grade)


def test_reports() -> None:
    X, y = mixed(n_rows=60)
    X[:, 0] = np.nan_to_num(X[:, 0])
    table = np.column_stack([np.full(60, np.nan), X])
    filling = tgknn(categorical_features=[4, 5], keep_empty_features=True)
    with pytest.warns(UserWarning, match="stay empty"):
        filling.fit(table, y)
    assert filling.targets_ is not None
    assert list(filling.targets_) == [2, 3, 4, 5]
    assert filling.n_neighbors_.shape == (6,)
    assert (filling.n_neighbors_ > 0).tolist() == [False, False, True, True, True, True]
    assert filling.feature_weights_.shape == (6, 6)
    assert (np.diag(filling.feature_weights_) == 0.0).all()
    assert (filling.feature_weights_[0] == 0.0).all()
    assert (filling.feature_weights_.sum(axis=1)[1:] <= 1.0 + 1e-12).all()
    assert filling.selection_errors_ is None
    assert filling.n_iter_ == 1
    for report in filling.targets_.values():
        assert sum(report.shares.values()) == pytest.approx(1.0)
        assert min(report.shares.values()) >= 0.0
        assert list(report.shares)[-1] == "line"
    assert filling.targets_[2].error < 0.6 * np.nanstd(X[:, 1])  # in the column's units
    assert filling.targets_[4].error < 0.4  # of three levels, that others tell
    assert filling.targets_[5].error > 0.3  # of two, that nothing tells
    assert GreyKNNImputer().fit(X, y).targets_ is None


@pytest.mark.jit
def test_the_error_told_is_the_error_to_expect() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(200, 2))
    X = hidden @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(200, 5))
    holey = X.copy()
    gaps = rng.random(200) < 0.4
    holey[gaps, 0] = np.nan
    filling = tgknn().fit(holey)
    error = float(np.sqrt(np.mean((filling.fit_transform(holey) - X)[gaps, 0] ** 2)))
    assert filling.targets_ is not None
    assert filling.targets_[0].error == pytest.approx(error, rel=0.25)


@pytest.mark.jit  # takes too long otherwise
def test_a_row_left_out_does_not_help_to_fill_what_it_is_predicted_from() -> None:
    ratios = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(200, 4))
        X[:, 1:] += X[:, :1]
        gaps = rng.random(X.shape) < 0.5
        holey = np.where(gaps, np.nan, X)
        filling = tgknn()
        filled = filling.fit_transform(holey)
        assert filling.targets_ is not None
        error = np.sqrt(np.mean((filled - X)[gaps[:, 0], 0] ** 2))
        ratios.append(filling.targets_[0].error / error)
    assert np.mean(ratios) > 0.9  # with what the row itself fills it is far less


@pytest.mark.parametrize("k", [1, 4, 500])
def test_a_number_of_neighbours_is_kept(k: int) -> None:
    X, y = mixed()
    filling = of_mixed(n_neighbors=k).fit(X, y)
    donors = (~np.isnan(X)).sum(axis=0)
    assert filling.targets_ is not None
    for column, report in filling.targets_.items():
        assert report.n_neighbors == min(k, donors[column])


def test_a_perfect_relation() -> None:
    X = np.column_stack([np.arange(40.0), 3.0 * np.arange(40.0) + 2.0])
    X[[3, 17, 30], 1] = np.nan
    filling = tgknn()
    filled = filling.fit_transform(X)
    assert np.abs(filled[:, 1] - 3.0 * X[:, 0] - 2.0).max() < 1.0
    assert filling.targets_ is not None
    assert filling.targets_[1].error < 1.5
    shares = filling.targets_[1].shares
    assert max(shares, key=lambda proposal: shares[proposal]) == "line"


# --- many rows


@pytest.mark.jit
def test_of_many_donors_a_sample_carries_the_ridges(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = mixed(n_rows=80)
    before = of_mixed().fit_transform(X, y)
    most = int((~np.isnan(X)).sum(axis=0).max())
    monkeypatch.setattr(learner, "MOST_PILLARS", most)
    np.testing.assert_array_equal(of_mixed().fit_transform(X, y), before)
    monkeypatch.setattr(learner, "MOST_PILLARS", 20)
    filling = of_mixed()
    filled = filling.fit_transform(X, y)
    assert_observed_kept(X, filled)
    assert (filled != before).any()
    np.testing.assert_array_equal(of_mixed().fit_transform(X, y), filled)
    assert (of_mixed(random_state=1).fit_transform(X, y) != filled).any()
    for column, one in filling._model.known.targets.items():
        pillars = one.task.pillars
        assert len(np.unique(pillars)) == 20
        assert not np.isnan(X[pillars, column]).any()
    monkeypatch.setattr(target, "MOST_SCOUTS", 5)
    scouted = of_mixed().fit_transform(X, y)
    assert_observed_kept(X, scouted)
    monkeypatch.setattr(target, "MOST_SCOUTS", 20)
    np.testing.assert_array_equal(of_mixed().fit_transform(X, y), filled)


def test_near_rows_are_looked_for_among_all_donors(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(60, 1)), 1) ** [1, 3]
    X[::4, 1] = np.nan
    monkeypatch.setattr(learner, "MOST_PILLARS", 6)
    filling = tgknn(n_neighbors=9).fit(X)
    assert filling.n_neighbors_.tolist() == [0, 9]
    pillars = filling._model.known.targets[1].task.pillars
    behind = {donor.row for donor in filling.explain(0, 1)}
    assert len(behind - set(pillars.tolist())) > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_sample_of_equal_numbers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "MOST_PILLARS", 10)
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.full(60, rng.random()), rng.normal(size=60), rng.integers(0, 3, 60)])
    X[:2, 0] = 0.0, 1.0
    X[2:][rng.random((58, 3)) < 0.1] = np.nan
    filled = tgknn(categorical_features=[2]).fit_transform(X)
    assert_observed_kept(X, filled)


# --- refused


def test_what_does_not_go_with_it() -> None:
    X, y = mixed()
    with pytest.raises(ValueError, match=r"metric_on='imputed' is for the paper's methods.*Leave"):
        of_mixed(metric_on="imputed").fit(X, y)
    for wrong in ({"average": "weighted"}, {"weights": "class"}):
        fields = {"metric": "grey", "weights": "target", "partition": False, "average": "stacked"}
        with pytest.raises(ValueError, match="go together"):
            Method(**{**fields, **wrong})  # type: ignore[arg-type]
    for wrong in ({"metric": "heom"}, {"partition": True}):
        with pytest.raises(ValueError, match='needs metric="grey" and partition=False'):
            Method(**{**fields, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rho=0\.0 must be above 0"):
        Method(**fields, rho=0.0)  # type: ignore[arg-type]


@pytest.mark.jit
def test_rho_is_the_methods_own_unless_given() -> None:
    X, y = mixed(n_rows=40)
    plain_fill = of_mixed().fit_transform(X, y)
    np.testing.assert_array_equal(of_mixed(rho=0.2).fit_transform(X, y), plain_fill)
    assert (of_mixed(rho=2.0).fit_transform(X, y) != plain_fill).any()
    cgknn = GreyKNNImputer(n_neighbors=3, categorical_features=[3, 4])
    np.testing.assert_array_equal(
        cgknn.set_params(rho=0.5).fit_transform(X, y),
        cgknn.set_params(rho=None).fit_transform(X, y),
    )
    assert METHODS["tgknn"].rho == 0.2


# --- in the shell


@pytest.mark.jit
def test_the_shell_tells_what_was_chosen(tmp_path: Any) -> None:
    X, y = mixed(n_rows=40)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(y=np.where(y > 0, "up", "down"))
    frame["d"] = frame["d"].map({0: "low", 1: "middle", 2: "high"})
    frame.to_csv(tmp_path / "in.csv", index=False)
    options = ["--method", "tgknn", "-t", "y", "-o", f"{tmp_path}/out.csv"]
    result = CliRunner().invoke(main, ["impute", f"{tmp_path}/in.csv", *options])
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    start = lines.index("  method   tgknn, chosen for each column:")
    filling = tgknn().fit(frame[list("abcde")], frame["y"])
    assert filling.targets_ is not None
    for line, (name, report) in zip(lines[start + 1 :], filling.targets_.items()):
        most = max(report.shares, key=lambda proposal: report.shares[proposal])
        wrong = f"{report.error:.1%} wrong" if name == "d" else f"{report.error:.3g} off"
        chosen = f"k = {report.n_neighbors}, most by {most}"
        assert line == f"    {name}: {wrong} where left out, {chosen}"
    assert not pd.read_csv(tmp_path / "out.csv").isna().any(axis=None)
    wrong = CliRunner().invoke(
        main, ["impute", f"{tmp_path}/in.csv", *options, "-f", "--metric-on", "imputed"]
    )
    assert wrong.exit_code != 0
    assert "is for the paper's methods" in wrong.output


# --- how well it fills


@pytest.mark.jit  # takes too long otherwise
def test_it_fills_iris_better_than_others() -> None:
    X, y = load_iris(return_X_y=True)
    errors: dict[str, list[float]] = {}
    for seed in range(3):
        gaps = np.random.default_rng(seed).random(X.shape) < 0.2
        holey = np.where(gaps, np.nan, X)
        fills = {
            "tgknn": greyknn.impute(holey, y, method="tgknn"),
            "cgknn": greyknn.impute(holey, y),
            "blind": greyknn.impute(holey, method="tgknn"),
            "knn": KNNImputer().fit_transform(holey),
        }
        for name, filled in fills.items():
            errors.setdefault(name, []).append(rmse(filled, X, gaps))
    means = {name: np.mean(error) for name, error in errors.items()}
    assert means["tgknn"] < 0.97 * means["cgknn"]
    assert means["tgknn"] < 0.9 * means["knn"]
    assert means["blind"] < means["knn"]


@pytest.mark.jit
def test_it_fills_mixtures_of_factors_much_better_than_neighbours() -> None:
    from bench.data import factors, with_gaps

    X, _ = factors(500)
    holey = with_gaps(X, 0.2)
    gaps = np.isnan(holey)
    ours = rmse(greyknn.impute(holey, method="tgknn"), X, gaps)
    assert ours < 0.9 * rmse(KNNImputer().fit_transform(holey), X, gaps)


@pytest.mark.jit
def test_it_finds_the_cubes_among_noise() -> None:
    from bench.paper_tables import four_cubes

    X, y = four_cubes(np.random.default_rng(0))
    gaps = np.zeros(X.shape, dtype=bool)
    gaps[np.random.default_rng(0).choice(400, 80, replace=False), 0] = True
    holey = np.where(gaps, np.nan, X)
    filling = tgknn()
    error = np.sqrt(np.mean((filling.fit_transform(holey, y) - X)[gaps] ** 2))
    means = np.array([np.nanmean(holey[y == label, 0]) for label in (0, 1)])
    of_means = np.sqrt(np.mean((means[y] - X[:, 0])[gaps[:, 0]] ** 2))
    assert error < 0.4 * of_means
    assert (filling.feature_weights_[0, 3:] == 0.0).mean() > 0.7  # noise weighs nothing
