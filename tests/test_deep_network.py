"""The deep imputer's network and how it learns, against loops over members, rows and cells."""

from __future__ import annotations

import datetime as dt
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deep_tables import (  # noqa: E402
    CATEGORICAL,
    LEVELS,
    ORDERED,
    block_of,
    first_outputs,
    generator,
    laid_out,
    table,
)
from greyknn.deep import training  # noqa: E402
from greyknn.deep.layout import Layout  # noqa: E402
from greyknn.deep.network import (  # noqa: E402
    PERIODS,
    Batch,
    Calendar,
    Embedded,
    Network,
    Packed,
    Periodic,
    Shape,
    dropped,
)
from greyknn.deep.training import (  # noqa: E402
    Schedule,
    Trainer,
    batch_of,
    drawn,
    held_out_loss,
    losses,
    pieces,
    spread_loss,
)

pytestmark = pytest.mark.jit

MEMBERS = 3


def shape_of(known: Layout, **more: Any) -> Shape:
    asked = {"members": MEMBERS, "hidden": 8, "n_priors": 1, "n_embeddings": known.n_embeddings}
    return Shape(**{**asked, **more})


def network_of(known: Layout, seed: int = 0, **more: Any) -> Network:
    return Network(known, shape_of(known, **more), generator(seed))


