"""Separated text (csv, tsv): the cells as they are written, or the line that breaks the rules.

Read and written by the standard library's csv, strictly, so that no cell loses a character.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, TextIO

from greyknn.files.texts import InputError, TextTable
from greyknn.progress import Progress, silent

STRANGERS = {b"PAR1": "a parquet file", b"PK\3\4": "an Excel workbook or a zip archive"}
CHUNK = 50_000
"""Rows between two reports of progress."""


def parse(
    raw: bytes, separator: str | None = None, encoding: str = "utf-8", progress: Progress = silent
) -> TextTable:
    """Read a table.

    Parameters
    ----------
    raw : bytes
        What the file holds.
    separator : str, optional
        None takes the comma, semicolon or tab that splits the header most.
    encoding : str
    progress : callable

    Raises
    ------
    InputError
        This is no such table; the message names the line.
    """
    if raw[:4] in STRANGERS:
        raise InputError(f"this is {STRANGERS[raw[:4]]}, no text: save it as csv, or rename it.")
    try:
        encoding = codecs.lookup(encoding).name
        if encoding in ("utf-8", "utf-8-sig"):
            encoding = "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"
        buffer = io.BytesIO(raw)
        text = io.TextIOWrapper(buffer, encoding, newline="")
    except LookupError as error:
        raise InputError(f"--encoding {encoding} is unknown; try utf-8 or cp1252.") from error
    try:
        separator = separator or max(",;\t", key=lambda sign: _width(raw, encoding, sign))
        reader = csv.reader(_lines(text), delimiter=separator, strict=True)
        header = _checked_header(next(reader, None))
        ending = next(islice(_opened(raw, encoding), reader.line_num - 1, None))
        columns: list[list[str]] = [[] for _ in header]
        rows = _rows(reader, len(header), separator)
        while chunk := list(islice(rows, CHUNK)):
            for column, cells in zip(columns, zip(*chunk, strict=True), strict=True):
                column.extend(cells)
            progress("Reading", buffer.tell(), len(raw))
    except csv.Error as error:
        raise _broken(1, error) from error
    except UnicodeDecodeError as error:
        likely = "utf-16" if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "cp1252"
        raise InputError(
            f"line {_undecodable(raw, encoding)} has bytes that are not {encoding}: name the "
            f"encoding of the file, for example --encoding {likely}."
        ) from error
    if not columns[0]:
        raise InputError("there is a header, but no rows below it.")
    newline = ending[len(ending.rstrip("\r\n")) :]
    return TextTable(dict(zip(header, columns, strict=True)), separator, newline, encoding)


def write(table: TextTable, handle: BinaryIO, separator: str, progress: Progress = silent) -> None:
    """Write a table with the line ends and the encoding it came with, quoting only what must be."""
    text = io.TextIOWrapper(handle, table.encoding, newline="")
    try:
        writer = csv.writer(_Rows(text, table.newline), delimiter=separator)
        writer.writerow(table.columns)
        columns = list(table.columns.values())
        for begin in range(0, len(columns[0]), CHUNK):
            chunk = (cells[begin : begin + CHUNK] for cells in columns)
            writer.writerows(zip(*chunk, strict=True))
            progress("Writing", min(begin + CHUNK, len(columns[0])), len(columns[0]))
    finally:
        text.detach()


class _Rows:
    """Takes the rows of a csv writer and gives them line ends of our own.

    A csv writer quotes the characters of its own line end; those must be CR and LF both, whatever
    ends the lines of the file, or a lone CR in a cell would end its row.
    """

    def __init__(self, text: TextIO, newline: str):
        self.text, self.newline = text, newline

    def write(self, row: str) -> int:
        return self.text.write(row.removesuffix("\r\n") + self.newline)


def _opened(raw: bytes, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(raw), encoding, newline="")


def _lines(text: TextIO) -> Iterator[str]:
    for number, line in enumerate(text, 1):
        if "\0" in line:
            raise InputError(
                f"line {number} has a NUL character: this is no text, or in another encoding "
                "(try --encoding utf-16)."
            )
        yield line


def _width(raw: bytes, encoding: str, separator: str) -> int:
    try:
        return len(next(csv.reader(_lines(_opened(raw, encoding)), delimiter=separator), []))
    except csv.Error:
        return 0


def _undecodable(raw: bytes, encoding: str) -> int:
    """The line of the first undecodable byte, which errors of a stream do not tell."""
    end = len(raw)
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        end = error.start
    return raw.count(b"\n", 0, end) + 1


def _checked_header(header: list[str] | None) -> list[str]:
    if header is None:
        raise InputError("the file is empty.")
    if not header:
        raise InputError("line 1 is blank, but must name the columns.")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise InputError(
            f"the header has {twice[0]!r} more than once (line 1 must name the columns): rename it."
        )
    return header


def _rows(reader: Any, width: int, separator: str) -> Iterator[list[str]]:
    begins, blanks = reader.line_num + 1, 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _broken(begins, error) from error
        if row is None:
            return
        if not row:  # harmless at the end of the file, and an empty cell of a single column
            blanks += 1
        else:
            if blanks and width > 1:
                raise InputError(f"line {begins - 1} is blank: delete it.")
            yield from [[""]] * blanks
            blanks = 0
            if len(row) != width:
                raise InputError(
                    f"line {begins} has {len(row)} cell(s), but the header has {width} (separated "
                    f"by {separator!r}): correct the line, or name the right --separator."
                )
            yield row
        begins = reader.line_num + 1


def _broken(line: int, error: csv.Error) -> InputError:
    return InputError(
        f"the row that begins in line {line} is not csv ({error}): is a quote not closed, or one "
        "inside quotes not doubled?"
    )
