"""A fitted deep imputer <-> a file without code in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from greyknn.deep.devices import resolve
from greyknn.deep.forest import Forest, Trees
from greyknn.deep.gaussian import Gaussian
from greyknn.deep.grey import Grey, Kernel
from greyknn.deep.heldout import Skill, Verdict
from greyknn.deep.layout import Layout
from greyknn.deep.material import Settings
from greyknn.deep.model import DeepModel
from greyknn.deep.network import Network, Shape
from greyknn.deep.priors import Normal
from greyknn.deep.reader import Label, Reader
from greyknn.deep.storage import read, write
from greyknn.deep.texts import Text, Vocabulary
from greyknn.deep.training import History
from greyknn.table import Clock, Column, Schema
from greyknn.targets.target import Resembling

KIND, VERSION = "DeepImputer", 1

CLASSES = (
    Clock, Column, DeepModel, Forest, Gaussian, History, Kernel, Label, Layout, Normal, Reader,
    Resembling, Schema, Settings, Shape, Skill, Text, Trees, Verdict, Vocabulary,
)  # fmt: skip

REBUILT = "grey"
"""What stands for the donors, which are made of the reference again."""


def save(path: Any, params: dict[str, Any], fitted: dict[str, Any], model: DeepModel) -> None:
    """Write parameters, fitted attributes and a model; errors as of ``storage.write``."""
    priors: list[Any] = []
    for prior in model.priors:
        if isinstance(prior, Grey):
            priors.append(REBUILT)
        else:
            bare: Any = {"grey": None}
            priors.append(replace(prior, **bare) if isinstance(prior, Kernel) else prior)
    weights = {name: value.cpu() for name, value in model.network.state_dict().items()}
    rest: Any = {"priors": priors, "network": None}
    state = {
        "params": params, "fitted": fitted, "model": replace(model, **rest),
        "shape": model.network.shape, "weights": weights,
    }  # fmt: skip
    write(path, state, kind=KIND, version=VERSION, classes=CLASSES)


def load(path: Any, device: str = "auto") -> tuple[dict[str, Any], dict[str, Any], DeepModel]:
    """Read what `save` wrote: parameters, fitted attributes, the model.

    Raises
    ------
    ValueError
        The file is damaged, something else, or of a newer greyknn.
    OSError
        It cannot be opened.
    """
    state = read(path, kind=KIND, version=VERSION, classes=CLASSES)
    try:
        model = _rebuilt(state, resolve(device))
        return state["params"], state["fitted"], model
    except (KeyError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        raise ValueError(
            f"{path} does not hold a whole DeepImputer ({type(error).__name__}: {error}): save it "
            "again."
        ) from error


def _rebuilt(state: dict[str, Any], device: str) -> DeepModel:
    bare: DeepModel = state["model"]
    layout = bare.layout
    network = Network(layout, state["shape"], torch.Generator())
    network.load_state_dict(state["weights"])
    grey: Any = None
    saved: list[Any] = bare.priors
    priors: list[Any] = []
    for prior in saved:
        if grey is None and (prior == REBUILT or isinstance(prior, Kernel)):
            grey = Grey.fit(layout, bare.reference, layout.rows(bare.reference))
        if prior == REBUILT:
            priors.append(grey)
        else:
            priors.append(replace(prior, grey=grey) if isinstance(prior, Kernel) else prior)
    settings = replace(bare.settings, device=device)
    return replace(bare, settings=settings, priors=priors, network=network.to(device))
