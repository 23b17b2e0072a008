"""DeepImputer beside others, and the verdict.

    python -m bench.deep --data FOLDER [--part tables,text] [--methods deep]

Runs are kept in a result file, so that a run that was cut off goes on where it was, and a new
DeepImputer is run alone with ``--methods deep --again deep``. FOLDER is that of ``bench.arena``;
see ``pots.py`` for the models of PyPOTS.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.deep.cost import costly, large
from bench.deep.running import run_all
from bench.deep.sequences import sequential
from bench.deep.tables import studied, unseen
from bench.deep.text import titled
from bench.deep.verdict import tell
from greyknn.evaluation.store import Store

PARTS = ("tables", "unseen", "text", "sequences", "cost", "large", "verdict")


def main() -> None:
    """Run what is not in the result file yet."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.deep", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="folder with csv files and datasets.json")
    parser.add_argument("--part", default="all", help=f"all, or some of {', '.join(PARTS)}")
    parser.add_argument("--seeds", type=int, default=3, help="repeats, each with its own mask")
    parser.add_argument("--tables", default="", help="separated by commas; by default all")
    parser.add_argument("--methods", default="", help="separated by commas; by default all")
    parser.add_argument("--again", default="", help="methods that are run although they were")
    parser.add_argument("--results", type=Path, default=Path("deep.jsonl"))
    given = parser.parse_args()
    asked = PARTS if given.part == "all" else given.part.split(",")
    if "unseen" in asked and given.data is None:
        parser.error("the unseen tables are read from a folder: --data FOLDER.")
    seeds, names = range(given.seeds), [name for name in given.tables.split(",") if name]
    store = Store(given.results)
    parts: dict[str, Callable[[], Any]] = {
        "tables": lambda: studied(seeds, names),
        "unseen": lambda: unseen(given.data, seeds, names),
        "text": lambda: titled(seeds),
        "sequences": lambda: sequential(seeds, names),
        "cost": lambda: costly(seeds),
        "large": large,
    }
    for part in asked:
        if part == "verdict":
            tell(given.results)
            continue
        tasks = parts[part]()
        if given.methods:
            only = given.methods.split(",")
            tasks = ((task, [m for m in methods if m in only]) for task, methods in tasks)
        run_all(tasks, store, given.again.split(","))


if __name__ == "__main__":
    main()
