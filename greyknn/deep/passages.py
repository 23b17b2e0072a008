"""What is learnt from tables of series: windows, whose every other copy lacks runs of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from greyknn.deep.copies import Block
from greyknn.deep.material import (
    BLOCK_COPIES,
    COPIES,
    MOST_PRIORS,
    REFERENCE,
    Material,
    usual_steps,
)
from greyknn.deep.network import Shape
from greyknn.deep.priors import Fitted, fit_priors
from greyknn.deep.sequences import LONGEST, Timeline, n_extras

TOGETHER = 16_384
"""Tables of at most so many rows are learnt from whole; of larger ones, some windows at a time."""

LEARNT = 128
"""Rows of the windows that are learnt from, shorter than those that are filled: steps of time are
what costs."""

STEPS, FASTER = 12, 1.6
"""What the rows that a step learns from, and the rate, are multiplied by beside those of tables."""

FOLDS = 10
"""Parts of the cells, of which each member gives up one; three members would lose a third."""


@dataclass
class Passages(Material):
    """Windows of series, as portions to learn from; all rows are sorted.

    Attributes
    ----------
    timeline : Timeline
        Its order is that of the rows.
    """

    timeline: Timeline

    def __post_init__(self) -> None:
        settings, n_rows = self.settings, len(self.values)
        self.rng = np.random.default_rng([settings.seed, 7919])
        self.generator = torch.Generator().manual_seed(int(self.rng.integers(2**62)))
        known = np.sort(self.rng.permutation(n_rows)[:REFERENCE])
        self.known_rows = known
        self.reference, self.reference_rows = self.values[known], self.ids[known]
        self.reference_texts = self.texts[known]
        # Folds by place in time: how the table was sorted must not matter.
        self.ids = np.arange(n_rows)
        self.timeline = replace(self.timeline, order=self.ids)
        self.whole = n_rows <= TOGETHER
        self.folds = max(FOLDS, settings.members)
        self.batch_size, self.lr = STEPS * settings.batch_size, FASTER * settings.lr
        self.steps = usual_steps(n_rows, series=True)
        if settings.max_steps is not None:
            self.steps = settings.max_steps
        self.per_block = 0 if self.whole else 64
        width = max(self.layout.n_outputs * max(len(settings.priors), 1), 1)
        if self.whole:
            n_copies = int(np.clip(MOST_PRIORS // (n_rows * width), 2, COPIES))
            self.block = self._along(self.timeline, n_copies)
        else:
            self.size = int(np.clip(MOST_PRIORS // (BLOCK_COPIES * width), 1024, TOGETHER))
            self.block = self._drawn(2)
        self.judge = self.block
        self.judge = self.shown(4 if n_rows < 400 else 2)

    def shape(self) -> Shape:
        """How large the network should be."""
        hidden = self.settings.hidden or 64
        return replace(
            super().shape(), hidden=hidden, n_extras=n_extras(self.layout), cell=self.settings.cell
        )

    def blocks(self) -> Iterator[Block]:
        """Portions to learn from, endlessly."""
        while True:
            yield self.block if self.whole else self._drawn(BLOCK_COPIES)

    def fitted(self) -> list[Fitted]:
        """Priors that know some rows without further holes."""
        rows, names = self.layout.rows(self.values), self.settings.priors
        lines, _ = self.timeline.look(rows, self.layout, self.layout.frequencies(rows))
        known = replace(self.layout.rows(self.reference), lines=lines[self.known_rows])
        return fit_priors(names, self.layout, self.reference, known, self.generator)

    def _drawn(self, n_copies: int) -> Block:
        """Windows with so many rows, each as a series of its own."""
        windows = self.timeline.windows(LONGEST, 0)
        windows = windows.chosen(self.rng.permutation(len(windows)))
        n_windows = max(int((windows.lengths.cumsum() <= self.size).sum()), 1)
        return self._along(self.timeline.part(windows.chosen(np.arange(n_windows))), n_copies)

    def _along(self, timeline: Timeline, n_copies: int) -> Block:
        block = self._block(timeline.order, n_copies, None, timeline)
        return replace(block, windows=timeline.windows(LEARNT, 0))
