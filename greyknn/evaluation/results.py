"""What a comparison returns: a frame with a row per run, its summary, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

from greyknn.arrays import Floats
from greyknn.evaluation.runs import ACCURACY, LEAKY
from greyknn.evaluation.store import Store, key_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = ["table", "mechanism", "rate"]
SMALLEST = 1e-12  # stands for an error of 0 in ratios


class Ranking(NamedTuple):
    """Mean ranks of methods and how far chance alone moves them (Demšar 2006).

    Attributes
    ----------
    ranks : pandas.Series
        Mean rank by method, best first; 1 is the best possible.
    n_blocks : int
    blocks : {"settings", "repeats"}
        What ranks are means over.
    p_value : float
        Of Friedman's test that all methods are equally good; NaN for fewer than three methods.
    critical_difference : float
        Mean ranks farther apart differ significantly (Nemenyi's test, 5 %); NaN for one method.
    """

    ranks: Any
    n_blocks: int
    blocks: str
    p_value: float
    critical_difference: float


class Results(pd.DataFrame):  # type: ignore[misc]
    """A pandas frame with one row per run of `greyknn.compare`.

    Results of several tables are joined by ``pandas.concat``.
    """

    @property
    def _constructor(self) -> type[Results]:
        return Results

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """Everything in a result file; of a run that was made twice the later row.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, or it holds something else.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"There is no result file {path}.")
        return cls(list({key_of(row): row for row in Store(Path(path)).rows()}.values()))

    def blocks(self, score: str = "rmse") -> Any:
        """Means of a score: a row per setting, a column per method.

        Settings are tables, mechanisms and rates, and repeats are averaged, as they are not
        independent; only where there is a single setting its repeats are the rows. Rows where no
        method has the score are left out; a method that failed has NaN.

        Parameters
        ----------
        score : str
            A column of scores.

        Raises
        ------
        ValueError
            There is no such column.
        """
        if score not in self.columns or score in SETTINGS:
            raise ValueError(f"There is no score {score!r}, but {', '.join(self.columns)}.")
        by = SETTINGS if len(self[SETTINGS].drop_duplicates()) > 1 else [*SETTINGS, "repeat"]
        frame = pd.DataFrame(self)
        # A mean over some of the repeats would be another setting's.
        scores = frame.groupby([*by, "method"], sort=False)[score]
        means = scores.agg(lambda cells: cells.mean(skipna=False)).unstack("method")
        return means[list(dict.fromkeys(frame["method"]))].dropna(how="all")

    def ratios(self, score: str = "rmse") -> Any:
        """Geometric means, over settings, of the row's method's score by that of the column's.

        Below 1 where the row's method has the smaller score. Settings that either failed in are
        left out.
        """
        logs = np.log(self.blocks(score).clip(lower=SMALLEST))
        return pd.DataFrame({other: np.exp(logs.sub(logs[other], axis=0).mean()) for other in logs})

    def ranking(self, score: str = "rmse") -> Ranking:
        """Mean ranks by a score, and whether they differ by more than chance.

        Parameters
        ----------
        score : str
            A column of scores; of accuracies the largest is the best, else the smallest. A method
            that failed comes last.

        Raises
        ------
        ValueError
            There is no such column, or no method has the score.
        """
        blocks = self.blocks(score)
        if blocks.empty:
            raise ValueError(f"No method has a score {score!r}: nothing can be ranked.")
        ranks = _ranks(blocks, score)
        n_blocks, n_methods = ranks.shape
        p_value = np.nan
        if n_methods > 2 and n_blocks > 1 and (ranks.nunique(axis=1) > 1).any():
            p_value = float(friedmanchisquare(*ranks.to_numpy().T).pvalue)
        return Ranking(
            ranks.mean().sort_values(kind="stable"), n_blocks,
            "repeats" if "repeat" in ranks.index.names else "settings", p_value,
            critical_difference(n_methods, n_blocks),
        )  # fmt: skip

    def summary(self) -> Any:
        """Methods side by side, best first.

        Returns
        -------
        pandas.DataFrame
            By method: ``rank`` by ``rmse`` and ``wins`` (settings where it is the best),
            ``rank_numeric`` and ``rank_categorical``, the means of the errors, ``ratio`` (geometric
            mean of rmse by that of the setting's best other method), ``energy_distance``,
            ``accuracy`` and ``leaky`` (means over classifiers), ``seconds`` and ``peak_mib``
            (medians), ``failures``. Columns without any value are left out.
        """
        frame = pd.DataFrame(self)
        by_method = frame.groupby("method", sort=False)
        columns = {}
        for name, score in (
            ("rank", "rmse"), ("rank_numeric", "numeric_rmse"),
            ("rank_categorical", "categorical_error"),
        ):  # fmt: skip
            blocks = self.blocks(score)
            if not blocks.empty:
                columns[name] = _ranks(blocks, score).mean()
        blocks = self.blocks("rmse")
        columns["wins"] = (_ranks(blocks, "rmse", "min") == 1).sum()
        columns["ratio"] = _to_best_other(blocks)
        for score in ("rmse", "numeric_rmse", "categorical_error", "energy_distance"):
            columns[score] = self.blocks(score).mean()
        for part in (ACCURACY, LEAKY):
            names = [name for name in frame if str(name).startswith(part)]
            columns[part.rstrip("_")] = by_method[names].mean().mean(axis=1)
        columns["seconds"] = by_method["seconds"].median()
        columns["peak_mib"] = by_method["peak_mib"].median()
        columns["failures"] = by_method["failure"].count()
        out = pd.DataFrame(columns).dropna(axis=1, how="all")
        return out.sort_values(list(out.columns[:1]), kind="stable").rename_axis("method")

    def picture(self, score: str = "rmse") -> Figure:
        """Draw the critical difference diagram of a score: see `greyknn.evaluation.picture`."""
        from greyknn.evaluation.picture import critical_difference_diagram

        return critical_difference_diagram(self.ranking(score), score)


def _ranks(blocks: Any, score: str, ties: str = "average") -> Any:
    best_is_large = score.startswith((ACCURACY, LEAKY))
    return blocks.rank(axis=1, ascending=not best_is_large, na_option="bottom", method=ties)


def _to_best_other(blocks: Any) -> Any:
    """Geometric mean ratio of each column to the smallest of the others in each row."""
    values: Floats = np.log(blocks.clip(lower=SMALLEST).to_numpy())
    ratios = {}
    for j, method in enumerate(blocks):
        others = np.delete(values, j, axis=1)
        best = np.where(np.isnan(others), np.inf, others).min(axis=1, initial=np.inf)
        gaps = values[:, j] - best
        ratios[method] = (
            np.exp(np.mean(gaps[np.isfinite(gaps)])) if np.isfinite(gaps).any() else np.nan
        )
    return pd.Series(ratios, dtype=float)


def critical_difference(n_methods: int, n_blocks: int, level: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks (Demšar 2006, equation of section 3.2.2)."""
    if n_methods < 2:
        return float("nan")
    q = studentized_range.ppf(1 - level, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))
