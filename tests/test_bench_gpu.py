"""``python -m bench.gpu``: that a run with a GPU will not be wasted on a slip."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numba
import pytest

from bench import report
from bench.gpu import outside
from bench.gpu.__main__ import main
from bench.gpu.part import KINDS, Part
from greyknn import gpu

SIMULATED = bool(getattr(numba.config, "ENABLE_CUDASIM", 0))

simulated = pytest.mark.skipif(not SIMULATED, reason="the simulator is off")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a program on the PATH that says something and ends with a status."""

    def make(name: str, said: str, status: int = 0) -> None:
        program = tmp_path / name
        (tmp_path / f"{name}.txt").write_text(said)
        program.write_text(f'#!/bin/sh\ncat "{program}.txt"\nexit {status}\n')
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return make


# ---- the whole run


@simulated
def test_every_part_runs_in_the_simulator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numba_cuda")
    pytest.importorskip("greenlet")
    parts = [name for name in KINDS if name != "peer"]  # torch takes seconds to import
    options = ["--quick", "--simulate", "--output", str(tmp_path), "--parts", ",".join(parts)]
    assert main(options) == 0
    saved = json.loads((tmp_path / "gpu-simulator.json").read_text())
    assert list(saved["parts"]) == parts
    for name, part in saved["parts"].items():
        assert part["failure"] is None, part["failure"]
        assert part["tables"] or part["notes"], name
    tables = {name: part["tables"] for name, part in saved["parts"].items()}
    imputed = tables["impute"]["Whole impute, two classes, 10 % gaps"]
    assert [row["differ"] for row in imputed] == [0, 0]
    (shapes,) = tables["tuning"].values()
    assert [row["wrong rows"] for row in shapes] == [0]
    (fills,) = tables["fill"].values()
    assert [row["differ"] for row in fills] == [0, 0]
    printed = capsys.readouterr().out
    assert all(kind.title in printed for name, kind in KINDS.items() if name in parts)


@simulated
def test_a_job_finds_what_is_not_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda")
    pytest.importorskip("greenlet")
    from bench.gpu import jobs, searching

    with searching.shaped(searching.TINY):
        monkeypatch.setattr(jobs, "LISTS", (5,))
        assert jobs.check(20) == 0
        monkeypatch.setattr(searching.neighbors, "nearest", _swapping(searching.neighbors.nearest))
        assert jobs.check(20) > 0


def _swapping(nearest: Any) -> Any:
    calls = []

    def wrong(*arguments: Any, **options: Any) -> Any:
        found = nearest(*arguments, **options)
        calls.append(0)
        if len(calls) % 2:
            found.rows[0, :2] = found.rows[0, 1::-1]
        return found

    return wrong


@pytest.mark.skipif(SIMULATED, reason="the simulator is on")
def test_without_a_gpu_it_says_what_the_device_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "obstacle", lambda index: "it rains.")
    assert main(["--quick"]) == 2
    assert "device='cuda' cannot be used: it rains." in capsys.readouterr().err


@simulated
def test_the_simulator_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 2
    assert "NUMBA_ENABLE_CUDASIM" in capsys.readouterr().err


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--parts", "search,sleep"], ["--simulate"]):
        with pytest.raises(SystemExit):
            main(options)
    said = capsys.readouterr().err
    assert "unknown: sleep" in said
    assert "--quick only" in said


# ---- parts


def test_a_part_keeps_what_it_found_before_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(part: Part) -> None:
        part.row("Table", {"a": 1})
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(outside, "parity", work)
    kept_in = tmp_path / "kept.json"
    Part("parity", 10.0, kept_in=kept_in).run()
    kept = json.loads(kept_in.read_text())
    assert kept["tables"] == {"Table": [{"a": 1}]}
    assert "of nothing" in kept["failure"]


def test_what_does_not_fit_is_noted() -> None:
    part = Part("parity", 10.0)
    assert part.fits(5.0, "a little")
    assert not part.fits(50.0, "a lot")
    assert not part.fits(math.inf, "who knows")
    assert part.notes[0].startswith("left out: a lot, about 50 s where")


def test_a_part_that_hangs_or_dies_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.gpu import __main__ as run

    start = subprocess.Popen

    def popen(code: str) -> Any:
        return lambda command, **options: start([sys.executable, "-c", code], **options)

    monkeypatch.setattr(run, "GRACE", 0.2)
    monkeypatch.setattr(run.subprocess, "Popen", popen("import time; time.sleep(60)"))
    begun = time.monotonic()
    assert run._apart("fill", 0.1, True, {})["failure"] == "ended after 0 s"
    assert time.monotonic() - begun < 10.0
    monkeypatch.setattr(run, "GRACE", 30.0)
    monkeypatch.setattr(run.subprocess, "Popen", popen("import os; os._exit(3)"))
    assert "status 3" in run._apart("fill", 0.1, True, {})["failure"]


# ---- what tools say


