"""Work that is not done changes nothing: leaves that are passed over, equal queries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import greyknn
import greyknn.donors
import greyknn.neighbors
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn_kernels import cpu, tree
from greyknn_kernels.cpu import heap
from searching import (
    NAMES,
    Floats,
    Spy,
    assert_same,
    check,
    searched,
    table,
    weights_for,
)


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


def check_pruned_equals_whole(*arguments: Any, **options: Any) -> Spy:
    """Search every query pruned, and none; what the pruned search did."""
    spy, whole = Spy(), Spy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greyknn.neighbors, "DISTINCT_SHARE", 0.0)
        patch.setattr(tree, "PRUNED_SHARE", 9.0)
        patch.setattr(cpu, "SAMPLE", 1)
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
        check_pruned_equals_whole(
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
    spy = check_pruned_equals_whole(name, values, categorical, weights, 5, rows=rows)
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
    spy = check_pruned_equals_whole(name, values, categorical, weights, 4, groups=groups, rows=rows)
    assert (spy.found.visits >= np.array([1, 1, 1, 1, 1])).all()


@pytest.mark.jit
def test_groups_without_donors_are_no_part_of_the_sample() -> None:
    rng = np.random.default_rng(14)
    values, groups = rng.random((3000, 3)), np.repeat([0, 1], [2500, 500])
    rows = np.arange(0, 3000, 10)
    found = searched(
        "grey", values, np.zeros(3, bool), np.full(3, 1 / 3), 4, donors=np.arange(2500),
        groups=groups, rows=rows,
    )  # fmt: skip
    assert (found.counts == np.where(groups[rows] == 0, 4, 0)).all()


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
