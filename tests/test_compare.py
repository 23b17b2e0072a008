"""Imputers side by side: every score against its definition, and every method against the rules."""

from __future__ import annotations

import json
import math
import os
import stat
import sys
import types
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import MinMaxScaler
from sklearn.tree import DecisionTreeClassifier

import greyknn
from greyknn import compare
from greyknn.cli import main
from greyknn.evaluation import PEERS, Encoded, Filler, Results, fillers, peers, r, runs, scores
from greyknn.evaluation.meter import measured
from greyknn.evaluation.peers import ForestLoop, MatchedRidge
from greyknn.evaluation.picture import indistinct
from greyknn.evaluation.results import critical_difference
from greyknn.evaluation.tables import Data

BUILT_IN = ["mean", "mean+indicator", "knn", "ridge", "mice", "forest"]


def mixed(n_rows: int = 90, seed: int = 0) -> tuple[pd.DataFrame, list[str]]:
    """Three groups that all columns tell, one of them a category of three levels."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, n_rows)
    X = pd.DataFrame({
        "size": 10.0 * group + rng.normal(size=n_rows),
        "colour": np.array(["red", "green", "blue"])[group],
        "weight": 100.0 - 20.0 * group + rng.normal(size=n_rows),
        "old": group == 1,
    })  # fmt: skip
    return X, [f"class {g}" for g in group]


def quick(X: Any, y: Any = None, **options: Any) -> Results:
    options = {"rates": 0.2, "repeats": 1, "classifiers": {}, "verbose": 0} | options
    return compare(X, y, **options)


def mean_fill(X: Any, y: Any) -> Any:
    """Column means, by class where there are labels: numbers only."""
    if y is None:
        return X.fillna(X.mean())
    return X.groupby(y.to_numpy()).transform(lambda cells: cells.fillna(cells.mean()))


class Spy(BaseEstimator):  # type: ignore[misc]
    """Fills with 0, and remembers what it saw."""

    seen: list[tuple[str, Any, Any]] = []  # noqa: RUF012 (clones share it)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        self.seen.append(("fit", X, y))
        return X.fillna(0.0)

    def transform(self, X: Any) -> Any:
        self.seen.append(("transform", X, None))
        return X.fillna(0.0)


@pytest.fixture
def spied() -> Iterator[list[tuple[str, Any, Any]]]:
    Spy.seen.clear()
    yield Spy.seen
    Spy.seen.clear()


# --- scores -----------------------------------------------------------------------------------


def test_errors_are_those_of_equation_38() -> None:
    X = pd.DataFrame({"a": [0.0, 10.0, 5.0, 2.0], "b": ["x", "y", "x", "y"], "c": [7.0] * 4})
    data = Data.of(X, None, "from_dtype", "t")
    truth = data.matrix
    filled = truth + np.array([[1.0, 0, 0], [5, 1, 3], [0, 0, 0], [9, 1, 0]])
    removed = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=bool)
    told = scores.errors(data, truth, filled, removed)
    numbers = [1 / 10, 3 / 1, 0.0, 9 / 10]  # a constant column has range 1
    categories = [1.0, 0.0]
    assert told["numeric_rmse"] == pytest.approx(math.sqrt(sum(e * e for e in numbers) / 4))
    assert told["categorical_error"] == 0.5
    both = numbers + categories
    assert told["rmse"] == pytest.approx(math.sqrt(sum(e * e for e in both) / 6))
    none = scores.errors(data, truth, filled, np.zeros_like(removed))
    assert all(math.isnan(value) for value in none.values())


def naive_energy(a: list[Any], b: list[Any], distance: Callable[[Any, Any], float]) -> float:
    def mean(left: list[Any], right: list[Any]) -> float:
        return sum(distance(x, y) for x in left for y in right) / (len(left) * len(right))

    return 2 * mean(a, b) - mean(a, a) - mean(b, b)


def test_energy_distance_by_loops() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 3)), rng.normal(0.5, size=(9, 3))
    expected = naive_energy(a.tolist(), b.tolist(), math.dist)
    assert expected > 0.05
    assert scores.energy_distance(a, b) == pytest.approx(expected, rel=1e-12)
    assert scores.energy_distance(a, a[::-1]) == pytest.approx(0.0, abs=1e-12)


def test_energy_distance_is_of_rows_that_lost_a_cell() -> None:
    X = pd.DataFrame(
        {"a": [0.0, 4.0, 2.0, None, 1.0], "b": ["x", "y", "z", "y", "x"], "c": [0.0, 1, 0, 1, 0]}
    )
    data = Data.of(X, None, "from_dtype", "t")
    filled = np.array([[1.0, 0, 0], [4, 1, 0], [2, 2, 9], [3, 2, 1], [1, 0, 0]])
    removed = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    told = scores.imputed_energy(data, data.matrix, filled, removed, np.random.default_rng(0))
    rows = [0, 1, 3]
    ours = filled[rows].tolist()
    theirs = [[0.0, 0, 0], [4, 1, 1], [3, 1, 1]]  # the table's own gap is filled on both sides

    def distance(x: list[float], y: list[float]) -> float:
        a, c = (x[0] - y[0]) / 4, x[2] - y[2]
        return math.sqrt(a * a + (x[1] != y[1]) + c * c)

    assert told == pytest.approx(naive_energy(ours, theirs, distance), rel=1e-12)
    nothing = np.zeros_like(removed)
    assert math.isnan(
        scores.imputed_energy(data, data.matrix, filled, nothing, np.random.default_rng(0))
    )


def test_energy_distance_looks_at_some_rows_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "MOST_ROWS", 5)
    sizes = []
    monkeypatch.setattr(scores, "energy_distance", lambda a, b: sizes.append((len(a), len(b))))
    X = np.random.default_rng(0).random((30, 2))
    data = Data.of(X, None, "from_dtype", "t")
    removed = np.ones(X.shape, dtype=bool)
    scores.imputed_energy(data, X, X, removed, np.random.default_rng(0))
    assert sizes == [(5, 5)]


def test_a_perfect_imputer_scores_nothing() -> None:
    X, y = mixed()
    truth = Data.of(X, y, "from_dtype", "t").frame
    row = quick(X, y, methods={"perfect": lambda X, y: truth.loc[X.index]}).iloc[0]
    assert row["failure"] is None or math.isnan(row["failure"])
    assert row["numeric_rmse"] == row["categorical_error"] == row["rmse"] == 0.0
    assert row["energy_distance"] == pytest.approx(0.0, abs=1e-12)
    assert row["cells"] == round(0.2 * X.size)
    assert row["seconds"] > 0


def test_a_constant_scores_what_it_must() -> None:
    X, y = mixed()
    seen: list[Any] = []

    def constant(X: Any, y: Any) -> Any:
        seen.append(X)
        return X.fillna({"size": 3.0, "weight": 80.0, "colour": "red", "old": True})

    row = quick(X, y, methods={"constant": constant}).iloc[0]
    gaps = seen[0].isna()
    fills = {"size": 3.0, "weight": 80.0, "colour": "red", "old": True}
    numbers, wrong = [], []
    for name, fill in fills.items():
        span = X[name].max() - X[name].min() if name in ("size", "weight") else None
        for truth, gap in zip(X[name], gaps[name]):
            if gap and span is not None:
                numbers.append((truth - fill) / span)
            elif gap:
                wrong.append(float(truth != fill))
    assert len(numbers + wrong) == row["cells"]
    assert row["numeric_rmse"] == pytest.approx(math.sqrt(np.mean(np.square(numbers))))
    assert row["categorical_error"] == pytest.approx(np.mean(wrong))
    assert row["rmse"] == pytest.approx(math.sqrt(np.mean(np.square(numbers + wrong))))


def test_own_gaps_are_neither_removed_nor_scored() -> None:
    X = np.random.default_rng(0).random((40, 3))
    X[::4, 1] = np.nan
    seen: list[Any] = []

    def fill(X: Any, y: Any) -> Any:
        seen.append(X)
        return X.fillna(0.5)

    row = quick(X, methods={"half": fill}).iloc[0]
    gaps = seen[0].isna().to_numpy()
    assert gaps[np.isnan(X)].all()
    assert row["cells"] == (gaps & ~np.isnan(X)).sum() == round(0.2 * (~np.isnan(X)).sum())


def test_naive_bayes_by_hand() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(40) % 4 == 0).astype(int)
    X = np.column_stack([rng.normal(y, 1.0), (rng.random(40) < 0.2 + 0.5 * y).astype(float)])
    model = scores.NaiveBayes().fit(X, y)
    asked = np.column_stack([np.linspace(-2, 3, 21), np.arange(21) % 2])
    expected = []
    for number, indicator in asked:
        logs = []
        for label in (0, 1):
            own = X[y == label]
            mean, variance = own[:, 0].mean(), own[:, 0].var()
            share = (own[:, 1].sum() + 1) / (len(own) + 2)
            logs.append(
                math.log(len(own) / 40) - 0.5 * math.log(2 * math.pi * variance)
                - (number - mean) ** 2 / (2 * variance)
                + math.log(share if indicator else 1 - share)
            )  # fmt: skip
        expected.append(int(logs[1] > logs[0]))
    assert 0 < sum(expected) < 21
    assert model.predict(asked).tolist() == expected
    numbers = rng.normal(size=(40, 2))
    plain = GaussianNB().fit(numbers, y).predict(numbers)
    assert (scores.NaiveBayes().fit(numbers, y).predict(numbers) == plain).all()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="told by Linux only")
def test_memory_is_that_of_the_call() -> None:
    large = np.ones(2**24)  # 128 MiB that are there before
    result, seconds, mib = measured(lambda n: float(np.ones(n * 2**17).sum()), 64)
    assert result == 64 * 2**17
    assert seconds > 0
    assert 63 < mib < 80
    again = measured(lambda: None)
    assert again.mib < 8
    assert large.sum() == 2**24


def test_memory_may_be_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CLEAR", "STATUS"):
        monkeypatch.setattr(f"greyknn.evaluation.meter.{name}", tmp_path / "no" / "such")
    assert math.isnan(measured(lambda: None).mib)


# --- what methods see --------------------------------------------------------------------------


def test_every_method_gets_the_same_cells(spied: list[Any]) -> None:
    X = np.random.default_rng(0).random((30, 3))
    seen: list[Any] = []

    def fill(X: Any, y: Any) -> Any:
        seen.append(X)
        return X.fillna(0.0)

    quick(X, methods={"spy": Spy(), "function": fill}, repeats=2, rates=[0.1, 0.2])
    assert len(seen) == len(spied) == 4
    for ours, (_, theirs, _) in zip(seen, spied):
        assert ours.equals(theirs)
    for one, other in product(range(4), repeat=2):
        assert (one == other) == seen[one].isna().equals(seen[other].isna())


@pytest.mark.parametrize("mechanism", ["mar", "mnar"])
def test_mechanisms_are_those_of_ampute(mechanism: str) -> None:
    X = np.random.default_rng(0).random((200, 2))
    seen: list[Any] = []

    def fill(X: Any, y: Any) -> Any:
        seen.append(X.isna().to_numpy())
        return X.fillna(0.0)

    results = quick(X, methods={"f": fill}, mechanisms=mechanism, rates=0.3)
    assert results["mechanism"].tolist() == [mechanism]
    gaps = seen[0]
    own = [X[gaps[:, j], j].mean() - X[~gaps[:, j], j].mean() for j in range(2)]
    assert (min(own) > 0.1) == (mechanism == "mnar")


def test_test_rows_are_filled_without_labels(spied: list[Any]) -> None:
    X, y = load_iris(return_X_y=True)
    quick(X, y, methods={"spy": Spy()}, classifiers={"tree": DecisionTreeClassifier()})
    (_, scored, y_scored), (what, train, y_train), (new, test, none), (_, all_, y_all) = spied
    assert (what, new, none) == ("fit", "transform", None)
    assert train.equals(scored)
    assert len(test) == 45
    assert set(train.index).isdisjoint(test.index)
    assert test.isna().any(axis=None)
    for frame, labels in ((train, y_train), (train, y_scored), (all_, y_all)):
        assert labels.astype(int).tolist() == y[frame.index].tolist()
    assert all_.index.tolist() == list(range(150))
    assert np.bincount(y[test.index]).tolist() == [15, 15, 15]  # stratified


def test_peers_get_the_label_as_a_column_only_where_all_may(spied: list[Any]) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    X = X.set_axis(["label", "b", "c", "d"], axis=1)

    class WithColumn(Spy):
        def fit_transform(self, X: Any, y: Any = None) -> Any:
            self.seen.append(("fit", X, y))
            return X.fillna({name: 0.0 for name in X if name != "label_"})

    quick(
        X, y, methods={"spy": Filler(WithColumn(), "column")},
        classifiers={"tree": DecisionTreeClassifier()},
    )  # fmt: skip
    assert [list(seen.columns) for _, seen, _ in spied] == [
        ["label", "b", "c", "d", "label_"], ["label", "b", "c", "d"], ["label", "b", "c", "d"],
        ["label", "b", "c", "d", "label_"],
    ]  # fmt: skip
    assert all(labels is None for _, _, labels in spied)
    labelled = spied[3][1]["label_"]
    assert labelled.astype(int).tolist() == y.tolist()


def test_functions_fill_test_rows_beside_training_rows_without_labels() -> None:
    X, y = load_iris(return_X_y=True)
    seen: list[Any] = []

    def fill(X: Any, y: Any) -> Any:
        seen.append((X, y))
        return X.fillna(X.mean()).to_numpy()

    classifiers = {"tree": DecisionTreeClassifier()}
    row = quick(X, y, methods={"f": fill}, classifiers=classifiers).iloc[0]
    assert 0.8 < row["accuracy_tree"] <= 1
    assert [len(X) for X, _ in seen] == [105, 150, 150]
    assert seen[1][1] is None
    assert seen[1][0].index[:105].equals(seen[0][0].index)


@pytest.mark.jit  # takes too long otherwise
def test_labels_leak_into_cross_validation_of_filled_tables() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(240, 6)), rng.integers(0, 2, 240)  # nothing to be learnt
    results = compare(
        X, y, methods={"class mean": mean_fill, "cgknn": "cgknn"}, rates=0.4, repeats=2,
        classifiers={"tree": DecisionTreeClassifier()}, verbose=0,
    )  # fmt: skip
    told = results.summary()
    assert (told["accuracy"] < 0.62).all()
    assert (told["leaky"] > told["accuracy"] + 0.1).all()
    assert told.loc["class mean", "leaky"] > 0.7


def test_rows_without_label_are_filled_but_not_classified(spied: list[Any]) -> None:
    X, y = load_iris(return_X_y=True)
    labels = np.where(np.arange(150) % 5 == 0, None, y)
    row = quick(X, labels, methods={"spy": Spy()}, classifiers={"tree": DecisionTreeClassifier()})
    assert 0.6 < row["accuracy_tree"].iloc[0] <= 1
    assert spied[3][2].isna().sum() == 30


def test_unlabelled_rows_are_no_class() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.integers(-1, 2, 60)
    tree = {"tree": DecisionTreeClassifier()}
    told = scores.accuracies(tree, X[:40], y[:40], X[40:], y[40:], 0)["tree"]
    train, test = np.flatnonzero(y[:40] >= 0), 40 + np.flatnonzero(y[40:] >= 0)
    guesses = DecisionTreeClassifier(random_state=0).fit(X[train], y[train]).predict(X[test])
    assert told == np.mean(guesses == y[test])


def test_without_labels_there_are_no_accuracies() -> None:
    X, _ = mixed()
    results = compare(X, methods="mean", rates=0.1, repeats=1, verbose=0)
    assert not [name for name in results if "accuracy" in name or "leaky" in name]
    assert results["test_size"].tolist() == [0.0]
    assert results["cells"].tolist() == [36]


def test_classes_of_one_row_can_be_compared() -> None:
    X, y = mixed(30)
    y[0] = "alone"
    classifiers = {"tree": DecisionTreeClassifier()}
    results = quick(X, y, methods=["mean"], classifiers=classifiers)
    assert results["failure"].isna().all()
    few = quick(X, y, methods=["mean"], classifiers=classifiers, test_size=0.05)
    assert few["failure"].isna().all()


# --- peers --------------------------------------------------------------------------------------


def small(name: str) -> Filler:
    """A peer, its forests of 10 trees."""
    return Filler(ForestLoop(10), "column") if name == "forest" else fillers.known(name)


def gappy(X: Any, y: Any, seed: int = 0) -> tuple[Data, Any]:
    data = Data.of(X, y, "from_dtype", "t")
    return data, greyknn.ampute(data.frame, 0.25, random_state=seed)


@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
@pytest.mark.parametrize("name", BUILT_IN)
def test_peers_complete_mixed_tables(name: str) -> None:
    data, X = gappy(*mixed(60))
    rows = np.arange(60)
    filler = small(name).seeded(0)
    alone = data.read(filler.together(X, None), X)
    helped = data.read(filler.together(X, data.y(rows)), X)
    first, new = filler.apart(X[:40], data.y(rows[:40]), X[40:])
    for filled in (alone, helped, np.vstack([data.read(first, X[:40]), data.read(new, X[40:])])):
        assert not np.isnan(filled).any()
        assert (filled[X.notna()] == data.matrix[X.notna()]).all()
    again = small(name).seeded(0).together(X, data.y(rows))
    assert data.read(again, X).tolist() == helped.tolist()


@pytest.mark.parametrize("name", ["knn", "ridge", "mice", "forest"])
def test_peers_are_wired_well_enough_to_beat_the_mean(name: str) -> None:
    X, y = mixed()
    methods = {"mean": "mean", name: small(name)}
    results = quick(X, methods=methods)
    error = results.set_index("method")[["numeric_rmse", "categorical_error"]]
    assert (error.loc[name] < 0.6 * error.loc["mean"]).all()
    labelled = quick(X, y, methods=methods).set_index("method")
    assert labelled.loc[name, "rmse"] < error.loc[name].max()


def test_mean_and_mode_are_those_of_the_columns() -> None:
    data, X = gappy(*mixed(40))
    filled = fillers.known("mean").together(X, data.y(np.arange(40)))
    for name in ("size", "weight"):
        assert filled[name][X[name].isna()].to_numpy() == pytest.approx(X[name].mean())
    for name in ("colour", "old"):
        assert set(filled[name][X[name].isna()]) == {X[name].mode()[0]}


def test_indicators_reach_the_classifiers() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), rng.integers(0, 2, 120)
    X[(y == 1) & (rng.random(120) < 0.8), 0] = np.nan  # that it is missing tells the class
    results = quick(
        X, y, methods=["mean", "mean+indicator"], rates=0.05,
        classifiers={"nb": scores.NaiveBayes()},
    ).set_index("method")  # fmt: skip
    assert results.loc["mean+indicator", "accuracy_nb"] > results.loc["mean", "accuracy_nb"] + 0.1
    assert results.loc["mean+indicator", "rmse"] == results.loc["mean", "rmse"]


def test_knn_is_sklearn_on_scaled_numbers_and_indicators() -> None:
    data = Data.of(*mixed(50), "from_dtype", "t")
    # Sizes are all there, so that no distances tie, which rounding errors would decide.
    X = greyknn.ampute(data.frame, 0.25, columns=["colour", "weight", "old"])
    scaler = MinMaxScaler().fit(X[["size", "weight"]].to_numpy())
    blocks = [scaler.transform(X[["size", "weight"]].to_numpy())]
    for name in ("colour", "old"):
        dummies = pd.get_dummies(X[name]).astype(float)
        dummies[X[name].isna()] = np.nan
        blocks.append(dummies.to_numpy())
    expected = KNNImputer(n_neighbors=3).fit_transform(np.hstack(blocks))
    filled = data.read(Encoded(KNNImputer(n_neighbors=3), MinMaxScaler()).fit_transform(X), X)
    np.testing.assert_allclose(filled[:, [0, 2]], scaler.inverse_transform(expected[:, :2]))
    assert filled[:, 1].tolist() == expected[:, 2:5].argmax(axis=1).tolist()
    assert filled[:, 3].tolist() == expected[:, 5:].argmax(axis=1).tolist()
    # The user's own KNNImputer is wired the same way.
    brought = fillers.brought("mine", KNNImputer(n_neighbors=3)).together(X, None)
    assert data.read(brought, X).tolist() == filled.tolist()


def test_new_rows_may_show_a_category_that_was_not_learnt() -> None:
    X = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, None], "b": pd.Categorical(list("xyxyzz"))})
    filler = fillers.known("knn")
    _, new = filler.apart(X[:4], None, X[4:])
    assert new["b"].tolist() == ["z", "z"]
    assert new["a"].notna().all()


def test_matched_values_are_observed_ones_near_by() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = X @ [2.0, -1.0] + 0.1 * rng.normal(size=300)
    model = MatchedRidge(random_state=np.random.RandomState(0)).fit(X[:250], y[:250])
    drawn = model.predict(X[250:])
    assert set(drawn) <= set(y[:250])
    assert np.sqrt(np.mean((drawn - y[250:]) ** 2)) < 0.3
    assert (model.predict(X[250:]) != drawn).any()
    few = MatchedRidge(random_state=np.random.RandomState(0)).fit(X[:3], y[:3])
    assert set(few.predict(X)) <= set(y[:3])


def test_indicators_are_drawn_with_their_noise() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 1))
    y = (rng.random(2000) < 0.3).astype(float)
    drawn = MatchedRidge(random_state=np.random.RandomState(0)).fit(X, y).predict(X)
    assert drawn.mean() == pytest.approx(0.3, abs=0.05)
    assert drawn.std() == pytest.approx(y.std(), rel=0.1)


def test_clones_of_a_matched_ridge_draw_on() -> None:
    from sklearn.base import clone

    state = np.random.RandomState(0)
    model = MatchedRidge(random_state=state)
    assert clone(model).random_state is state


class Scripted:
    """Instead of a forest: predicts what the round says."""

    def __init__(self, rounds: list[float]) -> None:
        self.rounds, self.calls = rounds, 0

    def fit(self, X: Any, y: Any) -> None:
        self.y = y

    def predict(self, X: Any) -> Any:
        self.calls += 1
        return np.full(len(X), self.rounds[self.calls - 1])


@pytest.mark.parametrize(
    ("rounds", "kept", "n_calls"),
    [
        ([3.0, 3.1, 5.0, 5.0], 3.1, 3),
        ([3.0, 3.5, 3.6, 3.6], 3.6, 4),
        ([3.0, 9.0, 0.0, 0.0], 3.0, 2),
    ],
)
def test_forests_stop_when_the_table_changes_more(
    monkeypatch: pytest.MonkeyPatch, rounds: list[float], kept: float, n_calls: int
) -> None:
    forest = Scripted(rounds)
    monkeypatch.setattr(ForestLoop, "_forest", lambda *_: forest)
    X = pd.DataFrame({"a": [1.0, 2.0, None, 3.0], "b": [1.0, 2.0, 3.0, 4.0]})
    filled = ForestLoop(max_iter=4).fit_transform(X)
    assert filled["a"].tolist() == [1.0, 2.0, kept, 3.0]
    assert forest.calls == n_calls


def test_change_of_a_round() -> None:
    old = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 1.0]])
    new = np.array([[1.0, 1.0], [4.0, 1.0], [3.0, 1.0]])
    gaps = np.array([[0, 1], [1, 1], [0, 0]], dtype=bool)
    categorical = np.array([False, True])
    told = peers._change(old, new, gaps, categorical)
    assert told.tolist() == [4.0 / (1 + 16 + 9), 0.5]
    assert np.isnan(peers._change(old, new, gaps * [1, 0], categorical)).tolist() == [False, True]


# --- other people's software --------------------------------------------------------------------

FAKE_R = """#!{python}
import csv, sys
if "-e" in sys.argv:
    sys.exit(0 if "mice" in sys.argv[-1] else 1)
