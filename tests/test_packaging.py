"""What a user installs is what we mean to ship, and works away from the sources."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import greyknn

ROOT = Path(__file__).parent.parent

USE = """
import sys
import greyknn, greyknn_kernels
assert greyknn.__file__.startswith({target!r}), greyknn.__file__
assert greyknn_kernels.__file__.startswith({target!r}), greyknn_kernels.__file__
for name in ("kernels", "bench", "tests", "naive"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(name + " can be imported")
import numpy as np
filled = greyknn.impute(np.array([[1.0, 2.0], [1.0, np.nan], [5.0, 6.0]]), n_neighbors=1)
assert filled[1, 1] == 2.0
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return folder


def test_the_wheel_works_from_another_folder(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target",
         str(target), str(wheel)],
        check=True,
    )  # fmt: skip
    used = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE.format(target=str(target))],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": "", "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert used.returncode == 0, used.stderr


def test_wheel_and_sdist_hold_the_packages_and_no_more(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "greyknn").rglob("*.py")}
    modules |= {
        path.relative_to(ROOT / "kernels").as_posix() for path in (ROOT / "kernels").rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert {"greyknn/py.typed", "greyknn_kernels/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "kernels/greyknn_kernels/cpu/search.py",
    } <= files


def test_importing_imports_nothing_heavy() -> None:
    heavy = "torch dask matplotlib numba sklearn pandas polars pyarrow rich click"
    code = f"import sys, greyknn; print([name for name in {heavy.split()} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_package_runs_as_a_module() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "greyknn", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"greyknn {greyknn.__version__}\n"


def test_public_names() -> None:
    for name in greyknn.__all__:
        assert getattr(greyknn, name).__doc__
    assert set(greyknn.__all__) <= set(dir(greyknn))
    with pytest.raises(AttributeError, match="no attribute 'imputation'"):
        greyknn.imputation  # noqa: B018
