"""What the deep imputer learns from held-out cells and further rows, tells, tunes and saves."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chisquare, ks_2samp

import naive_targets

torch = pytest.importorskip("torch")
pd = pytest.importorskip("pandas")

from deep_tables import (  # noqa: E402
    CATEGORICAL,
    LEVELS,
    block_of,
    first_outputs,
    generator,
    laid_out,
    table,
)
from greyknn import DeepImputer  # noqa: E402
from greyknn.deep import (  # noqa: E402
    explaining,
    heldout,
    material,
    sampling,
    scoring,
    tuning,
    updating,
)
from greyknn.deep.copies import folds_of  # noqa: E402
from greyknn.deep.fills import Teller, thresholds  # noqa: E402
from greyknn.deep.growing import grown  # noqa: E402
from greyknn.deep.heldout import (  # noqa: E402
    HeldOut,
    calibration_error,
    collect,
    judge_columns,
    tempered,
)
from greyknn.deep.layout import Layout  # noqa: E402
from greyknn.deep.material import Settings  # noqa: E402
from greyknn.deep.model import DeepModel, Predicted  # noqa: E402
from greyknn.deep.network import Batch, Network, Shape  # noqa: E402
from greyknn.deep.storage import write  # noqa: E402
from greyknn.table import Column  # noqa: E402

pytestmark = pytest.mark.jit

MEMBERS = 3


def small(**more: Any) -> DeepImputer:
    """An imputer that learns next to nothing, at once."""
    return DeepImputer(**{"members": 2, "hidden": 8, "max_steps": 10, **more})


def related(n_rows: int = 60, seed: int = 0) -> Any:
    """y is three times a and a third of b; c and noise tell nothing."""
    rng = np.random.default_rng(seed)
    a, b, noise = rng.normal(size=(3, n_rows))
    frame = pd.DataFrame({"a": a, "b": b, "noise": noise, "y": 3 * a + b / 3})
    frame["y"] += 0.1 * rng.normal(size=n_rows)
    frame["c"] = rng.choice(["u", "v"], n_rows)
    return frame


# --- held-out cells ---------------------------------------------------------------------------


class Fake:
    """A network whose member k says the prior times k + 1, and the scale k + 1."""

    def __init__(self, n_numbers: int) -> None:
        self.shape, self.n_numbers = SimpleNamespace(members=MEMBERS), n_numbers

    def __call__(self, batch: Batch) -> tuple[Any, Any]:
        times = torch.arange(1.0, MEMBERS + 1)[:, None, None]
        outputs = batch.priors[:, :, 0] * times
        return outputs, torch.zeros_like(outputs[..., : self.n_numbers]) + times.log()


def test_cells_are_judged_by_the_member_of_their_fold() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known, ("grey", "em"))  # of four folds; here are three members
    found = collect(Fake(2), known, block)
    assert found.proposals.shape == (3 * 40, 3, known.n_outputs)
    n_judged = 0
    for place in range(3 * 40):
        copy, row = divmod(place, 40)
        assert found.rows[place] == row
        for cell, outputs in enumerate(known.blocks):
            fold = int(block.folds[row, cell])
            hidden = bool(block.hidden[copy, row, cell] & block.rows.told[row, cell])
            assert found.hidden[place, cell] == (hidden and fold < MEMBERS)
            if not found.hidden[place, cell]:
                continue
            n_judged += 1
            priors = block.priors[copy, row][:, outputs].double()
            said = priors[0] * (fold + 1)
            if cell >= 2:
                said = torch.softmax(4.0 * said, 0)
                priors = priors.clamp(min=1e-4)
                priors = priors / priors.sum(1, keepdim=True)
            expected = torch.cat([said[None], priors])
            np.testing.assert_allclose(found.proposals[place][:, outputs], expected, atol=1e-5)
            np.testing.assert_allclose(
                found.truth[place, outputs], block.rows.dense[row, outputs], atol=1e-6
            )
            if cell < 2:
                assert found.scales[place, cell] == pytest.approx(fold + 1)
    assert n_judged > 40


def three_columns(n_rows: int = 400) -> tuple[Layout, Any]:
    """A layout of two numbers and a category, and its outputs' truth."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n_rows, 2)) * [3.0, 0.2] + [5.0, 0.0]
    values = np.column_stack([numbers, rng.integers(3, size=n_rows)])
    known = Layout.fit(
        values, np.array([False, False, True]), np.array([0, 0, 3]), np.ones(3, bool)
    )
    return known, known.rows(values).dense.double().numpy()


def judged(proposals: Any, truth: Any, hidden: Any = None, scales: Any = None) -> HeldOut:
    """Held-out cells with what they need."""
    n_rows = len(truth)
    hidden = np.ones((n_rows, 3), dtype=bool) if hidden is None else hidden
    parts = {
        "proposals": np.stack(proposals, axis=1), "truth": truth, "hidden": hidden,
        "shown": ~hidden, "scales": np.ones((n_rows, 2)) if scales is None else scales,
        "folds": np.zeros((n_rows, 3), dtype=np.int64), "rows": np.arange(n_rows),
    }  # fmt: skip
    return HeldOut(**{field.name: parts[field.name] for field in fields(HeldOut)})


def test_shares_are_those_that_would_have_been_best() -> None:
    known, truth = three_columns(60)
    rng = np.random.default_rng(1)
    proposals = [truth + s * rng.normal(size=truth.shape) for s in (0.3, 0.5, 2.0)]
    for one in proposals:
        one[:, 2:] = tempered(np.exp(one[:, 2:]), 1.0)
    hidden = rng.random((60, 3)) < 0.8
    hidden[7:, 1] = False
    hidden[:7, 1] = True  # one too few for shares of its own
    verdict = judge_columns(judged(proposals, truth, hidden), known, ("grey", "em"))
    assert (verdict.shares >= 0).all()
    np.testing.assert_allclose(verdict.shares.sum(axis=1), 1.0)
    for cell in (0, 2):
        some, block = hidden[:, cell], known.blocks[cell]
        expected = naive_targets.stacked(
            [one[some][:, block].tolist() for one in proposals], truth[some][:, block].tolist()
        )
        np.testing.assert_allclose(verdict.shares[cell], expected, atol=1e-6)
    np.testing.assert_allclose(verdict.shares[1], verdict.shares[[0, 2]].mean(axis=0))
    assert verdict.shares[0].argmax() == 0


