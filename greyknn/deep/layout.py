"""What the columns of a coded table are to a network, and rows in those terms.

A coded table is the table room's: float64 numbers and category codes, NaN in gaps. To the network
a number is one standardised output, a category one output for each of its more frequent levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

from greyknn.arrays import Bools, Floats, Ints

MOST_HEADS = 128
"""Levels of a category that can be predicted, the most frequent ones; others are input only."""

FEWEST = 2
"""Levels seen less often have no embedding of their own, but share that of unknown ones."""

FARTHEST = 10.0
"""Standard deviations from the mean that a number counts at most for."""

MISSING, OTHER = 0, 1
"""Embeddings of a missing cell, and of rare and unknown levels."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table in the network's terms.

    Attributes
    ----------
    dense : float32, shape (n_rows, n_outputs)
        Standardised numbers and indicators of levels, 0 where missing.
    embeds : int64, shape (n_rows, n_categories)
    seen : bool, shape (n_rows, n_cells)
        Observed; ``n_cells`` columns are numbers first, then categories.
    told : bool, shape (n_rows, n_cells)
        Observed, and among what the network can predict.
    lines : float32, shape (n_rows, n_outputs), optional
        Of series: what interpolation in time says about each cell without looking at it.
    """

    dense: torch.Tensor
    embeds: torch.Tensor
    seen: torch.Tensor
    told: torch.Tensor
    lines: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.seen)

    def hide(self, hidden: torch.Tensor, owner: torch.Tensor, n_numbers: int) -> Rows:
        """The same rows with further gaps (n_rows, n_cells), without lines."""
        seen = self.seen & ~hidden
        dense = torch.where(seen[:, owner], self.dense, 0.0)
        embeds = torch.where(seen[:, n_numbers:], self.embeds, MISSING)
        return Rows(dense, embeds, seen, self.told & ~hidden)


@dataclass(frozen=True)
class Layout:
    """Where each column of a coded table goes.

    Attributes
    ----------
    numbers, categories : array
        Positions of these columns in the coded table.
    centers, scales : array of shape (n_numbers,)
        A number is standardised to (value - center) / scale.
    slots : tuple of arrays
        For each category: the output of each code, or ``heads`` for one that has none.
    embeddings : tuple of arrays
        For each category: the embedding of each code.
    heads : tuple of int
        Outputs of each category.
    counts : tuple of arrays
        For each category: how often each code was seen.
    targets : array of shape (n_numbers + n_categories,)
        Whether these columns are to be predicted; a label is only looked at.
    ordered : array of shape (n_categories,)
        Whether codes are in order.
    dates : array of shape (n_numbers,)
        Whether numbers are seconds since 1970.
    """

    numbers: Ints
    categories: Ints
    centers: Floats
    scales: Floats
    slots: tuple[Ints, ...]
    embeddings: tuple[Ints, ...]
    heads: tuple[int, ...]
    counts: tuple[Ints, ...]
    targets: Bools
    ordered: Bools
    dates: Bools

    @classmethod
    def fit(
        cls, values: Floats, categorical: Bools, levels: Ints, targets: Bools,
        ordered: Bools | None = None, dates: Bools | None = None,
    ) -> Layout:  # fmt: skip
        """Learn the scales of numbers and the frequent levels of categories.

        Parameters
        ----------
        values : array of shape (n_rows, n_columns)
            Every column has an observed value.
        categorical, targets : array of shape (n_columns,)
        levels : array of shape (n_columns,)
            How many codes a category has; 0 for numbers.
        ordered, dates : array of shape (n_columns,), optional
            Categories whose codes are in order; numbers that are seconds since 1970.
        """
        none = np.zeros(len(categorical), dtype=bool)
        ordered, dates = (none if mask is None else mask for mask in (ordered, dates))
        numbers, categories = np.flatnonzero(~categorical), np.flatnonzero(categorical)
        centers, scales = _standard(values[:, numbers])
        slots, embeddings, heads, frequencies = [], [], [], []
        for column in categories:
            codes = values[~np.isnan(values[:, column]), column].astype(np.int64)
            counts = np.bincount(codes, minlength=int(levels[column]))
            slot, n_heads = _by_frequency(counts, 1, MOST_HEADS)
            place, n_places = _by_frequency(counts, FEWEST, len(counts))
            slots.append(slot)
            heads.append(n_heads)
            frequencies.append(counts)
            embeddings.append(np.where(place < n_places, place + 2, OTHER))
        order = np.concatenate([numbers, categories])
        return cls(
            numbers, categories, centers, scales, tuple(slots), tuple(embeddings), tuple(heads),
            tuple(frequencies), targets[order], ordered[categories], dates[numbers],
        )  # fmt: skip

    def extended(self, values: Floats, levels: Ints) -> Layout:
        """The same layout with outputs for levels that new rows brought, behind the old ones.

        Parameters
        ----------
        values : array of shape (n_rows, n_columns)
            The new rows.
        levels : array of shape (n_columns,)
            How many codes a category has now; old codes mean what they meant.
        """
        slots, embeddings, heads, frequencies = [], [], [], []
        for place, column in enumerate(self.categories):
            n_levels, n_old = int(levels[column]), len(self.slots[place])
            codes = values[~np.isnan(values[:, column]), column].astype(np.int64)
            seen = np.bincount(codes, minlength=n_levels)
            n_heads = self.heads[place]
            n_new = max(min(n_levels - n_old, MOST_HEADS - n_heads), 0)
            slot = np.full(n_levels, n_heads + n_new, dtype=np.int64)
            old = self.slots[place]
            slot[:n_old] = np.where(old < n_heads, old, n_heads + n_new)
            slot[n_old : n_old + n_new] = n_heads + np.arange(n_new)
            last = int(self.embeddings[place].max(initial=OTHER))
            embedding = np.concatenate(
                [self.embeddings[place], last + 1 + np.arange(n_levels - n_old)]
            )
            counts = np.pad(self.counts[place], (0, n_levels - n_old)) + seen
            slots.append(slot)
            embeddings.append(embedding)
            heads.append(n_heads + n_new)
            frequencies.append(counts)
        return replace(
            self, slots=tuple(slots), embeddings=tuple(embeddings), heads=tuple(heads),
            counts=tuple(frequencies),
        )  # fmt: skip

    @property
    def n_numbers(self) -> int:
        """Columns of numbers, whose outputs come first."""
        return len(self.numbers)

    @property
    def n_cells(self) -> int:
        """Columns of numbers and categories."""
        return len(self.numbers) + len(self.categories)

    @property
    def n_outputs(self) -> int:
        """Numbers and heads of all categories."""
        return self.n_numbers + sum(self.heads)

    @cached_property
    def columns(self) -> Ints:
        """Position in the coded table of each cell column."""
        return np.concatenate([self.numbers, self.categories])

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The outputs of each cell column."""
        widths = [1] * self.n_numbers + list(self.heads)
        stops = np.cumsum([0, *widths])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(stops))

    @cached_property
    def owner(self) -> torch.Tensor:
        """The cell column of each output."""
        widths = [block.stop - block.start for block in self.blocks]
        return torch.repeat_interleave(
            torch.arange(self.n_cells), torch.tensor(widths, dtype=torch.int64)
        )

    @property
    def n_embeddings(self) -> tuple[int, ...]:
        """Embeddings of each category, those of missing and other cells among them."""
        return tuple(int(places.max(initial=OTHER)) + 1 for places in self.embeddings)

    def rows(self, values: Floats) -> Rows:
        """Coded rows (n_rows, n_columns) in the network's terms."""
        numbers = (values[:, self.numbers] - self.centers) / self.scales
        dense = np.zeros((len(values), self.n_outputs), dtype=np.float32)
        np.clip(numbers, -FARTHEST, FARTHEST, out=numbers)
        dense[:, : self.n_numbers] = np.nan_to_num(numbers)
        seen = ~np.isnan(values[:, self.columns])
        told = seen.copy()
        embeds = np.zeros((len(values), len(self.categories)), dtype=np.int64)
        for place, column in enumerate(self.categories):
            cell = self.n_numbers + place
            some = np.flatnonzero(seen[:, cell])
            codes = values[some, column].astype(np.int64)
            embeds[some, place] = self.embeddings[place][codes]
            slot = self.slots[place][codes]
            known = slot < self.heads[place]
            dense[some[known], self.blocks[cell].start + slot[known]] = 1.0
            told[some[~known], cell] = False
        return Rows(*map(torch.from_numpy, (dense, embeds, seen, told)))

    def frequencies(self, rows: Rows) -> torch.Tensor:
        """Mean of each output over the cells that tell it, shape (n_outputs,)."""
        told = rows.told[:, self.owner]
        return (rows.dense * told).sum(0) / told.sum(0).clamp(min=1)

    def codes_of(self, cell: int) -> Ints:
        """The code of each output of a category, in the order of its block."""
        place = cell - self.n_numbers
        slots = self.slots[place]
        codes = np.empty(self.heads[place], dtype=np.int64)
        told = np.flatnonzero(slots < self.heads[place])
        codes[slots[told]] = told
        return codes


def _standard(numbers: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column, or 1 of a constant; huge ones do not overflow."""
    if numbers.size == 0:
        return np.zeros(numbers.shape[1]), np.ones(numbers.shape[1])
    largest = np.nanmax(np.abs(numbers), axis=0)
    largest[largest == 0.0] = 1.0
    small = numbers / largest
    centers, scales = np.nanmean(small, axis=0), np.nanstd(small, axis=0)
    flat = scales <= 1e-12
    return centers * largest, np.where(flat, 1.0, scales * largest)


def _by_frequency(counts: Ints, fewest: int, most: int) -> tuple[Ints, int]:
    """Place of each code among those seen often enough, frequent ones first; and how many."""
    order = np.argsort(-counts, kind="stable")
    n_places = min(int((counts >= fewest).sum()), most)
    place = np.full(len(counts), n_places, dtype=np.int64)
    place[order[:n_places]] = np.arange(n_places)
    return place, n_places
