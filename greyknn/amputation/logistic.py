"""Amputation by logistic models with slopes of one's own (equations 40 and 41)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from greyknn.amputation.design import position, positions
from greyknn.amputation.drawing import Items
from greyknn.amputation.opened import Opened, generator
from greyknn.arrays import Ints
from greyknn.table import encode_labels


def ampute_logistic(
    X: Any,
    rate: float = 0.1,
    *,
    slopes: Mapping[Any, Mapping[Any, Any]],
    y: Any = None,
    random_state: Any = 0,
    return_mask: bool = False,
) -> Any:
    """Make cells missing at random by logistic models with given slopes, class by class.

    The cell of row i in column p is missing with logit P = a_0 + sum over q of a_q x_iq
    (equations 40 and 41 of Choudhury & Kosorok).

    Parameters
    ----------
    X : table of shape (n_rows, n_columns)
        What ``greyknn.impute`` takes; it may have gaps, which stay, and count as the column's mean.
    rate : float, default=0.1
        Share of the observed cells that go missing in each column of ``slopes`` and each class;
        the intercepts a_0 are those that give it, see Notes.
    slopes : mapping
        ``{column: {predictor: slope}}``: for each column that loses cells, by name or position,
        the slopes on other columns, which must lose none. Slopes are per unit of the table; of a
        category, per position of its level. With y a slope may be a mapping from class to number.
    y : array-like of shape (n_rows,), optional
        Class labels. Every class has its own intercepts, and thus the same rate.
    random_state : int, RandomState, Generator or None, default=0
    return_mask : bool, default=False
        Whether to return the removed cells too.

    Returns
    -------
    table, and mask : as of ``ampute``

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used, or fewer cells than asked for can go.

    Notes
    -----
    The number of removed cells is ``round(rate * n_cells)`` in all, and in every column and class
    within one cell of the rate. It is fixed rather than random (Pareto sampling, Rosén 1997), so
    that the intercepts need not be searched for; odds are those of the logistic model up to terms
    that vanish with the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from greyknn import ampute_logistic
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> slopes = {2: {0: 1, 1: -1}, 3: {0: -1, 1: 1}}
    >>> np.isnan(ampute_logistic(X, 0.2, slopes=slopes)).sum(axis=0)
    array([ 0,  0, 20, 20])
    """
    table = Opened(X)
    names, values, observed = table.names, table.values, table.observed
    labels: Ints = np.zeros(len(values), dtype=np.int64)
    classes: tuple[Any, ...] = ()
    if y is not None:
        labels, classes = encode_labels(y, len(values))
        if (labels < 0).any():
            raise ValueError(f"y has no label in row {(labels < 0).argmax()}: label every row.")
    if not isinstance(slopes, Mapping):
        raise ValueError(f"slopes={slopes!r} must be a mapping {{column: {{predictor: slope}}}}.")
    chosen = positions(names, slopes, "slopes")
    effects = np.zeros((max(len(classes), 1), len(chosen), len(names)))
    for slot, (column, given) in enumerate(slopes.items()):
        for name, slope in given.items():
            j = position(names, name, "slopes")
            if j in chosen:
                raise ValueError(
                    f"slopes make {column!r} depend on {name!r}, which loses cells too: what "
                    "decides must stay observed."
                )
            effects[:, slot, j] = _by_class(slope, classes)
    total = table.to_lose(rate, chosen)
    present = np.maximum(observed.sum(axis=0), 1)
    centered = np.nan_to_num(values - np.nansum(values, axis=0) / present)
    score = np.einsum("ij,isj->is", centered, effects[labels])
    noise = generator(random_state).logistic(size=score.shape)
    size = observed[:, chosen].astype(np.int64)
    group = np.arange(len(chosen)) * len(effects) + labels[:, None]
    items = Items(score + noise, size, group, np.eye(len(names), dtype=bool)[chosen])
    return table.without(items, size, total, return_mask)


def _by_class(slope: Any, classes: tuple[Any, ...]) -> list[float]:
    """The slope of every class."""
    if isinstance(slope, Mapping):
        if set(slope) != set(classes):
            raise ValueError(f"A slope is given for {list(slope)!r}; y has {list(classes)!r}.")
        slopes = [float(slope[label]) for label in classes]
    else:
        slopes = [float(slope)] * max(len(classes), 1)
    if not np.isfinite(slopes).all():
        raise ValueError(f"Slopes must be finite numbers, not {slope!r}.")
    return slopes
