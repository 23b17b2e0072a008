"""Everything that only a GPU can tell, in one command.

    python -m bench.gpu [--quick] [--parts search,impute] [--seconds 450] [--output FOLDER]

Prints tables and what was aimed at, and writes gpu-<name of the GPU>.json. The exit status is 1 if
a part failed, 2 if there is no GPU that can be used.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape

from bench import report
from bench.gpu.outside import ROOT, environment
from bench.gpu.part import KINDS, Part, Row
from greyknn import device, gpu

GRACE = 15.0
"""Seconds that a part may take longer before it is ended."""

STARTING = 3.0
"""Seconds that its process takes to start."""


def machine(simulated: bool) -> Row:
    """What was measured on."""
    from greyknn_kernels.cpu.threads import n_threads

    here: Row = {**report.machine(), "threads": n_threads(), "platform": platform.platform()}
    here["processors"] = len(os.sched_getaffinity(0))
    if simulated:
        return {"GPU": "simulator", **here}
    card = gpu.machine().gpus[0]
    for package in ("numba-cuda", "torch", "triton"):
        try:
            here[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            here[package] = None
    wanted = "driver_version,clocks.max.sm,clocks.sm,power.limit,temperature.gpu,memory.used"
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={wanted}", "--format=csv,noheader", "--id=0"],
            capture_output=True, text=True, timeout=20, check=True,
        ).stdout  # fmt: skip
        facts = dict(zip(wanted.split(","), said.strip().split(", "), strict=False))
    except (OSError, subprocess.SubprocessError):
        facts = {}
    return {
        "GPU": card.name, "compute capability": "{}.{}".format(*card.capability),
        "multiprocessors": card.multiprocessors, "memory, GiB": card.memory / 2**30,
        "driver for CUDA": "{}.{}".format(*gpu.machine().driver), **facts,
        "toolkit": gpu.toolkit(), **here,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; the exit status."""
    options = _options(arguments)
    if options.simulate:
        sys.path.insert(0, str(ROOT / "tests"))
        import_module("simulator").install()
    if options.one:
        return _one(options)
    try:
        if gpu.simulated() and not options.simulate:
            raise RuntimeError("NUMBA_ENABLE_CUDASIM is set: unset it, or add --quick --simulate.")
        device.kernels("cuda")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    here = machine(options.simulate)
    named = "-".join(here["GPU"].split())
    written = options.output / f"gpu-{named}.json"
    options.output.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Row] = {}
    until = time.monotonic() + options.seconds
    for place, name in enumerate(options.parts):
        left = until - time.monotonic()
        shares = [KINDS[other].share for other in options.parts[place:]]
        allowed = max(left, 0.0) * shares[0] / sum(shares)
        print(f"{name}: at most {allowed:.0f} of {left:.0f} s", file=sys.stderr, flush=True)
        if options.simulate:
            parts[name] = Part(name, allowed, True, True, parts).run()
        else:
            parts[name] = _apart(name, allowed, options.quick, parts)
        saved = {"machine": here, "quick": options.quick, "parts": parts}
        written.write_text(json.dumps(saved, indent=1, default=float) + "\n")
    _print(here, parts)
    print(f"written: {written}")
    return int(any(part["failure"] for part in parts.values()))


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small tables, few of them")
    parser.add_argument(
        "--parts", type=_names, default=list(KINDS), help=f"some of {','.join(KINDS)}"
    )
    parser.add_argument("--seconds", type=float, default=450.0, help="that it may take in all")
    parser.add_argument(
        "--output", type=Path, default=report.RESULTS, help="folder for the figures"
    )
    parser.add_argument(
        "--simulate", action="store_true",
        help="with --quick and NUMBA_ENABLE_CUDASIM=1: the code, not the speed, without a GPU",
    )  # fmt: skip
    for hidden in ("--one", "--allowed", "--earlier", "--kept-in"):  # of a part's own process
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.simulate and not options.quick:
        parser.error("--simulate works with --quick only")
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - set(KINDS)
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}"
        )
    return [name for name in KINDS if name in names]


def _apart(name: str, allowed: float, quick: bool, earlier: dict[str, Row]) -> Row:
    """Run a part in a process of its own, and end it when its time is over."""
    part = Part(name, allowed)
    with tempfile.TemporaryDirectory() as folder:
        kept_in, known = Path(folder) / "part.json", Path(folder) / "earlier.json"
        known.write_text(json.dumps(earlier, default=float))
        command = [
            sys.executable, "-m", "bench.gpu", "--one", name, "--allowed",
            str(max(allowed - STARTING, 1.0)), "--earlier", str(known), "--kept-in", str(kept_in),
            *["--quick"] * quick,
        ]  # fmt: skip
        child = subprocess.Popen(
            command, env={**os.environ, **environment()}, start_new_session=True
        )
        ended = ""
        try:
            status = child.wait(allowed + GRACE)
            if status:
                ended = f"its process ended with status {status}"
        except subprocess.TimeoutExpired:
            ended = f"ended after {allowed + GRACE:.0f} s"
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        found: Row = json.loads(kept_in.read_text()) if kept_in.exists() else part.found
    if ended:
        found["failure"] = "\n".join(filter(None, [found["failure"], ended]))
    found["seconds"] = time.monotonic() - part.begun
    return found


def _one(options: Any) -> int:
    """A part, in its own process."""
    earlier = json.loads(Path(options.earlier).read_text())
    kept_in = Path(options.kept_in)
    Part(options.one, float(options.allowed), options.quick, False, earlier, kept_in).run()
    return 0


def _print(here: Row, parts: dict[str, Row]) -> None:
    """Every table, what could not be done, and what was aimed at."""
    console = Console(width=132)
    goals = []
    for name, part in parts.items():
        console.print(f"\n[bold]{part['title']}[/] ({name}, {part['seconds']:.0f} s)")
        for title, rows in part["tables"].items():
            console.print(report.table(title, rows, box=box.SIMPLE_HEAD, padding=0))
        for note in part["notes"]:
            console.print(f"- {escape(note)}")
        if part["failure"]:
            console.print(f"[red]failed:[/] {escape(part['failure'])}")
        goals += [{**goal, "met": "yes" if goal["met"] else "NO"} for goal in part["goals"]]
    if goals:
        console.print(report.table("What was aimed at", goals, box=box.SIMPLE_HEAD))
    facts = [
        f"{name} {here[name]}"
        for name in ("GPU", "driver_version", "numba-cuda", "torch")
        if here.get(name)
    ]
    console.print(f"{', '.join(facts)}; {here['processor']}, {here['threads']} threads")


if __name__ == "__main__":
    sys.exit(main())
