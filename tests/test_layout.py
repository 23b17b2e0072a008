"""Packed cells, bounds and leaves of donors are what they say."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import COMPILED
from greyknn_kernels import cpu, formula, packing, tree
from greyknn_kernels.cpu import scoring
from greyknn_kernels.formula import EUCLIDEAN, GREY, HEOM
from greyknn_kernels.layout import FAN, NONE
from greyknn_kernels.packing import BLOCK, CHAIN
from searching import (
    Floats,
    table,
)

METRICS = [GREY, HEOM, EUCLIDEAN]


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
