"""Machine code of CUDA kernels, read without a GPU or a driver: ``python -m bench.sass``.

A kernel is compiled as numba-cuda compiles it at run time, the cubin is taken apart here, and the
table says what can be known of its speed without running it: registers, local memory, float64 that
crept in, and how many instructions its hot loop issues per pair of rows and feature.
"""

from __future__ import annotations

import argparse
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from types import ModuleType
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Column, Table

Capability = tuple[int, int]

# Shared memory in KiB, warps and blocks that a multiprocessor holds at most (CUDA C++ Programming
# Guide, compute capabilities).
MULTIPROCESSORS: dict[Capability, tuple[int, int, int]] = {
    (7, 5): (64, 32, 16),
    (8, 0): (164, 64, 32),
    (8, 6): (100, 48, 16),
    (8, 9): (100, 48, 24),
    (9, 0): (228, 64, 32),
    (10, 0): (228, 64, 32),
    (12, 0): (100, 48, 24),
}

# Bits 0 to 8 of an instruction, as nvdisasm 13.1 names them in cubins for 7.5 to 12.1; the three
# bits above say where the operands come from.
_COMMON = """
    002 MOV  004 R2P  005 CS2R  006 VOTE  007 SEL  008 FSEL  009 FMNMX  00a FSET  00b FSETP
    00c ISETP  010 IADD3  011 LEA  012 LOP3  014 VABSDIFF  015 VABSDIFF4  016 PRMT  017 IMNMX
    019 SHF  01a SGXT  01c PLOP3  020 FMUL  021 FADD  023 FFMA  024 IMAD  025 IMAD  026 IDP
    027 IMAD  028 DMUL  029 DADD  02a DSETP  02b DFMA  02f ELECT  030 HADD2  031 HFMA2  035 HFMA2
    036 VIADD  03b LDSM  03e F2FP  045 I2FP  046 VIADDMNMX  048 VIMNMX  05a UI2F  05c UF2I
    076 FMNMX3  082 UMOV  085 UIMNMX  086 VOTEU  087 USEL  08c UISETP  090 UIADD3  091 ULEA
    092 ULOP3  097 UIADD3  099 USHF  0a4 UIMAD  0a5 UIMAD  0a6 UIMAD  0b9 ULDC  0bd UFLO  0bf UPOPC
    0ca R2UR  0cc CREDUX  100 FLO  101 BREV  102 FCHK  104 F2F  105 F2I  106 I2F  107 FRND  108 MUFU
    109 POPC  110 F2F  111 F2I  112 I2F  118 NOP  119 S2R  11a DEPBAR  11b ENDCOLLECTIVE  11c B2R
    11d BAR  141 BSYNC  143 CALL  144 CALL  145 BSSY  146 YIELD  147 BRA  148 WARPSYNC  149 BRX
    14d EXIT  14e LEPC  150 RET  155 BMOV  15c BPT  15d NANOSLEEP  180 LD  181 LDG  182 LDC  183 LDL
    184 LDS  185 ST  186 STG  187 STL  188 STS  189 SHFL  18c ATOMS  18e RED  18f CCTL  192 MEMBAR
    1a1 MATCH  1a3 ATOMG  1a6 REDG  1a7 SYNCS  1a8 ATOMG  1a9 ATOMG  1ab ERRBAR  1ac LDCU
    1ae LDGSTS  1af LDGDEPBAR  1b2 SYNCS  1ba UBLKCP  1c2 R2UR  1c3 S2UR  1c4 REDUX  1c6 FENCE
"""
# Numbers that changed hands, by major capability.
_RENAMED = {10: "049 FFMA2  04a FMUL2  04b FADD2", 12: "035 IADD  04a UVIMNMX"}

_GROUPS = {
    "fp32": "FADD FMUL FFMA FADD2 FMUL2 FFMA2 FMNMX FMNMX3 FSETP FSET FSEL",
    "fp64": "DADD DMUL DFMA DSETP",
    "mufu": "MUFU",
    "shared": "LDS STS LDSM ATOMS",
    "global": "LDG STG LDGSTS LD ST ATOMG RED REDG UBLKCP",
    "local": "LDL STL",
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names.split()}
_ARITHMETIC = {"FADD", "FMUL", "FFMA", "FADD2", "FMUL2", "FFMA2", "DADD", "DMUL", "DFMA"}

