"""What happens to one pair of cells, to one list of neighbours and to one vote.

Plain Python on scalars: each device binds these leaves with its own compiler (``cpu`` with
``numba.njit``), so a formula is written once.  A leaf never calls another leaf by name, because
CUDA compilers cannot resolve such a call; constants are module globals, which both can.

Equation numbers are those of Choudhury & Kosorok, "Missing Data Imputation for Classification
Problems" (arXiv 2002.10709).  Differences are on the [0, 1] scale of equation 34.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

GREY = 0
"""Grey relational distance, 1 - GRG (equations 32 to 36)."""

HEOM = 1
"""Heterogeneous Euclidean-overlap metric (equations 7 to 10 and 31)."""

EUCLIDEAN = 2
"""scikit-learn's nan_euclidean: root of the mean square over the columns both rows observed,
times the root of the number of columns."""

PLAIN = 0
"""Every neighbour counts the same (GKNN)."""

WEIGHTED = 1
"""Near neighbours count more (equations 11, 12 and 36)."""

SAME_DISTANCE = 1e-12
"""Relative spread of distances below which "all the distances are equal" (equation 12)."""


ZERO, ONE = np.float32(0.0), np.float32(1.0)

WIDENING = 1.001
"""Error of the root of a sum of squares over ``packing.WIDEST`` columns, relative."""

GRAIN = 2.0**-44
"""Sums of dissimilarities below 128 are multiples of this, about 6e-14."""

SETTLING = 1.5 * 2.0**8
"""A number whose last bit is worth GRAIN, as is that of its sum with any number below 128."""


def inverse_coefficient(query: Any, donor: Any, offset: Any) -> Any:
    """One column of ``GREY`` as the search sees it: its reciprocal is larger for closer cells.

    Packed cells make this one branch-free expression serve numbers, categories and gaps, with the
    column's weight folded into all three arguments: see ``packing.py``.
    """
    return abs(query - donor) + offset


def capped_square(query: Any, donor: Any, limit: Any) -> Any:
    """One column of ``HEOM`` as the search sees it; packed as for ``inverse_coefficient``."""
    difference = min(abs(query - donor), limit)
    return difference * difference


def common_difference(query: Any, donor: Any, gap: Any) -> Any:
    """One column of ``EUCLIDEAN`` as the search sees it: 0 if the donor's cell is below ``gap``."""
    return query - donor if donor > gap else ZERO


def is_common(donor: Any, gap: Any) -> Any:
    """1 unless the donor's packed cell is below ``gap``."""
    return ONE if donor > gap else ZERO


def dissimilarity(
    metric: int, query: Any, donor: Any, categorical: Any, smallest: Any, offset: Any
) -> Any:
    """How far two cells of one column are apart; but for ``EUCLIDEAN`` in [0, 1].

    Parameters
    ----------
    metric : int
        ``GREY``: 1 - GRC (equation 32). ``HEOM``: the squared difference (equations 8 to 10).
        ``EUCLIDEAN``: the squared difference, 0 if either cell is missing.
    query, donor : float
        Cells as numbers on the [0, 1] scale or as category codes; NaN is a gap.
    categorical : bool
        Whether the column holds category codes.
    smallest, offset : float
        ``Dmin`` and ``rho * Dmax`` of the query row (equation 32); for ``GREY`` only.

    Returns
    -------
    float
        1 if either cell is missing (``EUCLIDEAN``: 0); for categories 0 or 1.
    """
    if query != query or donor != donor:
        return 0.0 if metric == EUCLIDEAN else 1.0
    if categorical:
        return 0.0 if query == donor else 1.0
    difference = abs(query - donor)
    if metric == EUCLIDEAN:
        return difference * difference
    if metric == HEOM:
        difference = min(difference, 1.0)
        return difference * difference
    if offset == 0.0:  # Dmax = 0: every comparable number equals the query's
        return 0.0
    return (difference - smallest) / (difference + offset)


def settled(total: Any) -> Any:
    """A sum of dissimilarities without its last bits.

    Two donors can be equally far by different columns, or in a different order of additions on
    another device; rounding must not decide who is nearer, the lower row shall.
    """
    return (total + SETTLING) - SETTLING