script = open(sys.argv[-1]).read()
if not all(text in script for text in ("mice::mice(d, m = 1", 'c("numeric", "factor", "numeric"')):
    sys.exit("\\nError in this():\\n  the script is another")
rows = list(csv.reader(open("gappy.csv")))
for row in rows[1:]:
    row[:] = [cell or ("c1" if j in (1, 3) else "0.5") for j, cell in enumerate(row)]
csv.writer(open("filled.csv", "w")).writerows(rows)
"""


@pytest.fixture
def rscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program in R's place that fills with 0.5 and the second category."""
    script = tmp_path / "Rscript"
    script.write_text(FAKE_R.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    r.installed.cache_clear()
    yield script
    r.installed.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="the script in R's place is for a Unix shell")
def test_tables_go_to_r_and_back(rscript: Path) -> None:
    X, y = mixed(40)
    data, X_ = gappy(X, y)
    filler = fillers.known("r-mice").seeded(0)
    filled = filler.together(X_, data.y(np.arange(40)))
    values = data.read(filled, X_)
    assert (values[X_.notna()] == data.matrix[X_.notna()]).all()
    gaps = X_.isna().to_numpy()
    assert set(values[:, [0, 2]][gaps[:, [0, 2]]]) == {0.5}
    assert set(values[:, [1, 3]][gaps[:, [1, 3]]]) == {1.0}
    row = quick(X, y, methods=["r-mice"]).iloc[0]
    assert math.isnan(row["peak_mib"])  # it is R's, in a process of its own
    assert row["rmse"] > 0


