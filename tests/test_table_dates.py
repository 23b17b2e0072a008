"""Dates, ordered categories, free text and declared types: nothing but gaps may change.

What is expected is computed in Python's own dates, integers and fractions, not in numpy's.
"""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greyknn import GreyKNNImputer
from greyknn.table import Schema

UTC, BERLIN = dt.UTC, ZoneInfo("Europe/Berlin")
STEPS = {"D": 86400 * 10**9, "h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6,
         "us": 10**3, "ns": 1}  # fmt: skip
GAP = -(2**63)  # NaT in int64


# --- one column of ticks in every library -------------------------------------------------------


def ticks_of_arrow(column: pa.ChunkedArray) -> list[int | None]:
    narrow = pa.int32() if column.type == pa.date32() else pa.int64()
    return column.cast(narrow).to_pylist()


def array_of(ticks: list[int | None], dtype: Any) -> np.ndarray:
    return np.array([GAP if tick is None else tick for tick in ticks]).view(dtype)


def ticks_of_array(array: np.ndarray) -> list[int | None]:
    return [None if tick == GAP else tick for tick in array.astype(np.int64).tolist()]


@dataclass(frozen=True)
class Case:
    """A column of a library, made of whole numbers of a unit, and read as such."""

    unit: str
    build: Callable[[list[int | None]], Any]
    ticks: Callable[[Any], list[int | None]]
    dtype: Callable[[Any], Any]


def numpy_case(dtype: str, unit: str) -> Case:
    return Case(
        unit, lambda ticks: array_of(ticks, dtype)[:, None], lambda X: ticks_of_array(X[:, 0]),
        lambda X: X.dtype,
    )  # fmt: skip


def pandas_case(dtype: str, unit: str) -> Case:
    def build(ticks: list[int | None]) -> pd.DataFrame:
        name, _, zone = dtype[:-1].partition(", ")
        column = pd.Series(array_of(ticks, name + "]"))
        if zone:
            column = column.dt.tz_localize("UTC").dt.tz_convert(zone)
        return pd.DataFrame({"x": column}).set_axis([7, 7, *range(len(ticks) - 2)])

    def read(X: pd.DataFrame) -> list[int | None]:
        column = X["x"].dt.tz_convert("UTC").dt.tz_localize(None) if ", " in dtype else X["x"]
        return ticks_of_array(column.to_numpy())

    return Case(unit, build, read, lambda X: (X["x"].dtype, X.index.tolist()))


def polars_case(dtype: Any, unit: str) -> Case:
    def build(ticks: list[int | None]) -> pl.DataFrame:
        return pl.DataFrame({"x": pl.Series(ticks, dtype=pl.Int64).cast(dtype)})

    return Case(unit, build, lambda X: X["x"].to_physical().to_list(), lambda X: X.schema)