def stirred(network: Network, seed: int = 1) -> Network:
    """With weights everywhere, none of them what it starts as."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(seed))
    return network


def whole(block: Any, known: Layout) -> Batch:
    """All rows of the first copy, for all members."""
    rows = torch.arange(len(block.rows)).expand(MEMBERS, -1)
    return batch_of(block, torch.zeros_like(rows), rows, known)[0]


# --- layers -----------------------------------------------------------------------------------


def test_packed_layers_are_a_loop_of_linear_ones() -> None:
    layer = Packed(MEMBERS, 5, 4, generator())
    with torch.no_grad():
        layer.bias += torch.randn(layer.bias.shape, generator=generator(1))
    inputs = torch.randn(MEMBERS, 7, 5, generator=generator(2))
    for k, outputs in enumerate(layer(inputs)):
        expected = torch.nn.functional.linear(inputs[k], layer.weight[k].T, layer.bias[k, 0])
        torch.testing.assert_close(outputs, expected)
    assert layer.weight.abs().max() <= 5**-0.5
    assert not Packed(MEMBERS, 5, 4, None).weight.any()


def test_embeddings_are_looked_up_by_member_and_category() -> None:
    sizes = (3, 5)
    layer = Embedded(MEMBERS, sizes, 2, generator())
    places = torch.tensor([[[0, 0], [2, 4], [1, 3]]]).expand(MEMBERS, -1, -1)
    found = layer(places)
    for k in range(MEMBERS):
        for row, (a, b) in enumerate(places[k].tolist()):
            expected = [*layer.table[k, a].tolist(), *layer.table[k, 3 + b].tolist()]
            assert found[k, row].tolist() == expected


def test_numbers_are_embedded_by_waves() -> None:
    layer = Periodic(MEMBERS, 2, generator())
    numbers = torch.tensor([[[0.5, -1.0], [3.0, 0.0]]]).expand(MEMBERS, -1, -1)
    found = layer(numbers).view(MEMBERS, 2, 2, -1)
    for k in range(MEMBERS):
        for row in range(2):
            for d in range(2):
                turns = [2 * math.pi * f * float(numbers[k, row, d])
                         for f in layer.frequencies[k, 0, d].tolist()]  # fmt: skip
                waves = [math.sin(t) for t in turns] + [math.cos(t) for t in turns]
                expected = np.array(waves) @ layer.weight[k, d].detach().numpy()
                np.testing.assert_allclose(
                    found[k, row, d].detach(), np.maximum(expected, 0.0), atol=1e-5
                )


def stamps(*when: dt.datetime) -> list[float]:
    return [each.replace(tzinfo=dt.UTC).timestamp() for each in when]


def test_dates_have_their_phases_of_year_week_and_day() -> None:
    start = dt.datetime(2021, 3, 1, 7, 30)
    week, year = dt.timedelta(days=7), dt.timedelta(days=365, seconds=0.2425 * 86400)
    seconds = stamps(start, start + week, start + year, start + dt.timedelta(hours=5))
    seconds += np.random.default_rng(0).uniform(-1e9, 2e9, 40).tolist()  # decades apart
    values = np.column_stack([np.arange(44.0), seconds])
    none = np.zeros(2, bool)
    known = Layout.fit(values, none, np.zeros(2, int), ~none, dates=np.array([False, True]))
    calendar = Calendar(known)
    rows = known.rows(values)
    waves = calendar(rows.dense[None], rows.seen[None])[0]
    for row, second in enumerate(seconds):
        turns = [second / period for period in PERIODS]
        expected = [f(2 * math.pi * t) for f in (math.sin, math.cos) for t in turns]
        np.testing.assert_allclose(waves[row], expected, atol=2e-2)
    by_wave = waves.view(-1, 2, 3)
    torch.testing.assert_close(by_wave[1, :, 1:], by_wave[0, :, 1:], atol=2e-2, rtol=0)
    torch.testing.assert_close(by_wave[2, :, 0], by_wave[0, :, 0], atol=2e-2, rtol=0)
    assert (by_wave[3, :, 2] - by_wave[0, :, 2]).abs().max() > 0.5
    hidden = rows.seen.clone()
    hidden[::2, 1] = False
    assert not calendar(rows.dense[None], hidden[None])[0, ::2].any()
    assert calendar(rows.dense[None], hidden[None])[0, 1::2].any(1).all()


def test_dropout_keeps_the_mean_and_leaves_the_global_generator() -> None:
    x = torch.ones(200, 500)
    before = torch.get_rng_state()
    out = dropped(x, 0.25, generator())
    assert torch.equal(torch.get_rng_state(), before)
    assert abs((out == 0).float().mean() - 0.25) < 0.01
    assert out.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert dropped(x, 0.25, None) is x


# --- the network ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("n_priors", [0, 1, 2, 3])
def test_at_the_first_step_the_network_says_what_priors_say(n_priors: int, depth: int) -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known, ("grey", "kernel", "em")[:n_priors])
    network = network_of(known, n_priors=n_priors, depth=depth)
    batch = whole(block, known)
    mean = torch.zeros_like(batch.dense)
    if n_priors:
        mean = first_outputs(batch.priors, known.n_numbers)
    for noise in (None, generator()):
        outputs, logs = network(batch, noise)
        torch.testing.assert_close(outputs, mean, atol=1e-6, rtol=0)
        assert not logs.any()


def test_members_have_nothing_in_common() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    network = stirred(network_of(known))
    batch = whole(block, known)
    before, spread = network(batch)
    assert (before[0] - before[1]).abs().max() > 0.01
    other = batch._replace(dense=batch.dense.clone(), priors=batch.priors.clone())
    other.dense[1] += 1.0
    other.priors[1] -= 1.0
    after, later = network(other)
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert torch.equal(later[[0, 2]], spread[[0, 2]])
    assert not torch.equal(after[1], before[1])
    after[1].sum().backward()
    for parameter in network.parameters():
        if parameter.grad is not None:
            assert not parameter.grad[[0, 2]].any()


def test_the_network_reads_nothing_of_what_is_hidden() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    other = values.copy()
    holes = np.zeros(values.shape, dtype=bool)
    holes[:, known.columns] = block.hidden[0].numpy()
    other[holes & ~CATEGORICAL] = 1e5
    other[holes & CATEGORICAL] = 0.0
    changed = SimpleNamespace(**{**vars(block), "rows": known.rows(other)})
    network = stirred(network_of(known))
    assert torch.equal(network(whole(changed, known))[0], network(whole(block, known))[0])
    assert not torch.equal(changed.rows.dense, block.rows.dense)


def test_spreads_teach_the_means_nothing() -> None:
    values = table()
    known = laid_out(values)
    network = stirred(network_of(known))
    batch = whole(block_of(values, known), known)
    outputs, logs = network(batch)
    truth, weights = torch.zeros_like(outputs), torch.ones(MEMBERS, len(values), known.n_cells)
    spread_loss(known, outputs, logs, truth, weights).sum().backward()
    told = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert told == {"spread.weight", "spread.bias"}


# --- losses and batches -----------------------------------------------------------------------


def test_losses_are_sums_over_cells() -> None:
    values = table(12)
    known = laid_out(values)
    truth = known.rows(values).dense.expand(MEMBERS, -1, -1)
    outputs = torch.randn(truth.shape, generator=generator())
    logs = 4.0 * torch.randn(MEMBERS, 12, 2, generator=generator(1))
    weights = torch.rand(MEMBERS, 12, 4, generator=generator(2))
    weights *= known.rows(values).told
    for k in range(MEMBERS):
        loss = spread = 0.0
        for row in range(12):
            for cell, block in enumerate(known.blocks):
                w = float(weights[k, row, cell])
                said, true = outputs[k, row, block].tolist(), truth[k, row, block].tolist()
                if cell < 2:
                    loss += w * (said[0] - true[0]) ** 2
                    log = min(max(float(logs[k, row, cell]), -5.0), 3.0)
                    z = (said[0] - true[0]) / math.exp(log)
                    spread += w * (log + z * z / 2)
                elif w:
                    powers = [math.exp(4.0 * x) for x in said]
                    loss -= w * math.log(powers[true.index(1.0)] / sum(powers))
        assert losses(known, outputs, truth, weights)[k].item() == pytest.approx(loss, rel=1e-5)
        found = spread_loss(known, outputs, logs, truth, weights)[k].item()
        assert found == pytest.approx(spread, rel=1e-5)


def test_batches_are_rows_of_copies_without_their_holes() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    copies = torch.tensor([[0, 2], [1, 1], [2, 0]])
    rows = torch.tensor([[5, 5], [0, 39], [7, 20]])
    batch, hidden = batch_of(block, copies, rows, known)
    for k in range(3):
        for place in range(2):
            c, r = int(copies[k, place]), int(rows[k, place])
            holes = block.hidden[c, r]
            bare = values[[r]].copy()
            bare[0, known.columns[holes.numpy()]] = np.nan
            expected = known.rows(bare)
            assert torch.equal(hidden[k, place], holes)
            assert torch.equal(batch.dense[k, place], expected.dense[0])
            assert torch.equal(batch.embeds[k, place], expected.embeds[0])
            assert torch.equal(batch.seen[k, place], expected.seen[0])
            assert torch.equal(batch.priors[k, place], block.priors[c, r])


def test_draws_are_fair_and_keep_to_what_is_to_be_drawn() -> None:
    values = table(10)
    block = block_of(values, laid_out(values))
    copies, rows, _ = drawn(block, 500, 64, generator())
    assert rows.shape == copies.shape == (500, 10)  # no more than there are rows
    assert abs(rows.float().mean() - 4.5) < 0.2
    assert set(copies.unique().tolist()) == {0, 1, 2}
    often = SimpleNamespace(**{**vars(block), "drawn": torch.tensor([1, 1, 1, 4])})
    rows = drawn(often, 500, 64, generator())[1]
    assert abs((rows == 1).float().mean() - 0.75) < 0.03
    assert set(rows.unique().tolist()) == {1, 4}


@pytest.mark.parametrize("most", [1, 3000, 10**7])
def test_pieces_are_all_rows_of_all_copies_once(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MOST_CELLS", most)
    values = table()
    known = laid_out(values)
    found = []
    for copies, rows, reading in pieces(block_of(values, known), MEMBERS, known):
        assert reading is None
        assert (rows == rows[0]).all()
        found += zip(copies[0].tolist(), rows[0].tolist())
    assert sorted(found) == [(c, r) for c in range(3) for r in range(40)]


class Fake:
    """A network whose members say the priors and their own number."""

    def __init__(self, members: int, n_numbers: int) -> None:
        self.shape, self.n_numbers = SimpleNamespace(members=members), n_numbers

    def __call__(self, batch: Batch) -> tuple[Any, Any]:
        member = torch.arange(self.shape.members)[:, None, None]
        outputs = batch.priors[:, :, 0] + member
        logs = torch.zeros_like(outputs[..., : self.n_numbers]) + member / 2
        return outputs, logs


def test_the_held_out_loss_is_that_of_each_members_own_cells() -> None:
    values = table()
    known = laid_out(values, targets=np.array([True, True, False, True]))
    block = block_of(values, known)  # of four folds; here there are three members
    found = held_out_loss(Fake(MEMBERS, 2), known, block, torch.from_numpy(known.targets))
    for k in range(MEMBERS):
        costs = []
        for c in range(3):
            for r in range(40):
                for cell in (0, 2, 3):
                    own = block.hidden[c, r, cell] and block.rows.told[r, cell]
                    if not own or block.folds[r, cell] != k:
                        continue
                    said = (block.priors[c, r, 0, known.blocks[cell]] + k).tolist()
                    true = block.rows.dense[r, known.blocks[cell]].tolist()
                    if cell == 0:
                        costs.append((said[0] - true[0]) ** 2)
                    else:
                        powers = [math.exp(4 * x) for x in said]
                        costs.append(-math.log(powers[true.index(1.0)] / sum(powers)))
        assert len(costs) > 5
        assert found[k].item() == pytest.approx(np.mean(costs), rel=1e-4)


# --- training ---------------------------------------------------------------------------------


def quiet(*_: Any) -> None:
    """Report nothing."""


def schedule_of(steps: int, **more: Any) -> Schedule:
    asked = {"batch_size": 16, "lr": 1e-2, "weight_decay": 0.06, "patience": 99}
    return Schedule(steps, **{**asked, **more})


def trainer_of(known: Layout, schedule: Schedule, kind: Any = Trainer, **more: Any) -> Any:
    network = network_of(known, **more)
    counts = torch.linspace(0.5, 2.0, known.n_outputs)
    return kind(network, known, schedule, generator(3), counts)


def forever(block: Any) -> Any:
    while True:
        yield block


def test_a_member_learns_nothing_from_the_cells_of_its_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other values in hidden cells of fold 1 change members 0 and 2, and not a bit of member 1."""
    values = table()
    known = laid_out(values)
    block = block_of(values, known, n_copies=1)
    other = values.copy()
    own = (block.hidden[0] & (block.folds == 1)).numpy()
    holes = np.zeros(values.shape, dtype=bool)
    holes[:, known.columns] = own
    other[holes & ~CATEGORICAL] = 1.0
    other[holes & CATEGORICAL] = 1.0 - other[holes & CATEGORICAL].clip(max=1)
    assert own.sum() > 5
    changed = SimpleNamespace(**{**vars(block), "rows": known.rows(other)})
    learnt = []
    for learn_from in (block, changed):
        scripted(monkeypatch, [[1.0 / look] * MEMBERS for look in range(1, 5)])
        trainer = trainer_of(known, schedule_of(6))
        trainer.run(forever(learn_from), 0, block, quiet)
        learnt.append(dict(trainer.network.named_parameters()))
    for name, before in learnt[0].items():
        after = learnt[1][name]
        assert torch.equal(after[1], before[1]), name
    for member in (0, 2):
        assert not torch.equal(learnt[0]["head.weight"][member], learnt[1]["head.weight"][member])
    untrained = dict(network_of(known).named_parameters())
    assert not torch.equal(learnt[0]["head.weight"][1], untrained["head.weight"][1])


