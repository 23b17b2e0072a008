"""The five tables that the paper fills, with the cells that are taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_iris
from sklearn.naive_bayes import CategoricalNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer

from bench import cross_fit
from bench.paper.simulation import normal_classes, random_gaps
from bench.paper_tables import cubes_gaps, four_cubes, iris_gaps
from greyknn import ampute
from greyknn.arrays import Bools
from greyknn.evaluation.scores import CLASSIFIERS
from greyknn.evaluation.tables import Data

BINS = 10
BINNED = make_pipeline(
    KBinsDiscretizer(BINS, encode="ordinal", strategy="uniform"), CategoricalNB(min_categories=BINS)
)
"""Sees the cubes, whose classes have nearly the same mean and deviation in every column."""

DROPPED = "export_administration_act_south_africa"
"""Voting has 15 columns and 4.14 % gaps, as in the paper's Table 5, without this one only."""


@dataclass(frozen=True)
class Problem:
    """One of the paper's tables of results.

    Attributes
    ----------
    key : str
        As in `printed`.
    title : str
    rates : tuple of float
    repeats : int
    slow_repeats : int
        From the first of them come the honest accuracies of the slow methods.
    draw : callable
        Takes a rate and a repeat, returns the table and the cells that are removed from it.
    classifier : classifier
        Its accuracy is measured.
    bayes : str
        What that is.
    """

    key: str
    title: str
    rates: tuple[float, ...]
    repeats: int
    slow_repeats: int
    draw: Callable[[float, int], tuple[Data, Bools]]
    classifier: Any = CLASSIFIERS["nb"]
    bayes: str = "naive Bayes"


def problems(folder: Path | None) -> list[Problem]:
    """All of them; without a folder of data those that need none.

    Parameters
    ----------
    folder : Path or None
        With voting.csv, hepatitis.csv and datasets.json.
    """
    few, three = (0.1, 0.2), (0.05, 0.1, 0.2)
    found = [
        Problem(
            "cubes",
            "Tables 1 and 2: four cubes, MCAR in x1",
            few,
            5,
            5,
            _cubes,
            BINNED,
            f"naive Bayes on {BINS} bins",
        ),
        Problem(
            "normal", "Tables 3 and 4: three normal classes, MAR in x3, x4", few, 5, 5, _normal
        ),
        Problem("iris", "Table 6: Iris, MCAR", three, 10, 5, _iris),
    ]
    if folder is not None:
        tables = read(folder)
        for number, name in (7, "voting"), (8, "hepatitis"):
            title = f"Table {number}: {name.title()}, MCAR beside its own gaps"
            found.append(Problem(name, title, three, 5, 1, partial(_emptied, tables[name])))
    return found


def iris() -> Data:
    """Iris, complete."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    return Data.of(X, y, None, "iris")


def read(folder: Path) -> dict[str, Data]:
    """Voting and Hepatitis, with their own gaps."""
    wanted = {}
    for name, table, y in cross_fit.tables(folder):
        if name in ("voting", "hepatitis"):
            table = table.drop(columns=DROPPED, errors="ignore")
            wanted[name] = Data.of(table, y, "from_dtype", name)
    return wanted


def _cubes(rate: float, repeat: int) -> tuple[Data, Bools]:
    X, y = four_cubes(np.random.default_rng(100 + repeat))
    return Data.of(X, y, None, "cubes"), cubes_gaps(rate, repeat)


def _normal(rate: float, repeat: int) -> tuple[Data, Bools]:
    X, y = normal_classes(np.random.default_rng(repeat))
    return Data.of(X, y, None, "normal"), random_gaps(X, y, rate, repeat)


def _iris(rate: float, repeat: int) -> tuple[Data, Bools]:
    return iris(), iris_gaps(rate, repeat)


def _emptied(data: Data, rate: float, repeat: int) -> tuple[Data, Bools]:
    mask: Any = ampute(data.frame, rate, random_state=repeat, return_mask=True)[1]
    return data, np.asarray(mask, dtype=bool)
