"""The search finds what measuring every donor finds, pruned or not."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics.pairwise import nan_euclidean_distances

import greyknn.donors
import greyknn.neighbors
from conftest import COMPILED
from greyknn.donors import METRICS, DonorTable, Geometry
from greyknn.neighbors import Neighbors, nearest
from greyknn_kernels import cpu, formula, layout, packing
from greyknn_kernels.cpu import heap
from greyknn_kernels.formula import EUCLIDEAN, GREY, HEOM

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NAMES = list(METRICS)
RHO = 0.5


def table(
    rng: np.random.Generator, shape: tuple[int, int], *, gap: float = 0.1, ties: bool = False,
    codes: int = 4, numeric: bool = False,
) -> tuple[Floats, Bools]:  # fmt: skip
    """Numbers in [0, 1], on a coarse grid if they are to tie, and codes in every third column."""
    values = rng.random(shape)
    if ties:
        values = np.round(values * 4) / 4
    categorical = (np.arange(shape[1]) % 3 == 2) & (not numeric)
    values[:, categorical] = rng.integers(0, codes, (shape[0], int(categorical.sum())))
    values[rng.random(shape) < gap] = np.nan
    return values, categorical


def measured(
    metric: int, query: Floats, donor: Floats, categorical: Bools, weights: Floats,
    smallest: float, offset: float,
) -> float:  # fmt: skip
    """Distance of two rows by the leaf that measures a pair of cells, column by column."""
    total = 0.0
    for column, weight in enumerate(weights):
        total += weight * formula.dissimilarity(
            metric, query[column], donor[column], categorical[column], smallest, offset
        )
    if metric == EUCLIDEAN:
        common = np.count_nonzero(~np.isnan(query) & ~np.isnan(donor))
        return math.sqrt(total * len(query) / common) if common else math.inf
    total = formula.settled(total)
    return math.sqrt(total) if metric == HEOM else total


def brute_force(
    metric: int, query: Floats, values: Floats, rows: Any, categorical: Bools, weights: Floats,
    smallest: float, offset: float,
) -> list[tuple[float, int]]:  # fmt: skip
    """Every neighbour, nearest first; none for a query that has no cell to compare."""
    if np.isnan(query[weights > 0.0]).all():
        return []
    pairs = [
        (measured(metric, query, values[row], categorical, weights, smallest, offset), int(row))
        for row in rows
    ]
    return sorted(pair for pair in pairs if pair[0] < math.inf)


def paper_extremes(query: Floats, donors: Floats, categorical: Bools) -> tuple[float, float]:
    """``Dmin`` and ``Dmax`` over every pair of numbers (equation 32)."""
    differences = np.abs(donors - query)[:, ~categorical]
    differences = differences[~np.isnan(differences)]
    return (differences.min(), differences.max()) if len(differences) else (0.0, 0.0)


def searched(
    name: str, values: Floats, categorical: Bools, weights: Floats, k: int, *,
    donors: Any = None, groups: Any = None, kin: Any = None, queries: Any = None, rows: Any = None,
    query_groups: Any = None, query_kin: Any = None, kernels: Any = cpu,
) -> Neighbors:  # fmt: skip
    """What ``nearest`` finds; by default every row looks for neighbours among the others."""
    everyone = np.arange(len(values))
    groups = np.zeros(len(values), dtype=np.int64) if groups is None else groups
    made = DonorTable(
        Geometry(name, categorical, RHO, kernels), weights, values,
        everyone if donors is None else donors, groups, kin,
    )  # fmt: skip
    if queries is None:
        rows = everyone if rows is None else rows
        queries, query_groups = values[rows], groups[rows]
    return nearest(made, weights, k, queries, rows=rows, groups=query_groups, kin=query_kin)


def check(
    name: str, values: Floats, categorical: Bools, weights: Floats, k: int, *,
    donors: Any = None, groups: Any = None, kin: Any = None, queries: Any = None, rows: Any = None,
    query_groups: Any = None, query_kin: Any = None, kernels: Any = cpu, checked: int = 10**9,
) -> Neighbors:  # fmt: skip
    """Search, and compare some of what was found with every pair measured, to the last bit."""
    found = searched(
        name, values, categorical, weights, k, donors=donors, groups=groups, kin=kin,
        queries=queries, rows=rows, query_groups=query_groups, query_kin=query_kin,
        kernels=kernels,
    )  # fmt: skip
    everyone = np.arange(len(values))
    groups = np.zeros(len(values), dtype=np.int64) if groups is None else groups
    donors = everyone if donors is None else donors
    if queries is None:
        rows = everyone if rows is None else rows
        queries, query_groups = values[rows], groups[rows]
    query_groups = np.zeros(len(queries), np.int64) if query_groups is None else query_groups
    if query_kin is None:
        query_kin = np.full(len(queries), -1) if rows is None else rows
    kin = everyone if kin is None else kin
    for query in np.unique(
        np.linspace(0, len(queries) - 1, min(checked, len(queries))).astype(int)
    ):
        others = donors[(groups[donors] == query_groups[query]) & (kin[donors] != query_kin[query])]
        low, high = paper_extremes(queries[query], values[others], categorical)
        reference = brute_force(
            METRICS[name], queries[query], values, others, categorical, weights, low, RHO * high
        )[:k]  # fmt: skip
        count = len(reference)
        assert found.counts[query] == count
        distances, nearest_rows = found.distances[query], found.rows[query]
        assert list(zip(distances[:count], nearest_rows[:count], strict=True)) == reference
        assert (distances[count:] == np.inf).all()
        assert (nearest_rows[count:] == -1).all()
    return found


def weights_for(name: str, rng: np.random.Generator, n_columns: int) -> Floats:
    """Some are 0, some too small for the filter; nan_euclidean has none."""
    if name == "euclidean":
        return np.ones(n_columns)
    return rng.random(n_columns) * rng.choice([0.0, 1e-7, 1.0], n_columns, p=[0.2, 0.2, 0.6])


class Spy(SimpleNamespace):
    """The processor's loops, which remember whether searches were pruned and what they found."""

    def __init__(self) -> None:
        super().__init__(arrange=cpu.arrange, extremes=cpu.extremes, pruned=[], found=None)

    def nearest(
        self, metric: int, pruned: bool, measures: Any, donors: Any, queries: Any, found: Any,
        report: Any,
    ) -> None:  # fmt: skip
        self.pruned.append(pruned)
        self.found, self.n_leaves = found, len(donors.starts)
        cpu.nearest(metric, pruned, measures, donors, queries, found, report)


