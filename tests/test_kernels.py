"""The search finds what measuring every donor finds; the leaves are the paper's formulas."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import naive
from asserts import assert_same_neighbours
from greyknn_kernels import cpu, formula, packing
from greyknn_kernels.cpu import search as search_loops
from greyknn_kernels.formula import GREY, HEOM

METRICS = [GREY, HEOM]


def table(
    rng: np.random.Generator, shape: tuple[int, int], *, gap: float, ties: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers in [0, 1], on a coarse grid if they are to tie, and codes in every third column."""
    values = rng.random(shape)
    if ties:
        values = np.round(values * 4) / 4
    categorical = np.arange(shape[1]) % 3 == 2
    values[:, categorical] = rng.integers(0, 4, (shape[0], int(categorical.sum())))
    values[rng.random(shape) < gap] = np.nan
    return values, categorical


def brute_force(
    metric: int, query: Any, donors: Any, rows: Any, categorical: Any, weights: Any,
    smallest: float, offset: float,
) -> list[tuple[float, int]]:  # fmt: skip
    """Every donor, nearest first, by the leaf that measures a pair of cells."""
    totals = []
    for row in rows:
        total = 0.0
        for column, weight in enumerate(weights):
            total += weight * formula.dissimilarity(
                metric, query[column], donors[row, column], categorical[column], smallest, offset
            )
        total = formula.settled(total)
        totals.append((math.sqrt(total) if metric == HEOM else total, row))
    return sorted(totals)


def search(
    metric: int, queries: Any, own: Any, first: Any, last: Any, donors: Any, categorical: Any,
    weights: Any, smallest: Any, offset: Any, k: int,
) -> tuple[Any, Any, Any]:  # fmt: skip
    shape = (len(queries), k)
    distances, positions = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int64)
    counts = np.zeros(len(queries), dtype=np.int64)
    cpu.nearest(
        metric, queries, own, first, last, donors, packing.pack_donors(donors), categorical,
        weights, smallest, offset, distances, positions, counts,
    )  # fmt: skip
    return distances, positions, counts


def check_search(
    metric: int, rng: np.random.Generator, shape: tuple[int, int], n_queries: int, k: int, *,
    gap: float = 0.1, ties: bool = False, scale: float = 1.0, extremes: tuple[float, float],
) -> None:  # fmt: skip
    """Search two ranges of donors with queries from inside and outside the table."""
    donors, categorical = table(rng, shape, gap=gap, ties=ties)
    n_donors, n_columns = shape
    own = rng.integers(-1, n_donors, n_queries)
    queries = donors[own].copy()
    outside = own < 0
    queries[outside], _ = table(rng, (int(outside.sum()), n_columns), gap=gap, ties=ties)
    queries[:, ~categorical] *= scale
    if scale != 1.0:
        own = np.full(n_queries, -1)
    middle = n_donors // 3
    first = np.where(own < middle, 0, middle)
    last = np.where(own < middle, middle, n_donors)
    weights = rng.random(n_columns) * (rng.random(n_columns) < 0.8)
    smallest = np.full(n_queries, 0.0 if metric == HEOM else extremes[0])
    offset = np.full(n_queries, 1.0 if metric == HEOM else extremes[1])
    distances, positions, counts = search(
        metric, queries, own, first, last, donors, categorical, weights, smallest, offset, k
    )
    for query in range(n_queries):
        if np.isnan(queries[query])[weights > 0].all():
            assert counts[query] == 0
            continue
        rows = [row for row in range(first[query], last[query]) if row != own[query]]
        reference = brute_force(
            metric, queries[query], donors, rows, categorical, weights, smallest[query],
            offset[query],
        )[:k]  # fmt: skip
        assert counts[query] == len(reference)
        found = zip(distances[query], positions[query], strict=True)
        assert list(found)[: len(reference)] == reference


