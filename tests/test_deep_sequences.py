"""Series: interpolation, gaps and windows against loops, recurrent layers against torch's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from greyknn.deep.copies import draw_runs, make_block  # noqa: E402
from greyknn.deep.heldout import collect  # noqa: E402
from greyknn.deep.layout import Layout  # noqa: E402
from greyknn.deep.material import Settings  # noqa: E402
from greyknn.deep.model import DeepModel  # noqa: E402
from greyknn.deep.network import Network  # noqa: E402
from greyknn.deep.passages import FOLDS, Passages  # noqa: E402
from greyknn.deep.recurrent import Recurrent  # noqa: E402
from greyknn.deep.sequences import FARTHEST, Timeline, Windows, n_extras  # noqa: E402

SMALL = Settings(priors=("em", "time"), members=2, hidden=8, max_steps=20, cell="gru")
LENGTHS = (1, 7, 2, 30, 1, 18)


def table(lengths: tuple[int, ...] = LENGTHS, seed: int = 0, gaps: float = 0.4) -> tuple[Any, ...]:
    """Rows of two numbers and a category of three levels, not sorted; groups; irregular times."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(lengths)), lengths)
    times = np.concatenate([np.cumsum(rng.exponential(size=n) + 0.01) for n in lengths])
    wave = np.sin(times + groups)
    values = np.column_stack([wave, 5.0 - 3.0 * wave + 0.1 * times, (wave > 0) + (wave > 0.7)])
    values[rng.random(values.shape) < gaps] = np.nan
    order = rng.permutation(len(values))
    return values[order], groups[order], times[order]


def layout_of(values: Any) -> Layout:
    return Layout.fit(
        values, np.array([False, False, True]), np.array([0, 0, 3]), np.ones(3, dtype=bool)
    )


def fitted(values: Any, timeline: Timeline, settings: Settings = SMALL) -> DeepModel:
    categorical = np.array([False, False, True])
    return DeepModel.fit(
        settings, values, categorical, np.array([0, 0, 3]), np.ones(3, bool), timeline=timeline
    )


def neighbors(values: Any, groups: Any, times: Any, row: int, column: int) -> tuple[Any, Any]:
    """Rows before and after in time that observed a column of a series, by looking at all."""
    others = [
        other
        for other in range(len(values))
        if groups[other] == groups[row] and other != row and not np.isnan(values[other, column])
    ]
    before = [o for o in others if (times[o], o) < (times[row], row)]
    after = [o for o in others if (times[o], o) > (times[row], row)]
    return (
        max(before, key=lambda o: (times[o], o), default=None),
        min(after, key=lambda o: (times[o], o), default=None),
    )


@pytest.mark.parametrize("seed", range(4))
def test_numbers_are_interpolated_as_by_numpy(seed: int) -> None:
    values, groups, times = table(seed=seed)
    layout, timeline = layout_of(values), Timeline.of(groups, times)
    rows = layout.rows(values[timeline.order])
    lines = timeline.look(rows, layout, torch.full((layout.n_outputs,), 7.0))[0].numpy()
    dense = layout.rows(values).dense.numpy()
    for column in range(2):
        for place, row in enumerate(timeline.order):
            # Without the cell itself: what it holds must not matter.
            known = (groups == groups[row]) & ~np.isnan(values[:, column])
            known[row] = False
            some = np.flatnonzero(known)[np.argsort(times[known])]
            expected = 7.0
            if len(some):
                expected = np.interp(times[row], times[some], dense[some, column])
            assert lines[place, column] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_levels_share_by_distance_and_gaps_are_counted(seed: int) -> None:
    values, groups, times = table(seed=seed)
    times = np.round(times)  # rows of one time, too
    layout, timeline = layout_of(values), Timeline.of(groups, times)
    center = torch.tensor([0.0, 0.0, 0.2, 0.3, 0.5])
    rows = layout.rows(values[timeline.order])
    lines, extras = (part.numpy() for part in timeline.look(rows, layout, center))
    block, levels = layout.blocks[2], layout.codes_of(2)
    steps = [
        times[b] - times[a]
        for a, b in zip(timeline.order[:-1], timeline.order[1:], strict=True)
        if groups[a] == groups[b]
    ]
    unit = np.median([step for step in steps if step > 0])
    assert timeline.unit == unit
    for place, row in enumerate(timeline.order):
        before, after = neighbors(values, groups, times, row, 2)
        ends = [end for end in (before, after) if end is not None]
        expected = center.numpy()[block]
        if ends:
            away = [abs(times[end] - times[row]) for end in ends]
            shares = [1.0] if len(ends) == 1 else [0.5, 0.5]
            if len(ends) == 2 and sum(away) > 0:
                shares = [away[1] / sum(away), away[0] / sum(away)]
            expected = sum(
                share * (levels == values[end, 2]) for share, end in zip(shares, ends, strict=True)
            )
        np.testing.assert_allclose(lines[place, block], expected, atol=1e-6)
        for side, end in enumerate((before, after)):
            gap = np.inf if end is None else abs(times[end] - times[row]) / unit
            assert extras[place, 4 + side] == pytest.approx(min(np.log1p(gap) / 2, FARTHEST))


