"""Who takes part: ours, the peers known by name, and whatever the user brings along."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import cloudpickle
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from greyknn.evaluation import r
from greyknn.evaluation.outside import HyperImpute, MiceForest, check_hyperimpute, imported
from greyknn.evaluation.peers import Encoded, ForestLoop, GroupedIterativeImputer, MatchedRidge
from greyknn.evaluation.tables import Frame
from greyknn.imputer import GreyKNNImputer
from greyknn.messages import warn
from greyknn.methods import METHODS


@dataclass(frozen=True)
class Filler:
    """One way to fill a table.

    Attributes
    ----------
    imputer : estimator or callable
        With ``fit_transform`` and perhaps ``transform``; or called with a table and its labels,
        or None for these, to return the table filled.
    label : {"y", "column"}
        How labels are given where they may be used: as the argument y, or, to imputers that know
        no y, as one more column of categories.
    indicators : bool
        Whether classifiers see, beside the filled table, which cells were missing.
    compiled : bool
        Whether the first run in a process would be slow, as it loads compiled kernels.
    elsewhere : bool
        Whether the work is done in another process, whose memory is not seen.
    """

    imputer: Any
    label: Literal["y", "column"] = "y"
    indicators: bool = False
    compiled: bool = False
    elsewhere: bool = False

    def seeded(self, seed: int) -> Filler:
        """A fresh copy, every ``random_state`` of None replaced."""
        if not isinstance(self.imputer, BaseEstimator):
            return self
        imputer = clone(self.imputer)
        for name, value in imputer.get_params().items():
            if value is None and name.rpartition("__")[2] == "random_state":
                imputer.set_params(**{name: seed})
        return Filler(imputer, self.label, self.indicators, self.compiled, self.elsewhere)

    def together(self, X: Frame, y: Any) -> Any:
        """Fill a table with the help of its labels, if there are any."""
        if self.label == "column" and y is not None:
            name = "label"
            while name in X.columns:
                name += "_"
            return self._filled(X.assign(**{name: y}), None)[list(X.columns)]
        return self._filled(X, y)

    def apart(self, X: Frame, y: Any, new: Frame) -> tuple[Any, Any]:
        """Fill a table, and new rows without labels by what was learnt from it.

        Only ``fit_transform(X, y)`` sees labels, as in a scikit-learn ``Pipeline``. Imputers
        without ``transform`` get all rows at once, and no labels.
        """
        if hasattr(self.imputer, "transform"):
            filled = self.imputer.fit_transform(X, y if self.label == "y" else None)
            return filled, self.imputer.transform(new)
        stacked = self._filled(pd.concat([X, new]), None)
        if hasattr(stacked, "iloc"):
            return stacked.iloc[: len(X)], stacked.iloc[len(X) :]
        return stacked[: len(X)], stacked[len(X) :]

    def _filled(self, X: Frame, y: Any) -> Any:
        if hasattr(self.imputer, "fit_transform"):
            return self.imputer.fit_transform(X, y)
        return self.imputer(X, y)

    @property
    def settings(self) -> str:
        """What tells this filler from another of the same name, the same in every process."""
        if isinstance(self.imputer, BaseEstimator):
            return repr(self.imputer.get_params()) + type(self.imputer).__qualname__
        return _content(self.imputer)


def _content(function: Any) -> str:
    """What a callable does: its source, and its code with what it closes over and holds."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    try:
        return source + str(cloudpickle.dumps(function).hex())
    except Exception:  # not to be told from others: never the same run
        return uuid4().hex


def _iterative(estimator: Any = None) -> Encoded:
    return Encoded(GroupedIterativeImputer(estimator), StandardScaler())


def _mean() -> Encoded:
    return Encoded(SimpleImputer(keep_empty_features=True))


def _from_r(package: str) -> Filler:
    if not r.installed(package):
        raise ImportError(
            f"R's {package} was not found: install R, and in it install.packages('{package}')."
        )
    return Filler(r.RImputer(package), "column", elsewhere=True)


