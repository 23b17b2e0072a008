"""The search's filter: scores of many queries and donors at once, and each query's best.

A block of threads holds the scores of its queries and a tile of donors in registers, while chunks
of columns pass through shared memory.  One number per query, the score of the worst candidate it
keeps, says whether a tile matters to it at all; hardly any does, once the lists have filled.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import ALL, kernel, leaf
from greyknn_kernels.cuda.machine import (
    arrived,
    copy16,
    global_address,
    load,
    load4,
    reciprocal,
    send16,
    shared_address,
    store,
    store4,
)
from greyknn_kernels.cuda.shapes import CHAIN, HALVES, Shape
from greyknn_kernels.formula import EUCLIDEAN, GREY
from greyknn_kernels.packing import BLOCK, GAP

EMPTY = -(2.0**127)
"""Score of no candidate; -EMPTY closes a list."""

NO_CELL = float32(GAP)

_inverse_coefficient = leaf(formula.inverse_coefficient)
_capped_square = leaf(formula.capped_square)


@leaf
def _fetch(asynchronous, target, source, stride, units, threads, thread):
    """Begin to copy ``units`` times 16 bytes, each thread its share; ``stride`` bytes apart."""
    for copy in range((units + threads - 1) // threads):
        if (copy + 1) * threads <= units or thread < units - copy * threads:
            if asynchronous:
                send16(target + uint32(copy * threads * 16), source + copy * stride)
            else:
                copy16(target + uint32(copy * threads * 16), source + copy * stride)


@cache
def filtering(metric: int, shape: Shape) -> Any:
    """The kernel that finds candidates.

    Parameters
    ----------
    metric : int
        ``formula.GREY``, ``HEOM`` or ``EUCLIDEAN``.
    shape : Shape

    Returns
    -------
    kernel
        For a grid of (tiles of queries, parts of the donors) and ``shape.threads`` threads.
    """
    QUERIES, DONORS = shape.queries, shape.donors
    TWICE, QUADS = 2 * QUERIES, DONORS // 4
    QUERY_QUADS = TWICE // 4
    THREADS, WIDE, TILE = shape.threads, shape.tile_donors, shape.tile_queries
    CHUNK, BUFFER, SLOTS = shape.chunk, shape.buffer, shape.slots
    ROWS = SLOTS // 32
    HALF = HALVES[DONORS]
    ASYNCHRONOUS = shape.asynchronous
    OF_QUERIES = CHUNK * WIDE  # where a chunk's queries begin
    SCORES = 2 * BUFFER
    PLACES = SCORES + TILE * SLOTS
    SCRATCH = PLACES + TILE * SLOTS
    DONOR_UNITS, QUERY_UNITS = CHUNK * WIDE // 4, CHUNK * 2 * TILE // 4
    UNITS_WIDE = WIDE // 4
    DONOR_STRIDE = THREADS // UNITS_WIDE * BLOCK * 4
    RUNS_BOTH = metric == EUCLIDEAN
    COMMON = DONORS if RUNS_BOTH else 1

    @kernel(THREADS, shape.blocks)
    def candidates(
        blocks, queries, floors, own, kin, tiles, firsts, lasts, lows, highs,
        n_features, pitch, first_block, keep, n_slots, fresh, scores, places,
    ):  # fmt: skip
        shared = cuda.shared.array(0, float32, alignment=16)
        shared_places = cuda.shared.array(0, int32, alignment=16)
        sums = cuda.local.array((QUERIES, DONORS), float32)
        common = cuda.local.array((QUERIES, COMMON), float32)
        worst = cuda.local.array(QUERIES, float32)
        cells = cuda.local.array((CHAIN, TWICE), float32)
        others = cuda.local.array((CHAIN, DONORS), float32)

        thread = cuda.threadIdx.x
        lane = thread & 31
        warp = thread >> 5
        tile_of_queries = cuda.blockIdx.x
        part = cuda.blockIdx.y
        n_parts = cuda.gridDim.y
        first_query = tile_of_queries * TILE + warp * QUERIES
        of_part = int64(part) * n_slots

        for query in range(QUERIES):
            source = (of_part + first_query + query) * SLOTS
            target = (warp * QUERIES + query) * SLOTS
            for row in range(ROWS):
                slot = row * 32 + lane
                score = load(floors, first_query + query)
                place = int32(-1)
                if fresh == 0:
                    score = load(scores, source + slot)
                    place = load(places, source + slot)
                store(shared, SCORES + target + slot, score)
                store(shared_places, PLACES + target + slot, place)
        cuda.syncthreads()
        for query in range(QUERIES):
            worst[query] = load(shared, SCORES + (warp * QUERIES + query) * SLOTS + keep - 1)

        low = load(lows, tile_of_queries)
        high = load(highs, tile_of_queries)
        begin = load(firsts, tile_of_queries)
        n_tiles = (load(lasts, tile_of_queries) - begin) * HALF
        end = int32(int64(n_tiles) * (part + 1) // n_parts)
        step = int32(int64(n_tiles) * part // n_parts)

        # Each thread copies the same places of every chunk: one address for each, and constants.
        query_source = global_address(
            queries, int64(tile_of_queries) * n_features * (2 * TILE) + thread * 4
        )
        thread_source = (thread // UNITS_WIDE) * BLOCK + (thread & (UNITS_WIDE - 1)) * 4
        donor_base = global_address(blocks, thread_source)
        pitch_bytes = int64(pitch) * 4
        target = shared_address(shared, thread * 4)
        donor_source = donor_base
        if step < end:
            block = load(tiles, begin + step // HALF) - first_block
            donor_source = donor_base + (block * pitch_bytes + (step & (HALF - 1)) * (WIDE * 4))
            _fetch(ASYNCHRONOUS, target, donor_source, DONOR_STRIDE, DONOR_UNITS, THREADS, thread)
            _fetch(
                ASYNCHRONOUS, target + uint32(OF_QUERIES * 4), query_source, THREADS * 16,
                QUERY_UNITS, THREADS, thread,
            )  # fmt: skip
        buffer = int32(0)
        while step < end:
            for query in range(QUERIES):
                for donor in range(DONORS):
                    sums[query, donor] = float32(0.0)
                    if RUNS_BOTH:
                        common[query, donor] = float32(0.0)
            block = load(tiles, begin + step // HALF)
            first_donor = block * BLOCK + (step & (HALF - 1)) * WIDE
            next_source = donor_base
            if step + 1 < end:
                after = load(tiles, begin + (step + 1) // HALF) - first_block
                next_source = donor_base + (
                    after * pitch_bytes + ((step + 1) & (HALF - 1)) * (WIDE * 4)
                )
            feature = int32(0)
            while feature < n_features:
                if ASYNCHRONOUS:
                    arrived()
                cuda.syncthreads()
                n_here = min(CHUNK, n_features - feature)
                following = feature + CHUNK
                ends_tile = following >= n_features
                next_queries = query_source + int64(following) * (TILE * 8)
                donor_source = donor_source + CHUNK * BLOCK * 4
                if ends_tile:
                    next_queries = query_source
                    donor_source = next_source
                if not ends_tile or step + 1 < end:
                    other = target + uint32((BUFFER - buffer) * 4)
                    _fetch(
                        ASYNCHRONOUS, other, donor_source, DONOR_STRIDE, DONOR_UNITS, THREADS,
                        thread,
                    )  # fmt: skip
                    _fetch(
                        ASYNCHRONOUS, other + uint32(OF_QUERIES * 4), next_queries, THREADS * 16,
                        QUERY_UNITS, THREADS, thread,
                    )  # fmt: skip
                at_query = buffer + OF_QUERIES + warp * TWICE
                at_donor = buffer + lane * 4
                at_end = at_donor + n_here * WIDE
                while at_donor < at_end:
                    for link in range(CHAIN):
                        for quad in range(QUERY_QUADS):
                            a, b, c, d = load4(shared, at_query + link * (2 * TILE) + quad * 4)
                            cells[link, quad * 4] = a
                            cells[link, quad * 4 + 1] = b
                            cells[link, quad * 4 + 2] = c
                            cells[link, quad * 4 + 3] = d
                        for quad in range(QUADS):
                            a, b, c, d = load4(shared, at_donor + link * WIDE + quad * 128)
                            others[link, quad * 4] = a
                            others[link, quad * 4 + 1] = b
                            others[link, quad * 4 + 2] = c
                            others[link, quad * 4 + 3] = d
                    for query in range(QUERIES):
                        for donor in range(DONORS):
                            if metric == GREY:
                                product = _inverse_coefficient(
                                    cells[0, query], others[0, donor], cells[0, QUERIES + query]
                                )
                                inverse = _inverse_coefficient(
                                    cells[1, query], others[1, donor], cells[1, QUERIES + query]
                                )
                                numerator = product + inverse
                                product = product * inverse
                                inverse = _inverse_coefficient(
                                    cells[2, query], others[2, donor], cells[2, QUERIES + query]
                                )
                                numerator = numerator * inverse + product
                                product = product * inverse
                                sums[query, donor] += numerator * reciprocal(product)
                            elif metric == EUCLIDEAN:
                                for link in range(CHAIN):
                                    seen = float32(0.0)
                                    if others[link, donor] > NO_CELL:
                                        seen = cells[link, QUERIES + query]
                                    difference = (cells[link, query] - others[link, donor]) * seen
                                    sums[query, donor] -= difference * difference
                                    common[query, donor] += seen
                            else:
                                for link in range(CHAIN):
                                    sums[query, donor] -= _capped_square(
                                        cells[link, query], others[link, donor],
                                        cells[link, QUERIES + query],
                                    )  # fmt: skip
                    at_query += CHAIN * 2 * TILE
                    at_donor += CHAIN * WIDE
                buffer = BUFFER - buffer
                feature += CHUNK

            hits = uint32(0)
            for query in range(QUERIES):
                if RUNS_BOTH:
                    for donor in range(DONORS):
                        number = common[query, donor]
                        score = sums[query, donor] * reciprocal(max(number, float32(1.0)))
                        sums[query, donor] = score if number > float32(0.0) else float32(EMPTY)
                best = sums[query, 0]
                for donor in range(1, DONORS):
                    best = max(best, sums[query, donor])
                if best > worst[query]:
                    hits |= uint32(1 << query)
            if cuda.any_sync(ALL, hits != 0):
                scratch = SCRATCH + warp * WIDE
                for query in range(QUERIES):
                    bit = uint32(1) << uint32(query)
                    if not cuda.any_sync(ALL, (hits & bit) != 0):
                        continue
                    # "if which == query" would make the compiler address registers as memory.
                    for which in range(QUERIES):
                        if (bit >> uint32(which)) & uint32(1):
                            for quad in range(QUADS):
                                store4(
                                    shared, scratch + quad * 128 + lane * 4,
                                    sums[which, quad * 4], sums[which, quad * 4 + 1],
                                    sums[which, quad * 4 + 2], sums[which, quad * 4 + 3],
                                )  # fmt: skip
                    cuda.syncwarp(ALL)
                    mine = load(own, first_query + query)
                    list_scores = SCORES + (warp * QUERIES + query) * SLOTS
                    list_places = PLACES + (warp * QUERIES + query) * SLOTS
                    limit = load(shared, list_scores + keep - 1)
                    for row in range(DONORS):
                        score = load(shared, scratch + row * 32 + lane)
                        place = first_donor + row * 32 + lane
                        near = score > limit and place >= low and place < high
                        if near:
                            near = load(kin, place) != mine
                        waiting = uint32(cuda.ballot_sync(ALL, near))
                        while waiting != 0:
                            source = cuda.ffs(waiting) - 1
                            entering = cuda.shfl_sync(ALL, score, source)
                            slot = int32(0)
                            for part_of in range(ROWS):
                                listed = load(shared, list_scores + part_of * 32 + lane)
                                slot += cuda.popc(uint32(cuda.ballot_sync(ALL, listed >= entering)))
                            # From the end, so that nothing is overwritten before it has moved.
                            for turn in range(ROWS):
                                at = (ROWS - 1 - turn) * 32 + lane
                                listed = load(shared, list_scores + at)
                                listed_place = load(shared_places, list_places + at)
                                cuda.syncwarp(ALL)
                                if at >= slot and at + 1 < SLOTS:
                                    store(shared, list_scores + at + 1, listed)
                                    store(shared_places, list_places + at + 1, listed_place)
                                cuda.syncwarp(ALL)
                            if lane == 0 and slot < SLOTS:
                                store(shared, list_scores + slot, entering)
                                store(
                                    shared_places, list_places + slot,
                                    int32(first_donor + row * 32 + source),
                                )  # fmt: skip
                            cuda.syncwarp(ALL)
                            limit = load(shared, list_scores + keep - 1)
                            waiting &= ~(uint32(1) << uint32(source))
                            waiting &= uint32(cuda.ballot_sync(ALL, near and score > limit))
                    cuda.syncwarp(ALL)
                for query in range(QUERIES):
                    worst[query] = load(
                        shared, SCORES + (warp * QUERIES + query) * SLOTS + keep - 1
                    )
            step += 1

        cuda.syncwarp(ALL)
        for query in range(QUERIES):
            target_list = (of_part + first_query + query) * SLOTS
            source_list = (warp * QUERIES + query) * SLOTS
            for row in range(ROWS):
                slot = row * 32 + lane
                store(scores, target_list + slot, load(shared, SCORES + source_list + slot))
                store(places, target_list + slot, load(shared_places, PLACES + source_list + slot))

    return candidates
