"""Other libraries' imputers, wired so that they fill tables of numbers and categories.

Nothing here imputes by itself but the loop of missForest, which scikit-learn's estimators do not
bring along. Every class has ``fit_transform``, most have ``transform``, and they take the frames of
`greyknn.evaluation.tables`.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (until scikit-learn 1.10)
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_random_state

from greyknn.arrays import Bools, Floats, Ints
from greyknn.evaluation.tables import Frame, categories_of, to_matrix, with_fills


class Encoded(BaseEstimator):  # type: ignore[misc]
    """An imputer of numbers that fills tables with categories.

    Categories are coded as columns of 0 and 1, all of them NaN in a gap, and the largest of the
    filled ones tells the category.

    Parameters
    ----------
    imputer : transformer
        Of float64 matrices. If it has a parameter ``groups``, that is set to the number of the
        table's column that each column of the matrix belongs to.
    scaler : transformer, optional
        Of the numbers, such as ``MinMaxScaler()``; their gaps stay NaN.
    """

    def __init__(self, imputer: Any, scaler: Any = None) -> None:
        self.imputer = imputer
        self.scaler = scaler

    def fit(self, X: Frame, y: Any = None) -> Self:
        """Learn from a table; y is not used."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Learn from a table and fill it; y is not used."""
        values = to_matrix(X)
        self.numeric_ = ~categories_of(X)
        self.levels_: dict[int, Ints] = {
            j: np.unique(values[~np.isnan(values[:, j]), j]).astype(np.int64)
            for j in np.flatnonzero(~self.numeric_).tolist()
        }
        self.scaler_ = clone(self.scaler) if self.scaler is not None else FunctionTransformer()
        if self.numeric_.any():
            self.scaler_.fit(values[:, self.numeric_])
        self.imputer_ = clone(self.imputer)
        if "groups" in self.imputer_.get_params():
            self.imputer_.set_params(groups=self._groups())
        return self._decoded(X, self.imputer_.fit_transform(self._encoded(values)))

    def transform(self, X: Frame) -> Frame:
        """Fill new rows."""
        return self._decoded(X, self.imputer_.transform(self._encoded(to_matrix(X))))

    def _groups(self) -> Ints:
        numbers = np.flatnonzero(self.numeric_)
        return np.concatenate(
            [numbers, *(np.full(len(levels), j) for j, levels in self.levels_.items())]
        ).astype(np.int64)

    def _encoded(self, values: Floats) -> Floats:
        blocks = []
        if self.numeric_.any():
            blocks.append(self.scaler_.transform(values[:, self.numeric_]))
        for j, levels in self.levels_.items():
            cells = values[:, j, None]
            blocks.append(np.where(np.isnan(cells), np.nan, cells == levels))
        return np.hstack(blocks)

    def _decoded(self, X: Frame, filled: Floats) -> Frame:
        values = np.empty(X.shape)
        n_numbers = np.count_nonzero(self.numeric_)
        if n_numbers:
            values[:, self.numeric_] = self.scaler_.inverse_transform(filled[:, :n_numbers])
        groups = self._groups()
        for j, levels in self.levels_.items():
            block = np.flatnonzero(groups[n_numbers:] == j) + n_numbers
            values[:, j] = levels[filled[:, block].argmax(axis=1)]
        return with_fills(X, values)


class GroupedIterativeImputer(IterativeImputer):  # type: ignore[misc]
    """scikit-learn's, but a category's columns of 0 and 1 do not predict one another.

    They add up to 1, so each of them is an exact function of the others, and all would stay for
    ever at the frequencies that they start from.
    """

    def __init__(
        self, estimator: Any = None, *, groups: Any = None, max_iter: int = 10,
        skip_complete: bool = True, keep_empty_features: bool = True, random_state: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            estimator, max_iter=max_iter, skip_complete=skip_complete,
            keep_empty_features=keep_empty_features, random_state=random_state,
        )  # fmt: skip
        self.groups = groups

    def _get_neighbor_feat_idx(self, n_features: int, feat_idx: int, abs_corr_mat: Any) -> Any:
        return np.flatnonzero(self.groups != self.groups[feat_idx])


