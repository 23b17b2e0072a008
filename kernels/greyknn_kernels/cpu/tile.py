"""Scratch of the search: the queries that are compared with a block together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greyknn_kernels.cpu.measuring import LANES
from greyknn_kernels.layout import FAN
from greyknn_kernels.packing import BLOCK, CHAIN, aligned

TILE = 32
"""Queries that walk over one block of donors while it is in the first-level cache."""


class Tile(NamedTuple):
    """Some queries as the search reads them, and each one's pool of near donors.

    The pool is sorted by estimate, the negative score. It keeps every donor that may yet be one
    of the nearest, and has room for a whole block more.
    """

    cells: Any
    offsets: Any
    columns: Any
    chains: Any
    bases: Any
    units: Any
    slacks: Any
    limits: Any  # donors with a larger estimate are too far
    sizes: Any
    estimates: Any
    places: Any
    scores: Any  # of one query and one block
    common: Any
    bounds: Any  # of one query and one pack
    heap_bounds: Any
    heap_nodes: Any
    chosen: Any  # donors to measure exactly
    exact_cells: Any
    totals: Any
    n_common: Any


def new_tile(n_columns: int, n_neighbors: int, n_nodes: int) -> Tile:
    """Uninitialised room for a tile, and for a heap of ``n_nodes``."""
    room = n_columns + CHAIN - 1
    pool = n_neighbors + 2 * BLOCK
    return Tile(
        cells=np.empty((TILE, room), np.float32),
        offsets=np.empty((TILE, room), np.float32),
        columns=np.empty((TILE, room), np.int64),
        chains=np.empty(TILE, np.int64),
        bases=np.empty(TILE),
        units=np.empty(TILE),
        slacks=np.empty(TILE),
        limits=np.empty(TILE),
        sizes=np.empty(TILE, np.int64),
        estimates=np.empty((TILE, pool), np.float32),
        places=np.empty((TILE, pool), np.int64),
        scores=aligned((BLOCK,)),
        common=aligned((BLOCK,)),
        bounds=aligned((FAN,)),
        heap_bounds=np.empty(n_nodes, np.float32),
        heap_nodes=np.empty(n_nodes, np.int64),
        chosen=np.empty(LANES, np.int64),
        exact_cells=np.empty((n_columns, LANES)),
        totals=np.empty(LANES),
        n_common=np.empty(LANES),
    )