@pytest.mark.parametrize("metric", METRICS)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_donors=st.integers(1, 40),
    n_columns=st.integers(1, 9),
    k=st.integers(1, 12),
    gap=st.sampled_from([0.0, 0.1, 0.6]),
    ties=st.booleans(),
    extremes=st.sampled_from([(0.0, 0.5), (0.01, 0.3), (0.0, 0.0), (0.0, 1e-9), (0.0, 1e-30)]),
)
def test_search_equals_brute_force(
    metric: int, seed: int, n_donors: int, n_columns: int, k: int, gap: float, ties: bool,
    extremes: tuple[float, float],
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    if extremes[1] == 0.0:  # Dmax = 0: all comparable numbers are equal
        ties, shape = True, (n_donors, n_columns)
        donors, categorical = table(rng, shape, gap=gap, ties=ties)
        donors[:, ~categorical] = np.where(np.isnan(donors[:, ~categorical]), np.nan, 0.5)
        own = np.arange(n_donors)
        first, last = np.zeros(n_donors, np.int64), np.full(n_donors, n_donors)
        weights = np.full(n_columns, 1.0 / n_columns)
        zeros = np.zeros(n_donors)
        distances, positions, counts = search(
            metric, donors, own, first, last, donors, categorical, weights, zeros,
            zeros + (metric == HEOM), k,
        )  # fmt: skip
        for row in range(n_donors):
            if not np.isnan(donors[row]).all():
                others = [other for other in range(n_donors) if other != row]
                reference = brute_force(
                    metric, donors[row], donors, others, categorical, weights, 0.0,
                    float(metric == HEOM),
                )[:k]  # fmt: skip
                assert list(zip(distances[row], positions[row], strict=True))[: counts[row]] == (
                    reference
                )
        return
    check_search(metric, rng, (n_donors, n_columns), 12, k, gap=gap, ties=ties, extremes=extremes)


@pytest.mark.jit
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n_columns", "k"), [(3, 5), (8, 20), (13, 70)])
def test_search_over_many_blocks(metric: int, ties: bool, n_columns: int, k: int) -> None:
    rng = np.random.default_rng([metric, ties, n_columns])
    shape = (5 * packing.BLOCK + 17, n_columns)
    check_search(metric, rng, shape, 70, k, ties=ties, extremes=(0.001, 0.4))


@pytest.mark.jit
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e3, 1e5, 1e9, 1e300])
def test_queries_far_outside_the_range_of_fit(metric: int, scale: float) -> None:
    rng = np.random.default_rng(3)
    check_search(metric, rng, (600, 4), 20, 8, scale=scale, extremes=(0.0, 0.5 * scale))


