"""A deep imputer that learns from further rows, or searches for better settings."""

from __future__ import annotations

import time
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from greyknn.deep.material import TOGETHER, usual_steps
from greyknn.deep.telling import Telling
from greyknn.deep.tuning import CHOICES, RANGES, Config, search
from greyknn.deep.updating import updated
from greyknn.deep.weights import output_weights, row_weights
from greyknn.table import open_table


class Improving(Telling):
    """Methods of ``DeepImputer`` that go on from ``fit``."""

    class_weight: Any
    groups: Any
    max_steps: Any
    time: Any
    random_state: Any

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        raise NotImplementedError

    def _tell(self) -> None:
        raise NotImplementedError

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, steps: int = 100
    ) -> Self:
        """Learn from further rows; what was learnt before is not forgotten.

        The network goes on from where it is, half of what it learns from being earlier rows, of
        which some thousand are kept. Scales stay what they were; categories may have new levels.
        The first call is ``fit``.

        Parameters
        ----------
        X, y, sample_weight : as in ``fit``
            New rows.
        steps : int
            For each two thousand rows.

        Returns
        -------
        self
        """
        if not hasattr(self, "_model"):
            return self.fit(X, y, sample_weight)
        if not isinstance(steps, Integral) or steps < 1:
            raise ValueError(f"steps={steps!r} must be a number of steps, 1 or more.")
        if self._model.settings.cell is not None:
            raise NotImplementedError(
                "A model of series does not learn from further rows: fit it again with all."
            )
        open_table(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        reader = self._reader.extended(X, y)
        read, model = reader.read(X, y), self._model
        weight = row_weights(sample_weight, read)
        written = [self._written]
        for begin in range(0, len(read.values), TOGETHER // 2):
            some = slice(begin, begin + TOGETHER // 2)
            before, model = model, updated(
                model, read.values[some], read.texts[some], weight[some], reader.levels,
                steps=int(steps),
                count=lambda layout: output_weights(self.class_weight, layout, reader.columns),
            )  # fmt: skip
            codes = read.coded.values[some][:, reader.texts]
            numbers = np.concatenate([before.reference_rows, before.n_seen + np.arange(len(codes))])
            place = {number: at for at, number in enumerate(numbers.tolist())}
            kept = [place[number] for number in model.reference_rows.tolist()]
            written = [np.concatenate([*written, codes])[kept]]
        self._reader, self._model, self._written = reader, model, written[0]
        self._tell()
        return self

    def tune(
        self, X: Any, y: Any = None, n_trials: int = 12, timeout: float | None = None,
        sampler: Any = "random",
    ) -> Any:  # fmt: skip
        """Search for better settings by the error on held-out cells, and fit with the best.

        Width, depth, dropout, embedding, batch size, rate and decay are drawn at random; of those
        tried with few steps the better third goes on with more. What the parameters say now, and a
        linear model, are always among them. Parameters of this imputer become the best ones.

        Parameters
        ----------
        X, y : as in ``fit``
        n_trials : int
        timeout : float, optional
            Seconds after which no trial is begun.
        sampler : "random", "optuna" or a sampler of optuna
            What draws settings; "optuna" is its TPESampler.

        Returns
        -------
        DataFrame
            A row for each trial, the best first: settings, steps, error, seconds. The error is the
            mean over columns of the error over that of the mean or mode.
        """
        import pandas as pd

        if not isinstance(n_trials, Integral) or n_trials < 1:
            raise ValueError(f"n_trials={n_trials!r} must be a number of trials, 1 or more.")
        until = float("inf") if timeout is None else time.monotonic() + timeout
        self._validate_params()
        best = self.get_params(deep=False)
        seed = int(check_random_state(self.random_state).randint(2**31))

        def evaluate(config: Config, steps: int) -> float:
            tried = clone(self).set_params(**config, max_steps=steps, random_state=seed).fit(X, y)
            reports = tried.report_.values()
            errors = [one.error / one.naive for one in reports if one.naive > 0]
            return float(np.mean(errors)) if errors else 0.0

        series = self.groups is not None or self.time is not None
        steps = self.max_steps
        if steps == "auto":
            steps = usual_steps(open_table(X).n_rows, series=series)
        tried = search(evaluate, sampler, int(n_trials), best, int(steps), until, seed)
        self.set_params(**{name: tried[0][name] for name in (*CHOICES, *RANGES)})
        self.fit(X, y)
        return pd.DataFrame(tried)
