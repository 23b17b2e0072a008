"""Whole tables as a user passes them: arrays, lists of rows, data frames.

`open_table` and `open_labels` turn them into columns of `greyknn.table.cells`, refusing what is no
table; `Table.fill` is the way back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import narwhals
import narwhals.stable.v2 as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray
from scipy.sparse import issparse

from greyknn.table.cells import ArrayCells, Cells, Fill, SeriesCells, misfit
from greyknn.table.tensors import library_of, on_host, with_fills


class Table(ABC):
    """A user's table as columns. `named` tells whether the names are the user's own."""

    names: tuple[Hashable, ...]
    cells: Sequence[Cells]
    n_rows: int
    named: bool

    @abstractmethod
    def fill(self, fills: Mapping[int, Fill]) -> Any:
        """Return a new table of the user's type with the fills written, by column position.

        Raises
        ------
        ValueError
            Where a column's dtype cannot hold its fill.
        """


class ArrayTable(Table):
    """A 2-d numpy array."""

    def __init__(self, array: NDArray[Any]):
        self.array = array
        self.n_rows, width = array.shape
        self.names, self.named = tuple(range(width)), False
        self.cells = [ArrayCells(array[:, j], f"Column {j}") for j in range(width)]

    def fill(self, fills: Mapping[int, Fill]) -> NDArray[Any]:
        out = np.array(self.array)
        for j, fill in fills.items():
            if fill.fresh and out.dtype != object:
                raise misfit(self.cells[j], fill)
            out[fill.mask, j] = fill.values
        return out


class TensorTable(ArrayTable):
    """An array of another library, perhaps on a GPU: see `greyknn.table.tensors`."""

    def __init__(self, tensor: Any, array: NDArray[Any]):
        super().__init__(array)
        self.tensor = tensor

    def fill(self, fills: Mapping[int, Fill]) -> Any:
        gaps = np.zeros(self.array.shape, dtype=bool)
        for j, fill in fills.items():
            gaps[:, j] = fill.mask
        return with_fills(self.tensor, gaps, super().fill(fills))


class FrameTable(Table):
    """Any eager frame that narwhals takes."""

    cells: Sequence[SeriesCells]

    def __init__(self, frame: nw.DataFrame[Any]):
        self.frame = frame
        self.n_rows = frame.shape[0]
        self.names, self.named = tuple(frame.columns), True
        columns: Iterable[Any] = frame.iter_columns()
        self.cells = [
            SeriesCells(series, f"Column {name!r}")
            for name, series in zip(self.names, columns, strict=True)
        ]

    def fill(self, fills: Mapping[int, Fill]) -> Any:
        columns = {j: self.cells[j].filled(fill) for j, fill in fills.items()}
        native = self.frame.to_native()
        if self.frame.implementation.is_pandas_like():
            out = native.copy()
            for j, column in columns.items():
                out.isetitem(j, column)  # by position, whatever the index and the names
            return out
        if self.frame.implementation.is_pyarrow():
            out = native.slice()
            for j, column in columns.items():  # with_columns would lose the metadata
                field = out.schema.field(j).with_type(column.to_native().type)
                out = out.set_column(j, field, column.to_native())
            return out
        return self.frame.clone().with_columns(*columns.values()).to_native()


def open_table(X: Any) -> Table:
    """Open a user's table.

    Raises
    ------
    TypeError
        X is sparse, lazy, masked, structured, or no table at all.
    ValueError
        X is not 2-d, has no rows or no columns, or has duplicated column names.
    """
    given = _open(X, "X")
    table: Table
    if isinstance(given, nw.DataFrame):
        table = FrameTable(given)
    elif hasattr(X, "__arrow_c_stream__") and not isinstance(given, nw.Series):
        raise TypeError(
            f"X is a {type(X).__name__}, which cannot be handed back filled: pass pyarrow.table(X)."
        )
    elif isinstance(given, nw.Series) or given.ndim == 1:
        raise ValueError(
            f"X is 1-d with {len(given)} values, but a table has rows and columns. Reshape your "
            "data: X.reshape(-1, 1) or a data frame for one column, X.reshape(1, -1) for one row."
        )
    elif given.ndim != 2:
        raise ValueError(f"X has {given.ndim} dimensions; pass a table of rows and columns (2-d).")
    elif library_of(X) is not None:
        table = TensorTable(X, given)
    else:
        table = ArrayTable(given)
    shape = (table.n_rows, len(table.names))
    for count, noun in zip(shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {noun}(s) (shape={shape}) while a minimum of 1 is required."
            )
    return table


def to_array(frame: Any) -> NDArray[Any]:
    """Return a frame's cells as a numpy array."""
    array: NDArray[Any] = nw.from_native(frame, eager_only=True).to_numpy()
    return array


def to_library(out: Any, library: str) -> Any:
    """Return a frame as one of pandas or polars; other tables and other names as they are."""
    if library not in ("pandas", "polars"):
        return out
    out = on_host(out)
    if isinstance(out, np.ndarray):
        return out
    frame = nw.from_native(out, eager_only=True)
    return frame.to_pandas() if library == "pandas" else frame.to_polars()


def open_labels(y: Any) -> tuple[Cells, int]:
    """Open a column of class labels; return it with its length."""
    pyarrow = nw.dependencies.get_pyarrow()
    if pyarrow is not None and isinstance(y, pyarrow.Array):
        y = pyarrow.chunked_array([y])
    given = _open(y, "y")
    if len(given.shape) == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if isinstance(given, nw.Series):
        return SeriesCells(given, "y"), len(given)
    if len(given.shape) != 1:
        raise ValueError(f"y has shape {given.shape}; pass one class label per row (1-d).")
    categories = list(y.categories) if hasattr(y, "categories") else None
    return ArrayCells(given, "y", categories), len(given)


def _open(given: Any, name: str) -> Any:
    """Return a frame or a series of narwhals, or a numpy array."""
    given = on_host(given)
    if issparse(given):
        raise TypeError(
            f"{name} is sparse, and its zeros would be taken for values: sparse data is not "
            f"supported, call {name}.toarray()."
        )
    if isinstance(given, narwhals.DataFrame | narwhals.Series):
        raise TypeError(f"{name} is a narwhals object; pass the user's own, {name}.to_native().")
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: mark the gaps by NaN, {name}.filled(np.nan).")
    try:
        frame: Any = nw.from_native(given, pass_through=True, allow_series=True)
    except DuplicateError as error:
        names = given.column_names if hasattr(given, "column_names") else given.columns
        twice = [label for label, count in Counter(names).items() if count > 1]
        raise ValueError(f"{name} has duplicated column names {twice}; rename them.") from error
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(f"{name} is a lazy frame ({type(given).__name__}); call .collect() first.")
    if isinstance(frame, nw.DataFrame | nw.Series):
        return frame
    try:
        array = np.asarray(given)
        if array.dtype.kind in "US" and not isinstance(given, np.ndarray):
            # numpy has made strings of the numbers and of the NaN beside them: undo that.
            array = np.asarray(given, dtype=object)
    except ValueError as error:
        raise ValueError(f"{name} has rows of different lengths: {error}") from error
    if array.ndim == 0:
        raise TypeError(
            f"{name} is a {type(given).__name__}; pass "
            + ("an array or a data frame." if name == "X" else "one label for each row.")
        )
    if array.dtype.kind == "V":
        raise TypeError(
            f"{name} is a structured array ({array.dtype}); pass pandas.DataFrame({name})."
        )
    return array
