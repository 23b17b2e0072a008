"""What near rows say about missing cells, near by grey relational grade: means, and regressions.

Search, grades and ridge regression are those of "tgknn". A row never finds itself among its donors,
because a cell that is missing is not donated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from greyknn import device as devices
from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.layout import Layout, Rows
from greyknn.dependence import target_information
from greyknn.donors import DonorTables, Geometry
from greyknn.neighbors import Neighbors, nearest
from greyknn.relevance import normalized
from greyknn.scaling import Ranks
from greyknn.targets import near, ridge
from greyknn.targets.target import Resembling, resemblance

N_NEIGHBORS = 10
RHO = 0.2  # distinguishing coefficient (equation 32), of ranks

WIDEST = 200
"""Of more columns than this not every pair is looked at: all tell the same, so that rows have the
same neighbours whatever they lack, and there are no regressions."""

CROWD = 20
"""Neighbours of such rows, not all of which have every column."""

SHARPNESS = 10.0 / 3.0
"""Of the kernel exp(sharpness * (grade - 1))."""

MOST_PILLARS, MOST_SCOUTS = 300, 120
"""Rows that a regression stands on, and that choose its penalty."""

FEWEST = 5
"""Observed cells that a regression needs."""


@dataclass(frozen=True)
class Grey:
    """Weighted mean, or share of the votes, of the nearest rows by grey relational grade.

    Attributes
    ----------
    layout : Layout
    ranks : Ranks
    seen : array of shape (n_rows, n_cells)
        Ranks of numbers, and codes.
    weights : array of shape (n_cells, n_cells)
        For each column that is filled what the others tell about it.
    given : array of shape (n_rows, n_cells)
        What each row donates: standardised numbers and outputs of categories; NaN for nothing.
    center : float32, shape (n_outputs,)
        For rows without donors.
    """

    layout: Layout
    ranks: Ranks
    seen: Floats
    weights: Floats
    given: Floats
    center: torch.Tensor

    @classmethod
    def fit(cls, layout: Layout, values: Floats, rows: Rows) -> Grey:
        """Lay out coded rows (n_rows, n_columns) as donors."""
        cells = values[:, layout.columns]
        nominal = _nominal(layout)
        ranks = Ranks.fit(cells, nominal)
        seen = ranks.scaled(cells)
        others = 1.0 - np.eye(layout.n_cells)
        weights = normalized(_information(seen, nominal), others)
        return cls(layout, ranks, seen, weights, _given(layout, rows), layout.frequencies(rows))

    @cached_property
    def tables(self) -> DonorTables:
        """The donors of each column as the search reads them."""
        geometry = Geometry("grey", _nominal(self.layout), RHO, devices.kernels("cpu"))
        everyone = np.arange(len(self.seen))
        return DonorTables(
            geometry, self.weights, self.seen, everyone, np.zeros_like(everyone),
            None if self.wide else ~np.isnan(self.given),
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "tables"}

    @property
    def wide(self) -> bool:
        """Whether a row has the same neighbours for all that it lacks."""
        return self.layout.n_cells > WIDEST

    def ranked(self, values: Floats) -> Floats:
        """Coded rows (n_rows, n_columns) as they are compared, (n_rows, n_cells)."""
        return self.ranks.scaled(values[:, self.layout.columns])

    def neighbors(self, ranked: Floats, cell: int) -> Neighbors:
        """The nearest rows that told a cell column, of rows (n_queries, n_cells) that lack it."""
        donors = self.tables.of(cell)
        if self.wide:
            most = min(CROWD, len(donors.rows))
            return nearest(donors, self.weights.mean(axis=0), most, ranked)
        most = min(N_NEIGHBORS, len(donors.rows))
        return nearest(donors, self.weights[cell], most, _without(ranked, cell))

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Means of the nearest donors in the gaps; the mean of all where there is none."""
        filled = self.center.repeat(len(values), 1)
        ranked, told = self.ranked(values), rows.told.numpy()
        of_all = self.neighbors(ranked, 0) if self.wide else None
        for cell in np.flatnonzero(~told.all(axis=0) & self.layout.targets).tolist():
            if np.isnan(self.given[:, cell]).all():
                continue
            some = np.flatnonzero(~told[:, cell])
            block = self.layout.blocks[cell]
            levels = 0 if cell < self.layout.n_numbers else block.stop - block.start
            found = self.neighbors(ranked[some], cell) if of_all is None else of_all[some]
            size = found.rows.shape[1]
            center = self.center[block].numpy().astype(float)
            *_, (_, mean) = near.means(found, self.given[:, cell], levels, (size,), center)
            filled[some, block] = torch.from_numpy(mean).float()
        return filled


