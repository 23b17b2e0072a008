"""The shell's --method deep: what the imputer is given, what is written, what is refused."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("torch")

import greyknn
from greyknn import deep, shell
from greyknn.cli import main
from greyknn.files import InputError, dates
from greyknn.files.texts import TextTable

BIRDS = """\
id,species,mass,bill,zip,when,seen
a1,Adelie,3750,39.1,007,11.12.2007,2007-12-11T08:00Z
a2,Adelie,,39.5,007,,2007-12-12T09:30Z
a3,,3250,,010,13.12.2007,
a4,Gentoo,5700,50.05,,14.12.2007,2007-12-14T10:00Z
"""


class Fake:
    """Takes the place of DeepImputer: keeps what it is given, and fills with what is known here."""

    made: list[Any]
    fills: dict[str, Any] = {  # noqa: RUF012
        "mass": 4000.4, "bill": 41.23456, "zip": "007",
        "when": pd.Timestamp("2007-12-31 00:00"), "seen": pd.Timestamp("2008-01-02 03:04"),
    }  # fmt: skip
    n_steps_ = 60
    report_: dict[str, Any] = {  # noqa: RUF012
        "mass": SimpleNamespace(n_cells=30, error=0.5, naive=1.0, calibration=None),
        "zip": SimpleNamespace(n_cells=30, error=0.25, naive=0.5, calibration=(0.1, 0.1)),
        "bill": SimpleNamespace(n_cells=0, error=np.nan, naive=np.nan, calibration=None),
        "when": SimpleNamespace(n_cells=9, error=0.1234, naive=1.0, calibration=None),
    }  # fmt: skip

    def __init__(self, **params: Any) -> None:
        self.params = params
        Fake.made.append(self)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        self.X, self.y = X, y
        return X.fillna({name: fill for name, fill in self.fills.items() if name in X})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(BIRDS)
    return tmp_path


@pytest.fixture
def fake(home: Path, monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    Fake.made = []
    monkeypatch.setattr(deep, "DeepImputer", Fake)
    return Fake


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args, prog_name="greyknn")


def impute(*args: str) -> Result:
    return run("impute", "data.csv", "--method", "deep", "-o", "o.csv", *args)


# --- what it does -----------------------------------------------------------------------------


def test_fills_are_written_as_their_columns_are(fake: type[Fake]) -> None:
    result = impute("--ignore", "id", "--target", "species")
    assert result.exit_code == 0, result.output
    assert (
        Path("o.csv").read_text()
        == """\