def _miceforest() -> Filler:
    imported("miceforest")
    return Filler(MiceForest(), "column")


def _hyperimpute() -> Filler:
    check_hyperimpute()
    return Filler(HyperImpute(), "column")


def _deep() -> Filler:
    from greyknn.deep import DeepImputer  # which needs torch

    return Filler(DeepImputer(), compiled=True)


PEERS: dict[str, Callable[[], Filler]] = {
    "deep": _deep,
    "mean": lambda: Filler(_mean(), "column"),
    "mean+indicator": lambda: Filler(_mean(), "column", indicators=True),
    "knn": lambda: Filler(Encoded(KNNImputer(keep_empty_features=True), MinMaxScaler()), "column"),
    "ridge": lambda: Filler(_iterative(), "column"),
    "mice": lambda: Filler(_iterative(MatchedRidge()), "column"),
    "forest": lambda: Filler(ForestLoop(), "column"),
    "miceforest": _miceforest,
    "hyperimpute": _hyperimpute,
    "r-mice": partial(_from_r, "mice"),
    "r-missforest": partial(_from_r, "missForest"),
    "r-missranger": partial(_from_r, "missRanger"),
    "r-vim": partial(_from_r, "VIM"),
}
"""Our deep imputer and imputers of others, by name; without its library one raises ImportError."""


def ours(name: str) -> Filler:
    """One of greyknn's methods, with default settings."""
    return Filler(GreyKNNImputer(name), compiled=True)


def known(name: str) -> Filler:
    """A filler by its name.

    Raises
    ------
    ValueError
        There is none of that name.
    ImportError
        Its library is not installed; the message says how to get it.
    """
    if name in METHODS:
        return ours(name)
    if name not in PEERS:
        raise ValueError(f"There is no method {name!r}, but {', '.join([*METHODS, *PEERS])}.")
    return PEERS[name]()


def brought(name: str, imputer: Any) -> Filler:
    """A filler of the user's own.

    Raises
    ------
    TypeError
        It is neither a name, nor has ``fit_transform``, nor can be called.
    """
    if isinstance(imputer, Filler):
        return imputer
    if isinstance(imputer, str):
        return known(imputer)
    if type(imputer).__module__.startswith(("sklearn.impute", "greyknn.knn_imputer")):
        return Filler(Encoded(imputer, MinMaxScaler()), "column")  # they take numbers only
    if isinstance(imputer, Encoded | ForestLoop):
        return Filler(imputer, "column")
    if type(imputer).__module__.startswith(("greyknn.imputer", "greyknn.deep")):
        return Filler(imputer, compiled=True)
    if not (hasattr(imputer, "fit_transform") or callable(imputer)):
        raise TypeError(
            f"methods[{name!r}] is a {type(imputer).__name__}: pass a transformer with "
            "fit_transform, or a function that takes (X, y) and returns X filled."
        )
    return Filler(imputer)


def chosen(methods: Any) -> dict[str, Filler]:
    """The fillers that `compare` was asked for, by name.

    Parameters
    ----------
    methods : "all", name, list of names, or dict of name -> name, imputer or callable

    Raises
    ------
    ValueError, TypeError, ImportError
        As for `known` and `brought`.
    """
    if isinstance(methods, str) and methods == "all":
        return _all()
    if isinstance(methods, str):
        methods = [methods]
    if isinstance(methods, Mapping):
        found = {str(name): brought(name, imputer) for name, imputer in methods.items()}
    elif isinstance(methods, Iterable):
        found = {name: known(name) for name in methods}
    else:
        raise TypeError(f"methods is {methods!r}; pass names, or a dict of name -> imputer.")
    if not found:
        raise ValueError("methods is empty: name at least one.")
    return found


def _all() -> dict[str, Filler]:
    found, missing = {name: ours(name) for name in METHODS}, []
    for name, make in PEERS.items():
        try:
            found[name] = make()
        except ImportError:
            missing.append(name)
    if missing:
        warn(f"Left out, as not installed or not working: {', '.join(missing)}.")
    return found
