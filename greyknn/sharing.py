"""Work on arrays, shared among threads: numpy frees Python's lock as the kernels do."""

from __future__ import annotations

from collections.abc import Callable


def share(
    loop: Callable[[int, int], None],
    n_items: int,
    cost: float,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Run ``loop(begin, end)`` until ``range(n_items)`` is done.

    Parameters
    ----------
    loop : callable
        Its items are independent of one another.
    n_items : int
    cost : float
        Operations an item takes, roughly.
    report : callable, optional
        Called in the caller's thread with the number of items done and to do.
    """
    from greyknn_kernels.cpu import threads  # numba is not loaded before there is work

    threads.share(loop, n_items, cost, (), report=report)
