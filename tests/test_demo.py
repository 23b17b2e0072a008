"""The guided run and its picture: what they show is what the imputer did."""

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import palmerpenguins
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from greyknn import METHODS, GreyKNNImputer, Method, demo
from greyknn.plot import overview

IKNN = Method("heom", weights="none", partition=False, average="weighted")


def penguins() -> tuple[pd.DataFrame, pd.Series]:
    """Every gap of the table; but few of its rows where the kernels are interpreted."""
    table = palmerpenguins.load_penguins()
    if numba.config.DISABLE_JIT:
        table = table[table.isna().any(axis=1) | (table.index % 5 == 0)].reset_index(drop=True)
    return table, table["species"]


class Told(NamedTuple):
    text: str
    path: Path
    X: pd.DataFrame
    y: pd.Series
    imputer: GreyKNNImputer

    def part(self, number: int) -> str:
        return self.text.split(f"\n{number}. ")[1].split(f"\n{number + 1}. ")[0]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    table, y = penguins()
    X = table.drop(columns="species")
    stdout = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(stdout):
        patch.setattr(palmerpenguins, "load_penguins", table.copy)
        patch.setenv("COLUMNS", "120")
        if numba.config.DISABLE_JIT:
            patch.setattr(demo, "REPEATS", 2)
        path = demo.run(tmp_path_factory.mktemp("demo") / "new" / "folder")
    return Told(stdout.getvalue(), path, X, y, GreyKNNImputer().fit(X, y))


def test_text_is_plain_and_narrow(told: Told) -> None:
    assert "\x1b" not in told.text
    lines = told.text.splitlines()
    assert max(len(line) for line in lines if str(told.path) not in line) <= 80
    assert [line[0] for line in lines if re.match(r"\d\. ", line)] == list("12345")


def test_tells_what_is_missing(told: Told) -> None:
    rows = [line.split() for line in told.part(1).splitlines()]
    found = {row[0]: (row[1], row[-2], row[-1]) for row in rows if row and row[0] in told.X}
    assert found == {
        name: (
            "number" if name in told.X.select_dtypes("number") else "category",
            str(told.X[name].isna().sum()),
            f"{told.X[name].isna().mean():.1%}",
        )
        for name in told.X
    }
    assert f"all {told.X.shape[1]} " in told.part(1)
    assert f" {len(told.X)} rows" in told.part(1)


def test_tells_what_was_chosen(told: Told) -> None:
    text = told.part(2)
    k = told.imputer.n_neighbors_
    assert "cgknn" in text
    assert f"k = {k}," in text
    assert f"{k}: {told.imputer.selection_errors_[k - 1]:.1%}" in text
    found = dict(re.findall(r"(\w+) +━*╸? +(0\.\d{3})\s*\n", text))
    weights = told.imputer.feature_weights_
    assert found == {n: f"{w:.3f}" for n, w in zip(told.X, weights, strict=True)}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    deltas = ", then ".join(f"{delta:.2g}" for delta in told.imputer.convergence_)
    assert f"{told.imputer.n_iter_}; filled cells changed by {deltas}" in text


def test_tells_the_donors_of_filled_cells(told: Told) -> None:
    filled = GreyKNNImputer().fit_transform(told.X, told.y)
    cells: dict[tuple[int, str], list[list[str]]] = {}
    for fields in map(str.split, told.part(3).splitlines()):
        if len(fields) == 7 and fields[0].isdigit() and fields[1] in told.X:
            cell = int(fields[0]), fields[1]
            cells[cell] = []
            assert pd.isna(told.X.loc[cell])
            value = filled.loc[cell]
            assert fields[2] == (value if isinstance(value, str) else f"{value:.5g}")
        if len(fields) in (4, 7) and fields[-1].endswith("%"):
            cells[cell].append(fields[-4:])
    assert len(cells) == 6
    assert {name for _, name in cells} == set(told.X.columns[told.X.isna().any()])
    for cell, donors in cells.items():
        assert donors == [
            [
                str(donor.row),
                donor.value if isinstance(donor.value, str) else f"{donor.value:.5g}",
                f"{donor.distance:.3f}",
                f"{donor.weight:.1%}",
            ]
            for donor in told.imputer.explain(*cell)[:3]
        ]
    assert f"row {cell[0]} is {told.y[cell[0]]}, and its {cell[1]} was missing" in " ".join(
        told.part(3).split()
    )


