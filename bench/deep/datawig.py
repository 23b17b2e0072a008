"""What Datawig does, on torch: one network for every column, with Datawig's defaults.

Datawig itself needs mxnet, which no longer installs. Adam at 4e-3, batches of 16, 100 epochs, the
best one kept, patience 20 for numbers and 5 for categories on a tenth of the rows; numbers go
through a dense layer of 100 with ReLU, texts are counted as hashed n-grams of 1 to 5 characters;
one pass over the columns. Categories are columns of 0 and 1 instead of hashed n-grams.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils import check_random_state
from torch import nn

from bench.deep.tasks import Frame
from greyknn.evaluation.tables import categories_of, to_matrix, with_fills

LEARNING_RATE, BATCH, EPOCHS, HIDDEN, BUCKETS = 4e-3, 16, 100, 100, 2**15
PATIENCE = {"numbers": 20, "categories": 5}


class ColumnNets(BaseEstimator):  # type: ignore[misc]
    """One network for every column with gaps.

    Parameters
    ----------
    text : tuple of names
        Columns that are read as text and have no gaps.
    random_state : int, RandomState or None
    """

    def __init__(self, text: tuple[str, ...] = (), random_state: Any = None) -> None:
        self.text = text
        self.random_state = random_state

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used."""
        rng = check_random_state(self.random_state)
        words = _ngrams(X[list(self.text)]) if self.text else None
        table = X.drop(columns=list(self.text))
        categorical, observed = categories_of(table), to_matrix(table)
        gaps, filled = np.isnan(observed), observed.copy()
        with torch.random.fork_rng():
            torch.manual_seed(rng.randint(2**31 - 1))
            for j in np.flatnonzero(gaps.any(axis=0)):
                inputs = _Inputs(np.delete(filled, j, 1), np.delete(categorical, j), words)
                known, gap = np.flatnonzero(~gaps[:, j]), np.flatnonzero(gaps[:, j])
                column = _ColumnNet(inputs, observed[known, j], bool(categorical[j]))
                column.fit(known, rng)
                filled[gap, j] = column.predict(gap)
        return X[list(self.text)].join(with_fills(table, filled))[list(X.columns)]


class _Inputs:
    """Numbers standardised, gaps as the mean; categories as columns of 0 and 1; hashed texts."""

    def __init__(self, values: Any, categorical: Any, words: Any) -> None:
        numbers = values[:, ~categorical]
        numbers = np.where(np.isnan(numbers), np.nanmean(numbers, axis=0), numbers)
        numbers = (numbers - numbers.mean(axis=0)) / (numbers.std(axis=0) + 1e-9)
        codes = values[:, categorical].T
        levels = [code[:, None] == np.unique(code[~np.isnan(code)]) for code in codes]
        self.numbers = torch.tensor(numbers, dtype=torch.float32)
        flags = np.hstack(levels) if levels else np.empty((len(values), 0))
        self.flags = torch.tensor(flags, dtype=torch.float32)
        self.words = words


def _ngrams(texts: Frame) -> tuple[Any, Any]:
    """Buckets of every row, padded with weight 0, and their weights; shape (n_rows, longest)."""
    hashed = HashingVectorizer(analyzer="char", ngram_range=(1, 5), n_features=BUCKETS)
    counts = hashed.transform(texts.astype(str).agg(" ".join, axis=1))
    lengths = np.diff(counts.indptr)
    used = np.arange(lengths.max()) < lengths[:, None]
    buckets, weights = np.zeros(used.shape, np.int64), np.zeros(used.shape, np.float32)
    buckets[used], weights[used] = counts.indices, counts.data
    return torch.tensor(buckets), torch.tensor(weights)


class _ColumnNet(nn.Module):  # type: ignore[misc]
    def __init__(self, inputs: _Inputs, targets: Any, classify: bool) -> None:
        super().__init__()
        self.inputs, self.classify = inputs, classify
        if classify:
            self.levels = np.unique(targets)
            coded = np.searchsorted(self.levels, targets)
            self.targets, n_outputs = torch.tensor(coded), len(self.levels)
        else:
            self.center, self.scale = targets.mean(), targets.std() + 1e-9
            scaled = (targets - self.center) / self.scale
            self.targets, n_outputs = torch.tensor(scaled, dtype=torch.float32), 1
        n_numbers, n_flags = inputs.numbers.shape[1], inputs.flags.shape[1]
        hidden = HIDDEN if n_numbers else 0
        self.dense = nn.Linear(n_numbers, hidden) if n_numbers else None
        self.out = nn.Linear(hidden + n_flags, n_outputs)
        self.bag = None
        if inputs.words is not None:
            self.bag = nn.EmbeddingBag(BUCKETS, n_outputs, mode="sum")
            nn.init.zeros_(self.bag.weight)

    def forward(self, rows: Any) -> Any:
        parts = [self.inputs.flags[rows]]
        if self.dense is not None:
            parts.append(torch.relu(self.dense(self.inputs.numbers[rows])))
        scores = self.out(torch.cat(parts, dim=1))
        if self.bag is not None:
            buckets, weights = self.inputs.words
            scores = scores + self.bag(buckets[rows], per_sample_weights=weights[rows])
        return scores

    def fit(self, rows: Any, rng: Any) -> None:
        """Learn from these rows of the inputs, whose values are the targets."""
        rows = torch.tensor(rows)
        order = torch.tensor(rng.permutation(len(rows)))
        held, train = order.split([max(1, len(rows) // 10), len(rows) - max(1, len(rows) // 10)])
        adam = torch.optim.Adam(self.parameters(), LEARNING_RATE, fused=True)
        patience = PATIENCE["categories" if self.classify else "numbers"]
        best, least, since = None, np.inf, 0
        for _ in range(EPOCHS):
            for batch in train[torch.tensor(rng.permutation(len(train)))].split(BATCH):
                adam.zero_grad()
                self._loss(rows, batch).backward()
                adam.step()
            with torch.no_grad():
                loss = float(self._loss(rows, held))
            since += 1
            if loss < least:
                best, least, since = deepcopy(self.state_dict()), loss, 0
            if since >= patience:
                break
        if best is not None:
            self.load_state_dict(best)

    def _loss(self, rows: Any, some: Any) -> Any:
        scores, targets = self(rows[some]), self.targets[some]
        if self.classify:
            return nn.functional.cross_entropy(scores, targets)
        return nn.functional.mse_loss(scores[:, 0], targets)

    def predict(self, rows: Any) -> Any:
        with torch.no_grad():
            scores = self(torch.tensor(rows)).numpy()
        if self.classify:
            return self.levels[scores.argmax(axis=1)]
        return scores[:, 0] * self.scale + self.center
