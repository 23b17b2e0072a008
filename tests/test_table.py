"""Any table -> codes -> the same table: nothing but gaps may change."""

from __future__ import annotations

import copy
import datetime as dt
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from greyknn.table import Coded, Schema, encode_labels

FILL = 1.6  # what every gap of numbers is given; whole numbers make 2 of it


def filling(schema: Schema, coded: Coded, number: float = FILL, code: int = 0) -> np.ndarray:
    """Complete values: `number` in the gaps of numbers, level `code` in those of categories."""
    fill = np.where(schema.categorical, code, number)
    return np.where(coded.gaps, fill, coded.values)


def fit_fill(X: Any, **options: Any) -> Any:
    schema, coded = Schema.fit(X, **options)
    return schema.restore(X, coded, filling(schema, coded))


def transform(fitted: Any, X: Any, number: float = FILL, code: int = 0, **options: Any) -> Any:
    schema, _ = Schema.fit(fitted, **options)
    coded = schema.encode(X)
    return schema.restore(X, coded, filling(schema, coded, number, code))


def cells(table: Any) -> list[Any]:
    """The cells of column 0 as Python objects, None where missing."""
    if isinstance(table, np.ndarray):
        column = table[:, 0].tolist()
    elif isinstance(table, pd.DataFrame):
        column = table.iloc[:, 0].tolist()
    elif isinstance(table, pl.DataFrame):
        column = table.to_series(0).to_list()
    else:
        column = table.column(0).to_pylist()
    return [None if value is pd.NA or value != value else value for value in column]


def dtypes(table: Any) -> Any:
    if isinstance(table, np.ndarray):
        return table.dtype
    if isinstance(table, pd.DataFrame):
        return list(table.dtypes)
    return table.schema


def alike(a: Any, b: Any) -> bool:
    """Equal to the bit and of one type: -0.0 is not 0.0, Decimal 1.1 is not 1.10."""
    return type(a) is type(b) and repr(a) == repr(b)


def test_alike_can_fail() -> None:
    assert alike(Decimal("1.10"), Decimal("1.10"))
    for a, b in [(0.0, -0.0), (1, 1.0), (Decimal("1.1"), Decimal("1.10")), (1, True), (None, 0)]:
        assert not alike(a, b)


# --- every library and dtype, there and back ----------------------------------------------------


@dataclass(frozen=True)
class Case:
    build: Callable[[list[Any]], Any]  # cells of one column, None for gaps -> table
    values: tuple[Any, ...]
    filled: Any = None  # what FILL becomes; None: whole numbers or the first level


FLOATS = (0.5, -0.0, 3.25, 1e-30, 2.0, -7.5)
BIG = (1, 2**53 + 1, 5, 2**63 - 1, 2, -3)
WORDS = ("b", "1.10", "", "a", "b", "NaN")
BITS = (True, False, False, True, False, True)
MONEY = tuple(Decimal(text) for text in ("1.10", "2.00", "0.30", "-4.25", "1.10", "9.99"))
ORDER = ["b", "NaN", "z", "a", "", "1.10"]


def numpy_case(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: np.array(values, dtype=dtype)[:, None]


def pandas_case(dtype: Any) -> Callable[[list[Any]], Any]:
    def build(values: list[Any]) -> pd.DataFrame:
        frame = pd.DataFrame({"x": pd.Series(values, dtype=dtype)})
        frame.index = [7, 7, *range(len(values) - 2)]
        frame.attrs = {"unit": "m"}
        return frame

    return build


def polars_case(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: pl.DataFrame({"x": pl.Series(values, dtype=dtype)})


def arrow_case(dtype: Any) -> Callable[[list[Any]], Any]:
    def build(values: list[Any]) -> pa.Table:
        field = pa.field("x", dtype, metadata={"unit": "m"})
        column = pa.chunked_array([pa.array(part, dtype) for part in (values[:2], values[2:])])
        return pa.Table.from_arrays([column], schema=pa.schema([field], metadata={"by": "us"}))

    return build


def ordered_dictionary(values: list[Any]) -> pa.Table:
    indices = [None if value is None else ORDER.index(value) for value in values]
    column = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), ORDER, ordered=True)
    return pa.table({"x": column})


