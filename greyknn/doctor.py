"""What greyknn finds on this machine, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import click
import llvmlite.binding as llvm
import numba
import numpy as np

from greyknn import __version__, gpu
from greyknn.api import impute
from greyknn.device import REPAYS, kernels
from greyknn_kernels import cpu
from greyknn_kernels.cpu import averaging
from greyknn_kernels.cpu.threads import n_threads

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "scikit-learn", "narwhals")

FEATURES = ("avx2", "fma", "avx512f", "neon")
"""What the search's inner loop gains from."""

TOOLKIT = ("nvvm", "nvrtc", "nvjitlink")
"""Parts that best are of one minor version."""

LIMITS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")

CPUINFO = Path("/proc/cpuinfo")


class Fact(NamedTuple):
    """One line of the report.

    Parameters
    ----------
    label, text : str
    wrong : bool
        Whether something should be done about it.
    """

    label: str
    text: str
    wrong: bool = False


def examine() -> bool:
    """Print what was found, each fact on a line of its own, so that it survives a pipe.

    Returns
    -------
    bool
        Whether nothing is wrong. A machine without a GPU is well.
    """
    wrong = []
    for heading, facts in (
        (f"greyknn {__version__}", _software()),
        ("Processor", _processor()),
        ("GPU", _gpus()),
    ):
        click.secho(heading, bold=True)
        for fact in facts:
            sign = "!" if fact.wrong else " "
            click.secho(f"{sign} {fact.label:<15} {fact.text}", fg="red" if fact.wrong else None)
            if fact.wrong:
                wrong.append(fact.label)
    click.echo(f"Wrong, see above: {', '.join(wrong)}." if wrong else "Nothing is wrong.")
    return not wrong


def _software() -> Iterator[Fact]:
    yield Fact("Python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield Fact("platform", platform.platform())
    yield Fact("packages", ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES))


def _processor() -> Iterator[Fact]:
    yield Fact("name", f"{_processor_name()} (to the compiler {llvm.get_host_cpu_name()})")
    present = llvm.get_host_cpu_features()
    features = [name for name in FEATURES if present.get(name)]
    yield Fact("vectors", ", ".join(features) or f"none of {', '.join(FEATURES)}")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Fact("processors", f"{os.cpu_count()}, of which this process may use {usable}")
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    told = f"limited by {', '.join(limits)}" if limits else f"no limit by {' or '.join(LIMITS)}"
    yield Fact("threads", f"{n_threads()}, {told}")
    yield Fact("threading layer", "none needed: Python's own threads share the loops")
    if numba.config.DISABLE_JIT:
        yield Fact("kernels", "interpreted, and slow, because NUMBA_DISABLE_JIT is set")
    else:
        yield _kept_kernels()


def _processor_name() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _kept_kernels() -> Fact:
    """Where compiled kernels are kept, proved by writing there."""
    folder = getattr(getattr(averaging.majorities, "_cache", None), "cache_path", None)
    remedy = "so each process compiles anew; set NUMBA_CACHE_DIR to a folder that can"
    if folder is None:
        return Fact("kernel cache", f"no folder can be written, {remedy}", wrong=True)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Fact("kernel cache", f"{folder} cannot be written ({error}), {remedy}", wrong=True)
    return Fact("kernel cache", f"{folder}, can be written")


def _gpus() -> Iterator[Fact]:
    here = gpu.machine()
    if here.driver > (0, 0):
        yield Fact("driver", "for CUDA {}.{}".format(*here.driver))
    for card in here.gpus:
        facts = f"{card.memory / 2**30:.0f} GiB, {card.multiprocessors} multiprocessors"
        capability = "compute capability {}.{}".format(*card.capability)
        yield Fact(f"GPU {card.index}", f"{card.name}, {capability}, {facts}")
    parts = gpu.toolkit()
    minors = {".".join(parts[part].split(".")[:2]) for part in TOOLKIT if part in parts}
    if parts:
        versions = ", ".join(f"{part} {version}" for part, version in parts.items())
        alike = f"; of different versions: {', '.join(sorted(minors))}" if len(minors) > 1 else ""
        yield Fact("toolkit", versions + alike)
    devices = [f"cuda:{card.index}" for card in here.gpus]
    for device in devices if len(devices) > 1 and not gpu.simulated() else ["cuda"]:
        yield _device(device, present=bool(devices) or here.broken)
    taken = "the processor, always"
    if kernels("auto", REPAYS) is not cpu:
        rows = (REPAYS / 20) ** 0.5
        taken = f"the processor; GPU 0 for large tables, as of {rows:,.0f} rows and 20 columns"
    yield Fact("device='auto'", taken)


def _device(device: str, present: bool) -> Fact:
    """Whether a GPU can be used, tried if there is one; to lack one is not wrong."""
    label = f"device={device!r}"
    if gpu.simulated() or not present:
        reason = gpu.obstacle(0)
        told = "is numba's simulator, because NUMBA_ENABLE_CUDASIM is set"
        return Fact(label, told if reason is None else f"cannot be used: {reason}")
    table = np.random.default_rng(0).random((60, 5))
    classes = np.arange(60) % 2
    table[::4, 0] = table[1::5, 3] = np.nan
    try:
        filled = impute(table, classes, n_neighbors=3, device=device)
    except Exception as error:
        told = " ".join(str(error).split())
        if not told.startswith(label):
            told = f"fails: {type(error).__name__}: {told}"
        return Fact(label, told.removeprefix(label).strip(), wrong=True)
    expected = impute(table, classes, n_neighbors=3, device="cpu")
    if not np.allclose(filled, expected, rtol=1e-9):
        return Fact(label, "fills a small table otherwise than the processor", wrong=True)
    return Fact(label, "works, and fills a small table as the processor does")
