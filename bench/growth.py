"""Seconds and peak memory of whole imputations as tables grow, each in a process of its own.

    python -m bench.growth [--data FOLDER] [--largest ROWS]

Clustered mixed tables, uniform numbers, and with a folder of data the tables adult and magic, drawn
with replacement and with noise; 20, 14 and 10 columns, 10 % gaps, two classes, n_neighbors="cv".
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import greyknn
from bench import data
from bench.report import show

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def grow(folder: Path | None, largest: int = SIZES[-1]) -> None:
    """Print and store a row for every kind and size, and the exponents."""
    kinds = ["clustered", "uniform"] + ([] if folder is None else ["adult", "magic"])
    rows: list[dict[str, Any]] = []
    exponents: list[dict[str, Any]] = []
    for kind in kinds:
        measured = []
        for size in SIZES:
            if size <= largest:
                command = [sys.executable, "-m", "bench.growth", "--one", kind, str(size)]
                if folder is not None:
                    command += ["--data", str(folder)]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                measured.append(json.loads(said.splitlines()[-1]))
                print(said.splitlines()[-1], flush=True)
        rows += measured
        logs = np.log([[row["rows"], row["seconds"]] for row in measured])
        slope = np.polyfit(logs[:, 0], logs[:, 1], 1)[0]
        exponents.append({"table": kind, "seconds grow as rows to the power": float(slope)})
    show("growth", "Whole impute as tables grow, 10 % gaps, n_neighbors='cv'", rows)
    show("growth_exponents", "Fitted exponents (2: every pair of rows)", exponents)


def one(kind: str, n_rows: int, folder: Path | None) -> dict[str, Any]:
    """One imputation; the kernels are loaded before the clock starts."""
    warnings.simplefilter("ignore")
    if kind in ("clustered", "uniform"):
        table, y = getattr(data, kind)(n_rows)
    else:
        assert folder is not None, f"{kind} wants --data FOLDER"
        table, y = data.resampled(folder, kind, n_rows)
    table = data.with_gaps(table)
    greyknn.impute(table.iloc[:3_000], y[:3_000])
    before = _peak()
    imputer = greyknn.GreyKNNImputer()
    begun = time.perf_counter()
    imputer.fit_transform(table, y)
    return {
        "table": kind,
        "rows": n_rows,
        "columns": table.shape[1],
        "seconds": time.perf_counter() - begun,
        "peak, GB": _peak(),
        "of it before, GB": before,
        "k": imputer.n_neighbors_,
        "iterations": imputer.n_iter_,
        "converged": imputer.converged_,
    }


def _peak() -> float:
    """Largest resident memory of this process so far.

    Linux tells it of the program alone in /proc; what getrusage says counts the parent, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--one", nargs=2, metavar=("KIND", "ROWS"))
    arguments = parser.parse_args()
    if arguments.one:
        kind, n_rows = arguments.one
        print(json.dumps(one(kind, int(n_rows), arguments.data)))
    else:
        grow(arguments.data, arguments.largest)
