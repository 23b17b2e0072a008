"""What is run in a process of its own, under a tool or to see it start.

python -m bench.gpu.jobs check | search ROWS | first DEVICE
"""

from __future__ import annotations

import json
import sys
import time

ROWS = 500
"""Of the table that a new process fills."""


LISTS = (5, 40, 70, 120)
"""Neighbours: lists of 32, 64 and 96 candidates, and none."""


def check(n_rows: int = 300) -> int:
    """Every kernel once on a small table; the number of answers that are not the processor's."""
    from unittest import mock

    import numpy as np

    import greyknn
    from bench import data
    from greyknn import device, neighbors
    from greyknn.donors import DonorTable, Geometry
    from greyknn_kernels.cuda import search

    wrong = 0
    faces = [device.kernels(name) for name in ("cuda", "cpu")]
    rng = np.random.default_rng(0)
    mixed, y = data.clustered(n_rows, 7)
    mixed = data.with_gaps(mixed)
    for method in ("cgknn", "fwgknn", "miknn"):
        ours, theirs = (
            greyknn.impute(mixed, y, method=method, n_neighbors=5, device=name)
            for name in ("cuda", "cpu")
        )
        wrong += not ours.equals(theirs)

    def searched(metric: str, values: object, k: int, groups: object) -> bool:
        """Whether both devices find the same rows."""
        found = []
        for face in faces:
            table = np.asarray(values)
            rows = np.arange(len(table))
            categorical = np.zeros(table.shape[1], dtype=bool)
            weights = np.full(table.shape[1], 1.0)
            weights /= 1.0 if metric == "euclidean" else weights.sum()
            geometry = Geometry(metric, categorical, 0.5, face)
            donors = DonorTable(geometry, weights, table, rows, np.asarray(groups))
            near = neighbors.nearest(
                donors, weights, k, table, rows=rows, groups=np.asarray(groups)
            )
            found.append(near.rows)
        return bool((found[0] == found[1]).all())

    numbers = data.with_gaps(rng.random((n_rows, 7)))
    for metric in ("grey", "heom", "euclidean"):
        for k in LISTS:
            wrong += not searched(metric, numbers, k, y)
        if n_rows >= 300:  # leaves that are left out need more rows
            close = rng.normal(size=(10 * n_rows, 3)).round(4)
            with mock.patch.object(search, "SAMPLE", 1):
                wrong += not searched(metric, close, 5, np.zeros(len(close), dtype=np.int64))
    return wrong


def search(n_rows: int) -> int:
    """Three searches of all rows, for a profiler."""
    from bench.gpu.searching import COLUMNS, Case
    from greyknn import device

    case = Case.of(n_rows, COLUMNS, 1, device.kernels("cuda"))
    for _ in range(3):
        case.nearest(10)
    return 0


def first(on: str) -> int:
    """The first calls of a process, timed."""
    begun = time.perf_counter()
    import greyknn
    from bench import data

    table, y = data.clustered(ROWS, 20)
    table = data.with_gaps(table)
    told = {"imports, s": time.perf_counter() - begun}
    for name in ("first call, s", "second call, s"):
        begun = time.perf_counter()
        greyknn.impute(table, y, device=on)
        told[name] = time.perf_counter() - begun
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if name == "check":
        sys.exit(min(check(*map(int, rest)), 1))
    sys.exit(search(int(rest[0])) if name == "search" else first(rest[0]))
