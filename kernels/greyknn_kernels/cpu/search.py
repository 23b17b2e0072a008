"""The nearest donors of every row, and each row's extreme differences."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from greyknn_kernels import formula, packing
from greyknn_kernels.cpu.binding import fast, fast_leaf, inner, leaf, loop
from greyknn_kernels.formula import HEOM
from greyknn_kernels.packing import BLOCK, CHAIN

TILE = 32
"""Queries that walk over one block of donors while it is in the first-level cache."""

GROUP = 16
"""Neighbouring donors whose best score is tested before any of them is looked at."""

_search_term = fast_leaf(formula.search_term)
_dissimilarity = leaf(formula.dissimilarity)
_insert = inner(formula.insert)
_settled = leaf(formula.settled)
_pack_query = inner(packing.pack_query)


@fast
def _score_block(
    metric: int, cells: Any, weights: Any, offsets: Any, columns: Any, block: Any, scores: Any
) -> None:
    """Closeness of one query to every donor of a block, CHAIN columns to a division."""
    for donor in range(BLOCK):
        scores[donor] = 0.0
    for entry in range(0, len(cells), CHAIN):
        donors0 = block[columns[entry]]
        donors1 = block[columns[entry + 1]]
        donors2 = block[columns[entry + 2]]
        donors3 = block[columns[entry + 3]]
        cell0, weight0, offset0 = cells[entry], weights[entry], offsets[entry]
        cell1, weight1, offset1 = cells[entry + 1], weights[entry + 1], offsets[entry + 1]
        cell2, weight2, offset2 = cells[entry + 2], weights[entry + 2], offsets[entry + 2]
        cell3, weight3, offset3 = cells[entry + 3], weights[entry + 3], offsets[entry + 3]
        for donor in range(BLOCK):
            n0, d0 = _search_term(metric, cell0, donors0[donor], weight0, offset0)
            n1, d1 = _search_term(metric, cell1, donors1[donor], weight1, offset1)
            n2, d2 = _search_term(metric, cell2, donors2[donor], weight2, offset2)
            n3, d3 = _search_term(metric, cell3, donors3[donor], weight3, offset3)
            d01 = d0 * d1
            d23 = d2 * d3
            numerator = (n0 * d1 + n1 * d0) * d23 + (n2 * d3 + n3 * d2) * d01
            scores[donor] += numerator / (d01 * d23)


@fast
def _largest(scores: Any) -> Any:
    largest = scores[0]
    for donor in range(BLOCK):
        largest = max(largest, scores[donor])
    return largest


@fast
def _largest_of_group(scores: Any, start: int) -> Any:
    group = scores[start : start + GROUP]
    largest = group[0]
    for donor in range(GROUP):
        largest = max(largest, group[donor])
    return largest


@inner
def _total_distance(
    metric: int,
    query: Any,
    donor: Any,
    categorical: Any,
    weights: Any,
    smallest: Any,
    offset: Any,
    parts: Any,
) -> Any:
    """Weighted sum of dissimilarities in column order (equations 33 and 35; 7 and 31 squared).

    The terms go through ``parts``, as long as the query: apart from their sum they vectorise.
    """
    for column in range(len(query)):
        parts[column] = weights[column] * _dissimilarity(
            metric, query[column], donor[column], categorical[column], smallest, offset
        )
    total = 0.0
    for column in range(len(query)):
        total += parts[column]
    return _settled(total)


@inner
def _search_tile(
    metric: int, start: int, queries: Any, own: Any, first: Any, last: Any, donors: Any,
    blocks: Any, categorical: Any, weights: Any, smallest: Any, offset: Any, distances: Any,
    positions: Any, counts: Any,
) -> None:  # fmt: skip
    """Neighbours of up to TILE queries; arguments as in ``nearest``."""
    size = min(TILE, len(queries) - start)
    room = queries.shape[1] + CHAIN - 1
    n_neighbors = distances.shape[1]
    cells = np.empty((size, room), np.float32)
    cell_weights = np.empty((size, room), np.float32)
    offsets = np.empty((size, room), np.float32)
    columns = np.empty((size, room), np.int64)
    chains = np.empty(size, np.int64)
    bases = np.empty(size, np.float64)
    slacks = np.empty(size, np.float64)
    scores = np.empty(BLOCK, np.float32)
    parts = np.empty(queries.shape[1])
    first_row = len(donors)
    last_row = 0
    for member in range(size):
        row = start + member
        chains[member], bases[member], slacks[member] = _pack_query(
            metric, queries[row], categorical, weights, smallest[row], offset[row],
            cells[member], cell_weights[member], offsets[member], columns[member],
        )  # fmt: skip
        if chains[member] > 0:
            first_row = min(first_row, first[row])
            last_row = max(last_row, last[row])
    for number in range(first_row // BLOCK, (last_row + BLOCK - 1) // BLOCK):
        block_start = number * BLOCK
        for member in range(size):
            row = start + member
            low = max(first[row], block_start)
            high = min(last[row], block_start + BLOCK)
            if chains[member] == 0 or low >= high:
                continue
            # A donor is measured unless its score proves that it is too far. Few donors are
            # cheaper to measure than to score; with infinite slack every one is measured.
            farthest = distances[row, n_neighbors - 1]
            threshold = bases[member] - farthest - slacks[member]
            filtered = slacks[member] < np.inf and high - low > GROUP
            if filtered:
                entries = chains[member] * CHAIN
                _score_block(
                    metric, cells[member, :entries], cell_weights[member, :entries],
                    offsets[member, :entries], columns[member, :entries], blocks[number], scores,
                )  # fmt: skip
                if _largest(scores) < threshold:
                    continue
            low -= block_start
            high -= block_start
            for group in range(low // GROUP * GROUP, high, GROUP):
                if filtered and _largest_of_group(scores, group) < threshold:
                    continue
                for donor in range(max(low, group), min(high, group + GROUP)):
                    position = block_start + donor
                    if position == own[row] or (filtered and scores[donor] < threshold):
                        continue
                    distance = _total_distance(
                        metric, queries[row], donors[position], categorical, weights,
                        smallest[row], offset[row], parts,
                    )  # fmt: skip
                    if distance < farthest:
                        _insert(distances[row], positions[row], distance, position)
                        farthest = distances[row, n_neighbors - 1]
                        threshold = bases[member] - farthest - slacks[member]
    for member in range(size):
        row = start + member
        if chains[member] > 0:
            available = last[row] - first[row]
            if first[row] <= own[row] < last[row]:
                available -= 1
            counts[row] = min(n_neighbors, available)
        if metric == HEOM:
            for neighbor in range(counts[row]):
                distances[row, neighbor] = np.sqrt(distances[row, neighbor])


@loop
def nearest(
    metric: int, queries: Any, own: Any, first: Any, last: Any, donors: Any, blocks: Any,
    categorical: Any, weights: Any, smallest: Any, offset: Any, distances: Any, positions: Any,
    counts: Any,
) -> None:  # fmt: skip
    """The nearest donors of every query: exact, ties to the lower position.

    Single-precision scores of whole blocks only rule donors out; every donor that may belong to
    the neighbours is measured in double precision, in column order.

    Parameters
    ----------
    metric : int
        ``formula.GREY`` or ``formula.HEOM``.
    queries : array of shape (n_queries, n_columns), float64
        Scaled numbers and category codes; NaN is a gap.
    own : array of shape (n_queries,), int64
        The donor that is the query itself and is passed over, -1 for none.
    first, last : array of shape (n_queries,), int64
        Each query's donors are ``donors[first:last]``.
    donors : array of shape (n_donors, n_columns), float64
    blocks : array of shape (n_blocks, n_columns + 1, BLOCK), float32
        ``packing.pack_donors(donors)``.
    categorical : array of shape (n_columns,), bool
    weights : array of shape (n_columns,), float64
        lambda of equation 30.
    smallest, offset : array of shape (n_queries,), float64
        ``Dmin`` and ``rho * Dmax`` (equation 32); 0 and 1 for HEOM.
    distances : array of shape (n_queries, k), float64
        Infinite on entry; written: ascending distances (equation 7, 31 or 36).
    positions : array of shape (n_queries, k), int64
        Written: positions in ``donors``.
    counts : array of shape (n_queries,), int64
        0 on entry; written: how many neighbours each query has. A query without an observed cell
        in a column of positive weight has none.
    """
    n_tiles = (len(queries) + TILE - 1) // TILE
    for tile in numba.prange(n_tiles):
        _search_tile(
            metric, tile * TILE, queries, own, first, last, donors, blocks, categorical, weights,
            smallest, offset, distances, positions, counts,
        )  # fmt: skip


@inner
def _lower_bound(column: Any, low: int, high: int, cell: Any) -> int:
    """First position in the ascending ``column[low:high]`` that is not below ``cell``."""
    while low < high:
        middle = (low + high) // 2
        if column[middle] < cell:
            low = middle + 1
        else:
            high = middle
    return low


@loop
def extremes(
    queries: Any, own: Any, first: Any, last: Any, columns: Any, observed: Any, smallest: Any,
    largest: Any,
) -> None:  # fmt: skip
    """``Dmin`` and ``Dmax`` of every query row (equation 32), without a pass over pairs.

    Parameters
    ----------
    queries : array of shape (n_queries, n_numeric), float64
    own, first, last : as in ``nearest``
    columns : array of shape (n_numeric, n_donors), float64
        The donors' numbers, ascending within each range of donors, gaps (NaN) last.
    observed : array of shape (n_queries, n_numeric), int64
        How many of the query's donors observed each column.
    smallest, largest : array of shape (n_queries,), float64
        Written: 0 where no pair can be compared.
    """
    for row in numba.prange(len(queries)):
        itself = 1 if first[row] <= own[row] < last[row] else 0
        low = np.inf
        high = 0.0
        for number in range(queries.shape[1]):
            cell = queries[row, number]
            start = first[row]
            stop = start + observed[row, number]
            if cell != cell or stop - start <= itself:
                continue
            column = columns[number]
            high = max(high, cell - column[start], column[stop - 1] - cell)
            below = _lower_bound(column, start, stop, cell) - 1
            above = below + 1 + itself
            if below >= start:
                low = min(low, cell - column[below])
            if above < stop:
                low = min(low, column[above] - cell)
        smallest[row] = low if low < np.inf else 0.0
        largest[row] = high
