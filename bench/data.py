"""Tables of any size for benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CENTERS = 40


def clustered(n_rows: int, n_columns: int = 20, seed: int = 0) -> tuple[Any, Any]:
    """Mixed columns around CENTERS centres, each of one of two classes.

    Three columns in five are numbers, the others categories of 3 to 30 levels that mostly tell
    the centre; every fifth column is noise.
    """
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(CENTERS, n_columns))
    member = rng.integers(0, CENTERS, n_rows)
    columns: dict[str, Any] = {}
    for column in range(n_columns):
        noise = column % 5 == 4
        if column % 5 in (1, 3):
            levels = int(rng.integers(3, 31))
            codes = rng.integers(0, levels, CENTERS)[member]
            codes = np.where(rng.random(n_rows) < 0.15, rng.integers(0, levels, n_rows), codes)
            names = [f"level {level}" for level in range(levels)]
            columns[f"x{column}"] = pd.Categorical.from_codes(codes, names)
        else:
            where = np.zeros(n_rows) if noise else centers[member, column]
            columns[f"x{column}"] = where + 0.3 * rng.normal(size=n_rows)
    return pd.DataFrame(columns), (member % 2).astype(np.int64)


def uniform(n_rows: int, n_columns: int = 20, seed: int = 0) -> tuple[Any, Any]:
    """Independent numbers, and a class that tells nothing: the worst case for pruning."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.random((n_rows, n_columns)))
    return frame.set_axis([f"x{i}" for i in range(n_columns)], axis=1), rng.integers(0, 2, n_rows)


def factors(n_rows: int, n_columns: int = 20, seed: int = 0) -> tuple[Any, Any]:
    """Numbers mixed from five hidden factors, and a class that tells one of them."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_rows, 5))
    X = hidden @ rng.normal(size=(5, n_columns)) + rng.normal(size=(n_rows, n_columns))
    return X, (hidden[:, 0] > 0).astype(np.int64)


def resampled(folder: Path, name: str, n_rows: int, seed: int = 0) -> tuple[Any, Any]:
    """A real table drawn with replacement; numbers get a hundredth of their spread as noise.

    Parameters
    ----------
    folder : Path
        With csv files and datasets.json, which names each file's class and categorical columns.
    name : str
        A key of datasets.json.
    n_rows, seed : int
    """
    facts = json.loads((folder / "datasets.json").read_text())[name]
    rng = np.random.default_rng(seed)
    table = pd.read_csv(folder / facts["file"])
    table = table.iloc[rng.integers(0, len(table), n_rows)].reset_index(drop=True)
    y = table.pop(facts["target"])
    for column in facts["categorical"]:
        table[column] = table[column].astype("category")
    for column in facts["numeric"]:
        spread = 0.01 * table[column].std()
        table[column] = table[column] + spread * rng.normal(size=n_rows)
    return table, y.to_numpy()


def with_gaps(table: Any, share: float = 0.1, seed: int = 1) -> Any:
    """The table with cells missing completely at random."""
    gaps = np.random.default_rng(seed).random(table.shape) < share
    if isinstance(table, np.ndarray):
        table = table.copy()
        table[gaps] = np.nan
        return table
    return table.mask(gaps)
