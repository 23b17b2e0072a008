"""Which GPUs there are, and why one cannot be used: every message about them.

The driver itself is asked, through ctypes: that takes no time, imports no CUDA package and starts
nothing on a GPU.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from typing import Any

Version = tuple[int, int]

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""The driver's; it comes with the driver, never with a package."""

OLDEST_DRIVER = (12, 0)
"""The first that loads code of a CUDA 12 toolkit, the oldest that numba-cuda works with."""

OLDEST_CAPABILITY = (7, 5)
"""Turing, the oldest that toolkits of CUDA 13 compile for."""

MULTIPROCESSORS, MAJOR, MINOR = 16, 75, 76
"""Attributes of a GPU, by the driver's numbers."""

NOT_INITIALIZED, NO_DEVICE, MISMATCH = 3, 100, 803
"""What the driver answers after ``fork``, without a GPU, and after an update of its other half."""

WHEELS = {
    12: {
        "nvvm": "nvidia-cuda-nvcc-cu12",
        "nvrtc": "nvidia-cuda-nvrtc-cu12",
        "nvjitlink": "nvidia-nvjitlink-cu12",
    },
    13: {"nvvm": "nvidia-nvvm", "nvrtc": "nvidia-cuda-nvrtc", "nvjitlink": "nvidia-nvjitlink"},
}
"""Where the parts of a toolkit are, by the major version of cuda-bindings, which loads them."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, as the driver describes it.

    Parameters
    ----------
    index : int
        As in ``device="cuda:1"``.
    name : str
    capability : tuple of int
        Compute capability, (9, 0) for an H200.
    memory : int
        Bytes.
    multiprocessors : int
    """

    index: int
    name: str
    capability: Version
    memory: int
    multiprocessors: int


@dataclass(frozen=True)
class Machine:
    """What the driver knows of this machine.

    Parameters
    ----------
    driver : tuple of int
        The CUDA version it was made for.
    gpus : tuple of Gpu
    trouble : str, optional
        Why there are none, and what to do.
    broken : bool
        Whether that is more than the lack of one.
    """

    driver: Version = (0, 0)
    gpus: tuple[Gpu, ...] = ()
    trouble: str | None = None
    broken: bool = False


def machine() -> Machine:
    """What the driver knows, which each process asks once: what its parent knew dies in `fork`."""
    return _machine(os.getpid())


def simulated() -> bool:
    """Whether numba.cuda is the simulator, which runs kernels in Python, to test them."""
    from numba import config  # not before there is work: it takes a third of a second

    return bool(config.ENABLE_CUDASIM)


def toolkit() -> dict[str, str]:
    """Versions of the installed packages that compile for a GPU; those that are missing lack."""
    packages = {"numba-cuda": "numba-cuda", "cuda-bindings": "cuda-bindings"}
    bindings = _installed("cuda-bindings")
    if bindings is not None:
        packages |= WHEELS.get(_version(bindings)[0], {})
    found = {part: _installed(package) for part, package in packages.items()}
    return {part: version for part, version in found.items() if version is not None}


def obstacle(index: int) -> str | None:
    """Why a GPU cannot be used, and what to do; None if nothing is known to be in its way.

    Parameters
    ----------
    index : int
        As in ``device="cuda:1"``.
    """
    if simulated():
        if index > 0:
            return "NUMBA_ENABLE_CUDASIM is set, and the simulator has only one GPU, 0."
        return None if "numba-cuda" in toolkit() else _missing("numba-cuda", 13)
    here = machine()
    if here.trouble is not None:
        return here.trouble
    if index >= len(here.gpus):
        count = len(here.gpus)
        names = ", ".join(f"{gpu.index} {gpu.name}" for gpu in here.gpus)
        there = f"there {'is' if count == 1 else 'are'} {count} GPU{'s' * (count > 1)}: {names}"
        return f"{there}{_hidden()}."
    gpu = here.gpus[index]
    if gpu.capability < OLDEST_CAPABILITY:
        return (
            f"{gpu.name} has compute capability {_dotted(gpu.capability)}, and the kernels need "
            f"{_dotted(OLDEST_CAPABILITY)} or higher. Use device='cpu'."
        )
    return _unfit(here.driver)


