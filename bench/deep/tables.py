"""The tables of numbers and categories: those of the study, and those it never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from bench.arena import real_tables
from bench.deep.tasks import MASKS, Task, scattered
from greyknn import ampute
from greyknn.arrays import Ints
from greyknn.evaluation.tables import Data

RATES = (0.1, 0.2, 0.3)
STUDIED = ("iris", "wine", "diabetes", "bc", "mixed", "digits")
UNSEEN = (
    "heart_cleveland", "german_credit", "autos", "credit_approval", "dermatology", "magic", "adult"
)  # fmt: skip
MECHANISMS, UNSEEN_RATE, MOST_ROWS = ("mcar", "mar", "mnar"), 0.2, 2000
METHODS = ("deep", "mean", "fwgknn", "cgknn", "knn", "ridge", "forest", "trees")
SLOW = "datawig"
SLOW_RATE = 0.2


def studied(seeds: Sequence[int], names: Sequence[str] = ()) -> Iterator[tuple[Task, list[str]]]:
    """The study's tables, cells missing completely at random, with the methods of each."""
    tables = [study_table(name) for name in STUDIED if not names or name in names]
    for repeat in seeds:
        for rate in RATES:
            for data in tables:
                hidden = scattered(~np.isnan(data.matrix), rate, repeat)
                task = Task("tables", data, hidden, "mcar", rate, repeat)
                slow = [SLOW] * (rate == SLOW_RATE) + ["deep-trees"] * (data.name == "digits")
                yield task, [*METHODS, *slow]


def unseen(
    folder: Path, seeds: Sequence[int], names: Sequence[str] = ()
) -> Iterator[tuple[Task, list[str]]]:
    """Tables that no setting was chosen on, by three mechanisms, with the methods of each."""
    tables = [
        Data.of(*table, name)
        for name, table in real_tables(folder, MOST_ROWS)
        if name in UNSEEN and (not names or name in names)
    ]
    for repeat in seeds:
        for mechanism in MECHANISMS:
            for data in tables:
                _, hidden = ampute(
                    data.frame, UNSEEN_RATE, mechanism=mechanism, random_state=MASKS + repeat,
                    return_mask=True,
                )  # fmt: skip
                task = Task("unseen", data, np.asarray(hidden), mechanism, UNSEEN_RATE, repeat)
                yield task, [*METHODS, SLOW] if mechanism == "mcar" else [*METHODS]


def study_table(name: str) -> Data:
    """A table of the study with its class; thirds of the target are diabetes' class.

    Of digits 500 rows are drawn, and pixels left out that hardly vary.
    """
    if name == "mixed":
        table, y = mixed()
        return Data.of(table, y, "from_dtype", name)
    load = {"bc": "breast_cancer"}.get(name, name)
    X, y = getattr(datasets, f"load_{load}")(return_X_y=True)
    if name == "diabetes":
        y = np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))
    if name == "digits":
        some = np.random.default_rng(0).permutation(len(X))[:500]
        X, y = X[some], y[some]
        X = X[:, X.std(axis=0) > 0.5]
    table = pd.DataFrame(X).rename(columns=lambda j: f"x{j}")
    return Data.of(table, y, [], name)


def mixed(n_rows: int = 1500, seed: int = 0) -> tuple[pd.DataFrame, Ints]:
    """Six numbers and four categories that three hidden normal factors tell, mostly not linearly.

    Returns
    -------
    table : pandas.DataFrame, shape (n_rows, 10)
    y : int64, shape (n_rows,)
        A class of three levels, of the same factors.
    """
    rng = np.random.default_rng(seed)
    a, b, c = factors = rng.normal(size=(n_rows, 3)).T

    def noise(size: float) -> Any:
        return size * rng.normal(size=n_rows)

    columns: dict[str, Any] = {
        "linear": a + noise(0.3),
        "wave": np.sin(2 * a) + noise(0.2),
        "product": b * c + noise(0.3),
        "other": b + noise(0.3),
        "skewed": np.exp(0.6 * c) + noise(0.2),
        "sum": np.array([0.6, -0.5, 0.7]) @ factors + noise(0.3),
    }
    features = np.column_stack([*factors, np.sin(2 * a), b * c, c**2 - 1])
    for n_levels in (3, 4, 6, 5):
        slopes = 1.6 * rng.normal(size=(features.shape[1], n_levels))
        scores = features @ slopes + rng.gumbel(size=(n_rows, n_levels))
        names = [f"level {level}" for level in range(n_levels)]
        codes = scores.argmax(axis=1)
        columns[f"of {n_levels}"] = pd.Categorical.from_codes(codes, names)
    score = np.array([1.0, 0.8, -0.5]) @ factors + 0.5 * a * b + noise(0.3)
    return pd.DataFrame(columns), (score > 0.3).astype(np.int64) + (c > 1)
