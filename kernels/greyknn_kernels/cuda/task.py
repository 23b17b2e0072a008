"""One search as a card sees it: what is compared, and how large its pieces are."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from numba import cuda

from greyknn_kernels.cuda import shapes, tiles
from greyknn_kernels.cuda.batches import Groups
from greyknn_kernels.cuda.memory import Residents
from greyknn_kernels.layout import Donors, Found, Measure, Queries
from greyknn_kernels.packing import BLOCK


class Task:
    """A search and the shape of its tiles.

    Parameters
    ----------
    residents : Residents
        Where donors stay between searches.
    metric, measures, donors, queries, found : as in ``cpu.search.nearest``
    """

    def __init__(
        self, residents: Residents, metric: int, measures: Measure, donors: Donors,
        queries: Queries, found: Found,
    ) -> None:  # fmt: skip
        self.residents = residents
        self.metric, self.measures, self.donors = metric, measures, donors
        self.queries, self.found = queries, found
        self.groups = Groups.of(donors)
        self.n_blocks, rows, _ = donors.blocks.shape
        self.pitch = rows * BLOCK  # numbers of a block
        self.n_columns = rows - 1
        self.n_features = -(-self.n_columns // shapes.CHAIN) * shapes.CHAIN
        self.n_neighbors = found.distances.shape[1]
        self.slots = shapes.slots_for(self.n_neighbors)
        self.keep = self.n_neighbors + shapes.SPARE
        self.listed = self.slots <= shapes.MOST_SLOTS
        """Whether candidates fit a list; else every query is searched thoroughly."""
        device = cuda.get_current_device()
        self.shape = shapes.shape_for(
            metric, tuple(device.compute_capability), min(self.slots, shapes.MOST_SLOTS)
        )
        self.places = int(device.MULTIPROCESSOR_COUNT) * self.shape.blocks
        """Blocks of threads that run at the same time."""
        self.tail = self.shape.chunk * BLOCK
        """Numbers behind the last block that a copy of whole chunks may read."""

    @cached_property
    def filter(self) -> Any:
        """The kernel that finds candidates."""
        return tiles.filtering(self.metric, self.shape)

    @property
    def donor_rows(self) -> Any:
        """The row that each donor is, on the card."""
        return self.residents.of(self.donors.rows)

    @property
    def kin(self) -> Any:
        """The kin of each donor, on the card."""
        return self.residents.of(self.donors.kin)

    @property
    def blocks(self) -> Any:
        """All packed donors, on the card."""
        return self.residents.of(self.donors.blocks, self.tail)

    @property
    def values(self) -> Any:
        """All donors as they are, on the card."""
        return self.residents.of(self.donors.values)

    @property
    def new_bytes(self) -> int:
        """What all donors take that are not on the card yet."""
        parts = self.donors.blocks, self.donors.values
        return sum(part.nbytes for part in parts if not self.residents.holds(part))
