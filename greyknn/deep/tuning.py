"""A search for settings by the error on held-out cells: at random, the better third goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

Config = dict[str, Any]
Evaluate = Callable[[Config, int], float]
"""From parameters of ``DeepImputer`` and a number of steps to an error."""

DROPPED = 3
"""In each round one of so many goes on, with so many times the steps."""

ROUNDS = 3

CHOICES: dict[str, tuple[Any, ...]] = {
    "hidden": (32, 64, 128, 256),
    "depth": (0, 1, 2, 3),
    "dropout": (0.0, 0.1, 0.2, 0.35),
    "embedding": ("plr", "none"),
    "batch_size": (64, 128, 256),
}
RANGES = {"lr": (1e-3, 1.5e-2), "weight_decay": (3e-3, 1.0)}
"""Drawn evenly on a logarithmic scale."""


def configurations(defaults: Config, rng: np.random.Generator) -> Iterator[Config]:
    """Settings to try: first those given, second a linear model, then at random."""
    yield {name: defaults[name] for name in (*CHOICES, *RANGES)}
    yield {name: defaults[name] for name in (*CHOICES, *RANGES)} | {"depth": 0}
    while True:
        config: Config = {
            name: some[int(rng.integers(len(some)))] for name, some in CHOICES.items()
        }
        for name, (low, high) in RANGES.items():
            config[name] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        yield config


def suggested(trial: Any) -> Config:
    """Settings that an optuna trial suggests."""
    config = {name: trial.suggest_categorical(name, some) for name, some in CHOICES.items()}
    for name, (low, high) in RANGES.items():
        config[name] = trial.suggest_float(name, low, high, log=True)
    return config


def successive_halving(
    evaluate: Evaluate, configs: list[Config], steps: int, until: float
) -> list[dict[str, Any]]:
    """Try all settings with few steps, the better ones with more.

    Parameters
    ----------
    evaluate : callable
    configs : list of dict
    steps : int
        Of the last round.
    until : float
        Time (``time.monotonic``) after which nothing is begun. The first two are always tried.

    Returns
    -------
    list of dict
        For each that was tried its settings, with ``trial``, ``steps``, ``error`` of its last
        round and ``seconds`` altogether; the best first.
    """
    tried: dict[int, dict[str, Any]] = {}
    alive = list(range(len(configs)))
    for left in reversed(range(ROUNDS)):
        budget = max(steps // DROPPED**left, 1)
        for trial in alive:
            if time.monotonic() > until and not (left == ROUNDS - 1 and trial < 2):
                return _ranked(tried)
            begun = time.monotonic()
            error = evaluate(configs[trial], budget)
            seconds = tried.get(trial, {}).get("seconds", 0.0) + time.monotonic() - begun
            facts = {"trial": trial, "steps": budget, "error": error, "seconds": seconds}
            tried[trial] = {**facts, **configs[trial]}
        alive.sort(key=lambda trial: tried[trial]["error"])
        alive = alive[: max(-(-len(alive) // DROPPED), min(2, len(alive)))]
    return _ranked(tried)


def with_optuna(
    evaluate: Evaluate,
    sampler: Any,
    n_trials: int,
    defaults: Config,
    steps: int,
    until: float,
    seed: int,
) -> list[dict[str, Any]]:
    """The same with settings that a sampler of optuna suggests, poor ones cut short."""
    try:
        import optuna
    except ImportError as missing:
        raise ImportError(
            f"sampler={sampler!r} needs optuna, which is not installed: pip install optuna, or use "
            'sampler="random".'
        ) from missing

    if isinstance(sampler, str):
        if sampler != "optuna":
            raise ValueError(
                f'sampler={sampler!r} must be "random", "optuna" or a sampler of optuna.'
            )
        sampler = optuna.samplers.TPESampler(seed=seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=DROPPED)
    loudness = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells that it begins
    try:
        study = optuna.create_study(sampler=sampler, pruner=pruner)
    finally:
        optuna.logging.set_verbosity(loudness)
    first = {name: defaults[name] for name in (*CHOICES, *RANGES)}
    tried: dict[int, dict[str, Any]] = {}
    fixed = [first, {**first, "depth": 0}]
    for number in range(n_trials):
        if time.monotonic() > until and number >= len(fixed):
            break
        trial = None if number < len(fixed) else study.ask()
        config = fixed[number] if trial is None else suggested(trial)
        begun, error, budget = time.monotonic(), np.inf, 0
        for left in reversed(range(ROUNDS)):
            budget = max(steps // DROPPED**left, 1)
            error = evaluate(config, budget)
            if trial is not None:
                trial.report(error, ROUNDS - left)
                if left and (trial.should_prune() or time.monotonic() > until):
                    break
        if trial is not None:
            study.tell(trial, error)
        facts = {"trial": number, "steps": budget, "error": error}
        tried[number] = {**facts, "seconds": time.monotonic() - begun, **config}
    return _ranked(tried)


def search(
    evaluate: Evaluate, sampler: Any, n_trials: int, defaults: Config, steps: int, until: float,
    seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Try settings that a sampler draws; the best first.

    Parameters
    ----------
    evaluate : callable
    sampler : "random", "optuna" or a sampler of optuna
    n_trials : int
    defaults : dict
        Parameters of ``DeepImputer``, which are tried first.
    steps : int
        Of the last round.
    until : float
        Time (``time.monotonic``) after which nothing is begun.
    seed : int
    """
    if isinstance(sampler, str) and sampler == "random":
        draws = configurations(defaults, np.random.default_rng([seed, 5]))
        return successive_halving(evaluate, list(islice(draws, n_trials)), steps, until)
    return with_optuna(evaluate, sampler, n_trials, defaults, steps, until, seed)


def _ranked(tried: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with most steps first, and of these the best."""
    return sorted(tried.values(), key=lambda facts: (-facts["steps"], facts["error"]))
