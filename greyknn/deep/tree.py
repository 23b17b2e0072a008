"""A state, a tree of values, <-> JSON and tensors, exact in types and bits.

A value that JSON does not have is a list that begins with a tag. Decoding imports and calls nothing
that a tag names: classes are looked up among those that the caller gives, and their fields set.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
import struct
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from types import NoneType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DEEPEST = 64
"""Levels of nesting, well within Python's recursion limit."""

_DTYPES = {  # of torch and of safetensors; others of numpy go as bytes
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bfloat16"
}  # fmt: skip
_RAW = re.compile(r"\|b1|[<|](?:[uifc]\d+|[US]\d+|[Mm]8(?:\[\w+\])?)")
_ZONES = (NoneType, datetime.timezone, ZoneInfo)


class _Leaf(NamedTuple):
    """A type that is written as the arguments that make it."""

    kind: type | None  # None: pandas.Timestamp, where pandas is there
    arguments: tuple[Any, ...]  # their types
    split: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]

    def takes(self, arguments: Sequence[Any]) -> bool:
        """Whether arguments are of the types that it has."""
        same = len(arguments) == len(self.arguments)
        return same and all(map(isinstance, arguments, self.arguments))


_LEAVES = {
    "int": _Leaf(int, (str,), lambda v: (hex(v),), lambda text: int(text, 16)),
    "float": _Leaf(
        float, (bytes,), lambda v: (struct.pack("<d", v),),
        lambda bits: struct.unpack("<d", bits)[0],
    ),
    "str": _Leaf(  # UTF-8 has no lone surrogates
        str, (bytes,), lambda v: (v.encode("utf-8", "surrogatepass"),),
        lambda text: text.decode("utf-8", "surrogatepass"),
    ),
    "bytes": _Leaf(bytes, (str,), lambda v: (v.hex(),), bytes.fromhex),
    "decimal": _Leaf(Decimal, (str,), lambda v: (str(v),), Decimal),
    "fraction": _Leaf(Fraction, (int, int), lambda v: v.as_integer_ratio(), Fraction),
    "timedelta": _Leaf(
        datetime.timedelta, (int,) * 3, lambda v: (v.days, v.seconds, v.microseconds),
        datetime.timedelta,
    ),
    "timezone": _Leaf(
        datetime.timezone, (datetime.timedelta, (str, NoneType)),
        lambda v: (*v.__getinitargs__(), None)[:2],  # tzname() would make up a name
        lambda offset, name: datetime.timezone(offset, *([] if name is None else [name])),
    ),
    "zone": _Leaf(ZoneInfo, (str,), lambda v: (v.key,), ZoneInfo),
    "date": _Leaf(datetime.date, (int,) * 3, lambda v: (v.year, v.month, v.day), datetime.date),
    "datetime": _Leaf(
        datetime.datetime, (*(int,) * 8, _ZONES),
        lambda v: (v.fold, *v.replace(tzinfo=None).timetuple()[:6], v.microsecond, v.tzinfo),
        lambda fold, *parts: datetime.datetime(*parts, fold=fold),
    ),
    "timestamp": _Leaf(
        None, (np.datetime64, _ZONES, int), lambda v: (v.asm8, v.tzinfo, v.fold),
        lambda *parts: _timestamp(*parts),
    ),
    "numpy.str": _Leaf(np.str_, (str,), lambda v: (str(v),), np.str_),
    "numpy.bytes": _Leaf(np.bytes_, (bytes,), lambda v: (bytes(v),), np.bytes_),
}  # fmt: skip
_TAGS = {leaf.kind: tag for tag, leaf in _LEAVES.items()}


