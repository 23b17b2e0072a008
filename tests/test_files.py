"""Tables as files: no character lost, no file half-written, every refusal with a way out."""

import codecs
import gzip
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from greyknn import files
from greyknn.files import separated, texts
from greyknn.files.arrows import ArrowTable
from greyknn.files.coding import Coding, are_numbers
from greyknn.files.texts import InputError, TextTable

CELLS = st.text(st.sampled_from("ab0.7 ,;\t\"'\r\n\u2028\x85é漢\ufeff#\\"), max_size=6)


def written(table: TextTable, separator: str) -> bytes:
    out = io.BytesIO()
    separated.write(table, out, separator)
    return out.getvalue()


def column(*cells: str, gaps: frozenset[str] = texts.MISSING, comma: bool = False) -> TextTable:
    return TextTable({"a": list(cells)}, gaps=gaps, comma=comma)


def holds(*cells: str, comma: bool = False) -> str:
    coding = Coding.of(set(cells), numeric=are_numbers(set(cells), comma), comma=comma)
    return "categories" if coding.levels else "decimals" if coding.places else "integers"


# --- separated text ---------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], str, str, bool]:
    width = draw(st.integers(1, 4))
    header = draw(st.lists(CELLS, min_size=width, max_size=width, unique=True))
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return [header, *rows], draw(st.sampled_from(",;\t|")), newline, draw(st.booleans())


@given(tables(), st.booleans())
def test_no_cell_and_no_line_end_is_lost(
    drawn: tuple[list[list[str]], str, str, bool], quote_all: bool
) -> None:
    rows, separator, newline, marked = drawn
    special = set('"\r\n' + separator)

    def quoted(row: list[str], cell: str) -> str:
        needed = quote_all or row == [""] or special.intersection(cell)
        return '"' + cell.replace('"', '""') + '"' if needed else cell

    text = "".join(separator.join(quoted(row, cell) for cell in row) + newline for row in rows)
    # Text that begins with the character of the mark is marked text, as it must be.
    assume(marked or not rows[0][0].startswith("\ufeff"))
    raw = text.encode("utf-8-sig" if marked else "utf-8")
    table = separated.parse(raw, separator)
    assert table.names == rows[0]
    assert [list(row) for row in zip(*table.columns.values(), strict=True)] == rows[1:]
    assert (table.newline, table.delimiter) == (newline, separator)
    assert quote_all or written(table, separator) == raw
    assert separated.parse(written(table, separator), separator) == table


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n", ";"),
        ("a\tb,c\td\n1\t2\t3\n", "\t"),
        ('"a;b;c",d\n1,2\n', ","),
        ("a\n1\n", ","),
        ('"a\nb";c\n1;2\n', ";"),
    ],
)
def test_the_separator_is_found_in_the_header(text: str, separator: str) -> None:
    assert separated.parse(text.encode()).delimiter == separator


