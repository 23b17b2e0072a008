"""Fill the gaps of mixed tables from near rows, near by grey relational grade.

Names are imported when they are first used, so that ``import greyknn`` and the shell command
start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greyknn.amputation import ampute, ampute_logistic
    from greyknn.api import impute
    from greyknn.deep import DeepImputer
    from greyknn.evaluation import compare
    from greyknn.explanation import Donor
    from greyknn.grades import grey_relational_coefficients, grey_relational_grades
    from greyknn.imputer import GreyKNNImputer
    from greyknn.knn_imputer import KNNImputer
    from greyknn.methods import METHODS, Method
    from greyknn.targets import TargetReport

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "DeepImputer",
    "Donor",
    "GreyKNNImputer",
    "KNNImputer",
    "Method",
    "TargetReport",
    "ampute",
    "ampute_logistic",
    "compare",
    "grey_relational_coefficients",
    "grey_relational_grades",
    "impute",
]

_HOMES = {
    "ampute": "amputation",
    "ampute_logistic": "amputation",
    "compare": "evaluation",
    "impute": "api",
    "grey_relational_coefficients": "grades",
    "grey_relational_grades": "grades",
    "DeepImputer": "deep",
    "Donor": "explanation",
    "GreyKNNImputer": "imputer",
    "KNNImputer": "knn_imputer",
    "METHODS": "methods",
    "Method": "methods",
    "TargetReport": "targets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
