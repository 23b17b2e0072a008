"""One column: what its cells turn out to be, the codes of its cells, and fills made of codes.

A dtype says what most columns are; columns of Python objects are judged by their observed values.
Columns that are neither numbers nor categories are refused here, with the way out.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.table.cells import Cells, Fill, misfit, sort_levels

# What cells can be, in the words of the messages.
NUMBERS, BOOLEANS, STRINGS, MIXED = "numbers", "booleans", "strings", "mixed values"
_HOLDS = {"number": NUMBERS, "bool": BOOLEANS, "text": STRINGS}
_GAP, _UNSEEN = -1, -2  # codes of a cell without a level
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_NESTED = (dict, list, tuple, set, frozenset, np.ndarray)
_COMPLEX = (complex, np.complexfloating)


LARGEST = 1e300
"""Sums and differences of numbers up to this do not overflow."""


@dataclass(frozen=True)
class Column:
    """What fit learnt about one column.

    Attributes
    ----------
    name : Hashable
        The column's name, or its position in an array.
    categorical : bool
        Whether cells are categories; else they are numbers.
    levels : tuple
        Category of every code; () for numbers.
    family : str
        What the cells are: "numbers", "booleans", "strings" or "mixed values".
    integer : bool
        Whether fills are whole numbers.
    low, high : float
        Observed range of a column of numbers (exact ints where `integer`), else NaN.
    empty : bool
        Whether no value was observed; such a column is never filled.
    """

    name: Hashable
    categorical: bool = False
    levels: tuple[Any, ...] = ()
    family: str = NUMBERS
    integer: bool = False
    low: float = nan
    high: float = nan
    empty: bool = False


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
    too_large = np.abs(values) > LARGEST
    if too_large.any():
        row = too_large.argmax()
        raise ValueError(
            f"{cells.label} holds {values[row]:g} in row {row}, and numbers beyond {LARGEST:g} "
            "cannot be averaged: divide the column by a power of 10, or make the cell NaN."
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


def learn(name: Hashable, cells: Cells, seen: Survey, *, declared: bool, keep: bool) -> Column:
    """Describe a column: a category if `declared` or not made of numbers, `keep` it if empty."""
    if seen.family is None:
        if keep:
            return Column(name, empty=True)
        raise ValueError(
            f"{cells.label} has no observed value: drop it, or keep it as it is with "
            "keep_empty_features=True."
        )
    if declared or cells.kind == "category" or seen.numbers is None:
        return Column(name, True, levels_of(cells, seen), seen.family)
    whole = cells.integer
    if cells.kind == "object":
        whole = all(isinstance(value, numbers.Integral) for value in seen.distinct)
    if not whole:
        low, high = float(np.nanmin(seen.numbers)), float(np.nanmax(seen.numbers))
    elif seen.distinct:
        low, high = int(min(seen.distinct)), int(max(seen.distinct))
    else:
        low, high = cells.extremes()
    return Column(name, integer=whole, low=low, high=high)


def levels_of(cells: Cells, seen: Survey) -> tuple[Any, ...]:
    """Observed levels, in the order of the dtype or sorted."""
    order = cells.order()
    if order is None:
        return tuple(sort_levels(seen.distinct))
    return tuple(level for level in order if level in seen.distinct)


def coded_cells(column: Column, seen: Survey) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers or codes, NaN where a distance cannot use the cell; and the gaps."""
    if not column.categorical:
        assert seen.numbers is not None  # the families agree
        return seen.numbers, np.isnan(seen.numbers)
    codes = codes_of(seen, column.levels)
    return np.where(codes < 0, nan, codes), codes == _GAP


def codes_of(seen: Survey, levels: tuple[Any, ...]) -> NDArray[np.int64]:
    """Positions in `levels`; -1 for a missing cell, -2 for one that is not among them."""
    code = {level: position for position, level in enumerate(levels)}
    code.update(dict.fromkeys(seen.missing, _GAP))
    look_up = (code.get(value, _UNSEEN) for value in seen.objects)
    return np.fromiter(look_up, dtype=np.int64, count=len(seen.objects))


def check_family(column: Column, cells: Cells, seen: Survey) -> None:
    """Refuse a column that holds something else than at fit."""
    if seen.family is None:
        return
    here = seen.family
    if cells.kind == "category" and not column.categorical:
        here = "categories"
    # Categories of mixed values may well show one type only in a few rows.
    if here == column.family or (column.categorical and MIXED in (here, column.family)):
        return
    raise ValueError(
        f"{cells.label} holds {here} ({cells.dtype}), but it held {column.family} at fit: convert "
        f"it to {column.family}."
    )


def fill_of(column: Column, cells: Cells, mask: NDArray[np.bool_], filled: NDArray[Any]) -> Fill:
    """Turn fills into what the column holds: whole numbers, levels."""
    values: NDArray[Any] = filled
    family: str | None = column.family
    if column.categorical:
        pool = np.fromiter(column.levels, dtype=object, count=len(column.levels))
        values = pool[filled.astype(np.int64)]
        if family == MIXED:
            family = family_of(set(map(type, values.tolist())))
        if cells.kind == "number" and family == NUMBERS:
            values = _exact(values.tolist())
    elif column.integer or cells.integer:
        values = _whole(filled, round(column.low), round(column.high))
    held = column.categorical if cells.kind == "category" else _HOLDS.get(cells.kind) == family
    if cells.integer and values.dtype.kind == "f":
        held = bool((values % 1 == 0).all())  # levels such as 2.5 do not fit an integer dtype
    fill = Fill(mask, values, fresh=not held and bool(mask.all()))
    if not (held or fill.fresh or cells.kind == "object"):
        raise misfit(cells, fill)
    return fill


def _whole(values: NDArray[np.float64], low: int, high: int) -> NDArray[Any]:
    """Round and clip; in Python's integers where float64 does not hold every integer."""
    if max(-low, high) <= 2**53:
        return np.rint(values).clip(low, high).astype(np.int64)
    return _exact([min(max(round(value), low), high) for value in values.tolist()])


def _exact(values: list[Any]) -> NDArray[Any]:
    """Numbers in the dtype natural to them, unless that is one that changes them."""
    natural = np.array(values)
    return natural if natural.tolist() == values else np.array(values, dtype=object)
