"""What the user says that columns are, over what their dtypes say."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np

from greyknn.messages import are_sentences
from greyknn.table.cells import Cells
from greyknn.table.dates import DATES, DURATIONS
from greyknn.table.frames import Table
from greyknn.table.survey import NUMBERS, STRINGS, Survey

Type = Literal["numeric", "categorical", "ordinal", "boolean", "datetime", "text"]
AS_LEVELS = ("categorical", "ordinal", "boolean")
"""Types whose cells are categories, though numbers."""

# What the other types can be made of, and who makes it.
_MADE_OF: dict[str, tuple[tuple[str, ...], str]] = {
    "numeric": ((NUMBERS,), "convert it to numbers first, for example by pandas.to_numeric"),
    "datetime": ((DATES, DURATIONS), "convert it first, for example by pandas.to_datetime"),
    "text": ((STRINGS,), "text is made of strings, so call it something else"),
}


def declared(features: Any, types: Any, table: Table) -> list[Type | None]:
    """What each column is said to be, None where nothing is said.

    Parameters
    ----------
    features : "from_dtype", None, or array-like of names, positions or bools
        Columns of categories, by scikit-learn's conventions.
    types : mapping of column name or position to Type, or None
        These win over `features`.
    table : Table

    Raises
    ------
    ValueError
        A column or a type that does not exist.
    """
    said: list[Type | None] = [None] * len(table.names)
    for j in _categorical(features, table):
        # An order that the dtype gives is not lost by saying that the column holds categories.
        said[j] = "ordinal" if table.cells[j].ordered else "categorical"
    if not isinstance(types, Mapping | None):
        raise ValueError(f"types is {types!r}; pass a dict of column names or positions to types.")
    for item, kind in (types or {}).items():
        j = _position(item, table, "types")
        if kind not in get_args(Type):
            raise ValueError(
                f"types has {kind!r} for {table.cells[j].label}; the types are "
                f"{', '.join(map(repr, get_args(Type)))}."
            )
        said[j] = kind
    return said


def check_declared(said: Type | None, cells: Cells, seen: Survey) -> None:
    """Refuse a column that cannot be what it is said to be: observed cells are never changed."""
    if seen.family is None:
        return
    if said == "boolean" and len(seen.distinct) > 2:
        raise ValueError(
            f'{cells.label} has {len(seen.distinct)} distinct values, and types calls it "boolean":'
            ' call it "categorical".'
        )
    if said not in _MADE_OF:
        return
    families, way_out = _MADE_OF[said]
    here = "categories" if cells.kind == "category" and said == "numeric" else seen.family
    if here not in families:
        raise ValueError(
            f'{cells.label} holds {here} ({cells.dtype}), and types calls it "{said}": {way_out}.'
        )


def is_free_text(cells: Cells, seen: Survey) -> bool:
    """Whether strings look like sentences rather than categories."""
    if seen.family != STRINGS or cells.kind == "category":
        return False
    observed = [value for value in seen.objects if value not in seen.missing]
    return are_sentences(observed, len(seen.distinct))


def listed(names: Iterable[Hashable]) -> str:
    """Names for a message, at most six of them."""
    shown = [repr(name) for name in names]
    return ", ".join(shown[:6] + [f"and {len(shown) - 6} more"] * (len(shown) > 6)) or "none"


def _categorical(features: Any, table: Table) -> list[int]:
    """Resolve `categorical_features` to positions."""
    width = len(table.names)
    if features is None or (isinstance(features, str) and features == "from_dtype"):
        return []
    if isinstance(features, str) or not isinstance(features, Iterable):
        raise ValueError(
            f'categorical_features is {features!r}; pass "from_dtype", None, or a list of column '
            "names, positions or booleans."
        )
    chosen = list(features)
    if chosen and all(isinstance(item, bool | np.bool_) for item in chosen):
        if len(chosen) != width:
            raise ValueError(
                f"categorical_features is a mask of {len(chosen)} columns, but X has {width}."
            )
        return [j for j, item in enumerate(chosen) if item]
    return [_position(item, table, "categorical_features") for item in chosen]


def _position(item: Any, table: Table, argument: str) -> int:
    """Position of a column that an argument has as a position or as a name."""
    width = len(table.names)
    if isinstance(item, numbers.Integral):
        if not 0 <= int(item) < width:
            raise ValueError(f"{argument} has position {item}, but X has columns 0 to {width - 1}.")
        return int(item)
    if table.named and isinstance(item, Hashable) and item in table.names:
        return table.names.index(item)
    raise ValueError(
        f"{argument} has {item!r}, but X has "
        + (f"the columns {listed(table.names)}." if table.named else "no column names.")
    )
