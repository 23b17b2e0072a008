"""Every imputer on every table: who fills best, by how much, and where not.

    python -m bench.arena --data FOLDER

The folder holds csv files and datasets.json, which names each file's class and categorical
columns; scikit-learn's own tables take part too. Runs are kept in a result file, so that a run
that was cut off goes on where it was; delete it after a method has changed.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier

import greyknn
from bench.report import show
from greyknn.evaluation import Results
from greyknn.evaluation.fillers import known
from greyknn.evaluation.peers import ForestLoop

MECHANISMS = ("mcar", "mar", "mnar")
RATES = (0.1, 0.3)
OURS = tuple(greyknn.METHODS)
PEERS = ("mean", "knn", "ridge", "mice", "forest", "r-mice", "r-vim")
FOREST = ForestLoop(max_iter=4)  # most stop there by themselves; ten rounds would take all night
CLASSIFIED = (
    "tgknn", "tgknn without labels", "cgknn", "mean", "mean+indicator", "knn", "ridge", "forest"
)  # fmt: skip
SCORES = {"numeric_rmse": "numbers", "categorical_error": "categories"}


def main() -> None:
    """Run what is not in the result file yet, and show how it went."""
    parser = argparse.ArgumentParser(prog="python -m bench.arena", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with csv files and datasets.json")
    parser.add_argument("--rows", type=int, default=1000, help="of larger tables so many, drawn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--methods", help="separated by commas; by default all that are installed")
    parser.add_argument("--tables", help="separated by commas; by default all")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("arena.jsonl"))
    parser.add_argument("--classify", action="store_true", help="accuracies instead of errors")
    given = parser.parse_args()
    tables = dict(real_tables(given.data, given.rows))
    if given.tables:
        tables = {name: tables[name] for name in given.tables.split(",")}
    methods: Any = CLASSIFIED if given.classify else OURS + tuple(filter(installed, PEERS))
    if given.methods:
        methods = given.methods.split(",")
    own = {
        "forest": FOREST,
        "tgknn without labels": greyknn.GreyKNNImputer("tgknn", label_use="never"),
    }
    methods = {name: own.get(name, name) for name in methods}
    warnings.simplefilter("ignore")  # of classes smaller than k and the like
    fight = (classified if given.classify else filled)(
        tables, methods, given.repeats, given.results, given.n_jobs
    )
    said = f"{len(tables)} tables of at most {given.rows} rows, {given.repeats} repeats"
    if given.classify:
        show("arena_accuracy", f"Honest accuracy of a random forest: {said}", accuracies(fight))
        return
    if "tgknn" not in set(fight["method"]):
        parser.exit(message=f"{fight.summary()}\nRatios are tgknn's: run it, too.\n")
    show("arena", f"Mean ranks, and tgknn's errors over those of others: {said}", verdict(fight))
    show("arena_tables", "tgknn's errors over those of the best peer, by table", by_table(fight))


def installed(peer: str) -> bool:
    """Whether a peer can take part."""
    try:
        known(peer)
    except ImportError as error:
        print(f"without {peer}: {error}")
        return False
    return True


def real_tables(folder: Path | None, most_rows: int) -> Iterator[tuple[str, tuple[Any, Any, Any]]]:
    """Name, and table, labels or None, and categorical columns of each."""
    for name in ("iris", "wine", "breast_cancer", "diabetes", "linnerud"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
        categorical = ["sex"] if name == "diabetes" else []
        labels = None if name in ("diabetes", "linnerud") else y
        yield name, _drawn(X, labels, categorical, most_rows)
    if folder is None:
        return
    for name, facts in json.loads((folder / "datasets.json").read_text()).items():
        table = pd.read_csv(folder / facts["file"])
        table = table[table[facts["target"]].notna()]
        y = table.pop(facts["target"]).astype(str)
        yield name, _drawn(table, y, facts["categorical"], most_rows)


def _drawn(table: Any, y: Any, categorical: list[str], most_rows: int) -> tuple[Any, Any, Any]:
    """At most so many rows, and the columns that have two different values in them."""
    if len(table) > most_rows:
        some = np.random.default_rng(0).permutation(len(table))[:most_rows]
        table, y = table.iloc[some], None if y is None else y.iloc[some]
    kept = [name for name in table if table[name].nunique() > 1]
    table = table[kept].reset_index(drop=True)
    categorical = [name for name in categorical if name in kept]
    return table, None if y is None else y.to_numpy(), categorical


def filled(tables: dict[str, Any], methods: Any, repeats: int, path: Path, n_jobs: int) -> Results:
    """Errors of all methods, a repeat of all tables at a time."""
    parts = []
    for repeat in range(1, repeats + 1):
        for name, (X, y, categorical) in tables.items():
            print(f"repeat {repeat} of {repeats}: {name}", flush=True)
            parts.append(
                greyknn.compare(
                    X, y, methods=methods, mechanisms=list(MECHANISMS), rates=list(RATES),
                    repeats=repeat, classifiers={}, categorical_features=categorical, name=name,
                    path=path, n_jobs=n_jobs, verbose=0,
                )
            )  # fmt: skip
    return Results(pd.concat(parts[-len(tables) :], ignore_index=True))


def classified(
    tables: dict[str, Any], methods: Any, repeats: int, path: Path, n_jobs: int
) -> Results:
    """Accuracies of all methods where there is a class."""
    forest = {"forest": RandomForestClassifier(100, random_state=0)}
    parts = []
    for name, (X, y, categorical) in tables.items():
        if y is not None:
            print(name, flush=True)
            parts.append(
                greyknn.compare(
                    X, y, methods=methods, rates=list(RATES), repeats=repeats, classifiers=forest,
                    categorical_features=categorical, name=name, path=path, n_jobs=n_jobs,
                    verbose=0,
                )
            )  # fmt: skip
    return Results(pd.concat(parts, ignore_index=True))


def cells(fight: Results, score: str) -> pd.DataFrame:
    """Mean error over the repeats, a row for each table, mechanism and rate; NaN where it failed.

    Cells that somebody fills without error are left out: there is no ratio to 0.
    """
    means = fight.blocks(score)
    return means[~(means == 0).any(axis=1)]


def verdict(fight: Results) -> list[dict[str, Any]]:
    """Every method's mean rank, and ours in proportion: a row each, the best peer's last."""
    rows: dict[str, dict[str, Any]] = {}
    for score, kind in SCORES.items():
        errors = cells(fight, score)
        ranks = errors.rank(axis=1, na_option="bottom").mean()
        peers = errors.drop(columns=[name for name in errors if name in greyknn.METHODS])
        others = {**{name: errors[name] for name in errors}, "best peer of each": peers.min(axis=1)}
        for name, theirs in others.items():
            row = rows.setdefault(name, {"method": name})
            row[f"{kind}: rank"] = round(float(ranks[name]), 2) if name in ranks else None
            ratio = (errors["tgknn"] / theirs).dropna()
            if name != "tgknn" and len(ratio):
                row[f"{kind}: ratio"] = round(float(np.exp(np.log(ratio).mean())), 3)
                row[f"{kind}: won"] = f"{int((ratio < 1).sum())} of {len(ratio)}"
                row[f"{kind}: worst"] = round(float(ratio.max()), 2)
    for name, runs in fight.groupby("method"):
        rows[str(name)]["seconds"] = round(float(runs["seconds"].mean()), 3)
        rows[str(name)]["failures"] = int(runs["failure"].count())
    return list(rows.values())


def by_table(fight: Results) -> list[dict[str, Any]]:
    """The best peer on each table, and tgknn's error over its: geometric mean of six settings."""
    rows = []
    for score, kind in SCORES.items():
        logs = np.log(cells(fight, score))  # who failed in one of the six is not the best
        errors = logs.groupby(level="table").agg(lambda settings: settings.mean(skipna=False))
        for table, error in errors.iterrows():
            others = error.drop([name for name in error.index if name in greyknn.METHODS])
            best = str(others.idxmin())
            ratio = round(float(np.exp(error["tgknn"] - others[best])), 3)
            rows.append({"table": table, "errors in": kind, "best peer": best, "ratio": ratio})
    return rows


def accuracies(fight: Results) -> list[dict[str, Any]]:
    """Mean accuracy of each method, honest and leaky."""
    means = fight.groupby("method")[["accuracy_forest", "leaky_forest"]].mean().round(4)
    best = means.sort_values("accuracy_forest", ascending=False)
    return [{"method": name, **row} for name, row in best.to_dict("index").items()]


if __name__ == "__main__":
    main()