_BYTES = 16  # of an instruction


class Instruction(NamedTuple):
    """One instruction: where it is, what it does, and, of a branch, where it leads."""

    address: int
    opcode: str
    target: int | None = None


@dataclass(frozen=True)
class MachineCode:
    """A kernel as the GPU would run it.

    Attributes
    ----------
    registers : int
        Of one thread.
    stack, spilled : int
        Bytes of local memory of one thread, and bytes that the code writes there and reads again
        for want of registers. A local array that is not in registers shows in the first alone.
    shared : int
        Bytes of static shared memory of one block.
    instructions : tuple of Instruction
        Of the kernel and of the functions it calls.
    """

    registers: int
    stack: int
    spilled: int
    shared: int
    instructions: tuple[Instruction, ...]

    @property
    def local(self) -> int:
        """How many instructions load from local memory or store to it."""
        return counts(step.opcode for step in self.instructions)["local"]

    @property
    def doubles(self) -> int:
        """How many instructions compute in float64."""
        return counts(step.opcode for step in self.instructions)["fp64"]

    def loop(self) -> list[str]:
        """Opcodes of the hot loop: the innermost one with most arithmetic, [] if nothing loops.

        A loop is what lies between a branch back and its target; where the compiler put rare code
        out of the way (after shuffles and votes), that is more than the loop. Arithmetic in float64
        counts, or else a loop that fell to float64 as a whole would pass unseen.
        """
        ends: dict[int, int] = {}  # a loop may branch back from many places (``continue``)
        for step in self.instructions:
            # A branch to itself is no loop: code ends with one, to stop what runs past the end.
            if step.target is not None and step.target < step.address:
                ends[step.target] = max(step.address, ends.get(step.target, 0))
        bodies = [
            [step.opcode for step in self.instructions[first // _BYTES : last // _BYTES + 1]]
            for first, last in ends.items()
            if not any(first < other and ends[other] <= last for other in ends)
        ]
        return max(bodies, key=lambda body: sum(name in _ARITHMETIC for name in body), default=[])


def counts(opcodes: Iterable[str]) -> dict[str, int]:
    """How many of the opcodes are fp32, fp64, mufu, shared, global, local and other."""
    found = Counter(_GROUP_OF.get(name, "other") for name in opcodes)
    return {group: found[group] for group in (*_GROUPS, "other")}


def toolchain() -> tuple[ModuleType, ModuleType]:
    """``numba.cuda`` and ``cuda.bindings.nvjitlink``, or an error that says what is missing."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        raise RuntimeError(
            "NUMBA_ENABLE_CUDASIM is set and the simulator compiles nothing: unset it"
        )
    try:
        import_module("numba_cuda")  # numba.cuda without it is an older compiler, or none
        import_module("cuda.bindings.nvvm").version()
        import_module("cuda.bindings.nvrtc").nvrtcVersion()
        linker = import_module("cuda.bindings.nvjitlink")
        linker.version()
        return import_module("numba.cuda"), linker
    except (ImportError, RuntimeError) as error:
        raise RuntimeError(
            "Compiling for CUDA needs numba-cuda and the nvvm, nvrtc and nvjitlink wheels: "
            f'pip install "greyknn[cuda13]" ({str(error).partition(chr(10))[0]})'
        ) from error


def machine_code(
    function: Any,
    signature: Any,
    capability: Capability,
    launch_bounds: int | tuple[int, ...] | None = None,
) -> MachineCode:
    """Compile a kernel and read its machine code.

    The route is the one that numba-cuda takes by default when a kernel is first launched and
    nvJitLink is installed: libNVVM makes LTO-IR, nvJitLink links and optimises it, both for
    sm_XYa from 9.0 on (``CUDACodeLibrary._ensure_cc``, ``cuda.jit(lto=None)``, numba-cuda 0.30).

    Parameters
    ----------
    function : callable or cuda.jit kernel
        Of a kernel, its fastmath, max_registers and launch_bounds hold here as well.
    signature : numba signature or tuple of types
    capability : (major, minor)
        7.5 or later.
    launch_bounds : int or tuple of int, optional
        Threads of a block, and the blocks that a multiprocessor shall hold.

    Raises
    ------
    RuntimeError
        If the compiler is missing (see `toolchain`) or refuses the kernel.
    """
    cuda, linker = toolchain()
    options: dict[str, Any] = getattr(function, "targetoptions", {})
    suffix = "a" if capability >= (9, 0) else ""
    objects, _ = cuda.compile_all(
        getattr(function, "py_func", function),
        signature,
        cc=(*capability, suffix),
        device=False,
        abi="numba",
        output="ltoir",
        fastmath=options.get("fastmath", False),
        launch_bounds=launch_bounds or options.get("launch_bounds"),
    )
    flags = [f"-arch=sm_{capability[0]}{capability[1]}{suffix}", "-lto", "-verbose"]
    if options.get("max_registers"):
        flags.append(f"-maxrregcount={options['max_registers']}")
    cubin, log = _link(linker, objects, flags)

    def said(pattern: str) -> list[int]:
        return [int(number) for number in re.findall(pattern, log)]

    # One line per function: the registers and the stack of a kernel cover what it calls.
    return MachineCode(
        registers=max(said(r"Used (\d+) registers")),
        stack=max(said(r"(\d+) bytes stack frame")),
        spilled=sum(said(r"(\d+) bytes spill (?:stores|loads)")),
        shared=max(said(r"(\d+) bytes smem"), default=0),
        instructions=tuple(decode(_text(cubin), capability)),
    )


def _link(linker: Any, objects: Iterable[bytes], flags: list[str]) -> tuple[bytes, str]:
    """The cubin, and what nvJitLink has to say about it."""
    handle = linker.create(len(flags), flags)

    def read(what: str) -> bytes:
        buffer = bytearray(getattr(linker, f"get_{what}_size")(handle))
        getattr(linker, f"get_{what}")(handle, buffer)
        return bytes(buffer)

    try:
        for code in objects:
            linker.add_data(handle, linker.InputType.LTOIR, code, len(code), "kernel")
        linker.complete(handle)
        return read("linked_cubin"), read("info_log").decode()
    except linker.nvJitLinkError as error:
        said = read("error_log").rstrip(b"\0\n").decode()
        raise RuntimeError(f"nvJitLink {' '.join(flags)}: {error}. {said}") from error
    finally:
        linker.destroy(handle)


def _text(cubin: bytes) -> bytes:
    """The code of every function, one after the other: sections .text.* of an ELF64 file."""
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, number, naming = struct.unpack_from("<HHH", cubin, 0x3A)
    # Name, type, flags, address, offset and length, of which the name is an offset in a section.
    headers = [struct.unpack_from("<IIQQQQ", cubin, table + size * i) for i in range(number)]
    names = headers[naming][4]
    return b"".join(
        cubin[offset : offset + length]
        for name, _, _, _, offset, length in headers
        if cubin.startswith(b".text.", names + name)
    )


def decode(code: bytes, capability: Capability) -> Iterable[Instruction]:
    """Read instructions, named as by nvdisasm up to the first dot; ``?1ff`` is unknown."""
    words = f"{_COMMON} {_RENAMED.get(capability[0], '')}".split()
    opcodes = {int(number, 16): name for number, name in zip(words[::2], words[1::2], strict=True)}
    for index, (low, high) in enumerate(struct.iter_unpack("<QQ", code)):
        address, number = index * _BYTES, low & 0x1FF
        opcode = opcodes.get(number, f"?{number:03x}")
        target = None
        if opcode == "BRA":
            # Bits 34 to 81, signed, count 4 bytes each from the next instruction on. From 9.0 on
            # eight lower bits come after them, and lie in bits 16 to 23.
            ahead = low >> 34 | (high & 0x3FFFF) << 30
            ahead -= ahead >> 47 << 48
            if capability >= (9, 0):
                ahead = ahead << 8 | low >> 16 & 0xFF
            target = address + _BYTES + 4 * ahead
        yield Instruction(address, opcode, target)


class Kernel(NamedTuple):
    """A kernel to report on, as ``greyknn_kernels.cuda.catalogue`` lists them."""

    name: str
    function: Any
    signature: Any
    launch_bounds: int | tuple[int, ...]
    shared_bytes: int  # dynamic shared memory of a block
    pair_features: int  # pairs of rows x features in one turn of a thread's hot loop; 0: none


def resident(code: MachineCode, threads: int, shared: int, capability: Capability) -> int:
    """Blocks that a multiprocessor holds at once, given the dynamic shared memory of each."""
    most_shared, most_warps, most_blocks = MULTIPROCESSORS[capability]
    warps = -(-threads // 32)
    # Four schedulers have 16384 registers each; a warp takes them 256 at a time.
    by_registers = 16384 // (-(-code.registers * 32 // 256) * 256) * 4 // warps
    each = code.shared + shared + (1024 if capability >= (8, 0) else 0)  # the system's share
    by_shared = most_shared * 1024 // max(1, each)
    return min(by_registers, by_shared, most_warps // warps, most_blocks)


def compiled(
    kernels: Mapping[Capability, Sequence[Kernel]],
) -> list[tuple[Kernel, Capability, MachineCode]]:
    """The machine code of every kernel for every capability."""
    pairs = [(kernel, capability) for capability in kernels for kernel in kernels[capability]]
    return [
        (kernel, cc, machine_code(kernel.function, kernel.signature, cc, kernel.launch_bounds))
        for kernel, cc in pairs
    ]


def examined(
    capabilities: Sequence[Capability],
) -> list[tuple[Kernel, Capability, MachineCode]]:
    """Every kernel of this package for every capability, compiled by all processors."""
    workers = min(len(capabilities), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return [one for codes in pool.map(_examined, capabilities) for one in codes]


def _examined(capability: Capability) -> list[tuple[Kernel, Capability, MachineCode]]:
    from greyknn_kernels.cuda.catalogue import catalogue

    codes = compiled({capability: [Kernel(*entry) for entry in catalogue(capability)]})
    # Functions and types do not travel between processes.
    return [
        (kernel._replace(function=None, signature=None), cc, code) for kernel, cc, code in codes
    ]


def report(codes: Sequence[tuple[Kernel, Capability, MachineCode]]) -> Table:
    """A table of compiled kernels; what should be 0 and is not, is red.

    Per cycle, a multiprocessor issues 4 x 32 instructions of one thread each and starts 16 MUFU;
    7.5 and 8.0 compute 64 float32 results, the others 128. Where the compiler left a loop rolled,
    a turn does less than ``pair_features``, and its issue slots look few: see its local memory.
    """
    rows = [_row(*one) for one in codes]
    table = Table(
        *(Column(name, justify="left" if name == "kernel" else "right") for name in rows[0]),
        title="CUDA kernels, compiled and not run",
        caption="fp64, loop: instructions in the hot loop; pf: one feature of a pair of rows",
    )
    for row in rows:
        table.add_row(*row.values())
    return table


def _row(kernel: Kernel, capability: Capability, code: MachineCode) -> dict[str, str]:
    loop = code.loop()
    inside = counts(loop)
    bounds = kernel.launch_bounds
    threads = bounds if isinstance(bounds, int) else bounds[0]
    blocks = resident(code, threads, kernel.shared_bytes, capability)
    each = kernel.pair_features

    def unwanted(number: int) -> str:
        return f"[red]{number}[/]" if number else "0"

    return {
        "kernel": kernel.name,
        "cc": "{}.{}".format(*capability),
        "registers": str(code.registers),
        "stack": unwanted(code.stack),
        "spilled": unwanted(code.spilled),
        "local": unwanted(code.local),
        "fp64": unwanted(inside["fp64"]) if each else str(inside["fp64"]),
        "loop": str(len(loop)),
        "issue/pf": f"{len(loop) / each:.3f}" if each else "",
        "MUFU/pf": f"{inside['mufu'] / each:.3f}" if each else "",
        "blocks (warps)": f"{blocks} ({blocks * -(-threads // 32)})",
    }


def main() -> None:
    """Print the table of this package's kernels."""
    every = {f"{major}.{minor}": (major, minor) for major, minor in MULTIPROCESSORS}
    parser = argparse.ArgumentParser(prog="python -m bench.sass", description=__doc__)
    parser.add_argument("--capability", nargs="+", choices=every, default=every)
    chosen = parser.parse_args().capability
    toolchain()  # its message comes before an import that fails for the same reason
    Console(width=120).print(report(examined([every[cc] for cc in chosen])))


if __name__ == "__main__":
    main()
