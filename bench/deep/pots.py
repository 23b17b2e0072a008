"""SAITS and BRITS of PyPOTS, in a process of their own.

PyPOTS writes into the home directory when it is imported, and wants other versions than greyknn:
``PYPOTS_PYTHON`` may name the Python of another environment that has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from bench.deep.sequences import series_of
from bench.deep.tasks import Frame
from greyknn.arrays import Floats, Ints

WINDOW = 96
WORKER = Path(__file__).with_name("pots_worker.py")


class PyPots(BaseEstimator):  # type: ignore[misc]
    """A model of PyPOTS, trained for so many seconds of CPU.

    Parameters
    ----------
    model : {"SAITS", "BRITS"}
    context : tuple of names
        The column of the series, if there is one, and that of the time.
    cpu_seconds : float
        For training; trying out how long an epoch takes is not counted.
    random_state : int, RandomState or None

    Attributes
    ----------
    cpu_seconds_ : float
        That training and filling took, in the other process.
    """

    def __init__(
        self, model: str, context: tuple[str, ...], cpu_seconds: float, random_state: Any = None
    ) -> None:
        self.model = model
        self.context = context
        self.cpu_seconds = cpu_seconds
        self.random_state = random_state

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used."""
        channels = list(X.columns.drop(list(self.context)))
        values = X[channels].to_numpy(dtype=np.float64)
        center, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        window, step = windows(series_of(X[list(self.context)]))
        cut = np.full((window.max() + 1, step.max() + 1, len(channels)), np.nan)
        cut[window, step] = (values - center) / scale
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        fills, self.cpu_seconds_ = self._elsewhere(cut, seed)
        filled = X.copy()
        filled[channels] = np.where(
            np.isnan(values), fills[window, step] * scale + center, values
        )  # fmt: skip
        return filled

    def _elsewhere(self, cut: Floats, seed: int) -> tuple[Floats, float]:
        python = os.environ.get("PYPOTS_PYTHON", sys.executable)
        with TemporaryDirectory() as home:
            np.save(Path(home, "in.npy"), cut)
            told = [python, str(WORKER), self.model, str(self.cpu_seconds), str(seed)]
            one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
            environment = {**os.environ, **one, "HOME": home, "PYTHONPATH": ""}
            ran = subprocess.run(told, cwd=home, env=environment, capture_output=True, text=True)
            if ran.returncode:
                why = ran.stderr.strip().splitlines() or [f"it ended with {ran.returncode}"]
                raise RuntimeError(f"PyPOTS failed: {why[-1]}")
            return np.load(Path(home, "out.npy")), float(Path(home, "seconds").read_text())


def windows(series: Ints) -> tuple[Ints, Ints]:
    """Every row's window of at most `WINDOW` steps of one series, and its place in it."""
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    place = np.arange(len(series)) - starts[np.cumsum(np.diff(series, prepend=-1) != 0) - 1]
    new = place % WINDOW == 0
    return np.cumsum(new) - 1, place % WINDOW
