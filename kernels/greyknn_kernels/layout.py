"""What the loops read and write: named tuples of arrays, the same on every device.

Donors lie in search order: those of one group next to one another, and within the group rows
that are alike (``arrange``).  A *leaf* is a run of at most BLOCK donors of one group within one
block.  A *pack* is FAN nodes side by side, leaves or packs, with their bounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FAN = 16
"""Nodes in a pack."""

NONE = 2**62
"""The number of no node."""


class Measure(NamedTuple):
    """How two rows are compared.

    Parameters
    ----------
    categorical : array of shape (n_columns,), bool
    weights : array of shape (n_columns,), float64
        lambda of equation 30.
    steps : array of shape (n_columns,), float64
        ``packing.code_steps``.
    """

    categorical: Any
    weights: Any
    steps: Any


class Donors(NamedTuple):
    """Rows that may donate, in search order.

    Parameters
    ----------
    values : array of shape (n_donors, n_columns), float64
        Scaled numbers and category codes; NaN is a gap.
    blocks : array of shape (n_blocks, n_columns + 1, BLOCK), float32
        ``packing.pack_donors(values)``.
    rows : array of shape (n_donors,), int32
        The row each donor is; of equally far donors the lower row is nearer.
    kin : array of shape (n_donors,), int32
        Donors of a query's own kin are passed over.
    starts, stops : array of shape (n_leaves,), int64
        Each leaf's donors.
    leaves : array of shape (n_groups + 1,), int64
        Group ``g`` has the leaves ``leaves[g]:leaves[g + 1]``.
    roots : array of shape (n_groups,), int64
        Each group's topmost node.
    children : array of shape (n_packs, FAN), int64
        Nodes of a pack: a leaf's number, ``-1 - number`` of a pack, or NONE.
    low, high : array of shape (n_packs, n_columns, FAN), float32
        Bounds of the packed cells of each node of a pack.
    codes : array of shape (n_packs, n_columns, FAN), uint64
        Bit ``code % 64`` is set where a node may hold the category.
    """

    values: Any
    blocks: Any
    rows: Any
    kin: Any
    starts: Any
    stops: Any
    leaves: Any
    roots: Any
    children: Any
    low: Any
    high: Any
    codes: Any


class Queries(NamedTuple):
    """Rows that want donors.

    Parameters
    ----------
    values : array of shape (n_queries, n_columns), float64
    order : array of shape (n_searched,), int64
        The queries to search, alike ones next to one another.
    homes : array of shape (n_queries,), int64
        A leaf where each query's neighbours may be; any will do.
    groups : array of shape (n_queries,), int64
        The group of donors each query sees, -1 for none.
    kin : array of shape (n_queries,), int32
        -1 for no kin.
    smallest, offset : array of shape (n_queries,), float64
        ``Dmin`` and ``rho * Dmax`` (equation 32); 0 and 1 for other metrics.
    """

    values: Any
    order: Any
    homes: Any
    groups: Any
    kin: Any
    smallest: Any
    offset: Any


class Found(NamedTuple):
    """The nearest donors of every query.

    Parameters
    ----------
    distances : array of shape (n_queries, k), float64
        Infinite on entry; ascending distances (equation 7, 31 or 36, or nan_euclidean).
    rows : array of shape (n_queries, k), int32
        -1 on entry.
    counts : array of shape (n_queries,), int64
        0 on entry.
    visits : array of shape (n_queries,), int64
        How many leaves were looked at.
    """

    distances: Any
    rows: Any
    counts: Any
    visits: Any
