"""From the user's table and labels to the matrix that a model reads, and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.grams import grams_of
from greyknn.deep.sequences import Timeline
from greyknn.messages import hardly_repeat
from greyknn.table import Coded, Column, Schema, encode_labels, open_table
from greyknn.table.survey import LARGEST


@dataclass(frozen=True)
class Label:
    """What fit saw of y.

    Attributes
    ----------
    classes : tuple
        Of a label; empty if y is a number.
    """

    classes: tuple[Any, ...]

    def encode(self, y: Any, n_rows: int) -> Floats:
        """Codes or numbers (n_rows,); NaN where there is no label, or one that fit did not see."""
        codes, classes = encode_labels(y, n_rows)
        if not self.classes:
            return _numbers(codes, classes)
        place = {label: code for code, label in enumerate(self.classes)}
        known = np.array([place.get(label, np.nan) for label in classes] + [np.nan], dtype=float)
        return known[codes]

    @classmethod
    def fit(cls, y: Any, n_rows: int) -> tuple[Label, Floats] | None:
        """Learn the classes, or that y is a number; None if no row has a label."""
        codes, classes = encode_labels(y, n_rows)
        if not classes:
            return None
        numbers = all(isinstance(label, int | float) for label in classes)
        whole = all(float(label).is_integer() for label in classes) if numbers else False
        many = hardly_repeat(len(classes), int((codes >= 0).sum()))
        if (
            numbers
            and not any(isinstance(label, bool) for label in classes)
            and (not whole or many)
        ):
            return cls(()), _numbers(codes, classes)
        return cls(classes), np.where(codes < 0, np.nan, codes).astype(float)


def _numbers(codes: Ints, classes: Sequence[Any]) -> Floats:
    """Numbers (n_rows,), NaN where there is none; refuses those that cannot be averaged."""
    values = np.array([*map(float, classes), np.nan])[codes]
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(large.argmax())
        raise ValueError(
            f"y holds {values[row]:g} in row {row}, and numbers beyond {LARGEST:g} cannot be "
            "averaged: scale y, or make it NaN for rows without one."
        )
    return values


@dataclass(frozen=True)
class Read:
    """A table as a model reads it.

    Attributes
    ----------
    coded : Coded
    values : array of shape (n_rows, n_modelled)
        Columns that are modelled, the label last if there is one.
    texts : array of shape (n_rows, n_texts, n_grams)
    timeline : Timeline or None
    """

    coded: Coded
    values: Floats
    texts: Ints
    timeline: Timeline | None


@dataclass(frozen=True)
class Reader:
    """What fit learnt about a table's columns.

    Attributes
    ----------
    schema : Schema
    modelled, texts : array
        Positions of columns that the network predicts or looks at, and of texts.
    wanted : tuple of int
        Positions of columns that are to be filled.
    label : Label or None
    groups, time : int or None
        Positions of what tells series apart, and of their time.
    """

    schema: Schema
    modelled: Ints
    texts: Ints
    wanted: tuple[int, ...]
    label: Label | None
    groups: int | None = None
    time: int | None = None

    @classmethod
    def fit(
        cls, X: Any, y: Any, *, types: Any, columns: Any, groups: Any, time: Any,
        keep_empty_features: bool,
    ) -> tuple[Reader, Read]:  # fmt: skip
        """Learn the columns and read the table; parameters as in ``DeepImputer``."""
        schema, coded = Schema.fit(
            X, keep_empty_features=keep_empty_features, dates=True, texts=True, types=types
        )
        of_groups = None if groups is None else position(schema, groups, "groups")
        of_time = None if time is None else position(schema, time, "time")
        aside = {of_groups, of_time}
        about = list(enumerate(schema.columns))
        filled = [i for i, c in about if not c.empty and i not in aside]
        texts = np.array([i for i in filled if schema.columns[i].text], dtype=np.int64)
        modelled = np.array([i for i in filled if i not in texts], dtype=np.int64)
        if not filled:
            raise ValueError("No column has an observed value; there is nothing to learn from.")
        wanted = tuple(filled)
        if columns is not None:
            if isinstance(columns, str) or not hasattr(columns, "__iter__"):
                raise ValueError(
                    f"columns={columns!r} must be a list of the columns to fill, or None for all."
                )
            wanted = tuple(sorted({position(schema, name, "columns") for name in columns}))
            useless = [schema.names[i] for i in wanted if i not in filled]
            if useless:
                raise ValueError(
                    f"columns holds {useless[0]!r}, which cannot be filled: it is empty, or tells "
                    "groups or time."
                )
        label = values = None
        if y is not None:
            found = Label.fit(y, len(coded.values))
            if found is not None:
                label, values = found
        reader = cls(schema, modelled, texts, wanted, label, of_groups, of_time)
        return reader, reader._read(X, coded, values)

    def read(self, X: Any, y: Any = None) -> Read:
        """Read new rows; without y their label is missing."""
        coded = self.schema.encode(X)
        n_rows = len(coded.values)
        label = None
        if y is not None and self.label is not None:
            label = self.label.encode(y, n_rows)
        return self._read(X, coded, label)

    def extended(self, X: Any, y: Any) -> Reader:
        """The reader with what further rows add: levels, ranges, classes of the label."""
        label = self.label
        if y is not None and label is not None and label.classes:
            classes = encode_labels(y, open_table(X).n_rows)[1]
            new = tuple(one for one in classes if one not in set(label.classes))
            label = Label(label.classes + new)
        return replace(self, schema=self.schema.extended(X), label=label)

    def _read(self, X: Any, coded: Coded, label: Floats | None) -> Read:
        values = coded.values[:, self.modelled]
        if self.label is not None:
            n_rows = len(values)
            values = np.column_stack([values, np.full(n_rows, np.nan) if label is None else label])
        return Read(coded, values, self._grams(X, len(values)), self._timeline(X, coded))

    def _grams(self, X: Any, n_rows: int) -> Ints:
        if len(self.texts) == 0:
            return np.zeros((n_rows, 0, 1), dtype=np.int64)
        cells = open_table(X).cells
        return grams_of(
            [
                [text if isinstance(text, str) else None for text in cells[i].objects()]
                for i in self.texts
            ]
        )

    def _timeline(self, X: Any, coded: Coded) -> Timeline | None:
        if self.groups is None and self.time is None:
            return None
        n_rows = len(coded.values)
        for place, name in ((self.groups, "groups"), (self.time, "time")):
            if place is not None and coded.gaps[:, place].any():
                row = int(coded.gaps[:, place].argmax())
                raise ValueError(
                    f"Column {self.schema.names[place]!r} ({name}=) is missing in row {row}, so "
                    "that nobody knows where the row belongs: drop such rows or fill them in."
                )
        groups = np.zeros(n_rows, dtype=np.int64)
        if self.groups is not None:  # by their values: groups that fit did not see have no codes
            keys = open_table(X).cells[self.groups].objects()
            # Not in the order of the rows, which must not matter.
            distinct = sorted(dict.fromkeys(keys), key=str)
            number = {key: place for place, key in enumerate(distinct)}
            groups = np.array([number[key] for key in keys], dtype=np.int64)
        times = np.arange(n_rows, dtype=float) if self.time is None else coded.values[:, self.time]
        return Timeline.of(groups, times)

    @property
    def columns(self) -> list[Column]:
        """Columns that are modelled; the label, a category or a number, last."""
        about = [self.schema.columns[i] for i in self.modelled]
        if self.label is not None:
            known = self.label.classes
            about.append(Column("y", categorical=bool(known), levels=known))
        return about

    @property
    def categorical(self) -> Bools:
        """Which of these are categories."""
        return np.array([column.categorical for column in self.columns], dtype=bool)

    @property
    def levels(self) -> Ints:
        """How many levels each of these has."""
        return np.array([len(column.levels) for column in self.columns], dtype=np.int64)

    @property
    def ordered(self) -> Bools:
        """Which of these are categories in order."""
        return np.array([column.ordered for column in self.columns], dtype=bool)

    @property
    def dates(self) -> Bools:
        """Which of these are points in time."""
        return np.array([column.family == "dates" for column in self.columns], dtype=bool)

    @property
    def targets(self) -> Bools:
        """Which of these are to be predicted."""
        wanted = [int(i) in self.wanted for i in self.modelled]
        return np.array(wanted + [False] * (self.label is not None), dtype=bool)

    def gaps(self, coded: Coded) -> Bools:
        """Cells to fill (n_rows, n_columns), of the columns that are wanted."""
        wanted = np.zeros(coded.gaps.shape[1], dtype=bool)
        wanted[list(self.wanted)] = True
        return coded.gaps & wanted

    def restored(self, X: Any, coded: Coded, gaps: Bools, filled: Floats) -> Any:
        """The user's table with these gaps filled."""
        return self.schema.restore(X, replace(coded, gaps=gaps), filled)


def position(schema: Schema, column: Hashable, argument: str) -> int:
    """Where a column stands that was given by name or position.

    Raises
    ------
    ValueError
        There is none; the message lists the columns.
    """
    if column in schema.names:
        return schema.names.index(column)
    if isinstance(column, int | np.integer) and 0 <= int(column) < len(schema.names):
        return int(column)
    shown = ", ".join(map(repr, schema.names[:12])) + (", ..." if len(schema.names) > 12 else "")
    raise ValueError(f"{argument} names {column!r}, but the table has the columns {shown}.")
