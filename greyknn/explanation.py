"""Why a cell holds the value it was filled with: its donors, in the user's own terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from greyknn.model import Model
from greyknn.table import Column, Schema


class Donor(NamedTuple):
    """One neighbour behind a filled cell.

    Parameters
    ----------
    row : int
        Position in the table that was fitted, from 0.
    distance : float
        1 - grey relational grade, or the HEOM distance.
    weight : float
        Share of the mean or of the votes; the donors of a cell sum to 1.
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
    model: Model, schema: Schema, kept: NDArray[np.int64], row: int, column: Any
) -> list[Donor]:
    """The donors of one filled cell of the training table, nearest first.

    Parameters
    ----------
    model : Model
    schema : Schema
    kept : array
        Positions in the table of the model's columns.
    row : int
    column : str or int
        Name or position.

    Raises
    ------
    KeyError
        If there is no such cell, or it was observed.
    """
    names = schema.names
    position = names.index(column) if column in names else column
    places = np.flatnonzero(kept == position)
    observed = model.training.observed
    if len(places) == 0 or not 0 <= row < len(observed) or observed[row, places[0]]:
        raise KeyError(
            f"No cell was filled in row {row}, column {column!r}: there is no such cell, or it "
            "was observed. Rows are positions in the table that was fitted, from 0."
        )
    place = int(places[0])
    rows, distances, shares = model.donors(row, place)
    given = model.training.filled[rows, place]
    seen = observed[rows, place]
    about = schema.columns[int(kept[place])]
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
