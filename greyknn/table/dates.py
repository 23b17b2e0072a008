"""Dates and durations <-> seconds.

A column of dates is a column of numbers: seconds since 1970-01-01 UTC, and of durations just
seconds; without a time zone a date is taken to be UTC. Between a library's cells and the seconds
stand stamps: numpy's datetime64 or timedelta64, whole multiples of a unit.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATES, DURATIONS = "dates", "durations"
FAMILIES = {"M": DATES, "m": DURATIONS}
"""What cells are in the words of the messages, by numpy's kind of their stamps."""

_SECOND = 10**9
_NANOSECONDS = {
    "D": 86400 * _SECOND, "h": 3600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 10**6,
    "us": 10**3, "ns": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Clock:
    """The values that fills of a column of dates may take.

    Attributes
    ----------
    dtype : str
        Dtype of their stamps, such as "datetime64[D]": its unit is the coarsest of day, hour,
        minute, second, ms, us and ns of which all observed values are whole multiples.
    low, high : int
        Observed range in that unit. Seconds in float64 would not hold it exactly.
    """

    dtype: str
    low: int
    high: int

    @classmethod
    def of(cls, stamps: NDArray[Any]) -> Clock:
        """The clock of observed stamps, of which there is at least one."""
        own = _NANOSECONDS[np.datetime_data(stamps.dtype)[0]]
        ticks = stamps[~np.isnat(stamps)].astype(np.int64)
        steps = {unit: size // own for unit, size in _NANOSECONDS.items() if size >= own}
        unit = next(unit for unit, step in steps.items() if not (ticks % step).any())
        low, high = int(ticks.min()) // steps[unit], int(ticks.max()) // steps[unit]
        return cls(f"{_name(stamps)}[{unit}]", low, high)

    def joined(self, other: Clock) -> Clock:
        """The clock of the stamps of both, in a coarser unit if int64 does not hold their range."""
        sizes = [_NANOSECONDS[np.datetime_data(clock.dtype)[0]] for clock in (self, other)]
        low = min(self.low * sizes[0], other.low * sizes[1])
        high = max(self.high * sizes[0], other.high * sizes[1])
        unit = next(
            unit for unit, size in reversed(_NANOSECONDS.items())
            if size >= min(sizes) and low // size > -(2**63) and -(-high // size) < 2**63
        )  # fmt: skip
        size = _NANOSECONDS[unit]
        return Clock(f"{self.dtype.split('[')[0]}[{unit}]", low // size, -(-high // size))

    @property
    def unit(self) -> float:
        """The unit in seconds."""
        return _NANOSECONDS[np.datetime_data(self.dtype)[0]] / _SECOND

    @property
    def span(self) -> tuple[float, float]:
        """The observed range in seconds."""
        low, high = seconds_of(np.array([self.low, self.high]).view(self.dtype)).tolist()
        return low, high

    def nearest(self, seconds: NDArray[np.float64]) -> NDArray[Any]:
        """The stamps that are next to some seconds, within the observed range."""
        step, per_second = _ratio(np.datetime_data(self.dtype)[0])
        ticks = []
        # Python's integers: at the ends of int64 the nearest multiple may lie beyond.
        for value in seconds.clip(*self.span).tolist():
            whole, part = divmod(value, step)
            tick = int(whole) * per_second + round(part / step * per_second)
            ticks.append(min(max(tick, self.low), self.high))
        return np.array(ticks, dtype=np.int64).view(self.dtype)


def _name(stamps: NDArray[Any]) -> str:
    return "datetime64" if stamps.dtype.kind == "M" else "timedelta64"


def _ratio(unit: str) -> tuple[int, int]:
    """Seconds per unit and units per second, of which one is 1."""
    nanoseconds = _NANOSECONDS[unit]
    return max(nanoseconds // _SECOND, 1), max(_SECOND // nanoseconds, 1)


def plain(stamps: NDArray[Any]) -> NDArray[Any] | None:
    """Stamps in days to nanoseconds, without numpy's multiples; None for its other units."""
    unit, count = np.datetime_data(stamps.dtype)
    if unit == "W":
        unit, count = "D", 7
    if unit not in _NANOSECONDS:
        return None
    return stamps if count == 1 else stamps.astype(f"{_name(stamps)}[{unit}]")


def seconds_of(stamps: NDArray[Any]) -> NDArray[np.float64]:
    """Seconds of plain stamps; NaN for NaT."""
    step, per_second = _ratio(np.datetime_data(stamps.dtype)[0])
    whole, part = np.divmod(stamps.astype(np.int64), per_second)
    return np.where(np.isnat(stamps), np.nan, whole * float(step) + part / per_second)


def cast(stamps: NDArray[Any], dtype: Any) -> NDArray[Any] | None:
    """Stamps in another unit, down to a whole one; None where they are beyond its range."""
    out = stamps.astype(dtype)
    finer = np.promote_types(stamps.dtype, dtype) == np.dtype(dtype)
    # numpy wraps around in silence.
    return None if finer and (out.astype(stamps.dtype) != stamps).any() else out


def kind_of(cell: Any) -> str | None:
    """What a Python object is: "date", "datetime", "aware datetime" or "duration", else None."""
    if isinstance(cell, datetime.timedelta | np.timedelta64):
        return "duration"
    if isinstance(cell, datetime.datetime):
        return "datetime" if cell.tzinfo is None else "aware datetime"
    if isinstance(cell, np.datetime64):
        return "datetime"
    return "date" if isinstance(cell, datetime.date) else None


def stamps_of(cells: Iterable[Any], kind: str) -> NDArray[Any]:
    """Python objects of one kind as stamps, None as NaT: in microseconds, or finer if need be."""
    name = "timedelta64" if kind == "duration" else "datetime64"
    fine = [_stamp(cell, name) for cell in cells]
    micro = np.array([stamp.astype(f"{name}[us]") for stamp in fine])
    nano = np.array([stamp.astype(f"{name}[ns]") for stamp in fine])
    # Beyond the years 1677 to 2262 numpy's nanoseconds wrap around in silence.
    same = np.isnat(micro) | (nano.astype(micro.dtype) == micro)
    return nano if same.all() else micro


def _stamp(cell: Any, name: str) -> Any:
    if cell is None:
        return np.dtype(name).type("NaT", "us")
    if isinstance(cell, np.generic):
        return cell
    for exact in ("to_datetime64", "to_timedelta64"):  # pandas has nanoseconds
        if hasattr(cell, exact):
            return getattr(cell, exact)()
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.dtype(name).type(cell, "us")


def objects_like(stamps: NDArray[Any], cell: Any) -> NDArray[Any]:
    """Stamps as Python objects of the type and the time zone of a cell."""
    zone = getattr(cell, "tzinfo", None)
    made: list[Any]
    if isinstance(cell, np.generic):
        made = list(stamps)
    elif hasattr(cell, "to_datetime64") or hasattr(cell, "to_timedelta64"):
        made = [type(cell)(stamp) for stamp in stamps]
        if zone is not None:
            made = [stamp.tz_localize("UTC").tz_convert(zone) for stamp in made]
    else:
        unit = "D" if kind_of(cell) == "date" else "us"
        made = stamps.astype(f"{_name(stamps)}[{unit}]").tolist()
        if zone is not None:
            made = [stamp.replace(tzinfo=datetime.UTC).astimezone(zone) for stamp in made]
    return np.fromiter(made, dtype=object, count=len(made))
