"""Donors laid out for the search, and which donors a gap may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Bools, Floats, Ints
from greyknn.sharing import share
from greyknn_kernels import formula, layout, packing, tree

METRICS = {"grey": formula.GREY, "heom": formula.HEOM, "euclidean": formula.EUCLIDEAN}

FEWEST_LEAVES = 8
"""Groups with fewer leaves are searched whole."""


SORTING = 60.0
"""Operations it takes to sort one number among many, roughly."""


@dataclass(frozen=True)
class Geometry:
    """What makes two rows near, and the loops that compare them.

    Parameters
    ----------
    metric : {"grey", "heom", "euclidean"}
        "euclidean" is for numbers within [-1, 1] and weights of 1.
    categorical : array of shape (n_columns,)
    rho : float
        Distinguishing coefficient of equation 32.
    kernels : module
        The device's loops.
    """

    metric: str
    categorical: Bools
    rho: float
    kernels: ModuleType

    @property
    def code(self) -> int:
        """The metric as kernels know it."""
        return METRICS[self.metric]


class DonorTable:
    """Donors in search order: sorted by group, and alike ones side by side in large groups.

    Parameters
    ----------
    geometry : Geometry
    weights : array of shape (n_columns,) or (n_columns, n_columns)
        Columns that will count much are those to be alike in.
    values : array of shape (n_rows, n_columns)
        Scaled numbers and category codes, NaN for gaps.
    rows : array of shape (n_donors,)
        The rows of ``values`` that are donors, ascending.
    groups : array of shape (n_rows,)
        Group of each row, 0 or more for donors. A query sees the donors of one group.
    kin : array of shape (n_rows,), optional
        A query does not see donors of its own kin; by default each row is its own.
    """

    def __init__(
        self, geometry: Geometry, weights: Floats, values: Floats, rows: Ints, groups: Ints,
        kin: Ints | None = None,
    ) -> None:  # fmt: skip
        self.geometry = geometry
        order = rows[np.argsort(groups[rows], kind="stable")]
        n_groups = int(groups[order[-1]]) + 1 if len(rows) else 0
        self.starts = np.searchsorted(groups[order], np.arange(n_groups + 1))
        self.worth_pruning = bool(
            np.diff(self.starts).max(initial=0) >= FEWEST_LEAVES * packing.BLOCK
        )
        if self.worth_pruning:
            heaviest = np.ascontiguousarray(np.atleast_2d(weights).mean(axis=0))
            geometry.kernels.arrange(
                geometry.code, geometry.categorical, heaviest, geometry.rho, values, self.starts,
                order,
            )  # fmt: skip
        self.values = values[order]
        self.rows = order.astype(np.int32)
        self.kin = self.rows if kin is None else kin[order].astype(np.int32)
        self.position = np.full(len(values), len(values), dtype=np.int32)
        self.position[order] = np.arange(len(order), dtype=np.int32)
        self.steps = packing.code_steps(self.values, geometry.categorical)
        self._packed: tuple[bytes, layout.Donors] | None = None

    def packed(self, weights: Floats) -> layout.Donors:
        """The table as kernels read it; kept until other weights are asked for."""
        key, kept = weights.tobytes(), self._packed
        if kept is None or kept[0] != key:
            kept = self._packed = key, self._pack(weights)  # another thread may set its own
        return kept[1]

    def _pack(self, weights: Floats) -> layout.Donors:
        code, categorical = self.geometry.code, self.geometry.categorical
        first, last, leaves = tree.leaves_of(self.starts)
        blocks = packing.pack_donors(code, self.values, categorical, weights, self.steps)
        bounded = (first, leaves) if self.worth_pruning else (first[:0], np.zeros_like(leaves))
        grown = tree.grow(code, self.values, categorical, weights, *bounded)
        return layout.Donors(self.values, blocks, self.rows, self.kin, first, last, leaves, *grown)

    @cached_property
    def numbers(self) -> tuple[Floats, NDArray[np.int32], Ints]:
        """Numeric columns, ascending in each group; whose numbers; how many each group has."""
        columns = np.ascontiguousarray(self.values[:, ~self.geometry.categorical].T)
        kin = np.empty(columns.shape, dtype=np.int32)
        known = np.zeros((len(columns), len(self.starts) - 1), dtype=np.int64)
        columns[np.isnan(columns)] = np.inf  # which numpy sorts seven times as fast

        def sort(begin: int, end: int) -> None:
            for group, (start, stop) in enumerate(pairwise(self.starts)):
                part = columns[begin:end, start:stop]
                order = np.argsort(part, axis=1)
                part[:] = np.take_along_axis(part, order, axis=1)
                kin[begin:end, start:stop] = self.kin[start:stop][order]
                known[begin:end, group] = np.count_nonzero(part < np.inf, axis=1)

        share(sort, len(columns), SORTING * len(self.rows))
        return columns, kin, known

    def extremes(self, queries: Floats, groups: Ints, kin: Ints) -> tuple[Floats, Floats]:
        """``Dmin`` and ``Dmax`` of equation 32 for each query, over its donors and all numbers."""
        smallest, largest = np.empty(len(queries)), np.empty(len(queries))
        numbers = np.ascontiguousarray(queries[:, ~self.geometry.categorical])
        self.geometry.kernels.extremes(
            numbers, groups, kin.astype(np.int32), self.starts, *self.numbers, smallest, largest
        )
        return smallest, largest


@dataclass
class DonorTables:
    """The donors that the gaps of each column may have.

    Parameters
    ----------
    geometry : Geometry
    weights : as in ``DonorTable``
    values, groups : as in ``DonorTable``
    rows : array
        The rows that may donate.
    observed : array of shape (n_rows, n_columns), optional
        If given, a row donates only what it observed.
    """

    geometry: Geometry
    weights: Floats
    values: Floats
    rows: Ints
    groups: Ints
    observed: Bools | None = None
    _made: dict[int, DonorTable] = field(default_factory=dict, repr=False)

    def of(self, column: int) -> DonorTable:
        """The donors of a column; made when they are first asked for.

        Only one table is kept, except where all columns share it.
        """
        key = -1 if self.observed is None else column
        table = self._made.get(key)
        if table is None:
            rows = self.rows
            if self.observed is not None:
                rows = rows[self.observed[rows, column]]
            table = DonorTable(self.geometry, self.weights, self.values, rows, self.groups)
            self._made = {key: table}  # another thread may set its own
        return table
