"""From a method to the kind of model that it is fitted as."""

from __future__ import annotations

from typing import Any, TypeAlias

from greyknn.model import Model, Settings
from greyknn.targets import TargetModel

AnyModel: TypeAlias = Model | TargetModel


def fitted(settings: Settings, *arguments: Any) -> AnyModel:
    """A model of a training table; arguments as for ``Model.fit``."""
    if settings.method.average == "stacked":
        return TargetModel.fit(settings, *arguments)
    return Model.fit(settings, *arguments)
