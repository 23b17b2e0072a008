"""What a user of the deep imputer may rely on: scikit-learn's contract, and its own."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks as checks

from asserts import assert_observed_kept
from greyknn import DeepImputer
from greyknn.deep.fills import thresholds
from greyknn.deep.priors import guesses
from strategies import Case, cases
from test_sklearn import MORE_CHECKS
from test_table import CASES, alike, assert_same_table
from test_table import cells as cells_of

pytestmark = pytest.mark.jit  # torch gains nothing from interpreted kernels

SMALL = {"max_steps": 4, "members": 2, "hidden": 8}


def small(**options: Any) -> DeepImputer:
    """An imputer that learns next to nothing, quickly."""
    return DeepImputer(**(SMALL | options))


def numbers(n_rows: int = 60, rate: float = 0.2, seed: int = 0) -> NDArray[np.float64]:
    """Four columns around a common factor, with gaps."""
    rng = np.random.default_rng([seed, 1])
    X = rng.normal(size=(n_rows, 1)) + 0.5 * rng.normal(size=(n_rows, 4))
    X[rng.random(X.shape) < rate] = np.nan
    return X


def labels(n_rows: int = 60) -> NDArray[np.int64]:
    return np.arange(n_rows) % 3


def mixed(n_rows: int = 60, seed: int = 0, rate: float = 0.2) -> pd.DataFrame:
    """A column of each kind with gaps, and an index of its own."""
    rng = np.random.default_rng([seed, 2])
    days = pd.to_timedelta(rng.integers(0, 999, n_rows), "D")
    frame = pd.DataFrame(
        {
            "float": rng.normal(size=n_rows),
            "whole": pd.array(rng.integers(0, 9, n_rows), dtype="Int64"),
            "word": pd.Series(rng.choice(["x", "y", "z"], n_rows)),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "high"], n_rows), ["low", "mid", "high"], ordered=True
            ),
            "flag": pd.array(rng.random(n_rows) < 0.5, dtype="boolean"),
            "when": (pd.Timestamp("2020-01-01", tz="Europe/Berlin") + days).as_unit("us"),
        }
    )
    for name in frame:
        frame.loc[rng.random(n_rows) < rate, name] = None
    frame.index = pd.Index(rng.permutation(n_rows) * 7, name="key")
    return frame


def assert_filled(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Nothing but gaps has changed, and none is left."""
    assert_same_table(after, before)
    assert not after.isna().to_numpy().any()
    for name in before:
        known = before[name].notna()
        pd.testing.assert_series_equal(after[name][known], before[name][known])


# --- scikit-learn


@checks.parametrize_with_checks([small()])
def test_scikit_learn_checks(estimator: DeepImputer, check: Any) -> None:
    assert isinstance(estimator, DeepImputer)
    check(estimator)


@pytest.mark.filterwarnings("ignore:X .* feature names")  # the checks' own doing
@pytest.mark.parametrize("check", MORE_CHECKS, ids=lambda check: check.__name__)
def test_checks_that_scikit_learn_does_not_run_by_itself(check: Any) -> None:
    estimator = small()
    assert estimator.get_params()["hidden"] == 8
    check("DeepImputer", clone(estimator))


def test_names_of_features() -> None:
    frame = mixed()
    imputer = small().fit(frame)
    assert imputer.feature_names_in_.tolist() == list(frame)
    assert imputer.get_feature_names_out().tolist() == list(frame)
    assert small().fit(numbers()).get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(library: str) -> None:
    imputer = small().set_output(transform=library)
    frame = mixed().drop(columns="when")
    for out in (imputer.fit_transform(frame), imputer.transform(frame)):
        assert type(out).__module__.startswith(library)
        assert list(out.columns) == list(frame)
        assert all(None not in list(out[name]) for name in frame)


def test_a_pipeline_and_a_grid() -> None:
    X, y = numbers(), labels()
    pipeline = make_pipeline(small(), LogisticRegression()).fit(X, y)
    assert pipeline.predict(numbers(seed=1)).shape == (60,)
    search = GridSearchCV(small(), {"hidden": [4, 8]}, cv=2, error_score="raise").fit(X)
    assert search.best_params_["hidden"] in (4, 8)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()