# --- every pair measured ----------------------------------------------------------------------


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


# --- equal queries ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_distinct=st.integers(1, 8),
    n_rows=st.integers(10, 40),
    k=st.integers(1, 12),
    n_groups=st.integers(1, 3),
    n_folds=st.sampled_from([0, 3]),
)
def test_equal_queries_are_searched_once(
    name: str, seed: int, n_distinct: int, n_rows: int, k: int, n_groups: int, n_folds: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes, categorical = table(rng, (n_distinct, 4), gap=0.2, numeric=name == "euclidean")
    shapes[0, :2] = -0.0, 0.0
    values = shapes[rng.integers(0, n_distinct, n_rows)]
    values[values == 0.0] *= rng.choice([-1.0, 1.0], np.count_nonzero(values == 0.0))
    groups = rng.integers(0, n_groups, n_rows)
    kin = rng.integers(0, n_folds, n_rows) if n_folds else None
    weights = np.ones(4) if name == "euclidean" else rng.random(4)
    arguments = {"groups": groups, "kin": kin, "rows": np.arange(n_rows), "query_kin": kin}
    once = check(name, values, categorical, weights, k, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greyknn.neighbors, "DISTINCT_SHARE", 0.0)
        each = searched(name, values, categorical, weights, k, **arguments)
    assert_same(once, each)


def test_a_donor_and_its_equal_that_does_not_donate_have_other_extremes() -> None:
    values = np.array([[0.2], [0.2], [0.5], [1.0]])
    geometry = Geometry("grey", np.zeros(1, bool), 0.5, cpu)
    donors = DonorTable(geometry, np.ones(1), values, np.array([0, 2, 3]), np.zeros(4, np.int64))
    rows = np.array([0, 1])
    found = nearest(donors, np.ones(1), 2, values[rows], rows=rows)
    assert found.rows.tolist() == [[2, 3], [0, 2]]
    np.testing.assert_allclose(found.distances, [[0.0, 5 / 12], [0.0, 3 / 7]])


def test_equal_queries_are_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is told of each distinct query once, and of all if they are distinct."""
    asked: list[int] = []
    spy = Spy()
    count = SimpleNamespace(
        arrange=spy.arrange, extremes=spy.extremes,
        nearest=lambda *given: (asked.append(len(given[4].order)), spy.nearest(*given))[0],
    )  # fmt: skip
    values = np.random.default_rng(0).random((30, 2))
    plain, weights = np.zeros(2, bool), np.ones(2)
    searched("heom", np.repeat(values[:10], 3, axis=0), plain, weights, 4, kernels=count)
    searched("heom", values, plain, weights, 4, kernels=count)
    monkeypatch.setattr(greyknn.neighbors, "DISTINCT_SHARE", 0.0)
    searched("heom", np.repeat(values[:10], 3, axis=0), plain, weights, 4, kernels=count)
    assert asked == [10, 30, 30]
    monkeypatch.undo()
    copies, groups = np.repeat(values[:10], 4, axis=0), np.arange(40) // 2 % 2
    searched("heom", copies, plain, weights, 4, groups=groups, kernels=count)
    folds = np.arange(40) % 4
    searched(
        "heom", copies, plain, weights, 4, kin=folds, rows=np.arange(40), query_kin=folds,
        kernels=count,
    )  # fmt: skip
    assert asked[3:] == [20, 40]


# --- pruning ----------------------------------------------------------------------------------


def assert_same(ours: Neighbors, others: Neighbors) -> None:
    """To the last bit."""
    assert (ours.counts == others.counts).all()
    assert (ours.rows == others.rows).all()
    assert (ours.distances.view(np.int64) == others.distances.view(np.int64)).all()


def pruned_equals_whole(*arguments: Any, **options: Any) -> Spy:
    """Search every query pruned, and none; what the pruned search did."""
    spy, whole = Spy(), Spy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greyknn.neighbors, "DISTINCT_SHARE", 0.0)
        patch.setattr(greyknn.neighbors, "PRUNED_SHARE", 9.0)
        patch.setattr(greyknn.neighbors, "SAMPLE", 1)
        patch.setattr(greyknn.donors, "FEWEST_LEAVES", 1)
        ours = searched(*arguments, kernels=spy, **options)
        patch.setattr(greyknn.donors, "FEWEST_LEAVES", 10**9)
        assert_same(ours, searched(*arguments, kernels=whole, **options))
    assert spy.pruned == [True, True]
    assert whole.pruned == [False]
    return spy


KINDS = ["noise", "gaps", "ties", "codes", "groups", "light", "far"]


@pytest.mark.jit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_pruning_changes_nothing(name: str, kind: str) -> None:
    rng = np.random.default_rng([NAMES.index(name), KINDS.index(kind)])
    n_rows = 9000 if kind in ("noise", "codes") else 3000
    n_columns = 5 if kind in ("gaps", "groups") else 3
    values, categorical = table(
        rng, (n_rows, n_columns), gap={"gaps": 0.4, "noise": 0.0}.get(kind, 0.05),
        ties=kind == "ties", codes=300 if kind == "codes" else 4, numeric=name == "euclidean",
    )  # fmt: skip
    groups = None
    if kind == "groups":
        groups = rng.choice(5, n_rows, p=[0.5, 0.3, 0.0, 0.1999, 0.0001])
    weights = weights_for(name, rng, n_columns) if kind == "light" else np.ones(n_columns)
    weights = np.maximum(weights, 0.01) if kind != "light" else weights
    if name == "grey":
        weights = weights / max(weights.sum(), 1e-7)
    queries = None
    if kind == "far":
        queries = values[::20].copy()
        queries[::2, ~categorical] *= 20.0
        queries[::5, ~categorical] *= 1e9
    rows = None if queries is not None else rng.permutation(n_rows)[:200]
    for k in (3, 40):
        pruned_equals_whole(
            name, values, categorical, weights, k, groups=groups, rows=rows, queries=queries
        )


def clusters(rng: np.random.Generator, n_rows: int, n_columns: int) -> Floats:
    """Rows close to one of a few points."""
    centers = rng.random((40, n_columns))
    spread = rng.normal(0, 0.01, (n_rows, n_columns))
    return np.clip(centers[rng.integers(0, 40, n_rows)] + spread, 0, 1)


@pytest.mark.jit
@pytest.mark.parametrize("gap", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_pruning_prunes(name: str, gap: float) -> None:
    """Where rows are alike few leaves are visited, and the answer is that of brute force."""
    rng = np.random.default_rng(11)
    values = clusters(rng, 9000, 6)
    categorical = np.zeros(6, bool)
    if name != "euclidean":
        categorical[5] = True
        values[:, 5] = np.floor(values[:, 0] * 100)
    values[rng.random(values.shape) < gap] = np.nan
    rows = rng.permutation(9000)[:300]
    weights = np.ones(6) / (6 if name == "grey" else 1)
    spy = pruned_equals_whole(name, values, categorical, weights, 5, rows=rows)
    # A column that one donor of a leaf lacks bounds no nan_euclidean distance.
    share = 0.5 if name == "euclidean" and gap else 0.15
    visits = spy.found.visits
    assert visits.min() >= 1
    assert visits.mean() < share * spy.n_leaves
    assert visits.max() <= spy.n_leaves
    check(name, values, categorical, weights, 5, rows=rows, checked=3)


@pytest.mark.jit
@pytest.mark.parametrize("name", NAMES)
def test_a_search_is_pruned_where_a_sample_says_that_it_pays(name: str) -> None:
    rng = np.random.default_rng(12)
    decisions = []
    for values in (clusters(rng, 9000, 4), rng.random((9000, 20))):
        spy = Spy()
        weights = np.full(values.shape[1], 1.0 / values.shape[1])
        plain = np.zeros(values.shape[1], bool)
        searched(name, values, plain, weights, 5, rows=np.arange(0, 9000, 30), kernels=spy)
        decisions.append(spy.pruned)
    assert decisions == [[True, True], [True, False]]


@pytest.mark.parametrize("name", NAMES)
def test_pruning_a_small_table(name: str) -> None:
    """As above, also where the loops are interpreted: several leaves, groups and packs."""
    rng = np.random.default_rng(13)
    values, categorical = table(rng, (700, 3), ties=True, numeric=name == "euclidean")
    groups = np.repeat([0, 1, 3], [420, 1, 279])
    weights = np.ones(3) / (3 if name == "grey" else 1)
    rows = np.array([0, 3, 420, 421, 699])
    spy = pruned_equals_whole(name, values, categorical, weights, 4, groups=groups, rows=rows)
    assert (spy.found.visits >= np.array([1, 1, 1, 1, 1])).all()


@given(st.lists(st.floats(-10, 10), max_size=40), st.integers(0, 5))
def test_the_heap_gives_the_largest_first(bounds: list[float], n_early: int) -> None:
    kept, nodes, size = np.empty(len(bounds), np.float32), np.empty(len(bounds), np.int64), 0
    inside: list[tuple[np.float32, int]] = []
    for node, bound in enumerate(bounds):
        size = heap.push(kept, nodes, size, np.float32(bound), node)
        inside.append((np.float32(bound), node))
        if node % 6 < n_early:
            assert kept[0] == max(inside)[0]
            inside.remove((kept[0], nodes[0]))
            size = heap.pop(kept, nodes, size)
    while size:
        assert kept[0] == max(inside)[0]
        inside.remove((kept[0], nodes[0]))
        size = heap.pop(kept, nodes, size)
    assert not inside
