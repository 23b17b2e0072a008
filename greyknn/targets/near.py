"""What the k nearest donors propose, for several k from one search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from greyknn.arrays import Floats, Ints
from greyknn.neighbors import Neighbors

SIZES = (1, 2, 3, 5, 8, 12, 20, 30, 40)
"""The k to choose from."""


def shares(neighbors: Neighbors, given: Floats) -> Floats:
    """Weight 1 / D^2 of each neighbour (equation 36), (n_queries, k); 0 behind the last one.

    There distances are infinite, as of rows with NaN in ``given``, which do not count. Where some
    are at no distance only these count, the limit of the formula.
    """
    distances = np.where(np.isnan(given[neighbors.rows]), np.inf, neighbors.distances)
    equal = (distances == 0.0).any(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        weights: Floats = np.where(equal, distances == 0.0, 1.0 / distances**2)
    return weights


def means(
    neighbors: Neighbors, given: Floats, levels: int, sizes: Sequence[int], center: Floats
) -> Iterator[tuple[int, Floats]]:
    """Weighted mean (equation 11), or share of the votes for each level, of the k nearest.

    Parameters
    ----------
    neighbors : Neighbors
    given : array of shape (n_rows,)
        What each row of the donors' table has of the target; NaN does not count.
    levels : int
        Of a category; 0 for numbers.
    sizes : sequence of int
        Ascending.
    center : array of shape (n_outputs,)
        For queries without neighbours that count.

    Yields
    ------
    size : int
        In turn; the last one may be fewer, if there are no more donors.
    mean : array of shape (n_queries, n_outputs)
    """
    values = given[neighbors.rows]
    weights = shares(neighbors, given)
    everyone = np.arange(len(values))
    scores = np.zeros((len(values), max(levels, 1)))
    total = np.zeros(len(values))
    for place in range(min(sizes[-1], values.shape[1])):
        weight = weights[:, place]
        total += weight
        if levels:
            codes: Ints = np.where(weight > 0.0, values[:, place], 0.0).astype(np.int64)
            scores[everyone, codes] += weight
        else:
            scores[:, 0] += np.where(weight > 0.0, weight * values[:, place], 0.0)
        if place + 1 in sizes or place + 1 == values.shape[1]:
            lonely = total == 0.0
            mean = scores / np.where(lonely, 1.0, total)[:, None]
            mean[lonely] = center
            yield place + 1, mean