@pytest.mark.skipif(os.name == "nt", reason="the script in R's place is for a Unix shell")
def test_what_r_says_is_told(rscript: Path) -> None:
    X = np.random.default_rng(0).random((20, 2))  # another script than the one in R's place knows
    with pytest.warns(UserWarning, match=r"r-mice failed in 1 of 1 runs: RuntimeError: R's mice"):
        row = quick(X, methods=["r-mice"]).iloc[0]
    assert row["failure"].endswith("Error in this():   the script is another")
    with pytest.raises(ImportError, match=r"R's VIM was not found: install R, and in it inst"):
        quick(X, methods=["r-vim"])


def test_without_r_its_methods_are_errors_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    r.installed.cache_clear()
    for name in PEERS:
        if name.startswith("r-"):
            with pytest.raises(ImportError, match="was not found: install R"):
                fillers.known(name)
    r.installed.cache_clear()


def test_all_leaves_out_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise ImportError("no")

    for name in ("miceforest", "hyperimpute", "r-mice", "r-missforest", "r-missranger", "r-vim"):
        monkeypatch.setitem(PEERS, name, missing)
    with pytest.warns(
        UserWarning, match="Left out, as not installed or not working: miceforest, hyper"
    ):
        found = fillers.chosen("all")
    assert list(found) == [*greyknn.METHODS, "deep", *BUILT_IN]


