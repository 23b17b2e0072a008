"""The same sums and the same choice of the largest, as one would write them in torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from bench.gpu.part import Part, Row
from bench.gpu.searching import Case
from bench.gpu.timing import spread, watched
from greyknn import device

K = 10

ROOM = 4 * 2**30
"""Bytes of the largest array, of pairs of rows and where nothing fuses, of cells."""

AIM = 10.0
"""Times as fast as torch."""

Scores = Callable[[Any, Any, Any], Any]


def broadcast(cells: Any, offsets: Any, donors: Any) -> Any:
    """Scores of queries (n_queries, n_columns) among donors (n_columns, n_donors), at once."""
    return (1.0 / ((cells[:, :, None] - donors[None]).abs() + offsets[:, :, None])).sum(1)


def by_column(cells: Any, offsets: Any, donors: Any) -> Any:
    """The same, column after column, which a compiler can keep in registers."""
    total = 1.0 / ((cells[:, 0, None] - donors[0]).abs() + offsets[:, 0, None])
    for column in range(1, donors.shape[0]):
        difference = (cells[:, column, None] - donors[column]).abs()
        total = total + 1.0 / (difference + offsets[:, column, None])
    return total


class Search:
    """All rows among all rows, some queries at a time.

    Parameters
    ----------
    torch : module
    scores : callable
    values, weights : arrays
    reach : array of shape (n_rows,)
        ``rho * Dmax`` of each row.
    step : int
        Queries at a time; their number is padded to a multiple.
    where : str
        A device of torch's.
    """

    def __init__(
        self, torch: Any, scores: Scores, values: Any, weights: Any, reach: Any, step: int,
        where: str,
    ) -> None:  # fmt: skip
        self.torch, self.scores, self.step, self.where = torch, scores, step, where
        self.n_rows = len(values)
        self.cells = (values / weights).astype(np.float32)
        self.offsets = (reach[:, None] / weights).astype(np.float32)

    def wait(self) -> None:
        """Until the GPU has done what it was told."""
        if self.where == "cuda":
            self.torch.cuda.synchronize()

    def run(self, most: int | None = None) -> Any:
        """The nearest rows of each row but itself; of some of them, if so many are told."""
        torch = self.torch
        n_queries = self.n_rows if most is None else min(most, self.n_rows)
        padded = -(-n_queries // self.step) * self.step
        cells = torch.zeros((padded, self.cells.shape[1]), device=self.where)
        offsets = torch.ones_like(cells)
        cells[:n_queries] = torch.from_numpy(self.cells[:n_queries]).to(self.where)
        offsets[:n_queries] = torch.from_numpy(self.offsets[:n_queries]).to(self.where)
        donors = torch.from_numpy(self.cells).to(self.where).T.contiguous()
        found = torch.empty((padded, K + 1), dtype=torch.int64, device=self.where)
        for begin in range(0, padded, self.step):
            some = slice(begin, begin + self.step)
            scores = self.scores(cells[some], offsets[some], donors)
            found[some] = torch.topk(scores, K + 1).indices
        everyone = found[:n_queries].cpu().numpy()
        self.wait()
        itself = everyone == np.arange(n_queries)[:, None]
        itself[~itself.any(axis=1), -1] = True
        return everyone[~itself].reshape(n_queries, K)


def peer(part: Part) -> None:
    """Eager and compiled, at two sizes; the fastest is what is beaten or not."""
    try:
        torch = import_module("torch")
    except ImportError as error:
        part.note(f"torch cannot be imported: {error}")
        return
    where = "cuda" if torch.cuda.is_available() else "cpu"
    if where == "cpu" and not part.quick:
        part.note(f"torch {torch.__version__} finds no CUDA")
        return
    torch.set_grad_enabled(False)
    part.note(f"torch {torch.__version__} on {where}")
    sizes = part.sizes((20_000, 100_000), (2_000,), (40,))
    for n_rows in sizes:
        case = Case.of(n_rows, 4 if part.simulated else 50, 1, device.kernels("cuda"))
        _, reach = case.table.extremes(case.values, case.groups, np.arange(n_rows))
        cards, ours = _ours(case, 1 if part.simulated else 3)
        compile_ = torch.compile
        ways: list[tuple[str, Scores, int]] = [
            ("compiled, by column", _compiled(compile_, by_column), 4),
            ("compiled, broadcast", _compiled(compile_, broadcast), 4),
            ("eager, by column", by_column, 16),
            ("eager, broadcast", broadcast, 4 * case.values.shape[1]),
        ]
        fastest: dict[str, float] = {}
        for name, scores, bytes_ in ways[2:] if part.simulated else ways:
            if not part.fits(
                15.0 if name.startswith("compiled") else 4.0, f"{n_rows} rows, {name}"
            ):
                continue
            step = max(min(ROOM // (bytes_ * n_rows), 4096, n_rows), 1)
            search = Search(torch, scores, case.values, case.weights, 0.5 * reach, step, where)
            try:
                row = _timed(part, search)
            except Exception as error:
                part.note(f"{name}, {n_rows} rows: {type(error).__name__}: {str(error)[:300]}")
                continue
            same, apart = compared(case, 0.5 * reach, ours, search.run(min(n_rows, 2 * step)))
            fastest[name] = row["torch, s"]
            part.row(
                f"Every row's {K} nearest, from host to host",
                {
                    "rows": n_rows, "torch": name, "step": step, **row,
                    "ours, s": min(cards), "times as fast": row["torch, s"] / min(cards),
                    "same rows": same, "largest difference": apart,
                },
            )  # fmt: skip
        compiled = [seconds for name, seconds in fastest.items() if name.startswith("compiled")]
        if compiled and n_rows == sizes[-1]:
            ratio = min(compiled) / min(cards)
            part.goal(
                f"compiled torch, {n_rows} x {n_rows}",
                f"{AIM:.0f} x",
                f"{ratio:.1f} x",
                ratio >= AIM,
            )


def _compiled(compile_: Any, scores: Scores) -> Scores:
    compiled: Scores = compile_(scores, dynamic=False)
    return compiled


def _ours(case: Case, repeats: int) -> tuple[list[float], Any]:
    """Seconds of the search on the card, donors being there, and what it finds."""
    cards = []
    found = case.nearest(K)
    for _ in range(repeats):
        with watched([("card", case.table.geometry.kernels, "nearest")]) as seconds:
            found = case.nearest(K)
        cards.append(seconds["card"])
    return cards, found.rows


def _timed(part: Part, search: Search) -> Row:
    """Seconds of a search; of a part of the queries where all would take too long."""
    few = min(2 * search.step, search.n_rows)
    search.run(few)  # compiles
    begun = time.perf_counter()
    search.run(few)
    whole = (time.perf_counter() - begun) * search.n_rows / few
    room = part.left / 4.0
    if whole > room:
        return {"torch, s": whole, "median": whole, "measured on": f"{few} queries"}
    taken = []
    for _ in range(3 if 3.0 * whole < room else 1):
        begun = time.perf_counter()
        search.run()
        taken.append(time.perf_counter() - begun)
    return {**spread("torch, s", taken), "measured on": "all queries"}


def compared(case: Case, reach: Any, ours: Any, theirs: Any) -> tuple[float, float]:
    """Share of neighbours at the same place, and how far apart the others' grades are.

    A relative difference of the order of single precision's rounding is a near-tie.
    """
    queries = np.linspace(0, len(theirs) - 1, min(len(theirs), 500)).astype(np.int64)
    ours, theirs = ours[queries].astype(np.int64), theirs[queries]
    cells, offset = case.values[queries, None], reach[queries, None, None]

    def grades(rows: Any) -> Any:
        inverse = case.weights / (np.abs(cells - case.values[rows]) + offset)
        return inverse.sum(axis=2)

    apart = np.abs(grades(ours) / grades(theirs) - 1.0)
    return float((ours == theirs).mean()), float(apart.max())
