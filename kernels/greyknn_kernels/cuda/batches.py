"""Queries in the order in which the card takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn_kernels.layout import Donors, Queries
from greyknn_kernels.packing import BLOCK

Numbers = NDArray[np.int32]


@dataclass(frozen=True)
class Batch:
    """Queries in tiles, each tile of one group of donors.

    Parameters
    ----------
    order : array of shape (n,)
        The queries, each in a slot.
    slots : array of shape (n,)
        Their slots, ascending.
    rows : array of shape (n_slots,), int32
        Position in ``order`` of the query in each slot, -1 for none.
    groups : array of shape (n_tiles,)
        The group of each tile.
    size : int
        Slots of a tile.
    """

    order: NDArray[np.int64]
    slots: NDArray[np.int64]
    rows: Numbers
    groups: NDArray[np.int64]
    size: int

    @classmethod
    def of(cls, order: Any, groups: Any, size: int) -> Batch:
        """Some queries, those of one group next to one another."""
        places, first, count = np.unique(groups, return_index=True, return_counts=True)
        n_tiles = -(-count // size)
        begins = np.concatenate([[0], np.cumsum(n_tiles)])
        within = np.arange(len(order)) - np.repeat(first, count)
        slots = np.repeat(begins[:-1], count) * size + within
        rows = np.full(begins[-1] * size, -1, dtype=np.int32)
        rows[slots] = np.arange(len(order), dtype=np.int32)
        return cls(order, slots, rows, np.repeat(places, n_tiles), size)

    @property
    def n_tiles(self) -> int:
        """How many tiles."""
        return len(self.groups)

    def spread(self, numbers: Any, missing: int) -> Numbers:
        """Numbers of all queries, by slot."""
        spread = np.full(len(self.rows), missing, dtype=np.int32)
        spread[self.slots] = numbers[self.order]
        return spread


def searchable(donors: Donors, queries: Queries) -> tuple[Any, Any]:
    """The queries whose group has donors, group by group, and their groups."""
    groups = queries.groups[queries.order]
    known = (groups >= 0) & (groups < len(donors.roots))
    known[known] = np.diff(donors.leaves)[groups[known]] > 0
    order, groups = queries.order[known], groups[known]
    together = np.argsort(groups, kind="stable")
    return order[together], groups[together]


@dataclass(frozen=True)
class Groups:
    """Where each group's donors are.

    Parameters
    ----------
    lows, highs : array of shape (n_groups,), int32
        Donors.
    first_blocks, last_blocks : array of shape (n_groups,)
        Blocks that hold some of them.
    first_packs, last_packs : array of shape (n_groups,), int32
        Packs of leaves.
    """

    lows: Numbers
    highs: Numbers
    first_blocks: NDArray[np.int64]
    last_blocks: NDArray[np.int64]
    first_packs: Numbers
    last_packs: Numbers

    @classmethod
    def of(cls, donors: Donors) -> Groups:
        """Groups without donors have none at 0."""
        n_leaves = np.diff(donors.leaves)
        some = n_leaves > 0
        lows, highs = np.zeros((2, len(n_leaves)), dtype=np.int32)
        lows[some] = donors.starts[donors.leaves[:-1][some]]
        highs[some] = donors.stops[donors.leaves[1:][some] - 1]
        bounded = (donors.children[:, :1] >= 0).any()  # packs of leaves come first, by group
        fan = donors.children.shape[1]
        ends = np.cumsum(-(-n_leaves // fan) if bounded else np.zeros_like(n_leaves))
        begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        first_blocks = lows.astype(np.int64) // BLOCK
        last_blocks = -(-highs.astype(np.int64) // BLOCK)
        packs = begins.astype(np.int32), ends.astype(np.int32)
        return cls(lows, highs, first_blocks, last_blocks, *packs)
