"""A batch of queries on the card, packed, and the lists of candidates that the filter makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from greyknn_kernels.cuda import pruning, queries
from greyknn_kernels.cuda.batches import Batch
from greyknn_kernels.cuda.binding import WARP
from greyknn_kernels.cuda.memory import Slabs
from greyknn_kernels.cuda.task import Task
from greyknn_kernels.layout import FAN
from greyknn_kernels.packing import BLOCK, CHAIN

MOST_MARKS = 2**26
"""Leaves that are marked at a time, one byte for each tile of queries and leaf."""


class Candidates:
    """The queries of a batch on the card, and what the filter finds for them.

    Parameters
    ----------
    task : Task
    batch : Batch
    n_parts : int
        Lists of each query, each from a part of the donors; 0 for none.
    """

    def __init__(self, task: Task, batch: Batch, n_parts: int) -> None:
        self.task, self.batch, self.n_parts = task, batch, n_parts
        measures, wanted = task.measures, task.queries
        upload, room = cuda.to_device, cuda.device_array
        n_slots = len(batch.rows)
        entries = n_slots, task.n_columns + CHAIN - 1
        self.rows, self.own = upload(batch.rows), upload(batch.spread(wanted.kin, -1))
        self.lows = upload(task.groups.lows[batch.groups])
        self.highs = upload(task.groups.highs[batch.groups])
        self.cells, self.offsets = room(entries, np.float32), room(entries, np.float32)
        self.columns, self.n_chains = room(entries, np.int32), room(n_slots, np.int32)
        self.floors = room(n_slots, np.float32)
        over = task.shape.chunk  # columns that a copy of whole chunks may read behind the last
        self.dense = room((n_slots * task.n_features + over * batch.size) * 2, np.float32)
        size = max(n_parts * n_slots * task.slots, 1)
        self.scores, self.places = room(size, np.float32), room(size, np.int32)
        values = upload(np.ascontiguousarray(wanted.values[batch.order]))
        categorical, weights = upload(measures.categorical), upload(measures.weights)
        extremes = upload(wanted.smallest[batch.order]), upload(wanted.offset[batch.order])
        scales = [room(n_slots, np.float64) for _ in range(3)]
        queries.pack[-(-n_slots // queries.THREADS), queries.THREADS](
            task.metric, values, categorical, weights, upload(measures.steps), *extremes,
            self.rows, batch.size, task.shape.queries, task.n_features, self.cells, self.offsets,
            self.columns, self.n_chains, *scales, self.floors, self.dense,
        )  # fmt: skip
        self.values, self.categorical = values, categorical
        self.compared = (
            task.metric, values, categorical, weights, *extremes, self.rows, self.n_chains,
            *scales,
        )  # fmt: skip
        """The arguments that kernels which measure begin with."""
        self.homes = self._homes()

    def _homes(self) -> Any:
        """The leaf, counted in its group, where each query is likely to find neighbours."""
        leaves, batch = self.task.donors.leaves, self.batch
        groups = batch.groups[batch.slots // batch.size]
        homes = self.task.queries.homes[batch.order]
        return np.clip(homes, leaves[groups], leaves[groups + 1] - 1) - leaves[groups]

    def find(self) -> None:
        """Look at every donor of each tile's group, near blocks first."""
        batch, groups, donors = self.batch, self.task.groups, self.task.donors
        firsts, lasts = groups.first_blocks, groups.last_blocks
        # Each group's blocks twice over: a tile begins where its first query is at home.
        twice = [
            np.tile(np.arange(first, last, dtype=np.int32), 2)
            for first, last in zip(firsts, lasts, strict=True)
        ]
        begins = np.concatenate([[0], np.cumsum(2 * (lasts - firsts))])[batch.groups]
        _, ahead = np.unique(batch.slots // batch.size, return_index=True)
        homes = donors.starts[donors.leaves[batch.groups] + self.homes[ahead]] // BLOCK
        begins += homes - firsts[batch.groups]
        ends = begins + (lasts - firsts)[batch.groups]
        self._filter(self.task.blocks, 0, np.concatenate(twice), begins, ends, True)
        self._visited(np.diff(donors.leaves)[batch.groups])

    def find_in_slabs(self, n_blocks: int) -> None:
        """Look at every donor, so many blocks at a time."""
        task, batch, groups = self.task, self.batch, self.task.groups
        everything = np.arange(task.n_blocks, dtype=np.int32)
        firsts, lasts = groups.first_blocks[batch.groups], groups.last_blocks[batch.groups]
        for low, high, blocks, stream in Slabs(task.donors.blocks, n_blocks, task.tail):
            here = np.clip(firsts, low, high), np.clip(lasts, low, high)
            self._filter(blocks, low, everything, *here, low == 0, stream)
        self._visited(np.diff(task.donors.leaves)[batch.groups])

    def find_pruned(self) -> None:
        """Look at the leaves whose bounds reach the lists, those near the queries' own first."""
        batch, donors = self.batch, self.task.donors
        n_leaves = int(np.diff(donors.leaves)[batch.groups].max())
        visited = np.zeros((batch.n_tiles, n_leaves), dtype=bool)
        visited[batch.slots // batch.size, self.homes] = True
        nearby = np.zeros((batch.n_tiles, -(-n_leaves // FAN)), dtype=bool)
        nearby[batch.slots // batch.size, self.homes // FAN] = True
        nearby = np.repeat(nearby, FAN, axis=1)[:, :n_leaves]
        self._visit(visited, True)
        for within in (nearby, np.ones_like(nearby)):
            more = self._reached(n_leaves) & within & ~visited
            if more.any():
                self._visit(more, False)
                visited |= more
        self._visited(np.count_nonzero(visited, axis=1))

    def gathered(self) -> Any:
        """The donors in all lists as they are, copied to the card in the lists' order."""
        places = np.maximum(self.places.copy_to_host(), 0) if self.n_parts else [0]
        return cuda.to_device(self.task.donors.values[places])

    def _filter(
        self, blocks: Any, first_block: int, order: Any, firsts: Any, lasts: Any, fresh: bool,
        stream: Any = 0,
    ) -> None:  # fmt: skip
        """Compare each tile of queries with the blocks ``order[firsts:lasts]``."""
        task, batch, upload = self.task, self.batch, cuda.to_device
        shape, n_slots = task.shape, len(batch.rows)
        single = map(
            np.int32, (task.n_features, task.pitch, first_block, task.keep, n_slots, fresh)
        )
        task.filter[(batch.n_tiles, self.n_parts), shape.threads, stream, shape.shared_bytes](
            blocks, self.dense, self.floors, self.own, task.kin, upload(order),
            upload(firsts.astype(np.int32)), upload(lasts.astype(np.int32)), self.lows, self.highs,
            *single, self.scores, self.places,
        )  # fmt: skip

    def _visit(self, leaves: Any, fresh: bool) -> None:
        """Compare each tile with the leaves marked in its row."""
        donors = self.task.donors
        tile, leaf = np.nonzero(leaves)
        blocks = donors.starts[donors.leaves[self.batch.groups[tile]] + leaf] // BLOCK
        ends = np.cumsum(np.count_nonzero(leaves, axis=1))
        begins = np.concatenate([[0], ends[:-1]])
        self._filter(self.task.blocks, 0, blocks.astype(np.int32), begins, ends, fresh)

    def _reached(self, n_leaves: int) -> Any:
        """Leaves, by tile, whose bounds reach a list."""
        task, batch, groups = self.task, self.batch, self.task.groups
        donors, of, upload = task.donors, task.residents.of, cuda.to_device
        bounds = of(donors.children), of(donors.low), of(donors.high), of(donors.codes)
        firsts, lasts = groups.first_packs[batch.groups], groups.last_packs[batch.groups]
        ranges = upload(firsts), upload(lasts), upload(donors.leaves[batch.groups].astype(np.int32))
        n_packs = -(-int((lasts - firsts).max()) // pruning.PACKS)
        marks = np.zeros((batch.n_tiles, n_leaves), dtype=bool)
        step = max(MOST_MARKS // n_leaves, 1)
        for begin in range(0, batch.n_tiles, step):
            some = marks[begin : begin + step]
            here = upload(some.view(np.uint8))
            pruning.reach[(len(some), n_packs), WARP * pruning.WARPS](
                task.metric, self.values, self.categorical, self.rows, self.floors, self.n_chains,
                self.cells, self.offsets, self.columns, begin, batch.size, *ranges, *bounds,
                task.keep, task.slots, self.scores, here,
            )  # fmt: skip
            some[:] = here.copy_to_host().view(bool)
        return marks

    def _visited(self, by_tile: Any) -> None:
        """Tell how many leaves were looked at for each query."""
        batch = self.batch
        self.task.found.visits[batch.order] = by_tile[batch.slots // batch.size]