single = float(np.float32(FILL))
half = float(np.float16(FILL))
HALVES = (0.5, -0.0, 3.25, 1.0, 2.0, -7.5)
SINGLES = tuple(float(np.float32(value)) for value in FLOATS)
CASES = {
    "numpy float64": Case(numpy_case(float), FLOATS, FILL),
    "numpy float32": Case(numpy_case(np.float32), SINGLES, single),
    "numpy float16": Case(numpy_case(np.float16), HALVES, half),
    "numpy object floats": Case(numpy_case(object), FLOATS, FILL),
    "numpy object ints": Case(numpy_case(object), (*BIG[:3], 2**70, *BIG[4:])),
    "numpy object strings": Case(numpy_case(object), WORDS),
    "numpy object bools": Case(numpy_case(object), BITS),
    "numpy object mixed": Case(numpy_case(object), ("a", 1, "c", "1", "d", "b")),
    "pandas float64": Case(pandas_case("float64"), FLOATS, FILL),
    "pandas float32": Case(pandas_case("float32"), SINGLES, single),
    "pandas Float64": Case(pandas_case("Float64"), FLOATS, FILL),
    "pandas Float32": Case(pandas_case("Float32"), SINGLES, single),
    "pandas Int64": Case(pandas_case("Int64"), BIG),
    "pandas UInt64": Case(pandas_case("UInt64"), (1, 2**64 - 1, 5, 2**63, 2, 3)),
    "pandas UInt8": Case(pandas_case("UInt8"), (1, 255, 5, 0, 2, 3)),
    "pandas boolean": Case(pandas_case("boolean"), BITS),
    "pandas string": Case(pandas_case("string"), WORDS),
    "pandas str": Case(pandas_case("str"), WORDS),
    "pandas object strings": Case(pandas_case(object), WORDS),
    "pandas object bools": Case(pandas_case(object), BITS),
    "pandas object ints": Case(pandas_case(object), BIG),
    "pandas category": Case(pandas_case("category"), WORDS),
    "pandas category of numbers": Case(pandas_case("category"), (3, 1, 2, 2, 1, 3)),
    "pandas ordered category": Case(pandas_case(pd.CategoricalDtype(ORDER, ordered=True)), WORDS),
    "pandas int64[pyarrow]": Case(pandas_case("int64[pyarrow]"), BIG),
    "pandas float[pyarrow]": Case(pandas_case("float[pyarrow]"), SINGLES, single),
    "pandas bool[pyarrow]": Case(pandas_case("bool[pyarrow]"), BITS),
    "pandas string[pyarrow]": Case(pandas_case(pd.ArrowDtype(pa.string())), WORDS),
    "pandas decimal[pyarrow]": Case(
        pandas_case(pd.ArrowDtype(pa.decimal128(9, 2))), MONEY, Decimal("1.60")
    ),
    "pandas dictionary[pyarrow]": Case(
        pandas_case(pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))), WORDS
    ),
    "polars Float64": Case(polars_case(pl.Float64), FLOATS, FILL),
    "polars Float32": Case(polars_case(pl.Float32), SINGLES, single),
    "polars Int64": Case(polars_case(pl.Int64), BIG),
    "polars UInt8": Case(polars_case(pl.UInt8), (1, 255, 5, 0, 2, 3)),
    "polars UInt64": Case(polars_case(pl.UInt64), (1, 2**64 - 1, 5, 2**63, 2, 3)),
    "polars Int128": Case(polars_case(pl.Int128), (1, 2**90 + 1, 5, -(2**70), 2, 3)),
    "polars Decimal": Case(polars_case(pl.Decimal(9, 2)), MONEY, Decimal("1.60")),
    "polars Boolean": Case(polars_case(pl.Boolean), BITS),
    "polars String": Case(polars_case(pl.String), WORDS),
    "polars Categorical": Case(polars_case(pl.Categorical), WORDS),
    "polars Enum": Case(polars_case(pl.Enum(ORDER)), WORDS),
    "arrow float64": Case(arrow_case(pa.float64()), FLOATS, FILL),
    "arrow float32": Case(arrow_case(pa.float32()), SINGLES, single),
    "arrow float16": Case(arrow_case(pa.float16()), HALVES, half),
    "arrow int64": Case(arrow_case(pa.int64()), BIG),
    "arrow uint64": Case(arrow_case(pa.uint64()), (1, 2**64 - 1, 5, 2**63, 2, 3)),
    "arrow decimal128": Case(arrow_case(pa.decimal128(9, 2)), MONEY, Decimal("1.60")),
    "arrow bool": Case(arrow_case(pa.bool_()), BITS),
    "arrow string": Case(arrow_case(pa.string()), WORDS),
    "arrow large_string": Case(arrow_case(pa.large_string()), WORDS),
    "arrow string_view": Case(arrow_case(pa.string_view()), WORDS),
    "arrow dictionary": Case(arrow_case(pa.dictionary(pa.int8(), pa.string())), WORDS),
    "arrow ordered dictionary": Case(ordered_dictionary, WORDS),
}
masks = st.lists(st.booleans(), min_size=6, max_size=6).filter(lambda mask: not all(mask))


def assert_same_table(out: Any, X: Any) -> None:
    assert type(out) is type(X)
    assert dtypes(out) == dtypes(X)
    assert out.shape == X.shape
    if isinstance(X, pd.DataFrame):
        assert out.index.equals(X.index)
        assert out.columns.equals(X.columns)
        assert out.attrs == X.attrs
    if isinstance(X, pa.Table):
        assert out.schema.equals(X.schema, check_metadata=True)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12, deadline=None)
