"""Python libraries that users install themselves: miceforest and hyperimpute."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from greyknn.evaluation.tables import Frame, is_category, named_plainly, to_matrix, with_fills

LEAST_THRESHOLD = 5
"""Of so many different numbers hyperimpute makes categories by itself."""


def imported(module: str) -> Any:
    """An optional module.

    Raises
    ------
    ImportError
        It is not installed, or does not work here.
    """
    try:
        return import_module(module)
    except Exception as error:  # what libraries raise on a newer stack than theirs
        package = module.partition(".")[0]
        how = f"pip install {package}" if isinstance(error, ModuleNotFoundError) else str(error)
        raise ImportError(f"{package} cannot be imported: {how}.") from error


def check_hyperimpute() -> None:
    """Refuse hyperimpute where it does not work.

    Raises
    ------
    ImportError
        It is not installed, or pandas has copies on write: hyperimpute 0.1 writes its fills into
        copies then, and silently returns the means it began with.
    """
    imported("hyperimpute.plugins.imputers")
    if int(pd.__version__.partition(".")[0]) >= 3:
        raise ImportError(
            f"hyperimpute fills nothing but means with pandas {pd.__version__}: pip install "
            "'pandas<3' 'scikit-learn<1.8'."
        )


class MiceForest(BaseEstimator):  # type: ignore[misc]
    """miceforest: chained LightGBM models with mean matching, one imputed data set.

    Parameters
    ----------
    iterations : int, default=5
    random_state : int, RandomState or None
    """

    def __init__(self, iterations: int = 5, random_state: Any = None) -> None:
        self.iterations = iterations
        self.random_state = random_state

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used."""
        library = imported("miceforest")
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self.kernel_ = library.ImputationKernel(
            named_plainly(X).reset_index(drop=True), num_datasets=1, random_state=seed
        )
        self.kernel_.mice(self.iterations, num_threads=1)
        return self._named(X, self.kernel_.complete_data(0))

    def transform(self, X: Frame) -> Frame:
        """Fill new rows by the models that were learnt."""
        new = self.kernel_.impute_new_data(named_plainly(X).reset_index(drop=True))
        return self._named(X, new.complete_data(0))

    @staticmethod
    def _named(X: Frame, filled: Frame) -> Frame:
        return with_fills(X, to_matrix(filled))


class HyperImpute(BaseEstimator):  # type: ignore[misc]
    """hyperimpute: a model chosen for every column. Categories are given to it as codes.

    Parameters
    ----------
    random_state : int, RandomState or None
    """

    def __init__(self, random_state: Any = None) -> None:
        self.random_state = random_state

    def fit_transform(self, X: Frame, y: Any = None) -> Frame:
        """Fill a table; y is not used."""
        imputers = imported("hyperimpute.plugins.imputers").Imputers()
        levels = [len(cells.cat.categories) for _, cells in X.items() if is_category(cells)]
        self.plugin_ = imputers.get(
            "hyperimpute",
            class_threshold=max([LEAST_THRESHOLD, *levels]),
            random_state=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )
        return with_fills(X, np.asarray(self.plugin_.fit_transform(self._coded(X)), dtype=float))

    def transform(self, X: Frame) -> Frame:
        """Fill new rows by the models that were learnt."""
        return with_fills(X, np.asarray(self.plugin_.transform(self._coded(X)), dtype=float))

    @staticmethod
    def _coded(X: Frame) -> Frame:
        return named_plainly(pd.DataFrame(to_matrix(X)))
