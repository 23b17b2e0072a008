"""What rows and levels count in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import _check_sample_weight

from greyknn.arrays import Floats
from greyknn.deep.layout import Layout
from greyknn.deep.reader import Read
from greyknn.table import Column


def row_weights(sample_weight: Any, read: Read) -> Floats:
    """What each row counts (n_rows,)."""
    if sample_weight is None:
        return np.ones(len(read.values))
    weight = _check_sample_weight(sample_weight, read.values, ensure_non_negative=True)
    weights: Floats = weight.astype(np.float64)
    return weights


def output_weights(given: Any, layout: Layout, columns: Sequence[Column]) -> torch.Tensor:
    """What each output counts (n_outputs,).

    Parameters
    ----------
    given : "balanced", dict of column -> dict of level -> float, or None
    layout : Layout
    columns : sequence of Column
        That are modelled.

    Raises
    ------
    ValueError
        If it names no category, or says nothing about levels.
    """
    counts = torch.ones(layout.n_outputs, dtype=torch.float32)
    if given is None:
        return counts
    names = [columns[place].name for place in layout.columns]
    if isinstance(given, dict):
        unknown = [name for name in given if name not in names[layout.n_numbers :]]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown[0]!r}, but the categories are "
                f"{', '.join(map(repr, names[layout.n_numbers :])) or 'none'}."
            )
        for name, known in given.items():
            if not isinstance(known, dict):
                raise ValueError(
                    f"class_weight[{name!r}] is {known!r}; pass what each level counts, "
                    f"{{{name!r}: {{level: 2.0}}}}."
                )
    for cell in range(layout.n_numbers, layout.n_cells):
        block, codes = layout.blocks[cell], layout.codes_of(cell)
        if isinstance(given, dict):
            known = given.get(names[cell], {})
            levels = [columns[layout.columns[cell]].levels[code] for code in codes]
            weights = torch.tensor(
                [float(known.get(level, 1.0)) for level in levels], dtype=torch.float32
            )
        else:
            # A level may be known from rows that are yet to come.
            frequency = np.maximum(layout.counts[cell - layout.n_numbers][codes], 1)
            weights = torch.from_numpy(frequency.sum() / (len(codes) * frequency)).float()
        counts[block] = weights
    return counts