@given(mask=masks)
def test_only_gaps_change(name: str, mask: list[bool]) -> None:
    case = CASES[name]
    given_cells = [None if gap else v for gap, v in zip(mask, case.values, strict=True)]
    X = case.build(given_cells)
    untouched = copy.deepcopy(X)
    schema, coded = Schema.fit(X)
    assert coded.values.dtype == np.float64
    assert coded.gaps[:, 0].tolist() == mask
    assert np.isnan(coded.values[:, 0]).tolist() == mask

    out = schema.restore(X, coded, filling(schema, coded))

    assert out is not X
    assert_same_table(out, X)
    assert all(map(alike, cells(X), cells(untouched))), "the input was modified"
    column, observed = schema.columns[0], [v for v in given_cells if v is not None]
    expected = case.filled
    if column.categorical:
        expected = column.levels[0]
    elif expected is None:
        assert column.integer
        expected = min(max(2, min(observed)), max(observed))
    for was, now in zip(given_cells, cells(out), strict=True):
        assert alike(now, expected if was is None else was)


@pytest.mark.parametrize("name", CASES)
def test_every_gap_takes_its_own_fill(name: str) -> None:
    case = CASES[name]
    schema, _ = Schema.fit(case.build(list(case.values)))
    X = case.build([None, case.values[1], None, None, *case.values[4:]])
    coded, column = schema.encode(X), schema.columns[0]
    filled, codes = coded.values.copy(), [1, 0, len(column.levels) - 1]
    filled[coded.gaps] = codes if column.categorical else [3.0, 1.0, 2.0]
    out = cells(schema.restore(X, coded, filled))
    expected = [column.levels[code] for code in codes] if column.categorical else [3, 1, 2]
    assert [out[0], out[2], out[3]] == expected
    assert all(map(alike, [out[1], *out[4:]], [case.values[1], *case.values[4:]]))


@pytest.mark.parametrize("name", CASES)
def test_codes_lead_back_to_the_cells(name: str) -> None:
    case = CASES[name]
    schema, coded = Schema.fit(case.build(list(case.values)))
    column, codes = schema.columns[0], coded.values[:, 0]
    if column.categorical:
        assert [column.levels[int(code)] for code in codes] == list(case.values)
        assert set(column.levels) == set(case.values)
    else:
        assert codes.tolist() == [float(value) for value in case.values]
        kind = int if column.integer else float
        assert (column.low, column.high) == (kind(min(case.values)), kind(max(case.values)))


@pytest.mark.parametrize("name", CASES)
def test_a_new_column_all_missing_is_filled(name: str) -> None:
    case = CASES[name]
    fitted, X = case.build(list(case.values)), case.build([None] * 6)
    out = transform(fitted, X)
    assert type(out) is type(X)
    assert None not in cells(out)
    if "object" not in name and "category" not in name:  # these two depend on their cells
        assert_same_table(out, X)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32, np.bool_, "<U3"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_without_gaps_come_back_equal(dtype: Any, order: Any) -> None:
    X = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype, order=order)
    X.flags.writeable = False
    schema, coded = Schema.fit(X)
    assert schema.categorical.all() == (X.dtype.kind in "bU")
    out = schema.restore(X, coded, coded.values)
    assert out.dtype == X.dtype
    assert (out == X).all()
    assert not np.shares_memory(out, X)
    assert out.flags.writeable


def test_a_column_without_gaps_passes_beside_one_with_gaps() -> None:
    X = pl.DataFrame({"big": [2**53 + 1, -1, 7], "gap": [None, 1.0, 2.0], "s": ["b", "a", "c"]})
    out = fit_fill(X)
    assert out.drop("gap").equals(X.drop("gap"))
    assert out["gap"].to_list() == [FILL, 1.0, 2.0]
    assert out.columns == X.columns


# --- what counts as missing ---------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("X", "gaps"),
    [
        (pl.DataFrame({"x": [1.0, None, NAN]}), [False, True, True]),
        (pa.table({"x": [1.0, None, NAN]}), [False, True, True]),
        (pd.DataFrame({"x": pd.Series([1.0, None, NAN], dtype="Float64")}), [False, True, True]),
        (pd.DataFrame({"x": pd.Series(["a", pd.NA, NAN, pd.NaT, None, ""], dtype=object)}),
         [False, True, True, True, True, False]),
        (np.array([[1], [None], [NAN], [np.float32("nan")], [Decimal("NaN")]], dtype=object),
         [False, True, True, True, True]),
        ([["a"], [None], [NAN], ["nan"]], [False, True, True, False]),
        ([[1, 2], [None, 3]], [False, True]),
    ],
)  # fmt: skip
def test_missing(X: Any, gaps: list[bool]) -> None:
    assert Schema.fit(X)[1].gaps[:, 0].tolist() == gaps


