"""The explicit matrices of equations 32, 33 and 35, for people who want to look."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn import device as devices
from greyknn.arrays import Floats
from greyknn.donors import DonorTable, Geometry
from greyknn.scaling import Scale
from greyknn.table import Schema, encode_labels


def grey_relational_coefficients(
    X: Any,
    Y: Any = None,
    *,
    rho: float = 0.5,
    partition: Any = None,
    categorical_features: Any = "from_dtype",
    device: str = "auto",
) -> Floats:
    """Grey relational coefficient of every row, every comparison row and every column.

    Parameters
    ----------
    X : table of shape (n_rows, n_columns)
        The reference rows.
    Y : table of shape (m_rows, n_columns), optional
        The rows they are compared with, which also set the scale of the numbers; by default the
        other rows of X.
    rho : float, default=0.5
        Distinguishing coefficient.
    partition : array-like of shape (n_rows,), optional
        Class labels of X: each row is compared with the others of its class. Not with Y.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
    device : {"auto", "cpu", "cuda"}, default="auto"

    Returns
    -------
    array of shape (n_rows, m_rows, n_columns)
        In [0, 1]; 0 where either cell is missing, NaN for a row with itself or with a row of
        another class.

    Notes
    -----
    Equation 32, with the smallest and the largest difference over all comparison rows and all
    numeric columns of one reference row. The matrix takes 8 bytes an entry: meant for small
    tables; imputing never builds it.
    """
    if not rho > 0:
        raise ValueError(f"rho={rho!r} must be above 0.")
    if Y is not None and partition is not None:
        raise ValueError("partition says which rows of X belong together; it cannot go with Y.")
    kernels = devices.kernels(device)
    schema, coded = Schema.fit(
        X if Y is None else Y, categorical_features=categorical_features, keep_empty_features=True
    )
    scale = Scale.fit(coded.values, schema.categorical)
    donors = scale.scaled(coded.values)
    queries = donors if Y is None else scale.scaled(schema.encode(X).values)
    groups = np.zeros(len(donors), dtype=np.int64)
    if partition is not None:
        groups = encode_labels(partition, len(donors))[0]
        if (groups < 0).any():
            raise ValueError("partition has missing labels; give every row a class.")
    geometry = Geometry("grey", schema.categorical, rho, kernels)
    coefficients = np.full((len(queries), *donors.shape), np.nan)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        rows = members if Y is None else np.arange(len(queries))
        table = DonorTable(
            geometry, np.ones(donors.shape[1]), donors, members, np.zeros_like(groups)
        )
        kin = rows if Y is None else np.full(len(rows), -1)
        no_groups = np.zeros(len(rows), dtype=np.int64)
        smallest, largest = table.extremes(queries[rows], no_groups, kin)
        part = np.empty((len(rows), len(members), donors.shape[1]))
        kernels.coefficients(
            queries[rows], donors[members], schema.categorical, smallest, rho * largest, part
        )
        coefficients[np.ix_(rows, members)] = part
    if Y is None:
        np.einsum("iip->ip", coefficients)[...] = np.nan
    return coefficients


def grey_relational_grades(
    X: Any,
    Y: Any = None,
    weights: Any = None,
    partition: Any = None,
    *,
    rho: float = 0.5,
    categorical_features: Any = "from_dtype",
    device: str = "auto",
) -> Floats:
    """Grey relational grade of every row and every comparison row.

    Parameters
    ----------
    X, Y, partition, rho, categorical_features, device : as in `grey_relational_coefficients`
    weights : array-like of shape (n_columns,), optional
        lambda of equation 35; not negative, made to sum to 1. By default all the same
        (equation 33).

    Returns
    -------
    array of shape (n_rows, m_rows)
        In [0, 1], larger for closer rows; NaN for a row with itself or with a row of another
        class. Not symmetric, because each reference row has its own extremes.
    """
    coefficients = grey_relational_coefficients(
        X, Y, rho=rho, partition=partition, categorical_features=categorical_features, device=device
    )
    n_columns = coefficients.shape[2]
    if weights is None:
        weights = np.ones(n_columns)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n_columns,) or not (weights >= 0).all() or not weights.sum() > 0:
        raise ValueError(
            f"weights must be {n_columns} numbers that are not negative and not all 0, one for "
            f"each column; got {weights!r}."
        )
    grades: Floats = coefficients @ (weights / weights.sum())
    return grades
