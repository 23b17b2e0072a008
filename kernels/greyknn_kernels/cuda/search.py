"""The nearest donors of every query on one card: what is launched, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

from greyknn_kernels.cuda import measuring, thorough
from greyknn_kernels.cuda.batches import Batch, searchable
from greyknn_kernels.cuda.binding import WARP
from greyknn_kernels.cuda.candidates import Candidates
from greyknn_kernels.cuda.memory import Residents, free_bytes, is_out_of_memory
from greyknn_kernels.cuda.task import Task
from greyknn_kernels.formula import GREY
from greyknn_kernels.layout import Donors, Found, Measure, Queries
from greyknn_kernels.packing import BLOCK
from greyknn_kernels.tree import pays

MOST_QUERIES = 2**18
"""In a batch."""

MOST_PAIRS = 2.0**42
"""Pairs of cells that one launch compares: half a second on a large card."""

MOST_LISTED = 2**28
"""Bytes of lists that a thorough search makes at a time."""

LEAST_TILES = 16
"""Blocks of donors that are worth a part of their own."""

WAVES = 4
"""Blocks of threads for each place there is, so that the last ones do not run alone."""

SAMPLE = 64
"""Tiles of queries that tell whether pruning pays."""

THREADS = WARP * measuring.WARPS


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

    @classmethod
    def of(cls, task: Task) -> Plan:
        """What the card's free memory allows, by what a query and a donor take."""
        free = free_bytes()
        by_query = 28.0 * task.n_columns + 16.0 * task.slots + 12.0 * task.n_neighbors
        slab = None
        if task.new_bytes > 0.7 * free:
            slab = max(int(0.25 * free / (12.0 * task.pitch)), 1)
            by_query += 8.0 * task.n_columns * task.slots  # gathered candidates
        room = 0.25 * free / by_query
        pairs = MOST_PAIRS / max(task.donors.values.size, 1)
        most = int(max(min(room, pairs, MOST_QUERIES), 1.0))
        wave = task.places * task.shape.tile_queries
        return cls(slab, most // wave * wave or most)

    def smaller(self, n_blocks: int) -> Plan | None:
        """The same in less memory, None if there is no less."""
        if self.slab is None:
            return Plan(max(n_blocks // 2, 1), self.queries)
        if self.slab == 1 and self.queries == 1:
            return None
        return Plan(max(self.slab // 2, 1), max(self.queries // 2, 1))


def nearest(
    residents: Residents, metric: int, prunable: bool, measures: Measure, donors: Donors,
    queries: Queries, found: Found, report: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """The nearest donors of every query; the same as ``cpu.nearest`` finds.

    Parameters
    ----------
    residents : Residents
        Where donors stay between searches.
    metric, measures, donors, queries, found : as in ``cpu.search.nearest``
        ``queries.order`` says which queries.
    prunable : bool
        Whether ``donors`` have bounds, and so pruning may pay.
    report : callable, optional
        Called with the number of queries done and to do.

    Raises
    ------
    CudaAPIError
        If not even one block of donors and one query fit on the card.
    """
    task = Task(residents, metric, measures, donors, queries, found)
    order, groups = searchable(donors, queries)
    total = len(queries.order)
    plan = Plan.of(task)
    pruned = prunable and _pruning_pays(task, order, groups, plan)
    begin = 0
    while begin < len(order):
        end = min(begin + plan.queries, len(order))
        batch = Batch.of(order[begin:end], groups[begin:end], task.shape.tile_queries)
        try:
            _search(task, batch, plan, pruned)
        except Exception as failure:
            smaller = plan.smaller(task.n_blocks)
            if not is_out_of_memory(failure) or smaller is None:
                raise
            plan, pruned = smaller, False
            residents.forget()
            continue
        begin = end
        if report is not None and begin < len(order):
            report(begin, total)
    if report is not None and total:
        report(total, total)


def _pruning_pays(task: Task, order: Any, groups: Any, plan: Plan) -> bool:
    """Search some tiles pruned, to see how many leaves they visit."""
    size = task.shape.tile_queries
    if plan.slab is not None or not task.listed or len(order) <= SAMPLE * size:
        return False
    runs = np.linspace(0, len(order) - size, SAMPLE).astype(np.int64)
    some = np.unique((runs[:, None] + np.arange(size)).reshape(-1))
    try:
        _search(task, Batch.of(order[some], groups[some], size), plan, True)
    except Exception as failure:
        if is_out_of_memory(failure):
            return False
        raise
    return pays(task.donors, groups[some], task.found.visits[order[some]])


def _search(task: Task, batch: Batch, plan: Plan, pruned: bool) -> None:
    """Candidates, their exact distances, and a second search where these prove nothing."""
    n_parts = _parts(task, batch) if task.listed and not pruned else int(task.listed)
    here = Candidates(task, batch, n_parts)
    if pruned:
        here.find_pruned()
    elif task.listed and plan.slab is not None:
        here.find_in_slabs(plan.slab)
    elif task.listed:
        here.find()
    gathered = plan.slab is not None
    donors = here.gathered() if gathered else task.values
    shape = len(batch.rows), task.n_neighbors
    distances = cuda.device_array(shape, np.float64)
    rows = cuda.device_array(shape, np.int32)
    proven = cuda.device_array(len(batch.rows), np.uint8)
    measuring.settle[-(-len(batch.rows) // measuring.WARPS), THREADS](
        *here.compared, donors, gathered, task.donor_rows, n_parts, task.keep, task.slots,
        here.scores, here.places, distances, rows, proven,
    )  # fmt: skip
    unsure = proven.copy_to_host() == 0 if task.listed else here.n_chains.copy_to_host() > 0
    if unsure.any():
        _search_thoroughly(task, here, plan, np.flatnonzero(unsure), distances, rows)
    near = distances.copy_to_host()[batch.slots]
    if task.metric != GREY:
        np.sqrt(near, out=near)
    nearest_rows = rows.copy_to_host()[batch.slots]
    task.found.distances[batch.order] = near
    task.found.rows[batch.order] = nearest_rows
    task.found.counts[batch.order] = np.count_nonzero(nearest_rows >= 0, axis=1)


def _parts(task: Task, batch: Batch) -> int:
    """How many blocks of threads share the donors of a tile of queries."""
    wanted = -(-WAVES * task.places // batch.n_tiles)
    return max(min(wanted, int(task.n_blocks) // LEAST_TILES), 1)


def _search_thoroughly(
    task: Task, here: Candidates, plan: Plan, wanted: Any, distances: Any, rows: Any
) -> None:
    """Every donor that single precision does not rule out, for some slots."""
    at_once = max(MOST_LISTED // (12 * task.n_neighbors), 1)
    for begin in range(0, len(wanted), at_once):
        some = wanted[begin : begin + at_once].astype(np.int32)
        n_parts = min(-(-WAVES * task.places // len(some)), task.n_blocks, at_once // len(some))
        shape = n_parts * len(some), task.n_neighbors
        lists = cuda.device_array(shape, np.float64), cuda.device_array(shape, np.int32)
        slots = cuda.to_device(some)
        n_groups = -(-len(some) // measuring.WARPS)
        for low, high, blocks, values in _pieces(task, plan):
            thorough.scan[(n_groups, n_parts), THREADS](
                *here.compared, here.cells, here.offsets, here.columns, slots, distances, here.own,
                here.batch.size, here.lows, here.highs, blocks, task.pitch, low, high, values,
                low * BLOCK, task.donor_rows, task.kin, low == 0, *lists,
            )  # fmt: skip
        thorough.join[n_groups, THREADS](slots, n_parts, *lists, distances, rows)


def _pieces(task: Task, plan: Plan) -> Iterator[tuple[int, int, Any, Any]]:
    """All donors: blocks from one to another, packed and as they are."""
    if plan.slab is None:
        yield 0, task.n_blocks, task.blocks, task.values
        return
    for low in range(0, task.n_blocks, plan.slab):
        high = min(low + plan.slab, task.n_blocks)
        blocks = cuda.to_device(task.donors.blocks[low:high].reshape(-1))
        values = task.donors.values[low * BLOCK : high * BLOCK]
        yield low, high, blocks, cuda.to_device(np.ascontiguousarray(values))
