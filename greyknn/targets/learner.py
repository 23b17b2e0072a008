"""A table that targets are learnt from, and rows filled with what was learnt."""

from __future__ import annotations

import threading
from collections.abc import Collection
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from greyknn.arrays import Bools, Floats, Ints
from greyknn.dependence import target_information
from greyknn.donors import DonorTables, Geometry
from greyknn.model import Behind
from greyknn.neighbors import Neighbors, nearest
from greyknn.progress import Progress, silent
from greyknn.sharing import share
from greyknn.targets import near
from greyknn.targets.design import Design
from greyknn.targets.target import Target, Task

MOST_PILLARS = 1_000
"""Of more donors so many, drawn at random, are left out in turn, and carry ridges and lines."""

CHUNK = 8_192
"""New rows that are filled at a time."""

FITTING = 1e8
"""Operations it takes to learn a target, roughly."""

LEARNING = threading.RLock()
"""Held while targets are learnt: each is learnt once, and BLAS, whose sums depend on the number of
its threads, is kept to one for the whole process."""


class Begun(NamedTuple):
    """Rows filled without lines.

    Parameters
    ----------
    filled : array of shape (n_rows, n_columns)
    proposed : dict
        By column with gaps: the rows that lack it, and what each proposal but the line says.
    """

    filled: Floats
    proposed: dict[int, tuple[Ints, list[Floats]]]


