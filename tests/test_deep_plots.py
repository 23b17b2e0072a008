"""Pictures of a deep imputer: what is drawn is what was learnt and filled."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.colors import same_color
from sklearn.exceptions import NotFittedError

from greyknn import DeepImputer
from greyknn.deep import calibration, plots
from greyknn.deep.heldout import HeldOut, judge_columns
from greyknn.deep.layout import Layout
from greyknn.style import PALE, VERMILION
from greyknn.table import Coded, Column, Schema


def table(n_rows: int = 90, share: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    t = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "mass$": 10 * t + rng.normal(size=n_rows),
            "kind": np.where(t > 0, "sea", "land").astype(object),
            "when": pd.Timestamp("2020-05-01") + pd.to_timedelta((t * 50).round(), "D"),
            "note": [f"a note of row {row}" for row in range(n_rows)],
            "whole": t,
        }
    )
    for name in ("mass$", "kind", "when", "note"):
        frame.loc[rng.random(n_rows) < share, name] = None
    return frame


@pytest.fixture(scope="module")
def fitted() -> DeepImputer:
    return DeepImputer(priors=["em"], members=2, hidden=8, max_steps=40, device="cpu").fit(table())


def saves(figure: Any, folder: Path) -> bool:
    """Whether it can be drawn, without pyplot."""
    figure.savefig(folder / "picture.png", dpi=40)
    return figure.canvas.manager is None and (folder / "picture.png").stat().st_size > 0


def titled(figure: Any) -> dict[str, Any]:
    return {axes.get_title(loc="left"): axes for axes in figure.findobj(match=Axes)}


def panel(figure: Any, begins: str) -> Any:
    [axes] = [axes for title, axes in titled(figure).items() if title.startswith(begins)]
    return axes


def words(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


# --- calibration ------------------------------------------------------------------------------


def test_reliability_counts_what_is_in_each_bin() -> None:
    sure = np.array([0.01, 0.5, 0.51, 0.98, 1.0])
    right = np.array([False, True, False, True, True])
    counts, sums, hits = calibration.reliability(sure, right)
    expected = np.zeros((3, calibration.BINS))
    for one, ok in zip(sure, right):
        place = min(int(one * calibration.BINS), calibration.BINS - 1)
        expected[:, place] += [1, one, ok]
    np.testing.assert_allclose([counts, sums, hits], expected)
    # Bins of 0.01 | 0.5, 0.51 | 0.98, 1.0.
    assert calibration.expected_error(np.stack([counts, sums, hits])) == pytest.approx(
        (0.01 + abs(1 - 1.01) + abs(2 - 1.98)) / 5
    )
    assert calibration.expected_error(np.zeros((3, 4))) == 0


def test_coverage_is_judged_by_the_other_half() -> None:
    rng = np.random.default_rng(3)
    cells = [rng.normal(size=240), rng.exponential(size=130), rng.normal(size=6), np.zeros(0)]
    halves = [rng.random(len(ratio)) < 0.4 for ratio in cells]
    found = calibration.coverage(cells, halves)
    pool = {
        half: np.concatenate([ratio[side == half] for ratio, side in zip(cells, halves)])
        for half in (False, True)
    }
    for ratio, side, (_, after) in zip(cells[:3], halves, found):
        for level, share in zip(calibration.CENTRAL, after):
            inside = 0
            for value, half in zip(ratio, side):
                learnt = ratio[side != half] if len(ratio) >= 100 else pool[not half]
                low, high = np.quantile(learnt, [(1 - level) / 2, (1 + level) / 2])
                inside += low <= value <= high
            assert share == pytest.approx(inside / len(ratio))
    within = [np.mean(np.abs(cells[0]) <= edge) for edge in (0.125661, 0.674490, 1.644854)]
    np.testing.assert_allclose(found[0][0, [0, 4, 8]], within)
    assert np.isnan(found[3]).all()
    assert calibration.coverage([], []) == []


def test_a_fit_keeps_what_held_out_cells_tell(fitted: DeepImputer) -> None:
    model, names = fitted._model, [column.name for column in fitted._reader.columns]
    for cell, check in model.verdict.checks.items():
        skill = fitted.report_[names[model.layout.columns[cell]]]
        if skill.calibration is None:
            assert check.shape == (2, len(calibration.CENTRAL))
            assert (np.diff(check) >= 0).all()
            assert check.max() <= 1
        else:
            assert check[:, 0].sum(axis=1).tolist() == [skill.n_cells] * 2
            assert [calibration.expected_error(one) for one in check] == pytest.approx(
                skill.calibration
            )
            wrong = 1 - check[:, 2].sum(axis=1) / skill.n_cells
            np.testing.assert_allclose(wrong, skill.error)


def test_checks_are_those_before_and_after_tempering() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 400)
    taken = np.where(rng.random(400) < 0.7, codes, 1 - codes)  # right in 70 %, but said to be sure
    said = np.where(np.arange(2) == taken[:, None], 0.9, 0.1)
    layout = Layout.fit(
        codes[:, None].astype(float), np.array([True]), np.array([2]), np.array([True])
    )
    held_out = HeldOut(
        proposals=said[:, None].repeat(2, axis=1), truth=np.eye(2)[codes],
        scales=np.ones((400, 0)), hidden=np.ones((400, 1), dtype=bool),
        shown=np.zeros((400, 1), dtype=bool), folds=np.zeros((400, 1), dtype=np.int64),
        rows=np.arange(400),
    )  # fmt: skip
    (n_before, sure_before, right), (n_after, sure_after, right_after) = judge_columns(
        held_out, layout, ["other"]
    ).checks[0]
    share = (taken == codes).mean()
    assert n_before.sum() == n_after.sum() == 400
    assert right.sum() == right_after.sum() == 400 * share
    assert sure_before.sum() == pytest.approx(0.9 * 400)
    assert sure_after.sum() == pytest.approx(share * 400, rel=0.03)


def test_calibration_is_drawn_for_numbers_and_categories(
    fitted: DeepImputer, tmp_path: Path
) -> None:
    figure = fitted.plot_calibration()
    assert saves(figure, tmp_path)
    checks = fitted._model.verdict.checks
    numbers, kinds = panel(figure, "Numbers"), panel(figure, "Categories")
    assert panel(figure, "Numbers").get_title(loc="left") == "Numbers (3 columns)"
    assert kinds.get_title(loc="left") == "Categories (1 column)"
    drawn = {line.get_label().partition(":")[0]: line for line in numbers.lines}
    mean = np.mean([checks[cell] for cell in range(3)], axis=0)
    for name, shares in zip(("before", "after calibration"), mean):
        np.testing.assert_allclose(drawn[name].get_ydata(), shares)
        np.testing.assert_allclose(drawn[name].get_xdata(), np.arange(1, 10) / 10)
        off = np.abs(shares - np.arange(1, 10) / 10).mean()
        assert drawn[name].get_label() == f"{name}: off by {off:.1%}"
    for dots, (counts, sure, right) in zip(kinds.collections, checks[3]):
        some = counts > 0
        np.testing.assert_allclose(
            dots.get_offsets(), np.column_stack([sure, right])[some] / counts[some, None]
        )
    before, after = fitted.report_["kind"].calibration
    labels = [text.get_text() for text in kinds.get_legend().get_texts()]
    assert labels == [f"before: ECE {before:.1%}", f"after tempering: ECE {after:.1%}"]


def test_calibration_without_a_kind_of_columns_or_any_cell(tmp_path: Path) -> None:
    def drawn(checks: dict[int, Any], n_numbers: int, n_cells: int) -> Any:
        layout = SimpleNamespace(n_numbers=n_numbers, targets=[True, False, True])
        reports = {cell: SimpleNamespace(n_cells=n_cells) for cell in checks}
        verdict = SimpleNamespace(checks=checks, reports=reports)
        return plots.calibration(SimpleNamespace(layout=layout, verdict=verdict))  # type: ignore[arg-type]

    coverage = np.tile(calibration.CENTRAL, (2, 1))
    one = drawn({0: coverage, 1: coverage, 2: coverage + np.nan}, 3, 5)
    # The second is no target, and of the third there is nothing to tell.
    assert list(titled(one)) == ["Numbers (1 column)"]
    bins = np.zeros((2, 3, calibration.BINS))
    bins[:, :, 9] = 4, 2.5, 3
    assert list(titled(drawn({0: bins, 2: bins}, 0, 8))) == ["Categories (2 columns)"]
    nothing = drawn({0: coverage}, 1, 0)
    assert words(nothing.axes[0]) == ["no cell was held out"]
    assert all(saves(figure, tmp_path) for figure in (one, nothing))


# --- loss -------------------------------------------------------------------------------------


def test_the_loss_is_drawn_with_its_best(fitted: DeepImputer, tmp_path: Path) -> None:
    figure = fitted.plot_loss()
    assert saves(figure, tmp_path)
    line, dot = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), fitted.loss_curve_)
    best = fitted.loss_curve_[fitted.loss_curve_[:, 1].argmin()]
    np.testing.assert_array_equal(dot.get_xydata(), [best])
    assert (
        figure.axes[0].get_title(loc="left").endswith(f"best {best[1]:.4g} at step {best[0]:.0f}")
    )


def test_strange_losses_are_drawn(tmp_path: Path) -> None:
    curve = np.array([[0, 90.0], [20, np.nan], [40, 2.0], [60, 3.0]])
    figure = plots.loss(curve)
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[40, 2]]
    falling = plots.loss(curve[[0, 2, 3]])
    assert falling.axes[0].get_yscale() == "log"
    assert plots.loss(curve[2:]).axes[0].get_yscale() == "linear"
    single = plots.loss(curve[:1])
    assert single.axes[0].lines[0].get_marker() == "o"
    empty = plots.loss(curve[:0])
    assert words(empty.axes[0]) == ["no step was taken"]
    assert all(saves(one, tmp_path) for one in (figure, falling, single, empty))


# --- fills ------------------------------------------------------------------------------------


def widths(axes: Any, color: str) -> list[float]:
    """Of the bars in a color."""
    bars = [bar for bar in axes.patches if same_color(bar.get_facecolor()[:3], color)]
    return [bar.get_width() for bar in bars]


def total(axes: Any, color: str) -> float:
    """Sum of the heights of the histogram in a color: its area by the width of a bin."""
    looks = {
        one: one.get_facecolor() if one.get_fill() else one.get_edgecolor() for one in axes.patches
    }
    [shape] = [one for one, look in looks.items() if same_color(look[:3], color)]
    x, y = shape.get_xy().T
    steps = np.diff(np.unique(x.round(9)))
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    return float(area / steps.min())


def test_fills_are_drawn_beside_what_was_observed(fitted: DeepImputer, tmp_path: Path) -> None:
    X = table()
    figure = fitted.plot_fills(X)
    assert saves(figure, tmp_path)
    gaps = X.isna().sum()
    assert figure.get_suptitle() == f"{gaps.sum()} gaps in 90 rows and 5 columns, all filled"
    filled = fitted.transform(X)
    new = filled["kind"][X["kind"].isna()]
    axes = panel(figure, "kind")
    assert axes.get_title(loc="left") == f"kind ({len(new)} filled)"
    levels = [text.get_text() for text in axes.get_yticklabels()]
    assert sorted(levels) == ["land", "sea"]
    for cells, color in ((X["kind"].dropna(), PALE), (new, VERMILION)):
        share = cells.value_counts(normalize=True)
        assert widths(axes, color) == pytest.approx([share.get(one, 0) for one in levels])
    for color in (PALE, VERMILION):
        assert total(panel(figure, r"mass\$"), color) == pytest.approx(1)
    # Nothing of texts, nor of columns without gaps.
    beginnings = {title.split(" (")[0] for title in titled(figure)} - {""}
    assert beginnings == {"Gaps before filling", r"mass\$", "kind", "when"}
    ends = [text.get_text() for text in panel(figure, "when").get_xticklabels()]
    known = pd.concat([X["when"].dropna(), filled["when"]])
    assert ends == [f"{known.min():%Y-%m-%d}", f"{known.max():%Y-%m-%d}"]


def test_some_columns_can_be_chosen(fitted: DeepImputer) -> None:
    figure = fitted.plot_fills(table(), columns=["when", 0])
    beginnings = {title.split(" (")[0] for title in titled(figure)} - {""}
    assert beginnings == {"Gaps before filling", r"mass\$", "when"}
    with pytest.raises(ValueError, match="columns names 'wen', but the table has the columns"):
        fitted.plot_fills(table(), columns=["wen"])


def test_a_table_without_gaps_is_drawn(fitted: DeepImputer, tmp_path: Path) -> None:
    figure = fitted.plot_fills(fitted.transform(table()))
    assert figure.get_suptitle() == "No gaps in 90 rows and 5 columns"
    assert set(titled(figure)) - {""} == {"Gaps before filling"}
    assert saves(figure, tmp_path)


def test_gaps_that_stay_are_told() -> None:
    X = table()
    imputer = DeepImputer(
        priors=["em"], members=2, hidden=8, max_steps=0, min_precision=1.0, columns=["kind"]
    ).fit(X)
    # As if no held-out cell had been right: then no level is sure enough.
    cell = next(iter(imputer._model.verdict.evidence))
    levels, sure, right = imputer._model.verdict.evidence[cell]
    imputer._model.verdict.evidence[cell] = levels, sure, np.zeros_like(right)
    with pytest.warns(UserWarning, match="stay missing"):
        figure = imputer.plot_fills(X)
    n_gaps = X["kind"].isna().sum()
    assert figure.get_suptitle() == f"{n_gaps} gaps in 90 rows and 1 column, {n_gaps} left"


@pytest.mark.parametrize("made", [pl.DataFrame, np.asarray], ids=["polars", "array"])
def test_other_tables_are_drawn(made: Any, tmp_path: Path) -> None:
    X = made(table()[["mass$", "whole"]])
    imputer = DeepImputer(priors=["em"], members=2, hidden=8, max_steps=0).fit(X)
    figure = imputer.plot_fills(X)
    assert saves(figure, tmp_path)
    assert "all filled" in figure.get_suptitle()


def test_hundreds_of_columns_are_drawn_by_their_gaps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 300))
    gaps = np.zeros((40, 300), dtype=bool)
    for column in range(300):
        gaps[: column % 30, column] = True
    columns = [Column(f"c{j}", low=-9.0, high=9.0) for j in range(300)]
    before = Coded(np.where(gaps, np.nan, values), gaps)
    figure = plots.fills(columns, before, Coded(values, np.zeros_like(gaps)), range(300))
    most = {f"c{j}" for j in range(300) if j % 30 in (28, 29)}
    assert saves(figure, tmp_path)
    shown = {title.split(" (")[0] for title in titled(figure)} - {"", "Gaps before filling"}
    assert len(shown) == plots.MOST_PANELS
    assert {f"c{j}" for j in range(29, 300, 30)} < shown <= most
    rows = [text.get_text() for text in panel(figure, "Gaps").get_yticklabels()]
    assert set(rows) == most
    assert panel(figure, "Gaps").get_xlabel() == "row; the 20 columns with most gaps"


def test_levels_of_a_category_are_the_most_frequent_and_ordered_ones_in_order() -> None:
    frame = pd.DataFrame({"many": [f"l{k:02}" for k in range(20) for _ in range(k + 1)]})
    frame["size"] = pd.Categorical(
        np.resize(["M", "M", "S", "L"], len(frame)), ["S", "M", "L"], ordered=True
    )
    gaps = np.zeros(frame.shape, dtype=bool)
    schema, coded = Schema.fit(frame)
    gaps[:5] = True
    figure = plots.fills(schema.columns, Coded(coded.values, gaps), coded, [0, 1])
    names = {
        name: [text.get_text() for text in panel(figure, name).get_yticklabels()]
        for name in ("many", "size")
    }
    assert names["many"] == [f"l{k}" for k in range(19, 11, -1)]
    assert names["size"] == ["S", "M", "L"]


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [
        ([0, 4e8], ["1970-01", "1982-09"]),
        ([0, 5 * 86400], ["1970-01-01", "1970-01-06"]),
        ([0, 3600], ["1970-01-01\n00:00", "1970-01-01\n01:00"]),
        ([0, 7], ["1970-01-01\n00:00:00", "1970-01-01\n00:00:07"]),
        ([0, 0], ["1970-01-01\n00:00:00"]),
        ([-3e11, 3e11], ["-7537-05", "11476-08"]),
    ],
)
def test_dates_are_told_as_finely_as_need_be(
    seconds: list[float], ends: list[str], tmp_path: Path
) -> None:
    stamps = np.array(seconds).astype("datetime64[s]")
    schema, coded = Schema.fit(np.array([stamps]).T, dates=True)
    figure = plots.fills(
        schema.columns, Coded(coded.values, np.array([[True], [False]])), coded, [0]
    )
    assert [text.get_text() for text in panel(figure, "0").get_xticklabels()] == ends
    assert saves(figure, tmp_path)


def test_durations_are_seconds() -> None:
    stamps = np.array([[5], [70]], dtype="timedelta64[s]")
    schema, coded = Schema.fit(stamps, dates=True)
    figure = plots.fills(
        schema.columns, Coded(coded.values, np.array([[True], [False]])), coded, [0]
    )
    assert panel(figure, "0").get_xlabel() == "seconds"


# --- all --------------------------------------------------------------------------------------


def test_pictures_of_what_was_saved_are_the_same(fitted: DeepImputer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model.safetensors")
    again = DeepImputer.load(tmp_path / "model.safetensors")
    for draw in (DeepImputer.plot_loss, DeepImputer.plot_calibration):
        for one, other in zip(draw(fitted).axes, draw(again).axes):
            assert [line.get_xydata().tolist() for line in one.lines] == [
                line.get_xydata().tolist() for line in other.lines
            ]


def test_pictures_need_a_fit_and_matplotlib(
    fitted: DeepImputer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for draw in (DeepImputer.plot_loss, DeepImputer.plot_calibration):
        with pytest.raises(NotFittedError):
            draw(DeepImputer())
    with pytest.raises(NotFittedError):
        DeepImputer().plot_fills(table())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for drawn in (fitted.plot_loss, fitted.plot_calibration, lambda: fitted.plot_fills(table())):
        with pytest.raises(ImportError, match=r'pip install "greyknn\[plot\]"'):
            drawn()
