"""The card's memory: what stays there, what passes through, and what happens when it is full."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError
from numpy.typing import NDArray

OUT_OF_MEMORY = 2
"""CUDA_ERROR_OUT_OF_MEMORY."""

SHARE = 0.8
"""Of the free memory is used; the rest is for the driver and for others."""


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether this is what the driver says when the card is full."""
    return isinstance(failure, MemoryError) or (
        isinstance(failure, CudaAPIError) and failure.code == OUT_OF_MEMORY
    )


def free_bytes() -> float:
    """What may be used of the current card's memory."""
    return SHARE * float(cuda.current_context().get_memory_info()[0])


def parts_of(n_columns: int, column_bytes: float) -> Iterator[slice]:
    """Ranges of columns that the card has room for, usually a single one."""
    room = int(0.5 * min(free_bytes(), 2.0**62) / max(column_bytes, 1.0))
    step = max(min(room, n_columns), 1)
    for begin in range(0, n_columns, step):
        yield slice(begin, begin + step)


class Residents:
    """Copies of arrays that never change, kept on the card for as long as the arrays live."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}
        self._lock = threading.Lock()

    def holds(self, array: NDArray[Any]) -> bool:
        """Whether the card has it."""
        return id(array) in self._kept

    def of(self, array: NDArray[Any], tail: int = 0) -> Any:
        """The copy of an array, flat and with ``tail`` zeros behind it if these are asked for."""
        with self._lock:
            copy = self._kept.get(id(array))
        if copy is not None and copy.size >= array.size + tail:
            return copy
        if tail:
            flat = array.reshape(-1)
            copy = cuda.device_array(len(flat) + tail, dtype=flat.dtype)
            copy[: len(flat)].copy_to_device(flat)
            copy[len(flat) :].copy_to_device(np.zeros(tail, dtype=flat.dtype))
        else:
            copy = cuda.to_device(np.ascontiguousarray(array))
        with self._lock:
            self._kept[id(array)] = copy
        # Not at the interpreter's end, when the driver may have gone before.
        weakref.finalize(array, self._kept.pop, id(array), None).atexit = False
        return copy

    def forget(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._kept.clear()


class Slabs:
    """An array that the card cannot hold, some rows at a time.

    While one slab is read from its buffer, the next is copied into another: host memory that the
    driver may read directly, two buffers on the card, and a stream for each.

    Parameters
    ----------
    array : array of shape (n_rows, ...)
    n_rows : int
        In a slab.
    tail : int
        Zeros, or what an earlier slab left, that may be read behind a slab.
    """

    def __init__(self, array: NDArray[Any], n_rows: int, tail: int) -> None:
        self.array = array.reshape(len(array), -1)
        self.n_rows = n_rows
        width = self.array.shape[1]
        self._streams = [cuda.stream(), cuda.stream()]
        self._host = [cuda.pinned_array(n_rows * width, dtype=array.dtype) for _ in range(2)]
        self._card = [cuda.to_device(np.zeros(n_rows * width + tail, array.dtype)) for _ in "12"]

    def __iter__(self) -> Iterator[tuple[int, int, Any, Any]]:
        """First row, last row, the slab and the stream to read it in; each after the one before."""
        before = None
        for turn, first in enumerate(range(0, len(self.array), self.n_rows)):
            stream, host, card = (
                part[turn % 2] for part in (self._streams, self._host, self._card)
            )
            last = min(first + self.n_rows, len(self.array))
            size = (last - first) * self.array.shape[1]
            stream.synchronize()  # what reads the buffer's last slab has ended
            host[:size] = self.array[first:last].reshape(-1)
            card[:size].copy_to_device(host[:size], stream=stream)
            if before is not None:
                before.wait(stream)
            yield first, last, card, stream
            before = cuda.event(timing=False)
            before.record(stream)
        for stream in self._streams:
            stream.synchronize()
