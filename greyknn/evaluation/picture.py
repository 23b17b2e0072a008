"""The critical difference diagram of Demšar (2006): methods on a line of mean ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from greyknn.arrays import Floats
from greyknn.style import BLUE, PALE, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from greyknn.evaluation.results import Ranking

STEP = 0.3  # inches between two names


def critical_difference_diagram(ranking: Ranking, score: str) -> Figure:
    """Draw mean ranks, and bars over methods that cannot be told apart.

    Parameters
    ----------
    ranking : Ranking
        As ``Results.ranking`` returns it.
    score : str
        What the ranks are by, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot: a notebook shows it, ``savefig("ranks.png")`` writes it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    ranks = ranking.ranks.to_numpy()
    n_methods = len(ranks)
    groups = indistinct(ranks, ranking.critical_difference)
    half = -(-n_methods // 2)
    lowest = -(1 + 0.6 * len(groups) + half)
    with drawing(8, 1.2 + STEP * (2 - lowest)) as figure:
        axes: Any = figure.subplots()
        axes.hlines(0, 1, n_methods, color="black")
        for tick in range(1, n_methods + 1):
            axes.vlines(tick, 0, 0.25, color="black")
            axes.text(tick, 0.4, str(tick), ha="center", va="bottom")
        for level, (first, last) in enumerate(groups, 1):
            axes.hlines(
                -0.6 * level, ranks[first] - 0.04, ranks[last] + 0.04, color=VERMILION, linewidth=4
            )
        for place, (name, rank) in enumerate(ranking.ranks.items()):
            left = place < half
            height = -(1 + 0.6 * len(groups)) - (place if left else n_methods - 1 - place)
            edge = 0.8 if left else n_methods + 0.2
            axes.plot([rank, rank, edge], [0, height, height], color=BLUE, linewidth=1)
            axes.plot(rank, 0, "o", color=BLUE, markersize=4)
            text = f"{name}  {rank:.2f}".replace("$", r"\$")
            axes.text(edge, height, f" {text} ", ha="right" if left else "left", va="center")
        if np.isfinite(ranking.critical_difference):
            end = 1 + ranking.critical_difference
            axes.hlines(2, 1, end, color=PALE, linewidth=6)
            axes.text(1, 2.5, f"critical difference {ranking.critical_difference:.2f}", va="bottom")
        chance = "" if np.isnan(ranking.p_value) else f", Friedman p = {ranking.p_value:.2g}"
        axes.set(xticks=[], yticks=[], ylim=(lowest - 0.5, 3.5))
        axes.set_title(f"Mean ranks by {score} over {ranking.n_blocks} {ranking.blocks}{chance}")
    return figure


def indistinct(ranks: Floats, difference: float) -> list[tuple[int, int]]:
    """Longest runs of methods, first and last place, whose mean ranks differ by no more.

    Parameters
    ----------
    ranks : float64, shape (n_methods,)
        Ascending.
    difference : float
        The critical difference; NaN joins nothing.
    """
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.flatnonzero(ranks <= rank + difference).max(initial=first))
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
