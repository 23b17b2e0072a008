"""Amputation: as many gaps as asked for, where the mechanism wants them, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2, chi2_contingency
from sklearn.linear_model import LogisticRegression

import greyknn
from greyknn import ampute, ampute_logistic
from strategies import Case, cases
from test_table import CASES, alike, cells, dtypes

LOG_ODDS = {"right": lambda s: s, "left": lambda s: -s, "mid": lambda s: -abs(s), "tail": abs}


def normal(n_rows: int = 2000, n_columns: int = 4, seed: int = 0) -> np.ndarray:
    """Correlated columns of very different scales."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns)) + rng.normal(size=(n_rows, 1))
    return X * 10.0 ** np.arange(n_columns) + 5.0


def removed(X: Any, *args: Any, **options: Any) -> np.ndarray:
    return ampute(X, *args, return_mask=True, **options)[1]


def slopes_of(gone: np.ndarray, *predictors: np.ndarray) -> np.ndarray:
    """Slopes of a logistic regression, an independent witness."""
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    return model.fit(np.column_stack(predictors), gone).coef_[0]


# --- how many ------------------------------------------------------------------------------------

ARRANGEMENTS: list[dict[str, Any]] = [
    {},
    {"columns": [2, 1]},
    {"block": 7},
    {"patterns": "monotone"},
    {"patterns": "monotone", "columns": [3, 1, 2], "frequencies": [1, 1, 4]},
    {"patterns": [[0], [1, 2]], "frequencies": [3, 1]},
    {"patterns": np.array([[1, 0, 0, 1], [0, 1, 1, 1]]), "block": 5},
]


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
@pytest.mark.parametrize("options", ARRANGEMENTS, ids=str)
def test_the_rate_is_hit(mechanism: str, options: dict[str, Any]) -> None:
    X = normal(500)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    observed = ~np.isnan(X)
    gone = removed(X, 0.17, mechanism=mechanism, **options)
    amputed = gone.any(axis=0)
    wanted = 0.17 * observed[:, amputed].sum()
    whole = {"monotone": 3}.get(str(options.get("patterns")), 2 if "patterns" in options else 1)
    assert abs(gone.sum() - wanted) <= whole / 2 + 0.5
    assert not (gone & ~observed).any()
    if "patterns" not in options and mechanism != "mcar":
        in_columns = 0.17 * observed.sum(axis=0)
        assert (abs(gone.sum(axis=0) - in_columns)[amputed] <= 1).all()


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5, 0.74])
def test_mar_of_all_columns_reaches_high_rates(rate: float) -> None:
    gone = removed(normal(), rate, mechanism="mar")
    assert abs(gone.mean(axis=0) - rate).max() <= 1 / 2000
    assert not gone.all(axis=1).any()


def test_columns_by_name_position_or_mask() -> None:
    frame = pd.DataFrame(normal(50), columns=list("abcd"))
    expected = removed(frame, 0.2, columns=["b", "d"])
    assert expected.sum(axis=0).nonzero()[0].tolist() == [1, 3]
    for columns in ([1, 3], np.array([1, 3]), [False, True] * 2, np.array([False, True] * 2)):
        assert (removed(frame.to_numpy(), 0.2, columns=columns) == expected).all()
    numbered = pd.DataFrame(normal(50), columns=[3, 2, 1, 0])  # a name goes before a position
    assert removed(numbered, 0.2, columns=3).any(axis=0).tolist() == [True, False, False, False]


def test_frequencies_are_those_of_the_rows() -> None:
    options: dict[str, Any] = {"patterns": [[0], [1], [2]], "frequencies": [6, 3, 1]}
    gone = removed(normal(10_000), 0.1, mechanism="mar", **options)
    assert gone.sum(axis=0).tolist() == [1800, 900, 300, 0]


# --- mcar ----------------------------------------------------------------------------------------