def test_nan_and_null_of_polars_and_arrow_are_both_filled() -> None:
    for X in (pl.DataFrame({"x": [1.0, None, NAN]}), pa.table({"x": [1.0, None, NAN]})):
        assert cells(fit_fill(X)) == [1.0, FILL, FILL]


def test_lists_and_array_likes_come_back_as_arrays() -> None:
    class Wrapped:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.array([[1.0, NAN], [3.0, 4.0]])

    assert fit_fill(Wrapped()).tolist() == [[1.0, FILL], [3.0, 4.0]]
    assert fit_fill([[1, 2], [NAN, 4]]).tolist() == [[1.0, 2.0], [FILL, 4.0]]
    # numpy alone would make strings of these numbers, and a string of NaN.
    assert fit_fill([["a", 1.5], ["b", NAN]]).tolist() == [["a", 1.5], ["b", FILL]]


# --- categories or numbers ----------------------------------------------------------------------


def mixed() -> pd.DataFrame:
    return pd.DataFrame({"a": [10, 30, 20], "b": [3.0, 4.0, NAN], "c": ["x", "y", "x"]})


@pytest.mark.parametrize(
    ("features", "levels"),
    [
        ("from_dtype", [(), (), ("x", "y")]),
        ([], [(), (), ("x", "y")]),
        (["a"], [(10, 20, 30), (), ("x", "y")]),
        ([0, 1], [(10, 20, 30), (3.0, 4.0), ("x", "y")]),
        (np.array(["b"]), [(), (3.0, 4.0), ("x", "y")]),
        ([True, False, False], [(10, 20, 30), (), ("x", "y")]),
        (np.array([False, True, True]), [(), (3.0, 4.0), ("x", "y")]),
    ],
)
def test_categorical_features(features: Any, levels: list[Any]) -> None:
    schema, coded = Schema.fit(mixed(), categorical_features=features)
    assert [column.levels for column in schema.columns] == levels
    assert schema.categorical.tolist() == [bool(some) for some in levels]
    assert coded.gaps.tolist() == [[False] * 3, [False] * 3, [False, True, False]]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["zz"], r"'zz', but X has the columns 'a', 'b', 'c'"),
        ([3], "position 3, but X has columns 0 to 2"),
        ([-1], "position -1"),
        ([True], "mask of 1 columns, but X has 3"),
        ("a", "categorical_features is 'a'"),
        (5, "categorical_features is 5"),
        ([["a"]], r"has \['a'\]"),
        (None, "Column 'c' holds strings, and categorical_features=None"),
    ],
)
def test_categorical_features_that_do_not_exist(features: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schema.fit(mixed(), categorical_features=features)


def test_names_need_a_frame_and_none_takes_numbers() -> None:
    with pytest.raises(ValueError, match="X has no column names"):
        Schema.fit(np.eye(2), categorical_features=["a"])
    assert not Schema.fit(np.eye(2), categorical_features=None)[0].categorical.any()


@pytest.mark.parametrize("library", ["numpy", "pandas", "polars", "arrow"])
def test_numbers_declared_categories_are_filled_with_their_own_kind(library: str) -> None:
    column = [2**53 + 1, None, 4]
    X = {
        "numpy": lambda: np.array(column, dtype=object)[:, None],
        "pandas": lambda: pd.DataFrame({"x": pd.Series(column, dtype="Int64")}),
        "polars": lambda: pl.DataFrame({"x": column}),
        "arrow": lambda: pa.table({"x": column}),
    }[library]()
    out = transform(X, X, code=1, categorical_features=[0])
    assert_same_table(out, X)
    assert cells(out) == [2**53 + 1, 2**53 + 1, 4]


def test_declared_categories_of_128_bits_stay_exact() -> None:
    levels = [-1, 2**63 + 1]
    fitted = pl.DataFrame({"x": pl.Series(levels, dtype=pl.Int128)})
    schema, _ = Schema.fit(fitted, categorical_features=["x"])
    X = pl.DataFrame({"x": pl.Series([None, None, -1], dtype=pl.Int128)})
    out = schema.restore(X, schema.encode(X), np.array([[0.0], [1.0], [0.0]]))
    assert out["x"].to_list() == [*levels, -1]


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        (pd.Categorical(["b", "a"], categories=["z", "b", "a"]), ("b", "a")),
        (pd.Series(["b", "a", "10", "9"]), ("10", "9", "a", "b")),
        (pd.Series(["b", 1, "a", 2.5], dtype=object), (2.5, 1, "a", "b")),
        (pd.Series([True, None, False], dtype=object), (False, True)),
        (pl.Series(["b", "a"], dtype=pl.Enum(["z", "b", "a"])), ("b", "a")),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ("a", "b")),
        (pa.array(["b", "a"]).dictionary_encode(), ("b", "a")),
    ],
)
def test_order_of_levels(column: Any, levels: tuple[Any, ...]) -> None:
    library = {"polars": pl.DataFrame, "pyarrow": pa.table}.get(
        type(column).__module__.split(".")[0]
    )
    X = (library or pd.DataFrame)({"x": column})
    schema, coded = Schema.fit(X)
    assert schema.columns[0].levels == levels
    assert encode_labels(column, len(column))[1] == levels
    observed = [value for value in cells(X) if value is not None]
    codes = coded.values[:, 0]
    assert codes[~np.isnan(codes)].tolist() == [levels.index(value) for value in observed]


