"""What the cells of a column of texts stand for: numbers, categories, dates."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from greyknn.files import dates

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_ZERO_FIRST = re.compile(r"\s*[+-]?0\d", re.ASCII)
_SWAP = str.maketrans(",.", ".,")


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
    form : str
        Of dates, the format they are written in; else "".
    """

    levels: tuple[str, ...] | None = None
    places: int = 0
    comma: bool = False
    form: str = ""

    @classmethod
    def of(cls, texts: set[str], *, numeric: bool, comma: bool) -> Coding:
        """Make the coding of the different observed texts of a column."""
        if not numeric:
            return cls(tuple(sorted(texts)))
        with_point = pointed(texts, comma)
        whole = all(map(_INTEGER.fullmatch, with_point))
        return cls(None, 0 if whole else 1 + max(map(_places, with_point)), comma)

    def values(self, texts: Iterable[str]) -> list[Any]:
        """Texts as what they stand for: ints, floats or categories."""
        if self.levels is not None or self.form:
            return list(texts)
        return list(map(float if self.places else int, pointed(texts, self.comma)))

    def numbers(self, texts: Iterable[str]) -> list[float]:
        """Texts as numbers, categories as codes."""
        if self.levels is None:
            return list(map(float, pointed(texts, self.comma)))
        codes = {level: float(code) for code, level in enumerate(self.levels)}
        return [codes[text] for text in texts]

    @property
    def dtype(self) -> str:
        """What a data frame holds the column in."""
        if self.form:
            return "datetime64[us]"
        return "float64" if self.levels is None else "object"

    def cells(self, texts: Iterable[str]) -> list[Any]:
        """Texts as floats, dates, or as they are."""
        if self.form:
            return [dates.read(text, self.form) for text in texts]
        return self.numbers(texts) if self.levels is None else list(texts)

    def written(self, cells: Iterable[Any]) -> list[str]:
        """The reverse of `cells`."""
        if self.form:
            return [cell.strftime(self.form) for cell in cells]
        return self.texts(cells) if self.levels is None else list(cells)

    def texts(self, numbers: Iterable[float]) -> list[str]:
        """Write numbers no longer than need be, and codes as categories."""
        if self.levels is not None:
            return [self.levels[int(code)] for code in numbers]
        if self.places == 0:
            return [str(round(number)) for number in numbers]
        return pointed((repr(round(number, self.places)) for number in numbers), self.comma)


def pointed(texts: Iterable[str], comma: bool) -> list[str]:
    """Numbers with a decimal comma as ones with a point, and the reverse."""
    return [text.translate(_SWAP) for text in texts] if comma else list(texts)


def _places(number: str) -> int:
    digits, _, exponent = number.strip().lower().partition("e")
    return max(len(digits.partition(".")[2]) - int(exponent or 0), 0)


def all_numbers(texts: Iterable[str]) -> bool:
    """Whether all texts are finite numbers with a decimal point."""
    return all(_NUMBER.fullmatch(text) and math.isfinite(float(text)) for text in texts)


def is_infinite(text: str) -> bool:
    """Whether a text is a number beyond all bounds, or too large for float64."""
    try:
        return math.isinf(float(text))
    except ValueError:
        return False


def are_numbers(texts: set[str], comma: bool) -> bool:
    """Whether a column of these texts is one of numbers, if the user does not say it."""
    with_point = pointed(texts, comma)
    return all_numbers(with_point) and not any(map(_ZERO_FIRST.match, with_point))
