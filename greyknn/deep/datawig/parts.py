"""The rows of a training frame that are learnt from, and those that are kept to check by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from greyknn.arrays import Ints
from greyknn.deep.datawig.single import is_number, selected

SEED = 10


def parted(
    train_df: Any, test_df: Any, columns: Sequence[str], share: float, most_labels: int
) -> tuple[Ints, Any, Any]:
    """Take apart what to learn from and what to check by; rows need an output for either.

    Parameters
    ----------
    train_df, test_df : DataFrame or None
    columns : sequence of str
        Inputs, and the output last.
    share : float
        Of the rows to keep for checks if there is no test_df.
    most_labels : int
        Rows with other than the so many most frequent labels are not learnt from.

    Returns
    -------
    rows : array
        Positions in train_df of what is learnt from.
    train, held : DataFrame
        These rows, and those to check by, perhaps none.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(
            f"test_split={share!r} must be a share of the rows, 0 or more, less than 1."
        )
    frame = selected(train_df, columns, "train_df")
    output = frame[columns[-1]]
    told = output.notna().to_numpy()
    if not told.any():
        raise ValueError(
            f"No row of train_df has a value of {columns[-1]!r}; there is nothing to learn from."
        )
    if not is_number(output.dtype):
        told = told & output.isin(output.value_counts().index[:most_labels]).to_numpy()
    rows = np.flatnonzero(told)
    if test_df is not None:
        held = selected(test_df, columns, "test_df")
        return rows, frame.iloc[rows], held[held[columns[-1]].notna()]
    order = np.random.default_rng(SEED).permutation(rows)
    n_held = min(int(share * len(rows)), len(rows) - 1)
    kept = np.sort(order[n_held:])
    return kept, frame.iloc[kept], frame.iloc[np.sort(order[:n_held])]
