"""A heap of bounds, the largest on top."""

from __future__ import annotations

from typing import Any

from greyknn_kernels.cpu.binding import inner


@inner
def push(bounds: Any, nodes: Any, size: int, bound: Any, node: int) -> int:
    """Put a node in; returns the new size."""
    place = size
    while place > 0 and bounds[(place - 1) // 2] < bound:
        bounds[place] = bounds[(place - 1) // 2]
        nodes[place] = nodes[(place - 1) // 2]
        place = (place - 1) // 2
    bounds[place] = bound
    nodes[place] = node
    return size + 1


@inner
def pop(bounds: Any, nodes: Any, size: int) -> int:
    """Take the top off; returns the new size."""
    size -= 1
    bound, node = bounds[size], nodes[size]
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and bounds[child + 1] > bounds[child]:
            child += 1
        if bounds[child] <= bound:
            break
        bounds[place] = bounds[child]
        nodes[place] = nodes[child]
        place = child
    bounds[place] = bound
    nodes[place] = node
    return size