def test_mcar_is_uniform_over_cells_and_independent_of_values() -> None:
    X = normal(12, 4)
    counts = sum(removed(X, 0.25, random_state=seed).astype(int) for seed in range(600))
    expected = 600 * 0.25
    statistic = ((counts - expected) ** 2 / (expected * 0.75)).sum()
    assert chi2.ppf(1e-4, 47) < statistic < chi2.ppf(1 - 1e-4, 47)
    of_columns = [removed(normal(100), random_state=seed).sum(axis=0) for seed in range(30)]
    assert (
        2.2 < np.std(of_columns) < 3.1
    )  # binomial, but for the exact total: no column has a share
    X = normal(20_000)
    gone = removed(X, 0.1)
    assert abs(slopes_of(gone[:, 0], *((X - X.mean(0)) / X.std(0)).T)).max() < 0.08
    for j in range(1, 4):  # columns are independent of one another
        together = np.histogram2d(gone[:, 0], gone[:, j], bins=2)[0]
        assert chi2_contingency(together).pvalue > 1e-4


def test_a_table_drawn_from_the_same_seed_does_not_decide_its_gaps() -> None:
    X = np.random.default_rng(0).random((500, 4))
    gone = removed(X, 0.3, random_state=0)
    assert X[gone].mean() == pytest.approx(X[~gone].mean(), abs=0.06)


# --- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOG_ODDS)
@pytest.mark.parametrize("mechanism", ["mar", "mnar"])
def test_probabilities_are_those_of_the_shifted_logistic(kind: str, mechanism: str) -> None:
    """mice's formulas with the shift found by Brent's method, against frequencies of removal."""
    X, rate, runs = normal(60, 3), 0.3, 800
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    if mechanism == "mar":
        options: dict[str, Any] = {"columns": [2], "weights": {2: {0: 2.0, 1: -1.0}}}
        score = 2 * z[:, 0] - z[:, 1]
    else:
        options, score = {"columns": [2]}, z[:, 2]
    eta = LOG_ODDS[kind]((score - score.mean()) / score.std())
    shift = brentq(lambda b: expit(eta + b).mean() - rate, -30, 30)
    p = expit(eta + shift)
    draws = (
        removed(X, rate, mechanism=mechanism, type=kind, random_state=seed, **options)[:, 2]
        for seed in range(runs)
    )
    counts = np.sum(list(draws), axis=0)
    statistic = ((counts - runs * p) ** 2 / (runs * p * (1 - p))).sum()
    assert chi2.ppf(1e-4, 60) < statistic < chi2.ppf(1 - 1e-4, 60)


def test_mnar_removes_where_the_type_says() -> None:
    X = normal(5000)
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    for options in ({}, {"patterns": [[0], [1], [2], [3]]}, {"block": 2}):
        mean, spread = {}, {}
        for kind in LOG_ODDS:
            gone = removed(X, 0.1, mechanism="mnar", type=kind, **options)
            mean[kind] = np.array([z[gone[:, j], j].mean() for j in range(4)])
            spread[kind] = np.array([abs(z[gone[:, j], j]).mean() for j in range(4)])
        assert (mean["right"] > 0.3).all()
        assert (mean["left"] < -0.3).all()
        assert (abs(mean["mid"]) < 0.15).all()
        assert (abs(mean["tail"]) < 0.15).all()
        assert (spread["mid"] < spread["tail"] - 0.15).all()


def test_mnar_with_weights_depends_on_what_they_say() -> None:
    X = normal(20_000)
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    weights = {1: {1: 1, 3: -1}, 2: [0, 0, 0, 1]}
    gone = removed(X, 0.2, mechanism="mnar", columns=[2, 1], weights=weights)
    a, b, c = slopes_of(gone[:, 1], z[:, 0], z[:, 1], z[:, 3])
    assert abs(a) < 0.1
    assert b == pytest.approx(-c, abs=0.1)
    assert b > 0.5
    assert slopes_of(gone[:, 2], z[:, 3])[0] == pytest.approx(1, abs=0.1)


def test_categories_count_by_the_position_of_their_level() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 3000)
    coded = pd.DataFrame({"a": codes, "b": rng.normal(size=3000)})
    words = coded.assign(a=pd.Categorical.from_codes(codes, ["low", "high", "Top"], ordered=True))
    options: dict[str, Any] = {"mechanism": "mar", "columns": ["b"], "rate": 0.3}
    gone = removed(words, **options)
    assert (gone == removed(coded, **options)).all()
    shares = [gone[codes == code, 1].mean() for code in range(3)]
    assert shares[0] < shares[1] - 0.1 < shares[2] - 0.2
    flags = removed(coded.assign(a=codes > 0), **options)
    assert flags[codes > 0, 1].mean() > flags[codes == 0, 1].mean() + 0.1


