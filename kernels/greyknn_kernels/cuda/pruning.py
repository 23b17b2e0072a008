"""Which leaves may hold a candidate for any query of a tile."""

from __future__ import annotations

from numba import cuda, float32, int64, uint64

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import ALL, WARP, kernel, leaf
from greyknn_kernels.cuda.machine import reciprocal
from greyknn_kernels.formula import EUCLIDEAN, GREY
from greyknn_kernels.layout import FAN, NONE
from greyknn_kernels.packing import CHAIN, FAR

WARPS = 4
"""In a block."""

PACKS = WARPS * WARP // FAN
"""That a block looks at."""

_inverse_coefficient = leaf(formula.inverse_coefficient)
_capped_square = leaf(formula.capped_square)


@kernel(WARP * WARPS)
def reach(
    metric, values, categorical, rows, floors, n_chains, cells, offsets, columns, first_tile,
    tile_queries, first_packs, last_packs, first_leaves, children, low, high, codes, keep, slots,
    scores, reached,
):  # fmt: skip
    """Mark leaves; a grid of (tiles, packs of their groups / PACKS).

    Parameters
    ----------
    metric, values, categorical, rows, floors, n_chains, cells, offsets, columns :
        as in ``queries.pack``
    first_tile, tile_queries : int
    first_packs, last_packs, first_leaves : array of shape (n_tiles,), int32
        Packs of leaves, and the first leaf, of each tile's group.
    children, low, high, codes : as in ``layout.Donors``
    keep, slots, scores : as in ``measuring.settle``, with one list a query
    reached : array of shape (n_tiles_here, n_leaves), uint8
        Written: 1 where the bound of a leaf reaches a query's list. Leaves are counted from the
        group's first.
    """
    tile = first_tile + cuda.blockIdx.x
    if first_packs[tile] >= last_packs[tile]:
        return
    lane = cuda.threadIdx.x % WARP
    pack = first_packs[tile] + cuda.blockIdx.y * PACKS + cuda.threadIdx.x // FAN
    fan = lane % FAN
    leaf_number = int64(NONE)
    if pack < last_packs[tile]:
        leaf_number = children[pack, fan]
    outside = leaf_number == NONE
    if outside:
        pack = first_packs[tile]
    near = False
    for member in range(tile_queries):
        slot = tile * tile_queries + member
        if floors[slot] > float32(0.0):  # closed
            continue
        row = rows[slot]
        worst = scores[int64(slot) * slots + keep - 1]
        bound = float32(0.0)
        number = float32(0.0)
        for entry in range(n_chains[slot] * CHAIN):
            column = columns[slot, entry]
            if column == len(categorical):
                break
            cell = cells[slot, entry]
            offset = offsets[slot, entry]
            if categorical[column]:
                bit = uint64(values[row, column]) & uint64(63)
                held = (codes[pack, column, fan] >> bit) & uint64(1)
                nearest = cell if held != 0 else cell + float32(FAR)
            else:
                nearest = min(max(cell, low[pack, column, fan]), high[pack, column, fan])
                number += float32(1.0)
            if metric == GREY:
                bound += reciprocal(_inverse_coefficient(cell, nearest, offset))
            elif metric == EUCLIDEAN:
                difference = cell - nearest
                bound -= difference * difference
            else:
                bound -= _capped_square(cell, nearest, offset)
        if metric == EUCLIDEAN:
            bound = bound / max(number, float32(1.0))
        near = near or bound >= worst
        if cuda.all_sync(ALL, near or outside):
            break
    if not outside:
        reached[cuda.blockIdx.x, leaf_number - first_leaves[tile]] = 1 if near else 0