def test_intervals_of_a_category_dtype() -> None:
    X = pd.DataFrame({"x": pd.cut(pd.Series([1.0, 9.0, NAN, 2.0]), 3)})
    out = fit_fill(X)
    assert_same_table(out, X)
    assert out["x"].tolist() == [X["x"][0], X["x"][1], X["x"][0], X["x"][3]]


# --- whole numbers ------------------------------------------------------------------------------


def test_whole_numbers_are_rounded_and_kept_in_the_observed_range() -> None:
    X = pd.DataFrame({"x": pd.Series([3, 9, None], dtype="Int64")})
    for number, whole in [(5.4, 5), (5.6, 6), (-80.0, 3), (1e30, 9)]:
        assert transform(X, X, number)["x"].tolist() == [3, 9, whole]


@pytest.mark.parametrize("name", ["pandas Int64", "polars Int64", "arrow int64"])
@pytest.mark.parametrize(("number", "whole"), [(2.0**63, 2**63 - 1), (-(2.0**63), -(2**63) + 1)])
def test_the_ends_of_int64(name: str, number: float, whole: int) -> None:
    X = CASES[name].build([2**63 - 1, -(2**63) + 1, None])
    assert cells(transform(X, X, number))[2] == whole


def test_whole_at_fit_stays_whole_in_floats_and_floats_are_rounded_into_integers() -> None:
    whole = pd.DataFrame({"x": [1, 5]})
    floats = pd.DataFrame({"x": [1.5, NAN]})
    out = transform(whole, floats)
    assert out["x"].tolist() == [1.5, 2.0]
    assert out["x"].dtype == np.float64
    integers = pd.DataFrame({"x": pd.Series([4, None], dtype="Int64")})
    out = transform(pd.DataFrame({"x": [0.5, 5.25]}), integers)
    assert out["x"].tolist() == [4, 2]
    assert out["x"].dtype == "Int64"


# --- new rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_an_unseen_category_is_no_gap_and_stays(frame: Any) -> None:
    schema, _ = Schema.fit(frame({"x": ["a", "b"], "n": [1.0, 2.0]}))
    X = frame({"x": ["new", None, "b"], "n": [1.0, None, 99.0]})
    coded = schema.encode(X)
    np.testing.assert_array_equal(coded.values, [[NAN, 1.0], [NAN, NAN], [1.0, 99.0]])
    assert coded.gaps.tolist() == [[False, False], [True, True], [False, False]]
    out = schema.restore(X, coded, filling(schema, coded))
    assert cells(out) == ["new", "a", "b"]


def test_a_level_that_a_pandas_dtype_lacks_is_added() -> None:
    fitted = pd.DataFrame({"x": pd.Categorical(["a", "b"])})
    X = pd.DataFrame({"x": pd.Categorical(["c", None, "b"], categories=["c", "b"], ordered=True)})
    out = transform(fitted, X)["x"]
    assert out.tolist() == ["c", "a", "b"]
    assert out.cat.categories.tolist() == ["c", "b", "a"]
    assert out.cat.ordered
    assert X["x"].cat.categories.tolist() == ["c", "b"]


def test_a_level_that_an_enum_lacks_is_an_error() -> None:
    fitted = pl.DataFrame({"x": ["a", "b"]})
    X = pl.DataFrame({"x": pl.Series(["b", None], dtype=pl.Enum(["b"]))})
    with pytest.raises(ValueError, match=r"Column 'x' is Enum.* cannot hold its fills \('a'"):
        transform(fitted, X)


