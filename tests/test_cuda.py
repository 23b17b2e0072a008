"""A card finds and fills what the processor and the formulas do, to the last bit.

NUMBA_ENABLE_CUDASIM=1 runs all of this in Python, with small tiles, and shows races and mistakes;
``-m gpu`` runs it on a real card, with real tiles and larger tables.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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

SEEDS = range(6)


@pytest.fixture(scope="module", params=["simulator", pytest.param("gpu", marks=pytest.mark.gpu)])
def card(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if (request.param == "simulator") != cards.SIMULATED:
        pytest.skip(f"the simulator is {'on' if cards.SIMULATED else 'off'}")
    with cards.simulated() if cards.SIMULATED else nullcontext():
        yield Subject(cards.SIMULATED)


@pytest.fixture(scope="module")
def simulated() -> Iterator[Subject]:
    """For tests of what hardware does not show, or shows by failing for good."""
    if not cards.SIMULATED:
        pytest.skip("the simulator is off")
    with cards.simulated():
        yield Subject(True)


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
    n_rows = card.size(600, 20000)
    gap = 0.4 if kind == "gaps" else 0.05
    arguments = small_case(name, n_rows, ties=kind == "ties", gap=gap)
    groups = np.zeros(n_rows, dtype=np.int64)
    if kind == "groups":
        groups = np.repeat([0, 1, 3, 4], [n_rows * 3 // 5, 1, n_rows // 10, n_rows])[:n_rows]
    rows = np.linspace(0, n_rows - 1, card.size(6, 300)).astype(int)
    rows[1] = n_rows * 3 // 5  # alone in group 1
    prune(monkeypatch)
    found, visits, did = visits_of(card, *arguments, rows=rows, groups=groups)
    assert len(did.pruned) == 2  # the sample and all
    leaves = -(-np.bincount(groups) // 256) + 1
    assert (visits >= (found.counts > 0)).all()
    assert (visits <= leaves[groups[rows]]).all()
    monkeypatch.undo()
    assert_same(found, searched(*arguments, rows=rows, groups=groups))


@pytest.mark.parametrize(
    ("name", "n_rows"), [("grey", 4500), ("grey", 40000), ("heom", 4500), ("euclidean", 4500)]
)
def test_pruning_prunes(
    card: Subject, name: str, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more leaves than a warp, and more than a block of threads, looks at."""
    values = np.random.default_rng(n_rows).random((n_rows, 2))
    weights = np.full(2, 0.5 if name == "grey" else 1.0)
    rows = np.argsort(np.abs(values - 0.4).sum(axis=1))[: card.size(5, n_rows)]
    prune(monkeypatch)
    arguments = name, values, np.zeros(2, bool), weights, 3
    found, visits, did = visits_of(card, *arguments, rows=rows)
    assert len(did.pruned) == 2
    assert visits.min() >= 1
    assert visits.mean() < 0.5 * n_rows / 256
    assert_same(found, searched(*arguments, rows=rows))


