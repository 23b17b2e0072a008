"""What the doctor tells of machines that are not there, and the exit code."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import pytest
from click.testing import CliRunner, Result

import greyknn
from greyknn import device as devices
from greyknn import doctor
from greyknn.cli import main
from greyknn_kernels.cpu import threads
from programs import output
from test_device import CUDA13, H200, NO_DRIVER, P400, UNUSABLE, Card, Driver, pretend


@pytest.fixture(autouse=True)
def well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU, whose kernels are compiled and kept."""
    keep(monkeypatch, tmp_path / "kept" / "kernels")
    pretend(monkeypatch, NO_DRIVER)


def keep(monkeypatch: pytest.MonkeyPatch, folder: Any) -> None:
    loop = SimpleNamespace(_cache=SimpleNamespace(cache_path=folder and str(folder)))
    monkeypatch.setattr(doctor, "averaging", SimpleNamespace(majorities=loop))


def examined() -> Result:
    result = CliRunner().invoke(main, ["doctor"], prog_name="greyknn")
    assert result.stderr == ""
    return result


def fact(result: Result, label: str) -> str:
    """What is told of one thing; wrong things have a sign."""
    (line,) = [line for line in result.stdout.splitlines() if line[2:].startswith(label)]
    return (line[:2] + line[2 + len(label) :].lstrip()).strip()


def test_a_machine_without_a_gpu_is_well(tmp_path: Path) -> None:
    result = examined()
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"greyknn {greyknn.__version__}"
    assert result.stdout.splitlines()[-1] == "Nothing is wrong."
    assert "\n!" not in result.stdout
    assert "\033" not in result.stdout
    assert platform.python_version() in fact(result, "Python")
    assert platform.system() in fact(result, "platform")
    for package in ("numpy", "numba", "scipy", "scikit-learn"):
        version = doctor.metadata.version(package)
        assert f"{package} {version}" in fact(result, "packages")
    assert "none needed" in fact(result, "threading layer")
    assert fact(result, "device='cuda'").startswith("cannot be used: no NVIDIA driver was found")
    assert fact(result, "device='auto'") == "the processor, always"
    assert "driver " not in result.stdout.partition("GPU")[2].partition("device=")[0]


def test_the_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Cray-1: a real one\nflags\t: fpu\n")
    monkeypatch.setattr(doctor, "CPUINFO", cpuinfo)
    found = {"fma": True, "avx2": True, "avx512f": False, "neon": False, "sse": True}
    monkeypatch.setattr(doctor.llvm, "get_host_cpu_features", lambda: found)
    monkeypatch.setattr(doctor.llvm, "get_host_cpu_name", lambda: "cray")
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 64)
    result = examined()
    assert fact(result, "name") == "Cray-1: a real one (to the compiler cray)"
    assert fact(result, "vectors") == "avx2, fma"
    assert fact(result, "processors") == "64, of which this process may use 3"
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    cpuinfo.write_text("processor\t: 0\n")  # as on ARM
    assert fact(examined(), "name") == "vax (to the compiler cray)"
    cpuinfo.unlink()
    monkeypatch.delattr(doctor.os, "sched_getaffinity", raising=False)
    found.clear()
    result = examined()
    assert fact(result, "name") == "vax (to the compiler cray)"
    assert fact(result, "vectors") == "none of avx2, fma, avx512f, neon"
    assert fact(result, "processors") == "64, of which this process may use 64"


def test_threads_and_what_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "n_threads", lambda: 5)
    for name in doctor.LIMITS:
        monkeypatch.delenv(name, raising=False)
    assert fact(examined(), "threads") == "5, no limit by NUMBA_NUM_THREADS or OMP_NUM_THREADS"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert fact(examined(), "threads") == "5, limited by OMP_NUM_THREADS=5"
    monkeypatch.setattr(doctor, "n_threads", threads.n_threads)
    assert fact(examined(), "threads").startswith(f"{threads.n_threads()}, ")


# --- kept kernels


def test_kernels_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    result = examined()
    assert fact(result, "kernel cache") == f"{tmp_path / 'kept' / 'kernels'}, can be written"
    assert list((tmp_path / "kept" / "kernels").iterdir()) == []


@pytest.mark.parametrize("place", [None, "file", "file/kernels", "closed"])
def test_kernels_that_cannot_be_kept_are_wrong(
    place: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    (tmp_path / "file").touch()
    keep(monkeypatch, place and tmp_path / place)
    if place == "closed":  # which root may write nevertheless

        def refuse(dir: str) -> None:
            raise PermissionError(13, "Permission denied", dir)

        monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    result = examined()
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "Wrong, see above: kernel cache."
    told = fact(result, "kernel cache")
    assert told.startswith("! ")
    assert "NUMBA_CACHE_DIR" in told
    assert place is None or str(tmp_path / place) in told


def test_interpreted_kernels_need_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, None)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    result = examined()
    assert result.exit_code == 0
    assert "NUMBA_DISABLE_JIT" in fact(result, "kernels")
    assert "kernel cache" not in result.stdout


