"""A fitted target-weighted imputer in numbers, to its users what ``greyknn.model.Model`` is."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from greyknn import device as devices
from greyknn.arrays import Bools, Floats, Ints
from greyknn.filling import Filled, Training
from greyknn.model import Behind, Settings
from greyknn.progress import Progress, silent
from greyknn.scaling import Ranks, Scale
from greyknn.start import centers
from greyknn.targets import near
from greyknn.targets.learner import Learner
from greyknn.targets.target import PROPOSALS


class TargetReport(NamedTuple):
    """What was learnt about a column with gaps.

    Parameters
    ----------
    n_neighbors : int
        The chosen k, in the distance by the column's weights.
    shares : dict of str -> float
        How much each proposal counts; they sum to 1.
    categorical : bool
    error : float
        Of observed cells, each left out in turn: root mean square error in the column's units,
        or share of wrong categories. A little too small, because the shares were fitted to it.
    """

    n_neighbors: int
    shares: dict[str, float]
    categorical: bool
    error: float


@dataclass(frozen=True)
class TargetModel:
    """What a fit learnt; fields that ``Model`` has, too, are described there.

    Parameters
    ----------
    highs : array of shape (n_columns,)
        Largest observed training values.
    known, blind : Learner
        With the label as one more column, for rows that have one, and without any label, for all
        others; the same one if there are no labels.
    """

    settings: Settings
    categorical: Bools
    scale: Scale
    highs: Floats
    ranks: Ranks
    known: Learner
    blind: Learner
    training: Training
    filled: Filled
    choice: None = field(default=None, init=False)

    @classmethod
    def fit(
        cls, settings: Settings, values: Floats, categorical: Bools, labels: Ints,
        random_state: np.random.RandomState, progress: Progress = silent,
    ) -> TargetModel:  # fmt: skip
        """Learn every column with gaps and fill it; arguments as for ``Model.fit``."""
        if settings.metric_on != "observed":
            raise ValueError(
                f"metric_on={settings.metric_on!r} is for the paper's methods; method='tgknn' "
                "compares what was observed. Leave metric_on out."
            )
        scale, ranks = Scale.fit(values, categorical), Ranks.fit(values, categorical)
        scaled = scale.scaled(values), ranks.scaled(values)
        k = settings.n_neighbors
        sizes = near.SIZES if isinstance(k, str) else (int(k),)
        seed = int(random_state.randint(2**31))
        kernels = devices.kernels(settings.device, _work(values, len(values)))

        def learner(label: Floats | None) -> Learner:
            return Learner(*scaled, categorical, label, sizes, settings.rho, seed)

        blind = known = learner(None)
        if labels.max(initial=-1) > 0:
            known = learner(np.where(labels >= 0, labels, np.nan))
        filled = known.fill_training(kernels, progress)
        if (labels < 0).any() and known is not blind:
            filled[labels < 0] = blind.fill_training(kernels, progress)[labels < 0]
        highs = np.fmax.reduce(values, axis=0)
        center = centers(values, categorical)
        restored = _restored(scale, highs, filled)
        restored[np.isnan(values).all(axis=1) & ((labels < 0) | (known is blind))] = center
        restored = np.where(np.isnan(values), restored, values)
        return cls(
            settings, categorical, scale, highs, ranks, known, blind,
            Training(restored, ~np.isnan(values), np.arange(len(values)), center),
            Filled(restored, (0.0,), True, []),
        )  # fmt: skip

    @property
    def weights(self) -> Floats:
        """A row for each target column; what is missing from 1 is the label's."""
        return self.known.weights[:, : len(self.categorical)]

    @property
    def n_neighbors(self) -> Ints:
        """The chosen k of each column; 0 for columns that had no gaps."""
        chosen = np.zeros(len(self.categorical), dtype=np.int64)
        for column, target in self.known.targets.items():
            chosen[column] = target.nears[0].size
        return chosen

    def reports(self) -> dict[int, TargetReport]:
        """What was learnt, by column."""
        reports = {}
        for column, target in sorted(self.known.targets.items()):
            counted = dict(zip(PROPOSALS, map(float, target.shares), strict=False))
            unit = 1.0 if self.categorical[column] else float(self.scale.ranges[column])
            codes = bool(self.categorical[column])
            reports[column] = TargetReport(
                target.nears[0].size, counted, codes, unit * target.error
            )
        return reports

    def fill_new(
        self, values: Floats, progress: Progress = silent
    ) -> tuple[Floats, int, list[Any]]:
        """Fill rows without labels, each by itself; as ``Model.fill_new``, without rankings."""
        scaled = self.scale.scaled(values)
        ranks = self.ranks.scaled(values)
        filled = self.blind.fill(ranks, scaled, [], self._kernels(values), progress)
        restored = _restored(self.scale, self.highs, filled)
        restored[np.isnan(values).all(axis=1)] = self.training.center
        return np.where(np.isnan(values), restored, values), 0, []

    def behind(self, row: int, column: int) -> Behind:
        """Donors of a filled training cell, as ``Model.behind``; those with large shares first."""
        learner = self.known
        if learner.labels and np.isnan(learner.labels[0][row]):
            learner = self.blind
        labels = [label[[row]] for label in learner.labels]
        return self._behind(learner, learner.seen[[row]], learner.values[[row]], labels, column)

    def behind_new(self, values: Floats, column: int) -> Behind:
        """The same for a new row (1, n_columns)."""
        seen, scaled = self.ranks.scaled(values), self.scale.scaled(values)
        return self._behind(self.blind, seen, scaled, [], column)

    def _behind(
        self, learner: Learner, seen: Floats, values: Floats, labels: list[Floats], column: int
    ) -> Behind:
        if np.isnan(seen).all():  # it holds the mean or mode
            return np.empty(0, np.int64), np.empty(0), np.empty(0)
        return learner.behind(column, seen, values, labels, self._kernels(values))

    def crowded_out(self) -> None:
        """No group of rows is on its own."""

    def _kernels(self, queries: Floats) -> ModuleType:
        return devices.kernels(self.settings.device, _work(queries, len(self.training.filled)))


def _restored(scale: Scale, highs: Floats, filled: Floats) -> Floats:
    """Fills in the columns' units; rounding must not lead out of what was observed."""
    return np.clip(filled * scale.ranges + scale.lows, scale.lows, highs)


def _work(queries: Floats, n_rows: int) -> float:
    """Pairs of cells that are compared for gaps, twice for each column that has any."""
    gaps = int(np.count_nonzero(np.isnan(queries)))
    return float(2.0 * gaps * n_rows * queries.shape[1])