@pytest.mark.jit
def test_differences_below_single_precision_are_told_apart() -> None:
    donors = 0.5 + np.arange(600)[:, None] * 1e-12
    query = np.array([[0.5]])
    none, zero = np.array([-1]), np.zeros(1)
    distances, positions, _ = search(
        GREY, query, none, np.array([0]), np.array([600]), donors[::-1].copy(),
        np.array([False]), np.ones(1), zero, np.array([3e-10]), 5,
    )  # fmt: skip
    assert positions[0].tolist() == [599, 598, 597, 596, 595]
    assert (np.diff(distances[0]) > 0).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    gap=st.sampled_from([0.0, 0.3, 0.8]),
    ties=st.booleans(),
)
def test_extremes_and_neighbours_are_those_of_the_paper(seed: int, gap: float, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    values, categorical = table(rng, (14, 4), gap=gap, ties=ties)
    n_rows = len(values)
    numbers = values[:, ~categorical]
    columns = np.sort(numbers, axis=0).T.copy()
    observed = np.tile((~np.isnan(numbers)).sum(axis=0), (n_rows, 1))
    own = np.arange(n_rows)
    first, last = np.zeros(n_rows, dtype=np.int64), np.full(n_rows, n_rows)
    smallest, largest = np.empty(n_rows), np.empty(n_rows)
    cpu.extremes(numbers, own, first, last, columns, observed, smallest, largest)
    plain = [[None if np.isnan(cell) else float(cell) for cell in row] for row in values]
    weights = np.full(4, 0.25)
    distances, positions, counts = search(
        GREY, values, own, first, last, values, categorical, weights, smallest, 0.5 * largest, 6
    )
    for row in range(n_rows):
        others = [other for other in range(n_rows) if other != row]
        donors = [plain[other] for other in others]
        extremes = naive.extremes(plain[row], donors, categorical.tolist())
        assert (smallest[row], largest[row]) == (extremes or (0.0, 0.0))
        reference = naive.neighbours(
            plain[row], donors, others, categorical.tolist(), weights.tolist(), "grey", 0.5, 99
        )
        assert (reference is None) == (counts[row] == 0)
        if reference is not None:
            found = zip(distances[row], positions[row].tolist(), strict=True)
            assert_same_neighbours(list(found)[: counts[row]], reference)


@pytest.mark.parametrize("metric", METRICS)
@given(
    seed=st.integers(0, 2**32 - 1),
    log_offset=st.floats(-20, 8),
    reach=st.sampled_from([1.0, 30.0, 1000.0]),
)
def test_single_precision_stays_within_its_bound(
    metric: int, seed: int, log_offset: float, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    donors, categorical = table(rng, (packing.BLOCK, 7), gap=0.2, ties=False)
    query, _ = table(rng, (1, 7), gap=0.2, ties=False)
    query[0, ~categorical] *= reach
    weights = rng.random(7)
    smallest, offset = 0.0, 1.0
    if metric == GREY:  # Dmin is at most any difference, so that no coefficient exceeds 1
        differences = np.abs(donors - query)[:, ~categorical]
        smallest = float(np.fmin.reduce(differences, axis=None, initial=0.1)) * rng.random()
        offset = 2.0**log_offset
    room = 7 + packing.CHAIN - 1
    cells, cell_weights, offsets = (np.empty(room, dtype=np.float32) for _ in range(3))
    columns = np.empty(room, dtype=np.int64)
    n_chains, base, slack = packing.pack_query(
        metric, query[0], categorical, weights, smallest, offset, cells, cell_weights, offsets,
        columns,
    )  # fmt: skip
    used = slice(0, n_chains * packing.CHAIN)
    scores = np.empty(packing.BLOCK, dtype=np.float32)
    search_loops._score_block(
        metric, cells[used], cell_weights[used], offsets[used], columns[used],
        packing.pack_donors(donors)[0], scores,
    )  # fmt: skip
    for donor in range(0, packing.BLOCK, 8):
        total = sum(
            weights[column] * formula.dissimilarity(
                metric, query[0, column], donors[donor, column], categorical[column], smallest,
                offset,
            )
            for column in range(7)
        )  # fmt: skip
        assert abs(base - float(scores[donor]) - total) <= slack / 2


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
        np.arange(k)[None], np.array([distances]), np.array([k]), filled,
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
        np.ones((2, 1)), np.full((1, 3), -1), np.full((1, 3), np.inf), np.zeros(1, np.int64),
        filled,
    )  # fmt: skip
    assert filled[0] == 7.0


@given(st.floats(-50, 50))
def test_gaussian(z: float) -> None:
    assert formula.gaussian(z) == pytest.approx(math.exp(-0.5 * z * z), rel=1e-12, abs=4e-18)


@pytest.mark.jit
def test_answers_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(0)
    donors, categorical = table(rng, (700, 6), gap=0.1, ties=True)
    everyone = np.arange(700)
    arguments = (
        GREY, donors, everyone, np.zeros(700, np.int64), np.full(700, 700), donors, categorical,
        np.full(6, 1 / 6), np.zeros(700), np.full(700, 0.5), 9,
    )  # fmt: skip
    most = numba.config.NUMBA_NUM_THREADS
    if most == 1:
        pytest.skip("one thread only")
    try:
        numba.set_num_threads(1)
        alone = search(*arguments)
    finally:
        numba.set_num_threads(most)
    for one, many in zip(alone, search(*arguments), strict=True):
        assert (one == many).all()