def test_blank_lines_end_a_file_and_are_cells_of_a_single_column() -> None:
    assert separated.parse(b"a,b\n1,2\n\n\n").columns == {"a": ["1"], "b": ["2"]}
    assert separated.parse(b"a\n1\n\n2\n\n").columns == {"a": ["1", "", "2"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encodings_are_kept(encoding: str) -> None:
    raw = "né;b\r\nü;1\r\n".encode(encoding)
    table = separated.parse(raw, encoding=encoding)
    assert table.columns == {"né": ["ü"], "b": ["1"]}
    assert written(table, ";") == raw


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the file is empty"),
        (codecs.BOM_UTF8, "the file is empty"),
        (b"\na,b\n", "line 1 is blank"),
        (b"a,b\n", "no rows"),
        (b"a,b\n\n\n", "no rows"),
        (b"a,b,a\n1,2,3\n", "'a' more than once"),
        (b"a,b\n1,2\n\n3,4\n", "line 3 is blank"),
        (b'a,b\n"1\n2",2\n1\n', r"line 4 has 1 cell\(s\), but the header has 2"),
        (b"a,b\n1,2,3\n", r"line 2 has 3 cell\(s\), but the header has 2"),
        (b'a,b\n1,2\n"x"y,2\n', "begins in line 3 is not csv"),
        (b'a,b\n1,2\n"x,2\n3,4\n', "begins in line 3 is not csv"),
        (b'"a,b\n1,2\n', "begins in line 1 is not csv"),
        (b'a\n"' + b"x" * 200_000, "begins in line 2 is not csv"),
        (b"x" * 200_000, "begins in line 1 is not csv"),
        (b"a,b\n1,\0\n", "line 2 has a NUL"),
        (b"a,b\n1,2\n1,\xe9\n", "line 3 has bytes that are not utf-8.*--encoding cp1252"),
        ("a,b\n1,é\n".encode("utf-16"), "line 1 .*--encoding utf-16"),
        (b"PAR1....", "a parquet file"),
        (b"PK\3\4....", "an Excel workbook"),
        (b"a,b\n" + b"1,2\n" * 70_000 + b"\xff,1\n", "line 70002 has bytes"),
        (b"a,b\n" + b"1,2\n" * 70_000 + b"1\n", "line 70002 has 1 cell"),
    ],
)
def test_what_is_no_csv_is_refused_with_its_line(raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        separated.parse(raw)


@pytest.mark.parametrize("encoding", ["klingon", "hex"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(InputError, match=r"--encoding .* is unknown"):
        separated.parse(b"a\n1\n", encoding=encoding)


def test_progress_of_reading_and_writing_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    raw = b"a,b\n" + b"1,2\n" * 120_000
    table = separated.parse(raw, progress=lambda *step: told.append(step))
    separated.write(table, io.BytesIO(), ",", lambda *step: told.append(step))
    assert [step for step, _, _ in told] == ["Reading"] * 3 + ["Writing"] * 3
    assert told[2] == ("Reading", len(raw), len(raw))


# --- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2", "+3", " 4 ", "0", "-0"], "integers"),
        (["1", "2.0"], "decimals"),
        ([".5", "5.", "1e3", "-1.5E-3"], "decimals"),
        (["007", "123"], "categories"),
        (["1", "00.5"], "categories"),
        (["1", "1_000"], "categories"),
        (["1", "inf"], "categories"),
        (["1", "1e999"], "categories"),
        (["1", "0x10"], "categories"),
        (["1", "٣"], "categories"),
        (["true", "FALSE"], "categories"),
        (["1", "a"], "categories"),
    ],
)
def test_a_column_is_numbers_if_every_cell_is_one(cells: list[str], kind: str) -> None:
    assert holds(*cells) == kind


def test_numbers_with_a_decimal_comma() -> None:
    assert holds("1,5", "2", comma=True) == "decimals"
    assert holds("1.5", comma=True) == "categories"
    table = column("1,50", "", "2,25", comma=True)
    X, categories = table.coded(["a"], [], [])
    assert X[[0, 2], 0].tolist() == [1.5, 2.25]
    assert categories == []
    X[1] = 1.87654
    table.fill(["a"], X)
    assert table.columns["a"] == ["1,50", "1,877", "2,25"]


@pytest.mark.parametrize(
    ("cells", "fill", "text"),
    [
        (["1", "12"], 6.5000001, "7"),
        (["1", "12"], -0.2, "0"),
        (["1.10", "2"], 1.23456, "1.235"),
        (["1.10", "2"], 2.0, "2.0"),
        (["1e3", "2"], 2.25, "2.2"),
        (["1.5e-3", "2"], 1 / 3, "0.33333"),
        (["2.5E2", "2"], 0.26, "0.3"),
        (["0.1234567890123456"], 0.1234567890123456, "0.1234567890123456"),
        (["1E5", "9e22"], 1e22, "1e+22"),
    ],
)
def test_filled_numbers_have_one_decimal_more_than_observed_ones(
    cells: list[str], fill: float, text: str
) -> None:
    assert Coding.of(set(cells), numeric=True, comma=False).texts([fill]) == [text]


@given(st.lists(st.floats(-1e6, 1e6).map(lambda x: f"{x:.3f}"), min_size=2), st.floats(0, 1))
def test_a_filled_number_stays_within_the_observed_range(cells: list[str], share: float) -> None:
    numbers = list(map(float, cells))
    fill = min(max(min(numbers) * share + max(numbers) * (1 - share), min(numbers)), max(numbers))
    text = Coding.of(set(cells), numeric=True, comma=False).texts([fill])[0]
    assert min(numbers) <= float(text) <= max(numbers)
    assert float(text) == pytest.approx(fill, abs=1e-4)


def test_gaps_codes_and_fills() -> None:
    table = column("b", " NA ", "a", "", "b", "?", gaps=texts.MISSING | {"?"})
    assert table.missing("a").tolist() == [False, True, False, True, False, True]
    X, categories = table.coded(["a"], [], [])
    np.testing.assert_array_equal(X[:, 0], [1, np.nan, 0, np.nan, 1, np.nan])
    assert categories == [0]
    X[[1, 3, 5], 0] = 0, 1, 0
    table.fill(["a"], X)
    assert table.columns["a"] == ["b", "a", "a", "b", "b", "a"]


def test_values_are_what_texts_stand_for() -> None:
    assert column("1", "", "2").values("a") == [1, None, 2]
    assert column("1", "NA", "1.0").values("a") == [1.0, None, 1.0]
    assert column("007", "1").values("a") == ["007", "1"]
    table = column("1", "2")
    table.coded(["a"], ["a"], [])
    assert table.values("a") == ["1", "2"]


def test_categorical_and_numeric_overrule() -> None:
    X, categories = column("10", "9", "10").coded(["a"], ["a"], [])
    assert X[:, 0].tolist() == [0, 1, 0]
    assert categories == [0]
    X, categories = column("007", "8").coded(["a"], [], ["a"])
    assert X[:, 0].tolist() == [7, 8]
    assert categories == []


def test_a_cell_that_is_no_number_is_named_with_its_line() -> None:
    table = separated.parse(b'"i\nd",a\n"1\r\n2",1\n3,\n"4\n5\n6",low\n')
    with pytest.raises(InputError, match=r"column 'a' has 'low' in line 6.*--missing 'low'"):
        table.coded(["a"], [], ["a"])


@pytest.mark.parametrize(
    "cells",
    [["2020-01-31", ""], ["1/2/2020"], ["2020-01-31 12:00", "2020-02-01T00:00:00Z"], ["1.2.1999"]],
)
def test_dates_are_refused_unless_called_categories(cells: list[str]) -> None:
    with pytest.raises(InputError, match=r"'a' holds dates .*--ignore 'a'.*--categorical 'a'"):
        column(*cells).coded(["a"], [], [])
    assert column(*cells).coded(["a"], ["a"], [])[1] == [0]


def test_numbers_with_the_other_decimal_sign_are_refused() -> None:
    with pytest.raises(InputError, match=r"such as '1,5', but the decimal sign is '\.'.*--decimal"):
        column("1", "1,5").coded(["a"], [], [])
    with pytest.raises(InputError, match=r"such as '1\.5', but the decimal sign is ','"):
        column("1", "1.5", comma=True).coded(["a"], [], [])
    column("1,5,7", "1.5").coded(["a"], [], [])
    column("007").coded(["a"], [], [])


def test_a_column_that_looks_like_an_identifier_gets_a_warning() -> None:
    cells = [f"id{i}" for i in range(texts.MANY)]
    with pytest.warns(UserWarning, match="'a' has another text in every row.*--ignore 'a'"):
        column(*cells, "").coded(["a"], [], [])
    column(*cells, cells[0]).coded(["a"], [], [])
    column(*cells[1:]).coded(["a"], [], [])
    column(*cells).coded(["a"], ["a"], [])


# --- formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("a.CSV", files.Format("csv")),
        ("a.txt", files.Format("csv")),
        ("a.tsv.gz", files.Format("tsv", True)),
        ("a.b.tab", files.Format("tsv")),
        ("a.parquet", files.Format("parquet")),
        ("a.feather", files.Format("arrow")),
        ("a.arrow", files.Format("arrow")),
        ("-", files.Format("csv")),
    ],
)
def test_the_extension_tells_the_format(path: str, form: files.Format) -> None:
    assert files.Format.of(path) == form


