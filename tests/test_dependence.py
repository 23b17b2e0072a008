"""Ranks, and how much each column tells about each target, against loops (naive_targets.py)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import naive_targets as naive
from conftest import COMPILED
from greyknn import dependence
from greyknn.dependence import target_information
from greyknn.scaling import Ranks
from strategies import Case, cases, plain

Floats = NDArray[np.float64]

numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e300, 1e300))
seeds = st.integers(0, 2**32 - 1)


def of_numbers(*columns: Floats) -> Floats:
    """Information of columns of numbers with each other."""
    values = np.column_stack(columns)
    kinds = np.zeros(len(columns), dtype=bool)
    return target_information(Ranks.fit(values, kinds).scaled(values), kinds, len(columns))


# --- ranks


def test_ranks_by_hand() -> None:
    nan = np.nan
    values = np.array([[10.0, 7.0], [20.0, nan], [20.0, 5.0], [nan, 5.0], [40.0, 5.0]])
    ranks = Ranks.fit(values, np.array([False, True]))
    # Of four numbers 0 are below 10, and half of itself counts; 1 is below 20, and half of two.
    assert ranks.scaled(values)[:, 0].tolist()[:3] == [0.125, 0.5, 0.5]
    assert ranks.scaled(values)[4, 0] == 0.875
    np.testing.assert_array_equal(ranks.scaled(values)[:, 1], values[:, 1])  # codes stay
    new = np.array([[-9e300, 2.0], [9e300, nan], [30.0, 0.0], [nan, 1.0]])
    np.testing.assert_array_equal(ranks.scaled(new)[:, 0], [0.0, 1.0, 0.75, nan])


@given(st.lists(numbers, min_size=1, max_size=30), st.lists(numbers, min_size=1, max_size=9))
def test_ranks_count_smaller_numbers_and_half_of_equal_ones(
    train: list[float], new: list[float]
) -> None:
    column = np.array([*train, np.nan])[:, None]
    ranks = Ranks.fit(column, np.array([False]))
    for cells in (train, new):
        ours = ranks.scaled(np.array([*cells, np.nan])[:, None])[:, 0]
        assert ours.tolist()[:-1] == [naive.rank(train, cell) for cell in cells]
        assert np.isnan(ours[-1])
    assert ranks.scaled(column)[:-1].mean() == pytest.approx(0.5)


@given(case=cases(labelled=False), power=st.sampled_from([3.0, 1 / 3, 5.0]))
def test_ranks_do_not_change_on_another_monotone_scale(case: Case, power: float) -> None:
    kinds = np.array(case.categorical)
    bent = np.where(kinds, case.X, np.sign(case.X) * np.abs(case.X) ** power)
    new = case.X[::-1][:5]
    bent_new = np.where(kinds, new, np.sign(new) * np.abs(new) ** power)
    before, after = Ranks.fit(case.X, kinds), Ranks.fit(bent, kinds)
    np.testing.assert_array_equal(after.scaled(bent), before.scaled(case.X))
    np.testing.assert_array_equal(after.scaled(bent_new), before.scaled(new))


def test_a_column_without_numbers_has_no_ranks() -> None:
    empty = np.full((3, 1), np.nan)
    assert np.isnan(Ranks.fit(empty, np.array([False])).scaled(empty)).all()


# --- information


@given(case=cases(max_rows=60), extra=st.booleans())
def test_information_is_what_counts_say(case: Case, extra: bool) -> None:
    kinds = np.array(case.categorical)
    ranks = Ranks.fit(case.X, kinds).scaled(case.X)
    if extra and case.y is not None:
        ranks = np.column_stack([ranks, np.array(case.y, dtype=float)])
        kinds = np.append(kinds, True)
    ours = target_information(ranks, kinds, len(case.categorical))
    reference = naive.all_information(plain(ranks), kinds.tolist(), len(case.categorical))
    np.testing.assert_allclose(ours, reference, atol=1e-12)
    assert (np.diag(ours) == 0.0).all()
    assert (ours >= 0.0).all()


@pytest.mark.parametrize("n_rows", [30, 300])
@pytest.mark.parametrize("kinds", [(False, False), (False, True), (True, True)])
def test_information_of_related_columns(n_rows: int, kinds: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(n_rows)
    hidden = rng.normal(size=n_rows)
    values = hidden[:, None] + 0.5 * rng.normal(size=(n_rows, 2))
    values[:, kinds] = np.sign(np.round(values[:, kinds]))
    values[rng.random(values.shape) < 0.2] = np.nan
    codes = np.array(kinds)
    ranks = Ranks.fit(values, codes).scaled(values)
    ours = target_information(ranks, codes, 2)
    assert ours[0, 1] > 0.1
    assert ours[0, 1] == pytest.approx(ours[1, 0], rel=1e-12)
    np.testing.assert_allclose(ours, naive.all_information(plain(ranks), list(kinds), 2))


def test_information_by_hand() -> None:
    x = np.repeat([0.0, 1.0], 50)
    ours = target_information(np.column_stack([x, x]), np.array([True, True]), 2)
    # log 2 nats, less one degree of freedom over twice 100 rows.
    np.testing.assert_allclose(ours, [[0.0, math.log(2) - 0.005], [math.log(2) - 0.005, 0.0]])


def test_columns_that_are_never_observed_together_tell_nothing() -> None:
    x, z = np.arange(20.0), np.arange(20.0)
    x[:10], z[10:] = np.nan, np.nan
    assert (of_numbers(x, z) == 0.0).all()


@pytest.mark.parametrize("n_rows", [60, 400])
def test_noise_tells_exactly_nothing_in_most_draws(n_rows: int) -> None:
    rng = np.random.default_rng(0)
    n_columns = 24 if COMPILED else 16
    noise = of_numbers(*rng.normal(size=(n_columns, n_rows)))
    pairs = noise[np.triu_indices(n_columns, 1)]
    # A G-test at 5 %, which is a little too willing with few rows in a cell.
    assert 0.88 < np.mean(pairs == 0.0) < 0.99
    told = pairs[pairs > 0.0]
    assert len(told) > 0
    assert told.max() < 0.2


def test_what_is_related_more_closely_tells_more() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    told = [of_numbers(x, x + noise * rng.normal(size=500))[0, 1] for noise in (0.1, 0.5, 1, 3)]
    assert told == sorted(told, reverse=True)
    assert told[-1] > 0.0
    curved = of_numbers(x, x**2)[0, 1]  # of which a correlation would see nothing
    assert curved > 0.5


def test_of_many_rows_a_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.repeat([0.0, 1.0], [120, 80])
    table, kinds = np.column_stack([x, x]), np.array([True, True])
    whole = target_information(table, kinds, 2)
    monkeypatch.setattr(dependence, "MOST_ROWS", 200)
    np.testing.assert_array_equal(target_information(table, kinds, 2), whole)
    monkeypatch.setattr(dependence, "MOST_ROWS", 50)
    sampled = target_information(table, kinds, 2)
    np.testing.assert_array_equal(target_information(table, kinds, 2), sampled)
    # Equal columns tell the entropy of k rows of 50, less 1 / 100, and k is near 20.
    shares = np.arange(10, 31) / 50
    entropies = -shares * np.log(shares) - (1 - shares) * np.log(1 - shares)
    assert np.isclose(sampled[0, 1] + 0.01, entropies).any()
    assert not np.isclose(whole[0, 1] + 0.01, entropies).any()


def test_rare_levels_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    codes = np.append(np.arange(70), rng.integers(0, 70, 2000)) * 1.0
    other = (codes % 3 + (rng.random(2070) < 0.3)) % 3
    table, kinds = np.column_stack([codes, other]), np.array([True, True])
    ours = target_information(table, kinds, 2)
    np.testing.assert_allclose(ours, naive.all_information(plain(table), [True, True], 2))
    by_hand = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4] * 5)
    monkeypatch.setattr(dependence, "MOST_LEVELS", 3)
    lumped = np.minimum(by_hand, 2)  # 0 and 1 are the most frequent, all others are one
    told = [
        target_information(np.column_stack([some, by_hand == 2]) * 1.0, kinds, 1)[0, 1]
        for some in (by_hand, lumped)
    ]
    assert told[0] == told[1] > 0.0
