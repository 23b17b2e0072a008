"""Leaves are the paper's formulas; packed cells, bounds and leaves of donors are what they say."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from asserts import assert_same_neighbours
from conftest import COMPILED
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn_kernels import cpu, formula, packing, tree
from greyknn_kernels.cpu import scoring
from greyknn_kernels.formula import EUCLIDEAN, GREY, HEOM
from greyknn_kernels.layout import FAN, NONE
from greyknn_kernels.packing import BLOCK, CHAIN
from test_search import Floats, table

METRICS = [GREY, HEOM, EUCLIDEAN]


# --- leaves -----------------------------------------------------------------------------------


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
    assert farthest <= (distance + slack + 2 * slack * math.sqrt(distance) + slack**2) * 1.001


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


# --- packing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_rows", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_packed_blocks_end_in_gaps(metric: int, n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    values, categorical = table(rng, (n_rows, 4), gap=0.3)
    weights = np.array([0.5, 1e-9, 0.25, 0.0])
    steps = packing.code_steps(values, categorical)
    blocks = packing.pack_donors(metric, values, categorical, weights, steps)
    assert blocks.shape == (-(-n_rows // BLOCK), 5, BLOCK)
    assert n_rows == 0 or blocks.ctypes.data % packing.CACHE_LINE == 0
    rows = np.moveaxis(blocks, 1, 2).reshape(-1, 5)
    lacking = np.isnan(values)
    assert (rows[:n_rows, :4][lacking] == -packing.FAR).all()
    assert (rows[:n_rows, :4][~lacking] > packing.GAP).all()
    assert (rows[n_rows:] == -packing.FAR).all()
    assert (rows[:, 4] == -packing.FAR).all()


@given(st.lists(st.integers(0, 2**27), min_size=1, max_size=8))
def test_packed_codes_are_apart_and_no_gaps(codes: list[int]) -> None:
    values = np.array(codes, dtype=float)[:, None]
    categorical = np.ones(1, bool)
    steps = packing.code_steps(values, categorical)
    assert np.log2(steps[0]) % 1.0 == 0.0
    assert 1.0 <= steps[0] <= packing.LARGEST_STEP
    packed = packing.pack_donors(GREY, values, categorical, np.ones(1), steps)[0, 0, : len(codes)]
    small = values[:, 0] < packing.LARGEST_CODE  # queries with larger ones are not filtered
    assert (packed[small] > packing.GAP).all()
    assert (packed[small] == values[small, 0] * steps).all()
    assert not np.isin(packed[~small], packed[small]).any()
    assert packing.code_steps(np.full((2, 1), np.nan), categorical)[0] == packing.LARGEST_STEP
    assert packing.code_steps(np.empty((0, 1)), categorical)[0] == 1.0


def packed_query(
    metric: int, query: Floats, categorical: Any, weights: Floats, steps: Floats, smallest: float,
    offset: float,
) -> tuple[Any, ...]:  # fmt: skip
    room = (1, len(query) + CHAIN - 1)
    cells, offsets = np.empty(room, np.float32), np.empty(room, np.float32)
    columns = np.empty(room, np.int64)
    chains, base, unit, slack = packing.pack_query(
        metric, query, categorical, weights, steps, smallest, offset, cells[0], offsets[0],
        columns[0],
    )  # fmt: skip
    return cells, offsets, columns, chains * CHAIN, base, unit, slack


def an_estimate(
    metric: int, rng: np.random.Generator, gap: float, offset: float, reach: float
) -> tuple[Any, ...]:
    """A block of donors and a query of any kind, packed, and what the formulas need."""
    donors, categorical = table(
        rng, (BLOCK, 7), gap=gap, codes=int(rng.choice([4, 500, 2**21])),
        numeric=metric == EUCLIDEAN,
    )  # fmt: skip
    query = donors[0].copy() if rng.random() < 0.3 else table(rng, (1, 7), gap=0.2)[0][0]
    query[~categorical] *= reach
    weights = rng.random(7) * rng.choice([0.0, 1e-7, 1e-3, 1.0], 7)
    weights = np.ones(7) if metric == EUCLIDEAN else weights
    smallest = 0.0
    if metric == GREY:  # Dmin is at most any difference, so that no coefficient exceeds 1
        differences = np.abs(donors - query)[:, ~categorical]
        smallest = float(np.fmin.reduce(differences, axis=None, initial=0.1)) * rng.random()
    steps = packing.code_steps(donors, categorical)
    extremes = (smallest, offset if metric == GREY else 1.0)
    return donors, query, categorical, weights, steps, extremes


bounded = given(
    seed=st.integers(0, 2**32 - 1),
    gap=st.sampled_from([0.0, 0.2, 0.8]),
    log_offset=st.floats(-23, 8),
    reach=st.sampled_from([1.0, 30.0, 500.0]),
)


@pytest.mark.parametrize("metric", METRICS)
@bounded
def test_single_precision_stays_within_its_bound(
    metric: int, seed: int, gap: float, log_offset: float, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    donors, query, categorical, weights, steps, extremes = an_estimate(
        metric, rng, gap, 2.0**log_offset, reach
    )
    cells, offsets, columns, n_entries, base, unit, slack = packed_query(
        metric, query, categorical, weights, steps, *extremes
    )
    if slack == np.inf or n_entries == 0:
        return
    block = packing.pack_donors(metric, donors, categorical, weights, steps)[0]
    scores, scratch = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    lowest = np.float32(-base / unit / 2)
    near = scoring.score_block(
        metric, cells, offsets, columns, 0, n_entries, block, lowest, scores, scratch
    )
    assert near == np.count_nonzero(scores >= lowest)
    for donor in range(0, BLOCK, 8):
        total = sum(
            weight * formula.dissimilarity(metric, *pair, *extremes)
            for weight, *pair in zip(weights, query, donors[donor], categorical, strict=True)
        )
        score = float(scores[donor])
        if metric == EUCLIDEAN:
            common = np.count_nonzero(~np.isnan(query + donors[donor]))
            if common == 0:
                assert score == -packing.FAR
                continue
            root = math.sqrt(total / common)
            assert abs(math.sqrt(-score) - root) <= slack / 2 + 0.5e-4 * root
        else:
            assert abs(base - unit * score - total) <= unit * slack / 2


@pytest.mark.parametrize("metric", METRICS)
@bounded
def test_no_donor_scores_above_the_bound_of_its_leaf(
    metric: int, seed: int, gap: float, log_offset: float, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    donors, query, categorical, weights, steps, extremes = an_estimate(
        metric, rng, gap, 2.0**log_offset, reach
    )
    cells, offsets, columns, n_entries, _, _, slack = packed_query(
        metric, query, categorical, weights, steps, *extremes
    )
    if slack == np.inf or n_entries == 0:
        return
    block = packing.pack_donors(metric, donors, categorical, weights, steps)[0]
    scores, scratch = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    scoring.score_block(
        metric, cells, offsets, columns, 0, n_entries, block, np.float32(0.0), scores, scratch
    )
    edges = np.unique(np.append(rng.integers(0, BLOCK, 11), [0, BLOCK]))
    n_leaves = len(edges) - 1
    _, children, low, high, codes = tree.grow(
        metric, donors, categorical, weights, edges[:-1], np.array([0, n_leaves])
    )
    bounds = np.empty(FAN, np.float32)
    scoring.score_pack(
        metric, cells, offsets, columns, 0, n_entries, categorical, query, low[0], high[0],
        codes[0], bounds,
    )  # fmt: skip
    assert children[0, :n_leaves].tolist() == list(range(n_leaves))
    best = np.maximum.reduceat(scores, edges[:-1])
    if metric == EUCLIDEAN:
        roots = np.sqrt(-bounds[:n_leaves].astype(float))
        assert (roots <= np.sqrt(-best.astype(float)) * 1.00005 + slack / 2).all()
    else:
        assert (bounds[:n_leaves] + slack / 2 >= best).all()


# --- leaves of donors and their bounds --------------------------------------------------------


@given(st.lists(st.integers(0, 3 * BLOCK), min_size=1, max_size=6))
def test_every_donor_is_in_one_leaf(sizes: list[int]) -> None:
    starts = np.append(0, np.cumsum(sizes))
    first, last, leaves = tree.leaves_of(starts)
    assert (np.concatenate([*map(np.arange, first, last), []]) == np.arange(starts[-1])).all()
    assert (first // BLOCK == (last - 1) // BLOCK).all()
    for group, size in enumerate(sizes):
        own = slice(leaves[group], leaves[group + 1])
        assert (last[own] - first[own]).sum() == size
        assert (first[own] >= starts[group]).all()
        assert (last[own] <= starts[group + 1]).all()


@pytest.mark.parametrize("metric", METRICS)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_leaves=st.lists(st.integers(0, 40) | st.sampled_from([16, 17, 256, 260]), max_size=4),
    gap=st.sampled_from([0.0, 0.1, 0.7]),
)
def test_bounds_hold_every_donor(metric: int, seed: int, n_leaves: list[int], gap: float) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, sum(n_leaves))  # small leaves, so that there are many
    edges = np.append(0, np.cumsum(sizes))
    leaves = np.append(0, np.cumsum(n_leaves)).astype(int)
    values, categorical = table(
        rng, (edges[-1], 4), gap=gap, codes=200, numeric=metric == EUCLIDEAN
    )
    weights = np.array([0.5, 1e-9, 0.25, 0.0]) if metric != EUCLIDEAN else np.ones(4)
    steps = packing.code_steps(values, categorical)
    packed = packing.pack_donors(metric, values, categorical, weights, steps)
    packed = np.moveaxis(packed, 1, 2).reshape(-1, 5)
    roots, children, low, high, codes = tree.grow(
        metric, values, categorical, weights, edges[:-1], leaves
    )
    packs: list[int] = []

    def donors_below(node: int) -> Any:
        """The donors of a node; checks the bounds of all that is below."""
        if node >= 0:
            return np.arange(edges[node], edges[node + 1])
        packs.append(-1 - node)
        lanes = []
        for lane, child in enumerate(children[-1 - node]):
            if child == NONE:
                continue
            below = donors_below(child)
            lanes.append(below)
            for column in range(4):
                cells, seen = values[below, column], packed[below, column]
                bounds = low[-1 - node, column, lane], high[-1 - node, column, lane]
                observed = ~np.isnan(cells)
                if categorical[column]:
                    held = {int(code) % 64 for code in cells[observed]}
                    bits = int(codes[-1 - node, column, lane])
                    assert held == {bit for bit in range(64) if bits >> bit & 1}
                elif metric == EUCLIDEAN and not observed.all():
                    assert bounds == (-packing.FAR, packing.FAR)
                else:
                    assert (bounds[0] <= seen[observed]).all()
                    assert (bounds[1] >= seen[observed]).all()
                    if observed.any() and weights[column] >= packing.SMALLEST_WEIGHT:
                        spread = np.ptp(seen[observed]) + 1e-6 * np.abs(seen[observed]).max()
                        assert bounds[1] - bounds[0] <= spread + 1e-30
        return np.concatenate(lanes)

    for group, root in enumerate(roots):
        if n_leaves[group] == 0:
            assert root == NONE
        else:
            assert root < 0
            first, last = edges[leaves[group]], edges[leaves[group + 1]]
            assert sorted(donors_below(root)) == list(range(first, last))
    assert sorted(packs) == list(range(len(children)))


@pytest.mark.parametrize("metric", METRICS)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(
        st.integers(0, 12 * BLOCK if COMPILED else 2 * BLOCK),
        min_size=1, max_size=4 if COMPILED else 2,
    ),
    ties=st.booleans(),
)  # fmt: skip
def test_rows_are_arranged_within_their_group(
    metric: int, seed: int, sizes: list[int], ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    starts = np.append(0, np.cumsum(sizes))
    values, categorical = table(rng, (starts[-1], 3), gap=0.2, ties=ties, numeric=metric == 2)
    order = rng.permutation(len(values))
    before = order.copy()
    cpu.arrange(metric, categorical, np.full(3, 1 / 3), 0.5, values, starts, order)
    for start, stop in pairwise(starts):
        assert (np.sort(order[start:stop]) == np.sort(before[start:stop])).all()


def test_arranged_blocks_split_the_column_that_matters() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((2 * BLOCK, 2))
    for heavy in (0, 1):
        order = np.arange(len(values))
        weights = np.where(np.arange(2) == heavy, 0.9, 0.1)
        cpu.arrange(
            HEOM, np.zeros(2, bool), weights, 0.5, values, np.array([0, len(values)]), order
        )
        assert values[order[:BLOCK], heavy].max() < values[order[BLOCK:], heavy].min()


# --- extremes and averages --------------------------------------------------------------------


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


# --- information ------------------------------------------------------------------------------


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
