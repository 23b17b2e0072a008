"""Any table <-> a float64 matrix of numbers and category codes.

`Schema.fit` learns what the columns are and codes them, `Schema.encode` codes new rows by the same
levels, and `Schema.restore` writes fills into the gaps of the user's own table and nothing else.
What the user says that columns are, `declared.py` knows; what their cells turn out to be,
`survey.py`; what fit learns of them, `columns.py`; how libraries store them, `frames.py` and
`cells.py`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.table.cells import Fill
from greyknn.table.columns import (
    Column,
    check_family,
    coded_cells,
    codes_of,
    fill_of,
    joined,
    learn,
    levels_of,
)
from greyknn.table.declared import AS_LEVELS, check_declared, declared, is_free_text, listed
from greyknn.table.frames import Table, open_labels, open_table, to_array
from greyknn.table.survey import survey

__all__ = ["Coded", "Column", "Schema", "encode_labels"]


@dataclass(frozen=True)
class Coded:
    """A coded table, shapes (n_rows, n_columns).

    Attributes
    ----------
    values : float64
        Numbers, and codes of categories; NaN where a distance cannot use the cell, that is in a
        gap and where a category is not among the levels of fit.
    gaps : bool
        Cells to be filled. A category unknown to fit is no gap.
    """

    values: NDArray[np.float64]
    gaps: NDArray[np.bool_]


@dataclass(frozen=True)
class Schema:
    """The columns of a table as fit saw them, and the coding of further tables by them.

    Attributes
    ----------
    columns : tuple of Column
    named : bool
        Whether fit saw a data frame, so that names of later frames must agree.
    """

    columns: tuple[Column, ...]
    named: bool

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which columns hold categories, shape (n_columns,)."""
        return np.array([column.categorical for column in self.columns], dtype=bool)

    @classmethod
    def fit(
        cls,
        X: Any,
        *,
        categorical_features: Any = "from_dtype",
        keep_empty_features: bool = False,
        dates: bool = False,
        texts: bool = False,
        types: Any = None,
    ) -> tuple[Schema, Coded]:
        """Learn the columns of a table and code it.

        Parameters
        ----------
        X : data frame, array, or list of rows
            Missing are None, NaN and NA, not empty strings.
        categorical_features : "from_dtype", None, or array-like of names, positions or bools
            Which columns of numbers are categories. Columns of anything else always are, but with
            None they are refused.
        keep_empty_features : bool
            Keep a column without any observed value as it is, rather than refuse it.
        dates : bool
            Read dates, datetimes and durations as numbers of seconds, rather than refuse them.
        texts : bool
            Tell free text from categories: strings of more than 20 cells, most of them distinct,
            with two words or more on average.
        types : mapping of column name or position to str, or None
            "numeric", "categorical", "ordinal", "boolean", "datetime" or "text", over what the
            dtype, `categorical_features` and `dates` say; it converts nothing. Levels of
            "ordinal" are in the order of a category dtype, else sorted.

        Raises
        ------
        TypeError, ValueError
            A table or a column that cannot be filled; the message names it and the way out.
        """
        table = open_table(X)
        said = declared(categorical_features, types, table)
        coded, columns = _blank(table), []
        for j, cells in enumerate(table.cells):
            seen = survey(
                cells, as_levels=said[j] in AS_LEVELS, as_dates=dates or said[j] == "datetime"
            )
            check_declared(said[j], cells, seen)
            if categorical_features is None and said[j] is None and seen.numbers is None:
                raise ValueError(
                    f"{cells.label} holds {seen.family}, and categorical_features=None allows "
                    'numbers only: use "from_dtype", or make them numbers.'
                )
            if texts and said[j] is None and is_free_text(cells, seen):
                said[j] = "text"
            column = learn(table.names[j], cells, seen, said=said[j], keep=keep_empty_features)
            columns.append(column)
            if not column.empty:
                coded.values[:, j], coded.gaps[:, j] = coded_cells(column, seen)
        return cls(tuple(columns), table.named), coded

    def encode(self, X: Any) -> Coded:
        """Code new rows by the levels of fit.

        Raises
        ------
        TypeError, ValueError
            As in `fit`, and where columns differ from those of fit in number, name, order or type.
        """
        table = open_table(X)
        self._check_columns(table)
        coded = _blank(table)
        for j, (column, cells) in enumerate(zip(self.columns, table.cells, strict=True)):
            if column.empty:
                continue
            seen = survey(cells, as_levels=column.categorical, as_dates=column.clock is not None)
            check_family(column, cells, seen)
            coded.values[:, j], coded.gaps[:, j] = coded_cells(column, seen)
        return coded

    def extended(self, X: Any) -> Schema:
        """The schema with what further rows add; codes of known levels stay what they are.

        Raises
        ------
        TypeError, ValueError
            As in `encode`.
        """
        table = open_table(X)
        self._check_columns(table)
        columns = []
        for column, cells in zip(self.columns, table.cells, strict=True):
            if not column.empty:
                dated = column.clock is not None
                seen = survey(cells, as_levels=column.categorical, as_dates=dated)
                check_family(column, cells, seen)
                column = joined(column, cells, seen)
            columns.append(column)
        return replace(self, columns=tuple(columns))

    def restore(self, X: Any, coded: Coded, filled: NDArray[np.float64]) -> Any:
        """Return X with its gaps filled, in its own type; every other cell is left as it is.

        Only where fit saw no names, a frame comes back as an array: scikit-learn wants the
        columns that come out to be those that `get_feature_names_out` tells.

        Parameters
        ----------
        X : the table that `coded` was made of
        coded : Coded
        filled : float64, shape (n_rows, n_columns)
            Numbers on the scale of X, seconds for dates, codes for categories; read at
            `coded.gaps` only.

        Raises
        ------
        ValueError
            Where `filled` has no value for a gap, or a column's dtype cannot hold one.
        """
        table = open_table(X)
        fills: dict[int, Fill] = {}
        for j in np.flatnonzero(coded.gaps.any(axis=0)).tolist():
            mask = coded.gaps[:, j]
            if np.isnan(filled[mask, j]).any():
                row = np.flatnonzero(mask & np.isnan(filled[:, j]))[0]
                raise ValueError(f"{table.cells[j].label} has no fill for its gap in row {row}.")
            fills[j] = fill_of(self.columns[j], table.cells[j], mask, filled[mask, j])
        out = table.fill(fills)
        return out if self.named or not table.named else to_array(out)

    def _check_columns(self, table: Table) -> None:
        names = self.names
        if len(table.names) != len(names):
            raise ValueError(
                f"X has {len(table.names)} columns, but the table at fit had {len(names)}: "
                f"{listed(names)}."
            )
        if not (self.named and table.named) or table.names == names:
            return
        unknown = [name for name in table.names if name not in names]
        missing = [name for name in names if name not in table.names]
        if unknown or missing:
            raise ValueError(
                f"The columns of X are not those of fit: {listed(unknown)} unknown to fit, "
                f"{listed(missing)} missing from X."
            )
        raise ValueError(
            f"The columns of X come in another order than at fit: select {listed(names)}."
        )


def encode_labels(y: Any, n_rows: int) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Code class labels.

    Parameters
    ----------
    y : array-like or series, shape (n_rows,) or (n_rows, 1)
        None, NaN and NA are rows without a label.
    n_rows : int
        Rows of the table that the labels belong to.

    Returns
    -------
    codes : int64, shape (n_rows,)
        Position in `classes`, -1 without a label.
    classes : tuple
        Observed labels: in the order of a category dtype, else sorted.

    Raises
    ------
    ValueError
        Where the number of labels is not `n_rows`, or y has several columns.
    """
    cells, length = open_labels(y)
    if length != n_rows:
        raise ValueError(f"y has {length} labels, but X has {n_rows} rows.")
    seen = survey(cells, as_levels=True)
    classes = levels_of(cells, seen)
    return np.maximum(codes_of(seen, classes), -1), classes


def _blank(table: Table) -> Coded:
    shape = table.n_rows, len(table.names)
    return Coded(np.full(shape, nan), np.zeros(shape, dtype=bool))
