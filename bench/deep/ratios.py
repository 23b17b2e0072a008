"""Errors of one method over those of another, on the same masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from greyknn.evaluation.runs import Row

CELL = ["table", "mechanism", "rate"]
REPEAT = [*CELL, "repeat"]
Where = dict[str, Any]
"""Which rows count: a column's value, or a list of values."""


def latest(rows: Any) -> pd.DataFrame:
    """Runs that went well, the last where a method was run again."""
    runs = pd.DataFrame([row for row in rows if row["failure"] is None])
    if runs.empty:
        return pd.DataFrame(columns=["part", *REPEAT, "method", "nrmse", "accuracy"])
    return runs.drop_duplicates(["part", *REPEAT, "method"], keep="last", ignore_index=True)


def scored(runs: pd.DataFrame, score: str, where: Where) -> pd.DataFrame:
    """A score by mask and method, NaN where a method did not run."""
    for column, value in where.items():
        runs = runs[runs[column].isin(value if isinstance(value, list) else [value])]
    if score not in runs or runs.empty:
        return pd.DataFrame()
    return runs.set_index([*REPEAT, "method"])[score].astype(float).unstack("method")


@dataclass(frozen=True)
class Ratios:
    """Scores of two methods side by side.

    Attributes
    ----------
    cells : pandas.Series
        Ratio, or difference, of the two means over the repeats: one for each cell, that is
        table, mechanism and rate.
    repeats : pandas.Series
        Mean over the cells (geometric of ratios) of each repeat.
    masks : pandas.Series
        For each mask.
    """

    cells: pd.Series
    repeats: pd.Series
    masks: pd.Series

    @property
    def geomean(self) -> float:
        """Geometric mean of the cells."""
        return float(np.exp(np.log(self.cells).mean()))

    @property
    def spread(self) -> float:
        """Standard deviation over the repeats; NaN of fewer than two."""
        return float(self.repeats.std())

    @property
    def most(self) -> tuple[str, float]:
        """The cell with the largest value, and that."""
        cell = self.cells.idxmax()
        return named(cell), float(self.cells[cell])

    @property
    def least(self) -> tuple[str, float]:
        """The cell with the smallest value, and that."""
        cell = self.cells.idxmin()
        return named(cell), float(self.cells[cell])

    def of_tables(self) -> pd.Series:
        """Geometric mean of each table's cells."""
        return np.exp(np.log(self.cells).groupby(level="table").mean())


def ratios(scores: pd.DataFrame, ours: str, theirs: list[str]) -> Ratios | None:
    """Our errors over those of another, or of the best of several in every cell.

    Only masks that all of them filled count. None if there are none.
    """
    both = _together(scores, [ours, *theirs])
    if both is None:
        return None
    means = both.groupby(level=CELL).mean()
    masks = both[ours] / both[theirs].min(axis=1)
    repeats = np.exp(np.log(masks).groupby(level="repeat").mean())
    return Ratios(means[ours] / means[theirs].min(axis=1), repeats, masks)


def differences(scores: pd.DataFrame, ours: str, theirs: list[str]) -> Ratios | None:
    """Our accuracies less those of another, or of the best of several in every cell."""
    both = _together(scores, [ours, *theirs])
    if both is None:
        return None
    means = both.groupby(level=CELL).mean()
    masks = both[ours] - both[theirs].max(axis=1)
    repeats = masks.groupby(level="repeat").mean()
    return Ratios(means[ours] - means[theirs].max(axis=1), repeats, masks)


def _together(scores: pd.DataFrame, methods: list[str]) -> pd.DataFrame | None:
    if not set(methods) <= set(scores.columns):
        return None
    both = scores[methods].dropna()
    return None if both.empty else both


def named(cell: Any) -> str:
    """A cell in words."""
    table, mechanism, rate = cell
    return f"{table} {mechanism} {rate:.0%}"


def overview(runs: pd.DataFrame, part: str, ours: str = "deep") -> list[Row]:
    """A row for every cell: each method's mean score, ours beside the best other's, its spread.

    Errors are beside as a ratio, accuracies as a difference.
    """
    rows: list[Row] = []
    for score in ("nrmse", "accuracy", "cpu_seconds", "peak_mib"):
        scores = scored(runs, score, {"part": part}).dropna(how="all")
        if scores.empty:
            continue
        spread = scores.groupby(level=CELL).std()
        for cell, means in scores.groupby(level=CELL).mean().iterrows():
            shown = {name: round(float(mean), 3) for name, mean in means.dropna().items()}
            row: Row = {"cell": named(cell), "score": score, **shown}
            others = means.drop(ours, errors="ignore").dropna()
            if ours in shown and len(others) and score in ("nrmse", "accuracy"):
                beside = means[ours] - others.max()
                if score == "nrmse":
                    beside = means[ours] / others.min()
                row["beside best"] = round(float(beside), 3)
                row["spread"] = round(float(spread.loc[cell, ours]), 3)
            rows.append(row)
    return rows
