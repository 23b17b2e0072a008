"""How well a model restores cells that are hidden from it."""

from __future__ import annotations

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.fills import Teller
from greyknn.deep.reader import Read

HIDDEN = 0.2
"""Share of the observed cells that are hidden."""


def hidden_cells(values: Floats, places: Ints, rng: np.random.Generator) -> Bools:
    """Observed cells of these columns that are hidden, of each the same share."""
    holes = np.zeros(values.shape, dtype=bool)
    for place in places:
        some = np.flatnonzero(~np.isnan(values[:, place]))
        n_hidden = int(np.ceil(HIDDEN * len(some))) if len(some) > 1 else 0
        holes[rng.permutation(some)[:n_hidden], place] = True
    return holes


def skill(teller: Teller, read: Read, rng: np.random.Generator) -> float:
    """Mean over columns of 1 - error / error of the column's mean or mode; 0 if nothing is hidden.

    Parameters
    ----------
    teller : Teller
    read : Read
        Rows that the model need not have seen.
    rng : Generator
    """
    model, layout = teller.model, teller.model.layout
    places = layout.columns[layout.targets]
    holes = hidden_cells(read.values, places, rng)
    shown = np.where(holes, np.nan, read.values)
    predicted = model.predict(shown, read.texts, timeline=read.timeline)
    fills = teller.fills(predicted)
    skills = [
        _of_column(read.values[:, p], fills[:, p], holes[:, p], teller.columns[p].categorical)
        for p in places
        if holes[:, p].any()
    ]
    return float(np.mean(skills)) if skills else 0.0


def _of_column(truth: Floats, fills: Floats, hidden: Bools, categorical: bool) -> float:
    """Skill of the fills of hidden cells, beside what the visible ones alone would say."""
    visible = truth[~hidden & ~np.isnan(truth)]
    if categorical:
        common = np.bincount(visible.astype(np.int64)).argmax() if len(visible) else 0
        error = float((fills[hidden] != truth[hidden]).mean())
        naive = float((truth[hidden] != common).mean())
    else:
        # In units of the largest number, as squares of huge or tiny ones are none.
        unit = np.nanmax(np.abs(truth)) or 1.0
        truth, fills, visible = truth / unit, fills / unit, visible / unit
        center = visible.mean() if len(visible) else 0.0
        error = float(np.sqrt(((fills[hidden] - truth[hidden]) ** 2).mean()))
        naive = float(np.sqrt(((truth[hidden] - center) ** 2).mean()))
    if naive == 0.0:
        return 1.0 if error == 0.0 else 0.0
    return 1.0 - error / naive
