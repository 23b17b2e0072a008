"""Methods on tasks, a row for each, kept in a file so that what was cut off goes on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from bench.deep.rivals import Rival, rival
from bench.deep.scores import dist_scores, fill_scores
from bench.deep.tasks import Frame, Task
from greyknn.evaluation.fillers import Filler
from greyknn.evaluation.meter import measured
from greyknn.evaluation.runs import WARM_ROWS, Row
from greyknn.evaluation.store import Store, key_of

SCORES = (
    "nrmse", "variance_ratio", "accuracy", "coverage", "honesty", "ece", "cpu_seconds", "peak_mib",
)  # fmt: skip
_warmed: set[tuple[str, str]] = set()


def run_all(tasks: Iterable[tuple[Task, Sequence[str]]], store: Store, again: Any = ()) -> None:
    """Let methods fill tasks, but those runs that are in the store.

    Parameters
    ----------
    tasks : iterable of task and names of methods
    store : Store
    again : names
        Methods whose rows in the store do not count.
    """
    done = store.done()
    with one_thread():
        for task, methods in tasks:
            for method in methods:
                try:
                    who = rival(method, task)
                except ImportError as error:
                    print(f"without {method}: {error}")
                    continue
                run = task.run(method, who.settings)
                if method not in again and key_of(vars(run)) in done:
                    continue
                row = {"part": task.part, **asdict(run), **perform(task, method, who)}
                store.append(row)
                print(_said(row), flush=True)


def one_thread() -> ExitStack:
    """Context in which everybody has one thread, so that CPU seconds can be compared."""
    stack = ExitStack()
    stack.enter_context(threadpool_limits(1))
    stack.callback(numba.set_num_threads, numba.get_num_threads())
    numba.set_num_threads(1)
    try:
        import torch
    except ImportError:
        return stack
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    torch.set_num_threads(1)
    return stack


def perform(task: Task, method: str, who: Rival) -> Row:
    """Fill a task and score it: NaN for what does not apply, and ``failure``, None if none."""
    row: Row = dict.fromkeys(SCORES, np.nan) | {"cells": int(task.hidden.sum()), "failure": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rounds that did not settle: it shows in the scores
        try:
            _warm_up(task, method, who)
            filler, X = who.filler.seeded(task.repeat), task.gappy(who.context)
            (filled, seconds), _, row["peak_mib"] = measured(_timed, filler, X, task.labels)
            row["cpu_seconds"] = getattr(filler.imputer, "cpu_seconds_", seconds)
            names = list(task.data.frame)
            row |= fill_scores(task, task.data.read(filled[names], X[names]))
            if hasattr(filler.imputer, "predict_dist"):
                row |= dist_scores(task, filler.imputer.predict_dist(X, task.labels))
                row |= own_report(filler.imputer)
            row |= getattr(filler.imputer, "checks_", {})
        except Exception as error:  # a method may raise anything, and the others go on
            row["failure"] = f"{type(error).__name__}: {error}".partition("\n")[0]
    return row


def _timed(filler: Filler, X: Frame, y: Any) -> tuple[Frame, float]:
    """The table filled, and the seconds of CPU that it took."""
    begun = time.process_time()
    filled = filler.together(X, y)
    return filled, time.process_time() - begun


def own_report(imputer: Any) -> Row:
    """What the imputer expects of its fills.

    Root mean squared error of the columns of numbers, and the mean calibration error of those of
    categories, before and after temperature scaling.
    """
    said = list(imputer.report_.values())
    errors = [skill.error for skill in said if skill.calibration is None]
    calibrations = [skill.calibration for skill in said if skill.calibration is not None]
    row: Row = {}
    if errors:
        row["own_nrmse"] = float(np.sqrt(np.mean(np.square(errors))))
    if calibrations:
        row["own_ece_before"], row["own_ece"] = np.mean(calibrations, axis=0).tolist()
    return row


def _warm_up(task: Task, method: str, who: Rival) -> None:
    """Load compiled kernels before the clock runs, once for every method and part."""
    if not who.filler.compiled or (task.part, method) in _warmed:
        return
    _warmed.add((task.part, method))
    X, y = task.gappy(who.context).iloc[:WARM_ROWS], task.labels
    with suppress(Exception):  # it counts when it is timed
        who.filler.seeded(0).together(X, None if y is None else y.iloc[:WARM_ROWS])


def _said(row: Row) -> str:
    scores = " ".join(f"{name} {row[name]:.3f}" for name in SCORES if not np.isnan(row[name]))
    where = f"{row['part']} {row['table']} {row['mechanism']} {row['rate']} {row['repeat']}"
    return f"{where} {row['method']}: {row['failure'] or scores}"
