"""What is saved comes back bit for bit; what is damaged, foreign, newer or hostile is refused."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import io
import json
import math
import os
import pickle
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from greyknn.deep import storage  # noqa: E402
from greyknn.table import Column, Schema  # noqa: E402


@dataclass(frozen=True)
class Leafy:
    levels: Any
    scale: Any = None


@dataclass
class Layered:
    """Fields of every kind: saved, cached, without a constructor argument, and no field at all."""

    parts: Any
    _needed: Any
    made: Any = field(init=False)
    seen: int = field(default=3, init=False)
    _cache: dict[str, int] = field(default_factory=dict)
    shared: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if isinstance(self.parts, str) and self.parts == "never made":
            raise AssertionError("a constructor was called")
        self.made = "made"


@dataclass(frozen=True, slots=True)
class Slotted:
    parts: Any


class Row(NamedTuple):
    cell: int


class Level(IntEnum):
    LOW = 1


CLASSES = (Leafy, Layered, Slotted, Column, Schema)
OF = {"kind": "DeepImputer", "version": 2, "classes": CLASSES}


def saved(folder: Path, state: Any) -> Path:
    storage.write(folder / "model.safetensors", state, **OF)
    return folder / "model.safetensors"


def round_trip(folder: Path, state: Any) -> Any:
    return storage.read(saved(folder, state), **OF)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples of a test, each of which replaces the file of the one before."""
    return tmp_path_factory.mktemp("storage")


# --- equality of everything, types and bits included ---