def test_reports_tell_errors_of_the_stack_and_of_each_part() -> None:
    known, truth = three_columns(50)
    rng = np.random.default_rng(1)
    proposals = [truth + s * rng.normal(size=truth.shape) for s in (0.5, 1.0)]
    for one in proposals:
        one[:, 2:] = tempered(np.exp(one[:, 2:]), 1.0)
    hidden = rng.random((50, 3)) < 0.7
    verdict = judge_columns(judged(proposals, truth, hidden), known, ("em",))
    for cell, block in enumerate(known.blocks):
        report, rows = verdict.reports[cell], np.flatnonzero(hidden[:, cell]).tolist()
        assert report.n_cells == len(rows)
        shares = [report.shares["network"], report.shares["em"]]
        whole = sum(s * one for s, one in zip(shares, proposals))
        middle = truth[rows][:, block].mean(axis=0)
        for said, found in (
            (proposals[0], report.parts["network"]), (proposals[1], report.parts["em"]),
            (whole, report.error), (np.tile(0.0, truth.shape), None),
        ):  # fmt: skip
            if found is None:
                said, found = said.copy(), report.naive
                said[:, block] = middle
            errors = [
                (said[r, block][0] - truth[r, block][0]) ** 2 if cell < 2
                else float(said[r, block].argmax() != truth[r, block].argmax())
                for r in rows
            ]  # fmt: skip
            error = float(np.mean(errors))
            assert found == pytest.approx(math.sqrt(error) if cell < 2 else error)
        assert report.skill == pytest.approx(1 - report.error / report.naive)


def test_without_held_out_cells_the_network_counts() -> None:
    known, truth = three_columns(20)
    none = np.zeros((20, 3), dtype=bool)
    verdict = judge_columns(judged([truth, truth], truth, none), known, ("em",))
    assert verdict.shares.tolist() == [[1.0, 0.0]] * 3
    assert verdict.temperatures.tolist() == [1.0] * 3
    assert verdict.reports[0].skill == 0.0
    assert np.isfinite(verdict.quantiles).all()


