"""Programs of their own, for what could end the one that tests."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import greyknn
import greyknn.donors
import greyknn.neighbors

ROOT = Path(__file__).parent.parent


def gappy(seed: int = 0, n_rows: int = 60) -> Any:
    X = np.random.default_rng(seed).random((n_rows, 5))
    X[:, 4] = np.round(X[:, 4] * 3)
    X[::4, 0] = X[1::5, 3] = X[2::7, 4] = np.nan
    return X


def filled(seed: int = 0) -> Any:
    X = gappy(seed)
    return greyknn.impute(X, np.arange(len(X)) % 2, n_neighbors=4)


BEGIN = "\n".join([
    "from __future__ import annotations", "import os, sys, warnings", "import numpy as np",
    "import greyknn", inspect.getsource(gappy), inspect.getsource(filled),
])  # fmt: skip


def started(code: str, **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BEGIN + code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(code: str, *, patience: float = 100.0, **environment: str) -> str:
    """What a program of its own prints; it must end well, and say nothing on stderr."""
    with started(code, **environment) as process:
        try:
            out, err = process.communicate(timeout=patience)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert err == ""
    return out