def test_slopes_and_steps_are_those_of_the_line() -> None:
    times = np.array([0.0, 2.0, 4.0, 8.0, 0.0])
    values = np.array([[1.0], [np.nan], [2.0], [4.0], [3.0]])
    layout = Layout.fit(values, np.zeros(1, bool), np.zeros(1, int), np.ones(1, bool))
    timeline = Timeline.of(np.array([0, 0, 0, 0, 1]), times)
    extras = timeline.look(layout.rows(values), layout, torch.zeros(1))[1].numpy()
    assert extras.shape == (5, n_extras(layout))
    scale = layout.scales[0]
    # Between the others: (2, 4), (1, 2), (1, 4), beyond the end nothing; a step is 2 long.
    expected = [0.0, 0.5 / scale, 3.0 / 4.0 / scale, 0.0, 0.0]
    np.testing.assert_allclose(extras[:, 2], expected, atol=1e-6)
    np.testing.assert_allclose(extras[:, 3], np.log1p([0, 1, 1, 2, 0]), atol=1e-6)


def test_what_is_constant_in_a_series_stays_so() -> None:
    _, groups, times = table()
    rng = np.random.default_rng(1)
    values = np.where(rng.random(len(groups)) < 0.5, groups * 10.0, np.nan)[:, None]
    layout = Layout.fit(values, np.zeros(1, bool), np.zeros(1, int), np.ones(1, bool))
    timeline = Timeline.of(groups, times)
    rows = layout.rows(values[timeline.order])
    lines = timeline.look(rows, layout, torch.full((1,), np.nan))[0].numpy()[:, 0]
    restored = lines * layout.scales + layout.centers
    told = ~np.isnan(restored)
    np.testing.assert_allclose(restored[told], groups[timeline.order][told] * 10.0, atol=1e-4)
    assert told.sum() > len(groups) / 2


@pytest.mark.parametrize("overlap", [0, 3, 4])
def test_windows_cover_each_row_once(overlap: int) -> None:
    _, groups, times = table((1, 10, 11, 57, 3, 200))
    timeline = Timeline.of(groups, times)
    windows = timeline.windows(10, overlap)
    kept = []
    for start, length, before, after in spans(windows):
        rows = np.arange(start, start + length)
        assert 1 <= length <= 10
        assert len(set(timeline.series[rows])) == 1
        kept += rows[before : length - after].tolist()
    assert sorted(kept) == list(range(len(groups)))
    assert (windows.rows() < len(groups)).all()
    long = timeline.series[windows.starts] == 5
    assert windows.lengths[long].min() >= 9  # of nearly equal length
    parts = windows.portions(25)
    assert sum(map(len, parts)) == len(windows)
    assert max(part.lengths.sum() for part in parts) <= 25


def spans(windows: Windows) -> Iterator[tuple[int, ...]]:
    return zip(
        windows.starts.tolist(), windows.lengths.tolist(), windows.before.tolist(),
        windows.after.tolist(), strict=True,
    )  # fmt: skip