def test_stacks_are_sums_by_share_with_tempered_levels() -> None:
    known, truth = three_columns(30)
    rng = np.random.default_rng(1)
    one, two = rng.dirichlet(np.ones(5), (2, 30))
    verdict = judge_columns(judged([truth, truth], truth), known, ("em",))
    shares = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    verdict = replace(verdict, shares=shares, temperatures=np.array([1.0, 1.0, 2.0]))
    out = verdict.stack(known, np.stack([one, two], 1))
    np.testing.assert_allclose(out[:, 0], (one[:, 0] + two[:, 0]) / 2)
    np.testing.assert_allclose(out[:, 1], one[:, 1])
    roots = np.sqrt(0.25 * one[:, 2:] + 0.75 * two[:, 2:])
    np.testing.assert_allclose(out[:, 2:], roots / roots.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("true", [0.5, 1.0, 1.8])
def test_the_temperature_is_the_most_likely_one(true: float) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 3000)
    chances = shares ** (1 / true) / (shares ** (1 / true)).sum(axis=1, keepdims=True)
    codes = (rng.random((3000, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)

    def cost(log: float) -> float:
        powers = shares ** math.exp(-log)
        return float(
            -np.log((powers / powers.sum(axis=1, keepdims=True))[range(3000), codes]).sum()
        )

    best = minimize_scalar(cost, bounds=(-1.2, 1.2), method="bounded").x
    found, (before, after) = heldout._temperature(shares, codes)
    if found == 1.0:  # what is calibrated as it is, or nearly
        assert true == 1.0
        assert after == pytest.approx(before)
    else:
        assert abs(math.log(found) - best) <= 0.026
        assert after < before


@pytest.mark.parametrize("seed", range(8))
def test_tempering_never_makes_calibration_worse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), 200)
    codes = rng.integers(3, size=200)
    if seed % 2:  # calibrated, so that whatever is changed does as much harm as good
        codes = (rng.random((200, 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    temperature, (before, after) = heldout._temperature(shares, codes)
    assert before == pytest.approx(calibration_error(shares, codes))
    assert after == pytest.approx(calibration_error(tempered(shares, temperature), codes))
    assert after <= before


def test_the_calibration_error_is_that_of_a_loop_over_bins() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 300)
    shares[:2] = [1.0, 0.0, 0.0]
    codes = rng.integers(3, size=300)
    total = 0.0
    for bin_ in range(15):
        inside = [
            i for i, row in enumerate(shares.tolist())
            if bin_ / 15 <= max(row) < (bin_ + 1) / 15 or (bin_ == 14 and max(row) == 1.0)
        ]  # fmt: skip
        if inside:
            sure = np.mean([max(shares[i]) for i in inside])
            right = np.mean([shares[i].argmax() == codes[i] for i in inside])
            total += len(inside) / 300 * abs(sure - right)
    assert calibration_error(shares, codes) == pytest.approx(total)
    assert calibration_error(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 0.0


@pytest.mark.parametrize("n_own", [3000, 50])
def test_intervals_hold_nine_cells_of_ten(n_own: int) -> None:
    """Of skewed errors with heavy tails, wide where the network says so; and by those of all."""
    known, _ = three_columns()
    rng = np.random.default_rng(0)

    def drawn(n_rows: int) -> tuple[Any, Any, Any]:
        scales = np.exp(rng.normal(size=(n_rows, 2)))
        errors = scales * (rng.standard_t(3, (n_rows, 2)) + rng.exponential(2, (n_rows, 2)))
        means = rng.normal(size=(n_rows, 5))
        truth = means.copy()
        truth[:, :2] += errors
        return means, truth, scales

    means, truth, scales = drawn(3000)
    truth[:, 2:] = np.eye(3)[rng.integers(3, size=3000)]
    means[:, 2:] = 1 / 3
    hidden = np.ones((3000, 3), dtype=bool)
    hidden[n_own:, 1] = False
    verdict = judge_columns(judged([means], truth, hidden, scales), known, ())
    teller = Teller(SimpleNamespace(layout=known, verdict=verdict), [])
    means, truth, scales = drawn(4000)
    for cell in (0, 1):
        low, high = (teller.quantiles(Predicted(means, scales), cell, q) for q in (0.05, 0.95))
        true = truth[:, cell] * known.scales[cell] + known.centers[cell]
        assert 0.87 <= ((low <= true) & (true <= high)).mean() <= 0.93
        assert abs((true < low).mean() - 0.05) < 0.02


def test_levels_are_trusted_from_the_least_confidence_on_that_is_precise() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(4, size=200)
    confidence = rng.integers(1, 11, 200) / 10
    right = rng.random(200) < confidence
    right[levels == 2] = False
    found = thresholds(levels, confidence, right, 6, 0.7)
    for level in range(6):
        good = []
        for least in np.unique(confidence):
            some = (levels == level) & (confidence >= least)
            if some.any() and right[some].mean() >= 0.7:
                good.append(least)
        assert found[level] == min(good, default=math.inf)
    assert np.isfinite(found[[0, 1, 3]]).all()
    assert np.isinf(found[[2, 4, 5]]).all()


# --- new levels -------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("n_priors", [0, 1, 3])
@pytest.mark.parametrize("n_texts", [0, 1])
def test_a_grown_network_says_the_same_of_old_levels_and_the_priors_of_new_ones(
    depth: int, periodic: bool, n_priors: int, n_texts: int
) -> None:
    rng = np.random.default_rng(0)
    values = table()
    dates = np.array([False, False, True, False])
    values[:, 2] = 1.6e9 + 1e6 * values[:, 2]
    old = Layout.fit(values, CATEGORICAL, LEVELS, np.ones(4, bool), dates=dates)
    new_rows = table(seed=1)[:4]
    new_rows[:, 1], new_rows[:, 3] = [4, 5, 4, 5], [3, 3, 0, 0]
    new_rows[:, 2] = 1.6e9
    new = old.extended(new_rows, np.array([0, 6, 0, 4]))
    shape = Shape(
        MEMBERS, 8, depth, 0.1, periodic, n_priors, old.n_embeddings, n_texts=n_texts, buckets=16
    )
    network = Network(old, shape, generator())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(1))
    larger = grown(network, old, new, generator(2))

    def batch(known: Layout, priors: Any) -> Batch:
        rows = known.rows(values)
        texts = torch.from_numpy(np.random.default_rng(0).integers(16, size=(40, n_texts, 3)))
        parts = (rows.dense, rows.seen, rows.embeds, priors, texts, torch.zeros(40, 0))
        return Batch(*(part.expand(MEMBERS, *part.shape) for part in parts))

    kept = [0, 1, 2, 3, 4, 7, 8, 9]
    wide = torch.from_numpy(rng.normal(size=(40, n_priors, new.n_outputs))).float()
    before, spread = network(batch(old, wide[:, :, kept]))
    after, later = larger(batch(new, wide))
    assert new.n_outputs == 11
    torch.testing.assert_close(after[..., kept], before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(later, spread, atol=1e-5, rtol=1e-5)
    mean = first_outputs(wide, old.n_numbers) if n_priors else torch.zeros(40, 11)
    for place in (5, 6, 10):
        expected = mean[:, place].expand(MEMBERS, -1)
        torch.testing.assert_close(after[..., place], expected, atol=1e-6, rtol=0)
    assert before.std() > 0.1


def test_a_network_that_need_not_grow_is_the_same() -> None:
    known = laid_out(table())
    network = Network(known, Shape(MEMBERS, 8, n_embeddings=known.n_embeddings), generator())
    same = grown(network, known, known, generator(9))
    assert same is not network
    for a, b in zip(network.parameters(), same.parameters()):
        assert torch.equal(a, b)


# --- further rows -----------------------------------------------------------------------------


def test_a_reservoir_is_a_fair_sample_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in portions of different sizes; each stays about as often as any other."""
    monkeypatch.setattr(updating, "TOGETHER", 20)
    portions, times = (13, 10, 3, 17, 20, 1, 16), 3000
    count = np.zeros(sum(portions))
    for seed in range(times):
        rng = np.random.default_rng(seed)
        rows = np.arange(portions[0])
        for place, n_new in enumerate(portions[1:], start=1):
            n_before = sum(portions[:place])
            both = np.concatenate([rows, n_before + np.arange(n_new)])
            stay = updating._reservoir(len(rows), n_new, n_before, rng)
            assert len(np.unique(stay)) == len(stay) == min(20, len(both))
            rows = both[stay]
        count[rows] += 1
    expected = 20 * times / sum(portions)
    # Without replacement: the count of a row varies by less than a binomial one does.
    spread = math.sqrt(times * (20 / 80) * (60 / 80))
    assert count.sum() == 20 * times
    assert abs(count - expected).max() < 4.5 * spread
    assert chisquare(count).pvalue > 1e-4
    ends = np.cumsum((0, *portions))
    for begin, end in pairwise(ends):
        assert abs(count[begin:end].mean() / expected - 1) < 0.06


def test_a_sample_of_many_rows_does_not_grow_with_the_new_ones() -> None:
    rng = np.random.default_rng(0)
    stays = [updating._reservoir(2048, 500, 100_000, rng) for _ in range(200)]
    assert {len(stay) for stay in stays} == {2048}
    share = np.mean([(stay >= 2048).sum() for stay in stays])
    assert abs(share - 2048 * 500 / 100_500) < 1.0


@pytest.mark.parametrize(("n_old", "n_new"), [(100, 100), (1000, 30), (30, 1000), (3, 1)])
def test_old_and_new_rows_are_drawn_as_often(n_old: int, n_new: int) -> None:
    rows = updating._evenly(n_old, n_new).numpy()
    times = np.bincount(rows)
    assert len(times) == n_old + n_new
    assert len(set(times[:n_old])) == len(set(times[n_old:])) == 1
    assert 0.45 <= (rows < n_old).mean() <= 0.55


def test_further_rows_take_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (updating, material):
        monkeypatch.setattr(module, "TOGETHER", 64)
    monkeypatch.setattr("greyknn.deep.improving.TOGETHER", 64)
    whole = related(150)
    imputer = small(priors=["em"]).fit(whole[:50])
    imputer.partial_fit(whole[50:60], steps=2)
    assert imputer._model.reference_rows.tolist() == list(range(60))
    imputer.partial_fit(whole[60:], steps=2)  # in portions of 32
    model = imputer._model
    assert model.n_seen == 150
    assert len(model.reference_rows) == 64
    assert model.reference_rows.max() > 60
    kept = whole.iloc[model.reference_rows]
    np.testing.assert_array_equal(model.reference[:, :4], kept[["a", "b", "noise", "y"]])
    assert imputer.transform(whole.assign(y=np.nan)).notna().all().all()


def test_what_was_learnt_stays_and_what_is_new_is_learnt() -> None:
    """A curve in two halves, of which the second is told later, with a level that only it has."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 240)
    frame = pd.DataFrame({"x": x, "y": np.cos(2 * x) + 0.05 * rng.normal(size=240)})
    frame["c"] = np.where(x < -1, "a", np.where(x < 0, "b", "later"))
    first, second = frame[x < 0], frame[x >= 0]
    imputer = small(hidden=32, max_steps=150, random_state=1).fit(first)

    def error(rows: Any) -> float:
        said = imputer.transform(rows.assign(y=np.nan)).y
        return float(np.sqrt(((said - rows.y) ** 2).mean()) / frame.y.std())

    before = error(first), error(second)
    report = imputer.report_
    imputer.partial_fit(second, steps=60)
    assert error(first) < before[0] + 0.15
    assert error(second) < 0.5 * before[1]
    said = imputer.transform(frame.assign(c=pd.Series([None] * 240, dtype=object)))
    assert (said.c[second.index] == "later").mean() > 0.9
    assert (said.c[first.index] != "later").mean() > 0.9
    assert imputer.report_ is not report


def test_a_cell_stays_in_its_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(ids: Any, n_cells: int, members: int, seed: int) -> Any:
        seen.append((np.asarray(ids).tolist(), members, seed))
        return folds_of(ids, n_cells, members, seed)

    monkeypatch.setattr(material, "folds_of", spy)
    whole = related(50)
    imputer = small().fit(whole[:30])
    imputer.partial_fit(whole[30:], steps=2)
    (ids, *first), (more, *second) = seen[0], seen[-1]
    assert ids == list(range(30))
    assert more == list(range(50))
    assert first == second


def test_further_rows_are_learnt_from_at_a_fifth_of_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def spy(network: Any, material: Any, schedule: Any, *more: Any) -> Any:
        asked.append(schedule)
        return learn(network, material, schedule, *more)

    learn = updating.learn
    monkeypatch.setattr(updating, "learn", spy)
    whole = related(50)
    small(lr=0.01).fit(whole[:30]).partial_fit(whole[30:], steps=3)
    assert [(one.steps, one.lr, one.constant) for one in asked] == [(3, 0.002, True)]


def test_the_model_before_stays_as_it_is() -> None:
    whole = related(60)
    imputer = small().fit(whole[:40])
    before, weights = imputer._model, [p.clone() for p in imputer._model.network.parameters()]
    imputer.partial_fit(whole[40:], steps=20)
    assert imputer._model is not before
    assert before.n_seen == 40
    assert all(torch.equal(a, b) for a, b in zip(weights, before.network.parameters()))


def test_balanced_classes_may_be_yet_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level whose rows are in a later portion has no frequency to divide by in the first one."""
    for module in (updating, material):
        monkeypatch.setattr(module, "TOGETHER", 64)
    monkeypatch.setattr("greyknn.deep.improving.TOGETHER", 64)
    whole = related(100)
    whole.loc[95:, "c"] = "new"
    imputer = small(class_weight="balanced", priors=["em"]).fit(whole[:40])
    imputer.partial_fit(whole[40:], steps=4)
    assert not imputer._model.history.broken
    assert all(torch.isfinite(p).all() for p in imputer._model.network.parameters())


# --- draws ------------------------------------------------------------------------------------


def teller_of() -> tuple[Teller, Layout]:
    known, truth = three_columns()
    verdict = judge_columns(judged([truth], truth), known, ())
    normal = np.quantile(np.random.default_rng(0).normal(size=200_000), heldout.LEVELS)
    quantiles = np.tile(1.5 * normal, (3, 1))
    columns = [
        Column("x", low=-50.0, high=50.0), Column("z", low=-1.0, high=1.0),
        Column("c", True, ("a", "b", "d")),
    ]  # fmt: skip
    model = SimpleNamespace(layout=known, verdict=replace(verdict, quantiles=quantiles))
    return Teller(model, columns), known


def test_draws_are_distributed_as_the_model_says() -> None:
    teller, known = teller_of()
    n_rows = 20_000
    outputs = np.tile([1.0, 0.0, 0.1, 0.6, 0.3], (n_rows, 1))
    predicted = Predicted(outputs, np.tile([2.0, 3.0], (n_rows, 1)))
    drawn = teller.draws(predicted, np.random.default_rng(1))
    mean, sd = teller.means(predicted, 0)[0], teller.deviations(predicted, 0)[0]
    assert mean == pytest.approx(known.scales[0] + known.centers[0])
    assert sd == pytest.approx(2.0 * 1.5 * known.scales[0], rel=0.03)
    assert drawn[:, 0].mean() == pytest.approx(mean, abs=0.02 * sd)
    assert drawn[:, 0].std() == pytest.approx(sd, rel=0.03)
    reference = mean + sd * np.random.default_rng(2).normal(size=n_rows)
    assert ks_2samp(drawn[:, 0], reference).statistic < 0.02
    assert drawn[:, 1].min() == -1.0  # within the range of what was observed
    assert drawn[:, 1].max() == 1.0
    codes = known.codes_of(2)
    expected = np.zeros(3)
    expected[codes] = outputs[0, 2:] * n_rows
    assert chisquare(np.bincount(drawn[:, 2].astype(int), minlength=3), expected).pvalue > 1e-3


def test_fills_are_means_modes_and_medians_of_ordered_levels() -> None:
    teller, known = teller_of()
    codes = known.codes_of(2)
    shares = np.empty((2, 3))
    shares[:, codes] = [[0.4, 0.0, 0.6], [0.4, 0.0, 0.6]]
    by_level = np.array([[0.4, 0.25, 0.35], [0.1, 0.3, 0.6]])  # of codes 0, 1, 2
    outputs = np.column_stack([[0.5, -0.5], [0.0, 99.0], by_level[:, codes]])
    predicted = Predicted(outputs, np.ones((2, 2)))
    fills = teller.fills(predicted)
    np.testing.assert_allclose(fills[:, 0], outputs[:, 0] * known.scales[0] + known.centers[0])
    assert fills[1, 1] == 1.0
    assert fills[:, 2].tolist() == [0.0, 2.0]
    ordered = [*teller.columns[:2], replace(teller.columns[2], ordered=True)]
    assert Teller(teller.model, ordered).fills(predicted)[:, 2].tolist() == [1.0, 2.0]


class Copying:
    """Says of each of two columns what the other one holds, for sure, or anything around 0."""

    def __init__(self, teller: Teller) -> None:
        self.layout, self.verdict = teller.model.layout, teller.model.verdict
        self.asked: list[Any] = []

    def predict(self, values: Any, texts: Any = None, timeline: Any = None) -> Predicted:
        self.asked.append(values.copy())
        known = self.layout
        z = (values[:, :2] - known.centers) / known.scales
        other = z[:, ::-1]
        outputs = np.column_stack([np.nan_to_num(other), np.full((len(values), 3), 1 / 3)])
        return Predicted(outputs, np.where(np.isnan(other), 1.0, 1e-9))


def test_cells_of_a_row_are_drawn_together() -> None:
    teller, known = teller_of()
    columns = [replace(column, low=-50.0, high=50.0) for column in teller.columns[:2]]
    copying = Copying(teller)
    teller = Teller(copying, [*columns, teller.columns[2]])
    values = np.full((4000, 3), np.nan)
    values[:5, 0], values[:, 2] = 1.0, 0.0
    read = SimpleNamespace(values=values, texts=None, timeline=None)
    gaps = np.isnan(values)
    drawn = list(sampling.samples(teller, read, gaps, 2, np.random.default_rng(0)))
    assert len(drawn) == 2
    assert np.abs(drawn[0] - drawn[1])[5:, :2].min() > 0  # independent of each other
    for one in drawn:
        assert (one[~gaps] == values[~gaps]).all()
        assert np.isfinite(one).all()
        z = (one[:, :2] - known.centers) / known.scales
        np.testing.assert_allclose(z[:5, 1], z[:5, 0], atol=1e-6)
        # In the same one of the four rounds they know nothing of each other.
        same = np.isclose(z[5:, 0], z[5:, 1], atol=1e-6).mean()
        assert abs(same - (1 - 1 / sampling.ROUNDS)) < 0.03
        assert z[5:].std(axis=0) == pytest.approx([1.5, 1.5], abs=0.07)
    assert np.isnan(values[5:, :2]).all()  # the caller's


def test_samples_have_the_means_and_deviations_of_predict_dist() -> None:
    frame = related(200)
    imputer = small(columns=["y", "c"]).fit(frame)
    row = frame.iloc[[3]].assign(a=0.3, b=0.1, y=np.nan)
    rows = pd.concat([row] * 3000, ignore_index=True)
    said = imputer.predict_dist(row).iloc[0]
    drawn = imputer.sample(rows, m=1)[0]
    assert drawn.y.mean() == pytest.approx(said["mean"], abs=0.4 * said["sd"])
    assert drawn.y.std() == pytest.approx(said["sd"], rel=0.15)
    assert drawn.y.quantile([0.05, 0.5, 0.95]).tolist() == pytest.approx(
        said[["q05", "q50", "q95"]].tolist(), abs=0.15 * said["sd"]
    )
    row = row.assign(y=0.5, c=None)
    shares = imputer.predict_dist(row).set_index("value")["probability"]
    drawn = imputer.sample(pd.concat([row] * 3000, ignore_index=True), m=1)[0]
    assert (drawn.c == "u").mean() == pytest.approx(shares["u"], abs=0.04)


# --- explanations -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained() -> tuple[DeepImputer, Any]:
    frame = related(150)
    frame.loc[frame.index % 10 == 0, "y"] = np.nan
    return small(max_steps=20).fit(frame), frame


def test_effects_are_what_fills_lose_without_a_cell(explained: tuple[DeepImputer, Any]) -> None:
    imputer, frame = explained
    row = frame.iloc[[int((frame.a - 1).abs().argmin())]].assign(y=np.nan)
    told = imputer.explain(0, "y", row)
    assert next(iter(told.effects)) == "a"
    assert set(told.effects) == {"a", "b", "noise", "c"}
    whole = imputer.transform(row).y.item()
    assert told.value == whole
    for column, effect in told.effects.items():
        less = row.astype({"c": object}).copy()
        less[column] = None if column == "c" else np.nan
        assert effect == pytest.approx(whole - imputer.transform(less).y.item(), abs=1e-9)
    sizes = [abs(effect) for effect in told.effects.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(told.shares.values()) == pytest.approx(1.0)


def test_effects_on_a_category_are_those_on_its_probability() -> None:
    frame = related(150)
    frame["c"] = np.where(frame.a > 0, "u", "v")
    imputer = small(max_steps=20).fit(frame)
    row = frame.iloc[[7]].assign(c=None)
    told = imputer.explain(0, "c", row)
    assert next(iter(told.effects)) in {"a", "y"}
    for column in ("a", "y", "noise"):
        shares = [
            imputer.predict_dist(one).set_index("value")["probability"][told.value]
            for one in (row, row.assign(**{column: np.nan}))
        ]
        assert told.effects[column] == pytest.approx(shares[0] - shares[1], abs=1e-9)


def test_donors_are_the_neighbours_of_the_grey_prior(explained: tuple[DeepImputer, Any]) -> None:
    imputer, frame = explained
    model = imputer._model
    told = imputer.explain(20, "y")
    found = model.grey.neighbors(model.grey.ranked(model.reference[[20]]), 3)
    assert [donor.row for donor in told.donors] == found.rows[0].tolist()
    assert [donor.distance for donor in told.donors] == found.distances[0].tolist()
    weights = 1 / found.distances[0] ** 2
    np.testing.assert_allclose([d.weight for d in told.donors], weights / weights.sum())
    assert [donor.value for donor in told.donors] == frame.y.iloc[found.rows[0]].tolist()


def test_an_observed_cell_is_explained_as_if_no_one_had_seen_it(
    explained: tuple[DeepImputer, Any],
) -> None:
    imputer, frame = explained
    told = imputer.explain(3, "y")
    assert frame.y.notna()[3]
    assert 3 not in [donor.row for donor in told.donors]
    assert len(told.donors) == 10
    model = imputer._model
    holes = np.zeros(model.reference.shape, dtype=bool)
    holes[3, 3] = True
    query = model.reference[[3]].copy()
    query[0, 3] = np.nan
    said = []
    for value in (model.reference[3, 3], -5.0):
        other = model.reference.copy()
        other[3, 3] = value
        unknowing = explaining.unknowing(replace(model, reference=other), holes)
        said.append(unknowing.predict(query).outputs)
    np.testing.assert_array_equal(*said)
    assert not np.array_equal(said[0], model.predict(query).outputs)


def test_importance_finds_the_cause(explained: tuple[DeepImputer, Any]) -> None:
    imputer, _ = explained
    found = imputer.importance()
    assert found.index.tolist() == found.columns.tolist() == ["a", "b", "noise", "y", "c"]
    assert found.loc["y"].idxmax() == "a"
    assert found.loc["a"].idxmax() == "y"
    assert found.loc["y", "b"] > found.loc["y", "noise"]
    assert (np.diag(found) == 0).all()
    pd.testing.assert_frame_equal(imputer.importance("y"), imputer.importance("y"))


class Relying:
    """Is sure of one level if x is seen, else of another; x is 2 less where z is not seen."""

    settings = SimpleNamespace(cell="gru")  # so that there are no priors to be fitted

    def __init__(self, layout: Layout) -> None:
        rng = np.random.default_rng(0)
        self.layout = layout
        self.reference = np.column_stack([rng.normal(size=(60, 2)), rng.integers(3, size=60)])
        self.reference_texts = np.zeros((60, 0, 1), dtype=np.int64)

    def predict(self, values: Any, texts: Any, timeline: Any = None) -> Predicted:
        x, z = ~np.isnan(values[:, :2].T)
        outputs = np.column_stack([2.0 * z, 0.0 * z, x, ~x, 0.0 * z])
        return Predicted(outputs, np.ones((len(values), 2)))


def test_importance_is_the_change_of_a_number_or_of_a_probability() -> None:
    teller, known = teller_of()
    teller = Teller(Relying(known), teller.columns)
    found = explaining.importance(teller, [0, 1, 2], np.random.default_rng(0))
    assert found.tolist() == [[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


@pytest.fixture(scope="module")
def of_series() -> tuple[DeepImputer, Any]:
    """z is twice x, which wanders; noise is noise."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.repeat(np.arange(6), 20), "t": np.tile(np.arange(20.0), 6)})
    frame["x"] = rng.normal(size=(6, 20)).cumsum(axis=1).ravel()
    frame["z"], frame["noise"] = 2 * frame.x + 0.1 * rng.normal(size=120), rng.normal(size=120)
    return small(groups="id", time="t", max_steps=4).fit(frame), frame


def test_importance_is_told_of_series_too(of_series: tuple[DeepImputer, Any]) -> None:
    imputer, frame = of_series
    found = imputer.importance(X=frame)
    assert list(found.columns) == ["x", "z", "noise"]
    assert found.loc["x", "z"] > 5 * found.loc["x", "noise"]
    assert found.loc["z", "x"] > 5 * found.loc["z", "noise"]
    # Beside z, x at other times tells little; noise tells nothing, and so does all else of it.
    assert found.loc["noise"].max() < 0.5 * found.loc["x", "z"]
    with pytest.raises(ValueError, match="pass one, importance"):
        imputer.importance()


def test_cells_of_series_are_explained_by_their_series(of_series: tuple[DeepImputer, Any]) -> None:
    imputer, frame = of_series
    mixed = frame.sample(frac=1.0, random_state=0).reset_index(drop=True)
    row = int(np.flatnonzero((mixed.id == 2) & (mixed.t == 7))[0])
    found = imputer.explain(row, "x", mixed)
    gone = mixed.copy()
    gone.loc[row, "x"] = np.nan
    filled = imputer.transform(gone).loc[row, "x"]
    assert found.value == pytest.approx(filled, rel=1e-4)
    assert set(found.effects) == {"x", "z", "noise"}
    gone.loc[mixed.id == 2, "z"] = np.nan
    without = imputer.transform(gone).loc[row, "x"]
    assert found.effects["z"] == pytest.approx(filled - without, rel=1e-3, abs=1e-5)
    gone = mixed.copy()
    gone.loc[mixed.id == 2, "x"] = np.nan
    alone = imputer.transform(gone).loc[row, "x"]
    assert found.effects["x"] == pytest.approx(filled - alone, rel=1e-3, abs=1e-5)
    assert found.donors == []
    with pytest.raises(ValueError, match="pass it, explain"):
        imputer.explain(row, "x")


# --- scores -----------------------------------------------------------------------------------


class Reciting:
    """Says the same numbers of every row, and keeps what it was asked."""

    def __init__(self, layout: Layout, verdict: Any, outputs: Any) -> None:
        self.layout, self.verdict, self.outputs = layout, verdict, outputs

    def predict(self, values: Any, texts: Any = None, timeline: Any = None) -> Predicted:
        self.asked = values.copy()
        return Predicted(self.outputs, np.ones((len(values), 2)))


def test_scores_are_errors_of_hidden_cells_beside_those_of_means_and_modes() -> None:
    teller, known = teller_of()
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(size=(50, 2)), rng.integers(3, size=50)])
    values[rng.random(values.shape) < 0.2] = np.nan
    outputs = known.rows(np.nan_to_num(values)).dense.double().numpy()
    outputs += 0.3 * rng.normal(size=outputs.shape)
    model = Reciting(known, teller.model.verdict, outputs)
    wide = [replace(column, low=-50.0, high=50.0) for column in teller.columns[:2]]
    teller = Teller(model, [*wide, teller.columns[2]])
    read = SimpleNamespace(values=values, texts=None, timeline=None)
    found = scoring.skill(teller, read, np.random.default_rng(1))
    hidden = ~np.isnan(values) & np.isnan(model.asked)
    assert (np.isnan(values) <= np.isnan(model.asked)).all()
    skills = []
    for column in range(3):
        rows = np.flatnonzero(hidden[:, column]).tolist()
        assert len(rows) == math.ceil(0.2 * (~np.isnan(values[:, column])).sum())
        left = model.asked[~np.isnan(model.asked[:, column]), column].tolist()
        truth = values[rows, column]
        if column < 2:
            said = outputs[rows, column] * known.scales[column] + known.centers[column]
            errors = [math.sqrt(np.mean((x - truth) ** 2)) for x in (said, np.mean(left))]
        else:
            said = known.codes_of(2)[outputs[rows][:, 2:].argmax(axis=1)]
            mode = max(sorted(set(left)), key=left.count)
            errors = [np.mean(x != truth) for x in (said, mode)]
        skills.append(1 - errors[0] / errors[1])
    assert found == pytest.approx(np.mean(skills))


def test_scores_of_a_relation_and_of_noise() -> None:
    frame = related(200)
    imputer = small(columns=["y"], max_steps=20).fit(frame)
    new = related(100, seed=1)
    assert imputer.score(new) > 0.8
    assert imputer.score(new) == imputer.score(new)
    assert small(columns=["noise"]).fit(frame).score(new) < 0.2
    assert imputer.score(new.iloc[:1]) == 0.0


# --- tuning -----------------------------------------------------------------------------------

DEFAULTS = DeepImputer().get_params()
FOREVER = float("inf")


def configs_of(n_trials: int, seed: int = 0) -> list[Any]:
    return list(islice(tuning.configurations(DEFAULTS, np.random.default_rng(seed)), n_trials))


def test_what_is_given_and_a_linear_model_are_tried_first() -> None:
    configs = configs_of(200)
    given = {name: DEFAULTS[name] for name in (*tuning.CHOICES, *tuning.RANGES)}
    assert configs[0] == given
    assert configs[1] == given | {"depth": 0}
    for name, some in tuning.CHOICES.items():
        assert {config[name] for config in configs[2:]} == set(some)
    for name, (low, high) in tuning.RANGES.items():
        drawn = np.array([config[name] for config in configs[2:]])
        assert low <= drawn.min()
        assert drawn.max() <= high
        assert np.median(drawn) == pytest.approx(math.sqrt(low * high), rel=0.6)
    assert configs_of(5) == configs_of(5)
    assert configs_of(5) != configs_of(5, seed=1)


def test_halving_gives_the_better_third_three_times_the_steps() -> None:
    configs = configs_of(12)
    error = {repr(config): float(place * 7 % 12) for place, config in enumerate(configs)}
    asked: list[Any] = []

    def evaluate(config: Any, steps: int) -> float:
        asked.append((configs.index(config), steps))
        return error[repr(config)] + steps / 100  # as on other cells: no reason to do with less

    tried = tuning.successive_halving(evaluate, configs, 900, FOREVER)
    ranks = sorted(range(12), key=lambda place: place * 7 % 12)
    assert asked[:12] == [(place, 100) for place in range(12)]
    assert asked[12:16] == [(place, 300) for place in ranks[:4]]
    assert asked[16:] == [(place, 900) for place in ranks[:2]]
    assert len(tried) == 12
    assert [facts["trial"] for facts in tried[:2]] == ranks[:2]
    assert [facts["steps"] for facts in tried] == [900] * 2 + [300] * 2 + [100] * 8
    assert tried[0]["error"] == 9.0
    assert {name: tried[0][name] for name in configs[0]} == configs[ranks[0]]
    for rank in (slice(0, 2), slice(2, 4), slice(4, 12)):
        errors = [facts["error"] for facts in tried[rank]]
        assert errors == sorted(errors)


@pytest.mark.parametrize("sampler", ["random", "optuna"])
def test_a_linear_model_wins_where_it_is_best(sampler: str) -> None:
    if sampler == "optuna":
        pytest.importorskip("optuna")

    def evaluate(config: Any, steps: int) -> float:
        return config["depth"] + abs(math.log(config["lr"] / DEFAULTS["lr"])) + 1 / steps

    tried = tuning.search(evaluate, sampler, 8, DEFAULTS, 90, FOREVER, 0)
    assert tried[0]["depth"] == 0
    assert tried[0]["trial"] == 1
    assert len(tried) == 8
    assert tried[0]["steps"] == 90


@pytest.mark.parametrize("sampler", ["random", "optuna"])
def test_when_time_is_up_the_first_two_have_been_tried(sampler: str) -> None:
    if sampler == "optuna":
        pytest.importorskip("optuna")
    asked: list[Any] = []

    def evaluate(config: Any, steps: int) -> float:
        asked.append(config["depth"])
        return float(len(asked))

    tried = tuning.search(evaluate, sampler, 9, DEFAULTS, 90, time.monotonic() - 1, 0)
    assert [facts["trial"] for facts in tried] == [0, 1]
    assert set(asked) == {0, DEFAULTS["depth"]}


def test_one_trial_and_one_step_are_enough() -> None:
    tried = tuning.search(lambda config, steps: steps, "random", 1, DEFAULTS, 1, FOREVER, 0)
    assert len(tried) == 1
    assert tried[0]["steps"] == 1


@pytest.mark.parametrize("loud", [10, 20, 40])
def test_optuna_stays_silent_and_as_it_was(loud: int) -> None:
    optuna = pytest.importorskip("optuna")
    before, said = optuna.logging.get_verbosity(), []
    listener = logging.Handler()
    listener.emit = said.append  # type: ignore[method-assign]
    logging.getLogger("optuna").addHandler(listener)
    optuna.logging.set_verbosity(loud)
    try:
        sampler = optuna.samplers.RandomSampler(seed=0)
        tried = tuning.search(
            lambda config, steps: config["dropout"], sampler, 5, DEFAULTS, 9, FOREVER, 0
        )
        assert optuna.logging.get_verbosity() == loud
    finally:
        optuna.logging.set_verbosity(before)
        logging.getLogger("optuna").removeHandler(listener)
    assert len(tried) == 5
    assert said == []


def test_optuna_cuts_poor_trials_short() -> None:
    pytest.importorskip("optuna")
    asked: list[Any] = []

    def evaluate(config: Any, steps: int) -> float:
        asked.append(steps)
        return len(asked) + 1 / steps  # each is worse than all before

    tried = tuning.search(evaluate, "optuna", 12, DEFAULTS, 90, FOREVER, 0)
    assert asked[:6] == [10, 30, 90] * 2
    assert len(asked) < 30
    assert [facts["steps"] for facts in tried] == sorted(
        (facts["steps"] for facts in tried), reverse=True
    )


def test_an_unknown_sampler_is_refused() -> None:
    pytest.importorskip("optuna")
    with pytest.raises(ValueError, match="'grid' must be"):
        tuning.search(lambda *_: 0.0, "grid", 3, DEFAULTS, 9, FOREVER, 0)


def test_tuning_fits_with_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tuning.CHOICES, "hidden", (4, 8))
    frame = related(50)
    imputer = small(max_steps=9)
    tried = imputer.tune(frame, n_trials=4)
    assert len(tried) == 4
    assert tried.steps.tolist()[:2] == [9, 9]
    best = tried.iloc[0]
    tuned = (*tuning.CHOICES, *tuning.RANGES)
    for name in tuned:
        assert getattr(imputer, name) == best[name]
    assert imputer.max_steps == 9
    seed = int(np.random.RandomState(0).randint(2**31))
    again = small(max_steps=9, random_state=seed, **{name: best[name] for name in tuned}).fit(frame)
    errors = [one.error / one.naive for one in again.report_.values()]
    assert np.mean(errors) == pytest.approx(best.error)
    assert imputer.transform(frame.assign(y=np.nan)).notna().all().all()


