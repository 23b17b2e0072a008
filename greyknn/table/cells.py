"""The cells of one column, whatever library holds them.

All columns answer the same questions: what kind of cells, the cells as numbers or as Python
objects, the order of the categories; and write fills. polars, pyarrow and pandas are used through
narwhals or through the user's own object, never imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

Kind = Literal[
    "number", "bool", "text", "category", "object", "null", "date", "nested", "complex", "other"
]
_ARRAY_KINDS: dict[str, Kind] = {
    "b": "bool", "i": "number", "u": "number", "f": "number", "c": "complex", "U": "text",
    "S": "text", "O": "object", "T": "object", "M": "date", "m": "date", "V": "nested",
}  # fmt: skip
_FRAME_KINDS: dict[Kind, tuple[type, ...]] = {
    "bool": (nw.Boolean,), "text": (nw.String,), "category": (nw.Categorical, nw.Enum),
    "object": (nw.Object,),
}  # fmt: skip


@dataclass(frozen=True)
class Fill:
    """What to write into one column: `values` into the cells of `mask`, in their order."""

    mask: NDArray[np.bool_]
    values: NDArray[Any]
    fresh: bool  # every cell is written, and the column takes the dtype natural to the values


def sort_levels(levels: set[Any]) -> list[Any]:
    """Levels in their own order, or by type and text where they have none (1 beside "a")."""
    try:
        return sorted(levels)
    except TypeError:
        return sorted(levels, key=lambda level: (type(level).__name__, str(level)))


class Cells(ABC):
    """One column. `label` names it in messages, `dtype` is the library's word for its type.

    `ordered` tells whether the dtype says that the order of its categories means something.
    """

    label: str
    kind: Kind
    integer: bool
    ordered: bool
    dtype: str

    @abstractmethod
    def numbers(self) -> NDArray[np.float64]:
        """Cells as float64, NaN where missing (kind "number" only)."""

    @abstractmethod
    def objects(self) -> list[Any]:
        """Cells as Python objects; a missing cell as the library's own marker."""

    @abstractmethod
    def stamps(self) -> NDArray[Any] | None:
        """Cells as datetime64 in UTC or timedelta64, None for times of day (kind "date" only)."""

    @abstractmethod
    def extremes(self) -> tuple[int, int]:
        """Smallest and largest value of an integer column, exact beyond 2**53."""

    @abstractmethod
    def order(self) -> list[Any] | None:
        """Categories in the order that the dtype gives them, None where it gives none."""


class ArrayCells(Cells):
    """A 1-d numpy array; `categories` is the order that a pandas.Categorical came with."""

    def __init__(self, array: NDArray[Any], label: str, categories: list[Any] | None = None):
        self.array, self.label, self.categories = array, label, categories
        self.kind = _ARRAY_KINDS[array.dtype.kind] if categories is None else "category"
        self.integer = array.dtype.kind in "iu"
        self.ordered = False
        self.dtype = str(array.dtype)

    def numbers(self) -> NDArray[np.float64]:
        return self.array.astype(np.float64)

    def objects(self) -> list[Any]:
        return list(self.array.tolist())

    def stamps(self) -> NDArray[Any] | None:
        return self.array

    def extremes(self) -> tuple[int, int]:
        return int(self.array.min()), int(self.array.max())

    def order(self) -> list[Any] | None:
        return self.categories


