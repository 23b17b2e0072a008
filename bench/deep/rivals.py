"""Who fills the tables: DeepImputer, greyknn's own fills, and the best that others have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.impute import KNNImputer
from sklearn.preprocessing import StandardScaler

from bench.deep.cost import Apart, Halves, Kept
from bench.deep.pots import PyPots
from bench.deep.sequences import Interpolated, Lagged
from bench.deep.tasks import Task
from bench.deep.text import NGrams
from greyknn.evaluation.fillers import Filler, known
from greyknn.evaluation.peers import Encoded, ForestLoop, GroupedIterativeImputer

MANY_COLUMNS = 25
"""Of so many columns, forests are smaller, or they would take all night."""

POTS_SECONDS = {"panel": 30.0, "co2": 15.0, "grunfeld": 10.0}
"""CPU seconds that models of PyPOTS are trained for: about what DeepImputer takes."""


@dataclass(frozen=True)
class Rival:
    """A filler, and whether it is given a task's context, or only the columns with gaps."""

    filler: Filler
    context: bool = False

    @property
    def settings(self) -> str:
        """What tells it from another of the same name."""
        return self.filler.settings


class ExtraTreesLoop(ForestLoop):
    """The loop of missForest with extremely randomized trees on all columns."""

    def _forest(self, classify: bool, rng: Any) -> Any:
        kind = ExtraTreesClassifier if classify else ExtraTreesRegressor
        return kind(self.n_estimators, max_features=1.0, random_state=rng.randint(2**31 - 1))


def trees_and_rounds(task: Task) -> tuple[int, int]:
    """The size of forests."""
    return (30, 3) if task.data.frame.shape[1] > MANY_COLUMNS else (50, 5)


def knn(_task: Task) -> Rival:
    imputer = KNNImputer(n_neighbors=5, weights="distance", keep_empty_features=True)
    return Rival(Filler(Encoded(imputer, StandardScaler()), "column"))


def trees(task: Task) -> Rival:
    """IterativeImputer(ExtraTrees); with categories the loop of missForest, which classifies.

    Regressions on columns of 0 and 1 would take a forest per level.
    """
    n_trees, rounds = trees_and_rounds(task)
    if task.data.categorical.any():
        return Rival(Filler(ExtraTreesLoop(n_trees, rounds), "column"))
    forest = ExtraTreesRegressor(n_trees, random_state=0)
    imputer = GroupedIterativeImputer(forest, max_iter=rounds)
    return Rival(Filler(Encoded(imputer, StandardScaler()), "column"))


def forest(task: Task) -> Rival:
    return Rival(Filler(ForestLoop(*trees_and_rounds(task)), "column"))


def datawig(task: Task) -> Rival:
    from bench.deep.datawig import ColumnNets

    text = () if task.part != "text" else tuple(task.context)
    return Rival(Filler(ColumnNets(text), "column"), context=bool(text))


def deep(task: Task, **options: Any) -> Rival:
    """DeepImputer with its defaults; it is told which columns are texts, series and times."""
    from greyknn.deep import DeepImputer

    imputer = DeepImputer(random_state=None, **options, **_roles(task))
    return Rival(Filler(imputer, compiled=True), context=True)


def deep_in(wrapper: type[Apart], _task: Task) -> Rival:
    """DeepImputer with its defaults, used in another way than by ``fit_transform``."""
    from greyknn.deep import DeepImputer

    return Rival(Filler(wrapper(DeepImputer(random_state=None)), compiled=True))


def _roles(task: Task) -> dict[str, Any]:
    if task.part == "text":
        return {"types": dict.fromkeys(task.context, "text")}
    if task.part == "sequences":
        *groups, when = task.context
        return {"groups": groups[0] if groups else None, "time": when}
    return {}


def ngrams(task: Task) -> Rival:
    return Rival(Filler(NGrams(tuple(task.context))), context=True)


def linear(task: Task) -> Rival:
    return Rival(Filler(Interpolated(tuple(task.context))), context=True)


def lags(task: Task) -> Rival:
    return Rival(Filler(Lagged(tuple(task.context))), context=True)


def pots(model: str, task: Task) -> Rival:
    seconds = POTS_SECONDS[task.data.name]
    return Rival(Filler(PyPots(model, tuple(task.context), seconds), elsewhere=True), context=True)


RIVALS: dict[str, Callable[[Task], Rival]] = {
    "knn": knn,
    "trees": trees,
    "forest": forest,
    "datawig": datawig,
    "ngrams": ngrams,
    "linear": linear,
    "lags": lags,
    "saits": partial(pots, "SAITS"),
    "brits": partial(pots, "BRITS"),
    "deep": deep,
    "deep-trees": partial(deep, trees=True),
    "deep-apart": partial(deep_in, Apart),
    "deep-halves": partial(deep_in, Halves),
    "deep-kept": partial(deep_in, Kept),
}


def rival(name: str, task: Task) -> Rival:
    """A method by its name: of this comparison, or any that `greyknn.compare` knows.

    Raises
    ------
    ValueError, ImportError
        As for `greyknn.evaluation.fillers.known`.
    """
    return RIVALS[name](task) if name in RIVALS else Rival(known(name))