def test_compares_every_method_and_marks_the_best(told: Told) -> None:
    rows = re.findall(
        r"^ +(?:greyknn )?(\S+|class mean/mode) +(yes|no)"
        r" +([\d.]+)( \*)? +([\d.]+)%( \*)? +[\d.]+ *$",
        told.part(4),
        re.MULTILINE,
    )
    sees_class = {row[0]: row[1] for row in rows}
    assert list(sees_class) == [*METHODS, "KNNImputer", "class mean/mode", "mean/mode"]
    assert [name for name, sees in sees_class.items() if sees == "no"] == ["iknn", "mean/mode"]
    for value, mark in ((2, 3), (4, 5)):
        least = min(float(row[value]) for row in rows)
        assert [row[0] for row in rows if row[mark]] == [
            row[0] for row in rows if float(row[value]) == least
        ]
    errors = {row[0]: (float(row[2]), float(row[4])) for row in rows}
    assert errors["cgknn"] < errors["mean/mode"]
    assert errors["KNNImputer"] < errors["mean/mode"]


def test_picture_is_written_whole(told: Told) -> None:
    assert list(told.path.parent.iterdir()) == [told.path]
    assert str(told.path) in told.part(5)
    head = told.path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert struct.unpack(">II", head[16:]) == (1500, 1125)
    assert 20_000 < told.path.stat().st_size < 500_000


def test_errors_of_known_fills() -> None:
    X = pd.DataFrame({"a": [0.0, 10, 5], "b": ["x", "y", "y"], "c": [0.0, 2, 1]})
    filled = pd.DataFrame({"a": [0.0, 7, 9], "b": ["y", "x", "y"], "c": [2.0, 2, 1]})
    hidden = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0]], dtype=bool)
    rmse, wrong = demo._errors(X, filled, hidden)
    assert rmse == pytest.approx(np.sqrt((0.3**2 + 1.0**2) / 2))
    assert wrong == 0.5


def test_baselines_fill_what_they_should() -> None:
    X = pd.DataFrame(
        {
            "a": [1.0, 3, np.nan, 10, 20, np.nan],
            "b": ["x", "x", None, "y", "z", "z"],
        }
    )
    y = pd.Series(list("ppppqq"))
    of_all = demo._fillers()["mean/mode"][0](X, y)
    assert of_all["a"].tolist() == [1, 3, 8.5, 10, 20, 8.5]
    of_class = demo._fillers()["class mean/mode"][0](X, y)
    assert of_class["a"].tolist() == pytest.approx([1, 3, 14 / 3, 10, 20, 20])
    assert of_class["b"].tolist() == ["x", "x", "x", "y", "z", "z"]


def test_knn_imputer_goes_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "N_NEIGHBORS", 1)
    X = pd.DataFrame(
        {
            "a": [1.0, 3, np.nan, 10, 20],
            "b": ["z", None, "y", "x", "x"],
            "c": [5.0, 6, 7, 7, 9],
        }
    )
    filled = demo._fill_by_sklearn(X, pd.Series(list("ppqqq")))
    assert filled["a"].tolist() == pytest.approx([1, 3, 10, 10, 20])  # like row 3, its class
    assert filled["b"].tolist() == ["z", "z", "y", "x", "x"]
    assert filled["c"].tolist() == pytest.approx(X["c"].tolist())


@pytest.mark.parametrize("lost", ["palmerpenguins", "matplotlib.figure"])
def test_demo_names_its_extra(lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, lost, None)
    with pytest.raises(ImportError, match=rf'needs {lost}.*pip install "greyknn\[demo\]"'):
        demo.run(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_no_half_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def savefig(self, path: Path, **_: Any) -> None:
            path.write_bytes(b"half")
            raise OSError("disk full")

    table, _ = penguins()
    monkeypatch.setattr(palmerpenguins, "load_penguins", table.copy)
    monkeypatch.setattr(demo, "_fillers", dict)
    monkeypatch.setattr(demo, "_compare", lambda *_: None)
    monkeypatch.setattr(demo, "overview", lambda _: Broken())
    with pytest.raises(OSError, match="disk full"):
        demo.run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_import_is_light() -> None:
    code = (
        "import sys, greyknn.demo, greyknn.plot\n"
        "assert not {'matplotlib', 'palmerpenguins'} & set(sys.modules)\n"
        "import numpy as np\n"
        "imputer = greyknn.GreyKNNImputer(n_neighbors=1).fit(np.eye(3))\n"
        "greyknn.plot.overview(imputer)\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    there = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=there)
    assert ran.returncode == 0, ran.stderr


# The picture


def gappy(n_rows: int = 40, n_columns: int = 4) -> Any:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n_rows, n_columns))
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


class Panels(NamedTuple):
    gaps: Any
    weights: Any
    convergence: Any

    @classmethod
    def of(cls, imputer: GreyKNNImputer) -> "Panels":
        figure = overview(imputer)
        figure.savefig(io.BytesIO(), format="png")  # warns of what cannot be drawn
        titled = {axes.get_title(loc="left").split(" ")[0]: axes for axes in figure.axes}
        return cls(titled["Gaps"], titled["Column"], titled["Change"])


