"""Leaves are the paper's formulas; extremes, averages and information are what they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from asserts import assert_same_neighbours
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn_kernels import cpu, formula
from greyknn_kernels.formula import EUCLIDEAN, GREY, HEOM
from searching import (
    table,
)

METRICS = [GREY, HEOM, EUCLIDEAN]


@given(st.floats(-50, 50))
def test_gaussian(z: float) -> None:
    assert formula.gaussian(z) == pytest.approx(math.exp(-0.5 * z * z), rel=1e-12, abs=4e-18)


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=20), st.integers(1, 8),
    st.randoms(),
)  # fmt: skip
def test_insert_keeps_the_nearest_in_order(distances: list[float], k: int, random: Any) -> None:
    """Of equal distances the lower positions, in whatever order they come."""
    pairs = [(distance, position) for position, distance in enumerate(distances)]
    random.shuffle(pairs)
    kept, positions = np.full(k, np.inf), np.full(k, -1)
    for distance, position in pairs:
        if distance < kept[-1] or (distance == kept[-1] and position < positions[-1]):
            formula.insert(kept, positions, k - 1, distance, position)
    count = min(k, len(pairs))
    assert list(zip(kept[:count], positions[:count], strict=True)) == sorted(pairs)[:count]
    assert (kept[count:] == np.inf).all()


@given(st.floats(0, 16), st.floats(-1, 1))
def test_settled_sums_forget_rounding_and_nothing_else(total: float, share: float) -> None:
    settled = formula.settled(total)
    assert abs(settled - total) <= formula.GRAIN / 2
    assert settled % formula.GRAIN == 0.0
    assert formula.settled(settled) == settled
    assert formula.settled(settled + share * formula.GRAIN * 0.4) == settled


@pytest.mark.parametrize("metric", METRICS)
@given(distance=st.floats(0, 100), error=st.floats(-1, 1), slack=st.floats(0, 1))
def test_the_farthest_estimate_is_farther_than_any_error_makes_it(
    metric: int, distance: float, error: float, slack: float
) -> None:
    estimate = distance + error * slack
    if metric == EUCLIDEAN:
        estimate = (math.sqrt(distance) + error * slack) ** 2
    farthest = formula.farthest_estimate(metric, distance, slack)
    assert farthest >= estimate * (1.0 - 1e-12)
    assert farthest <= (distance + slack + 2 * slack * math.sqrt(distance) + slack**2) * 1.0021


def test_dissimilarities_of_two_cells() -> None:
    gap = math.nan

    def of(metric: int, query: float, donor: float, categorical: bool = False) -> float:
        return formula.dissimilarity(metric, query, donor, categorical, 0.125, 0.5)

    assert of(GREY, 0.25, 0.75) == (0.5 - 0.125) / (0.5 + 0.5)
    assert (of(HEOM, 0.25, 0.75), of(HEOM, -3.0, 0.75)) == (0.25, 1.0)
    assert (of(EUCLIDEAN, 0.25, 0.75), of(EUCLIDEAN, -3.0, 0.0)) == (0.25, 9.0)
    for metric in METRICS:
        lacking = 0.0 if metric == EUCLIDEAN else 1.0
        assert of(metric, gap, 0.5) == of(metric, 0.5, gap) == of(metric, gap, gap) == lacking
        assert (of(metric, 2.0, 2.0, True), of(metric, 2.0, 3.0, True)) == (0.0, 1.0)
    assert formula.dissimilarity(GREY, 0.25, 0.25, False, 0.0, 0.0) == 0.0


@given(
    seed=st.integers(0, 2**32 - 1),
    gap=st.sampled_from([0.0, 0.3, 0.8]),
    ties=st.booleans(),
)
def test_extremes_and_neighbours_are_those_of_the_paper(seed: int, gap: float, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    values, categorical = table(rng, (14, 4), gap=gap, ties=ties)
    rows, groups = np.arange(14), rng.integers(0, 2, 14)
    weights = np.full(4, 0.25)
    donors = DonorTable(Geometry("grey", categorical, 0.5, cpu), weights, values, rows, groups)
    smallest, largest = donors.extremes(values, groups, rows)
    found = nearest(donors, weights, 6, values, rows=rows, groups=groups)
    plain = [[None if np.isnan(cell) else float(cell) for cell in row] for row in values]
    for row in range(14):
        others = [other for other in range(14) if other != row and groups[other] == groups[row]]
        shown = [plain[other] for other in others]
        extremes = naive.extremes(plain[row], shown, categorical.tolist())
        assert (smallest[row], largest[row]) == (extremes or (0.0, 0.0))
        reference = naive.neighbours(
            plain[row], shown, others, categorical.tolist(), weights.tolist(), "grey", 0.5, 99
        )
        count = found.counts[row]
        assert count == min(len(reference or []), 6)
        if count:
            pairs = zip(found.distances[row], found.rows[row].tolist(), strict=True)
            assert_same_neighbours(list(pairs)[:count], reference or [])


@given(
    seed=st.integers(0, 2**32 - 1),
    n_kin=st.integers(1, 4),
    n_groups=st.integers(1, 3),
    gap=st.sampled_from([0.0, 0.5]),
)
def test_extremes_pass_over_kin(seed: int, n_kin: int, n_groups: int, gap: float) -> None:
    rng = np.random.default_rng(seed)
    values, categorical = table(rng, (25, 4), gap=gap, ties=True)
    groups, kin = rng.integers(0, n_groups, 25), rng.integers(0, n_kin, 25)
    rows = np.flatnonzero(rng.random(25) < 0.8)
    geometry = Geometry("grey", categorical, 0.5, cpu)
    donors = DonorTable(geometry, np.ones(4), values, rows, groups, kin)
    queries = np.concatenate([values, 3.0 * values - 1.0])
    asked = rng.integers(-1, n_groups + 1, 50)
    query_kin = rng.integers(-1, n_kin, 50)
    smallest, largest = donors.extremes(queries, asked, query_kin)
    for query in range(50):
        others = rows[(groups[rows] == asked[query]) & (kin[rows] != query_kin[query])]
        differences = np.abs(values[others] - queries[query])[:, ~categorical]
        differences = differences[~np.isnan(differences)]
        expected = (differences.min(), differences.max()) if len(differences) else (0.0, 0.0)
        assert (smallest[query], largest[query]) == expected


@pytest.mark.parametrize("average", [formula.PLAIN, formula.WEIGHTED])
@given(data=st.data())
def test_fills_are_those_of_the_paper(average: int, data: st.DataObject) -> None:
    distance = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1e-200]) | st.floats(0.001, 1.0)
    distances = sorted(data.draw(st.lists(distance, min_size=1, max_size=8)))
    k = len(distances)
    values = data.draw(st.lists(st.integers(0, 3), min_size=k, max_size=k))
    donors = np.column_stack([values, values]).astype(float)
    filled = np.full(2, 9.0)
    cpu.fill(
        average, k, np.zeros(2, np.int64), np.arange(2), np.array([False, True]), donors,
        np.arange(k, dtype=np.int32)[None], np.array([distances]), np.array([k]), filled,
    )  # fmt: skip
    name = "plain" if average == formula.PLAIN else "weighted"
    assert filled[0] == pytest.approx(
        naive.fill_number([float(value) for value in values], distances, name)
    )
    assert filled[1] == naive.fill_category([float(value) for value in values], distances, name)


def test_a_cell_without_neighbours_keeps_its_value() -> None:
    filled = np.array([7.0])
    cpu.fill(
        formula.WEIGHTED, 3, np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([False]),
        np.ones((2, 1)), np.full((1, 3), -1, np.int32), np.full((1, 3), np.inf),
        np.zeros(1, np.int64), filled,
    )  # fmt: skip
    assert filled[0] == 7.0


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), max_size=6))
def test_majorities_of_the_first_neighbours(labels: list[list[int]]) -> None:
    voted = np.array(labels, dtype=np.int64).reshape(-1, 5)
    winners = np.full(voted.shape, -1)
    cpu.majorities(voted, winners)
    for row, line in enumerate(labels):
        for last in range(5):
            votes = np.bincount(line[: last + 1])
            assert winners[row, last] == votes.argmax()


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 90), min_size=1, max_size=3))
def test_class_entropies_are_sums_over_all_pairs(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    starts = np.append(0, np.cumsum(sizes))
    points, scale = rng.normal(size=starts[-1]), 2.5
    entropies = np.empty(len(points))
    cpu.class_entropies(points, starts, scale, entropies)
    windows = np.exp(-0.5 * ((points[:, None] - points) * scale) ** 2)
    shares = np.add.reduceat(windows, starts[:-1], axis=1) / windows.sum(axis=1, keepdims=True)
    expected = -np.sum(shares * np.log2(np.maximum(shares, 1e-300)), axis=1)
    np.testing.assert_allclose(entropies, expected, rtol=1e-9, atol=1e-11)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 150))
def test_joint_information_is_a_sum_over_all_pairs(seed: int, n: int) -> None:
    x, z = np.random.default_rng(seed).normal(size=(2, n))
    information = np.empty(n)
    cpu.joint_information(x, z, 2.0, 3.0, information)
    of_x = np.exp(-0.5 * ((x[:, None] - x) * 2.0) ** 2)
    of_z = np.exp(-0.5 * ((z[:, None] - z) * 3.0) ** 2)
    ratio = n * (of_x * of_z).sum(axis=1) / (of_x.sum(axis=1) * of_z.sum(axis=1))
    np.testing.assert_allclose(information, np.log2(ratio), rtol=1e-9, atol=1e-11)