def _unfit(driver: Version) -> str | None:
    """Why what is installed cannot compile for a driver.

    A driver runs machine code of its own major version, whatever the minor one, and of older
    ones.  But nvvm writes PTX, which only its own minor version or a later one reads, be it the
    driver or, where it is installed, nvjitlink, which makes machine code of it.
    """
    if driver < OLDEST_DRIVER:
        return (
            f"the NVIDIA driver is for CUDA {_dotted(driver)}, and the kernels need "
            f"{_dotted(OLDEST_DRIVER)} or later. Update the driver, or use device='cpu'."
        )
    parts = toolkit()
    if "numba-cuda" not in parts:
        return _missing("numba-cuda", driver[0])
    newer = {
        part: version
        for part, version in parts.items()
        if part != "numba-cuda" and _version(version)[0] > driver[0]
    }
    if newer:
        named = ", ".join(f"{part} {version}" for part, version in newer.items())
        return (
            f"the NVIDIA driver is for CUDA {_dotted(driver)}, older than {named}. "
            f"{_install(driver[0])}, or update the driver."
        )
    if "nvvm" not in parts:  # conda and whole toolkits have it elsewhere
        return None if _has_compiler() else _missing("its compiler libnvvm", driver[0])
    written, linker = _version(parts["nvvm"]), parts.get("nvjitlink")
    if linker is None and written > driver:
        return (
            f"the NVIDIA driver is for CUDA {_dotted(driver)}, older than nvvm {parts['nvvm']}, "
            f"and nvjitlink, which makes up for that, is missing. {_install(driver[0])}."
        )
    if linker is not None and _version(linker) < written:
        package = WHEELS[written[0]]["nvjitlink"]
        return (
            f"nvjitlink {linker} cannot read what nvvm {parts['nvvm']} writes. Install one that "
            f'can: pip install "{package}=={_dotted(written)}.*".'
        )
    return None


def _missing(what: str, major: int) -> str:
    return f"{what} is missing, which compiles for GPUs. {_install(major)}."


def _install(major: int) -> str:
    return f'Run pip install "greyknn[cuda{13 if major >= 13 else 12}]"'


def _hidden() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible!r} hides all others)"


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _version(text: str) -> Version:
    major, minor = [*re.findall(r"\d+", text), "0", "0"][:2]
    return int(major), int(minor)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _has_compiler() -> bool:
    """Whether libnvvm is where numba-cuda will look for it."""
    try:
        import_module("cuda.pathfinder").load_nvidia_dynamic_lib("nvvm")
    except (ImportError, RuntimeError):
        return False
    return True


class _Refusal(Exception):
    """A number other than 0 from the driver."""


def _check(code: int) -> None:
    if code:
        raise _Refusal(code)


def _asked(function: Callable[..., int], answer: Any, *arguments: Any) -> Any:
    _check(function(ctypes.byref(answer), *arguments))
    return answer.value


def _load() -> Any:
    if sys.platform == "win32":
        return ctypes.WinDLL(LIBRARY)
    return ctypes.CDLL(LIBRARY)


@cache
def _machine(_process: int) -> Machine:
    try:
        library = _load()
    except OSError:
        return Machine(
            trouble=f"no NVIDIA driver was found ({LIBRARY} cannot be loaded). Install the driver "
            "if there is an NVIDIA GPU, or use device='cpu'."
        )
    driver = (0, 0)
    try:
        version = _asked(library.cuDriverGetVersion, ctypes.c_int())
        driver = version // 1000, version % 1000 // 10
        _check(library.cuInit(0))
        count = _asked(library.cuDeviceGetCount, ctypes.c_int())
        _check(NO_DEVICE if count == 0 else 0)
        return Machine(driver, tuple(_described(library, index) for index in range(count)))
    except _Refusal as refusal:
        code = refusal.args[0]
        return Machine(driver, trouble=_reason(library, code), broken=code != NO_DEVICE)
    except AttributeError as error:
        return Machine(driver, trouble=f"{LIBRARY} is no NVIDIA driver: {error}.", broken=True)


def _described(library: Any, index: int) -> Gpu:
    number = _asked(library.cuDeviceGet, ctypes.c_int(), index)
    name = ctypes.create_string_buffer(256)
    _check(library.cuDeviceGetName(name, len(name), number))
    multiprocessors, major, minor = (
        _asked(library.cuDeviceGetAttribute, ctypes.c_int(), attribute, number)
        for attribute in (MULTIPROCESSORS, MAJOR, MINOR)
    )
    memory = _asked(library.cuDeviceTotalMem_v2, ctypes.c_size_t(), number)
    return Gpu(index, name.value.decode(errors="replace"), (major, minor), memory, multiprocessors)


def _reason(library: Any, code: int) -> str:
    if code == NO_DEVICE:
        return f"the NVIDIA driver finds no GPU{_hidden()}. Use device='cpu'."
    if code == NOT_INITIALIZED:
        return (
            "this process was forked from one that had used CUDA. Start it by 'spawn' or "
            "'forkserver', or use device='cpu'."
        )
    if code == MISMATCH:
        return "the NVIDIA driver was updated while it ran. Restart the machine."
    name = ctypes.c_char_p()
    library.cuGetErrorName(code, ctypes.byref(name))
    said = (name.value or b"error %d" % code).decode()
    return f"the NVIDIA driver does not work ({said}). Does nvidia-smi? Or use device='cpu'."
