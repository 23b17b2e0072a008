"""A card finds and fills what the processor and the formulas do, to the last bit.

NUMBA_ENABLE_CUDASIM=1 runs all of this in Python, with small tiles, and shows races and mistakes;
``-m gpu`` runs it on a real card, with real tiles and larger tables.
"""

from __future__ import annotations

import gc
import inspect
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("cards")

from numba import cuda

import cards
import greyknn
import greyknn.donors
import naive
from cards import Subject, simulator
from greyknn import device as devices
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn.relevance import class_information, feature_information
from greyknn_kernels import cpu, formula, tree
from greyknn_kernels.cuda import (
    Card,
    averaging,
    candidates,
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
from greyknn_kernels.formula import GREY
from searching import NAMES, assert_same, check, measured, searched, table, weights_for

SEEDS = range(3)

MODULES = [averaging, differences, information, measuring, pruning, queries, thorough, tiles]


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


def check_search(
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
    check_search(card, *arguments, 4, **options)


@pytest.mark.parametrize("k", [1, 10, 30, 64, 88, 89])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_neighbours(
    card: Subject, name: str, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of 32, 64 and 96 candidates, and none."""
    monkeypatch.setattr(shapes, "SPARE", cards.SPARE)
    rng = np.random.default_rng([NAMES.index(name), k])
    n_rows = card.size(k + 25, 3000)
    values, categorical = table(rng, (n_rows, 4), numeric=name == "euclidean")
    rows = rng.permutation(n_rows)[: card.size(2 if k < 50 else 1, 300)]
    weights = np.ones(4) / (4 if name == "grey" else 1)
    with cards.watched() as seen:
        check_search(card, name, values, categorical, weights, k, rows=rows)
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
    check_search(
        card, name, values, categorical, weights, k, **options, rows=rows,
        query_kin=kin[rows] if n_folds else None,
    )  # fmt: skip
    check_search(
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
        check_search(card, *arguments, rows=np.arange(card.size(2 if k < 9 else 1, 300)))
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
        check_search(card, name, values, *rest, rows=rows, groups=groups)
    assert seen.parts == [card.size(3, 12)]


def prune(patch: pytest.MonkeyPatch, share: float = 9.0) -> None:
    """Prune wherever a sample visits less than a share of the leaves; equal queries, too."""
    patch.setattr(greyknn.neighbors, "DISTINCT_SHARE", 0.0)
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


@pytest.mark.parametrize("kind", ["gaps", "ties", "groups"])
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
    plain, weights = np.zeros(2, bool), np.full(2, 0.5 if name == "grey" else 1.0)
    arguments, rows = (name, values, plain, weights, 3), np.arange(n_rows)
    prune(monkeypatch)
    whole = searched(*arguments)
    if card.simulated:  # some of the last leaves with neighbours in others
        geometry, group = Geometry(name, plain, 0.5, cpu), np.zeros(n_rows, np.int64)
        leaf = DonorTable(geometry, weights, values, rows, group).position // 256
        elsewhere = (leaf[whole.rows] != leaf[:, None]).any(axis=1)
        rows = np.flatnonzero(elsewhere & (leaf > leaf.max() - 16))[-5:]
    found, visits, did = visits_of(card, *arguments, rows=rows)
    assert len(did.pruned) == 2
    assert visits.min() >= 1
    assert visits.mean() < 0.5 * n_rows / 256
    assert_same(found, whole[rows])


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
    monkeypatch.setattr(candidates, "MOST_MARKS", 2 * n_rows // 256 + 2)  # two tiles
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
    loops.nearest = lambda *given: card.card.nearest(
        *given[:-1], lambda *told: reports.append(told)
    )
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
    rows = np.linspace(0, n_rows - 1, card.size(1 if kind == "all" else 3, 200)).astype(int)
    with limited(card, n_rows * 4 * (8 + 4) * 3 // 2) as full, cards.watched() as seen:
        check_search(full, *arguments, k, rows=rows, groups=groups)
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
    launch = candidates.Candidates._filter

    def failing_launch(*given: Any) -> None:
        calls.append(len(calls))
        if calls[-1] in failing:
            raise MemoryError if calls[-1] % 2 else full_card()
        launch(*given)

    monkeypatch.setattr(search, "MOST_QUERIES", 4)
    monkeypatch.setattr(candidates.Candidates, "_filter", failing_launch)
    with cards.watched() as seen:
        check_search(card, *arguments, rows=rows)
    assert len(calls) > max(failing)
    sizes = [plan.slab or 99 for plan in seen.plans]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 99


def test_a_card_that_fills_up_prunes_no_more(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pruning wants all donors on the card."""
    prune(monkeypatch)
    arguments, rows = small_case("grey", 600), np.arange(card.size(6, 100))
    launch = candidates.Candidates._filter

    def failing_launch(self: Any, *given: Any) -> None:
        if len(seen.plans) == 2:  # the first is the sample's
            raise full_card()
        launch(self, *given)

    monkeypatch.setattr(candidates.Candidates, "_filter", failing_launch)
    with cards.watched() as seen:
        check_search(card, *arguments, rows=rows)
    assert len(seen.pruned) == 2
    assert [plan.slab for plan in seen.plans] == [None, None, 1]


def test_plans_become_smaller() -> None:
    """Until there is no less than one block and one query."""
    plans = [search.Plan(None, 20)]
    while (smaller := plans[-1].smaller(9)) is not None:
        plans.append(smaller)
    steps = [(plan.slab, plan.queries) for plan in plans]
    assert steps == [(None, 20), (4, 20), (2, 10), (1, 5), (1, 2), (1, 1)]


def full_card() -> Exception:
    """What the driver raises."""
    failure = memory.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")
    failure.code = 2
    return failure


@pytest.mark.parametrize("name", ["grey", "heom"])
@pytest.mark.parametrize("promised", [1, 8])
def test_whatever_memory_there_is(
    simulated: Subject, promised: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answer, or an error that tells what to do; also when others take what was free."""
    free = search.free_bytes
    monkeypatch.setattr(search, "free_bytes", lambda: promised * free())
    arguments, rows = small_case(name, 600), np.arange(0, 600, 120)
    whole = searched(*arguments, rows=rows)
    outcomes = set()
    for kilobytes in (4, 20, 30, 60, 100):
        with limited(simulated, kilobytes * 1000) as other, cards.watched() as seen:
            try:
                found = searched(*arguments, rows=rows, kernels=other.kernels)
            except MemoryError as error:
                said = str(error)
                outcomes.add("none")
                continue
        assert_same(found, whole)
        first, last = seen.plans[0], seen.plans[-1]
        outcomes.add("whole" if last.slab is None else "slabs" if first == last else "smaller")
    assert outcomes == {"none", "whole", "slabs" if promised == 1 else "smaller"}
    assert re.match(r"GPU 0 is full: 0 of 0 MiB are free, .* use device='cpu'\.$", said)


def free_memory() -> int:
    return int(cuda.current_context().get_memory_info()[0])


def test_copies_stay_while_arrays_live(simulated: Subject) -> None:
    """One for each array, with zeros behind it where these are asked for."""
    residents = memory.Residents()
    numbers, others = np.arange(100.0), np.arange(60.0, dtype=np.float32).reshape(6, 10)
    before = free_memory()
    assert not residents.holds(numbers)
    copy = residents.of(numbers)
    assert residents.holds(numbers)
    assert residents.of(numbers) is copy
    assert free_memory() == before - 800
    flat = residents.of(others, tail=7).copy_to_host()
    assert flat.tolist() == [*range(60), *[0.0] * 7]
    assert residents.of(others, tail=5) is residents.of(others, tail=7)
    assert free_memory() == before - 800 - 4 * 67
    del copy, numbers
    gc.collect()
    assert free_memory() == before - 4 * 67
    residents.forget()
    gc.collect()
    assert free_memory() == before
    assert not residents.holds(others)
    assert residents.of(others, tail=9).size == 69  # of an array that was forgotten
    del others
    gc.collect()
    assert free_memory() == before


def test_donors_leave_the_card_with_their_table(simulated: Subject) -> None:
    card, before = Subject(True), free_memory()
    name, values, categorical, weights, k = small_case("grey", 40)
    made = DonorTable(
        Geometry(name, categorical, 0.5, card.kernels), weights, values, np.arange(40),
        np.zeros(40, np.int64),
    )  # fmt: skip
    taken = []
    for _ in range(2):
        nearest(made, weights, k, values[:2])
        gc.collect()
        taken.append(before - free_memory())
    assert taken[0] == taken[1] > made.values.nbytes
    del made
    gc.collect()
    assert free_memory() == before


def test_copies_serve_searches_with_other_tiles(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be read behind an array depends on the length of the lists."""
    shape_for = shapes.shape_for

    def wider(metric: int, capability: tuple[int, int], slots: int) -> shapes.Shape:
        return replace(shape_for(metric, capability, slots), chunk={32: 12, 64: 9, 96: 6}[slots])

    monkeypatch.setattr(shapes, "shape_for", wider)
    values = np.random.default_rng(0).random((40, 1))
    made = DonorTable(
        Geometry("heom", np.zeros(1, bool), 0.5, Subject(card.simulated).kernels), np.ones(1),
        values, np.arange(40), np.zeros(40, np.int64),
    )  # fmt: skip
    for k in (60, 30, 5):  # the longer the lists, the less is read at a time
        found = nearest(made, np.ones(1), k, values[:2], rows=np.arange(2))
        distances = np.sort(np.abs(values[:2] - values[:, 0]), axis=1)[:, 1:]
        assert_allclose(found.distances[:, :39], distances[:, :k], rtol=1e-9)


@pytest.mark.parametrize(
    ("room", "parts"),
    [(1e9, [10]), (20.0, [10]), (13.0, [6, 4]), (6.0, [3] * 3 + [1]), (0, [1] * 10)],
)
def test_parts_of_columns(room: float, parts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what is free may be used, and one column at least is."""
    monkeypatch.setattr(memory, "free_bytes", lambda: room * 7.0)
    slices = list(memory.parts_of(10, 7.0))
    columns = [list(range(10))[some] for some in slices]
    assert [len(some) for some in columns] == parts
    assert [column for some in columns for column in some] == list(range(10))


def test_columns_that_do_not_fit_pass_through(
    card: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extremes and averages need the columns they work on, and no more."""
    rng = np.random.default_rng(5)
    n_rows = card.size(80, 3000)
    values, categorical = table(rng, (n_rows, 6), gap=0.3)
    donors = DonorTable(
        Geometry("grey", categorical, 0.5, cpu), np.ones(6), values, np.arange(n_rows),
        np.arange(n_rows) % 2,
    )  # fmt: skip
    asked = np.ascontiguousarray(values[:, ~categorical])
    given = asked, np.arange(n_rows) % 3, np.arange(n_rows, dtype=np.int32), donors.starts
    wanted, cells = asking(rng, n_rows, [0, 1, 4, 5], 5, n_rows // 2)
    full = np.nan_to_num(values)
    uploaded = []
    to_device = cuda.to_device
    monkeypatch.setattr(cuda, "to_device", lambda *a, **b: uploaded.append(a) or to_device(*a, **b))
    for n_columns in (1, 3, 99):
        budget = 2.0 * n_columns * (12.0 * n_rows + 8.0 * n_rows)
        for module in memory, search:
            monkeypatch.setattr(module, "free_bytes", lambda budget=budget: budget)
        low, high, low_there, high_there = np.empty((4, n_rows))
        cpu.extremes(*given, *donors.numbers, low, high)
        uploaded.clear()
        Subject(card.simulated).kernels.extremes(*given, *donors.numbers, low_there, high_there)
        assert_array_equal(low, low_there)
        assert_array_equal(high, high_there)
        assert len(uploaded) == 3 + {1: 4 * 4, 3: 2 * 4, 99: 4}[n_columns]
        uploaded.clear()
        here, there = cells.copy(), cells.copy()
        cpu.fill(formula.WEIGHTED, 5, *wanted[:2], categorical, full, *wanted[2:], here)
        card.kernels.fill(formula.WEIGHTED, 5, *wanted[:2], categorical, full, *wanted[2:], there)
        assert_array_equal(here, there)
        assert len(uploaded) == 3 + 6 * {1: 2, 3: 1, 99: 1}[n_columns]  # none for columns 2 and 3


def asking(
    rng: Any, n_rows: int, columns: Any, k: int, n_lists: int
) -> tuple[tuple[Any, ...], Any]:
    """Cells to fill: lists, columns, neighbours, distances, counts; and what they hold."""
    lists, places = np.nonzero(rng.random((n_lists, len(columns))) < 0.6)
    counts = rng.integers(0, k + 1, n_lists)
    counts[[0, 1, -1]] = k, 0, k
    distances = np.sort(rng.choice([0.0, 0.1, 0.1 + 1e-14, 0.3, 0.7], (n_lists, k)), axis=1)
    distances[::3] = np.sort(rng.random((n_lists, k)), axis=1)[::3]
    rows = rng.integers(0, n_rows, (n_lists, k)).astype(np.int32)
    unused = np.arange(k) >= counts[:, None]
    distances[unused], rows[unused] = np.inf, -1
    wanted = lists, np.array(columns)[places], rows, distances, counts
    return wanted, rng.random(len(lists))


# --- extremes, averages, information


def check_extremes(card: Subject, n_rows: int) -> None:
    """Of rows of the table and of others, of groups that there are and that there are not."""
    rng = np.random.default_rng(n_rows)
    values, categorical = table(rng, (n_rows, 5), gap=0.4, ties=True)
    groups, kin = rng.choice([0, 1, 3], n_rows), rng.integers(0, 5, n_rows)
    rows = np.flatnonzero(rng.random(n_rows) < 0.8)
    queries = np.concatenate([values, 3.0 * values - 1.0])
    asked, query_kin = rng.integers(-1, 6, 2 * n_rows), rng.integers(-1, 5, 2 * n_rows)
    found = [
        DonorTable(
            Geometry("grey", categorical, 0.5, kernels), np.ones(5), values, rows, groups, kin
        ).extremes(queries, asked, query_kin)
        for kernels in (cpu, card.kernels)
    ]  # fmt: skip
    assert_array_equal(found[0], found[1])
    for query in rng.integers(0, 2 * n_rows, 30):
        seen = rows[(groups[rows] == asked[query]) & (kin[rows] != query_kin[query])]
        plain = [[None if np.isnan(x) else float(x) for x in row] for row in values[seen]]
        cells = [None if np.isnan(x) else float(x) for x in queries[query]]
        expected = naive.extremes(cells, plain, categorical.tolist()) or (0.0, 0.0)
        assert (found[1][0][query], found[1][1][query]) == expected


@pytest.mark.parametrize("n_rows", [1, 2, 70, 200])
def test_extremes(card: Subject, n_rows: int) -> None:
    check_extremes(card, n_rows)


def test_extremes_without_numbers_or_queries(card: Subject) -> None:
    for shape in (0, 2), (3, 0):
        values = np.zeros(shape)
        donors = DonorTable(
            Geometry("grey", np.zeros(shape[1], bool), 0.5, card.kernels), np.ones(shape[1]),
            np.zeros((4, shape[1])), np.arange(4), np.zeros(4, np.int64),
        )  # fmt: skip
        nobody = np.full(shape[0], -1)
        found = donors.extremes(values, np.zeros(shape[0], np.int64), nobody)
        assert_array_equal(found, np.zeros((2, shape[0])))


def check_fill(card: Subject, k: int, used: int) -> None:
    """Some lists are empty, some columns take votes, some distances are 0 or equal."""
    rng = np.random.default_rng(k)
    n_rows = card.size(50, 5000)
    categorical = np.arange(40) % 3 == 1
    values = rng.random((n_rows, 40))
    values[:, categorical] = rng.integers(0, 3, (n_rows, int(categorical.sum())))
    values[:, 0] = values[0, 0]  # equal numbers stay equal
    (lists, columns, rows, distances, counts), before = asking(
        rng, n_rows, range(40), k, card.size(9 if k < 9 else 3, 2000)
    )  # fmt: skip
    for average, name in (formula.PLAIN, "plain"), (formula.WEIGHTED, "weighted"):
        filled = []
        for kernels in cpu, card.kernels:
            filled.append(before.copy())
            kernels.fill(
                average, used, lists, columns, categorical, values, rows, distances, counts,
                filled[-1],
            )  # fmt: skip
        assert_array_equal(filled[0], filled[1])
        for cell in range(0, min(len(lists), 100), 1 if k < 9 else 3):
            near, column = lists[cell], columns[cell]
            count = min(counts[near], used)
            if count == 0:
                assert filled[1][cell] == before[cell]
                continue
            cells = values[rows[near, :count], column].tolist()
            average_of = naive.fill_category if categorical[column] else naive.fill_number
            expected = average_of(cells, distances[near, :count].tolist(), name)
            assert filled[1][cell] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("k", "used"), [(1, 1), (5, 3), (4, 9), (32, 32), (33, 33), (70, 66)])
def test_fills(card: Subject, k: int, used: int) -> None:
    check_fill(card, k, used)


def test_nothing_to_fill(card: Subject) -> None:
    none, filled = np.zeros(0, np.int64), np.zeros(0)
    card.kernels.fill(
        0, 1, none, none, np.zeros(1, bool), np.ones((1, 1)), np.zeros((0, 1), np.int32),
        np.zeros((0, 1)), none, filled,
    )  # fmt: skip
    assert len(filled) == 0


def check_information(card: Subject, n: int) -> None:
    """Of classes of several sizes; to the last bits."""
    rng = np.random.default_rng(n)
    x, z = rng.normal(size=(2, n))
    classes = np.sort(rng.integers(0, 3, n))
    starts = np.append(np.searchsorted(classes, np.unique(classes)), n)
    for name, arguments in (
        ("class_entropies", (x, starts, 2.5)),
        ("joint_information", (x, z, 2.0, 3.0)),
    ):
        ours, reference = np.empty((2, n))
        getattr(card.kernels, name)(*arguments, ours)
        getattr(cpu, name)(*arguments, reference)
        assert_allclose(ours, reference, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 64, 65, 130])
def test_information(card: Subject, n: int) -> None:
    check_information(card, n)


def test_information_is_that_of_the_paper(card: Subject) -> None:
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=40), rng.normal(size=40), rng.integers(0, 3, 40)
    values, categorical = np.column_stack([x, x + z, y]), np.array([False, False, True])
    cells = [column.tolist() for column in values.T]
    of_class = class_information(values, categorical, y, card.kernels)
    of_features = feature_information(values, categorical, card.kernels)
    for i in range(2):
        expected = naive.class_information(cells[i], y.tolist(), False)
        assert of_class[i] == pytest.approx(expected, rel=1e-9)
        expected = naive.feature_information(cells[i], cells[2], False, True)
        assert of_features[i, 2] == pytest.approx(expected, rel=1e-9)
    expected = naive.feature_information(cells[0], cells[1], False, False)
    assert of_features[0, 1] == pytest.approx(expected, rel=1e-9)


# --- whole tables


def mixed(n_rows: int) -> tuple[Any, Any]:
    """Numbers, numbers that tie, a category, gaps, and labels."""
    rng = np.random.default_rng(n_rows)
    X = rng.random((n_rows, 4))
    X[:, 0] = np.round(X[:, 0], 1)
    X[:, 3] = rng.integers(0, 3, n_rows)
    X[rng.random(X.shape) < 0.15] = np.nan
    return X, rng.integers(0, 2, n_rows)


@pytest.mark.parametrize(
    ("method", "metric_on", "donors"),
    [
        ("cgknn", "observed", "all"),
        ("cgknn", "imputed", "observed"),
        ("fwgknn", "observed", "observed"),
        ("fwgknn", "imputed", "all"),
        ("gknn", "observed", "observed"),
        ("gknn", "imputed", "all"),
        ("miknn", "observed", "all"),
        ("miknn", "imputed", "observed"),
        ("iknn", "observed", "observed"),
        ("iknn", "imputed", "all"),
        ("tgknn", "observed", "all"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_table_is_filled_as_on_the_processor(
    card: Subject, method: str, metric_on: str, donors: str
) -> None:
    """The same numbers, from the same neighbours."""
    X, y = mixed(card.size(16, 1000))
    new = mixed(card.size(3, 300))[0]
    filled, imputers = [], []
    for device in "cpu", "cuda":
        imputer = greyknn.GreyKNNImputer(
            method, n_neighbors=3, metric_on=metric_on, donors=donors, max_iter=2,
            categorical_features=[3], device=device,
        )  # fmt: skip
        filled.append([imputer.fit_transform(X, y), imputer.transform(new)])
        imputers.append(imputer)
    for ours, reference in zip(filled[1], filled[0]):
        assert_allclose(ours, reference, rtol=1e-9)
    for row, column in np.argwhere(np.isnan(X))[:40]:
        reference, ours = (imputer.explain(row, column) for imputer in imputers)
        assert [donor.row for donor in ours] == [donor.row for donor in reference]


def test_knn_imputer(card: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no device of its own: much work goes to a card."""
    X = mixed(card.size(30, 1000))[0]
    expected = greyknn.KNNImputer(n_neighbors=3).fit_transform(X)
    asked = []
    monkeypatch.setattr(devices, "kernels", lambda *given: asked.append(given) or card.kernels)
    assert_allclose(greyknn.KNNImputer(n_neighbors=3).fit_transform(X), expected, rtol=1e-9)
    assert asked
    assert {device for device, _ in asked} == {"auto"}


# --- launches


def test_warnings_are_off_while_any_thread_launches() -> None:
    """And the user's setting is back once the last one has."""
    from greyknn_kernels.cuda.card import _quiet as quiet
    from greyknn_kernels.cuda.card import config

    setting = "CUDA_LOW_OCCUPANCY_WARNINGS"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, setting, 7, raising=False)
        quiet.__enter__()
        quiet.__enter__()
        quiet.__exit__()
        assert getattr(config, setting) == 0
        quiet.__exit__()
        assert getattr(config, setting) == 7


def test_no_points(card: Subject) -> None:
    """Nothing to launch a kernel for, nothing to complain of."""
    none = np.empty(0)
    card.card.class_entropies(none, np.zeros(2, np.int64), 1.0, none)
    card.card.joint_information(none, none, 1.0, 1.0, none)
    assert len(none) == 0


def test_launches_have_the_types_of_the_catalogue(card: Subject) -> None:
    """Other types would compile a kernel anew."""
    with cards.typed_launches() if card.simulated else nullcontext() as launched:
        for name in "blocks", "near", "pruned", "slabs", "fill", "extremes", "information":
            playing(card, name)()
    if card.simulated:
        assert launched == set(cards.SIGNATURES)
        return
    shape = shapes.shape_for(GREY, cuda.get_current_device().compute_capability, 32)
    for kernel in [*cards.KERNELS, tiles.filtering(GREY, shape)]:
        listed = cards.SIGNATURES[kernel.py_func.__name__]
        assert [tuple(map(str, types)) for types in kernel.overloads] == [tuple(map(str, listed))]


def test_launches_with_other_types_are_told(simulated: Subject) -> None:
    one, numbers = np.int64(1), cuda.to_device(np.zeros(3))
    cards.check_types("joint_information", (numbers, numbers, 1.0, np.float64(2.0), numbers))
    for wrong in (
        (numbers, numbers, 1.0, one, numbers),
        (numbers, numbers, 1.0, 1.0, cuda.to_device(np.zeros(3, np.float32))),
        (numbers, numbers, 1.0, 1.0, cuda.to_device(np.zeros((3, 1)))),
        (numbers, numbers, 1.0, 1.0, cuda.to_device(np.zeros(6))[::2]),
        (numbers, numbers, 1.0, 1.0),
    ):
        with pytest.raises(AssertionError, match="joint_information has"):
            cards.check_types("joint_information", wrong)


# --- what the filter computes


@dataclass
class Noting:
    """A kernel that keeps the arguments of its launches."""

    kernel: Any
    launches: list[tuple[Any, ...]] = field(default_factory=list)

    def __getitem__(self, configuration: Any) -> Callable[..., None]:
        def launch(*arguments: Any) -> None:
            self.kernel[configuration](*arguments)
            self.launches.append(arguments)

        return launch


def check_scores(
    card: Subject, name: str, values: Any, categorical: Any, weights: Any, **options: Any
) -> None:
    """Scores and exact distances of all candidates differ by less than each query's slack."""
    settle = Noting(measuring.settle)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "settle", settle)
        searched(name, values, categorical, weights, 4, kernels=card.kernels, **options)
    n_checked, errors = 0, []
    for metric, *arguments in settle.launches:
        on_card = [hasattr(thing, "copy_to_host") for thing in arguments]
        (
            cells, _, _, smallest, offset, rows, n_chains, bases, units, slacks, donors, _, _, _,
            keep, slots, scores, places, *_,
        ) = (
            thing.copy_to_host() if there else thing for thing, there in zip(arguments, on_card)
        )  # fmt: skip
        for slot in np.flatnonzero((rows >= 0) & (n_chains > 0) & (slacks < np.inf)):
            row, listed = rows[slot], slice(slot * slots, slot * slots + keep)
            for score, place in zip(scores[listed], places[listed]):
                if place < 0:
                    continue
                distance = measured(
                    metric, cells[row], donors[place], categorical, weights, smallest[row],
                    offset[row],
                )  # fmt: skip
                total = distance if metric == GREY else distance**2
                estimate, exact = -float(score), (total - bases[slot]) / units[slot]
                slack = slacks[slot]
                assert exact <= formula.farthest_estimate(metric, estimate, slack) + 1e-12
                assert estimate <= formula.farthest_estimate(metric, exact, slack) + 1e-12
                errors.append(abs(estimate - exact))
                n_checked += 1
    assert n_checked > card.size(12, 1000)
    assert 0.0 < max(errors) < 1e-3


@pytest.mark.parametrize("kind", ["gaps", "codes", "light", "wide"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_distances_in_single_precision(card: Subject, name: str, kind: str) -> None:
    arguments, options = case(card, name, kind)
    check_scores(card, *arguments, **options)


# --- what hardware may do in other ways than the simulator


class Copies:
    """Copies to shared memory that arrive when they like, but no later than they are waited for.

    Parameters
    ----------
    patch : MonkeyPatch
    late : float
        Share of copies that do not arrive at once.
    """

    def __init__(self, patch: pytest.MonkeyPatch, late: float) -> None:
        self.late, self.random = late, random.Random(0)
        self.under_way: dict[tuple[int, ...], list[Any]] = defaultdict(list)
        self.sent = 0
        patch.setattr(tiles, "send16", self.send16)
        patch.setattr(tiles, "arrived", self.arrived)

    def send16(self, target: Any, source: Any) -> None:
        self.sent += 1
        place = target.byte // 4
        target.array[place : place + 4] = np.nan  # whoever still reads this comes too late
        self.under_way[thread()].append((target, source))
        if self.random.random() >= self.late:
            self.arrived()
        others = [copies for copies in self.under_way.values() if copies]
        if others and self.random.random() < self.late < 1.0:
            some = self.random.choice(others)
            machine.copy16(*some.pop(self.random.randrange(len(some))))

    def arrived(self) -> None:
        for target, source in self.under_way.pop(thread(), []):
            machine.copy16(target, source)


def thread() -> tuple[int, ...]:
    return *cuda.blockIdx, *cuda.threadIdx


@pytest.mark.parametrize("late", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_copies_may_arrive_late(
    simulated: Subject, name: str, late: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = Copies(monkeypatch, late)
    arguments, options = case(simulated, name, "wide")
    check_search(simulated, *arguments, 4, **options)
    assert copies.sent > 100
    assert not any(copies.under_way.values()), "nobody waited"


@pytest.mark.parametrize("kind", ["ties", "gaps"])
@pytest.mark.parametrize("name", ["grey", "euclidean"])
def test_reciprocals_may_be_off_by_one_unit(
    simulated: Subject, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(0)

    def reciprocal(number: Any) -> Any:
        exact = np.float32(1.0) / number
        return np.nextafter(exact, np.float32(rng.choice([-np.inf, 0.0, np.inf]) or exact))

    for module in tiles, thorough, pruning:
        monkeypatch.setattr(module, "reciprocal", reciprocal)
    prune(monkeypatch)
    arguments = small_case(name, 300, ties=kind == "ties", gap=0.3)
    check_search(simulated, *arguments, rows=np.arange(5) * 50)


# --- races and mistakes


def sure(card: Subject, *arguments: Any, **options: Any) -> None:
    """Search and compare; the lists of candidates prove themselves complete."""
    with cards.watched() as seen:
        check_search(card, *arguments, **options)
    assert not seen.thorough


def scenario_lists(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Two tiles of donors, two chunks of columns that arrive late, two tiles of queries."""
    Copies(patch, 1.0)
    values, categorical = table(np.random.default_rng(8), (200, 7))
    rows = np.arange(5) * 22
    values[rows + 110] = values[rows] + ~categorical * 0.01
    sure(card, "grey", values, categorical, np.full(7, 1 / 7), 4, rows=rows)


def scenario_blocks(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Three blocks of donors, the middle one first; the nearest come last, or in between."""
    name, values, *rest = small_case("heom", 560, gap=0.0)
    values[290:299] = values[300] + np.arange(1, 10)[:, None] * [0.01, 0.0, 0.0, 0.0]
    values[[7, 259]] = values[300]  # the only near ones of their tiles, and at odd places
    sure(card, name, values, *rest, rows=np.array([300]))


def scenario_long_lists(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Of 64 candidates and 36 neighbours, so that several places of a list are a lane's."""
    sure(card, *small_case("heom", 60)[:4], 36, rows=np.arange(1))


def scenario_few(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Groups of two and three donors: single lanes know of a candidate."""
    sure(card, *small_case("euclidean", 5, gap=0.0), groups=np.array([0, 0, 1, 1, 1]))


def scenario_groups(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """That begin and end within a block, and kin."""
    kin = np.arange(120) % 7
    sure(
        card, *small_case("heom", 120), groups=np.repeat([0, 1, 3], 40), kin=kin,
        rows=np.array([0, 50, 119]), query_kin=kin[[0, 50, 119]],
    )  # fmt: skip


def scenario_gaps(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Rows without a column in common."""
    name, values, *rest = small_case("euclidean", 60, gap=0.6)
    sure(card, name, values, *rest, rows=np.arange(3))


def near_ties(first: int, last: int, n_rows: int) -> Any:
    """Rows near 0.5 that single precision cannot tell apart, some first, some last, and others."""
    ties = 0.5 + np.arange(1, first + last + 1)[::-1] * 1e-12
    rest = np.linspace(0.7, 1.0, n_rows - first - last)
    return np.concatenate([ties[:first], rest, ties[first:]])[:, None]


def scenario_near(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """More near ties than a list has room for; the last are the nearest. Not of all queries."""
    n_listed = 4 + shapes.SPARE
    queries = np.array([[0.83], [0.5]])
    for first, last in (n_listed - 1, 1), (20, 0):
        values = near_ties(first, last, 135)
        with cards.watched() as seen:
            check_search(card, "grey", values, np.zeros(1, bool), np.ones(1), 4, queries=queries)
        assert seen.thorough == [1]


def share(patch: pytest.MonkeyPatch) -> None:
    """Let several blocks of threads search for one query."""
    patch.setattr(search, "LEAST_TILES", 1)
    patch.setattr(search, "WAVES", 999)


def scenario_parts(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Donors shared by three blocks of threads."""
    share(patch)
    name, values, *rest = small_case("heom", 560)
    values[550:] = values[0] + 0.01  # the nearest are in the last block
    sure(card, name, values, *rest, rows=np.array([0, 280]))


def scenario_near_parts(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Only one part's list proves nothing."""
    share(patch)
    values = near_ties(30, 0, 530)
    check_search(card, "grey", values, np.zeros(1, bool), np.ones(1), 4, queries=np.array([[0.5]]))


def check_thorough(card: Subject, patch: pytest.MonkeyPatch, name: str, k: int, gap: float) -> None:
    """Without lists of candidates; ties, and donors in another order than their rows."""
    patch.setattr(shapes, "MOST_SLOTS", 0)
    patch.setattr(greyknn.donors, "FEWEST_LEAVES", 1)
    name, values, *rest, _ = small_case(name, 400, gap=gap, codes=2)
    kin, rows = np.arange(400) // 4, np.array([13, 399])
    groups = np.where(np.arange(400) % 4 == 3, 1, 0)
    if name == "euclidean":
        values[5::9], values[rows] = np.nan, 0.5
    else:
        values = np.round(values)
    check_search(
        card, name, values, *rest, k, rows=rows, groups=groups, kin=kin, query_kin=kin[rows]
    )


def scenario_thorough(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Donors shared by two blocks of threads."""
    check_thorough(card, patch, "grey", 4, 0.3)


def scenario_long_thorough(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """One query at a time."""
    patch.setattr(search, "MOST_LISTED", 12 * 36)
    check_thorough(card, patch, "heom", 36, 0.1)


def scenario_thorough_gaps(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Rows without a column in common."""
    check_thorough(card, patch, "euclidean", 9, 0.2)


def scenario_slabs(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Donors that pass through, block by block; lists go on from slab to slab."""
    patch.setattr(search.Plan, "of", lambda _: search.Plan(1, 99))
    name, values, *rest = small_case("euclidean", 560)
    values[557:] = values[0] + 0.01
    values[300] = values[0]
    sure(card, name, values, *rest, rows=np.array([0, 290]))


def scenario_near_slabs(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """A thorough search of donors that pass through."""
    patch.setattr(search.Plan, "of", lambda _: search.Plan(1, 99))
    values, query = near_ties(30, 2, 300)[::-1], np.array([[0.5]])
    with cards.watched() as seen:
        check_search(card, "grey", values, np.zeros(1, bool), np.ones(1), 4, queries=query)
    assert seen.thorough == [1]


def scenario_pruned(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Queries of one tile need different leaves, in packs of two groups."""
    patch.setattr(greyknn.donors, "FEWEST_LEAVES", 1)
    patch.setattr(search, "_pruning_pays", lambda *_: True)
    values = np.random.default_rng(3).random((2500, 3))
    values[:, 2] = np.floor(values[:, 0] * 9)
    options = {"rows": np.arange(0, 2500, 480), "groups": np.repeat([0, 1], [700, 1800])}
    arguments = "grey", values, np.array([False, False, True]), np.full(3, 1 / 3), 6
    found, visits, _ = visits_of(card, *arguments, **options)
    assert visits.max() < 8
    patch.undo()
    assert_same(found, searched(*arguments, **options))


def scenario_fill(card: Subject, patch: pytest.MonkeyPatch) -> None:
    check_fill(card, 5, 3)


def scenario_extremes(card: Subject, patch: pytest.MonkeyPatch) -> None:
    check_extremes(card, 60)


def scenario_information(card: Subject, patch: pytest.MonkeyPatch) -> None:
    check_information(card, 70)


def scenario_scores(card: Subject, patch: pytest.MonkeyPatch) -> None:
    """Two tiles of donors, three chunks of columns."""
    for name in NAMES:
        values, categorical = table(
            np.random.default_rng(8), (140, 14), gap=0.3, numeric=name == "euclidean"
        )
        rows, weights = np.array([5, 139]), np.ones(14) / (14 if name == "grey" else 1)
        check_scores(card, name, values, categorical, weights, rows=rows)


SCENARIOS = {
    name.removeprefix("scenario_"): function
    for name, function in list(globals().items())
    if name.startswith("scenario_")
}


def playing(card: Subject, name: str) -> Callable[[], None]:
    """One scenario, for ``cards.noticed``."""

    def play() -> None:
        with pytest.MonkeyPatch.context() as patch:
            SCENARIOS[name](card, patch)

    return play


@pytest.mark.parametrize("name", SCENARIOS)
def test_threads_may_run_in_any_order(simulated: Subject, name: str) -> None:
    for seed in SEEDS:
        simulator.seed(seed)
        check_scenario = playing(simulated, name)
        check_scenario()


EARLIER = "What one turn writes lies behind all that the next one reads."
BALLOT = "A ballot comes first, at which the simulator's lanes wait, and hardware's need not."

WAITS = {
    tiles.filtering: [
        ("cuda.syncthreads()", "few"),
        ("arrived()", "lists"),
        ("cuda.syncthreads()", "lists"),
        ("cuda.syncwarp(ALL)", "lists"),
        ("cuda.syncwarp(ALL)", "lists"),
        ("cuda.syncwarp(ALL)", "long_lists", EARLIER),
        ("cuda.syncwarp(ALL)", "long_lists", BALLOT),
        ("cuda.syncwarp(ALL)", "long_lists", BALLOT),
        ("cuda.syncwarp(ALL)", "long_lists", BALLOT),
    ],
    measuring.offer: [
        ("cuda.syncwarp(ALL)", "near"),
        ("cuda.syncwarp(ALL)", "near", EARLIER),
        ("cuda.syncwarp(ALL)", "near"),
    ],
    measuring.clear: [("cuda.syncwarp(ALL)", "near")],
}
"""Every line for which threads wait, in order; where its lack shows, or why it does not."""


def test_these_are_all_waits() -> None:
    for module in MODULES:
        lines = re.findall(
            r"^ *(cuda\.sync\w+\(.*\)|arrived\(\))$", inspect.getsource(module), re.MULTILINE
        )
        listed = [
            wait[0]
            for function, waits in WAITS.items()
            if inspect.unwrap(function).__module__ == module.__name__
            for wait in waits
        ]
        assert lines == listed


@pytest.mark.parametrize(
    ("function", "number"),
    [(function, number) for function, waits in WAITS.items() for number in range(len(waits))],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_missing_wait_shows(
    simulated: Subject, function: Any, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement, scenario, *reason = WAITS[function][number]
    before = sum(wait[0] == statement for wait in WAITS[function][:number])
    cards.put(monkeypatch, function, f"{statement}\n", "pass\n", before)
    seeds = SEEDS if reason else range(20)
    assert cards.noticed(playing(simulated, scenario), seeds) == (not reason)


FILTER = tiles.filtering

MISTAKES = {
    "lists": [
        (FILTER, "* HALF\n", "\n"),
        (FILTER, "BLOCK + (step & (HALF - 1)) * WIDE", "BLOCK"),
        (FILTER, "n_here = min(CHUNK, n_features - feature)", "n_here = CHUNK"),
        (FILTER, "if not ends_tile or step + 1 < end:", "if not ends_tile:"),
        (FILTER, "if not ends_tile or step + 1 < end:", "if step + 1 < end:"),
        (FILTER, "donor_source = next_source", "pass"),
        (FILTER, "next_queries = query_source\n", "pass\n"),
        (FILTER, "buffer = BUFFER - buffer", "pass"),
        (FILTER, "hits |= uint32(1 << query)", "hits = uint32(1 << query)"),
        (FILTER, "if not cuda.any_sync(ALL, (hits & bit) != 0):", "if (hits & bit) == 0:"),
        (FILTER, "at >= slot and", "at > slot and"),
        (FILTER, "waiting &= ~(uint32(1) << uint32(source))", "waiting &= ~uint32(1)"),
        (FILTER, "row * 32 + source)", "source)"),
        (measuring.settle, "first + at if gathered else int64(place)", "first + at"),
        (measuring.measure, "return _settled(total)", "return total"),
        (measuring.measure, "total += rounded(part)", "total += part * (1.0 + 1e-9)"),
        (queries.pack, "within // queries * 2 * queries + within % queries", "within"),
        (queries.pack, "floors[slot] = float32(EMPTY)", "pass"),
        (search._search, "proven.copy_to_host() == 0", "here.n_chains.copy_to_host() > 0"),
    ],
    "few": [(measuring.settle, "(nothing_left_out or far_enough)", "far_enough")],
    "long_lists": [
        (FILTER, "(ROWS - 1 - turn) * 32", "turn * 32"),
        (measuring.settle, "range(0, keep, WARP)", "range(0, WARP, WARP)"),
    ],
    "blocks": [
        (FILTER, "(step + 1) // HALF", "step // HALF"),
        (FILTER, "best = max(best, sums[query, donor])", "pass"),
        (candidates.Candidates.find, "dtype=np.int32), 2)", "dtype=np.int32), 1)"),
    ],
    "groups": [
        (FILTER, "place >= low and ", ""),
        (FILTER, " and place < high", ""),
        (FILTER, "near = load(kin, place) != mine", "pass"),
    ],
    "gaps": [
        (FILTER, "if others[link, donor] > NO_CELL:", "if True:"),
        (FILTER, "common[query, donor] += seen", "common[query, donor] += float32(1.0)"),
        (FILTER, "score if number > float32(0.0) else float32(EMPTY)", "score"),
        (measuring.measure, "total * n_columns / common", "total"),
    ],
    "near": [
        (FILTER, "keep - 1)", "keep - 2)", 1),
        (FILTER, "keep - 1)", "keep - 2)", 2),
        (measuring.settle, "1 if sure else 0", "1"),
        (measuring.settle, "far_enough = limit < -best_left_out", "far_enough = True"),
        (measuring.limit_of, "(farthest - base) / unit, slack", "(farthest - base) / unit, -slack"),
        (thorough.join, "clear(distances, found, slot, n_neighbors, lane)", "pass"),
        (measuring.offer, "place <= at < last", "place < at < last"),
        (measuring.offer, "while first + WARP > place", "while first > place"),
        (thorough.scan, "slot = wanted[number]", "slot = number"),
        (thorough.join, "slot = wanted[number]", "slot = number"),
        (search._search, "if unsure.any():", "if False:"),
    ],
    "parts": [
        (FILTER, "* (part + 1) // n_parts", "// n_parts"),
        (FILTER, "int32(int64(n_tiles) * part // n_parts)", "int32(0)"),
        (measuring.settle, "range(n_parts)", "range(1)"),
        (search._search, "np.sqrt(near, out=near)", "pass"),
    ],
    "near_parts": [(measuring.settle, "max(best_left_out, ", "min(3e38, ")],
    "slabs": [
        (FILTER, "if fresh == 0:", "if False:"),
        (FILTER, "place = load(places, source + slot)", "pass"),
        (FILTER, "begin + step // HALF) - first_block", "begin + step // HALF)"),
        (measuring.settle, "first + at if gathered else int64(place)", "int64(place)"),
        (candidates.Candidates.find_in_slabs, "low == 0, stream", "True, stream"),
        (memory.Slabs.__iter__, "range(0, len(self.array), self.n_rows)", "range(0, self.n_rows)"),
    ],
    "near_slabs": [
        (thorough.scan, "if fresh:", "if True:"),
        (thorough.scan, "place - first_donor", "place"),
        (thorough.scan, "int64(block - first_block)", "int64(block)"),
        (search._pieces, "low * BLOCK : high * BLOCK", "0 : high * BLOCK"),
    ],
    "thorough": [
        (measuring.offer, "(total == far and donor < rows[slot, last])", "False"),
        (measuring.offer, "(total == far and donor < rows[slot, last])", "False", 1),
        (measuring.offer, "(listed == entering and rows[slot, at] < entering_row)", "False"),
        (measuring.offer, "listed < entering or", "listed <= entering or"),
        (thorough.scan, "if fresh:", "if False:"),
        (thorough.scan, " and kin[place] != own[slot]", ""),
        (thorough.scan, "low <= place < high", "place < high"),
        (thorough.scan, "low <= place < high", "low <= place"),
        (thorough.scan, "* (part + 1) // n_parts", "* part // n_parts"),
        (thorough.scan, "near = not estimate > limit", "near = estimate < limit - 1e-3"),
        (thorough.join, "range(n_parts)", "range(1)"),
        (queries.pack, "n_chains[slot] = 0", "pass"),
    ],
    "long_thorough": [
        (measuring.offer, "first = (last // WARP) * WARP", "first = 0"),
        (measuring.clear, "range(0, n_neighbors, WARP)", "range(0, 1)"),
        (thorough.join, "range(0, n_neighbors, WARP)", "range(0, 1)"),
        (search._search_thoroughly, "begin : begin + at_once", "0 : at_once"),
    ],
    "thorough_gaps": [
        (measuring.measure, "if common > 0.0 else INFINITE", "if common > 0.0 else 0.0"),
        (thorough._estimate, "score = score / max(common, float32(1.0))", "pass"),
    ],
    "pruned": [
        (pruning.reach, "near = near or bound >= worst", "near = bound >= worst"),
        (pruning.reach, "1 if near else 0", "0"),
        (pruning.reach, "1 if near else 0", "1"),
        (pruning.reach, "held != 0", "held == 0"),
        (pruning.reach, "leaf_number - first_leaves[tile]", "leaf_number"),
        (pruning.reach, "first_packs[tile] + cuda.blockIdx.y", "cuda.blockIdx.y"),
        (pruning.reach, "min(max(cell, low[pack, column, fan]), ", "max(low[pack, column, fan], "),
        (pruning.reach, "high[pack, column, fan])", "low[pack, column, fan])"),
        (pruning.reach, "if cuda.all_sync(ALL, near or outside)", "if cuda.any_sync(ALL, near)"),
        (candidates.Candidates.find_pruned, "self._reached(n_leaves) & ", "visited & "),
    ],
    "fill": [
        (averaging.fill, "count = min(counts[near], n_neighbors)", "count = counts[near]"),
        (averaging.fill, "if count == 0:", "if False:"),
        (averaging.fill, "(votes == best and code < winner)", "False"),
        (averaging.fill, "result = min(max(total, low), high)", "result = total"),
        (averaging.fill, "distances[near, count - 1]", "distances[near, len(distances[near]) - 1]"),
        (averaging.fill, "mine = min(start + lane, last - 1)", "mine = first"),
        (averaging.fill, "range(min(WARP, count - begin))", "range(WARP)"),
        (averaging.fill, "range(min(WARP, count - begin))", "range(WARP)", 1),
        (averaging.fill, "range(min(WARP, count - begin))", "range(WARP)", 2),
        (averaging.fill, "if cuda.any_sync(ALL, votes_here):", "if votes_here:"),
        (Card.fill, "near[0] - 1", "near[0]"),
        (Card.fill, "near[-1] + 1", "near[-1]"),
    ],
    "extremes": [
        (differences.extremes, "0 <= group < len(starts) - 1", "0 <= group"),
        (differences.extremes, "0 <= group < len(starts) - 1", "group < len(starts) - 1"),
        (differences.extremes, "first + observed[number, group]", "starts[group + 1]"),
        (Card.extremes, "smallest[smallest == np.inf] = 0.0", "pass"),
    ],
    "information": [
        (information.class_entropies, "starts[label], starts[label + 1]", "starts[label + 1]"),
        (information.joint_information, "both += x_window * z_window", "both += x_window"),
    ],
    "scores": [
        (FILTER, "numerator = numerator * inverse + product", "numerator = numerator * inverse"),
        (FILTER, "_inverse_coefficient(\n", "abs(cells[0, 0]) + _inverse_coefficient(\n", 2),
        (FILTER, "difference = (cells[link, query]", "difference = (cells[0, query]"),
        (FILTER, "cells[link, QUERIES + query],\n", "cells[0, QUERIES + query],\n"),
        (queries.pack, "slacks[slot] = slack", "slacks[slot] = 1e-9 * slack"),
        (queries.pack, "bases[slot] = base", "bases[slot] = base + 1e-3"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("scenario", "mistake"),
    [(scenario, mistake) for scenario in MISTAKES for mistake in MISTAKES[scenario]],
    ids=lambda value: (
        value if isinstance(value, str) else f"{value[0].__name__}: {value[1].strip()}"
    ),
)
def test_mistakes_show(
    simulated: Subject, scenario: str, mistake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards.put(monkeypatch, *mistake)
    assert cards.noticed(playing(simulated, scenario), SEEDS)
