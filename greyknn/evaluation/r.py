"""R's imputers, each run by Rscript in a process of its own.

A table goes there and back as csv: numbers with every digit, categories as "c" and their code.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from greyknn.arrays import Floats
from greyknn.evaluation.tables import Frame, categories_of, named_plainly, to_matrix, with_fills

CALLS = {
    "mice": "complete(mice::mice(d, m = 1, maxit = 5, seed = seed, printFlag = FALSE))",
    "missForest": "missForest::missForest(d)$ximp",
    "missRanger": "missRanger::missRanger(d, seed = seed, num.threads = 1, verbose = 0)",
    "VIM": "VIM::kNN(d, k = 5, imp_var = FALSE)",
}
"""What fills the data frame ``d``, by the package that does it."""

SCRIPT = """\
suppressPackageStartupMessages(library({package}))
seed <- {seed}
set.seed(seed)
d <- read.csv("gappy.csv", colClasses = c({classes}), na.strings = "")
filled <- as.data.frame({call})
filled[] <- lapply(filled, function(x) if (is.factor(x)) as.character(x) else x)
options(digits = 17)
write.csv(filled, "filled.csv", row.names = FALSE, na = "", quote = FALSE)
"""


@cache
def installed(package: str) -> bool:
    """Whether Rscript is found and knows a package."""
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", f"quit(status = !requireNamespace('{package}', quietly = TRUE))"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


class RImputer(BaseEstimator):  # type: ignore[misc]
    """A function of R that fills a data frame. New rows cannot be filled.

    Parameters
    ----------
    package : str
        A key of `CALLS`.
    random_state : int, RandomState or None
    """

    def __init__(self, package: str, random_state: Any = None) -> None:
        self.package = package
        self.random_state = random_state

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used.

        Raises
        ------
        RuntimeError
            R ended with an error; the message is its own.
        """
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        kinds = ["factor" if category else "numeric" for category in categories_of(X)]
        script = SCRIPT.format(
            package=self.package, call=CALLS[self.package], seed=seed,
            classes=", ".join(f'"{kind}"' for kind in kinds),
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            _written(X).to_csv(Path(folder, "gappy.csv"), index=False)
            Path(folder, "fill.R").write_text(script)
            ran = subprocess.run(
                ["Rscript", "--vanilla", "fill.R"],
                cwd=folder, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if ran.returncode != 0:
                said = [line for line in ran.stderr.splitlines() if line.strip()]
                raise RuntimeError(f"R's {self.package} failed: {' '.join(said[-3:])}")
            return with_fills(X, _read(Path(folder, "filled.csv"), kinds))


def _written(X: Frame) -> Frame:
    written = named_plainly(pd.DataFrame(to_matrix(X)))
    for name, category in zip(written, categories_of(X), strict=True):
        if category:
            written[name] = [f"c{code:.0f}" if code == code else None for code in written[name]]
    return written


def _read(path: Path, kinds: list[str]) -> Floats:
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = [pd.to_numeric(cells[name].str.removeprefix("c"), errors="coerce") for name in cells]
    if len(columns) != len(kinds):
        raise RuntimeError(f"R returned {len(columns)} columns, not {len(kinds)}.")
    return np.column_stack(columns).astype(np.float64)
