"""How pictures look, and what several of them show. Only here is matplotlib's figure made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from greyknn.arrays import Bools

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


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """An empty figure, and greyknn's style while it is drawn; no pyplot, no global state.

    Parameters
    ----------
    width, height : float
        In inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise ImportError('The picture needs matplotlib: pip install "greyknn[plot]".') from error
    with matplotlib.rc_context(STYLE):
        yield matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def label(name: Any) -> str:
    """A column's name, short, and without dollar signs, which would start a formula."""
    return str(name)[:20].replace("$", r"\$")


def draw_gaps(axes: Any, gaps: Bools, names: Sequence[str]) -> None:
    """Draw where a table's gaps are: rows across, columns down.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    gaps : bool array of shape (n_rows, n_columns)
    names : sequence of str
        Labels of the columns, written if they are not too many.
    """
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
