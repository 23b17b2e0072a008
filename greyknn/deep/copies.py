"""Rows with further holes, and what priors say about these: what the network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from greyknn.arrays import Floats, Ints
from greyknn.deep.layout import Layout, Rows
from greyknn.deep.priors import Fitted, fit_priors, guesses, hidden_values
from greyknn.deep.sequences import Timeline, Windows

RATES = (0.05, 0.4)
"""Share of a row's cells that a copy hides, drawn for each row."""

UNLABELLED = 0.2
"""Share of the rows of a copy that lack what is never to be predicted, such as a label."""

MOST_KNOWN = 4096
"""Rows of a copy that its priors know at most."""

RUNS = (3, 11)
"""Steps of a series that are hidden at once, in half of the copies."""

ALL_COLUMNS, ALL_STEPS = 0.2, 0.03
"""Share of the series whose runs are in all columns, and of columns hidden for a whole series."""

FEWEST = 4
"""Columns with fewer observed cells lose none of them."""


@dataclass(frozen=True)
class Block:
    """Some rows, copies of them with holes, and the priors of each copy.

    Attributes
    ----------
    rows : Rows
    hidden : bool, shape (n_copies, n_rows, n_cells)
    priors : float32, shape (n_copies, n_rows, n_priors, n_outputs)
        Fitted without the hidden cells.
    folds : int8, shape (n_rows, n_cells)
        The member that never learns from a cell; any number beyond them is none.
    texts : int64, shape (n_rows, n_texts, n_grams)
    extras : float32, shape (n_copies, n_rows, n_extras)
    weight : float32, shape (n_rows,)
    windows : Windows or None
        Of sequences: the stretches of rows that are read.
    drawn : int64, shape (n_draws,), optional
        The rows to draw from, some of them more often; by default each once.
    """

    rows: Rows
    hidden: torch.Tensor
    priors: torch.Tensor
    folds: torch.Tensor
    texts: torch.Tensor
    extras: torch.Tensor
    weight: torch.Tensor
    windows: Windows | None = None
    drawn: torch.Tensor | None = None

    def to(self, device: torch.device) -> Block:
        """The same on a device."""
        moved = {
            name: value.to(device)
            for name, value in self.__dict__.items()
            if isinstance(value, torch.Tensor)
        }
        rows = Rows(*(part.to(device) for part in vars(self.rows).values() if part is not None))
        return replace(self, rows=rows, **moved)

    @property
    def targets(self) -> torch.Tensor:
        """Cells that are hidden and could be told (n_copies, n_rows, n_cells)."""
        return self.hidden & self.rows.told


def folds_of(ids: Ints, n_cells: int, members: int, seed: int) -> torch.Tensor:
    """A fold for each cell, from the number of its row and of its column alone."""
    cells = np.arange(n_cells, dtype=np.uint64)
    keys: Any = ids.astype(np.uint64)[:, None] * np.uint64(1_000_003) + cells
    keys += np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy(((keys ^ (keys >> np.uint64(31))) % np.uint64(members)).astype(np.int8))


def draw_runs(timeline: Timeline, n_cells: int, generator: torch.Generator) -> torch.Tensor:
    """Runs of steps in single columns, or all; and whole series (n_rows, n_cells)."""
    series, places = torch.from_numpy(timeline.series), torch.from_numpy(timeline.places)
    n_rows, n_series = len(timeline), len(timeline.lengths)

    def chance(size: int, width: int) -> torch.Tensor:
        return torch.rand(size, width, generator=generator)

    low, high = RATES
    rate = (low + (high - low) * chance(n_series, 1))[series]
    shortest, longest = RUNS
    lengths = torch.randint(shortest, longest + 1, (n_rows, n_cells), generator=generator)
    begin = chance(n_rows, n_cells) < rate * 2.0 / (shortest + longest)
    together = (chance(n_series, 1) < ALL_COLUMNS)[series]
    begin = torch.where(together, begin[:, :1], begin)
    lengths = torch.where(together, lengths[:, :1], lengths)
    holes = begin.clone()
    for step in range(1, min(longest, n_rows)):
        same = (places[step:] >= step)[:, None]
        holes[step:] |= begin[:-step] & (lengths[:-step] > step) & same
    return holes | (chance(n_series, n_cells) < ALL_STEPS)[series]


