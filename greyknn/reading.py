"""The options by which commands read a table, and the table that they ask for."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from greyknn import files, shell
from greyknn.files import InputError, Table
from greyknn.messages import MANY
from greyknn.progress import Progress

SHOWN = 8
"""Columns that a message or the summary names; of the rest it tells the number."""

OPTIONS = (
    click.argument("data", metavar="DATA"),
    click.option("-t", "--target", metavar="COLUMN", help="Class labels; used, never filled."),
    click.option(
        "--ignore", "--id", multiple=True, metavar="COLUMNS",
        help="Left as they are and out of everything: identifiers, dates, free text.",
    ),
    click.option(
        "--categorical", multiple=True, metavar="COLUMNS", help="Categories, though numbers."
    ),
    click.option(
        "--numeric", multiple=True, metavar="COLUMNS", help="Numbers; anything else fails."
    ),
    click.option(
        "--missing", multiple=True, metavar="TEXT", help='Another missing cell, as "?".'
    ),
    click.option("--keep-na", is_flag=True, help="NA, null and the like are values, not missing."),
    click.option(
        "--separator", callback=shell.separator, help="Of csv, also comma, semicolon or tab."
    ),
    click.option("--decimal", type=click.Choice([".", ","]), default=".", show_default=True),
    click.option("--encoding", default="utf-8", show_default=True, help="Of csv."),
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What a user said about a table to be read."""

    data: str
    target: str | None
    ignore: Sequence[str]
    categorical: Sequence[str]
    numeric: Sequence[str]
    missing: Sequence[str]
    keep_na: bool
    separator: str | None
    decimal: str
    encoding: str

    def read(
        self, *, keep_empty: bool, progress: Progress, keys: Mapping[str, str | None] | None = None
    ) -> Asked:
        """Read the table.

        Parameters
        ----------
        keep_empty : bool
            Whether columns without any value are left out with a warning, rather than refused.
        progress : callable
        keys : dict of option -> column or None, optional
            For a method that reads dates and free text, and gets a data frame: columns by which
            it tells rows apart.

        Raises
        ------
        InputError
            The table cannot be read, or an option does not fit it.
        """
        table = files.read(
            self.data, separator=self.separator, encoding=self.encoding,
            comma=self.decimal == ",", missing={text.strip() for text in self.missing},
            keep_na=self.keep_na, progress=progress,
        )  # fmt: skip
        ignored = _columns(table, "--ignore", self.ignore)
        gaps = _gaps(table, self.target, ignored, keep_empty)
        y = None if self.target is None else _labels(table, self.target)
        as_categories = _columns(table, "--categorical", self.categorical)
        as_numbers = _columns(table, "--numeric", self.numeric)
        if both := sorted(set(as_categories).intersection(as_numbers)):
            raise InputError(f"--categorical and --numeric both name {_listed(both)}.")
        if keys is None:
            X, categories = table.coded(list(gaps), as_categories, as_numbers)
            return Asked(table, gaps, y, X, categories)
        named = [name for name in keys.values() if name is not None]
        for option, name in keys.items():
            if name is not None:
                _check_key(table, gaps, option, name)
        X, categories = table.framed(list(gaps), as_categories, as_numbers, named)
        return Asked(table, gaps, y, X, categories)


@dataclass(frozen=True)
class Asked:
    """A table that was read.

    Attributes
    ----------
    table : Table
    gaps : dict
        Columns that take part, with their numbers of gaps.
    y : list or None
        Class labels.
    X : float64, shape (n_rows, n_columns), or data frame
        The columns that take part: numbers, and codes of categories.
    categories : list of int or str
        Which columns of X are codes; of a frame, which are said to be categories.
    """

    table: Table
    gaps: dict[str, int]
    y: list[Any] | None
    X: Any
    categories: list[int] | list[str]


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a `Source`, and the Source as its argument ``source``."""

    @functools.wraps(command)
    def bundled(**given: Any) -> None:
        fields = {name: given.pop(name) for name in Source.__dataclass_fields__}
        command(source=Source(**fields), **given)

    for option in reversed(OPTIONS):
        bundled = option(bundled)
    return bundled


def _columns(table: Table, option: str, given: Sequence[str]) -> list[str]:
    """Names of columns, of which one option may give several."""
    names: list[str] = []
    for text in given:
        names += [text] if text in table.names else map(str.strip, text.split(","))
    for name in names:
        if name not in table.names:
            raise InputError(
                f"{option} {name!r}: there is no such column, but {_listed(table.names)}."
            )
    return names


def _listed(names: Collection[str]) -> str:
    more = [f"{len(names) - SHOWN} more"] * (len(names) > SHOWN)
    return ", ".join([repr(name) for name in list(names)[:SHOWN]] + more)


def _gaps(
    table: Table, target: str | None, ignored: Collection[str], keep_empty: bool
) -> dict[str, int]:
    """Columns that take part, with their numbers of gaps."""
    if target is not None and target not in table.names:
        raise InputError(
            f"--target {target!r}: there is no such column, but {_listed(table.names)}."
        )
    if target in ignored:
        raise InputError(f"--target {target!r} is among --ignore too: take it out of one.")
    masks = {
        name: table.missing(name)
        for name in table.names
        if name not in {target, *ignored, *table.index}
    }
    empty = [name for name, gaps in masks.items() if gaps.all()]
    if empty and not keep_empty:
        raise InputError(
            f"no value was observed in column {_listed(empty)}: leave it as it is with "
            "--keep-empty."
        )
    if empty:
        warnings.warn(
            f"Left empty, without any value to fill from: {_listed(empty)}.", stacklevel=2
        )
    gaps = {name: int(gaps.sum()) for name, gaps in masks.items() if name not in empty}
    if not gaps:
        raise InputError("no column is left to fill.")
    return gaps


def _check_key(table: Table, gaps: dict[str, int], option: str, name: str) -> None:
    """Refuse a column that cannot tell where in a series a row belongs."""
    _columns(table, option, [name])
    if name not in gaps:
        raise InputError(
            f"{option} {name!r}: the column is empty, or another option or the file's index has it."
        )
    if gaps[name]:
        raise InputError(
            f"{option} {name!r} is missing in {gaps[name]:,} row(s), so that nobody knows where "
            "these belong: fill it in, or take them out."
        )


def _labels(table: Table, target: str) -> list[Any]:
    labels = table.values(target)
    seen = [label for label in labels if label is not None and label == label]
    if not seen:
        raise InputError(f"--target {target!r} has no label in any row: leave --target out.")
    classes = set(seen)
    if len(classes) > MANY and (
        2 * len(classes) > len(seen) or any(isinstance(label, float) for label in seen)
    ):
        warnings.warn(
            f"--target {target!r} has {len(classes)} different values in {len(seen)} rows, and "
            "each is taken for a class of its own. If it is none, leave --target out.",
            stacklevel=2,
        )
    return labels
