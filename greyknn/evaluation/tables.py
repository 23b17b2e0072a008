"""The table that methods compete on: one pandas frame, and the matrix that scores are taken from.

In the frame, numbers are float64 and categories are pandas categoricals with the levels of the
whole table, so that a part of its rows still knows them all. In the matrix, categories are codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from greyknn.arrays import Bools, Floats, Ints
from greyknn.messages import hardly_repeat
from greyknn.table import Schema, encode_labels

Frame = Any  # of pandas, whose types mypy does not follow
TOLERANCE = 1e-6
"""How far an observed number may move, as a share of its column's range."""


def is_category(cells: Any) -> bool:
    """Whether a column of the frame holds categories."""
    return isinstance(cells.dtype, pd.CategoricalDtype)


def categories_of(frame: Frame) -> Bools:
    """Which columns of the frame hold categories, shape (n_columns,)."""
    return np.array([is_category(frame[name]) for name in frame], dtype=bool)


def to_matrix(frame: Frame) -> Floats:
    """Numbers, and codes of categories; NaN in gaps. Shape (n_rows, n_columns)."""
    columns = []
    for name in frame:
        cells = frame[name]
        if is_category(cells):
            codes = cells.cat.codes.to_numpy()
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            columns.append(cells.to_numpy(dtype=np.float64))
    return np.column_stack(columns)


def with_fills(frame: Frame, values: Floats) -> Frame:
    """A copy of a frame whose gaps are filled from a matrix; codes are rounded into range."""
    filled = frame.copy()
    for j, (name, cells) in enumerate(frame.items()):
        gaps = cells.isna().to_numpy()
        if is_category(cells):
            fills = np.rint(values[gaps, j]).clip(0, len(cells.cat.categories) - 1)
            codes = cells.cat.codes.to_numpy().astype(np.int64)
            codes[gaps] = fills.astype(np.int64)
            filled[name] = pd.Categorical.from_codes(codes, dtype=cells.dtype)
        else:
            filled[name] = np.where(gaps, values[:, j], cells.to_numpy())
    return filled


def named_plainly(frame: Frame) -> Frame:
    """The frame with columns x0, x1, ...: names that every library takes."""
    return frame.set_axis([f"x{j}" for j in range(frame.shape[1])], axis=1)


@dataclass(frozen=True)
class Data:
    """A table and its labels, as all methods get them.

    Attributes
    ----------
    frame : pandas.DataFrame
        With the table's own gaps, and an index from 0.
    schema : Schema
        Of the frame.
    labels : int64, shape (n_rows,), or None
        Positions in `classes`, -1 for a row without a label.
    classes : tuple
    name : str
    """

    frame: Frame
    schema: Schema
    labels: Ints | None
    classes: tuple[Any, ...]
    name: str

    @classmethod
    def of(cls, X: Any, y: Any, categorical_features: Any, name: str) -> Data:
        """Convert a user's table.

        Raises
        ------
        ValueError, TypeError
            If the table or the labels cannot be used; the message says what to do.
        """
        schema, coded = Schema.fit(X, categorical_features=categorical_features)
        names = [str(name) for name in schema.names]
        if len(set(names)) < len(names):  # such as 1 beside "1"
            names = [f"x{j}" for j in range(len(names))]
        cells: dict[str, Any] = {}
        for name_, column, values in zip(names, schema.columns, coded.values.T, strict=True):
            if column.categorical:
                codes = np.where(np.isnan(values), -1, values).astype(np.int64)
                cells[name_] = pd.Categorical.from_codes(codes, list(column.levels))
            else:
                cells[name_] = values
        frame = pd.DataFrame(cells)
        if y is None:
            return cls(frame, Schema.fit(frame)[0], None, (), name)
        labels, classes = encode_labels(y, len(frame))
        if len(classes) < 2 or hardly_repeat(len(classes), int(np.count_nonzero(labels >= 0))):
            raise ValueError(
                f"y has {len(classes)} different labels in {len(labels)} rows, but is used as a "
                "class: pass labels of at least two classes that repeat, or leave y out."
            )
        return cls(frame, Schema.fit(frame)[0], labels, classes, name)

    @cached_property
    def matrix(self) -> Floats:
        """The frame as numbers and codes, NaN in its own gaps."""
        return to_matrix(self.frame)

    @property
    def categorical(self) -> Bools:
        """Which columns hold categories."""
        return self.schema.categorical

    @cached_property
    def lows(self) -> Floats:
        """Smallest observed number of each column, 0 for categories (equation 34)."""
        return np.where(self.categorical, 0.0, np.nanmin(self.matrix, axis=0))

    @cached_property
    def spans(self) -> Floats:
        """Observed range of each column, 1 for constant ones and categories (equation 34)."""
        spans = np.nanmax(self.matrix, axis=0) - self.lows
        return np.where(self.categorical | (spans == 0), 1.0, spans)

    @cached_property
    def n_levels(self) -> Ints:
        """Number of levels of each column, 0 for numbers."""
        return np.array([len(column.levels) for column in self.schema.columns])

    @cached_property
    def digest(self) -> str:
        """What tells this table, its labels and its categories from any other."""
        seen = blake2b(digest_size=8)
        seen.update(np.ascontiguousarray(self.matrix).tobytes())
        seen.update(repr([(name, levels) for name, levels in self._levels()]).encode())
        seen.update(b"" if self.labels is None else self.labels.tobytes())
        return seen.hexdigest()

    def _levels(self) -> list[tuple[str, tuple[Any, ...]]]:
        return [(str(column.name), column.levels) for column in self.schema.columns]

    def y(self, rows: Ints) -> Any:
        """Labels of some rows as a pandas series of categories; None without labels."""
        if self.labels is None:
            return None
        cells = pd.Categorical.from_codes(self.labels[rows], list(self.classes))
        return pd.Series(cells, index=rows, name="y")

    def read(self, filled: Any, gappy: Frame) -> Floats:
        """What a method returned, as a matrix whose observed cells are those it was given.

        Parameters
        ----------
        filled : table
            A frame with the columns of `gappy` in any order, or an array in their order.
        gappy : pandas.DataFrame
            What the method was given.

        Raises
        ------
        ValueError, TypeError
            Rows or columns are missing, a gap is left, or an observed cell was changed.
        """
        if hasattr(filled, "columns") and set(filled.columns) == set(gappy.columns):
            filled = filled[list(gappy.columns)]
        if np.shape(filled) != gappy.shape:
            raise ValueError(
                f"returned a table of shape {np.shape(filled)}, not of {gappy.shape} as given."
            )
        before, values = to_matrix(gappy), self.schema.encode(filled).values
        gaps = np.isnan(before)
        left = np.isnan(values) & gaps
        if left.any():
            raise ValueError(f"left {left.sum()} of {gaps.sum()} gaps, or filled them strangely.")
        moved = ~gaps & ~(np.abs(values - before) <= TOLERANCE * self.spans)
        if moved.any():
            raise ValueError(f"changed {moved.sum()} of {(~gaps).sum()} observed cells.")
        return np.where(gaps, values, before)

    def coordinates(self, values: Floats) -> Floats:
        """Numbers scaled by the table's observed range, and a column of 0 and 1 per category."""
        blocks = []
        for j, categorical in enumerate(self.categorical):
            if categorical:
                blocks.append(np.eye(self.n_levels[j])[values[:, j].astype(np.int64)])
            else:
                blocks.append(((values[:, j] - self.lows[j]) / self.spans[j])[:, None])
        return np.hstack(blocks)