def test_labels_and_weights_are_routed() -> None:
    X, y, weight = numbers(), labels(), np.linspace(0.0, 2.0, 60)
    X[y == 1] += 5.0
    imputer = small().fit(X, y, sample_weight=weight)
    assert (imputer.transform(X, y) != imputer.transform(X)).any()
    with config_context(enable_metadata_routing=True):
        asking = small().set_fit_request(sample_weight=True).set_transform_request(y=True)
        pipeline = make_pipeline(asking).fit(X, y, sample_weight=weight)
        assert (pipeline.transform(X, y=y) == imputer.transform(X, y)).all()
        assert (pipeline.transform(X) == imputer.transform(X)).all()


def test_a_clone_knows_nothing() -> None:
    imputer = small(dropout=0.3, types={"word": "categorical"}).fit(mixed())
    again = clone(imputer)
    assert again.get_params() == imputer.get_params()
    with pytest.raises(NotFittedError):
        again.transform(mixed())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "'hidden' parameter.*Got 0"),
        ({"members": 1}, "'members' parameter.*Got 1"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"max_steps": -1}, "'max_steps' parameter"),
        ({"mask": "all"}, "'mask' parameter"),
        ({"min_precision": 2.0}, "'min_precision' parameter"),
        ({"device": "tpu"}, "device='tpu' is unknown"),
        ({"priors": ["knn"]}, "priors holds 'knn', which is none of grey, kernel"),
        ({"columns": "float"}, "'columns' parameter.*Got 'float'"),
        ({"columns": ["flaot"]}, "columns names 'flaot', but the table has the columns 'float'"),
        ({"groups": "nobody"}, "groups names 'nobody'"),
        ({"types": {"flaot": "numeric"}}, "flaot"),
        ({"class_weight": {"float": {}}}, "names 'float', but the categories are 'word'"),
        ({"class_weight": {"word": 3.0}}, r"class_weight\['word'\] is 3.0"),
    ],
)
def test_parameters_are_checked_in_fit(options: dict[str, Any], message: str) -> None:
    imputer = small(**options)
    with pytest.raises(ValueError, match=message):
        imputer.fit(mixed())


