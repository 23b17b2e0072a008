"""What a fitted imputer tells, by the names that scikit-learn's users know."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn.arrays import Ints
from greyknn.crossfit import CrossFit
from greyknn.fitting import AnyModel
from greyknn.table import Schema
from greyknn.targets import TargetModel


def attributes(
    schema: Schema, kept: Ints, model: AnyModel, classes: tuple[Any, ...], crossed: CrossFit | None
) -> dict[str, Any]:
    """Fitted attributes of ``GreyKNNImputer``, which are described there.

    Parameters
    ----------
    schema : Schema
    kept : array
        Positions in the table of the model's columns.
    model : Model or TargetModel
    classes : tuple
    crossed : CrossFit, optional
    """
    columns, convergence = schema.columns, np.array(model.filled.convergence)
    labels = np.empty(len(classes), dtype=object)
    labels[:] = classes
    weights = np.zeros((len(columns),) * model.weights.ndim)
    weights[np.ix_(*[kept] * model.weights.ndim)] = model.weights
    n_neighbors, targets = model.n_neighbors, None
    if isinstance(model, TargetModel):
        n_neighbors = np.zeros(len(columns), dtype=np.int64)
        n_neighbors[kept] = model.n_neighbors
        reports = model.reports().items()
        targets = {columns[kept[place]].name: report for place, report in reports}
    return {
        "classes_": labels,
        "n_neighbors_": n_neighbors,
        "targets_": targets,
        "selection_errors_": None if model.choice is None else model.choice.errors,
        "feature_weights_": weights,
        "convergence_": convergence,
        "n_iter_": len(convergence),
        "converged_": model.filled.converged and (crossed is None or not crossed.n_unsettled),
        "folds_": None if crossed is None else crossed.folds,
    }
