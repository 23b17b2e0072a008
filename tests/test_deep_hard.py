"""Tables that are hard to fill: they are filled, with finite values, or it is said why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from asserts import assert_observed_kept
from greyknn import DeepImputer

pytestmark = pytest.mark.jit  # torch gains nothing from interpreted kernels

Table = NDArray[np.float64]


def small(**options: Any) -> DeepImputer:
    """An imputer that learns next to nothing, quickly."""
    return DeepImputer(**({"max_steps": 5, "members": 2, "hidden": 8} | options))


def holes(X: Any, rate: float = 0.2, seed: int = 0) -> Table:
    """The numbers with gaps, of which at least one cell of each column is spared."""
    X = np.array(X, dtype=float)
    gaps = np.random.default_rng([seed, 3]).random(X.shape) < rate
    gaps[gaps.all(axis=0) @ np.zeros(X.shape[1], dtype=int)] = False
    return np.where(gaps, np.nan, X)


def normal(n_rows: int, n_columns: int, seed: int = 1) -> Table:
    return np.random.default_rng([seed, 4]).normal(size=(n_rows, n_columns))


def assert_filled(X: Any, out: Any) -> None:
    """Complete and finite, observed cells as they were, fills within the observed range."""
    if isinstance(X, np.ndarray) and X.dtype.kind == "f":
        assert_observed_kept(X, out)
        assert np.isfinite(out).all()
        assert (out >= np.nanmin(X, axis=0)).all()
        assert (out <= np.nanmax(X, axis=0)).all()
        return
    X, out = pd.DataFrame(X), pd.DataFrame(out)
    assert out.shape == X.shape
    assert (out.dtypes == X.dtypes).all()
    assert not out.isna().to_numpy().any()
    for name in X:
        known = X[name].notna()
        assert out[name][known].tolist() == X[name][known].tolist()
        assert out[name].isin(X[name][known]).all() or X[name].dtype.kind in "fMiu"


def words(*levels: Any, times: int = 10, dtype: Any = None) -> pd.DataFrame:
    """A column of these levels again and again, beside one of numbers with gaps."""
    x = holes(normal(len(levels) * times, 1))[:, 0]
    return pd.DataFrame({"x": x, "w": pd.Series(list(levels) * times, dtype=dtype)})


def with_column(column: Any, at: int = 2) -> Table:
    X = holes(normal(60, 4))
    X[:, at] = column
    return X


def observed(k: int) -> Table:
    return with_column(np.append(np.arange(k, dtype=float), np.full(60 - k, np.nan)))


def scales(*powers: float) -> Table:
    return holes(normal(60, len(powers)).clip(-3, 3)) * 10.0 ** np.array(powers)


HARD: dict[str, Callable[[], Any]] = {
    "one column": lambda: holes(normal(50, 1)),
    "one column of categories": lambda: words("a", "b", None)[["w"]],
    "one column of text": lambda: pd.DataFrame(
        {"t": [None, *(f"the {i} brown foxes jump over {i % 7}" for i in range(40))]}
    ),
    "two rows": lambda: np.array([[1.0, np.nan], [np.nan, 3.0]]),
    "two rows, one of them whole": lambda: np.array([[1.0, 2.0, 3.0], [np.nan, 3.0, np.nan]]),
    "three rows": lambda: np.array([[1.0, np.nan], [2.0, 3.0], [3.0, np.nan]]),
    "a constant": lambda: with_column([3.25, np.nan] * 30),
    "only constants": lambda: holes(np.full((40, 2), 0.1)),
    "a constant category": lambda: words("a", None),
    "only numbers": lambda: holes(normal(60, 4)),
    "only categories": lambda: np.where(
        holes(normal(60, 3)) > 0, "up", np.where(np.isnan(holes(normal(60, 3))), None, "down")
    ),
    "large": lambda: scales(299, 299, 299),
    "tiny": lambda: scales(-300, -300, -300),
    "denormal": lambda: scales(-310, -310),
    "large beside tiny": lambda: scales(299, -300, 0),
    "large and tiny in a column": lambda: with_column([1e299, 1e-299, np.nan, -1e299, 0.0] * 12),
    "far from 0": lambda: holes(1e15 + normal(60, 3)),
    "so far from 0 that all are alike": lambda: holes(1e17 + normal(60, 3)),
    "Cauchy": lambda: holes(np.random.default_rng(5).standard_cauchy((200, 4))),
    "lognormal": lambda: holes(np.random.default_rng(5).lognormal(0, 3, (200, 4))),
    "one outlier": lambda: with_column([1e12, np.nan, *normal(58, 1)[:, 0]]),
    "1 observed value": lambda: observed(1),
    "2 observed values": lambda: observed(2),
    "3 observed values": lambda: observed(3),
    "4 observed values": lambda: observed(4),
    "5 observed values": lambda: observed(5),
    "1 observed word": lambda: words("a", *[None] * 39, times=1),
    "3 observed words": lambda: words("a", "b", "a", *[None] * 37, times=1),
    "fewer rows than columns": lambda: holes(normal(8, 30)),
    "nearly nothing observed": lambda: holes(normal(60, 5), rate=0.9),
    "all rows alike": lambda: holes(np.repeat(normal(1, 4), 60, axis=0)),
    "each row ten times": lambda: np.tile(holes(normal(6, 4)), (10, 1)),
    "a column twice": lambda: holes(np.repeat(normal(60, 2), 2, axis=1)),
    "columns that add up": lambda: holes(np.c_[normal(60, 2), normal(60, 2).sum(axis=1)]),
    "rows that observed nothing": lambda: np.where(
        np.arange(60)[:, None] % 5 == 0, np.nan, holes(normal(60, 4))
    ),
    "strings of numbers": lambda: words("31", "42", None, "8"),
    "strings of numbers and a slip": lambda: words("31", "42", "1O", None),
    "booleans with gaps": lambda: words(True, False, None, True),
    "nullable booleans": lambda: words(True, False, None, True, dtype="boolean"),
    "mixed objects": lambda: words(1, "x", None, 2.5, "1", dtype=object),
    "a name in each row": lambda: words(*(f"n{i}" for i in range(39)), None, times=1),
    "whole numbers": lambda: words(1, 2, None, 9, dtype="Int64"),
    "single precision": lambda: holes(normal(60, 3)).astype(np.float32),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_tables_are_filled(name: str) -> None:
    X = HARD[name]()
    imputer = small()
    assert_filled(X, imputer.fit_transform(X))
    assert np.isfinite(imputer.loss_curve_).all()
    assert -np.inf < imputer.score(X) <= 1.0
    for table in imputer.sample(X, m=1):
        assert_filled(X, table)
    said = imputer.predict_dist(X)
    if "sd" in said:
        finite = said[["mean", "sd", "q05", "q95"]].dropna(how="all")
        assert np.isfinite(finite.to_numpy(dtype=float)).all()


def test_there_are_hard_tables_that_this_file_would_refuse() -> None:
    X = HARD["only numbers"]()
    whole = np.where(np.isnan(X), 0.0, X)
    assert_filled(X, whole)
    gap = tuple(np.argwhere(np.isnan(X))[0])
    for spoilt in (np.nan, np.inf, 100.0):
        out = whole.copy()
        out[gap] = spoilt
        with pytest.raises(AssertionError):
            assert_filled(X, out)
    frame = words("a", "b", None)
    with pytest.raises(AssertionError):
        assert_filled(frame, frame.fillna({"x": 0.0, "w": "c"}))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((5, 3), np.nan), "Column 0 has no observed value: drop it, or keep it"),
        (with_column(np.nan), "Column 2 has no observed value"),
        (with_column([np.inf, *[0.0] * 59]), "Column 2 holds infinity in row 0: replace it"),
        (with_column([0.0, -np.inf, *[0.0] * 58]), "Column 2 holds infinity in row 1"),
        (with_column([1.7e308, *[0.0] * 59]), r"Column 2 holds 1.7e\+308 .* cannot be averaged"),
        (np.empty((0, 3)), "0 sample"),
        (np.empty((3, 0)), "0 feature"),
        (np.arange(5.0), "Reshape your data"),
    ],
)
def test_what_cannot_be_filled_is_refused(X: Any, message: str) -> None:
    imputer = small()
    with pytest.raises(ValueError, match=message):
        imputer.fit(X)
    assert not hasattr(imputer, "n_features_in_")


def test_nested_cells_are_refused() -> None:
    with pytest.raises(TypeError, match=r"'w' holds nested cells.*expand the column"):
        small().fit(words((1, 2), (3,), dtype=object))


def test_an_empty_column_may_be_kept() -> None:
    X = with_column(np.nan)
    imputer = small(keep_empty_features=True)
    out = imputer.fit_transform(X)
    assert np.isnan(out[:, 2]).all()
    assert_filled(X[:, [0, 1, 3]], out[:, [0, 1, 3]])
    assert np.isnan(imputer.sample(X, m=1)[0][:, 2]).all()
    with pytest.raises(ValueError, match="No column has an observed value"):
        small(keep_empty_features=True).fit(np.full((5, 3), np.nan))


def test_one_row() -> None:
    imputer = small()
    with pytest.warns(UserWarning, match="X has one row"):
        imputer.fit(pd.DataFrame({"a": [1.0], "b": ["x"]}))
    new = pd.DataFrame({"a": [np.nan, 3.0, np.nan], "b": ["x", None, None]})
    out = imputer.transform(new)
    assert out["a"].tolist() == [1.0, 3.0, 1.0]
    assert out["b"].tolist() == ["x", "x", "x"]


@pytest.mark.parametrize(
    "y",
    [
        np.where(np.arange(60) % 4 == 0, np.nan, np.arange(60) % 3),
        np.where(np.arange(60) % 4 == 0, np.nan, normal(60, 1)[:, 0]),
        np.full(60, np.nan), [None] * 60, ["a"] + [None] * 59, ["a"] * 60, np.arange(60),
        [f"row {i}" for i in range(60)], normal(60, 1)[:, 0] * 1e299, np.arange(60) % 3 == 0,
    ],
    ids=["classes with gaps", "numbers with gaps", "NaN", "None", "one label", "one class",
         "a class for each row", "a name for each row", "huge", "booleans"],
)  # fmt: skip
def test_hard_labels(y: Any) -> None:
    X = holes(normal(60, 4))
    imputer = small()
    assert_filled(X, imputer.fit_transform(X, y))
    assert_filled(X, imputer.transform(X, y))
    assert_filled(X, imputer.transform(X))


def test_a_class_that_never_saw_a_column() -> None:
    y = np.arange(60) % 3
    X = np.where((y == 1)[:, None] & (np.arange(4) == 0), np.nan, holes(normal(60, 4)))
    assert_filled(X, small().fit_transform(X, y))
    assert np.isnan(X[y == 1, 0]).all()


def test_new_rows_unlike_any() -> None:
    frame = words("a", "b", None).assign(day=pd.date_range("2024", periods=30, unit="us"))
    frame.loc[3, "day"] = pd.NaT
    imputer = small().fit(frame)
    new = pd.DataFrame({"x": [1e290, np.nan, -1e290], "w": ["new", "new", None]})
    new["day"] = pd.array([pd.Timestamp("1700-01-01"), pd.NaT, pd.NaT], dtype=frame["day"].dtype)
    out = imputer.transform(new)
    assert out["w"].tolist()[:2] == ["new", "new"]
    assert out["w"][2] in ("a", "b")
    assert frame["x"].min() <= out["x"][1] <= frame["x"].max()
    assert out["day"][1:].between(frame["day"].min(), frame["day"].max()).all()
    nothing = imputer.transform(new.iloc[[1]].assign(w=pd.Series([None], index=[1], dtype="str")))
    assert not nothing.isna().to_numpy().any()


@pytest.mark.parametrize("table", ["only numbers", "only categories", "booleans with gaps"])
@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_a_loss_that_explodes_falls_back(table: str, lr: float) -> None:
    X = HARD[table]()
    imputer = small(lr=lr, max_steps=60)
    with pytest.warns(UserWarning, match="no longer a number.*A smaller lr may help"):
        out = imputer.fit_transform(X)
    assert_filled(X, out)
    start = small(lr=lr, max_steps=0).fit(X)
    best = imputer.loss_curve_[:, 1]
    assert np.isfinite(best[0])
    assert best[0] == start.loss_curve_[0, 1]


def test_a_category_of_many_levels() -> None:
    rng = np.random.default_rng(6)
    n_rows = 30_000
    levels = rng.integers(0, 10_000, n_rows)
    frame = pd.DataFrame({"x": levels % 7 + rng.normal(size=n_rows), "w": levels.astype(str)})
    frame.loc[rng.random(n_rows) < 0.05, "x"] = np.nan
    frame.loc[rng.random(n_rows) < 0.05, "w"] = None
    out = small(max_steps=2).fit_transform(frame)
    assert_filled(frame, out)
    frequent = frame["w"].value_counts()
    fills = out["w"][frame["w"].isna()]
    assert frequent[fills].min() >= frequent.iloc[200]  # of so many only the usual are guessed


def test_a_thousand_columns() -> None:
    rng = np.random.default_rng(7)
    factors = rng.normal(size=(200, 3))
    X = holes(factors @ rng.normal(size=(3, 1000)) + 0.3 * rng.normal(size=(200, 1000)), 0.1)
    imputer = small(max_steps=2).fit(X)
    out = imputer.transform(X[:20])
    assert_observed_kept(X[:20], out)
    full = X.copy()
    known = np.isfinite(full[:20]) & (rng.random((20, 1000)) < 0.1)
    hidden = np.where(known, np.nan, X[:20])
    error = np.abs(imputer.transform(hidden) - X[:20])[known].mean()
    mean = np.abs(np.nanmean(X, axis=0) - X[:20])[known].mean()
    assert error < 0.8 * mean  # near rows are found among so many columns


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1}, {"batch_size": 10_000}, {"depth": 0}, {"depth": 4}, {"hidden": 1},
        {"members": 30}, {"dropout": 0.99}, {"weight_decay": 1e4}, {"max_steps": 1},
        {"priors": []}, {"priors": ["kernel"]}, {"mask": "copy"}, {"embedding": "plr"},
        {"random_state": 2**32 - 1}, {"random_state": None}, {"class_weight": "balanced"},
    ],
    ids=str,
)  # fmt: skip
def test_extreme_parameters(options: dict[str, Any]) -> None:
    frame = words("a", "b", None, "a")
    assert_filled(frame, small(**options).fit_transform(frame))