# --- files ------------------------------------------------------------------------------------


def everything(n_rows: int = 40) -> Any:
    """A column of every kind, with gaps."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n_rows)
    words = np.array(["red", "green", "blue", "large", "small", "old", "new"])
    frame = pd.DataFrame({
        "number": x,
        "integer": pd.array(rng.integers(9, size=n_rows), dtype="Int64"),
        "mixed": rng.choice(np.array([1, "one", 2.5, True], dtype=object), n_rows),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(400, size=n_rows), "D"),
        "text": [" ".join(rng.choice(words, 5)) + f" {i}" for i in range(n_rows)],
        "size": pd.Categorical(
            rng.choice(["s", "m", "l"], n_rows), ["s", "m", "l"], ordered=True
        ),
        "yes": pd.array(x > 0, dtype="boolean"),
        "date": pd.Series([dt.date(2020, 1, 1 + i % 28) for i in range(n_rows)], dtype=object),
    })  # fmt: skip
    for place, name in enumerate(frame):
        frame.loc[frame.index % 9 == place, name] = None
    return frame


def same(a: Any, b: Any) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_what_is_saved_fills_the_same(tmp_path: Path) -> None:
    frame, path = everything(), tmp_path / "imputer.safetensors"
    y = np.where(np.arange(40) % 3, "p", "q")
    imputer = small(verbose=0).fit(frame, y)
    imputer.save(path)
    loaded = DeepImputer.load(path)
    assert loaded.get_params() == imputer.get_params()
    same(loaded.transform(frame), imputer.transform(frame))
    same(loaded.transform(frame, y), imputer.transform(frame, y))
    same(loaded.predict_dist(frame), imputer.predict_dist(frame))
    for a, b in zip(loaded.sample(frame, m=2), imputer.sample(frame, m=2)):
        same(a, b)
    assert loaded.score(frame) == imputer.score(frame)
    assert loaded.report_ == imputer.report_
    assert loaded.explain(9, "number") == imputer.explain(9, "number")
    same(loaded.importance(), imputer.importance())
    np.testing.assert_array_equal(loaded.loss_curve_, imputer.loss_curve_)
    np.testing.assert_array_equal(loaded.get_feature_names_out(), imputer.get_feature_names_out())


def test_what_is_loaded_goes_on_learning(tmp_path: Path) -> None:
    frame, path = everything(60), tmp_path / "imputer.safetensors"
    frame.loc[50:, "mixed"] = "later"
    frame.loc[50:, "text"] = "longer than all that were there before it, with many more words"
    imputer = small().fit(frame[:40])
    imputer.save(path)
    loaded = DeepImputer.load(path)
    for one in (imputer, loaded):
        one.partial_fit(frame[40:], steps=4)
    same(loaded.transform(frame), imputer.transform(frame))
    loaded.save(path)
    again = DeepImputer.load(path)
    same(again.transform(frame), imputer.transform(frame))
    assert again._model.n_seen == 60


def test_arrays_and_numbers_of_y_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X[::4, 1] = np.nan
    y = X[:, 0] * 2.5
    path = tmp_path / "imputer"
    imputer = small(priors=["kernel", "em"], mask="copy").fit(X, y)
    imputer.save(path)
    loaded = DeepImputer.load(path)
    np.testing.assert_array_equal(loaded.transform(X, y), imputer.transform(X, y))
    np.testing.assert_array_equal(loaded.transform(X), imputer.transform(X))
    assert not hasattr(loaded, "feature_names_in_")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    write(path, {"params": {}}, kind="SimpleImputer", version=1, classes=())
    with pytest.raises(ValueError, match="not a greyknn DeepImputer"):
        DeepImputer.load(path)
    path.write_bytes(b"PK\x03\x04 not one of ours")
    with pytest.raises(ValueError, match="other"):
        DeepImputer.load(path)
    with pytest.raises(OSError, match="none"):
        DeepImputer.load(tmp_path / "none")


def damaged(data: bytes) -> Iterator[bytes]:
    yield data[:-1]
    for place in np.linspace(0, len(data) - 1, 25).astype(int).tolist():
        yield data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def test_a_tampered_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "imputer"
    small(max_steps=1).fit(related(20)).save(path)
    for data in damaged(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="imputer"):
            DeepImputer.load(path)


def test_a_file_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "imputer"
    write(path, {"params": {}, "fitted": {}}, kind="DeepImputer", version=1, classes=())
    with pytest.raises(ValueError, match="does not hold a whole DeepImputer"):
        DeepImputer.load(path)


# --- a fit as a whole -------------------------------------------------------------------------


def test_holes_of_the_user_and_of_the_fit_do_not_coincide() -> None:
    """The same seed in both once left no cell to be judged by."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    X[rng.random(X.shape) < 0.2] = np.nan
    imputer = small(random_state=0).fit(X)
    assert all(one.n_cells > 10 for one in imputer.report_.values())


