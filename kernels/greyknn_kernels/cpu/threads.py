"""One loop on several threads.

Loops release Python's lock, so Python's own threads are enough, and they are what survives
several callers at once, fork, and Ctrl-C; numba's threading layers each fail at one of these.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
from numba.np.ufunc import parallel
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

STEP = 2.0**28
"""Operations between two looks for Ctrl-C and for failures, about 20 ms.

A loop's items may be longer: a group that is put into order is one item, a second for a million
rows.
"""

LEAST = 2.0**21
"""Operations worth a thread of their own."""


def n_threads() -> int:
    """How many threads to use.

    The least of ``NUMBA_NUM_THREADS`` (by default the processors this process may use),
    ``numba.set_num_threads`` and the limit of OpenMP, which ``OMP_NUM_THREADS``, threadpoolctl
    and joblib's workers set.
    """
    if numba.config.DISABLE_JIT:  # interpreted loops hold Python's lock
        return 1
    most = int(numba.config.NUMBA_NUM_THREADS)
    if getattr(parallel, "_is_initialized", False):  # asking would start numba's own threads
        most = int(numba.get_num_threads())
    openmp = int(_openmp_effective_n_threads(None, only_physical_cores=False))
    return max(1, min(most, openmp))


def share(
    loop: Callable[..., None],
    n_items: int,
    cost: float,
    arguments: tuple[Any, ...],
    *,
    multiple: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Run ``loop(begin, end, *arguments)`` until ``range(n_items)`` is done.

    Parameters
    ----------
    loop : callable
        Its items are independent of one another.
    n_items : int
    cost : float
        Operations an item takes, roughly.
    arguments : tuple
    multiple : int
        Items that are best done together.
    report : callable, optional
        Called in the caller's thread with the number of items done and to do.
    """
    workers = int(min(n_threads(), max(n_items * cost / LEAST, 1.0)))
    wanted = min(STEP / max(cost, 1.0), n_items / (4.0 * workers) if workers > 1 else n_items)
    step = max(int(wanted) // multiple * multiple, multiple)
    begins = iter(range(0, n_items, step))
    lock = threading.Lock()
    finished = 0
    failures: list[BaseException] = []

    def work(tell: Callable[[int, int], None] | None) -> None:
        nonlocal finished
        while not failures:
            with lock:
                begin = next(begins, None)
            if begin is None:
                return
            end = min(begin + step, n_items)
            loop(begin, end, *arguments)
            with lock:
                finished += end - begin
            if tell is not None:
                tell(finished, n_items)

    def guarded() -> None:
        try:
            work(None)
        except BaseException as failure:  # for the caller's thread to raise
            failures.append(failure)

    others = [threading.Thread(target=guarded, daemon=True) for _ in range(workers - 1)]
    try:
        for other in others:
            other.start()
        work(report)
    except BaseException as failure:
        failures.append(failure)  # the others stop after the step they are at
        raise
    finally:
        for other in others:
            if other.ident is not None:
                other.join()
    if failures:
        raise failures[0]
    if report is not None and n_items:
        report(n_items, n_items)
