"""Scores of one fill: error of the removed cells, accuracy with and without leak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from greyknn.arrays import Bools, Floats, Ints
from greyknn.evaluation.fillers import Filler
from greyknn.evaluation.scores import accuracies
from greyknn.evaluation.tables import Data

FOLDS = 10
Parts = Callable[[Ints, Ints], tuple[Floats, Floats]]


def filled(data: Data, filler: Filler, removed: Bools, labelled: bool = True) -> Floats:
    """The table's cells, those removed and its own gaps filled; shape (n_rows, n_columns)."""
    gappy = data.frame.mask(removed)
    y = data.y(np.arange(len(gappy))) if labelled else None
    return data.read(filler.together(gappy, y), gappy)


def table_accuracy(data: Data, values: Floats, classifier: Any, seed: int) -> float:
    """Cross-validation of a table that was filled as a whole: leaky if labels were used for it."""
    Z = data.coordinates(values)
    return _cross_validated(data, lambda train, test: (Z[train], Z[test]), classifier, seed)


def honest_accuracy(
    data: Data, filler: Filler, removed: Bools, classifier: Any, seed: int
) -> float:
    """The same folds, but no label of a test row has a part in any fill.

    Ours learn from the rows of the other folds and fill a fold's rows as new rows. The peers use no
    label to fill what a classifier learns from, so that they fill the whole table at once.
    """
    if filler.label == "column":
        return table_accuracy(data, filled(data, filler, removed, labelled=False), classifier, seed)
    gappy = data.frame.mask(removed)

    def fill(train: Ints, test: Ints) -> tuple[Floats, Floats]:
        X, new = gappy.iloc[train], gappy.iloc[test]
        both = filler.apart(X, data.y(train), new)
        return data.coordinates(data.read(both[0], X)), data.coordinates(data.read(both[1], new))

    return _cross_validated(data, fill, classifier, seed)


def _cross_validated(data: Data, parts: Parts, classifier: Any, seed: int) -> float:
    """Mean accuracy over the folds, percent (equation 39)."""
    y = data.labels
    assert y is not None  # every table of the paper has classes
    scores: list[float] = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(y, y):
        learnt, asked = parts(train, test)
        scores += accuracies({"": classifier}, learnt, y[train], asked, y[test], seed).values()
    return 100 * float(np.mean(scores))
