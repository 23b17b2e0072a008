"""Every method on one of the paper's tables, beside what the paper prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.paper import printed
from bench.paper.problems import Problem
from bench.paper.scoring import filled, honest_accuracy, table_accuracy
from greyknn import METHODS, GreyKNNImputer
from greyknn.arrays import Bools
from greyknn.evaluation.fillers import Filler, brought, known
from greyknn.evaluation.scores import errors
from greyknn.evaluation.tables import Data

Row = dict[str, Any]
BEYOND = "tgknn"
"""Not of the paper, and its neighbours are not set but found."""

ENTRANTS = (*printed.METHODS, BEYOND)
SLOW = ("forest", BEYOND)
N_NEIGHBORS = 10
VARIANTS: dict[str, dict[str, Any]] = {
    "imputed": {"n_neighbors": N_NEIGHBORS, "metric_on": "imputed"},
    "k by cv": {"n_neighbors": "cv"},
}
"""Other readings of the paper's method, whose errors are also shown."""

DIGITS = {"RMSE": 4, "sd": 4, "imputed": 4, "k by cv": 4, "wrong": 3, "leaky %": 1, "honest %": 1}
"""Of our columns, in their order."""

COLUMNS = (
    "rate", "method", "RMSE", "sd", "imputed", "k by cv", "paper RMSE",
    "wrong", "leaky %", "honest %", "paper %",
)  # fmt: skip


def compare(problem: Problem, say: Callable[[str], None]) -> list[Row]:
    """Rows of one table: rate, method, our scores and the paper's.

    Parameters
    ----------
    problem : Problem
    say : callable
        Is told what was done.

    Returns
    -------
    list of dict
        ``RMSE`` with ten neighbours and its standard deviation over repeats, ``imputed`` and
        ``k by cv`` as in `VARIANTS`, ``wrong`` the share of wrong categories, accuracies in
        percent. Method "complete" is the table without gaps, if it has none of its own, and "none"
        the paper's classifier of the table with gaps.
    """
    rows: list[Row] = []
    for rate in problem.rates:
        draws = [problem.draw(rate, repeat) for repeat in range(problem.repeats)]
        paper_accuracy = printed.ACCURACY.get(problem.key, {}).get(rate, {})
        by_method: dict[str, Row] = {}
        for name in ENTRANTS:
            runs = [scores(problem, name, *draw, seed) for seed, draw in enumerate(draws)]
            by_method[name] = means(runs)
            by_method[name]["paper RMSE"] = printed.RMSE[problem.key][rate].get(name)
            say(f"{problem.key} {rate:.0%} {name}")
        by_method |= {"complete": complete(problem, [data for data, _ in draws]), "none": {}}
        for name, row in by_method.items():
            found = {**row, "paper %": paper_accuracy.get(name)}
            if any(score is not None for score in found.values()):
                rows.append({"rate": f"{rate:.0%}", "method": name, **found})
    used = [key for key in COLUMNS if any(row.get(key) is not None for row in rows)]
    return [{key: row.get(key) for key in used} for row in rows]


def complete(problem: Problem, tables: list[Data]) -> Row:
    """Accuracy on the tables before any cell is removed; nothing if they have gaps of their own."""
    if any(np.isnan(data.matrix).any() for data in tables):
        return {}
    accuracies = [
        table_accuracy(data, data.matrix, problem.classifier, seed)
        for seed, data in enumerate(tables)
    ]
    return {"honest %": round(float(np.mean(accuracies)), DIGITS["honest %"])}


def filler(name: str, **options: Any) -> Filler:
    """One of the entrants; ours with ten neighbours, where nothing else is said."""
    if name not in METHODS or name == BEYOND:
        return known(name)
    return brought(name, GreyKNNImputer(name, **{"n_neighbors": N_NEIGHBORS, **options}))


def scores(problem: Problem, name: str, data: Data, removed: Bools, seed: int) -> dict[str, float]:
    """All scores of one method in the repeat of that number."""
    entrant = filler(name).seeded(seed)
    values = filled(data, entrant, removed)
    found = errors(data, data.matrix, values, removed)
    run = {"RMSE": found["rmse"], "wrong": found["categorical_error"]}
    if name in METHODS and name != BEYOND:
        for variant, options in VARIANTS.items():
            other = filled(data, filler(name, **options).seeded(seed), removed)
            run[variant] = errors(data, data.matrix, other, removed)["rmse"]
    run["leaky %"] = table_accuracy(data, values, problem.classifier, seed)
    if name not in SLOW or seed < problem.slow_repeats:
        run["honest %"] = honest_accuracy(data, entrant, removed, problem.classifier, seed)
    return run


def means(runs: list[dict[str, float]]) -> Row:
    """Means over the repeats that have a score, rounded; scores that none has are left out."""
    spread = float(np.std([run["RMSE"] for run in runs], ddof=1)) if len(runs) > 1 else np.nan
    found = {key: float(np.mean([run[key] for run in runs if key in run])) for key in runs[0]}
    found["sd"] = spread
    return {
        key: round(found[key], n)
        for key, n in DIGITS.items()
        if np.isfinite(found.get(key, np.nan))
    }
