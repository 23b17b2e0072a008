"""Fills of gaps whose neighbours are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.gpu.part import Part
from bench.gpu.timing import Work, in_turns, launches
from greyknn import device
from greyknn_kernels import cpu
from greyknn_kernels.formula import WEIGHTED

NEIGHBORS = 10


def fill(part: Part) -> None:
    """Cells a second, of numbers and of mixed columns."""
    face = device.kernels("cuda")
    for n_rows in part.sizes((100_000, 1_000_000), (5_000,), (40,)):
        for kind in ("numbers", "mixed"):
            n_columns = 4 if part.simulated else 50
            if not part.fits(1e-7 * n_rows * n_columns, f"{n_rows} rows, {kind}"):
                continue
            known, n_gaps = _known(n_rows, n_columns, mixed=kind == "mixed")
            of_card, of_processor = np.empty(n_gaps), np.empty(n_gaps)
            works: dict[str, Work] = {
                "GPU": lambda: face.fill(WEIGHTED, NEIGHBORS, *known, of_card),
                "CPU": lambda: cpu.fill(WEIGHTED, NEIGHBORS, *known, of_processor),
            }
            in_turns(works, 1)
            taken = in_turns(works, 1 if part.simulated else 3, part.left)
            with launches({} if part.simulated else {"fill": 3}) as told:
                works["GPU"]()
            part.row(
                "Fills of 10 % gaps, 10 neighbours",
                {
                    "rows": n_rows, "columns": f"{n_columns} {kind}", "fills": n_gaps,
                    "kernel, ms": sum(told["fill"]),
                    "10^6 fills/s": n_gaps / sum(told["fill"]) / 1e3,
                    "call, ms": 1e3 * min(taken["GPU"]), "CPU, ms": 1e3 * min(taken["CPU"]),
                    "times as fast": min(taken["CPU"]) / min(taken["GPU"]),
                    "differ": int((of_card != of_processor).sum()),
                },
            )  # fmt: skip


def _known(n_rows: int, n_columns: int, mixed: bool) -> tuple[tuple[Any, ...], int]:
    """What ``fill`` is told about the gaps, and how many there are."""
    rng = np.random.default_rng(0)
    table = rng.random((n_rows, n_columns))
    categorical = np.arange(n_columns) % 5 < 2 * mixed
    table[:, categorical] = np.floor(10 * table[:, categorical])
    lists, columns = np.nonzero(rng.random(table.shape) < 0.1)
    donors = rng.integers(0, n_rows, (n_rows, NEIGHBORS), dtype=np.int32)
    distances = np.sort(rng.random((n_rows, NEIGHBORS)), axis=1)
    counts = np.full(n_rows, NEIGHBORS)
    return (lists, columns, categorical, table, donors, distances, counts), len(lists)
