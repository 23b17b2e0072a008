"""Threads, processes, signals and memory: nothing a host program does hurts."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import greyknn
import greyknn.donors
import greyknn.neighbors
from conftest import COMPILED
from greyknn.donors import DonorTable, Geometry
from greyknn_kernels import cpu
from greyknn_kernels.cpu import threads
from programs import filled, gappy, output, started


def test_several_threads_impute_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "n_threads", lambda: 2)
    monkeypatch.setattr(threads, "LEAST", 1.0)
    expected = [filled(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5 if COMPILED else 1):
            for ours, alone in zip(pool.map(filled, range(8)), expected, strict=True):
                assert ours.tobytes() == alone.tobytes()


@pytest.mark.parametrize("options", [{"method": "fwgknn"}, {"donors": "observed"}])
def test_several_threads_share_a_fitted_imputer(options: dict[str, Any]) -> None:
    """They share its donors, laid out for one column after another."""
    X = gappy()
    imputer = greyknn.GreyKNNImputer(n_neighbors=4, **options).fit(X, np.arange(len(X)) % 2)
    tables = [gappy(seed) for seed in range(8)]
    expected = [imputer.transform(table) for table in tables]
    imputer = pickle.loads(pickle.dumps(imputer))  # without what was laid out
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5 if COMPILED else 1):
            for ours, alone in zip(pool.map(imputer.transform, tables), expected, strict=True):
                assert ours.tobytes() == alone.tobytes()


def test_another_thread_may_lay_donors_out_for_another_column() -> None:
    """Each gets what it asked for, also if the other comes just after it was kept."""

    class Hurried(DonorTable):
        others: ClassVar[list[Any]] = []

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "_packed" and self.others:
                self.packed(self.others.pop())

    rows = np.arange(40)
    values = np.random.default_rng(0).random((40, 2))
    geometry = Geometry("grey", np.zeros(2, bool), 0.5, cpu)
    table = Hurried(geometry, np.ones(2), values, rows, np.zeros_like(rows))
    weights = np.array([0.25, 0.75])
    Hurried.others.append(np.array([0.5, 0.5]))
    ours = table.packed(weights)
    alone = DonorTable(geometry, weights, values, rows, np.zeros_like(rows)).packed(weights)
    assert (ours.blocks == alone.blocks).all()


@pytest.mark.jit
def test_joblib_and_grid_search() -> None:
    said = output(
        """
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

tables = [gappy(seed) for seed in range(4)]
alone = [greyknn.impute(X, n_neighbors=3) for X in tables]
for backend in ("threading", "loky"):
    many = Parallel(n_jobs=2, backend=backend)(
        delayed(greyknn.impute)(X, n_neighbors=3) for X in tables
    )
    assert all(one.tobytes() == other.tobytes() for one, other in zip(alone, many)), backend

X, y = gappy(9, 90), np.arange(90) % 3
grid = {"greyknnimputer__n_neighbors": [1, 5]}
scores = []
for n_jobs in (1, 2):
    model = make_pipeline(greyknn.GreyKNNImputer("iknn"), KNeighborsClassifier())
    search = GridSearchCV(model, grid, n_jobs=n_jobs, cv=3, error_score="raise").fit(X, y)
    scores.append(search.cv_results_["mean_test_score"].tolist())
assert scores[0] == scores[1], scores
print("done")
"""
    )
    assert said == "done\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="cannot fork")
def test_a_forked_process_imputes() -> None:
    said = output(
        """
import multiprocessing
warnings.filterwarnings("ignore", "This process")  # Python 3.12 sees the threads of OpenBLAS
from greyknn_kernels.cpu import threads
threads.n_threads = lambda: 3
threads.LEAST = threads.STEP = 1.0
alone = [filled(seed).tobytes() for seed in range(4)]
child = os.fork()
if child == 0:
    os._exit(0 if [filled(seed).tobytes() for seed in range(4)] == alone else 3)
assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert [one.tobytes() for one in pool.map(filled, range(4))] == alone
process = multiprocessing.get_context("fork").Process(target=filled)
process.start()
process.join()
assert process.exitcode == 0
assert filled().tobytes() == alone[0]
print("done")
"""
    )
    assert said == "done\n"


@pytest.mark.jit
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_ctrl_c_interrupts_a_long_search_and_breaks_nothing() -> None:
    program = """
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn_kernels import cpu

before = filled()
values = np.random.default_rng(0).random((300_000, 20))
plain, weights = np.zeros(20, bool), np.full(20, 0.05)
rows = np.arange(len(values))
donors = DonorTable(Geometry("grey", plain, 0.5, cpu), weights, values, rows, rows * 0)
nearest(donors, weights, 20, values[:1], rows=rows[:1])
try:
    print("searching", flush=True)
    while True:
        nearest(donors, weights, 20, values, rows=rows)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert filled().tobytes() == before.tobytes()
import threading
assert threading.active_count() == 1
print("done")
"""
    with started(program) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "searching\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(2.0)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10.0)
        finally:
            process.kill()
    assert (out, err) == ("interrupted\ndone\n", "")
    assert process.returncode == 0


@pytest.mark.jit
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="cannot see the memory in use")
def test_memory_does_not_grow() -> None:
    """A copy of the table that is not given back would take 32 MB."""
    said = output(
        """
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

X = np.random.default_rng(0).random((2000, 10))
X[::100, 3] = np.nan
def call():
    greyknn.impute(X, method="gknn", n_neighbors=5)
for _ in range(20):
    call()
before = resident()
for _ in range(200):
    call()
print(resident() - before)
"""
    )
    assert int(said) < 20e6
