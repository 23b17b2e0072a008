"""Tables of texts: every observed cell keeps its very text, and fills are written like it.

A column is numbers if every observed cell is a finite
one, else categories; numbers that begin with a superfluous zero ('007') are codes, such as zip
codes, hence categories. The user can overrule both.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.messages import MANY, counts_rows, strangers

MISSING = frozenset(
    {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "na", "n/a", "#N/A", "#NA", "<NA>"}
)
"""Texts of a missing cell, whatever blanks are around them."""

PLACEHOLDERS = {"?", "-", "--", ".", "*", "unknown"}
"""Texts that may stand for a missing cell."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_ZERO_FIRST = re.compile(r"\s*[+-]?0\d", re.ASCII)
_DATE = re.compile(
    r"\s*(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3\d{4})([T ]\d.*)?\s*", re.ASCII
)
_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+(\.\d*)?\s*", re.ASCII)
_SWAP = str.maketrans(",.", ".,")


class InputError(ValueError):
    """What the user gave cannot be used; the message says why, and what to do."""


@dataclass(frozen=True)
class Coding:
    """What a column of texts holds, and the way to numbers and back.

    Parameters
    ----------
    levels : tuple of str or None
        Categories in the order of their codes; None for numbers.
    places : int
        Decimals of a filled number: one more than any observed one has, 0 among whole numbers.
    comma : bool
        Whether decimals follow a comma.
    """

    levels: tuple[str, ...] | None = None
    places: int = 0
    comma: bool = False

    @classmethod
    def of(cls, texts: set[str], *, numeric: bool, comma: bool) -> Coding:
        """Make the coding of the different observed texts of a column."""
        if not numeric:
            return cls(tuple(sorted(texts)))
        pointed = _pointed(texts, comma)
        whole = all(map(_INTEGER.fullmatch, pointed))
        return cls(None, 0 if whole else 1 + max(map(_places, pointed)), comma)

    def values(self, texts: Iterable[str]) -> list[Any]:
        """Texts as what they stand for: ints, floats or categories."""
        if self.levels is not None:
            return list(texts)
        return list(map(float if self.places else int, _pointed(texts, self.comma)))

    def numbers(self, texts: Iterable[str]) -> list[float]:
        """Texts as numbers, categories as codes."""
        if self.levels is None:
            return list(map(float, _pointed(texts, self.comma)))
        codes = {level: float(code) for code, level in enumerate(self.levels)}
        return [codes[text] for text in texts]

    def texts(self, numbers: Iterable[float]) -> list[str]:
        """Write numbers no longer than need be, and codes as categories."""
        if self.levels is not None:
            return [self.levels[int(code)] for code in numbers]
        if self.places == 0:
            return [str(round(number)) for number in numbers]
        return _pointed((repr(round(number, self.places)) for number in numbers), self.comma)


def _pointed(texts: Iterable[str], comma: bool) -> list[str]:
    """Numbers with a decimal comma as ones with a point, and the reverse."""
    return [text.translate(_SWAP) for text in texts] if comma else list(texts)


def _places(number: str) -> int:
    digits, _, exponent = number.strip().lower().partition("e")
    return max(len(digits.partition(".")[2]) - int(exponent or 0), 0)


def _all_numbers(texts: Iterable[str]) -> bool:
    return all(_NUMBER.fullmatch(text) and math.isfinite(float(text)) for text in texts)


def _infinite(text: str) -> bool:
    try:
        return math.isinf(float(text))
    except ValueError:
        return False


