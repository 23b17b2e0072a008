"""First guesses of missing cells, which the network starts from and can only improve.

A prior is fitted on rows and fills rows, those or others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from greyknn.arrays import Floats
from greyknn.blas import one_blas_thread
from greyknn.deep.gaussian import Gaussian, fit_gaussian
from greyknn.deep.grey import Grey, Kernel
from greyknn.deep.layout import Layout, Rows

NAMES = ("grey", "kernel", "em", "text", "time")
"""What a prior may be called."""

WIDEST = 200
"""Outputs that a Gaussian has at most."""

MOST_LEVELS = 12
"""Categories with more outputs are not part of the Gaussian."""


class Fitted(Protocol):
    """A prior that knows some rows."""

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Guesses (n_rows, n_outputs), float32; what is told of observed cells is not looked at."""


@dataclass(frozen=True)
class Normal:
    """Conditional mean under a Gaussian of numbers and indicators of levels.

    Of series, what interpolation says about each is part of it, and always observed: how far to
    trust it, and what other columns add, is then a matter of covariances.
    """

    outputs: torch.Tensor
    owner: torch.Tensor
    model: Gaussian
    center: torch.Tensor

    @classmethod
    def fit(cls, layout: Layout, rows: Rows, generator: torch.Generator) -> Normal:
        """Fit by EM, if there are not too many columns."""
        outputs = _narrow(layout)
        owner = layout.owner[outputs]
        model = fit_gaussian(*_joined(rows, outputs, owner), generator)
        return cls(outputs, owner, model, layout.frequencies(rows))

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Conditional means of missing cells."""
        filled = self.center.repeat(len(rows), 1)
        joined = self.model.fill(*_joined(rows, self.outputs, self.owner)).float()
        filled[:, self.outputs] = joined[:, : len(self.outputs)]
        return filled


def _joined(
    rows: Rows, outputs: torch.Tensor, owner: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs, and their lines unless that is too many; and what of it is observed."""
    dense, told = rows.dense[:, outputs].double(), rows.told[:, owner]
    if rows.lines is None or 2 * len(outputs) > WIDEST:
        return dense, told
    lines = rows.lines[:, outputs].double()
    return torch.cat([dense, lines], 1), torch.cat([told, torch.ones_like(told)], 1)


def _narrow(layout: Layout) -> torch.Tensor:
    """Outputs that a Gaussian is made of: numbers, then categories with few levels."""
    chosen = list(range(min(layout.n_numbers, WIDEST)))
    for block in layout.blocks[layout.n_numbers :]:
        width = block.stop - block.start
        if width <= MOST_LEVELS and len(chosen) + width <= WIDEST:
            chosen += range(block.start, block.stop)
    return torch.tensor(chosen, dtype=torch.int64)


def fit_priors(
    names: Sequence[str], layout: Layout, values: Floats, rows: Rows, generator: torch.Generator
) -> list[Fitted]:
    """The priors of these names, fitted to rows with gaps."""
    fitted: list[Fitted] = []
    with one_blas_thread():
        if "grey" in names or "kernel" in names:
            grey = Grey.fit(layout, values, rows)
        for name in names:
            if name == "grey":
                fitted.append(grey)
            elif name == "kernel":
                fitted.append(Kernel.fit(grey, rows, generator))
            elif name == "em":
                fitted.append(Normal.fit(layout, rows, generator))
    return fitted


def guesses(
    priors: Sequence[Fitted], values: Floats, rows: Rows, layout: Layout,
    said: torch.Tensor | None = None, lines: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """All priors (n_rows, n_priors, n_outputs); observed cells are what they are.

    The last ones are what texts have said, which no hole changes, and what interpolation in time
    says, both (n_rows, n_outputs).
    """
    told = rows.told[:, layout.owner]
    filled = [prior.fill(values, rows) for prior in priors]
    filled += [each for each in (said, lines) if each is not None]
    parts = [torch.where(told, rows.dense, fill) for fill in filled]
    return (
        torch.stack(parts, 1) if parts else rows.dense.new_zeros(len(rows), 0, rows.dense.shape[1])
    )


def hidden_values(values: Floats, layout: Layout, hidden: torch.Tensor) -> Floats:
    """Coded rows with further gaps (n_rows, n_cells)."""
    holes = np.zeros(values.shape, dtype=bool)
    holes[:, layout.columns] = hidden.numpy()
    return np.where(holes, np.nan, values)