class Learner:
    """Learns the targets that are asked for, each once.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
        Numbers on [0, 1] and category codes, NaN where missing.
    ranks : array of shape (n_rows, n_columns)
        The same with ranks for numbers.
    categorical : array of shape (n_columns,)
    labels : array of shape (n_rows,), optional
        Class codes, as one more column: NaN for rows without a label.
    sizes : tuple of int
        The k to choose from.
    rho : float
    seed : int
        Of the samples of donors.
    """

    def __init__(
        self, values: Floats, ranks: Floats, categorical: Bools, labels: Floats | None,
        sizes: tuple[int, ...], rho: float, seed: int,
    ) -> None:  # fmt: skip
        label = [] if labels is None else [labels]
        self.values, self.categorical = values, categorical
        self.sizes, self.rho, self.seed = sizes, rho, seed
        self.seen = np.column_stack([ranks, *label])
        self.codes = np.append(categorical, np.ones(len(label), dtype=bool))
        self.labels = label
        information = target_information(self.seen, self.codes, values.shape[1])
        others = 1.0 - np.eye(*information.shape)
        self.weights = _normalized(information, others)
        self.squares = _normalized(self.weights**2, others)
        self.design = Design.of(np.column_stack([values, *label]), self.codes)
        self.targets: dict[int, Target] = {}
        self._begun: Begun | None = None
        self._donors: DonorTables | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_donors": None}

    def fill_training(self, kernels: ModuleType, progress: Progress = silent) -> Floats:
        """The training table (n_rows, n_columns), its gaps filled with the help of labels."""
        return self._finished(self._training(kernels, progress), self.labels, kernels, progress)

    def fill(
        self, ranks: Floats, values: Floats, kernels: ModuleType, progress: Progress = silent
    ) -> Floats:
        """New rows, each by itself; arguments as for the class, which has no labels."""
        filled = values.copy()
        for begin in range(0, len(values), CHUNK):
            progress("new rows", begin, len(values))
            some = slice(begin, begin + CHUNK)
            begun = self._begin(ranks[some], values[some], kernels, silent)
            filled[some] = self._finished(begun, [], kernels, silent)
        return filled

    def behind(
        self, column: int, seen: Floats, values: Floats, labels: list[Floats], kernels: ModuleType
    ) -> Behind:
        """Rows, distances and shares of the donors of one cell, the largest share first.

        Parameters
        ----------
        column : int
        seen : array of shape (1, n_columns)
            What distances see of the row, with its label where labels are a column.
        values : array of shape (1, n_columns)
        labels : list of arrays of shape (1,)
            As the learner's.
        kernels : module
        """
        begun = self._begin(seen, values, kernels, silent)
        self._add_lines([column], kernels, silent)
        target = self.targets[column]
        task, pillars = target.task, target.task.pillars
        every = np.ones(len(pillars)) / len(pillars)
        grades, new = self._grades(task, kernels), np.empty((1, len(self.values)))
        everyone = np.ascontiguousarray(self.seen.T)
        kernels.resemblances(seen, everyone, task.weights, self.codes, self.rho, new)
        parts: list[tuple[Any, Floats]] = []
        for one, found in zip(target.nears, self._near(task, seen, kernels), strict=True):
            counted = near.shares(found)[0, : one.size]
            lonely = found.counts[0] == 0
            near_by = found.rows[0, : one.size], counted / max(counted.sum(), 1e-300)
            parts.append((pillars, every) if lonely else near_by)
        parts += [(pillars, one.shares(grades, new[0, pillars])) for one in target.resembling]
        if target.line is not None:
            inputs = self._inputs(self._training(kernels, silent).filled, self.labels, column)
            mine = self._inputs(begun.filled, labels, column)
            parts.append((pillars, target.line.shares(inputs[pillars], mine[0])))
        total = np.zeros(len(self.values))
        for weight, (rows, part) in zip(target.shares, parts, strict=True):
            np.add.at(total, rows, weight * part)
        rows = np.flatnonzero(total)
        rows = rows[np.argsort(-np.abs(total[rows]), kind="stable")]
        return rows, 1.0 - new[0, rows], total[rows]

    def _training(self, kernels: ModuleType, progress: Progress) -> Begun:
        if self._begun is None:
            self._begun = self._begin(self.seen, self.values, kernels, progress)
        return self._begun

    def _begin(
        self, seen: Floats, values: Floats, kernels: ModuleType, progress: Progress
    ) -> Begun:
        gaps = np.isnan(values)
        columns = [int(column) for column in np.flatnonzero(gaps.any(axis=0))]
        self._learn(columns, kernels, progress)
        filled, proposed = values.copy(), {}
        for done, column in enumerate(columns):
            progress("neighbours", done, len(columns))
            rows, target = np.flatnonzero(gaps[:, column]), self.targets[column]
            compared = self._compared(target.task, seen[rows])
            founds = self._near(target.task, seen[rows], kernels)
            proposals = [
                one.propose(target.task, found)
                for one, found in zip(target.nears, founds, strict=True)
            ]
            proposals += [one.propose(kernels, self.rho, *compared) for one in target.resembling]
            filled[rows, column] = target.decide(proposals, target.early)
            proposed[column] = rows, proposals
        return Begun(filled, proposed)

    def _finished(
        self, begun: Begun, labels: list[Floats], kernels: ModuleType, progress: Progress
    ) -> Floats:
        self._add_lines(begun.proposed, kernels, progress)
        filled = begun.filled.copy()
        for column, (rows, proposals) in begun.proposed.items():
            target = self.targets[column]
            if target.line is not None:
                few = [label[rows] for label in labels]
                inputs = self._inputs(begun.filled[rows], few, column)
                proposals = [*proposals, target.line.at(inputs)]
            filled[rows, column] = target.decide(proposals, target.shares)
        return filled

    def _learn(self, columns: Collection[int], kernels: ModuleType, progress: Progress) -> None:
        """Targets that are not known yet, all but their lines."""
        if all(column in self.targets for column in columns):
            return
        with LEARNING, threadpool_limits(1, "blas"):
            self._learn_new(columns, kernels, progress)

    def _learn_new(self, columns: Collection[int], kernels: ModuleType, progress: Progress) -> None:
        tasks = [self._task(column) for column in columns if column not in self.targets]
        founds = []
        for done, task in enumerate(tasks):
            progress("neighbours left out", done, len(tasks))
            founds.append(self._near(task, self.seen[task.pillars], kernels, task.pillars))
        learnt: dict[int, Target] = {}

        def learn(begin: int, end: int) -> None:
            for task, found in zip(tasks[begin:end], founds[begin:end], strict=True):
                learnt[task.column] = Target.fit(task, found, self._grades(task, kernels))

        share(learn, len(tasks), FITTING, lambda done, total: progress("weights", done, total))
        self.targets.update(learnt)

    def _add_lines(self, columns: Collection[int], kernels: ModuleType, progress: Progress) -> None:
        """Lines and final shares of targets that have none yet."""
        if all(len(self.targets[column].shares) for column in columns):
            return
        with LEARNING, threadpool_limits(1, "blas"):
            self._draw_lines(columns, kernels, progress)

    def _draw_lines(
        self, columns: Collection[int], kernels: ModuleType, progress: Progress
    ) -> None:
        wanting = [column for column in columns if len(self.targets[column].shares) == 0]
        filled = self._training(kernels, progress).filled

        def draw(begin: int, end: int) -> None:
            for column in wanting[begin:end]:
                target = self.targets[column]
                target.add_line(self._inputs(filled, self.labels, column)[target.task.pillars])

        share(draw, len(wanting), FITTING)

    def _task(self, column: int) -> Task:
        given = self.values[:, column]
        donors = np.flatnonzero(~np.isnan(given))
        if len(donors) > MOST_PILLARS:
            rng = np.random.default_rng([self.seed, column])
            donors = np.sort(rng.permutation(donors)[:MOST_PILLARS])
        levels = int(np.nanmax(given)) + 1 if self.categorical[column] else 0
        return Task(column, levels, given, donors, self.weights[column], self.sizes)

    def _near(
        self, task: Task, seen: Floats, kernels: ModuleType, rows: Ints | None = None
    ) -> tuple[Neighbors, ...]:
        """The donors of some rows that are nearest by the weights, and by their squares."""
        if self._donors is None or self._donors.geometry.kernels is not kernels:
            geometry = Geometry("grey", self.codes, self.rho, kernels)
            everyone = np.arange(len(self.values))
            self._donors = DonorTables(
                geometry, self.weights, self.seen, everyone, np.zeros_like(everyone),
                ~np.isnan(self.values),
            )  # fmt: skip
        seen = seen.copy()
        seen[:, task.column] = (
            np.nan
        )  # a row that is left out shall know no more than one with a gap
        donors = self._donors.of(task.column)
        most = min(self.sizes[-1], len(donors.rows))
        return tuple(
            nearest(donors, weights[task.column], most, seen, rows=rows)
            for weights in (self.weights, self.squares)
        )

    def _compared(self, task: Task, seen: Floats) -> tuple[Any, ...]:
        """What a device needs to compare rows with the pillars of a target."""
        pillars = np.ascontiguousarray(self.seen[task.pillars].T)
        return np.ascontiguousarray(seen), pillars, task.weights, self.codes

    def _grades(self, task: Task, kernels: ModuleType) -> Floats:
        """Grades (n_pillars, n_pillars) of a target's pillars with each other."""
        grades = np.empty((len(task.pillars),) * 2)
        kernels.resemblances(*self._compared(task, self.seen[task.pillars]), self.rho, grades)
        return grades

    def _inputs(self, filled: Floats, labels: list[Floats], column: int) -> Floats:
        """The line's inputs from all other columns."""
        inputs = self.design.inputs(np.column_stack([filled, *labels]))
        return inputs[:, self.design.columns != column]


def _normalized(weights: Floats, otherwise: Floats) -> Floats:
    """Rows that sum to 1, in equal parts where no column tells anything."""
    weights = np.where(weights.sum(axis=1, keepdims=True) > 0.0, weights, otherwise)
    total = weights.sum(axis=1, keepdims=True)
    normalized: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return normalized