def texts(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


def test_overview_of_an_array() -> None:
    X = gappy()
    imputer = GreyKNNImputer(n_neighbors=3).fit(X, ["a", "b"] * 20)
    figure = overview(imputer)
    assert figure.get_suptitle() == (
        f"{np.isnan(X).sum()} gaps in 40 rows and 4 columns, filled by greyknn (cgknn, k = 3)"
    )
    gaps, weights, convergence = Panels.of(imputer)
    np.testing.assert_array_equal(gaps.images[0].get_array(), np.isnan(X).T)
    assert texts(gaps.get_yticklabels()) == list("0123")
    counts = texts(gaps.child_axes[0].get_yticklabels())
    assert counts == [f"{n} ({n / 40:.1%})" for n in np.isnan(X).sum(axis=0)]
    order = np.argsort(imputer.feature_weights_)
    np.testing.assert_array_equal(
        [bar.get_width() for bar in weights.patches], imputer.feature_weights_[order]
    )
    assert texts(weights.get_yticklabels()) == [str(i) for i in order]
    line, zeros, tolerance = convergence.lines
    deltas = imputer.convergence_
    np.testing.assert_array_equal(line.get_xdata(), 1 + np.arange(len(deltas)))
    np.testing.assert_array_equal(line.get_ydata()[deltas > 0], deltas[deltas > 0])
    assert len(zeros.get_xdata()) == (deltas == 0).sum()
    assert tolerance.get_ydata() == [imputer.tol] * 2
    assert convergence.get_yscale() == "log"


def test_overview_of_weights_for_every_target(told: Told) -> None:
    imputer = GreyKNNImputer("fwgknn", n_neighbors=3).fit(told.X, told.y)
    weights = Panels.of(imputer).weights
    np.testing.assert_array_equal(weights.images[0].get_array(), imputer.feature_weights_)
    assert texts(weights.get_yticklabels()) == texts(weights.get_xticklabels()) == list(told.X)


def test_overview_of_many_rows_and_columns() -> None:
    X = np.random.default_rng(5).normal(size=(1500, 25))
    X[[300, 301, 302, 1400], 7] = X[301, 24] = np.nan
    imputer = GreyKNNImputer(IKNN, n_neighbors=2, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        imputer.fit(X)
    assert "(own method, k = 2)" in overview(imputer).get_suptitle()
    gaps, weights, convergence = Panels.of(imputer)
    shares = gaps.images[0].get_array() ** 2
    assert shares.shape == (25, 1000)
    pairs = X[:1000].reshape(500, 2, 25)  # of 1500 rows, the first 500 bins have two
    np.testing.assert_allclose(shares[:, :500], np.isnan(pairs).mean(axis=1).T)
    np.testing.assert_allclose(shares[:, 500:], np.isnan(X[1000:]).T)
    assert gaps.get_xlim() == (0, 1500)
    assert gaps.child_axes == []
    assert "1,000 bins" in gaps.get_title(loc="left")
    assert len(weights.patches) == 20
    assert "not settled" in convergence.get_title(loc="left")


def test_overview_has_the_largest_of_many_weights() -> None:
    imputer = GreyKNNImputer(n_neighbors=2).fit(gappy(40, 22), ["a", "b"] * 20)
    weights = Panels.of(imputer).weights
    largest = np.sort(imputer.feature_weights_)[2:]
    np.testing.assert_array_equal([bar.get_width() for bar in weights.patches], largest)
    assert "largest" in weights.get_title(loc="left")


def test_overview_of_many_targets_has_no_names() -> None:
    weights = Panels.of(GreyKNNImputer("fwgknn", n_neighbors=2).fit(gappy(60, 21))).weights
    assert weights.images[0].get_array().shape == (21, 21)
    assert len(weights.get_yticks()) < 21


def test_overview_without_gaps_or_tolerance() -> None:
    imputer = GreyKNNImputer(n_neighbors=1, tol=0).fit(np.eye(3))
    gaps, _, convergence = Panels.of(imputer)
    assert not gaps.images[0].get_array().any()
    assert convergence.lines[0].get_ydata()[0] > 0  # drawn, though log(0) is not
    assert texts(convergence.texts) == ["  0"]


def test_overview_of_odd_names_and_empty_columns() -> None:
    X = pd.DataFrame(gappy(), columns=["$a_$", "x" * 50, "none", "last"])
    X["none"] = np.nan
    with pytest.warns(UserWarning, match="stay empty"):
        imputer = GreyKNNImputer(n_neighbors=1, keep_empty_features=True).fit(X)
    gaps = Panels.of(imputer).gaps
    assert texts(gaps.get_yticklabels()) == [r"\$a_\$", "x" * 20, "last"]


def test_overview_needs_a_fit() -> None:
    with pytest.raises(NotFittedError):
        overview(GreyKNNImputer())


def test_overview_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imputer = GreyKNNImputer(n_neighbors=1).fit(np.eye(3))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "greyknn\[plot\]"'):
        overview(imputer)
