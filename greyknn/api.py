"""The one call: a table with gaps in, the same table without gaps out."""

from __future__ import annotations

from typing import Any

from greyknn.imputer import GreyKNNImputer
from greyknn.methods import Method


def impute(
    X: Any,
    y: Any = None,
    *,
    method: str | Method = "cgknn",
    n_neighbors: int | str = "cv",
    device: str = "auto",
    categorical_features: Any = "from_dtype",
    **options: Any,
) -> Any:
    """Fill the gaps of a table from near rows.

    Parameters
    ----------
    X : table of shape (n_rows, n_columns)
        numpy array, pandas, polars or pyarrow table, torch tensor, CuPy array, or what
        ``numpy.asarray`` takes. Numbers, categories, strings and booleans as they are.
    y : array-like of shape (n_rows,), optional
        Class labels; None or NaN for rows without one. Without y all rows are one class.
    method : {"cgknn", "fwgknn", "gknn", "miknn", "iknn", "tgknn", "deep"} or Method
        By default "cgknn". "deep" is `DeepImputer`, which needs ``greyknn[deep]``.
    n_neighbors : int, "cv" or "masked", default="cv"
    device : {"auto", "cpu", "cuda", "cuda:1", ...}, default="auto"
        An NVIDIA GPU, the processor, or what is likely to be faster for this table; results are
        the same.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
    **options
        The other parameters of `GreyKNNImputer`: ``label_use``, ``metric_on``, ``donors``,
        ``rho``, ``tol``, ``max_iter``, ``keep_empty_features``, ``random_state``, ``verbose``; with
        "deep" those of `DeepImputer`, which has no ``n_neighbors``, and ``types`` in place of
        ``categorical_features``.

    Returns
    -------
    table
        A new table of the type of X. Rows, columns, their order, index and types are those of X,
        observed cells are bit-identical, and no cell is missing.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        If the table, the labels, a parameter or the device cannot be used; the message says what
        was given and what to do.

    Examples
    --------
    >>> import numpy as np
    >>> import greyknn
    >>> X = np.array([[1.0, 2.0], [1.1, np.nan], [5.0, 9.0], [5.1, 9.2], [0.9, 2.2]])
    >>> greyknn.impute(X, ["a", "a", "b", "b", "a"], n_neighbors=2)[1].round(2)
    array([1.1 , 2.07])
    """
    if isinstance(method, str) and method == "deep":
        for name, given, default in (
            ("n_neighbors", n_neighbors, "cv"),
            ("categorical_features", categorical_features, "from_dtype"),
        ):
            if not (isinstance(given, str) and given == default):
                raise ValueError(
                    f'{name} means nothing to method="deep": leave it out. What columns are, its '
                    'types={"column": "categorical"} says.'
                )
        from greyknn.deep import DeepImputer  # which needs torch

        return DeepImputer(device=device, **options).fit_transform(X, y)
    imputer = GreyKNNImputer(
        method,
        n_neighbors=n_neighbors,
        device=device,
        categorical_features=categorical_features,
        **options,
    )
    return imputer.fit_transform(X, y)
