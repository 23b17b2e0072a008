"""scikit-learn's KNNImputer on our search: the same answers from no more than linear memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import impute
from sklearn.neighbors._base import _get_weights
from sklearn.utils._mask import _get_mask
from sklearn.utils._missing import is_scalar_nan
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from greyknn import device as devices
from greyknn.arrays import Bools, Floats, Ints
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import Neighbors, nearest
from greyknn.scaling import FAR

NARROW = 0.25
"""A column whose values spread less than this share of their size is measured from its low end."""

SPARSE = 0.125
"""Columns observed in fewer rows than this share find their donors by themselves."""

RARE = 0.25
"""If fewer rows than this share found too few donors, they are searched again for more."""

PART = 2**21
"""Neighbours that are kept at a time."""


class KNNImputer(impute.KNNImputer):  # type: ignore[misc]
    """Fill gaps with the mean of the nearest rows that observed the column.

    A drop-in for ``sklearn.impute.KNNImputer``: parameters, attributes, methods and results are
    those of scikit-learn, whose documentation applies. Only the search is ours: it runs on all
    processors, rules most rows out in single precision, and never holds distances of all pairs.

    Parameters
    ----------
    missing_values, n_neighbors, weights, copy, add_indicator, keep_empty_features
        As in scikit-learn, and with its defaults.
    metric : {"nan_euclidean"} or callable, default="nan_euclidean"
        With a callable, scikit-learn does all the work.

    Attributes
    ----------
    indicator_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Where scikit-learn's choice is arbitrary or inexact, ours is neither: of equally far donors
    the lower row is nearer, and distances are sums of squared differences in double precision,
    so that equal rows are at distance 0. Gaps of the training table stay gaps to later rows even
    if ``copy=False`` let ``transform`` fill them in place.

    Examples
    --------
    >>> import numpy as np
    >>> from greyknn import KNNImputer
    >>> X = [[1, 2, np.nan], [3, 4, 3], [np.nan, 6, 5], [8, 8, 7]]
    >>> KNNImputer(n_neighbors=2).fit_transform(X)
    array([[1. , 2. , 4. ],
           [3. , 4. , 3. ],
           [5.5, 6. , 5. ],
           [8. , 8. , 7. ]])
    """

    def transform(self, X: Any) -> Any:
        """Fill the gaps of X.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)

        Returns
        -------
        array of shape (n_rows, n_features_out)
            Without the columns that were empty in fit, unless ``keep_empty_features``.
        """
        check_is_fitted(self)
        if callable(self.metric):
            return super().transform(X)
        X = validate_data(
            self, X, reset=False, accept_sparse=False, dtype=FLOAT_DTYPES, copy=self.copy,
            force_writeable=True,
            ensure_all_finite="allow-nan" if is_scalar_nan(self.missing_values) else True,
        )  # fmt: skip
        missing = _get_mask(X, self.missing_values)
        indicator = self._transform_indicator(missing)
        if missing[:, self._valid_mask].any():
            self._fill(X, missing)
        if self.keep_empty_features:
            X[:, ~self._valid_mask] = 0
        else:
            X = X[:, self._valid_mask]
        return self._concatenate_indicator(X, indicator)

    def _fill(self, X: NDArray[Any], missing: Bools) -> None:
        """Fill X in place: by one search for all columns where that is less work than many."""
        k, observed, gaps = self.n_neighbors, ~self._mask_fit_X, missing & self._valid_mask
        same = np.array_equal(X, self._fit_X, equal_nan=True)
        space = _Space.fit(_with_gaps(self._fit_X, self._mask_fit_X))
        queries = space.cells(_with_gaps(X, missing))
        shares = observed.mean(axis=0)
        common = np.flatnonzero((shares >= SPARSE) & gaps.any(axis=0))
        receivers = np.flatnonzero(gaps[:, common].any(axis=1))
        if (gaps[:, common].sum(axis=0) * shares[common]).sum() > len(receivers):
            # So many that k donors of the sparsest column are likely among them; a row of the
            # training table finds itself as well. For few rows that was too few: once more.
            rarest = shares[common].min()
            n_found = int(min(2 + (k + 2 * np.sqrt(k * (1 - rarest))) / rarest, len(observed)))
            everyone = space.donors(np.arange(len(observed)), len(receivers))
            before = np.inf
            while 0 < len(receivers) < RARE * before and n_found <= len(observed):
                for part in _parts(receivers, n_found):
                    found = space.nearest(everyone, n_found, queries[part], part if same else None)
                    for column in common.tolist():
                        lacking = gaps[part, column]
                        picked, complete = _picked(found[lacking], observed[:, column], k)
                        done = part[lacking][complete]
                        X[done, column] = self._means(picked[complete], column)
                        gaps[done, column] = False
                before, receivers = len(receivers), np.flatnonzero(gaps[:, common].any(axis=1))
                n_found *= 4
        for column in np.flatnonzero(gaps.any(axis=0)).tolist():
            donors = np.flatnonzero(observed[:, column])
            wanting, n_found = np.flatnonzero(gaps[:, column]), min(k, len(donors))
            table = space.donors(donors, len(wanting))
            for part in _parts(wanting, n_found):
                found = space.nearest(table, n_found, queries[part], None)
                X[part, column] = self._means(found, column)

    def _means(self, found: Neighbors, column: int) -> Floats:
        """What neighbours that observed a column say about it."""
        values, donors = self._fit_X[:, column], np.flatnonzero(~self._mask_fit_X[:, column])
        means = np.full(len(found.counts), values[donors].mean(dtype=np.float64))
        near = found.counts > 0
        if near.any():
            # scikit-learn's callables see donors without a distance, too, which is NaN.
            rows = _filled_up(found[near], donors)
            distances = np.where(found.rows[near] < 0, np.nan, found.distances[near])
            weights = _get_weights(distances, self.weights)
            if weights is None:
                weights = 1.0 - np.isnan(distances)
            weights = np.where(np.isnan(weights), 0.0, weights)
            average = np.ma.average(np.ma.array(values[rows]), axis=1, weights=weights)
            means[near] = average.data
        return means


@dataclass(frozen=True)
class _Space:
    """The training table in the units of the search, and back.

    Columns are moved only where that is exact (their values are within a factor of two of each
    other), and all are multiplied by one power of two: differences lose nothing.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
        At most 1 in absolute value, NaN for gaps.
    origins : array of shape (n_columns,)
    exponent : int
        Of the power of two.
    """

    values: Floats
    origins: Floats
    exponent: int

    @classmethod
    def fit(cls, table: Floats) -> _Space:
        lows, highs = np.fmin.reduce(table, axis=0), np.fmax.reduce(table, axis=0)
        with np.errstate(over="ignore"):
            narrow = highs - lows < NARROW * np.minimum(np.abs(lows), np.abs(highs))
        origins = np.where(narrow, lows, 0.0)
        moved = table - origins
        exponent = -int(np.frexp(np.fmax.reduce(np.abs(moved), axis=None))[1])
        return cls(np.ldexp(moved, exponent), origins, exponent)

    def cells(self, table: Floats) -> Floats:
        """New rows in the units of the search; so far off that squares overflow is far enough."""
        with np.errstate(over="ignore"):
            return np.clip(np.ldexp(table - self.origins, self.exponent), -FAR, FAR)

    def donors(self, rows: Ints, n_queries: int) -> DonorTable:
        n_rows, n_columns = self.values.shape
        categorical = np.zeros(n_columns, dtype=bool)
        kernels = devices.kernels("auto", float(n_queries) * len(rows) * n_columns)
        geometry = Geometry("euclidean", categorical, 0.5, kernels)
        groups = np.zeros(n_rows, dtype=np.int64)
        return DonorTable(geometry, np.ones(n_columns), self.values, rows, groups)

    def nearest(
        self, donors: DonorTable, n_neighbors: int, queries: Floats, rows: Ints | None
    ) -> Neighbors:
        """As ``neighbors.nearest``, but distances are those of the table, and none is ruled out."""
        none = np.full(len(queries), -1)
        weights = np.ones(queries.shape[1])
        found = nearest(donors, weights, n_neighbors, queries, rows=rows, kin=none)
        with np.errstate(over="ignore"):
            distances = np.ldexp(found.distances, -self.exponent)
        return Neighbors(found.rows, distances, found.counts)


def _with_gaps(table: NDArray[Any], missing: Bools) -> Floats:
    cells = table.astype(np.float64)
    cells[missing] = np.nan
    return cells


def _parts(rows: Ints, n_neighbors: int) -> Iterator[Ints]:
    step = max(PART // n_neighbors, 1)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _picked(found: Neighbors, observed: Bools, n_neighbors: int) -> tuple[Neighbors, Bools]:
    """The first neighbours that observed a column, and whether no other can be among them."""
    n_found = found.rows.shape[1]
    n_neighbors = min(n_neighbors, int(np.count_nonzero(observed)))
    held = observed[found.rows] & (found.rows >= 0)
    place = np.cumsum(held, axis=1)
    held &= place <= n_neighbors
    query, which = np.nonzero(held)
    slot = query, place[query, which] - 1
    rows = np.full((len(held), n_neighbors), -1, dtype=np.int32)
    distances = np.full(rows.shape, np.inf)
    rows[slot], distances[slot] = found.rows[held], found.distances[held]
    counts = np.count_nonzero(held, axis=1)
    complete = (counts == n_neighbors) | (found.counts < n_found) | (n_found == len(observed))
    return Neighbors(rows, distances, counts), complete


def _filled_up(found: Neighbors, donors: Ints) -> Ints:
    """Neighbours' rows, and behind the last of them the lowest other donors."""
    rows = found.rows.astype(np.int64)
    short = np.flatnonzero(found.counts < rows.shape[1])
    if len(short):
        lists = rows[short]
        spare = np.broadcast_to(donors[: rows.shape[1]], lists.shape)
        used = np.zeros(lists.shape, dtype=bool)
        for taken in lists.T:
            used |= spare == taken[:, None]
        spare = np.take_along_axis(spare, np.argsort(used, axis=1, kind="stable"), axis=1)
        turn = np.arange(rows.shape[1]) - found.counts[short, None]
        rows[short] = np.where(turn < 0, lists, np.take_along_axis(spare, turn % turn.shape[1], 1))
    return rows
