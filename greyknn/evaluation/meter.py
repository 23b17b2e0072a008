"""Seconds and memory of one call."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
MIB = 1024  # kB


class Measured(NamedTuple):
    """What a call returned, its wall time in seconds, and its memory in MiB or NaN."""

    result: Any
    seconds: float
    mib: float


def measured(function: Callable[..., Any], *args: Any) -> Measured:
    """Call a function.

    Memory is how far the process's resident memory rose above where it was before, at its peak,
    as Linux tells it; elsewhere NaN. Memory of child processes is not seen.
    """
    before = _begin()
    begun = time.perf_counter()
    result = function(*args)
    seconds = time.perf_counter() - begun
    return Measured(result, seconds, (_status("VmHWM") - before) / MIB)


def _begin() -> float:
    """Give back what is free, forget the old peak, and return the resident kB; NaN if unknown."""
    gc.collect()
    with suppress(OSError, AttributeError):  # where there is no glibc
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return float("nan")
    return _status("VmRSS")


def _status(field: str) -> float:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return float("nan")
    told = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return float(told[0]) if told else float("nan")
