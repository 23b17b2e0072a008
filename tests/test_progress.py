"""Progress is shown on stderr, only if asked for and only when there is time to read it."""

from __future__ import annotations

import numpy as np
import pytest

import greyknn
from greyknn import METHODS, progress
from greyknn.filling import Stopping, fill_together
from greyknn.neighbors import Comparison
from greyknn.progress import reporting
from greyknn.scaling import Scale
from greyknn_kernels import cpu


def test_quiet_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    with reporting(0) as report:
        report("search", 1, 2)
    assert capfd.readouterr() == ("", "")


def test_short_work_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with reporting(1) as report:
        report("search", 1, 2)
    assert capfd.readouterr() == ("", "")


def test_long_work_shows_its_steps(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with reporting(1) as report:
        report("search", 1, 4)
        report("search", 2, 4)
    out, err = capfd.readouterr()
    assert out == ""
    assert "search" in err


def test_impute_reports_its_searches(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    X = np.random.default_rng(0).random((30, 3))
    X[::4, 0] = np.nan
    greyknn.impute(X, verbose=1)
    assert "neighbours" in capfd.readouterr().err


def test_progress_comes_to_its_end_where_rows_repeat() -> None:
    X = np.random.default_rng(0).integers(0, 3, (300, 3)).astype(float)
    X[::4, 0] = np.nan
    told: list[tuple[int, int]] = []
    scale = Scale.fit(X, np.zeros(3, dtype=bool))
    comparison = Comparison(
        METHODS["iknn"], np.zeros(3, dtype=bool), scale, np.ones(3), cpu,
        progress=lambda _, done, total: told.append((done, total)),
    )  # fmt: skip
    fill_together(comparison, 3, X, np.zeros(300, dtype=np.int64), Stopping(1e-3, 5))
    assert told[-1] == (75, 75)
    assert all(done <= total for done, total in told)