def test_a_gap_counts_as_the_mean() -> None:
    X = normal(3000, 3)
    X[::3, 0] = np.nan
    weights = {1: {0: 1}}
    gone = removed(X, 0.3, mechanism="mar", columns=[1], weights=weights)[:, 1]
    z = (X[:, 0] - np.nanmean(X[:, 0])) / np.nanstd(X[:, 0])
    near = abs(z) < 0.2
    assert gone[np.isnan(z)].mean() == pytest.approx(gone[near].mean(), abs=0.06)
    assert gone[z > 1].mean() > gone[np.isnan(z)].mean() + 0.15
    assert gone[z < -1].mean() < gone[np.isnan(z)].mean() - 0.1


# --- mar is mar ----------------------------------------------------------------------------------


def test_mar_given_what_is_observed_does_not_depend_on_the_cell_itself() -> None:
    X = normal(20_000)
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    gone = removed(X, 0.3, mechanism="mar", columns=[2, 3], weights={2: {0: 1}, 3: {1: 1}})
    own, seen = slopes_of(gone[:, 2], z[:, 2], z[:, 0])
    assert abs(own) < 0.08
    assert seen == pytest.approx(1, abs=0.1)
    assert slopes_of(gone[:, 2], z[:, 2])[0] > 0.2  # by itself it is associated, and not given x0
    own, _ = slopes_of(removed(X, 0.3, mechanism="mnar")[:, 2], z[:, 2], z[:, 0])
    assert own > 0.8


def shuffled_where(gone: np.ndarray, X: np.ndarray, seed: int) -> np.ndarray:
    """Other values in the removed cells, with the same mean and spread in every column."""
    rng, other = np.random.default_rng(seed), X.copy()
    for j in range(X.shape[1]):
        other[gone[:, j], j] = rng.permutation(X[gone[:, j], j])
    return other


def eighths(seed: int, n_rows: int, n_columns: int) -> np.ndarray:
    """Numbers whose sums are exact, in whatever order."""
    values = np.random.default_rng(seed).permuted(
        np.tile(np.arange(n_rows), (n_columns, 1)), axis=1
    )
    return values.T / 8.0


@given(
    seed=st.integers(0, 10_000),
    n_columns=st.integers(2, 6),
    rate=st.sampled_from([0.05, 0.2, 0.4]),
    block=st.sampled_from([1, 1, 4]),
    monotone=st.booleans(),
    kind=st.sampled_from(list(LOG_ODDS)),
)
def test_mar_does_not_look_at_what_it_removes(
    seed: int, n_columns: int, rate: float, block: int, monotone: bool, kind: str
) -> None:
    X = eighths(seed, 64, n_columns)
    options: dict[str, Any] = {"type": kind, "block": block, "random_state": seed}
    options |= {"patterns": "monotone"} if monotone else {}
    if rate > 0.2 and (monotone or n_columns == 2):
        rate = 0.2  # more is not always possible
    gone = removed(X, rate, mechanism="mar", **options)
    other = shuffled_where(gone, X, seed)
    assert (removed(other, rate, mechanism="mar", **options) == gone).all()


def test_mnar_does_look_at_what_it_removes() -> None:
    X = eighths(0, 64, 4)
    gone = removed(X, 0.4, mechanism="mnar")
    assert (removed(shuffled_where(gone, X, 0), 0.4, mechanism="mnar") != gone).any()


# --- logistic models of the paper ----------------------------------------------------------------


def test_slopes_of_equations_40_and_41_are_recovered_in_every_class() -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], 60_000, p=[0.5, 0.3, 0.2])
    X = rng.normal(size=(60_000, 4)) + (y == "b")[:, None] * 3
    a = {"a": 1.0, "b": -0.5, "c": 0.0}
    slopes = {2: {0: a, 1: -1}, 3: {0: -1, 1: 1}}
    table, gone = ampute_logistic(X, 0.15, slopes=slopes, y=y, return_mask=True)
    assert (np.isnan(table) == gone).all()
    assert not gone[:, :2].any()
    for label in "abc":
        rows = y == label
        assert abs(gone[rows].sum(axis=0)[2:] - 0.15 * rows.sum()).max() <= 1
        for column, wanted in ((2, (a[label], -1)), (3, (-1, 1))):
            found = slopes_of(gone[rows, column], X[rows, 0], X[rows, 1])
            np.testing.assert_allclose(found, wanted, atol=0.12)


