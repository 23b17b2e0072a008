"""The search finds what measuring every donor finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import nan_euclidean_distances

from conftest import COMPILED
from greyknn.donors import DonorTable, Geometry
from greyknn_kernels import cpu, layout, packing
from greyknn_kernels.formula import GREY, HEOM
from searching import (
    NAMES,
    RHO,
    brute_force,
    check,
    searched,
    table,
    weights_for,
)


@pytest.mark.parametrize("name", NAMES)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 40),
    n_columns=st.integers(1, 9),
    k=st.integers(1, 12),
    gap=st.sampled_from([0.0, 0.1, 0.6]),
    ties=st.booleans(),
    codes=st.sampled_from([2, 5, 200, 2**25]),
    n_groups=st.integers(1, 4),
    n_folds=st.sampled_from([0, 2, 5]),
)
def test_search_equals_brute_force(
    name: str, seed: int, n_rows: int, n_columns: int, k: int, gap: float, ties: bool, codes: int,
    n_groups: int, n_folds: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    values, categorical = table(
        rng, (n_rows, n_columns), gap=gap, ties=ties, codes=codes, numeric=name == "euclidean"
    )
    if name == "euclidean":
        values = 2.0 * values - 1.0
    groups = rng.integers(-1, n_groups, n_rows)
    donors = np.flatnonzero((groups >= 0) & (rng.random(n_rows) < 0.9))
    weights = weights_for(name, rng, n_columns)
    kin = rng.integers(0, n_folds, n_rows) if n_folds else None
    query_kin = kin[donors] if n_folds else None
    check(
        name, values, categorical, weights, k, donors=donors, groups=groups, kin=kin, rows=donors,
        query_kin=query_kin,
    )  # fmt: skip
    queries, _ = table(
        rng, (12, n_columns), gap=gap, ties=ties, codes=2 * codes, numeric=name == "euclidean"
    )
    check(
        name, values, categorical, weights, k, donors=donors, groups=groups, kin=kin,
        queries=queries, query_groups=rng.integers(-1, n_groups + 1, 12),
        query_kin=rng.integers(-1, n_folds, 12) if n_folds else None,
    )  # fmt: skip


@pytest.mark.jit
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n_columns", "k"), [(3, 5), (8, 20), (13, 70)])
def test_search_over_many_blocks(name: str, ties: bool, n_columns: int, k: int) -> None:
    rng = np.random.default_rng([NAMES.index(name), ties, n_columns])
    n_rows = 5 * packing.BLOCK + 17
    values, categorical = table(
        rng, (n_rows, n_columns), ties=ties, numeric=name == "euclidean", codes=90
    )
    groups = np.zeros(n_rows, dtype=np.int64)  # groups 1 and 3 in the middle of a block
    groups[rng.permutation(n_rows)] = np.repeat([0, 1, 3], [400, 700, n_rows - 1100])
    groups[5] = 4  # a row alone
    weights = weights_for(name, rng, n_columns)
    rows = np.append(rng.permutation(n_rows)[:69], 5)
    check(name, values, categorical, weights, k, groups=groups, rows=rows, checked=30)


@pytest.mark.parametrize("name", ["grey", "heom"])
def test_a_row_in_a_group_of_its_own_has_no_neighbour(name: str) -> None:
    values = np.random.default_rng(0).random((5, 2))
    found = check(name, values, np.zeros(2, bool), np.ones(2), 2, groups=np.array([0, 0, 2, 1, 0]))
    assert found.counts.tolist() == [2, 2, 0, 0, 2]


def test_euclidean_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    values, categorical = table(rng, (60, 5), gap=0.5, numeric=True)
    found = searched("euclidean", values, categorical, np.ones(5), 59)
    reference = nan_euclidean_distances(values)
    np.fill_diagonal(reference, np.nan)
    assert (found.counts == np.count_nonzero(~np.isnan(reference), axis=1)).all()
    assert found.counts.min() < 59  # some rows have no column in common
    for row, count in enumerate(found.counts):
        expected = np.sort(reference[row])[:count]
        np.testing.assert_allclose(found.distances[row, :count], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["grey", "heom"])
def test_donors_of_the_same_fold_are_no_neighbours_and_no_extremes(name: str) -> None:
    values = np.array([[0.0], [0.001], [1.0], [0.3], [0.6]])
    folds = np.array([0, 0, 0, 1, 1])
    plain = np.zeros(1, bool)
    found = check(name, values, plain, np.ones(1), 4, kin=folds, rows=folds * 0, query_kin=folds)
    assert found.rows[0].tolist() == [3, 4, -1, -1]
    if name == "grey":  # Dmin = 0.3, Dmax = 0.6: grade of the nearest is 1
        assert found.distances[0, 0] == 0.0


@pytest.mark.parametrize("name", ["grey", "heom"])
@pytest.mark.parametrize("largest", [3, 63, 64, 5000, 2**20, 2**22 + 3, 2**24, 2**26 + 1])
def test_codes_of_any_size(name: str, largest: int) -> None:
    """Single precision cannot tell apart neighbouring codes that are large."""
    rng = np.random.default_rng(largest)
    codes = np.unique(np.clip(largest - np.array([0, 1, 2, 3, 64, 128]), 0, None))
    values = rng.choice(codes, (90, 3)).astype(float)
    values[:, 1] = rng.random(90)
    categorical = np.array([True, False, True])
    queries = values[:20].copy()
    queries[:, 0] = rng.choice([largest + 1, largest, 0], 20)  # some codes no donor has
    check(name, values, categorical, np.array([0.5, 0.2, 0.3]), 7, queries=queries)
    check(name, values, categorical, np.array([0.5, 0.2, 0.3]), 7)


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_do_not_vary(name: str) -> None:
    """``Dmax`` is 0: every number that can be compared equals the query's."""
    rng = np.random.default_rng(4)
    values, categorical = table(rng, (40, 4), gap=0.3, numeric=name == "euclidean")
    values[:, ~categorical] += 0.0 * values[:, ~categorical]
    values[:, ~categorical] = np.where(np.isnan(values[:, ~categorical]), np.nan, 0.5)
    check(name, values, categorical, np.full(4, 0.25 if name != "euclidean" else 1.0), 6)


