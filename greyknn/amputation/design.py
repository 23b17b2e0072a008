"""Which columns go missing together, how often, and which columns decide about it.

Names become positions here, and what makes no sense is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from greyknn.arrays import Bools, Floats

Names = tuple[Hashable, ...]


@dataclass(frozen=True)
class Design:
    """Slots: sets of columns that go missing together.

    Parameters
    ----------
    reach : array of shape (n_slots, n_columns)
        The columns of each slot.
    weights : array of shape (n_slots, n_columns)
        Of the columns in the score of each slot.
    frequencies : array of shape (n_slots,) or None
        Share of the rows that have each slot as their pattern; None if each row has all slots.
    """

    reach: Bools
    weights: Floats
    frequencies: Floats | None = None

    @property
    def amputed(self) -> Bools:
        """The columns that may go missing, shape (n_columns,)."""
        columns: Bools = np.logical_or.reduce(self.reach, axis=0)
        return columns


def position(names: Names, column: Any, argument: str) -> int:
    """The position of a column given by its name or position."""
    if not isinstance(column, bool | np.bool_):  # True equals 1, but is no position
        if isinstance(column, Hashable) and column in names:
            return names.index(column)
        if isinstance(column, int | np.integer) and 0 <= column < len(names):
            return int(column)
    shown = ", ".join([*map(repr, names[:6]), *(["..."] if len(names) > 6 else [])])
    raise ValueError(f"{argument} has {column!r}, but X has the columns {shown}.")


def positions(names: Names, columns: Any, argument: str) -> list[int]:
    """Positions of one or more columns, each once, given by names, positions or a mask.

    Raises
    ------
    ValueError
        If there is none, or one is unknown or given twice.
    """
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        columns = [columns]
    given = list(columns)
    if len(given) == len(names) and all(isinstance(item, bool | np.bool_) for item in given):
        found = np.flatnonzero(given).tolist()
    else:
        found = [position(names, column, argument) for column in given]
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{argument} has {given!r}: give at least one column, each once.")
    return found


def by_column(names: Names, columns: Any, mechanism: str, weights: Any) -> Design:
    """Every column by itself: a slot for each."""
    width = len(names)
    chosen = list(range(width)) if columns is None else positions(names, columns, "columns")
    reach = np.eye(width, dtype=bool)[chosen]
    kept = ~reach.any(axis=0)
    if isinstance(weights, Mapping):
        given = {position(names, name, "weights"): row for name, row in weights.items()}
        if set(given) != set(chosen):
            raise ValueError(
                f"weights are given for {list(weights)!r}, but they must be for the columns that "
                f"are amputed: {[names[j] for j in chosen]!r}."
            )
        weights = [given[j] for j in chosen]
    # Without columns that stay, every row keeps some others (see calls.py).
    forbidden = np.broadcast_to(~kept, reach.shape) if kept.any() else reach
    return Design(reach, _weights(names, reach, forbidden, mechanism, weights))


def by_pattern(
    names: Names, columns: Any, patterns: Any, frequencies: Any, mechanism: str, weights: Any
) -> Design:
    """Every row has one pattern, whose columns go missing together."""
    if isinstance(patterns, str):
        if patterns != "monotone":
            raise ValueError(f'patterns={patterns!r} must be "monotone", a matrix or lists.')
        reach = _staircase(names, columns)
    elif columns is not None:
        raise ValueError(f"columns={columns!r} must be left out: the patterns name the columns.")
    else:
        reach = _reach(names, patterns)
    for pattern, missing in enumerate(reach):
        if missing.all() or not missing.any():
            what = "every column" if missing.all() else "no column"
            raise ValueError(
                f"Pattern {pattern} removes {what}: it must remove at least one, and keep one. "
                "Lists name what goes missing; pass a matrix of 0 and 1 as an array."
            )
    if isinstance(weights, Mapping):
        raise ValueError("weights is a mapping; with patterns, give a list with one row for each.")
    shares = np.ones(len(reach)) if frequencies is None else np.asarray(frequencies, dtype=float)
    if shares.shape != (len(reach),) or not (np.isfinite(shares) & (shares > 0)).all():
        raise ValueError(
            f"frequencies={frequencies!r} must be positive numbers, one for each of the "
            f"{len(reach)} patterns."
        )
    weighting = _weights(names, reach, reach, mechanism, weights)
    return Design(reach, weighting, shares / shares.sum())


def _staircase(names: Names, columns: Any) -> Bools:
    """Patterns of drop-out: a column and all after it."""
    order = list(range(len(names))) if columns is None else positions(names, columns, "columns")
    begins = range(1 if len(order) == len(names) else 0, len(order))
    if not begins:
        raise ValueError('patterns="monotone" needs a column that stays: X has only one.')
    reach = np.zeros((len(begins), len(names)), dtype=bool)
    for pattern, begin in zip(reach, begins, strict=True):
        pattern[order[begin:]] = True
    return reach


def _reach(names: Names, patterns: Any) -> Bools:
    if not isinstance(patterns, list | tuple) or _looks_like_a_matrix(names, patterns):
        matrix = np.asarray(patterns)
        if matrix.ndim != 2 or matrix.shape[1] != len(names) or not np.isin(matrix, (0, 1)).all():
            raise ValueError(
                f"patterns is an array of shape {matrix.shape}: a matrix of patterns has the "
                f"{len(names)} columns of X, 1 for a cell that stays and 0 for one that goes."
            )
        reach: Bools = matrix == 0
    else:
        reach = np.zeros((len(patterns), len(names)), dtype=bool)
        for row, pattern in zip(reach, patterns, strict=True):
            if isinstance(pattern, str) or not isinstance(pattern, Iterable):
                raise ValueError(
                    f"patterns has {pattern!r}: pass for each pattern a list of the columns that "
                    "go, or a matrix with 1 for what stays and 0 for what goes."
                )
            row[positions(names, pattern, "patterns")] = True
    if len(reach) == 0:
        raise ValueError("patterns is empty: give at least one, or None.")
    return reach


def _looks_like_a_matrix(names: Names, patterns: Any) -> bool:
    """Whether these are rows of 0 and 1, one for each column, rather than lists of columns."""
    return len(names) > 2 and all(
        isinstance(row, list | tuple)
        and len(row) == len(names)
        and all(isinstance(cell, int | np.integer | np.bool_) and cell in (0, 1) for cell in row)
        for row in patterns or [()]
    )


def _weights(names: Names, reach: Bools, forbidden: Bools, mechanism: str, weights: Any) -> Floats:
    """Weights of every slot: given, or 1 for the columns that the mechanism is about."""
    if mechanism == "mcar":
        if weights is not None:
            raise ValueError('weights need mechanism="mar" or "mnar": "mcar" looks at no column.')
        return np.zeros(reach.shape)
    if mechanism == "mar" and forbidden.all(axis=1).any():
        raise ValueError(
            'mechanism="mar" needs a column that stays, to decide about the others; X has '
            f'{len(names)}, all of them to go missing: use "mcar" or "mnar", or add one.'
        )
    if weights is None:
        return np.where(reach if mechanism == "mnar" else ~forbidden, 1.0, 0.0)
    rows = list(weights)
    if len(rows) != len(reach):
        raise ValueError(f"weights has {len(rows)} rows for {len(reach)} patterns or columns.")
    table = np.array([_weight_row(names, row) for row in rows])
    if mechanism == "mar" and table[forbidden].any():
        slot, column = np.argwhere((table != 0) & forbidden)[0]
        raise ValueError(
            f"weights[{slot}] has a weight on {names[column]!r}, which goes missing too. What "
            'decides must stay observed with mechanism="mar": make the weight 0, or use "mnar".'
        )
    return table


def _weight_row(names: Names, given: Any) -> Floats:
    row = np.zeros(len(names))
    if isinstance(given, Mapping):
        for name, weight in given.items():
            row[position(names, name, "weights")] = weight
    else:
        cells = np.asarray(given, dtype=float)
        if cells.shape != row.shape:
            raise ValueError(
                f"A row of weights has the shape {cells.shape}, but X has {len(names)} columns."
            )
        row = cells
    if not np.isfinite(row).all():
        raise ValueError(f"Weights must be finite numbers, not {given!r}.")
    return row
