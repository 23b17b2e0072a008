"""One part of the run: how long it may take, and what it has found so far."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]


class Kind(NamedTuple):
    """A part that can be run: the function of its name in a module here.

    Parameters
    ----------
    title, module : str
    share : float
        Of the whole time, in seconds of 450; what a part leaves is for those after it.
    """

    title: str
    module: str
    share: float


KINDS = {
    "parity": Kind("The same answers as the processor's", "outside", 75),
    "sanitizer": Kind("compute-sanitizer on small tables", "outside", 50),
    "search": Kind("Search beside the measured ceiling", "searching", 75),
    "impute": Kind("Whole impute, processor and GPU", "imputing", 105),
    "peer": Kind("The same formula in torch", "peer", 45),
    "fill": Kind("Fills", "filling", 15),
    "crossover": Kind("From which size on the GPU pays", "imputing", 30),
    "tuning": Kind("Shapes of the filter", "searching", 35),
    "profile": Kind("Nsight Compute on the filter", "outside", 25),
}


@dataclass
class Part:
    """A part under way.

    Parameters
    ----------
    name : str
    seconds : float
        That it may take.
    quick, simulated : bool
        Small tables; tables so small that the simulator can do.
    earlier : dict
        What the parts before it have found, by name, each as ``found`` gives it.
    kept_in : Path, optional
        Where to write what was found, after every row.
    """

    name: str
    seconds: float
    quick: bool = False
    simulated: bool = False
    earlier: dict[str, Row] = field(default_factory=dict)
    kept_in: Path | None = None
    tables: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    goals: list[Row] = field(default_factory=list)
    failure: str | None = None
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def found(self) -> Row:
        """What json can hold of it."""
        taken = (self.ended or time.monotonic()) - self.begun
        return {
            "title": KINDS[self.name].title, "seconds": taken, "tables": self.tables,
            "notes": self.notes, "goals": self.goals, "failure": self.failure,
        }  # fmt: skip

    def _keep(self) -> None:
        if self.kept_in is not None:
            written = self.kept_in.with_suffix(".part")
            written.write_text(json.dumps(self.found, default=float))
            written.replace(self.kept_in)

    def row(self, title: str, figures: Row) -> None:
        """Add a row to a table."""
        self.tables.setdefault(title, []).append(figures)
        self._keep()

    def note(self, text: str) -> None:
        """Add what is worth saying and is no figure."""
        self.notes.append(text)
        self._keep()

    def goal(self, what: str, wanted: str, measured: str, met: bool) -> None:
        """Add a figure that was aimed at."""
        self.goals.append({"goal": what, "wanted": wanted, "measured": measured, "met": met})
        self._keep()

    def sizes(
        self, usual: Sequence[int], quick: Sequence[int], simulated: Sequence[int]
    ) -> Sequence[int]:
        """Those for this run."""
        return simulated if self.simulated else quick if self.quick else usual

    @property
    def left(self) -> float:
        """Seconds until it should end."""
        return self.begun + self.seconds - time.monotonic()

    def fits(self, seconds: float, what: str) -> bool:
        """Whether there is time for something; a note tells if not."""
        if self.simulated or seconds <= max(self.left, 0.0):
            return True
        self.note(
            f"left out: {what}, about {seconds:.0f} s where {max(self.left, 0.0):.0f} s are left"
        )
        return False

    def run(self) -> Row:
        """Do the work; an error is noted, not raised."""
        try:
            module = import_module(f"bench.gpu.{KINDS[self.name].module}")
            work: Callable[[Part], None] = getattr(module, self.name)
            if self.simulated:
                searching = import_module("bench.gpu.searching")
                work = searching.shaped(searching.TINY)(work)
            work(self)
        except Exception as error:
            self.failure = "".join(traceback.format_exception(error, limit=-6))
        self.ended = time.monotonic()
        self._keep()
        return self.found
