"""The loops on the processor: leaves of ``formula.py`` bound with numba, shared among threads.

What a device offers: the functions named here, with arrays of ``layout``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from greyknn_kernels.cpu import (
    arranging,
    averaging,
    differences,
    grades,
    information,
    resemblance,
    search,
)
from greyknn_kernels.cpu.information import binned_class_entropy
from greyknn_kernels.cpu.threads import share
from greyknn_kernels.cpu.tile import TILE, new_tile
from greyknn_kernels.layout import Donors, Found, Measure, Queries
from greyknn_kernels.tree import pays

__all__ = [
    "arrange",
    "binned_class_entropy",
    "class_entropies",
    "coefficients",
    "extremes",
    "fill",
    "joint_information",
    "majorities",
    "nearest",
    "resemblances",
    "resembling_sums",
]


SAMPLE = 64
"""Queries that tell whether pruning pays."""


def nearest(
    metric: int, prunable: bool, measures: Measure, donors: Donors, queries: Queries, found: Found,
    report: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """See ``search.nearest``; pruned where ``donors`` have bounds and a sample says that it pays.

    ``report`` is called with the number of queries that were searched, and of all.
    """
    order = queries.order
    n_queries = len(order)
    pruned = False
    if prunable and n_queries > SAMPLE:
        picked = np.zeros(n_queries, dtype=bool)
        picked[np.linspace(0, n_queries - 1, SAMPLE).astype(np.int64)] = True
        sample, order = order[picked], order[~picked]
        searched(metric, True, measures, donors, queries._replace(order=sample), found)
        pruned = pays(donors, queries.groups[sample], found.visits[sample])

    def told(done: int, _: int) -> None:
        if report is not None:
            report(n_queries - len(order) + done, n_queries)

    searched(metric, pruned, measures, donors, queries._replace(order=order), found, told)


def searched(
    metric: int, pruned: bool, measures: Measure, donors: Donors, queries: Queries, found: Found,
    report: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """See ``search.nearest``."""
    cost = 0.5 * donors.values.size / max(len(donors.roots), 1)
    n_nodes = len(donors.starts) + len(donors.children) if pruned else 0

    def search_some(begin: int, end: int) -> None:
        tile = new_tile(queries.values.shape[1], found.distances.shape[1], n_nodes)
        search.nearest(begin, end, metric, pruned, measures, donors, queries, found, tile)

    share(search_some, len(queries.order), cost, (), multiple=TILE, report=report)


def arrange(metric: int, categorical: Any, weights: Any, offset: float, values: Any, starts: Any,
            order: Any) -> None:  # fmt: skip
    """See ``arranging.arrange``."""
    n_groups = len(starts) - 1
    cost = 40.0 * len(order) / max(n_groups, 1)
    arguments = (metric, categorical, weights, offset, values, starts, order)
    share(arranging.arrange, n_groups, cost, arguments)


def extremes(queries: Any, *arguments: Any) -> None:
    """See ``differences.extremes``."""
    share(differences.extremes, len(queries), 100.0 * queries.shape[1], (queries, *arguments))


def fill(average: int, n_neighbors: int, lists: Any, *arguments: Any) -> None:
    """See ``averaging.fill``."""
    cost = 20.0 * n_neighbors
    share(averaging.fill, len(lists), cost, (average, n_neighbors, lists, *arguments))


def majorities(voted: Any, winners: Any) -> None:
    """See ``averaging.majorities``."""
    share(averaging.majorities, len(voted), float(voted.shape[1] ** 2), (voted, winners))


def coefficients(queries: Any, donors: Any, *arguments: Any) -> None:
    """See ``grades.coefficients``."""
    share(grades.coefficients, len(queries), 4.0 * donors.size, (queries, donors, *arguments))


def resemblances(queries: Any, donors: Any, *arguments: Any) -> None:
    """See ``resemblance.resemblances``."""
    share(resemblance.resemblances, len(queries), 2.0 * donors.size, (queries, donors, *arguments))


def resembling_sums(queries: Any, donors: Any, *arguments: Any) -> None:
    """See ``resemblance.resembling_sums``."""
    cost = (2.0 * donors.shape[0] + 20.0) * donors.shape[1]
    share(resemblance.resembling_sums, len(queries), cost, (queries, donors, *arguments))


def class_entropies(points: Any, *arguments: Any) -> None:
    """See ``information.class_entropies``."""
    share(
        information.class_entropies, len(points), 4.0 * len(points), (points, *arguments),
        multiple=information.WINDOW_TILE,
    )  # fmt: skip


def joint_information(x: Any, *arguments: Any) -> None:
    """See ``information.joint_information``."""
    share(
        information.joint_information, len(x), 8.0 * len(x), (x, *arguments),
        multiple=information.WINDOW_TILE,
    )  # fmt: skip
