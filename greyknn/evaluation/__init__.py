"""Imputers side by side on a table of the user's: `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any

try:
    import pandas  # noqa: F401 (needed by all that follows, and told here how to get it)
except ImportError as error:
    raise ImportError('compare needs pandas: pip install "greyknn[compare]".') from error
from joblib import Parallel, delayed

from greyknn.evaluation.fillers import PEERS, Filler, chosen
from greyknn.evaluation.peers import Encoded
from greyknn.evaluation.results import Ranking, Results
from greyknn.evaluation.runs import Run, perform, removed_cells
from greyknn.evaluation.scores import CLASSIFIERS
from greyknn.evaluation.store import Store, key_of
from greyknn.evaluation.tables import Data
from greyknn.messages import warn
from greyknn.progress import reporting

__all__ = ["CLASSIFIERS", "PEERS", "Encoded", "Filler", "Ranking", "Results", "compare"]


def compare(
    X: Any,
    y: Any = None,
    *,
    methods: Any = ("tgknn", "cgknn", "knn", "ridge", "mean"),
    mechanisms: str | Sequence[str] = "mcar",
    rates: float | Sequence[float] = (0.1, 0.3),
    repeats: int = 5,
    test_size: float = 0.3,
    classifiers: Mapping[str, Any] | None = None,
    categorical_features: Any = "from_dtype",
    name: str = "table",
    path: str | Path | None = None,
    n_jobs: int | None = 1,
    random_state: int = 0,
    verbose: int = 1,
) -> Results:
    """Remove cells of a table, let methods fill them, and score what they filled.

    Every method gets the same cells to fill. Errors are those of a part of the rows whose labels
    all methods are given; accuracies are those of classifiers trained on that part, filled, and
    asked about the other part, filled without labels.

    Parameters
    ----------
    X : table of shape (n_rows, n_columns)
        As for `greyknn.impute`. Its own gaps stay gaps and are not scored; its numbers are filled
        with numbers, also where they are whole.
    y : array-like of shape (n_rows,), optional
        Class labels; None or NaN for rows without one. Without y there are no accuracies.
    methods : "all", list of names, or dict of name -> name, imputer or callable
        Names are the keys of `greyknn.METHODS`, and "mean" (or mode), "mean+indicator" (its
        classifiers also see what was missing), "knn" (scikit-learn's KNNImputer), "ridge" (its
        IterativeImputer with BayesianRidge), "mice" (the same with draws and predictive mean
        matching), "forest" (missForest), and, if they are installed, "deep" (our `DeepImputer`),
        "miceforest", "hyperimpute", "r-mice", "r-missforest", "r-missranger" and "r-vim".
        "all" leaves out what is not.
        A transformer is fitted with y as in a ``Pipeline``; scikit-learn's imputers, which take
        numbers only, are given scaled numbers, columns of 0 and 1 for categories, and the label
        like that where it may be used. A callable takes (X, y), a pandas frame and labels or None,
        and returns the frame filled.
    mechanisms : str or list of str
        How cells come to be missing, as `greyknn.ampute` calls it.
    rates : float or list of float
        Share of cells that are removed.
    repeats : int
        With other cells and another split each time.
    test_size : float
        Share of rows that methods and classifiers learn nothing from. Nothing is kept apart where
        nothing is classified.
    classifiers : dict of name -> classifier, optional
        By default naive Bayes ("nb"), 5 nearest neighbours ("knn") and a random forest ("forest"),
        all on columns of range 1. ``{}`` leaves accuracies, most of the work, out.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        As for `greyknn.impute`.
    name : str
        Of the table, in the results.
    path : str or Path, optional
        Result file: every run is appended as a JSON line, and what is found there is not run
        again, unless it failed. Several tables may share a file.
    n_jobs : int, optional
        Processes, as in joblib; -1 for one per core. Times are those of a shared machine then.
    random_state : int
    verbose : int
        If positive, work that takes longer than a second shows its progress on stderr.

    Returns
    -------
    Results
        A pandas frame, one row per run, with ``summary()``, ``ranking()``, ``ratios()`` and
        ``picture()``. Beside what was run, its columns are ``numeric_rmse`` and
        ``categorical_error``; ``rmse``, both together by equation 38; ``energy_distance`` of the
        filled from the true rows; ``seconds`` and ``peak_mib`` (growth of the process's memory) of
        the fill; ``accuracy_...`` (equation 39); ``leaky_...``, what cross-validation says of a
        table that was filled with all its labels, to be seen and not believed; and ``failure``.

    Raises
    ------
    ValueError, TypeError, ImportError
        If the table, the labels or a parameter cannot be used. A method that fails in a run is no
        error: its row says why, and so does a warning.

    Examples
    --------
    >>> import greyknn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> results = greyknn.compare(
    ...     X, y, methods=["mean", "cgknn"], rates=0.2, repeats=2, classifiers={}
    ... )
    >>> results.summary().index[0]
    'cgknn'
    """
    data = Data.of(X, y, categorical_features, name)
    fillers = chosen(methods)
    asked = dict(CLASSIFIERS if classifiers is None else classifiers) if y is not None else {}
    if asked and not 0 < test_size < 1:
        raise ValueError(f"test_size is {test_size}; pass a share of the rows between 0 and 1.")
    if not isinstance(random_state, int):
        raise TypeError(f"random_state is {random_state!r}; pass an integer.")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; pass at least 1.")
    mechanisms = [mechanisms] if isinstance(mechanisms, str) else list(mechanisms)
    rates = [float(rate) for rate in ([rates] if isinstance(rates, float | int) else rates)]
    if not mechanisms or not rates:
        raise ValueError(f"mechanisms={mechanisms!r} and rates={rates!r}: name at least one each.")
    runs = [
        Run(
            name, data.digest, method, _digest(fillers[method].settings), mechanism, rate, repeat,
            test_size if asked else 0.0, ",".join(asked), random_state,
        )
        for mechanism, rate, repeat, method in product(mechanisms, rates, range(repeats), fillers)
    ]  # fmt: skip
    for run in runs:
        if run.repeat == 0 and run.method == runs[0].method:
            removed_cells(run, data, 0)  # what cannot be is told before any work
    store = Store(None if path is None else Path(path))
    done = store.done()
    rows = {run: done[key] for run in runs if (key := key_of(vars(run))) in done}
    waiting = [run for run in runs if run not in rows]
    work = (delayed(_numbered)(run, data, fillers[run.method], asked) for run in waiting)
    failures: dict[str, list[str]] = {}
    with reporting(verbose) as progress:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        for run, row in parallel(work):
            rows[run] = row
            store.append(row)
            progress("runs", len(rows), len(runs))
            if row["failure"] is not None:
                failures.setdefault(run.method, []).append(row["failure"])
    for method, said in failures.items():
        warn(f"{method} failed in {len(said)} of {len(runs) // len(fillers)} runs: {said[0]}")
    return Results([rows[run] for run in runs])


def _numbered(run: Run, data: Data, filler: Filler, classifiers: Any) -> tuple[Run, Any]:
    """A run with its row: joblib hands them over in the order in which they end."""
    return run, perform(run, data, filler, classifiers)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()
