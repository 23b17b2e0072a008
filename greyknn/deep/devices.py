"""From a device's name to torch's device."""

from __future__ import annotations

import re

import torch


def resolve(device: str) -> str:
    """The device that torch is to use.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "cuda:1", ..., "mps"}
        "auto" is a GPU if torch finds one that works.

    Raises
    ------
    ValueError
        If there is no device of that name.
    RuntimeError
        If it cannot be used here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]{1,3})?", str(device)):
        raise ValueError(
            f"device={device!r} is unknown; use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'."
        )
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise RuntimeError(
                f"device={device!r} cannot be used: torch {torch.__version__} finds "
                f"{torch.cuda.device_count()} NVIDIA GPUs. Use device='auto' or 'cpu'."
            )
    if device == "mps" and not torch.backends.mps.is_available():
        raise RuntimeError(
            "device='mps' cannot be used: torch finds no Apple GPU. Use device='auto' or 'cpu'."
        )
    return device