def test_pruning_is_given_up_where_it_does_not_pay(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample tells; a few queries are not worth one."""
    arguments, rows = small_case("grey", 600), np.arange(card.size(7, 99))
    whole = searched(*arguments, rows=rows)
    prune(monkeypatch, share=0.0)
    found, visits, did = visits_of(card, *arguments, rows=rows)
    assert len(did.pruned) == 1
    assert (visits == 3).all()
    assert_same(found, whole)
    prune(monkeypatch)
    found, _, did = visits_of(card, *arguments, rows=rows[:4])
    assert did.pruned == []
    assert_same(found, whole[:4])


def test_leaves_are_marked_some_tiles_at_a_time(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_rows = card.size(600, 20000)
    arguments = small_case("heom", n_rows)
    rows = np.linspace(0, n_rows - 1, card.size(9, 300)).astype(int)
    prune(monkeypatch)
    whole, visits, _ = visits_of(card, *arguments, rows=rows)
    monkeypatch.setattr(search, "MOST_MARKS", 2 * n_rows // 256 + 2)  # two tiles
    found, again, did = visits_of(card, *arguments, rows=rows)
    assert_same(found, whole)
    assert (visits == again).all()
    assert did.pruned[-1] > 2


@pytest.mark.parametrize("name", NAMES)
def test_many_queries_come_in_batches(
    card: Subject, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are reported; a thorough search takes a few of them at a time."""
    reports: list[tuple[int, int]] = []
    name, values, *rest = small_case(name, 50, ties=True)
    values[10:40] = values[10]  # so many ties that lists of candidates prove nothing
    arguments = name, values, *rest
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


# --- memory


@contextmanager
def limited(card: Subject, n_bytes: int) -> Iterator[Subject]:
    """A card of its own that has, or says it has, so much free memory."""
    other = Subject(card.simulated)
    if card.simulated:
        with simulator.limited_memory(n_bytes):
            yield other
        return
    with pytest.MonkeyPatch.context() as patch:
        for module in memory, search:
            patch.setattr(module, "free_bytes", lambda: memory.SHARE * n_bytes)
        yield other


@pytest.mark.parametrize("kind", ["plain", "ties", "groups", "all"])
@pytest.mark.parametrize("name", NAMES)
def test_donors_that_do_not_fit_pass_through(card: Subject, name: str, kind: str) -> None:
    n_rows = card.size(700, 5000)
    *arguments, k = small_case(name, n_rows, ties=kind == "ties")
    groups = np.arange(n_rows) * 5 // n_rows if kind == "groups" else None
    k = 90 if kind == "all" else k  # more than a list holds
    rows = np.linspace(0, n_rows - 1, card.size(3, 200)).astype(int)
    with limited(card, n_rows * 4 * (8 + 4) * 3 // 2) as full, cards.watched() as seen:
        compare(full, *arguments, k, rows=rows, groups=groups)
    assert {plan.slab is None for plan in seen.plans} == {False}
    assert max(plan.slab or 0 for plan in seen.plans) < n_rows // 256
    assert len(seen.parts) > 1 or kind == "all"


@pytest.mark.parametrize("failing", [{0}, {1}, {0, 1, 2}, {1, 3, 5}])
def test_a_card_that_fills_up_goes_on_in_smaller_pieces(
    card: Subject, failing: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the driver or Python has no memory left; what was found before stays."""
    n_rows = card.size(600, 5000)
    arguments, rows = small_case("grey", n_rows), np.arange(0, 90, 9)
    calls = []
    launch = search.OnCard.launch_filter

    def failing_launch(*given: Any) -> None:
        calls.append(len(calls))
        if calls[-1] in failing:
            raise MemoryError if calls[-1] % 2 else full_card()
        launch(*given)

    monkeypatch.setattr(search, "MOST_QUERIES", 4)
    monkeypatch.setattr(search.OnCard, "launch_filter", failing_launch)
    with cards.watched() as seen:
        compare(card, *arguments, rows=rows)
    assert len(calls) > max(failing)
    sizes = [plan.slab or 99 for plan in seen.plans]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 99


def full_card() -> Exception:
    """What the driver raises."""
    failure = memory.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")
    failure.code = 2
    return failure


def test_whatever_memory_there_is(simulated: Subject) -> None:
    """The same answer, or an error that tells what to do."""
    arguments, rows = small_case("grey", 700), np.arange(0, 700, 90)
    whole = searched(*arguments, rows=rows)
    outcomes = set()
    for kilobytes in (4, 10, 20, 30, 40, 50, 60, 70, 80, 100, 150, 200):
        with limited(simulated, kilobytes * 1000) as other, cards.watched() as seen:
            try:
                found = searched(*arguments, rows=rows, kernels=other.kernels)
            except MemoryError as error:
                assert "GPU 0 is full: 0 of 0 MiB are free" in str(error)
                assert "device='cpu'" in str(error)
                outcomes.add("none")
                continue
        assert_same(found, whole)
        first, last = seen.plans[0], seen.plans[-1]
        outcomes.add("whole" if last.slab is None else "slabs" if first == last else "smaller")
    assert outcomes == {"none", "smaller", "slabs", "whole"}
