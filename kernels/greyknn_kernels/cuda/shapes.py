"""How large the search's tiles are: what fits a processor's registers and compiles clean there."""

from __future__ import annotations

from dataclasses import dataclass

from greyknn_kernels.formula import EUCLIDEAN, GREY
from greyknn_kernels.packing import BLOCK

CHAIN = 3
"""Columns joined before one division: two would keep the reciprocal unit as busy as all others."""

SPARE = 8
"""Candidates kept beyond the neighbours wanted, which single precision may confuse."""

LARGE = ((8, 0), (8, 7), (9, 0))
"""Compute capabilities with shared memory for three blocks of 8 x 8 scores a thread."""

MOST_SLOTS = 96
"""Longest list of candidates that shared memory holds."""


@dataclass(frozen=True)
class Shape:
    """One variant of the tile kernel.

    Parameters
    ----------
    warps : int
        In a block.
    queries, donors : int
        A warp compares so many queries with 32 times so many donors; the scores are in registers.
    blocks : int
        That share a multiprocessor, and so its registers.
    chunk : int
        Columns that are copied at a time.
    slots : int
        Candidates that each query keeps, a multiple of 32.
    asynchronous : bool
        Whether the next columns are copied while these are compared (since 8.0).
    """

    warps: int
    queries: int
    donors: int
    blocks: int
    chunk: int
    slots: int
    asynchronous: bool = True

    @property
    def threads(self) -> int:
        """In a block."""
        return 32 * self.warps

    @property
    def tile_queries(self) -> int:
        """Queries of a block."""
        return self.warps * self.queries

    @property
    def tile_donors(self) -> int:
        """Donors that a block compares with its queries at a time; BLOCK is a multiple."""
        return 32 * self.donors

    @property
    def buffer(self) -> int:
        """Single-precision numbers of one chunk: donors, then cells and offsets of queries."""
        return self.chunk * (self.tile_donors + 2 * self.tile_queries)

    @property
    def shared_bytes(self) -> int:
        """Two chunks, the lists, and a tile of one query's scores for each warp."""
        lists = 2 * self.tile_queries * self.slots
        return 4 * (2 * self.buffer + lists + self.warps * self.tile_donors)


def slots_for(n_neighbors: int) -> int:
    """How long lists must be."""
    return -(-(n_neighbors + SPARE) // 32) * 32


def shape_for(metric: int, capability: tuple[int, int], slots: int) -> Shape:
    """The variant for a card: the largest tile that compiles there without spilling registers.

    Parameters
    ----------
    metric : int
    capability : (int, int)
        Compute capability, 7.5 or later.
    slots : int
        32, 64 or 96.
    """
    asynchronous = capability >= (8, 0)
    if metric == EUCLIDEAN:  # two sums for each pair
        return Shape(8, 4, 4, 2, 12, slots, asynchronous)
    if metric == GREY and capability in LARGE:
        chunk = {32: 12, 64: 9, 96: 6}[slots]
        return Shape(4, 8, 8, 3, chunk, slots)
    if slots == 32:
        return Shape(8, 8, 4, 2, 12, slots, asynchronous)
    return Shape(4, 8, 4, 4, 12, slots, asynchronous)


HALVES = {4: BLOCK // 128, 8: BLOCK // 256}
"""Tiles in a block of donors, by donors of a lane."""