def bits(value: Any) -> Any:
    """Everything that must survive, in a form that == compares exactly."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack("d", value)
    if kind in (list, tuple):
        return kind, [bits(item) for item in value]
    if kind is dict:
        return kind, [(bits(key), bits(item)) for key, item in value.items()]
    if is_dataclass(value):
        return kind, [(part.name, bits(getattr(value, part.name))) for part in fields(value)]
    if kind is np.ndarray and value.dtype == object:
        return kind, value.shape, [bits(item) for item in value.ravel()]
    if kind is np.ndarray:
        native = value.astype(value.dtype.newbyteorder("="))
        return kind, native.dtype.str, value.shape, native.tobytes()
    if isinstance(value, np.generic) and kind not in (np.str_, np.bytes_):
        return kind, value.dtype.str, value.tobytes()
    if kind is torch.Tensor:
        compact = torch.cat([value.reshape(-1)])
        return kind, value.dtype, value.shape, compact.view(torch.uint8).tolist()
    if kind is dt.datetime:
        return kind, value.replace(tzinfo=None), value.fold, bits(value.tzinfo)
    if kind is dt.timezone:
        return kind, repr(value)  # == compares offsets only
    if kind is ZoneInfo:
        return kind, value.key
    if kind is Decimal:
        return kind, value.as_tuple()
    if kind.__name__ == "Timestamp":
        return kind, value.value, value.unit, value.fold, bits(value.tzinfo)
    assert kind in (type(None), bool, int, str, bytes, Fraction, dt.date, dt.timedelta, np.str_,
                    np.bytes_), kind  # fmt: skip
    return kind, value


DIFFERENT = [
    None, True, 1, 1.0, "1", b"1", np.True_, np.int64(1), np.int8(1), np.float64(1),
    np.float32(1), np.str_("1"), np.bytes_(b"1"), Decimal(1), Decimal("1.0"), Fraction(1), [1],
    (1,), [True], [1.0], 0.0, -0.0, math.nan, -math.nan, math.inf, np.array(1), np.array([1]),
    np.array([1.0]), np.array([-0.0]), np.array([0.0]), np.array([1], object),
    np.array([True], object), torch.tensor([1]), torch.tensor([1.0]), {1: 1}, {True: 1},
    {1.0: 1}, {1: 1, 2: 2}, {2: 2, 1: 1}, "\ud83d\ude00", "\U0001f600",
    np.datetime64("2020", "D"), np.datetime64("2020", "s"), np.array("2020", "M8[D]"),
    dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, fold=1),
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC")),
    dt.timezone(dt.timedelta(0), "Z"), Leafy(1), Leafy(1.0), Slotted(1),
    np.zeros((0, 2)), np.zeros((2, 0)), np.array(["a"]), np.array(["a"], "U2"),
]  # fmt: skip


def test_the_equality_of_these_tests_tells_everything_apart() -> None:
    for i, one in enumerate(DIFFERENT):
        for j, other in enumerate(DIFFERENT):
            assert (bits(one) == bits(other)) == (i == j), (one, other)


def test_what_differs_a_little_comes_back_as_it_was(tmp_path: Path) -> None:
    assert bits(round_trip(tmp_path, DIFFERENT)) == bits(DIFFERENT)
    for value in DIFFERENT:
        assert bits(round_trip(tmp_path, value)) == bits(value)


# --- round trips of random trees ---

zones = st.sampled_from([None, dt.UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns")])
offsets = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23))
numbers = st.sampled_from(["?", "i1", "u2", "i4", "u8", "f2", ">f4", "<f8", "c8", ">c16", "g"])
stamps = st.sampled_from(["M8[ns]", ">M8[D]", "m8[25s]", "m8", "S3", "U2", ">U1"])
dtypes = (numbers | stamps).map(np.dtype)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """Arrays of any bits; also turned over and with steps, so that they are not contiguous."""
    dtype, shape = draw(dtypes), draw(shapes)
    size = math.prod(shape) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "U":  # not every 4 bytes are a character
        array = np.full(shape, draw(st.text(max_size=2)), dtype)
    elif dtype.kind == "b":
        array = np.ndarray(shape, np.uint8, data) % 2 == 1
    else:
        array = np.ndarray(shape, dtype, data)
    array = array.T if draw(st.booleans()) else array
    return array[::-2] if array.ndim and draw(st.booleans()) else array


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    dtype = draw(st.sampled_from(["bfloat16", "float16", "float32", "float64", "int16", "uint8"]))
    tensor = torch.tensor(draw(st.lists(st.floats(-9, 9), max_size=6))).to(getattr(torch, dtype))
    return tensor[::2] if draw(st.booleans()) else tensor.sum() if len(tensor) == 5 else tensor


keys = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**90), 2**90)
    | st.floats(allow_nan=False) | st.text(st.characters(), max_size=4) | st.binary(max_size=4)
    | st.decimals() | st.fractions() | st.dates() | st.datetimes(timezones=zones) | st.timedeltas()
    | st.builds(dt.timezone, offsets) | st.builds(dt.timezone, offsets, st.text(max_size=3))
    | hnp.from_dtype(np.dtype("f4")) | hnp.from_dtype(np.dtype("u1"))
    | st.text(max_size=3).map(np.str_) | st.binary(max_size=3).map(np.bytes_)
    | st.sampled_from([np.datetime64("NaT"), np.timedelta64(3, "m"), np.longdouble("0.1")])
).filter(lambda key: not (isinstance(key, Decimal) and key.is_snan()))  # fmt: skip
leaves = keys | st.just(math.nan) | st.just(Decimal("-sNaN7")) | arrays() | tensors()


def branches(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(children, max_size=4)
    return (
        lists | lists.map(tuple) | st.builds(Leafy, children, children)
        | st.builds(Layered, children, children) | st.builds(Slotted, children)
        | st.dictionaries(keys | st.tuples(keys, keys), children, max_size=3)
        | lists.map(lambda cells: np.fromiter(cells, object, len(cells)))
    )  # fmt: skip


trees = st.recursive(leaves, branches, max_leaves=12)


@given(trees)
def test_any_tree_comes_back_bit_for_bit(folder: Path, tree: Any) -> None:
    back = round_trip(folder, tree)
    assert bits(back) == bits(tree)


@given(trees)
def test_the_same_state_gives_the_same_bytes(folder: Path, tree: Any) -> None:
    first = saved(folder, tree).read_bytes()
    assert saved(folder, tree).read_bytes() == first


def test_a_fitted_schema_comes_back(tmp_path: Path) -> None:
    levels = ("a", 1, True, 1.5, np.str_("b"), b"c", Decimal("1.10"), ("d", 2))
    columns = Column("x", integer=True, low=2**60 + 1), Column(("y", 0), True, levels, "mixed")
    schema = Schema((*columns, Column(np.int64(3), empty=True)), named=True)
    assert bits(round_trip(tmp_path, schema)) == bits(schema)
    assert math.isnan(round_trip(tmp_path, schema).columns[0].high)


def test_integers_too_long_to_print_come_back(tmp_path: Path) -> None:
    state = {10**5000: -(10**5000), (10**5000,): (1,)}
    assert bits(round_trip(tmp_path, state)) == bits(state)
    with pytest.raises(TypeError, match=r"^\[value 0\]\.a is a object"):
        storage.write(tmp_path / "other", {10**5000: {"a": object()}}, **OF)


def test_pandas_timestamps_come_back(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    hour = pd.Timestamp("2020-10-25 01:30", tz="UTC")
    times = [
        pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01 00:00:00.123456789"),
        pd.Timestamp(1, unit="s").as_unit("s"), pd.Timestamp("1700-01-01").as_unit("ms"),
        pd.Timestamp("2020-01-01", tz="Asia/Tokyo"), hour.tz_convert("Europe/Berlin"),
        (hour - pd.Timedelta(hours=1)).tz_convert("Europe/Berlin"), hour,
        pd.Timestamp("2020", tz=dt.timezone(dt.timedelta(hours=-3))),
        pd.Timestamp(dt.datetime(2020, 1, 1, fold=1)),
    ]  # fmt: skip
    assert bits(round_trip(tmp_path, times)) == bits(times)
    assert [time.fold for time in round_trip(tmp_path, times)[5:7]] == [1, 0]


def test_without_pandas_its_timestamps_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd = pytest.importorskip("pandas")
    path = saved(tmp_path, [pd.Timestamp("2020")])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match="pip install pandas"):
        storage.read(path, **OF)


def test_arrays_can_be_written_to_and_are_native(tmp_path: Path) -> None:
    for dtype in (">f8", "<f2", ">M8[s]", ">u2", "U3", "?", object):
        array = np.zeros(3, dtype)
        array.flags.writeable = False
        back = round_trip(tmp_path, array)
        assert back.flags.writeable
        assert back.flags.c_contiguous
        assert back.dtype.isnative
        back[0] = back[1]


def test_shared_and_overlapping_memory_is_saved_apart(tmp_path: Path) -> None:
    array, tensor = np.arange(6.0), torch.arange(6.0)
    state = [array, array[1:], array, tensor, tensor[2:], tensor.expand(2, 6), tensor]
    assert bits(round_trip(tmp_path, state)) == bits(state)
    negated = torch.tensor([1 + 2j]).conj().imag  # a view with its sign still to be turned
    assert round_trip(tmp_path, negated).tolist() == [-2.0]


def test_caches_are_reset_and_constructors_not_called(tmp_path: Path) -> None:
    layered = Layered([1], "needed")
    layered.parts, layered.made, layered.seen, layered._cache = "never made", "kept", 9, {"a": 1}
    layered.stray = 1  # type: ignore[attr-defined]
    back = round_trip(tmp_path, layered)
    assert vars(back) == {
        "parts": "never made", "_needed": "needed", "made": "kept", "seen": 3, "_cache": {}
    }  # fmt: skip
    assert back._cache is not round_trip(tmp_path, layered)._cache


def test_tensors_go_to_the_device(tmp_path: Path) -> None:
    path = saved(tmp_path, {"weight": torch.ones(2), "array": np.ones(2)})
    back = storage.read(path, **OF, device="meta")
    assert back["weight"].device.type == "meta"
    assert back["array"].tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="nowhere"):
        storage.read(path, **OF, device="nowhere")


# --- what cannot be saved ---


class Own:
    pass


class OwnZone(dt.tzinfo):
    pass


NAMELESS = b"TZif" + bytes(16) + struct.pack(">6lxxxxxx4s", 0, 0, 0, 0, 1, 4, b"UTC")

UNSAVABLE = {
    "a lambda": (lambda: 0, "function, which"),
    "a method": ("".join, "builtin_function_or_method"),
    "an instance": (Own(), "Own"),
    "a class": (Own, "type, which"),
    "a set": ({1}, "set, which"),
    "a named tuple": (Row(1), "Row"),
    "an enum": (Level.LOW, "Level"),
    "an ordered dict": (OrderedDict(a=1), "OrderedDict"),
    "a lock": (threading.Lock(), "lock"),
    "a masked array": (np.ma.array([1.0]), "MaskedArray"),
    "a record": (np.zeros(2, "i4,f4"), "dtype"),
    "a void": (np.void(b"a"), "dtype"),
    "a parameter": (torch.nn.Parameter(torch.ones(1)), "Parameter"),
    "a gradient": (torch.ones(1, requires_grad=True), "gradient.*detach"),
    "a sparse tensor": (torch.eye(2).to_sparse(), "sparse_coo"),
    "a meta tensor": (torch.ones(1, device="meta"), "on meta"),
    "a complex tensor": (torch.ones(1, dtype=torch.complex64), "complex64"),
    "a partial": (functools.partial(int), "partial"),
    "a zone without a name": (ZoneInfo.from_file(io.BytesIO(NAMELESS)), "ZoneInfo"),
    "a time in a zone of its own": (dt.datetime(2020, 1, 1, tzinfo=OwnZone()), "OwnZone"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSAVABLE)
def test_what_cannot_be_saved_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    value, reason = UNSAVABLE[name]
    path = saved(tmp_path, "before")
    state = {
        "columns": [1, 2, Leafy((0, {"a key": np.fromiter([None, value], object).reshape(1, 2)}))]
    }
    place = r"^columns\[2\]\.levels\[1\]\['a key'\]\[0, 1\] is a .*"
    with pytest.raises(TypeError, match=f"{place}{reason}"):
        storage.write(path, state, **OF)
    assert storage.read(path, **OF) == "before"
    assert os.listdir(tmp_path) == [path.name]


def test_a_state_too_deep_or_in_a_circle_is_refused(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    assert bits(round_trip(tmp_path, deep)) == bits(deep)
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for _ in range(2000):
        deep = [deep]
    for state, place in ((deep, r"\[0\]\[0\]"), (circle, r"self\.self")):
        with pytest.raises(ValueError, match=f"more than 64 levels deep.*{place}"):
            storage.write(tmp_path / "other", state, **OF)
    assert not (tmp_path / "other").exists()


def test_a_state_with_too_much_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"100,000,1.. characters .* numpy"):
        storage.write(tmp_path / "model", "a" * 100_000_000, **OF)
    assert os.listdir(tmp_path) == []


# --- the file ---


def test_a_failed_write_leaves_the_file_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, "before")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            storage.write(path, "after", **OF)
    assert os.listdir(tmp_path) == [path.name]
    assert storage.read(path, **OF) == "before"
    storage.write(str(path), "after", **OF)
    assert storage.read(str(path), **OF) == "after"
    assert os.listdir(tmp_path) == [path.name]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path = saved(tmp_path, "before")
    link = tmp_path / "link"
    try:
        link.symlink_to(path)
    except OSError:
        pytest.skip("needs the right to make links")
    storage.write(link, "after", **OF)
    assert link.is_symlink()
    assert storage.read(path, **OF) == "after"


def test_errors_of_the_system_stay(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read(tmp_path / "nothing", **OF)
    with pytest.raises(FileNotFoundError):
        storage.write(tmp_path / "no folder" / "model", 1, **OF)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        storage.write(tmp_path / "folder", 1, **OF)
    assert os.listdir(tmp_path) == ["folder"]


def test_others_can_read_the_tensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = saved(tmp_path, {"a": np.arange(3), "b": torch.ones(2), "c": np.float32(1)})
    tensors = load_file(path)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "0": [0, 1, 2], "1": [1.0, 1.0]
    }  # fmt: skip


@pytest.mark.parametrize("package", ["safetensors", "torch"])
def test_without_the_extra_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    path = saved(tmp_path, 1)
    for name in list(sys.modules):
        if name.startswith("safetensors"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    for call in (lambda: storage.read(path, **OF), lambda: storage.write(path, 1, **OF)):
        with pytest.raises(ImportError, match=r'pip install "greyknn\[deep\]"'):
            call()


# --- damaged, foreign and newer files ---

SMALL = {"a": np.arange(3.0), "b": [1, "x", Leafy(0.5)], "c": torch.ones(1, dtype=torch.bfloat16)}


def refused(path: Path, data: bytes, match: str | None = None) -> bool:
    path.write_bytes(data)
    with pytest.raises(ValueError, match=match) as caught:
        storage.read(path, **OF)
    return type(caught.value) is ValueError and str(path) in str(caught.value)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = saved(tmp_path, SMALL).read_bytes()
    for size in range(len(data)):
        assert refused(tmp_path / "cut", data[:size])
    assert refused(tmp_path / "cut", data[:-1], "damaged")
    assert refused(tmp_path / "cut", data[:100], "not a safetensors file, or only part")
    assert refused(tmp_path / "long", data + b"\0", "damaged")


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    files = [saved(tmp_path, [SMALL, "x" * i]).read_bytes() for i in range(8)]
    data = next(data for data in files if b"}}    " in data)  # padding, which a parser passes over
    for at in range(len(data)):
        for flip in (1, 32, 128):
            assert refused(tmp_path / "bad", data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])


@given(st.data())
def test_mutations_are_refused(folder: Path, data: st.DataObject) -> None:
    whole = saved(folder, SMALL).read_bytes()
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    new = data.draw(
        st.binary(max_size=12) | st.sampled_from([b"[" * 5000, b"{", b'"', b"9" * 5000])
    )
    changed = whole[:start] + new + whole[stop if data.draw(st.booleans()) else start :]
    if changed != whole:
        assert refused(folder / "changed", changed)


@given(st.binary(max_size=60), st.none() | st.integers(0, 70))
def test_any_bytes_are_refused(folder: Path, data: bytes, size: int | None) -> None:
    assert refused(folder / "any", data if size is None else struct.pack("<Q", size) + data)


def packed(header: Any, tensors: bytes = b"") -> bytes:
    """A safetensors file, by its specification."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save

    for data in (b"", pickle.dumps(SMALL), b"PK\3\4" + bytes(100), packed(b"[" * 100_000),
                 packed([]), packed(b"NaN"), packed({"__metadata__": 3}), packed(b"9" * 9000),
                 packed(b'{"a": "\xff"}')):  # fmt: skip
        assert refused(tmp_path / "foreign", data, "is not a safetensors file, or only part of one")
    for data in (
        save({}), save({"a": torch.ones(2)}, {"format": "pt"}), packed({"__metadata__": {}}),
        packed({"__metadata__": {"greyknn": None}}),
    ):  # fmt: skip
        assert refused(
            tmp_path / "foreign", data, "a safetensors file, but not a greyknn DeepImputer: "
        )
    path = saved(tmp_path, 1)
    with pytest.raises(ValueError, match="but not a greyknn Other: name a file"):
        storage.read(path, kind="Other", version=2, classes=CLASSES)


