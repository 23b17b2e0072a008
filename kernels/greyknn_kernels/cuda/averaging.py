"""What neighbours say together about a missing cell: a warp for each row's gaps."""

from __future__ import annotations

from numba import cuda

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import ALL, WARP, kernel, leaf
from greyknn_kernels.cuda.machine import rounded

WARPS = 4
"""In a block."""

INFINITE = float("inf")

_mean_weight = leaf(formula.mean_weight)
_vote_weight = leaf(formula.vote_weight)


@kernel(WARP * WARPS)
def fill(
    average, n_neighbors, firsts, lists, columns, categorical, table, donors, distances, counts,
    filled,
):  # fmt: skip
    """Weighted mean or vote of missing cells (equations 11 to 14 and 36).

    Parameters
    ----------
    average, n_neighbors, lists, columns, categorical, table, donors, distances, counts, filled :
        as in ``cpu.averaging.fill``
    firsts : array of shape (n_rows + 1,), int64
        Cells ``firsts[i]:firsts[i + 1]`` share a list of neighbours.

    Notes
    -----
    Lanes are cells. Each lane weighs one neighbour at a time for all of them; sums are over
    neighbours in their order, as on the processor.
    """
    number = cuda.blockIdx.x * WARPS + cuda.threadIdx.x // WARP
    lane = cuda.threadIdx.x % WARP
    if number >= len(firsts) - 1:
        return
    first, last = firsts[number], firsts[number + 1]
    near = lists[first]
    count = min(counts[near], n_neighbors)
    if count == 0:
        return
    nearest = distances[near, 0]
    farthest = distances[near, count - 1]
    for start in range(first, last, WARP):
        mine = min(start + lane, last - 1)
        column = columns[mine]
        votes_here = categorical[column]
        weights = 0.0
        low = INFINITE
        high = -INFINITE
        for begin in range(0, count, WARP):
            weight = _mean_weight(average, nearest, distances[near, min(begin + lane, count - 1)])
            for other in range(min(WARP, count - begin)):
                weights += rounded(cuda.shfl_sync(ALL, weight, other))
                cell = table[donors[near, begin + other], column]
                low = min(low, cell)
                high = max(high, cell)
        total = 0.0
        for begin in range(0, count, WARP):
            weight = _mean_weight(average, nearest, distances[near, min(begin + lane, count - 1)])
            share = rounded(weight) / weights
            for other in range(min(WARP, count - begin)):
                part = cuda.shfl_sync(ALL, share, other)
                total += rounded(part * table[donors[near, begin + other], column])
        result = min(max(total, low), high)
        if cuda.any_sync(ALL, votes_here):
            best = -1.0
            winner = 0.0
            for candidate in range(count):
                code = table[donors[near, candidate], column]
                votes = 0.0
                for begin in range(0, count, WARP):
                    weight = _vote_weight(
                        average, nearest, farthest, distances[near, min(begin + lane, count - 1)]
                    )
                    for other in range(min(WARP, count - begin)):
                        vote = cuda.shfl_sync(ALL, weight, other)
                        if table[donors[near, begin + other], column] == code:
                            votes += vote
                if votes > best or (votes == best and code < winner):
                    best = votes
                    winner = code
            if votes_here:
                result = winner
        if start + lane < last:
            filled[mine] = result