class Kernel:
    """Instead of miceforest's: fills with the first category and with 1."""

    def __init__(self, X: Any, num_datasets: int, random_state: int) -> None:
        assert list(X.columns) == [f"x{j}" for j in range(X.shape[1])]
        assert isinstance(random_state, int)
        self.X, self.rounds = X, 0

    def mice(self, iterations: int, **options: Any) -> None:
        self.rounds = iterations

    def complete_data(self, dataset: int) -> Any:
        fills = {n: c.cat.categories[0] if hasattr(c, "cat") else 1.0 for n, c in self.X.items()}
        return self.X.fillna(fills)

    def impute_new_data(self, X: Any) -> Any:
        assert self.rounds == 5
        return Kernel(X, 1, 0)


def test_miceforest_is_wired(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("miceforest")
    module.ImputationKernel = Kernel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "miceforest", module)
    data, X = gappy(*mixed(40))
    filler = fillers.known("miceforest").seeded(0)
    values = data.read(filler.together(X, data.y(np.arange(40))), X)
    gaps = X.isna().to_numpy()
    assert set(values[:, [0, 2]][gaps[:, [0, 2]]]) == {1.0}
    assert set(values[:, [1, 3]][gaps[:, [1, 3]]]) == {0.0}
    first, new = filler.apart(X[:30], None, X[30:])
    assert data.read(first, X[:30]).tolist() + data.read(new, X[30:]).tolist() == values.tolist()