def test_newer_files_are_refused_and_older_ones_read(tmp_path: Path) -> None:
    storage.write(tmp_path / "model", 1, kind="DeepImputer", version=3, classes=())
    with pytest.raises(
        ValueError,
        match=r"written by a newer greyknn \(format 3; this one reads up to 2\): update greyknn",
    ):
        storage.read(tmp_path / "model", **OF)
    assert storage.read(tmp_path / "model", kind="DeepImputer", version=4, classes=()) == 1


# --- hostile files: whole, and with a checksum that is right ---


def sealed(document: Any, **tensors: Any) -> bytes:
    """A file of any document and tensors (dtype, shape, bytes), its checksum by the definition."""
    header: dict[str, Any] = {"__metadata__": {"greyknn": json.dumps(document)}}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    whole = packed(header, data)
    digest = hashlib.sha256(whole).hexdigest().encode()
    return whole.replace(b"0" * 64, digest, 1)


def forged(state: Any, **tensors: Any) -> bytes:
    head = {"kind": "DeepImputer", "version": 2, "sha256": "0" * 64}
    return sealed(head | {"state": state}, **tensors)


ONES = ("F64", [2], struct.pack("2d", 1, 1))


def test_a_forged_file_is_read_where_it_is_right(tmp_path: Path) -> None:
    (tmp_path / "forged").write_bytes(forged(["array", "<f8", [2], "0"], **{"0": ONES}))
    assert bits(storage.read(tmp_path / "forged", **OF)) == bits(np.ones(2))