def _are_numbers(texts: set[str], comma: bool) -> bool:
    """Whether a column of these texts is one of numbers, if the user does not say it."""
    pointed = _pointed(texts, comma)
    return _all_numbers(pointed) and not any(map(_ZERO_FIRST.match, pointed))


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
                distinct, numeric=_are_numbers(distinct, self.comma), comma=self.comma
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
            gaps = self.missing(name)
            texts = list(compress(self.columns[name], ~gaps))
            distinct = set(texts)
            as_numbers = name in numeric or (
                name not in categorical and _are_numbers(distinct, self.comma)
            )
            if name in numeric:
                self._check_numbers(name, gaps)
            elif not as_numbers and name not in categorical:
                self._check_categories(name, texts, distinct)
            commas = [text for text in distinct if "," in text]
            if as_numbers and commas and all(map(_THOUSANDS.fullmatch, commas)):
                warnings.warn(
                    f"Column {name!r}: {commas[0]!r} is read as {_pointed(commas[:1], True)[0]}. "
                    "If its commas group thousands, take them out.",
                    UserWarning,
                    stacklevel=3,
                )
            coding = Coding.of(distinct, numeric=as_numbers, comma=self.comma)
            self.codings[name] = coding
            X[~gaps, j] = coding.numbers(texts)
            if as_numbers and coding.places == 0 and counts_rows(X[:, j]):
                warnings.warn(
                    f"Column {name!r} counts the rows. If it only names them, leave it out with "
                    f"--ignore {name!r}.",
                    UserWarning,
                    stacklevel=2,
                )
        return X, [j for j, name in enumerate(names) if self.codings[name].levels is not None]

    def fill(self, names: Sequence[str], X: NDArray[np.float64]) -> None:
        """Write fills into the gaps of the columns that were coded to X."""
        for j, name in enumerate(names):
            rows = np.flatnonzero(self.missing(name))
            fills = self.codings[name].texts(X[rows, j].tolist())
            for row, text in zip(rows.tolist(), fills, strict=True):
                self.columns[name][row] = text
            self.masks[name] = np.zeros(len(X), dtype=bool)

    def _check_numbers(self, name: str, gaps: NDArray[np.bool_]) -> None:
        for row in np.flatnonzero(~gaps).tolist():
            text = self.columns[name][row]
            if not _all_numbers(_pointed([text], self.comma)):
                raise InputError(
                    f"column {name!r} has {text!r} in line {self._line(row)}, which is no number: "
                    f"correct it, or call it missing with --missing {text!r}."
                )

    def _line(self, row: int) -> int:
        """Where a row begins in the file, whose cells may have line breaks."""
        above = [*self.columns, *(cell for cells in self.columns.values() for cell in cells[:row])]
        return row + 2 + sum(len(re.findall(r"\r\n?|\n", cell)) for cell in above)

    def _check_categories(self, name: str, texts: list[str], distinct: set[str]) -> None:
        out = f"leave it as it is with --ignore {name!r}, or fill it by --categorical {name!r}."
        dates = {text for text in distinct if _DATE.fullmatch(text)}
        if dates and 10 * len(distinct - dates) <= len(dates):
            raise InputError(
                f"column {name!r} holds dates ({min(dates)!r}), which are neither numbers nor "
                f"categories: {out}"
            )
        if _are_numbers(distinct, not self.comma):
            shown = next(text for text in texts if "," in text or "." in text)
            grouped = all(_THOUSANDS.fullmatch(text) for text in distinct if "," in text)
            way = "change it with --decimal" if self.comma or not grouped else (
                "take the commas out if they group thousands, or change the sign with --decimal"
            )  # fmt: skip
            raise InputError(
                f"column {name!r} holds numbers such as {shown!r}, but the decimal sign is "
                f"{',' if self.comma else '.'!r}: {way}; or {out}"
            )
        strange = set(strangers(_pointed(distinct, self.comma)))
        if self.comma:
            strange = set(_pointed(strange, self.comma))
        infinite = next((text for text in texts if text in strange and _infinite(text)), None)
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
        if len(distinct) == len(texts) >= MANY:
            warnings.warn(
                f"Column {name!r} has another text in every row. If that identifies the row, "
                f"leave it out with --ignore {name!r}.",
                UserWarning,
                stacklevel=3,
            )