@pytest.mark.parametrize("name", NAMES)
def test_rows_and_columns_that_say_nothing(name: str) -> None:
    rng = np.random.default_rng(5)
    values, categorical = table(rng, (30, 4), numeric=name == "euclidean")
    values[::5] = np.nan
    values[1::5, 1:] = np.nan
    weights = np.array([0.0, 0.4, 0.6, 0.0]) if name != "euclidean" else np.ones(4)
    found = check(name, values, categorical, weights, 40)
    assert (found.counts[::5] == 0).all()
    if name != "euclidean":  # what these rows have does not count
        assert (found.counts[1::5] == 0).all()
    empty = np.full((3, 4), np.nan)
    assert (check(name, empty, categorical, weights, 2).counts == 0).all()


@pytest.mark.parametrize("name", ["grey", "heom"])
def test_columns_too_light_for_single_precision_still_count(name: str) -> None:
    rng = np.random.default_rng(6)
    values, categorical = table(rng, (50, 6), ties=True)
    assert packing.SMALLEST_WEIGHT > 1e-7
    check(name, values, categorical, np.full(6, 1e-7), 9)
    weights = np.array([1e-7, 0.5, 1e-7, 0.5, 1e-7, 1e-12])
    values[:, [1, 3]] = 0.25  # so that only light columns tell
    check(name, values, categorical, weights, 9)
    values = np.full((3, 64), 0.25)  # many light columns outweigh a heavy one
    values[:, 0] = 0.5, 0.50001, 1.0
    values[0, 1:] = np.nan
    query = np.append(0.5, np.full(63, 0.25))[None]
    weights = np.append(1.0, np.full(63, 9e-7))
    check(name, values, np.zeros(64, bool), weights, 1, queries=query)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e3, 1e5, 1e9, 1e150])
def test_queries_far_outside_the_range_of_fit(name: str, scale: float) -> None:
    rng = np.random.default_rng(3)
    n_rows = 600 if COMPILED else 60
    values, categorical = table(rng, (n_rows, 4), numeric=name == "euclidean")
    queries = values[:20].copy()
    queries[:, ~categorical] *= scale
    weights = np.ones(4) if name == "euclidean" else rng.random(4)
    check(name, values, categorical, weights, 8, queries=queries)


