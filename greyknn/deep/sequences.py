"""Series of rows in time: their order, their windows, and what a row's neighbours in time tell.

A table of series is sorted once, by series and time, so that a series is a stretch of rows; all
here but `Timeline.of` is about sorted rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep.layout import Layout, Rows

LONGEST, OVERLAP = 256, 64
"""Steps of a window, and those that it shares with the next window of its series."""

FARTHEST = 4.0
"""What extras count at most for."""


@dataclass(frozen=True)
class Windows:
    """Stretches of sorted rows, each of one series.

    Attributes
    ----------
    starts, lengths : int64, shape (n_windows,)
    before, after : int64, shape (n_windows,)
        Steps at its start and end that the windows beside it know better.
    """

    starts: Ints
    lengths: Ints
    before: Ints
    after: Ints

    def __len__(self) -> int:
        return len(self.starts)

    def chosen(self, some: Ints) -> Windows:
        """Some of the windows."""
        return Windows(self.starts[some], self.lengths[some], self.before[some], self.after[some])

    def rows(self) -> Ints:
        """The rows of all windows, one window after the other."""
        steps = np.arange(self.lengths.sum()) - np.repeat(_offsets(self.lengths), self.lengths)
        rows: Ints = np.repeat(self.starts, self.lengths) + steps
        return rows

    def portions(self, most: int) -> list[Windows]:
        """All windows, long ones first, in portions of at most so many rows, or of one window."""
        order = np.argsort(-self.lengths, kind="stable")
        portions, begin, total = [], 0, 0
        for end, length in enumerate(self.lengths[order].tolist()):
            if total + length > most and end > begin:
                portions.append(self.chosen(order[begin:end]))
                begin, total = end, 0
            total += length
        return [*portions, self.chosen(order[begin:])]

    def reading(self) -> Reading:
        """All first steps, then all second steps, and so on."""
        order = np.argsort(-self.lengths, kind="stable")
        lengths, starts = self.lengths[order], self.starts[order]
        steps = np.arange(lengths.max(initial=0))[:, None]
        alive = lengths > steps
        # Where each step of each window is found in this order.
        place = np.cumsum(alive).reshape(alive.shape) - 1
        mirror = np.take_along_axis(place, np.maximum(lengths - 1 - steps, 0), 0)
        kept = (steps >= self.before[order]) & (steps < lengths - self.after[order])
        rows, windows, mirror, kept = (
            torch.from_numpy(each[alive])
            for each in (starts + steps, np.broadcast_to(order, alive.shape), mirror, kept)
        )
        return Reading(rows, windows, mirror, kept, alive.sum(1).tolist())


class Reading(NamedTuple):
    """Rows of windows in the order in which a recurrent network reads them, long windows first.

    Attributes
    ----------
    rows : int64, shape (n_rows,)
    windows : int64, shape (n_rows,)
        The window of each.
    mirror : int64, shape (n_rows,)
        Place here of the step that is as far from the end of its window as this is from the start.
    kept : bool, shape (n_rows,)
        Not one of those that another window knows better.
    sizes : list of int
        How many windows have a first step, a second step, and so on.
    """

    rows: torch.Tensor
    windows: torch.Tensor
    mirror: torch.Tensor
    kept: torch.Tensor
    sizes: list[int]

    def to(self, device: torch.device) -> Reading:
        """The same on a device."""
        rows, windows, mirror, kept = (part.to(device) for part in self[:4])
        return Reading(rows, windows, mirror, kept, self.sizes)


@dataclass(frozen=True)
class Timeline:
    """The series of a table.

    Attributes
    ----------
    order : int64, shape (n_rows,)
        Rows of the table, sorted by series and time; rows of one time stay in their order.
    series : int64, shape (n_rows,)
        Of sorted rows, rising from 0.
    times : float64, shape (n_rows,)
        Of sorted rows.
    unit : float
        Time that counts as one step: the median of the table that is learnt from.
    """

    order: Ints
    series: Ints
    times: Floats
    unit: float

    @classmethod
    def of(cls, groups: Ints, times: Floats) -> Timeline:
        """Sort rows by series and time.

        Parameters
        ----------
        groups : array of shape (n_rows,)
            Codes of the series, in any order.
        times : array of shape (n_rows,)
            Seconds or any other numbers, none missing.

        Raises
        ------
        ValueError
            A time is missing or infinite.
        """
        strange = np.flatnonzero(~np.isfinite(times))
        if len(strange):
            raise ValueError(
                f"Rows of a series need a time each, but {len(strange)} have none, the first at "
                f"position {strange[0]}: leave them out, or fill their times."
            )
        order = np.lexsort((times, groups))
        series = np.cumsum(np.diff(groups[order], prepend=groups[order[:1]]) != 0)
        timeline = cls(order, series, times[order].astype(np.float64), 1.0)
        steps = timeline.steps
        return replace(timeline, unit=float(np.median(steps[steps > 0])) if steps.any() else 1.0)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def steps(self) -> Floats:
        """Time since the row before; 0 for the first one of a series."""
        same = np.diff(self.series, prepend=-1) == 0
        return np.where(same, np.diff(self.times, prepend=0.0), 0.0)

    @property
    def lengths(self) -> Ints:
        """Rows of each series."""
        return np.bincount(self.series)

    @property
    def places(self) -> Ints:
        """Number of each sorted row in its series, from 0."""
        lengths = self.lengths
        return np.arange(len(self)) - np.repeat(_offsets(lengths), lengths)

    def windows(self, longest: int = LONGEST, overlap: int = OVERLAP) -> Windows:
        """Cut series into windows of equal length, as far as their length permits.

        Parameters
        ----------
        longest : int
            Rows that a window has at most.
        overlap : int
            Rows that two windows of a series share, at least; half of them are left to each.
        """
        lengths = self.lengths
        counts = np.maximum(-(-(lengths - overlap) // (longest - overlap)), 1)
        which = np.repeat(np.arange(len(lengths)), counts)
        number = np.arange(len(which)) - np.repeat(_offsets(counts), counts)
        length, count = lengths[which], counts[which]
        begin = number * (length - overlap) // count
        end = (number + 1) * (length - overlap) // count + overlap
        begin, end = np.where(number > 0, begin, 0), np.where(number + 1 < count, end, length)
        shared = np.full(len(which), overlap)
        before = np.where(number > 0, shared // 2, 0)
        after = np.where(number + 1 < count, shared - shared // 2, 0)
        return Windows(_offsets(lengths)[which] + begin, end - begin, before, after)

    def part(self, windows: Windows) -> Timeline:
        """The rows of some windows, each a series of its own; ``order`` are places in this one."""
        rows = windows.rows()
        series = np.repeat(np.arange(len(windows)), windows.lengths)
        return Timeline(rows, series, self.times[rows], self.unit)

    def beside(self, seen: Bools) -> tuple[Ints, Ints]:
        """The nearest other row before and after each row that has a column observed; -1 for none.

        Parameters
        ----------
        seen : array of shape (n_rows,)
            Whether the column is observed.
        """
        rows, n_rows = np.arange(len(self)), len(self)
        before = np.maximum.accumulate(np.where(seen, rows, -1))
        after = np.minimum.accumulate(np.where(seen, rows, n_rows)[::-1])[::-1]
        before, after = np.append(-1, before[:-1]), np.append(after[1:], n_rows)
        firsts = rows - self.places
        lasts = firsts + self.lengths[self.series] - 1
        return np.where(before >= firsts, before, -1), np.where(after <= lasts, after, -1)

    def look(
        self, rows: Rows, layout: Layout, center: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What neighbours in time tell about every cell; what the cell holds is not looked at.

        Parameters
        ----------
        rows : Rows
            Sorted.
        center : array of shape (n_outputs,)
            Of columns that a series has not observed elsewhere.

        Returns
        -------
        lines : float32, shape (n_rows, n_outputs)
            The straight line between the neighbours, and beyond the ends of a series the only
            one: of numbers, their value; of categories, the shares of their levels.
        extras : float32, shape (n_rows, n_extras)
            See `n_extras`.
        """
        told, dense = rows.told.numpy(), rows.dense.numpy()
        lines = np.empty_like(dense)
        extras = np.empty((len(self), n_extras(layout)), dtype=np.float32)
        step = np.log1p(self.steps / self.unit)
        for cell, block in enumerate(layout.blocks):
            before, after = self.beside(told[:, cell])
            left, right = self._gap(before), self._gap(after)
            span = left + right
            # Of two rows at the time of this one, neither is nearer.
            inside = (span > 0.0) & (before >= 0) & (after >= 0)
            near = np.divide(left, span, out=np.full(len(self), 0.5), where=inside)[:, None]
            first = dense[np.where(before < 0, after, before), block]
            rise = dense[np.where(after < 0, before, after), block] - first
            none = (before < 0) & (after < 0)
            lines[:, block] = np.where(none[:, None], center[block].numpy(), first + near * rise)
            extras[:, 2 * cell] = np.log1p(left) / 2.0
            extras[:, 2 * cell + 1] = np.log1p(right) / 2.0
            if cell < layout.n_numbers:
                slope = np.where(none, 0.0, rise[:, 0] / np.maximum(span, 1.0))
                extras[:, 2 * layout.n_cells + cell] = slope
        extras[:, -1] = step
        np.clip(extras, -FARTHEST, FARTHEST, out=extras)
        return torch.from_numpy(lines), torch.from_numpy(extras)

    def _gap(self, others: Ints) -> Floats:
        """Steps to other rows; infinitely many to none."""
        away = np.abs(self.times[others] - self.times) / self.unit
        return np.where(others < 0, np.inf, away)


def n_extras(layout: Layout) -> int:
    """Inputs beside values: log gaps to both sides of cells, slopes of numbers, the log step."""
    return 2 * layout.n_cells + layout.n_numbers + 1


def _offsets(lengths: Ints) -> Ints:
    """Where each of so many stretches begins."""
    return np.cumsum(lengths) - lengths
