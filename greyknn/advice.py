"""What a user should know about the table and about how its filling went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from greyknn.arrays import Floats, Ints
from greyknn.crossfit import CrossFit
from greyknn.fitting import AnyModel
from greyknn.messages import MANY, counts_rows, hardly_repeat, strangers
from greyknn.model import Settings
from greyknn.table import Column, Schema

Advice = Iterator[tuple[str, type[Warning]]]


def advice(
    schema: Schema, kept: Ints, model: AnyModel, labels: Ints, classes: tuple[Any, ...],
    crossed: CrossFit | None = None,
) -> Advice:  # fmt: skip
    """Messages for warnings, each with its category.

    Parameters
    ----------
    schema : Schema
    kept : array
        Positions in the table of the model's columns.
    model : Model or TargetModel
    labels : array of shape (n_rows,)
    classes : tuple
    crossed : CrossFit, optional
    """
    empty = [repr(column.name) for column in schema.columns if column.empty]
    if empty:
        yield f"Columns without any observed value stay empty: {', '.join(empty)}.", UserWarning
    observed = model.training.observed.sum(axis=0)
    for place, position in enumerate(kept):
        filled = model.training.filled[:, place]
        yield from _on_column(schema.columns[position], filled, int(observed[place]))
    yield from _on_classes(model, labels, classes)
    if not model.filled.converged:
        yield _on_convergence(model), ConvergenceWarning
    elif crossed is not None and crossed.n_unsettled:
        yield _on_cross_fit(crossed), ConvergenceWarning


def _on_column(column: Column, filled: Floats, n_observed: int) -> Advice:
    if len(column.levels) >= MANY and len(column.levels) == n_observed:
        yield (
            f"Column {column.name!r} has another category in every row. If it only names the "
            "rows, leave it out: it makes all rows equally far.",
            UserWarning,
        )
    if column.integer and n_observed == len(filled) and counts_rows(filled):
        yield (
            f"Column {column.name!r} counts the rows. If it only names them, leave it out.",
            UserWarning,
        )
    strange = strangers(column.levels)
    if strange:
        yield (
            f"Column {column.name!r} is taken for categories because of "
            f"{', '.join(map(repr, strange[:3]))} among numbers. If that is missing, make it NaN; "
            "if the column holds categories, make it a category dtype.",
            UserWarning,
        )


def _on_classes(model: AnyModel, labels: Ints, classes: tuple[Any, ...]) -> Advice:
    method = model.settings.method
    n_labelled = int(np.count_nonzero(labels >= 0))
    if method.uses_class and hardly_repeat(len(classes), n_labelled):
        yield (
            f"y has {len(classes)} different labels in {n_labelled} rows, each taken for a class. "
            "If y is a number to predict, leave it out, or use method='iknn', which needs none.",
            UserWarning,
        )
    small = model.crowded_out()
    if small is not None and (small[1] == 0 or model.choice is None):
        group, others = small
        named = method.partition and len(classes) > 1
        where = f"of class {classes[group]!r}" if named else "there are"
        yield (
            f"n_neighbors={model.n_neighbors} is more than the {others} other rows {where}; where "
            "there are fewer donors all of them are used, and without any a gap keeps the mean or "
            "mode of its class or of the table.",
            UserWarning,
        )


def _on_convergence(model: AnyModel) -> str:
    settings, deltas = model.settings, model.filled.convergence
    max_iter, tol = settings.stopping.max_iter, settings.stopping.tol
    cycle = len(deltas) < max_iter
    how = "in a cycle" if cycle else f"at max_iter={max_iter}"
    way_out = "raise tol" if cycle else "raise max_iter or tol"
    return (
        f"Filling stopped {how} after {len(deltas)} iterations with a change of {deltas[-1]:.2g}, "
        f"above tol={tol}; {way_out}{_or_observed_donors(settings)}."
    )


def _on_cross_fit(crossed: CrossFit) -> str:
    settings = crossed.whole.settings
    return (
        f"{crossed.n_unsettled} of {len(crossed.folds)} rows were cross-fitted from folds that did "
        f"not settle at tol={settings.stopping.tol} within max_iter={settings.stopping.max_iter}; "
        f"raise max_iter or tol{_or_observed_donors(settings)}."
    )


def _or_observed_donors(settings: Settings) -> str:
    helps = settings.donors == "all" and settings.metric_on == "observed"
    return ", or use donors='observed', which settles at once" if helps else ""
