"""The loops on the processor: leaves of ``formula.py`` bound with numba, parallel over rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from greyknn_kernels import formula, packing
from greyknn_kernels.formula import GREY, HEOM
from greyknn_kernels.packing import BLOCK, CHAIN

Function = TypeVar("Function", bound=Callable[..., Any])

TILE = 32
"""Queries that walk over one block of donors while it is in the first-level cache."""

GROUP = 16
"""Neighbouring donors whose best score is tested before any of them is looked at."""

WINDOW_TILE = 64
"""Points whose window sums are accumulated side by side."""


def _compile(**options: Any) -> Callable[[Function], Function]:
    # error_model="numpy": Python's test for a zero divisor keeps the compiler from vectorising.
    return cast("Callable[[Function], Function]", numba.njit(error_model="numpy", **options))


_leaf = _compile(inline="always")
_inner = _compile()
_loop = _compile(parallel=True, cache=True)

# fastmath only where it is a filter with a proven bound (pack_query): it may reorder additions
# and replace a division by an estimate and a Newton step.
_search_term = _compile(inline="always", fastmath=True)(formula.search_term)
_dissimilarity = _leaf(formula.dissimilarity)
_insert = _inner(formula.insert)
_mean_weight = _leaf(formula.mean_weight)
_vote_weight = _leaf(formula.vote_weight)
_gaussian = _leaf(formula.gaussian)
_pack_query = _inner(packing.pack_query)


@_compile(fastmath=True)
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


@_compile(fastmath=True)
def _largest(scores: Any) -> Any:
    largest = scores[0]
    for donor in range(BLOCK):
        largest = max(largest, scores[donor])
    return largest


@_compile(fastmath=True)
def _largest_of_group(scores: Any, start: int) -> Any:
    group = scores[start : start + GROUP]
    largest = group[0]
    for donor in range(GROUP):
        largest = max(largest, group[donor])
    return largest


@_inner
def _total_distance(
    metric: int, query: Any, donor: Any, categorical: Any, weights: Any, smallest: Any, offset: Any
) -> Any:
    """Weighted sum of dissimilarities in column order (equations 33 and 35; 7 and 31 squared)."""
    total = 0.0
    for column in range(len(query)):
        total += weights[column] * _dissimilarity(
            metric, query[column], donor[column], categorical[column], smallest, offset
        )
    return total


@_inner
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
                        smallest[row], offset[row],
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


@_loop
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


@_inner
def _lower_bound(column: Any, low: int, high: int, cell: Any) -> int:
    """First position in the ascending ``column[low:high]`` that is not below ``cell``."""
    while low < high:
        middle = (low + high) // 2
        if column[middle] < cell:
            low = middle + 1
        else:
            high = middle
    return low


@_loop
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


@_loop
def fill(
    average: int, n_neighbors: int, lists: Any, columns: Any, categorical: Any, table: Any,
    positions: Any, distances: Any, counts: Any, filled: Any,
) -> None:  # fmt: skip
    """Weighted mean or vote of each missing cell's neighbours (equations 11 to 14 and 36).

    Parameters
    ----------
    average : int
        ``formula.PLAIN`` or ``formula.WEIGHTED``.
    n_neighbors : int
        How many of the listed neighbours to use, at most.
    lists, columns : array of shape (n_cells,), int64
        Each cell's list of neighbours and its column.
    categorical : array of shape (n_columns,), bool
    table : array of shape (n_rows, n_columns), float64
        The donors' values of the iteration before; complete.
    positions, distances, counts : as in ``nearest``, ``positions`` being rows of ``table``
    filled : array of shape (n_cells,), float64
        Written where the cell has neighbours. Of equal votes the smallest code wins.
    """
    for cell in numba.prange(len(lists)):
        number = lists[cell]
        column = columns[cell]
        count = min(counts[number], n_neighbors)
        if count == 0:
            continue
        near = distances[number]
        rows = positions[number]
        if categorical[column]:
            best = -1.0
            for candidate in range(count):
                code = table[rows[candidate], column]
                votes = 0.0
                for voter in range(count):
                    if table[rows[voter], column] == code:
                        votes += _vote_weight(average, near[0], near[count - 1], near[voter])
                if votes > best or (votes == best and code < filled[cell]):
                    best = votes
                    filled[cell] = code
        else:
            total = 0.0
            weights = 0.0
            for neighbor in range(count):
                weight = _mean_weight(average, near[0], near[neighbor])
                weights += weight
                total += weight * table[rows[neighbor], column]
            filled[cell] = total / weights


@_loop
def class_entropies(points: Any, starts: Any, scale: float, entropies: Any) -> None:
    """Uncertainty of the class at each point, by Parzen windows (equations 26 to 29).

    Parameters
    ----------
    points : array of shape (n,), float64
        One column's observed numbers, sorted by class.
    starts : array of shape (n_classes + 1,), int64
        Class ``c`` is ``points[starts[c]:starts[c + 1]]``.
    scale : float
        ``1 / (h * s)``, the inverse standard deviation of a window.
    entropies : array of shape (n,), float64
        Written: ``-sum_c P(c|x_j) log2 P(c|x_j)``, bits.
    """
    n_classes = len(starts) - 1
    n_tiles = (len(points) + WINDOW_TILE - 1) // WINDOW_TILE
    for tile in numba.prange(n_tiles):
        start = tile * WINDOW_TILE
        size = min(WINDOW_TILE, len(points) - start)
        sums = np.zeros((n_classes, WINDOW_TILE))
        centers = np.zeros(WINDOW_TILE)
        centers[:size] = points[start : start + size]
        for label in range(n_classes):
            for neighbor in range(starts[label], starts[label + 1]):
                point = points[neighbor]
                for member in range(WINDOW_TILE):
                    sums[label, member] += _gaussian((centers[member] - point) * scale)
        for member in range(size):
            total = 0.0
            for label in range(n_classes):
                total += sums[label, member]
            entropy = 0.0
            for label in range(n_classes):
                share = sums[label, member] / total
                if share > 0.0:
                    entropy -= share * np.log2(share)
            entropies[start + member] = entropy


@_loop
def joint_information(x: Any, z: Any, x_scale: float, z_scale: float, information: Any) -> None:
    """``log2(p(x, z) / (p(x) p(z)))`` at each point, by Parzen windows (equation 22).

    Parameters
    ----------
    x, z : array of shape (n,), float64
        Two columns' numbers in the rows where both are observed.
    x_scale, z_scale : float
        Inverse standard deviations of the windows.
    information : array of shape (n,), float64
        Written, bits.
    """
    n_points = len(x)
    n_tiles = (n_points + WINDOW_TILE - 1) // WINDOW_TILE
    for tile in numba.prange(n_tiles):
        start = tile * WINDOW_TILE
        size = min(WINDOW_TILE, n_points - start)
        x_centers = np.zeros(WINDOW_TILE)
        z_centers = np.zeros(WINDOW_TILE)
        x_centers[:size] = x[start : start + size]
        z_centers[:size] = z[start : start + size]
        x_sums = np.zeros(WINDOW_TILE)
        z_sums = np.zeros(WINDOW_TILE)
        sums = np.zeros(WINDOW_TILE)
        for neighbor in range(n_points):
            x_point = x[neighbor]
            z_point = z[neighbor]
            for member in range(WINDOW_TILE):
                x_window = _gaussian((x_centers[member] - x_point) * x_scale)
                z_window = _gaussian((z_centers[member] - z_point) * z_scale)
                x_sums[member] += x_window
                z_sums[member] += z_window
                sums[member] += x_window * z_window
        for member in range(size):
            ratio = n_points * sums[member] / (x_sums[member] * z_sums[member])
            information[start + member] = np.log2(ratio)


@_loop
def coefficients(
    queries: Any, donors: Any, categorical: Any, smallest: Any, offset: Any, grades: Any
) -> None:
    """Every grey relational coefficient, for small tables (equation 32).

    Parameters
    ----------
    queries, donors, categorical, smallest, offset : as in ``nearest``
    grades : array of shape (n_queries, n_donors, n_columns), float64
        Written.
    """
    for row in numba.prange(len(queries)):
        for donor in range(len(donors)):
            for column in range(queries.shape[1]):
                grades[row, donor, column] = 1.0 - _dissimilarity(
                    GREY, queries[row, column], donors[donor, column], categorical[column],
                    smallest[row], offset[row],
                )  # fmt: skip
