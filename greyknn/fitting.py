"""From a method to the kind of model that it is fitted as."""

from __future__ import annotations

from typing import Any

from greyknn.model import Model
from greyknn.targets import TargetModel


def fitted(settings: Any, *arguments: Any) -> Model | TargetModel:
    """A model of a training table; arguments as for ``Model.fit``."""
    kind = TargetModel if settings.method.average == "stacked" else Model
    return kind.fit(settings, *arguments)
