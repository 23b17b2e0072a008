"""Learning from further rows without forgetting the earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from greyknn.arrays import Floats, Ints
from greyknn.deep.grams import joined
from greyknn.deep.growing import grown
from greyknn.deep.material import TOGETHER, Material
from greyknn.deep.model import DeepModel, learn
from greyknn.deep.training import Schedule

SLOWER = 5.0
"""The rate is the largest of fit divided by this, and stays there."""


@torch.inference_mode(False)
@torch.enable_grad()
def updated(
    model: DeepModel, values: Floats, texts: Ints, weight: Floats, levels: Ints, *, steps: int,
    count: Callable[..., torch.Tensor] | None = None,
    report: Callable[[int, int, float], None] = lambda *_: None,
) -> DeepModel:  # fmt: skip
    """A model that has learnt from further rows, too.

    Half of what a step learns from are earlier rows, of which the model keeps up to some thousands;
    new rows take their places at random, so that these remain a fair sample of all (Vitter 1985).

    Parameters
    ----------
    model : DeepModel
        Of a table without series; it stays as it is.
    values : array of shape (n_rows, n_columns)
        New rows, at most ``TOGETHER`` // 2.
    texts : array of shape (n_rows, n_texts, n_grams)
    weight : array of shape (n_rows,)
    levels : array of shape (n_columns,)
        How many codes a category has now.
    steps : int
    count, report : as in ``DeepModel.fit``
    """
    settings = replace(model.settings, seed=(model.settings.seed + model.n_seen) % 2**31)
    layout = model.layout.extended(values, levels)
    rng = np.random.default_rng([settings.seed, 11])
    generator = torch.Generator().manual_seed(settings.seed)
    kept = np.sort(rng.permutation(len(model.reference))[: TOGETHER - len(values)])
    ids = np.concatenate([model.reference_rows[kept], model.n_seen + np.arange(len(values))])
    # Folds are told by the seed, too: a cell stays in its own.
    material = Material(
        replace(settings, seed=model.settings.seed), layout,
        np.concatenate([model.reference[kept], values]),
        joined(model.reference_texts[kept], texts),
        np.concatenate([np.ones(len(kept)), weight]), ids,
    )  # fmt: skip
    material.block = replace(material.block, drawn=_evenly(len(kept), len(values)))
    network = grown(model.network, model.layout, layout, generator)
    schedule = Schedule(
        steps, settings.batch_size, settings.lr / SLOWER, settings.weight_decay, steps,
        constant=True, amp=settings.amp, compile=settings.compile,
    )  # fmt: skip
    counted = None if count is None else count(layout)
    history, verdict, forest = learn(network, material, schedule, counted, report)
    n_seen = model.n_seen + len(values)
    stay = _reservoir(len(model.reference), len(values), model.n_seen, rng)
    numbers = np.concatenate([model.reference_rows, model.n_seen + np.arange(len(values))])
    material.reference_rows = numbers[stay]
    material.reference = np.concatenate([model.reference, values])[stay]
    material.reference_texts = joined(model.reference_texts, texts)[stay]
    return replace(
        model, layout=layout, reference=material.reference,
        reference_texts=material.reference_texts, reference_rows=material.reference_rows,
        priors=material.fitted(), network=network, verdict=verdict, history=history,
        n_seen=n_seen, text=material.text, forest=forest,
    )  # fmt: skip


def _evenly(n_old: int, n_new: int) -> torch.Tensor:
    """Rows, the new ones behind the old, so often that both parts count about the same."""
    times = (max(round(a / max(b, 1)), 1) for a, b in ((n_new, n_old), (n_old, n_new)))
    parts = (torch.arange(n_old), n_old + torch.arange(n_new))
    return torch.cat([part.repeat(n) for part, n in zip(parts, times, strict=True)])


def _reservoir(n_kept: int, n_new: int, n_before: int, rng: np.random.Generator) -> Ints:
    """Which of the kept and the new rows stay, so that each row ever seen has the same chance."""
    # A sample of the rows before does not grow, or the new ones would be too many in it.
    size = min(n_kept + n_new, TOGETHER) if n_kept == n_before else n_kept
    n_stay = int(rng.hypergeometric(n_new, n_before, size))
    old = rng.permutation(n_kept)[: size - n_stay]
    new = n_kept + rng.permutation(n_new)[:n_stay]
    return np.sort(np.concatenate([old, new]))
