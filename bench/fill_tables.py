"""Every table of a folder filled by every method: nothing lost, nothing left, how long.

    python -m bench.fill_tables --data FOLDER

The folder holds csv files and datasets.json, which names each file's class and categorical
columns.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import greyknn
from bench.report import seconds, show


def main() -> None:
    """Fill each table as it is, with its own gaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    fill_all(parser.parse_args().data)


def fill_all(folder: Path) -> None:
    warnings.simplefilter("ignore")  # classes smaller than k, slow convergence: seen elsewhere
    rows = []
    for name, facts in json.loads((folder / "datasets.json").read_text()).items():
        table = pd.read_csv(folder / facts["file"])
        y = table.pop(facts["target"])
        row: dict[str, Any] = {
            "table": name,
            "rows": len(table),
            "columns": table.shape[1],
            "gaps": int(table.isna().sum().sum()),
        }
        for method in greyknn.METHODS:

            def fill() -> pd.DataFrame:
                return greyknn.impute(
                    table,
                    y,
                    method=method,
                    categorical_features=facts["categorical"],
                    keep_empty_features=True,
                )

            check(table, fill())
            row[f"{method}, s"] = round(seconds(fill, 1), 3)
        rows.append(row)
        print(f"{name}: no gap left, observed cells identical, five methods")
    show("tables", "Whole impute of real tables, n_neighbors='cv', seconds", rows)


def check(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raise unless ``after`` is ``before`` with values in its gaps only, empty columns apart."""
    if not (before.dtypes == after.dtypes).all() or not before.index.equals(after.index):
        raise AssertionError("types or index changed")
    if after.dropna(axis=1, how="all").isna().any().any():
        raise AssertionError("a gap is left")
    observed = before.notna().to_numpy()
    same = before.to_numpy(dtype=object) == after.to_numpy(dtype=object)
    if not np.asarray(same, dtype=bool)[observed].all():
        raise AssertionError("an observed cell changed")


if __name__ == "__main__":
    main()
