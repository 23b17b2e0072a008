"""A fitted imputer in numbers: scaling, weights, the choice of k and the filled training table.

Everything here is a coded matrix (``table``): numbers, category codes, NaN. What the user sees
is ``imputer.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from greyknn import device as devices
from greyknn.arrays import Bools, Floats, Ints
from greyknn.filling import (
    AVERAGES,
    Filled,
    Stopping,
    Training,
    fill_new,
    fill_together,
)
from greyknn.methods import Method
from greyknn.neighbors import Comparison, Ranking
from greyknn.progress import Progress, silent
from greyknn.relevance import class_weights, column_weights
from greyknn.scaling import Scale
from greyknn.selection import Choice, choose_by_label, choose_by_masking
from greyknn.start import centers, starting_fill
from greyknn_kernels import formula

Behind = tuple[NDArray[np.integer], Floats, Floats]
"""Rows, distances and shares of the donors of a cell."""


@dataclass(frozen=True)
class Settings:
    """What a fit is asked to do; the parameters of ``GreyKNNImputer`` that concern numbers."""

    method: Method
    n_neighbors: int | str
    metric_on: str
    donors: str
    rho: float
    stopping: Stopping
    device: str


@dataclass(frozen=True)
class Model:
    """What a fit learnt.

    Parameters
    ----------
    settings : Settings
    categorical : array of shape (n_columns,)
    scale : Scale
    weights : array of shape (n_columns,) or (n_columns, n_columns)
    groups : array of shape (n_rows,)
        Rows take donors from their own group; -1 for unlabelled rows of a partition.
    n_neighbors : int
    choice : Choice or None
        How ``n_neighbors`` was chosen, if it was.
    training : Training
        The scaled training table, as it came and filled.
    filled : Filled
    """

    settings: Settings
    categorical: Bools
    scale: Scale
    weights: Floats
    groups: Ints
    n_neighbors: int
    choice: Choice | None
    training: Training
    filled: Filled

    @classmethod
    def fit(
        cls, settings: Settings, values: Floats, categorical: Bools, labels: Ints,
        random_state: np.random.RandomState, progress: Progress = silent,
    ) -> Model:  # fmt: skip
        """Scale, weigh, choose k and fill.

        Parameters
        ----------
        settings : Settings
        values : array of shape (n_rows, n_columns)
            Every column has an observed value.
        categorical : array of shape (n_columns,)
        labels : array of shape (n_rows,)
            Class codes, -1 for rows without a label.
        random_state : RandomState
        progress : callable
        """
        scale = Scale.fit(values, categorical)
        scaled = scale.scaled(values)
        groups = labels if settings.method.partition else np.zeros_like(labels)
        pairs = np.square(np.bincount(groups[groups >= 0]), dtype=float).sum()
        kernels = devices.kernels(settings.device, pairs * values.shape[1])
        weights = column_weights(settings.method, scaled, categorical, labels, kernels, progress)
        comparison = _comparison(settings, categorical, scale, weights, kernels, progress)
        choice = _choose(settings, comparison, values, labels, groups, random_state)
        n_neighbors = int(settings.n_neighbors if choice is None else choice.n_neighbors)
        enough = min(n_neighbors, len(scaled))
        filled = fill_together(comparison, enough, values, groups, settings.stopping)
        training = Training(
            filled.values, ~np.isnan(values), np.arange(len(values)), centers(values, categorical)
        )
        return cls(
            settings, categorical, scale, weights, groups, n_neighbors, choice, training,
            filled,
        )  # fmt: skip

    def fill_new(
        self, values: Floats, progress: Progress = silent
    ) -> tuple[Floats, int, list[Ranking]]:
        """Fill rows without labels, each by itself.

        Parameters
        ----------
        values : array of shape (n_queries, n_columns)

        Returns
        -------
        filled : array of shape (n_queries, n_columns)
        n_unsettled : int
            Rows that reached ``max_iter``.
        rankings : list of Ranking
        """
        kernels = devices.kernels(self.settings.device, float(values.size) * len(self.groups))
        comparison = _comparison(
            self.settings, self.categorical, self.scale, self.weights, kernels, progress
        )
        enough = min(self.n_neighbors, len(self.groups))
        return fill_new(comparison, enough, values, self.training, self.settings.stopping)

    def behind(self, row: int, column: int) -> Behind:
        """The donors of a filled training cell.

        Parameters
        ----------
        row, column : int
            A cell that was missing.

        Returns
        -------
        rows, distances, shares : array of shape (n_neighbors,)
            Nearest first, shares adding up to 1; empty if the cell kept its starting fill.
        """
        return self._behind(self.filled.rankings, row, column)

    def behind_new(self, values: Floats, column: int) -> Behind:
        """The same for a cell of a new row (1, n_columns)."""
        return self._behind(self.fill_new(values)[2], 0, column)

    def _behind(self, rankings: list[Ranking], row: int, column: int) -> Behind:
        for ranking in rankings:
            place = np.flatnonzero(ranking.queries == row)
            if len(place) == 0 or column not in ranking.columns:
                continue
            found = ranking.neighbors
            count = min(int(found.counts[place[0]]), self.n_neighbors)
            rows = found.rows[place[0], :count]
            distances = found.distances[place[0], :count]
            average = AVERAGES[self.settings.method.average]
            if self.categorical[column]:
                shares = [
                    formula.vote_weight(average, distances[0], distances[-1], distance)
                    for distance in distances
                ]
            else:
                shares = [
                    formula.mean_weight(average, distances[0], distance) for distance in distances
                ]
            return rows, distances, np.array(shares) / max(sum(shares), 1e-300)
        return np.empty(0, np.int64), np.empty(0), np.empty(0)

    def crowded_out(self) -> tuple[int, int] | None:
        """The smallest group with gaps, and its other rows, if they are fewer than k; else None."""
        gaps = ~self.training.observed.all(axis=1) & (self.groups >= 0)
        sizes = np.bincount(self.groups[self.groups >= 0], minlength=1) - 1
        wanting = np.unique(self.groups[gaps])
        if len(wanting) == 0:
            return None
        group = wanting[sizes[wanting].argmin()]
        return (int(group), int(sizes[group])) if sizes[group] < self.n_neighbors else None


def _comparison(
    settings: Settings, categorical: Bools, scale: Scale, weights: Floats, kernels: ModuleType,
    progress: Progress,
) -> Comparison:  # fmt: skip
    return Comparison(
        method=settings.method,
        categorical=categorical,
        scale=scale,
        weights=weights,
        kernels=kernels,
        metric_on=settings.metric_on,
        donors=settings.donors,
        rho=settings.rho,
        progress=progress,
    )


def _choose(
    settings: Settings, comparison: Comparison, values: Floats, labels: Ints, groups: Ints,
    random_state: np.random.RandomState,
) -> Choice | None:  # fmt: skip
    """The number of neighbours, by the class where there are two; None if it was given."""
    if not isinstance(settings.n_neighbors, str):
        return None
    if settings.n_neighbors == "masked" or labels.max(initial=-1) < 1:
        return choose_by_masking(comparison, values, groups, random_state)
    categorical = comparison.categorical
    weights = comparison.weights
    if weights.ndim == 2:  # the target that the vote predicts is the class
        scaled = comparison.scale.scaled(values)
        weights = class_weights(
            scaled, categorical, labels, comparison.kernels, comparison.progress
        )
    if settings.metric_on == "imputed":
        values = starting_fill(values, categorical, groups)
    seen = comparison.scale.scaled(values)
    return choose_by_label(comparison, weights, seen, labels, random_state)
