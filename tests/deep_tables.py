"""Small tables of related columns with gaps, laid out for the deep imputer's tests; needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from greyknn.deep.copies import folds_of, make_block
from greyknn.deep.layout import Layout

# Numbers and categories in turn, so that cells and columns are in different orders; the last
# category is in order.
CATEGORICAL = np.array([False, True, False, True])
LEVELS = np.array([0, 4, 0, 3])
ORDERED = np.array([False, False, False, True])
ALL = np.ones(4, dtype=bool)


def generator(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


def table(n_rows: int = 40, seed: int = 0, gaps: float = 0.2) -> Any:
    """Related columns with gaps; a level of the first category is seen once, another never."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    values = np.column_stack([
        x,
        x > 0,
        1e4 + 50 * (x + 0.3 * rng.normal(size=n_rows)),
        np.digitize(x + rng.normal(size=n_rows), [-0.5, 0.5]),
    ])  # fmt: skip
    values[rng.random(values.shape) < gaps] = np.nan
    values[0] = [0.5, 2.0, np.nan, 1.0]
    values[1:4, 3] = [0.0, 1.0, 2.0]
    return values


def laid_out(values: Any, targets: Any = ALL) -> Layout:
    return Layout.fit(values, CATEGORICAL, LEVELS, targets, ORDERED)


def block_of(values: Any, known: Layout, names: Any = ("grey",), **more: Any) -> Any:
    n_rows = len(values)
    asked = {
        "n_copies": 3, "mask": "mcar", "folds": folds_of(np.arange(n_rows), known.n_cells, 4, 0),
        "texts": torch.zeros(n_rows, 0, 1, dtype=torch.int64), "weight": torch.ones(n_rows),
        "generator": generator(),
    }  # fmt: skip
    return make_block(values, known, names, **{**asked, **more})


def first_outputs(guesses: torch.Tensor, n_numbers: int) -> torch.Tensor:
    """What priors (..., n_priors, n_outputs) say together: means, and of levels those of logs."""
    said = guesses.double().numpy().copy()
    said[..., n_numbers:] = np.log(said[..., n_numbers:].clip(0.02, 1.0)) / 4.0
    return torch.from_numpy(said.mean(axis=-2)).float()
