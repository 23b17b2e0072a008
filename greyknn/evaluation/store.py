"""The result file: one JSON line per run, appended when the run is done."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from greyknn.evaluation.runs import Row, Run

KEY = tuple(field.name for field in fields(Run))


def key_of(row: Row) -> tuple[Hashable, ...]:
    """What tells a run from any other."""
    return tuple(row[name] for name in KEY)


class Store:
    """Rows of a result file, or nothing but memory if there is no path.

    Several calls may share a file, also at once. A line that was cut off is passed over.

    Parameters
    ----------
    path : Path or None
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def rows(self) -> Iterator[Row]:
        """Rows that were written so far, in their order.

        Raises
        ------
        ValueError
            The file holds something else.
        """
        if self.path is None or not self.path.exists():
            return
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("{") and not line.endswith("}"):  # the end of a run that was killed
                continue
            if not line:
                continue
            try:
                row = json.loads(line)
                key_of(row)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}, line {number}, is no result of a comparison: name another file."
                ) from error
            yield {name: math.nan if value is None and name != "failure" else value
                   for name, value in row.items()}  # fmt: skip

    def done(self) -> dict[tuple[Hashable, ...], Row]:
        """Rows of runs that went well, by key."""
        return {key_of(row): row for row in self.rows() if row["failure"] is None}

    def append(self, row: Row) -> None:
        """Write a row."""
        if self.path is None:
            return
        plain = {name: _plain(value) for name, value in row.items()}
        line = json.dumps(plain, allow_nan=False) + "\n"
        with self.path.open("a+b") as file:
            if file.seek(0, 2) and (file.seek(-1, 2), file.read(1))[1] != b"\n":
                line = "\n" + line
            file.write(line.encode())


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
