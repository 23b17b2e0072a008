"""From a device's name to the module that holds its kernels; every message about devices."""

from __future__ import annotations

from types import ModuleType


def kernels(device: str) -> ModuleType:
    """The kernels that run on a device.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    module
        ``greyknn_kernels.cpu`` or one with the same functions.

    Raises
    ------
    ValueError
        If the device is unknown.
    RuntimeError
        If the device cannot be used here.
    """
    if device in ("auto", "cpu"):
        from greyknn_kernels import cpu

        return cpu
    if device == "cuda" or device.startswith("cuda:"):
        raise RuntimeError(
            f"device={device!r} cannot be used: this version of greyknn has no CUDA kernels yet. "
            "Use device='cpu', or device='auto' to take the fastest device there is."
        )
    raise ValueError(f"device={device!r} is unknown; use 'auto', 'cpu' or 'cuda'.")
