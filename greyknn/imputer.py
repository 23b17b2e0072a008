"""The estimator: fit, transform, and what a fitted imputer can tell."""

from __future__ import annotations

from copy import deepcopy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from greyknn import device as devices
from greyknn.advice import advice
from greyknn.arrays import Floats
from greyknn.attributes import attributes
from greyknn.crossfit import CrossFit
from greyknn.estimator import MixedTableImputer
from greyknn.explanation import Donor, explained
from greyknn.filling import Stopping
from greyknn.fitting import fitted
from greyknn.labels import training_labels
from greyknn.messages import warn
from greyknn.methods import METHODS, Method
from greyknn.model import Settings
from greyknn.progress import reporting
from greyknn.selection import stratified_folds
from greyknn.table import Coded, Schema, open_table


class GreyKNNImputer(MixedTableImputer):
    """Fill the gaps of a mixed table from near rows, near by grey relational grade.

    Numbers, categories, booleans and gaps are compared as they are: nothing is encoded or scaled
    by the user. Observed cells come back bit-identical, in the type the table came in.

    Parameters
    ----------
    method : {"cgknn", "fwgknn", "gknn", "miknn", "iknn", "tgknn"} or Method, default="cgknn"
        - "cgknn": grey relational grade, columns weighted by their mutual information with the
          class, neighbours from the same class (Choudhury & Kosorok, equations 35 and 36);
        - "fwgknn": the same with weights by mutual information with the column that is filled;
        - "gknn": equal weights and plain averages, neighbours from the same class;
        - "miknn": HEOM distance weighted by mutual information with the class, all rows;
        - "iknn": HEOM distance, all rows;
        - "tgknn": for the least error, and no need of a class: each column that is filled has
          weights, and a model, of its own. The nearest donors, ridge regressions whose kernel is
          the grey relational grade of ranks, and a line each propose a fill, and count as much as
          makes the error of observed cells least, each left out in turn. Only observed values are
          donated. Takes some seconds where the others take some hundredths; with labels, the
        first ``transform`` takes as long again, to learn without them. Numbers stay within those
        observed. ``donors``, ``tol`` and ``max_iter`` mean nothing to it.
    n_neighbors : int, "cv" or "masked", default="cv"
        "cv": the number from 1 to 20 that predicts the class best in stratified 10-fold
        cross-validation; without labels of at least two classes the same as "masked".
        "masked": the number that restores hidden observed cells best. At most 2,000 rows or
        cells are scored. Rows of groups with fewer donors use as many as there are. "tgknn"
        chooses for each column, by the error of observed cells left out; a number is what its
        nearest rows are.
    label_use : {"fit", "cross-fit", "never"}, default="fit"
        - "fit": a training row's own label chooses its donors, as the method says;
        - "cross-fit": not its own, so that training rows look as new rows do: each of ten folds,
          stratified by class, goes without labels through what ``transform`` would be after a
          fit of the other nine. About eleven times the time; without y the same as "fit";
        - "never": no label at all, as if y were None.
    metric_on : {"observed", "imputed"}, default="observed"
        Whether distances use observed cells only, or in each iteration the filled table of the
        one before (the paper's literal reading, in which a cell enters its own distance).
    donors : {"all", "observed"}, default="all"
        Whether rows that lack a column may donate the value filled there so far.
    rho : float or None, default=None
        Distinguishing coefficient of the grey relational coefficient (equation 32); by default
        0.5, and 0.2 for "tgknn".
    tol : float, default=1e-3
        Iterating stops when the root mean square change of the missing cells, on the [0, 1]
        scale, is at most this (equations 15 and 37).
    max_iter : int, default=20
        The most iterations; reaching it gives a ``ConvergenceWarning``.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns that hold categories: by their types, or as names, positions or a mask.
    keep_empty_features : bool, default=False
        Whether a column without any observed value is kept, empty, with a warning; otherwise
        it is an error.
    device : {"auto", "cpu", "cuda", "cuda:1", ...}, default="auto"
        An NVIDIA GPU, the processor, or what is likely to be faster for this table; results are
        the same.
    random_state : int, RandomState or None, default=0
        For the folds that choose the number of neighbours and those of "cross-fit".
    verbose : int, default=0
        If positive, work that takes longer than a second shows its progress on stderr.

    Attributes
    ----------
    n_neighbors_ : int
        For "tgknn" an array of shape (n_features,), 0 for columns without gaps.
    feature_weights_ : array of shape (n_features,) or (n_features, n_features)
        lambda of equation 30; for "fwgknn" and "tgknn" a row for each target column. What a row
        of "tgknn" lacks to 1 is the weight of the label.
    targets_ : dict of column -> TargetReport, or None
        For "tgknn": what was chosen for each column with gaps, and the error to expect.
    selection_errors_ : array or None
        With a chosen ``n_neighbors_``: the error with 1, 2, ... neighbours.
    n_iter_ : int
    convergence_ : array of shape (n_iter_,)
        delta of equation 37 in each iteration.
    converged_ : bool
        Whether the last delta reached ``tol``, and with "cross-fit" every fold settled too; all
        else here is of the model that ``transform`` uses, fitted on all rows.
    folds_ : array of shape (n_rows,) or None
        With "cross-fit" and labels: the fold in which each training row was filled.
    classes_ : array
        Labels seen in fit; empty without labels.
    n_features_in_ : int
    feature_names_in_ : array of shape (n_features,)
        Only if the table has column names.

    Notes
    -----
    ``fit_transform(X, y)`` is not ``fit(X, y).transform(X)``: rows of the training table may take
    their neighbours from their own class, while ``transform`` sees no labels, and fills each row
    by itself from all training rows. A classifier must therefore be scored on rows that went
    through ``transform``, as a ``Pipeline`` inside ``cross_val_score`` does, whatever
    ``label_use`` is. With "cross-fit" the two still differ: in ``transform`` a row of the training
    table finds itself among the donors, with the fill that its label chose.

    Examples
    --------
    >>> import numpy as np
    >>> from greyknn import GreyKNNImputer
    >>> X = np.array([[1.0, 2.0], [1.1, np.nan], [5.0, 9.0], [5.1, 9.2], [0.9, 2.2]])
    >>> GreyKNNImputer(n_neighbors=2).fit_transform(X, ["a", "a", "b", "b", "a"])[1].round(2)
    array([1.1 , 2.07])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "method": [StrOptions(set(METHODS)), Method],
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), StrOptions({"cv", "masked"})],
        "label_use": [StrOptions({"fit", "cross-fit", "never"})],
        "metric_on": [StrOptions({"observed", "imputed"})],
        "donors": [StrOptions({"all", "observed"})],
        "rho": [Interval(Real, 0, None, closed="neither"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "keep_empty_features": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        method: str | Method = "cgknn",
        *,
        n_neighbors: int | str = "cv",
        label_use: str = "fit",
        metric_on: str = "observed",
        donors: str = "all",
        rho: float | None = None,
        tol: float = 1e-3,
        max_iter: int = 20,
        categorical_features: Any = "from_dtype",
        keep_empty_features: bool = False,
        device: str = "auto",
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.method = method
        self.n_neighbors = n_neighbors
        self.label_use = label_use
        self.metric_on = metric_on
        self.donors = donors
        self.rho = rho
        self.tol = tol
        self.max_iter = max_iter
        self.categorical_features = categorical_features
        self.keep_empty_features = keep_empty_features
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fill the training table and keep it to fill new rows from.

        Parameters
        ----------
        X : table of shape (n_rows, n_features)
            numpy array, pandas, polars or pyarrow table, or what ``numpy.asarray`` takes.
        y : array-like of shape (n_rows,), optional
            Class labels; None or NaN for rows without one. Without y all rows are one class, and
            so they are if y is a number to predict: fractions of which most appear only once.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the table, the labels or a parameter cannot be used; the message says what to do.
        """
        self._fit(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fill the training table, with the knowledge of labels that ``label_use`` allows.

        Parameters
        ----------
        X, y : as in ``fit``

        Returns
        -------
        table
            As X, without gaps.
        """
        coded = self._fit(X, y)
        filled = self._model.filled.values if self._crossed is None else self._crossed.filled
        return self._restored(X, coded, filled)

    def transform(self, X: Any) -> Any:
        """Fill new rows, each by itself from all training rows; no labels are needed.

        Parameters
        ----------
        X : table of shape (n_rows, n_features)
            Columns as in ``fit``.

        Returns
        -------
        table
            As X, without gaps. A frame comes back as an array if fit saw an array.
        """
        check_is_fitted(self)
        open_table(X)  # what is no table at all is refused before its columns are compared
        validate_data(self, X, reset=False, skip_check_array=True)
        coded = self._schema.encode(X)
        with reporting(self.verbose) as progress:
            filled, n_unsettled, _ = self._model.fill_new(coded.values[:, self._kept], progress)
        if n_unsettled:
            warn(
                f"{n_unsettled} of {len(filled)} rows did not settle within "
                f"max_iter={self.max_iter} iterations; raise max_iter or tol.",
                ConvergenceWarning,
            )
        return self._restored(X, coded, filled)

    def explain(self, row: int, column: Any, X: Any = None) -> list[Donor]:
        """The donors behind one filled cell, nearest first; of "tgknn" those that count most.

        Parameters
        ----------
        row : int
            Position in the table, from 0; not a label of its index.
        column : str or int
            Name or position of a column.
        X : table, optional
            New rows, as given to ``transform``; by default the table given to ``fit``.

        Returns
        -------
        list of Donor
            Empty if no observed cell says who is near, the row's class has no other row, or no
            other fold has the column; the cell then holds its starting fill, the mean or mode of
            the class or the table. A "tgknn" fill is the sum of all donors' values, each times its
            weight, some of which are negative, or the category whose weights sum to most; a sum
            outside the observed range becomes its end.

        Raises
        ------
        KeyError
            If there is no such row or column, or the cell was not filled.
        """
        check_is_fitted(self)
        new = None if X is None else self._schema.encode(X)
        return explained(self._model, self._schema, self._kept, row, column, new, self._crossed)

    def _fit(self, X: Any, y: Any) -> Coded:
        """Learn everything first, and only then forget what an earlier fit knew."""
        method = METHODS[self.method] if isinstance(self.method, str) else self.method
        devices.kernels(self.device)  # refuse a device that cannot work before any work is done
        schema, coded = Schema.fit(
            X,
            categorical_features=self.categorical_features,
            keep_empty_features=self.keep_empty_features,
        )
        labels, classes = training_labels(y, len(coded.values), method, self.label_use)
        strata = labels
        if self.label_use == "cross-fit" and method.average == "stacked":
            labels = np.zeros_like(labels)  # rows without their label come from models without any
        rho = method.rho if self.rho is None else self.rho
        settings = Settings(
            method, self.n_neighbors, self.metric_on, self.donors, rho,
            Stopping(self.tol, self.max_iter), self.device,
        )  # fmt: skip
        kept = np.array([i for i, c in enumerate(schema.columns) if not c.empty], dtype=int)
        if len(kept) == 0:
            raise ValueError("No column has an observed value; there is nothing to fill from.")
        random_state = check_random_state(self.random_state)
        begun = deepcopy(random_state)
        crossed = None
        with reporting(self.verbose) as progress:
            model = fitted(
                settings, coded.values[:, kept], schema.categorical[kept], labels,
                random_state, progress,
            )  # fmt: skip
            if self.label_use == "cross-fit" and classes:
                folds = stratified_folds(strata, random_state)
                crossed = CrossFit.fit(model, labels, folds, begun, progress)
        validate_data(self, X, skip_check_array=True)
        self._schema, self._kept, self._model, self._crossed = schema, kept, model, crossed
        self.__dict__.update(attributes(schema, kept, model, classes, crossed))
        for message, category in advice(schema, kept, model, labels, classes, crossed):
            warn(message, category)
        return coded

    def _restored(self, X: Any, coded: Coded, kept: Floats) -> Any:
        filled = np.full(coded.values.shape, np.nan)
        filled[:, self._kept] = kept
        return self._output(self._schema.restore(X, coded, filled))
