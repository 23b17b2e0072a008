"""Hashed n-grams of free text: words, pairs of words, and parts of words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Ints

BUCKETS = 2**18
"""Hashes of n-grams, so many that few of a table's n-grams share one."""

MOST_GRAMS = 256
"""N-grams of one text; of a longer text some are left out."""

SIZES = 3, 4, 5
"""Characters of an n-gram."""

_TOKENS = re.compile(r"\w+|[^\w\s]+")


def grams(strings: Sequence[str | None], buckets: int, most: int) -> NDArray[np.int64]:
    """Hashed n-grams of texts: words, pairs of words, and 3 to 5 characters of each word.

    Parameters
    ----------
    strings : sequence of n_rows str or None
        Case and ways of writing an accent do not count; accents do.
    buckets : int
        Hashes are 1 to ``buckets - 1``.
    most : int
        Of a text with more n-grams, words come first, and an even choice of the others.

    Returns
    -------
    array of shape (n_rows, most)
        Distinct in each row, 0 behind the last one. The same in every process.
    """
    places: dict[str | None, int] = {}
    places_of = [places.setdefault(string, len(places)) for string in strings]
    parts: dict[str, list[int]] = {}

    def hashed(key: str) -> int:
        return crc32(key.encode("utf-8", "surrogatepass")) % (buckets - 1) + 1

    def of_word(word: str) -> list[int]:
        padded = f" {word} "
        pieces = [padded[i : i + n] for n in SIZES for i in range(len(padded) - n + 1)]
        # Words have a mark, so that "red" is not the middle of "shredder".
        return [hashed(f"={word}"), *map(hashed, pieces)]

    table = np.zeros((len(places), most), dtype=np.int64)
    for string, place in places.items():
        words = _TOKENS.findall(unicodedata.normalize("NFC", (string or "").lower()))
        for word in words:
            if word not in parts:
                parts[word] = of_word(word)
        pairs = [hashed(f"={a} {b}") for a, b in pairwise(words)]
        first = dict.fromkeys(parts[word][0] for word in words)
        rest = dict.fromkeys(pairs)
        for word in words:
            rest.update(dict.fromkeys(parts[word]))
        others = _evenly([gram for gram in rest if gram not in first], most - len(first))
        chosen = _evenly(list(first), most) + others
        table[place, : len(chosen)] = chosen
    return table[places_of]


def _evenly(items: list[int], most: int) -> list[int]:
    """At most so many of the items, spread over all of them."""
    most = max(most, 0)
    if len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def grams_of(columns: Sequence[Sequence[str | None]]) -> NDArray[np.int64]:
    """N-grams of columns of text (n_rows, n_texts, n_grams), as wide as the longest text needs."""
    texts = np.stack([grams(strings, BUCKETS, MOST_GRAMS) for strings in columns], axis=1)
    return texts[:, :, : max(int((texts > 0).sum(axis=2).max(initial=0)), 1)]


def joined(first: Ints, second: Ints) -> Ints:
    """N-grams of two tables (n_rows, n_texts, n_grams), one below the other."""
    width = max(first.shape[2], second.shape[2])
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, 0), (0, width - part.shape[2]))) for part in (first, second)]
    )