def test_hyperimpute_is_wired(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Imputers:
        def get(self, name: str, **options: Any) -> Any:
            asked.append((name, options))
            return types.SimpleNamespace(
                fit_transform=lambda X: X.fillna(0.8), transform=lambda X: X.fillna(0.9)
            )

    for name in ("hyperimpute", "hyperimpute.plugins", "hyperimpute.plugins.imputers"):
        module = types.ModuleType(name)
        module.Imputers = Imputers  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(pd, "__version__", "3.0.0")
    with pytest.raises(ImportError, match=r"nothing but means with pandas 3.0.0: pip install"):
        fillers.known("hyperimpute")
    monkeypatch.setattr(pd, "__version__", "2.3.3")
    data, X = gappy(*mixed(40))
    filler = fillers.known("hyperimpute").seeded(3)
    values = data.read(filler.together(X, data.y(np.arange(40))), X)
    gaps = X.isna().to_numpy()
    assert set(values[:, [0, 2]][gaps[:, [0, 2]]]) == {0.8}
    assert set(values[:, [1, 3]][gaps[:, [1, 3]]]) == {1.0}  # codes are rounded
    _, new = filler.apart(X[:20], None, X[20:])
    assert set(data.read(new, X[20:])[:, 0][gaps[20:, 0]]) == {0.9}
    assert asked[0][0] == "hyperimpute"
    assert asked[0][1]["class_threshold"] == 5


def test_broken_libraries_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "miceforest", None)
    with pytest.raises(ImportError, match="miceforest cannot be imported: pip install miceforest"):
        compare(np.eye(3), methods=["miceforest"])


# --- runs, failures, result files ---------------------------------------------------------------


class Counting:
    """A method that counts its calls."""

    def __init__(self, fails: bool = False) -> None:
        self.calls, self.fails = 0, fails

    def __getstate__(self) -> Any:  # what it does: not how often, nor what stops it today
        return {}

    def __call__(self, X: Any, y: Any) -> Any:
        self.calls += 1
        if self.fails:
            raise ArithmeticError("not today\nsecond line")
        return X.fillna(0.0)


