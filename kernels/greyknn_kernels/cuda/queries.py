"""Queries as the filter reads them: packed on the card, one thread a query."""

from __future__ import annotations

from numba import cuda, float32, int64

from greyknn_kernels import packing
from greyknn_kernels.cuda.binding import kernel, leaf
from greyknn_kernels.cuda.tiles import EMPTY
from greyknn_kernels.formula import EUCLIDEAN, GREY
from greyknn_kernels.packing import FAR

THREADS = 128
"""In a block."""

INFINITE = float("inf")

_pack_query = leaf(packing.pack_query)


@kernel(THREADS)
def pack(
    metric, values, categorical, weights, steps, smallest, offset, rows, tile_queries, queries,
    n_features, cells, offsets, columns, n_chains, bases, units, slacks, floors, dense,
):  # fmt: skip
    """Pack the queries of all slots; a grid of at least as many threads.

    Parameters
    ----------
    metric : int
    values : array of shape (n_queries, n_columns), float64
    categorical, weights, steps : as in ``layout.Measure``
    smallest, offset : array of shape (n_queries,), float64
    rows : array of shape (n_slots,), int32
        The query in each slot, -1 for none.
    tile_queries, queries : int
        Slots of a tile, and of a warp.
    n_features : int
        A multiple of ``shapes.CHAIN``.
    cells, offsets, columns : array of shape (n_slots, n_columns + packing.CHAIN - 1)
    n_chains, bases, units, slacks : array of shape (n_slots,)
        Written as by ``packing.pack_query``; 0 chains without a query.
    floors : array of shape (n_slots,), float32
        Written: ``EMPTY``, or ``-EMPTY`` where the filter has nothing to do.
    dense : array of n_slots * n_features * 2, float32
        Written: for each tile and feature the cells and then the offsets of each warp's queries.
    """
    slot = cuda.grid(1)
    if slot >= len(rows):
        return
    tile = slot // tile_queries
    within = slot - tile * tile_queries
    first = int64(tile) * n_features * 2 * tile_queries
    first += within // queries * 2 * queries + within % queries
    apart = float32(FAR) if metric == GREY else float32(0.0)
    for feature in range(n_features):
        dense[first + feature * 2 * tile_queries] = float32(0.0)
        dense[first + feature * 2 * tile_queries + queries] = apart
    n_chains[slot] = 0
    floors[slot] = float32(-EMPTY)
    row = rows[slot]
    if row < 0:
        return
    chains, base, unit, slack = _pack_query(
        metric, values[row], categorical, weights, steps, smallest[row], offset[row],
        cells[slot], offsets[slot], columns[slot],
    )  # fmt: skip
    n_chains[slot] = chains
    bases[slot] = base
    units[slot] = unit
    slacks[slot] = slack
    if chains == 0 or slack == INFINITE:
        return
    floors[slot] = float32(EMPTY)
    for entry in range(chains * packing.CHAIN):
        column = columns[slot, entry]
        if column < len(weights):
            place = first + column * 2 * tile_queries
            dense[place] = cells[slot, entry]
            dense[place + queries] = float32(1.0) if metric == EUCLIDEAN else offsets[slot, entry]