@pytest.mark.parametrize("path", ["a.xlsx", "csv", "a", "a.gz", "a.parquet.gz", ""])
def test_other_extensions_are_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"reads and writes \.csv"):
        files.Format.of(path)


def test_pyarrow_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r'pip install "greyknn\[files\]"'):
        files.Format.of("a.feather")
    assert files.Format.of("a.csv").text


def save(table: files.Table, path: Path, source: str = "-") -> None:
    with files.replacing(str(path)) as handle:
        files.write(table, handle, str(path), source)


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        ("in.csv", "out.csv", "a;b\n1;2\n"),
        ("in.txt", "out.csv", "a;b\n1;2\n"),
        ("-", "out.csv", "a;b\n1;2\n"),
        ("in.csv", "out.tsv", "a\tb\n1\t2\n"),
        ("in.tsv", "out.csv", "a,b\n1,2\n"),
        ("in.parquet", "out.csv", "a,b\n1,2\n"),
        ("in.csv", "out.csv.gz", "a;b\n1;2\n"),
    ],
)
def test_the_separator_stays_within_a_format(
    tmp_path: Path, source: str, name: str, text: str
) -> None:
    save(TextTable({"a": ["1"], "b": ["2"]}, delimiter=";"), tmp_path / name, source)
    raw = (tmp_path / name).read_bytes()
    assert raw.startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert (gzip.decompress(raw) if name.endswith(".gz") else raw) == text.encode()
    read = files.read(str(tmp_path / name))
    assert isinstance(read, TextTable)
    assert read.columns == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.arrow"])