def test_probabilities_are_those_of_the_logistic_with_the_intercept_of_the_rate() -> None:
    X, runs = normal(60, 3), 800
    slopes = {"c": {"a": 0.8, "b": -0.05}}
    eta = 0.8 * X[:, 0] - 0.05 * X[:, 1]
    p = expit(eta + brentq(lambda b: expit(eta + b).mean() - 0.25, -30, 30))
    frame = pd.DataFrame(X, columns=list("abc"))
    draws = (
        ampute_logistic(frame, 0.25, slopes=slopes, random_state=seed, return_mask=True)[1][:, 2]
        for seed in range(runs)
    )
    statistic = ((np.sum(list(draws), axis=0) - runs * p) ** 2 / (runs * p * (1 - p))).sum()
    assert chi2.ppf(1e-4, 60) < statistic < chi2.ppf(1 - 1e-4, 60)


# --- arrangements --------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
def test_monotone_is_monotone(mechanism: str) -> None:
    gone = removed(normal(), 0.3, mechanism=mechanism, patterns="monotone", columns=[3, 0, 2])
    assert not gone[:, 1].any()
    order = gone[:, [3, 0, 2]]
    assert (order[:, 1:] >= order[:, :-1]).all()
    assert len(np.unique(order, axis=0)) == 4
    every = removed(normal(), 0.3, mechanism=mechanism, patterns="monotone")
    assert not every[:, 0].any()
    assert (every[:, 1:] >= every[:, :-1]).all()
    assert every[:, 1].any()


def test_patterns_go_as_a_whole_or_not_at_all() -> None:
    matrix = np.array([[0, 0, 1, 1], [1, 0, 1, 0]])
    for mechanism in ("mcar", "mar", "mnar"):
        gone = removed(normal(), 0.2, mechanism=mechanism, patterns=matrix)
        found = {tuple(row) for row in gone.tolist()}
        rows = {tuple(row) for row in (matrix == 0).tolist()}
        assert found == rows | {(False,) * 4}
        assert (
            removed(normal(), 0.2, mechanism=mechanism, patterns=[[1, 0], [3, 1]]) == gone
        ).all()


@pytest.mark.parametrize(
    ("patterns", "going"),
    [
        ([[1, 0, 1, 1]], {(1,)}),  # as many as there are columns, of 0 and 1: a matrix
        (((1, 0, 1, 1), (0, 0, 1, 0)), {(1,), (0, 1, 3)}),
        ([[True, False, True, True]], {(1,)}),
        ([np.array([1, 0, 1, 1]).tolist(), [1, 1, 0, 1]], {(1,), (2,)}),
        ([[1, 0]], {(0, 1)}),  # anything else: positions, or names
        ([[1, 0, 2]], {(0, 1, 2)}),
        ([[1, 0], [1, 3, 2]], {(0, 1), (1, 2, 3)}),
        ([["b"], ["a", "d"]], {(1,), (0, 3)}),
        ([("b", 0), [3]], {(0, 1), (3,)}),
    ],
    ids=str,
)
def test_nested_lists_are_a_matrix_or_name_columns(
    patterns: Any, going: set[tuple[int, ...]]
) -> None:
    X = pd.DataFrame(normal(), columns=list("abcd"))
    gone = np.asarray(removed(X, 0.1, patterns=patterns))
    assert {tuple(np.flatnonzero(row).tolist()) for row in gone} == going | {()}


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
@pytest.mark.parametrize("patterns", [None, "monotone", [[0, 1], [3]]], ids=str)
def test_blocks_are_blocks(mechanism: str, patterns: Any) -> None:
    gone = removed(normal(1003), 0.21, mechanism=mechanism, patterns=patterns, block=10)
    trimmed = 0
    for start in range(0, 1003, 10):
        stretch = gone[start : start + 10]
        for lost in stretch.T:
            assert (lost[1:] <= lost[:-1]).all()  # of a shortened block, the head
            trimmed += 0 < lost.sum() < len(lost)
    assert gone.any()
    assert trimmed <= 7  # the last block of every column or pattern


