"""The command ``greyknn compare``: which method fills this very table best."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from greyknn import files
from greyknn.progress import reporting
from greyknn.reading import Source, source_options
from greyknn.shell import complaining

PICTURES = ("png", "pdf", "svg")
SHOWN = {
    "rank": ("rank", "{:.2f}"), "wins": ("wins", "{:.0f}"), "ratio": ("ratio", "{:.2f}"),
    "numeric_rmse": ("numbers", "{:.3f}"), "categorical_error": ("wrong", "{:.1%}"),
    "accuracy": ("accuracy", "{:.1%}"), "leaky": ("leaky", "{:.1%}"),
    "seconds": ("seconds", "{:.3g}"), "failures": ("failed", "{:.0f}"),
}  # fmt: skip
"""Columns of the summary that a terminal has room for, their headings and formats."""


def _list_of(convert: Callable[[str], Any]) -> Callable[..., list[Any]]:
    """A callback that takes an option apart at its commas."""

    def parts(ctx: Any, param: Any, value: str) -> list[Any]:
        try:
            return [convert(text.strip()) for text in value.split(",")]
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is no list of numbers such as 0.1,0.3.") from error

    return parts


@click.command(
    epilog="""\b
Examples:
  greyknn compare data.csv --target species
  greyknn compare data.csv -t y --methods all --mechanisms mcar,mar --output runs.csv
  greyknn compare data.csv -t y --repeats 20 --n-jobs -1 --resume runs.jsonl --picture ranks.png""",
)
@source_options
@click.option(
    "--methods", callback=_list_of(str), default="tgknn,cgknn,knn,ridge,mean", show_default=True,
    metavar="NAMES", help='greyknn\'s and others\', or "all" that are installed.',
)  # fmt: skip
@click.option(
    "--mechanisms", callback=_list_of(str), default="mcar", show_default=True, metavar="NAMES",
    help="How cells come to be missing: mcar, mar, mnar.",
)  # fmt: skip
@click.option(
    "--rates", callback=_list_of(float), default="0.1,0.3", show_default=True, metavar="NUMBERS",
    help="Shares of cells that are removed.",
)  # fmt: skip
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--test-size", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.3,
    show_default=True, help="Share of rows that classifiers are tested on.",
)  # fmt: skip
@click.option("--no-accuracy", is_flag=True, help="Train no classifiers: much faster.")
@click.option("-o", "--output", metavar="FILE", help="A csv file with a row for every run.")
@click.option(
    "--picture", metavar="FILE", help="Mean ranks of the methods, drawn: png, pdf or svg."
)
@click.option(
    "--resume", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Keeps every run that is done; what is there is not run again.",
)  # fmt: skip
@click.option("--n-jobs", type=int, default=1, show_default=True, help="Processes; -1: all cores.")
@click.option(
    "--seed", "random_state", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
    help="Of the cells that are removed, and of everything else.",
)  # fmt: skip
@click.option("-f", "--force", "--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("--traceback", is_flag=True, help="Show where in the program an error came from.")
def compare(
    source: Source, methods: list[str], no_accuracy: bool, output: str | None,
    picture: str | None, resume: Path | None, force: bool, quiet: bool, traceback: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Hide cells of the table in DATA, let several methods fill them, and tell who did it best.

    With --target, classifiers are trained on rows that were filled with their labels and tested on
    rows that were filled without: "accuracy". "leaky" is what one would believe after filling all
    rows with their labels: shown as a warning, not as a result.
    """
    with complaining(traceback), ExitStack() as outputs:
        kind = "" if picture is None else _kind(picture)
        csv, image = (  # before any work
            None if path is None else outputs.enter_context(files.replacing(path, force=force))
            for path in (output, picture)
        )
        with reporting(int(not quiet)) as progress:
            asked = source.read(keep_empty=True, progress=progress)
        from greyknn.evaluation import compare as run  # --help must not wait for it

        results = run(
            asked.X, asked.y, methods="all" if methods == ["all"] else methods, path=resume,
            categorical_features=asked.categories, name=Path(source.data).stem,
            classifiers={} if no_accuracy else None, verbose=int(not quiet), **settings,
        )  # fmt: skip
        _show(results)
        if csv is not None:
            csv.write(results.to_csv(index=False).encode())
        if image is not None:
            results.picture().savefig(image, format=kind, dpi=150)


def _kind(picture: str) -> str:
    """The format of a picture, which can be drawn."""
    import matplotlib.figure  # noqa: F401 (missed now, and not after an hour of work)

    kind = Path(picture).suffix.removeprefix(".").lower()
    if kind not in PICTURES:
        raise files.InputError(
            f"--picture {picture}: name a file that ends in .{', .'.join(PICTURES)}."
        )
    return kind


def _show(results: Any) -> None:
    """The summary, methods down and scores across, on stdout."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    summary, ranking = results.summary(), results.ranking()
    shown = [
        name for name in SHOWN if name in summary and (name != "failures" or summary[name].any())
    ]
    table = Table("method", box=SIMPLE)
    for name in shown:
        table.add_column(SHOWN[name][0], justify="right")
    for method, row in summary.iterrows():
        cells = (
            "" if row[name] != row[name] else SHOWN[name][1].format(row[name]) for name in shown
        )
        table.add_row(method, *cells)
    console = Console(highlight=False)
    console.print(table)
    told = (
        f"Best first, over {ranking.n_blocks} {ranking.blocks}. numbers: RMSE on the [0, 1] scale; "
        "wrong: categories; ratio: both, by the best other method."
    )
    if ranking.p_value == ranking.p_value:
        told += (
            f" Ranks that differ by less than {ranking.critical_difference:.2f} may differ by "
            f"chance (Friedman p = {ranking.p_value:.2g})."
        )
    console.print(told)
