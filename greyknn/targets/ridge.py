"""Ridge regression with its leave-one-out predictions in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, lapack

from greyknn.arrays import Floats

PENALTIES = np.logspace(-3, 1.5, 10)
"""Of a kernel, relative to its mean diagonal."""

LINE_PENALTIES = np.logspace(-4, 1.5, 12)
"""Of a line, relative to the mean square of its columns."""

FAINTEST = 1e-3
"""Mean diagonal that a kernel counts at least for: rows that observed nothing resemble no row."""

LEVEL = 10.0
"""Added to a kernel within [0, 1], so that the mean of the outputs costs next to nothing."""


class Scouted(NamedTuple):
    """The best penalty of a kernel, and its mean squared leave-one-out error."""

    penalty: float
    error: float


def scout(kernel: Floats, outputs: Floats) -> Scouted:
    """Choose a penalty by leave-one-out error.

    One eigendecomposition serves all: the residual of a row that is left out is its dual variable
    over the diagonal of the inverse (Rasmussen & Williams 2006, equation 5.12).

    Parameters
    ----------
    kernel : array of shape (n_rows, n_rows)
        Positive definite.
    outputs : array of shape (n_rows, n_outputs)
    """
    spectrum, vectors = eigh(kernel + LEVEL, check_finite=False)
    along = vectors.T @ (outputs - outputs.mean(axis=0))
    squares = vectors**2
    best = Scouted(np.nan, np.inf)
    for penalty in PENALTIES * max(np.trace(kernel) / len(kernel), FAINTEST):
        inverse = 1.0 / (np.maximum(spectrum, 0.0) + penalty)
        residuals = (vectors @ (inverse[:, None] * along)) / (squares @ inverse)[:, None]
        error = float((residuals**2).mean())
        if error < best.error:
            best = Scouted(float(penalty), error)
    return best


def solve(kernel: Floats, outputs: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Dual variables, and predictions of each row by the others, both (n_rows, n_outputs).

    Parameters
    ----------
    kernel, outputs : as in ``scout``
        ``kernel`` is overwritten.
    penalty : float
    """
    kernel += LEVEL
    kernel[np.diag_indices_from(kernel)] += penalty
    factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
    duals: Floats = cho_solve(factor, outputs - outputs.mean(axis=0), check_finite=False)
    inverse, _ = lapack.dpotri(factor[0], lower=1, overwrite_c=1)
    return duals, outputs - duals / np.diag(inverse)[:, None]


class Line(NamedTuple):
    """A linear prediction: ``intercept + inputs @ slopes``.

    Parameters
    ----------
    intercept : array of shape (n_outputs,)
    slopes : array of shape (n_inputs, n_outputs)
    penalty : float
        Of the standardized inputs.
    """

    intercept: Floats
    slopes: Floats
    penalty: float

    def at(self, inputs: Floats) -> Floats:
        """Predictions (n_rows, n_outputs), each row's the same whatever the others are."""
        predicted = np.tile(self.intercept, (len(inputs), 1))
        for column, slope in zip(inputs.T, self.slopes, strict=True):
            predicted += column[:, None] * slope
        return predicted

    def shares(self, inputs: Floats, new: Floats) -> Floats:
        """What the output of each row that it was drawn through counts in a prediction.

        Parameters
        ----------
        inputs : array of shape (n_rows, n_inputs)
            What it was drawn through.
        new : array of shape (n_inputs,)
        """
        center, spread = _standard(inputs)
        left, singular, right = np.linalg.svd((inputs - center) / spread, full_matrices=False)
        along = right @ ((new - center) / spread)
        shares: Floats = left @ (singular / (singular**2 + self.penalty) * along)
        return shares + 1.0 / len(inputs)


def _standard(inputs: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each input; a constant has no slope."""
    center, spread = inputs.mean(axis=0), inputs.std(axis=0)
    return center, np.where(spread > 1e-9 * np.maximum(np.abs(center), 1.0), spread, np.inf)


def draw(inputs: Floats, outputs: Floats) -> tuple[Line, Floats]:
    """A line through all rows, its penalty chosen by leave-one-out error, and these predictions.

    Parameters
    ----------
    inputs : array of shape (n_rows, n_inputs)
        On any scale; they are standardized.
    outputs : array of shape (n_rows, n_outputs)
    """
    n_rows = len(inputs)
    (center, spread), mean = _standard(inputs), outputs.mean(axis=0)
    left, singular, right = np.linalg.svd((inputs - center) / spread, full_matrices=False)
    along, power = left.T @ (outputs - mean), singular**2
    best = np.inf
    for penalty in LINE_PENALTIES * max(power.sum() / inputs.shape[1], 1e-300):
        shrunk = power / (power + penalty)
        leverage = np.minimum(left**2 @ shrunk + 1.0 / n_rows, 1.0 - 1e-9)
        residuals = outputs - mean - left @ (shrunk[:, None] * along)
        alone = residuals / (1.0 - leverage)[:, None]
        error = (alone**2).mean()
        if error < best:
            best, found = error, (penalty, outputs - alone)
    penalty, predicted = found
    slopes = right.T @ ((singular / (power + penalty))[:, None] * along) / spread[:, None]
    return Line(mean - center @ slopes, slopes, penalty), predicted