def test_a_fit_leaves_the_state_of_torch_and_numpy() -> None:
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    threads = torch.get_num_threads()
    small().fit(related(30))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_the_same_seed_gives_the_same_model_and_another_one_not() -> None:
    frame = related(40)
    weights = [
        small(random_state=seed).fit(frame)._model.network.state_dict() for seed in (0, 0, 1)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["body.0.weight"], weights[2]["body.0.weight"])


def test_of_a_large_table_some_rows_are_known_and_the_others_learnt_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(material, "TOGETHER", 60)
    monkeypatch.setattr(material, "REFERENCE", 25)
    values = table(100)
    settings = Settings(priors=("grey", "em"), members=2, hidden=8, max_steps=8)
    learnt = []

    def make_block(some: Any, *args: Any, **more: Any) -> Any:
        learnt.append(some)
        return kept(some, *args, **more)

    kept = material.make_block
    monkeypatch.setattr(material, "make_block", make_block)
    model = DeepModel.fit(settings, values, CATEGORICAL, LEVELS, np.ones(4, bool))
    known = {tuple(row) for row in np.nan_to_num(values[model.reference_rows]).tolist()}
    assert len(model.reference) == 25
    np.testing.assert_array_equal(model.reference, values[model.reference_rows])
    assert len(learnt) > 1
    for rows in learnt:
        assert not known & {tuple(row) for row in np.nan_to_num(rows).tolist()}
    assert np.isfinite(model.predict(values).outputs).all()


