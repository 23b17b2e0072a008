"""A card finds and fills what the processor and the formulas do, to the last bit.

NUMBA_ENABLE_CUDASIM=1 runs all of this in Python, with small tiles, and shows races and mistakes;
``-m gpu`` runs it on a real card, with real tiles and larger tables.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cards")

import cards
import greyknn
import greyknn.donors
import naive
from cards import Subject, simulator
from greyknn import device as devices
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn_kernels import cpu, formula, layout, tree
from greyknn_kernels.cuda import (
    Card,
    averaging,
    binding,
    catalogue,
    differences,
    information,
    machine,
    measuring,
    memory,
    pruning,
    queries,
    search,
    shapes,
    thorough,
    tiles,
)
from greyknn_kernels.formula import EUCLIDEAN, GREY, HEOM
from searching import METRICS, NAMES, assert_same, check, searched, table, weights_for

needs_simulator = pytest.mark.skipif(not cards.SIMULATED, reason="the simulator is off")

SEEDS = range(6)


@pytest.fixture(scope="module", params=["simulator", pytest.param("gpu", marks=pytest.mark.gpu)])
def card(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if (request.param == "simulator") != cards.SIMULATED:
        pytest.skip(f"the simulator is {'on' if cards.SIMULATED else 'off'}")
    if not cards.SIMULATED:
        yield Subject(simulated=False)
        return
    with pytest.MonkeyPatch.context() as patch, cards.typed_launches():
        patch.setattr(shapes, "shape_for", cards.small)
        yield Subject(simulated=True)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    if cards.SIMULATED:
        simulator.seed(0)


def compare(
    card: Subject, name: str, values: Any, categorical: Any, weights: Any, k: int, **options: Any
) -> Any:
    """Search on the card and in loops over pairs; large tables also on the processor."""
    found = check(
        name, values, categorical, weights, k, kernels=card.kernels, checked=card.size(99, 20),
        **options,
    )  # fmt: skip
    if not card.simulated:
        assert_same(found, searched(name, values, categorical, weights, k, **options))
    return found


# --- the search


KINDS = [
    "plain", "gaps", "ties", "codes", "light", "groups", "kin", "strangers", "empty", "huge",
    "few", "wide", "narrow", "blocks",
]  # fmt: skip


def case(card: Subject, name: str, kind: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of ``check`` but for k, and its options."""
    rng = np.random.default_rng([NAMES.index(name), KINDS.index(kind)])
    n_rows = card.size(600 if kind == "blocks" else 300 if kind == "groups" else 60, 3000)
    n_columns = {"wide": 14, "narrow": 1, "groups": 4}.get(kind, 5)
    values, categorical = table(
        rng, (n_rows, n_columns), gap={"gaps": 0.5, "wide": 0.3}.get(kind, 0.1),
        ties=kind == "ties", codes=300 if kind == "codes" else 4, numeric=name == "euclidean",
    )  # fmt: skip
    weights = weights_for(name, rng, n_columns) if kind == "light" else np.ones(n_columns)
    if name == "grey" and kind != "light":
        weights = rng.random(n_columns) / n_columns
    rows = rng.permutation(n_rows)[: card.size(6, 300)]
    options: dict[str, Any] = {"rows": rows}
    if kind == "groups":  # group 2 is empty, group 4 a row alone
        groups = rng.choice([0, 1, 3], n_rows, p=[0.5, 0.45, 0.05])
        groups[rows[0]] = 4
        options["groups"] = groups
    if kind == "few":
        options["groups"] = np.arange(n_rows) // 3
    if kind == "kin":
        kin = rng.integers(0, 3, n_rows)
        options |= {"kin": kin, "query_kin": kin[rows]}
    if kind in ("strangers", "huge"):
        queries = rng.permutation(values)[: card.size(6, 300)] * np.where(categorical, 1.0, 0.9)
        options = {"queries": queries}
    if kind == "strangers":
        groups = rng.integers(-1, 2, n_rows)
        options |= {"donors": np.flatnonzero(groups >= 0), "groups": groups}
        options["query_groups"] = rng.integers(-1, 3, len(queries))
    if kind == "huge":  # single precision holds neither these queries nor these donors
        queries[1::2, ~categorical] *= 1e9
        if name != "euclidean":
            values[::7, ~categorical] *= 1e9
    if kind == "empty":
        values[rows[:2]] = np.nan
    return (name, values, categorical, weights), options


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_search_equals_brute_force(card: Subject, name: str, kind: str) -> None:
    arguments, options = case(card, name, kind)
    compare(card, *arguments, 4, **options)