@dataclass(frozen=True)
class Kernel:
    """Ridge regression of each column, whose kernel is made of grey relational grades.

    Attributes
    ----------
    grey : Grey
    pillars : dict of int -> array
        The rows that the regression of a cell column stands on.
    learnt : dict of int -> Resembling
    """

    grey: Grey
    pillars: dict[int, Ints]
    learnt: dict[int, Resembling]

    @classmethod
    def fit(cls, grey: Grey, rows: Rows, generator: torch.Generator) -> Kernel:
        """Regress each target on all other columns."""
        layout, dense = grey.layout, rows.dense.double().numpy()
        fitted = cls(grey, {}, {})
        if grey.wide:
            return fitted
        for cell in np.flatnonzero(layout.targets).tolist():
            donors = np.flatnonzero(~np.isnan(grey.given[:, cell]))
            if len(donors) < FEWEST:
                continue
            order = torch.randperm(len(donors), generator=generator)[:MOST_PILLARS]
            fitted.pillars[cell] = some = donors[order.numpy()]
            grades = np.empty((len(some),) * 2)
            kernels = grey.tables.geometry.kernels
            kernels.resemblances(*fitted._compared(grey.seen[some], cell), RHO, grades)
            outputs = dense[some][:, layout.blocks[cell]]
            few = slice(0, MOST_SCOUTS)
            scouted = ridge.scout(resemblance(grades[few, few], SHARPNESS), outputs[few])
            duals, _ = ridge.solve(resemblance(grades, SHARPNESS), outputs, scouted.penalty)
            center = outputs.mean(axis=0)
            fitted.learnt[cell] = Resembling(SHARPNESS, scouted.penalty, center, duals)
        return fitted

    def fill(self, values: Floats, rows: Rows) -> torch.Tensor:
        """Predictions of the gaps; the mean of all where there are too few donors."""
        grey = self.grey
        filled = grey.center.repeat(len(values), 1)
        ranked, told = grey.ranked(values), rows.told.numpy()
        for cell, learnt in self.learnt.items():
            some = np.flatnonzero(~told[:, cell])
            if len(some) == 0:
                continue
            compared = self._compared(_without(ranked[some], cell), cell)
            said = learnt.propose(grey.tables.geometry.kernels, RHO, *compared)
            filled[some, grey.layout.blocks[cell]] = torch.from_numpy(said).float()
        return filled

    def _compared(self, ranked: Floats, cell: int) -> tuple[Any, ...]:
        """What it takes to compare rows with the pillars of a column."""
        grey = self.grey
        pillars = np.ascontiguousarray(grey.seen[self.pillars[cell]].T)
        return np.ascontiguousarray(ranked), pillars, grey.weights[cell], _nominal(grey.layout)


def _nominal(layout: Layout) -> Bools:
    """Cell columns that are equal or not; categories in order are compared as numbers are."""
    return np.append(np.zeros(layout.n_numbers, dtype=bool), ~layout.ordered)


def _without(ranked: Floats, cell: int) -> Floats:
    """Rows that lack a column, whatever they had there."""
    less = ranked.copy()
    less[:, cell] = np.nan
    return less


def _information(seen: Floats, nominal: Bools) -> Floats:
    """What each column tells about each, or that all tell the same where there are too many."""
    if len(nominal) == 0 or len(nominal) > WIDEST:
        return np.ones((len(nominal),) * 2)
    return target_information(seen, nominal, len(nominal))


def _given(layout: Layout, rows: Rows) -> Floats:
    """Standardised numbers, and outputs of categories; NaN for what is not told."""
    dense, told = rows.dense.numpy(), rows.told.numpy()
    given = np.full(told.shape, np.nan)
    for cell, block in enumerate(layout.blocks):
        numbers = cell < layout.n_numbers
        given[:, cell] = dense[:, block.start] if numbers else dense[:, block].argmax(axis=1)
    return np.where(told, given, np.nan)
