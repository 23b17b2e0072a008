"""How good a filled table is, by the cells that were removed from it and by what it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from greyknn.arrays import Bools, Floats, Ints
from greyknn.evaluation.tables import Data


class NaiveBayes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Naive Bayes on mixed columns: normal densities of numbers, frequencies of 0 and 1.

    A normal density of a column that is 0 throughout a class would outweigh all the others.
    """

    def fit(self, X: Floats, y: Any) -> Self:
        """Learn the densities and frequencies of every class."""
        self.indicators_ = np.isin(X, (0.0, 1.0)).all(axis=0)
        self.parts_ = [
            (columns, model.fit(X[:, columns], y))
            for columns, model in (
                (np.flatnonzero(~self.indicators_), GaussianNB()),
                (np.flatnonzero(self.indicators_), BernoulliNB()),
            )
            if len(columns)
        ]
        self.classes_ = self.parts_[0][1].classes_
        self.priors_ = np.unique(y, return_counts=True)[1] / len(y)
        return self

    def predict(self, X: Floats) -> Any:
        """The most probable class of every row."""
        log = sum(model.predict_joint_log_proba(X[:, columns]) for columns, model in self.parts_)
        log = log - (len(self.parts_) - 1) * np.log(self.priors_)  # each part counts it once
        return self.classes_[np.argmax(log, axis=1)]


CLASSIFIERS: dict[str, Any] = {
    "nb": NaiveBayes(),
    "knn": KNeighborsClassifier(5),
    "forest": RandomForestClassifier(100),
}
MOST_ROWS = 500
"""Rows that enter the energy distance."""
FOLDS = 5


def errors(data: Data, truth: Floats, filled: Floats, removed: Bools) -> dict[str, Any]:
    """Errors of the removed cells, each on the scale where its column's range is 1.

    Parameters
    ----------
    data : Data
        Whose observed ranges scale the numbers.
    truth, filled : float64, shape (n_rows, n_columns)
    removed : bool, of the same shape
        The cells that are scored; their truth is known.

    Returns
    -------
    dict
        ``numeric_rmse``, ``categorical_error`` (the share of wrong categories) and ``rmse``, all
        cells by equation 38 with a wrong category as an error of 1; NaN where no cell is scored.
    """
    off = np.abs(filled - truth) / data.spans
    off = np.where(data.categorical, filled != truth, off)
    numbers, categories = removed & ~data.categorical, removed & data.categorical
    return {
        "numeric_rmse": _root_mean_square(off[numbers]),
        "categorical_error": float(off[categories].mean()) if categories.any() else np.nan,
        "rmse": _root_mean_square(off[removed]),
    }


def _root_mean_square(off: Floats) -> float:
    return float(np.sqrt(np.mean(off**2))) if off.size else np.nan


def energy_distance(ours: Floats, theirs: Floats) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of two samples (Székely & Rizzo 2013); 0 if equal.

    Parameters
    ----------
    ours, theirs : float64, shape (n_rows, n_dimensions)
    """
    between = 2 * cdist(ours, theirs).mean()
    return float(max(between - cdist(ours, ours).mean() - cdist(theirs, theirs).mean(), 0.0))


def imputed_energy(
    data: Data, truth: Floats, filled: Floats, removed: Bools, rng: np.random.Generator
) -> float:
    """Energy distance of the rows that lost a cell, as filled, from the same rows as they were.

    Numbers are scaled to range 1 and two different categories are 1 apart. The table's own gaps
    count as filled on both sides. At most `MOST_ROWS` rows are looked at.
    """
    rows = np.flatnonzero(removed.any(axis=1))
    if len(rows) == 0:
        return np.nan
    if len(rows) > MOST_ROWS:
        rows = rng.choice(rows, MOST_ROWS, replace=False)
    true = np.where(np.isnan(truth), filled, truth)[rows]
    shrink = np.concatenate(  # two of the columns of 0 and 1 differ between different categories
        [np.full(max(n, 1), np.sqrt(0.5) if n else 1.0) for n in data.n_levels]
    )
    return energy_distance(data.coordinates(filled[rows]) * shrink, data.coordinates(true) * shrink)


def accuracies(
    classifiers: Mapping[str, Any], train: Floats, y_train: Ints, test: Floats, y_test: Ints,
    seed: int,
) -> dict[str, float]:  # fmt: skip
    """Share of test rows that each classifier gets right (equation 39); rows without label out."""
    known, asked = y_train >= 0, y_test >= 0
    return {
        name: float(
            _seeded(classifier, seed)
            .fit(train[known], y_train[known])
            .score(test[asked], y_test[asked])
        )
        for name, classifier in classifiers.items()
    }


def leaky_accuracies(
    classifiers: Mapping[str, Any], X: Floats, y: Ints, seed: int
) -> dict[str, float]:
    """The same by cross-validation on a table that was filled with all labels known: too good."""
    known = y >= 0
    n_folds = min(FOLDS, int(np.bincount(y[known]).max()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    return {
        name: float(cross_val_score(_seeded(classifier, seed), X[known], y[known], cv=folds).mean())
        for name, classifier in classifiers.items()
    }


def _seeded(classifier: Any, seed: int) -> Any:
    classifier = clone(classifier)
    if "random_state" in classifier.get_params():
        classifier.set_params(random_state=seed)
    return classifier
