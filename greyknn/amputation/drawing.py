"""The draw: which cells go, as many as wanted, with the odds of a logistic model.

In a logistic model a cell is missing if its score plus logistic noise exceeds a threshold. Here
the threshold lies where the wanted number of cells is above it, so that the number is exact and no
intercept has to be searched for: this is Pareto sampling (Rosén 1997, On sampling with probability
proportional to size), whose probabilities are, up to terms that vanish with the number of rows,
those of the logistic model whose intercept gives the wanted rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.scaling import Scale


class Unreachable(ValueError):
    """So many cells cannot go; ``most`` can."""

    def __init__(self, most: int) -> None:
        super().__init__(f"at most {most} cells can go")
        self.most = most


@dataclass(frozen=True)
class Items:
    """What goes missing as a whole: in each row, the columns of each slot.

    Parameters
    ----------
    latent : array of shape (n_rows, n_slots)
        Score plus noise; the largest go first. Ties go from top to bottom.
    size : array of shape (n_rows, n_slots)
        The observed cells of the item; 0 for one that is not to go.
    group : array of shape (n_rows, n_slots)
        Numbers from 0; each group has its own share of cells to lose.
    reach : array of shape (n_slots, n_columns)
        The columns of each slot. Items of one row that are to go do not overlap.
    """

    latent: Floats
    size: Ints
    group: Ints
    reach: Bools

    def ordered(self, n_groups: int) -> list[Ints]:
        """For each group the flat positions of its items, those that go first in front."""
        group = self.group.ravel()
        live = np.flatnonzero(self.size)
        order = live[np.lexsort((-self.latent.ravel()[live], group[live]))]
        return np.split(order, np.searchsorted(group[order], np.arange(1, n_groups)))


def draw(items: Items, observed: Bools, targets: Floats) -> Bools:
    """The cells that go: of each group as near to its target as whole items allow.

    What one group has lost too much or too little, the next one makes good. A row or a column
    never loses its last observed cell, but for the rows of a table with a single column.

    Parameters
    ----------
    items : Items
    observed : array of shape (n_rows, n_columns)
    targets : array of shape (n_groups,)
        Cells that each group is to lose.

    Raises
    ------
    Unreachable
        If a group has too few cells to lose.
    """
    orders = items.ordered(len(targets))
    size = items.size.ravel() * ~_last(items, observed, orders, targets).ravel()
    possible = np.array([size[order].sum() for order in orders])
    going = np.zeros(size.shape, dtype=bool)
    owed = 0.0  # to this group and by those before it
    for target, order, most in zip(targets, orders, possible, strict=True):
        owed += float(target)
        if owed - most > items.size.max() / 2:
            ratios = possible[targets > 0] / targets[targets > 0]
            raise Unreachable(int(ratios.min() * targets.sum()))
        lost = np.cumsum(np.append(0, size[order]))
        cut = int(np.abs(lost - owed).argmin())
        going[order[:cut]] = size[order[:cut]] > 0
        owed -= int(lost[cut])
    gone = np.zeros(observed.shape, dtype=bool)
    for slot, columns in _slots(items.reach):
        gone[:, columns] |= going.reshape(items.size.shape)[:, slot, None]
    return gone & observed


def _last(items: Items, observed: Bools, orders: list[Ints], targets: Floats) -> Bools:
    """The items that must stay, as otherwise a row or a column might lose its last observed cell.

    Of a row or column that may lose all, it is the item whose turn comes last. It would go only
    after all others, so that the odds change nowhere but where the guard is needed.
    """
    turn = np.zeros(items.size.size)
    for target, order in zip(targets, orders, strict=True):
        before = np.cumsum(items.size.ravel()[order]) - items.size.ravel()[order]
        turn[order] = before / max(target, 1e-9)
    by_slot = turn.reshape(items.size.shape)
    turns = np.full(observed.shape, -1.0)  # of cells, where they may go
    for slot, columns in _slots(items.reach):
        may_go = observed[:, columns] & (items.size[:, slot, None] > 0)
        turns[:, columns] = np.where(may_go, by_slot[:, slot, None], turns[:, columns])
    stay = np.zeros(observed.shape, dtype=bool)
    ways = [(stay, observed, turns), (stay.T, observed.T, turns.T)]
    for last, seen, cells in ways[: observed.shape[1]]:  # by columns, then by rows
        may_go = (cells >= 0) & ~last
        threatened = np.flatnonzero(seen.any(axis=0) & (may_go == seen).all(axis=0))
        last[cells[:, threatened].argmax(axis=0), threatened] = True
    items_stay: Bools = stay.astype(np.float64) @ items.reach.T > 0
    return items_stay


def _slots(reach: Bools) -> Iterator[tuple[int, Ints]]:
    return ((slot, np.flatnonzero(columns)) for slot, columns in enumerate(reach))


def standardized(values: Floats) -> Floats:
    """Columns with mean 0 and standard deviation 1; constant columns and gaps are 0."""
    values = Scale.fit(values, np.zeros(values.shape[1], dtype=bool)).scaled(values)
    count = np.maximum(np.count_nonzero(~np.isnan(values), axis=0), 1)
    centered = values - np.nansum(values, axis=0) / count
    spread = np.sqrt(np.nansum(centered**2, axis=0) / count)
    standard: Floats = np.nan_to_num(centered / np.where(spread > 1e-12, spread, 1.0))
    return standard


TYPES: dict[str, Callable[[Floats], Floats]] = {
    "right": lambda score: score,
    "left": lambda score: -score,
    "mid": lambda score: -np.abs(score),
    "tail": np.abs,
}
"""Log odds of being missing as a function of the standardized score, up to the intercept."""


def stretch_means(values: Floats, block: int) -> Floats:
    """Means over stretches of ``block`` rows, of which the last may be shorter."""
    starts = np.arange(0, len(values), block)
    lengths = np.diff(np.append(starts, len(values)))
    means: Floats = np.add.reduceat(values, starts, axis=0) / lengths[:, None]
    return means
