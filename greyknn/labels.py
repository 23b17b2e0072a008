"""The class labels that a fit learns from."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn.arrays import Ints
from greyknn.messages import hardly_repeat
from greyknn.methods import METHODS, Method
from greyknn.table import encode_labels


def training_labels(
    y: Any, n_rows: int, method: Method, label_use: str
) -> tuple[Ints, tuple[Any, ...]]:
    """Codes of the labels, or one class of all rows where y says nothing or is not to be used.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or None
        None and NaN are rows without a label.
    n_rows : int
    method : Method
    label_use : {"fit", "cross-fit", "never"}
        With "never" y is checked, and not used.

    Returns
    -------
    labels : array of shape (n_rows,)
        Position in ``classes``, -1 without a label; all 0 if there are no classes.
    classes : tuple

    Raises
    ------
    ValueError, TypeError
        If y is not one label for each row, or has none where the method needs the class.
    """
    one_class = np.zeros(n_rows, dtype=np.int64), ()
    if y is None:
        return one_class
    labels, classes = encode_labels(y, n_rows)
    fractions = any(isinstance(label, float) and not label.is_integer() for label in classes)
    to_predict = fractions and hardly_repeat(len(classes), int(np.count_nonzero(labels >= 0)))
    if label_use == "never" or to_predict:
        return one_class
    if len(classes) == 0 and (method.partition or method.weights == "class"):
        name = next((name for name, known in METHODS.items() if known == method), method)
        raise ValueError(
            f"All {n_rows} labels in y are missing, but method={name!r} needs the class. "
            "Pass labels, or y=None to treat all rows as one class."
        )
    return labels, classes
