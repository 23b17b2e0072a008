"""What Datawig's examples import from ``datawig.utils``: a split, and tables to try things on."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np


class ColumnOverwriteException(ValueError):
    """A column of the user's frame would be overwritten by one that ``predict`` adds."""


def random_split(
    data_frame: Any, split_ratios: Sequence[float] | None = None, seed: int = 10
) -> list[Any]:
    """Shuffle the rows of a frame and deal them out.

    Parameters
    ----------
    data_frame : DataFrame
    split_ratios : sequence of float, default=(0.8, 0.2)
        Shares of the rows. If they sum to 1, every row is in a part; Datawig may lose some.
    seed : int, default=10

    Returns
    -------
    list of DataFrame
        One for each ratio, with the index labels of their rows.
    """
    ratios = np.array([0.8, 0.2] if split_ratios is None else split_ratios, dtype=float)
    if ratios.ndim != 1 or (ratios < 0).any() or ratios.sum() > 1 + 1e-9:
        raise ValueError(
            f"split_ratios={split_ratios!r} must be shares of the rows that sum to at most 1."
        )
    shuffled = data_frame.sample(frac=1, random_state=seed)
    ends = np.rint(ratios.cumsum() * len(shuffled)).astype(int).tolist()
    return [shuffled.iloc[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def generate_df_string(
    word_length: int = 5,
    vocab_size: int = 100,
    num_labels: int = 2,
    num_words: int = 5,
    num_samples: int = 200,
    label_column_name: str = "labels",
    data_column_name: str = "sentences",
    seed: int | None = None,
) -> Any:
    """Sentences of random words, one of which is the sentence's label.

    Parameters
    ----------
    word_length, vocab_size, num_labels, num_words, num_samples : int
        Letters of a word, words that there are, how many of these are labels, other words of a
        sentence, sentences.
    label_column_name, data_column_name : str
    seed : int, optional
        Datawig's generators have none: importing it seeds the generators of the whole process.

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    letters = np.array([*string.ascii_letters, *string.digits])
    words: dict[str, None] = {}  # different ones, in the order in which they were drawn
    while len(words) < vocab_size:
        words["".join(rng.choice(letters, word_length))] = None
    labels, others = list(words)[:num_labels], list(words)[num_labels:]
    chosen = [labels[place] for place in rng.integers(num_labels, size=num_samples)]
    sentences = [
        " ".join(rng.permutation([*rng.choice(others, num_words), label])) for label in chosen
    ]
    return pd.DataFrame({data_column_name: sentences, label_column_name: chosen})


def generate_df_numeric(
    num_samples: int = 100,
    label_column_name: str = "f(x)",
    data_column_name: str = "x",
    seed: int | None = None,
) -> Any:
    """Numbers between -pi and pi, and their squares with a little noise.

    Parameters
    ----------
    num_samples : int
    label_column_name, data_column_name : str
    seed : int, optional

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    x = rng.uniform(-np.pi, np.pi, num_samples)
    squares = x**2 + rng.normal(0, 0.01, num_samples)
    return pd.DataFrame({data_column_name: x, label_column_name: squares})