id,species,mass,bill,zip,when,seen
a1,Adelie,3750,39.1,007,11.12.2007,2007-12-11T08:00Z
a2,Adelie,4000,39.5,007,31.12.2007,2007-12-12T09:30Z
a3,,3250,41.235,010,13.12.2007,2008-01-02T03:04Z
a4,Gentoo,5700,50.05,007,14.12.2007,2007-12-14T10:00Z
"""
    )


def test_the_imputer_gets_a_frame_and_the_options(fake: type[Fake]) -> None:
    impute(
        "--ignore", "id", "--target", "species", "--categorical", "mass", "--device", "cpu",
        "--seed", "5", "--time-budget", "7.5", "--numeric", "zip",
    )  # fmt: skip
    [made] = fake.made
    assert made.params == {
        "types": {"mass": "categorical"}, "device": "cpu", "random_state": 5, "verbose": 1,
        "groups": None, "time": None, "time_budget": 7.5,
    }  # fmt: skip
    assert made.y == ["Adelie", "Adelie", None, "Gentoo"]
    assert list(made.X) == ["mass", "bill", "zip", "when", "seen"]
    assert made.X["mass"].tolist() == ["3750", None, "3250", "5700"]
    np.testing.assert_array_equal(made.X["bill"], [39.1, 39.5, np.nan, 50.05])
    np.testing.assert_array_equal(made.X["zip"], [7, 7, 10, np.nan])
    assert made.X["when"].dtype == made.X["seen"].dtype == "datetime64[us]"
    assert made.X["when"][3] == datetime.datetime(2007, 12, 14)
    assert made.X["seen"][1] == datetime.datetime(2007, 12, 12, 9, 30)
    assert made.X["when"].isna().tolist() == [False, True, False, False]


def test_labels_need_not_be_used(fake: type[Fake]) -> None:
    impute("--target", "species", "--label-use", "never", "--quiet")
    assert fake.made[0].y is None
    assert fake.made[0].params["verbose"] == 0


def test_the_summary_tells_what_to_expect(fake: type[Fake]) -> None:
    lines = impute("--ignore", "id", "--target", "species").stderr.splitlines()
    assert lines[0].startswith("o.csv: 4 rows in ")
    assert lines[1:] == [
        "  filled   5 gaps: mass 1, bill 1, zip 1, when 1, seen 1",
        "  method   deep, 60 steps; hidden cells were restored:",
        "    mass: 0.5 standard deviations off (the mean: 1)",
        "    bill: too few observed cells to tell",
        "    zip: 25.0% wrong (the most frequent: 50.0%)",
        "    when: 0.123 standard deviations off (the mean: 1)",
        "    seen: texts, copied from near rows",
    ]


def test_columns_that_name_series_are_passed_on_without_complaint(fake: type[Fake]) -> None:
    rows = [f"s{k},{k},{k % 3 or ''}\n" for k in range(30)]
    Path("data.csv").write_text("series,step,mass\n" + "".join(rows))
    result = impute("--groups", "series", "--time", "step")
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    assert fake.made[0].params["groups"] == "series"
    assert fake.made[0].params["time"] == "step"
    said = impute("--force").stderr
    assert "'series' has another text in every row" in said
    assert "'step' counts the rows" in said


def test_free_text_is_not_taken_for_names_of_rows(fake: type[Fake]) -> None:
    rows = [f"this is note {k},{k % 3 or ''}\n" for k in range(30)]
    Path("data.csv").write_text("note,mass\n" + "".join(rows))
    assert "warning" not in impute().stderr
    assert "another text in every row" in run("impute", "data.csv", "-o", "p.csv").stderr


def test_arrow_files_keep_their_types(home: Path) -> None:
    rng = np.random.default_rng(0)
    days = [datetime.date(2020, 1, 1 + k % 28) if k % 5 else None for k in range(40)]
    kinds = pa.array(rng.choice(["x", "y"], 40).tolist()).dictionary_encode()
    numbers = pa.array([k / 2 if k % 7 else None for k in range(40)])
    table = pa.table({"day": pa.array(days), "kind": kinds, "number": numbers})
    pq.write_table(table, "data.parquet")
    result = run(
        "impute", "data.parquet", "-o", "o.parquet", "--method", "deep", "--time-budget", "0.01"
    )
    assert result.exit_code == 0, result.output
    filled = pq.read_table("o.parquet")
    assert filled.schema.types == table.schema.types
    assert sum(column.null_count for column in filled.columns) == 0
    assert "number: " in result.stderr
    assert "day: " in result.stderr


@pytest.mark.jit
def test_series_with_dates_and_texts_are_filled(home: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["who,day,level,mood,note"]
    for k in range(60):
        level = "" if k % 7 == 0 else f"{np.sin(k / 5):.2f}"
        mood = "" if k % 11 == 0 else rng.choice(["up", "down"])
        note = "" if k % 13 == 0 else f"the note of day {k}"
        day = datetime.date(2021, 3, 1) + datetime.timedelta(k // 2)
        lines.append(f"{'ab'[k % 2]},{day},{level},{mood},{note}")
    Path("data.csv").write_text("\n".join(lines) + "\n")
    result = impute("--groups", "who", "--time", "day", "--time-budget", "0.1")
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    before, after = pd.read_csv("data.csv", dtype=str), pd.read_csv("o.csv", dtype=str)
    assert not after.isna().any(axis=None)
    assert after.where(before.notna()).equals(before)
    assert set(after["note"]) == set(before["note"].dropna())
    assert "note: texts, copied from near rows" in result.stderr


# --- dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "forms"),
    [
        (["2020-02-01", " 2020-12-31 "], ["%Y-%m-%d"]),
        (["2020/2/1", "2020/12/31"], ["%Y/%m/%d"]),
        (["01.02.2020", "31.12.2020"], ["%d.%m.%Y"]),
        (["01/02/2020", "12/31/2020"], ["%m/%d/%Y"]),
        (["01/02/2020", "12/11/2020"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["2020-02-01T12:30", "2020-02-01T12:31"], ["%Y-%m-%dT%H:%M"]),
        (["2020-02-01 12:30:59"], ["%Y-%m-%d %H:%M:%S"]),
        (["2020-02-01 12:30:59.25"], ["%Y-%m-%d %H:%M:%S.%f"]),
        (["2020-02-01T12:30:59Z"], ["%Y-%m-%dT%H:%M:%SZ"]),
        (["2020-02-01", "2020-02-01 12:30"], []),
        (["2020-02-30"], []),
        (["2020-02-01", "03.02.2020"], []),
        (["2020-02-01", "?"], []),
        (["2020-02-01T12:30+02:00"], []),
        (["12:30"], []),
        ([], []),
    ],
)
def test_formats_of_dates(texts: list[str], forms: list[str]) -> None:
    assert dates.formats_of(set(texts)) == forms
    for form, text in zip(forms[:1], texts):
        # Written again, it is the same point in time.
        assert dates.read(dates.read(text, form).strftime(form), form) == dates.read(text, form)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["01/02/2020", "03/04/2020"], "dates such as '01/02/2020', whose day and month cannot"),
        (["2020-02-01"] * 12 + [f"2020-02-{day:02}" for day in range(10, 21)] + ["?"],
         "dates such as '2020-02-01', but also '?', which is no date"),
        (["2020-02-01", "2020-02-02", "03.02.2020"], "such as '2020-02-01', but also '03.02.2020'"),
        (["2020-13-45"], "'2020-13-45', which is no date that is written in this way"),
    ],
)  # fmt: skip
def test_dates_that_cannot_be_read_are_refused(cells: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("?", r"\?")) as caught:
        TextTable({"d": cells}).framed(["d"], [], [])
    assert "--ignore 'd'" in str(caught.value)
    frame, categories = TextTable({"d": cells}).framed(["d"], ["d"], [])
    assert frame["d"].tolist() == cells
    assert categories == ["d"]


def test_dates_are_texts_elsewhere(fake: type[Fake]) -> None:
    result = run("impute", "data.csv", "-o", "o.parquet", "--method", "deep")
    assert result.exit_code == 0, result.output
    assert pq.read_table("o.parquet")["when"].to_pylist()[:2] == ["11.12.2007", "31.12.2007"]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-k", "3"], "--k means nothing to --method deep: leave it out."),
        (["--rho", "0.3"], "--rho means nothing to --method deep"),
        (["--tol", "0.001"], "--tol means nothing to --method deep"),
        (["--donors", "all"], "--donors means nothing to --method deep"),
        (["--label-use", "cross-fit"], "--label-use fit or never, not cross-fit."),
        (["--time-budget", "0"], "Invalid value for '--time-budget'"),
        (["--method", "gknn", "--groups", "id"], "--groups means nothing to --method gknn"),
        (["--method", "gknn", "--time-budget", "3"], "--time-budget means nothing to"),
        (["--groups", "who"], "--groups 'who': there is no such column, but 'id', 'species'"),
        (["--time", "when"], "--time 'when' is missing in 1 row(s), so that nobody knows where"),
        (["--time", "id", "--ignore", "id"], "--time 'id': the column is empty, or another option"),
        (["--groups", "species", "-t", "species"], "--groups 'species': the column is empty, or"),
    ],
)
def test_options_that_do_not_fit_are_refused(fake: type[Fake], args: list[str], said: str) -> None:
    result = impute(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "drop" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not fake.made
    assert not Path("o.csv").exists()


def test_a_device_that_cannot_work_is_refused_in_the_words_of_the_shell(home: Path) -> None:
    result = impute("--device", "tpu")
    assert result.exit_code in (1, 2)
    assert "device=" not in result.stderr
    assert "--device tpu" in result.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Use device='auto' or 'cpu'.", "Use --device auto or cpu."),
        ("Column 'a' (time=) is odd.", "Column 'a' (--time) is odd."),
        ("It is kept. A smaller lr may help.", "It is kept."),
    ],
)
def test_messages_are_in_the_words_of_the_shell(said: str, told: str) -> None:
    assert shell._line(said) == told


def test_without_torch_the_way_to_it_is_told_before_any_work(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "greyknn.deep")
    result = run("impute", "missing.csv", "-o", "o.csv", "--method", "deep")
    assert result.exit_code == 2
    assert 'pip install "greyknn[deep]"' in result.stderr
    assert "missing.csv" not in result.stderr


def test_help_imports_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys; from greyknn.cli import main\n"
        "try: main(['impute', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'sklearn', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert b"--time-budget" in done.stdout
    assert done.stdout.splitlines()[-1] == b"[]"


# --- compare ----------------------------------------------------------------------------------


@pytest.mark.jit
def test_compare_knows_the_deep_imputer() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    X = pd.DataFrame({"a": x, "b": 2 * x + 0.1 * rng.normal(size=80), "c": x > 0}).astype(
        {"c": object}
    )
    quick = greyknn.DeepImputer(members=2, hidden=8, max_steps=20, priors=["em"])
    results = greyknn.compare(
        X, None, methods={"quick": quick, "mean": "mean"}, rates=[0.2], repeats=1, classifiers={}
    )
    errors = results.groupby("method")["numeric_rmse"].mean()
    assert errors["quick"] < 0.5 * errors["mean"]


def test_compare_knows_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Mean(deep.DeepImputer):
        def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
            made.append(y)
            numbers = X.select_dtypes("number").mean()
            return X.fillna({**numbers, **X.select_dtypes("category").mode().iloc[0]})

    monkeypatch.setattr(deep, "DeepImputer", Mean)
    lines = [f"{k % 7},{'uv'[k % 2]},{'pq'[k % 2]}" for k in range(30)]
    Path("data.csv").write_text("\n".join(["a,b,c", *lines]) + "\n")
    result = run(
        "compare", "data.csv", "--methods", "deep,mean", "--repeats", "1", "--rates", "0.2",
        "--no-accuracy", "--target", "c",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert " deep " in result.stdout
    assert made