def test_a_cell_counts_as_its_row_and_its_level_do() -> None:
    values = table()
    known = laid_out(values, targets=np.array([True, True, True, False]))
    counts = torch.rand(known.n_outputs, generator=generator(5)) + 0.5
    block = block_of(values, known, weight=torch.linspace(0, 2, 40))
    network = network_of(known)
    trainer = Trainer(network, known, schedule_of(1), generator(), counts)
    rows = torch.arange(40).expand(MEMBERS, -1)
    hidden = block.hidden[0].expand(MEMBERS, -1, -1)
    truth = block.rows.dense[rows]
    found = trainer._weights(block, rows, hidden, truth)
    n_counted = 0
    for k in range(MEMBERS):
        for r in range(40):
            for cell in range(4):
                counted = (
                    block.hidden[0, r, cell] and block.rows.told[r, cell] and cell != 3
                    and block.folds[r, cell] != k
                )  # fmt: skip
                expected = 0.0
                if counted:
                    n_counted += 1
                    expected = float(block.weight[r])
                    if cell == 2:
                        level = block.rows.dense[r, known.blocks[2]].tolist().index(1.0)
                        expected *= float(counts[known.blocks[2].start + level])
                assert found[k, r, cell].item() == pytest.approx(expected)
    assert n_counted > 20


