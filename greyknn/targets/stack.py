"""How much each proposal counts: what would have restored the observed cells best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from greyknn.arrays import Floats

SHRINKING = 0.25
"""Pull of the shares towards equal ones, as a part of the best proposal's error."""

LEAST = 1e-6
"""Mean square that the best proposal's error counts at least for, over the outputs' variance."""

NO_SPREAD = 1e-20
"""Variance that rounding makes of equal outputs."""


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
    spread = max(outputs.var(axis=0).sum(), NO_SPREAD) * len(outputs)
    scale = max((errors**2).sum(axis=1).min(), LEAST * spread)
    # As shares sum to 1, the error of the stack is the stack of errors. Without the sign the shares
    # that make its square least are proportional to P^-1 1, P = R^T R the products of errors.
    pulled = np.vstack([errors.T / np.sqrt(scale), SHRINKING * np.eye(n_proposals)])
    factor = np.linalg.qr(pulled, mode="r")
    shares, _ = nnls(factor, solve_triangular(factor, np.ones(n_proposals), trans="T"))
    normalized: Floats = shares / shares.sum()
    return normalized
