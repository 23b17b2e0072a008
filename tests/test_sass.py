"""What the CUDA kernels are as machine code, on every architecture, without a GPU."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.sass import MULTIPROCESSORS, Kernel, compiled, counts, report, toolchain

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


@pytest.mark.parametrize("capability", MULTIPROCESSORS)
def test_kernels_compile_clean(
    capability: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """No register is spilled, no array is in local memory, no float64 is in the filter's loop."""
    from greyknn_kernels.cuda.catalogue import catalogue

    kernels = [Kernel(*entry) for entry in catalogue(capability)]
    codes = compiled({capability: kernels})
    with capsys.disabled():
        Console(width=120).print(report(codes))
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
