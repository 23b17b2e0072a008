"""The network: independent members in one batched matrix product, each starting as its priors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from greyknn.deep.layout import Layout
from greyknn.deep.recurrent import Recurrent
from greyknn.deep.sequences import Reading

SHARPNESS = 4.0
"""Logits are this times the outputs of a category, which are then of the size of numbers."""

LEAST_SHARE = 0.02
"""What a prior's probability of a level counts at least for."""

WAVES, WIDTH_OF_NUMBER = 6, 6
"""Frequencies, and size, of a number's periodic embedding."""

SLOWEST = 0.3
"""Standard deviation of its frequencies at the start, in periods per standard deviation."""

PERIODS = (365.2425 * 86_400.0, 7 * 86_400.0, 86_400.0)
"""Seconds of a year, a week and a day, whose phases are what a date is looked at by."""

FARTHEST = 6.0
"""Standard deviations from the mean that inputs count at most for."""


@dataclass(frozen=True)
class Shape:
    """How large a network is.

    Attributes
    ----------
    members : int
    hidden : int
    depth : int
        Hidden layers; 0 is a linear model.
    dropout : float
    periodic : bool
        Whether numbers are embedded by sines and cosines.
    n_priors : int
    n_embeddings : tuple of int
        Rows of the embedding of each category.
    width : int
        Size of these embeddings.
    n_texts, buckets : int
        Columns of text, and rows of the embedding of their n-grams.
    n_extras : int
        Further inputs, as of sequences.
    cell : {"gru", "lstm"} or None
        Of sequences.
    """

    members: int = 8
    hidden: int = 128
    depth: int = 2
    dropout: float = 0.15
    periodic: bool = True
    n_priors: int = 2
    n_embeddings: tuple[int, ...] = ()
    width: int = 4
    n_texts: int = 0
    buckets: int = 4096
    n_extras: int = 0
    cell: str | None = None


class Batch(NamedTuple):
    """Inputs, with leading axes (n_members, n_rows).

    Attributes
    ----------
    dense : float32 (..., n_outputs)
        0 where hidden.
    seen : bool (..., n_cells)
    embeds : int64 (..., n_categories)
    priors : float32 (..., n_priors, n_outputs)
    texts : int64 (..., n_texts, n_grams)
        0 behind the last one.
    extras : float32 (..., n_extras)
    reading : Reading or None
        Of sequences: how the rows follow one another, for all members alike.
    """

    dense: torch.Tensor
    seen: torch.Tensor
    embeds: torch.Tensor
    priors: torch.Tensor
    texts: torch.Tensor
    extras: torch.Tensor
    reading: Reading | None = None


class Packed(nn.Module):
    """As many linear layers as there are members, in one batched product."""

    def __init__(
        self, members: int, inputs: int, outputs: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(max(inputs, 1))
        weight = torch.zeros(members, inputs, outputs)
        if generator is not None:
            weight.uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, inputs, self.weight)


class Periodic(nn.Module):
    """Periodic, linear, ReLU embedding of numbers (Gorishniy et al. 2022)."""

    def __init__(self, members: int, numbers: int, generator: torch.Generator) -> None:
        super().__init__()

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        self.frequencies = nn.Parameter(draw(members, 1, numbers, WAVES) * SLOWEST)
        self.weight = nn.Parameter(
            draw(members, numbers, 2 * WAVES, WIDTH_OF_NUMBER) / math.sqrt(2 * WAVES)
        )
        self.bias = nn.Parameter(torch.zeros(members, 1, numbers, WIDTH_OF_NUMBER))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        phases = 2.0 * math.pi * self.frequencies * numbers[..., None]
        waves = torch.cat([phases.sin(), phases.cos()], -1)
        embedded = torch.einsum("kbdf,kdfe->kbde", waves, self.weight) + self.bias
        return F.relu(embedded).flatten(2)