def test_runs_in_the_file_are_not_run_again(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((30, 3))
    path, fill = tmp_path / "runs.jsonl", Counting()
    first = quick(X, methods={"f": fill}, repeats=3, path=path)
    assert fill.calls == 3
    again = quick(X, methods={"f": fill}, repeats=3, path=path)
    assert fill.calls == 3
    pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(again))
    longer = quick(X, methods={"f": fill, "mean": "mean"}, repeats=4, path=path)
    assert fill.calls == 4
    assert longer["method"].tolist() == ["f", "mean"] * 4
    assert len(path.read_text().splitlines()) == 8
    pd.testing.assert_frame_equal(
        pd.DataFrame(Results.read(path)).sort_values(["method", "repeat"], ignore_index=True),
        pd.DataFrame(longer).sort_values(["method", "repeat"], ignore_index=True),
    )


def test_other_runs_are_run(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((30, 3))
    path, fill = tmp_path / "runs.jsonl", Counting()
    for options in (
        {}, {"rates": 0.3}, {"random_state": 1}, {"mechanisms": "mar"}, {"name": "other"},
        {"methods": {"g": fill}}, {"categorical_features": [0]},
    ):  # fmt: skip
        before = fill.calls
        table = np.round(X * 3) if "categorical_features" in options else X
        quick(table, **{"methods": {"f": fill}, "path": path} | options)
        assert fill.calls == before + 1, options
    quick(X + 1, methods={"f": fill}, path=path)
    assert fill.calls == 8
    quick(X, methods={"f": SimpleImputer()}, path=path)  # another method of the same name
    quick(X, methods={"f": SimpleImputer(strategy="median")}, path=path)
    assert len(path.read_text().splitlines()) == 10


def test_functions_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    X, path = np.random.default_rng(0).random((30, 3)), tmp_path / "runs.jsonl"

    def filling_with(number: float) -> Callable[[Any, Any], Any]:
        return lambda X, y: X.fillna(number)

    found = [
        quick(X, methods={"f": filling_with(number)}, path=path)["rmse"][0]
        for number in (0.5, 9.0, 0.5)
    ]
    assert found[0] < 1.0 < found[1]
    assert found[2] == found[0]
    assert len(path.read_text().splitlines()) == 2  # what closes over the same is the same


def test_a_line_cut_off_is_made_again(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((30, 3))
    path, fill = tmp_path / "runs.jsonl", Counting()
    quick(X, methods={"f": fill}, repeats=2, path=path)
    path.write_text(path.read_text()[:-20])
    results = quick(X, methods={"f": fill}, repeats=2, path=path)
    assert fill.calls == 3
    assert len(results) == len(Results.read(path)) == 2
    quick(X, methods={"f": fill}, repeats=2, path=path)
    assert fill.calls == 3


@pytest.mark.parametrize("text", ['{"to": "do"}\n', "a,b\n1,2\n", "1\n", "[]\n", "\n\nnull\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    line = len(text) - len(text.lstrip()) + 1
    with pytest.raises(ValueError, match=f"notes.txt, line {line}, is no result of a comparison"):
        quick(np.eye(4), methods="mean", path=path)
    assert path.read_text() == text


def test_a_result_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no result file"):
        Results.read(tmp_path / "none.jsonl")


def test_a_failing_method_stops_nobody(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((30, 3))
    path, broken = tmp_path / "runs.jsonl", Counting(fails=True)
    methods = {"broken": broken, "mean": "mean"}
    with pytest.warns(
        UserWarning, match="^broken failed in 2 of 2 runs: ArithmeticError: not today$"
    ):
        results = quick(X, methods=methods, repeats=2, path=path)
    by_method = results.set_index("method")
    assert by_method.loc["broken", "failure"].tolist() == ["ArithmeticError: not today"] * 2
    assert by_method.loc["broken", ["rmse", "seconds"]].isna().all(axis=None)
    assert by_method.loc["mean", "rmse"].notna().all()
    assert json.loads(path.read_text().splitlines()[0])["rmse"] is None
    told = results.summary()
    assert told.loc["mean", "rank"] == 1
    assert told.loc["broken", "rank"] == 2
    assert told["failures"].tolist() == [0, 2]
    broken.fails = False  # what failed is tried again
    assert quick(X, methods=methods, repeats=2, path=path)["failure"].isna().all()
    assert broken.calls == 4
    assert Results.read(path)["failure"].isna().all()


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (lambda X, y: X, r"left \d+ of \d+ gaps"),
        (lambda X, y: X.fillna(0.0) + 1e-3, r"changed \d+ of \d+ observed cells"),
        (lambda X, y: X.fillna(0.0)[::-1], r"changed \d+ of \d+ observed cells"),
        (
            lambda X, y: X.fillna(0.0).iloc[1:],
            r"returned a table of shape \(29, 3\), not of \(30, 3",
        ),
        (lambda X, y: X.fillna(0.0).to_numpy()[:, :2], r"returned a table of shape \(30, 2\)"),
    ],
)
def test_what_methods_must_not_do(fill: Any, said: str) -> None:
    X = np.random.default_rng(0).random((30, 3)) + 1
    with pytest.warns(UserWarning, match=said):
        row = quick(X, methods={"f": fill}).iloc[0]
    assert math.isnan(row["rmse"])


def test_columns_may_come_back_in_another_order() -> None:
    X = np.random.default_rng(0).random((30, 3))
    methods = {
        "straight": lambda X, y: X.fillna(0.5),
        "turned": lambda X, y: X.fillna(0.5).T[::-1].T,
    }
    results = quick(X, methods=methods).set_index("method")
    assert results.loc["straight", "rmse"] == results.loc["turned", "rmse"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"methods": ["nix"]}, ValueError, "There is no method 'nix', but cgknn, "),
        ({"methods": []}, ValueError, "methods is empty"),
        ({"methods": 3}, TypeError, "methods is 3; pass names, or a dict"),
        ({"methods": {"a": 3}}, TypeError, r"methods\['a'\] is a int: pass a transformer"),
        ({"repeats": 0}, ValueError, "repeats is 0; pass at least 1"),
        ({"random_state": "a"}, TypeError, "random_state is 'a'; pass an integer"),
        ({"rates": []}, ValueError, r"rates=\[\]: name at least one each"),
        ({"mechanisms": []}, ValueError, r"mechanisms=\[\] and .*: name at least one each"),
        ({"rates": 1.5}, ValueError, "rate=1.5 must be"),
        ({"mechanisms": "luck"}, ValueError, "mechanism='luck' must be"),
        ({"y": [0, 1] * 15, "classifiers": None, "test_size": 0.0}, ValueError, "test_size is 0"),
        ({"y": ["a"] * 30}, ValueError, "y has 1 different labels in 30 rows"),
        ({"y": np.arange(30) / 7}, ValueError, "y has 30 different labels in 30 rows"),
    ],
)
def test_wrong_arguments(options: Any, error: Any, said: str) -> None:
    X = np.random.default_rng(0).random((30, 3))
    with pytest.raises(error, match=said):
        quick(X, **{"methods": "mean"} | options)