def test_a_block_goes_where_its_mean_score_is_high() -> None:
    level = np.random.default_rng(0).normal(size=(400, 1))
    X = normal(2000, 2, 1)
    X[:, 0] += 5 * (level * [-1, 2, 2, 2, 2]).ravel()  # the first row says the contrary
    high = X.reshape(400, 5, 2).mean(axis=1)
    gone = removed(X, 0.3, mechanism="mar", columns=[1], block=5).reshape(400, 5, 2).any(axis=1)
    assert high[gone[:, 1], 0].mean() > high[~gone[:, 1], 0].mean() + 0.5


# --- tables of any library -----------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_gaps_in_every_library_and_dtype(case: Any) -> None:
    X = case.build(list(case.values))
    before = dtypes(X)
    out, gone = ampute(X, 0.4, return_mask=True)
    assert gone.sum() == round(0.4 * len(gone))
    assert dtypes(X) == before == dtypes(out)
    assert type(out) is type(X)
    for was, now, lost in zip(cells(X), cells(out), gone[:, 0]):
        assert now is None if lost else alike(was, now)
    if isinstance(X, pd.DataFrame):
        assert out.index.equals(X.index)
        assert out.attrs == X.attrs


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2, 3, 4], np.int64, np.float64),
        ([1, 2, 3, 4], np.uint8, np.float64),
        ([1, 2, 3, -(2**53) - 1], np.int64, object),
        ([1, 2, 3, 2**63], np.uint64, object),
        ([True, False, True, True], bool, object),
        (["a", "b", "c", "d"], "U1", object),
    ],
)
def test_dtypes_that_cannot_hold_a_gap(values: list[Any], dtype: Any, expected: Any) -> None:
    array = np.array(values, dtype=dtype)[:, None]
    frame = pd.DataFrame({"x": array[:, 0], "y": 1}, index=[3, 3, 1, 2])
    for X in (array, frame) if dtype != "U1" else (array,):
        out, gone = ampute(X, 0.5, columns=[0], return_mask=True)
        column = out[:, 0] if isinstance(out, np.ndarray) else out["x"].to_numpy()
        assert column.dtype == expected
        kept = ~gone[:, 0]
        assert column[kept].tolist() == array[kept, 0].tolist()
        assert [type(value) for value in column[~kept]] in ([float] * 2, [np.float64] * 2)
        assert pd.isna(column[~kept]).all()
    assert ampute(frame, 0.5, columns=["x"])["y"].dtype == frame["y"].dtype


def test_tensors_keep_their_type_and_refuse_gaps_in_integers() -> None:
    torch = pytest.importorskip("torch")
    X = torch.tensor(normal(20, 3), dtype=torch.float32)
    out, gone = ampute(X, 0.2, return_mask=True)
    assert out.dtype == torch.float32
    assert (torch.isnan(out).numpy() == gone).all()
    assert (out.numpy()[~gone] == X.numpy()[~gone]).all()
    with pytest.raises(ValueError, match="cannot hold a gap: make it one of floats"):
        ampute(torch.ones((5, 2), dtype=torch.int64), 0.2)


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
def test_the_same_gaps_in_every_library(mechanism: str) -> None:
    X = normal(200, 3)
    X[5:40, 1] = np.nan
    expected = removed(X, 0.2, mechanism=mechanism, random_state=3)
    frame = pd.DataFrame(X, columns=list("abc"))
    arrow = pa.Table.from_pandas(frame)
    for table in (frame, pl.from_pandas(frame), arrow, X.tolist(), np.asfortranarray(X)):
        assert (removed(table, 0.2, mechanism=mechanism, random_state=3) == expected).all()


def test_random_states() -> None:
    X = normal(50)
    same = [removed(X, random_state=make(7)) for make in (int, np.int64, np.random.RandomState) * 2]
    assert (same[0] == same[1]).all()
    assert (same[2] == same[5]).all()
    generators = [removed(X, random_state=np.random.default_rng(7)) for _ in range(2)]
    assert (generators[0] == generators[1]).all()
    assert (removed(X, random_state=8) != same[0]).any()
    assert (removed(X, random_state=None) != removed(X, random_state=None)).any()
    shared = np.random.RandomState(0)
    assert (removed(X, random_state=shared) != removed(X, random_state=shared)).any()
    assert (removed(X) == removed(X, random_state=0)).all()


