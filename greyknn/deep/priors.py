"""First guesses of missing cells, which the network starts from and can only improve.

A prior is fitted on rows and fills rows, those or others. A row never finds itself among its
donors, because a cell that is missing is not donated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from greyknn import device as devices
from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.gaussian import Gaussian, fit_gaussian
from greyknn.deep.layout import Layout, Rows
from greyknn.dependence import target_information
from greyknn.donors import DonorTables, Geometry
from greyknn.neighbors import Neighbors, nearest
from greyknn.relevance import normalized
from greyknn.scaling import Ranks
from greyknn.targets import near, ridge
from greyknn.targets.target import Resembling, resemblance

NAMES = ("grey", "kernel", "em", "text", "time")
"""What a prior may be called."""

N_NEIGHBORS = 10
MOST_PILLARS, MOST_SCOUTS = 300, 120
SHARPNESS = 10.0 / 3.0
RHO = 0.2  # distinguishing coefficient (equation 32), of ranks

WIDEST = 200
"""Columns of which every pair is looked at, and outputs that a Gaussian has at most."""

MOST_LEVELS = 12
"""Categories with more outputs are not part of the Gaussian."""


class Fitted(Protocol):
    """A prior that knows some rows."""

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Guesses (n_rows, n_outputs), float32; what is told of observed cells is not looked at."""


@dataclass(frozen=True)
class Grey:
    """Weighted mean, or share of the votes, of the nearest rows by grey relational grade.

    The search is that of "tgknn": ranks, and for each column that is filled weights by what the
    others tell about it; the label is one more column.
    """

    layout: Layout
    tables: DonorTables
    ranks: Ranks
    weights: Floats
    given: Floats
    center: torch.Tensor

    @classmethod
    def fit(cls, layout: Layout, values: Floats, rows: Rows) -> Grey:
        """Lay the donors out."""
        cells = values[:, layout.columns]
        categorical = np.append(np.zeros(layout.n_numbers, dtype=bool), ~layout.ordered)
        ranks = Ranks.fit(cells, categorical)
        seen = ranks.scaled(cells)
        everyone = np.arange(len(cells))
        others = 1.0 - np.eye(layout.n_cells)
        weights = normalized(_information(seen, categorical), others)
        kernels = devices.kernels("cpu", 0.0)
        tables = DonorTables(
            Geometry("grey", categorical, RHO, kernels), weights, seen, everyone,
            np.zeros_like(everyone), rows.told.numpy(),
        )  # fmt: skip
        return cls(layout, tables, ranks, weights, _given(layout, rows), layout.frequencies(rows))

    def neighbors(self, values: Floats, cell: int) -> Neighbors:
        """The nearest rows that told a cell column, for rows (n_queries, n_columns)."""
        seen = self.ranks.scaled(values[:, self.layout.columns])
        seen[:, cell] = np.nan
        donors = self.tables.of(cell)
        return nearest(donors, self.weights[cell], min(N_NEIGHBORS, len(donors.rows)), seen)

    def resemble(self, seen: Floats, cell: int, donors: Ints, grades: Floats) -> None:
        """Grades of ranked rows with donors, by the weights of a column."""
        geometry = self.tables.geometry
        columns = np.ascontiguousarray(self.tables.values[donors].T)
        geometry.kernels.resemblances(
            np.ascontiguousarray(seen), columns, self.weights[cell], geometry.categorical, RHO,
            grades,
        )  # fmt: skip

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Means of the nearest donors in the gaps; the mean of all where there is none."""
        filled = self.center.repeat(len(values), 1)
        seen = rows.seen.numpy()
        for cell in np.flatnonzero(~seen.all(axis=0) & self.layout.targets).tolist():
            some = np.flatnonzero(~seen[:, cell])
            if not self.tables.observed[:, cell].any():
                continue
            block = self.layout.blocks[cell]
            levels = 0 if cell < self.layout.n_numbers else block.stop - block.start
            found = self.neighbors(values[some], cell)
            size = found.rows.shape[1]
            center = self.center[block].numpy().astype(float)
            *_, (_, mean) = near.means(found, self.given[:, cell], levels, (size,), center)
            filled[some, block] = torch.from_numpy(mean).float()
        return filled


def _information(seen: Floats, categorical: Bools) -> Floats:
    """What each column tells about each, or that all tell the same where there are too many."""
    if len(categorical) > WIDEST:
        return np.ones((len(categorical),) * 2)
    return target_information(seen, categorical, len(categorical))


def _given(layout: Layout, rows: Rows) -> Floats:
    """What each row donates: standardised numbers, and outputs of categories; NaN for nothing."""
    dense, told = rows.dense.numpy(), rows.told.numpy()
    given = np.full(told.shape, np.nan)
    for cell, block in enumerate(layout.blocks):
        numbers = cell < layout.n_numbers
        given[:, cell] = dense[:, block.start] if numbers else dense[:, block].argmax(axis=1)
    return np.where(told, given, np.nan)


@dataclass(frozen=True)
class Normal:
    """Conditional mean under a Gaussian of numbers and indicators of levels."""

    outputs: torch.Tensor
    owner: torch.Tensor
    model: Gaussian
    center: torch.Tensor

    @classmethod
    def fit(cls, layout: Layout, rows: Rows, generator: torch.Generator) -> Normal:
        """Fit by EM, if there are not too many columns."""
        outputs = _narrow(layout)
        owner = layout.owner[outputs]
        model = fit_gaussian(rows.dense[:, outputs].double(), rows.told[:, owner], generator)
        return cls(outputs, owner, model, layout.frequencies(rows))

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Conditional means of missing cells."""
        filled = self.center.repeat(len(rows), 1)
        dense, told = rows.dense[:, self.outputs].double(), rows.told[:, self.owner]
        filled[:, self.outputs] = self.model.fill(dense, told).float()
        return filled


