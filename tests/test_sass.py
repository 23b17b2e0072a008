"""What the CUDA kernels are as machine code, on every architecture, without a GPU."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from bench.sass import (
    MULTIPROCESSORS,
    Kernel,
    MachineCode,
    counts,
    examined,
    report,
    toolchain,
)

try:
    toolchain()
    reason = ""
except RuntimeError as error:
    reason = str(error)

pytestmark = [pytest.mark.jit, pytest.mark.skipif(bool(reason), reason=reason)]

REGISTERS = 65536
"""Of a multiprocessor."""

SLOTS = {"grey": 4.4, "heom": 3.4, "euclidean": 5.8}
"""Most instructions that a pair of cells may take; nan_euclidean also counts common columns."""


@pytest.fixture(scope="module")
def everything() -> list[tuple[Kernel, tuple[int, int], MachineCode]]:
    return examined(list(MULTIPROCESSORS))


def test_the_table(everything: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        Console(width=120).print(report(everything))
    assert len(everything) >= 18 * len(MULTIPROCESSORS)


@pytest.mark.parametrize("capability", MULTIPROCESSORS)
def test_kernels_compile_clean(everything: Any, capability: tuple[int, int]) -> None:
    """No register is spilled, no array is in local memory, no float64 is in the filter's loop."""
    codes = [one for one in everything if one[1] == capability]
    assert len(codes) >= 18
    for kernel, _, code in codes:
        assert (code.stack, code.spilled, code.local) == (0, 0, 0), kernel.name
        threads, blocks = kernel.launch_bounds
        assert code.registers * threads * blocks <= REGISTERS, kernel.name
        assert kernel.shared_bytes <= 47 * 1024, kernel.name  # more would need the driver's leave
        if not kernel.pair_features:
            continue
        loop = code.loop()
        inside = counts(loop)
        assert inside["fp64"] == 0, kernel.name
        assert inside["local"] == inside["global"] == 0, kernel.name
        # Each pair takes two subtractions; a loop that is not unrolled would show fewer.
        assert inside["fp32"] >= 2 * kernel.pair_features, kernel.name
        assert len(loop) / kernel.pair_features <= SLOTS[kernel.name.split()[1]], kernel.name
        # The reciprocal unit is eight times as slow as the others: it must not be what waits.
        assert 8 * inside["mufu"] <= len(loop), kernel.name