def test_a_reading_goes_step_by_step() -> None:
    windows = Windows(
        np.array([5, 0, 20]), np.array([2, 4, 1]), np.array([1, 0, 0]), np.array([0, 1, 0])
    )
    reading = windows.reading()
    assert reading.sizes == [3, 2, 1, 1]
    assert reading.rows.tolist() == [0, 5, 20, 1, 6, 2, 3]
    assert reading.windows.tolist() == [1, 0, 2, 1, 0, 1, 1]
    assert reading.rows[reading.mirror].tolist() == [3, 6, 20, 2, 5, 1, 0]
    assert reading.rows[~reading.kept].tolist() == [5, 3]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_layers_are_those_of_torch(cell: str) -> None:
    """Each window and member by itself, through torch's module with the same weights."""
    members, width, hidden = 2, 3, 4
    layer = Recurrent(members, width, hidden, cell, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1.0, 1.0, generator=draw)
    windows = Windows(np.array([4, 0, 7]), np.array([3, 4, 1]), *np.zeros((2, 3), dtype=int))
    reading = windows.reading()
    inputs = torch.randn(members, 8, width, generator=draw)
    said = layer(inputs[:, reading.rows], reading)
    # torch: reset, update, new; input, forget, new, output.
    gates = {"gru": (0, 1, 2), "lstm": (0, 1, 3, 2)}[cell]
    order = torch.cat([torch.arange(hidden) + hidden * gate for gate in gates])
    for member in range(members):
        module = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](
            width, hidden, bidirectional=True, batch_first=True
        )
        weights = (layer.weight, layer.state_weight, layer.bias, layer.state_bias)
        with torch.no_grad():
            for direction in range(2):
                for name, weight in zip(module._all_weights[direction], weights, strict=True):
                    own = weight[member, direction][:, order].mT
                    target = getattr(module, name)
                    target.copy_(own.reshape(target.shape))
        for number, (start, length, *_) in enumerate(spans(windows)):
            expected = module(inputs[member, None, start : start + length])[0][0]
            torch.testing.assert_close(said[member, reading.windows == number], expected)


def test_members_and_windows_do_not_read_each_other() -> None:
    layer = Recurrent(2, 3, 4, "gru", torch.Generator().manual_seed(0))
    reading = Windows(np.array([0, 3]), np.array([3, 2]), *np.zeros((2, 2), dtype=int)).reading()
    inputs = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    said = layer(inputs, reading)
    mine = reading.windows == 1
    said[0, mine].sum().backward()
    assert (inputs.grad[0, mine] != 0).all()
    assert not inputs.grad[0, ~mine].any()
    assert not inputs.grad[1].any()


def test_runs_stay_in_their_series() -> None:
    lengths = (3, 400, 5, 300)
    timeline = Timeline.of(np.repeat(np.arange(4), lengths), np.arange(708.0))
    generator = torch.Generator().manual_seed(0)
    holes = torch.stack([draw_runs(timeline, 3, generator) for _ in range(20)]).numpy()
    assert 0.1 < holes.mean() < 0.4
    edges = np.flatnonzero(np.diff(timeline.series)) + 1
    for copy in holes:
        for column in copy.T:
            begins = np.flatnonzero(np.diff(column.astype(int), prepend=0) == 1)
            ends = np.flatnonzero(np.diff(column.astype(int), append=0) == -1) + 1
            for begin, end in zip(begins, ends, strict=True):
                # Shorter than three only where the series ends.
                assert end - begin >= 3 or end in (*edges, len(column))
    # At the start of a series as often as elsewhere: nothing comes over from the one before.
    assert holes[:, 3].mean() < 0.6 * holes[:, 100:300].mean()


@pytest.mark.parametrize("copy", [0, 1])
def test_a_hidden_value_changes_nothing_that_is_read(copy: int) -> None:
    values, groups, times = table((25, 40, 3), gaps=0.1)
    timeline = Timeline.of(groups, times)
    values, layout = values[timeline.order], layout_of(values)

    def block(values: Any) -> Any:
        return make_block(
            values, layout, ("grey", "em", "time"), n_copies=2, mask="mcar",
            folds=torch.zeros(values.shape, dtype=torch.int8),
            texts=torch.zeros(len(values), 0, 1, dtype=torch.int64),
            weight=torch.ones(len(values)), generator=torch.Generator().manual_seed(3),
            timeline=timeline,
        )  # fmt: skip

    first = block(values)
    hidden = first.hidden[copy].numpy()
    assert hidden.sum() > 10
    other = values.copy()
    other[:, :2][hidden[:, :2]] += 2.0
    other[:, 2] = np.where(hidden[:, 2], 2.0 - values[:, 2], values[:, 2])
    second = block(other)
    torch.testing.assert_close(second.hidden, first.hidden)
    assert torch.equal(second.priors[copy], first.priors[copy])
    assert torch.equal(second.extras[copy], first.extras[copy])
    assert not torch.equal(second.priors[1 - copy], first.priors[1 - copy])