@pytest.mark.parametrize("weight", [np.zeros(60), -np.ones(60), np.ones(59), np.full(60, np.nan)])
def test_weights_are_checked(weight: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        small().fit(numbers(), sample_weight=weight)


def test_a_failed_fit_leaves_the_imputer_as_it_was() -> None:
    frame = mixed()
    imputer = small().fit(frame)
    before = imputer.transform(frame)
    for X, y in ((frame[["float"]], [1, 2]), (frame.assign(float=np.nan), None)):
        with pytest.raises(ValueError, match=r"labels|no observed value"):
            imputer.fit(X, y)
    pd.testing.assert_frame_equal(imputer.transform(frame), before)


# --- every kind of table


@pytest.mark.parametrize("name", CASES)
def test_every_library_and_dtype(name: str) -> None:
    case = CASES[name]
    known = [case.values[0], None, *case.values[2:]]
    X = case.build(known)
    out = small(max_steps=1).fit_transform(X)
    assert_same_table(out, X)
    was, now = cells_of(X), cells_of(out)
    assert None not in now
    assert all(map(alike, [now[0], *now[2:]], [was[0], *was[2:]]))


def dates(dtype: Any) -> Callable[[], Any]:
    stamps = pd.date_range("2024-02-28", periods=8, freq="7h30min").as_unit("ms")
    plain = [None if i == 3 else stamp.to_pydatetime() for i, stamp in enumerate(stamps)]
    if isinstance(dtype, str):
        series = pd.Series(plain, dtype="datetime64[ms]")
        zoned = series.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        of = {"naive": series, "tz": zoned, "arrow": series.astype("timestamp[ms][pyarrow]")}
        return lambda: pd.DataFrame({"x": of[dtype]})
    if isinstance(dtype, pa.DataType):
        return lambda: pa.table({"x": pa.array(plain, pa.timestamp("ms")).cast(dtype, safe=False)})
    return lambda: pl.DataFrame({"x": pl.Series(plain, dtype=pl.Datetime("ms")).cast(dtype)})


@pytest.mark.parametrize(
    "build",
    [
        dates("naive"), dates("tz"), dates("arrow"), dates(pl.Datetime("us")), dates(pl.Date),
        dates(pa.timestamp("ns")), dates(pa.date32()),
        lambda: np.array(["2024-01-01", "NaT", "2024-03-01"], dtype="datetime64[s]")[:, None],
    ],
)  # fmt: skip
def test_dates_of_every_library(build: Callable[[], Any]) -> None:
    X = build()
    out = small(max_steps=1).fit_transform(X)
    assert_same_table(out, X)
    was, now = cells_of(X), cells_of(out)
    assert sum(cell is None for cell in was) == 1
    assert not any(cell is None or cell is pd.NaT for cell in now)
    assert all(a == b for a, b in zip(was, now, strict=True) if a is not None)


def test_a_frame_of_all_kinds() -> None:
    frame = mixed()
    untouched = frame.copy()
    imputer = small()
    assert_filled(frame, imputer.fit_transform(frame, labels()))
    new = mixed(seed=1)
    assert_filled(new, imputer.transform(new))
    pd.testing.assert_frame_equal(frame, untouched)


@given(case=cases(max_rows=12), data=st.data())
def test_any_small_table(case: Case, data: st.DataObject) -> None:
    options = data.draw(
        st.fixed_dictionaries(
            {
                "depth": st.integers(0, 2),
                "embedding": st.sampled_from(["plr", "none"]),
                "mask": st.sampled_from(["mcar", "copy"]),
                "max_steps": st.integers(0, 2),
                "priors": st.sampled_from(["auto", ["grey"], ["em"], []]),
            }
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "X has one row")
        frame = pd.DataFrame(case.X, columns=[f"c{i}" for i in range(case.X.shape[1])])
        types = {f"c{i}": "categorical" for i, one in enumerate(case.categorical) if one}
        imputer = small(types=types, **options)
        out = imputer.fit_transform(frame, case.y)
    assert_filled(frame, out)
    for name, kind in zip(frame, case.categorical, strict=True):
        known = frame[name].dropna()
        assert out[name].between(known.min(), known.max()).all()
        assert not kind or out[name].isin(known).all()


def test_a_frame_comes_back_as_an_array_if_fit_saw_one() -> None:
    X = numbers()
    imputer = small().fit(X)
    with pytest.warns(UserWarning, match="X has feature names"):
        out = imputer.transform(pd.DataFrame(X, columns=list("abcd")))
    assert (out == imputer.transform(X)).all()


# --- new rows


def test_rows_are_filled_one_by_one_as_all_together() -> None:
    frame, new = mixed(), mixed(seed=3, n_rows=20)
    imputer = small().fit(frame, labels())
    whole = imputer.transform(new)
    single = pd.concat([imputer.transform(new.iloc[[row]]) for row in range(len(new))])
    floats = whole.pop("float"), single.pop("float")
    np.testing.assert_allclose(*floats, rtol=1e-4, atol=1e-5)
    seconds = [part.pop("when").astype("int64").to_numpy() / 1e6 for part in (whole, single)]
    assert np.abs(seconds[0] - seconds[1]).max() <= 86_400  # to which dates are rounded
    pd.testing.assert_frame_equal(whole, single)


def test_unknown_categories_stay_and_are_no_gaps() -> None:
    frame = mixed()
    imputer = small().fit(frame)
    new = mixed(seed=4, n_rows=10).assign(word="never seen")
    assert_filled(new, imputer.transform(new))


def test_gaps_only_at_transform() -> None:
    X = numbers(rate=0.0)
    imputer = small().fit(X)
    new = numbers(seed=5)
    new[0] = np.nan
    assert_observed_kept(new, imputer.transform(new))
    assert (imputer.transform(X) == X).all()


def test_transform_checks_columns() -> None:
    frame = mixed()
    imputer = small().fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        imputer.transform(frame.rename(columns={"float": "other"}))
    with pytest.raises(ValueError, match="feature names should match"):
        imputer.transform(frame[list(frame)[::-1]])
    with pytest.raises(ValueError, match="'float' holds strings"):
        imputer.transform(frame.assign(float="a"))
    with pytest.raises(ValueError, match="holds infinity in row 2"):
        imputer.transform(frame.assign(float=[0.0, 1.0, np.inf, *[0.0] * 57]))


# --- what is filled, and with whose help


def test_only_wanted_columns_are_filled() -> None:
    frame = mixed()
    for wanted in (["whole", "word"], [1, 2]):
        out = small(columns=wanted).fit_transform(frame)
        assert not out[["whole", "word"]].isna().to_numpy().any()
        rest = ["float", "grade", "flag", "when"]
        pd.testing.assert_frame_equal(out[rest], frame[rest])


def test_types_overrule_dtypes() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"code": rng.choice([10.0, 20.0, 70.0], 60), "x": rng.normal(size=60)})
    frame.loc[::5, "code"] = np.nan
    out = small(types={"code": "categorical"}).fit_transform(frame)
    assert set(out["code"]) == {10.0, 20.0, 70.0}
    assert not set(small().fit_transform(frame)["code"]) <= {10.0, 20.0, 70.0}