def test_texts_become_typed_columns(tmp_path: Path, name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    table = TextTable(
        {"i": ["1", "NA"], "f": ["1.10", "2"], "t": ["", "x"], "z": ["007", "1"], "k": ["1", "2"]}
    )
    table.coded(["k"], ["k"], [])
    save(table, tmp_path / name)
    read = files.read(str(tmp_path / name))
    assert isinstance(read, ArrowTable)
    assert read.table.to_pydict() == {
        "i": [1, None], "f": [1.1, 2.0], "t": [None, "x"], "z": ["007", "1"], "k": ["1", "2"],
    }  # fmt: skip
    assert read.table.schema.types == [pa.int64(), pa.float64(), *[pa.string()] * 3]


def test_whole_numbers_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="'a' has whole numbers beyond 64 bits"):
        save(column("1", str(2**70)), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_arrow_becomes_text() -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "f": pa.array([0.1, None], pa.float32()),
            "b": [True, None],
            "d": pa.array(["x", None]).dictionary_encode(),
            "e": ["", "y"],
        }
    )
    assert ArrowTable(table).as_text().columns == {
        "f": ["0.1", ""], "b": ["true", ""], "d": ["x", ""], "e": ["", "y"],
    }  # fmt: skip
    with pytest.raises(InputError, match=r"'n' is list<.*write parquet"):
        ArrowTable(pa.table({"n": [[1], [2]]})).as_text()