@pytest.mark.jit
def test_processes_give_the_rows_of_one() -> None:
    X, y = mixed(40)
    one, two = (
        quick(X, y, methods=["mean", "mice"], repeats=2, n_jobs=n).drop(
            columns=["seconds", "peak_mib"]
        )
        for n in (1, 2)
    )
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(two))


def test_tables_of_any_library() -> None:
    X, y = mixed(40)
    import polars

    expected = quick(X, y, methods="knn")["rmse"].tolist()
    assert quick(polars.DataFrame(X.to_dict("list")), y, methods="knn")["rmse"].tolist() == expected
    codes = X.assign(colour=X["colour"].map({"blue": 0, "green": 1, "red": 2})).to_numpy(float)
    told = quick(codes, y, methods="knn", categorical_features=[1, 3])["rmse"].tolist()
    assert told == pytest.approx(expected)


@pytest.mark.jit
def test_ours_take_part_by_name_and_by_hand() -> None:
    X, y = mixed()
    methods = {name: name for name in greyknn.METHODS} | {
        "one neighbour": greyknn.GreyKNNImputer(n_neighbors=1)
    }
    results = quick(X, y, methods=methods)
    assert results["failure"].isna().all()
    assert (results["rmse"] < 0.3).all()
    by_hand = {"cgknn": greyknn.GreyKNNImputer()}
    assert quick(X, y, methods=by_hand)["rmse"][0] == results["rmse"][0]


def test_names_that_repeat_as_text() -> None:
    X = pd.DataFrame({1: [1.0, 2, 3, 4] * 5, "1": [4.0, 3, 2, 1] * 5})
    assert quick(X, methods="mean")["cells"].tolist() == [8]


# --- results ------------------------------------------------------------------------------------


def made(scores_: dict[str, list[float]], **columns: Any) -> Results:
    """Results with given errors: a row per table and method."""
    rows = [
        {"table": f"t{i}", "mechanism": "mcar", "rate": 0.1, "repeat": 0, "method": method,
         "numeric_rmse": value, "categorical_error": np.nan, "rmse": value,
         "energy_distance": value, "seconds": 1.0, "peak_mib": np.nan, "failure": None}
        for method, values in scores_.items() for i, value in enumerate(values)
    ]  # fmt: skip
    return Results(rows).assign(**columns)


def test_ranks_and_tests_of_demsar() -> None:
    # The critical value and the example of Demsar (2006), 4 classifiers on 14 data sets.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert math.isnan(critical_difference(1, 5))
    rng = np.random.default_rng(0)
    values = {name: (rng.random(9) + j).tolist() for j, name in enumerate("cab")}
    values["d"] = values["a"]
    ranking = made(values).ranking()
    expected: dict[str, float] = dict.fromkeys(values, 0.0)
    for i in range(9):
        row = {name: values[name][i] for name in values}
        for name, value in row.items():
            below = sum(other < value for other in row.values())
            same = sum(other == value for other in row.values())
            expected[name] += (below + (same + 1) / 2) / 9
    assert ranking.ranks.to_dict() == pytest.approx(expected)
    assert ranking.ranks.is_monotonic_increasing
    assert (ranking.n_blocks, ranking.blocks) == (9, "settings")
    assert ranking.p_value < 1e-4
    assert made({"a": [1.0, 2], "b": [2.0, 1]}).ranking().p_value != 0  # two methods: NaN
    assert (
        made({"a": [1.0] * 4, "b": [1.0] * 4, "c": [1.0] * 4}).ranking().ranks.tolist() == [2.0] * 3
    )


def test_friedman_by_its_formula() -> None:
    values = {"a": [1.0, 2, 1, 1, 3], "b": [2.0, 1, 2, 3, 1], "c": [3.0, 3, 3, 2, 2]}
    from scipy.stats import chi2

    ranks = [np.mean(column) for column in values.values()]  # the values are ranks themselves
    statistic = 12 * 5 / (3 * 4) * (sum(rank**2 for rank in ranks) - 3 * 4**2 / 4)
    assert made(values).ranking().p_value == pytest.approx(chi2.sf(statistic, 2))


def test_accuracies_are_better_when_large() -> None:
    results = made({"a": [1.0, 1], "b": [2.0, 2]})
    results["accuracy_nb"] = [0.9, 0.8, 0.7, 0.6]
    assert results.ranking("accuracy_nb").ranks.to_dict() == {"a": 1.0, "b": 2.0}
    assert results.ranking("rmse").ranks.to_dict() == {"a": 1.0, "b": 2.0}


def test_repeats_are_averaged_unless_there_is_one_setting() -> None:
    one = made({"a": [1.0, 5.0], "b": [2.0, 2.0]}).assign(table="t", repeat=[0, 1, 0, 1])
    assert one.blocks().shape == (2, 2)
    assert one.ranking().blocks == "repeats"
    assert one.ranking().ranks.tolist() == [1.5, 1.5]
    both = pd.concat([one, one.assign(table="u")])
    assert isinstance(both, Results)
    assert both.blocks().to_numpy().tolist() == [[3.0, 2.0], [3.0, 2.0]]
    assert both.ranking().ranks.to_dict() == {"b": 1.0, "a": 2.0}
    both.iloc[0, both.columns.get_loc("rmse")] = np.nan  # a mean of the other repeats is none
    assert both.blocks()["a"].isna().tolist() == [True, False]


