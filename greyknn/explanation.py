"""Why a cell holds the value it was filled with: its donors, in the user's own terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from greyknn.crossfit import CrossFit
from greyknn.fitting import AnyModel
from greyknn.model import Behind
from greyknn.table import Coded, Column, Schema


class Donor(NamedTuple):
    """One neighbour behind a filled cell.

    Parameters
    ----------
    row : int
        Position in the table that was fitted, from 0.
    distance : float
        1 - grey relational grade, or the HEOM distance.
    weight : float
        Share of the mean or of the votes; the donors of a cell sum to 1. A stacked fill is a
        weighted sum of all donors, some of which may count below 0.
    value : object
        What the donor gave.
    observed : bool
        Whether the donor's value was observed, or itself filled.
    """

    row: int
    distance: float
    weight: float
    value: Any
    observed: bool


def explained(
    model: AnyModel,
    schema: Schema,
    kept: NDArray[np.int64],
    row: int,
    column: Any,
    new: Coded | None = None,
    crossed: CrossFit | None = None,
) -> list[Donor]:
    """The donors of one filled cell, nearest first, or with a stack those that count most.

    Parameters
    ----------
    model : Model or TargetModel
    schema : Schema
    kept : array
        Positions in the table of the model's columns.
    row : int
    column : str or int
        Name or position.
    new : Coded, optional
        The table of the row, if it is not the training table.
    crossed : CrossFit, optional
        How the training table was filled, if not by the model.

    Raises
    ------
    KeyError
        If there is no such cell, or it was not filled.
    TypeError
        If ``row`` is no integer.
    """
    gaps = ~model.training.observed if new is None else new.gaps[:, kept]
    if not isinstance(row, int | np.integer):
        raise TypeError(f"row={row!r} must be a position in the table, an integer from 0.")
    if not 0 <= row < len(gaps):
        raise KeyError(f"There is no row {row}: the table has rows 0 to {len(gaps) - 1}.")
    position = schema.names.index(column) if column in schema.names else column
    if position not in range(len(schema.columns)):
        raise KeyError(f"There is no column {column!r}.")
    places = np.flatnonzero(kept == position)
    if len(places) == 0 or not gaps[row, places[0]]:
        raise KeyError(f"The cell in row {row} of column {column!r} was not filled.")
    place = int(places[0])
    about = schema.columns[int(kept[place])]
    if new is not None:
        behind = model.behind_new(new.values[[row]][:, kept], place)
        return _donors(model, behind, place, about)
    if crossed is None:
        return _donors(model, model.behind(int(row), place), place, about)
    part = crossed.part(int(crossed.folds[row]))
    if part.model is None or place not in part.columns:
        return []
    within = int(np.flatnonzero(part.columns == place)[0])
    behind = part.model.behind_new(crossed.values()[[row]][:, part.columns], within)
    donors = _donors(part.model, behind, within, about)
    return [donor._replace(row=int(part.rows[donor.row])) for donor in donors]


def _donors(model: AnyModel, behind: Behind, place: int, about: Column) -> list[Donor]:
    """The donors of one cell, in the model's own columns."""
    rows, distances, shares = behind
    given = model.training.filled[rows, place]
    seen = model.training.observed[rows, place]
    return [
        Donor(int(donor), float(distance), float(share), _told(about, value, known), known)
        for donor, distance, share, value, known in zip(
            rows, distances, shares, given, seen.tolist(), strict=True
        )
    ]


def _told(column: Column, value: float, observed: bool) -> Any:
    """A coded value as the user knows it; what was filled with a mean need not be whole."""
    if column.categorical:
        return column.levels[int(value)]
    return round(value) if column.integer and observed else float(value)