def test_a_number_that_a_dtype_cannot_hold_is_an_error() -> None:
    fitted = pd.DataFrame({"x": [1, 1000]})
    X = pd.DataFrame({"x": pd.Series([1, None], dtype="UInt8")})
    for table in (X, pl.from_pandas(X), pa.Table.from_pandas(X)):
        with pytest.raises(ValueError, match=r"Column 'x' is .*8 here and cannot .* \(500"):
            transform(fitted, table, 500.0)
    levels = pd.DataFrame({"x": [2.5, 4.0]})
    with pytest.raises(ValueError, match=r"cannot hold its fills \(2.5"):
        transform(levels, X.replace(1, 4), categorical_features=["x"])
    mixed = pd.DataFrame({"x": pd.Series(["1", 2], dtype=object)})
    with pytest.raises(ValueError, match=r"cannot hold its fills \('1'"):
        transform(mixed, pd.DataFrame({"x": [2.0, NAN]}), code=1)


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"n": [None, None], "s": [None, None], "b": [None, None]}),
        pd.DataFrame({"n": [NAN, NAN], "s": [NAN, NAN], "b": [NAN, NAN]}, index=[4, 4]),
        pl.DataFrame({"n": [None, None], "s": [None, None], "b": [None, None]}),
        pl.DataFrame({"n": ["x", "x"], "s": [1.0, 1.0], "b": [1, 1]}).clear(2),
        pa.table({"n": pa.nulls(2), "s": pa.nulls(2), "b": pa.nulls(2)}),
        pa.table({"n": pa.nulls(2, pa.string()), "s": pa.nulls(2, pa.bool_()), "b": pa.nulls(2)}),
    ],
)
def test_missing_columns_take_their_natural_dtype(X: Any) -> None:
    fitted = pd.DataFrame({"n": [1.5, 2.0], "s": ["u", "v"], "b": [True, False]})
    out = transform(fitted, X)
    native = pd.DataFrame({"n": [FILL] * 2, "s": ["u"] * 2, "b": [False] * 2})
    expected = {
        pd.DataFrame: lambda: native,
        pl.DataFrame: lambda: pl.from_pandas(native),
        pa.Table: lambda: pa.table(native.to_dict("list")),
    }[type(X)]()
    assert dtypes(out) == dtypes(expected)
    if isinstance(X, pd.DataFrame):
        assert out.index.equals(X.index)
        out = out.reset_index(drop=True)
    assert out.equals(expected)


def test_an_array_has_one_dtype_for_all_columns() -> None:
    fitted = np.array([["a", 1.0], ["b", 2.0]], dtype=object)
    out = transform(fitted, np.array([[None, 1.0]], dtype=object))
    assert out.tolist() == [["a", 1.0]]
    with pytest.raises(ValueError, match=r"Column 0 is float64 here .* \('a'"):
        transform(fitted, np.array([[NAN, 1.0]]))


def test_gaps_may_appear_where_fit_saw_none() -> None:
    fitted = pd.DataFrame({"i": [1, 3], "b": [True, False], "s": ["u", "v"]})
    X = pd.DataFrame({"i": [None, 3], "b": [None, True], "s": [None, "w"]})
    out = transform(fitted, X)
    assert out.to_dict("list") == {"i": [2.0, 3.0], "b": [False, True], "s": ["u", "w"]}


def test_empty_columns_are_kept_as_they_are() -> None:
    X = pd.DataFrame({"e": [None, None], "n": [1.0, NAN]})
    schema, coded = Schema.fit(X, keep_empty_features=True)
    assert [column.empty for column in schema.columns] == [True, False]
    assert np.isnan(coded.values[:, 0]).all()
    assert coded.gaps.tolist() == [[False, False], [False, True]]
    out = schema.restore(X, coded, filling(schema, coded))
    assert out["e"].tolist() == [None, None]
    assert out["n"].tolist() == [1.0, FILL]
    new = pd.DataFrame({"e": [dt.date(2020, 1, 1), [1]], "n": [NAN, 3.0]})
    coded = schema.encode(new)
    assert coded.gaps.tolist() == [[False, True], [False, False]]
    out = schema.restore(new, coded, filling(schema, coded))
    assert out["e"].tolist() == [dt.date(2020, 1, 1), [1]]


def table_of(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5], "c": ["x", "y"]} | columns)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (table_of()[["a", "b"]], "X has 2 columns, but the table at fit had 3: 'a', 'b', 'c'"),
        (table_of()[["b", "a", "c"]], "another order than at fit: select 'a', 'b', 'c'"),
        (table_of().rename(columns={"a": "q"}), "'q' unknown to fit, 'a' missing from X"),
        (
            table_of(a=["1", "2"]),
            r"Column 'a' holds strings \((str|object)\), but it held numbers at fit",
        ),
        (table_of(c=[1, 2]), r"Column 'c' holds numbers \(int64\), but it held strings at fit"),
        (table_of(b=[True, False]), "Column 'b' holds booleans .* numbers"),
        (table_of(a=pd.Categorical([1, 2])), "Column 'a' holds categories .* numbers"),
        (table_of(a=pd.Series([1, "x"], dtype=object)), "Column 'a' holds mixed values"),
        (table_of(a=[1, np.inf]), "Column 'a' holds infinity in row 1"),
        (np.ones((2, 2)), "X has 2 columns"),
    ],
)
def test_new_tables_that_differ(X: Any, message: str) -> None:
    schema, _ = Schema.fit(table_of())
    with pytest.raises(ValueError, match=message):
        schema.encode(X)


