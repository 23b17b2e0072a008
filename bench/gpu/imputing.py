"""Whole imputations on the processor and on the GPU, and from which size on the GPU pays."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bench import data
from bench.gpu import jobs
from bench.gpu.outside import environment
from bench.gpu.part import Part, Row
from bench.gpu.timing import in_turns, spread, watched
from greyknn import GreyKNNImputer, device, model
from greyknn.donors import DonorTable
from greyknn.table import Schema

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)

TABLES: dict[str, tuple[Callable[..., tuple[Any, Any]], int]] = {
    "50 numbers": (data.factors, 50),
    "20 mixed": (data.clustered, 20),
}

LONGEST = 40.0
"""Seconds; the processor is not asked to work longer at one table."""

RESERVED = 30.0
"""Seconds that are kept for the GPU's largest tables."""

SMALL = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)

TITLE = "Whole impute, two classes, 10 % gaps"


class Table:
    """A table with gaps, and how it is filled."""

    def __init__(self, kind: str, n_rows: int, n_columns: int | None = None) -> None:
        make, usual = TABLES[kind]
        complete, self.y = make(n_rows, n_columns or usual)
        self.X = data.with_gaps(complete)
        self.filled: dict[str, Any] = {}

    @property
    def pairs(self) -> float:
        """Pairs of cells as ``device.REPAYS`` counts them: every row and every row of its class."""
        sizes = np.bincount(self.y).astype(float)
        return float((sizes**2).sum()) * float(self.X.shape[1])

    def impute(self, k: int | str, on: str) -> None:
        """Keeps what came out."""
        imputer = GreyKNNImputer(n_neighbors=k, device=on)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.filled[on] = imputer.fit_transform(self.X, self.y)

    def split(self, k: int | str) -> dict[str, float]:
        """Seconds of the GPU's run by part."""
        face = device.kernels("cuda")
        places = [
            ("coding", Schema, "fit"), ("weights", model, "column_weights"),
            ("choice of k", model, "_choose"), ("order", DonorTable, "__init__"),
            ("packing", DonorTable, "_pack"), ("extremes", DonorTable, "extremes"),
            ("search", face, "nearest"), ("fill", face, "fill"),
        ]  # fmt: skip
        with watched(places, whole=["weights", "choice of k"]) as seconds:
            whole = in_turns({"": lambda: self.impute(k, "cuda")}, 1)[""][0]
        named = {label: seconds[label] for label, _, _ in places}
        return {**named, "the rest": whole - sum(named.values()), "whole": whole}

    @property
    def differing(self) -> int:
        """Cells that the GPU fills otherwise, by more than rounding."""
        ours, theirs = (_numbers(self.filled[on]) for on in ("cuda", "cpu"))
        return int((~np.isclose(ours, theirs, rtol=1e-9, atol=1e-12)).sum())


def _numbers(table: Any) -> Any:
    if isinstance(table, pd.DataFrame):
        coded = {
            name: table[name].cat.codes
            if isinstance(table[name].dtype, pd.CategoricalDtype)
            else table[name]
            for name in table
        }
        return pd.DataFrame(coded).to_numpy(np.float64)
    return np.asarray(table)


class Growth:
    """Seconds as tables grow, to tell how long a larger one will take."""

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent
        self.seen: list[tuple[int, float]] = []

    def add(self, n_rows: int, seconds: float) -> None:
        """One more; the last two tell the exponent, within reason."""
        if self.seen:
            rows, before = self.seen[-1]
            slope = math.log(seconds / before) / math.log(n_rows / rows)
            self.exponent = min(max(slope, 1.0), 2.2)
        self.seen.append((n_rows, seconds))

    def at(self, n_rows: int) -> float:
        """Seconds that so many rows will take; infinite if nothing was seen."""
        if not self.seen:
            return math.inf
        rows, seconds = self.seen[-1]
        return float(seconds * (n_rows / rows) ** self.exponent)


def impute(part: Part) -> None:
    """Tables of all sizes, 10 neighbours and a chosen number."""
    sizes = part.sizes(SIZES, (1_000, 3_000), (24,))
    growths: dict[tuple[str, int | str, str], Growth] = {}
    for n_rows in sizes:
        for kind in TABLES:
            table = Table(kind, n_rows, 4 if part.simulated else None)
            for k in (3,) if part.simulated else (10, "cv"):
                cpu, cuda = (
                    growths.setdefault((kind, k, on), Growth(1.8)) for on in ("cpu", "cuda")
                )
                if n_rows > sizes[0] and not part.fits(
                    cuda.at(n_rows), f"{n_rows} rows, {kind}, {k}"
                ):
                    continue
                _beside(part, table, kind, k, cpu, cuda)


