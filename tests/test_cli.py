"""The shell command: what it fills, what it says, how it fails."""

import gzip
import inspect
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import greyknn
from greyknn import files, shell
from greyknn.cli import main
from greyknn.files import separated
from greyknn.files.arrows import ArrowTable
from greyknn.files.texts import TextTable
from greyknn.imputer import GreyKNNImputer

PENGUINS = """\
species,island,bill,mass,zip,when
Adelie,Torgersen,39.1,3750,007,2007-11-11
Adelie,,39.5,3800,007,2007-11-12
Adelie,Torgersen,NA,3250,010,
Gentoo,Biscoe,46.1,,010,2007-11-13
Gentoo,Biscoe,50.05,5700,010,2007-11-14
,Biscoe,48.7,4450,,2007-11-15
"""
PROGRAM = [sys.executable, "-W", "error", "-c", "from greyknn.cli import main; main()"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(PENGUINS)
    return tmp_path


def greyknn_(*args: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, args, prog_name="greyknn", input=stdin)


def impute(*args: str, stdin: bytes | None = None) -> Result:
    return greyknn_("impute", "data.csv", "--ignore", "when", "-k", "1", *args, stdin=stdin)


def rows(path: str) -> list[list[str]]:
    table = files.read(path)
    assert isinstance(table, TextTable)
    return [list(row) for row in zip(*table.columns.values(), strict=True)]


def spawn(*args: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PROGRAM, *args], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, **options,
    )  # fmt: skip


# --- what it does -----------------------------------------------------------------------------