class Encoder:
    """A state -> JSON and `tensors`, which are copies on the processor, by name.

    Parameters
    ----------
    classes : sequence of dataclasses
        Those that the state may hold.
    """

    def __init__(self, classes: Sequence[type]) -> None:
        self.classes = set(classes)
        self.tensors: dict[str, Any] = {}
        self._place: list[str] = []

    def node(self, value: Any, step: str = "") -> Any:
        """Encode a value, which is one `step` away from what holds it.

        Raises
        ------
        TypeError, ValueError
            It cannot be kept, or is nested too deeply; the message says where it is.
        """
        self._place.append(step)
        if len(self._place) > DEEPEST:
            raise ValueError(
                f"The state is nested more than {DEEPEST} levels deep, or holds itself: "
                f"{self._where()[:60]}..."
            )
        node = self._node(value)
        self._place.pop()
        return node

    def _node(self, value: Any) -> Any:
        kind = type(value)
        if kind is str and _is_unicode(value):
            return value
        if kind is int and value.bit_length() < 64:
            return value
        if value is None or kind is bool or (kind is float and math.isfinite(value)):
            return value
        if kind in (list, tuple):
            return [kind.__name__, *(self.node(item, f"[{i}]") for i, item in enumerate(value))]
        if kind is dict:
            pairs = enumerate(value.items())
            return ["dict", *([self.node(k, f"[key {i}]"), self.node(v, _step(k, i))]
                              for i, (k, v) in pairs)]  # fmt: skip
        if kind in self.classes:
            names = [field.name for field in dataclasses.fields(kind) if not _is_cache(field)]
            parts = {name: self.node(getattr(value, name), f".{name}") for name in names}
            return ["dataclass", kind.__name__, parts]
        if (tag := _tag(kind)) is not None:
            arguments = _LEAVES[tag].split(value)
            nodes = [self.node(argument) for argument in arguments]
            if _LEAVES[tag].takes(arguments):
                return [tag, *nodes]
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._of_numpy(value)
        return self._of_torch(value)

    def _of_numpy(self, value: Any) -> list[Any]:
        import torch

        shape, name = list(value.shape), value.dtype.name
        if value.dtype.kind == "O":
            cells = (self.node(cell, f"{list(index)}") for index, cell in np.ndenumerate(value))
            return ["objects", shape, *cells]
        dtype = value.dtype.newbyteorder("<").str
        if not _RAW.fullmatch(dtype):
            raise self._refusal(value, f"dtype {name}", "make it numbers, strings or times")
        if isinstance(value, np.generic):
            return ["scalar", dtype, value.astype(dtype).tobytes().hex()]
        if name in _DTYPES:
            array = np.array(value, value.dtype.newbyteorder("="), order="C")
        else:
            array = np.array(bytearray(value.astype(dtype).tobytes()), np.uint8)
        return ["array", dtype, shape, self._kept(torch.from_numpy(array))]

    def _of_torch(self, value: Any) -> list[Any]:
        import torch

        if type(value) is not torch.Tensor:
            raise self._refusal(
                value, "which a file without code cannot hold",
                "make it a number, a string, bytes, a date, an array or a tensor",
            )  # fmt: skip
        name = str(value.dtype).removeprefix("torch.")
        strange = value.layout is not torch.strided or value.is_meta or name not in _DTYPES
        if strange or value.requires_grad:
            raise self._refusal(
                value, f"{name}, {value.layout}, on {value.device}"
                f"{', with a gradient' * value.requires_grad}",
                f"detach it, and make it dense and of dtype {', '.join(sorted(_DTYPES))}",
            )  # fmt: skip
        plain = value.cpu().clone(memory_format=torch.contiguous_format)
        return ["tensor", self._kept(plain)]

    def _kept(self, tensor: Any) -> str:
        name = str(len(self.tensors))
        self.tensors[name] = tensor
        return name

    def _refusal(self, value: Any, trait: str, way_out: str) -> TypeError:
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        return TypeError(f"{self._where()} is a {name}, {trait}: {way_out}, or leave it out.")

    def _where(self) -> str:
        return "".join(self._place).lstrip(".") or "The state"


