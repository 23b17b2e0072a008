"""The paper's figures: mutual information by column (2 to 4), accuracy by iteration (5)."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bench.paper.problems import Problem, iris
from bench.paper.scoring import filled, honest_accuracy, table_accuracy
from bench.paper.tables import filler
from greyknn.arrays import Floats
from greyknn.evaluation.tables import Data
from greyknn.plot import _draw_bars
from greyknn.relevance import class_information
from greyknn.style import BLUE, STYLE, VERMILION
from greyknn_kernels import cpu

COLOURS = {"gknn": "#009E73", "fwgknn": VERMILION, "cgknn": BLUE}
ITERATIONS = 8
REPEATS = 5
MOST_LETTERS = 28


def information(tables: list[Data]) -> Figure:
    """Figures 2 to 4: bits that each column tells about the class, gaps left out."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(tables), 4), layout="constrained")
        panels: Any = figure.subplots(1, len(tables), squeeze=False)[0]
        for axes, data in zip(panels, tables, strict=True):
            assert data.labels is not None  # every table of the paper has classes
            bits = class_information(data.matrix, data.categorical, data.labels, cpu)
            names = [str(name).replace("_", " ")[:MOST_LETTERS] for name in data.frame]
            _draw_bars(axes, bits, names)
            axes.set_title(data.name.title())
        figure.suptitle("Mutual information with the class, bits", fontsize=11, weight="bold")
    return figure


def iterations(problem: Problem) -> Figure:
    """Figure 5: accuracy of naive Bayes on Iris by iterations, with distances on filled cells."""
    complete = table_accuracy(iris(), iris().matrix, problem.classifier, 0)
    steps = range(1, ITERATIONS + 1)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        panels: Any = figure.subplots(1, len(problem.rates), sharey=True, squeeze=False)[0]
        for axes, rate in zip(panels, problem.rates, strict=True):
            for name, colour in COLOURS.items():
                by_step = np.array([accuracies(problem, rate, name, step) for step in steps])
                axes.plot(steps, by_step[:, 0], "o-", color=colour, label=name, markersize=4)
                axes.plot(steps, by_step[:, 1], "--", color=colour)
            axes.axhline(complete, color="grey", linestyle=":")
            axes.grid(axis="y")
            axes.set(title=f"Iris, {rate:.0%} removed", xlabel="iterations", xticks=steps)
        panels[0].set_ylabel("accuracy of naive Bayes, %")
        panels[0].legend(loc="lower left")
        figure.supxlabel(
            "Solid: filled with all labels, then cross-validated, as in the paper. Dashed: test "
            "rows filled without labels. Dotted: no gaps.", fontsize=9,
        )  # fmt: skip
    return figure


def accuracies(problem: Problem, rate: float, name: str, max_iter: int) -> Floats:
    """Leaky and honest accuracy after so many iterations, means over `REPEATS`."""
    runs = []
    for repeat in range(REPEATS):
        data, removed = problem.draw(rate, repeat)
        imputer = filler(name, max_iter=max_iter, metric_on="imputed")
        values = filled(data, imputer, removed)
        leaky = table_accuracy(data, values, problem.classifier, repeat)
        honest = honest_accuracy(data, imputer, removed, problem.classifier, repeat)
        runs.append([leaky, honest])
    means: Floats = np.mean(runs, axis=0)
    return means