def test_the_order_of_rows_does_not_matter() -> None:
    values, groups, times = table()
    order = np.random.default_rng(5).permutation(len(values))
    predictions = []
    for some in (np.arange(len(values)), order):
        timeline = Timeline.of(groups[some], times[some])
        model = fitted(values[some], timeline)
        predictions.append(model.predict(values[some], timeline=timeline))
    np.testing.assert_array_equal(predictions[1].outputs, predictions[0].outputs[order])
    np.testing.assert_array_equal(predictions[1].scales, predictions[0].scales[order])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_series_is_filled_from_itself_alone(cell: str) -> None:
    values, groups, times = table((30, 20, 300))
    model = fitted(values, Timeline.of(groups, times), Settings(**{**vars(SMALL), "cell": cell}))
    # All that counts is the network, and it looks at everything.
    model.verdict.shares[:] = np.eye(3)[0]
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.normal_(0.0, 0.3, generator=draw)
    whole = model.predict(values, timeline=Timeline.of(groups, times)).outputs
    for group in range(3):
        some = groups == group
        # As a series that fit has not seen, and with another's rows removed.
        alone = replace(Timeline.of(groups[some] + 7, times[some]), unit=50.0)  # fit's counts
        said = model.predict(values[some], timeline=alone).outputs
        np.testing.assert_allclose(said, whole[some], atol=1e-4)


def test_series_of_all_kinds_are_filled() -> None:
    values, groups, times = table((1, 1, 40, 3), gaps=0.2)
    values[groups == 3] = np.nan
    values[groups == 2, 0] = 1.0
    timeline = Timeline.of(groups, times)
    model = fitted(values, timeline)
    said = model.predict(values, timeline=timeline)
    assert np.isfinite(said.outputs).all()
    assert np.isfinite(said.scales).all()
    np.testing.assert_allclose(said.outputs[:, model.layout.blocks[2]].sum(1), 1.0, atol=1e-5)
    assert np.isfinite(model.predict(values).outputs).all()  # every row by itself


def test_large_tables_are_learnt_from_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greyknn.deep.passages.TOGETHER", 100)
    values, groups, times = table((300, 40, 1, 1))
    timeline = Timeline.of(groups, times)
    model = fitted(values, timeline)
    said = model.predict(values, timeline=timeline)
    assert np.isfinite(said.outputs).all()
    assert model.history.steps[-1] == 20


def test_cells_that_all_members_learn_from_are_not_judged() -> None:
    values, groups, times = table((50, 30))
    timeline = Timeline.of(groups, times)
    values = values[timeline.order]
    material = Passages(
        SMALL, layout_of(values), values, np.zeros((80, 0, 1), dtype=np.int64), np.ones(80),
        timeline.order, timeline,
    )  # fmt: skip
    network = Network(material.layout, material.shape(), torch.Generator().manual_seed(0))
    judged = collect(network, material.layout, material.judge)
    folds = material.judge.folds[torch.from_numpy(judged.rows)].numpy()
    assert folds.max() == FOLDS - 1
    assert set(folds[judged.hidden]) == {0, 1}


@pytest.mark.jit
def test_what_is_learnt_beats_interpolation() -> None:
    rng = np.random.default_rng(0)
    steps, phases = np.arange(60), rng.uniform(0, 2 * np.pi, (24, 1))
    wave = np.sin(2 * np.pi * steps / 9 + phases)
    noise = 0.05 * rng.normal(size=(24, 60, 3))
    full = np.stack([wave, np.cos(2 * np.pi * steps / 9 + phases), np.abs(wave)], -1) + noise
    full = full.reshape(-1, 3)
    groups, times = np.repeat(np.arange(24), 60), np.tile(steps.astype(float), 24)
    hidden = rng.random(full.shape) < 0.4
    values = np.where(hidden, np.nan, full)
    timeline = Timeline.of(groups, times)
    settings = Settings(**{**vars(SMALL), "hidden": 24, "max_steps": 120, "lr": 1e-2})
    model = DeepModel.fit(
        settings, values, np.zeros(3, bool), np.zeros(3, int), np.ones(3, bool), timeline=timeline
    )
    layout = model.layout
    said = model.predict(values, timeline=timeline).outputs * layout.scales + layout.centers
    rows = layout.rows(values)
    lines = timeline.look(rows, layout, torch.zeros(3))[0].numpy() * layout.scales + layout.centers

    def error(filled: Any) -> float:
        return float(np.sqrt(((filled - full)[hidden] ** 2).mean()))

    assert error(said) < 0.8 * error(lines)


def test_interpolation_needs_series() -> None:
    values = table()[0]
    with pytest.raises(ValueError, match="there are no series: name the columns"):
        DeepModel.fit(SMALL, values, np.zeros(3, bool), np.zeros(3, int), np.ones(3, bool))


def test_a_time_that_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="2 have none, the first at position 1"):
        Timeline.of(np.zeros(4, dtype=int), np.array([0.0, np.nan, 1.0, np.inf]))