def test_a_table_is_filled(home: Path) -> None:
    result = impute("--target", "species", "--output", "filled.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    # Gaps take the nearest row of their species; the unlabelled row takes the nearest of all.
    assert Path("filled.csv").read_text() == PENGUINS.replace(
        "Adelie,,", "Adelie,Torgersen,"
    ).replace("NA,3250", "39.1,3250").replace("46.1,,", "46.1,5700,").replace("4450,,", "4450,010,")
    assert sorted(path.name for path in home.iterdir()) == ["data.csv", "filled.csv"]


def test_the_summary_is_on_stderr(home: Path) -> None:
    result = impute("--target", "species", "--output", "filled.csv")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("filled.csv: 6 rows in ")
    assert lines[1] == "  filled   4 gaps: island 1, bill 1, mass 1, zip 1"
    assert lines[2] == "  method   cgknn, k = 1"
    assert lines[3].startswith("  converged after ")
    assert len(lines) == 4
    assert impute("--output", "quiet.csv", "--quiet").stderr == ""


def test_the_summary_tells_how_k_was_chosen(home: Path) -> None:
    chosen = greyknn_("impute", "data.csv", "--ignore", "when", "-o", "a.csv", "-t", "species")
    assert ", which predicts species best (" in chosen.stderr
    chosen = greyknn_("impute", "data.csv", "--ignore", "when", "-o", "b.csv")
    assert ", which restores hidden cells best" in chosen.stderr
    chosen = greyknn_(
        "impute", "data.csv", "--ignore", "when", "-o", "c.csv", "-t", "species", "-k", "masked"
    )
    assert ", which restores hidden cells best" in chosen.stderr


def test_the_summary_names_the_columns_with_most_gaps(home: Path) -> None:
    names = [f"c{j}" for j in range(10)]
    lines = [",".join("" if j > i else str(i + j) for j in range(10)) for i in range(10)]
    Path("data.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    result = greyknn_("impute", "data.csv", "-o", "filled.csv", "-k", "1")
    assert "45 gaps: c9 9, c8 8, c7 7, c6 6, c5 5, c4 4, c3 3, c2 2, and 1 column" in result.stderr


def test_options_reach_the_engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def spy(self: GreyKNNImputer, X: Any, y: Any) -> Any:
        seen.append({**self.get_params(), "y": y, "X": X})
        raise ValueError("seen enough")

    monkeypatch.setattr(GreyKNNImputer, "fit_transform", spy)
    impute(
        "-o", "o.csv", "-t", "species", "--method", "iknn", "-k", "7", "--device", "cpu",
        "--metric-on", "imputed", "--donors", "observed", "--rho", "0.3", "--tol", "0.01",
        "--max-iter", "5", "--seed", "9", "--categorical", "mass", "--numeric", "zip,bill",
        "--label-use", "cross-fit",
    )  # fmt: skip
    told = seen[0]
    y, X = told.pop("y"), told.pop("X")
    assert told == {
        "method": "iknn", "n_neighbors": 7, "device": "cpu", "metric_on": "imputed",
        "donors": "observed", "rho": 0.3, "tol": 0.01, "max_iter": 5, "random_state": 9,
        "label_use": "cross-fit",
        "categorical_features": [0, 2], "keep_empty_features": False, "verbose": 1,
    }  # fmt: skip
    assert y == ["Adelie", "Adelie", "Adelie", "Gentoo", "Gentoo", None]
    np.testing.assert_array_equal(X[:, 3], [7, 7, 10, 10, 10, np.nan])
    greyknn_("impute", "data.csv", "--ignore", "when", "-o", "o.csv")
    defaults = {**GreyKNNImputer().get_params(), "categorical_features": [0, 1, 4], "verbose": 1}
    assert {name: seen[1][name] for name in defaults} == defaults
    assert seen[1]["y"] is None


def test_columns_are_named_one_by_one_or_by_commas(home: Path) -> None:
    Path("data.csv").write_text('"a,b",c,d,e\n1,2020-01-01,x,1\n,2020-01-01,,2\n')
    result = greyknn_(
        "impute", "data.csv", "-o", "o.csv", "-k", "1", "--id", "a,b", "--ignore", "c,d"
    )
    assert result.exit_code == 0, result.stderr
    assert Path("o.csv").read_text() == Path("data.csv").read_text()


def test_other_missing_texts_are_filled(home: Path) -> None:
    Path("data.csv").write_text("a,b\n1,x\n ? ,x\n-9,y\n5,y\n")
    result = greyknn_(
        "impute", "data.csv", "-o", "o.csv", "-k", "1", "--missing", "?", "--missing", "-9"
    )
    assert result.exit_code == 0, result.stderr
    assert rows("o.csv") == [["1", "x"], ["1", "x"], ["5", "y"], ["5", "y"]]


def test_a_pipe_of_csv(home: Path) -> None:
    result = CliRunner().invoke(
        main,
        ["impute", "-", "-o", "-", "-k", "1"],
        input="a;b\r\n1;x\r\n;x\r\n",
        prog_name="greyknn",
    )
    assert result.stdout_bytes == b"a;b\r\n1;x\r\n1;x\r\n"
    assert "-: 2 rows in" in result.stderr
    assert list(home.iterdir()) == [home / "data.csv"]


def test_gzip_in_and_out(home: Path) -> None:
    Path("data.tsv.gz").write_bytes(gzip.compress(b"a\tb\n1\tx\n\tx\n"))
    result = greyknn_("impute", "data.tsv.gz", "-o", "o.tsv.gz", "-k", "1")
    assert result.exit_code == 0, result.stderr
    assert gzip.decompress(Path("o.tsv.gz").read_bytes()) == b"a\tb\n1\tx\n1\tx\n"


def test_separators_by_name(home: Path) -> None:
    Path("data.csv").write_text("a b,c\n1 x\n NA\n")
    result = greyknn_("impute", "data.csv", "-o", "o.csv", "-k", "1", "--separator", "space")
    assert result.exit_code == 0, result.stderr
    assert Path("o.csv").read_text() == "a b,c\n1 x\n1 x\n"


def test_a_table_without_gaps_is_copied(home: Path) -> None:
    Path("data.csv").write_text("a,b\n1,x\n2,y\n")
    result = greyknn_("impute", "data.csv", "-o", "o.csv")
    assert result.exit_code == 0
    assert "no gaps, so nothing was filled" in result.stderr
    assert Path("o.csv").read_text() == "a,b\n1,x\n2,y\n"


def test_the_input_is_replaced_by_force(home: Path) -> None:
    refused = impute("-o", "data.csv")
    assert refused.exit_code == 2
    assert Path("data.csv").read_text() == PENGUINS
    for option in ("--force", "--overwrite", "-f"):
        assert impute("-o", "data.csv", option).exit_code == 0
    assert "Adelie,Torgersen,39.5" in Path("data.csv").read_text()


@pytest.mark.parametrize("name", ["filled.parquet", "filled.feather"])
def test_arrow_files_keep_their_types(home: Path, name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = pa.table(
        {
            "n": pa.array([1, None, 3, 3], pa.int16()),
            "d": pa.array(["x", "x", None, "y"]).dictionary_encode(),
            "b": [True, None, False, False],
            "when": pa.array([0, 1, 2, None], pa.timestamp("us")),
            "y": ["u", "u", "v", "v"],
        }
    ).replace_schema_metadata({"origin": "here"})
    pyarrow.parquet.write_table(table, "data.parquet")
    result = greyknn_(
        "impute", "data.parquet", "-o", name, "-t", "y", "--ignore", "when", "-k", "1"
    )
    assert result.exit_code == 0, result.stderr
    filled = files.read(name)
    assert isinstance(filled, ArrowTable)
    assert filled.table.schema.equals(table.schema, check_metadata=True)
    assert filled.table.to_pydict() == {
        **table.to_pydict(), "n": [1, 1, 3, 3], "d": ["x", "x", "y", "y"],
        "b": [True, True, False, False],
    }  # fmt: skip


def test_an_index_of_pandas_takes_no_part(home: Path) -> None:
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, None, 3.0]}, index=pd.Index(["p", "q", None], name="key"))
    frame.to_parquet("data.parquet")
    result = greyknn_("impute", "data.parquet", "-o", "filled.parquet")
    assert result.exit_code == 0, result.stderr
    filled = pd.read_parquet("filled.parquet")
    assert filled.index.equals(frame.index)
    assert filled["a"].tolist() == [1.0, 2.0, 3.0]