class SeriesCells(Cells):
    """A narwhals series."""

    def __init__(self, series: nw.Series[Any], label: str):
        self.series, self.label = series, label
        self.native = series.to_native()
        arrow = series.implementation.is_pyarrow()
        self.native_dtype = self.native.type if arrow else self.native.dtype
        self.dtype = str(self.native_dtype)
        self.integer = series.dtype.is_integer()
        self.ordered = isinstance(series.dtype, nw.Enum)  # or pandas' ordered categories
        self.kind = self._kind()

    def _kind(self) -> Kind:
        dtype = self.series.dtype
        if self.dtype == "object":  # narwhals calls pandas objects strings when they look so
            return "object"
        if dtype.is_numeric():
            return "number"
        if dtype.is_temporal() or self.dtype.startswith("date64"):  # which narwhals lacks
            return "date"
        if dtype.is_nested():
            return "nested"
        for kind, known in _FRAME_KINDS.items():
            if isinstance(dtype, known):
                return kind
        if "complex" in self.dtype:
            return "complex"
        return "null" if self.series.is_null().all() else "other"

    def numbers(self) -> NDArray[np.float64]:
        # A cast of everything would refuse Arrow's integers beyond 2**53; numpy knows neither
        # decimals nor 128 bits.
        dtype = self.series.dtype
        wide = dtype.is_decimal() or dtype in (nw.Int128, nw.UInt128)
        series = self.series.cast(nw.Float64) if wide else self.series
        return series.to_numpy().astype(np.float64)

    def objects(self) -> list[Any]:
        return self.series.to_list()

    def stamps(self) -> NDArray[Any] | None:
        array: NDArray[Any] = self.series.to_numpy()
        if array.dtype == object and self.series.implementation.is_pandas_like():
            array = self.native.array.__arrow_array__().to_numpy()
        return array if array.dtype.kind in "Mm" else None

    def extremes(self) -> tuple[int, int]:
        return int(self.series.min()), int(self.series.max())

    def order(self) -> list[Any] | None:
        dtype, library = self.series.dtype, self.series.implementation
        if isinstance(dtype, nw.Enum):
            return list(dtype.categories)
        # The order of polars' Categorical depends on what the process has seen before.
        if dtype != nw.Categorical or library.is_polars():
            return None
        if library.is_pandas_like() and not hasattr(self.native, "cat"):  # Arrow's dictionary
            return None
        return self.series.cat.get_categories().to_list()

    def filled(self, fill: Fill) -> Any:
        """Return the column with the fill written, in its own dtype; ValueError if it cannot."""
        pandas_like = self.series.implementation.is_pandas_like()
        try:
            return (self._filled_pandas if pandas_like else self._filled_gather)(fill)
        except Exception as error:  # each library has exceptions of its own
            raise misfit(self, fill) from error

    def _filled_pandas(self, fill: Fill) -> Any:
        series, index = type(self.native), self.native.index
        # pandas cannot write into a dictionary without a single entry.
        hollow = self.dtype.startswith("dictionary") and fill.mask.all()
        if fill.fresh or hollow:
            dtype = None if fill.fresh else self.native_dtype
            return series(fill.values.tolist(), index=index, dtype=dtype)
        if isinstance(self.native.dtype, np.dtype):
            array = self.native.to_numpy(copy=True)
        else:
            array = self.native.array.copy()
            if hasattr(array, "add_categories"):
                new = set(fill.values.tolist()).difference(array.categories)
                array = array.add_categories(sort_levels(new))
        values: Any = fill.values
        if getattr(self.series.dtype, "time_zone", None) is not None:
            values = series(values).dt.tz_localize("UTC")
        array[fill.mask] = values
        return series(array, index=index, dtype=array.dtype, copy=False)

    def _filled_gather(self, fill: Fill) -> nw.Series[Any]:
        # Fills are appended and every row takes its cell: exact for every dtype, and unlike an
        # if-else it keeps the order of an Arrow dictionary.
        name, library = self.series.name, self.series.implementation
        values: Any = fill.values
        wide = None
        if values.dtype == object:
            values = values.tolist()
            if self.integer and not fill.fresh:  # 128 bits are not guessed
                wide = self.series.dtype
        fills = nw.new_series(name, values, wide, backend=library)
        if fill.fresh:
            return fills
        dtype = self.native_dtype
        view = self.dtype == "string_view"  # Arrow can gather every string type but this one
        pool = [self.native.cast("large_string") if view else self.native]
        pool.append(fills.to_native().cast(pool[0].type if view else dtype))
        frames = [_series(part).alias(name).to_frame() for part in pool]
        take = np.arange(len(fill.mask))
        take[fill.mask] = len(take) + np.arange(len(fills))
        out = nw.concat(frames)[name][take]
        return _series(out.to_native().cast(dtype)).alias(name) if view else out


def _series(native: Any) -> nw.Series[Any]:
    return nw.from_native(native, series_only=True)


def misfit(cells: Cells, fill: Fill) -> ValueError:
    """Return the error for a column whose dtype cannot hold its fills."""
    shown = ", ".join(repr(value) for value in sort_levels(set(fill.values.tolist()))[:3])
    return ValueError(
        f"{cells.label} is {cells.dtype} here and cannot hold its fills "
        f"({shown}, ...): cast the column to the dtype that it had at fit."
    )
