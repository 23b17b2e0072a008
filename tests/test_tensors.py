"""Arrays of other libraries come back as they came: same kind, same device, observed cells kept."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import greyknn
from greyknn import GreyKNNImputer
from programs import gappy


class Tensor:
    """What greyknn uses of a torch tensor on a GPU, which numpy cannot read."""

    __cuda_array_interface__ = None

    def __init__(self, array: Any, device: str = "cuda:0", dtype: str | None = None) -> None:
        self.array, self.device = np.array(array), device
        self.dtype = dtype or f"torch.{self.array.dtype}"
        self.writes: list[int] = []

    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.array, "cpu", self.dtype)

    def float(self) -> Tensor:
        return Tensor(self.array.astype(np.float32), self.device)

    def numpy(self) -> Any:
        assert self.device == "cpu"
        assert self.dtype != "torch.bfloat16"
        return self.array

    def clone(self) -> Tensor:
        return Tensor(self.array, self.device, self.dtype)

    def to(self, dtype: str) -> Tensor:
        return Tensor(self.array.astype(dtype.removeprefix("torch.").replace("b", "")), self.device)

    def __setitem__(self, cells: Any, values: Tensor) -> None:
        assert {self.device} == {values.device, *(cell.device for cell in cells)}
        self.writes.append(len(values))
        self.array[cells[0].array, cells[1].array] = values.array


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("torch")
    module.Tensor = Tensor  # type: ignore[attr-defined]
    module.as_tensor = Tensor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_tensor_comes_back_as_a_tensor(torch: Any, dtype: Any) -> None:
    X = gappy().astype(dtype)
    y = np.arange(len(X)) % 2
    given = Tensor(X, "cuda:1")
    filled = greyknn.impute(given, Tensor(y), n_neighbors=3)
    assert type(filled) is Tensor
    assert filled.device == "cuda:1"
    assert filled.array.dtype == dtype
    expected = greyknn.impute(X, y, n_neighbors=3)
    assert filled.array.tobytes() == expected.tobytes()
    assert filled.writes == [np.isnan(X).sum()]  # only the gaps went to the GPU
    assert np.isnan(given.array).sum() == np.isnan(X).sum()  # the user's own is as it was


def test_half_precision_that_numpy_lacks(torch: Any) -> None:
    X = gappy().astype(np.float16)
    given = Tensor(X, dtype="torch.bfloat16")
    filled = greyknn.impute(given, n_neighbors=3)
    assert filled.dtype == "torch.bfloat16"
    seen = ~np.isnan(X)
    assert (filled.array[seen] == X[seen]).all()
    assert not np.isnan(filled.array).any()


def test_new_rows(torch: Any) -> None:
    X = gappy()
    imputer = GreyKNNImputer(n_neighbors=3).fit(Tensor(X))
    filled = imputer.transform(Tensor(X[:9]))
    expected = GreyKNNImputer(n_neighbors=3).fit(X).transform(X[:9])
    assert filled.array.tobytes() == expected.tobytes()


def test_a_frame_is_a_frame_if_the_user_wants_one(torch: Any) -> None:
    X = gappy()
    imputer = GreyKNNImputer(n_neighbors=3).set_output(transform="pandas")
    filled = imputer.fit_transform(Tensor(X))
    assert type(filled).__name__ == "DataFrame"
    assert not filled.isna().any(axis=None)


def test_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed here: an array whose type says that it is CuPy's."""
    entered = []

    class Device:
        def __enter__(self) -> None:
            entered.append(self)

        def __exit__(self, *_: Any) -> None:
            entered.append(None)

    class ndarray(np.ndarray):
        __cuda_array_interface__ = None
        device = Device()

        def get(self) -> Any:
            return np.array(self)

    ndarray.__module__ = "cupy"
    module = ModuleType("cupy")
    module.asarray = lambda array: array.view(ndarray)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", module)
    X = gappy()
    filled = greyknn.impute(X.view(ndarray), n_neighbors=3)
    assert type(filled) is ndarray
    assert filled.tobytes() == greyknn.impute(X, n_neighbors=3).tobytes()
    assert len(entered) == 2


def test_arrays_that_cannot_be_handed_back() -> None:
    class Strange:
        __cuda_array_interface__ = None

    with pytest.raises(TypeError, match=r"Strange cannot be handed back .* torch\.as_tensor\(X\)"):
        greyknn.impute(Strange())


def test_torch_itself() -> None:
    torch = pytest.importorskip("torch")
    X = gappy()
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        given = torch.tensor(X, dtype=dtype, requires_grad=True)
        filled = greyknn.impute(given, torch.arange(len(X)) % 2, n_neighbors=3)
        assert filled.dtype == dtype
        assert filled.device == given.device
        assert not torch.isnan(filled).any()
        seen = ~torch.isnan(given)
        assert (filled[seen] == given[seen]).all()
