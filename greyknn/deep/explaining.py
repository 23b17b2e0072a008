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
from greyknn.deep.sequences import Timeline
from greyknn.deep.texts import fit_text
from greyknn.explanation import Donor
from greyknn.table import Column
from greyknn.targets import near

WORK = 40_000
FEWEST_ROWS, MOST_ROWS = 8, 200


@dataclass(frozen=True)
class Scene:
    """Rows as a model reads them.

    Attributes
    ----------
    values : array of shape (n_rows, n_modelled)
    texts : array of shape (n_rows, n_texts, n_grams)
    times : array of shape (n_rows,), optional
        Of rows that are one series.
    """

    values: Floats
    texts: Ints
    times: Floats | None = None


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
        the same of the probability of its level. Of series, without the column at all times; the
        column itself is there for its other times.
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


def explain(teller: Teller, scene: Scene, at: int, cell: int) -> Explanation:
    """Explain one cell of one row.

    Parameters
    ----------
    teller : Teller
    scene : Scene
        The row, or those of its series; the cell is NaN.
    at : int
        Which row of the scene.
    cell : int
        A cell column of the layout.
    """
    model = teller.model
    place = int(model.layout.columns[cell])
    observed = np.flatnonzero(~np.isnan(scene.values).all(axis=0)).tolist()
    written = np.flatnonzero(scene.texts.any(axis=(0, 2))).tolist()
    n_scenes = 1 + len(observed) + len(written)
    values = np.repeat(scene.values[None], n_scenes, axis=0)
    texts = np.repeat(scene.texts[None], n_scenes, axis=0)
    for number, other in enumerate(observed, start=1):
        values[number, :, other] = np.nan
    for number, text in enumerate(written, start=1 + len(observed)):
        texts[number, :, text] = 0
    predicted = asked(model, values, texts, scene.times).rows(
        at + len(scene.values) * np.arange(n_scenes)
    )
    said = _said(teller, predicted, cell)
    names = [teller.columns[i].name for i in observed] + [teller.text_names[i] for i in written]
    differences = said[0] - said[1:]
    order = np.argsort(-np.abs(differences), kind="stable")
    effects = {names[i]: float(differences[i]) for i in order}
    fill = teller.fills(predicted)[0, place]
    shares = model.verdict.reports[cell].shares
    behind = donors(teller, scene.values[[at]], cell) if "grey" in model.settings.priors else []
    return Explanation(told(teller.columns[place], fill), effects, behind, shares)


def asked(model: DeepModel, values: Floats, texts: Ints, times: Floats | None) -> Predicted:
    """What is expected of scenes (n_scenes, n_rows, ...), one after the other."""
    n_scenes, n_rows = values.shape[:2]
    timeline = None
    if times is not None:
        timeline = Timeline.of(np.repeat(np.arange(n_scenes), n_rows), np.tile(times, n_scenes))
    flat = n_scenes * n_rows
    return model.predict(
        values.reshape(flat, -1), texts.reshape(flat, *texts.shape[2:]), timeline=timeline
    )


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


def importance(
    teller: Teller, cells: Sequence[int], rng: np.random.Generator, scene: Scene | None = None
) -> Floats:
    """How much fills change when another column is hidden, too (n_cells, n_modelled).

    Mean absolute change, of numbers in standard deviations, of categories in probability.

    Parameters
    ----------
    teller : Teller
    cells : sequence of int
        Cell columns whose fills are looked at.
    rng : Generator
        Draws the rows of the reference that are asked.
    scene : Scene, optional
        One series, of which rows are asked instead; what its column tells by other times counts
        as that of the column itself.
    """
    known, layout = teller.model, teller.model.layout
    whole = Scene(known.reference, known.reference_texts) if scene is None else scene
    holes = hidden_cells(whole.values, layout.columns[list(cells)], rng)
    model = unknowing(known, holes) if scene is None else known
    n_columns = len(teller.columns)
    n_rows = int(np.clip(WORK // max(len(cells) * n_columns, 1), FEWEST_ROWS, MOST_ROWS))
    out = np.zeros((len(cells), n_columns))
    for line, cell in enumerate(cells):
        place, block = int(layout.columns[cell]), layout.blocks[cell]
        rows = np.sort(rng.permutation(np.flatnonzero(holes[:, place]))[:n_rows])
        values, texts, looked_at = whole.values[rows], whole.texts[rows], np.arange(len(rows))
        if scene is not None:
            values, texts, looked_at = whole.values.copy(), whole.texts, rows
            rows = np.flatnonzero(holes[:, place])
            values[rows, place] = np.nan
        else:
            values[:, place] = np.nan
        others = np.flatnonzero(~np.isnan(values).all(axis=0))
        less = np.repeat(values[None], 1 + len(others), axis=0)
        for number, other in enumerate(others, start=1):
            less[number, :, other] = np.nan
        said = asked(model, less, np.repeat(texts[None], len(less), axis=0), whole.times)
        outputs = said.outputs[:, block].reshape(*less.shape[:2], -1)[:, looked_at]
        half = 0.5 if block.stop - block.start > 1 else 1.0
        changes = half * np.abs(outputs[1:] - outputs[0]).sum(axis=2)
        out[line, others] = changes.sum(axis=1) / max(len(looked_at), 1)
    return out