def test_arrays_and_other_libraries_are_taken_at_transform() -> None:
    schema, coded = Schema.fit(table_of())
    for X in (
        table_of().to_numpy(),
        pl.from_pandas(table_of()),
        pa.Table.from_pandas(table_of()),
        table_of(c=pd.Categorical(["x", "y"])),
        table_of(c=pd.Series(["x", 7], dtype=object)),
    ):
        np.testing.assert_array_equal(schema.encode(X).values[:, :2], coded.values[:, :2])
    on_array, _ = Schema.fit(table_of().to_numpy())
    np.testing.assert_array_equal(on_array.encode(table_of()).values, coded.values)
    assert on_array.names == (0, 1, 2)


def test_mixed_categories_may_show_one_type_only() -> None:
    schema, _ = Schema.fit(pd.DataFrame({"x": pd.Series([1, "a", "b"], dtype=object)}))
    coded = schema.encode(pd.DataFrame({"x": [1, 1]}))
    assert coded.values[:, 0].tolist() == [0.0, 0.0]


def test_a_fill_that_is_missing_is_an_error() -> None:
    X = pd.DataFrame({"x": [1.0, NAN, NAN]})
    schema, coded = Schema.fit(X)
    with pytest.raises(ValueError, match="Column 'x' has no fill for its gap in row 2"):
        schema.restore(X, coded, np.array([[NAN], [1.0], [NAN]]))


# --- indexes, names, modules --------------------------------------------------------------------


def test_pandas_indexes_of_every_kind() -> None:
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["k", "l"])
    columns = pd.MultiIndex.from_tuples([("u", 1), ("u", 2)])
    X = pd.DataFrame([[1.0, None], [NAN, "q"], [3.0, "p"]], index=index, columns=columns)
    out = fit_fill(X)
    expected = pd.DataFrame([[1.0, "p"], [FILL, "q"], [3.0, "p"]], index=index, columns=columns)
    pd.testing.assert_frame_equal(out, expected)
    numbered = pd.DataFrame([[1.0, NAN], [2.0, 1.0]], columns=[5, "x"])
    assert Schema.fit(numbered)[0].names == (5, "x")
    assert list(fit_fill(numbered).columns) == [5, "x"]


