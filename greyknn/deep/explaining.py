"""Why a cell holds what it was filled with: effects of the other columns, and grey donors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.fills import Teller
from greyknn.deep.model import DeepModel, Predicted
from greyknn.deep.priors import fit_priors
from greyknn.deep.scoring import hidden_cells
from greyknn.deep.texts import fit_text
from greyknn.explanation import Donor
from greyknn.table import Column
from greyknn.targets import near

WORK = 40_000
FEWEST_ROWS, MOST_ROWS = 8, 200


@dataclass(frozen=True)
class Explanation:
    """What is behind a fill.

    Attributes
    ----------
    value : object
        The fill.
    effects : dict of column -> float
        How the fill would differ without each observed cell of the row, largest first: of a
        number its value with the cell less that without it, in the column's units; of a category
        the same of the probability of its level.
    donors : list of Donor
        Behind the grey prior, nearest first.
    shares : dict of str -> float
        How much the network and each prior count.
    """

    value: Any
    effects: dict[Any, float]
    donors: list[Donor]
    shares: dict[str, float]


def unknowing(model: DeepModel, holes: Bools) -> DeepModel:
    """The model with priors that do not know some cells of its reference (n_reference, n_columns).

    What a row of the reference would be filled with says nothing while it is a donor itself. A
    model of series stays as it is, as it does not keep the times of its reference.
    """
    if model.settings.cell is not None:
        return model
    layout, texts = model.layout, model.reference_texts
    reference = np.where(holes, np.nan, model.reference)
    rows = layout.rows(reference)
    drawn = torch.Generator().manual_seed(model.settings.seed)
    priors = fit_priors(model.settings.priors, layout, reference, rows, drawn)
    text = None if model.text is None else fit_text(layout, texts, rows, drawn)[0]
    return replace(model, reference=reference, priors=priors, text=text)


def explain(teller: Teller, values: Floats, texts: Ints, cell: int) -> Explanation:
    """Explain one cell of one row.

    Parameters
    ----------
    teller : Teller
    values : array of shape (1, n_modelled)
        NaN in the cell.
    texts : array of shape (1, n_texts, n_grams)
    cell : int
        A cell column of the layout.
    """
    model = teller.model
    place = int(model.layout.columns[cell])
    column = teller.columns[place]
    observed = np.flatnonzero(~np.isnan(values[0])).tolist()
    written = [i for i in range(texts.shape[1]) if texts[0, i].any()]
    without = np.repeat(values, 1 + len(observed) + len(written), axis=0)
    unread = np.repeat(texts, len(without), axis=0)
    for row, other in enumerate(observed, start=1):
        without[row, other] = np.nan
    for row, text in enumerate(written, start=1 + len(observed)):
        unread[row, text] = 0
    said = _said(teller, model.predict(without, unread), cell)
    names = [teller.columns[i].name for i in observed]
    names += [teller.text_names[i] for i in written]
    differences = said[0] - said[1:]
    order = np.argsort(-np.abs(differences), kind="stable")
    effects = {names[i]: float(differences[i]) for i in order}
    fill = teller.fills(model.predict(values, texts))[0, place]
    shares = model.verdict.reports[cell].shares
    return Explanation(told(column, fill), effects, donors(teller, values, cell), shares)


def _said(teller: Teller, predicted: Predicted, cell: int) -> Floats:
    """The mean of a number, or the probability of the first row's level (n_rows,)."""
    place = int(teller.model.layout.columns[cell])
    if not teller.columns[place].categorical:
        return teller.means(predicted, cell)
    shares = teller.shares(predicted, cell)
    best = int(teller.fills(predicted)[0, place])
    return shares[:, best]


def donors(teller: Teller, values: Floats, cell: int) -> list[Donor]:
    """The nearest rows that have the column, and how much each counts in the grey prior."""
    model = teller.model
    place = int(model.layout.columns[cell])
    grey = model.grey
    found = grey.neighbors(grey.ranked(values), cell)
    counted = near.shares(found, grey.given[:, cell])[0]
    total = counted.sum()
    return [
        Donor(
            int(model.reference_rows[row]), float(distance), float(share / total),
            told(teller.columns[place], model.reference[row, place]), True,
        )
        for row, distance, share in zip(found.rows[0], found.distances[0], counted, strict=True)
        if share > 0.0
    ]  # fmt: skip


def told(column: Column, value: float) -> Any:
    """A coded value as the user knows it."""
    if column.categorical:
        return column.levels[int(value)]
    return round(value) if column.integer else float(value)


def importance(teller: Teller, cells: Sequence[int], rng: np.random.Generator) -> Floats:
    """How much fills change when another column is hidden, too (n_cells, n_modelled).

    Mean absolute change, of numbers in standard deviations, of categories in probability.

    Parameters
    ----------
    teller : Teller
    cells : sequence of int
        Cell columns whose fills are looked at.
    rng : Generator
        Draws the rows of the reference that are asked.
    """
    known, layout = teller.model, teller.model.layout
    holes = hidden_cells(known.reference, layout.columns[list(cells)], rng)
    model = unknowing(known, holes)
    n_columns = len(teller.columns)
    n_rows = int(np.clip(WORK // max(len(cells) * n_columns, 1), FEWEST_ROWS, MOST_ROWS))
    out = np.zeros((len(cells), n_columns))
    for line, cell in enumerate(cells):
        place = int(layout.columns[cell])
        rows = np.sort(rng.permutation(np.flatnonzero(holes[:, place]))[:n_rows])
        values = known.reference[rows].copy()
        values[:, place] = np.nan
        texts = known.reference_texts[rows]
        block = layout.blocks[cell]
        full = model.predict(values, texts).outputs[:, block]
        for other in range(n_columns):
            some = ~np.isnan(values[:, other])
            if other == place or not some.any():
                continue
            less = values[some].copy()
            less[:, other] = np.nan
            change = np.abs(model.predict(less, texts[some]).outputs[:, block] - full[some])
            half = 0.5 if layout.blocks[cell].stop - block.start > 1 else 1.0
            out[line, other] = half * change.sum() / len(values)
    return out
