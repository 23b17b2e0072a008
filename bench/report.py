"""Tables on the screen and in results/, with the machine that they come from."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
from rich.console import Console
from rich.table import Table

import greyknn

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Processor, threads and versions."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return {
        "processor": models[0] if models else platform.processor(),
        "avx512": "avx512f" in text,
        "compiled for": numba.config.CPU_NAME or "this processor",
        "threads": numba.config.NUMBA_NUM_THREADS,
        "python": platform.python_version(),
        "greyknn": greyknn.__version__,
        **{package: version(package) for package in ("numpy", "numba", "scikit-learn", "scipy")},
    }


def show(name: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table and write them to ``results/<name>.json``."""
    here = machine()
    caption = f"{here['processor']}, {here['threads']} threads"
    Console(width=120).print(table(title, rows, caption=caption))
    RESULTS.mkdir(exist_ok=True)
    saved = {"title": title, "machine": here, "rows": list(rows)}
    (RESULTS / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n")


def table(title: str, rows: Sequence[dict[str, Any]], **options: Any) -> Table:
    """Rows as a table, a column for every key; what a row lacks stays empty."""
    drawn = Table(title=title, **options)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for column in columns:
        text = any(isinstance(row.get(column), str) for row in rows)
        drawn.add_column(column, justify="left" if text else "right")
    for row in rows:
        drawn.add_row(*(_shown(row.get(column)) for column in columns))
    return drawn


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def side_by_side(
    ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int
) -> tuple[float, float]:
    """The fastest of as many runs of each, in turns."""
    pairs = [(seconds(ours, 1), seconds(theirs, 1)) for _ in range(repeats)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """The fastest of some runs."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)
