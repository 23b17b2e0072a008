"""Pictures of a fitted imputer. Only this file knows matplotlib, and only once it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from greyknn.imputer import GreyKNNImputer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# From Okabe and Ito's palette: told apart by people of every colour vision, and by lightness.
BLUE, VERMILION, PALE = "#0072B2", "#D55E00", "#DCE6EF"
STYLE = {
    "axes.titlelocation": "left", "axes.titlesize": 11, "axes.labelsize": 9, "font.size": 9,
    "grid.color": PALE, "axes.axisbelow": True, "legend.frameon": False,
    **{f"figure.constrained_layout.{side}_pad": 0.1 for side in "hw"},
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    **{f"{axis}tick.{which}.size": 0 for axis in "xy" for which in ("major", "minor")},
}  # fmt: skip
KEY = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2, "handlelength": 1}
MOST_LINES = 1000  # bins of rows, about the panel's width in pixels
MOST_NAMES = 20  # of more columns not all are named


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
    try:
        import matplotlib.figure
    except ImportError as error:
        raise ImportError('The picture needs matplotlib: pip install "greyknn[plot]".') from error
    gaps, weights = ~imputer._model.training.observed, imputer._model.weights
    names = [_label(imputer._schema.columns[column].name) for column in imputer._kept]
    method = imputer.method if isinstance(imputer.method, str) else "own method"
    with matplotlib.rc_context(STYLE):
        figure = matplotlib.figure.Figure(figsize=(10, 7.5), layout="constrained")
        title = f"{gaps.sum():,} gaps in {len(gaps):,} rows and {len(names)} columns, filled by "
        title += f"greyknn ({method}{_chosen(imputer)})"
        figure.suptitle(title, fontsize=13, weight="bold")
        parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.15))
        left, right = parts[1].subplots(1, 2)
        _draw_gaps(parts[0].subplots(), gaps, names)
        (_draw_bars if weights.ndim == 1 else _draw_heat_map)(left, weights, names)
        _draw_convergence(right, imputer)
    return figure


def _chosen(imputer: GreyKNNImputer) -> str:
    return "" if imputer.targets_ is not None else f", k = {imputer.n_neighbors_}"


def _label(name: Any) -> str:
    """A column's name, short, and without dollar signs, which would start a formula."""
    return str(name)[:20].replace("$", r"\$")


def _draw_gaps(axes: Any, gaps: NDArray[np.bool_], names: list[str]) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch

    n_rows, n_columns = gaps.shape
    bins = np.array_split(gaps, min(n_rows, MOST_LINES))
    axes.imshow(  # the root of the share keeps one gap among a thousand rows in sight
        np.sqrt([rows.mean(axis=0) for rows in bins]).T, vmin=0, vmax=1,
        cmap=LinearSegmentedColormap.from_list("gaps", [PALE, VERMILION]), aspect="auto",
        interpolation="nearest", extent=(0, n_rows, n_columns - 0.5, -0.5),
    )  # fmt: skip
    binned = f" in {len(bins):,} bins of rows: the darker, the more" if len(bins) < n_rows else ""
    axes.set(title=f"Gaps before filling{binned}", xlabel="row")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend([Patch(color=PALE), Patch(color=VERMILION)], ["observed", "missing"], **KEY)
    if n_columns <= MOST_NAMES:
        axes.set_yticks(range(n_columns), names)
        axes.hlines(np.arange(1, n_columns) - 0.5, 0, n_rows, color="white", linewidth=2)
        counts = axes.secondary_yaxis("right")
        said = [f"{count:,} ({count / n_rows:.1%})" for count in gaps.sum(axis=0)]
        counts.set_yticks(range(n_columns), said)
        counts.spines[:].set_visible(False)


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
