"""What a Gaussian says about missing cells: moments by EM, and conditional means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

SHRINKING = 0.02
"""Pull of the covariance towards its diagonal."""

JITTER = 1e-6
SETTLED = 1e-4
"""Mean square change of missing cells, in standard deviations, at which iterating ends."""

WORK = 1e8
"""Multiplications of one iteration, which bound the rows that are looked at."""

FEWEST_ROWS, MOST_ROWS = 300, 4096
MOST_ITERATIONS, ITERATIONS_WORK = 12, 5e9
"""Iterations, and multiplications of all together."""


@dataclass(frozen=True)
class Gaussian:
    """A distribution of all outputs together.

    Attributes
    ----------
    mean : array of shape (n_outputs,)
    covariance : array of shape (n_outputs, n_outputs)
        Positive definite.
    """

    mean: torch.Tensor
    covariance: torch.Tensor

    def fill(self, dense: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Conditional means of what is not seen, both (n_rows, n_outputs); the rest as it is."""
        return torch.cat([self._expected(*part)[0] for part in _parts(dense, seen, len(self.mean))])

    def _expected(
        self, dense: torch.Tensor, seen: torch.Tensor, second: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Conditional means, and the sum over rows of conditional covariances."""
        shown = seen.to(dense.dtype)
        # Rows and columns that are missing become those of the identity, so that all rows of the
        # batch are of one size.
        observed = self.covariance * shown[:, :, None] * shown[:, None, :]
        observed = observed + torch.diag_embed(1.0 - shown)
        factor = torch.linalg.cholesky_ex(observed)[0]
        away = ((dense - self.mean) * shown)[:, :, None]
        along = torch.cholesky_solve(away, factor)[:, :, 0] * shown
        filled = torch.where(seen, dense, self.mean + along @ self.covariance)
        if not second:
            return filled, torch.zeros_like(self.covariance)
        lacking = 1.0 - shown
        reach = self.covariance * shown[:, :, None]
        explained = reach.mT @ torch.cholesky_solve(reach, factor)
        pairs = lacking.T @ lacking
        rest = self.covariance * pairs - torch.einsum("nij,ni,nj->ij", explained, lacking, lacking)
        return filled, rest


def fit_gaussian(dense: torch.Tensor, seen: torch.Tensor, generator: torch.Generator) -> Gaussian:
    """Mean and covariance by expectation maximisation, from the pairwise ones on.

    Parameters
    ----------
    dense : float64, shape (n_rows, n_outputs)
    seen : bool, shape (n_rows, n_outputs)
    generator : Generator
        Of many rows some are drawn.
    """
    n_rows, width = dense.shape
    most = int(min(max(WORK / width**3, FEWEST_ROWS), MOST_ROWS))
    if n_rows > most:
        some = torch.randperm(n_rows, generator=generator)[:most]
        dense, seen = dense[some], seen[some]
    model = _pairwise(dense, seen)
    last = torch.where(seen, dense, model.mean)
    n_missing = (~seen).sum().clamp(min=1)
    n_iterations = int(min(max(ITERATIONS_WORK / (len(dense) * width**3), 2), MOST_ITERATIONS))
    for _ in range(n_iterations):
        parts = [model._expected(*part, second=True) for part in _parts(dense, seen, width)]
        filled, rest = torch.cat([part[0] for part in parts]), sum(part[1] for part in parts)
        mean = filled.mean(0)
        away = filled - mean
        model = Gaussian(mean, _shrunk((away.T @ away + rest) / len(filled)))
        change = (filled - last).square().sum() / n_missing
        last = filled
        if change < SETTLED:
            break
    return model


def _pairwise(dense: torch.Tensor, seen: torch.Tensor) -> Gaussian:
    """Moments over the rows that observed both columns, made positive definite."""
    shown = seen.to(dense.dtype)
    mean = (dense * shown).sum(0) / shown.sum(0).clamp(min=1.0)
    away = (dense - mean) * shown
    pairs = shown.T @ shown
    # A pair that few rows have in common is taken for uncorrelated.
    covariance = away.T @ away / (pairs + 2.0)
    covariance = covariance + torch.diag(
        away.square().sum(0) / shown.sum(0).clamp(min=1.0) - covariance.diagonal()
    )
    # numpy's, as the threads of torch's are slow on small matrices
    spectrum, vectors = map(torch.from_numpy, np.linalg.eigh(covariance.numpy()))
    least = SHRINKING * covariance.diagonal().mean() + JITTER
    return Gaussian(mean, _shrunk((vectors * spectrum.clamp(min=least)) @ vectors.T))


def _shrunk(covariance: torch.Tensor) -> torch.Tensor:
    diagonal = covariance.diagonal().clamp(min=JITTER)
    return covariance * (1.0 - SHRINKING) + torch.diag(SHRINKING * diagonal + JITTER)


def _parts(
    dense: torch.Tensor, seen: torch.Tensor, width: int
) -> zip[tuple[torch.Tensor, torch.Tensor]]:
    """Rows in pieces whose matrices take at most some tens of megabytes."""
    size = max(int(4e6) // width**2, 1)
    return zip(dense.split(size), seen.split(size), strict=True)