class MatchedRidge(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Bayesian ridge regression whose predictions are drawn, as R's mice does.

    Coefficients are drawn from their posterior. Of the `donors` observed cells whose fitted values
    are nearest to a prediction, one gives its value (predictive mean matching); but a column of 0
    and 1, one category of several, is drawn with its noise, so that the largest tells the category.

    Parameters
    ----------
    donors : int, default=5
    random_state : int, RandomState or None
    """

    def __init__(self, donors: int = 5, random_state: Any = None) -> None:
        self.donors = donors
        self.random_state = random_state

    def __sklearn_clone__(self) -> MatchedRidge:
        # A copied generator would give every column of IterativeImputer the same draws.
        return MatchedRidge(self.donors, self.random_state)

    def fit(self, X: Floats, y: Floats) -> Self:
        """Fit the regression and remember the donors in the order of their fitted values."""
        self.random_state = check_random_state(self.random_state)
        self.ridge_ = BayesianRidge().fit(X, y)
        fitted = self.ridge_.predict(X)
        order = np.argsort(fitted, kind="stable")
        self.fitted_, self.values_ = fitted[order], y[order]
        self.indicator_ = bool(np.isin(y, (0.0, 1.0)).all())
        return self

    def predict(self, X: Floats) -> Floats:
        """Draw a value for every row."""
        ridge, rng = self.ridge_, self.random_state
        coefficients = rng.multivariate_normal(ridge.coef_, ridge.sigma_, check_valid="ignore")
        drawn = ridge.predict(X) + (X - ridge.X_offset_) @ (coefficients - ridge.coef_)
        if self.indicator_:
            return np.asarray(drawn + rng.standard_normal(len(drawn)) / np.sqrt(ridge.alpha_))
        n_donors = min(self.donors, len(self.values_))
        first = np.searchsorted(self.fitted_, drawn) - n_donors
        first = np.clip(first, 0, max(len(self.values_) - 2 * n_donors, 0))
        window = first[:, None] + np.arange(min(2 * n_donors, len(self.values_)))
        behind = np.abs(self.fitted_[window] - drawn[:, None]).argsort(axis=1, kind="stable")
        chosen = behind[np.arange(len(drawn)), rng.randint(n_donors, size=len(drawn))]
        return np.asarray(self.values_[window[np.arange(len(drawn)), chosen]])


class ForestLoop(BaseEstimator):  # type: ignore[misc]
    """missForest (Stekhoven & Bühlmann 2012) of scikit-learn's random forests.

    Columns are predicted in turn, those with fewest gaps first, numbers by regression and
    categories by classification, until the table changes more than in the round before. Forests
    are grown as in R: every split looks at the root of the number of columns, and leaves hold at
    least 5 rows where numbers are predicted. New rows cannot be filled.

    Parameters
    ----------
    n_estimators : int, default=100
    max_iter : int, default=10
    random_state : int, RandomState or None
    """

    def __init__(
        self, n_estimators: int = 100, max_iter: int = 10, random_state: Any = None
    ) -> None:
        self.n_estimators = n_estimators
        self.max_iter = max_iter
        self.random_state = random_state

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used."""
        rng = check_random_state(self.random_state)
        observed = to_matrix(X)
        gaps = np.isnan(observed)
        categorical = categories_of(X)
        filled = np.where(gaps, _centers(observed, categorical), observed)
        order = [j for j in np.argsort(gaps.sum(axis=0), kind="stable") if gaps[:, j].any()]
        last = np.full(2, np.inf)
        for _ in range(self.max_iter):
            new = filled.copy()
            for j in order:
                others, gap = np.delete(new, j, axis=1), gaps[:, j]
                forest = self._forest(bool(categorical[j]), rng)
                forest.fit(others[~gap], observed[~gap, j])
                new[gap, j] = forest.predict(others[gap])
            change = _change(filled, new, gaps, categorical)
            if not (change < last).any():
                break
            filled, last = new, change
        return with_fills(X, filled)

    def _forest(self, classify: bool, rng: Any) -> Any:
        options: dict[str, Any] = {
            "n_estimators": self.n_estimators, "max_features": "sqrt",
            "random_state": rng.randint(2**31 - 1),
        }  # fmt: skip
        if classify:
            return RandomForestClassifier(**options)
        return RandomForestRegressor(min_samples_leaf=5, **options)


def _centers(values: Floats, categorical: Bools) -> Floats:
    """Mean of every column of numbers, most frequent code of every other."""
    centers: Floats = np.nanmean(values, axis=0)
    for j in np.flatnonzero(categorical):
        codes = values[~np.isnan(values[:, j]), j].astype(np.int64)
        centers[j] = np.bincount(codes).argmax()
    return centers


def _change(old: Floats, new: Floats, gaps: Bools, categorical: Bools) -> Floats:
    """The two differences of missForest, of numbers and categories; NaN where there are none."""
    numbers, change = ~categorical, np.full(2, np.nan)
    if gaps[:, numbers].any():
        squares = (new[:, numbers] ** 2).sum()
        change[0] = ((new - old)[:, numbers] ** 2).sum() / (squares or 1.0)
    if gaps[:, categorical].any():
        change[1] = (new != old)[:, categorical].sum() / gaps[:, categorical].sum()
    return change
