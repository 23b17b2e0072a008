"""A table that is to lose cells: what is in it, how many are to go, and the table without them."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn.amputation.drawing import Items, Unreachable, draw
from greyknn.amputation.emptying import emptied
from greyknn.arrays import Bools, Ints
from greyknn.table import Schema

OWN = (0x67617073,)
"""Makes the stream of a seed our own: a table drawn from the same seed must not decide its gaps."""


class Opened:
    """A user's table as numbers.

    Attributes
    ----------
    values : array of shape (n_rows, n_columns)
        Numbers, and positions of levels for categories; NaN in gaps.
    observed : array of shape (n_rows, n_columns)
    names : tuple
        Of the columns; positions, if the table has no names.
    """

    def __init__(self, X: Any) -> None:
        schema, coded = Schema.fit(X, keep_empty_features=True)
        self._given = X
        self.values, self.names = coded.values, schema.names
        self.observed: Bools = ~np.isnan(coded.values)

    def to_lose(self, rate: Any, columns: Any) -> int:
        """How many of the observed cells of some columns are to go.

        Raises
        ------
        ValueError
            If the rate is no share, or not a single cell.
        """
        if not isinstance(rate, int | float | np.number) or not 0 < float(rate) < 1:
            raise ValueError(f"rate={rate!r} must be a share of cells, above 0 and below 1.")
        n_cells = np.count_nonzero(self.observed[:, columns])
        total = round(float(rate) * n_cells)
        if total == 0:
            raise ValueError(
                f"rate={rate} of {n_cells} observed cells is less than one cell: raise the rate."
            )
        return total

    def without(self, items: Items, losable: Ints, total: int, return_mask: bool) -> Any:
        """The table after the draw, each group losing the same share of what it can lose.

        Parameters
        ----------
        items : Items
        losable : array of shape (n_rows, n_slots)
            The cells of each item that its group's share is counted over.
        total : int
            Cells to go.
        return_mask : bool
            Whether to return the removed cells too.
        """
        by_group = np.bincount(items.group.ravel(), losable.ravel())
        try:
            gone = draw(items, self.observed, by_group * (total / by_group.sum()))
        except Unreachable as error:
            raise ValueError(
                f"{total} of the cells are to go missing, but about {error.most} can: "
                'every row and column keeps an observed cell, and with patterns or "mar" what '
                "decides stays too. Lower the rate, or name other columns or patterns."
            ) from None
        table = emptied(self._given, gone)
        return (table, gone) if return_mask else table


def generator(random_state: Any) -> np.random.Generator:
    """A generator from what scikit-learn or numpy take for one."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**32, dtype=np.uint32)
    return np.random.default_rng(np.random.SeedSequence(random_state, spawn_key=OWN))
