"""Tools that run this package in a process of their own: pytest, compute-sanitizer, ncu."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from bench.gpu.part import Part, Row

ROOT = Path(__file__).parents[2]

HOMES = (
    "/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/nvidia/nsight-compute",
)  # fmt: skip
"""Where tools are that are not on the PATH, beside wheels."""

SECTIONS = (
    "SpeedOfLight", "LaunchStats", "Occupancy", "SchedulerStats", "WarpStateStats",
    "ComputeWorkloadAnalysis", "MemoryWorkloadAnalysis",
)  # fmt: skip

FIGURES = {
    "gpu__time_duration.sum": "time",
    "smsp__issue_active.avg.pct_of_peak_sustained_active": "issue slots used, active",
    "sm__inst_issued.avg.pct_of_peak_sustained_active": "issue slots used, instructions",
    "smsp__issue_active.avg.per_cycle_active": "issued per scheduler and cycle",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "multiprocessor throughput",
    "lts__throughput.avg.pct_of_peak_sustained_elapsed": "L2 throughput",
    "lts__t_sector_hit_rate.pct": "L2 hits",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared.avg.pct_of_peak_sustained_elapsed": "shared memory",
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed": "device memory throughput",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "warps, of what fits",
    "smsp__warps_eligible.avg.per_cycle_active": "warps that could issue, per scheduler",
    "launch__registers_per_thread": "registers",
}
"""What Nsight Compute calls them, and what they are."""

PIPE = re.compile(r"sm__(?:inst_executed_)?pipe_(\w+)\.avg\.pct_of_peak_sustained_active")

STALL = re.compile(r"average_warps?_(?:latency_)?issue_stalled_(\w+?)_per_(?:issue_active|warp)")


def environment() -> dict[str, str]:
    """What a child must inherit to find these packages where this process did."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])}


def ran(command: Sequence[str], limit: float) -> tuple[int, str]:
    """Exit status and all that was said; -1 after ``limit`` seconds."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment()}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=max(limit, 1.0), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as slow:
        return -1, (slow.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def found(tool: str) -> str | None:
    """Where a tool is: on the PATH, in the toolkit's folders, or in a wheel."""
    path = shutil.which(tool)
    if path is not None:
        return path
    folders = [Path(home) for home in HOMES]
    folders += [Path(sysconfig.get_path("purelib")) / "nvidia"]
    for folder in folders:
        for place in [folder / tool, *sorted(folder.glob(f"*/{tool}")),
                      *sorted(folder.glob(f"*/*/{tool}"))]:  # fmt: skip
            if place.is_file() and os.access(place, os.X_OK):
                return str(place)
    return None


def parity(part: Part) -> None:
    """``pytest -m gpu`` of the files that have such tests."""
    tests = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").glob("test_*.py")
        if "mark.gpu" in path.read_text()
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "gpu",
        "-q",
        "--tb=line",
        "-p",
        "no:cacheprovider",
    ]
    if part.simulated:
        command, tests = [*command, "--collect-only"], tests[:1]
    if not tests:
        part.note("no file in tests has a test that is marked gpu")
        return
    status, said = ran([*command, *tests], part.left)
    summary, others = told_by_pytest(said)
    for line in others[:15]:
        part.note(line[:300])
    if status == -1:
        part.note(f"pytest was ended after {part.seconds:.0f} s")
    elif status not in (0, 1):
        part.note(f"pytest ended with status {status}: {said[-600:]}")
    part.row("pytest -m gpu", {"files": len(tests), "status": status, "summary": summary})
    part.goal("parity tests", "all pass", summary, status == 0 and "passed" in summary)


def told_by_pytest(said: str) -> tuple[str, list[str]]:
    """The last line with a count, and the lines that name what failed or was not run."""
    lines = [line.strip("= ") for line in said.splitlines()]
    counts = [line for line in lines if re.search(r"\d+ (passed|failed|error|skipped|desel)", line)]
    named = [line for line in lines if re.match(r"(FAILED|ERROR|SKIPPED|XPASS)\b", line)]
    return counts[-1] if counts else "no summary", named


def sanitizer(part: Part) -> None:
    """Run memcheck and racecheck over every kernel."""
    tool = found("compute-sanitizer")
    if tool is None:
        part.note("compute-sanitizer was not found: on the PATH, in CUDA's folders or in a wheel")
        return
    rows = ["40"] if part.quick else []
    for check in ("memcheck", "racecheck"):
        if not part.fits(5.0, check):
            continue
        job = [sys.executable, "-m", "bench.gpu.jobs", "check", *rows]
        command = [tool, "--tool", check, "--error-exitcode", "9", "--print-limit", "5", *job]
        limit = part.left / (2.0 if check == "memcheck" else 1.0)
        status, said = ran(command, limit)
        verdicts = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: ?(.*)", said)
        verdict = verdicts[-1] if verdicts else said[-300:]
        if status == -1:
            verdict = f"not done in {limit:.0f} s; until then: {verdict}"
        part.row("compute-sanitizer", {"tool": check, "status": status, "summary": verdict})
        if status not in (0, -1):
            part.note(f"{check}: {said[:1500]}")
        part.goal(check, "no errors", verdict[:60], status == 0)


def profile(part: Part) -> None:
    """What keeps the filter's warps waiting, as Nsight Compute counts it."""
    tool = found("ncu")
    if tool is None:
        part.note("ncu was not found: on the PATH, in CUDA's folders or in a wheel")
        return
    n_rows = 20_000 if part.quick else 100_000
    command = [
        tool, "--csv", "--page", "raw", "--clock-control", "none", "--kernel-name",
        "regex:candidates", "--launch-skip", "1", "--launch-count", "1",
        *(word for section in SECTIONS for word in ("--section", section)),
        sys.executable, "-m", "bench.gpu.jobs", "search", str(n_rows),
    ]  # fmt: skip
    status, said = ran(command, part.left)
    rows = told_by_ncu(said)
    for row in rows:
        part.row(f"Filter at {n_rows} x {n_rows} x 50", row)
    if not rows:
        why = "took too long" if status == -1 else f"ended with status {status}"
        part.note(f"ncu {why}, and told nothing: {said[-600:]}")


def told_by_ncu(said: str) -> list[Row]:
    """The figures that matter, and what warps wait for, the longest first."""
    table = [line for line in said.splitlines() if line.startswith('"')]
    if len(table) < 3:
        return []
    names, units, numbers = list(csv.reader(table))[:3]
    every = list(zip(names, units, numbers, strict=False))
    rows: list[Row] = [
        {"figure": FIGURES[name], "value": number, "unit": unit}
        for name, unit, number in every
        if name in FIGURES
    ]
    for name, unit, number in every:
        pipe = PIPE.fullmatch(name)
        if pipe and float(number.replace(",", "") or 0.0) > 5.0:
            rows.append({"figure": f"pipe {pipe[1]}", "value": number, "unit": unit})
    stalls: dict[str, float] = {}
    for name, _, number in every:
        cause = STALL.search(name)
        if cause and name.endswith("ratio") and "not_issued" not in name:
            stalls.setdefault(cause[1], float(number.replace(",", "") or 0.0))
    longest = sorted(stalls.items(), key=lambda item: -item[1])[:8]
    return rows + [
        {"figure": f"waiting: {cause}", "value": f"{cycles:.3f}", "unit": "warps per issue"}
        for cause, cycles in longest
    ]
