"""Tables as files: told apart by their extension, written whole or not at all.

Text goes through the standard library; parquet and feather through pyarrow, imported when the
first such file comes. A `TextTable` and an `ArrowTable` answer to the same names: ``names``,
``index``, ``missing``, ``values``, ``coded``, ``framed`` and ``fill``.
"""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import sys
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from greyknn.files import arrows, separated
from greyknn.files.arrows import ArrowTable
from greyknn.files.texts import MISSING, InputError, TextTable
from greyknn.messages import is_number
from greyknn.progress import Progress, silent

Table = TextTable | ArrowTable

KINDS = {
    ".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv",
    ".parquet": "parquet", ".feather": "arrow", ".arrow": "arrow",
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """How a table is stored: kind "csv", "tsv", "parquet" or "arrow" (feather), and gzipped."""

    kind: str
    zipped: bool = False

    @property
    def text(self) -> bool:
        """Whether the standard library reads and writes it."""
        return self.kind in ("csv", "tsv")

    @classmethod
    def of(cls, path: str) -> Format:
        """Tell the format by the extension; "-" is csv.

        Raises
        ------
        InputError
            The extension is unknown, or needs pyarrow, which is not installed.
        """
        zipped = path.lower().endswith(".gz")
        suffix = PurePath(path[:-3] if zipped else path).suffix.lower()
        kind = "csv" if path == "-" else KINDS.get(suffix)
        if kind is None or (zipped and kind not in ("csv", "tsv")):
            raise InputError(
                f"{path}: greyknn reads and writes .csv and .tsv (also .gz), .parquet, .feather "
                "and .arrow. Save the table as one of these."
            )
        if kind in ("parquet", "arrow"):
            arrows.imported()
        return cls(kind, zipped)


def read(
    path: str, *, separator: str | None = None, encoding: str = "utf-8",
    missing: Collection[str] = (), keep_na: bool = False, comma: bool = False,
    progress: Progress = silent,
) -> Table:  # fmt: skip
    """Read a table.

    Parameters
    ----------
    path : str
        "-" reads csv from stdin.
    separator : str, optional
        Of text; None takes the comma, semicolon or tab that splits the header most.
    encoding : str
        Of text.
    missing : set of str
        Texts that stand for a missing cell, beside `MISSING` in csv and nulls in parquet.
    keep_na : bool
        Whether of `MISSING` only empty cells are missing.
    comma : bool
        Whether numbers in text have a decimal comma.
    progress : callable

    Raises
    ------
    InputError
        There is no such file, or it is not what its extension says; the message tells where.
    """
    form = Format.of(path)
    try:
        if not form.text:
            table: Table = arrows.read(path, form.kind, missing)
        else:
            raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
            separator = "\t" if separator is None and form.kind == "tsv" else separator
            table = separated.parse(_unzipped(raw), separator, encoding, progress)
            table.gaps, table.comma = ({""} if keep_na else MISSING).union(missing), comma
            if all(map(is_number, table.names)):
                warnings.warn(
                    "The first line holds numbers only, and is taken for the names of columns. If "
                    "it is a row, put a line of names above it.",
                    UserWarning,
                    stacklevel=2,
                )
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return table


def write(
    table: Table, handle: BinaryIO, path: str, source: str,
    progress: Progress = silent,
) -> None:  # fmt: skip
    """Write a table in the format that the extension of `path` asks for.

    Text keeps separator, line ends and encoding, unless `source`, where it came from, has another
    format.
    """
    form = Format.of(path)
    if not form.text:
        arrows.write(table, handle, form.kind)
        return
    text = table.as_text() if isinstance(table, ArrowTable) else table
    same = Format.of(source).kind == form.kind
    separator = text.delimiter if same else {"csv": ",", "tsv": "\t"}[form.kind]
    if form.zipped:
        with gzip.GzipFile("", "wb", fileobj=handle, mtime=0) as zipped:
            separated.write(text, cast(BinaryIO, zipped), separator, progress)
    else:
        separated.write(text, handle, separator, progress)


@contextmanager
def replacing(path: str, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write in, which takes the place of `path` if all goes well, and else vanishes.

    Parameters
    ----------
    path : str
        "-" is stdout.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        The path cannot be written, or exists; told before the ``with`` block begins.
    """
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path).resolve()  # a link stays a link
    _check_free(path, target, force)
    part = target.with_name(f".greyknn-{secrets.token_hex(4)}.part")
    try:
        handle = part.open("xb")  # made with the user's umask, unlike a tempfile
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        _check_free(path, target, force)
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _check_free(path: str, target: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {target.parent}.")
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is no regular file: name a file, or - for stdout.")
    if target.exists() and not force:
        raise InputError(f"{path} exists: name another --output, or replace it with --force.")


def _unzipped(raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"the gzip archive is damaged: {error}.") from error