@pytest.mark.parametrize("y", [labels(), np.array(list("abc"))[labels()], 1e5 * labels() + 0.5])
def test_labels_help_and_may_be_missing(y: Any) -> None:
    X = numbers(120, seed=6)
    y = np.tile(y, 2)
    X[:, 0] += 10.0 * np.tile(labels(), 2)
    X[::4, 0] = np.nan
    imputer = small(max_steps=20)
    out = imputer.fit_transform(X, y)
    gaps = np.isnan(X[:, 0])
    means = np.array([np.nanmean(X[np.tile(labels(), 2) == k, 0]) for k in range(3)])
    off = np.abs(out[gaps, 0] - means[np.tile(labels(), 2)[gaps]]).mean()
    assert off < 0.5 * np.abs(small(max_steps=20).fit_transform(X)[gaps, 0] - means[
        np.tile(labels(), 2)[gaps]]).mean()  # fmt: skip
    partly = y.astype(object)
    partly[1::3] = None
    assert_observed_kept(X, small().fit_transform(X, partly))
    assert_observed_kept(X, imputer.transform(X, partly))
    assert_observed_kept(X, imputer.transform(X))


def test_classes_that_fit_did_not_see() -> None:
    X, y = numbers(), np.array(list("abc"))[labels()]
    imputer = small().fit(X, y)
    unseen = imputer.transform(X, np.full(60, "z"))
    assert (unseen == imputer.transform(X)).all()


def test_errors_about_labels() -> None:
    with pytest.raises(ValueError, match=r"3 labels.*60 rows"):
        small().fit(numbers(), [1, 2, 3])
    with pytest.raises(ValueError, match="y holds inf in row 2"):
        small().fit(numbers(), [0.5, 0.5, np.inf, *np.linspace(0, 1, 57)])


def test_sample_weight_changes_what_is_learnt() -> None:
    X = numbers(200, seed=7)
    X[:100, 1] = -X[:100, 0]
    X[100:, 1] = X[100:, 0]
    X[::5, 1] = np.nan
    even = small(priors=[], max_steps=300, embedding="none").fit(X)
    ones = clone(even).fit(X, sample_weight=np.ones(200))
    assert (even.transform(X) == ones.transform(X)).all()
    slopes = []
    for half in (np.arange(200) < 100, np.arange(200) >= 100):
        out = clone(even).fit(X, sample_weight=half.astype(float)).transform(
            np.array([[-1.5, np.nan, np.nan, np.nan], [1.5, np.nan, np.nan, np.nan]])
        )  # fmt: skip
        slopes.append(out[1, 1] - out[0, 1])
    assert slopes[0] < 0.0 < slopes[1]


@pytest.mark.parametrize("weights", [{"word": {"rare": 50.0}}, "balanced"])
def test_class_weight(weights: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    word = pd.Series(np.where(rng.random(300) < 0.05 + 0.2 * (x > 0), "rare", "usual"))
    word[::3] = None
    frame = pd.DataFrame({"x": x, "word": word})
    shares = []
    for given_weights in (None, weights):
        imputer = small(max_steps=100, priors=[], class_weight=given_weights).fit(frame)
        said = imputer.predict_dist(frame)
        shares.append(said.loc[said["value"] == "rare", "probability"].mean())
    assert shares[1] > 1.5 * shares[0]


# --- abstaining


def naive_threshold(level: int, facts: list[tuple[int, float, bool]], precision: float) -> float:
    """The least confidence from which on cells that were taken for a level were right enough."""
    own = [(sure, right) for told, sure, right in facts if told == level]
    least = float("inf")
    for limit, _ in own:
        rights = [right for sure, right in own if sure >= limit]
        if sum(rights) >= precision * len(rights):
            least = min(least, limit)
    return least


@given(
    facts=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.booleans()),
        max_size=20,
    ),
    precision=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