class Embedded(nn.Module):
    """Learned embeddings of categories, side by side in one table."""

    offsets: torch.Tensor

    def __init__(
        self, members: int, sizes: tuple[int, ...], width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        stops = torch.cumsum(torch.tensor((0, *sizes)), 0)
        self.register_buffer("offsets", stops[:-1], persistent=False)
        table = torch.randn(members, int(stops[-1]), width, generator=generator) * 0.3
        self.table = nn.Parameter(table)

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        members, size, width = self.table.shape
        step = torch.arange(members, device=embeds.device)[:, None, None] * size
        return F.embedding(embeds + self.offsets + step, self.table.view(-1, width)).flatten(2)


class Grams(nn.Module):
    """Mean embedding of a text's hashed n-grams."""

    def __init__(
        self, members: int, texts: int, buckets: int, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        table = torch.randn(members, texts, buckets, width, generator=generator) * 0.3
        self.table = nn.Parameter(table)

    def forward(self, grams: torch.Tensor) -> torch.Tensor:
        members, texts, buckets, width = self.table.shape
        places = torch.arange(members * texts, device=grams.device).view(members, 1, texts, 1)
        shown = grams > 0
        # Row 0 of the table is nobody's, so that what is behind the last n-gram has no gradient.
        folded = torch.where(shown, 1 + (grams - 1) % (buckets - 1) + places * buckets, 0)
        total = F.embedding_bag(
            folded.flatten(0, 2), self.table.view(-1, width), mode="sum", padding_idx=0
        ).view(*grams.shape[:3], width)
        return (GENTLY * total / shown.sum(-1, keepdim=True).clamp(min=1).sqrt()).flatten(2)


GRAM_WIDTH = 8
GENTLY = 0.1
"""What embeddings of n-grams are multiplied by: so many that are rarely seen overfit otherwise."""


class Calendar(nn.Module):
    """Sine and cosine of the phase that a date has in a year, a week and a day."""

    speeds: torch.Tensor
    phases: torch.Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.places = np.flatnonzero(layout.dates).tolist()
        # In double precision, as standardised dates are small and seconds since 1970 are not.
        speeds = np.divide.outer(layout.scales[layout.dates], PERIODS)
        phases = np.divide.outer(layout.centers[layout.dates], PERIODS) % 1.0
        self.register_buffer("speeds", torch.from_numpy(speeds).float(), persistent=False)
        self.register_buffer("phases", torch.from_numpy(phases).float(), persistent=False)

    def forward(self, numbers: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        dates = numbers[..., self.places, None]
        turns = 2.0 * math.pi * (dates * self.speeds + self.phases)
        waves = torch.cat([turns.sin(), turns.cos()], -1)
        return (waves * seen[..., self.places, None]).flatten(2)


class Network(nn.Module):
    """From what is seen of a row to a value for every output, and a log scale for every number.

    The head starts at zero, so that the first outputs are the mean of the priors: the geometric
    mean of their probabilities.
    """

    def __init__(self, layout: Layout, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.shape, self.n_numbers = shape, layout.n_numbers
        members, hidden, outputs = shape.members, shape.hidden, layout.n_outputs
        plain = layout.n_numbers + layout.n_cells + shape.n_priors * outputs + shape.n_extras
        self.calendar = Calendar(layout) if layout.dates.any() else None
        if self.calendar is not None:
            plain += 2 * len(PERIODS) * len(self.calendar.places)
        wide = plain
        self.embedded = self.periodic = self.grams = None
        if shape.n_embeddings:
            self.embedded = Embedded(members, shape.n_embeddings, shape.width, generator)
            wide += len(shape.n_embeddings) * shape.width
        if shape.periodic and layout.n_numbers:
            self.periodic = Periodic(members, layout.n_numbers, generator)
            wide += layout.n_numbers * WIDTH_OF_NUMBER
        if shape.n_texts:
            self.grams = Grams(members, shape.n_texts, shape.buckets, GRAM_WIDTH, generator)
            wide += shape.n_texts * GRAM_WIDTH
        self.entry = self.recurrent = None
        if shape.cell is not None:
            self.entry = Packed(members, wide, hidden, generator)
            self.recurrent = Recurrent(members, hidden, hidden, shape.cell, generator)
        states = 2 * hidden if shape.cell else 0
        sizes = [states + wide] + [hidden] * shape.depth
        self.body = nn.ModuleList(Packed(members, a, b, generator) for a, b in pairwise(sizes))
        self.head = Packed(members, sizes[-1], outputs, None)
        self.line = Packed(members, wide if shape.n_texts else plain, outputs, None)
        self.spread = Packed(members, sizes[-1], layout.n_numbers, None)
        share = 1.0 / max(shape.n_priors, 1)
        self.mix = nn.Parameter(torch.full((members, 1, shape.n_priors, outputs), share))
        self.float()  # whatever the user made the default

    def forward(
        self, batch: Batch, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs (n_members, n_rows, n_outputs), log scales (n_members, n_rows, n_numbers).

        With a generator, parts of the hidden layers are dropped, as in training.
        """
        base = (as_outputs(batch.priors, self.n_numbers) * self.mix).sum(-2)
        numbers = self.n_numbers
        shown = batch.seen[..., :numbers]
        x = torch.where(shown, batch.dense[..., :numbers], base[..., :numbers].detach())
        x = x.clamp(-FARTHEST, FARTHEST)
        plain = [
            x,
            batch.seen.to(x.dtype),
            batch.priors.flatten(-2).clamp(-FARTHEST, FARTHEST),
            batch.extras,
        ]
        if self.calendar is not None:
            plain.append(self.calendar(batch.dense, shown))
        inputs = torch.cat(plain, -1)
        deep = [inputs]
        if self.embedded is not None:
            deep.append(self.embedded(batch.embeds))
        if self.periodic is not None:
            deep.append(self.periodic(x))
        if self.grams is not None:
            deep.append(self.grams(batch.texts))
        state = torch.cat(deep, -1)
        wide = state if self.grams is not None else inputs
        if self.entry is not None and self.recurrent is not None:
            if batch.reading is None:
                raise ValueError("A network of sequences needs to know how rows follow.")
            read = self.recurrent(self.entry(state).tanh(), batch.reading)
            state = torch.cat([read, state], -1)
        for layer in self.body:
            state = dropped(F.silu(layer(state)), self.shape.dropout, generator)
        outputs = base + self.line(wide) + self.head(state)
        return outputs, self.spread(state.detach())


def as_outputs(guesses: torch.Tensor, n_numbers: int) -> torch.Tensor:
    """Guesses as the outputs that say the same: of a level's probability its logarithm."""
    shares = guesses[..., n_numbers:].clamp(LEAST_SHARE, 1.0)
    return torch.cat([guesses[..., :n_numbers], shares.log() / SHARPNESS], -1)


def dropped(x: torch.Tensor, share: float, generator: torch.Generator | None) -> torch.Tensor:
    """Dropout from a generator of its own, so that torch's global one stays untouched."""
    if generator is None or share == 0.0:
        return x
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= share
    return x * kept / (1.0 - share)
