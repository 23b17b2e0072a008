"""How near fills are to what was hidden, and how honest what they say about themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.deep.tasks import Frame, Task
from greyknn.arrays import Bools, Floats

N_BINS = 20
"""Of confidence, for the calibration error."""


def fill_scores(task: Task, filled: Floats) -> dict[str, float]:
    """Scores of a completed table.

    Parameters
    ----------
    task : Task
    filled : float64, shape (n_rows, n_columns)
        Numbers and codes, as `Data.read` returns them.

    Returns
    -------
    dict
        ``nrmse``, root mean squared error of all hidden numbers together, each in standard
        deviations of its full column (1 is what the mean gets); ``variance_ratio``, the variance
        of the fills over that of what was hidden, in the same units; ``accuracy``, the share of
        hidden categories that are right. NaN where nothing of the kind was hidden.
    """
    scale = np.where(task.data.categorical, 1.0, deviations(task.data.matrix))
    numbers = task.hidden & ~task.data.categorical
    categories = task.hidden & task.data.categorical
    centered = task.data.matrix - np.nanmean(task.data.matrix, axis=0)
    true = (centered / scale)[numbers]
    off = ((filled - task.data.matrix) / scale)[numbers]
    hits = (filled == task.data.matrix)[categories]
    return {
        "nrmse": float(np.sqrt(np.mean(off**2))) if off.size else np.nan,
        "variance_ratio": float(np.var(true + off) / np.var(true))
        if len(np.unique(true)) > 1
        else np.nan,
        "accuracy": float(hits.mean()) if hits.size else np.nan,
    }


def deviations(values: Floats) -> Floats:
    """Standard deviation of every column's observed values, 1 where that is 0."""
    spread = np.nanstd(values, axis=0)
    return np.where(spread > 0, spread, 1.0)


def dist_scores(task: Task, told: Frame) -> dict[str, float]:
    """Scores of what ``predict_dist`` tells, on the hidden cells.

    Parameters
    ----------
    task : Task
    told : pandas.DataFrame
        With columns row, column, mean, sd, q05, q95 for numbers, and value and probability for
        categories, a row for each.

    Returns
    -------
    dict
        ``coverage``, the share of hidden numbers within [q05, q95]; ``honesty``, mean squared
        error over the mean of sd squared, both in standard deviations of the full column (1 if
        the sd are right); ``ece`` of the hidden categories. NaN where nothing was hidden.

    Raises
    ------
    ValueError
        A hidden cell is not told about.
    """
    scale = deviations(task.data.matrix)
    scores = {"coverage": np.nan, "honesty": np.nan, "ece": np.nan}
    names, categorical = list(task.data.frame), task.data.categorical
    parts: dict[str, list[Any]] = {"in": [], "error": [], "variance": [], "sure": [], "right": []}
    for column, cells in told.groupby("column", sort=False):
        if column not in names:
            continue  # of the context
        j = names.index(column)
        rows = np.flatnonzero(task.hidden[:, j])
        if categorical[j]:
            sure, right = _best_guesses(task.data.frame[column], cells, rows)
            parts["sure"].append(sure)
            parts["right"].append(right)
            continue
        one = cells.set_index("row").reindex(rows)
        truth = task.data.matrix[rows, j]
        parts["in"].append((one["q05"] <= truth) & (truth <= one["q95"]))
        parts["error"].append(((one["mean"] - truth) / scale[j]) ** 2)
        parts["variance"].append((one["sd"] / scale[j]) ** 2)
    joined = {name: np.concatenate(some) for name, some in parts.items() if some}
    n_told = sum(len(joined.get(kind, ())) for kind in ("in", "sure"))
    lost = sum(np.isnan(joined[kind]).sum() for kind in ("variance", "sure") if kind in joined)
    if n_told < task.hidden.sum() or lost:
        raise ValueError(f"predict_dist tells of {n_told - lost} of {task.hidden.sum()} gaps.")
    if "in" in joined:
        scores["coverage"] = float(joined["in"].mean())
        scores["honesty"] = float(joined["error"].mean() / joined["variance"].mean())
    if "sure" in joined:
        scores["ece"] = calibration_error(joined["sure"], joined["right"])
    return scores


def _best_guesses(truth: Frame, cells: Frame, rows: Any) -> tuple[Floats, Bools]:
    """The largest probability in each of the rows, and whether its value is the true one."""
    best = cells.loc[cells.groupby("row")["probability"].idxmax()].set_index("row").reindex(rows)
    true = truth.iloc[rows].astype(object).to_numpy()
    return best["probability"].to_numpy(np.float64), best["value"].to_numpy(object) == true


def calibration_error(sure: Floats, right: Bools, n_bins: int = N_BINS) -> float:
    """Expected calibration error (Guo et al. 2017): |accuracy - confidence| by confidence.

    Parameters
    ----------
    sure : float64, shape (n_guesses,)
        Probability of each guess, in [0, 1].
    right : bool, shape (n_guesses,)
    n_bins : int
        Of equal width; each counts by its number of guesses.
    """
    bins = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, weights=right - sure, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(sure))