def test_thresholds(facts: list[tuple[int, float, bool]], precision: float) -> None:
    told, sure, right = ([fact[i] for fact in facts] for i in range(3))
    found = thresholds(
        np.array(told, dtype=int), np.array(sure, dtype=float), np.array(right, dtype=bool), 4,
        precision,
    )  # fmt: skip
    assert found.tolist() == [naive_threshold(level, facts, precision) for level in range(4)]


def test_what_is_too_doubtful_stays_missing() -> None:
    frame = mixed(seed=8)[["float", "whole", "word"]]  # words are drawn at random
    imputer = small(min_precision=0.95)
    with pytest.warns(UserWarning, match="Column 'word': .* cells stay missing.*less than 95%"):
        out = imputer.fit_transform(frame)
    known = frame["word"].notna()
    assert out["word"].isna().any()
    assert (out["word"][known] == frame["word"][known]).all()
    assert not out[["float", "whole"]].isna().to_numpy().any()


# --- what is known about a cell


def test_distributions() -> None:
    frame = mixed(seed=9).drop(columns="when")
    imputer = small().fit(frame, labels())
    out, said = imputer.transform(frame), imputer.predict_dist(frame)
    gaps = frame.isna()
    assert set(zip(said["row"], said["column"], strict=True)) == {
        (row, frame.columns[column]) for row, column in np.argwhere(gaps.to_numpy())
    }
    of_numbers = said[said["column"].isin(["float", "whole"])]
    assert (of_numbers["q05"] <= of_numbers["q50"]).all()
    assert (of_numbers["q50"] <= of_numbers["q95"]).all()
    assert (of_numbers["sd"] > 0).all()
    for row, mean in said.loc[said["column"] == "float", ["row", "mean"]].to_numpy():
        low, high = frame["float"].min(), frame["float"].max()
        assert out["float"].iloc[int(row)] == pytest.approx(min(max(mean, low), high))
    levels = said[said["column"].isin(["word", "flag", "grade"])]
    total = levels.groupby(["row", "column"], observed=True)["probability"].sum()
    np.testing.assert_allclose(total, 1.0)
    words = levels[levels["column"] == "word"]
    best = words.loc[words.groupby("row")["probability"].idxmax()]
    assert [out["word"].iloc[row] for row in best["row"]] == best["value"].tolist()
    for row, grades in levels[levels["column"] == "grade"].groupby("row"):
        upto = grades.set_index("value")["probability"].loc[["low", "mid", "high"]].cumsum()
        assert out["grade"].iloc[int(row)] == upto.index[(upto >= 0.5).argmax()]  # the median
    assert len(imputer.predict_dist(mixed(rate=0.0).drop(columns="when"))) == 0


def test_samples_belong_together() -> None:
    rng = np.random.default_rng(10)
    a = rng.normal(size=300)
    frame = pd.DataFrame({"a": a, "b": np.where(a > 0, "up", "down")})
    frame.loc[:59, ["a", "b"]] = None
    imputer = small(max_steps=60).fit(frame)
    tables = imputer.sample(frame, m=6)
    assert len(tables) == 6
    for table in tables:
        assert_filled(frame, table)
    assert any((table["a"] != tables[0]["a"]).any() for table in tables[1:])
    drawn = pd.concat([table.iloc[:60] for table in tables])
    agree = ((drawn["a"] > 0) == (drawn["b"] == "up")).mean()
    apart = ((drawn["a"] > 0) == (drawn["b"].to_numpy()[::-1] == "up")).mean()
    assert agree > 0.8 > apart
    assert 0.7 < drawn["a"].std() / a.std() < 1.3  # means alone would not vary
    again = imputer.sample(frame, m=6)
    assert all(table.equals(other) for table, other in zip(tables, again, strict=True))
    with pytest.raises(ValueError, match="m=0 must be a number of tables"):
        imputer.sample(frame, m=0)