class Recording(Trainer):
    """Keeps the parameters after each step."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.steps = [[p.detach().clone() for p in self.network.parameters()]]

    def _step(self, block: Any, step: int) -> None:
        super()._step(block, step)
        self.steps.append([p.detach().clone() for p in self.network.parameters()])


def scripted(monkeypatch: pytest.MonkeyPatch, script: Any) -> list[Any]:
    """Let looks find these losses (n_looks, n_members); returns the parameters looked at."""
    seen: list[Any] = []

    def loss(network: Any, *_: Any) -> Any:
        seen.append([p.detach().clone() for p in network.parameters()])
        return torch.tensor(script[min(len(seen), len(script)) - 1])

    monkeypatch.setattr(training, "held_out_loss", loss)
    monkeypatch.setattr(training, "EVERY", 2)
    return seen


def test_the_best_running_mean_of_each_member_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[3.0, 3.0, 1.0], [2.0, 2.5, 2.0], [1.0, 2.4, 3.0], [2.0, 2.3, 4.0], [1.5, 1.0, 9.0],
              [1.2, 1.1, 9.0]]  # fmt: skip
    values = table()
    known = laid_out(values)
    looked_at = scripted(monkeypatch, script)
    trainer = trainer_of(known, schedule_of(10), Recording)
    history = trainer.run(forever(block_of(values, known)), 0, None, quiet)
    assert history.steps == [0, 2, 4, 6, 8, 10]
    np.testing.assert_allclose(history.losses, np.mean(script, axis=1))
    for place, parameter in enumerate(trainer.network.parameters()):
        mean = trainer.steps[0][place]
        for step in range(10):
            if step % 2 == 0:
                torch.testing.assert_close(looked_at[step // 2][place], mean)
            keep = min(0.98, (1 + step) / (10 + step))
            mean = keep * mean + (1 - keep) * trainer.steps[step + 1][place]
        for member, look in enumerate((2, 4, 0)):
            assert torch.equal(parameter[member], looked_at[look][place][member])
    assert not torch.equal(looked_at[0][0], looked_at[4][0])


def test_training_goes_on_from_the_weights_and_not_their_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = table()
    known = laid_out(values)
    ends = []
    for every in (2, 5):
        scripted(monkeypatch, [[1.0] * MEMBERS])
        monkeypatch.setattr(training, "EVERY", every)
        trainer = trainer_of(known, schedule_of(10), Recording)
        trainer.run(forever(block_of(values, known)), 0, None, quiet)
        ends.append(trainer.steps[-1])
    assert all(torch.equal(a, b) for a, b in zip(*ends))


def test_many_small_gains_are_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[1.0 - 6e-5 * look] * MEMBERS for look in range(6)]
    values = table()
    known = laid_out(values)
    looked_at = scripted(monkeypatch, script)
    trainer = trainer_of(known, schedule_of(10))
    trainer.run(forever(block_of(values, known)), 0, None, quiet)
    for place, parameter in enumerate(trainer.network.parameters()):
        assert torch.equal(parameter, looked_at[4][place])


@pytest.mark.parametrize(
    ("script", "last"),
    [
        ([1.0], 26),  # of 40 steps 20, 22, 24 and 26 are idle
        ([1.0] * 11 + [0.5], 30),  # at 22 there is a better one
        ([9.0 - look / 9 for look in range(21)], 40),
    ],
)
def test_patience_counts_from_half_of_the_steps_on(
    script: list[float], last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = table()
    known = laid_out(values)
    scripted(monkeypatch, [[loss] * MEMBERS for loss in script])
    trainer = trainer_of(known, schedule_of(40, patience=4))
    history = trainer.run(forever(block_of(values, known)), 0, None, quiet)
    assert history.steps == list(range(0, last + 1, 2))
    assert not history.broken


def test_one_member_that_gets_better_is_enough_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    values = table()
    known = laid_out(values)
    scripted(monkeypatch, [[1.0, 1.0, 1.0 - look / 50] for look in range(21)])
    trainer = trainer_of(known, schedule_of(40, patience=1))
    assert trainer.run(forever(block_of(values, known)), 0, None, quiet).steps[-1] == 40


def test_a_loss_that_is_no_number_ends_training_with_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = table()
    known = laid_out(values)
    looked_at = scripted(monkeypatch, [[2.0] * 3, [1.0] * 3, [0.5, math.nan, 0.5]])
    trainer = trainer_of(known, schedule_of(40))
    history = trainer.run(forever(block_of(values, known)), 0, None, quiet)
    assert history.broken
    assert history.steps == [0, 2, 4]
    assert math.isinf(history.losses[-1])
    for place, parameter in enumerate(trainer.network.parameters()):
        assert torch.equal(parameter[1], looked_at[1][place][1])
        assert torch.equal(parameter[0], looked_at[2][place][0])


def test_a_rate_that_breaks_everything_leaves_the_priors() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    trainer = trainer_of(known, schedule_of(40, lr=1e30))
    assert trainer.run(forever(block), 0, block, quiet).broken
    batch = whole(block, known)
    expected = first_outputs(batch.priors, known.n_numbers)
    torch.testing.assert_close(trainer.network(batch)[0], expected)


def test_training_ends_when_time_is_up() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    trainer = trainer_of(known, schedule_of(40, until=0.0))
    reports: list[Any] = []
    history = trainer.run(forever(block), 0, block, lambda *facts: reports.append(facts))
    assert history.steps == [0]
    assert reports == [(0, 40, history.losses[0])]


class Rated(Trainer):
    """Keeps the rate of each step."""

    def _step(self, block: Any, step: int) -> None:
        self.used = [*getattr(self, "used", []), self.optimizer.param_groups[0]["lr"]]
        super()._step(block, step)


@pytest.mark.parametrize("steps", [0, 1, 2, 8, 9, 10, 19, 60])
def test_the_rate_rises_in_a_tenth_of_the_steps_and_falls_to_nothing(steps: int) -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    trainer = trainer_of(known, schedule_of(steps, lr=0.01), Rated)
    trainer.run(forever(block), 0, block, quiet)
    used = getattr(trainer, "used", [])
    assert len(used) == steps
    left = [group["lr"] for group in trainer.optimizer.param_groups]
    if steps > 1:
        top = int(np.argmax(used))
        assert used[top] == pytest.approx(0.01, rel=0.02)
        assert abs(top - max(0.1 * steps, 1)) <= 1
        assert (np.diff(used[: top + 1]) > 0).all()
        assert (np.diff(used[top:]) < 0).all()
        assert max(left) < 0.01 * 1e-4


def test_a_constant_rate_stays() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    trainer = trainer_of(known, schedule_of(10, lr=0.002, constant=True), Rated)
    trainer.run(forever(block), 0, block, quiet)
    assert trainer.used == [0.002] * 10


def test_only_weights_decay() -> None:
    known = laid_out(table())
    trainer = trainer_of(known, schedule_of(10, weight_decay=0.5))
    decays = {
        id(p): group["weight_decay"]
        for group in trainer.optimizer.param_groups
        for p in group["params"]
    }
    for name, parameter in trainer.network.named_parameters():
        assert decays[id(parameter)] == (0.0 if name.endswith("bias") or name == "mix" else 0.5)


def test_so_many_steps_are_learnt_from_a_block() -> None:
    values = table()
    known = laid_out(values)
    block = block_of(values, known)
    asked: list[int] = []

    def blocks() -> Any:
        while True:
            asked.append(len(asked))
            yield block

    trainer = trainer_of(known, schedule_of(10))
    trainer.run(blocks(), 4, block, quiet)
    assert len(asked) == 3


def test_noise_is_added_to_numbers_that_are_seen_and_not_to_dates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a date within some years, it would take the day of the week away."""
    values = table()
    none = np.zeros(4, bool)
    known = Layout.fit(
        values, CATEGORICAL, LEVELS, ~none, ORDERED, dates=np.array([False, False, True, False])
    )
    block = block_of(values, known)
    trainer = trainer_of(known, schedule_of(1))
    given, asked = [], []
    network, batch = trainer.network.forward, training.batch_of

    def spy(batch: Any, *more: Any) -> Any:
        asked.append(batch)
        return network(batch, *more)

    def spied(*args: Any) -> Any:
        given.append(batch(*args))
        return given[-1]

    monkeypatch.setattr(trainer.network, "forward", spy)
    monkeypatch.setattr(training, "batch_of", spied)
    trainer._step(block, 0)
    noise = asked[0].dense - given[0][0].dense
    seen = given[0][0].seen
    assert not noise[..., 1:].any()
    assert not noise[..., 0][~seen[..., 0]].any()
    assert noise[..., 0][seen[..., 0]].std().item() == pytest.approx(training.NOISE, rel=0.4)


def test_training_restores_what_it_was_not_told() -> None:
    """On a curve that no prior knows, every member beats them on the cells it never saw."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 300)
    values = np.column_stack([x, np.cos(2 * x) + 0.05 * rng.normal(size=300)])
    none = np.zeros(2, bool)
    known = Layout.fit(values, none, np.zeros(2, int), np.array([False, True]))
    block = block_of(values, known, ("em",), n_copies=4)
    trainer = trainer_of(known, schedule_of(150, batch_size=64), hidden=16, n_embeddings=())
    history = trainer.run(forever(block), 0, block, quiet)
    found = held_out_loss(trainer.network, known, block, torch.from_numpy(known.targets))
    torch.testing.assert_close(found, trainer.least)
    # A fifth of the rows lack x as well, and there is nothing to be said about them.
    assert min(history.losses) < 0.35 * history.losses[0]
