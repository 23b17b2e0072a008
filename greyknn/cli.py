"""The shell command: ``greyknn impute``, ``compare``, ``demo`` and ``doctor``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from greyknn import METHODS, __version__, files, shell
from greyknn.comparing import compare
from greyknn.progress import reporting
from greyknn.reading import SHOWN, Asked, Source, source_options
from greyknn.shell import complaining

if TYPE_CHECKING:
    from greyknn.imputer import GreyKNNImputer

DEEP = "deep"
"""The deep imputer, which is no row of METHODS."""

KEYS = ("groups", "time")
"""Its options that name columns."""

SHARED = {"method", "device", "random_state", "label_use"}
"""Options of the neighbours' methods that mean something to the deep imputer, too."""


@click.group(
    "greyknn",
    cls=shell.Shell,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: greyknn impute data.csv --target species --output filled.csv",
)
@click.version_option(__version__, prog_name="greyknn", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fill the gaps of mixed tables from near rows, near by grey relational grade."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@main.command(
    epilog="""\b
Examples:
  greyknn impute data.csv --target species --output filled.csv
  greyknn impute data.csv --missing "?" --categorical zip,floor --ignore id --output filled.parquet
  zcat data.csv.gz | greyknn impute - --output - --k 5 > filled.csv"""
)
@source_options
@click.option("-o", "--output", required=True, metavar="FILE", help="Filled table; - is stdout.")
@click.option("--keep-empty", is_flag=True, help="Leave columns without any value empty.")
@click.option(
    "--method", type=click.Choice([*METHODS, DEEP]), default="cgknn", show_default=True,
    help="deep is a network that starts from near rows; it needs greyknn[deep].",
)  # fmt: skip
@click.option(
    "-k", "--k", "n_neighbors", callback=shell.neighbors, default="cv", show_default=True,
    metavar="INT|cv|masked",
    help="Neighbours: a number, or chosen to predict the target (cv) or hidden cells (masked).",
)  # fmt: skip
@click.option(
    "--label-use", type=click.Choice(["fit", "cross-fit", "never"]), default="fit",
    show_default=True, help="Whose labels help to fill a row: its own, other folds', or nobody's.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N")
@click.option(
    "--metric-on", type=click.Choice(["observed", "imputed"]), default="observed",
    show_default=True, help="Cells that distances see.",
)  # fmt: skip
@click.option(
    "--donors", type=click.Choice(["all", "observed"]), default="all", show_default=True,
    help="Whether filled cells give values on.",
)  # fmt: skip
@click.option(
    "--rho", type=click.FloatRange(0, min_open=True),
    help="Distinguishing coefficient of the grey grade.  [default: 0.5; 0.2 for tgknn]",
)  # fmt: skip
@click.option("--tol", type=click.FloatRange(0), default=1e-3, show_default=True)
@click.option("--max-iter", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--seed", "random_state", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
    help="Of the folds that choose k and cross-fit; of all chance in deep.",
)  # fmt: skip
@click.option("--groups", metavar="COLUMN", help="deep: what tells one series from another.")
@click.option("--time", metavar="COLUMN", help="deep: the time within a series.")
@click.option(
    "--time-budget", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
    help="deep: when training ends at the latest.",
)  # fmt: skip
@click.option("-f", "--force", "--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("--traceback", is_flag=True, help="Show where in the program an error came from.")
@click.pass_context
def impute(
    ctx: click.Context, /, source: Source, output: str, keep_empty: bool, force: bool, quiet: bool,
    traceback: bool, **engine: Any,
) -> None:  # fmt: skip
    """Fill the gaps of the table in file DATA (csv, tsv, parquet, feather; - is csv from stdin).

    Every observed cell of a csv file keeps its very text. Columns of numbers are numbers, others,
    and codes such as 007, are categories. Empty cells, NA, N/A, NaN, null and None are missing.
    --method deep reads dates and free text, too. COLUMNS are names separated by commas; such
    options can be repeated.
    """
    begun = time.monotonic()
    verbose = int(not quiet)
    with complaining(traceback):
        # Before any work:
        files.Format.of(output)
        series = _checked(ctx, engine)
        with files.replacing(output, force=force) as handle:
            with reporting(verbose) as progress:
                keys = {f"--{name}": series[name] for name in KEYS} if series else None
                asked = source.read(keep_empty=keep_empty, progress=progress, keys=keys)
            table, gaps, X = asked.table, asked.gaps, asked.X
            imputer, y = _imputer(asked, verbose, engine | series)
            # The command has said these by its own names for columns and options.
            warnings.filterwarnings(
                "ignore", "y has .* different labels|Column .* (has another|is taken|counts)"
            )
            if any(gaps.values()):
                table.fill(list(gaps), imputer.fit_transform(X, y))
            with reporting(verbose) as progress:
                files.write(table, handle, output, source.data, progress)
        if not quiet:
            click.echo(f"{output}: {len(X):,} rows in {time.monotonic() - begun:.1f} s", err=True)
            _summarize(imputer, gaps, source.target)


@main.command()
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=".",
    show_default=True, metavar="FOLDER", help="Where the picture goes.",
)  # fmt: skip
@click.option("--traceback", is_flag=True, help="Show where in the program an error came from.")
def demo(output: Path, traceback: bool) -> None:
    """Fill the Palmer penguins, show every step and draw a picture."""
    with complaining(traceback):
        from greyknn.demo import run

        run(output)