HOSTILE: list[tuple[Any, str]] = [
    (["os.system", "echo"], "no values like"),
    (["dataclass", "Path", {}], "Path is none of its classes"),
    (["dataclass", "os.system", {"parts": 1}], "none of its classes"),
    (["dataclass", "Leafy", {"levels": 1}], "Leafy with or without scale"),
    (["dataclass", "Leafy", {"levels": 1, "scale": 1, "__class__": 2}], "without __class__"),
    (["dataclass", "Layered", {"parts": 1, "_needed": 1, "made": 1, "seen": 2}], "without seen"),
    (["dataclass", ["Leafy"], {}], "no values like"),
    ({"a": 1}, "no values like"),
    ([], "no values like"),
    ([["list"]], "no values like"),
    ([1, 2], "no values like"),
    (["array", "<f8", [2], "7"], "tensor '7' is missing"),
    (["tensor", "7"], "tensor '7' is missing"),
    (["list"], "tensor '0' has no place"),
    (["list", ["tensor", "0"], ["tensor", "0"]], "missing"),
    (["array", "<f8", [3], "0"], "shape"),
    (["array", "<f8", [1, 2], "0"], "shape"),
    (["array", "<f4", [3], "0"], "16 bytes"),
    (["array", "<u8", [-1, -2], "0"], "negative"),
    (["array", "<u8", ["a"], "0"], "bytes"),
    (["array", "<u8", [2.0], "0"], "float"),
    (["array", "<u8", [2**62, 2**62, 0], "0"], "bytes"),
    (["array", "|O", [2], "0"], "no dtype"),
    (["array", "<f8,<f8", [1], "0"], "no dtype"),
    (["array", "<M8[ages]", [2], "0"], "ages"),
    (["array", "<f99", [2], "0"], "f99"),
    (["array", "<U0", [2], "0"], "bytes"),
    (["scalar", "|O", "00" * 8], "no dtype"),
    (["scalar", "<f8", "00" * 7], "7 bytes"),
    (["scalar", "<f8", "no hex"], "hexadecimal"),
    (["objects", [3], 1, 2], "reshape"),
    (["objects", [-1, 7], 1, 2], "reshape"),
    (["objects", ["a"], 1], "integer"),
    (["dict", [1, 2], [True, 3]], "a key twice"),
    (["dict", [["list"], 2]], "unhashable"),
    (["dict", [1]], "length 1"),
    (["dict", 1], "iterable"),
    (["int", "ten"], "invalid literal"),
    (["int", 1], "no values like"),
    (["float", ["bytes", "00"]], "8 byte"),
    (["str", ["bytes", "ff"]], "decode"),
    (["bytes", "0"], "hex"),
    (["decimal", "one"], "Invalid"),
    (["fraction", 1, 0], "Fraction"),
    (["fraction", "1e99999999", 1], "no values like"),
    (["date", 2020, 13, 1], "month"),
    (["date", 10**30, 1, 1], "too large"),
    (["date", 2020, 1], "no values like"),
    (["date", 2020, 1, 1, 1], "no values like"),
    (["datetime", 7, 2020, 1, 1, 0, 0, 0, 0, None], "fold"),
    (["datetime", 0, 2020, 1, 1, 0, 0, 0, 0, 1], "no values like"),
    (["timedelta", 10**12, 0, 0], "too large"),
    (["timezone", ["timedelta", 3, 0, 0], None], "offset"),
    (["zone", "nowhere"], "No time zone found"),
    (["zone", "../../etc/passwd"], "ZoneInfo keys"),
    (["zone", "Europe"], "Europe"),
    (["timestamp", "2020", None, 0], "no values like"),
    (["timestamp", 1], "no values like"),
    (functools.reduce(lambda node, _: ["list", node], range(70), 1), "64 levels"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "reason"), HOSTILE)
