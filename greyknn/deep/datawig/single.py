"""A deep imputer that predicts one column of a pandas frame from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Bools, Floats
from greyknn.deep.datawig.metrics import Checked
from greyknn.deep.fills import thresholds
from greyknn.deep.imputer import DeepImputer
from greyknn.deep.model import Predicted
from greyknn.messages import hardly_repeat
from greyknn.table import Column
from greyknn.table.declared import listed


@dataclass(frozen=True)
class Single:
    """A fitted imputer of one column.

    Attributes
    ----------
    deep : DeepImputer
        Of the input columns and, last, the output column, the only one that it fills.
    weights : array of shape (n_levels,), optional
        What labels count: their probabilities are multiplied by that, and made to sum to 1. This
        is where a loss with these weights leads, and other than that it takes no new fit, and
        reaches the priors and their shares, too.
    """

    deep: DeepImputer
    weights: Floats | None = None

    @property
    def columns(self) -> Sequence[Column]:
        """Input columns, and the output column last."""
        return self.deep._reader.schema.columns

    @property
    def output(self) -> Column:
        """The output column."""
        return self.columns[-1]

    @property
    def texts(self) -> list[Any]:
        """Names of the input columns that hold free text."""
        return [column.name for column in self.columns if column.text]

    def ask(self, data: Any) -> Predicted:
        """What is said about the output of rows, whatever theirs is.

        Parameters
        ----------
        data : DataFrame or list of dict
        """
        import pandas as pd

        *inputs, output = (str(column.name) for column in self.columns)
        frame = pd.DataFrame(data, columns=inputs) if isinstance(data, list) else data
        frame = selected(frame, inputs)
        # Labels of no type, and numbers or dates of theirs: both are taken for missing.
        frame[output] = None if self.output.categorical else np.nan
        read = self.deep._read(frame, None)
        return self.deep._predicted(read, self.deep._reader.gaps(read.coded))[1]

    def truth(self, frame: Any) -> tuple[Any, ...]:
        """Outputs of rows: labels, numbers, or seconds of dates."""
        if self.output.categorical:
            return tuple(frame.iloc[:, -1].tolist())
        return tuple(self.deep._read(frame, None).coded.values[:, -1].tolist())

    def shares(self, said: Predicted) -> Floats:
        """Probabilities of the labels (n_rows, n_levels)."""
        ((cell, _),) = self.deep._teller.cells()
        shares: Floats = self.deep._teller.shares(said, cell)
        if self.weights is not None:
            counted = shares * self.weights
            total = counted.sum(axis=1, keepdims=True)
            np.divide(counted, total, out=shares, where=total > 0.0)
        return shares

    def numbers(self, said: Predicted) -> Floats:
        """Expected numbers, or codes of the most probable labels (n_rows,)."""
        fills: Floats
        if self.output.categorical:
            fills = self.shares(said).argmax(axis=1).astype(float)
        else:
            ((_, place),) = self.deep._teller.cells()
            fills = self.deep._teller.fills(said)[:, place]
        return fills

    def values(self, said: Predicted) -> NDArray[Any]:
        """Fills as the user knows them (n_rows,); numbers are not rounded, and dates are UTC."""
        numbers, output = self.numbers(said), self.output
        if not output.categorical:
            stamps: NDArray[Any] = (
                numbers if output.clock is None else output.clock.nearest(numbers)
            )
            return stamps
        out = np.empty(len(numbers), dtype=object)
        out[:] = [output.levels[code] for code in numbers.astype(int).tolist()]
        return out

    def weighted(self, weights: Mapping[Any, float] | None) -> Single:
        """The same with weights of labels; others count 1."""
        if weights is None:
            return self
        return replace(
            self, weights=np.array([float(weights.get(level, 1)) for level in self.output.levels])
        )

    def level(self, label: Any, column: str | None = None) -> int:
        """Where a label stands among the levels of the output.

        Raises
        ------
        ValueError
            The output is no label, or never this one, or another column is meant.
        """
        if column is not None and column != self.output.name:
            raise ValueError(f"label_column={column!r} is not {self.output.name!r}, the output.")
        if not self.output.categorical:
            raise ValueError(f"{self.output.name!r} is a number, and has no label {label!r}.")
        if label not in self.output.levels:
            raise ValueError(
                f"{label!r} is none of the labels that fit saw, {listed(self.output.levels)}."
            )
        return self.output.levels.index(label)

    def doubtful(self, said: Predicted, precision: float, checked: Checked | None) -> Bools:
        """Rows whose label is right more rarely than that (n_rows,).

        Cells that were hidden from the networks in turn tell; of labels that have weights, the
        rows that were kept from fit, which are those whose probabilities of all labels are known.
        """
        shares = self.shares(said)
        if self.weights is None:
            ((cell, _),) = self.deep._teller.cells()
            told, sure, right = self.deep._model.verdict.evidence[cell]
        elif checked is None:
            raise ValueError(
                "Precisions with class_weights need rows that were kept from fit: give fit a "
                "test_df or a larger test_split."
            )
        else:
            known = {level: place for place, level in enumerate(self.output.levels)}
            truth = np.array([known.get(label, -1) for label in checked.truth])
            # A row counts what its label does: as often, in hundredths.
            often = np.rint(100 * np.append(self.weights, 1.0)[truth]).astype(int)
            told, sure = checked.said.argmax(axis=1), checked.said.max(axis=1)
            told, sure, right = (np.repeat(part, often) for part in (told, sure, told == truth))
        least = thresholds(told, sure, right, shares.shape[1], precision)
        lacking: Bools = shares.max(axis=1) < least[shares.argmax(axis=1)]
        return lacking


def fitted_types(frame: Any) -> dict[int, str]:
    """Types of columns, by position, where the dtype does not say enough; the output is last.

    Outputs that are neither numbers nor dates are labels, be they ever so many, and inputs that
    hardly repeat are texts, as what their parts say is all that they say.
    """
    from pandas.api import types as dtypes

    said: dict[int, str] = {}
    last = frame.shape[1] - 1
    for place in range(last):
        cells = frame.iloc[:, place].dropna()
        if not dtypes.is_object_dtype(cells) and not dtypes.is_string_dtype(cells):
            continue
        if isinstance(cells.dtype, _category()) or not all(isinstance(cell, str) for cell in cells):
            continue
        if hardly_repeat(cells.nunique(), len(cells)):
            said[place] = "text"
    dtype = frame.iloc[:, last].dtype
    times = dtypes.is_datetime64_any_dtype(dtype) or dtypes.is_timedelta64_dtype(dtype)
    if not times:
        said[last] = "numeric" if is_number(dtype) else "categorical"
    return said


def _category() -> Any:
    import pandas as pd

    return pd.CategoricalDtype


def is_number(dtype: Any) -> bool:
    """Whether a column is one of numbers, by its dtype; booleans are categories."""
    from pandas.api import types as dtypes

    return bool(dtypes.is_numeric_dtype(dtype)) and not dtypes.is_bool_dtype(dtype)


def selected(data_frame: Any, names: Sequence[str], argument: str = "data_frame") -> Any:
    """A copy of some columns of a frame.

    Raises
    ------
    TypeError
        It is no pandas frame.
    ValueError
        It lacks a column.
    """
    import pandas as pd

    if not isinstance(data_frame, pd.DataFrame):
        raise TypeError(
            f"{argument} is a {type(data_frame).__name__}; SimpleImputer takes pandas frames, and "
            "DeepImputer all others."
        )
    missing = [name for name in names if name not in data_frame.columns]
    if missing:
        raise ValueError(
            f"{argument} has no column {missing[0]!r}; its columns are {list(data_frame.columns)}."
        )
    return data_frame[list(names)].copy()
