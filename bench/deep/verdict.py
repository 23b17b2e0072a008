"""Whether DeepImputer keeps what was promised of it, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import greyknn
from bench.deep.ratios import Ratios, differences, latest, overview, ratios, scored
from bench.deep.tables import SLOW, SLOW_RATE
from bench.report import show
from greyknn.evaluation.store import Store

RIVALS = {"mean": 0.55, "knn": 0.80, "ridge": 0.93, "forest": 0.94, "trees": 0.96}
"""Geometric mean of our errors over theirs that is allowed on the study's tables."""
PRIORS = ("fwgknn", "cgknn")
LINEAR = {("points", 0.1): 0.70, ("points", 0.3): 0.70, ("runs", 0.1): 0.45, ("runs", 0.3): 0.50}
BY_COLUMN = ["iris", "wine", "diabetes", "bc", "mixed"]
"""Tables on which one network per column is beaten."""
MOST_LINES, MOST_SECONDS, MOST_FORESTS = 700, 40.0, 6.0
NAN = float("nan")


@dataclass(frozen=True)
class Line:
    """One promise.

    Attributes
    ----------
    what, must : str
        What is measured, and what it must be; "" if it is only told.
    value : float
        What came out; NaN if it was not measured.
    kept : bool or None
        None if it was not measured, or nothing was promised.
    spread : float
        Standard deviation over the repeats.
    note : str
        Such as the worst cell, and on how many masks we won.
    """

    what: str
    must: str
    value: float = NAN
    kept: bool | None = None
    spread: float = NAN
    note: str = ""


def at_most(
    what: str, value: float, limit: float, spread: float = NAN, note: str = "", also: bool = True
) -> Line:
    """A line that is kept if the value is not above the limit, and something else holds."""
    kept = None if np.isnan(value) else bool(value <= limit and also)
    return Line(what, f"<= {limit:g}", value, kept, spread, note)


def at_least(what: str, value: float, limit: float, spread: float = NAN, note: str = "") -> Line:
    """A line that is kept if the value is not below the limit."""
    kept = None if np.isnan(value) else bool(value >= limit)
    return Line(what, f">= {limit:g}", value, kept, spread, note)


def tell(path: Path) -> None:
    """Print and keep the lines, and the scores of every part, of a result file."""
    runs = latest(Store(path).rows())
    lines = verdict(runs)
    rows = [
        {name: None if value != value else value for name, value in asdict(line).items()}
        for line in lines
    ]  # fmt: skip
    n_repeats = runs["repeat"].nunique() if len(runs) else 0
    show("deep-verdict", f"What DeepImputer must show: {n_repeats} repeats, one thread", rows)
    for part in ("tables", "unseen", "text", "sequences", "cost", "large"):
        cells = overview(runs, part)
        if cells:
            show(f"deep-{part}", f"Errors and accuracies by cell: {part}", cells)


def verdict(runs: pd.DataFrame) -> list[Line]:
    """All lines, from `latest` rows."""
    return [
        *_tables(runs), *_mixed(runs), *_by_column(runs), *_priors(runs), *_sequences(runs),
        *_honesty(runs), *_cost(runs), *_others(runs),
    ]  # fmt: skip


def _tables(runs: pd.DataFrame) -> Iterator[Line]:
    scores = scored(runs, "nrmse", {"part": "tables"})
    for rival, limit in RIVALS.items():
        found = ratios(scores, "deep", [rival])
        everywhere = found is None or rival != "knn" or bool((found.cells < 1).all())
        what = f"tables: nRMSE over that of {rival}, geometric mean"
        yield _geomean(what, found, limit, everywhere)
    found = ratios(scores, "deep", list(RIVALS))
    where, value = found.most if found else ("", NAN)
    yield at_most("tables: worst cell over the best rival's", value, 1.12, note=where)


def _geomean(what: str, found: Ratios | None, limit: float, also: bool = True) -> Line:
    if found is None:
        return Line(what, f"<= {limit:g}")
    return at_most(what, found.geomean, limit, found.spread, _wins(found), also)


def _wins(found: Ratios, difference: bool = False) -> str:
    """How often we won, and where we were worst."""
    won = found.masks > 0 if difference else found.masks < 1
    where, value = found.least if difference else found.most
    return f"won {int(won.sum())} of {len(won)} masks; worst {value:.3f}, {where}"


def _mixed(runs: pd.DataFrame) -> Iterator[Line]:
    scores = scored(runs, "accuracy", {"part": "tables", "table": "mixed"})
    found = differences(scores, "deep", ["forest"])
    value = found.least[1] if found else NAN
    yield at_least(
        "mixed: accuracy less that of forest, the least of the rates", value, 0.005,
        found.spread if found else NAN, _wins(found, difference=True) if found else "",
    )  # fmt: skip


def _by_column(runs: pd.DataFrame) -> Iterator[Line]:
    where = {"part": "tables", "table": BY_COLUMN, "rate": SLOW_RATE}
    found = ratios(scored(runs, "nrmse", where), "deep", [SLOW])
    name, value = found.most if found else ("", NAN)
    spread = found.spread if found else NAN
    yield at_most("tables: nRMSE over that of a net per column, worst", value, 0.94, spread, name)
    right = differences(scored(runs, "accuracy", where), "deep", [SLOW])
    least = right.least[1] if right else NAN
    spread = right.spread if right else NAN
    yield at_least("tables: accuracy less that of a net per column", least, 0.0, spread)


