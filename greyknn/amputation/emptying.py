"""Gaps written into a user's own table; every other cell stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Bools
from greyknn.table import open_table
from greyknn.table.cells import Fill, SeriesCells
from greyknn.table.frames import ArrayTable, FrameTable, TensorTable
from greyknn.table.tensors import with_fills

EXACT = 2**53
"""float64 holds every integer up to this."""


def emptied(X: Any, gone: Bools) -> Any:
    """A copy of a table without some of its cells, in the table's own type.

    Parameters
    ----------
    X : table of shape (n_rows, n_columns)
    gone : array of shape (n_rows, n_columns)
        The cells to empty, at least one.

    Raises
    ------
    ValueError
        For a tensor of integers or booleans, which cannot hold a gap.
    """
    table = open_table(X)
    if isinstance(table, TensorTable):
        if table.array.dtype.kind != "f":
            raise ValueError(
                f"X is a {type(X).__name__} of {table.array.dtype}, which cannot hold a gap: make "
                "it one of floats first."
            )
        return with_fills(X, gone, gapped(table.array, gone))
    if isinstance(table, ArrayTable):
        return gapped(table.array, gone)
    assert isinstance(table, FrameTable)
    columns = np.flatnonzero(gone.any(axis=0)).tolist()
    if not table.frame.implementation.is_pandas_like():
        nothing = {j: np.full(np.count_nonzero(gone[:, j]), None, dtype=object) for j in columns}
        return table.fill({j: Fill(gone[:, j], nothing[j], fresh=False) for j in columns})
    out = table.frame.to_native().copy()
    for j in columns:
        out.isetitem(j, _gapped_series(table.cells[j], gone[:, j]))
    return out


def _gapped_series(cells: SeriesCells, gone: Bools) -> Any:
    native = cells.native
    if isinstance(native.dtype, np.dtype):
        array: Any = gapped(native.to_numpy(), gone)
    else:
        array = native.array.copy()
        array[gone] = native.dtype.na_value
    return type(native)(array, index=native.index, dtype=array.dtype, copy=False)


def gapped(array: NDArray[Any], gone: Bools) -> NDArray[Any]:
    """A copy of an array with NaN in some cells, in the nearest dtype that can hold both.

    Integers become float64, or Python's own where float64 would change one; booleans and
    strings become objects.
    """
    dtype = array.dtype
    if dtype.kind in "iu":
        exact = max(-int(array.min()), int(array.max())) <= EXACT
        dtype = np.dtype(np.float64 if exact else object)
    elif dtype.kind not in "fO":
        dtype = np.dtype(object)
    out = array.astype(dtype)
    out[gone] = np.nan
    return out
