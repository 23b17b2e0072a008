"""The nearest donors of every query on one card: what is launched, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import cuda

from greyknn_kernels.cuda import measuring, pruning, queries, shapes, thorough, tiles
from greyknn_kernels.cuda.batches import Batch, Groups, searchable
from greyknn_kernels.cuda.binding import WARP
from greyknn_kernels.cuda.memory import Residents, Slabs, free_bytes, is_out_of_memory
from greyknn_kernels.formula import GREY
from greyknn_kernels.layout import FAN, NONE, Donors, Found, Measure, Queries
from greyknn_kernels.packing import BLOCK, CHAIN
from greyknn_kernels.tree import pays

MOST_QUERIES = 2**18
"""In a batch."""

MOST_PAIRS = 2.0**42
"""Pairs of cells that one launch compares: half a second on a large card."""

MOST_MARKS = 2**26
"""Leaves that are marked at a time, one byte for each tile of queries and leaf."""

MOST_LISTED = 2**28
"""Bytes of lists, or of gathered candidates, at a time."""

LEAST_TILES = 16
"""Blocks of donors that are worth a part of their own."""

WAVES = 4
"""Blocks of threads for each place there is, so that the last ones do not run alone."""

SAMPLE = 64
"""Tiles of queries that tell whether pruning pays."""


@dataclass(frozen=True)
class Plan:
    """How much is on the card at a time.

    Parameters
    ----------
    slab : int or None
        Blocks of donors that pass through together; None if all stay on the card.
    queries : int
        At most, in a batch.
    """

    slab: int | None
    queries: int

    def smaller(self, n_blocks: int) -> Plan | None:
        """The same in less memory, None if there is no less."""
        if self.slab is None:
            return replace(self, slab=max(n_blocks // 2, 1))
        if self.slab == 1 and self.queries <= 1:
            return None
        return Plan(max(self.slab // 2, 1), max(self.queries // 2, 1))


class Search:
    """One search; arguments as in ``nearest``."""

    def __init__(
        self, residents: Residents, metric: int, measures: Measure, donors: Donors,
        wanted: Queries, found: Found,
    ) -> None:  # fmt: skip
        self.residents = residents
        self.metric, self.measures, self.donors = metric, measures, donors
        self.queries, self.found = wanted, found
        self.groups = Groups.of(donors)
        self.n_blocks, self.n_rows_of_block, _ = donors.blocks.shape
        self.pitch = self.n_rows_of_block * BLOCK
        self.n_columns = self.n_rows_of_block - 1
        self.n_features = -(-self.n_columns // shapes.CHAIN) * shapes.CHAIN
        self.n_neighbors = found.distances.shape[1]
        self.slots = shapes.slots_for(self.n_neighbors)
        self.keep = min(self.n_neighbors + shapes.SPARE, self.slots)
        self.listed = self.slots <= shapes.MOST_SLOTS
        device = cuda.get_current_device()
        self.shape = shapes.shape_for(
            metric, tuple(device.compute_capability), min(self.slots, shapes.MOST_SLOTS)
        )
        self.places = int(device.MULTIPROCESSOR_COUNT) * self.shape.blocks
        self.tail = max(self.shape.chunk, shapes.CHAIN) * BLOCK

    @cached_property
    def filter(self) -> Any:
        """The kernel that finds candidates."""
        return tiles.filtering(self.metric, self.shape)

    @property
    def resident_bytes(self) -> int:
        """What all donors take that are not on the card yet."""
        parts = [self.donors.blocks, self.donors.values]
        return sum(part.nbytes for part in parts if not self.residents.holds(part))

    def plan(self) -> Plan:
        """What the card's free memory allows, by what a query and a donor take."""
        free = free_bytes()
        by_query = 28.0 * self.n_columns + 16.0 * self.slots + 12.0 * self.n_neighbors
        slab = None
        if self.resident_bytes > 0.7 * free:
            slab = max(int(0.25 * free / (12.0 * self.pitch)), 1)
            by_query += 8.0 * self.n_columns * self.slots  # gathered candidates
        room = 0.25 * free / by_query
        pairs = MOST_PAIRS / max(self.donors.values.size, 1)
        most = max(min(room, pairs, MOST_QUERIES), 1.0)
        wave = self.places * self.shape.tile_queries
        return Plan(slab, int(most // wave * wave) or int(most))

    def run(self, prunable: bool, report: Callable[[int, int], None] | None) -> None:
        """Search every query, in smaller pieces whenever the card is full."""
        order, groups = searchable(self.donors, self.queries)
        total = len(self.queries.order)
        done = total - len(order)
        plan = self.plan()
        pruned = self.pruning_pays(order, groups, plan) if prunable else False
        begin = 0
        while begin < len(order):
            end = min(begin + plan.queries, len(order))
            batch = Batch.of(order[begin:end], groups[begin:end], self.shape.tile_queries)
            try:
                self.search(batch, plan, pruned)
            except Exception as failure:
                smaller = plan.smaller(self.n_blocks)
                if not is_out_of_memory(failure) or smaller is None:
                    raise
                self.residents.forget()
                plan, pruned = smaller, pruned and smaller.slab is None
                continue
            begin = end
            if report is not None:
                report(done + begin, total)
        if report is not None and total and not len(order):
            report(total, total)

    def pruning_pays(self, order: Any, groups: Any, plan: Plan) -> bool:
        """Search some tiles pruned, to see how many leaves they visit."""
        size = self.shape.tile_queries
        if plan.slab is not None or not self.listed or len(order) <= SAMPLE * size:
            return False
        runs = np.linspace(0, len(order) - size, SAMPLE).astype(np.int64)
        some = np.unique((runs[:, None] + np.arange(size)).reshape(-1))
        try:
            self.search(Batch.of(order[some], groups[some], size), plan, True)
        except Exception as failure:
            if is_out_of_memory(failure):
                return False
            raise
        return pays(self.donors, groups[some], self.found.visits[order[some]])

    def search(self, batch: Batch, plan: Plan, pruned: bool) -> None:
        """Candidates, exact distances, and a second search where these prove nothing."""
        here = OnCard(self, batch)
        n_slots = len(batch.rows)
        n_parts = 0
        if self.listed:
            n_parts = 1 if pruned else self.parts(batch)
            if pruned:
                self.filter_pruned(here)
            else:
                self.filter_all(here, plan, n_parts)
        donors, gathered = self.residents.of(self.donors.rows), plan.slab is not None
        values = here.gathered(n_parts) if gathered else self.residents.of(self.donors.values)
        distances = cuda.device_array((n_slots, self.n_neighbors), np.float64)
        rows = cuda.device_array((n_slots, self.n_neighbors), np.int32)
        proven = cuda.device_array(n_slots, np.uint8)
        measuring.settle[-(-n_slots // measuring.WARPS), WARP * measuring.WARPS](
            *here.compared, values, gathered, donors, n_parts, self.keep, self.slots,
            *here.lists(n_parts), distances, rows, proven,
        )  # fmt: skip
        chains = here.n_chains.copy_to_host()
        unsure = proven.copy_to_host() == 0 if self.listed else chains > 0
        wanted = np.flatnonzero(unsure).astype(np.int32)
        if len(wanted):
            self.search_thoroughly(here, plan, wanted, distances, rows)
        near = distances.copy_to_host()[batch.slots]
        if self.metric != GREY:
            np.sqrt(near, out=near)
        nearest = rows.copy_to_host()[batch.slots]
        self.found.distances[batch.order] = near
        self.found.rows[batch.order] = nearest
        self.found.counts[batch.order] = np.count_nonzero(nearest >= 0, axis=1)
        if not pruned:
            visits = np.diff(self.donors.leaves)[batch.groups]
            self.found.visits[batch.order] = visits[batch.slots // batch.size]

    def parts(self, batch: Batch) -> int:
        """How many blocks of threads share the donors of a tile of queries."""
        wanted = -(-WAVES * self.places // max(batch.n_tiles, 1))
        return max(min(wanted, int(self.n_blocks) // LEAST_TILES), 1)

    def filter_all(self, here: OnCard, plan: Plan, n_parts: int) -> None:
        """Candidates among all donors of each tile's group, the nearest blocks first."""
        batch, groups = here.batch, self.groups
        first, last = groups.first_blocks[batch.groups], groups.last_blocks[batch.groups]
        if plan.slab is None:
            # Each group's blocks twice over: a tile begins where its first query is at home.
            n_blocks = groups.last_blocks - groups.first_blocks
            twice = [
                np.tile(np.arange(low, high, dtype=np.int32), 2)
                for low, high in zip(groups.first_blocks, groups.last_blocks, strict=True)
            ]
            begins = np.concatenate([[0], np.cumsum(2 * n_blocks)])[batch.groups]
            begins += here.home_blocks - first
            blocks = self.residents.of(self.donors.blocks, self.tail)
            here.launch_filter(
                n_parts, blocks, 0, np.concatenate(twice), begins, begins + last - first, True
            )
            return
        everything = np.arange(self.n_blocks, dtype=np.int32)
        for low, high, blocks, stream in Slabs(self.donors.blocks, plan.slab, self.tail):
            here.launch_filter(
                n_parts, blocks, low, everything, np.clip(first, low, high),
                np.clip(last, low, high), low == 0, stream,
            )  # fmt: skip

    def filter_pruned(self, here: OnCard) -> None:
        """Candidates in the leaves whose bounds reach the lists, best known ones first."""
        batch, donors = here.batch, self.donors
        n_leaves = int(np.diff(donors.leaves)[batch.groups].max())
        first_leaves = donors.leaves[batch.groups]
        visited = np.zeros((batch.n_tiles, n_leaves), dtype=bool)
        visited[batch.slots // batch.size, here.homes - np.repeat(0, len(here.homes))] = True
        nearby = np.zeros((batch.n_tiles, -(-n_leaves // FAN)), dtype=bool)
        tile, leaf = np.nonzero(visited)
        nearby[tile, leaf // FAN] = True
        nearby = np.repeat(nearby, FAN, axis=1)[:, :n_leaves]
        here.visit(visited, first_leaves, True)
        for within in (nearby, np.ones_like(nearby)):
            more = here.reached(n_leaves) & within & ~visited
            if more.any():
                here.visit(more, first_leaves, False)
                visited |= more
        visits = np.count_nonzero(visited, axis=1)
        self.found.visits[batch.order] = visits[batch.slots // batch.size]

    def search_thoroughly(
        self, here: OnCard, plan: Plan, wanted: Any, distances: Any, rows: Any
    ) -> None:
        """Every donor that single precision does not rule out, for some slots."""
        at_once = max(MOST_LISTED // (12 * self.n_neighbors), 1)
        for begin in range(0, len(wanted), at_once):
            some = wanted[begin : begin + at_once]
            most = max(at_once // len(some), 1)
            n_parts = min(-(-WAVES * self.places // len(some)), self.n_blocks, most)
            shape = (n_parts * len(some), self.n_neighbors)
            near = cuda.device_array(shape, np.float64)
            found = cuda.device_array(shape, np.int32)
            slots = cuda.to_device(some)
            grid = -(-len(some) // measuring.WARPS), n_parts
            for low, high, blocks, values in self.pieces(plan):
                thorough.scan[grid, WARP * measuring.WARPS](
                    *here.compared, here.cells, here.offsets, here.columns, slots, distances,
                    here.own, here.batch.size, here.lows, here.highs, blocks, self.pitch, low,
                    high, values, low * BLOCK, self.residents.of(self.donors.rows),
                    self.residents.of(self.donors.kin), low == 0, near, found,
                )  # fmt: skip
            thorough.join[grid[0], WARP * measuring.WARPS](
                slots, n_parts, near, found, distances, rows
            )

    def pieces(self, plan: Plan) -> Any:
        """All donors, packed and as they are: blocks from one to another, and both arrays."""
        values = self.donors.values
        if plan.slab is None:
            blocks = self.residents.of(self.donors.blocks, self.tail)
            yield 0, self.n_blocks, blocks, self.residents.of(values)
            return
        for low in range(0, self.n_blocks, plan.slab):
            high = min(low + plan.slab, self.n_blocks)
            blocks = cuda.to_device(self.donors.blocks[low:high].reshape(-1))
            piece = np.ascontiguousarray(values[low * BLOCK : high * BLOCK])
            yield low, high, blocks, cuda.to_device(piece)


class OnCard:
    """A batch of queries on the card, packed, with their lists of candidates."""

    def __init__(self, search: Search, batch: Batch) -> None:
        self.search, self.batch = search, batch
        measures, wanted = search.measures, search.queries
        n_slots = len(batch.rows)
        room = search.n_columns + CHAIN - 1
        upload = cuda.to_device
        self.rows = upload(batch.rows)
        self.own = upload(batch.spread(wanted.kin, -1))
        self.lows = upload(search.groups.lows[batch.groups])
        self.highs = upload(search.groups.highs[batch.groups])
        self.homes = self._homes()
        self.values = upload(np.ascontiguousarray(wanted.values[batch.order]))
        self.cells = cuda.device_array((n_slots, room), np.float32)
        self.offsets = cuda.device_array((n_slots, room), np.float32)
        self.columns = cuda.device_array((n_slots, room), np.int32)
        self.n_chains = cuda.device_array(n_slots, np.int32)
        self.floors = cuda.device_array(n_slots, np.float32)
        size = n_slots * search.n_features * 2
        self.dense = cuda.device_array(size + search.shape.chunk * 2 * batch.size, np.float32)
        numbers = [cuda.device_array(n_slots, np.float64) for _ in range(3)]
        categorical, weights = upload(measures.categorical), upload(measures.weights)
        smallest, offset = upload(wanted.smallest[batch.order]), upload(wanted.offset[batch.order])
        self.categorical = categorical
        queries.pack[-(-n_slots // queries.THREADS), queries.THREADS](
            search.metric, self.values, categorical, weights, upload(measures.steps), smallest,
            offset, self.rows, batch.size, search.shape.queries, search.n_features, self.cells,
            self.offsets, self.columns, self.n_chains, *numbers, self.floors, self.dense,
        )  # fmt: skip
        self.compared = (
            search.metric, self.values, categorical, weights, smallest, offset, self.rows,
            self.n_chains, *numbers,
        )  # fmt: skip
        self._lists: Any = None

    def _homes(self) -> Any:
        """The leaf of its own group where each query is likely to find neighbours."""
        leaves, batch = self.search.donors.leaves, self.batch
        groups = batch.groups[batch.slots // batch.size]
        homes = self.search.queries.homes[batch.order]
        return np.clip(homes, leaves[groups], leaves[groups + 1] - 1) - leaves[groups]

    @property
    def home_blocks(self) -> Any:
        """The block where each tile's first query is at home."""
        batch, donors = self.batch, self.search.donors
        _, first = np.unique(batch.slots // batch.size, return_index=True)
        return donors.starts[donors.leaves[batch.groups] + self.homes[first]] // BLOCK

    def lists(self, n_parts: int) -> Any:
        """Scores and places of the candidates in all slots."""
        if self._lists is None:
            size = max(n_parts * len(self.batch.rows) * self.search.slots, 1)
            self._lists = (
                cuda.device_array(size, np.float32), cuda.device_array(size, np.int32)
            )  # fmt: skip
        return self._lists

    def launch_filter(
        self, n_parts: int, blocks: Any, first_block: int, order: Any, firsts: Any, lasts: Any,
        fresh: bool, stream: Any = 0,
    ) -> None:  # fmt: skip
        """Compare each tile of queries with the blocks ``order[firsts:lasts]``."""
        search, batch = self.search, self.batch
        shape = search.shape
        single = [
            np.int32(number)
            for number in (
                search.n_features, search.pitch, first_block, search.keep, len(batch.rows), fresh
            )
        ]  # fmt: skip
        search.filter[(batch.n_tiles, n_parts), shape.threads, stream, shape.shared_bytes](
            blocks, self.dense, self.floors, self.own, search.residents.of(search.donors.kin),
            cuda.to_device(order), cuda.to_device(firsts.astype(np.int32)),
            cuda.to_device(lasts.astype(np.int32)), self.lows, self.highs, *single,
            *self.lists(n_parts),
        )  # fmt: skip

    def visit(self, leaves: Any, first_leaves: Any, fresh: bool) -> None:
        """Compare each tile with the leaves marked in its row."""
        search = self.search
        tile, leaf = np.nonzero(leaves)
        order = (search.donors.starts[first_leaves[tile] + leaf] // BLOCK).astype(np.int32)
        ends = np.cumsum(np.count_nonzero(leaves, axis=1))
        begins = np.concatenate([[0], ends[:-1]])
        blocks = search.residents.of(search.donors.blocks, search.tail)
        self.launch_filter(1, blocks, 0, order, begins, ends, fresh)

    def reached(self, n_leaves: int) -> Any:
        """Leaves, by tile, whose bounds reach a list."""
        search, batch, groups = self.search, self.batch, self.search.groups
        donors, of = search.donors, search.residents.of
        marks = np.zeros((batch.n_tiles, n_leaves), dtype=bool)
        upload = cuda.to_device
        firsts = upload(groups.first_packs[batch.groups])
        lasts = upload(groups.last_packs[batch.groups])
        leaves = upload(donors.leaves[batch.groups].astype(np.int32))
        n_packs = int((groups.last_packs - groups.first_packs)[batch.groups].max())
        step = max(MOST_MARKS // n_leaves, 1)
        for begin in range(0, batch.n_tiles, step):
            end = min(begin + step, batch.n_tiles)
            here = upload(np.zeros((end - begin, n_leaves), np.uint8))
            pruning.reach[(end - begin, -(-n_packs // pruning.PACKS)), WARP * pruning.WARPS](
                search.metric, self.values, self.categorical, self.rows, self.floors,
                self.n_chains, self.cells, self.offsets, self.columns, begin, batch.size, firsts,
                lasts, leaves, of(donors.children), of(donors.low), of(donors.high),
                of(donors.codes), search.keep, search.slots, self.lists(1)[0], here,
            )  # fmt: skip
            marks[begin:end] = here.copy_to_host().view(bool)
        return marks

    def gathered(self, n_parts: int) -> Any:
        """The donors' rows of all candidates, in the order of the lists."""
        places = self.lists(n_parts)[1].copy_to_host()
        return cuda.to_device(self.search.donors.values[np.maximum(places, 0)])


def nearest(
    residents: Residents, metric: int, prunable: bool, measures: Measure, donors: Donors,
    wanted: Queries, found: Found, report: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """The nearest donors of every query; the same as ``cpu.nearest`` finds.

    Parameters
    ----------
    residents : Residents
        Where donors stay between searches.
    metric, measures, donors, wanted, found :
        As in ``cpu.search.nearest``; ``wanted.order`` says which queries.
    prunable : bool
        Whether to look if pruning pays; ``donors`` have bounds.
    report : callable, optional
        Called with the number of queries done and to do.

    Raises
    ------
    MemoryError
        If not even one block of donors and one tile of queries fit on the card.
    """
    Search(residents, metric, measures, donors, wanted, found).run(
        prunable and bool(len(donors.children)) and bool((donors.children[:, 0] != NONE).any()),
        report,
    )
