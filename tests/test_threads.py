"""How many threads there are, and how they share work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

import greyknn
import greyknn.donors
import greyknn.neighbors
from conftest import COMPILED
from greyknn_kernels.cpu import averaging, search, threads
from programs import gappy, output

COUNT = """
from greyknn_kernels.cpu.threads import n_threads
"""


@pytest.mark.jit
def test_limits_of_the_environment() -> None:
    for most, openmp, expected in ("1", "3", 1), ("2", "3", 2), ("2", "1", 1):
        said = output(COUNT + "print(n_threads())", NUMBA_NUM_THREADS=most, OMP_NUM_THREADS=openmp)
        assert int(said) == expected


@pytest.mark.jit
def test_limits_set_while_running() -> None:
    said = output(
        COUNT
        + """
import numba, threadpoolctl
print(n_threads())
with threadpoolctl.threadpool_limits(1):
    print(n_threads())
print(n_threads())
numba.set_num_threads(3)
print(n_threads())
""",
        NUMBA_NUM_THREADS="4",
        OMP_NUM_THREADS="4",
    )
    assert said.split() == ["4", "1", "4", "3"]


@pytest.mark.jit
@pytest.mark.parametrize(
    ("environment", "started_by_numba", "openmp", "expected"),
    [(4, None, 8, 4), (8, None, 3, 3), (8, 2, 8, 2), (1, None, 8, 1), (8, None, 0, 1)],
)
def test_the_least_limit_counts(
    environment: int, started_by_numba: int | None, openmp: int, expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", environment)
    monkeypatch.setattr(threads.parallel, "_is_initialized", started_by_numba is not None)
    monkeypatch.setattr(numba, "get_num_threads", lambda: started_by_numba)
    monkeypatch.setattr(threads, "_openmp_effective_n_threads", lambda *_, **__: openmp)
    assert threads.n_threads() == expected


def test_answers_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = search.nearest
    steps: list[int] = []

    def counted(begin: int, end: int, *arguments: Any) -> None:
        steps.append(end - begin)
        loop(begin, end, *arguments)

    monkeypatch.setattr(search, "nearest", counted)
    X = gappy(3, 700 if COMPILED else 140)
    y = np.arange(len(X)) % 3
    answers = []
    for n_threads, cost in ((1, 2.0**30), (1, 1.0), (2, 1.0), (7, 1.0)):
        steps.clear()
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        monkeypatch.setattr(threads, "STEP", cost)
        monkeypatch.setattr(threads, "LEAST", cost)
        imputed = [greyknn.impute(X, y, method=name, n_neighbors=5) for name in greyknn.METHODS]
        answers.append([one.tobytes() for one in imputed])
        assert max(steps) <= search.TILE or cost > 1.0
    assert answers[1:] == [answers[0]] * 3


@pytest.fixture(params=[1, 2, 7])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(threads, "n_threads", lambda: request.param)
    monkeypatch.setattr(threads, "LEAST", 1.0)
    before = threading.active_count()
    yield request.param
    assert threading.active_count() == before


@pytest.mark.parametrize("n_items", [0, 1, 2, 31, 32, 33, 1000, 1001])
@pytest.mark.parametrize("multiple", [1, 32])
@pytest.mark.parametrize("cost", [0.0, 1.0, 2.0**24, 2.0**40])
def test_every_item_is_done_once(workers: int, n_items: int, multiple: int, cost: float) -> None:
    done = np.zeros(n_items, dtype=np.int64)
    reports: list[tuple[int, int]] = []
    tellers: set[threading.Thread] = set()

    def loop(begin: int, end: int, counts: Any, name: str) -> None:
        assert name == "extra"
        assert begin % multiple == 0
        assert begin < end <= n_items
        counts[begin:end] += 1

    def report(finished: int, total: int) -> None:
        reports.append((finished, total))
        tellers.add(threading.current_thread())

    threads.share(loop, n_items, cost, (done, "extra"), multiple=multiple, report=report)
    assert (done == 1).all()
    if n_items == 0:
        assert reports == []
        return
    assert tellers == {threading.current_thread()}
    assert reports == sorted(reports)
    assert reports[-1] == (n_items, n_items)
    assert {total for _, total in reports} == {n_items}


def test_work_is_spread_over_threads(workers: int) -> None:
    """Each waits for the others: with fewer threads this would never end."""
    together = threading.Barrier(workers)
    seen: set[int] = set()

    def loop(_begin: int, _end: int) -> None:
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            together.wait(10.0)

    threads.share(loop, 1000, 2.0**30, ())
    assert len(seen) == workers


@pytest.mark.jit
def test_loops_release_the_lock_of_python() -> None:
    for loop in (search.nearest, averaging.fill, averaging.majorities):
        assert loop.targetoptions["nogil"]


def test_small_work_starts_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "n_threads", lambda: 4)
    seen: set[int] = set()
    threads.share(lambda _begin, _end: seen.add(threading.get_ident()), 1000, 1.0, ())
    assert seen == {threading.get_ident()}


@pytest.mark.parametrize("failure", [ValueError("wrong"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_in_a_thread_reaches_the_caller(
    failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "n_threads", lambda: 2)
    caller, failed = threading.current_thread(), threading.Event()
    done: list[int] = []

    def loop(begin: int, _end: int) -> None:
        if threading.current_thread() is not caller:
            failed.set()
            raise failure
        assert failed.wait(10.0)
        done.append(begin)

    with pytest.raises(type(failure)) as raised:
        threads.share(loop, 10**6, 2.0**30, ())
    assert raised.value is failure
    assert len(done) < 10**5  # the rest is not worth doing
    assert threading.active_count() == 1 or not [
        thread for thread in threading.enumerate() if "guarded" in thread.name
    ]


@pytest.mark.parametrize("where", ["loop", "report"])
def test_a_failure_in_the_callers_thread_stops_the_others(workers: int, where: str) -> None:
    caller = threading.current_thread()
    done: list[int] = []

    def fail(*_: int) -> None:
        raise KeyboardInterrupt

    def loop(begin: int, _end: int) -> None:
        done.append(begin)
        if where == "loop" and threading.current_thread() is caller:
            fail()

    with pytest.raises(KeyboardInterrupt):
        threads.share(loop, 10**6, 2.0**30, (), report=fail if where == "report" else None)
    assert len(done) < 10**6