def _beside(part: Part, table: Table, kind: str, k: int | str, cpu: Growth, cuda: Growth) -> None:
    """One table on both devices."""
    n_rows = len(table.X)
    works = {"cuda": lambda: table.impute(k, "cuda"), "cpu": lambda: table.impute(k, "cpu")}
    guess = 0.0 if not cpu.seen else cpu.at(n_rows)
    most = min(LONGEST, part.left - RESERVED)
    if guess > 1.0 and (guess > most or (n_rows > 100_000 and k == "cv")):
        del works["cpu"]
    if not cpu.seen and not part.simulated:
        in_turns(works, 1)
    split = table.split(k)  # as good a run as any
    if split["whole"] > 5.0 or part.simulated:
        del works["cuda"]
    both = split["whole"] + (guess if "cpu" in works else 0.0)
    taken = in_turns(works, 1 if part.simulated or both > 2.0 else 3, part.left)
    taken["cuda"] = [split["whole"], *taken.get("cuda", [])]
    fastest = min(taken["cuda"])
    cuda.add(n_rows, fastest)
    row: Row = {
        "table": kind, "rows": n_rows, "k": k, **spread("GPU, s", taken["cuda"]),
        "runs": len(taken["cuda"]), "CPU, s": guess,
        "CPU is": f"extrapolated, n^{cpu.exponent:.2f}",
        "times as fast": guess / fastest, "differ": None, "pairs": table.pairs,
    }  # fmt: skip
    if "cpu" in taken:
        slow = min(taken["cpu"])
        cpu.add(n_rows, slow)
        row |= {
            "CPU, s": slow, "CPU is": "measured", "times as fast": slow / fastest,
            "differ": table.differing,
        }  # fmt: skip
    part.row(TITLE, row)
    if n_rows >= 100_000 or part.quick:
        parts = {f"{label}, s": seconds for label, seconds in split.items()}
        part.row(
            "Where the GPU's run spends its time", {"table": kind, "rows": n_rows, "k": k} | parts
        )
    if kind == "50 numbers" and n_rows == 100_000:
        ratio = row["times as fast"]
        part.goal(
            f"impute 100k x 50, k={k}",
            "50 x the CPU",
            f"{ratio:.1f} x, CPU {row['CPU is']}",
            ratio >= 50,
        )
    if kind == "50 numbers" and n_rows == 1_000_000:
        part.goal(f"impute 1M x 50, k={k}", "under 15 s", f"{fastest:.1f} s", fastest < 15)


def crossover(part: Part) -> None:
    """Sizes around the one where both are as fast, and what the first call of a process costs."""
    sizes = part.sizes(SMALL, SMALL[:3], (30,))
    measured = []
    for kind in TABLES:
        smallest = None
        for n_rows in sizes:
            if not part.fits(2.0, f"{n_rows} rows, {kind}"):
                break
            table = Table(kind, n_rows, 3 if part.simulated else None)
            k = 3 if part.simulated else 10
            works = {on: lambda on=on: table.impute(k, on) for on in ("cuda", "cpu")}
            if not part.simulated:
                in_turns(works, 1)
            taken = in_turns(works, 1 if part.simulated else 5, part.left)
            ours, theirs = min(taken["cuda"]), min(taken["cpu"])
            row = {"table": kind, "rows": n_rows, "GPU, s": ours, "CPU, s": theirs}
            row["pairs"] = table.pairs
            measured.append(row)
            part.row("Small tables in a warm process, k=10", row)
            if ours >= theirs:
                smallest = None
            elif smallest is None:
                smallest = n_rows
            elif ours < 0.7 * theirs:
                break
        said = "none of these sizes" if smallest is None else f"{smallest} rows"
        part.note(f"warm process, {kind}: the GPU is faster as of {said}")
    larger = part.earlier.get("impute", {}).get("tables", {}).get(TITLE, [])
    measured += [row for row in larger if row["k"] == 10 and row["CPU is"] == "measured"]
    if not part.simulated:
        _first_calls(part, measured)


def _first_calls(part: Part, measured: list[Row]) -> None:
    """What a new process pays, and the table from which on that pays."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as empty:
        for label, on, cache, about in (
            ("GPU, kernels on disk", "cuda", None, 10.0),
            ("CPU, kernels on disk", "cpu", None, 8.0),
            ("GPU, nothing on disk", "cuda", empty, 30.0),
        ):
            if not part.fits(about, f"first call: {label}"):
                continue
            for _ in range(2 if cache is None else 1):  # the first may have to compile
                try:
                    row = first_call(on, cache, part.left + 10.0)
                except subprocess.SubprocessError as error:
                    part.note(
                        f"first call, {label}: {getattr(error, 'stderr', '') or error}"[-500:]
                    )
                    break
                seconds[label] = row["first call, s"]
            else:
                part.row(f"A new process, {jobs.ROWS} x 20", {"process": label, **row})
    gpu, processor = (seconds.get(f"{name}, kernels on disk") for name in ("GPU", "CPU"))
    if gpu is None or processor is None:
        return
    extra = gpu - processor
    for kind in TABLES:
        rows = sorted(
            (row for row in measured if row["table"] == kind), key=lambda row: float(row["pairs"])
        )
        part.note(
            f"REPAYS from {kind}: {_repaid(rows, extra)}; "
            f"a GPU's first call takes {extra:.2f} s more"
        )


def _repaid(rows: list[Row], extra: float) -> str:
    """Pairs of cells at which the GPU has saved so many seconds."""
    before: Row | None = None
    for row in rows:
        saved = row["CPU, s"] - row["GPU, s"]
        if saved >= extra:
            if before is None:
                return f"{row['pairs']:.1e} pairs of cells or fewer"
            earlier = before["CPU, s"] - before["GPU, s"]
            share = (max(extra, 0.0) - earlier) / max(saved - earlier, 1e-9)
            logs = np.log([before["pairs"], row["pairs"]])
            return f"{math.exp(logs[0] + share * (logs[1] - logs[0])):.1e} pairs of cells"
        before = row
    return f"more than {rows[-1]['pairs']:.1e} pairs of cells" if rows else "not measured"


def first_call(on: str, cache: str | None, limit: float) -> Row:
    """Seconds of the first and the second imputation of a new process."""
    inherited = environment() | ({} if cache is None else {"NUMBA_CACHE_DIR": cache})
    said = subprocess.run(
        [sys.executable, "-m", "bench.gpu.jobs", "first", on],
        env={**os.environ, **inherited}, capture_output=True, text=True, check=True, timeout=limit,
    )  # fmt: skip
    row: Row = json.loads(said.stdout.splitlines()[-1])
    return row
