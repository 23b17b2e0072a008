"""Progress is shown on stderr, only if asked for and only when there is time to read it."""

from __future__ import annotations

import numpy as np
import pytest

import greyknn
from greyknn import progress
from greyknn.progress import reporting


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
