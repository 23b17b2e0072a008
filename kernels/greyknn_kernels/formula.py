"""What happens to one pair of cells, to one list of neighbours and to one vote.

Plain Python on scalars: each device binds these leaves with its own compiler (``cpu`` with
``numba.njit``), so a formula is written once.  A leaf never calls another leaf by name, because
CUDA compilers cannot resolve such a call; constants are module globals, which both can.

Equation numbers are those of Choudhury & Kosorok, "Missing Data Imputation for Classification
Problems" (arXiv 2002.10709).  Differences are on the [0, 1] scale of equation 34.
"""

from __future__ import annotations

from typing import Any

GREY = 0
"""Grey relational distance, 1 - GRG (equations 32 to 36)."""

HEOM = 1
"""Heterogeneous Euclidean-overlap metric (equations 7 to 10 and 31)."""

PLAIN = 0
"""Every neighbour counts the same (GKNN)."""

WEIGHTED = 1
"""Near neighbours count more (equations 11, 12 and 36)."""

SAME_DISTANCE = 1e-12
"""Relative spread of distances below which "all the distances are equal" (equation 12)."""


GRAIN = 2.0**-44
"""Distances are multiples of this, about 6e-14."""

SETTLING = 1.5 * 2.0**8
"""A number whose last bit is worth GRAIN, as is that of its sum with any number below 128."""


def search_term(metric: int, query: Any, donor: Any, weight: Any, offset: Any) -> tuple[Any, Any]:
    """One column's closeness as a fraction, for the single-precision search.

    Packed cells make one branch-free expression serve numbers, categories and gaps: see
    ``packing.py``.  Fractions of several columns are added before one division.

    Parameters
    ----------
    metric : int
        ``GREY`` or ``HEOM``; the same for all pairs, so compilers take the test out of the loop.
    query, donor : float
        Packed cells.
    weight, offset : float
        Packed with the query: for ``GREY`` ``lambda * (Dmin + rho * Dmax)`` and ``rho * Dmax``
        (equation 32), for ``HEOM`` ``lambda`` and 1.

    Returns
    -------
    numerator, denominator : float
        Their quotient is larger for closer cells.
    """
    difference = abs(query - donor)
    if metric == GREY:
        return weight, difference + offset
    difference = min(difference, offset)
    return -weight * difference * difference, offset


def dissimilarity(
    metric: int, query: Any, donor: Any, categorical: Any, smallest: Any, offset: Any
) -> Any:
    """How far two cells of one column are apart, in [0, 1].

    Parameters
    ----------
    metric : int
        ``GREY``: 1 - GRC (equation 32). ``HEOM``: the squared difference (equations 8 to 10).
    query, donor : float
        Cells as numbers on the [0, 1] scale or as category codes; NaN is a gap.
    categorical : bool
        Whether the column holds category codes.
    smallest, offset : float
        ``Dmin`` and ``rho * Dmax`` of the query row (equation 32); unused by ``HEOM``.

    Returns
    -------
    float
        1 if either cell is missing; for categories 0 or 1.
    """
    if query != query or donor != donor:
        return 1.0
    if categorical:
        return 0.0 if query == donor else 1.0
    difference = abs(query - donor)
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


def insert(distances: Any, positions: Any, distance: Any, position: Any) -> None:
    """Put one donor into a full list that is sorted by distance, dropping the last.

    A donor as far as one in the list goes behind it, so ties stay with the row that came first.

    Parameters
    ----------
    distances, positions : array of shape (k,)
        The list, changed in place; ``distance`` must be below ``distances[k - 1]``.
    distance : float
    position : int
    """
    slot = len(distances) - 1
    while slot > 0 and distances[slot - 1] > distance:
        distances[slot] = distances[slot - 1]
        positions[slot] = positions[slot - 1]
        slot -= 1
    distances[slot] = distance
    positions[slot] = position


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
