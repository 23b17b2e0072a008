"""One column with gaps: the proposals for it, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from greyknn.arrays import Floats, Ints
from greyknn.neighbors import Neighbors
from greyknn.targets import near, ridge
from greyknn.targets.stack import stacked

PROPOSALS = (
    "near rows", "near rows, weights squared", "grey ridge, sum of columns",
    "grey ridge, product of columns", "line",
)  # fmt: skip
"""What may be averaged for a fill."""

SHARPNESS = (10.0, 10.0 / 3.0)
"""Of the kernels exp(sharpness * (grade - 1)) to choose from."""

MOST_SCOUTS = 400
"""Donors that choose penalty and sharpness."""


@dataclass(frozen=True)
class Task:
    """What is to be learnt about a target.

    Parameters
    ----------
    column : int
    kinds : array of shape (n_levels,)
        Codes of a category that pillars have; none for numbers.
    given : array of shape (n_rows,)
        The column, numbers on [0, 1] or positions in ``kinds``, NaN where missing.
    pillars : array of shape (n_pillars,)
        Rows with an observed value that ridges stand on and that are left out in turn: all donors,
        or of many a random sample.
    weights : array of shape (n_columns,)
        lambda, its sum 1.
    sizes : tuple of int
        The k to choose from.
    """

    column: int
    kinds: Floats
    given: Floats
    pillars: Ints
    weights: Floats
    sizes: tuple[int, ...]

    @property
    def n_outputs(self) -> int:
        """How many numbers a proposal is: one, or a share for every level."""
        return max(len(self.kinds), 1)

    def outputs(self) -> Floats:
        """The pillars' numbers (n_pillars, 1), or ones and zeros for levels (n_pillars, levels)."""
        given = self.given[self.pillars]
        if len(self.kinds) == 0:
            return given[:, None]
        levels: Floats = (given[:, None] == np.arange(len(self.kinds))).astype(np.float64)
        return levels


@dataclass(frozen=True)
class Near:
    """Proposes the weighted mean of the k nearest donors."""

    size: int
    center: Floats

    @classmethod
    def fit(cls, task: Task, found: Neighbors, outputs: Floats) -> tuple[Near, Floats]:
        """The best k, and what it proposes for the pillars.

        Parameters
        ----------
        task : Task
        found : Neighbors
            Of the pillars, which are not their own neighbours.
        outputs : array of shape (n_pillars, n_outputs)
        """
        center, best = outputs.mean(axis=0), np.inf
        for size, mean in near.means(found, task.given, len(task.kinds), task.sizes, center):
            error = ((mean - outputs) ** 2).mean()
            if error <= best:  # of equally good sizes the largest
                best, chosen, proposed = error, size, mean
        return cls(chosen, center), proposed

    def propose(self, task: Task, found: Neighbors) -> Floats:
        """For queries whose neighbours these are."""
        sizes = (self.size,)
        return next(near.means(found, task.given, len(task.kinds), sizes, self.center))[1]


@dataclass(frozen=True)
class Resembling:
    """Proposes what a ridge regression on grades with the pillars does.

    Parameters
    ----------
    sharpness : float
        Of the kernel exp(sharpness * (grade - 1)); 0 for the grade itself.
    penalty : float
    center : array of shape (n_outputs,)
    duals : array of shape (n_pillars, n_outputs)
    """

    sharpness: float
    penalty: float
    center: Floats
    duals: Floats

    @classmethod
    def fit(
        cls, grades: Floats, outputs: Floats, sharpnesses: tuple[float, ...]
    ) -> tuple[Resembling, Floats]:
        """The best sharpness and penalty, and what they propose for the pillars.

        Parameters
        ----------
        grades : array of shape (n_pillars, n_pillars)
        outputs : array of shape (n_pillars, n_outputs)
        sharpnesses : tuple of float
        """
        scouts = np.linspace(0, len(grades) - 1, min(len(grades), MOST_SCOUTS)).astype(np.int64)
        some = grades[np.ix_(scouts, scouts)]
        tried = [(ridge.scout(resemblance(some, s), outputs[scouts]), s) for s in sharpnesses]
        (penalty, _), sharpness = min(tried, key=lambda found: found[0].error)
        duals, proposed = ridge.solve(resemblance(grades, sharpness), outputs, penalty)
        return cls(sharpness, penalty, outputs.mean(axis=0), duals), proposed

    def propose(self, kernels: ModuleType, rho: float, *compared: Any) -> Floats:
        """For queries, compared with the pillars as in ``resembling_sums``."""
        sums = np.empty((len(compared[0]), len(self.center)))
        kernels.resembling_sums(*compared, rho, self.sharpness, ridge.LEVEL, self.duals, sums)
        return sums + self.center

    def shares(self, grades: Floats, new: Floats) -> Floats:
        """What each pillar's output counts in the proposal for a query with these grades.

        Parameters
        ----------
        grades : array of shape (n_pillars, n_pillars)
        new : array of shape (n_pillars,)
        """
        kernel = resemblance(grades, self.sharpness) + ridge.LEVEL
        kernel[np.diag_indices_from(kernel)] += self.penalty
        duals = np.linalg.solve(kernel, resemblance(new, self.sharpness) + ridge.LEVEL)
        shares: Floats = duals + (1.0 - duals.sum()) / len(duals)
        return shares