def _priors(runs: pd.DataFrame) -> Iterator[Line]:
    scores = scored(runs, "nrmse", {"part": "tables"})
    for prior in PRIORS:
        found = ratios(scores, "deep", [prior])
        yield _geomean(f"tables: nRMSE over that of {prior}, geometric mean", found, 0.85)
        by_table = found.of_tables() if found else pd.Series({"": NAN})
        worst = by_table.idxmax() if found else ""
        yield at_most(
            f"tables: nRMSE over that of {prior}, worst table", float(by_table.max()), 1.02,
            note=str(worst),
        )  # fmt: skip


def _sequences(runs: pd.DataFrame) -> Iterator[Line]:
    for (mechanism, rate), limit in LINEAR.items():
        where = {"part": "sequences", "table": "panel", "mechanism": mechanism, "rate": rate}
        found = ratios(scored(runs, "nrmse", where), "deep", ["linear"])
        yield _geomean(f"panel, {mechanism} {rate:.0%}: nRMSE over that of lines", found, limit)
    for rival in ("brits", "saits"):
        where = {"part": "sequences", "table": "panel"}
        found = ratios(scored(runs, "nrmse", where), "deep", [rival])
        what = f"panel: nRMSE over that of {rival} at equal CPU time, worst cell"
        if found is None:
            yield Line(what, "< 1")
            continue
        name, value = found.most
        time = ratios(scored(runs, "cpu_seconds", where), "deep", [rival])
        note = f"{name}; CPU seconds over its {time.geomean:.2f}" if time else name
        yield Line(what, "< 1", value, value < 1, found.spread, note)


def _honesty(runs: pd.DataFrame) -> Iterator[Line]:
    covered = scored(runs, "coverage", {"part": ["tables", "unseen"]})
    what = "share of hidden numbers in their 90 % intervals"
    if "deep" not in covered or covered["deep"].isna().all():
        yield Line(what, "0.87 to 0.93")
    else:
        shares = covered["deep"].dropna()
        cells = shares.groupby(level="table").mean()
        note = f"{cells.idxmin()} {cells.min():.3f} to {cells.idxmax()} {cells.max():.3f}"
        spread = float(shares.groupby(level="repeat").mean().std())
        mean = float(shares.mean())
        yield Line(what, "0.87 to 0.93", mean, 0.87 <= mean <= 0.93, spread, note)
    ece = scored(runs, "ece", {"part": "tables", "table": "mixed"})
    yield at_most("mixed: ECE of hidden categories", _mean(ece), 0.06)
    after, before = (
        _mean(scored(runs, name, {"part": ["tables", "unseen"]}))
        for name in ("own_ece", "own_ece_before")
    )
    yield at_most("ECE after temperature less that before", after - before, 0.0)
    spread_of_fills = scored(runs, "variance_ratio", {"part": ["tables", "unseen"]})
    yield Line("variance of the fills over that of the hidden", "", _mean(spread_of_fills))
    own = scored(runs, "own_nrmse", {"part": ["tables", "unseen"]})
    real = scored(runs, "nrmse", {"part": ["tables", "unseen"]})
    yield Line("nRMSE that its report expects over the real one", "", _mean(own) / _mean(real))
    honest = scored(runs, "honesty", {"part": ["tables", "unseen"]})
    yield Line("mean squared error over the mean of sd squared", "", _mean(honest))


def _mean(scores: pd.DataFrame, method: str = "deep") -> float:
    return float(scores[method].mean()) if method in scores else NAN


def _cost(runs: pd.DataFrame) -> Iterator[Line]:
    seconds = scored(runs, "cpu_seconds", {"part": "tables", "table": "mixed"})
    took = _mean(seconds)
    yield at_most("mixed: CPU seconds", took, MOST_SECONDS)
    over = took / _mean(seconds, "forest")
    yield at_most("mixed: CPU seconds over those of forest", over, MOST_FORESTS)
    cost = scored(runs, "nrmse", {"part": "cost"})
    halves = ratios(cost, "deep-halves", ["deep-apart"])
    where, value = halves.most if halves else ("", NAN)
    yield at_most("partial_fit on the second half: nRMSE over fit on all", value, 1.05, note=where)
    for check, what in (("same_seed", "same seed twice"), ("loaded", "saved and loaded")):
        same = scored(runs, check, {"part": "cost", "method": "deep-kept"})
        share = _mean(same, "deep-kept")
        yield at_least(f"{what}: share of tables with identical fills", share, 1.0)
    rooms = Path(greyknn.__file__).with_name("deep").rglob("*.py")
    lines = sum(len(room.read_text().splitlines()) for room in rooms)
    yield at_most("lines of greyknn/deep", float(lines) or NAN, MOST_LINES)


def _others(runs: pd.DataFrame) -> Iterator[Line]:
    """What was not promised: tables never seen before, and texts."""
    for part, rivals in (
        ("unseen", [*RIVALS, *PRIORS]),
        ("text", ["forest", "ngrams", SLOW]),
        ("sequences", ["linear", "lags", "brits", "saits"]),
    ):
        for score, compare in (("nrmse", ratios), ("accuracy", differences)):
            scores = scored(runs, score, {"part": part})
            for theirs in [*([name] for name in rivals), rivals]:
                found = compare(scores, "deep", theirs)
                if found is None:
                    continue
                value = found.geomean if score == "nrmse" else float(found.cells.mean())
                than = theirs[0] if len(theirs) == 1 else "the best of these"
                what = f"{part}: {score} {'over' if score == 'nrmse' else 'less'} that of {than}"
                note = _wins(found, difference=score == "accuracy")
                yield Line(what, "", value, None, found.spread, note)
