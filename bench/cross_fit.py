"""Which fill of the training rows makes the better classifier: ``label_use``, and the mean.

    python -m bench.cross_fit --data FOLDER

A random forest learns from training rows that are filled in one of the ways, and is scored on
test rows that went through ``transform``, which never sees a label: as honest as a Pipeline. The
folder holds csv files and datasets.json, as for ``bench.fill_tables``; its tables of at most
MOST_ROWS rows are used, beside three of scikit-learn's.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from bench.data import with_gaps
from bench.report import show
from greyknn import GreyKNNImputer

MOST_ROWS = 1_500
REPEATS = 10
RATES = (0.2, 0.4)
USES = ("fit", "cross-fit", "never")


def main() -> None:
    """Measure every table and write their accuracies and means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    compare(parser.parse_args().data)


def compare(folder: Path) -> None:
    warnings.simplefilter("ignore")  # small classes, slow convergence: seen elsewhere
    runs = pd.DataFrame(
        {"table": name, "gaps": f"{rate:.0%}", "seed": seed, **accuracies(table, y, rate, seed)}
        for name, table, y in tables(folder)
        for rate in RATES
        for seed in range(REPEATS)
    )
    means = runs.drop(columns="seed").groupby(["table", "gaps"], sort=False).mean()
    repeats = runs.drop(columns="table").groupby(["gaps", "seed"], sort=False).mean()
    beside_fit = repeats.sub(repeats["fit"], axis=0)
    rows: list[dict[str, Any]] = means.reset_index().to_dict("records")
    for gaps in means.index.unique("gaps"):
        overall = {"table": "mean", "gaps": gaps, **repeats.loc[gaps].mean()}
        error = {"table": "s.e. of difference to fit", "gaps": gaps, **beside_fit.loc[gaps].sem()}
        rows += [overall, error]
    title = f"Test accuracy of a random forest by the fill of its training rows, {REPEATS} repeats"
    show("cross_fit", title, rows)


def tables(folder: Path) -> Iterator[tuple[str, pd.DataFrame, Any]]:
    """Name, columns and class of each table; categories as such."""
    for load in (load_iris, load_wine, load_breast_cancer):
        table, y = load(return_X_y=True, as_frame=True)
        yield load.__name__.removeprefix("load_"), table, y.to_numpy()
    for name, facts in json.loads((folder / "datasets.json").read_text()).items():
        if facts["rows"] <= MOST_ROWS:
            table = pd.read_csv(folder / facts["file"])
            y = table.pop(facts["target"]).astype(str).to_numpy()
            numbers = table[facts["numeric"]].astype(float)
            yield name, numbers.join(table[facts["categorical"]].astype("category")), y


def accuracies(table: pd.DataFrame, y: Any, rate: float, seed: int) -> dict[str, float]:
    """The accuracy of each way, on one split and one set of gaps, beside those of the table."""
    table = with_gaps(table, rate, seed)
    categorical = list(table.select_dtypes("category").columns)
    mean = ColumnTransformer(
        [("mode", SimpleImputer(strategy="most_frequent"), categorical)],
        remainder=SimpleImputer(),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    ways = {use: GreyKNNImputer(label_use=use) for use in USES} | {"mean or mode": mean}
    X_train, X_test, y_train, y_test = train_test_split(
        table, y, test_size=0.3, stratify=y, random_state=seed
    )
    scores = {}
    for way, imputer in ways.items():
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        pipeline = Pipeline([
            ("fill", imputer),
            ("encode", ColumnTransformer([("codes", codes, categorical)], remainder="passthrough")),
            ("forest", RandomForestClassifier(random_state=seed)),
        ])  # fmt: skip
        scores[way] = float(pipeline.fit(X_train, y_train).score(X_test, y_test))
    return scores


if __name__ == "__main__":
    main()