@pytest.mark.parametrize("name", NAMES)
def test_differences_below_single_precision_are_told_apart(name: str) -> None:
    values = np.append(0.5 + np.arange(600)[::-1] * 1e-12, 1.0)[:, None]
    query = np.array([[0.5]])
    found = check(name, values, np.zeros(1, bool), np.ones(1), 5, queries=query)
    if name == "euclidean":  # the others' sums lose their last bits
        assert found.rows[0].tolist() == [599, 598, 597, 596, 595]
    values = values[:600]  # now Dmax is as small as the differences
    found = check(name, values, np.zeros(1, bool), np.ones(1), 5, queries=query)
    if name != "heom":
        assert found.rows[0].tolist() == [599, 598, 597, 596, 595]
        assert (np.diff(found.distances[0]) > 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spread", [1e-7, 1e-6, 1e-5])
@pytest.mark.parametrize("alone", [False, True])
def test_rounding_to_single_precision_loses_nobody(name: str, spread: float, alone: bool) -> None:
    """Numbers that are close become equal or farther apart."""
    rng = np.random.default_rng(7)
    values = 0.5 + spread * rng.random((300, 2))
    if not alone:
        values = np.append(values, [[0.0, 1.0]], axis=0)
    queries = 0.5 + spread * rng.random((20, 2))
    check(name, values, np.zeros(2, bool), np.ones(2), 3, queries=queries)


@pytest.mark.parametrize("metric", [GREY, HEOM])
@pytest.mark.parametrize(
    "extremes", [(0.0, 0.5), (0.01, 0.3), (0.0, 1e-9), (0.0, 1e-30), (0.0, 600.0), (0.2, 2.0**-23)]
)
def test_any_extremes(metric: int, extremes: tuple[float, float]) -> None:
    """``Dmin`` and ``rho * Dmax`` as they come, not as the donors make them."""
    rng = np.random.default_rng(8)
    values, categorical = table(rng, (300 if COMPILED else 40, 7), ties=True)
    if extremes[0] > 0.0:  # no difference is smaller than Dmin
        values[:, ~categorical] = np.floor(values[:, ~categorical] * 2)
    weights = rng.random(7)
    smallest, offset = extremes if metric == GREY else (0.0, 1.0)
    name = "grey" if metric == GREY else "heom"
    made = DonorTable(
        Geometry(name, categorical, RHO, cpu), weights, values, np.arange(len(values)),
        np.zeros(len(values), np.int64),
    )  # fmt: skip
    n_queries = 40
    queries = values[:n_queries].copy()
    queries[:, ~categorical] += smallest
    found = layout.Found(
        np.full((n_queries, 6), np.inf), np.full((n_queries, 6), -1, np.int32),
        np.zeros(n_queries, np.int64), np.zeros(n_queries, np.int64),
    )  # fmt: skip
    cpu.nearest(
        metric, False, layout.Measure(categorical, weights, made.steps), made.packed(weights),
        layout.Queries(
            queries, np.arange(n_queries)[::-1].copy(), np.zeros(n_queries, np.int64),
            np.zeros(n_queries, np.int64), np.full(n_queries, -1, np.int32),
            np.full(n_queries, smallest), np.full(n_queries, offset),
        ),
        found,
    )  # fmt: skip
    for query in range(n_queries):
        reference = brute_force(
            metric, queries[query], values, range(len(values)), categorical, weights, smallest,
            offset,
        )  # fmt: skip
        pairs = zip(found.distances[query], found.rows[query], strict=True)
        assert list(pairs)[: found.counts[query]] == reference[:6]


@pytest.mark.jit
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [1, 10, 700])
def test_thousands_of_ties(name: str, k: int) -> None:
    """More donors are equally near than wanted: the lowest rows are taken."""
    rng = np.random.default_rng(k)
    values = rng.integers(0, 2, (4000, 3)).astype(float)
    categorical = np.full(3, name != "euclidean")
    weights = np.full(3, 1.0 if name == "euclidean" else 1 / 3)
    queries = np.array([[0.0, 1.0, 1.0], [np.nan, 1.0, np.nan], [2.0, 2.0, 2.0]])
    found = check(name, values, categorical, weights, k, queries=queries)
    assert (np.diff(found.rows[2]) > 0).all() or name == "euclidean"
    assert (found.counts == k).all()


@pytest.mark.jit
@pytest.mark.parametrize("name", NAMES)
def test_the_nearest_come_last(name: str) -> None:
    """Every donor is nearer than those before it, so that the pool overflows again and again."""
    values = np.linspace(1.0, 0.01, 3000)[:, None] * np.ones(2)
    queries = np.zeros((2, 2))
    found = check(name, values, np.zeros(2, bool), np.ones(2), 5, queries=queries)
    assert found.rows[0].tolist() == [2999, 2998, 2997, 2996, 2995]


@pytest.mark.jit
def test_very_wide_tables() -> None:
    """Thousands of equal squares add up to a biased sum in single precision."""
    width = 100_000
    cell = max(np.sqrt(0.9 / width) * (1 + np.arange(300) * 1e-4), key=lambda c: _bias(c, width))
    values = np.zeros((2, width))
    values[0, 0] = np.sqrt(width * cell**2 * (1 + 1e-6))
    values[1] = cell
    nobody = np.full(1, -1)
    found = searched(
        "euclidean", values, np.zeros(width, bool), np.ones(width), 1,
        queries=np.zeros((1, width)), query_kin=nobody,
    )  # fmt: skip
    assert found.rows.tolist() == [[1]]


def _bias(cell: float, width: int) -> float:
    square = np.float32(np.float32(cell) ** 2)
    sums = np.full(width // 4, (square + square) + (square + square), np.float32)
    return float(np.cumsum(sums, dtype=np.float32)[-1]) / (width * cell**2) - 1
