"""What a fitted deep imputer can tell beside its fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from greyknn.arrays import Bools, Floats, Ints
from greyknn.deep import explaining, plots, saving
from greyknn.deep.distribution import distribution
from greyknn.deep.explaining import Explanation, Scene
from greyknn.deep.fills import Teller
from greyknn.deep.model import DeepModel, Predicted
from greyknn.deep.reader import Read, Reader, position
from greyknn.deep.sampling import samples
from greyknn.deep.scoring import skill

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AROUND = 256
"""Rows of a series before and after one that is explained, at most."""


class Telling:
    """Methods of ``DeepImputer`` that look at what was learnt."""

    _reader: Reader
    _model: DeepModel
    _seed: int
    _written: Floats
    loss_curve_: Any

    def _read(self, X: Any, y: Any) -> Read:
        raise NotImplementedError

    def _completed(self, X: Any, read: Read, gaps: Bools, rows: Ints, fills: Any) -> Any:
        raise NotImplementedError

    def _predicted(self, read: Read, gaps: Bools) -> tuple[Ints, Predicted]:
        raise NotImplementedError

    @property
    def _teller(self) -> Teller:
        reader = self._reader
        texts = [reader.schema.names[i] for i in reader.texts]
        return Teller(self._model, reader.columns, texts)

    def predict_dist(self, X: Any, y: Any = None) -> Any:
        """What is known about each missing cell, as a pandas frame.

        Parameters
        ----------
        X, y : as in ``transform``

        Returns
        -------
        DataFrame
            For a number one row, with ``row``, ``column``, ``mean``, ``sd``, ``q05``, ``q50``,
            ``q95``; for a category one for each level, with ``value`` and ``probability``. Dates
            are seconds since 1970, and texts are not in it. Intervals are calibrated on held-out
            cells: of 10 cells 9 should lie between q05 and q95.
        """
        read, reader = self._read(X, y), self._reader
        gaps = reader.gaps(read.coded)
        rows, predicted = self._predicted(read, gaps)
        names = [reader.schema.names[i] for i in reader.modelled]
        return distribution(self._teller, predicted, rows, gaps[rows][:, reader.modelled], names)

    def sample(self, X: Any, m: int = 5, y: Any = None, random_state: Any = 0) -> list[Any]:
        """Tables whose gaps are filled by chance, as often as each value is likely.

        For multiple imputation: analyse each table and pool the results. Cells of a row belong
        together; texts are the same in all tables.

        Parameters
        ----------
        X, y : as in ``transform``
        m : int
            How many tables.
        random_state : int, RandomState or None

        Returns
        -------
        list of tables
            As X, without gaps.
        """
        if not isinstance(m, int | np.integer) or m < 1:
            raise ValueError(f"m={m!r} must be a number of tables, 1 or more.")
        read, reader = self._read(X, y), self._reader
        gaps = reader.gaps(read.coded)
        rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
        wanted = np.zeros(read.values.shape, dtype=bool)
        wanted[:, : len(reader.modelled)] = gaps[:, reader.modelled]
        rows = np.flatnonzero(gaps.any(axis=1))
        return [
            self._completed(X, read, gaps.copy(), rows, drawn[rows])
            for drawn in samples(self._teller, read, wanted, int(m), rng)
        ]

    def score(self, X: Any, y: Any = None) -> float:
        """How well hidden cells of a table are restored: 1 is without error, 0 as the mean or mode.

        A fifth of the observed cells of each column is hidden and filled again.

        Parameters
        ----------
        X, y : as in ``transform``

        Returns
        -------
        float
            Mean over the columns of 1 - error / error of the column's mean or mode: root mean
            square errors of numbers, shares of wrong categories.
        """
        read = self._read(X, y)
        return skill(self._teller, read, np.random.default_rng([self._seed, 20]))

    def explain(self, row: int, column: Any, X: Any = None, y: Any = None) -> Explanation:
        """Why a cell is filled as it is.

        Parameters
        ----------
        row : int
            Position in the table, from 0.
        column : name or position
        X, y : as in ``transform``, optional
            The table of the row; by default the one that was fitted, of which the model keeps up
            to some thousand rows.

        Returns
        -------
        Explanation
            ``value``, ``effects`` of the row's other cells, ``donors`` behind the grey prior, and
            ``shares`` of network and priors. An observed cell is explained as if it were missing.

        Raises
        ------
        KeyError
            If there is no such row or column, or it is not filled by the model.
        """
        check_is_fitted(self)
        model = self._model
        cell, teller = self._cell(column), self._teller
        place = int(model.layout.columns[cell])
        if X is not None:
            scene, at = self._scene(self._read(X, y), row)
        elif model.settings.cell is not None:
            raise ValueError("A model of series keeps no table: pass it, explain(row, column, X).")
        else:
            kept = np.flatnonzero(model.reference_rows == row)
            if len(kept) == 0:
                raise KeyError(
                    f"Row {row!r} is not among the {len(model.reference):,} of {model.n_seen:,} "
                    "training rows that the model keeps: pass its table, explain(row, column, X)."
                )
            scene, at = Scene(model.reference[kept], model.reference_texts[kept]), 0
            if not np.isnan(scene.values[0, place]):
                holes = np.zeros(model.reference.shape, dtype=bool)
                holes[kept, place] = True
                teller = replace(teller, model=explaining.unknowing(model, holes))
        scene.values[at, place] = np.nan
        return explaining.explain(teller, scene, at, cell)

    def _scene(self, read: Read, row: Any) -> tuple[Scene, int]:
        """A row, or some of its series around it, and where it stands among these."""
        if not isinstance(row, int | np.integer) or not 0 <= row < len(read.values):
            raise KeyError(f"There is no row {row!r}: X has rows 0 to {len(read.values) - 1}.")
        line = read.timeline
        if line is None:
            one = [int(row)]
            return Scene(read.values[one], read.texts[one]), 0
        at = int(np.flatnonzero(line.order == row)[0])
        alike = np.flatnonzero(line.series == line.series[at])
        alike = alike[np.abs(alike - at) <= AROUND]
        rows = line.order[alike]
        times = line.times[alike]
        return Scene(read.values[rows], read.texts[rows], times), int(at - alike[0])

    def importance(self, column: Any = None, X: Any = None, random_state: Any = 0) -> Any:
        """How much the fills of each column change when another one is hidden, too.

        Parameters
        ----------
        column : name or position, optional
            The column that is filled; by default all.
        X : table, optional
            For a model of series: a table whose longest series is asked.
        random_state : int, RandomState or None
            Draws the rows that are asked.

        Returns
        -------
        DataFrame of shape (n_filled, n_columns)
            Mean absolute change, of numbers in standard deviations, of categories in probability.
            A label is the last column, "y".
        """
        import pandas as pd

        check_is_fitted(self)
        layout, names = self._model.layout, [one.name for one in self._reader.columns]
        cells = np.flatnonzero(layout.targets).tolist() if column is None else [self._cell(column)]
        rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
        scene = None
        if self._model.settings.cell is not None:
            if X is None:
                raise ValueError("A model of series keeps no table: pass one, importance(X=X).")
            read = self._read(X, None)
            line = read.timeline
            assert line is not None  # of series there is one
            longest = np.bincount(line.series).argmax()
            middle = int(np.median(np.flatnonzero(line.series == longest)))
            scene, _ = self._scene(read, int(line.order[middle]))
        found = explaining.importance(self._teller, cells, rng, scene)
        index = pd.Index([names[layout.columns[cell]] for cell in cells], dtype=object)
        return pd.DataFrame(found, index=index, columns=pd.Index(names, dtype=object))

    def plot_loss(self) -> Figure:
        """Draw the loss of held-out cells by step, and where it was best.

        Returns
        -------
        matplotlib.figure.Figure
            Made without pyplot: a notebook shows it, ``savefig("loss.png")`` writes it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(self)
        return plots.loss(self.loss_curve_)

    def plot_calibration(self) -> Figure:
        """Draw whether what is said to be sure is right as often, on held-out cells.

        Of categories how often levels were right by their probability, before and after
        tempering; of numbers how many cells central intervals of 10 % to 90 % hold, before and
        after calibration, which is learnt from one half of the held-out cells here and judged by
        the other.

        Returns
        -------
        matplotlib.figure.Figure
            As of ``plot_loss``; errors, too.
        """
        check_is_fitted(self)
        return plots.calibration(self._model)

    def plot_fills(self, X: Any, y: Any = None, columns: Sequence[Any] | None = None) -> Figure:
        """Draw a table before and after: its gaps, and values that are observed and filled.

        Parameters
        ----------
        X, y : as in ``transform``
        columns : list of names or positions, optional
            What to show; by default all columns that are filled, of which those with most gaps
            have panels of their own.

        Returns
        -------
        matplotlib.figure.Figure
            As of ``plot_loss``; errors, too.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        before, schema = self._read(X, y).coded, self._reader.schema
        wanted: Sequence[int] = self._reader.wanted
        if columns is not None:
            wanted = list(dict.fromkeys(position(schema, name, "columns") for name in columns))
        after = schema.encode(self.transform(X, y))  # type: ignore[attr-defined]
        return plots.fills(schema.columns, before, after, wanted)

    def _cell(self, column: Any) -> int:
        """The cell column of a name or position."""
        reader, layout = self._reader, self._model.layout
        try:
            place = position(reader.schema, column, "column")
        except ValueError as error:
            raise KeyError(str(error)) from error
        among = np.flatnonzero(reader.modelled == place)
        cells = np.flatnonzero(np.isin(layout.columns, among) & layout.targets)
        if len(cells) == 0:
            raise KeyError(f"Column {column!r} is not filled by the model.")
        return int(cells[0])

    def save(self, path: Any) -> None:
        """Write the fitted imputer to a file without code in it (safetensors and JSON).

        Raises
        ------
        TypeError
            If a category or a parameter cannot be written; the message says which.
        """
        check_is_fitted(self)
        fitted = {name: self.__dict__[name] for name in _FITTED if name in self.__dict__}
        saving.save(path, self.get_params(deep=False), fitted, self._model)  # type: ignore[attr-defined]

    @classmethod
    def load(cls, path: Any, device: str = "auto") -> Any:
        """The imputer that was saved to a file; what it fills is exactly the same.

        Parameters
        ----------
        path : path
        device : as in ``DeepImputer``
            Where it is to work.

        Raises
        ------
        ValueError
            If the file is damaged, something else, or of a newer greyknn.
        OSError
            If it cannot be opened.
        """
        params, fitted, model = saving.load(path, device)
        imputer: Any = cls(**params)
        imputer.__dict__.update(fitted)
        imputer._model = model
        return imputer


_FITTED = (
    "_reader", "_seed", "_written", "report_", "n_steps_", "loss_curve_", "n_features_in_",
    "feature_names_in_",
)  # fmt: skip