class Decoder:
    """JSON and tensors -> the state.

    Parameters
    ----------
    tensors : dict of torch tensors
        Those that the state holds are taken out.
    classes : sequence of dataclasses
    device : torch device
        Where tensors go; arrays stay on the processor.
    """

    FAILURES = (
        ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError,
        ValueError, struct.error,
    )  # fmt: skip
    """What `value` may raise for a node that no `Encoder` made."""

    def __init__(self, tensors: dict[str, Any], classes: Sequence[type], device: Any) -> None:
        self.tensors, self.device = tensors, device
        self.classes = {cls.__name__: cls for cls in classes}

    def value(self, node: Any, depth: int = 1) -> Any:
        """Decode a node, `depth` levels below what holds all of them."""
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        if not isinstance(node, list | dict):
            return node
        match node:
            case ["list", *items]:
                return self._values(items, depth)
            case ["tuple", *items]:
                return tuple(self._values(items, depth))
            case ["dict", *pairs]:
                entries = dict(self._values(pair, depth) for pair in pairs)
                if len(entries) < len(pairs):
                    raise ValueError("a dict has a key twice")
                return entries
            case ["dataclass", str(name), dict(parts)]:
                return self._dataclass(name, parts, depth)
            case ["objects", list(shape), *items]:
                cells = self._values(items, depth)
                return np.fromiter(cells, object, len(cells)).reshape(shape)
            case ["array", str(dtype), list(shape), str(name)]:
                return _array(dtype, shape, self._tensor(name).numpy())
            case ["scalar", str(dtype), str(data)]:
                return _from_bytes(dtype, [], bytearray.fromhex(data))[()]
            case ["tensor", str(name)]:
                return self._tensor(name).to(self.device)
            case [str(tag), *items] if tag in _LEAVES:
                leaf, arguments = _LEAVES[tag], self._values(items, depth)
                if leaf.takes(arguments):
                    return leaf.make(*arguments)
        raise ValueError(f"it has no values like {str(node)[:60]}")

    def _values(self, nodes: list[Any], depth: int) -> list[Any]:
        return [self.value(node, depth + 1) for node in nodes]

    def _dataclass(self, name: str, parts: dict[str, Any], depth: int) -> Any:
        if name not in self.classes:
            raise ValueError(f"{name} is none of its classes, {', '.join(self.classes)}")
        cls = self.classes[name]
        fields = dataclasses.fields(cls)
        different = {field.name for field in fields if not _is_cache(field)} ^ set(parts)
        if different:
            raise ValueError(f"{name} with or without {', '.join(sorted(different))}")
        out: Any = object.__new__(cls)  # a constructor might change what was saved
        for field in fields:
            if field.name in parts:
                value = self.value(parts[field.name], depth + 1)
            elif callable(field.default_factory):
                value = field.default_factory()
            else:
                value = field.default
            object.__setattr__(out, field.name, value)
        return out

    def _tensor(self, name: str) -> Any:
        if name not in self.tensors:
            raise ValueError(f"tensor {name!r} is missing")
        return self.tensors.pop(name)


def _tag(kind: type) -> str | None:
    timestamp = getattr(sys.modules.get("pandas"), "Timestamp", None)
    return "timestamp" if kind is timestamp else _TAGS.get(kind)


def _is_unicode(text: str) -> bool:
    """Whether a text has no surrogates; JSON would make one character of two."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_cache(field: dataclasses.Field[Any]) -> bool:
    """Whether a field is reset to its default rather than saved."""
    default = field.default is not field.default_factory  # else both are MISSING
    return default and (not field.init or field.name.startswith("_"))


def _step(key: Any, position: int) -> str:
    if type(key) is not str:  # Python refuses to print some, integers of 5,000 digits
        return f"[value {position}]"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


def _array(dtype: str, shape: list[int], stored: NDArray[Any]) -> NDArray[Any]:
    if stored.dtype.newbyteorder("<").str != dtype:
        return _from_bytes(dtype, shape, bytearray(stored.tobytes()))
    if list(stored.shape) != shape:
        raise ValueError(f"an array has the shape {list(stored.shape)} instead of {shape}")
    return stored


def _from_bytes(dtype: str, shape: list[int], data: bytearray) -> NDArray[Any]:
    if not _RAW.fullmatch(dtype):
        raise ValueError(f"{dtype} is no dtype of its arrays")
    kind = np.dtype(dtype)
    if math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"an array of {dtype} and shape {shape} has {len(data)} bytes")
    return np.ndarray(shape, kind, data).astype(kind.newbyteorder("="), copy=False)


def _timestamp(time: np.datetime64, zone: datetime.tzinfo | None, fold: int) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ValueError("it holds a pandas.Timestamp: pip install pandas") from error
    stamp = pd.Timestamp(time)
    if zone is None:
        return stamp.replace(fold=fold)
    return stamp.tz_localize("UTC").tz_convert(zone)