def test_columns_without_a_value_are_kept_empty(home: Path) -> None:
    Path("data.csv").write_text("a,b\n1,\n2,NA\n,\n")
    result = greyknn_("impute", "data.csv", "-o", "o.csv", "--keep-empty", "-q")
    assert result.exit_code == 0
    assert result.stderr == ("greyknn: warning: Left empty, without any value to fill from: 'b'.\n")
    assert [row[1] for row in rows("o.csv")] == ["", "NA", ""]
    assert rows("o.csv")[2][0] != ""


TEXTS = st.one_of(
    st.sampled_from(["", "NA", "1", "1.10", "-2e3", "007", " 3 ", "true", "x", 'q"', "1,a"]),
    st.text(st.sampled_from('ab,;"\r\n é漢'), max_size=4),
)


@given(
    st.integers(1, 3).flatmap(
        lambda p: st.lists(st.lists(TEXTS, min_size=p, max_size=p), min_size=2, max_size=8)
    )
)
def test_observed_cells_keep_their_text_and_gaps_are_filled(cells: list[list[str]]) -> None:
    table = TextTable({f"c{j}": list(x) for j, x in enumerate(zip(*cells, strict=True))})
    with tempfile.TemporaryDirectory() as home:
        with files.replacing(f"{home}/in.csv") as handle:
            separated.write(table, handle, ",")
        result = greyknn_(
            "impute", f"{home}/in.csv", "-o", f"{home}/out.csv", "--keep-empty",
            "-k", "1", "--separator", ",",
        )  # fmt: skip
        empty = [name for name in table.names if table.missing(name).all()]
        if len(empty) == len(table.names):
            assert result.exit_code == 2
            return
        assert result.exit_code == 0, result.stderr
        filled = rows(f"{home}/out.csv")
    assert len(filled) == len(cells)
    for name, *column in zip(table.names, *filled, strict=True):
        gaps = table.missing(name)
        for old, new, gap in zip(table.columns[name], column, gaps, strict=True):
            assert old == new if not gap or name in empty else new.strip() not in table.gaps


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["-o", "o.csv", "-t", "kind"],
            "--target 'kind': there is no such column, but 'species', ",
        ),
        (["-o", "o.csv", "-t", "when"], "--target 'when' is among --ignore too"),
        (["-o", "o.csv", "--ignore", "x,y"], "--ignore 'x': there is no such column"),
        (["-o", "o.csv", "--numeric", "x"], "--numeric 'x': there is no such column"),
        (["-o", "o.csv", "--categorical", "x"], "--categorical 'x': there is no such column"),
        (
            ["-o", "o.csv", "--categorical", "zip", "--numeric", "zip"],
            "--categorical and --numeric both name 'zip'",
        ),
        (["-o", "o.csv", "--numeric", "island"], "'Torgersen' in line 2, which is no number"),
        (["-o", "data.csv"], "data.csv exists: name another --output, or replace it with --force"),
        (["-o", "nope/o.csv"], "there is no folder"),
        (["-o", "o.xlsx"], "o.xlsx: greyknn reads and writes .csv"),
        (["-o", "o.csv", "--encoding", "klingon"], "--encoding klingon is unknown"),
        (["-o", "o.csv", "--encoding", "utf-16"], "data.csv: "),
        (["-o", "o.csv", "--ignore", "species,island,bill,mass,zip"], "no column is left to fill"),
        ([], "Missing option '-o' / '--output'. See: greyknn impute --help"),
        (["-o", "o.csv", "-k", "0"], "'0' is neither a number from 1 on nor cv nor masked"),
        (["-o", "o.csv", "-k", "1.5"], "'1.5' is neither a number"),
        (["-o", "o.csv", "-k", "-1"], "'-1' is neither a number"),
        (["-o", "o.csv", "--method", "knn"], "'knn' is not one of 'cgknn'"),
        (["-o", "o.csv", "--rho", "0"], "'--rho': 0.0 is not in the range x>0"),
        (["-o", "o.csv", "--tol", "-1"], "'--tol'"),
        (["-o", "o.csv", "--max-iter", "0"], "'--max-iter'"),
        (["-o", "o.csv", "--seed", "-1"], "'--seed'"),
        (["-o", "o.csv", "--separator", ";;"], "';;' is not one character, nor comma, semicolon"),
        (["-o", "o.csv", "--separator", '"'], "is not one character"),
        (["-o", "o.csv", "--device", "tpu"], "--device tpu is unknown"),
        (["-o", "o.csv", "--colour"], "No such option '--colour'"),
    ],
)
def test_bad_usage_is_one_line_and_leaves_nothing(
    home: Path, args: list[str], message: str
) -> None:
    result = impute(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("greyknn: error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert [path.name for path in home.iterdir()] == ["data.csv"]


@pytest.mark.parametrize(
    ("text", "args", "message"),
    [
        ("", [], "data.csv: the file is empty."),
        ("a,b\n1\n", [], "data.csv: line 2 has 1 cell(s), but the header has 2"),
        (
            "a,b\n1,\n2,\n",
            [],
            "no value was observed in column 'b': leave it as it is with --keep-",
        ),
        ("a\n\n", ["--keep-empty"], "there is a header, but no rows"),
        ('a\n""\n', ["--keep-empty"], "no column is left to fill"),
        ("a,y\n1,\n2,NA\n", ["-t", "y"], "--target 'y' has no label in any row"),
        ("a,d\n1,2020-01-01\n", [], "'d' holds dates ('2020-01-01')"),
    ],
)
def test_bad_tables_are_one_line_and_leave_nothing(
    home: Path, text: str, args: list[str], message: str
) -> None:
    Path("data.csv").write_text(text)
    result = greyknn_("impute", "data.csv", "-o", "o.csv", *args)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("greyknn: error: ")
    assert [path.name for path in home.iterdir()] == ["data.csv"]


def test_an_output_that_cannot_be_is_told_before_the_input_is_read(home: Path) -> None:
    for output in ("o.xlsx", "nope/o.csv", "data.csv"):
        result = greyknn_("impute", "none.csv", "-o", output)
        assert result.stderr.startswith(f"greyknn: error: {output}")


def test_dates_in_arrow_files_are_refused_with_the_way_out(home: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = pa.table({"a": [1, None], "t": pa.array([0, 1], pa.timestamp("s"))})
    pyarrow.parquet.write_table(table, "data.parquet")
    result = greyknn_("impute", "data.parquet", "-o", "o.csv")
    assert result.exit_code == 2
    assert "'t' holds dates or times" in result.stderr
    assert result.stderr.endswith("Or leave the column as it is with --ignore.\n")
    assert result.stderr.count("\n") == 1


def test_a_device_that_is_not_there_fails(home: Path) -> None:
    result = impute("-o", "o.csv", "--device", "cuda")
    assert "--device cuda" in result.stderr or result.exit_code == 0
    assert result.exit_code in (0, 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("bad\nthing"), 2), (TypeError("bad thing"), 2), (ImportError("bad thing"), 2),
        (RuntimeError("bad thing"), 1), (OSError("bad thing"), 1), (MemoryError(), 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("traceback", [False, True])
def test_errors_of_the_engine_are_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, traceback: bool
) -> None:
    def fail(self: GreyKNNImputer, X: Any, y: Any) -> Any:
        raise error

    monkeypatch.setattr(GreyKNNImputer, "fit_transform", fail)
    result = impute("-o", "o.csv", *["--traceback"] * traceback)
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1] in (
        "greyknn: error: bad thing",
        "greyknn: error: MemoryError",
    )
    assert ("in fail" in result.stderr) == traceback
    assert (result.stderr.count("\n") > 1) == traceback
    assert [path.name for path in home.iterdir()] == ["data.csv"]


def test_an_error_that_nobody_foresaw_keeps_its_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: GreyKNNImputer, X: Any, y: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(GreyKNNImputer, "fit_transform", fail)
    result = impute("-o", "o.csv")
    assert isinstance(result.exception, KeyError)
    assert result.exit_code == 1
    assert [path.name for path in home.iterdir()] == ["data.csv"]


def test_a_failure_while_writing_leaves_the_old_output(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(table: Any, handle: Any, *_: Any) -> None:
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    Path("o.csv").write_text("before")
    monkeypatch.setattr(separated, "write", half)
    result = impute("-o", "o.csv", "--force")
    assert result.exit_code == 1
    assert result.stderr == "greyknn: error: [Errno 28] No space left on device\n"
    assert Path("o.csv").read_text() == "before"
    assert sorted(path.name for path in home.iterdir()) == ["data.csv", "o.csv"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def fail(self: GreyKNNImputer, X: Any, y: Any) -> Any:
        raise stop

    monkeypatch.setattr(GreyKNNImputer, "fit_transform", fail)
    result = impute("-o", "o.csv")
    assert result.exit_code == 130
    assert result.stderr.endswith("greyknn: interrupted\n")
    assert [path.name for path in home.iterdir()] == ["data.csv"]


# --- what it warns of -------------------------------------------------------------------------


def test_warnings_are_one_line(home: Path) -> None:
    result = greyknn_("impute", "data.csv", "--ignore", "when", "-o", "o.csv", "-k", "99", "-q")
    assert result.exit_code == 0
    assert result.stderr.startswith("greyknn: warning: --k 99 is more than the 5 other rows")
    assert result.stderr.count("\n") == 1
    result = impute("-o", "p.csv", "--max-iter", "1", "--tol", "0", "-q", "-t", "species")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("target", "warned"),
    [
        ([str(i) for i in range(30)], True),
        ([f"{i % 25}.5" for i in range(60)], True),
        ([str(i % 25) for i in range(60)], False),
        ([str(i % 15) for i in range(20)], False),
        ([f"{i % 15}.5" for i in range(60)], False),
    ],
)
def test_a_target_that_looks_like_no_class_gets_a_warning(
    home: Path, target: list[str], warned: bool
) -> None:
    lines = [f"{i % 7},{i % 3},{label}" for i, label in enumerate(target)]
    Path("data.csv").write_text("\n".join(["a,b,y", *lines, ",1,"]) + "\n")
    result = greyknn_("impute", "data.csv", "-t", "y", "-k", "1", "-o", "o.csv")
    assert result.exit_code == 0, result.stderr
    assert ("each is taken for a class of its own" in result.stderr) == warned


# --- the rest ---------------------------------------------------------------------------------


def test_version_and_help() -> None:
    assert greyknn_("--version").stdout == f"greyknn {greyknn.__version__}\n"
    for args in ([], ["--help"], ["-h"]):
        result = greyknn_(*args)
        assert result.exit_code == 0
        assert "greyknn impute data.csv --target species --output filled.csv" in result.stdout
    help_ = greyknn_("impute", "--help").stdout
    for option in [*inspect.signature(GreyKNNImputer).parameters, "target", "ignore", "missing"]:
        given = {
            "n_neighbors": "k", "categorical_features": "categorical", "random_state": "seed",
            "keep_empty_features": "keep-empty", "verbose": "quiet",
        }.get(option, option.replace("_", "-"))  # fmt: skip
        assert f"--{given}" in help_
    assert "zcat data.csv.gz | greyknn impute -" in help_


def test_an_unknown_command_is_refused() -> None:
    result = greyknn_("improve")
    assert result.exit_code == 2
    assert result.stderr.startswith("greyknn: error: No such command 'improve'.")
    assert result.stderr.endswith(" See: greyknn --help\n")


def test_demo_runs_in_its_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = pytest.importorskip("greyknn.demo")
    folders: list[Path] = []

    def run(folder: Path) -> Path:
        folders.append(folder)
        return folder / "picture.png"

    monkeypatch.setattr(demo, "run", run)
    assert greyknn_("demo").exit_code == 0
    assert greyknn_("demo", "--output", "there").exit_code == 0
    assert folders == [Path(), Path("there")]

    def fail(folder: Path) -> Path:
        raise ImportError('The demo needs palmerpenguins: pip install "greyknn[demo]".')

    monkeypatch.setattr(demo, "run", fail)
    result = greyknn_("demo")
    assert result.exit_code == 2
    assert result.stderr.startswith("greyknn: error: The demo needs palmerpenguins")


def test_quiet_work_shows_no_progress(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def spy(self: GreyKNNImputer, X: Any, y: Any) -> Any:
        seen.append(self.verbose)
        raise ValueError("seen enough")

    monkeypatch.setattr(GreyKNNImputer, "fit_transform", spy)
    impute("-o", "o.csv")
    impute("-o", "o.csv", "--quiet")
    assert seen == [1, 0]


def test_a_fill_that_is_written_like_a_missing_cell_is_a_fill(home: Path) -> None:
    Path("data.csv").write_text("a,b\n98,1\n100,1.1\n99,1.05\n98,1.02\n100,1.04\n")
    result = greyknn_("impute", "data.csv", "-o", "o.parquet", "--missing", "99", "--k", "2")
    assert result.exit_code == 0, result.output
    assert pq.read_table("o.parquet")["a"].to_pylist() == [98, 100, 99, 98, 100]


@pytest.mark.parametrize(("text", "code"), [("?", 0), ("inf", 2), ("-Infinity", 2), ("1e999", 2)])
def test_a_stray_text_among_numbers_is_told(home: Path, text: str, code: int) -> None:
    numbers = [str(number) for number in range(20)]
    numbers[7] = text
    Path("data.csv").write_text("age,b\n" + "".join(f"{number},1\n" for number in numbers))
    result = greyknn_("impute", "data.csv", "-o", "o.csv")
    assert result.exit_code == code
    expected = f"because of {text!r} in line 9" if code == 0 else f"has {text!r} in line 9"
    assert expected in result.stderr
    assert f"--missing {text!r}" in result.stderr


def test_version_and_help_need_no_numba() -> None:
    code = (
        "import sys; from greyknn.cli import main\n"
        "try: main(['{}'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numba', 'matplotlib', 'greyknn.demo') if m in sys.modules])"
    )
    for option in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(option)], capture_output=True, check=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == b"[]"


def test_the_program_itself(home: Path) -> None:
    with spawn("impute", "data.csv", "--ignore", "when", "-k", "1", "-o", "o.csv") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, b""), err
    assert err.startswith(b"o.csv: 6 rows in ")
    assert rows("o.csv")[1][1] == "Torgersen"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_program_itself_interrupted(home: Path) -> None:
    with spawn("impute", "-", "-o", "o.csv", stdin=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not list(home.glob(".greyknn-*.part")) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(2)  # its last imports; an interrupt there may come out as another error
        process.send_signal(signal.SIGINT)  # while it waits for its input
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b"\ngreyknn: interrupted\n"
    assert [path.name for path in home.iterdir()] == ["data.csv"]


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_the_program_itself_with_a_closed_pipe(home: Path) -> None:
    Path("data.csv").write_text("a,b\n" + "1,x\n" * 50_000 + ",x\n")
    with spawn("impute", "data.csv", "-k", "1", "-o", "-", "-q") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"a,b\n"
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert b"Traceback" not in err


def test_a_separator_has_a_name_or_is_one_character() -> None:
    assert [shell.separator(None, None, text) for text in (None, "tab", "\\t", "|")] == [
        None, "\t", "\t", "|",
    ]  # fmt: skip


def told(text: str, *options: str) -> tuple[int, str]:
    Path("t.csv").write_text(text)
    result = greyknn_("impute", "t.csv", "-o", "o.csv", "-q", "-f", *options)
    return result.exit_code, result.stderr


def column(*cells: str) -> str:
    return "x,n\n" + "".join(f'"{cell}",{row % 3}\n' for row, cell in enumerate(cells))


def test_commas_that_group_thousands_are_told(home: Path) -> None:
    prices = column("1,010", "850", "1,240", "")
    code, said = told(prices)
    assert code == 2
    assert "take the commas out if they group thousands" in said
    code, said = told(prices, "--decimal", ",")
    assert code == 0
    assert "is read as 1." in said


def test_what_may_be_a_missing_cell_is_told_with_the_option(home: Path) -> None:
    code, said = told(column("a", "?", "b", "a", "-", "b", ""))
    assert code == 0
    assert "holds '-', '?' in line 3" in said
    assert "--missing '-' --missing '?'" in said
    code, said = told(column(*"12345678", "-", "x"))
    assert "because of '-', 'x' in line 10" in said
    dates = [f"2020-01-{day:02}" for day in range(1, 29)]
    code, said = told(column(*dates, "?"))
    assert code == 2
    assert "holds dates ('2020-01-01')" in said


def test_na_may_be_a_value(home: Path) -> None:
    countries = "country,v\nNA,1\nDE,2\nFR,\nDE,4\n"
    assert told(countries)[0] == 0
    assert rows("o.csv")[0][0] == "DE"
    assert told(countries, "--keep-na")[0] == 0
    assert rows("o.csv")[0][0] == "NA"
    assert rows("o.csv")[2][1] != ""


def test_a_file_without_names_and_a_column_that_counts_are_told(home: Path) -> None:
    assert "holds numbers only" in told("1,2\n3,\n5,6\n")[1]
    counting = "id,v\n" + "".join(f"{row},{row % 5}\n" for row in range(100, 130)) + "130,\n"
    code, said = told(counting)
    assert code == 0
    assert "Column 'id' counts the rows" in said
    assert "--ignore 'id'" in said
    assert said.count("counts the rows") == 1
    assert "counts" not in told(counting, "--ignore", "id, ")[1]
