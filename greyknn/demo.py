"""A guided run on a real table: what was missing, what was chosen, who donated, how good it is."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer

from greyknn.imputer import GreyKNNImputer
from greyknn.methods import METHODS
from greyknn.plot import overview

Frame = Any  # of pandas, which comes with the extra
INDENT = (0, 0, 0, 3)
N_NEIGHBORS, REPEATS, HIDDEN = 10, 10, 0.1  # of the comparison


def run(folder: Path) -> Path:
    """Fill the Palmer penguins, tell every step on stdout and draw a picture.

    Parameters
    ----------
    folder : Path
        Where the picture goes; made if it is not there.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    ImportError
        If palmerpenguins or matplotlib is missing; the message says how to get them.
    """
    try:
        import matplotlib.figure  # noqa: F401 (needed last, but missed first)
        from palmerpenguins import load_penguins
    except ImportError as error:
        message = f'The demo needs {error.name}, which is missing: pip install "greyknn[demo]".'
        raise ImportError(message) from error
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    console.width = min(console.width, 80)
    X = load_penguins()
    y = X.pop("species")

    console.print("\n[bold]1. The table[/]: Palmer penguins, filled with the help of their species")
    console.print(_columns(X))
    begun = time.perf_counter()
    with console.status("Warming up"):
        for fill, _ in _fillers().values():
            fill(X, y)
    ready = time.perf_counter()
    imputer = GreyKNNImputer()
    filled = imputer.fit_transform(X, y)
    seconds = time.perf_counter() - ready
    console.print("[bold]2. What greyknn chose[/]\n")
    console.print(Padding(_choices(imputer, X, seconds, ready - begun), INDENT))
    console.print("\n[bold]3. Some filled cells, and the nearest three donors of each[/]")
    _show_donors(console, imputer, X, filled, y)
    console.print("\n[bold]4. How good is it?[/] Observed cells are hidden, filled and compared.")
    _compare(console, X, y)
    path = folder / "greyknn-demo.png"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:  # the whole picture or none
        overview(imputer).savefig(partial, format="png", dpi=150)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    console.print("\n[bold]5. Gaps, weights and convergence in a picture[/]\n")
    console.print(f"   {path}\n", soft_wrap=True, markup=False)
    return path


def _is_number(column: Any) -> bool:
    return column.dtype.kind in "iuf"


def _table(*headings: str) -> Table:
    """A table with columns to the left, or to the right for a heading like ">seconds"."""
    table = Table(box=SIMPLE)
    for heading in headings:
        table.add_column(heading.lstrip(">"), justify="right" if heading[0] == ">" else "left")
    return table


def _columns(X: Frame) -> Table:
    table = _table("column", "type", "values", ">missing", ">share")
    for name, column in X.items():
        values = ", ".join(map(str, sorted(column.dropna().unique())))
        if _is_number(column):
            values = f"{column.min():g} to {column.max():g}"
        kind = "number" if _is_number(column) else "category"
        table.add_row(name, kind, values, f"{column.isna().sum()}", f"{column.isna().mean():.1%}")
    gaps = X.isna().to_numpy()
    table.add_section()
    table.add_row(f"all {len(X.T)}", "", f"{len(X)} rows", f"{gaps.sum()}", f"{gaps.mean():.1%}")
    return table


def _choices(imputer: GreyKNNImputer, X: Frame, seconds: float, warmup: float) -> Table:
    errors, k = np.asarray(imputer.selection_errors_), imputer.n_neighbors_
    curve = ", ".join(f"{n}: {errors[n - 1]:.1%}" for n in sorted({1, 5, 10, 20, k}))
    changes = ", then ".join(f"{delta:.2g}" for delta in imputer.convergence_)
    settled = f"at most {imputer.tol:g}: settled" if imputer.converged_ else "not settled"
    weights = Table.grid(padding=(0, 1))
    for column in np.argsort(-imputer.feature_weights_, kind="stable"):
        weight = imputer.feature_weights_[column]
        bar = ProgressBar(imputer.feature_weights_.max(), weight, width=30)
        weights.add_row(X.columns[column], bar, f"{weight:.3f}")
    table = Table.grid(padding=(0, 3, 0, 0))
    for fact in (
        ("method", f"{imputer.method}: gaps are filled from near rows of the same species"),
        ("neighbours", f"k = {k}, which predicts the species of held-out rows best"),
        ("", f"wrong with k = {curve}"),
        ("weights", "what a column tells of the species; so it counts in comparisons"),
        ("", weights),
        ("iterations", f"{imputer.n_iter_}; filled cells changed by {changes} ({settled})"),
        ("seconds", f"{seconds:.3f}, after {warmup:.1f} of warming up (a first run compiles the"),
        ("", "kernels, later ones read them from disk), left out of all times"),
    ):
        table.add_row(*fact)
    return table


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _show_donors(
    console: Console, imputer: GreyKNNImputer, X: Frame, filled: Frame, y: Any
) -> None:
    """A cell of every column with gaps and one more of the last, each time another gap."""
    table = _table(">row", "column", ">filled", ">donor row", ">gave", ">distance", ">share")
    gaps = {name: np.flatnonzero(column.isna()) for name, column in X.items() if column.hasnans}
    notes = {}
    for turn, name in enumerate([*gaps, list(gaps)[-1]]):
        row = int(gaps[name][turn % len(gaps[name])])
        donors = imputer.explain(row, name)
        cell = [str(row), name, _text(filled[name][row])]
        for n, donor in enumerate(donors[:3]):
            told = [str(donor.row), _text(donor.value), f"{donor.distance:.3f}"]
            told = (["", "", ""] if n else cell) + [*told, f"{donor.weight:.1%}"]
            table.add_row(*told, end_section=n == 2)
        if donors[0].distance == donors[-1].distance:
            known = " and ".join(X.columns[X.loc[row].notna()])
            notes[row] = f" In row {row} only {known} were known: all its donors tie."
    console.print(table)
    text = (
        f"How to read the last one: row {row} is {y[row]}, and its {name} was missing. Its "
        f"{len(donors)} donors are {y[row]} too; row {donors[0].row} is the nearest and has "
        f"{donors[0].weight:.1%} of the say. Together they say {cell[2]}."
    )
    console.print(Padding(text + "".join(notes.values()), INDENT))


def _fillers() -> dict[str, tuple[Callable[[Any, Any], Any], bool]]:
    """What is compared: how it fills a table, given the class, and whether it uses the class."""
    fillers = {}
    for name, method in METHODS.items():
        fill = GreyKNNImputer(name, n_neighbors=N_NEIGHBORS).fit_transform
        fillers[f"greyknn {name}"] = (fill, method.uses_class)
    return fillers | {
        "KNNImputer": (_fill_by_sklearn, True),
        "class mean/mode": (_fill_by_center, True),
        "mean/mode": (lambda X, y: _fill_by_center(X, y == y), False),
    }


def _fill_by_center(X: Frame, groups: Any) -> Frame:
    return X.groupby(groups).transform(
        lambda cells: cells.fillna(cells.mean() if _is_number(cells) else cells.mode()[0])
    )


def _fill_by_sklearn(X: Frame, y: Any) -> Frame:
    """Scale the numbers, one column of 0 and 1 for every category and class, fill, and undo it."""
    import pandas as pd

    blocks = {
        name: ((cells - cells.min()) / np.ptp(cells.dropna())).to_frame()
        if _is_number(cells)
        else pd.get_dummies(cells, dtype=float).where(cells.notna())
        for name, cells in X.items()
    }
    coded = pd.concat(blocks | {"the class": pd.get_dummies(y, dtype=float)}, axis=1)
    coded[:] = KNNImputer(n_neighbors=N_NEIGHBORS).fit_transform(coded.to_numpy())
    filled = {name: coded[name].idxmax(axis=1) for name in X}
    for name in X.select_dtypes("number"):
        filled[name] = coded[name][name] * np.ptp(X[name].dropna()) + X[name].min()
    return pd.DataFrame(filled)


def _errors(X: Frame, filled: Frame, hidden: Any) -> tuple[Any, Any]:
    """RMSE of the hidden numbers, columns scaled to [0, 1], and error rate of the categories."""
    numeric = np.array([_is_number(cells) for _, cells in X.items()])
    truth, fills = X.loc[:, numeric], filled.loc[:, numeric]
    misses = ((fills - truth) / (truth.max() - truth.min())).to_numpy()[hidden[:, numeric]]
    wrong = (filled != X).to_numpy()[:, ~numeric][hidden[:, ~numeric]]
    return np.sqrt(np.mean(misses**2)), np.mean(wrong)


def _compare(console: Console, X: Frame, y: Any) -> None:
    fillers, rng = _fillers(), np.random.default_rng(0)
    observed = np.argwhere(X.notna())
    n_hidden = round(HIDDEN * len(observed))
    errors, seconds, unsettled = np.zeros((REPEATS, len(fillers), 2)), np.zeros(len(fillers)), 0
    for repeat in range(REPEATS):
        hidden = np.zeros(X.shape, dtype=bool)
        hidden[tuple(rng.permutation(observed)[:n_hidden].T)] = True
        masked = X.mask(hidden)
        for column, (fill, _) in enumerate(fillers.values()):
            begun = time.perf_counter()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                filled = fill(masked, y)
            seconds[column] += (time.perf_counter() - begun) / REPEATS
            unsettled += sum(warning.category is ConvergenceWarning for warning in caught)
            errors[repeat, column] = _errors(X, filled, hidden)
    means = errors.mean(axis=0)
    behind = errors - errors[:, means.argmin(axis=0), [0, 1]][:, None]
    noise = np.median(2 * behind.std(axis=0, ddof=1) / np.sqrt(REPEATS), axis=0)
    marks = np.where(means.round(3) == means.min(axis=0).round(3), " *", "  ")
    table = _table("method", "sees class", ">numbers: RMSE", ">categories: wrong", ">seconds")
    for name, (rmse, wrong), mark, time_ in zip(fillers, means, marks, seconds, strict=True):
        sees = "yes" if fillers[name][1] else "no"
        table.add_row(name, sees, f"{rmse:.3f}{mark[0]}", f"{wrong:.1%}{mark[1]}", f"{time_:.4f}")
    console.print(table)
    text = (
        f"Means over {REPEATS} times {n_hidden} hidden cells ({HIDDEN:.0%}), the same cells for "
        f"all. k = {N_NEIGHBORS} for all, so that only the method differs. RMSE on the [0, 1] "
        f"scale; * is the best. Differences below about {noise[0]:.3f} and {noise[1]:.1%} may be "
        "chance (two standard errors). KNNImputer takes numbers only: categories and class were "
        "coded as columns of 0 and 1 for it, and decoded. "
        f"{unsettled} of {REPEATS * len(METHODS)} fills by greyknn stopped before they settled."
    )
    console.print(Padding(text, INDENT))