def test_ratios_and_summary_by_hand() -> None:
    results = made({"a": [1.0, 4.0, 2.0], "b": [2.0, 2.0, 2.0], "c": [4.0, 8.0, 4.0]})
    ratios = results.ratios()
    assert ratios.loc["a", "b"] == pytest.approx((0.5 * 2 * 1) ** (1 / 3))
    assert ratios.loc["c", "a"] == pytest.approx((4 * 2 * 2) ** (1 / 3))
    told = results.summary()
    assert told.index.tolist() == ["a", "b", "c"]
    assert told["rank"].tolist() == pytest.approx([(1 + 2 + 1.5) / 3, (2 + 1 + 1.5) / 3, 3])
    assert told["wins"].tolist() == [2, 2, 0]
    assert told.loc["a", "ratio"] == pytest.approx((1 / 2 * 4 / 2 * 2 / 2) ** (1 / 3))
    assert told.loc["c", "ratio"] == pytest.approx((4 / 1 * 8 / 2 * 4 / 2) ** (1 / 3))
    assert told.loc["c", "rmse"] == pytest.approx(16 / 3)
    assert "categorical_error" not in told
    assert "peak_mib" not in told
    failed = made({"a": [1.0, np.nan], "b": [2.0, 3.0]})
    assert failed.summary()["rank"].tolist() == [1.5, 1.5]
    assert failed.summary().loc["a", "ratio"] == pytest.approx(0.5)
    never = made({"a": [np.nan, np.nan], "b": [2.0, 3.0], "c": [4.0, 3.0]}).summary()
    assert math.isnan(never.loc["a", "ratio"])
    assert never.loc["b", "ratio"] == pytest.approx(0.5**0.5)
    assert never.loc["a", "rank"] == 3.0
    assert "ratio" not in made({"a": [1.0]}).summary()  # to nobody
    assert made({"a": [0.0, 0.0], "b": [0.0, 0.0]}).summary()["ratio"].tolist() == [1.0, 1.0]


def test_scores_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="There is no score 'luck', but table, "):
        made({"a": [1.0]}).ranking("luck")
    with pytest.raises(ValueError, match="No method has a score 'categorical_error'"):
        made({"a": [1.0]}).ranking("categorical_error")


@pytest.mark.parametrize("difference", [0.0, 0.5, 1.2, 9.0, math.nan])
def test_methods_that_cannot_be_told_apart(difference: float) -> None:
    ranks = np.array([1.0, 1.4, 2.0, 2.6, 3.9, 4.1])
    runs_ = [(i, j) for i in range(6) for j in range(i + 1, 6) if ranks[j] - ranks[i] <= difference]
    longest = [
        (i, j) for i, j in runs_
        if not any((a, b) != (i, j) and a <= i and j <= b for a, b in runs_)
    ]  # fmt: skip
    assert indistinct(ranks, difference) == longest


def test_the_picture_names_every_method(tmp_path: Path) -> None:
    results = made({"a": [1.0, 1, 1], "b": [2.0, 2, 3], "c$": [4.0, 3, 2]})
    figure = results.picture()
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    assert {"a  1.00", "b  2.33", "c\\$  2.67", "critical difference 1.91"} <= set(texts)
    bars = [line for line in figure.axes[0].collections if line.get_linewidth()[0] == 4]
    assert len(bars) == 1  # 1.67 < 1.91: none can be told apart
    figure.savefig(tmp_path / "ranks.png")
    assert (tmp_path / "ranks.png").stat().st_size > 1000
    assert made({"a": [1.0]}).picture().axes


# --- the shell ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    X, y = mixed(60)
    X.assign(species=y, id=range(60)).to_csv("data.csv", index=False)
    return tmp_path


def shell(*args: str) -> Any:
    command = ["compare", "data.csv", "--ignore", "id", "--rates", "0.2", "--repeats", "2", *args]
    return CliRunner().invoke(main, command, prog_name="greyknn")


@pytest.mark.jit
def test_the_shell_compares(home: Path) -> None:
    options = ["--methods", "mean,knn", "-t", "species", "-o", "runs.csv", "--picture", "ranks.svg",
               "--resume", "runs.jsonl"]  # fmt: skip
    result = shell(*options)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[1].split() == [
        "method", "rank", "wins", "ratio", "numbers", "wrong", "accuracy", "leaky", "seconds"
    ]  # fmt: skip
    assert [line.split()[:3] for line in lines[3:5]] == [
        ["knn", "1.00", "2"],
        ["mean", "2.00", "0"],
    ]
    assert max(map(len, lines)) <= 80
    frame = pd.read_csv("runs.csv")
    assert frame["table"].tolist() == ["data"] * 4
    assert frame["method"].tolist() == ["mean", "knn"] * 2
    assert Path("ranks.svg").read_text().startswith("<?xml")
    assert len(Path("runs.jsonl").read_text().splitlines()) == 4
    before = frame["seconds"].tolist()
    assert shell(*options, "--force").exit_code == 0
    assert pd.read_csv("runs.csv")["seconds"].tolist() == before  # nothing was run again


def test_the_shell_compares_without_classifiers(home: Path) -> None:
    result = shell(
        "--methods", "mean", "-t", "species", "--no-accuracy", "--mechanisms", "mcar,mar"
    )
    assert result.exit_code == 0, result.stderr
    assert "accuracy" not in result.stdout
    assert "over 2 settings" in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--methods", "nix"], "There is no method 'nix'"),
        (["--rates", "0.1,x"], "'0.1,x' is no list of numbers"),
        (["--picture", "ranks.exe"], "name a file that ends in .png"),
        (["--output", "data.csv"], "data.csv exists"),
        (["--target", "nix"], "there is no such column"),
    ],
)
def test_the_shell_complains(home: Path, args: list[str], said: str) -> None:
    result = shell("--methods", "mean", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert sorted(path.name for path in home.iterdir()) == ["data.csv"]


def test_runs_have_keys_of_their_own() -> None:
    run = runs.Run("t", "d", "m", "s", "mcar", 0.1, 0, 0.3, "", 0)
    assert len(set(run.seeds())) == 4
    assert run.seeds() == runs.Run("u", "e", "n", "s", "mcar", 0.1, 0, 0.0, "nb", 0).seeds()
    assert run.seeds() != runs.Run("t", "d", "m", "s", "mcar", 0.1, 1, 0.3, "", 0).seeds()
