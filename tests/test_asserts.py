"""The helpers fail when they must."""

from __future__ import annotations

import numpy as np
import pytest

from asserts import assert_fills_close, assert_observed_kept, assert_same_neighbours


def test_neighbours_may_swap_only_where_they_tie() -> None:
    reference = [(0.1, 3), (0.2, 5), (0.2, 7), (0.4, 1)]
    assert_same_neighbours([(0.1, 3), (0.2, 7)], reference)
    for wrong in (
        [(0.1, 5), (0.2, 3)],
        [(0.1, 3), (0.3, 5)],
        [(0.1, 3), (0.2, 9)],
        [*reference, (0.5, 2)],
    ):
        with pytest.raises(AssertionError):
            assert_same_neighbours(wrong, reference)


def test_observed_cells_are_compared_by_their_bits() -> None:
    before = np.array([[0.0, np.nan]])
    assert_observed_kept(before, np.array([[0.0, 1.0]]))
    for after in (
        np.array([[-0.0, 1.0]]),
        np.array([[0.0, np.nan]]),
        np.array([[0.0, 1.0]], dtype=np.float32),
    ):
        with pytest.raises(AssertionError):
            assert_observed_kept(before, after)


def test_fills_are_compared_on_the_scale_of_the_column() -> None:
    X = np.array([[0.0], [1000.0]])
    assert_fills_close(X + 1e-7, X, X)
    with pytest.raises(AssertionError):
        assert_fills_close(X + 1e-4, X, X)
