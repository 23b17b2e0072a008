"""Bounds on what the donors of a leaf, and of many leaves, hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn_kernels.formula import EUCLIDEAN
from greyknn_kernels.layout import FAN, NONE, Donors
from greyknn_kernels.packing import BLOCK, FAR, cell_factors

PRUNED_SHARE = 0.5
"""Pruning pays where fewer leaves than this share are visited."""


def pays(donors: Donors, groups: NDArray[np.int64], visits: NDArray[np.int64]) -> bool:
    """Whether pruning is worth its bounds, from some queries' groups and visits."""
    known = groups[(groups >= 0) & (groups < len(donors.roots))]
    leaves = np.diff(donors.leaves)[known].sum()
    return bool(visits.sum() < PRUNED_SHARE * leaves)


def leaves_of(starts: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Runs of donors of one group within one block.

    Parameters
    ----------
    starts : array of shape (n_groups + 1,)

    Returns
    -------
    first, last : array of shape (n_leaves,)
        Each leaf's donors.
    leaves : array of shape (n_groups + 1,)
        Each group's leaves.
    """
    cuts = np.arange(0, starts[-1], BLOCK)
    edges = np.union1d(cuts, starts)
    leaves = np.searchsorted(edges, starts)
    return edges[:-1], edges[1:], leaves


def grow(
    metric: int, values: NDArray[np.float64], categorical: NDArray[np.bool_],
    weights: NDArray[np.float64], first: NDArray[np.int64], leaves: NDArray[np.int64],
) -> tuple[Any, Any, Any, Any, Any]:  # fmt: skip
    """Packs over the leaves of each group, and packs over packs, up to one for each group.

    Parameters
    ----------
    metric : int
    values : array of shape (n_donors, n_columns)
    categorical, weights : array of shape (n_columns,)
    first, leaves : as returned by ``leaves_of``

    Returns
    -------
    roots, children, low, high, codes : as in ``layout.Donors``
    """
    low, high, codes = _bounds_of_leaves(metric, values, categorical, weights, first)
    n_groups = len(leaves) - 1
    n_columns = values.shape[1]
    group = np.repeat(np.arange(n_groups), np.diff(leaves))
    nodes = np.arange(len(first))
    none = np.empty((0, n_columns, FAN), np.float32)
    packs = [(np.empty((0, FAN), np.int64), none, none, none.astype(np.uint64))]
    n_packs = 0
    roots = np.full(n_groups, NONE)
    while len(nodes):
        begins = np.searchsorted(group, np.arange(n_groups + 1))
        place = np.arange(len(nodes)) - begins[group]
        heads = np.flatnonzero(place % FAN == 0)
        pack = np.cumsum(place % FAN == 0) - 1
        lane = place % FAN
        shape = (len(heads), n_columns, FAN)
        parts = np.full(shape, FAR, np.float32), np.full(shape, -FAR, np.float32)
        bits = np.zeros(shape, np.uint64)
        parts[0][pack, :, lane], parts[1][pack, :, lane], bits[pack, :, lane] = low, high, codes
        children = np.full((len(heads), FAN), NONE)
        children[pack, lane] = nodes
        packs.append((children, *parts, bits))
        nodes = -1 - (n_packs + np.arange(len(heads)))
        n_packs += len(heads)
        group = group[heads]
        low = np.minimum.reduceat(low, heads, axis=0)
        high = np.maximum.reduceat(high, heads, axis=0)
        codes = np.bitwise_or.reduceat(codes, heads, axis=0)
        done = np.bincount(group, minlength=n_groups)[group] == 1
        roots[group[done]] = nodes[done]
        nodes, group = nodes[~done], group[~done]
        low, high, codes = low[~done], high[~done], codes[~done]
    children, low, high, codes = (np.concatenate(part) for part in zip(*packs, strict=True))
    return roots, children, low, high, codes


def _bounds_of_leaves(
    metric: int, values: Any, categorical: Any, weights: Any, first: Any
) -> tuple[Any, Any, Any]:
    """Smallest and largest packed number, and the codes present, of each leaf."""
    shape = (len(first), values.shape[1])
    codes = np.zeros(shape, np.uint64)
    if len(first) == 0:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32), codes
    factors = cell_factors(metric, weights)
    # One step outwards, because packing rounds.
    low = (np.fmin.reduceat(values, first, axis=0) * factors).astype(np.float32)
    high = (np.fmax.reduceat(values, first, axis=0) * factors).astype(np.float32)
    low, high = np.nextafter(low, -np.float32(np.inf)), np.nextafter(high, np.float32(np.inf))
    unseen = np.isnan(low)
    low[unseen], high[unseen] = FAR, -FAR
    if metric == EUCLIDEAN:  # a column that one donor lacks is no bound on that donor
        lacking = np.logical_or.reduceat(np.isnan(values), first, axis=0)
        low[lacking], high[lacking] = -FAR, FAR
    for column in np.flatnonzero(categorical):
        cells = values[:, column]
        bits = np.uint64(1) << (np.nan_to_num(cells).astype(np.uint64) & np.uint64(63))
        bits[np.isnan(cells)] = 0
        codes[:, column] = np.bitwise_or.reduceat(bits, first)
    return low, high, codes