def test_arrow_gaps_are_nulls_nans_and_the_texts_that_the_user_names() -> None:
    pa = pytest.importorskip("pyarrow")
    source = pa.table({"f": [1.0, float("nan"), None], "t": ["?", None, "x"], "i": [1, 2, 3]})
    table = ArrowTable(source, {"?"})
    assert table.missing("f").tolist() == [False, True, True]
    assert table.missing("t").tolist() == [True, True, False]
    assert table.values("t") == [None, None, "x"]
    assert ArrowTable(source).missing("t").tolist() == [False, True, False]
    X, categories = table.coded(["i", "t"], ["i"], [])
    assert (X.column_names, categories) == (["i", "t"], ["i"])
    assert X.column("t").null_count == 2
    assert table.table is source
    with pytest.raises(InputError, match="'t' is string in the file"):
        table.coded(["t"], [], ["t"])
    table.coded(["i", "f"], [], ["i", "f", "t"])


def test_arrow_tables_without_cells_or_with_a_name_twice_are_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="no rows"):
        ArrowTable(pa.table({"a": pa.array([], pa.int64())}))
    with pytest.raises(InputError, match="no columns"):
        ArrowTable(pa.table({}))
    with pytest.raises(InputError, match="'a' is there more than once"):
        ArrowTable(pa.table([[1], [2]], names=["a", "a"]))


def test_arrow_streams_are_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, None]})
    with (
        pa.OSFile(str(tmp_path / "a.arrow"), "wb") as out,
        pa.ipc.new_stream(out, table.schema) as w,
    ):
        w.write_table(table)
    read = files.read(str(tmp_path / "a.arrow"))
    assert isinstance(read, ArrowTable)
    assert read.table == table


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.feather"])
@pytest.mark.parametrize("content", [b"", b"\x1f\x8b garbage", b"\x1f\x8b\x08\0", b"ARROW1 no"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: .") as caught:
        files.read(str(path))
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.csv: No such file"):
        files.read(str(tmp_path / "nope.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: "):
        files.read(str(tmp_path / "folder.csv"))


# --- writing whole or not at all --------------------------------------------------------------


@pytest.mark.parametrize("before", [None, b"before"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), ValueError("no")])
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, before: bytes | None, error: BaseException
) -> None:
    path = tmp_path / "out.csv"
    if before is not None:
        path.write_bytes(before)

    def fail() -> None:
        with files.replacing(str(path), force=True) as handle:
            handle.write(b"half")
            assert len(list(tmp_path.iterdir())) == 1 + (before is not None)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if before is None else [before])


@pytest.mark.parametrize("culprit", ["fsync", "replace"])
def test_a_failure_at_the_end_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os if culprit == "fsync" else Path, culprit, fail)
    with (
        pytest.raises(OSError, match="disk full"),
        files.replacing(str(tmp_path / "out.csv")) as handle,
    ):
        handle.write(b"whole")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_in_the_middle_of_a_table_leaves_nothing_behind(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        separated.write(column(*["1"] * 100_000), Full(), ",")


def test_the_output_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with files.replacing(str(path)) as handle:
        handle.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match=r"exists: .*--force"), files.replacing(str(path)):
        raise AssertionError("the block must not begin")
    with files.replacing(str(path), force=True) as handle:
        handle.write(b"after")
    assert path.read_bytes() == b"after"
    path.unlink()
    with pytest.raises(InputError, match="exists"), files.replacing(str(path)):
        path.write_bytes(b"meanwhile")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"meanwhile"]


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_modes_and_links_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    mask = os.umask(0o027)
    try:
        with files.replacing(str(path)):
            pass
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    with files.replacing(str(link), force=True) as handle:
        handle.write(b"after")
    assert link.is_symlink()
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o604


def test_places_where_no_file_can_be_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(path: Path) -> None:
        with files.replacing(str(path), force=True):
            raise AssertionError("the block must not begin")

    with pytest.raises(InputError, match=r"there is no folder .*nope"):
        begin(tmp_path / "nope" / "out.csv")
    with pytest.raises(InputError, match="no regular file"):
        begin(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"out\.csv cannot be written: Permission denied"):
        begin(tmp_path / "out.csv")