def test_priors_of_large_tables_do_not_know_what_is_learnt_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another value in a hidden cell of a block changes none of its priors."""
    monkeypatch.setattr(material, "TOGETHER", 60)
    monkeypatch.setattr(material, "REFERENCE", 25)
    values = table(100)
    known = laid_out(values)
    settings = Settings(priors=("grey", "kernel", "em"), members=2, hidden=8, max_steps=8)

    def judge(some: Any) -> Any:
        none = np.zeros((100, 0, 1), dtype=np.int64)
        return material.Material(settings, known, some, none, np.ones(100), np.arange(100))

    made = judge(values)
    rows = np.sort(made.rng.permutation(made.pool))
    assert len(made.judge.rows) == min(25, len(made.pool)) == 25
    other = values.copy()
    other[made.pool, 0] = other[made.pool, 0] * 0.5  # seen rows change, too, in a column
    changed = judge(other)
    hidden = made.judge.hidden[:, :, 0]
    assert torch.equal(changed.judge.hidden, made.judge.hidden)
    assert len(rows) == 75
    assert hidden.any()
    alone = made.judge.hidden[:, :, 0] | ~made.judge.rows.seen[:, 0]
    assert torch.equal(changed.judge.priors[alone], made.judge.priors[alone])
    assert not torch.equal(changed.judge.priors, made.judge.priors)