def draw_holes(
    rows: Rows, layout: Layout, mask: str, generator: torch.Generator,
    timeline: Timeline | None = None,
) -> torch.Tensor:  # fmt: skip
    """Observed cells to hide (n_rows, n_cells).

    Parameters
    ----------
    mask : {"mcar", "copy"}
        Each cell by itself, at a rate drawn for its row; or what another row of the table lacks
        (Gorla et al. 2025), and where that adds nothing, as "mcar".
    timeline : Timeline, optional
        Hide runs of its steps instead.
    """
    n_rows, n_cells = rows.seen.shape
    low, high = RATES
    rate = low + (high - low) * torch.rand(n_rows, 1, generator=generator)
    holes = torch.rand(n_rows, n_cells, generator=generator) < rate
    if mask == "copy":
        lent = ~rows.seen[torch.randperm(n_rows, generator=generator)]
        adds = (lent & rows.seen).any(1, keepdim=True)
        holes = torch.where(adds, lent, holes)
    if timeline is not None:
        holes = draw_runs(timeline, n_cells, generator)
    holes &= rows.seen
    targets = torch.from_numpy(layout.targets)
    looked_at = torch.rand(n_rows, 1, generator=generator) < UNLABELLED
    holes = torch.where(targets, holes, looked_at & rows.seen)
    # A row that shows nothing has nothing to be predicted from, but such rows are filled, too.
    scarce = rows.told.sum(0) < FEWEST
    holes &= ~scarce
    left = rows.told & ~holes
    holes[:, left.sum(0) == 0] = False
    return holes


def _fitted(
    names: Sequence[str], layout: Layout, values: Floats, rows: Rows, generator: torch.Generator
) -> list[Fitted]:
    """Priors of a copy, which know some of its rows."""
    if len(values) > MOST_KNOWN:
        some = torch.randperm(len(values), generator=generator)[:MOST_KNOWN].numpy()
        values = values[some]
        lines = None if rows.lines is None else rows.lines[some]
        rows = replace(layout.rows(values), lines=lines)
    return fit_priors(names, layout, values, rows, generator)


def make_block(
    values: Floats, layout: Layout, names: Sequence[str], *, n_copies: int, mask: str,
    folds: torch.Tensor, texts: torch.Tensor, weight: torch.Tensor, generator: torch.Generator,
    fitted: Sequence[Fitted] | None = None, said: torch.Tensor | None = None,
    timeline: Timeline | None = None,
) -> Block:  # fmt: skip
    """Copies of some rows with holes, and their priors.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
    fitted : sequence of Fitted, optional
        Priors that know none of these rows; by default those of each copy are fitted to it.
    said : float32, shape (n_rows, n_outputs), optional
        Guesses by the texts of these rows, of a prior that did not learn from the row.
    timeline : Timeline, optional
        Of sequences, whose rows are sorted: every other copy hides runs, and what neighbours in
        time tell is added.
    """
    rows = layout.rows(values)
    hidden, priors, extras = [], [], []
    for copy in range(n_copies):
        holes = draw_holes(rows, layout, mask, generator, timeline if copy % 2 else None)
        seen = rows.hide(holes, layout.owner, layout.n_numbers)
        coded = hidden_values(values, layout, holes)
        beside = torch.zeros(len(rows), 0, dtype=torch.float32)
        if timeline is not None:
            lines, beside = timeline.look(seen, layout, layout.frequencies(seen))
            seen = replace(seen, lines=lines)
        known = fitted
        if known is None:
            known = _fitted(names, layout, coded, seen, generator)
        hidden.append(holes)
        along = seen.lines if "time" in names else None
        priors.append(guesses(known, coded, seen, layout, said, along))
        extras.append(beside)
    return Block(
        rows, torch.stack(hidden), torch.stack(priors), folds, texts, torch.stack(extras), weight,
    )  # fmt: skip