@main.command()
@click.option("--traceback", is_flag=True, help="Show where in the program an error came from.")
@click.pass_context
def doctor(ctx: click.Context, traceback: bool) -> None:
    """Tell what is found on this machine, and what is wrong.

    The exit code is 1 if something is: a GPU that cannot be used, say, but not the lack of one.
    """
    with complaining(traceback):
        from greyknn.doctor import examine

        well = examine()
    ctx.exit(0 if well else 1)


main.add_command(compare)


def _checked(ctx: click.Context, engine: dict[str, Any]) -> dict[str, Any]:
    """Refuse what the method has no use for; its own options if it is the deep one, else none."""
    series = {name: engine.pop(name) for name in (*KEYS, "time_budget")}
    method = engine["method"]
    useless = set(engine) - SHARED if method == DEEP else set(series)
    for param in ctx.command.params:
        source = ctx.get_parameter_source(str(param.name))
        if param.name in useless and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[-1]} means nothing to --method {method}: leave it out.", ctx
            )
    if method != DEEP:
        return {}
    if engine["label_use"] == "cross-fit":
        raise click.UsageError("--method deep takes --label-use fit or never, not cross-fit.", ctx)
    if find_spec("torch") is None:  # missed now, and not after a long file was read
        import greyknn.deep  # noqa: F401
    # If torch were imported before pyarrow reads a file, the process would often abort at its end.
    return series


def _imputer(asked: Asked, verbose: int, engine: dict[str, Any]) -> tuple[Any, Any]:
    """The imputer that the options ask for, and the labels that it is to see."""
    if engine["method"] != DEEP:
        from greyknn.imputer import GreyKNNImputer  # --help must not wait for scikit-learn

        imputer = GreyKNNImputer(categorical_features=asked.categories, verbose=verbose, **engine)
        return imputer, asked.y
    from greyknn.deep import DeepImputer

    given = {name: engine[name] for name in (*KEYS, "time_budget", "device", "random_state")}
    types = dict.fromkeys(asked.categories, "categorical")
    return DeepImputer(types=types, verbose=verbose, **given), (
        None if engine["label_use"] == "never" else asked.y
    )


def _summarize(imputer: Any, gaps: dict[str, int], target: str | None) -> None:
    total = sum(gaps.values())
    if total == 0:
        click.echo("  no gaps, so nothing was filled", err=True)
        return
    most = sorted((name for name in gaps if gaps[name]), key=lambda name: -gaps[name])
    shown = [f"{name} {gaps[name]:,}" for name in most[:SHOWN]]
    more = f", and {len(most) - SHOWN} columns more" if len(most) > SHOWN else ""
    click.echo(f"  filled   {total:,} gaps: {', '.join(shown)}{more}", err=True)
    if hasattr(imputer, "report_"):
        _tell_report(imputer, most)
        return
    if imputer.targets_ is not None:
        _tell_targets(imputer, list(gaps))
        return
    how = ""
    if imputer.selection_errors_ is not None:
        error = imputer.selection_errors_[imputer.n_neighbors_ - 1]
        if imputer.n_neighbors == "cv" and len(imputer.classes_) > 1:
            how = f", which predicts {target} best ({error:.1%} wrong)"
        else:
            how = ", which restores hidden cells best"
    click.echo(f"  method   {imputer.method}, k = {imputer.n_neighbors_}{how}", err=True)
    settled = "converged" if imputer.converged_ else "not converged"
    click.echo(f"  {settled} after {imputer.n_iter_} iteration(s)", err=True)


def _tell_report(imputer: Any, names: Sequence[str]) -> None:
    """What the deep imputer expects of its fills in some columns."""
    click.echo(
        f"  method   {DEEP}, {imputer.n_steps_} steps; hidden cells were restored:", err=True
    )
    for name in names[:SHOWN]:
        skill = imputer.report_.get(name)
        if skill is None:
            how = "texts, copied from near rows"
        elif skill.n_cells == 0:
            how = "too few observed cells to tell"
        elif skill.calibration is not None:
            how = f"{skill.error:.1%} wrong (the most frequent: {skill.naive:.1%})"
        else:
            how = f"{skill.error:.3g} standard deviations off (the mean: {skill.naive:.3g})"
        click.echo(f"    {name}: {how}", err=True)
    if len(names) > SHOWN:
        click.echo(f"    and {len(names) - SHOWN} columns more", err=True)


def _tell_targets(imputer: GreyKNNImputer, names: Sequence[str]) -> None:
    """What was chosen for each column, and the error to expect there."""
    click.echo(f"  method   {imputer.method}, chosen for each column:", err=True)
    targets = imputer.targets_ or {}
    for place, report in list(targets.items())[:SHOWN]:
        most = max(report.shares, key=lambda proposal: report.shares[proposal])
        wrong = f"{report.error:.1%} wrong" if report.categorical else f"{report.error:.3g} off"
        chosen = f"k = {report.n_neighbors}, most by {most}"
        click.echo(f"    {names[place]}: {wrong} where left out, {chosen}", err=True)
    if len(targets) > SHOWN:
        click.echo(f"    and {len(targets) - SHOWN} columns more", err=True)
