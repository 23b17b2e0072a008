"""What is known about missing cells, as a frame in the user's own terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn.arrays import Bools, Ints
from greyknn.deep.fills import Teller
from greyknn.deep.model import Predicted

QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}


def distribution(
    teller: Teller, predicted: Predicted, rows: Ints, gaps: Bools, names: list[Any]
) -> Any:
    """A pandas frame with a row for each missing number, and for each level of each category.

    Parameters
    ----------
    teller : Teller
    predicted : Predicted
        Of the rows with gaps.
    rows : array of shape (n_rows,)
        Their positions in the table.
    gaps : array of shape (n_rows, n_modelled)
    names : list
        Of the modelled columns.
    """
    import pandas as pd

    parts = []
    for cell, place in teller.cells():
        some = np.flatnonzero(gaps[:, place])
        if len(some) == 0:
            continue
        said = predicted.rows(some)
        column = teller.columns[place]
        if not column.categorical:
            facts = {"mean": teller.means(said, cell), "sd": teller.deviations(said, cell)}
            facts |= {name: teller.quantiles(said, cell, q) for name, q in QUANTILES.items()}
            parts.append(pd.DataFrame({"row": rows[some], "column": names[place], **facts}))
            continue
        shares = teller.shares(said, cell)
        n_levels = shares.shape[1]
        values = np.empty(n_levels, dtype=object)
        values[:] = column.levels
        parts.append(
            pd.DataFrame(
                {
                    "row": np.repeat(rows[some], n_levels),
                    "column": np.repeat(
                        np.array([names[place]], dtype=object), n_levels * len(some)
                    ),
                    "value": np.tile(values, len(some)),
                    "probability": shares.ravel(),
                }
            )
        )
    wanted = ["row", "column", "mean", "sd", *QUANTILES, "value", "probability"]
    if not parts:
        return pd.DataFrame(columns=wanted)
    whole = pd.concat(parts, ignore_index=True)
    present = [name for name in wanted if name in whole]
    return whole[present].sort_values("row", kind="stable", ignore_index=True)
