"""Exact distances of candidates, and whether they must be the nearest donors."""

from __future__ import annotations

from numba import cuda, float64, int64, uint32

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import ALL, WARP, kernel, leaf
from greyknn_kernels.cuda.machine import rounded
from greyknn_kernels.cuda.tiles import EMPTY
from greyknn_kernels.formula import EUCLIDEAN

WARPS = 4
"""In a block; each serves one query."""

INFINITE = float("inf")

_dissimilarity = leaf(formula.dissimilarity)
_settled = leaf(formula.settled)
_farthest_estimate = leaf(formula.farthest_estimate)


@leaf
def measure(metric, values, query, categorical, weights, smallest, offset, donors, donor):
    """Distance of one donor, squared for HEOM and EUCLIDEAN, as the processor measures it.

    Parameters
    ----------
    metric : int
    values, donors : array of shape (any, n_columns), float64
    query, donor : int
        Which rows of them.
    categorical, weights : array of shape (n_columns,)
    smallest, offset : float
        As in ``formula.dissimilarity``.

    Returns
    -------
    float
        Infinite where EUCLIDEAN has no column to compare.
    """
    n_columns = len(weights)
    total = 0.0
    common = 0.0
    for column in range(n_columns):
        cell = values[query, column]
        other = donors[donor, column]
        part = weights[column] * _dissimilarity(
            metric, cell, other, categorical[column], smallest, offset
        )
        total += rounded(part)
        if cell == cell and other == other:
            common += 1.0
    if metric == EUCLIDEAN:
        return total * n_columns / common if common > 0.0 else INFINITE
    return _settled(total)


@leaf
def offer(distances, rows, slot, n_neighbors, total, donor, lane):
    """Put each lane's donor into one sorted list where it belongs there; for a whole warp.

    Parameters
    ----------
    distances, rows : array of shape (any, n_neighbors)
        Changed in row ``slot``: ascending distances, equal ones by row; infinite and -1 at the
        end.
    slot, n_neighbors : int
    total : float
        Infinite for no donor.
    donor, lane : int
    """
    last = n_neighbors - 1
    far = distances[slot, last]
    near = total < far or (total == far and donor < rows[slot, last])
    waiting = uint32(cuda.ballot_sync(ALL, near))
    while waiting != 0:
        source = cuda.ffs(waiting) - 1
        entering = cuda.shfl_sync(ALL, total, source)
        entering_row = cuda.shfl_sync(ALL, donor, source)
        place = 0
        for first in range(0, n_neighbors, WARP):
            at = first + lane
            before = False
            if at < n_neighbors:
                listed = distances[slot, at]
                before = listed < entering or (listed == entering and rows[slot, at] < entering_row)
            place += cuda.popc(uint32(cuda.ballot_sync(ALL, before)))
        first = (last // WARP) * WARP
        while first + WARP > place:  # from the end, so that nothing is lost
            at = first + lane
            listed = 0.0
            listed_row = donor
            if at < last:
                listed = distances[slot, at]
                listed_row = rows[slot, at]
            cuda.syncwarp(ALL)
            if place <= at < last:
                distances[slot, at + 1] = listed
                rows[slot, at + 1] = listed_row
            cuda.syncwarp(ALL)
            first -= WARP
        if lane == 0:
            distances[slot, place] = entering
            rows[slot, place] = entering_row
        cuda.syncwarp(ALL)
        waiting &= ~(uint32(1) << uint32(source))
        far = distances[slot, last]
        near = near and (total < far or (total == far and donor < rows[slot, last]))
        waiting &= uint32(cuda.ballot_sync(ALL, near))


@leaf
def clear(distances, rows, slot, n_neighbors, lane):
    """Empty one list; for a whole warp."""
    for first in range(0, n_neighbors, WARP):
        if first + lane < n_neighbors:
            distances[slot, first + lane] = INFINITE
            rows[slot, first + lane] = -1
    cuda.syncwarp(ALL)


@leaf
def limit_of(metric, farthest, base, unit, slack):
    """Donors with a larger estimate are farther than ``farthest``."""
    if farthest == INFINITE:
        return INFINITE
    return _farthest_estimate(metric, (farthest - base) / unit, slack)


@kernel(WARP * WARPS)
def settle(
    metric, values, categorical, weights, smallest, offset, rows, n_chains, bases, units, slacks,
    donors, gathered, donor_rows, n_parts, keep, slots, scores, places, distances, found, proven,
):  # fmt: skip
    """Measure the candidates of every slot and keep the nearest; a warp for each slot.

    Parameters
    ----------
    metric, values, categorical, weights, smallest, offset, rows, n_chains, bases, units, slacks :
        as in ``queries.pack``
    donors : array of shape (any, n_columns), float64
        All donors, or the candidates in the order of ``places``.
    gathered : bool
        Which of the two.
    donor_rows : array of shape (n_donors,), int32
    n_parts, keep, slots : int
        Lists of a query, candidates in each, and room in each.
    scores, places : array of n_parts * n_slots * slots
        As ``tiles.filtering`` left them.
    distances : array of shape (n_slots, n_neighbors), float64
        Written, those of HEOM and EUCLIDEAN squared.
    found : array of shape (n_slots, n_neighbors), int32
        Written: rows of the table.
    proven : array of shape (n_slots,), uint8
        Written: 1 where no donor outside the lists can be as near.
    """
    slot = cuda.blockIdx.x * WARPS + cuda.threadIdx.x // WARP
    lane = cuda.threadIdx.x % WARP
    if slot >= len(rows):
        return
    n_neighbors = distances.shape[1]
    clear(distances, found, slot, n_neighbors, lane)
    row = rows[slot]
    if row < 0 or n_chains[slot] == 0:
        if lane == 0:
            proven[slot] = 1
        return
    best_left_out = float64(EMPTY)
    for part in range(n_parts):
        first = (int64(part) * len(rows) + slot) * slots
        for begin in range(0, keep, WARP):
            at = begin + lane
            total = INFINITE
            donor = -1
            if at < keep:
                place = places[first + at]
                if place >= 0:
                    donor = donor_rows[place]
                    source = first + at if gathered else int64(place)
                    total = measure(
                        metric, values, row, categorical, weights, smallest[row], offset[row],
                        donors, source,
                    )  # fmt: skip
            offer(distances, found, slot, n_neighbors, total, donor, lane)
        best_left_out = max(best_left_out, float64(scores[first + keep - 1]))
    if lane == 0:
        limit = limit_of(
            metric, distances[slot, n_neighbors - 1], bases[slot], units[slot], slacks[slot]
        )
        nothing_left_out = best_left_out <= EMPTY
        far_enough = limit < -best_left_out
        sure = slacks[slot] < INFINITE and (nothing_left_out or far_enough)
        proven[slot] = 1 if sure else 0
