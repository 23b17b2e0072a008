"""Warnings that point to the user's own line."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

OURS = {"greyknn", "sklearn"}
"""Packages whose lines a warning should not point to."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called greyknn, past scikit-learn's wrappers."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals["__name__"].partition(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