# --- nothing else changes ------------------------------------------------------------------------


@given(
    case=cases(labelled=False),
    rate=st.floats(0.02, 0.9),
    mechanism=st.sampled_from(["mcar", "mar", "mnar"]),
    block=st.integers(1, 4),
    patterns=st.sampled_from([None, None, "monotone"]),
    seed=st.integers(0, 100),
)
def test_whatever_the_table(
    case: Case, rate: float, mechanism: str, block: int, patterns: Any, seed: int
) -> None:
    before = case.X.copy()
    options: dict[str, Any] = {"mechanism": mechanism, "patterns": patterns, "block": block}
    refused = ""
    try:
        out, gone = ampute(case.X, rate, return_mask=True, random_state=seed, **options)
    except ValueError as error:
        refused = str(error)
    if refused:
        known = "less than one cell|are to go missing|needs a column that stays"
        assert re.search(known, refused)
        return
    observed = ~np.isnan(before)
    assert case.X.tobytes() == before.tobytes()
    assert gone.any()
    assert not (gone & ~observed).any()
    assert (np.isnan(out) == (gone | ~observed)).all()
    assert (out[observed & ~gone] == before[observed & ~gone]).all()
    left = observed & ~gone
    assert (left.any(axis=0) == observed.any(axis=0)).all()
    if gone.shape[1] > 1:
        assert (left.any(axis=1) == observed.any(axis=1)).all()
    if patterns is None:
        assert gone.sum() == round(rate * observed.sum())


def test_the_last_cells_stay() -> None:
    X = np.ones((6, 3)) * np.arange(6)[:, None]
    for seed in range(30):
        gone = removed(X, 10 / 18, random_state=seed)
        assert gone.sum() == 10
        assert not gone.all(axis=1).any()
        assert not gone.all(axis=0).any()
    with pytest.raises(
        ValueError, match=r"14 of the cells are to go missing, but about (\d|1[0-3]) can"
    ):
        ampute(X, 14 / 18)
    lonely = np.arange(12.0).reshape(4, 3)
    lonely[1:, 0] = np.nan
    for seed in range(30):
        assert not removed(lonely, 0.2, random_state=seed)[:, 0].any()
    assert removed(X[:, :1], 5 / 6).sum() == 5  # a table of one column, but for one row


