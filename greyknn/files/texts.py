"""Tables of texts: every observed cell keeps its very text, and fills are written like it.

A column is numbers if every observed cell is a finite
one, else categories; numbers that begin with a superfluous zero ('007') are codes, such as zip
codes, hence categories. The user can overrule both. To who can use them (`TextTable.framed`) there
are dates and free text, too.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.files import dates
from greyknn.files.coding import Coding, all_numbers, are_numbers, is_infinite, pointed
from greyknn.messages import MANY, are_sentences, counts_rows, strangers

MISSING = frozenset(
    {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "na", "n/a", "#N/A", "#NA", "<NA>"}
)
"""Texts of a missing cell, whatever blanks are around them."""

PLACEHOLDERS = {"?", "-", "--", ".", "*", "unknown"}
"""Texts that may stand for a missing cell."""

_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+(\.\d*)?\s*", re.ASCII)


class InputError(ValueError):
    """What the user gave cannot be used; the message says why, and what to do."""


@dataclass
class TextTable:
    """The cells of a csv or tsv file, and what to write it with.

    Parameters
    ----------
    columns : dict of list of str
    delimiter, newline, encoding : str
        As they were found.
    gaps : set of str
        Texts of a missing cell.
    comma : bool
        Whether numbers have a decimal comma.
    """

    columns: dict[str, list[str]]
    delimiter: str = ","
    newline: str = "\n"
    encoding: str = "utf-8"
    gaps: Collection[str] = MISSING
    comma: bool = False
    codings: dict[str, Coding] = field(default_factory=dict)
    index: Collection[str] = ()
    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Which cells of a column are gaps, shape (n_rows,).

        Looked up once: a fill may happen to be written like a missing cell.
        """
        if name not in self.masks:
            cells = self.columns[name]
            gaps = {text for text in set(cells) if text.strip() in self.gaps}
            found = (cell in gaps for cell in cells)
            self.masks[name] = np.fromiter(found, dtype=bool, count=len(cells))
        return self.masks[name]

    def values(self, name: str) -> list[Any]:
        """A column as ints, floats or texts, with None in the gaps."""
        gaps = self.missing(name)
        texts = list(compress(self.columns[name], ~gaps))
        coding = self.codings.get(name)
        if coding is None:
            distinct = set(texts)
            coding = Coding.of(
                distinct, numeric=are_numbers(distinct, self.comma), comma=self.comma
            )
        values = iter(coding.values(texts))
        return [None if gap else next(values) for gap in gaps]

    def coded(
        self, names: Sequence[str], categorical: Collection[str], numeric: Collection[str]
    ) -> tuple[NDArray[np.float64], list[int]]:
        """Columns for the engine: X, and which of them hold categories.

        Raises
        ------
        InputError
            A column is neither numbers nor categories, or not the numbers it was said to be.
        """
        X = np.full((len(self.columns[names[0]]), len(names)), np.nan)
        for j, name in enumerate(names):
            texts = self._learn(name, categorical, numeric)
            X[~self.missing(name), j] = self.codings[name].numbers(texts)
            self._check_counter(name, X[:, j])
        return X, [j for j, name in enumerate(names) if self.codings[name].levels is not None]

    def framed(
        self, names: Sequence[str], categorical: Collection[str], numeric: Collection[str],
        keys: Collection[str] = (),
    ) -> tuple[Any, list[str]]:  # fmt: skip
        """Columns for who reads data frames, with dates as such and categories as texts.

        Parameters
        ----------
        names, categorical, numeric : as in `coded`
        keys : collection of str
            Columns that are to name rows: of these no warning says so.

        Returns
        -------
        frame : pandas.DataFrame
        categories : list of str
            Columns that were said to hold categories.

        Raises
        ------
        InputError
            As in `coded`.
        """
        import pandas as pd

        columns = {}
        for name in names:
            texts = self._learn(name, categorical, numeric, keys, framed=True)
            coding, gaps = self.codings[name], self.missing(name)
            cells = iter(coding.cells(texts))
            filled = [None if gap else next(cells) for gap in gaps]
            columns[name] = pd.Series(filled, dtype=coding.dtype)
            if coding.dtype == "float64" and name not in keys:
                self._check_counter(name, columns[name].to_numpy())
        return pd.DataFrame(columns), [name for name in names if name in categorical]

    def fill(self, names: Sequence[str], X: Any) -> None:
        """Write fills into the gaps of the columns that were coded or framed to X."""
        for j, name in enumerate(names):
            rows, coding = np.flatnonzero(self.missing(name)), self.codings[name]
            if isinstance(X, np.ndarray):
                fills = coding.texts(X[rows, j].tolist())
            else:
                fills = coding.written(X[name].iloc[rows].tolist())
            for row, text in zip(rows.tolist(), fills, strict=True):
                self.columns[name][row] = text
            self.masks[name] = np.zeros(len(X), dtype=bool)

    def _learn(
        self, name: str, categorical: Collection[str], numeric: Collection[str],
        keys: Collection[str] = (), *, framed: bool = False,
    ) -> list[str]:  # fmt: skip
        """Make a column's coding, and return its observed texts."""
        gaps = self.missing(name)
        texts = list(compress(self.columns[name], ~gaps))
        distinct = set(texts)
        as_numbers = name in numeric or (
            name not in categorical and are_numbers(distinct, self.comma)
        )
        form = ""
        if name in numeric:
            self._check_numbers(name, gaps)
        elif not as_numbers and name not in categorical:
            form = self._check_dates(name, distinct) if framed else ""
            if not form:
                self._check_categories(name, texts, distinct, keys, framed=framed)
        commas = [text for text in distinct if "," in text]
        if as_numbers and commas and all(map(_THOUSANDS.fullmatch, commas)):
            warnings.warn(
                f"Column {name!r}: {commas[0]!r} is read as {pointed(commas[:1], True)[0]}. "
                "If its commas group thousands, take them out.",
                UserWarning,
                stacklevel=4,
            )
        made = Coding.of(distinct, numeric=as_numbers, comma=self.comma)
        self.codings[name] = Coding(form=form) if form else made
        return texts

    def _check_counter(self, name: str, values: NDArray[np.float64]) -> None:
        coding = self.codings[name]
        if coding.levels is None and coding.places == 0 and counts_rows(values):
            warnings.warn(
                f"Column {name!r} counts the rows. If it only names them, leave it out with "
                f"--ignore {name!r}.",
                UserWarning,
                stacklevel=3,
            )

    def _check_dates(self, name: str, distinct: set[str]) -> str:
        """The format of a column of dates, "" of another one."""
        forms = dates.formats_of(distinct)
        if len(forms) == 1 or not dates.are_dates(distinct):
            return "".join(forms)
        other = "" if forms else dates.odd(distinct)
        others = (text for text in distinct if dates.DATE.fullmatch(text) and text != other)
        shown = min(others, default=other)
        why = "whose day and month cannot be told from each other"
        if other:
            why = f"but also {other!r}, which is no date that is written in this way"
        raise InputError(
            f"column {name!r} holds dates such as {shown!r}, {why}: write all as 2020-12-31, with "
            "times as 2020-12-31 23:59:59, call what is none missing with --missing, or leave the "
            f"column as it is with --ignore {name!r}."
        )

    def _check_numbers(self, name: str, gaps: NDArray[np.bool_]) -> None:
        for row in np.flatnonzero(~gaps).tolist():
            text = self.columns[name][row]
            if not all_numbers(pointed([text], self.comma)):
                raise InputError(
                    f"column {name!r} has {text!r} in line {self._line(row)}, which is no number: "
                    f"correct it, or call it missing with --missing {text!r}."
                )

    def _line(self, row: int) -> int:
        """Where a row begins in the file, whose cells may have line breaks."""
        above = [*self.columns, *(cell for cells in self.columns.values() for cell in cells[:row])]
        return row + 2 + sum(len(re.findall(r"\r\n?|\n", cell)) for cell in above)

    def _check_categories(
        self, name: str, texts: list[str], distinct: set[str], keys: Collection[str],
        *, framed: bool,
    ) -> None:  # fmt: skip
        out = f"leave it as it is with --ignore {name!r}, or fill it by --categorical {name!r}."
        if dates.are_dates(distinct):
            shown = min(filter(dates.DATE.fullmatch, distinct))
            raise InputError(
                f"column {name!r} holds dates ({shown!r}), which are neither numbers nor "
                f"categories: {out}"
            )
        if are_numbers(distinct, not self.comma):
            shown = next(text for text in texts if "," in text or "." in text)
            grouped = all(_THOUSANDS.fullmatch(text) for text in distinct if "," in text)
            way = "change it with --decimal" if self.comma or not grouped else (
                "take the commas out if they group thousands, or change the sign with --decimal"
            )  # fmt: skip
            raise InputError(
                f"column {name!r} holds numbers such as {shown!r}, but the decimal sign is "
                f"{',' if self.comma else '.'!r}: {way}; or {out}"
            )
        strange = set(strangers(pointed(distinct, self.comma)))
        if self.comma:
            strange = set(pointed(strange, self.comma))
        infinite = next((text for text in texts if text in strange and is_infinite(text)), None)
        if infinite is not None:
            raise InputError(
                f"column {name!r} has {infinite!r} in line "
                f"{self._line(self.columns[name].index(infinite))}, which cannot be averaged: "
                f"replace it, or call it missing with --missing {infinite!r}."
            )
        suspects = sorted(strange or PLACEHOLDERS.intersection(map(str.strip, distinct)))
        if suspects:
            first = min(
                row for row, text in enumerate(self.columns[name]) if text.strip() in suspects
                or text in suspects
            )  # fmt: skip
            shown = ", ".join(map(repr, suspects[:3]))
            missing = " ".join(f"--missing {text!r}" for text in suspects[:3])
            why = f"is taken for categories because of {shown}" if strange else f"holds {shown}"
            warnings.warn(
                f"Column {name!r} {why} in line {self._line(first)}. If that is a missing cell, "
                f"say {missing}; if not, --categorical {name!r}.",
                UserWarning,
                stacklevel=3,
            )
        sentences = framed and are_sentences(texts, len(distinct))
        if len(distinct) == len(texts) >= MANY and name not in keys and not sentences:
            warnings.warn(
                f"Column {name!r} has another text in every row. If that identifies the row, "
                f"leave it out with --ignore {name!r}.",
                UserWarning,
                stacklevel=3,
            )