def test_score_tells_structure_from_noise() -> None:
    rng = np.random.default_rng(11)
    line = np.repeat(rng.normal(size=(150, 1)), 4, axis=1) + 0.05 * rng.normal(size=(150, 4))
    noise = rng.normal(size=(150, 4))
    good, bad = (small(max_steps=20).fit(X).score(X) for X in (line, noise))
    assert 0.7 < good <= 1.0
    assert bad < 0.3


# --- how long, and with what luck


def test_the_same_seed_fills_the_same() -> None:
    frame = mixed()
    first, second = (small(random_state=3).fit(frame, labels()) for _ in range(2))
    pd.testing.assert_frame_equal(first.transform(frame), second.transform(frame))
    assert first.loss_curve_.tolist() == second.loss_curve_.tolist()
    other = small(random_state=4).fit_transform(frame, labels())
    assert (other["float"] != first.transform(frame, labels())["float"]).any()
    drawn = [small(random_state=np.random.RandomState(5)).fit_transform(frame) for _ in range(2)]
    pd.testing.assert_frame_equal(*drawn)


def test_no_steps_are_the_stacked_priors() -> None:
    X = numbers(80, seed=12)
    imputer = small(max_steps=0).fit(X)
    assert imputer.n_steps_ == 0
    assert imputer.loss_curve_.shape == (1, 2)
    model = imputer._model
    priors = guesses(model.priors, X, model.layout.rows(X), model.layout).double().numpy()
    proposals = np.concatenate([priors.mean(axis=1, keepdims=True), priors], axis=1)
    means = (proposals * model.verdict.shares.T[None]).sum(axis=1)
    expected = means * np.nanstd(X, axis=0) + np.nanmean(X, axis=0)
    expected = np.clip(expected, np.nanmin(X, axis=0), np.nanmax(X, axis=0))
    gaps = np.isnan(X)
    np.testing.assert_allclose(imputer.transform(X)[gaps], expected[gaps], rtol=1e-4, atol=1e-5)


def test_time_may_be_up() -> None:
    X = numbers()
    imputer = small(max_steps=400, patience=1000, time_budget=1e-9).fit(X)
    assert imputer.n_steps_ < 400
    assert_observed_kept(X, imputer.transform(X))


def test_training_ends_when_nothing_gets_better() -> None:
    rng = np.random.default_rng(13)
    noise = rng.normal(size=(60, 3))
    imputer = small(max_steps=2000, patience=1).fit(noise)
    assert 1000 <= imputer.n_steps_ < 2000


# --- what must not be touched


def state() -> dict[str, Any]:
    """All that a library could change behind a user's back."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002
        "random": random.getstate(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "warnings": list(warnings.filters),
        "errors": np.geterr(),
    }


def test_nothing_global_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    frame = mixed()
    before = state()
    imputer = small(max_steps=25).fit(frame, labels())
    imputer.transform(frame)
    imputer.predict_dist(frame)
    imputer.sample(frame, m=1)
    imputer.score(frame)
    imputer.explain(0, "float", frame)
    imputer.partial_fit(mixed(seed=1), labels(), steps=2)
    after = state()
    assert {name: after[name] for name in before if after[name] != before[name]} == {}
    assert list(tmp_path.iterdir()) == []


def test_no_gradients_are_asked_of_a_user_who_has_turned_them_off() -> None:
    X = numbers()
    expected = small(max_steps=25).fit_transform(X)
    with torch.no_grad():
        assert (small(max_steps=25).fit_transform(X) == expected).all()
    with torch.inference_mode():
        assert (small(max_steps=25).fit_transform(X) == expected).all()


def test_another_default_dtype_changes_nothing() -> None:
    X = numbers()
    expected = small().fit_transform(X)
    torch.set_default_dtype(torch.float64)
    try:
        imputer = small().fit(X)
        out = imputer.transform(X)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {each.dtype for each in imputer._model.network.parameters()} == {torch.float32}
    assert_observed_kept(X, out)
    assert np.abs(out - expected).max() < np.nanstd(X)


def test_torch_is_imported_only_where_used_and_its_absence_is_told() -> None:
    program = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Absent())
import greyknn
assert greyknn.GreyKNNImputer().fit_transform([[1.0], [float("nan")]]).tolist() == [[1], [1]]
assert "torch" not in sys.modules
try:
    greyknn.DeepImputer
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'pip install "greyknn[deep]"' in done.stdout
