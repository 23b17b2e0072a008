"""Warnings that point to the user's own line, and signs of what deserves one."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

OURS = {"greyknn", "sklearn"}
"""Packages whose lines a warning should not point to."""

MANY = 20
"""From so many on, labels or categories that hardly repeat are probably none."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called greyknn, past scikit-learn's wrappers."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals["__name__"].partition(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def strangers(levels: Iterable[Any]) -> list[str]:
    """Texts that keep a column from being numbers, if most of its different texts are numbers."""
    texts = [level for level in levels if isinstance(level, str)]
    strange = [text for text in texts if not is_number(text)]
    return strange if 3 * len(strange) <= len(texts) - len(strange) else []


def hardly_repeat(n_different: int, n_all: int) -> bool:
    """Whether labels are so many and so often alone that they are probably no classes."""
    return n_different >= MANY and 2 * n_different > n_all


def are_sentences(texts: Sequence[str], n_different: int) -> bool:
    """Whether strings look like free text rather than categories: most differ, and have words."""
    n_words = sum(len(text.split()) for text in texts)
    return len(texts) > MANY and 2 * n_different > len(texts) and n_words >= 2 * len(texts)


def counts_rows(values: NDArray[np.float64]) -> bool:
    """Whether a column holds nothing but the number of the row, from wherever it begins."""
    return len(values) >= MANY and bool((np.diff(values) == 1.0).all())


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
