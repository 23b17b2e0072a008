"""Which words, levels and ranges go with a label, and which of them made one row's prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from greyknn.arrays import Floats
from greyknn.table import Column

Associations = dict[str, tuple[list[Any], Floats]]
"""For each column its tokens and their correlations with labels (n_tokens, n_labels)."""

MOST_TOKENS = 2000
MOST_WORDS = 200
"""Different words of a text that are left out in turn."""

RANGES = 4


def associations(
    frame: Any, columns: Sequence[Column], shares: Floats, tokens: str
) -> Associations:
    """Correlate what cells hold with the probabilities of labels.

    Parameters
    ----------
    frame : DataFrame of n_rows rows
    columns : sequence of Column
        Those of the frame.
    shares : array of shape (n_rows, n_labels)
    tokens : {"chars", "words"}
        What texts are taken apart into.
    """
    out: Associations = {}
    centered = shares - shares.mean(axis=0)
    norms = np.sqrt((centered**2).sum(axis=0))
    for name, column in zip(frame.columns, columns, strict=True):
        names, found = _tokens(frame[name], column, tokens)
        rate = np.asarray(found.mean(axis=0)).ravel()
        scale = np.sqrt(len(shares) * rate * (1.0 - rate))[:, None] * norms
        # Centred shares sum to 0, so that the indicators need not be centred.
        product = np.asarray(found.T @ centered)
        scores = np.divide(product, scale, out=np.zeros_like(product), where=scale > 1e-9)
        out[name] = (names, scores)
    return out


def strongest(known: Associations, label: int, k: int) -> dict[str, list[tuple[Any, float]]]:
    """The k tokens of each column that go with a label most, best first."""
    out = {}
    for column, (names, scores) in known.items():
        best = np.argsort(-scores[:, label], kind="stable")[:k]
        out[column] = [(names[place], float(scores[place, label])) for place in best]
    return out


def effects(
    row: Mapping[str, Any], texts: Sequence[str], say: Callable[[list[dict[str, Any]]], Floats],
    k: int,
) -> dict[str, list[tuple[Any, float]]]:  # fmt: skip
    """What the prediction owes to each cell of a row, and to each word of its texts.

    Parameters
    ----------
    row : mapping of column to value
        Missing are None and NaN.
    texts : sequence of str
        Columns of text.
    say : callable
        From rows to a number about each, such as a probability.
    k : int
        How many words of a text to tell, those of largest effect.

    Returns
    -------
    dict of column -> list of (value or word, effect)
        The number with it less that without it.
    """
    import pandas as pd

    rows, about = [dict(row)], []
    for column, value in row.items():
        if pd.isna(value):
            continue
        if column not in texts:
            rows.append({**row, column: None})
            about.append((column, value))
            continue
        words = str(value).split()
        for word in list(dict.fromkeys(words))[:MOST_WORDS]:
            rows.append({**row, column: " ".join(other for other in words if other != word)})
            about.append((column, word))
    said = say(rows)
    out: dict[str, list[tuple[Any, float]]] = {column: [] for column in row}
    for (column, token), without in zip(about, said[1:], strict=True):
        out[column].append((token, float(said[0] - without)))
    return {column: sorted(some, key=lambda pair: -pair[1])[:k] for column, some in out.items()}


def _tokens(series: Any, column: Column, tokens: str) -> tuple[list[Any], Any]:
    """Tokens of a column, and which cells have them (n_rows, n_tokens)."""
    observed = series.notna().to_numpy()
    if column.text:
        split = (
            {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
            if tokens == "words"
            else {"analyzer": "char_wb", "ngram_range": (3, 5)}
        )
        vectorizer = CountVectorizer(binary=True, max_features=MOST_TOKENS, **split)
        cells = [str(cell) if seen else "" for cell, seen in zip(series, observed, strict=True)]
        if any(vectorizer.build_analyzer()(cell) for cell in cells):
            found = vectorizer.fit_transform(cells)
            return vectorizer.get_feature_names_out().tolist(), found
        return [], sparse.csr_matrix((len(series), 0))
    rows = np.flatnonzero(observed)
    cells = series.to_numpy(dtype=object)[rows]
    if column.categorical:
        number = {level: place for place, level in enumerate(column.levels)}
        places = np.array([number[cell] for cell in cells], dtype=int)
        names = list(column.levels)
    elif column.empty or column.clock is not None:
        return [], sparse.csr_matrix((len(series), 0))
    else:
        values = cells.astype(float)
        cuts = np.unique(np.quantile(values, np.linspace(0, 1, RANGES + 1)))
        places = np.clip(np.searchsorted(cuts, values) - 1, 0, max(len(cuts) - 2, 0))
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(cuts)] or [f"{cuts[0]:.4g}"]
    shape = (len(series), len(names))
    return names, sparse.csr_matrix((np.ones(len(rows)), (rows, places)), shape=shape)
