"""Cards to test kernels on: the simulator's, with small tiles, and a real one.

Who imports this where there is neither is skipped, with the reason.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest

from greyknn import gpu
from greyknn_kernels import cpu

SIMULATED = bool(getattr(numba.config, "ENABLE_CUDASIM", 0))


def obstacle() -> str | None:
    """Why there is no card here; None if there is one, or the simulator."""
    if numba.config.DISABLE_JIT and not SIMULATED:
        return "NUMBA_DISABLE_JIT is set"
    for package in ("numba_cuda", "greenlet") if SIMULATED else ("numba_cuda",):
        if find_spec(package) is None:
            return f"{package} is missing"
    reason = gpu.obstacle(0)
    return reason and f"{reason} Or set NUMBA_ENABLE_CUDASIM=1 to run the kernels in Python."


if _reason := obstacle():
    pytest.skip(_reason, allow_module_level=True)

simulator: Any = None
if SIMULATED:
    import simulator

    simulator.install()

from greyknn_kernels.cuda import (  # noqa: E402 (before this, the simulator had to be installed)
    Card,
    averaging,
    candidates,
    catalogue,
    differences,
    information,
    measuring,
    pruning,
    queries,
    search,
    shapes,
    thorough,
    tiles,
)

ON_CARD = ("nearest", "extremes", "fill", "class_entropies", "joint_information")

KERNELS = [
    queries.pack, measuring.settle, thorough.scan, thorough.join, pruning.reach, averaging.fill,
    differences.extremes, information.class_entropies, information.joint_information,
]  # fmt: skip
"""All but the filters, which are made when they are needed."""

shape_for, SPARE = shapes.shape_for, shapes.SPARE


def small(metric: int, capability: tuple[int, int], slots: int) -> shapes.Shape:
    """Tiles of 4 queries in 2 warps and 128 donors, 6 columns at a time."""
    return shapes.Shape(2, 2, 4, 1, 6, slots)


def together(card: Any) -> SimpleNamespace:
    """A card's loops, and the processor's where it has none."""
    return SimpleNamespace(
        **{
            name: getattr(card if name in ON_CARD else cpu, name)
            for name in {*cpu.__all__, *ON_CARD}
        }
    )


@dataclass
class Subject:
    """A card under test.

    Parameters
    ----------
    simulated : bool
    card : Card
    """

    simulated: bool
    card: Card = field(default_factory=Card)

    @property
    def kernels(self) -> SimpleNamespace:
        """All loops."""
        return together(self.card)

    def size(self, small: int, large: int) -> int:
        """How many rows: Python takes its time."""
        return small if self.simulated else large


# ---- the types of a launch


SIGNATURES = {
    entry.function.__name__: entry.signature.args for entry in catalogue.catalogue((9, 0))
}


def type_of(argument: Any) -> Any:
    """The type that a compiled kernel is looked up by; arrays of the simulator are the card's."""
    array = getattr(argument, "_ary", argument)
    if not isinstance(array, np.ndarray):
        return numba.typeof(argument)
    layout = "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "A"
    return numba.types.Array(numba.from_dtype(array.dtype), array.ndim, layout)


def check_types(name: str, arguments: Any) -> None:
    """Raise if a kernel is launched with other types than the catalogue's: it would recompile."""
    ours, listed = tuple(map(type_of, arguments)), SIGNATURES[name]
    different = [
        f"argument {number} is {one}, not {other}"
        for number, (one, other) in enumerate(zip(ours, listed))
        if one != other
    ]
    if different or len(ours) != len(listed):
        raise AssertionError(f"{name} has {len(ours)} arguments of {len(listed)}: {different}")


@contextmanager
def typed_launches() -> Iterator[set[str]]:
    """Check the types of every launch in the simulator; the kernels that were launched."""
    launched: set[str] = set()

    def launch(kernel: Any, arguments: Any, original: Any = simulator._launch) -> Any:
        name = kernel.fn.__name__
        check_types(name, arguments)
        launched.add(name)
        return original(kernel, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator, "_launch", launch)
        yield launched


@contextmanager
def simulated() -> Iterator[None]:
    """Small tiles, short lists, and launches whose types are checked."""
    with pytest.MonkeyPatch.context() as patch, typed_launches():
        patch.setattr(shapes, "shape_for", small)
        patch.setattr(shapes, "SPARE", 3)  # short lists take less time
        for name in "float32", "int32", "int64", "uint32":  # the same, and faster
            patch.setattr(tiles, name, getattr(np, name))
        yield


# ---- what a search does


@dataclass
class Watched:
    """What searches did.

    Parameters
    ----------
    thorough : list of int
        How many queries each thorough search was for.
    parts : list of int
        Into how many parts each launch of the filter divided the donors.
    pruned : list of int
        How many tiles of queries each pruned filter had.
    plans : list of Plan
        How each batch was searched.
    """

    thorough: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    pruned: list[int] = field(default_factory=list)
    plans: list[search.Plan] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Watched]:
    """Note what searches do."""
    seen = Watched()

    def noting(owner: Any, name: str, note: Callable[..., Any]) -> None:
        method = getattr(owner, name)

        def noted(self: Any, *arguments: Any) -> Any:
            note(self, *arguments)
            return method(self, *arguments)

        patch.setattr(owner, name, noted)

    with pytest.MonkeyPatch.context() as patch:
        noting(
            search, "_search_thoroughly",
            lambda task, here, plan, wanted, *rest: seen.thorough.append(len(wanted)),
        )  # fmt: skip
        noting(
            candidates.Candidates, "_filter",
            lambda self, *rest: seen.parts.append(self.n_parts),
        )  # fmt: skip
        noting(
            candidates.Candidates,
            "find_pruned",
            lambda self: seen.pruned.append(self.batch.n_tiles),
        )
        noting(search, "_search", lambda task, batch, plan, pruned: seen.plans.append(plan))
        yield seen


# ---- kernels with a mistake


def put(
    patch: pytest.MonkeyPatch, function: Any, text: str, replacement: str, occurrence: int = 0
) -> None:
    """Put a mistake into a function of the card's: ``simulator.mutated``, wherever it is used."""
    changed = simulator.mutated(function, text, replacement, occurrence)
    plain = inspect.unwrap(changed)
    module = sys.modules[inspect.unwrap(function).__module__]
    # It shall see what else is patched: not a copy of the module's globals, but these themselves.
    live = FunctionType(plain.__code__, vars(module), plain.__name__, plain.__defaults__)
    if hasattr(changed, "fn"):  # a kernel, or a leaf
        changed.fn = live
    else:
        changed = live
    found = False
    for name, part in list(sys.modules.items()):
        if not name.startswith("greyknn_kernels.cuda"):
            continue
        classes = [thing for thing in vars(part).values() if isinstance(thing, type)]
        for owner in [part, *classes]:
            for label, thing in list(vars(owner).items()):
                if thing is function:
                    patch.setattr(owner, label, changed)
                    found = True
    assert found, f"nobody uses {function}"


SHOWN = (AssertionError, IndexError, RuntimeWarning)
"""What a mistake in a kernel may raise, beside what the simulator tells of waiting in vain."""


def noticed(scenario: Callable[[], None], seeds: Any) -> bool:
    """Whether a scenario fails in some order of the threads."""
    for seed in seeds:
        simulator.seed(seed)
        try:
            scenario()
        except (*SHOWN, simulator.SynchronizationError):
            return True
    return False
