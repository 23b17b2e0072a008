"""The nearest donors of every query: exact, pruned, ties to the lower row."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula, packing
from greyknn_kernels.cpu.binding import inner, leaf, loop
from greyknn_kernels.cpu.heap import pop, push
from greyknn_kernels.cpu.measuring import LANES, measure
from greyknn_kernels.cpu.scoring import (
    GROUP,
    near_in_group,
    score_block,
    score_pack,
)
from greyknn_kernels.cpu.tile import TILE
from greyknn_kernels.formula import GREY
from greyknn_kernels.layout import FAN, NONE
from greyknn_kernels.packing import BLOCK, CHAIN

UNLIMITED = 3e38
"""Above every estimate, but finite: the loops that filter assume finite numbers."""

_insert = inner(formula.insert)
_farthest_estimate = leaf(formula.farthest_estimate)
_pack_query = inner(packing.pack_query)


@leaf
def _begin(
    metric: int, member: int, row: int, measures: Any, donors: Any, queries: Any, tile: Any
) -> None:
    """Pack one query; one that has no donors or no cell to compare gets no chains."""
    tile.limits[member] = UNLIMITED
    tile.sizes[member] = 0
    tile.chains[member] = 0
    if 0 <= queries.groups[row] < len(donors.roots):
        n_chains, base, unit, slack = _pack_query(
            metric, queries.values[row], measures.categorical, measures.weights, measures.steps,
            queries.smallest[row], queries.offset[row], tile.cells[member],
            tile.offsets[member], tile.columns[member],
        )  # fmt: skip
        tile.chains[member] = n_chains
        tile.bases[member] = base
        tile.units[member] = unit
        tile.slacks[member] = slack


@leaf
def _settle(
    metric: int, member: int, row: int, measures: Any, donors: Any, queries: Any, found: Any,
    tile: Any,
) -> None:  # fmt: skip
    """Measure the donors in the pool, keep the nearest, and empty the pool."""
    distances, rows = found.distances[row], found.rows[row]
    last = len(distances) - 1
    size = tile.sizes[member]
    for first in range(0, size, LANES):
        for lane in range(LANES):
            tile.chosen[lane] = tile.places[member, min(first + lane, size - 1)]
        measure(
            metric, queries.values[row], measures.categorical, measures.weights,
            queries.smallest[row], queries.offset[row], donors.values, tile.chosen,
            tile.exact_cells, tile.totals, tile.n_common,
        )  # fmt: skip
        for lane in range(min(LANES, size - first)):
            total = tile.totals[lane]
            donor = donors.rows[tile.chosen[lane]]
            if total < distances[last] or (total == distances[last] and donor < rows[last]):
                _insert(distances, rows, last, total, donor)
    estimate = (distances[last] - tile.bases[member]) / tile.units[member]
    if estimate < np.inf:
        estimate = _farthest_estimate(metric, estimate, tile.slacks[member])
        tile.limits[member] = min(tile.limits[member], estimate)
    tile.sizes[member] = 0


@inner
def _take(
    metric: int, member: int, own: int, n_neighbors: int, near: int, low: int, high: int,
    kin: Any, scores: Any, slacks: Any, limits: Any, sizes: Any, estimates: Any, places: Any,
) -> None:  # fmt: skip
    """Put the near ones of ``donors[low:high]`` into a pool; their block was just scored.

    ``near`` of the block's donors are within the limit.
    """
    start = low // BLOCK * BLOCK
    slack = 2.0 * slacks[member]
    size = sizes[member]
    limit = np.float32(limits[member])
    lowest = -limit
    pool, members = estimates[member], places[member]
    for group in range(0, high - start, GROUP):
        near_here = near_in_group(scores, group, lowest)
        if near_here == 0:
            continue
        for donor in range(max(low - start, group), min(high - start, group + GROUP)):
            estimate = -scores[donor]
            if estimate > limit or kin[start + donor] == own:
                continue
            _insert(pool, members, size, estimate, start + donor)
            size += 1
            if size >= n_neighbors:
                worst = _farthest_estimate(metric, pool[n_neighbors - 1], slack)
                limit = min(limit, np.float32(worst))
                while pool[size - 1] > limit:
                    size -= 1
        near -= near_here
        if near == 0:
            break
    sizes[member] = size
    limits[member] = limit


@leaf
def _visit_best(
    metric: int, member: int, row: int, measures: Any, donors: Any, queries: Any, found: Any,
    tile: Any,
) -> int:  # fmt: skip
    """Compare one query with leaves in the order of their bounds; returns how many.

    Nodes are numbered as in ``layout.Donors.children``.
    """
    # Taking an array out of a tuple costs: not in the loop.
    cells, offsets, columns, scores = tile.cells, tile.offsets, tile.columns, tile.scores
    common, slacks, limits, sizes = tile.common, tile.slacks, tile.limits, tile.sizes
    estimates, places, kin = tile.estimates, tile.places, donors.kin
    starts, stops, blocks, children = donors.starts, donors.stops, donors.blocks, donors.children
    low, high, codes, categorical = donors.low, donors.high, donors.codes, measures.categorical
    bounds, heap_bounds, heap_nodes = tile.bounds, tile.heap_bounds, tile.heap_nodes
    query = queries.values[row]
    own = queries.kin[row]
    n_entries = tile.chains[member] * CHAIN
    n_neighbors = found.distances.shape[1]
    root = donors.roots[queries.groups[row]]
    size = 0
    visits = 0
    if root != NONE:
        size = push(heap_bounds, heap_nodes, size, np.float32(np.inf), root)
    while size > 0:
        node = heap_nodes[0]
        limit = np.float32(limits[member])
        if heap_bounds[0] < -limit:
            break
        size = pop(heap_bounds, heap_nodes, size)
        if node >= 0:
            visits += 1
            near = score_block(
                metric, cells, offsets, columns, member, n_entries, blocks[starts[node] // BLOCK],
                -limit, scores, common,
            )  # fmt: skip
            if near > 0:
                if sizes[member] > n_neighbors + BLOCK:
                    _settle(metric, member, row, measures, donors, queries, found, tile)
                _take(
                    metric, member, own, n_neighbors, near, starts[node], stops[node], kin,
                    scores, slacks, limits, sizes, estimates, places,
                )  # fmt: skip
            continue
        pack = -1 - node
        if slacks[member] < np.inf:
            score_pack(
                metric, cells, offsets, columns, member, n_entries, categorical, query, low[pack],
                high[pack], codes[pack], bounds,
            )  # fmt: skip
        else:
            for lane in range(FAN):
                bounds[lane] = np.inf
        for lane in range(FAN):
            child = children[pack, lane]
            if child != NONE and bounds[lane] >= -limit:
                size = push(heap_bounds, heap_nodes, size, bounds[lane], child)
    return visits


@inner
def _visit_all(
    metric: int, first: int, n_members: int, measures: Any, donors: Any, queries: Any, found: Any,
    tile: Any,
) -> None:  # fmt: skip
    """Compare the queries of a tile with every leaf of their groups, leaf by leaf."""
    cells, offsets, columns, scores = tile.cells, tile.offsets, tile.columns, tile.scores
    common, slacks, limits, sizes = tile.common, tile.slacks, tile.limits, tile.sizes
    estimates, places, kin, own = tile.estimates, tile.places, donors.kin, queries.kin
    starts, stops, blocks, chains = donors.starts, donors.stops, donors.blocks, tile.chains
    order, groups = queries.order, queries.groups
    n_neighbors = found.distances.shape[1]
    lowest = len(donors.roots)
    highest = -1
    for member in range(n_members):
        if chains[member] > 0:
            group = groups[order[first + member]]
            lowest = min(lowest, group)
            highest = max(highest, group)
    for group in range(lowest, highest + 1):
        begin, end = donors.leaves[group], donors.leaves[group + 1]
        # Near donors first: the tile's first query tells where, because alike ones are searched
        # one after another.
        home = min(max(queries.homes[order[first]], begin), end - 1)
        for turn in range(end - begin):
            number = home + turn if home + turn < end else home + turn - (end - begin)
            block = blocks[starts[number] // BLOCK]
            for member in range(n_members):
                row = order[first + member]
                if chains[member] == 0 or groups[row] != group:
                    continue
                near = score_block(
                    metric, cells, offsets, columns, member, chains[member] * CHAIN, block,
                    -np.float32(limits[member]), scores, common,
                )  # fmt: skip
                if near > 0:
                    if sizes[member] > n_neighbors + BLOCK:
                        _settle(metric, member, row, measures, donors, queries, found, tile)
                    _take(
                        metric, member, own[row], n_neighbors, near, starts[number], stops[number],
                        kin, scores, slacks, limits, sizes, estimates, places,
                    )  # fmt: skip


@loop
def nearest(
    begin: int, end: int, metric: int, pruned: bool, measures: Any, donors: Any, queries: Any,
    found: Any, tile: Any,
) -> None:  # fmt: skip
    """The nearest donors of the queries ``queries.order[begin:end]``.

    Single-precision scores of whole blocks only rule donors out; every donor that may belong to
    the neighbours is measured in double precision, in column order.

    Parameters
    ----------
    begin, end : int
    metric : int
        ``formula.GREY``, ``HEOM`` or ``EUCLIDEAN``.
    pruned : bool
        Whether to visit leaves in order of their bounds until none can hold a neighbour, or all.
    measures : layout.Measure
    donors : layout.Donors
    queries : layout.Queries
    found : layout.Found
        Written.
    tile : tile.Tile
        Scratch, with a heap if ``pruned``.
    """
    n_neighbors = found.distances.shape[1]
    for first in range(begin, end, TILE):
        n_members = min(TILE, end - first)
        for member in range(n_members):
            row = queries.order[first + member]
            _begin(metric, member, row, measures, donors, queries, tile)
        if not pruned:
            _visit_all(metric, first, n_members, measures, donors, queries, found, tile)
        for member in range(n_members):
            row = queries.order[first + member]
            if tile.chains[member] == 0:
                continue
            if pruned:
                found.visits[row] = _visit_best(
                    metric, member, row, measures, donors, queries, found, tile
                )
            _settle(metric, member, row, measures, donors, queries, found, tile)
            for neighbor in range(n_neighbors):
                if found.rows[row, neighbor] >= 0:
                    found.counts[row] += 1
                    if metric != GREY:
                        found.distances[row, neighbor] = np.sqrt(found.distances[row, neighbor])
