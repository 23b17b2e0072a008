"""Training rows filled as new rows are: without their label, from the rows of other folds."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from greyknn.arrays import Floats, Ints
from greyknn.fitting import AnyModel, fitted
from greyknn.progress import Progress, silent

STEP = "cross-fitting"
"""What progress calls it."""


@dataclass(frozen=True)
class Part:
    """What one fold is filled from.

    Parameters
    ----------
    rows : array
        The rows of all other folds.
    columns : array
        The columns that were observed there.
    model : Model, TargetModel or None
        Fitted on these rows and columns; None if there are no columns.
    """

    rows: Ints
    columns: Ints
    model: AnyModel | None


@dataclass
class CrossFit:
    """A training table of which every fold is filled by a model that never saw the fold.

    Scale, weights, k and the donors' own fills come from the other folds and their labels, as if
    they were the training table and the fold had come to ``transform``. Where the other folds
    have no value of a column, its gaps hold the mean or mode of the whole column.

    Parameters
    ----------
    whole : Model or TargetModel
        Fitted on all rows.
    labels : array of shape (n_rows,)
        Class codes, -1 for rows without a label.
    folds : array of shape (n_rows,)
    random_state : RandomState
        As it was before ``whole`` was fitted: every part's choice of k begins there too.
    progress : callable

    Attributes
    ----------
    filled : array of shape (n_rows, n_columns)
        Complete.
    n_unsettled : int
        Rows that did not settle, or whose donors did not.
    """

    whole: AnyModel
    labels: Ints
    folds: Ints
    random_state: np.random.RandomState
    filled: Floats = field(init=False)
    n_unsettled: int = field(init=False, default=0)
    _latest: tuple[int, Part] | None = field(init=False, default=None, repr=False)

    @classmethod
    def fit(
        cls, whole: AnyModel, labels: Ints, folds: Ints, random_state: np.random.RandomState,
        progress: Progress = silent,
    ) -> CrossFit:  # fmt: skip
        """Fill each fold that has gaps."""
        crossed = cls(whole, labels, folds, random_state)
        values = crossed.values()
        crossed.filled = np.where(np.isnan(values), whole.training.center, values)
        wanting = np.isnan(values).any(axis=1)
        numbers = np.unique(folds[wanting])
        for done, fold in enumerate(numbers):
            progress(STEP, done, len(numbers))
            part = crossed._fitted(int(fold))
            if part.model is None:
                continue
            rows = np.flatnonzero(wanting & (folds == fold))
            cells = np.ix_(rows, part.columns)
            crossed.filled[cells], n_unsettled, _ = part.model.fill_new(values[cells])
            settled = part.model.filled.converged
            crossed.n_unsettled += n_unsettled if settled else len(rows)
        progress(STEP, len(numbers), len(numbers))
        return crossed

    def values(self) -> Floats:
        """The training table as it came, NaN where missing."""
        return np.where(self.whole.training.observed, self.whole.training.filled, np.nan)

    def part(self, fold: int) -> Part:
        """What filled a fold: fitted once more, because all parts would take ten tables' memory.

        The latest is kept, for questions about several cells of a row.
        """
        if self._latest is None or self._latest[0] != fold:
            self._latest = fold, self._fitted(fold)
        return self._latest[1]

    def _fitted(self, fold: int) -> Part:
        rows = np.flatnonzero(self.folds != fold)
        columns = np.flatnonzero(self.whole.training.observed[rows].any(axis=0))
        if len(columns) == 0:
            return Part(rows, columns, None)
        model = fitted(
            self.whole.settings, self.values()[np.ix_(rows, columns)],
            self.whole.categorical[columns], _dense(self.labels[rows]),
            deepcopy(self.random_state),
        )  # fmt: skip
        return Part(rows, columns, model)


def _dense(labels: Ints) -> Ints:
    """Codes 0, 1, ... of the classes that are left; without any label, one class of all rows."""
    known = labels >= 0
    if not known.any():
        return np.zeros_like(labels)
    dense = labels.copy()
    dense[known] = np.unique(labels[known], return_inverse=True)[1]
    return dense
