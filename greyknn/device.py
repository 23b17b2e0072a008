"""From a device's name to its loops; the only place where the processor's and a GPU's meet."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from greyknn import gpu
from greyknn_kernels.layout import Found, Queries

REPAYS = 2e11
"""Pairs of cells from which on ``device="auto"`` takes a GPU.

Computed, not measured on hardware yet: loading the kernels takes a process 1 to 3 seconds, and
copying the table next to nothing.  Meanwhile a processor compares 15e9 pairs of cells a second on
each core (28e9 to 43e9 were measured on two): 2e11 are 7 seconds on two cores, 1 on 16.
"""


def kernels(device: str, work: float | None = None) -> ModuleType:
    """The loops that run on a device.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or, for one of several GPUs, ``"cuda:1"``.
    work : float, optional
        Pairs of cells that will be compared, about queries times donors times columns. From
        ``REPAYS`` on ``"auto"`` takes the first GPU, if it can be used. Without ``work`` it
        takes the processor, and does not even look for a GPU.

    Returns
    -------
    module
        ``greyknn_kernels.cpu``, or one with the same functions of which some run on a GPU.

    Raises
    ------
    ValueError
        If the device is unknown.
    RuntimeError
        If the device cannot be used here; never for ``"auto"``.
    """
    from greyknn_kernels import cpu

    if device == "cpu":
        return cpu
    if device == "auto":
        return cpu if work is None or not work >= REPAYS else _first_gpu() or cpu
    named = re.fullmatch(r"cuda(?::([0-9]{1,3}))?", str(device))
    if named is None:
        raise ValueError(
            f"device={device!r} is unknown; use 'auto', 'cpu' or 'cuda', or 'cuda:1' for the "
            "second of several GPUs."
        )
    index = int(named[1] or 0)
    reason = gpu.obstacle(index)
    if reason is not None:
        raise RuntimeError(f"device={device!r} cannot be used: {reason}")
    try:
        return _combined(os.getpid(), index)
    except Exception as error:
        raise RuntimeError(
            f"device={device!r} cannot be used: {type(error).__name__}: {error}. `greyknn doctor` "
            "shows what is installed; device='cpu' needs none of it."
        ) from error


@cache
def _combined(_process: int, index: int) -> ModuleType:
    """The card's loops, and the processor's where they are as good.

    Cards are kept, for what they have loaded, but are of no use to a child of ``fork``.
    """
    from greyknn_kernels import cpu
    from greyknn_kernels.cuda import Card

    card = Card(index)
    if not gpu.simulated():
        _prove(card)
    return _module(lambda name: getattr(card, name, getattr(cpu, name)))


def _prove(card: Any) -> None:
    """Fill one cell: what keeps a card from working is told now, before there is work to lose."""
    cell, first = np.zeros(1), np.zeros(1, dtype=np.int64)
    neighbor = np.zeros((1, 1), dtype=np.int32), np.zeros((1, 1)), first + 1
    card.fill(0, 1, first, first, np.zeros(1, dtype=bool), np.ones((1, 1)), *neighbor, cell)
    if cell[0] != 1.0:
        raise RuntimeError(f"a cell became {cell[0]} instead of 1.0")


def _first_gpu() -> ModuleType | None:
    """GPU 0 if it can be used; if not, or if it fails at work, that is no error and no warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if gpu.simulated() or gpu.obstacle(0) is not None:
                return None
            loops = _combined(os.getpid(), 0)
    except Exception:
        return None
    from greyknn_kernels import cpu

    return _module(lambda name: _either(getattr(loops, name), getattr(cpu, name)))


def _module(function: Callable[[str], Any]) -> ModuleType:
    from greyknn_kernels import cpu

    module = ModuleType("greyknn_kernels.gpu")
    vars(module).update((name, function(name)) for name in cpu.__all__)
    return module


def _either(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., Any]:
    """A loop that goes over to the processor when the card fails, for want of memory say."""
    process, works = os.getpid(), True

    def loop(*arguments: Any) -> Any:
        nonlocal works
        if works and os.getpid() == process:
            try:
                return first(*arguments)
            except Exception:
                works = False
                of = {type(argument): argument for argument in arguments}
                if Found in of:  # the search adds to what it finds there
                    searched, found = of[Queries].order, of[Found]
                    found.distances[searched], found.rows[searched] = np.inf, -1
                    found.counts[searched] = 0
        return second(*arguments)

    return second if first is second else loop
