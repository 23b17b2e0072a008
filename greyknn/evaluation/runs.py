"""One run: cells are removed from a table, one method fills it, and the fill is scored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from greyknn.amputation import ampute
from greyknn.arrays import Bools, Ints
from greyknn.evaluation.fillers import Filler
from greyknn.evaluation.meter import measured
from greyknn.evaluation.scores import accuracies, errors, imputed_energy, leaky_accuracies
from greyknn.evaluation.tables import Data

Row = dict[str, Any]
WARM_ROWS = 60
_warmed: set[str] = set()


@dataclass(frozen=True)
class Run:
    """What is run, and so the key of its row.

    Attributes
    ----------
    table : str
    digest : str
        Of the table and its labels.
    method : str
    settings : str
        Digest of what the method's name stands for.
    mechanism : str
    rate : float
    repeat : int
        From 0.
    test_size : float
        0 where nothing is classified, and all rows take part.
    classifiers : str
        Their names.
    seed : int
    """

    table: str
    digest: str
    method: str
    settings: str
    mechanism: str
    rate: float
    repeat: int
    test_size: float
    classifiers: str
    seed: int

    def seeds(self) -> list[int]:
        """Four seeds, the same for every method."""
        what = f"{self.seed} {self.mechanism} {self.rate!r} {self.repeat}"
        digest = blake2b(what.encode(), digest_size=16).digest()
        return [int(seed) for seed in np.frombuffer(digest, dtype=np.uint32) % 2**31]


SCORES = ("numeric_rmse", "categorical_error", "rmse", "energy_distance", "seconds", "peak_mib")
ACCURACY, LEAKY = "accuracy_", "leaky_"


def perform(run: Run, data: Data, filler: Filler, classifiers: Mapping[str, Any]) -> Row:
    """Carry out a run.

    Returns
    -------
    dict
        The run's key, what it scored (NaN where it came to nothing), and ``failure``: None or
        what the method raised.

    Raises
    ------
    ValueError
        The cells cannot be removed.
    """
    gaps_seed, split_seed, fill_seed, score_seed = run.seeds()
    removed = removed_cells(run, data, gaps_seed)
    split = parts(data, run.test_size, split_seed)
    names = [*SCORES, *(part + name for part in (ACCURACY, LEAKY) for name in classifiers)]
    row: Row = {**asdict(run), "cells": int(removed[split[0]].sum())}
    row.update(dict.fromkeys(names, np.nan), failure=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fill that did not settle shows in its scores
            seeded = filler.seeded(fill_seed)
            _warm_up(run, data, seeded)
            _score_fill(data, seeded, removed, split[0], score_seed, row)
            if classifiers:
                _score_classes(data, seeded, removed, split, classifiers, score_seed, row)
    except Exception as error:  # a method may raise anything, and the others go on
        row["failure"] = f"{type(error).__name__}: {error}".partition("\n")[0]
    return row


def _score_fill(
    data: Data, filler: Filler, removed: Bools, train: Ints, seed: int, row: Row
) -> None:
    """Errors of the removed cells of the training rows, filled with their labels."""
    X, truth, scored = data.frame.mask(removed).iloc[train], data.matrix[train], removed[train]
    filled, row["seconds"], mib = measured(filler.together, X, data.y(train))
    row["peak_mib"] = np.nan if filler.elsewhere else mib
    values = data.read(filled, X)
    row.update(errors(data, truth, values, scored))
    rng = np.random.default_rng(seed)
    row["energy_distance"] = imputed_energy(data, truth, values, scored, rng)


def _score_classes(
    data: Data, filler: Filler, removed: Bools, split: tuple[Ints, Ints],
    classifiers: Mapping[str, Any], seed: int, row: Row,
) -> None:  # fmt: skip
    """Accuracies: honest, of test rows filled without labels; and leaky."""
    assert data.labels is not None  # `compare` has classifiers only with labels
    gappy = data.frame.mask(removed)

    def features(filled: Any, before: Any) -> Any:
        seen = data.coordinates(data.read(filled, before))
        return np.hstack([seen, before.isna()]) if filler.indicators else seen

    train, test = split
    X, new = gappy.iloc[train], gappy.iloc[test]
    filled = filler.apart(X, data.y(train), new)
    honest = accuracies(
        classifiers, features(filled[0], X), data.labels[train],
        features(filled[1], new), data.labels[test], seed,
    )  # fmt: skip
    row.update({ACCURACY + name: score for name, score in honest.items()})
    together = filler.together(gappy, data.y(np.arange(len(gappy))))
    leaky = leaky_accuracies(classifiers, features(together, gappy), data.labels, seed)
    row.update({LEAKY + name: score for name, score in leaky.items()})


def removed_cells(run: Run, data: Data, seed: int) -> Bools:
    """The cells that a run removes: never the table's own gaps."""
    _, mask = ampute(
        data.frame, run.rate, mechanism=run.mechanism, random_state=seed, return_mask=True
    )
    removed: Bools = np.asarray(mask, dtype=bool)
    return removed


def parts(data: Data, test_size: float, seed: int) -> tuple[Ints, Ints]:
    """Rows to learn from and rows to test on, stratified where classes are large enough."""
    rows = np.arange(len(data.frame))
    if test_size == 0:
        return rows, rows[:0]
    assert data.labels is not None
    try:
        halves = train_test_split(
            rows, test_size=test_size, random_state=seed, stratify=data.labels
        )
    except ValueError:  # a class of one row, or fewer test rows than classes
        halves = train_test_split(rows, test_size=test_size, random_state=seed)
    return np.sort(halves[0]), np.sort(halves[1])


def _warm_up(run: Run, data: Data, filler: Filler) -> None:
    """Let a method load its kernels, once per process and method, before it is timed."""
    if not filler.compiled or run.method in _warmed:
        return
    _warmed.add(run.method)
    X = data.frame.iloc[:WARM_ROWS].copy()
    X.iloc[::5, 0] = None
    filler.together(X, data.y(np.arange(len(X))))