@pytest.mark.parametrize("k", [1, 10, 30, 64, 88, 89, 120])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_neighbours(card: Subject, name: str, k: int) -> None:
    """Lists of 32, 64 and 96 candidates, and none."""
    rng = np.random.default_rng([NAMES.index(name), k])
    n_rows = card.size(k + 25, 3000)
    values, categorical = table(rng, (n_rows, 4), numeric=name == "euclidean")
    rows = rng.permutation(n_rows)[: card.size(2, 300)]
    weights = np.ones(4) / (4 if name == "grey" else 1)
    with cards.watched() as seen:
        compare(card, name, values, categorical, weights, k, rows=rows)
    assert bool(seen.parts) == (k <= 88)
    assert k > 88 or sum(seen.thorough) <= len(rows) // 20


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8)
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
def test_search_of_anything(
    card: Subject, name: str, seed: int, n_rows: int, n_columns: int, k: int, gap: float,
    ties: bool, codes: int, n_groups: int, n_folds: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    shape, numeric = (n_rows + 4, n_columns), name == "euclidean"
    values, categorical = table(rng, shape, gap=gap, ties=ties, codes=codes, numeric=numeric)
    groups = rng.integers(-1, n_groups, len(values))
    donors = np.flatnonzero((groups >= 0) & (rng.random(len(values)) < 0.9))
    weights = weights_for(name, rng, n_columns)
    kin = rng.integers(0, n_folds, len(values)) if n_folds else None
    options = {"donors": donors, "groups": groups, "kin": kin}
    rows = donors[:4]
    compare(
        card, name, values, categorical, weights, k, **options, rows=rows,
        query_kin=kin[rows] if n_folds else None,
    )  # fmt: skip
    compare(
        card, name, values, categorical, weights, k, **options, queries=values[-4:],
        query_groups=rng.integers(-1, n_groups + 1, 4),
        query_kin=rng.integers(-1, n_folds, 4) if n_folds else None,
    )  # fmt: skip


def small_case(name: str, n_rows: int, **options: Any) -> tuple[Any, ...]:
    """A table of 4 columns as ``check`` wants it, and 4 neighbours."""
    rng = np.random.default_rng([NAMES.index(name), n_rows])
    values, categorical = table(rng, (n_rows, 4), numeric=name == "euclidean", **options)
    weights = np.ones(4) / (4 if name == "grey" else 1)
    return name, values, categorical, weights, 4


@pytest.mark.parametrize("capability", [(7, 5), (9, 0), (12, 0)])
@pytest.mark.parametrize("name", NAMES)
def test_the_tiles_of_real_cards(
    card: Subject, name: str, capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the card, also those that copy while the threads wait."""
    used = []

    def shape_for(metric: int, _: Any, slots: int) -> shapes.Shape:
        used.append(cards.shape_for(metric, capability, slots))
        return used[-1]

    monkeypatch.setattr(shapes, "shape_for", shape_for)
    for k in (4, 30, 60):  # lists of 32, 64 and 96
        arguments = *small_case(name, card.size(70, 3000))[:4], k
        compare(card, *arguments, rows=np.arange(card.size(2 if k < 9 else 1, 300)))
        if card.simulated and capability != (9, 0):
            break
    assert {shape.asynchronous for shape in used} == {capability >= (8, 0)}


@pytest.mark.parametrize("kind", ["plain", "ties", "groups"])
@pytest.mark.parametrize("name", NAMES)
def test_several_blocks_of_threads_share_the_donors(
    card: Subject, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LEAST_TILES", 1)
    monkeypatch.setattr(search, "WAVES", 999)
    n_rows = card.size(600, 3000)
    name, values, *rest = small_case(name, n_rows, ties=kind == "ties")
    groups = np.arange(n_rows) * 3 // n_rows if kind == "groups" else None
    rows = np.linspace(0, n_rows - 1, card.size(3, 100)).astype(int)
    with cards.watched() as seen:
        compare(card, name, values, *rest, rows=rows, groups=groups)
    assert seen.parts == [card.size(3, 12)]


def clusters(rng: np.random.Generator, n_rows: int, n_columns: int) -> Any:
    """Rows close to one of a few points."""
    centers = rng.random((20, n_columns))
    near = rng.normal(0, 0.01, (n_rows, n_columns))
    return np.clip(centers[rng.integers(0, 20, n_rows)] + near, 0, 1)


def prune(patch: pytest.MonkeyPatch, share: float = 9.0) -> None:
    """Prune wherever a sample visits less than a share of the leaves."""
    patch.setattr(greyknn.donors, "FEWEST_LEAVES", 1)
    patch.setattr(search, "SAMPLE", 1)
    patch.setattr(tree, "PRUNED_SHARE", share)


def visits_of(card: Subject, *arguments: Any, **options: Any) -> tuple[Any, Any, cards.Watched]:
    """What a search finds, how many leaves each query visits, and what else it did."""
    seen = []

    def noting(*given: Any) -> None:
        card.card.nearest(*given)
        seen.append(given[5].visits)

    with cards.watched() as did:
        loops = cards.together(card.card)
        loops.nearest = noting
        found = searched(*arguments, kernels=loops, **options)
    return found, seen[-1], did


@pytest.mark.parametrize("kind", ["plain", "ties", "groups", "gaps"])
@pytest.mark.parametrize("name", NAMES)
def test_pruning_changes_nothing(
    card: Subject, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups without donors, of one row, of one leaf and of several."""
    n_rows = card.size(700, 20000)
    gap = 0.4 if kind == "gaps" else 0.05
    name, values, *rest = small_case(name, n_rows, ties=kind == "ties", gap=gap)
    groups = np.zeros(n_rows, dtype=np.int64)
    if kind == "groups":
        groups = np.repeat([0, 1, 3, 4], [n_rows * 3 // 5, 1, n_rows // 10, n_rows])[:n_rows]
    rows = np.linspace(0, n_rows - 1, card.size(7, 300)).astype(int)
    rows[1] = n_rows * 3 // 5  # alone in group 1
    whole = compare(card, name, values, *rest, rows=rows, groups=groups)
    prune(monkeypatch)
    found, visits, did = visits_of(card, name, values, *rest, rows=rows, groups=groups)
    assert_same(found, whole)
    assert len(did.pruned) == 2  # the sample and all
    leaves = -(-np.bincount(groups) // 256) + 1
    assert (visits >= (found.counts > 0)).all()
    assert (visits <= leaves[groups[rows]]).all()


@pytest.mark.parametrize("n_rows", [4500, 40000])
@pytest.mark.parametrize("name", NAMES)
def test_pruning_prunes(
    card: Subject, name: str, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rows are alike few leaves are visited; there are many packs of them."""
    values = clusters(np.random.default_rng(NAMES.index(name)), n_rows, 2)
    arguments = name, values, np.zeros(2, bool), np.full(2, 0.5 if name == "grey" else 1.0), 3
    if name == "euclidean":
        arguments = *arguments[:3], np.ones(2), 3
    rows = np.arange(0, n_rows, n_rows // card.size(5, 500))
    prune(monkeypatch)
    found, visits, did = visits_of(card, *arguments, rows=rows)
    assert len(did.pruned) == 2
    assert visits.min() >= 1
    assert visits.mean() < 0.3 * n_rows / 256
    assert_same(found, searched(*arguments, rows=rows))


def test_pruning_is_given_up_where_it_does_not_pay(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample tells; a few queries are not worth one."""
    arguments = small_case("grey", 600)
    whole = searched(*arguments, rows=np.arange(7))
    prune(monkeypatch, share=0.0)
    found, visits, did = visits_of(card, *arguments, rows=np.arange(0, 7 if card.simulated else 99))
    assert len(did.pruned) == 1
    assert did.parts[-1] == 1
    assert (visits == 3).all()
    assert (found.rows[:7] == whole.rows).all()
    prune(monkeypatch)
    found, _, did = visits_of(card, *arguments, rows=np.arange(4))
    assert did.pruned == []
    assert_same(found, whole[:4])


def test_leaves_are_marked_some_tiles_at_a_time(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, rows = small_case("heom", 700), np.arange(0, 700, 60)
    prune(monkeypatch)
    whole, visits, _ = visits_of(card, *arguments, rows=rows)
    monkeypatch.setattr(search, "MOST_MARKS", 6)  # two tiles, three leaves each
    found, again, did = visits_of(card, *arguments, rows=rows)
    assert_same(found, whole)
    assert (visits == again).all()
    assert did.pruned[-1] > 2 or not card.simulated


@pytest.mark.parametrize("name", NAMES)
def test_many_queries_come_in_batches(
    card: Subject, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are reported; a thorough search takes a few of them at a time."""
    reports: list[tuple[int, int]] = []
    arguments = small_case(name, 50, ties=True)
    rows = np.arange(0, 50, 4)
    groups = np.where(np.arange(50) == 4, 1, 0)  # row 4 has no donors
    whole = searched(*arguments, rows=rows, groups=groups)
    monkeypatch.setattr(search, "MOST_QUERIES", 5)
    monkeypatch.setattr(search, "MOST_LISTED", 12 * 4 * 2)
    monkeypatch.setattr(greyknn.neighbors, "DISTINCT_SHARE", 0.0)
    loops = cards.together(card.card)
    loops.nearest = lambda *given: card.card.nearest(*given[:-1], lambda *told: reports.append(told))
    with cards.watched() as seen:
        found = searched(*arguments, rows=rows, groups=groups, kernels=loops)
    assert_same(found, whole)
    assert len(seen.plans) == 3
    assert reports == [(5, 13), (10, 13), (13, 13)]
    assert max(seen.thorough) > 2
