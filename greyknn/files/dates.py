"""Dates in texts: the one format that all of a column's are written in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import product

DATE = re.compile(r"\s*(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3\d{4})([T ]\d.*)?\s*", re.ASCII)
"""What is written like a date, whether or not there is such a day."""

DAYS = "dmY", "mdY"
TIMES = (
    "", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f",
)  # fmt: skip


def formats_of(texts: Collection[str]) -> list[str]:
    """Formats, as of ``strptime``, that all texts have.

    None if they are not dates that are written in one way; two if days and months cannot be told
    from each other.
    """
    return [form for form in _formats(min(texts, default="")) if all(_have(texts, form))]


def are_dates(texts: Collection[str]) -> bool:
    """Whether nearly all texts are written like dates."""
    n_dates = sum(DATE.fullmatch(text) is not None for text in texts)
    return n_dates > 0 and 10 * (len(texts) - n_dates) <= n_dates


def odd(texts: Collection[str]) -> str:
    """Of dates that are not written in one way, one that is no date or unlike most others."""
    order = sorted(texts)
    forms = {form for text in order for form in _formats(text)}
    fits = max((list(_have(order, form)) for form in forms), key=sum)
    return order[fits.index(False)]


def read(text: str, form: str) -> datetime:
    """The point in time that a text stands for; ValueError if it has another format."""
    return datetime.strptime(text.strip(), form)


def _formats(text: str) -> list[str]:
    """Formats that a text may have, by how it looks."""
    found = DATE.fullmatch(text)
    if found is None:
        return []
    sign = found[2] or found[3]
    days = [sign.join("%" + part for part in order) for order in (["Ymd"] if found[2] else DAYS)]
    zone = "Z" if text.rstrip().endswith("Z") else ""
    return [day + time + zone * bool(time) for day, time in product(days, TIMES)]


def _have(texts: Iterable[str], form: str) -> Iterator[bool]:
    for text in texts:
        try:
            read(text, form)
        except ValueError:
            yield False
        else:
            yield True
