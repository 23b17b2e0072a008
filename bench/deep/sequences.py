"""Series with gaps: a generated panel, firms by year, and the air's carbon dioxide by week."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from bench.deep.tasks import MASKS, Frame, Task, scattered
from greyknn.arrays import Bools, Ints
from greyknn.evaluation.fillers import known
from greyknn.evaluation.outside import imported
from greyknn.evaluation.tables import Data

RATES = (0.1, 0.3)
LENGTHS = (4, 11)
"""Of the runs of steps that are hidden, from and to."""
METHODS = ("deep", "mean", "linear", "lags", "saits", "brits")


def sequential(
    seeds: Sequence[int], names: Sequence[str] = ()
) -> Iterator[tuple[Task, tuple[str, ...]]]:
    """Every table with single steps hidden, and with runs of them; and the methods."""
    for repeat in seeds:
        for name, table in TABLES.items():
            if names and name not in names:
                continue
            context, values = table(repeat)
            data = Data.of(values, None, [], name)
            observed = ~np.isnan(data.matrix)
            of = series_of(context)
            for rate in RATES:
                masks = {
                    "points": scattered(observed, rate, repeat),
                    "runs": in_runs(observed, of, rate, repeat),
                }
                for mechanism, hidden in masks.items():
                    yield Task(
                        "sequences", data, hidden, mechanism, rate, repeat, context
                    ), METHODS  # fmt: skip


def panel(seed: int = 0, n_series: int = 80, n_steps: int = 96) -> tuple[Frame, Frame]:
    """Series of four channels that share a season and a shock.

    The season of period 12 has each series' own phase and amplitude; the shock is autoregressive
    (0.8). The first two channels add them, the second with a trend; the third bends their sum,
    the fourth multiplies them.

    Returns
    -------
    context : pandas.DataFrame with columns id and step
    values : pandas.DataFrame, shape (n_series * n_steps, 4)
    """
    rng = np.random.default_rng(seed)
    step = np.arange(n_steps)
    phase = rng.uniform(0, 2 * np.pi, (n_series, 1))
    size = rng.uniform(0.5, 1.5, (n_series, 1))
    trend = 0.5 * rng.normal(size=(n_series, 1)) * step / n_steps
    shock = np.zeros((n_series, n_steps))
    for t in step[1:]:
        shock[:, t] = 0.8 * shock[:, t - 1] + 0.45 * rng.normal(size=n_series)
    angle = 2 * np.pi * step / 12 + phase
    season = size * np.sin(angle)
    clean = {
        "sum": season + shock,
        "trend": size * np.cos(angle) - 0.7 * shock + trend,
        "bent": size * np.tanh(season + shock),
        "product": 0.5 * season * shock,
    }
    noise = {"sum": 0.1, "trend": 0.1, "bent": 0.1, "product": 0.15}
    values = {
        name: (channel + noise[name] * rng.normal(size=channel.shape)).ravel()
        for name, channel in clean.items()
    }
    context = {"id": np.repeat(np.arange(n_series), n_steps), "step": np.tile(step, n_series)}
    return pd.DataFrame(context), pd.DataFrame(values)


def firms(_seed: int = 0) -> tuple[Frame, Frame]:
    """Grunfeld's eleven firms over twenty years, as statsmodels brings them along."""
    table = imported("statsmodels.datasets.grunfeld").load_pandas().data
    table = table.sort_values(["firm", "year"], ignore_index=True)
    return table[["firm", "year"]], table[["invest", "value", "capital"]].astype(float)


def air(_seed: int = 0) -> tuple[Frame, Frame]:
    """Carbon dioxide at Mauna Loa by week, with the gaps that it has; one series, no id."""
    table = imported("statsmodels.datasets.co2").load_pandas().data
    weeks = (table.index - table.index[0]) / pd.Timedelta(weeks=1)
    return pd.DataFrame({"week": np.asarray(weeks)}), table.reset_index(drop=True)[["co2"]]


TABLES: dict[str, Callable[[int], tuple[Frame, Frame]]] = {
    "panel": panel,
    "grunfeld": firms,
    "co2": air,
}


def series_of(context: Frame) -> Ints:
    """The number of every row's series, from 0; rows of a series follow one another in time."""
    if context.shape[1] == 1:
        return np.zeros(len(context), dtype=np.int64)
    return np.asarray(context.iloc[:, 0].factorize()[0], dtype=np.int64)


def in_runs(observed: Bools, series: Ints, rate: float, repeat: int) -> Bools:
    """Stretches of steps of one channel of one series, until the share of hidden cells is rate."""
    rng = np.random.default_rng(MASKS + repeat)
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    ends = np.append(starts[1:], len(series))
    hidden = np.zeros_like(observed)
    while hidden.sum() < rate * observed.sum():
        which, channel = rng.integers(len(starts)), rng.integers(observed.shape[1])
        length = rng.integers(LENGTHS[0], LENGTHS[1] + 1)
        first = rng.integers(starts[which], max(ends[which] - length, starts[which]) + 1)
        last = min(first + length, ends[which])
        hidden[first:last, channel] = observed[first:last, channel]
    return hidden


class Interpolated(BaseEstimator):  # type: ignore[misc]
    """Straight lines between a series' steps, its first and last value beyond them.

    Parameters
    ----------
    context : tuple of names
        The column of the series, if there is one, and that of the time.
    """

    def __init__(self, context: tuple[str, ...]) -> None:
        self.context = context

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; a channel that is missing throughout a series gets its overall mean."""
        filled = X.copy()
        time = X[self.context[-1]].to_numpy(dtype=np.float64)
        for rows in X.groupby(series_of(X[list(self.context)])).indices.values():
            for name in X.columns.drop(list(self.context)):
                cells = X[name].to_numpy()[rows]
                seen = ~np.isnan(cells)
                if seen.any():
                    line = np.interp(time[rows], time[rows][seen], cells[seen])
                    filled.iloc[rows, filled.columns.get_loc(name)] = np.where(seen, cells, line)
        return filled.fillna(X.mean(numeric_only=True))


class Lagged(Interpolated):
    """Chained Bayesian ridge on every step's channels and those, interpolated, beside it."""

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used."""
        channels = list(X.columns.drop(list(self.context)))
        lines = super().fit_transform(X)
        beside = lines[channels].groupby(series_of(X[list(self.context)]))
        before, after = (beside.shift(by).fillna(lines[channels]) for by in (1, -1))
        wide = X[channels].join(before.add_suffix(" before")).join(after.add_suffix(" after"))
        ridge = known("ridge").seeded(0)
        return X[list(self.context)].join(ridge.together(wide, None)[channels])
