"""One thread for BLAS: sums depend on how many it has, and small matrices are slow with more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

LOCK = threading.RLock()
"""Held meanwhile, as the number of threads is that of the whole process."""

if hasattr(os, "register_at_fork"):  # another thread may hold it, and does not live on in a child

    def _unlocked() -> None:
        global LOCK
        LOCK = threading.RLock()

    os.register_at_fork(after_in_child=_unlocked)


_here = threading.local()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread, and other threads out of such work."""
    if getattr(_here, "limited", False):  # looking for libraries takes milliseconds
        yield
        return
    with LOCK, threadpool_limits(1, "blas"):
        _here.limited = True
        try:
            yield
        finally:
            _here.limited = False
