"""Arrays of other libraries, on a GPU or not: torch tensors, CuPy and numba device arrays.

Their cells come to the host once to be coded; only the fills go back, into a copy that is made
where the array is.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray


def library_of(given: Any) -> str | None:
    """Whose array this is: "torch", "cupy" or "numba", of which none is imported; or None.

    Raises
    ------
    TypeError
        For an array on a GPU that belongs to none of them.
    """
    name = type(given).__module__.partition(".")[0]
    tensor = getattr(sys.modules.get("torch"), "Tensor", ())
    if isinstance(given, tensor):
        return "torch"
    if not hasattr(given, "__cuda_array_interface__"):
        return None
    if name in ("cupy", "numba"):
        return name
    raise TypeError(
        f"An array on a GPU of type {type(given).__module__}.{type(given).__name__} cannot be "
        "handed back in its own type: pass it as a torch tensor or a CuPy array, "
        "torch.as_tensor(X) or cupy.asarray(X), which share its memory."
    )


def on_host(given: Any) -> Any:
    """A numpy array of the cells of another library's array; anything else as it is."""
    library = library_of(given)
    if library == "torch":
        plain = given.detach()
        if str(plain.dtype) == "torch.bfloat16":  # which numpy does not have
            plain = plain.float()
        return plain.cpu().numpy()
    if library == "cupy":
        return given.get()
    return given if library is None else given.copy_to_host()


def with_fills(given: Any, gaps: NDArray[np.bool_], filled: NDArray[Any]) -> Any:
    """A copy of another library's array, on its device, with some cells replaced.

    Parameters
    ----------
    given : array of shape (n_rows, n_columns)
    gaps : array of the same shape
        The cells to replace.
    filled : array of the same shape
        What to put there.
    """
    library = library_of(given)
    rows, columns = np.nonzero(gaps)
    values = np.ascontiguousarray(filled[gaps])
    if library == "torch":
        import torch

        here = {"device": given.device}
        out = given.detach().clone()
        cells = torch.as_tensor(rows, **here), torch.as_tensor(columns, **here)
        out[cells] = torch.as_tensor(values, **here).to(out.dtype)
        return out
    if library == "cupy":
        import cupy

        with given.device:
            out = given.copy()
            out[cupy.asarray(rows), cupy.asarray(columns)] = cupy.asarray(values)
        return out
    from numba import cuda

    whole = given.copy_to_host()
    whole[gaps] = values
    return cuda.to_device(whole)
