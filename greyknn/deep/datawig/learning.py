"""How Datawig's ``SimpleImputer`` is made and fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError

from greyknn.arrays import Ints
from greyknn.deep.datawig import settings
from greyknn.deep.datawig.explaining import Associations, associations
from greyknn.deep.datawig.metrics import Checked
from greyknn.deep.datawig.parts import parted
from greyknn.deep.datawig.single import Single, fitted_types
from greyknn.deep.imputer import DeepImputer

EXPLAINED_ROWS = 1000
"""Rows of the training frame that labels are explained by."""


class Learning:
    """The constructor of ``SimpleImputer``, and what learns; its docstring tells about both."""

    def __init__(
        self,
        input_columns: Sequence[str],
        output_column: str,
        output_path: str = "",
        num_hash_buckets: int = 2**15,
        num_labels: int = 100,
        tokens: str = "chars",
        numeric_latent_dim: int = 100,
        numeric_hidden_layers: int = 1,
        is_explainable: bool = False,
    ) -> None:
        settings.check_columns(input_columns, output_column)
        if tokens not in ("chars", "words"):
            raise ValueError(f'tokens={tokens!r} must be "chars" or "words".')
        settings.ignore(
            "SimpleImputer", num_hash_buckets=num_hash_buckets != 2**15,
            numeric_latent_dim=numeric_latent_dim != 100,
            numeric_hidden_layers=numeric_hidden_layers != 1,
        )  # fmt: skip
        self.input_columns = list(input_columns)
        self.output_column = output_column
        self.output_path = output_path
        self.num_labels = num_labels
        self.tokens = tokens
        self._single: Single | None = None
        self.hpo = SimpleNamespace(results=None)
        self._checked: Checked | None = None
        self._associations: Associations = {}

    def fit(
        self,
        train_df: Any,
        test_df: Any = None,
        ctx: Any = None,
        learning_rate: float | None = None,
        num_epochs: int | None = None,
        patience: int | None = None,
        test_split: float = 0.1,
        weight_decay: float | None = None,
        batch_size: int | None = None,
        final_fc_hidden_units: Sequence[int] | None = None,
        calibrate: bool = True,
        class_weights: Mapping[Any, float] | None = None,
        instance_weights: Sequence[float] | None = None,
    ) -> Self:
        """Learn the output column, anew at each call. None stands for what ``DeepImputer`` does.

        Parameters
        ----------
        train_df : DataFrame
            Rows without an output are left out: to look at them was measured not to help.
        test_df : DataFrame, optional
            Rows for ``load_metrics`` and ``check_for_label_shift``, not learnt from.
        ctx : str, optional
            A device of ``DeepImputer``; by default a GPU that can be used.
        learning_rate, weight_decay : float, optional
        num_epochs : int, optional
            At most so many passes, in batches of ``batch_size``, by default 16 as in Datawig, and
            never more than 2,000 steps.
        patience : int, optional
            Looks at held-out cells without a better one, every 20 steps of the second half.
        test_split : float, default=0.1
            Share of the rows that is kept for the same as test_df if that is not given; 0 learns
            from all, and there are no metrics.
        batch_size : int, optional
        final_fc_hidden_units : list of int, optional
            Layers: all as wide as the widest; [] or [0] is a linear model.
        calibrate : bool, default=True
            Ignored: probabilities are calibrated where that makes them better.
        class_weights : dict of label -> float, optional
            What labels count, 1 by default; as from ``check_for_label_shift``. Probabilities are
            multiplied by them, which corrects the priors' shares in a fill as well as the
            network's; weights in the loss were measured to hardly change fills.
        instance_weights : list of float, optional
            What rows of train_df count.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If frames or weights cannot be used; the message says what to do.
        """
        if class_weights is not None and instance_weights is not None:
            raise ValueError("Give class_weights or instance_weights, not both.")
        rows, train, held = self._parted(train_df, test_df, test_split)
        options = settings.chosen(
            len(train), learning_rate, num_epochs, patience, weight_decay, batch_size,
            final_fc_hidden_units,
        )  # fmt: skip
        settings.check_class_weights(class_weights, train_df[self.output_column])
        weight = settings.instance_weights(instance_weights, len(train_df))
        deep = self._deep(train, ctx, options)
        deep.fit(train, sample_weight=None if weight is None else weight[rows])
        return self._learnt(Single(deep).weighted(class_weights), train, held)

    def fit_hpo(
        self,
        train_df: Any,
        test_df: Any = None,
        hps: Any = None,
        num_evals: int = 10,
        max_running_hours: float = 96.0,
        hpo_run_name: str | None = None,
        user_defined_scores: Any = None,
        num_epochs: int | None = None,
        patience: int | None = None,
        test_split: float = 0.2,
        weight_decay: Sequence[float] | None = None,
        batch_size: int | None = None,
        num_hash_bucket_candidates: Any = None,
        tokens_candidates: Any = None,
        numeric_latent_dim_candidates: Any = None,
        numeric_hidden_layers_candidates: Any = None,
        final_fc_hidden_units: Sequence[Sequence[int]] | None = None,
        learning_rate_candidates: Sequence[float] | None = None,
        normalize_numeric: bool = True,
        hpo_max_train_samples: int | None = None,
        ctx: Any = None,
    ) -> Self:
        """Learn the output column with settings that are searched for by ``DeepImputer.tune``.

        The first of each list of candidates is tried first, and the search goes beyond them.
        Settings are compared on cells of the training rows that are hidden, and the rows of
        test_df or test_split tell the metrics of the best. What is not listed here is ignored.

        Parameters
        ----------
        train_df, test_df, num_epochs, patience, test_split, batch_size, ctx : as in ``fit``
        num_evals : int, default=10
            Trials.
        max_running_hours : float, default=96.0
            For all trials and the last fit together; trials under way end in time, too.
        weight_decay, learning_rate_candidates : list of float, optional
        final_fc_hidden_units : list of list of int, optional

        Returns
        -------
        self
            ``hpo.results`` is a frame of the trials, the best first.
        """
        settings.ignore(
            "fit_hpo", hps=hps, user_defined_scores=user_defined_scores,
            num_hash_bucket_candidates=num_hash_bucket_candidates,
            tokens_candidates=tokens_candidates,
            numeric_latent_dim_candidates=numeric_latent_dim_candidates,
            numeric_hidden_layers_candidates=numeric_hidden_layers_candidates,
            normalize_numeric=not normalize_numeric, hpo_max_train_samples=hpo_max_train_samples,
        )  # fmt: skip
        _, train, held = self._parted(train_df, test_df, test_split)
        options = settings.chosen(
            len(train), settings.first(learning_rate_candidates, "learning_rate_candidates"),
            num_epochs, patience, settings.first(weight_decay, "weight_decay"), batch_size,
            settings.first(final_fc_hidden_units, "final_fc_hidden_units"),
        )  # fmt: skip
        deep = self._deep(train, ctx, options)
        # Two trials are always made, and a fit with the best: each has a quarter of the time.
        seconds = 3600.0 * max_running_hours
        deep.set_params(time_budget=seconds / 4)
        self.hpo.results = deep.tune(train, n_trials=num_evals, timeout=seconds / 2)
        return self._learnt(Single(deep), train, held)

    def _parted(self, train_df: Any, test_df: Any, share: float) -> tuple[Ints, Any, Any]:
        columns = [*self.input_columns, self.output_column]
        return parted(train_df, test_df, columns, share, self.num_labels)

    def _deep(self, train: Any, ctx: Any, options: dict[str, Any]) -> DeepImputer:
        """An imputer of the output column, not yet fitted."""
        return DeepImputer(
            columns=[self.output_column], types=fitted_types(train), keep_empty_features=True,
            device=settings.device(ctx), **options,
        )  # fmt: skip

    def _learnt(self, single: Single, train: Any, held: Any) -> Self:
        """Keep what was learnt, and look how good it is."""
        self._single, self._checked, self._associations = single, None, {}
        labels, levels = single.output.categorical, single.output.levels
        if len(held):
            said = single.ask(held)
            told = single.shares(said) if labels else single.numbers(said)
            seen = single.truth(train)
            frequency = np.array([seen.count(level) / len(seen) for level in levels])
            self._checked = Checked(levels, single.truth(held), told, frequency)
        if labels:
            some = train[self.input_columns].iloc[:EXPLAINED_ROWS]
            shares = single.shares(single.ask(some))
            self._associations = associations(some, single.columns[:-1], shares, self.tokens)
        return self

    @property
    def imputer(self) -> DeepImputer | None:
        """What was learnt, if anything was."""
        return None if self._single is None else self._single.deep

    def _fitted(self) -> Single:
        if self._single is None:
            raise NotFittedError("This SimpleImputer has learnt nothing: call fit first.")
        return self._single
