"""The cells of a column as they turn out to be, read once.

A dtype says what most columns are; columns of Python objects are judged by their observed values.
Columns that are neither numbers nor categories are refused here, with the way out.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.table import dates
from greyknn.table.cells import Cells

# What cells can be, in the words of the messages; dates and durations besides.
NUMBERS, BOOLEANS, STRINGS, MIXED = "numbers", "booleans", "strings", "mixed values"
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_NESTED = (dict, list, tuple, set, frozenset, np.ndarray)
_COMPLEX = (complex, np.complexfloating)


LARGEST = 1e300
"""Sums and differences of numbers up to this do not overflow."""


@dataclass(frozen=True)
class Survey:
    """What the cells of a column turn out to be: float64 numbers, or objects to be looked up."""

    family: str | None  # None: nothing observed
    numbers: NDArray[np.float64] | None
    objects: list[Any] = field(default_factory=list)
    distinct: set[Any] = field(default_factory=set)  # observed cells
    missing: set[Any] = field(default_factory=set)  # the markers of missing cells
    stamps: NDArray[Any] | None = None  # what the numbers of dates were made of


def survey(cells: Cells, *, as_levels: bool, as_dates: bool = False) -> Survey:
    """Read a column once, refusing what is neither number nor category nor, `as_dates`, a date."""
    as_dates = as_dates and not as_levels
    _refuse_kind(cells, as_dates=as_dates)
    if cells.kind == "number" and not as_levels:  # the fast way: no Python object per cell
        read = _finite(cells, cells.numbers())
        return Survey(None if np.isnan(read).all() else NUMBERS, read)
    if cells.kind == "date":
        return _dated(cells, cells.stamps())
    objects = cells.objects()
    try:
        distinct = set(objects)
    except TypeError as error:
        raise _nested(cells) from error
    missing = {value for value in distinct if _is_missing(value)}
    types = {type(value) for value in objects if value not in missing}
    if cells.kind == "object":
        if as_dates and types and all(issubclass(kind, _TIMES) for kind in types):
            return _dated(cells, _stamps(cells, objects, missing))
        _refuse_types(cells, types)
    family = family_of(types)
    values: NDArray[np.float64] | None = None
    if not as_levels and family in (None, NUMBERS):
        try:
            floats = [nan if value in missing else float(value) for value in objects]
        except OverflowError as error:
            raise ValueError(f"{cells.label} holds a number too large for float64.") from error
        values = _finite(cells, np.array(floats))
    return Survey(family, values, objects, distinct - missing, missing)


def family_of(types: Iterable[type]) -> str | None:
    """Judge cells by their types."""
    found = set()
    for kind in types:
        if issubclass(kind, bool | np.bool_):
            found.add(BOOLEANS)
        elif issubclass(kind, numbers.Real | Decimal):
            found.add(NUMBERS)
        else:
            found.add(STRINGS if issubclass(kind, str | bytes) else MIXED)
    if len(found) > 1:
        return MIXED
    return found.pop() if found else None


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT and NA: what is not equal to itself, or will not say."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def _finite(cells: Cells, values: NDArray[np.float64]) -> NDArray[np.float64]:
    infinite = np.isinf(values)
    if infinite.any():
        raise ValueError(
            f"{cells.label} holds infinity in row {infinite.argmax()}: replace it by a number, or "
            "by NaN to have it filled."
        )
    too_large = np.abs(values) > LARGEST
    if too_large.any():
        row = too_large.argmax()
        raise ValueError(
            f"{cells.label} holds {values[row]:g} in row {row}, and numbers beyond {LARGEST:g} "
            "cannot be averaged: divide the column by a power of 10, or make the cell NaN."
        )
    return values


def _dated(cells: Cells, stamps: NDArray[Any] | None) -> Survey:
    if stamps is None:  # times of day
        raise _times(cells)
    plain = dates.plain(stamps)
    if plain is None:
        raise TypeError(
            f"{cells.label} is {cells.dtype}, and dates are read in days to nanoseconds: cast it "
            'to one of "D", "h", "m", "s", "ms", "us" and "ns", for example datetime64[D].'
        )
    seconds = dates.seconds_of(plain)
    empty = bool(np.isnan(seconds).all())
    return Survey(None if empty else dates.FAMILIES[plain.dtype.kind], seconds, stamps=plain)


def _stamps(cells: Cells, objects: list[Any], missing: set[Any]) -> NDArray[Any] | None:
    observed = [None if value in missing else value for value in objects]
    kinds = {dates.kind_of(value) for value in observed if value is not None}
    if None in kinds:
        return None
    if len(kinds) > 1:
        found = " and ".join(f"{kind}s" for kind in sorted(map(str, kinds)))
        raise TypeError(f"{cells.label} holds {found}: make its cells all of one kind.")
    return dates.stamps_of(observed, str(kinds.pop()))


def _refuse_kind(cells: Cells, *, as_dates: bool) -> None:
    if cells.kind == "date" and not as_dates:
        raise _times(cells)
    if cells.kind == "nested":
        raise _nested(cells)
    if cells.kind == "complex":
        raise _complex(cells)
    if cells.kind == "other":
        raise TypeError(
            f"{cells.label} is {cells.dtype}, neither numbers nor categories: convert it to a "
            "numeric or string dtype, or drop it."
        )


def _refuse_types(cells: Cells, types: set[type]) -> None:
    for wrong, error in ((_TIMES, _times), (_NESTED, _nested), (_COMPLEX, _complex)):
        if any(issubclass(kind, wrong) for kind in types):
            raise error(cells)


def _times(cells: Cells) -> TypeError:
    return TypeError(
        f"{cells.label} holds dates or times ({cells.dtype}): turn them into numbers, for example "
        "days since a date, or drop the column."
    )


def _nested(cells: Cells) -> TypeError:
    return TypeError(
        f"{cells.label} holds nested cells ({cells.dtype}), and every cell of the argument must be "
        "a string, a bool or a number: expand the column into several, or drop it."
    )


def _complex(cells: Cells) -> ValueError:
    return ValueError(f"Complex data not supported: {cells.label} ({cells.dtype}).")
