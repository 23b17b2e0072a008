"""From what a model says to values of the table: fills, quantiles, probabilities, draws."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.heldout import LEVELS
from greyknn.deep.model import DeepModel, Predicted
from greyknn.table import Column


@dataclass(frozen=True)
class Teller:
    """Tells what was predicted in coded values.

    Attributes
    ----------
    model : DeepModel
    columns : list of Column
        Those of the model, in the order of its coded values.
    text_names : list
        Of the columns of text.
    """

    model: DeepModel
    columns: list[Column]
    text_names: list[Hashable] = field(default_factory=list)

    def fills(self, predicted: Predicted) -> Floats:
        """The value of least expected error of every cell (n_rows, n_modelled).

        Means of numbers within their observed range, the most probable level of a category, the
        median level of an ordered one.
        """
        filled = np.full((len(predicted.outputs), len(self.columns)), np.nan)
        for cell, place in self.cells():
            column = self.columns[place]
            if column.categorical:
                shares = self.shares(predicted, cell)
                filled[:, place] = _median(shares) if column.ordered else shares.argmax(axis=1)
            else:
                filled[:, place] = self.within(column, self.means(predicted, cell))
        return filled

    def draws(self, predicted: Predicted, rng: np.random.Generator) -> Floats:
        """Values drawn at random (n_rows, n_modelled)."""
        drawn = np.full((len(predicted.outputs), len(self.columns)), np.nan)
        for cell, place in self.cells():
            column, chance = self.columns[place], rng.random(len(drawn))
            if column.categorical:
                upto = self.shares(predicted, cell).cumsum(axis=1)
                found = (chance[:, None] > upto[:, :-1]).sum(axis=1)
                drawn[:, place] = found
            else:
                drawn[:, place] = self.within(column, self.quantiles(predicted, cell, chance))
        return drawn

    def cells(self) -> list[tuple[int, int]]:
        """Cell columns that are predicted, and where they stand among the coded values."""
        layout = self.model.layout
        some = np.flatnonzero(layout.targets)
        return [(int(cell), int(layout.columns[cell])) for cell in some]

    def means(self, predicted: Predicted, cell: int) -> Floats:
        """Means of a number (n_rows,)."""
        layout = self.model.layout
        means: Floats = predicted.outputs[:, cell] * layout.scales[cell] + layout.centers[cell]
        return means

    def deviations(self, predicted: Predicted, cell: int) -> Floats:
        """Standard deviations of a number (n_rows,), calibrated on held-out cells."""
        layout, known = self.model.layout, self.model.verdict.quantiles[cell]
        deviations: Floats = predicted.scales[:, cell] * known.std() * layout.scales[cell]
        return deviations

    def quantiles(self, predicted: Predicted, cell: int, levels: Floats | float) -> Floats:
        """Quantiles of a number (n_rows,); one level for all rows or one for each."""
        known = np.interp(levels, LEVELS, self.model.verdict.quantiles[cell])
        away = predicted.scales[:, cell] * known * self.model.layout.scales[cell]
        quantiles: Floats = self.means(predicted, cell) + away
        return quantiles

    def shares(self, predicted: Predicted, cell: int) -> Floats:
        """Probabilities of all levels (n_rows, n_levels); 0 for those that have no output."""
        layout = self.model.layout
        shares = np.zeros((len(predicted.outputs), len(self.columns[layout.columns[cell]].levels)))
        shares[:, layout.codes_of(cell)] = predicted.outputs[:, layout.blocks[cell]]
        return shares

    @staticmethod
    def within(column: Column, values: Floats) -> Floats:
        """Numbers within those observed."""
        return np.clip(values, float(column.low), float(column.high))


def unsure(teller: Teller, predicted: Predicted, filled: Floats, precision: float) -> Bools:
    """Cells of categories whose level is right too rarely (n_rows, n_modelled).

    A level is trusted from the confidence on from which, of held-out cells that were taken for
    it, at least this share was right.
    """
    out = np.zeros(filled.shape, dtype=bool)
    for cell, place in teller.cells():
        if not teller.columns[place].categorical:
            continue
        evidence = teller.model.verdict.evidence[cell]
        least = thresholds(*evidence, len(teller.columns[place].levels), precision)
        shares = teller.shares(predicted, cell)
        chosen = filled[:, place].astype(np.int64)
        sure = shares[np.arange(len(shares)), chosen]
        out[:, place] = sure < least[chosen]
    return out


def thresholds(
    levels: Ints, confidence: Floats, right: Bools, n_levels: int, precision: float
) -> Floats:
    """Least confidence of each level (n_levels,) at which it is trusted; inf if at none.

    Parameters
    ----------
    levels, confidence, right : array of shape (n_cells,)
        Held-out cells: what they were taken for, how surely, and whether they are.
    n_levels : int
    precision : float
    """
    least = np.full(n_levels, np.inf)
    for level in np.unique(levels):
        some = np.flatnonzero(levels == level)
        order = some[np.argsort(-confidence[some], kind="stable")]
        share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
        # Of equal confidences all are in or none.
        last = np.append(np.diff(confidence[order]) != 0, True)
        good = np.flatnonzero((share >= precision) & last)
        if len(good):
            least[level] = confidence[order[good[-1]]]
    return least


def _median(shares: Floats) -> Ints:
    """The level up to which half of the probability lies."""
    upto = shares.cumsum(axis=1)
    level: Ints = (upto < 0.5 * upto[:, -1:]).sum(axis=1)
    return level