def farthest_estimate(metric: int, estimate: float, slack: float) -> float:
    """What the estimate of a donor may be that is, or may be, as near as ``estimate`` says.

    Parameters
    ----------
    metric : int
    estimate : float
        In single precision, or from a distance.
    slack : float
        Error of an estimate, or of two; for ``EUCLIDEAN`` of its root, beside a relative one.
    """
    if metric == EUCLIDEAN:
        root = math.sqrt(max(estimate, 0.0)) * WIDENING + slack
        return root * root
    return estimate + slack


def insert(distances: Any, positions: Any, last: int, distance: Any, position: Any) -> None:
    """Put one donor into a list that is sorted by distance.

    Of equal distances the lower position comes first, whatever came first in time.

    Parameters
    ----------
    distances, positions : array
        The list, changed in place.
    last : int
        What is in this place is dropped.
    distance : float
    position : int
    """
    slot = last
    while slot > 0 and (
        distances[slot - 1] > distance
        or (distances[slot - 1] == distance and positions[slot - 1] > position)
    ):
        distances[slot] = distances[slot - 1]
        positions[slot] = positions[slot - 1]
        slot -= 1
    distances[slot] = distance
    positions[slot] = position


def differences(
    column: Any, whose: Any, first: int, last: int, cell: float, own: int
) -> tuple[float, float]:
    """How far the nearest and the farthest of some numbers are from one cell (equation 32).

    Parameters
    ----------
    column : array
        Ascending from ``first`` to ``last``.
    whose : array
        Kin of each number.
    first, last : int
    cell : float
    own : int
        Numbers of this kin are passed over.

    Returns
    -------
    smallest, largest : float
        Infinity and 0 if there is no number.
    """
    low = first
    high = last
    while low < high:
        middle = (low + high) // 2
        if column[middle] < cell:
            low = middle + 1
        else:
            high = middle
    above = low
    below = above - 1
    while below >= first and whose[below] == own:
        below -= 1
    while above < last and whose[above] == own:
        above += 1
    smallest = math.inf
    largest = 0.0
    if below >= first:
        smallest = min(smallest, cell - column[below])
        while whose[first] == own:
            first += 1
        largest = max(largest, cell - column[first])
    if above < last:
        smallest = min(smallest, column[above] - cell)
        last -= 1
        while whose[last] == own:
            last -= 1
        largest = max(largest, column[last] - cell)
    return smallest, largest


def mean_weight(average: int, nearest: Any, distance: Any) -> Any:
    """Weight of a neighbour in the mean of a numeric column (equations 11 and 36).

    ``1 / distance**2``, divided by the nearest neighbour's so that it cannot overflow.  When the
    nearest is at distance 0, only such neighbours count.
    """
    if average == PLAIN:
        return 1.0
    if nearest == 0.0:
        return 1.0 if distance == 0.0 else 0.0
    return (nearest / distance) * (nearest / distance)


def vote_weight(average: int, nearest: Any, farthest: Any, distance: Any) -> Any:
    """Weight of a neighbour in the vote of a categorical column (Dudani, equation 12)."""
    if average == PLAIN or farthest - nearest <= SAME_DISTANCE * farthest:
        return 1.0
    return (farthest - distance) / (farthest - nearest)


def gaussian(z: Any) -> Any:
    """``exp(-z**2 / 2)`` in double precision, by arithmetic that vectorises on every device.

    The 64th root's Taylor series, squared six times; relative error below 1e-13, and beyond
    |z| = 9 a floor of 2e-18, which no sum that holds a point's own window can notice.
    """
    t = -min(0.5 * z * z, 40.5) / 64.0
    root = t * (1.0 / 87178291200.0) + 1.0 / 6227020800.0
    root = root * t + 1.0 / 479001600.0
    root = root * t + 1.0 / 39916800.0
    root = root * t + 1.0 / 3628800.0
    root = root * t + 1.0 / 362880.0
    root = root * t + 1.0 / 40320.0
    root = root * t + 1.0 / 5040.0
    root = root * t + 1.0 / 720.0
    root = root * t + 1.0 / 120.0
    root = root * t + 1.0 / 24.0
    root = root * t + 1.0 / 6.0
    root = root * t + 1.0 / 2.0
    root = root * t + 1.0
    root = root * t + 1.0
    root *= root
    root *= root
    root *= root
    root *= root
    root *= root
    return root * root
