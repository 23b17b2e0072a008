"""Free text: what its n-grams say about the other columns, and whose text to copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import logsumexp

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.grams import BUCKETS
from greyknn.deep.grey import Grey
from greyknn.deep.layout import Layout, Rows
from greyknn.donors import DonorTable
from greyknn.neighbors import nearest

FOLDS = 5
"""Parts of the rows, each of which is guessed by what was learnt from the others."""

PENALTIES = 0.3, 1.0, 3.0, 10.0, 30.0, 100.0
"""That are tried for each column; n-grams of a row have length 1."""

SHARPNESS = 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0
"""What scores of levels are multiplied by to be logits: of these the one of most likelihood."""

SCOUTED = 1000
"""Rows of a table whose penalties are tried on all its folds; of larger ones, on the first."""

STEPS, SETTLED = 40, 1e-2
"""Of conjugate gradients, which end when residuals have come down to this."""

WORK = 1e8
"""N-grams times outputs that are learnt from, which bounds the rows."""

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Vocabulary:
    """N-grams that were seen in more than one row.

    Attributes
    ----------
    keys : array of shape (n_features,)
        Ascending; the n-gram, plus ``BUCKETS`` for each text column before its own.
    rarity : array of shape (n_features,)
        Inverse document frequencies.
    """

    keys: Ints
    rarity: Singles

    @classmethod
    def fit(cls, texts: Ints) -> Vocabulary:
        """Learn from texts (n_rows, n_texts, n_grams)."""
        keys, counts = np.unique(_keys(texts)[texts > 0], return_counts=True)
        # A single row that has an n-gram tells nothing about others by it.
        keys, counts = keys[counts > 1], counts[counts > 1]
        rarity = 1.0 + np.log((1.0 + len(texts)) / (1.0 + counts))
        return cls(keys, rarity.astype(np.float32))

    def weighed(self, texts: Ints) -> csr_array:
        """Tf-idf of texts, shape (n_rows, n_features), rows of length 1."""
        if len(self.keys) == 0:
            return csr_array((len(texts), 0), dtype=np.float32)
        keys = _keys(texts).reshape(len(texts), -1)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = (self.keys[places] == keys) & (texts > 0).reshape(keys.shape)
        columns = places[known]
        counts = known.sum(axis=1)
        values = self.rarity[columns]
        owner = np.repeat(np.arange(len(texts)), counts)
        lengths = np.sqrt(np.bincount(owner, values**2.0, len(texts)))
        values = (values / lengths[owner]).astype(np.float32)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return csr_array((values, columns, starts), shape=(len(texts), len(self.keys)))


def _keys(texts: Ints) -> Ints:
    return texts + np.arange(texts.shape[1])[:, None] * BUCKETS


@dataclass(frozen=True)
class Text:
    """Ridge regression of every column on the n-grams of texts.

    Attributes
    ----------
    layout : Layout
    vocabulary : Vocabulary
    center : array of shape (n_outputs,)
    slopes : array of shape (n_features, n_outputs)
    sharpness : array of shape (n_categories,)
        Logits of levels by their scores.
    """

    layout: Layout
    vocabulary: Vocabulary
    center: Singles
    slopes: Singles
    sharpness: Singles

    def say(self, texts: Ints) -> torch.Tensor:
        """Guesses about rows with texts (n_rows, n_texts, n_grams), shape (n_rows, n_outputs)."""
        said: Singles = self.center + self.vocabulary.weighed(texts) @ self.slopes
        return _guesses(said, self.layout, self.sharpness)


def fit_text(
    layout: Layout, texts: Ints, rows: Rows, generator: torch.Generator
) -> tuple[Text, torch.Tensor]:
    """Learn what texts tell, and what they tell about each row by what others told.

    Parameters
    ----------
    layout : Layout
    texts : array of shape (n_rows, n_texts, n_grams)
    rows : Rows
    generator : Generator
        Draws folds, and of many rows some to learn from.

    Returns
    -------
    Text
        That learnt from all of them.
    float32 of shape (n_rows, n_outputs)
        Guesses about each row by one that did not learn from it.
    """
    n_rows = len(texts)
    order = torch.randperm(n_rows, generator=generator).numpy()
    n_grams = max(float((texts > 0).sum()) / max(n_rows, 1), 1.0)
    most = int(WORK / (n_grams * max(layout.n_outputs, 1)))
    known = np.sort(order[: max(most, SCOUTED)])
    part = np.empty(n_rows, dtype=np.int64)
    part[order] = np.arange(n_rows) % FOLDS
    part = part[known]
    vocabulary = Vocabulary.fit(texts[known])
    inputs = vocabulary.weighed(texts[known])
    truth = rows.dense.numpy()[known]
    told = (rows.told & torch.from_numpy(layout.targets))[:, layout.owner].numpy()[known]

    def without(fold: int) -> Bools:
        shown: Bools = told & (part != fold)[:, None]
        return shown

    tried = range(FOLDS if len(known) <= SCOUTED else 1)
    errors = np.zeros((len(PENALTIES), layout.n_outputs))
    for fold in tried:
        own = part == fold
        center = _means(truth, without(fold))
        for place, penalty in enumerate(PENALTIES):
            penalties = np.full(layout.n_outputs, penalty, dtype=np.float32)
            duals = ridge(inputs, truth - center, without(fold), penalties)
            away = (center + inputs[own] @ (inputs.T @ duals) - truth[own]) * told[own]
            errors[place] += (away**2).sum(axis=0)
    by_cell = np.stack([errors[:, block].sum(axis=1) for block in layout.blocks], axis=1)
    chosen = np.array(PENALTIES, dtype=np.float32)[by_cell.argmin(axis=0)]
    penalties = chosen[layout.owner.numpy()]
    scores = np.empty_like(truth)
    for fold in range(FOLDS):
        own = part == fold
        shown = without(fold)
        center = _means(truth, shown)
        duals = ridge(inputs, truth - center, shown, penalties)
        scores[own] = center + inputs[own] @ (inputs.T @ duals)
    sharpness = np.array(
        [
            _sharpest(scores[some, block], truth[some, block])
            for cell, block in enumerate(layout.blocks)
            if cell >= layout.n_numbers
            for some in [told[:, block.start]]
        ],
        dtype=np.float32,
    )
    center = _means(truth, told)
    slopes = inputs.T @ ridge(inputs, truth - center, told, penalties)
    text = Text(layout, vocabulary, center, slopes, sharpness)
    said = text.say(texts)
    said[known] = _guesses(scores, layout, sharpness)
    return text, said


def ridge(inputs: csr_array, outputs: Singles, told: Bools, penalties: Singles) -> Singles:
    """Dual variables of ridge regressions, each on the rows that tell its output.

    Conjugate gradients for all outputs at once; slopes are ``inputs.T @ duals``.

    Parameters
    ----------
    inputs : sparse array of shape (n_rows, n_features)
    outputs, told : array of shape (n_rows, n_outputs)
    penalties : array of shape (n_outputs,)
    """
    turned = inputs.T.tocsr()

    def applied(duals: Singles) -> Singles:
        through: Singles = inputs @ (turned @ duals)
        return through * told + penalties * duals

    wanted = outputs * told
    duals, rest = np.zeros_like(wanted), wanted
    step, size = rest, (rest**2).sum(axis=0)
    enough = SETTLED**2 * (wanted**2).sum(axis=0)
    for _ in range(STEPS):
        if (size <= enough).all():
            break
        along = applied(step)
        length = size / np.maximum((step * along).sum(axis=0), 1e-30)
        duals = duals + length * step
        rest = rest - length * along
        size, before = (rest**2).sum(axis=0), size
        step = rest + size / np.maximum(before, 1e-30) * step
    return duals


def _means(truth: Singles, told: Bools) -> Singles:
    means: Floats = (truth * told).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
    return means.astype(np.float32)


def _guesses(scores: Singles, layout: Layout, sharpness: Singles) -> torch.Tensor:
    """Scores of levels made probabilities, numbers as they are."""
    said = torch.from_numpy(scores)
    for place, block in enumerate(layout.blocks[layout.n_numbers :]):
        said[:, block] = torch.softmax(said[:, block] * float(sharpness[place]), 1)
    return said


def _sharpest(scores: Singles, truth: Singles) -> float:
    """Of all that are tried, the sharpness of greatest likelihood; both (n_rows, n_levels)."""

    def cost(sharpness: float) -> float:
        logits = sharpness * scores
        return float((logsumexp(logits, axis=1) - (logits * truth).sum(axis=1)).sum())

    return min(SHARPNESS, key=cost)


def text_donors(grey: Grey, values: Floats, codes: Floats) -> Ints:
    """Whose text to copy.

    Parameters
    ----------
    grey : Grey
        Knows the reference.
    values : array of shape (n_rows, n_columns)
        Coded rows that lack a text.
    codes : array of shape (n_reference,)
        Which text each row of the reference has, NaN for none; one at least has one.

    Returns
    -------
    array of shape (n_rows,)
        Positions in the reference: the nearest row with a text, its columns weighed by how much
        they tell about the others on average; of a row that observed nothing one that has the
        most frequent text.
    """
    tables = grey.tables
    written = np.flatnonzero(~np.isnan(codes))
    usual = int(np.bincount(codes[written].astype(np.int64)).argmax())
    fallback = int((codes == usual).argmax())
    if grey.layout.n_cells == 0:
        return np.full(len(values), fallback, dtype=np.int64)
    weights = grey.weights.mean(axis=0)
    alike = np.zeros(len(codes), dtype=np.int64)
    donors = DonorTable(tables.geometry, weights, tables.values, written, alike)
    found = nearest(donors, weights, 1, grey.ranks.scaled(values[:, grey.layout.columns]))
    return np.where(found.counts > 0, found.rows[:, 0], fallback).astype(np.int64)