def test_a_forged_state_is_refused(tmp_path: Path, state: Any, reason: str) -> None:
    data = forged(state, **{"0": ONES})
    assert refused(
        tmp_path / "forged", data, rf"whole, but not as greyknn writes a DeepImputer \(.*{reason}"
    )


def test_forged_documents_are_refused(tmp_path: Path) -> None:
    head = {"kind": "DeepImputer", "version": 2, "sha256": "0" * 64, "state": 1}
    path = tmp_path / "forged"
    path.write_bytes(sealed(head))
    assert storage.read(path, **OF) == 1
    for change in ({"version": 0}, {"version": True}, {"version": "2"}, {"sha256": None},
                   {"sha256": "f" * 64}, {"sha256": ""}, {"state": math.nan}):  # fmt: skip
        assert refused(path, sealed(head | change), "is damaged")
    for lost in ("version", "sha256", "kind"):
        assert refused(path, sealed({key: head[key] for key in head if key != lost}), "is damaged")
    assert refused(
        path, sealed({key: head[key] for key in head if key != "state"}), "KeyError: 'state'"
    )
    for document in ([], "0" * 64, functools.reduce(lambda node, _: [node], range(900), 1), 3):
        assert refused(path, sealed(document), "is damaged")


@pytest.mark.parametrize(
    "tensor",
    [
        ("F64", [3], bytes(16)), ("F64", [2], bytes(15)), ("F65", [2], bytes(16)),
        ("F64", [-2], bytes(16)), ("F64", [2**62, 4], bytes(16)), ("F64", "a", bytes(16)),
        ("F8_E8M0", [16], bytes(16)), ("F4", [32], bytes(16)), ("BF16", [8], bytes(16)),
    ],
)  # fmt: skip
def test_forged_tensors_are_refused(tmp_path: Path, tensor: Any) -> None:
    assert refused(
        tmp_path / "forged", forged(["array", "<f8", [2], "0"], **{"0": tensor}), "is whole, but"
    )


def nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, list | dict):
        for child in node if isinstance(node, list) else node.values():
            yield from nodes(child)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4) | st.sampled_from(["list", "tuple", "dict", "0", "<f8", "Leafy", "00"]),
    lambda children: st.lists(children, max_size=4)
    | st.dictionaries(st.sampled_from(["levels", "scale", "a"]), children, max_size=2),
    max_leaves=6,
)  # fmt: skip


@given(trees, st.data())
def test_a_tampered_tree_is_refused_or_read(folder: Path, tree: Any, data: st.DataObject) -> None:
    """Whatever stands in the place of a part of a tree, nothing but ValueError comes of it."""
    whole = saved(folder, {"tree": tree, "more": [np.ones(2), Leafy(1, b"c"), dt.date.max]})
    content = whole.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    document = json.loads(header["__metadata__"]["greyknn"])
    document["sha256"] = "0" * 64
    holders = [node for node in nodes(document["state"]) if node and isinstance(node, list | dict)]
    holder = data.draw(st.sampled_from(holders))
    place = data.draw(
        st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder)))
    )
    holder[place] = data.draw(json_values)
    del header["__metadata__"]
    tensors = {
        name: (entry["dtype"], entry["shape"], content[8 + size :][slice(*entry["data_offsets"])])
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    }
    path = folder / "tampered"
    path.write_bytes(sealed(document, **tensors))
    refusal = None
    try:
        storage.read(path, **OF)
    except Exception as error:
        refusal = error
    assert refusal is None or (type(refusal) is ValueError and str(path) in str(refusal)), refusal
