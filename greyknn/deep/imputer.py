"""The estimator: fit, transform, and what a fitted deep imputer can tell."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from greyknn.arrays import Bools, Floats
from greyknn.deep.devices import resolve
from greyknn.deep.fills import unsure
from greyknn.deep.heldout import Skill
from greyknn.deep.improving import Improving
from greyknn.deep.material import Settings
from greyknn.deep.model import DeepModel, Predicted
from greyknn.deep.priors import NAMES
from greyknn.deep.reader import Read, Reader
from greyknn.deep.weights import output_weights, row_weights
from greyknn.estimator import MixedTableImputer
from greyknn.messages import warn
from greyknn.progress import reporting
from greyknn.table import open_table

AUTO = StrOptions({"auto"})


def _count(least: int) -> list[Any]:
    return [Interval(Integral, least, None, closed="left"), AUTO]


class DeepImputer(Improving, MixedTableImputer):
    """Fill the gaps of a table by a network that starts from near rows and can only improve.

    An ensemble of small networks learns to restore cells that were hidden, from what is left of
    their rows and from first guesses: the grey nearest neighbours, ridge regressions on grey
    grades and a Gaussian. Each cell is kept from one of the networks, so that all cells tell how
    good the fills are: when to stop, how much the networks and each guess count, how sure a fill
    is. Numbers, categories, booleans, dates and free text are taken as they are, and all columns
    are filled at once.

    Parameters
    ----------
    columns : list of names or positions, optional
        The columns to fill; by default all. The others are looked at, and keep their gaps.
    types : dict of column -> str, optional
        "numeric", "categorical", "ordinal", "boolean", "datetime" or "text", for columns that are
        something else than their dtype says. Strings are text if most of them are different and
        of several words.
    groups, time : name or position, optional
        The columns that tell series, and the time in them: each cell is then filled from the
        other times of its series, too. Rows need not be sorted, nor steps be of equal length.
    cell : {"gru", "lstm"}, default="gru"
        What reads series, in both directions.
    priors : "auto" or list of {"grey", "kernel", "em", "text", "time"}, default="auto"
        The first guesses: near rows, ridge regressions on grey grades, a Gaussian; of texts a
        linear model of n-grams; of series the Gaussian and interpolation only.
    trees : bool, default=False
        Whether randomised trees, too, propose fills. It takes longer, and saved models are larger;
        where columns meet in steps, as pixels do, errors are a little smaller.
    mask : {"mcar", "copy"}, default="mcar"
        How cells are hidden to be learnt: each by itself, or as in another row of the table.
    members : int or "auto", default="auto"
        Networks, 8 of tables and 3 of series.
    hidden : int or "auto", default="auto"
        Units of a layer; by the number of rows.
    depth : int, default=2
        Layers; 0 is a linear model.
    dropout : float, default=0.15
    embedding : {"auto", "plr", "none"}, default="auto"
        Whether numbers are embedded by sines and cosines.
    lr : float, default=5e-3
        Largest learning rate of AdamW, reached after a tenth of the steps.
    weight_decay : float, default=0.06
    batch_size : int, default=128
    max_steps : int or "auto", default="auto"
    patience : int, default=8
        Looks at the held-out cells without a better one, from half of the steps on, after which
        training ends; every 20 steps there is a look.
    time_budget : float, optional
        Seconds after which training ends.
    class_weight : "balanced" or dict of column -> dict of level -> float, optional
        What the levels of categories count in the loss.
    min_precision : float, optional
        A category stays missing where held-out cells that looked as sure were right more rarely.
    keep_empty_features : bool, default=False
        Whether a column without any observed value is kept, empty; otherwise it is an error.
    device : {"auto", "cpu", "cuda", "cuda:1", "mps"}, default="auto"
    amp : bool or "auto", default="auto"
        Whether a GPU multiplies in bfloat16.
    compile : bool, default=False
        Whether ``torch.compile`` translates the network.
    random_state : int, RandomState or None, default=0
    verbose : int, default=0
        If positive, work that takes longer than a second shows its progress on stderr.

    Attributes
    ----------
    report_ : dict of column -> Skill
        What to expect of the fills: errors on held-out cells, those of each prior alone, shares,
        calibration.
    n_steps_ : int
    loss_curve_ : array of shape (n_looks, 2)
        Steps and held-out losses.
    n_features_in_ : int
    feature_names_in_ : array of shape (n_features,)

    Notes
    -----
    Results are the same for the same random_state, number of torch's threads and device. With y,
    ``fit_transform(X, y)`` uses the labels of the rows that it fills, and ``transform(X)`` does
    not, unless it is given some: score classifiers on rows that went through ``transform``
    without labels. On small tables the priors do most of the work, and the network adds little.

    Examples
    --------
    >>> import numpy as np
    >>> from greyknn import DeepImputer
    >>> x = np.linspace(-1, 1, 200)
    >>> X = np.column_stack([x, x**2])
    >>> X[::4, 1] = np.nan
    >>> filled = DeepImputer(max_steps=200).fit_transform(X)
    >>> bool(np.abs(filled[::4, 1] - x[::4] ** 2).mean() < 0.1)
    True
    """

    __metadata_request__transform: ClassVar[dict[str, None]] = {"y": None}

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "columns": ["array-like", None],
        "types": [dict, None],
        "groups": "no_validation",
        "time": "no_validation",
        "cell": [StrOptions({"gru", "lstm"})],
        "priors": [AUTO, list, tuple],
        "trees": ["boolean"],
        "mask": [StrOptions({"mcar", "copy"})],
        "members": _count(2),
        "hidden": _count(1),
        "depth": [Interval(Integral, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "embedding": [StrOptions({"auto", "plr", "none"})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_steps": _count(0),
        "patience": [Interval(Integral, 1, None, closed="left")],
        "time_budget": [Interval(Real, 0, None, closed="neither"), None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "min_precision": [Interval(Real, 0, 1, closed="both"), None],
        "keep_empty_features": ["boolean"],
        "device": [str],
        "amp": ["boolean", AUTO],
        "compile": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        columns: Any = None,
        types: Any = None,
        groups: Any = None,
        time: Any = None,
        cell: str = "gru",
        priors: str | Sequence[str] = "auto",
        trees: bool = False,
        mask: str = "mcar",
        members: int | str = "auto",
        hidden: int | str = "auto",
        depth: int = 2,
        dropout: float = 0.15,
        embedding: str = "auto",
        lr: float = 5e-3,
        weight_decay: float = 0.06,
        batch_size: int = 128,
        max_steps: int | str = "auto",
        patience: int = 8,
        time_budget: float | None = None,
        class_weight: Any = None,
        min_precision: float | None = None,
        keep_empty_features: bool = False,
        device: str = "auto",
        amp: bool | str = "auto",
        compile: bool = False,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.columns = columns
        self.types = types
        self.groups = groups
        self.time = time
        self.cell = cell
        self.priors = priors
        self.trees = trees
        self.mask = mask
        self.members = members
        self.hidden = hidden
        self.depth = depth
        self.dropout = dropout
        self.embedding = embedding
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.patience = patience
        self.time_budget = time_budget
        self.class_weight = class_weight
        self.min_precision = min_precision
        self.keep_empty_features = keep_empty_features
        self.device = device
        self.amp = amp
        self.compile = compile
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn to restore hidden cells of the table.

        Parameters
        ----------
        X : table of shape (n_rows, n_features)
            numpy array, pandas, polars or pyarrow table, or what ``numpy.asarray`` takes.
        y : array-like of shape (n_rows,), optional
            Labels or numbers that help to fill; None or NaN for rows without one.
        sample_weight : array-like of shape (n_rows,), optional
            What each row counts in the loss.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the table, the labels or a parameter cannot be used; the message says what to do.
        """
        self._fit(X, y, sample_weight)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and fill the same table with the help of its labels.

        Parameters
        ----------
        X, y, sample_weight : as in ``fit``

        Returns
        -------
        table
            As X, without gaps.
        """
        return self._filled(X, self._fit(X, y, sample_weight))

    def transform(self, X: Any, y: Any = None) -> Any:
        """Fill rows; labels are not needed, but help where they are known.

        Parameters
        ----------
        X : table of shape (n_rows, n_features)
            Columns as in ``fit``.
        y : array-like of shape (n_rows,), optional

        Returns
        -------
        table
            As X, without gaps. A frame comes back as an array if fit saw an array.
        """
        return self._filled(X, self._read(X, y))

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Read:
        device = resolve(self.device)  # refuse a device that cannot work before any work is done
        reader, read = Reader.fit(
            X, y, types=self.types, columns=self.columns, groups=self.groups, time=self.time,
            keep_empty_features=self.keep_empty_features,
        )  # fmt: skip
        n_rows = len(read.values)
        weight = row_weights(sample_weight, read)
        seed = int(check_random_state(self.random_state).randint(2**31))
        settings = self._settings(reader, seed, device)
        columns = reader.columns
        with reporting(self.verbose) as progress:
            model = DeepModel.fit(
                settings, read.values, reader.categorical, reader.levels, reader.targets,
                ordered=reader.ordered, dates=reader.dates, texts=read.texts, weight=weight,
                timeline=read.timeline,
                class_weights=lambda layout: output_weights(self.class_weight, layout, columns),
                report=lambda step, of, loss: progress(f"training, loss {loss:.4g}", step, of),
            )  # fmt: skip
        validate_data(self, X, skip_check_array=True)
        self._reader, self._model, self._seed = reader, model, seed
        # Which texts the rows of the reference have, to be copied.
        self._written = read.coded.values[model.reference_rows][:, reader.texts]
        self._tell()
        if model.history.broken:
            warn(
                "The loss of the network was no longer a number: what was best until then is "
                "kept. A smaller lr may help."
            )
        if n_rows < 2:
            warn("X has one row; it can only be filled with what it says itself.")
        return read

    def _tell(self) -> None:
        """Attributes that tell what was learnt."""
        model, names = self._model, [column.name for column in self._reader.columns]
        places = model.layout.columns
        self.report_: dict[Any, Skill] = {
            names[places[cell]]: one
            for cell, one in model.verdict.reports.items()
            if model.layout.targets[cell]
        }
        history = model.history
        self.n_steps_ = history.steps[-1] if history.steps else 0
        self.loss_curve_ = np.column_stack([history.steps, history.losses]).reshape(-1, 2)

    def _settings(self, reader: Reader, seed: int, device: str) -> Settings:
        series = reader.groups is not None or reader.time is not None
        priors: tuple[str, ...]
        if isinstance(self.priors, str):
            # Rows that resemble one another tell little beside those before and after.
            priors = ("em",) if series else ("grey", "kernel", "em")
            priors += ("text",) * (len(reader.texts) > 0) + ("time",) * series
        else:
            priors = tuple(self.priors)
            unknown = [name for name in priors if name not in NAMES]
            if unknown:
                raise ValueError(
                    f"priors holds {unknown[0]!r}, which is none of {', '.join(NAMES)}."
                )
            if len(reader.texts) == 0:
                priors = tuple(name for name in priors if name != "text")
        members = (3 if series else 8) if self.members == "auto" else int(self.members)
        return Settings(
            priors=priors, mask=self.mask, members=members,
            hidden=None if self.hidden == "auto" else int(self.hidden), depth=self.depth,
            dropout=self.dropout,
            periodic=None if self.embedding == "auto" else self.embedding == "plr",
            lr=self.lr, weight_decay=self.weight_decay, batch_size=self.batch_size,
            max_steps=None if self.max_steps == "auto" else int(self.max_steps),
            patience=self.patience, time_budget=self.time_budget, device=device, seed=seed,
            cell=self.cell if series else None, trees=self.trees,
            amp=device.startswith("cuda") if isinstance(self.amp, str) else bool(self.amp),
            compile=bool(self.compile),
        )  # fmt: skip

    def _read(self, X: Any, y: Any) -> Read:
        check_is_fitted(self)
        open_table(X)  # what is no table at all is refused before its columns are compared
        validate_data(self, X, reset=False, skip_check_array=True)
        return self._reader.read(X, y)

    def _predicted(self, read: Read, gaps: Bools) -> tuple[Any, Predicted]:
        """Rows with gaps, and what is said about them; a series is looked at as a whole."""
        some = np.flatnonzero(gaps.any(axis=1))
        if read.timeline is not None:
            whole = self._model.predict(read.values, read.texts, timeline=read.timeline)
            return some, whole.rows(some)
        return some, self._model.predict(read.values[some], read.texts[some])

    def _filled(self, X: Any, read: Read) -> Any:
        gaps = self._reader.gaps(read.coded)
        rows, predicted = self._predicted(read, gaps)
        fills = self._teller.fills(predicted)
        if self.min_precision is not None:
            doubtful = unsure(self._teller, predicted, fills, self.min_precision)
            self._abstain(gaps, rows, doubtful)
        return self._completed(X, read, gaps, rows, fills)

    def _completed(self, X: Any, read: Read, gaps: Bools, rows: Any, fills: Floats) -> Any:
        """The user's table with fills (n_rows_with_gaps, n_modelled) in it, and copied texts."""
        reader = self._reader
        filled = np.full(gaps.shape, np.nan)
        filled[np.ix_(rows, reader.modelled)] = fills[:, : len(reader.modelled)]
        for place, column in enumerate(reader.texts):
            lacking = rows[gaps[rows, column]]
            if len(lacking):
                filled[lacking, column] = self._texts(read.values[lacking], place)
        return self._output(reader.restored(X, read.coded, gaps, filled))

    def _texts(self, values: Floats, place: int) -> Floats:
        """The texts of the nearest rows of the reference, or the first of all if it has none."""
        codes = self._written[:, place]
        if np.isnan(codes).all():
            return np.zeros(len(values))
        return codes[self._model.text_donors(values, codes)]

    def _abstain(self, gaps: Bools, rows: Any, doubtful: Bools) -> None:
        """Leave what is too doubtful missing, and say so."""
        reader = self._reader
        for place, column in enumerate(reader.modelled):
            left = rows[doubtful[:, place] & gaps[rows, column]]
            if len(left):
                gaps[left, column] = False
                warn(
                    f"Column {reader.schema.names[column]!r}: {len(left)} cells stay missing, as "
                    f"fills like theirs are right in less than {self.min_precision:.0%} of cases."
                )