def arrow_case(dtype: Any, unit: str) -> Case:
    scale = 86_400_000 if dtype == pa.date64() else 1
    narrow = pa.int32() if dtype == pa.date32() else pa.int64()

    def build(ticks: list[int | None]) -> pa.Table:
        scaled = [None if tick is None else tick * scale for tick in ticks]
        parts = [pa.array(part, narrow).cast(dtype) for part in (scaled[:2], scaled[2:])]
        field = pa.field("x", dtype, metadata={"by": "us"})
        return pa.Table.from_arrays([pa.chunked_array(parts)], schema=pa.schema([field]))

    def read(X: pa.Table) -> list[int | None]:
        return [t if t is None else t // scale for t in ticks_of_arrow(X.column(0))]

    return Case(unit, build, read, lambda X: (X.schema, X.schema.field(0).metadata))


def arrow_in_pandas_case(dtype: Any, unit: str) -> Case:
    case = arrow_case(dtype, unit)
    return Case(
        unit, lambda ticks: case.build(ticks).to_pandas(types_mapper=pd.ArrowDtype),
        lambda X: case.ticks(pa.Table.from_pandas(X)), lambda X: X["x"].dtype,
    )  # fmt: skip


CASES = {
    **{f"numpy {kind}8[{unit}]": numpy_case(f"{kind}8[{unit}]", unit)
       for kind in "Mm" for unit in STEPS},
    **{f"pandas {name}": pandas_case(name, unit)
       for unit in ("s", "ms", "us", "ns")
       for name in (f"datetime64[{unit}]", f"datetime64[{unit}, Asia/Tokyo]",
                    f"timedelta64[{unit}]")},
    **{f"polars {dtype}": polars_case(dtype, unit)
       for unit in ("ms", "us", "ns")
       for dtype in (pl.Datetime(unit), pl.Datetime(unit, "Europe/Berlin"), pl.Duration(unit))},
    "polars Date": polars_case(pl.Date, "D"),
    **{f"{library} {dtype}": case(dtype, unit)
       for library, case in (("arrow", arrow_case), ("pandas arrow", arrow_in_pandas_case))
       for unit in ("s", "ms", "us", "ns")
       for dtype in (pa.timestamp(unit), pa.timestamp(unit, "Europe/Berlin"), pa.duration(unit))},
    **{f"{library} {dtype}": case(dtype, "D")
       for library, case in (("arrow", arrow_case), ("pandas arrow", arrow_in_pandas_case))
       for dtype in (pa.date32(), pa.date64())},
}  # fmt: skip


def coarsest(ticks: list[int], unit: str) -> str:
    """The coarsest unit of which all ticks are whole multiples, by exact integers."""
    return next(u for u in STEPS if all(tick * STEPS[unit] % STEPS[u] == 0 for tick in ticks))


@st.composite
def columns(draw: st.DrawFn, case: Case) -> tuple[list[int | None], float]:
    """Ticks with gaps, whole multiples of some coarser unit, and seconds to fill in."""
    coarser = draw(st.sampled_from([u for u in STEPS if STEPS[u] >= STEPS[case.unit]]))
    step, bound = STEPS[coarser] // STEPS[case.unit], 2**62 // STEPS[coarser]  # 146 years
    tick = st.integers(-bound, bound).map(lambda many: many * step)
    ticks = draw(st.lists(tick | st.none(), min_size=3, max_size=6).filter(any_observed))
    ends = [tick for tick in ticks if tick is not None]
    scale = STEPS[case.unit] / 10**9
    low, high = min(ends) * scale, max(ends) * scale
    return ticks, draw(st.floats(low - 1e6, high + 1e6))


def any_observed(ticks: list[int | None]) -> bool:
    return any(tick is not None for tick in ticks)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_there_and_back(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    ticks, seconds = data.draw(columns(case))
    observed = [tick for tick in ticks if tick is not None]
    X = case.build(ticks)

    schema, coded = Schema.fit(X, dates=True)
    out = schema.restore(X, coded, np.where(coded.gaps, seconds, coded.values))

    column, unit = schema.columns[0], coarsest(observed, case.unit)
    assert not column.categorical
    assert column.family == ("durations" if is_duration(name) else "dates")
    assert column.unit == STEPS[unit] / 10**9
    size = Fraction(STEPS[case.unit], 10**9)
    for tick, value, gap in zip(ticks, coded.values[:, 0], coded.gaps[:, 0], strict=True):
        assert gap == (tick is None)
        assert np.isnan(value) if gap else value == pytest.approx(float(tick * size), rel=1e-15)
    ends = [float(end * size) for end in (min(observed), max(observed))]
    assert [column.low, column.high] == pytest.approx(ends, rel=1e-15)
    assert type(out) is type(X)
    assert case.dtype(out) == case.dtype(X)
    assert case.ticks(X) == ticks, "the input was modified"
    step = STEPS[unit] // STEPS[case.unit]
    for was, now in zip(ticks, case.ticks(out), strict=True):
        if was is not None:
            assert now == was
            continue
        assert now is not None
        assert now % step == 0
        assert min(observed) <= now <= max(observed)
        wanted = min(max(Fraction(seconds), min(observed) * size), max(observed) * size)
        # Half a unit, and what float64 cannot say of so many seconds.
        slack = Fraction(STEPS[unit], 2 * 10**9) + 2 * Fraction(np.spacing(abs(seconds)))
        assert abs(now * size - wanted) <= slack


def is_duration(name: str) -> bool:
    return any(word in name for word in ("numpy m8", "timedelta", "Duration", "duration"))


@pytest.mark.parametrize("name", CASES)
def test_new_rows_are_coded_alike_and_whole_columns_are_filled(name: str) -> None:
    case = CASES[name]
    schema, coded = Schema.fit(case.build([4, 10, 6]), dates=True)
    np.testing.assert_array_equal(schema.encode(case.build([6, 4, 10])).values[:, 0],
                                  coded.values[[2, 0, 1], 0])  # fmt: skip
    X = case.build([None, None, None])
    coded = schema.encode(X)
    assert coded.gaps.all()
    size = STEPS[case.unit] / 10**9
    out = schema.restore(X, coded, np.array([[0.0], [7.9], [11.0]]) * size)
    # Seconds beyond the observed range become its ends.
    low, high = 4, 10
    step = STEPS[coarsest([4, 6, 10], case.unit)] // STEPS[case.unit]
    assert case.ticks(out) == [low, 8 // step * step, high]
    assert case.dtype(out) == case.dtype(X)


# --- Python objects -----------------------------------------------------------------------------

D, N = dt.date, None
NOON = dt.datetime(2024, 7, 1, 12)
EXACT = pd.Timestamp("2024-07-01T12:00:00.000000001")
OBJECTS = {
    "dates": ([D(2024, 3, 1), N, D(2024, 3, 9)], 86400.0, D(2024, 3, 5)),
    "datetimes": ([NOON, N, NOON.replace(hour=20)], 3600.0, NOON.replace(hour=16)),
    "aware datetimes": (
        [NOON.replace(tzinfo=BERLIN), N, NOON.replace(tzinfo=BERLIN, minute=10)],
        60.0, NOON.replace(tzinfo=BERLIN, minute=5),
    ),
    "far datetimes": ([dt.datetime(1, 1, 1), N, dt.datetime(9999, 12, 31)], 86400.0,
                      dt.datetime(5000, 7, 2)),
    "timestamps": ([EXACT, pd.NaT, EXACT + pd.Timedelta(100)], 1e-9, None),
    "aware timestamps": (
        [pd.Timestamp(NOON, tz="Asia/Tokyo"), N, pd.Timestamp(NOON, tz="Asia/Tokyo")],
        3600.0, pd.Timestamp(NOON, tz="Asia/Tokyo"),
    ),
    "datetime and timestamp": ([NOON, N, pd.Timestamp(NOON)], 3600.0, NOON),
    "durations": ([dt.timedelta(1), N, dt.timedelta(3)], 86400.0, dt.timedelta(2)),
    "pandas durations": ([pd.Timedelta(3), pd.NaT, pd.Timedelta(5)], 1e-9, pd.Timedelta(4)),
    "numpy dates": (
        [np.datetime64("2024-03-01"), np.datetime64("NaT"), np.datetime64("2024-03-09")],
        86400.0, np.datetime64("2024-03-05"),
    ),
    "numpy durations": ([np.timedelta64(3, "ns"), N, np.timedelta64(5, "ns")], 1e-9,
                        np.timedelta64(4, "ns")),
}  # fmt: skip


@pytest.mark.parametrize("library", ["numpy", "pandas"])
@pytest.mark.parametrize("name", OBJECTS)
def test_objects(name: str, library: str) -> None:
    cells, unit, expected = OBJECTS[name]
    array = np.fromiter(cells, dtype=object, count=3)
    X: Any = array[:, None] if library == "numpy" else pd.DataFrame({"x": array}, dtype=object)
    schema, coded = Schema.fit(X, dates=True)
    column = schema.columns[0]
    assert column.unit == unit
    assert coded.gaps[:, 0].tolist() == [False, True, False]
    assert (coded.values[0, 0], coded.values[2, 0]) == (column.low, column.high)

    out = schema.restore(X, coded, np.full((3, 1), (column.low + column.high) / 2))
    found = (out[:, 0] if library == "numpy" else out["x"]).tolist()

    assert found[0] is cells[0]
    assert found[2] is cells[2]
    assert type(found[1]) is type(cells[0])
    if expected is None:  # float64 is too coarse for the middle of these
        assert cells[0] <= found[1] <= cells[2]
    else:
        assert found[1] == expected
    assert str(getattr(found[1], "tzinfo", None)) == str(getattr(cells[0], "tzinfo", None))


def test_seconds_of_objects_count_from_1970_in_utc() -> None:
    cells = [dt.datetime(1970, 1, 2, 1, tzinfo=BERLIN), dt.datetime(2024, 7, 1, tzinfo=BERLIN)]
    values = Schema.fit(np.array([cells], dtype=object).T, dates=True)[1].values[:, 0]
    assert values.tolist() == [86400.0, cells[1].timestamp()]
    naive = dt.datetime(2024, 7, 1, 3)
    values = Schema.fit(np.array([[naive], [naive.date()]], dtype=object)[:1], dates=True)[1].values
    assert values.tolist() == [[naive.replace(tzinfo=UTC).timestamp()]]


def test_a_far_date_beside_nanoseconds_keeps_its_year() -> None:
    # As nanoseconds, 9999 would wrap around into the 19th century.
    X = pd.DataFrame({"x": pd.Series([EXACT, pd.Timestamp(9999, 1, 1), None], dtype=object)})
    schema, coded = Schema.fit(X, dates=True)
    assert coded.values[1, 0] == dt.datetime(9999, 1, 1, tzinfo=UTC).timestamp()
    out = schema.restore(X, coded, np.full((3, 1), 1e15))
    assert out["x"].tolist() == [EXACT, *[pd.Timestamp(9999, 1, 1)] * 2]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([NOON, NOON.date()], "holds dates and datetimes: make its cells all of one kind"),
        ([NOON, NOON.replace(tzinfo=UTC)], "holds aware datetimes and datetimes"),
        ([NOON, dt.timedelta(1)], "holds datetimes and durations"),
        ([NOON, "x"], "holds dates or times"),
        ([dt.time(1), dt.time(2)], "holds dates or times .*: turn them into numbers"),
    ],
)
def test_objects_that_are_refused(cells: list[Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"Column 0 {message}"):
        Schema.fit(np.array(cells, dtype=object)[:, None], dates=True)


# --- units and dtypes that differ ---------------------------------------------------------------


def table_of(*cells: Any, dtype: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(cells, dtype=dtype)})


def filled(fitted: Any, X: Any, seconds: float) -> Any:
    schema, _ = Schema.fit(fitted, dates=True)
    coded = schema.encode(X)
    return schema.restore(X, coded, np.where(coded.gaps, seconds, coded.values))


def test_other_dtypes_than_at_fit() -> None:
    fitted = table_of("2024-01-01T06", "2024-01-09T18", dtype="datetime64[ns]")
    seconds = dt.datetime(2024, 1, 5, 17, 40, tzinfo=UTC).timestamp()
    hour, day = dt.datetime(2024, 1, 5, 18), dt.date(2024, 1, 5)
    first = dt.date(2024, 1, 2)
    for X, expected in [
        (pl.DataFrame({"x": [first, None]}), day),
        (pa.table({"x": [first, None]}), day),
        (pa.table({"x": pa.array([first, None], pa.date64())}), day),
        (table_of(first, None, dtype=pd.ArrowDtype(pa.date64())), day),
        (np.array([["2024-01-04"], ["NaT"]], dtype="M8[W]"), dt.date(2024, 1, 4)),
        (np.array([["2024-01-04"], ["NaT"]], dtype="M8[10m]"), hour),
        (table_of("2024-01-02", None, dtype="datetime64[s, UTC]"), hour.replace(tzinfo=UTC)),
        (pl.DataFrame({"x": [None, None]}), hour),
        (pa.table({"x": pa.nulls(2)}), hour),
        (pd.DataFrame({"x": [None, None]}), hour),
        (np.array([[None], [None]]), hour),
    ]:
        out = filled(fitted, X, seconds)
        found = {
            np.ndarray: lambda out: out[:, 0].tolist(),
            pa.Table: lambda out: out["x"].to_pylist(),
        }.get(type(out), lambda out: out["x"].to_list())(out)
        assert found[1] == expected, X
        assert type(out) is type(X)
    assert str(filled(fitted, pd.DataFrame({"x": [None]}), 0.0)["x"].dtype).startswith("datetime64")


def test_a_column_of_gaps_of_another_kind_becomes_dates() -> None:
    fitted = table_of("2024-01-01", "2024-01-02", dtype="datetime64[s]")
    noon = dt.datetime(2024, 1, 1, 13, tzinfo=UTC).timestamp()
    for X in (table_of(None, dtype="timedelta64[s]"), table_of(None, dtype="float64")):
        out = filled(fitted, X, noon)
        assert out["x"].tolist() == [pd.Timestamp(2024, 1, 2)]
    with pytest.raises(ValueError, match=r"Column 0 is timedelta64\[s\] here and cannot hold"):
        filled(fitted, np.array([["NaT"]], dtype="m8[s]"), noon)


def test_multiples_of_units_and_weeks() -> None:
    X = np.array([["2024-01-04"], ["2024-01-18"], ["NaT"]], dtype="M8[W]")
    schema, coded = Schema.fit(X, dates=True)
    assert schema.columns[0].unit == 86400.0
    assert coded.values[1, 0] == dt.datetime(2024, 1, 18, tzinfo=UTC).timestamp()
    out = schema.restore(X, coded, np.full((3, 1), coded.values[0, 0] + 8 * 86400))
    assert out[:, 0].tolist() == [dt.date(2024, 1, 4), dt.date(2024, 1, 18), dt.date(2024, 1, 11)]


@pytest.mark.parametrize("dtype", ["M8[M]", "M8[Y]", "m8[M]", "M8[ps]", "M8[as]", "M8"])
def test_units_that_are_refused(dtype: str) -> None:
    X = np.array([[1], [2]]).astype(dtype) if dtype != "M8" else np.array([["NaT"]], dtype)
    with pytest.raises(TypeError, match=r"Column 0 is \w+64(\[\w+\])?, .* cast it .*datetime64.D"):
        Schema.fit(X, dates=True)


def test_a_fill_that_nanoseconds_cannot_hold() -> None:
    fitted = table_of("3000-01-01", "4000-01-01", dtype="datetime64[s]")
    X = table_of("2024-01-01", None, dtype="datetime64[ns]")
    with pytest.raises(ValueError, match=r"'x' is datetime64.ns. here and cannot hold its fills"):
        filled(fitted, X, 0.0)


@pytest.mark.parametrize("name", ["numpy M8[ns]", "pandas datetime64[ns]", "arrow timestamp[ns]"])
def test_the_ends_of_nanoseconds(name: str) -> None:
    case = CASES[name]
    ends = 2**63 - 1, -(2**63) + 1
    X = case.build([*ends, None])
    schema, coded = Schema.fit(X, dates=True)
    for seconds, end in [(1e30, ends[0]), (-np.inf, ends[1])]:
        assert case.ticks(schema.restore(X, coded, np.full((3, 1), seconds)))[2] == end
    # float64 knows one second where these two nanoseconds are.
    X = case.build([2**62 - 1, 2**62 - 2, None])
    schema, coded = Schema.fit(X, dates=True)
    assert case.ticks(schema.restore(X, coded, np.full((3, 1), 0.0)))[2] in (2**62 - 1, 2**62 - 2)


def test_new_tables_that_differ() -> None:
    dates = table_of("2024-01-01", "2024-01-02", dtype="datetime64[s]")
    schema, _ = Schema.fit(dates, dates=True)
    for X, held in [
        (table_of(1.0, dtype="float64"), "numbers"),
        (table_of("2024-01-01", dtype="str"), "strings"),
        (table_of("a", dtype="category"), "categories"),
        (table_of(1, dtype="timedelta64[s]"), "durations"),
    ]:
        with pytest.raises(ValueError, match=f"'x' holds {held} .*, but it held dates at fit"):
            schema.encode(X)
    with pytest.raises(TypeError, match="'x' holds dates or times"):
        Schema.fit(table_of(1.0, dtype="float64"), dates=True)[0].encode(dates)


def test_empty_columns_and_numbers_only() -> None:
    X = table_of(None, None, dtype="datetime64[s]")
    with pytest.raises(ValueError, match="'x' has no observed value"):
        Schema.fit(X, dates=True)
    schema, coded = Schema.fit(X, dates=True, keep_empty_features=True)
    assert schema.columns[0].empty
    assert not coded.gaps.any()
    dates = table_of("2024-01-01", dtype="datetime64[s]")
    schema, _ = Schema.fit(dates, dates=True, categorical_features=None)
    assert schema.columns[0].family == "dates"


def test_without_dates_they_stay_refused() -> None:
    for X in (
        table_of("2024-01-01", "2024-01-02", dtype="datetime64[s]"),
        pl.DataFrame({"x": [D(2024, 1, 1), D(2024, 1, 2)]}),
        pa.table({"x": pa.array([1, 2], pa.date64())}),
    ):
        with pytest.raises(TypeError, match=r"'x' holds dates or times .*: turn them into numbers"):
            GreyKNNImputer().fit(X)
        with pytest.raises(TypeError, match="'x' holds dates or times"):
            Schema.fit(X, dates=True, categorical_features=["x"])
    for time in (pl.DataFrame({"x": [dt.time(1)]}), pa.table({"x": [dt.time(1)]})):
        with pytest.raises(TypeError, match="'x' holds dates or times"):
            Schema.fit(time, dates=True)


def test_a_schema_of_dates_needs_no_frame_library() -> None:
    X = table_of("2024-01-01", "2024-01-02", dtype="datetime64[s, Europe/Berlin]")
    schema, _ = Schema.fit(X, dates=True)
    pickled = pickle.dumps(schema)
    assert not any(word in pickled for word in (b"pandas", b"narwhals", b"pyarrow"))
    assert pickle.loads(pickled) == schema


# --- the order of categories --------------------------------------------------------------------

SIZES = ["S", "M", "L"]


@pytest.mark.parametrize(
    ("column", "ordered"),
    [
        (pd.Categorical(["L", "S", None], categories=SIZES, ordered=True), True),
        (pd.Series(["L", "S", None], dtype=pd.CategoricalDtype(SIZES, ordered=True)), True),
        (pd.Categorical([3, 1, None], categories=[3, 2, 1], ordered=True), True),
        (pd.Categorical(["L", "S", None], categories=SIZES), False),
        (pd.Series(["L", "S", None]), False),
        (pd.Series([1.0, 2.0, None]), False),
        (pl.Series(["L", "S", None], dtype=pl.Enum(SIZES)), True),
        (pl.Series(["L", "S", None], dtype=pl.Categorical), False),
        (pl.Series(["L", "S", None]), False),
        (pa.array(["L", "S", None]), False),
    ],
)
def test_ordered(column: Any, ordered: bool) -> None:
    X = pl if isinstance(column, pl.Series) else pa if isinstance(column, pa.Array) else pd
    table = {pl: pl.DataFrame, pa: pa.table, pd: pd.DataFrame}[X]({"x": column})
    found = Schema.fit(table)[0].columns[0]
    assert found.ordered is ordered
    if ordered:
        assert found.levels in (("S", "L"), (3, 1))  # as the dtype has them, not sorted
        assert Schema.fit(table, categorical_features=["x"])[0].columns[0].ordered
        assert not Schema.fit(table, types={"x": "categorical"})[0].columns[0].ordered


# --- declared types -----------------------------------------------------------------------------


def mixed() -> pd.DataFrame:
    return pd.DataFrame({
        "n": [10, 30, 20],
        "s": ["x", "y", None],
        "c": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"]),
        "d": pd.to_datetime(["2024-01-01", "2024-01-05", None]),
        "b": [True, False, True],
        "q": ["1", "2", "3"],
    })  # fmt: skip


NO_DATES = mixed().drop(columns="d")


@pytest.mark.parametrize(
    ("item", "kind", "expected"),
    [
        ("n", "categorical", {"levels": (10, 20, 30), "ordered": False}),
        (0, "ordinal", {"levels": (10, 20, 30), "ordered": True}),
        ("n", "numeric", {"levels": (), "low": 10, "high": 30}),
        ("s", "ordinal", {"levels": ("x", "y"), "ordered": True}),
        ("s", "boolean", {"levels": ("x", "y"), "ordered": False, "text": False}),
        ("s", "text", {"levels": ("x", "y"), "text": True, "categorical": True}),
        ("c", "ordinal", {"levels": ("lo", "hi"), "ordered": True}),
        ("d", "datetime", {"levels": (), "unit": 86400.0, "family": "dates"}),
        ("b", "boolean", {"levels": (False, True), "family": "booleans"}),
    ],
)
def test_types(item: Any, kind: str, expected: dict[str, Any]) -> None:
    name = "n" if item == 0 else item
    schema, _ = Schema.fit(mixed() if name == "d" else NO_DATES, types={item: kind})
    column = schema.columns[schema.names.index(name)]
    assert {field: getattr(column, field) for field in expected} == expected
    untold = Schema.fit(NO_DATES)[0].columns
    others = [repr(column) for column in schema.columns if column.name not in (name, "d")]
    assert others == [repr(column) for column in untold if column.name != name]


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"zz": "text"}, "types has 'zz', but X has the columns 'n', 's', 'c', 'b', 'q'"),
        ({9: "text"}, "types has position 9, but X has columns 0 to 4"),
        (
            {"s": "number"},
            "types has 'number' for Column 's'; the types are 'numeric', 'cat.*'text'",
        ),
        ({"s": ["text"]}, r"types has \['text'\] for Column 's'"),
        ("text", "types is 'text'; pass a dict"),
        (
            {"q": "numeric"},
            "'q' holds strings .*, and types calls it \"numeric\".*pandas.to_numeric",
        ),
        ({"c": "numeric"}, "'c' holds categories .*pandas.to_numeric"),
        ({"q": "datetime"}, "'q' holds strings .* it \"datetime\": .*pandas.to_datetime"),
        ({"n": "datetime"}, "'n' holds numbers .*pandas.to_datetime"),
        ({"n": "text"}, "'n' holds numbers .* text is made of strings"),
        ({"n": "boolean"}, "'n' has 3 distinct values, and types calls it \"boolean\""),
    ],
)
def test_types_that_are_refused(types: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schema.fit(NO_DATES, types=types)


def test_types_win_over_categorical_features_and_arrays_have_positions() -> None:
    schema, _ = Schema.fit(NO_DATES, categorical_features=["n"], types={"n": "numeric"})
    assert not schema.columns[0].categorical
    told, _ = Schema.fit(np.eye(2), types={1: "ordinal"})
    assert [column.ordered for column in told.columns] == [False, True]
    numbers = pd.DataFrame({"x": pd.Categorical([1, 2])})
    with pytest.raises(ValueError, match=r"'x' holds categories .*pandas.to_numeric"):
        Schema.fit(numbers, types={"x": "numeric"})
    strings = pd.DataFrame({"s": ["x", "y"]})
    told, _ = Schema.fit(strings, categorical_features=None, types={"s": "categorical"})
    assert told.columns[0].levels == ("x", "y")
    empty = pd.DataFrame({"e": [None, None]})
    told, _ = Schema.fit(empty, keep_empty_features=True, types={"e": "text"})
    assert told.columns[0].empty


# --- free text ----------------------------------------------------------------------------------

NOTES = [f"note {i}" for i in range(21)]


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (NOTES, True),
        (NOTES[:20], False),  # too few
        (NOTES[:11] + NOTES[:11], False),  # half of them distinct, no more
        (NOTES[:12] + NOTES[:10], True),
        ([f"note{i}" for i in range(30)], False),  # one word each
        ([f"word{i}" for i in range(10)] + [f"{i} of 3" for i in range(10, 20)] + ["a b"], True),
        ([f"word{i}" for i in range(11)] + NOTES[:14], False),  # fewer than two words on average
        (NOTES[:20] + [None] * 5, False),  # gaps do not count
        (NOTES + [None] * 50, True),
    ],
)
def test_free_text(cells: list[Any], text: bool) -> None:
    series = {"x": cells}
    for X in (pd.DataFrame(series), pd.DataFrame(series, dtype=object), pl.DataFrame(series),
              pa.table(series), np.array(cells, dtype=object)[:, None]):  # fmt: skip
        column = Schema.fit(X, texts=True)[0].columns[0]
        assert column.text is text
        plain = Schema.fit(X)[0].columns[0]
        assert not plain.text
        assert column.levels == plain.levels == tuple(sorted({c for c in cells if c is not None}))
        assert column.categorical


def test_categories_and_declared_columns_are_no_free_text() -> None:
    X = pd.DataFrame({"c": pd.Categorical(NOTES), "s": NOTES, "n": range(21)})
    schema, _ = Schema.fit(X, texts=True, types={"s": "categorical"})
    assert not any(column.text for column in schema.columns)


def test_free_text_is_filled_by_code() -> None:
    X = pl.DataFrame({"x": [*NOTES, None]})
    schema, coded = Schema.fit(X, texts=True)
    out = schema.restore(X, coded, np.full((22, 1), 3.0))
    assert out["x"].to_list() == [*NOTES, schema.columns[0].levels[3]]
