"""A table that targets are learnt from, and rows filled with what was learnt."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType
from typing import Any

import numpy as np

from greyknn.arrays import Bools, Floats, Ints
from greyknn.blas import one_blas_thread
from greyknn.dependence import target_information
from greyknn.donors import DonorTables, Geometry
from greyknn.model import Behind
from greyknn.neighbors import Neighbors, nearest
from greyknn.progress import Progress, silent
from greyknn.relevance import normalized
from greyknn.sharing import share
from greyknn.targets import near
from greyknn.targets.design import Design
from greyknn.targets.target import Target, Task

MOST_PILLARS = 1_000
"""Of more donors so many, drawn at random, are left out in turn, and carry ridges and lines."""

CHUNK = 8_192
"""New rows that are filled at a time."""

MOST_OUTPUTS = 4_000_000
"""Numbers that a proposal for new rows may hold."""

FITTING = 1e8
"""Operations it takes to learn a target, roughly."""


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
        self.weights = normalized(information, others)
        self.squares = normalized(self.weights**2, others)
        self.design = Design.of(np.column_stack([values, *label]), self.codes)
        self.targets: dict[int, Target] = {}
        self._donors: DonorTables | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_donors": None}

    def fill_training(self, kernels: ModuleType, progress: Progress = silent) -> Floats:
        """The training table (n_rows, n_columns), its gaps filled with the help of labels."""
        return self.fill(self.seen, self.values, self.labels, kernels, progress)

    def fill(
        self, seen: Floats, values: Floats, labels: list[Floats], kernels: ModuleType,
        progress: Progress = silent,
    ) -> Floats:  # fmt: skip
        """Rows with gaps, each filled by itself.

        Parameters
        ----------
        seen : array of shape (n_queries, n_columns)
            Ranks, codes and, where labels are a column, these.
        values : array of shape (n_queries, n_columns)
        labels : list of arrays of shape (n_queries,)
            None, or the labels.
        kernels : module
        progress : callable

        Returns
        -------
        array of shape (n_queries, n_columns)
            ``values``, complete.
        """
        columns = [int(column) for column in np.flatnonzero(np.isnan(values).any(axis=0))]
        self._learn(columns, kernels, progress)
        self._add_lines(columns, kernels)
        filled = values.copy()
        outputs = max((self.targets[column].task.n_outputs for column in columns), default=1)
        chunk = max(min(CHUNK, MOST_OUTPUTS // outputs), 1)
        for begin in range(0, len(values), chunk):
            progress("filling", begin, len(values))
            some = slice(begin, begin + chunk)
            few = [label[some] for label in labels]
            filled[some] = self._filled(seen[some], values[some], few, kernels)[1]
        return filled

    def behind(
        self, column: int, seen: Floats, values: Floats, labels: list[Floats], kernels: ModuleType
    ) -> Behind:
        """Rows, distances and shares of the donors of one cell, the largest share first.

        Distances are 1 - the grade between a smallest difference of 0 and a largest of 1.

        Parameters
        ----------
        column : int
        seen, values, labels, kernels : as in ``fill``
            Of one row.
        """
        columns = [int(place) for place in np.flatnonzero(np.isnan(values[0]))]
        self._learn(columns, kernels, silent)
        self._add_lines(columns, kernels)
        early = self._filled(seen, values, labels, kernels)[0]
        target = self.targets[column]
        task, pillars = target.task, target.task.pillars
        new = np.empty((1, len(self.values)))
        everyone = np.ascontiguousarray(self.seen.T)
        kernels.resemblances(seen, everyone, task.weights, self.codes, self.rho, new)
        parts: list[tuple[Any, Floats]] = []
        for one, found in zip(target.nears, self._near(task, seen, kernels), strict=True):
            counted = near.shares(found, task.given)[0, : one.size]
            near_by = found.rows[0, : one.size], counted / max(counted.sum(), 1e-300)
            alike = pillars, np.ones(len(pillars)) / len(pillars)
            parts.append(near_by if counted.any() else alike)
        with one_blas_thread():
            grades = self._grades(task, kernels)
            parts += [(pillars, one.shares(grades, new[0, pillars])) for one in target.resembling]
            if target.line is not None:
                inputs = self._inputs(
                    self._unknowing([column], kernels)[column],
                    [label[pillars] for label in self.labels], column,
                )  # fmt: skip
                mine = self._inputs(early, labels, column)
                parts.append((pillars, target.line.shares(inputs, mine[0])))
        total = np.zeros(len(self.values))
        for weight, (rows, part) in zip(target.shares, parts, strict=True):
            np.add.at(total, rows, weight * part)
        rows = np.flatnonzero(total)
        rows = rows[np.argsort(-np.abs(total[rows]), kind="stable")]
        return rows, 1.0 - new[0, rows], total[rows]

    def _filled(
        self, seen: Floats, values: Floats, labels: list[Floats], kernels: ModuleType
    ) -> tuple[Floats, Floats]:
        """Rows filled without lines, from which lines are read, and filled with all proposals."""
        gaps = np.isnan(values)
        early, proposed = values.copy(), {}
        for column in np.flatnonzero(gaps.any(axis=0)).tolist():
            rows = np.flatnonzero(gaps[:, column])
            proposed[column] = rows, self._proposed(column, seen[rows], kernels)
            target = self.targets[column]
            early[rows, column] = target.decide(proposed[column][1], target.early)
        filled = early.copy()
        for column, (rows, proposals) in proposed.items():
            target = self.targets[column]
            if target.line is not None:
                few = [label[rows] for label in labels]
                proposals.append(target.line.at(self._inputs(early[rows], few, column)))
            filled[rows, column] = target.decide(proposals, target.shares)
        return early, filled

    def _proposed(self, column: int, seen: Floats, kernels: ModuleType) -> list[Floats]:
        """All proposals but the line's for rows that lack a column."""
        target = self.targets[column]
        founds = self._near(target.task, seen, kernels)
        compared = self._compared(target.task, seen)
        return [
            *(
                one.propose(target.task, found)
                for one, found in zip(target.nears, founds, strict=True)
            ),
            *(one.propose(kernels, self.rho, *compared) for one in target.resembling),
        ]

    def _learn(self, columns: Collection[int], kernels: ModuleType, progress: Progress) -> None:
        """Targets that are not known yet, all but their lines."""
        if all(column in self.targets for column in columns):
            return
        with one_blas_thread():
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

    def _add_lines(self, columns: Collection[int], kernels: ModuleType) -> None:
        """Lines and final shares of targets that have none yet."""
        if all(len(self.targets[column].shares) for column in columns):
            return
        with one_blas_thread():
            self._draw_lines(columns, kernels)

    def _draw_lines(self, columns: Collection[int], kernels: ModuleType) -> None:
        wanting = [column for column in columns if len(self.targets[column].shares) == 0]
        filled = self._unknowing(wanting, kernels)

        def draw(begin: int, end: int) -> None:
            for column in wanting[begin:end]:
                target = self.targets[column]
                labels = [label[target.task.pillars] for label in self.labels]
                target.add_line(self._inputs(filled[column], labels, column))

        share(draw, len(wanting), FITTING)

    def _unknowing(self, columns: Collection[int], kernels: ModuleType) -> dict[int, Floats]:
        """The pillars of each target, their other gaps filled as if they lacked the target, too.

        A row that is left out must not help to fill what it is then predicted from.
        """
        filled = {column: self.values[self.targets[column].task.pillars] for column in columns}
        gaps = {column: np.isnan(values) for column, values in filled.items()}
        for other in np.flatnonzero(np.isnan(self.values).any(axis=0)).tolist():
            rows = {column: np.flatnonzero(gap[:, other]) for column, gap in gaps.items()}
            seen = [np.empty((0, self.seen.shape[1]))]
            for column, some in rows.items():
                seen.append(self.seen[self.targets[column].task.pillars[some]])
                seen[-1][:, column] = np.nan
            self._learn([other], kernels, silent)
            target = self.targets[other]
            fills = target.decide(
                self._proposed(other, np.concatenate(seen), kernels), target.early
            )
            for column, some in rows.items():
                filled[column][some, other], fills = fills[: len(some)], fills[len(some) :]
        return filled

    def _task(self, column: int) -> Task:
        given = self.values[:, column]
        donors = np.flatnonzero(~np.isnan(given))
        if len(donors) > MOST_PILLARS:
            rng = np.random.default_rng([self.seed, column])
            donors = np.sort(rng.permutation(donors)[:MOST_PILLARS])
        kinds = np.empty(0)
        if self.categorical[column]:  # a rare level that no pillar has cannot be filled in
            kinds = np.unique(given[donors])
            place = np.minimum(np.searchsorted(kinds, given), len(kinds) - 1)
            given = np.where(kinds[place] == given, place, np.nan)
        return Task(column, kinds, given, donors, self.weights[column], self.sizes)

    def _near(
        self, task: Task, seen: Floats, kernels: ModuleType, rows: Ints | None = None
    ) -> tuple[Neighbors, ...]:
        """The donors of some rows that are nearest by the weights, and by their squares."""
        tables = self._donors
        if tables is None or tables.geometry.kernels is not kernels:
            geometry = Geometry("grey", self.codes, self.rho, kernels)
            everyone = np.arange(len(self.values))
            tables = self._donors = DonorTables(
                geometry, self.weights, self.seen, everyone, np.zeros_like(everyone),
                ~np.isnan(self.values),
            )  # fmt: skip
        seen = seen.copy()
        seen[:, task.column] = (
            np.nan
        )  # a row that is left out shall know no more than one with a gap
        donors = tables.of(task.column)
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
