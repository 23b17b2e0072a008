"""What Datawig's arguments mean to a deep imputer, and which mean nothing to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from greyknn.arrays import Floats
from greyknn.deep.datawig.single import is_number
from greyknn.messages import warn

BATCH = 16
"""Datawig's, by which epochs are counted unless a batch size is given."""

MOST_STEPS = 2000
"""Epochs never make more steps: Datawig's default of 100 would be a million of large tables."""


def check_columns(inputs: Any, output: Any) -> None:
    """Refuse what are no names of columns, or the output among the inputs."""
    if isinstance(inputs, str) or not isinstance(inputs, Sequence) or not inputs:
        raise ValueError(f"input_columns={inputs!r} must be a list of column names.")
    for name in (*inputs, output):
        if not isinstance(name, str):
            raise ValueError(f"{name!r} is no column name: input and output columns are strings.")
    if output in inputs or len(set(inputs)) < len(inputs):
        raise ValueError(
            f"input_columns={inputs!r} must name each column once, and not {output!r}, which is "
            "to be predicted."
        )


def ignore(caller: str, **given: Any) -> None:
    """Warn of arguments that are given, neither None nor False, and have no meaning here."""
    names = [name for name, value in given.items() if value is not None and value is not False]
    if names:
        warn(f"{caller} ignores {', '.join(names)}: the deep imputer has nothing of the kind.")


def first(candidates: Any, name: str) -> Any:
    """The first of a list of candidates; None if there are none."""
    if candidates is None:
        return None
    if isinstance(candidates, str) or not isinstance(candidates, Sequence) or not candidates:
        raise ValueError(f"{name}={candidates!r} must be a list of candidates.")
    return candidates[0]


def chosen(
    n_rows: int, learning_rate: float | None, num_epochs: int | None, patience: int | None,
    weight_decay: float | None, batch_size: int | None, units: Sequence[int] | None,
) -> dict[str, Any]:  # fmt: skip
    """Parameters of ``DeepImputer`` for those arguments of ``fit`` that are not None."""
    given: dict[str, Any] = {
        "lr": learning_rate, "patience": patience, "weight_decay": weight_decay,
        "batch_size": batch_size,
    }  # fmt: skip
    if num_epochs is not None:
        if num_epochs < 1:
            raise ValueError(f"num_epochs={num_epochs!r} must be 1 or more.")
        given["max_steps"] = min(num_epochs * -(-n_rows // (batch_size or BATCH)), MOST_STEPS)
    if units is not None:
        if any(not isinstance(width, int | np.integer) or width < 0 for width in units):
            raise ValueError(f"final_fc_hidden_units={units!r} must be a list of layers' widths.")
        layers = [int(width) for width in units if width]
        given["depth"] = len(layers)
        given["hidden"] = max(layers, default=None)
    return {name: value for name, value in given.items() if value is not None}


def device(ctx: Any) -> str:
    """The device that Datawig's context stands for."""
    if ctx is None or isinstance(ctx, str):
        return ctx or "auto"
    warn(f"ctx={ctx!r} is no name of a device, such as 'cpu' or 'cuda': \"auto\" is taken.")
    return "auto"


def check_class_weights(given: Any, output: Any) -> None:
    """Refuse what are no weights of labels of the output, a Series."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise ValueError("class_weights must be a dict of labels; rows have instance_weights.")
    labels = set(output.dropna().unique())
    unknown = [label for label in given if label not in labels]
    if unknown or is_number(output.dtype):
        raise ValueError(
            f"class_weights has {[*unknown, *given][0]!r}, which is no label of {output.name!r}."
        )
    counts = np.array(list(given.values()), dtype=float)
    if not (np.isfinite(counts).all() and (counts >= 0).all()) or (
        len(given) == len(labels) and not counts.any()
    ):
        raise ValueError(f"class_weights={given!r} must be 0 or more, and not all of them 0.")


def instance_weights(given: Any, n_rows: int) -> Floats | None:
    """What all rows of the training frame count (n_rows,)."""
    if given is None:
        return None
    counts = np.asarray(given, dtype=float)
    if counts.shape != (n_rows,):
        raise ValueError(
            f"instance_weights has shape {counts.shape}; train_df has {n_rows} rows, and each "
            "needs a weight."
        )
    return counts
