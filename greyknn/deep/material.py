"""What is learnt from, and in which portions: of small tables everything, of large ones blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from greyknn.arrays import Floats, Ints
from greyknn.blas import one_blas_thread
from greyknn.deep.copies import Block, folds_of, make_block
from greyknn.deep.layout import Layout
from greyknn.deep.network import Shape
from greyknn.deep.priors import Fitted, fit_priors
from greyknn.deep.sequences import Timeline
from greyknn.deep.texts import Text, fit_text

TOGETHER = 4096
"""Tables of at most so many rows are learnt from whole; of larger ones, block by block."""

REFERENCE = 2048
"""Rows of a larger table that priors know, and that are then not learnt from."""

COPIES, BLOCK_COPIES = 16, 4
MOST_PRIORS = 100_000_000
"""Numbers that the priors of a block's copies may take."""

MOST_PAIRS = 300_000
"""Copies times pairs of columns, which bound the time that priors of a wide table take."""


@dataclass(frozen=True)
class Settings:
    """What a fit is asked to do; the parameters of ``DeepImputer`` that concern numbers."""

    priors: tuple[str, ...] = ("grey", "em")
    mask: str = "mcar"
    members: int = 8
    hidden: int | None = None
    depth: int = 2
    dropout: float = 0.15
    periodic: bool | None = None
    lr: float = 5e-3
    weight_decay: float = 0.06
    batch_size: int = 128
    max_steps: int | None = None
    patience: int = 8
    time_budget: float | None = None
    device: str = "cpu"
    seed: int = 0
    cell: str | None = None
    trees: bool = False
    amp: bool = False
    compile: bool = False


def usual_steps(n_rows: int, *, series: bool) -> int:
    """Steps to learn for, unless told otherwise."""
    if series:
        return 500
    return 800 if n_rows <= 5000 else 2000


@dataclass
class Material:
    """What is learnt from, and in which portions.

    Attributes
    ----------
    ids : array of shape (n_rows,)
        Numbers of the rows, which tell their folds.
    reference, reference_texts, reference_rows : array
        Rows that the priors of the finished model know, and their numbers.
    steps, per_block : int
        All steps, and those of a block; 0 if there is but one.
    judge : Block
        What tells how good the network is.
    """

    settings: Settings
    layout: Layout
    values: Floats
    texts: Ints
    weight: Floats
    ids: Ints

    def __post_init__(self) -> None:
        settings, n_rows = self.settings, len(self.values)
        self.rng = np.random.default_rng([settings.seed, 7919])
        self.generator = torch.Generator().manual_seed(int(self.rng.integers(2**62)))
        self.whole = n_rows <= TOGETHER
        order = self.rng.permutation(n_rows)
        known = np.arange(n_rows) if self.whole else np.sort(order[:REFERENCE])
        self.pool = np.arange(n_rows) if self.whole else np.sort(order[REFERENCE:])
        self.reference_rows, self.reference = self.ids[known], self.values[known]
        self.reference_texts = self.texts[known]
        self.folds = settings.members
        self.batch_size, self.lr = min(settings.batch_size, n_rows), settings.lr
        self.steps = usual_steps(n_rows, series=False)
        if settings.max_steps is not None:
            self.steps = settings.max_steps
        width = max(self.layout.n_outputs * max(len(settings.priors), 1), 1)
        if self.whole:
            pairs = max(self.layout.n_cells, 1) ** 2
            most = min(MOST_PRIORS // (n_rows * width), MOST_PAIRS // pairs)
            n_copies = int(np.clip(most, 2, COPIES))
            self.block = self._block(self.pool, n_copies, None)
            self.judge = self.shown(4 if n_rows < 400 else 2)
            self.per_block = 0
        else:
            self.known = fit_priors(
                settings.priors, self.layout, self.reference, self.layout.rows(self.reference),
                self.generator,
            )  # fmt: skip
            self.size = int(np.clip(MOST_PRIORS // (BLOCK_COPIES * width), 256, TOGETHER))
            judged = self.rng.choice(self.pool, min(REFERENCE, len(self.pool)), replace=False)
            self.judge = self._block(np.sort(judged), 2, self.known)
            self.per_block = 128

    def shape(self) -> Shape:
        """How large the network should be."""
        settings, n_rows = self.settings, len(self.values)
        hidden = settings.hidden or (64 if n_rows < 300 else 128 if n_rows <= 20_000 else 256)
        periodic = settings.periodic
        if periodic is None:
            periodic = n_rows >= 500 and self.layout.n_numbers <= 100
        return Shape(
            settings.members, hidden, settings.depth, settings.dropout, periodic,
            len(settings.priors), self.layout.n_embeddings, n_texts=self.texts.shape[1],
        )  # fmt: skip

    @property
    def text(self) -> Text | None:
        """What texts tell, if that is one of the priors."""
        return self._said[0] if "text" in self.settings.priors else None

    @cached_property
    def _said(self) -> tuple[Text, torch.Tensor]:
        rows = self.layout.rows(self.values)
        return fit_text(self.layout, self.texts, rows, self.generator)

    def blocks(self) -> Iterator[Block]:
        """Portions to learn from, endlessly."""
        while True:
            if self.whole:
                yield self.block
                continue
            some = self.rng.choice(self.pool, min(self.size, len(self.pool)), replace=False)
            yield self._block(np.sort(some), BLOCK_COPIES, self.known)

    def shown(self, n_copies: int) -> Block:
        """Some copies of a block whose rows tell how good the network is."""
        block = self.block if self.whole else self.judge
        return replace(
            block, hidden=block.hidden[:n_copies], priors=block.priors[:n_copies],
            extras=block.extras[:n_copies],
        )  # fmt: skip

    def fitted(self) -> list[Fitted]:
        """Priors that know the reference without further holes."""
        if not self.whole:
            return self.known
        rows = self.layout.rows(self.reference)
        return fit_priors(self.settings.priors, self.layout, self.reference, rows, self.generator)

    def _block(
        self, rows: Ints, n_copies: int, fitted: list[Fitted] | None,
        timeline: Timeline | None = None,
    ) -> Block:  # fmt: skip
        settings = self.settings
        folds = folds_of(self.ids[rows], self.layout.n_cells, self.folds, settings.seed)
        with one_blas_thread():
            block = make_block(
                self.values[rows], self.layout, settings.priors, n_copies=n_copies,
                mask=settings.mask, folds=folds, texts=torch.from_numpy(self.texts[rows]),
                weight=torch.from_numpy(self.weight[rows]).float(), generator=self.generator,
                fitted=fitted, said=None if self.text is None else self._said[1][rows],
                timeline=timeline,
            )  # fmt: skip
        device = torch.device(settings.device)
        return block if device.type == "cpu" else block.to(device)
