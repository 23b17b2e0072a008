"""What the cells of a column turn out to be: numbers, or categories of some kind.

A dtype says it for most columns; columns of Python objects are judged by their observed values.
Columns that are neither are refused here, with the way out.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.cells import Cells

# What cells can be, in the words of the messages.
NUMBERS, BOOLEANS, STRINGS, MIXED = "numbers", "booleans", "strings", "mixed values"
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_NESTED = (dict, list, tuple, set, frozenset, np.ndarray)
_COMPLEX = (complex, np.complexfloating)


@dataclass(frozen=True)
class Survey:
    """What the cells of a column turn out to be: float64 numbers, or objects to be looked up."""

    family: str | None  # None: nothing observed
    numbers: NDArray[np.float64] | None
    objects: list[Any]
    distinct: set[Any]  # observed cells
    missing: set[Any]  # the markers of missing cells


def survey(cells: Cells, *, as_levels: bool) -> Survey:
    """Read a column once, refusing what is neither number nor category."""
    _refuse_kind(cells)
    if cells.kind == "number" and not as_levels:  # the fast way: no Python object per cell
        read = _finite(cells, cells.numbers())
        return Survey(None if np.isnan(read).all() else NUMBERS, read, [], set(), set())
    objects = cells.objects()
    try:
        distinct = set(objects)
    except TypeError as error:
        raise _nested(cells) from error
    missing = {value for value in distinct if _is_missing(value)}
    types = {type(value) for value in objects if value not in missing}
    if cells.kind == "object":
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
    return values


def _refuse_kind(cells: Cells) -> None:
    if cells.kind == "date":
        raise _dates(cells)
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
    for wrong, error in ((_TIMES, _dates), (_NESTED, _nested), (_COMPLEX, _complex)):
        if any(issubclass(kind, wrong) for kind in types):
            raise error(cells)


def _dates(cells: Cells) -> TypeError:
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
