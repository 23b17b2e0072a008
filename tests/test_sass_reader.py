"""What bench/sass.py reads in machine code: small kernels that show one thing each."""

import io
import struct
import sys
from collections import Counter

import pytest
from rich.console import Console

from bench import sass

try:
    sass.toolchain()
    MISSING = ""
except RuntimeError as error:
    MISSING = str(error)

compiles = [pytest.mark.jit, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

if not MISSING:
    from numba import cuda, float32, float64, int32, void
    from numba.cuda import libdevice

    ROW, ROW8 = float32[::1], float64[::1]
    ONE = void(ROW, ROW, int32)


def tight(a, b, n):
    """Five FFMA, three FADD, one MUFU and two LDS for each barrier."""
    tile = cuda.shared.array(256, float32)
    lane = cuda.threadIdx.x
    product, total = a[lane], b[lane]
    tile[lane] = product
    for turn in range(n):
        cuda.syncthreads()
        left, right = tile[turn], tile[turn ^ 32]
        for _ in range(5):
            product = product * left + right
        for _ in range(3):
            total = total + left
        product = libdevice.fast_cosf(product)
    a[lane] = product
    b[lane] = total


def in_float64(a, b, n):
    total = a[0]
    for turn in range(n):
        total = float32(total * 0.1 + b[turn])
    a[0] = total


def changing_array(a, b, n):
    kept = cuda.local.array(64, float32)
    for k in range(64):
        kept[k] = a[k]
    for turn in range(n):
        kept[int32(b[turn]) & 63] += b[turn]
    for k in range(64):
        a[k] = kept[k]


def too_much_shared(a, b, n):
    tile = cuda.shared.array(60_000, float32)
    tile[cuda.threadIdx.x] = a[n]
    cuda.syncthreads()
    b[n] = tile[n]


def many_registers(a, b, n):
    kept = cuda.local.array(96, float32)
    for k in range(96):
        kept[k] = a[k]
    for turn in range(n):
        for k in range(96):
            kept[k] = kept[k] * b[turn] + kept[k]
    for k in range(96):
        a[k] = kept[k]


def steps(*opcodes, **branches):
    """Instructions in a row; ``at_3=1`` makes the fourth branch to the second."""
    targets = {int(name.removeprefix("at_")): 16 * to for name, to in branches.items()}
    return tuple(
        sass.Instruction(16 * i, opcode, targets.get(i)) for i, opcode in enumerate(opcodes)
    )


def kernel_of(*opcodes, **branches):
    return sass.MachineCode(32, 0, 0, 0, steps(*opcodes, **branches))


class TestWithoutCompiler:
    def test_inner_loop_with_most_arithmetic(self):
        code = kernel_of(
            *("MOV", "FADD", "LDG", "FFMA", "FMUL", "BRA"),  # inner, in an outer one from 1 to 8
            *("FADD", "FADD", "BRA", "STG", "BRA", "EXIT"),  # and a small one after
            at_5=2,
            at_8=1,
            at_10=9,
        )
        assert code.loop() == ["LDG", "FFMA", "FMUL", "BRA"]

    def test_one_loop_with_two_ways_back(self):
        code = kernel_of("FADD", "BRA", "FMUL", "BRA", "EXIT", at_1=0, at_3=0)
        assert code.loop() == ["FADD", "BRA", "FMUL", "BRA"]

    def test_a_loop_in_float64_is_hot_too(self):
        code = kernel_of(*("FADD", "BRA", "DADD", "DFMA", "BRA"), at_1=0, at_4=2)
        assert code.loop() == ["DADD", "DFMA", "BRA"]

    def test_branches_ahead_and_to_themselves_are_no_loops(self):
        assert kernel_of("FADD", "BRA", "EXIT", "BRA", at_1=2, at_3=3).loop() == []

    def test_counts(self):
        alike = ["FADD", "FFMA2", "FSETP"]
        others = ["DADD", "MUFU", "LDS", "STS", "LDGSTS", "STL", "BAR", "?1ff"]
        assert list(sass.counts(alike + others).values()) == [3, 1, 1, 2, 1, 1, 2]
        assert list(sass.counts([])) == [*sass._GROUPS, "other"]

    @pytest.mark.parametrize(
        ("capability", "low", "high", "target"),
        [
            # From nvJitLink 13.0, and where they lead according to nvdisasm 13.1.
            ((7, 5), 0xFFFFF8B000002947, 0xFEA000383FFFF, -1856),  # @P2 BRA
            ((8, 0), 0xFFFFF8D000002947, 0xFEA000383FFFF, -1824),
            ((8, 9), 0xC4000008947, 0xFEA0003800000, 3152),  # @!P0 BRA
            ((9, 0), 0xFFFFFFF800281947, 0xFEC000383FFFF, -1872),  # @P1 BRA
            ((9, 0), 0xC00448947, 0xFEA0003800000, 3360),
            ((10, 0), 0xFFFFFFF501C07547, 0xFEC000B83FFFF, -2288),  # BRA.U UP1
            ((12, 0), 0x1108C07547, 0x2FEA000B800000, 4880),
        ],
    )
    def test_branch(self, capability, low, high, target):
        nop = struct.pack("<QQ", 0x7918, 0)
        branch = struct.pack("<QQ", low, high)
        assert list(sass.decode(nop + branch, capability)) == [
            (0, "NOP", None),
            (16, "BRA", 16 + target),
        ]

    def test_opcode_numbers_that_changed_hands(self):
        code = struct.pack("<QQ", 0x24A, 0)
        names = [next(iter(sass.decode(code, (major, 0)))).opcode for major in (9, 10, 12)]
        assert names == ["?04a", "FMUL2", "UVIMNMX"]

    @pytest.mark.parametrize(
        ("registers", "threads", "shared", "capability", "blocks"),
        [
            (168, 128, 43 * 1024, (9, 0), 3),  # registers: 12 warps
            (168, 128, 43 * 1024, (8, 6), 2),  # shared memory
            (32, 256, 0, (9, 0), 8),  # warps
            (32, 256, 0, (7, 5), 4),
            (16, 32, 0, (9, 0), 32),  # blocks
            (32, 128, 64 * 1024, (7, 5), 1),  # no share of the system's
            (32, 128, 65 * 1024, (7, 5), 0),
        ],
    )
    def test_resident(self, registers, threads, shared, capability, blocks):
        code = sass.MachineCode(registers, 0, 0, 0, ())
        assert sass.resident(code, threads, shared, capability) == blocks

    def test_simulator_in_the_way(self, monkeypatch):
        monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
        with pytest.raises(RuntimeError, match="NUMBA_ENABLE_CUDASIM is set"):
            sass.toolchain()

    def test_wheels_that_are_missing(self, monkeypatch):
        monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
        monkeypatch.setitem(sys.modules, "numba_cuda", None)
        with pytest.raises(RuntimeError, match=r'pip install "greyknn\[cuda13\]"'):
            sass.toolchain()


class TestCompiled:
    pytestmark = compiles

    @pytest.mark.parametrize("capability", sass.MULTIPROCESSORS)
    def test_hot_loop(self, capability):
        code = sass.machine_code(tight, ONE, capability)
        assert (code.stack, code.spilled, code.local, code.doubles) == (0, 0, 0, 0)
        assert 0 < code.registers <= 64
        assert code.shared == 1024
        addresses = [step.address for step in code.instructions]
        targets = {step.target for step in code.instructions if step.opcode == "BRA"}
        assert addresses == list(range(0, 16 * len(addresses), 16))
        assert targets
        assert targets <= set(addresses)
        assert not [step for step in code.instructions if step.opcode.startswith("?")]
        found = Counter(code.loop())
        turns = found["BAR"]  # the compiler may unroll
        expected = {"FFMA": 5, "FADD": 3, "MUFU": 1, "LDS": 2}
        assert turns
        assert {name: found[name] / turns for name in expected} == expected
        assert sass.counts(code.loop())["global"] == 0

    def test_float64(self):
        code = sass.machine_code(in_float64, ONE, (9, 0))
        assert code.doubles >= 1
        assert sass.counts(code.loop())["fp64"] >= 1

    def test_array_that_is_not_in_registers(self):
        code = sass.machine_code(changing_array, ONE, (9, 0))
        assert code.stack == 256
        names = Counter(step.opcode for step in code.instructions)
        assert min(names["LDL"], names["STL"]) > 0
        assert code.local == names["LDL"] + names["STL"]
        assert code.spilled == 0

    def test_spills_and_the_options_of_a_kernel(self):
        free = sass.machine_code(many_registers, ONE, (9, 0))
        assert free.registers > 96
        assert (free.stack, free.spilled, free.local) == (0, 0, 0)
        bound = sass.machine_code(many_registers, ONE, (9, 0), (256, 8))
        assert bound.registers == 32
        assert min(bound.stack, bound.spilled, bound.local) > 0
        decorated = cuda.jit(many_registers, launch_bounds=(256, 8))
        assert sass.machine_code(decorated, ONE, (9, 0)) == bound
        decorated = cuda.jit(many_registers, max_registers=40)
        assert sass.machine_code(decorated, ONE, (9, 0)).registers == 40

    @pytest.mark.parametrize(("capability", "arch"), [((8, 0), "sm_80"), ((9, 0), "sm_90a")])
    def test_refused(self, capability, arch):
        with pytest.raises(RuntimeError, match=rf"-arch={arch} (.|\n)*too much shared data"):
            sass.machine_code(too_much_shared, ONE, capability)

    def test_report(self):
        kernels = [
            sass.Kernel("tight", tight, ONE, (128, 2), 512, 4),
            sass.Kernel("spills", many_registers, ONE, 1024, 0, 0),
        ]
        screen = Console(width=120, file=io.StringIO())
        screen.print(sass.report(sass.compiled({(8, 6): kernels[:1], (9, 0): kernels})))
        lines = [line for line in screen.file.getvalue().splitlines() if "│" in line]
        cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
        assert [row[:2] for row in cells] == [["tight", "8.6"], ["tight", "9.0"], ["spills", "9.0"]]
        code = sass.machine_code(tight, ONE, (9, 0), (128, 2))
        issued = len(code.loop())
        assert cells[1][2:] == [
            *(str(code.registers), "0", "0", "0", "0", str(issued)),
            *(f"{issued / 4:.3f}", f"{code.loop().count('MUFU') / 4:.3f}", "16 (64)"),
        ]
        assert cells[2][-3:] == ["", "", "1 (32)"]