def test_pytest_is_understood() -> None:
    said = """
F.s                                                                      [100%]
=========================== short test summary info ============================
SKIPPED [1] tests/test_cuda.py:12: no GPU
FAILED tests/test_cuda.py::test_fills - AssertionError
=================== 1 failed, 1 passed, 1 skipped in 2.34s ===================
"""
    summary, named = outside.told_by_pytest(said)
    assert summary == "1 failed, 1 passed, 1 skipped in 2.34s"
    assert [line.split()[0] for line in named] == ["SKIPPED", "FAILED"]
    assert outside.told_by_pytest("Segmentation fault") == ("no summary", [])


def test_the_sanitizers_verdict(tool: Any) -> None:
    tool("compute-sanitizer", "========= ERROR SUMMARY: 0 errors\n")
    part = Part("sanitizer", 60.0)
    outside.sanitizer(part)
    assert [goal["met"] for goal in part.goals] == [True, True]
    tool("compute-sanitizer", "========= RACECHECK SUMMARY: 2 hazards displayed\n", status=9)
    part = Part("sanitizer", 60.0)
    outside.sanitizer(part)
    assert part.goals[1]["measured"] == "2 hazards displayed"
    assert not part.goals[1]["met"]


NCU = """==PROF== Connected to process 1
==PROF== Profiling "candidates": 0%....100% - 38 passes
"ID","Kernel Name","gpu__time_duration.sum","smsp__issue_active.avg.per_cycle_active",\
"smsp__average_warps_issue_stalled_no_instruction_per_issue_active.ratio",\
"smsp__average_warps_issue_stalled_wait_per_issue_active.ratio",\
"smsp__average_warps_issue_stalled_wait_not_issued_per_issue_active.ratio",\
"sm__inst_executed_pipe_xu.avg.pct_of_peak_sustained_active"
"","","ms","inst/cycle","inst","inst","inst","%"
"0","candidates","74.52","0.93","0.21","1,000.5","0.4","61.7"
"""


def test_ncu_is_understood(tool: Any) -> None:
    tool("ncu", NCU)
    part = Part("profile", 60.0)
    outside.profile(part)
    (rows,) = part.tables.values()
    told = {row["figure"]: row["value"] for row in rows}
    assert told == {
        "time": "74.52",
        "issued per scheduler and cycle": "0.93",
        "pipe xu": "61.7",
        "waiting: wait": "1000.500",
        "waiting: no_instruction": "0.210",
    }
    assert list(told)[-1] == "waiting: no_instruction", "the longest first"
    tool("ncu", "==ERROR== ERR_NVGPUCTRPERM\n", status=1)
    part = Part("profile", 60.0)
    outside.profile(part)
    assert "ERR_NVGPUCTRPERM" in part.notes[0]


def test_a_tool_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "found", lambda tool: None)
    for work in (outside.sanitizer, outside.profile):
        part = Part("sanitizer", 60.0)
        work(part)
        assert "was not found" in part.notes[0]


def test_who_takes_too_long_is_ended() -> None:
    code = "print('begun', flush=True); import time; time.sleep(60)"
    assert outside.ran([sys.executable, "-c", code], 1.0) == (-1, "begun\n")


def test_rows_of_a_table_may_lack_columns() -> None:
    table = report.table("T", [{"a": 1}, {"a": None, "b": "x"}])
    assert [list(column.cells) for column in table.columns] == [["1", ""], ["", "x"]]


# ---- how times become figures


@simulated
def test_growth_and_what_repays() -> None:
    from bench.gpu import imputing

    growth = imputing.Growth(1.8)
    assert growth.at(10) == math.inf
    growth.add(1_000, 1.0)
    assert growth.at(10_000) == pytest.approx(10**1.8)
    growth.add(2_000, 3.0)
    assert growth.at(4_000) == pytest.approx(9.0)
    rows = [
        {"pairs": 1e9, "CPU, s": 0.1, "GPU, s": 0.1},
        {"pairs": 1e11, "CPU, s": 4.0, "GPU, s": 1.0},
    ]
    assert imputing._repaid(rows, 1.5) == "1.0e+10 pairs of cells"
    assert imputing._repaid(rows, 5.0) == "more than 1.0e+11 pairs of cells"
    assert imputing._repaid([], 5.0) == "not measured"


@simulated
def test_what_runs_within_counts_for_the_inner_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda")
    pytest.importorskip("greenlet")
    from types import SimpleNamespace

    from bench.gpu import timing

    room = SimpleNamespace(inner=lambda: time.sleep(0.05))
    room.outer = lambda: (time.sleep(0.02), room.inner())
    room.whole = lambda: room.inner()
    places = [("inner", room, "inner"), ("outer", room, "outer"), ("whole", room, "whole")]
    with timing.watched(places, whole=["whole"]) as seconds:
        room.outer()
        room.whole()
    assert 0.05 <= seconds["inner"] < 0.1
    assert 0.02 <= seconds["outer"] < 0.05
    assert seconds["whole"] >= 0.05


@simulated
def test_turns_alternate() -> None:
    from bench.gpu import timing

    order: list[str] = []
    works = {name: (lambda name=name: order.append(name)) for name in "ab"}
    taken = timing.in_turns(works, 3)
    assert "".join(order) == "abbaab"
    assert [len(times) for times in taken.values()] == [3, 3]
    assert len(timing.in_turns({"a": lambda: time.sleep(0.02)}, 9, left=0.03)["a"]) < 3