def resemblance(grades: Floats, sharpness: float) -> Floats:
    """A new kernel of grades."""
    return np.exp(sharpness * (grades - 1.0)) if sharpness else grades.copy()


@dataclass
class Target:
    """What was learnt about a target.

    Parameters
    ----------
    task : Task
    nears : tuple of Near
        By the weights, and by their squares.
    resembling : tuple of Resembling
        A sum of columns, and a product.
    proposed : list of arrays of shape (n_pillars, n_outputs)
        What each of these, and last the line, proposed for the pillars.
    early : array
        Shares of the proposals without the line, which needs a table that is already filled.
    line : Line or None
    shares : array
        Of all proposals, the line's last; empty until ``add_line``.
    error : float
        Of the pillars, each left out in turn: root mean square, or share of wrong levels.
    """

    task: Task
    nears: tuple[Near, ...]
    resembling: tuple[Resembling, ...]
    proposed: list[Floats]
    early: Floats
    line: ridge.Line | None = None
    shares: Floats = field(default_factory=lambda: np.empty(0))
    error: float = np.nan

    @classmethod
    def fit(cls, task: Task, founds: tuple[Neighbors, ...], grades: Floats) -> Target:
        """All but the line.

        Parameters
        ----------
        task : Task
        founds : tuple of Neighbors
            Of the pillars, by the weights and by their squares.
        grades : array of shape (n_pillars, n_pillars)
        """
        outputs = task.outputs()
        nears = [Near.fit(task, found, outputs) for found in founds]
        resembling = [Resembling.fit(grades, outputs, kind) for kind in ((0.0,), SHARPNESS)]
        proposed = [proposal for _, proposal in (*nears, *resembling)]
        return cls(
            task, tuple(one for one, _ in nears), tuple(one for one, _ in resembling), proposed,
            stacked(proposed, outputs),
        )  # fmt: skip

    def add_line(self, inputs: Floats) -> None:
        """Let a line propose, too.

        Parameters
        ----------
        inputs : array of shape (n_pillars, n_inputs)
            Of the pillars, without those of the target itself.
        """
        outputs = self.task.outputs()
        proposed = self.proposed
        if inputs.shape[1]:
            self.line, along = ridge.draw(inputs, outputs)
            proposed = [*proposed, along]
        self.shares = stacked(proposed, outputs)
        given = self.task.given[self.task.pillars]
        fills = self.decide(proposed, self.shares)
        if len(self.task.kinds):
            self.error = float((fills != self.task.kinds[given.astype(np.int64)]).mean())
        else:
            self.error = float(np.sqrt(((fills - given) ** 2).mean()))
        self.proposed = []  # served

    def decide(self, proposals: list[Floats], shares: Floats) -> Floats:
        """The fills (n_queries,): numbers within those seen, or levels with the largest share."""
        whole = np.zeros_like(proposals[0])
        for counted, proposal in zip(shares, proposals, strict=True):
            whole += counted * proposal
        if len(self.task.kinds):
            fills: Floats = self.task.kinds[np.argmax(whole, axis=1)]
            return fills
        seen = self.task.given[~np.isnan(self.task.given)]
        return np.clip(whole[:, 0], seen.min(), seen.max())
