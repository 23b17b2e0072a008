"""Pictures of a fitted imputer; matplotlib is imported once one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from greyknn.imputer import GreyKNNImputer
from greyknn.style import BLUE, MOST_NAMES, VERMILION, draw_gaps, drawing, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def overview(imputer: GreyKNNImputer) -> Figure:
    """Draw the gaps that a fit found, the column weights, and how the fills settled.

    Parameters
    ----------
    imputer : GreyKNNImputer
        Fitted, to a table of any type and size.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot: a notebook shows it, ``savefig("overview.png")`` writes it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    check_is_fitted(imputer)
    gaps, weights = ~imputer._model.training.observed, imputer._model.weights
    names = [label(imputer._schema.columns[column].name) for column in imputer._kept]
    method = imputer.method if isinstance(imputer.method, str) else "own method"
    with drawing(10, 7.5) as figure:
        title = f"{gaps.sum():,} gaps in {len(gaps):,} rows and {len(names)} columns, filled by "
        title += f"greyknn ({method}{_chosen(imputer)})"
        figure.suptitle(title, fontsize=13, weight="bold")
        parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.15))
        left, right = parts[1].subplots(1, 2)
        draw_gaps(parts[0].subplots(), gaps, names)
        (_draw_bars if weights.ndim == 1 else _draw_heat_map)(left, weights, names)
        _draw_convergence(right, imputer)
    return figure


def _chosen(imputer: GreyKNNImputer) -> str:
    return "" if imputer.targets_ is not None else f", k = {imputer.n_neighbors_}"


def _draw_bars(axes: Any, weights: NDArray[np.float64], names: list[str]) -> None:
    order = np.argsort(weights, kind="stable")[-MOST_NAMES:]
    bars = axes.barh(range(len(order)), weights[order], color=BLUE, height=0.7)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.set_yticks(range(len(order)), [names[column] for column in order])
    some = ", the largest" if len(order) < len(names) else ""
    axes.set(title=f"Column weights{some}", xticks=[], xmargin=0.15)


def _draw_heat_map(axes: Any, weights: NDArray[np.float64], names: list[str]) -> None:
    image = axes.imshow(weights, "cividis", vmin=0, aspect="auto", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes)
    if len(names) <= MOST_NAMES:
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(title="Column weights", ylabel="to fill this column", xlabel="in the distance")


def _draw_convergence(axes: Any, imputer: GreyKNNImputer) -> None:
    deltas, tol = imputer.convergence_, imputer.tol
    positive = [delta for delta in [*deltas, tol] if delta > 0] or [1.0]
    floor = min(positive) / 10  # where 0 is drawn, hollow: a logarithmic axis has no place for it
    steps, heights = np.arange(1, len(deltas) + 1), np.maximum(deltas, floor)
    axes.grid(axis="y")
    axes.plot(steps, heights, "o-", color=BLUE)
    axes.plot(steps[deltas == 0], heights[deltas == 0], "o", color=BLUE, markerfacecolor="white")
    axes.axhline(max(tol, floor), color=VERMILION, linestyle="--")
    axes.annotate(f"  {deltas[-1]:.2g}", (steps[-1], heights[-1]))
    axes.set(yscale="log", xlim=(0.5, len(steps) + 0.7), ylim=(floor / 3, max(positive) * 3))
    title = "Change of the filled cells" + ("" if imputer.converged_ else ", not settled")
    label, ticks = f"iteration (dashed: stops at {tol:g})", steps[:: 1 + len(steps) // 12]
    axes.set(title=title, xlabel=label, xticks=ticks)
