"""How far long work has come, on stderr, for work that takes longer than a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

Progress = Callable[[str, int, int], None]
"""Called with a step's name, how much of it is done, and how much there is.

What follows a comma in the name may change while the step goes on.
"""

Report = Callable[[int, int], None]
"""The same for one step: how much is done, and how much there is."""

PATIENCE = 1.0
"""Seconds of work before anything is shown."""


def silent(_step: str, _done: int, _total: int) -> None:
    """Report nothing."""


def unreported(_done: int, _total: int) -> None:
    """Report nothing."""


@contextmanager
def reporting(verbose: int) -> Iterator[Progress]:
    """A progress callback for the time of a ``with`` block.

    Parameters
    ----------
    verbose : int
        Nothing is shown unless it is positive.
    """
    if verbose <= 0:
        yield silent
        return
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TimeElapsedColumn

    console = Console(stderr=True)
    # Time to go is told from the last minutes' speed, not from the first steps'.
    bars = Bars(
        *Bars.get_default_columns(), TimeElapsedColumn(), console=console,
        transient=console.is_terminal, speed_estimate_period=120.0,
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}
    begun = time.monotonic()

    def report(step: str, done: int, total: int) -> None:
        if not tasks and time.monotonic() - begun < PATIENCE:
            return
        name = step.partition(",")[0]
        if name not in tasks:
            bars.start()
            tasks[name] = bars.add_task(step, total=total)
        bars.update(tasks[name], description=step, completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()
