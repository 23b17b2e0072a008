"""The paper's simulated classes with cells missing at random (its equations 40 and 41).

The paper does not print means, class sizes or slopes; those here are ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn import ampute_logistic
from greyknn.arrays import Bools, Floats, Ints

N_CLASSES, CLASS_SIZE, N_COLUMNS = 3, 100, 4
SLOPES = {2: {0: 1, 1: -1}, 3: {0: -1, 1: 1}}
"""Of the two columns that lose cells on the two that never do, as `ampute_logistic` takes them."""


def random_correlations(n: int, rng: np.random.Generator) -> Floats:
    """A correlation matrix, uniform over all of them.

    The partial correlation of columns i < j given those before i is drawn from a symmetric beta
    distribution on (-1, 1) with parameter 1 + (n - 2 - i) / 2 (Joe 2006; in the order of
    Lewandowski, Kurowicka & Joe 2009, whose recursion gives the plain correlations).

    Parameters
    ----------
    n : int
        Number of columns.
    rng : numpy.random.Generator

    Returns
    -------
    float64, shape (n, n)
    """
    partial, full = np.zeros((n, n)), np.eye(n)
    for i in range(n - 1):
        a = 1 + (n - 2 - i) / 2
        partial[i, i + 1 :] = 2 * rng.beta(a, a, n - 1 - i) - 1
        for j in range(i + 1, n):
            r = partial[i, j]
            for given in range(i - 1, -1, -1):
                p, q = partial[given, i], partial[given, j]
                r = r * np.sqrt((1 - p**2) * (1 - q**2)) + p * q
            full[i, j] = full[j, i] = r
    return full


def normal_classes(rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Three normal classes around (0, ...), (1, ...) and (2, ...), each with its own covariances.

    Correlations are random, standard deviations uniform between 1 and 2.

    Returns
    -------
    X : float64, shape (300, 4)
    y : int64, shape (300,)
    """
    blocks = []
    for label in range(N_CLASSES):
        deviations = rng.uniform(1, 2, N_COLUMNS)
        covariances = random_correlations(N_COLUMNS, rng) * np.outer(deviations, deviations)
        means = np.full(N_COLUMNS, float(label))
        blocks.append(rng.multivariate_normal(means, covariances, CLASS_SIZE))
    return np.vstack(blocks), np.repeat(np.arange(N_CLASSES), CLASS_SIZE)


def random_gaps(X: Any, y: Any, rate: float, seed: int) -> Bools:
    """Cells missing at random; ``rate`` is their share of the two columns that lose any."""
    _, gaps = ampute_logistic(X, rate, slopes=SLOPES, y=y, random_state=seed, return_mask=True)
    mask: Bools = np.asarray(gaps, dtype=bool)
    return mask
