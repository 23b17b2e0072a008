"""Pictures of what a deep imputer learnt and filled; matplotlib is imported once one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from greyknn.arrays import Floats, Ints
from greyknn.deep.calibration import CENTRAL, expected_error
from greyknn.deep.model import DeepModel
from greyknn.style import BLUE, MOST_NAMES, PALE, VERMILION, draw_gaps, drawing, label
from greyknn.table import Coded, Column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS, MOST_PANELS = 4, 12
MOST_LEVELS = 8  # of a category, the most frequent
BARS = 30  # of a column of numbers
UNITS = {"M": 3e8, "D": 3e5, "m": 300, "s": 0}  # of dates that are as many seconds apart


def loss(curve: Floats) -> Figure:
    """Draw the losses (n_looks, 2) of held-out cells by step."""
    with drawing(7, 4) as figure:
        axes: Any = figure.subplots()
        axes.grid(axis="y")
        axes.set(title="Loss of held-out cells", xlabel="step")
        if len(curve) == 0:
            _say(axes, "no step was taken")
            return figure
        steps, losses = curve.T
        best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0
        axes.plot(steps, losses, "-" if len(curve) > 1 else "o", color=BLUE)
        axes.plot(steps[best], losses[best], "o", color=VERMILION)
        told = f"best {losses[best]:.4g} at step {steps[best]:,.0f}"
        axes.set_title(f"Loss of held-out cells, {told}")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        if (losses > 0).all() and losses.max() > 10 * losses.min():
            axes.set_yscale("log")
    return figure


def calibration(model: DeepModel) -> Figure:
    """Draw whether categories are right, and numbers within intervals, as often as is said."""
    layout, checks = model.layout, model.verdict.checks
    known = [cell for cell, one in model.verdict.reports.items() if one.n_cells]
    told = [cell for cell in known if layout.targets[cell]]
    bins = [checks[cell] for cell in told if cell >= layout.n_numbers]
    shares = [checks[cell] for cell in told if cell < layout.n_numbers]
    shares = [share for share in shares if not np.isnan(share).any()]
    draws = [(_draw_reliability, bins)] * bool(bins) + [(_draw_coverage, shares)] * bool(shares)
    with drawing(5 * max(len(draws), 1), 5) as figure:
        panels: Any = figure.subplots(1, max(len(draws), 1), squeeze=False)[0]
        if not draws:
            _say(panels[0], "no cell was held out")
        for axes, (draw, one) in zip(panels, draws, strict=False):
            axes.grid()
            axes.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
            draw(axes, one)
            axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
            axes.legend(loc="upper left")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return figure


def _draw_reliability(axes: Any, columns: Sequence[Floats]) -> None:
    pooled = np.sum(columns, axis=0)
    errors = [expected_error(one) for one in pooled]
    looks = (("before", VERMILION, "white"), ("after tempering", BLUE, BLUE))
    for (name, color, inside), (counts, sure, right), error in zip(
        looks, pooled, errors, strict=True
    ):
        some = counts > 0
        # Bins of few cells are small: what they say is mostly chance.
        sizes = 10 + 150 * counts[some] / counts.sum()
        x, y = sure[some] / counts[some], right[some] / counts[some]
        axes.plot(x, y, color=color, linewidth=1)
        axes.scatter(x, y, sizes, inside, edgecolors=color, zorder=3)
        axes.plot([], [], "o-", color=color, markerfacecolor=inside, linewidth=1,
                  label=f"{name}: ECE {error:.1%}")  # fmt: skip
    axes.set(title=f"Categories ({_columns(len(columns))})", xlabel="stated probability",
             ylabel="held-out cells that were right")  # fmt: skip


def _draw_coverage(axes: Any, columns: Sequence[Floats]) -> None:
    for _, after in columns:
        axes.plot(CENTRAL, after, color=BLUE, alpha=0.3, linewidth=0.6)
    looks = (("before", VERMILION, "white"), ("after calibration", BLUE, BLUE))
    for (name, color, inside), shares in zip(looks, np.mean(columns, axis=0), strict=True):
        off = np.abs(shares - CENTRAL).mean()
        axes.plot(CENTRAL, shares, "o-", color=color, markerfacecolor=inside, linewidth=1,
                  label=f"{name}: off by {off:.1%}")  # fmt: skip
    if len(columns) > 1:
        axes.plot([], [], color=BLUE, alpha=0.3, linewidth=0.6, label="each column")
    title = f"Numbers ({_columns(len(columns))})"
    axes.set(title=title, xlabel="stated share of a central interval",
             ylabel="held-out cells within")  # fmt: skip


def _columns(number: int) -> str:
    return f"{number:,} column" + "s" * (number != 1)


def fills(columns: Sequence[Column], before: Coded, after: Coded, wanted: Sequence[int]) -> Figure:
    """Draw where gaps are, and how observed and filled values are distributed.

    Parameters
    ----------
    columns : sequence of Column
    before, after : Coded
        The table as it was and as it is filled.
    wanted : sequence of int
        Positions of the columns to show; of more than there is room for, those with most gaps.
    """
    gaps, filled = before.gaps, before.gaps & ~after.gaps
    some = np.array(wanted, dtype=np.int64)
    counts = gaps[:, some].sum(axis=0)
    most = some[np.argsort(-counts, kind="stable")]
    shown = np.sort(most[:MOST_NAMES])
    drawn = [j for j in most if filled[:, j].any() and not columns[j].text][:MOST_PANELS]
    drawn.sort()
    n_lines, across = -(-len(drawn) // ACROSS), min(ACROSS, max(len(drawn), 1))
    tall = 1.2 + 0.25 * len(shown)
    with drawing(10, tall + 2.3 * n_lines + 0.4) as figure:
        title = f"{counts.sum():,} gaps in {len(gaps):,} rows and {_columns(len(some))}, "
        left = int(counts.sum() - filled[:, some].sum())
        figure.suptitle(
            title + (f"{left:,} left" if left else "all filled") if counts.sum() else
            f"No gaps in {len(gaps):,} rows and {_columns(len(some))}",
            fontsize=13, weight="bold",
        )  # fmt: skip
        heights = [tall] + [2.3 * n_lines] * bool(drawn)
        parts: Any = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        axes = parts[0].subplots()
        draw_gaps(axes, gaps[:, shown], [label(columns[j].name) for j in shown])
        if len(shown) < len(some):
            axes.set_xlabel(f"row; the {len(shown)} columns with most gaps")
        if drawn:
            from matplotlib.patches import Patch

            panels = parts[1].subplots(n_lines, across, squeeze=False)
            for place, j in enumerate(drawn):
                seen = before.values[~gaps[:, j], j]
                _draw_column(panels.flat[place], columns[j], seen, after.values[filled[:, j], j])
            for spare in panels.flat[len(drawn) :]:
                spare.set_axis_off()
            key = Patch(color=PALE), Patch(edgecolor=VERMILION, facecolor="white")
            parts[1].legend(key, ["observed", "filled"], loc="outside upper right", ncols=2)
    return figure


def _draw_column(axes: Any, column: Column, seen: Floats, new: Floats) -> None:
    """The shares of observed values behind, those of fills as a line or narrower bars."""
    seen, new = seen[~np.isnan(seen)], new[~np.isnan(new)]
    if column.categorical:
        _draw_levels(axes, column, seen.astype(np.int64), new.astype(np.int64))
    else:
        _draw_density(axes, column, seen, new)
    axes.set_title(f"{label(column.name)} ({len(new):,} filled)", fontsize=9)


def _draw_density(axes: Any, column: Column, seen: Floats, new: Floats) -> None:
    both = np.concatenate([seen, new])
    edges = np.histogram_bin_edges(both, min(BARS, max(int(np.sqrt(len(new))) + 4, 5)))
    for values, look in (
        (seen, {"color": PALE, "histtype": "stepfilled"}),
        (new, {"color": VERMILION, "histtype": "step"}),
    ):
        if len(values):
            axes.hist(values, edges, weights=np.full(len(values), 1 / len(values)), **look)
    axes.set(yticks=[])
    if column.clock is None:
        axes.xaxis.get_major_locator().set_params(nbins=5)
    elif column.family == "dates":
        _tell_dates(axes, both.min(), both.max())
    else:
        axes.set(xlabel="seconds")


def _tell_dates(axes: Any, low: float, high: float) -> None:
    """Ticks at both ends, told as finely as tells them apart."""
    unit = next(unit for unit, least in UNITS.items() if high - low >= least)
    ends = np.array([low, high]).astype("datetime64[s]").astype(f"datetime64[{unit}]")
    told = [str(end).replace("T", "\n") for end in ends]
    axes.set_xticks([low, high][: 1 + (high > low)], told[: 1 + (high > low)])
    for side, tick in zip(("left", "right"), axes.get_xticklabels(), strict=False):
        tick.set_horizontalalignment(side)


def _draw_levels(axes: Any, column: Column, seen: Ints, new: Ints) -> None:
    n_levels = len(column.levels)
    counts = np.stack([np.bincount(codes, minlength=n_levels) for codes in (seen, new)])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    order = np.argsort(-counts.sum(axis=0), kind="stable")[:MOST_LEVELS]
    if column.ordered:
        order = np.sort(order)
    places = np.arange(len(order))[::-1]
    axes.barh(places, shares[0, order], color=PALE, height=0.8)
    axes.barh(places, shares[1, order], color=VERMILION, height=0.3)
    axes.set_yticks(places, [label(column.levels[code])[:12] for code in order])
    axes.set(xticks=[])


def _say(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])
