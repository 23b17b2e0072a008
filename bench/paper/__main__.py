"""The paper's Tables 1 to 8 and Figures 2 to 5, measured again.

    python -m bench.paper --data FOLDER

FOLDER has voting.csv, hepatitis.csv and datasets.json; without it these two are left out. The rest
is drawn at random or comes with scikit-learn.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

from bench.paper import pictures
from bench.paper.problems import Problem, iris, problems, read
from bench.paper.tables import SLOW, compare
from bench.report import RESULTS, show

DPI = 90


def main() -> None:
    """Measure, print and store everything."""
    parser = argparse.ArgumentParser(prog="python -m bench.paper", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with voting.csv, hepatitis.csv, ...")
    folder: Path | None = parser.parse_args().data
    warnings.simplefilter("ignore")  # the literal reading does not settle on many of these
    begun = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - begun:6.0f} s  {what}", flush=True)

    found = problems(folder)
    if folder is None:
        print("Without --data FOLDER: Voting and Hepatitis are left out.")
    for problem in found:
        rows = compare(problem, say)
        show(f"paper-{problem.key}", heading(problem), rows)
    real = [iris(), *(read(folder).values() if folder is not None else ())]
    by_key = {problem.key: problem for problem in found}
    figures = {
        "paper-information": pictures.information(real),
        "paper-iterations": pictures.iterations(by_key["iris"]),
    }
    for name, figure in figures.items():
        figure.savefig(RESULTS / f"{name}.png", dpi=DPI)
    say("all done")


def heading(problem: Problem) -> str:
    """What the table is, and how often what was run."""
    repeats = f"{problem.repeats} repeats"
    if problem.slow_repeats < problem.repeats:
        slow = " and ".join(SLOW)
        repeats += f" ({problem.slow_repeats} for the honest accuracy of {slow})"
    return f"{problem.title}; ours with k = 10; {repeats}; accuracy of {problem.bayes}"


if __name__ == "__main__":
    main()