def test_a_schema_needs_no_frame_library() -> None:
    X = pd.DataFrame({"c": pd.Categorical(["b", None, "a"]), "i": pd.array([1, None, 2]), "s": "t"})
    pickled = pickle.dumps(Schema.fit(X)[0])
    assert not any(word in pickled for word in (b"pandas", b"narwhals", b"pyarrow"))
    program = (
        "import pickle, sys\n"
        "sys.modules.update(dict.fromkeys(['pandas', 'polars', 'pyarrow']))  # not installed\n"
        "from greyknn.table import Schema\n"
        "schema = pickle.loads(sys.stdin.buffer.read())\n"
        "coded = schema.encode([['a', None, 't']])\n"
        "assert coded.values[0, 0] == 0 and coded.gaps.tolist() == [[False, True, False]]\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickled, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


# --- tables that cannot be filled ---------------------------------------------------------------

stamp = dt.datetime(2020, 1, 1)
two_a = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
REFUSED = {
    "1-d": (np.ones(3), ValueError, "Reshape your data"),
    "series": (pd.Series([1, 2]), ValueError, "Reshape your data"),
    "3-d": (np.ones((2, 2, 2)), ValueError, "X has 3 dimensions"),
    "scalar": (None, TypeError, "X is a NoneType; pass an array or a data frame"),
    "dict": ({"a": [1]}, TypeError, "X is a dict"),
    "ragged": ([[1, 2], [3]], ValueError, "rows of different lengths"),
    "no rows": (
        np.empty((0, 4)),
        ValueError,
        r"0 sample\(s\) \(shape=\(0, 4\)\) while a minimum of 1 is required",
    ),
    "no columns": (
        np.empty((3, 0)),
        ValueError,
        r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required\.",
    ),
    "no rows pandas": (pd.DataFrame({"a": []}), ValueError, r"0 sample\(s\)"),
    "complex": (np.ones((2, 2)) * 1j, ValueError, "Complex data not supported"),
    "complex pandas": (pd.DataFrame({"a": [1j]}), ValueError, "Complex data not supported"),
    "complex object": (np.array([[1j]], dtype=object), ValueError, "Complex data not supported"),
    "sparse": (sparse.csr_array(np.eye(2)), TypeError, r"X is sparse.*call X.toarray\(\)"),
    "sparse pandas": (
        pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])}), TypeError, r"'a' is Sparse\["
    ),
    "masked": (np.ma.array(np.eye(2)), TypeError, r"X.filled\(np.nan\)"),
    "structured": (np.array([(1, 2.0)], dtype="i4,f4"), TypeError, "structured array"),
    "lazy": (pl.LazyFrame({"a": [1]}), TypeError, r"call .collect\(\) first"),
    "narwhals": (narwhals.from_native(two_a.select([0])), TypeError, r"X.to_native\(\)"),
    "record batch": (pa.record_batch({"a": [1]}), TypeError, r"pass pyarrow.table\(X\)"),
    "infinity": (np.array([[1, 2], [1, -np.inf]]), ValueError, "Column 1 holds infinity in row 1"),
    "infinity polars": (
        pl.DataFrame({"a": [None, float("inf")]}), ValueError, "'a' holds infinity in row 1"
    ),
    "huge": (np.array([[10**400]], dtype=object), ValueError, "too large for float64"),
    "empty": (
        pl.DataFrame({"a": [1], "e": [None]}),
        ValueError,
        "Column 'e' has no observed value: drop it, .* keep_empty_features=True",
    ),
    "empty array": (np.array([[1, NAN]]), ValueError, "Column 1 has no observed value"),
    "twice pandas": (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, r"names \['a'\]"),
    "twice arrow": (two_a, ValueError, r"duplicated column names \['a'\]; rename"),
    "dates numpy": (np.array([["2020"]], dtype="M8[D]"), TypeError, "Column 0 .* days since"),
    "dates object": (pd.DataFrame({"a": [stamp.date(), None]}), TypeError, "dates or times"),
    "binary": (pl.DataFrame({"a": [b"x"]}), TypeError, "'a' is Binary, neither"),
    "unhashable": (np.array([[{"foo": "bar"}, 1]], dtype=object), TypeError,
                   "argument must be .* string.* number"),
    "tuples": (pd.DataFrame({"a": [(1, 2)]}), TypeError, "'a' holds nested cells"),
} | {
    f"{noun} {library}": (frame({"a": [value]}), TypeError, f"Column 'a' holds {message}")
    for library, frame in [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("arrow", pa.table)]
    for noun, value, message in [
        ("datetime", stamp, "dates or times .*: turn them into numbers"),
        ("duration", dt.timedelta(1), "dates or times"),
        ("time", dt.time(1), "dates or times"),
        ("list", [1, 2], "nested cells .*: expand the column"),
        ("struct", {"k": 1}, "nested cells"),
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    X, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        Schema.fit(X)


# --- labels -------------------------------------------------------------------------------------

Y = ["b", None, "a"]


@pytest.mark.parametrize(
    ("y", "codes", "classes"),
    [
        (Y, [1, -1, 0], ("a", "b")),
        (["b", NAN, "a"], [1, -1, 0], ("a", "b")),
        (np.array(Y, dtype=object), [1, -1, 0], ("a", "b")),
        (np.array(["b", "c", "a"]), [1, 2, 0], ("a", "b", "c")),
        (np.array([7, 2, 7]), [1, 0, 1], (2, 7)),
        (np.array([[7], [2], [7]]), [1, 0, 1], (2, 7)),
        (np.array([0.5, NAN, -1.0]), [1, -1, 0], (-1.0, 0.5)),
        ([True, False, True], [1, 0, 1], (False, True)),
        ([1, "a", None], [0, 1, -1], (1, "a")),
        (pd.Series(Y, index=[9, 9, 9]), [1, -1, 0], ("a", "b")),
        (pd.Series([2, None, 1], dtype="Int64"), [1, -1, 0], (1, 2)),
        (pd.Series([True, None, False], dtype="boolean"), [1, -1, 0], (False, True)),
        (pd.Series(pd.Categorical(Y, categories=["b", "z", "a"])), [0, -1, 1], ("b", "a")),
        (pd.Categorical(Y, categories=["b", "a"]), [0, -1, 1], ("b", "a")),
        (pd.DataFrame({"y": Y}), [1, -1, 0], ("a", "b")),
        (pl.Series(Y), [1, -1, 0], ("a", "b")),
        (pl.Series(Y, dtype=pl.Enum(["b", "a"])), [0, -1, 1], ("b", "a")),
        (pl.Series([1.0, None, NAN]), [0, -1, -1], (1.0,)),
        (pa.array(Y), [1, -1, 0], ("a", "b")),
        (pa.chunked_array([Y[:1], Y[1:]]), [1, -1, 0], ("a", "b")),
        ([None, None, NAN], [-1, -1, -1], ()),
    ],
)
def test_labels(y: Any, codes: list[int], classes: tuple[Any, ...]) -> None:
    found, names = encode_labels(y, 3)
    assert found.dtype == np.int64
    assert found.tolist() == codes
    assert names == classes
    assert [type(name) for name in names] == [type(name) for name in classes]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([1, 2], ValueError, "y has 2 labels, but X has 3 rows"),
        (np.ones((3, 2)), ValueError, r"y has shape \(3, 2\); pass one class label per row"),
        (pd.DataFrame({"a": [1, 2, 3], "b": 0}), ValueError, r"y has shape \(3, 2\)"),
        ("abc", TypeError, "y is a str"),
        ([[1], [1, 2], 3], ValueError, "y has rows of different lengths"),
        (pd.Series([stamp] * 3), TypeError, "y holds dates or times"),
    ],
)
def test_labels_refused(y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        encode_labels(y, 3)
