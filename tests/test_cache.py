"""Compiled kernels on disk: found again, never those of another greyknn, never in the way."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from conftest import COMPILED
from greyknn_kernels import cache
from greyknn_kernels.cpu import averaging, binding
from programs import filled, output

VOTED = np.array([[2, 1, 1, 2], [3, 3, 0, 0]])
WINNERS = [[2, 1, 1, 1], [3, 3, 3, 0]]


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A way to start anew with one small kernel, as the next process does; returns its counts."""
    if not COMPILED:
        pytest.skip("needs compiled kernels; this run interprets them")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def use() -> Any:
        function = numba.njit(nogil=True)(averaging.majorities.py_func)
        winners = np.zeros_like(VOTED)
        kernel = cache.kept(function, binding.LoopCache)
        kernel(0, len(VOTED), VOTED, winners)
        assert winners.tolist() == WINNERS
        stats = kernel.stats
        return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())

    return use


def files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_kernel_is_compiled_once(compiled: Callable[[], Any], tmp_path: Path) -> None:
    assert compiled() == (0, 1)
    kept = files(tmp_path)
    assert {path.suffix for path in kept} == {".nbi", ".nbc"}
    assert compiled() == (1, 0)
    assert files(tmp_path) == kept


@pytest.mark.jit
def test_the_next_process_compiles_nothing() -> None:
    filled()  # if nobody has yet
    said = output(
        """
filled()
for name in ("averaging.fill", "differences.extremes", "search.nearest"):
    module, function = name.split(".")
    loop = getattr(sys.modules["greyknn_kernels.cpu." + module], function)
    print(sum(loop.stats.cache_hits.values()), sum(loop.stats.cache_misses.values()))
"""
    )
    assert said == "1 0\n" * 3


SPOILT = {
    "empty": lambda _: b"",
    "text": lambda _: b"garbage",
    "half": lambda good: good[: len(good) // 2],
    "zeros": lambda good: bytes(len(good)),
    "something else": lambda _: pickle.dumps(numba.__version__) + pickle.dumps(None),
    "too large": lambda _: pickle.PROTO + b"\x05\x8e" + b"\xff" * 8,
}


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("how", SPOILT)
def test_spoilt_files_are_replaced(
    how: str, suffix: str, compiled: Callable[[], Any], tmp_path: Path
) -> None:
    assert compiled() == (0, 1)
    (spoilt,) = tmp_path.rglob("*" + suffix)
    spoilt.write_bytes(SPOILT[how](spoilt.read_bytes()))
    assert compiled()[0] == 0
    assert compiled() == (1, 0)


def test_a_lost_file_is_replaced(compiled: Callable[[], Any], tmp_path: Path) -> None:
    for suffix in (".nbi", ".nbc"):
        compiled()
        (lost,) = tmp_path.rglob("*" + suffix)
        lost.unlink()
        assert compiled() == (0, 1)
        assert compiled() == (1, 0)


def test_a_place_that_is_lost_costs_no_more_than_time(
    compiled: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is there when the kernels are imported, and a file when they are compiled."""
    kept = cache.kept

    def lose(dispatcher: Any, kind: Any) -> Any:
        kernel = kept(dispatcher, kind)
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)
            folder.write_text("not a folder")
        return kernel

    monkeypatch.setattr(cache, "kept", lose)
    assert compiled()[0] == 0
    assert [path.read_text() for path in tmp_path.iterdir()] == ["not a folder"]


@pytest.mark.jit
def test_nowhere_to_keep_kernels(tmp_path: Path) -> None:
    """Not the search, because to compile it takes too long for a test."""
    (tmp_path / "file").write_text("not a folder")
    said = output(
        """
print(greyknn.grey_relational_grades([[0.0], [0.5], [1.0]]).round(3).tolist()[0][1:])
print(type(sys.modules["greyknn_kernels.cpu.differences"].extremes._cache).__name__)
""",
        NUMBA_CACHE_DIR=str(tmp_path / "file" / "cache"),
        NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator",  # or it is kept elsewhere
    )
    assert said == "[1.0, 0.667]\nNullCache\n"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    copied = tmp_path / "sources"
    shutil.copytree(cache.SOURCES, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "SOURCES", copied)
    cache.stamp.cache_clear()
    yield copied
    cache.stamp.cache_clear()


def stamp() -> str:
    cache.stamp.cache_clear()
    return cache.stamp()


def test_any_change_of_a_kernel_changes_the_stamp(sources: Path) -> None:
    before = stamp()
    assert before == stamp()
    changed = list(sources.rglob("*.py"))
    assert {"formula.py", "packing.py", "search.py", "cache.py"} <= {path.name for path in changed}
    stamps = {before}
    for number, path in enumerate(changed):
        text = path.read_text()
        path.write_text(text + "# a change\n")
        stamps.add(stamp())
        path.write_text(text)
        assert stamp() == before
        assert len(stamps) == number + 2
    (sources / "new.py").write_text("ONE = 1\n")
    assert stamp() != before


def test_an_upgraded_greyknn_never_runs_old_kernels(
    compiled: Callable[[], Any], sources: Path
) -> None:
    assert compiled() == (0, 1)
    assert compiled() == (1, 0)
    formula = sources / "formula.py"
    text = formula.read_text()
    formula.write_text(text.replace("GREY = 0", "GREY = 3"))
    cache.stamp.cache_clear()
    assert compiled() == (0, 1)
    assert compiled() == (1, 0)
    formula.write_text(text)
    cache.stamp.cache_clear()
    assert compiled() == (1, 0)  # the older one's kernels are still there
