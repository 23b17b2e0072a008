"""One column: what fit learns about it, the codes of its cells, and fills made of codes."""

from __future__ import annotations

import numbers
from collections.abc import Hashable
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.table import dates
from greyknn.table.cells import Cells, Fill, misfit, sort_levels
from greyknn.table.dates import Clock
from greyknn.table.declared import AS_LEVELS, Type
from greyknn.table.survey import BOOLEANS, MIXED, NUMBERS, STRINGS, Survey, family_of

_HOLDS = {"number": NUMBERS, "bool": BOOLEANS, "text": STRINGS}
_GAP, _UNSEEN = -1, -2  # codes of a cell without a level


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
        What the cells are: "numbers", "booleans", "strings", "mixed values", "dates" or
        "durations". The last two are numbers of seconds, of dates since 1970-01-01 UTC.
    integer : bool
        Whether fills are whole numbers.
    low, high : float
        Observed range of a column of numbers (exact ints where `integer`), else NaN.
    empty : bool
        Whether no value was observed; such a column is never filled.
    ordered : bool
        Whether the order of the levels means something.
    text : bool
        Whether the strings are free text rather than categories; they have levels all the same.
    clock : Clock or None
        What fills of dates and durations are rounded to.
    """

    name: Hashable
    categorical: bool = False
    levels: tuple[Any, ...] = ()
    family: str = NUMBERS
    integer: bool = False
    low: float = nan
    high: float = nan
    empty: bool = False
    ordered: bool = False
    text: bool = False
    clock: Clock | None = None

    @property
    def unit(self) -> float:
        """Seconds that fills of dates and durations are whole multiples of; 0 for all else."""
        return 0.0 if self.clock is None else self.clock.unit


def learn(name: Hashable, cells: Cells, seen: Survey, *, said: Type | None, keep: bool) -> Column:
    """Describe a column: a category if `said` or not made of numbers, `keep` it if empty."""
    if seen.family is None:
        if keep:
            return Column(name, empty=True)
        raise ValueError(
            f"{cells.label} has no observed value: drop it, or keep it as it is with "
            "keep_empty_features=True."
        )
    if said in AS_LEVELS or cells.kind == "category" or seen.numbers is None:
        ordered = said == "ordinal" or (said is None and cells.ordered)
        return Column(
            name, True, levels_of(cells, seen), seen.family, ordered=ordered, text=said == "text"
        )
    if seen.stamps is not None:
        clock = Clock.of(seen.stamps)
        low, high = clock.span
        return Column(name, family=seen.family, low=low, high=high, clock=clock)
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


def joined(column: Column, cells: Cells, seen: Survey) -> Column:
    """The column with what further cells add: levels behind the old ones, a wider range."""
    if seen.family is None:
        return column
    if column.categorical:
        known = set(column.levels)
        new = tuple(level for level in levels_of(cells, seen) if level not in known)
        return replace(column, levels=column.levels + new)
    more = learn(column.name, cells, seen, said=None, keep=True)
    low, high = min(column.low, more.low), max(column.high, more.high)
    clock = column.clock
    if clock is not None and more.clock is not None:
        clock = clock.joined(more.clock)
    whole = column.integer and more.integer
    return replace(column, low=low, high=high, clock=clock, integer=whole)


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
    """Turn fills into what the column holds: whole numbers, levels, dates."""
    if column.clock is not None:
        return _fill_of_dates(column.clock, cells, mask, filled)
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


def _fill_of_dates(
    clock: Clock, cells: Cells, mask: NDArray[np.bool_], seconds: NDArray[np.float64]
) -> Fill:
    stamps = clock.nearest(seconds)
    if cells.kind == "object" and not mask.all():
        like = next(cell for cell, gap in zip(cells.objects(), mask, strict=True) if not gap)
        return Fill(mask, dates.objects_like(stamps, like), fresh=False)
    dtype = f"{stamps.dtype.kind}8[us]"  # which every library has
    own = cells.stamps() if cells.kind == "date" else None
    held = own is not None and own.dtype.kind == stamps.dtype.kind
    values = dates.cast(stamps, own.dtype if own is not None and held else dtype)
    fill = Fill(mask, stamps if values is None else values, fresh=not held and bool(mask.all()))
    if values is None or not (held or fill.fresh):
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