def test_empty_columns_stay_as_they_are() -> None:
    X = pd.DataFrame({"a": normal(30, 1)[:, 0], "b": [None] * 30, "c": range(30)})
    out, gone = ampute(X, 0.2, mechanism="mar", return_mask=True)
    assert gone.sum(axis=0).tolist() == [6, 0, 6]
    pd.testing.assert_series_equal(out["b"], X["b"])


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "rate=0 must be a share"),
        ({"rate": 1.0}, "rate=1.0 must be a share"),
        ({"rate": np.nan}, "rate=nan must be a share"),
        ({"rate": "10%"}, "rate='10%' must be a share"),
        ({"rate": 0.001}, "of 80 observed cells is less than one cell"),
        ({"mechanism": "nmar"}, "mechanism='nmar' must be one of 'mcar', 'mar', 'mnar'"),
        ({"type": "both"}, "type='both' must be one of 'right'"),
        ({"columns": ["a", "z"]}, "columns has 'z', but X has the columns 'a', 'b', 'c', 'd'"),
        ({"columns": [4]}, "columns has 4, but X has"),
        ({"columns": [True]}, "columns has True, but X has"),
        ({"columns": [False] * 4}, "give at least one"),
        ({"columns": []}, "give at least one"),
        ({"columns": ["a", 0]}, "each once"),
        ({"block": 0}, "block=0 must be a number of rows"),
        ({"block": 2.5}, "block=2.5 must be"),
        ({"patterns": "staircase"}, "patterns='staircase' must be"),
        ({"patterns": []}, "patterns is empty"),
        ({"patterns": [list("abcd")]}, "Pattern 0 removes every column"),
        ({"patterns": [0, 1]}, "patterns has 0: pass for each pattern a list of the columns"),
        ({"patterns": ["a", "b"]}, "patterns has 'a': pass for each pattern a list"),
        ({"patterns": [[1, 1, 1, 1]]}, "Pattern 0 removes no column"),
        ({"patterns": [["a"], []]}, "give at least one column"),
        ({"patterns": np.array([[0, 1, 1, 1], [1, 1, 1, 1]])}, "Pattern 1 removes no column"),
        ({"patterns": np.array([[0, 1]])}, r"shape \(1, 2\): .* the 4 columns of X"),
        ({"patterns": np.array([[2, 1, 1, 1]])}, "1 for a cell that stays"),
        ({"patterns": [["a"]], "columns": ["a"]}, "columns=.* must be left out"),
        ({"patterns": [["a"], ["b"]], "frequencies": [1]}, "one for each of the 2 patterns"),
        ({"patterns": [["a"]], "frequencies": [0]}, "must be positive"),
        ({"frequencies": [1]}, "pass patterns"),
        ({"weights": [[1, 1, 1, 1]] * 4}, 'weights need mechanism="mar" or "mnar"'),
        ({"mechanism": "mar", "weights": [[1, 0, 0, 0]]}, "1 rows for 4 patterns or columns"),
        ({"mechanism": "mar", "weights": np.eye(4)}, r"weights\[0\] has a weight on 'a', which"),
        ({"mechanism": "mar", "columns": "a", "weights": {"b": {}}}, r"weights are given for \['b"),
        ({"mechanism": "mar", "columns": "a", "weights": [[0, 1]]}, "has the shape"),
        ({"mechanism": "mar", "columns": "a", "weights": [{"q": 1}]}, "weights has 'q'"),
        ({"mechanism": "mnar", "columns": "a", "weights": [{"b": np.inf}]}, "must be finite"),
        ({"mechanism": "mar", "patterns": [["a"]], "weights": {"a": {}}}, "weights is a mapping"),
        (
            {"mechanism": "mar", "rate": 0.8},
            "64 of the cells are to go missing, but .* Lower the rate",
        ),
        ({"patterns": [["a"], ["b"]], "rate": 0.6}, "24 of the cells are to go .* Lower the rate"),
        ({"patterns": "monotone", "columns": list("abcd"), "rate": 0.9}, "Lower the rate"),
    ],
    ids=str,
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    X = pd.DataFrame(normal(20), columns=list("abcd"))
    with pytest.raises(ValueError, match=message):
        ampute(X, **options)


def test_one_column_has_nothing_to_decide_about_it() -> None:
    with pytest.raises(ValueError, match='mechanism="mar" needs a column that stays'):
        ampute(normal(20, 1), mechanism="mar")
    with pytest.raises(ValueError, match="needs a column that stays: X has only one"):
        ampute(normal(20, 1), patterns="monotone")
    assert removed(normal(20, 1), mechanism="mnar").sum() == 2


@pytest.mark.parametrize(
    ("slopes", "y", "message"),
    [
        ([1, 2], None, "must be a mapping"),
        ({}, None, "give at least one column"),
        ({7: {0: 1}}, None, "slopes has 7"),
        ({2: {2: 1}}, None, "slopes make 2 depend on 2, which loses cells too"),
        ({2: {3: 1}, 3: {0: 1}}, None, "slopes make 2 depend on 3"),
        ({2: {0: np.nan}}, None, "Slopes must be finite"),
        ({2: {0: {"a": 1}}}, ["a", "b"] * 10, r"given for \['a'\]; y has \['a', 'b'\]"),
        ({2: {0: 1}}, ["a", None] * 10, "y has no label in row 1"),
        ({2: {0: 1}}, ["a"], "y has 1 labels, but X has 20 rows"),
    ],
)
def test_mistakes_with_slopes(slopes: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ampute_logistic(normal(20), slopes=slopes, y=y)


def test_what_is_removed_can_be_filled() -> None:
    X = pd.DataFrame(normal(80), columns=list("abcd"))
    table = ampute(X, 0.1, mechanism="mar")
    assert not greyknn.impute(table, n_neighbors=3).isna().any(axis=None)
