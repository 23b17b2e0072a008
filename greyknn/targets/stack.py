"""How much each proposal counts: what would have restored the observed cells best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from greyknn.arrays import Floats

SHRINKING = 0.15
"""Pull of the shares towards equal ones, as a standard error of the target's spread."""

NO_SPREAD = 1e-20
"""Variance that rounding makes of equal outputs."""

TOGETHER = 100.0
"""How strictly shares sum to 1 before they are made to."""


def stacked(proposals: Sequence[Floats], outputs: Floats) -> Floats:
    """Shares of the proposals: not negative, their sum 1, of least squared leave-one-out error.

    Non-negative stacking (Breiman 1996), shrunk towards the plain mean of all proposals.

    Parameters
    ----------
    proposals : sequence of arrays of shape (n_rows, n_outputs)
        What each proposed for rows that it had not seen.
    outputs : array of shape (n_rows, n_outputs)

    Returns
    -------
    array of shape (n_proposals,)
    """
    n_proposals = len(proposals)
    errors = np.array([(proposal - outputs).ravel() for proposal in proposals])
    scale = outputs.shape[0] * outputs.var(axis=0).sum()
    pull = SHRINKING**2
    # Shares sum to 1, so the error of their sum is the sum of errors.
    products = errors @ errors.T / max(scale, len(outputs) * NO_SPREAD)
    products[np.diag_indices(n_proposals)] += pull
    factor = np.linalg.cholesky(products)
    wanted = solve_triangular(factor, np.full(n_proposals, pull / n_proposals), lower=True)
    system = np.vstack([factor.T, np.full(n_proposals, TOGETHER)])
    shares, _ = nnls(system, np.append(wanted, TOGETHER))
    normalized: Floats = shares / shares.sum()
    return normalized