@pytest.mark.jit
def test_the_kernels_of_this_machine_are_kept_where_numba_keeps_them(tmp_path: Path) -> None:
    said = output(
        "from greyknn import doctor\nprint(doctor._kept_kernels())", NUMBA_CACHE_DIR=str(tmp_path)
    )
    (folder,) = tmp_path.iterdir()
    assert str(folder) in said
    assert "wrong=False" in said


# --- GPUs


def test_a_gpu_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Driver(version=13010))
    result = examined()
    assert result.exit_code == 0, result.stdout
    assert fact(result, "driver") == "for CUDA 13.1"
    assert fact(result, "GPU 0") == (
        "NVIDIA H200, compute capability 9.0, 140 GiB, 132 multiprocessors"
    )
    assert fact(result, "toolkit") == (
        "numba-cuda 0.30.4, cuda-bindings 13.0.3, nvvm 13.0.88, nvrtc 13.0.88, nvjitlink 13.0.88"
    )
    assert fact(result, "device='cuda'").startswith("works")
    assert "GPU 0 for large tables, as of 100,000 rows and 20" in fact(result, "device='auto'")
    assert "nearest" in Card.used  # it was really tried


def test_parts_of_different_versions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, packages=CUDA13 | {"nvidia-nvjitlink": "13.4.1"})
    result = examined()
    assert result.exit_code == 0
    assert fact(result, "toolkit").endswith("nvjitlink 13.4.1; of different versions: 13.0, 13.4")


PRESENT = {
    case: machine
    for case, (machine, name, _) in UNUSABLE.items()
    if name == "cuda" and case not in ("no driver", "no GPU", "no GPU to start with", "hidden GPU")
}


@pytest.mark.parametrize("case", PRESENT)
def test_a_gpu_that_cannot_be_used_is_wrong(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, **PRESENT[case])
    result = examined()
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "Wrong, see above: device='cuda'."
    with pytest.raises(RuntimeError) as refused:
        devices.kernels("cuda")
    assert f"! {refused.value}" in " ".join(result.stdout.split())
    assert fact(result, "device='auto'") == "the processor, always"


@pytest.mark.parametrize("case", ["no GPU", "no GPU to start with", "hidden GPU"])
def test_a_driver_without_a_gpu_is_not_wrong(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, **UNUSABLE[case][0])
    result = examined()
    assert result.exit_code == 0
    assert fact(result, "driver") == "for CUDA 13.0"
    assert "finds no GPU" in fact(result, "device='cuda'")


def test_each_of_several_gpus_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Driver(gpus=(H200, P400)))
    result = examined()
    assert result.exit_code == 1
    assert fact(result, "device='cuda:0'").startswith("works")
    assert fact(result, "device='cuda:1'").startswith("! cannot be used: Quadro P400 has compute")
    assert result.stdout.splitlines()[-1] == "Wrong, see above: device='cuda:1'."


def changed(loop: str, then: Callable[[Any], None]) -> type[Card]:
    """A card of which one loop does something else with what it wrote."""

    class Changed(Card):
        def _counting(self, name: str) -> Callable[..., None]:
            right = super()._counting(name)

            def wrong(*arguments: Any) -> None:
                right(*arguments)
                then(arguments)

            return wrong if name == loop else right

    return Changed


def test_a_gpu_that_fills_wrongly_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(arguments: Any) -> None:
        if len(arguments[-1]) > 1:  # else it is the proof, which would tell
            arguments[-1][...] += 1e-6

    pretend(monkeypatch, card=changed("fill", add))
    result = examined()
    assert result.exit_code == 1
    assert fact(result, "device='cuda'").startswith("! fills a small table otherwise")


def test_a_gpu_that_fails_at_work_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise ValueError("illegal\n  address")

    pretend(monkeypatch, card=changed("nearest", fail))
    result = examined()
    assert result.exit_code == 1
    assert fact(result, "device='cuda'") == "! fails: ValueError: illegal address"


def test_the_simulator_is_told_and_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in (NO_DRIVER, Driver(gpus=(H200, H200))):
        pretend(monkeypatch, driver)
        monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 1)
        result = examined()
        assert result.exit_code == 0
        assert "is numba's simulator" in fact(result, "device='cuda'")
        assert fact(result, "device='auto'") == "the processor, always"
        assert not Card.made


# --- the command


def test_help_waits_for_nothing() -> None:
    said = output(
        """
from greyknn.cli import main
try:
    main(["doctor", "--help"])
except SystemExit as end:
    print(end.code, [name for name in ("sklearn", "numba", "llvmlite") if name in sys.modules])
"""
    )
    assert "Tell what is found on this machine, and what is wrong." in said
    assert said.splitlines()[-1] == "0 []"


def test_several_things_can_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    keep(monkeypatch, None)
    pretend(monkeypatch, Driver(started=999))
    result = examined()
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "Wrong, see above: kernel cache, device='cuda'."
