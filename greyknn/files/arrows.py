"""Parquet and feather files: pyarrow reads, casts nothing, and writes them.

The only file that imports pyarrow, and only when such a file comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from greyknn.files.texts import InputError, TextTable


def imported() -> ModuleType:
    """Return pyarrow.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise InputError(
            'parquet, feather and arrow files need pyarrow: pip install "greyknn[files]", or use '
            "csv."
        ) from error
    module: ModuleType = pyarrow
    return module


class ArrowTable:
    """A parquet or feather file.

    Parameters
    ----------
    table : pyarrow.Table
    gaps : set of str
        Texts that are gaps beside nulls and NaN.
    """

    def __init__(self, table: Any, gaps: Collection[str] = ()):
        self.table, self.gaps = table, gaps
        self.names: list[str] = table.column_names
        stored: list[Any] = (table.schema.pandas_metadata or {}).get("index_columns", [])
        self.index: Collection[str] = [name for name in stored if isinstance(name, str)]
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise InputError(f"column {twice[0]!r} is there more than once: rename it.")
        if not (self.names and len(table)):
            raise InputError("the table has no rows or no columns.")

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Which cells of a column are gaps, shape (n_rows,)."""
        import pyarrow.compute as pc

        gaps: NDArray[np.bool_] = pc.is_null(self._column(name), nan_is_null=True).to_numpy()
        return gaps

    def values(self, name: str) -> list[Any]:
        """A column as Python objects, with None or NaN in the gaps."""
        cells: list[Any] = self._column(name).to_pylist()
        return cells

    def _column(self, name: str) -> Any:
        """A column, with nulls for the texts that are gaps."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.table.column(name)
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if not (self.gaps and text):
            return column
        gaps = pc.is_in(column, value_set=pa.array(sorted(self.gaps), column.type))
        return pc.if_else(gaps, pa.scalar(None, column.type), column)

    def coded(
        self, names: Sequence[str], categorical: Collection[str], numeric: Collection[str]
    ) -> tuple[Any, list[str]]:
        """Columns for the engine, which takes them as they are, and which hold categories."""
        import pyarrow as pa

        for name in set(names).intersection(numeric):
            held = self.table.schema.field(name).type
            if not (pa.types.is_integer(held) or pa.types.is_floating(held)):
                raise InputError(
                    f"column {name!r} is {held} in the file, and --numeric reads numbers out of "
                    "csv only: store the column as numbers."
                )
        X = self.table.select(list(names))
        for place, name in enumerate(names):
            X = X.set_column(place, X.schema.field(name), self._column(name))
        return X, [name for name in names if name in categorical]

    def framed(
        self, names: Sequence[str], categorical: Collection[str], numeric: Collection[str],
        keys: Collection[str] = (),
    ) -> tuple[Any, list[str]]:  # fmt: skip
        """As `coded`: the file says what is a date."""
        return self.coded(names, categorical, numeric)

    def fill(self, names: Sequence[str], X: Any) -> None:
        """Take over the filled columns."""
        for name in names:
            self.table = self.table.set_column(
                self.names.index(name), X.schema.field(name), X.column(name)
            )

    def as_text(self) -> TextTable:
        """Return the table in the texts that Arrow makes of its cells."""
        columns = {}
        for name in self.names:
            column = self.table.column(name)
            try:
                texts = column.cast("string").to_pylist()
            except NotImplementedError as error:
                raise InputError(
                    f"column {name!r} is {column.type}, which text cannot hold: write parquet."
                ) from error
            columns[name] = [text or "" for text in texts]
        return TextTable(columns)


def read(path: str, kind: str, gaps: Collection[str] = ()) -> ArrowTable:
    """Read a "parquet" or "arrow" file; `gaps` as in `ArrowTable`."""
    import pyarrow as pa
    import pyarrow.parquet

    with Path(path).open("rb") as handle:
        if kind == "parquet":
            return ArrowTable(pyarrow.parquet.ParquetFile(handle).read(), gaps)
        stream = handle.peek(6)[:6] != b"ARROW1"
        reader = (pa.ipc.open_stream if stream else pa.ipc.open_file)(handle)
        return ArrowTable(reader.read_all(), gaps)


def write(table: TextTable | ArrowTable, handle: BinaryIO, kind: str) -> None:
    """Write a table; texts become numbers and strings with nulls."""
    import pyarrow as pa
    import pyarrow.parquet

    if isinstance(table, TextTable):
        columns = {}
        for name in table.names:
            try:
                columns[name] = pa.array(table.values(name))
            except (OverflowError, pa.ArrowInvalid) as error:
                raise InputError(
                    f"column {name!r} has whole numbers beyond 64 bits, which only csv can hold."
                ) from error
        arrow = pa.table(columns)
    else:
        arrow = table.table
    if kind == "parquet":
        pyarrow.parquet.write_table(arrow, handle)
    else:
        with pa.ipc.new_file(handle, arrow.schema) as writer:
            writer.write_table(arrow)
