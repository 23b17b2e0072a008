"""Trees beside the network: they say what scikit-learn's say, and never of what they saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

pytest.importorskip("torch")
from deep_tables import block_of, generator, laid_out, table
from greyknn import DeepImputer
from greyknn.deep import forest
from greyknn.deep.devices import resolve
from greyknn.deep.forest import Forest, Trees
from greyknn.deep.heldout import collect, judge_columns
from greyknn.deep.network import Network, Shape

pytestmark = pytest.mark.jit


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_trees_as_arrays_say_what_the_forest_says(n_outputs: int) -> None:
    rng = np.random.default_rng(0)
    inputs, outputs = rng.normal(size=(80, 4)), rng.normal(size=(80, n_outputs))
    inputs[:, 3] = inputs[:, 3].round()
    own = ExtraTreesRegressor(forest.TREES, min_samples_leaf=2, random_state=5)
    own.fit(inputs, outputs if n_outputs > 1 else outputs[:, 0])
    new = np.concatenate([inputs, rng.normal(size=(50, 4))])
    said = Trees.fit(inputs, outputs, 5).predict(new)
    assert said.shape == (130, n_outputs)
    np.testing.assert_allclose(said, own.predict(new).reshape(130, -1), rtol=1e-12)


def judged() -> tuple[Forest, object, object, object]:
    values = table(60)
    known = laid_out(values)
    block = block_of(values, known, ("grey", "em"), n_copies=4)
    network = Network(known, Shape(3, 8, 1, n_embeddings=known.n_embeddings), generator())
    held_out = collect(network, known, block)
    before = judge_columns(held_out, known, ("grey", "em"))
    return (*Forest.fit(known, before, held_out, 0), held_out, known)


def test_trees_never_saw_the_cells_that_they_are_judged_by() -> None:
    grown, after, before, known = judged()
    assert after.proposals.shape[1] == before.proposals.shape[1] + 1
    np.testing.assert_array_equal(after.proposals[:, :-1], before.proposals)
    # Beside hidden cells, trees look at what the copy shows.
    shown = before.shown[:, known.owner.numpy()]
    np.testing.assert_array_equal(after.proposals[:, -1][shown], before.truth[shown])
    checked = 0
    for cell, trees in grown.trees.items():
        block = known.blocks[cell]
        hidden = np.flatnonzero(before.hidden[:, cell])
        part = before.folds[hidden, cell] % forest.PARTS
        for left_out in range(forest.PARTS):
            seen = hidden[part == left_out]
            if len(seen) == 0:
                continue
            # A truth that is not learnt from may be anything.
            other = before.truth.copy()
            other[seen, block] += 7.0
            changed = replace(before, truth=other)
            again, later = Forest.fit(known, grown.before, changed, 0)
            np.testing.assert_array_equal(
                later.proposals[seen, -1, block], after.proposals[seen, -1, block]
            )
            assert not np.array_equal(again.trees[cell][left_out - 1].values,
                                      trees[left_out - 1].values)  # fmt: skip
            checked += 1
    assert checked >= 6


def test_trees_say_something_of_gaps_only() -> None:
    grown, _, before, known = judged()
    told = np.random.default_rng(0).random((20, known.n_cells)) < 0.5
    proposals = before.proposals[:20]
    dense = before.truth[:20]
    said = grown.predict(proposals, dense, told)[:, -1]
    shown = told[:, known.owner.numpy()]
    np.testing.assert_array_equal(said[shown], dense[shown])
    assert (np.abs(said - dense)[~shown] > 1e-9).mean() > 0.5


def test_trees_help_where_columns_meet_in_corners() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, size=(2, 500)).astype(float)
    X = np.column_stack([a, b, (a * 7 + b * 3) % 5 + 0.1 * rng.normal(size=500)])
    gaps = rng.random(500) < 0.2
    holed = X.copy()
    holed[gaps, 2] = np.nan
    errors = {}
    for trees in (False, True):
        imputer = DeepImputer(priors=("em",), trees=trees, max_steps=60, members=4).fit(holed)
        filled = imputer.transform(holed)
        errors[trees] = float(np.sqrt(((filled - X)[gaps, 2] ** 2).mean()))
        assert ("trees" in imputer.report_[2].shares) == trees
    assert errors[True] < 0.8 * errors[False]


@pytest.mark.parametrize("device", ["gpu", "cuda:", "CPU", ""])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match="is unknown; use 'auto', 'cpu'"):
        resolve(device)


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve("auto") == "cuda"
    assert resolve("cuda") == "cuda"
    with pytest.raises(RuntimeError, match="finds 1 NVIDIA GPUs"):
        resolve("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve("auto") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no Apple GPU"):
        resolve("mps")
