"""Comparisons that tests share; test_asserts.py sees them fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def assert_same_neighbours(
    ours: Sequence[tuple[float, int]], reference: Sequence[tuple[float, int]], tol: float = 1e-12
) -> None:
    """Equal distances, and equal rows except where distances tie to ``tol``.

    ``reference`` may be longer than ``ours``: what ties with the last of ours may take its place.
    """
    assert len(ours) <= len(reference)
    distances = np.array([distance for distance, _ in reference])
    ours_distances = np.array([distance for distance, _ in ours])
    np.testing.assert_allclose(ours_distances, distances[: len(ours)], rtol=tol, atol=tol)
    for distance, row in ours:
        tied = [r for d, r in reference if abs(d - distance) <= 2 * tol * max(1.0, distance)]
        assert row in tied, f"row {row} at {distance} is not among {tied}"


def assert_observed_kept(before: NDArray[Any], after: NDArray[Any]) -> None:
    """Observed cells are bit-identical and no gap is left."""
    assert before.shape == after.shape
    assert before.dtype == after.dtype
    observed = ~np.isnan(before)
    bits = f"u{before.dtype.itemsize}"
    assert (before.view(bits)[observed] == after.view(bits)[observed]).all()
    assert not np.isnan(after).any()


def assert_fills_close(
    ours: NDArray[np.float64], reference: Any, X: NDArray[np.float64], tol: float = 1e-9
) -> None:
    """Equal tables, up to ``tol`` times each column's spread."""
    reference = np.array(reference, dtype=float)
    spread = np.nanmax(X, axis=0) - np.nanmin(X, axis=0) + np.nanmax(np.abs(X), axis=0) * 1e-3
    assert ours.shape == reference.shape
    off = np.abs(ours - reference) > tol * np.maximum(spread, 1e-9)
    assert not off.any(), f"cells {np.argwhere(off)[:5].tolist()}: {ours[off]} {reference[off]}"