def _narrow(layout: Layout) -> torch.Tensor:
    """Outputs that a Gaussian is made of: numbers, then categories with few levels."""
    chosen = list(range(min(layout.n_numbers, WIDEST)))
    for block in layout.blocks[layout.n_numbers :]:
        width = block.stop - block.start
        if width <= MOST_LEVELS and len(chosen) + width <= WIDEST:
            chosen += range(block.start, block.stop)
    return torch.tensor(chosen, dtype=torch.int64)


@dataclass(frozen=True)
class Kernel:
    """Ridge regression of each column whose kernel is made of grey relational grades."""

    grey: Grey
    pillars: dict[int, Ints]
    learnt: dict[int, Resembling]

    @classmethod
    def fit(cls, grey: Grey, rows: Rows, generator: torch.Generator) -> Kernel:
        layout, told, dense = grey.layout, rows.told, rows.dense.double().numpy()
        seen = grey.tables.values
        pillars, learnt = {}, {}
        for cell in np.flatnonzero(layout.targets).tolist():
            donors = told[:, cell].nonzero()[:, 0]
            if len(donors) < 5:
                continue
            some = donors[torch.randperm(len(donors), generator=generator)[:MOST_PILLARS]].numpy()
            grades = np.empty((len(some),) * 2)
            grey.resemble(seen[some], cell, some, grades)
            outputs = dense[some][:, layout.blocks[cell]]
            few = slice(0, MOST_SCOUTS)
            kernel = resemblance(grades[few, few], SHARPNESS)
            penalty = ridge.scout(kernel, outputs[few]).penalty
            duals, _ = ridge.solve(resemblance(grades, SHARPNESS), outputs, penalty)
            pillars[cell] = some
            learnt[cell] = Resembling(SHARPNESS, penalty, outputs.mean(axis=0), duals)
        return cls(grey, pillars, learnt)

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        grey = self.grey
        filled = grey.center.repeat(len(values), 1)
        ranked = grey.ranks.scaled(values[:, grey.layout.columns])
        for cell, learnt in self.learnt.items():
            some = (~rows.told[:, cell]).nonzero()[:, 0].numpy()
            if len(some) == 0:
                continue
            seen = ranked[some]
            seen[:, cell] = np.nan
            donors = np.ascontiguousarray(grey.tables.values[self.pillars[cell]].T)
            kernels = grey.tables.geometry.kernels
            said = learnt.propose(kernels, RHO, np.ascontiguousarray(seen), donors, grey.weights[cell], grey.tables.geometry.categorical)
            filled[some, grey.layout.blocks[cell]] = torch.from_numpy(said).float()
        return filled


def fit_priors(
    names: Sequence[str], layout: Layout, values: Floats, rows: Rows, generator: torch.Generator
) -> list[Fitted]:
    """The priors of these names, fitted to rows with gaps."""
    fitted: list[Fitted] = []
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
    return torch.stack(parts, 1) if parts else rows.dense.new_zeros(len(rows), 0, rows.dense.shape[1])


def hidden_values(values: Floats, layout: Layout, hidden: torch.Tensor) -> Floats:
    """Coded rows with further gaps (n_rows, n_cells)."""
    holes = np.zeros(values.shape, dtype=bool)
    holes[:, layout.columns] = hidden.numpy()
    return np.where(holes, np.nan, values)

