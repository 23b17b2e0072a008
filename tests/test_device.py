"""Which loops a device's name stands for, on machines that are not there."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from types import ModuleType
from typing import Any, ClassVar

import numba
import numpy as np
import pytest

import greyknn
from greyknn import device as devices
from greyknn import gpu
from greyknn_kernels import cpu
from programs import filled, gappy, output

H200 = ("NVIDIA H200", (9, 0), 150_000_000_000, 132)
P400 = ("Quadro P400", (6, 1), 2 * 2**30, 2)

CUDA13 = {
    "numba-cuda": "0.30.4", "cuda-bindings": "13.0.3", "nvidia-nvvm": "13.0.88",
    "nvidia-cuda-nvrtc": "13.0.88", "nvidia-nvjitlink": "13.0.88",
}  # fmt: skip
CUDA12 = {
    "numba-cuda": "0.30.4", "cuda-bindings": "12.9.4", "nvidia-cuda-nvcc-cu12": "12.9.86",
    "nvidia-cuda-nvrtc-cu12": "12.9.86", "nvidia-nvjitlink-cu12": "12.9.86",
}  # fmt: skip
BOTH = {**CUDA13, **CUDA12}

ON_CARD = {"nearest", "extremes", "fill", "class_entropies", "joint_information"}


@dataclass
class Driver:
    """libcuda, as far as we call it: answers through pointers, returns numbers of errors."""

    gpus: tuple[tuple[str, tuple[int, int], int, int], ...] = (H200,)
    version: int = 13000
    started: int = 0
    failing: str = ""
    begun: bool = False
    processes: list[int] = field(default_factory=list)

    def cuDriverGetVersion(self, answer: Any) -> int:
        answer._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        self.processes.append(os.getpid())
        self.begun = self.started == 0
        return self.started

    def cuDeviceGetCount(self, answer: Any) -> int:
        assert self.begun
        answer._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, answer: Any, index: int) -> int:
        answer._obj.value = 10 + index  # not to be mistaken for the index
        return 0

    def cuDeviceGetName(self, buffer: Any, size: int, number: int) -> int:
        assert size == len(buffer)
        buffer.value = self.gpus[number - 10][0].encode()
        return 999 if self.failing == "name" else 0

    def cuDeviceGetAttribute(self, answer: Any, attribute: int, number: int) -> int:
        _, capability, _, multiprocessors = self.gpus[number - 10]
        answer._obj.value = {75: capability[0], 76: capability[1], 16: multiprocessors}[attribute]
        return 999 if self.failing == "attribute" else 0

    def cuDeviceTotalMem_v2(self, answer: Any, number: int) -> int:
        answer._obj.value = self.gpus[number - 10][2]
        return 0

    def cuGetErrorName(self, code: int, answer: Any) -> int:
        answer._obj.value = {999: b"CUDA_ERROR_UNKNOWN"}.get(code)
        return 0


class Card:
    """A card that lets the processor work and counts."""

    made: ClassVar[list[int]] = []
    used: ClassVar[list[str]] = []

    def __init__(self, index: int) -> None:
        self.made.append(index)
        for name in ON_CARD:
            setattr(self, name, self._counting(name))

    def _counting(self, name: str) -> Callable[..., None]:
        def loop(*arguments: Any) -> None:
            self.used.append(name)
            getattr(cpu, name)(*arguments)

        return loop


def pretend(
    patch: pytest.MonkeyPatch, driver: Any = None, packages: dict[str, str] = CUDA13,
    card: Any = Card, **environment: str,
) -> Any:  # fmt: skip
    """Another machine, with other packages, until the test ends. Returns the driver."""
    driver = Driver() if driver is None else driver
    version = metadata.version

    def installed(package: str) -> str:
        if package.startswith(("nvidia-", "cuda-", "numba-cuda")):
            if package not in packages:
                raise metadata.PackageNotFoundError(package)
            return packages[package]
        return version(package)

    def load() -> Any:
        if isinstance(driver, Exception):
            raise driver
        return driver

    kernels = ModuleType("greyknn_kernels.cuda")
    if card is not None:
        vars(kernels)["Card"] = card
    patch.setattr(Card, "made", [])
    patch.setattr(Card, "used", [])
    patch.setitem(sys.modules, "greyknn_kernels.cuda", kernels)
    patch.setattr(metadata, "version", installed)
    patch.setattr(numba.config, "ENABLE_CUDASIM", 0)
    patch.setattr(gpu, "_load", load)
    patch.setattr(gpu, "_has_compiler", lambda: False)
    patch.setattr(gpu, "_machine", cache(gpu._machine.__wrapped__))
    patch.setattr(devices, "_combined", cache(devices._combined.__wrapped__))
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in environment.items():
        patch.setenv(name, value)
    return driver


NO_DRIVER = OSError("libcuda.so.1: cannot open shared object file")
NO_COMPILER = {name: CUDA13[name] for name in ("numba-cuda", "cuda-bindings")}

UNUSABLE = {
    "no driver": ({"driver": NO_DRIVER}, "cuda", r"no NVIDIA driver was found \(.*\).*'cpu'"),
    "no GPU": ({"driver": Driver(gpus=())}, "cuda", r"finds no GPU\. Use device='cpu'"),
    "no GPU to start with": ({"driver": Driver(started=100)}, "cuda", r"finds no GPU\. Use"),
    "hidden GPU": (
        {"driver": Driver(started=100), "CUDA_VISIBLE_DEVICES": ""}, "cuda",
        r"finds no GPU \(CUDA_VISIBLE_DEVICES='' hides all others\)\. Use",
    ),
    "fork": ({"driver": Driver(started=3)}, "cuda", "was forked.*'spawn' or 'forkserver'"),
    "half an update": ({"driver": Driver(started=803)}, "cuda", "Restart the machine"),
    "broken": ({"driver": Driver(started=999)}, "cuda", r"\(CUDA_ERROR_UNKNOWN\).*nvidia-smi"),
    "odd": ({"driver": Driver(started=12345)}, "cuda", r"\(error 12345\)\. Does nvidia-smi"),
    "lost": ({"driver": Driver(failing="name")}, "cuda", "CUDA_ERROR_UNKNOWN"),
    "half lost": ({"driver": Driver(failing="attribute")}, "cuda", "CUDA_ERROR_UNKNOWN"),
    "another library": ({"driver": object()}, "cuda", "is no NVIDIA driver: .*cuDriverGetVersion"),
    "one GPU": ({}, "cuda:1", r"there is 1 GPU: 0 NVIDIA H200\.$"),
    "two GPUs": (
        {"driver": Driver(gpus=(H200, P400)), "CUDA_VISIBLE_DEVICES": "2,1"}, "cuda:3",
        r"there are 2 GPUs: 0 NVIDIA H200, 1 Quadro P400 \(CUDA_VISIBLE_DEVICES='2,1' hides",
    ),
    "old GPU": (
        {"driver": Driver(gpus=(H200, P400))}, "cuda:1",
        r"Quadro P400 has compute capability 6\.1.* need 7\.5 or higher",
    ),
    "very old driver": (
        {"driver": Driver(version=11080)}, "cuda", r"for CUDA 11\.8.* need 12\.0 or later. Update",
    ),
    "no numba-cuda": (
        {"packages": {}}, "cuda", r'numba-cuda is missing.*pip install "greyknn\[cuda13\]"\.$',
    ),
    "no numba-cuda, older driver": (
        {"packages": {}, "driver": Driver(version=12040)}, "cuda", r'"greyknn\[cuda12\]"\.$',
    ),
    "no numba-cuda, later driver": (
        {"packages": {}, "driver": Driver(version=14010)}, "cuda", r'"greyknn\[cuda13\]"\.$',
    ),
    "newer toolkit": (
        {"driver": Driver(version=12040)}, "cuda",
        r"for CUDA 12\.4, older than cuda-bindings 13\.0\.3, nvvm 13\.0\.88.*"
        r'"greyknn\[cuda12\]", or update the driver',
    ),
    "only the bindings are newer": (
        {"driver": Driver(version=12080), "packages": {**CUDA12, "cuda-bindings": "13.1.0"}},
        "cuda", r'older than cuda-bindings 13\.1\.0\. .*"greyknn\[cuda12\]"',
    ),
    "no compiler": (
        {"packages": NO_COMPILER}, "cuda", r'compiler libnvvm is missing.*"greyknn\[cuda13\]"',
    ),
    "newer minor version, no linker": (
        {"packages": {**NO_COMPILER, "nvidia-nvvm": "13.4.1"}}, "cuda",
        r"for CUDA 13\.0, older than nvvm 13\.4\.1, and nvjitlink.* is missing",
    ),
    "older linker": (
        {"packages": {**CUDA13, "nvidia-nvvm": "13.4.1"}}, "cuda",
        r'nvjitlink 13\.0\.88 cannot read what nvvm 13\.4\.1.*"nvidia-nvjitlink==13\.4\.\*"',
    ),
    "older linker of CUDA 12": (
        {"packages": {**CUDA12, "nvidia-nvjitlink-cu12": "12.8.93"}}, "cuda",
        r'"nvidia-nvjitlink-cu12==12\.9\.\*"',
    ),
    "no kernels": ({"card": None}, "cuda", "ImportError: .*Card.*`greyknn doctor`"),
}  # fmt: skip


# --- names


@pytest.mark.parametrize(
    "name", ["tpu", "gpu", "", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1.0", "cuda:²",
             "cuda:0\n", " cuda", "cuda1", 3, None],
)  # fmt: skip
def test_unknown_devices(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(ValueError, match=r"^device=.* is unknown; use 'auto', 'cpu' or 'cuda', or"):
        devices.kernels(name)


# --- the GPU that was asked for


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_gpu_that_cannot_be_used_says_why(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, name, message = UNUSABLE[case]
    pretend(monkeypatch, **machine)
    with pytest.raises(RuntimeError, match=rf"^device='{name}' cannot be used: .*{message}"):
        devices.kernels(name)
    assert not Card.made


@pytest.mark.parametrize(
    ("driver", "packages"),
    [
        (13000, CUDA13),
        (13000, CUDA12),
        (13000, BOTH),
        (12000, CUDA12),
        (12080, {**CUDA13, **CUDA12}),
        (14000, CUDA13),
        (13000, {**CUDA13, "nvidia-nvvm": "13.4.1", "nvidia-nvjitlink": "13.4.1"}),
        (13040, {**NO_COMPILER, "nvidia-nvvm": "13.4.1"}),
        (13000, {**CUDA13, "nvidia-nvjitlink": "13.4.1"}),
        (13000, {**CUDA13, "nvidia-nvvm": "13.0"}),
    ],
)
def test_versions_that_go_together(
    driver: int, packages: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, Driver(version=driver), packages)
    assert gpu.obstacle(0) is None
    assert devices.kernels("cuda") is not cpu


def test_a_compiler_need_not_be_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, packages=NO_COMPILER)
    monkeypatch.setattr(gpu, "_has_compiler", lambda: True)
    assert gpu.obstacle(0) is None


@pytest.mark.parametrize("error", [None, RuntimeError("no libnvvm"), ImportError("no pathfinder")])
def test_the_compiler_is_where_numba_cuda_looks(
    error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> None:
        assert name == "nvvm"
        if error is not None:
            raise error

    pathfinder = ModuleType("cuda.pathfinder")
    vars(pathfinder)["load_nvidia_dynamic_lib"] = load
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
    assert gpu._has_compiler() is (error is None)


def test_gpus_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Driver(gpus=(H200, P400), version=12040))
    assert gpu.machine() == gpu.Machine(
        (12, 4), (gpu.Gpu(0, *H200), gpu.Gpu(1, *P400)), None, False
    )


@pytest.mark.parametrize(
    ("machine", "broken"),
    [({"driver": NO_DRIVER}, False), ({"driver": Driver(gpus=())}, False),
     ({"driver": Driver(started=100)}, False), ({"driver": Driver(started=999)}, True),
     ({"driver": object()}, True)],
)  # fmt: skip
def test_to_lack_a_gpu_is_not_broken(
    machine: Any, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, **machine)
    assert gpu.machine().broken is broken
    assert gpu.machine().trouble


def test_a_card_and_the_processor_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Driver(gpus=(H200, H200)))
    loops = devices.kernels("cuda:1")
    assert Card.made == [1]
    for name in cpu.__all__:
        assert (getattr(loops, name) is getattr(cpu, name)) is (name not in ON_CARD), name
    assert devices.kernels("cuda:1") is loops
    assert Card.made == [1]
    assert devices.kernels("cuda") is devices.kernels("cuda:0") is not loops
    assert Card.made == [1, 0]


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_card_fills_tables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    X, y = gappy(), np.arange(60) % 2
    ours = greyknn.impute(X, y, n_neighbors=4, device=name)
    assert ours.tobytes() == filled().tobytes()
    assert set(Card.used) >= {"nearest", "extremes", "fill"}


def test_a_card_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(Card):
        def __init__(self, index: int) -> None:
            raise MemoryError(f"card {index} is full")

    pretend(monkeypatch, card=Stubborn)
    with pytest.raises(
        RuntimeError, match=r"'cuda' cannot be used: MemoryError: card 0 is full\. `greyknn doctor`"
    ):
        devices.kernels("cuda")


@pytest.mark.parametrize("wrong", [ValueError("no kernel image"), 0.5])
def test_a_card_is_proved_before_any_work(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Card):
        def fill(self, *arguments: Any) -> None:
            if isinstance(wrong, Exception):
                raise wrong
            arguments[-1][...] = wrong

        def __init__(self, index: int) -> None:
            self.made.append(index)

    told = "no kernel image" if isinstance(wrong, Exception) else r"became 0\.5 instead of 1\.0"
    pretend(monkeypatch, card=Wrong)
    with pytest.raises(RuntimeError, match=rf"'cuda' cannot be used: .*Error: .*{told}"):
        devices.kernels("cuda")
    assert devices.kernels("auto", 1e15) is cpu
    monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 1)  # whose tests prove more
    assert devices.kernels("cuda") is not cpu


# --- the simulator


def test_the_simulator_is_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, NO_DRIVER)
    monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 1)
    assert devices.kernels("cuda") is devices.kernels("cuda:0") is not cpu
    with pytest.raises(RuntimeError, match=r"'cuda:1' cannot be used: .*only one GPU, 0"):
        devices.kernels("cuda:1")
    pretend(monkeypatch)  # also beside a real GPU
    monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 1)
    assert devices.kernels("auto", 1e15) is cpu
    pretend(monkeypatch, packages={})
    monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 1)
    with pytest.raises(RuntimeError, match="numba-cuda is missing"):
        devices.kernels("cuda")


# --- auto


@pytest.mark.parametrize("work", [None, 0.0, devices.REPAYS * 0.999, float("nan")])
def test_little_work_never_looks_for_a_gpu(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = pretend(monkeypatch)
    assert devices.kernels("auto", work) is cpu
    assert devices.kernels("cpu", 1e15) is cpu
    assert not driver.processes


@pytest.mark.parametrize("work", [devices.REPAYS, 1e15, float("inf")])
def test_much_work_takes_the_first_gpu(work: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Driver(gpus=(H200, P400)))
    loops = devices.kernels("auto", work)
    for name in cpu.__all__:
        assert (getattr(loops, name) is getattr(cpu, name)) is (name not in ON_CARD), name
    loops.class_entropies(np.zeros(3), np.array([0, 2, 3]), 1.0, np.zeros(3))
    assert Card.used == ["fill", "class_entropies"]
    devices.kernels("auto", work)
    assert Card.made == [0]


@pytest.mark.parametrize("case", [name for name in UNUSABLE if UNUSABLE[name][1] == "cuda"])
def test_auto_never_fails(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, **UNUSABLE[case][0])
    assert devices.kernels("auto", 1e15) is cpu


def test_auto_never_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Talkative(Card):
        def __init__(self, index: int) -> None:
            super().__init__(index)
            warnings.warn("this card is slow", stacklevel=2)

    pretend(monkeypatch, card=Talkative)
    assert devices.kernels("auto", 1e15) is not cpu


def test_auto_survives_what_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ZeroDivisionError("in the loader"))
    assert devices.kernels("auto", 1e15) is cpu


class Failing(Card):
    """Fails in the midst of its work."""

    def _counting(self, name: str) -> Callable[..., None]:
        def loop(*arguments: Any) -> None:
            self.used.append(name)
            if self.used == ["fill"]:  # the proof
                return cpu.fill(*arguments)
            if name == "nearest":
                queries, found = arguments[4:6]
                half = queries.order[: len(queries.order) // 2]
                found.distances[half], found.rows[half], found.counts[half] = 0.0, 1, 4
            else:
                arguments[-1][...] = 7.0
            raise MemoryError("no memory is left on the card")

        return loop


def test_auto_falls_back_when_the_card_fails_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, expected = devices.kernels, filled()
    monkeypatch.setattr(devices, "REPAYS", 0.0)
    pretend(monkeypatch, card=Failing)
    loops = devices.kernels("auto", 1.0)
    monkeypatch.setattr(devices, "kernels", lambda device, work=None: loops)
    assert filled().tobytes() == expected.tobytes()
    assert sorted(Card.used[1:]) == sorted(ON_CARD - {"joint_information"})  # each once
    monkeypatch.setattr(devices, "kernels", plain)
    with pytest.raises(MemoryError, match="no memory is left on the card"):
        greyknn.impute(gappy(), device="cuda")


def test_a_search_that_is_begun_anew_leaves_other_queries_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, card=Failing)
    seen = []

    def nearest(*arguments: Any) -> None:
        found = arguments[5]
        seen.append((found.distances.tolist(), found.rows.tolist(), found.counts.tolist()))

    monkeypatch.setattr(cpu, "nearest", nearest)
    found = devices.Found(np.full((4, 1), 0.5), np.full((4, 1), 8), np.ones(4, int), np.zeros(4))
    queries = devices.Queries(*[None] * 7)._replace(order=np.array([2, 1]))
    devices.kernels("auto", 1e15).nearest(0, True, None, None, queries, found)
    inf = np.inf
    assert seen == [([[0.5], [inf], [inf], [0.5]], [[8], [-1], [-1], [8]], [1, 0, 0, 1])]


def test_ctrl_c_is_no_failure_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Card):
        def _counting(self, name: str) -> Callable[..., None]:
            def loop(*_: Any) -> None:
                raise KeyboardInterrupt

            return super()._counting(name) if name == "fill" else loop

    pretend(monkeypatch, card=Interrupted)
    with pytest.raises(KeyboardInterrupt):
        devices.kernels("auto", 1e15).extremes()


# --- processes


def test_a_child_of_fork_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = pretend(monkeypatch)
    devices.kernels("cuda")
    ours = devices.kernels("auto", 1e15)
    assert driver.processes == [os.getpid()]
    monkeypatch.setattr(os, "getpid", lambda: 0)
    driver.started = 3
    with pytest.raises(RuntimeError, match="was forked from one that had used CUDA"):
        devices.kernels("cuda")
    assert devices.kernels("auto", 1e15) is cpu
    assert driver.processes[1:] == [0]
    Card.used.clear()
    ours.class_entropies(np.zeros(3), np.array([0, 2, 3]), 1.0, np.zeros(3))
    assert not Card.used
    driver.started = 0
    monkeypatch.setattr(os, "getpid", lambda: 1)
    devices.kernels("cuda")
    assert Card.made == [0, 0]


def test_the_processor_loads_nothing_of_cuda() -> None:
    said = output(
        """
from greyknn import device, gpu, impute
assert "numba" not in sys.modules
gpu._load = lambda: sys.exit("looked for a driver")
filled()
gpu._load = lambda: (_ for _ in ()).throw(OSError("no driver"))
device.kernels("auto", 1e15)
print([name for name in sys.modules if "cuda" in name.split(".")])
"""
    )
    assert said == "[]\n"


def test_this_machine_has_a_driver_or_says_so() -> None:
    """The only test that asks the real library, in a process of its own."""
    said = output("from greyknn import gpu\nhere = gpu.machine()\nprint(here.gpus, here.trouble)")
    assert ("Gpu(index=0" in said) is (said.strip().endswith("None"))
