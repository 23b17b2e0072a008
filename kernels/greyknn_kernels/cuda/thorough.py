"""The search without a list of candidates: for any number of neighbours, and for many ties.

Single precision only rules donors out, as on the processor; every other donor is measured.
"""

from __future__ import annotations

from numba import cuda, float32, int64

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import WARP, kernel, leaf
from greyknn_kernels.cuda.machine import reciprocal
from greyknn_kernels.cuda.measuring import (
    INFINITE,
    WARPS,
    clear,
    limit_of,
    measure,
    offer,
)
from greyknn_kernels.formula import EUCLIDEAN, GREY
from greyknn_kernels.packing import BLOCK, CHAIN, GAP

NO_CELL = float32(GAP)

_inverse_coefficient = leaf(formula.inverse_coefficient)
_capped_square = leaf(formula.capped_square)
_common_difference = leaf(formula.common_difference)
_is_common = leaf(formula.is_common)


@leaf
def _estimate(metric, cells, offsets, columns, slot, n_chains, blocks, first):
    """Negative score of one donor, whose cells are at ``first`` and every BLOCK after."""
    score = float32(0.0)
    common = float32(0.0)
    for entry in range(n_chains * CHAIN):
        donor = blocks[first + int64(columns[slot, entry]) * BLOCK]
        cell = cells[slot, entry]
        if metric == GREY:
            score += reciprocal(_inverse_coefficient(cell, donor, offsets[slot, entry]))
        elif metric == EUCLIDEAN:
            difference = _common_difference(cell, donor, NO_CELL)
            score -= difference * difference
            common += _is_common(donor, NO_CELL)
        else:
            score -= _capped_square(cell, donor, offsets[slot, entry])
    if metric == EUCLIDEAN:
        score = score / max(common, float32(1.0))
    return -score


@kernel(WARP * WARPS)
def scan(
    metric, values, categorical, weights, smallest, offset, rows, n_chains, bases, units, slacks,
    cells, offsets, columns, wanted, seeds, own, tile_queries, lows, highs, blocks, pitch,
    first_block, last_block, donors, first_donor, donor_rows, kin, fresh, distances, found,
):  # fmt: skip
    """The nearest of a range of donors to some queries, in parts; a warp for each query and part.

    Parameters
    ----------
    metric, values, categorical, weights, smallest, offset, rows, n_chains, bases, units, slacks,
    cells, offsets, columns : as in ``queries.pack``
    wanted : array of shape (n_wanted,), int32
        The slots to search.
    seeds : array of shape (n_slots, n_neighbors), float64
        Neighbours known so far, whose last rules donors out.
    own : array of shape (n_slots,), int32
        Kin of each query.
    tile_queries : int
    lows, highs : array of shape (n_tiles,), int32
        Each tile's donors.
    blocks : array of float32
        From ``first_block`` on, each of ``pitch`` numbers.
    first_block, last_block : int
    donors : array of shape (any, n_columns), float64
        From ``first_donor`` on.
    donor_rows, kin : array of shape (n_donors,), int32
    fresh : bool
        Whether to empty the lists first.
    distances, found : array of shape (n_parts * n_wanted, n_neighbors)
        Each part's list, changed. The grid's second axis is the part.
    """
    number = cuda.blockIdx.x * WARPS + cuda.threadIdx.x // WARP
    lane = cuda.threadIdx.x % WARP
    part = cuda.blockIdx.y
    n_parts = cuda.gridDim.y
    if number >= len(wanted):
        return
    slot = wanted[number]
    mine = part * len(wanted) + number
    n_neighbors = distances.shape[1]
    if fresh:
        clear(distances, found, mine, n_neighbors, lane)
    row = rows[slot]
    low = lows[slot // tile_queries]
    high = highs[slot // tile_queries]
    begin = max(first_block, low // BLOCK)
    n_blocks = min(last_block, (high + BLOCK - 1) // BLOCK) - begin
    end = begin + int64(n_blocks) * (part + 1) // n_parts
    begin += int64(n_blocks) * part // n_parts
    seed = seeds[slot, n_neighbors - 1]
    limit = limit_of(
        metric, min(seed, distances[mine, n_neighbors - 1]), bases[slot], units[slot], slacks[slot]
    )
    for block in range(begin, end):
        for first in range(0, BLOCK, WARP):
            place = block * BLOCK + first + lane
            near = False
            if low <= place < high and kin[place] != own[slot]:
                estimate = _estimate(
                    metric, cells, offsets, columns, slot, n_chains[slot], blocks,
                    int64(block - first_block) * pitch + first + lane,
                )  # fmt: skip
                near = not estimate > limit
            total = INFINITE
            donor = -1
            if near:
                donor = donor_rows[place]
                total = measure(
                    metric, values, row, categorical, weights, smallest[row], offset[row], donors,
                    place - first_donor,
                )  # fmt: skip
            offer(distances, found, mine, n_neighbors, total, donor, lane)
            farthest = min(seed, distances[mine, n_neighbors - 1])
            limit = limit_of(metric, farthest, bases[slot], units[slot], slacks[slot])


@kernel(WARP * WARPS)
def join(wanted, n_parts, part_distances, part_found, distances, found):
    """Merge the lists of all parts; a warp for each query.

    Parameters
    ----------
    wanted : as in ``scan``
    n_parts : int
    part_distances, part_found : as ``scan`` left them
    distances, found : array of shape (n_slots, n_neighbors)
        Written for the slots that are wanted.
    """
    number = cuda.blockIdx.x * WARPS + cuda.threadIdx.x // WARP
    lane = cuda.threadIdx.x % WARP
    if number >= len(wanted):
        return
    slot = wanted[number]
    n_neighbors = distances.shape[1]
    clear(distances, found, slot, n_neighbors, lane)
    for part in range(n_parts):
        source = part * len(wanted) + number
        for first in range(0, n_neighbors, WARP):
            at = first + lane
            total = INFINITE
            donor = -1
            if at < n_neighbors:
                total = part_distances[source, at]
                donor = part_found[source, at]
            offer(distances, found, slot, n_neighbors, total, donor, lane)
