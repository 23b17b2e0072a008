"""How things are timed: by turns, by part of a call, and by kernel."""

from __future__ import annotations

import functools
import inspect
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from numba import cuda

from greyknn_kernels.cuda import averaging

Work = Callable[[], Any]


def in_turns(works: Mapping[str, Work], repeats: int, left: float = 1e9) -> dict[str, list[float]]:
    """Seconds that each took, their order turned round with every repeat.

    Parameters
    ----------
    works : dict of callables
        They wait for what they start.
    repeats : int
    left : float
        Seconds; no repeat is begun that would last longer.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    until = time.monotonic() + left
    for turn in range(repeats):
        if turn and time.monotonic() + sum(times[-1] for times in taken.values()) > until:
            break
        for name in list(works)[:: -1 if turn % 2 else 1]:
            begun = time.perf_counter()
            works[name]()
            taken[name].append(time.perf_counter() - begun)
    return taken


def spread(name: str, numbers: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    """The least and the median, as two columns of a row."""
    return {name: scale * min(numbers), "median": scale * statistics.median(numbers)}


@contextmanager
def watched(
    places: Sequence[tuple[str, Any, str]], whole: Sequence[str] = ()
) -> Iterator[dict[str, float]]:
    """Wall-clock seconds that functions take while this is open, by label.

    What runs within another watched function counts for the inner one.

    Parameters
    ----------
    places : list of (label, owner, name)
        Functions, and the modules or classes they are found in.
    whole : list of str
        Labels that keep what runs within them.
    """
    seconds: dict[str, float] = defaultdict(float)
    running: list[str] = []
    mark = 0.0

    def turn() -> None:
        nonlocal mark
        cuda.synchronize()
        now = time.perf_counter()
        if running:
            seconds[running[-1]] += now - mark
        mark = now

    def timed(label: str, function: Any) -> Any:
        @functools.wraps(function)
        def within(*arguments: Any, **options: Any) -> Any:
            if any(outer in whole for outer in running):
                return function(*arguments, **options)
            turn()
            running.append(label)
            try:
                return function(*arguments, **options)
            finally:
                turn()
                running.pop()

        return staticmethod(within) if inspect.ismethod(function) else within

    with ExitStack() as patches:
        for label, owner, name in places:
            function = getattr(owner, name)
            patches.enter_context(mock.patch.object(owner, name, timed(label, function)))
        yield seconds


@contextmanager
def launches(again: Mapping[str, int] | None = None) -> Iterator[dict[str, list[float]]]:
    """Milliseconds of every launch while this is open, by kernel; told when it closes.

    Parameters
    ----------
    again : dict of int, optional
        Kernels, by name, that are launched so many times more and timed then, one behind the
        other: what Python takes to launch them is hidden, and they find the GPU awake. They must
        do the same each time.
    """
    kind = type(averaging.fill)
    configure = kind.__getitem__
    waiting: list[tuple[str, int, Any, Any]] = []
    told: dict[str, list[float]] = {}

    def configured(kernel: Any, configuration: Any) -> Any:
        launch = configure(kernel, configuration)
        stream = configuration[2] if len(configuration) > 2 else 0
        stream = stream or cuda.default_stream()
        function: Any = getattr(kernel, "py_func", None) or kernel.fn
        name = function.__name__
        times = (again or {}).get(name, 0)

        def timed(*arguments: Any) -> None:
            if times:
                launch(*arguments)
            begun, ended = cuda.event(), cuda.event()
            begun.record(stream)
            for _ in range(max(times, 1)):
                launch(*arguments)
            ended.record(stream)
            waiting.append((name, max(times, 1), begun, ended))

        return timed

    with mock.patch.object(kind, "__getitem__", configured):
        yield told
    cuda.synchronize()
    for name, times, begun, ended in waiting:
        told.setdefault(name, []).append(cuda.event_elapsed_time(begun, ended) / times)
