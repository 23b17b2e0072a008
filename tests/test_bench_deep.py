"""``python -m bench.deep``: its masks, tables, scores and rivals, and the verdict's arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.deep import pots, running, tables, text, verdict
from bench.deep.cost import Halves, Kept
from bench.deep.ratios import differences, latest, overview, ratios, scored
from bench.deep.rivals import RIVALS, Rival, rival
from bench.deep.scores import calibration_error, dist_scores, fill_scores
from bench.deep.sequences import Interpolated, Lagged, in_runs, panel, series_of
from bench.deep.tasks import Task, scattered
from greyknn.evaluation.fillers import Filler
from greyknn.evaluation.store import Store
from greyknn.evaluation.tables import Data

# Benchmarks are no part of what is covered.
pytestmark = pytest.mark.jit

# ---- masks


def test_scattered_cells_are_the_rate_of_the_observed() -> None:
    observed = np.random.default_rng(0).random((2000, 5)) < 0.9
    hidden = scattered(observed, 0.2, repeat=0)
    assert not (hidden & ~observed).any()
    assert hidden.sum() / observed.sum() == pytest.approx(0.2, abs=0.02)
    assert (hidden == scattered(observed, 0.2, repeat=0)).all()
    assert (hidden != scattered(observed, 0.2, repeat=1)).any()


def test_no_row_loses_all_of_several_cells() -> None:
    observed = np.ones((500, 2), dtype=bool)
    observed[:50, 1] = False
    hidden = scattered(observed, 0.9, repeat=0)
    assert (observed & ~hidden)[50:].any(axis=1).all()
    assert hidden[:50, 0].sum() > 30  # the only cell of a row may go


def test_runs_stay_within_their_series() -> None:
    series = np.repeat(np.arange(6), 40)
    observed = np.ones((240, 3), dtype=bool)
    observed[::7] = False
    hidden = in_runs(observed, series, 0.2, repeat=2)
    assert not (hidden & ~observed).any()
    assert 0.2 <= hidden.sum() / observed.sum() < 0.2 + 11 / observed.sum()
    alone = in_runs(np.ones((240, 3), dtype=bool), series, 0.01, repeat=0)
    cells = [(which, step) for step, which in np.argwhere(alone)]
    lengths = [len(list(run)) for _, run in groupby(sorted(cells), key=lambda cell: cell[0])]
    assert all(4 <= length <= 11 for length in lengths)
    assert len({series[step] for _, step in cells}) == len(lengths)


def test_runs_of_short_series_end_with_them() -> None:
    series = np.repeat(np.arange(50), 3)
    hidden = in_runs(np.ones((150, 2), dtype=bool), series, 0.3, repeat=0)
    whole = hidden.reshape(50, 3, 2)
    assert (whole.all(axis=1) | ~whole.any(axis=1)).all()


# ---- tables


@pytest.mark.parametrize(
    ("name", "shape", "n_classes"),
    [
        ("iris", (150, 4), 3),
        ("bc", (569, 30), 2),
        ("diabetes", (442, 10), 3),
        ("mixed", (1500, 10), 3),
    ],
)
def test_study_tables(name: str, shape: tuple[int, int], n_classes: int) -> None:
    data = tables.study_table(name)
    assert data.frame.shape == shape
    assert len(data.classes) == n_classes
    assert data.categorical.sum() == (4 if name == "mixed" else 0)


def test_the_mixed_table_is_mostly_not_linear() -> None:
    table, y = tables.mixed()
    correlation = table[["linear", "wave", "product", "other", "skewed", "sum"]].corr()
    assert abs(correlation.loc["wave", "linear"]) < 0.5
    assert abs(correlation.loc["product", "other"]) < 0.1
    assert abs((table["product"] ** 2).corr(table["other"] ** 2)) > 0.2
    assert correlation.loc["linear", "sum"] > 0.4
    scores = table.assign(y=y).groupby("of 6", observed=True)["sum"].mean()
    assert scores.max() - scores.min() > 0.5


def test_unseen_tables_lose_a_fifth_by_every_mechanism(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=200), "b": rng.choice(list("uvw"), 200)})
    table["class"] = rng.choice(["yes", "no"], 200)
    table.loc[:9, "a"] = np.nan
    table.to_csv(tmp_path / "adult.csv", index=False)
    facts = {"file": "adult.csv", "target": "class", "categorical": ["b"]}
    (tmp_path / "datasets.json").write_text(pd.Series({"adult": facts}).to_json())
    tasks = [task for task, _ in tables.unseen(tmp_path, [0])]
    assert [task.mechanism for task in tasks] == ["mcar", "mar", "mnar"]
    for task in tasks:
        assert task.hidden.sum() == pytest.approx(0.2 * 390, abs=2)
        assert not task.hidden[:10, 0].any()
        rise = task.data.matrix[task.hidden[:, 0], 0].mean() - np.nanmean(task.data.matrix[:, 0])
        assert (rise > 0.2) == (task.mechanism == "mnar")


# ---- texts and series


def test_titles_tell_what_the_columns_hold() -> None:
    table = text.titles(600)
    lower = table["title"].str.lower()
    brand = [name.lower() in title for name, title in zip(table["brand"], lower)]
    assert 0.5 < np.mean(brand) < 0.75  # a quarter left out, and typos
    named = [
        any(name in title for name in text.KINDS[kind].names)
        for kind, title in zip(table["category"], lower)
    ]
    assert 0.5 < np.mean(named) < 0.86
    assert table.groupby("brand", observed=True)["category"].nunique().max() <= 3
    logs = np.log(table[table["category"] == "lamp"][["size", "price"]])
    assert logs.corr().iloc[0, 1] > 0.5


def test_one_letter_in_so_many_is_wrong() -> None:
    rng = np.random.default_rng(0)
    written = text.misspelt("x" * 3000 + "1" * 3000, rng, share=0.1)
    assert written.count("1") == 3000
    changed = sum(letter not in "x1" for letter in written)
    assert changed == pytest.approx(100, abs=40)
    assert text.misspelt("plain", rng, share=0.0) == "plain"


def test_titles_have_gaps_in_three_columns() -> None:
    task, _ = next(iter(text.titled([0])))
    size = list(task.data.frame).index("size")
    assert task.hidden.any(axis=0).tolist() == [j != size for j in range(4)]
    assert list(task.gappy(with_context=True)) == ["title", "category", "brand", "size", "price"]
    assert list(task.gappy()) == ["category", "brand", "size", "price"]


def test_channels_share_season_and_shock() -> None:
    context, values = panel(0)
    assert values.shape == (80 * 96, 4)
    assert context["step"].tolist()[:97] == [*range(96), 0]
    cube = values.to_numpy().reshape(80, 96, 4)
    trendless = cube - cube.mean(axis=1, keepdims=True)

    def lagged(channel: int, lag: int) -> float:
        late, early = trendless[:, lag:, channel], trendless[:, :-lag, channel]
        return float(np.corrcoef(late.ravel(), early.ravel())[0, 1])

    assert lagged(0, 12) > 0.3 > 0 > lagged(0, 6)
    assert lagged(1, 12) > 0.3 > 0 > lagged(1, 6)
    # Over a whole period the season sums to 0, and what is left is the shock, -0.7 times in one.
    shocks = trendless.reshape(80, 8, 12, 4).mean(axis=2)
    shocks = shocks - shocks.mean(axis=1, keepdims=True)
    slope = np.polyfit(shocks[..., 0].ravel(), shocks[..., 1].ravel(), 1)[0]
    assert -0.8 < slope < -0.55


def test_lines_do_not_cross_series() -> None:
    X = pd.DataFrame({
        "id": ["b", "b", "b", "a", "a", "a", "c"],
        "t": [0, 1, 4, 0, 1, 2, 5],
        "v": [0.0, np.nan, 8.0, np.nan, 3.0, np.nan, np.nan],
    })  # fmt: skip
    filled = Interpolated(("id", "t")).fit_transform(X)
    assert filled["v"].tolist() == pytest.approx([0, 2, 8, 3, 3, 3, 11 / 3])
    assert series_of(X[["t"]]).tolist() == [0] * 7


def test_lags_use_other_channels() -> None:
    context, values = panel(1, n_series=10)
    values["copy"] = 2 * values["sum"]
    hidden = np.zeros(values.shape, dtype=bool)
    hidden[::3, 0] = True
    X = context.join(values.mask(hidden))
    errors = [
        (imputer(("id", "step")).fit_transform(X)["sum"] - values["sum"]).abs().max()
        for imputer in (Interpolated, Lagged)
    ]
    assert errors[0] > 0.5
    assert errors[1] < 0.05


def test_windows_are_of_one_series() -> None:
    window, step = pots.windows(np.repeat([0, 1], [200, 50]))
    assert np.bincount(window).tolist() == [96, 96, 8, 50]
    assert step[[0, 95, 96, 200]].tolist() == [0, 95, 0, 0]


def test_the_other_process_gets_windows_and_its_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import numpy as np, sys, pathlib\n"
        "cut = np.load('in.npy')\n"
        "assert cut.shape == (2, 3, 1), cut.shape\n"
        "np.save('out.npy', np.full(cut.shape, 1.0))\n"
        "pathlib.Path('seconds').write_text(sys.argv[2])\n"
    )
    monkeypatch.setattr(pots, "WORKER", worker)
    X = pd.DataFrame({"id": [0, 0, 0, 1, 1, 1], "t": [0, 1, 2] * 2, "v": [1.0, 3, 5, np.nan, 1, 5]})
    imputer = pots.PyPots("SAITS", ("id", "t"), 7.0, random_state=0)
    filled = imputer.fit_transform(X)
    assert imputer.cpu_seconds_ == 7.0
    # One standard deviation above the mean.
    assert filled["v"].tolist() == pytest.approx([1, 3, 5, 3 + math.sqrt(16 / 5), 1, 5])
    worker.write_text("raise ValueError('no such thing')")
    with pytest.raises(RuntimeError, match="no such thing"):
        imputer.fit_transform(X)


# ---- scores


def small(hidden_at: list[tuple[int, int]]) -> Task:
    frame = pd.DataFrame({
        "a": [1.0, 2.0, 3.0, 6.0, np.nan, 3.0],
        "b": [10.0, 10.0, 40.0, 20.0, 20.0, 20.0],
        "c": list("xyxyxx"),
    }).astype({"c": "category"})  # fmt: skip
    data = Data.of(frame, None, "from_dtype", "small")
    hidden = np.zeros(frame.shape, dtype=bool)
    for row, column in hidden_at:
        hidden[row, column] = True
    return Task("tables", data, hidden, "mcar", 0.2, 0)


def test_errors_are_in_deviations_of_the_full_column() -> None:
    task = small([(0, 0), (3, 0), (2, 1), (0, 2), (1, 2), (5, 2)])
    filled = task.data.matrix.copy()
    filled[[0, 3], 0] = [2.0, 5.0]
    filled[2, 1] = 10.0
    filled[[0, 1], 2] = [1.0, 1.0]
    deviation = [math.sqrt(14 / 5), math.sqrt((2 * 10**2 + 20**2) / 6)]
    squares = [(1 / deviation[0]) ** 2, (1 / deviation[0]) ** 2, (30 / deviation[1]) ** 2]
    scores = fill_scores(task, filled)
    assert scores["nrmse"] == pytest.approx(math.sqrt(sum(squares) / 3))
    assert scores["accuracy"] == pytest.approx(2 / 3)
    hidden = [-2 / deviation[0], 3 / deviation[0], 20 / deviation[1]]
    fills = [-1 / deviation[0], 2 / deviation[0], -10 / deviation[1]]
    assert scores["variance_ratio"] == pytest.approx(np.var(fills) / np.var(hidden))
    assert math.isnan(fill_scores(small([(0, 0)]), filled)["accuracy"])
    assert math.isnan(fill_scores(small([(0, 2)]), filled)["nrmse"])


def test_calibration_error_is_the_gap_of_each_bin() -> None:
    sure = np.array([0.52, 0.54, 0.91, 0.93, 0.94, 1.0])
    right = np.array([True, False, True, True, False, True])
    by_bin = {10: [(0.52, 1), (0.54, 0)], 18: [(0.91, 1), (0.93, 1), (0.94, 0)], 19: [(1.0, 1)]}
    expected = sum(abs(sum(hit - p for p, hit in some)) for some in by_bin.values()) / 6
    assert calibration_error(sure, right) == pytest.approx(expected)
    assert calibration_error(np.ones(3), np.array([True, True, True])) == 0.0


def told() -> pd.DataFrame:
    number = {"column": "a", "mean": 3.0, "q05": 1.5, "q95": 5.5, "sd": 1.0}
    guess = {"row": 1, "column": "c"}
    return pd.DataFrame([
        {"row": 3, **number},  # 6 is above
        {"row": 4, **number},  # the table's own gap
        {"row": 0, **number},  # 1 is below
        {"row": 5, **number},
        {**guess, "value": "x", "probability": 0.2},
        {**guess, "value": "y", "probability": 0.7},
        {**guess, "value": "z", "probability": 0.1},
        {"row": 2, "column": "title"},
    ])  # fmt: skip


def test_intervals_and_probabilities_are_scored_on_hidden_cells() -> None:
    scores = dist_scores(small([(0, 0), (3, 0), (5, 0), (1, 2)]), told())
    assert scores["coverage"] == pytest.approx(1 / 3)
    assert scores["honesty"] == pytest.approx((2**2 + 3**2 + 0**2) / 3)
    assert scores["ece"] == pytest.approx(0.3)


@pytest.mark.parametrize("cell", [(1, 0), (0, 1), (0, 2)])
def test_what_is_not_told_is_an_error(cell: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"tells of 2 of 3 gaps"):
        dist_scores(small([(0, 0), (1, 2), cell]), told())


# ---- rivals and runs


@pytest.mark.parametrize("name", ["knn", "trees", "forest", "mean"])
def test_rivals_fill_and_leave_what_is_known(name: str) -> None:
    table, y = tables.mixed(100)
    data = Data.of(table, y, "from_dtype", "mixed")
    hidden = scattered(~np.isnan(data.matrix), 0.2, 0)
    task = Task("tables", data, hidden, "mcar", 0.2, 0)
    row = running.perform(task, name, rival(name, task))
    assert row["failure"] is None
    assert row["nrmse"] < (1.1 if name == "mean" else 0.95)
    assert row["accuracy"] > 0.3


def test_every_column_has_a_network() -> None:
    datawig = pytest.importorskip("bench.deep.datawig")
    rng = np.random.default_rng(0)
    x, side = rng.normal(size=100), rng.integers(2, size=100)
    full = pd.DataFrame({
        "title": np.where(side, "to the left", "on the right"),
        "x": x,
        "bent": np.abs(x),
        "side": pd.Categorical.from_codes(side, ["l", "r"]),
    })  # fmt: skip
    gappy = full.copy()
    gappy.loc[::4, "bent"], gappy.loc[1::4, "side"] = np.nan, None
    filled = datawig.ColumnNets(("title",), random_state=0).fit_transform(gappy)
    assert list(filled) == list(full)
    assert (filled["side"] == full["side"]).all()
    assert (filled["bent"][1::4] == full["bent"][1::4]).all()
    error = filled["bent"] - full["bent"]
    assert np.sqrt((error[::4] ** 2).mean()) < 0.4 * full["bent"].std()


def test_texts_are_read() -> None:
    task, methods = next(iter(text.titled([0])))
    some = np.arange(200)
    data = Data.of(task.data.frame.iloc[some], None, "from_dtype", "titles")
    task = replace(task, data=data, hidden=task.hidden[some], context=task.context.iloc[some])
    accuracy = {
        name: running.perform(task, name, rival(name, task))["accuracy"]
        for name in ("mean", "ngrams")
    }
    assert accuracy["ngrams"] > accuracy["mean"] + 0.4
    assert set(methods) == {"deep", "mean", "forest", "ngrams", "datawig"}


def test_runs_are_kept_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(X: Any, y: Any) -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setitem(RIVALS, "fails", lambda task: Rival(Filler(fails)))
    store = Store(tmp_path / "runs.jsonl")
    tasks = [(small([(0, 0), (2, 1)]), ["mean", "fails"])]
    running.run_all(tasks, store)
    running.run_all(tasks, store)
    running.run_all(tasks, store, again=["mean"])
    methods = [(row["method"], row["failure"]) for row in store.rows()]
    assert methods[:2] == [("mean", None), ("fails", "RuntimeError: out of luck")]
    assert [name for name, _ in methods] == ["mean", "fails", "fails", "mean", "fails"]


class Told:
    """An imputer that fills with 3 and x, and tells of it."""

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        expected = [(0.3, None), (0.4, None), (0.1, (0.2, 0.1)), (0.2, (0.4, 0.2))]
        self.report_ = {
            name: SimpleNamespace(error=error, calibration=calibration)
            for name, (error, calibration) in zip("abcd", expected)
        }
        return X.fillna({"a": 3.0, "b": 3.0, "c": "x"})

    def predict_dist(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        return told()


def test_what_an_imputer_tells_enters_its_row() -> None:
    row = running.perform(small([(5, 0), (3, 0), (1, 2)]), "told", Rival(Filler(Told())))
    assert row["failure"] is None
    assert row["coverage"] == 0.5
    assert row["own_nrmse"] == pytest.approx(math.sqrt((0.3**2 + 0.4**2) / 2))
    assert row["own_ece_before"] == pytest.approx(0.3)
    assert row["own_ece"] == pytest.approx(0.15)


class Stub:
    """An imputer that fills with the number of rows it has seen."""

    forgetful, drifting = False, False

    def __init__(self, seen: int = 0) -> None:
        self.seen = seen

    def __sklearn_clone__(self) -> Stub:
        Stub.copies += 1
        return type(self)(Stub.copies if self.drifting else 0)

    copies = 0

    def fit(self, X: Any, y: Any) -> Stub:
        assert (X.index == y.index).all()
        self.seen += len(X)
        return self

    partial_fit = fit

    def transform(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        return X.fillna(self.seen)

    def save(self, path: Path) -> None:
        path.write_text(str(0 if self.forgetful else self.seen))

    @classmethod
    def load(cls, path: Path) -> Stub:
        return cls(int(path.read_text()))


@pytest.mark.parametrize("flaw", [None, "forgetful", "drifting"])
def test_files_and_seeds_are_checked(flaw: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if flaw is not None:
        monkeypatch.setattr(Stub, flaw, True)
    X, y = pd.DataFrame({"a": [1.0, np.nan, 3.0]}), pd.Series([0, 1, 0])
    kept = Kept(Stub())
    kept.fit_transform(X, y)
    same, loaded = flaw != "drifting", flaw is None
    assert kept.checks_ == {"same_seed": same, "loaded": loaded}


def test_every_row_is_in_one_half() -> None:
    X, y = pd.DataFrame({"a": np.full(11, np.nan)}), pd.Series(np.zeros(11))
    assert (Halves(Stub(), random_state=0).fit_transform(X, y)["a"] == 11).all()


# ---- the verdict


ERRORS = {
    # table, rate, repeat -> ours and those of others
    ("iris", 0.1, 0): {"deep": 0.4, "mean": 1.0, "knn": 0.8, "ridge": 0.5},
    ("iris", 0.1, 1): {"deep": 0.6, "mean": 1.0, "knn": 0.8, "ridge": 0.5},
    ("iris", 0.2, 0): {"deep": 0.5, "mean": 1.0, "knn": 1.0, "ridge": 0.4},
    ("wine", 0.1, 0): {"deep": 0.3, "mean": 0.9, "knn": 0.6, "ridge": 0.6},
    ("wine", 0.1, 1): {"mean": 0.9, "knn": 0.1, "ridge": 0.1},  # ours is not there yet
}


def made(errors: Any = ERRORS, score: str = "nrmse", part: str = "tables") -> pd.DataFrame:
    """A made-up store."""
    return latest(
        {"part": part, "table": table, "mechanism": "mcar", "rate": rate, "repeat": repeat,
         "method": method, score: value, "failure": None}
        for (table, rate, repeat), methods in errors.items()
        for method, value in methods.items()
    )  # fmt: skip


def test_ratios_are_of_means_over_the_repeats_that_both_have() -> None:
    found = ratios(scored(made(), "nrmse", {"part": "tables"}), "deep", ["knn"])
    assert found is not None
    expected = {"iris 0.1": 0.5 / 0.8, "iris 0.2": 0.5, "wine 0.1": 0.5}
    cells = {f"{table} {rate}": value for (table, _, rate), value in found.cells.items()}
    assert cells == pytest.approx(expected)
    assert found.geomean == pytest.approx(math.prod(expected.values()) ** (1 / 3))
    assert found.most == ("iris mcar 10%", pytest.approx(0.625))
    assert found.of_tables()["iris"] == pytest.approx(math.sqrt(0.625 * 0.5))
    first = (0.5 * 0.5 * 0.5) ** (1 / 3)
    assert found.spread == pytest.approx(abs(first - 0.6 / 0.8) / math.sqrt(2))


def test_the_best_rival_is_that_of_the_cell() -> None:
    found = ratios(scored(made(), "nrmse", {"part": "tables"}), "deep", ["knn", "ridge"])
    assert found is not None
    assert found.most == ("iris mcar 20%", pytest.approx(0.5 / 0.4))
    assert (found.masks < 1).sum() == 2


def test_differences_are_to_the_best() -> None:
    found = differences(scored(made(), "nrmse", {"table": "iris"}), "deep", ["knn", "mean"])
    assert found is not None
    assert sorted(found.cells) == pytest.approx([-0.5, -0.5])
    assert differences(scored(made(), "nrmse", {"table": "iris"}), "deep", ["trees"]) is None
    assert ratios(scored(made(), "nrmse", {"table": "none"}), "deep", ["knn"]) is None


def test_the_last_good_run_counts() -> None:
    row = {"part": "tables", "table": "iris", "mechanism": "mcar", "rate": 0.1, "repeat": 0}
    runs = latest([
        {**row, "method": "deep", "nrmse": 0.9, "failure": None},
        {**row, "method": "deep", "nrmse": 0.5, "failure": None},
        {**row, "method": "deep", "nrmse": math.nan, "failure": "RuntimeError"},
        {**row, "part": "unseen", "method": "deep", "nrmse": 0.7, "failure": None},
    ])  # fmt: skip
    assert runs["nrmse"].tolist() == [0.5, 0.7]


def lines(runs: pd.DataFrame) -> dict[str, verdict.Line]:
    return {line.what: line for line in verdict.verdict(runs)}


def test_promises_are_kept_or_not() -> None:
    said = lines(made())
    mean = said["tables: nRMSE over that of mean, geometric mean"]
    assert mean.value == pytest.approx((0.5 * 0.5 / 3) ** (1 / 3))
    assert mean.kept is True
    assert mean.note == "won 4 of 4 masks; worst 0.500, iris mcar 10%"
    assert said["tables: nRMSE over that of ridge, geometric mean"].kept is True
    assert said["tables: nRMSE over that of forest, geometric mean"].kept is None


def test_one_lost_cell_breaks_the_promise_of_all() -> None:
    what = "tables: nRMSE over that of knn, geometric mean"
    assert lines(made())[what].kept is True
    worse = {**ERRORS, ("bc", 0.1, 0): {"deep": 0.5, "knn": 0.49}}
    line = lines(made(worse))[what]
    assert line.value < 0.80
    assert line.kept is False


def test_the_worst_cell_is_promised() -> None:
    what = "tables: worst cell over the best rival's"
    rivals = {"mean": 1.0, "knn": 0.8, "ridge": 0.5, "forest": 0.45, "trees": 0.5}
    for ours, kept in ((0.5, True), (0.51, False)):
        line = lines(made({("iris", 0.1, 0): {"deep": ours, **rivals}}))[what]
        assert line.value == pytest.approx(ours / 0.45)
        assert line.kept is kept


@pytest.mark.parametrize(("ours", "kept"), [(0.706, True), (0.704, False)])
def test_accuracy_on_mixed_is_promised_at_every_rate(ours: float, kept: bool) -> None:
    runs = made(
        {("mixed", 0.1, 0): {"deep": 0.8, "forest": 0.7, "datawig": 0.1},
         ("mixed", 0.2, 0): {"deep": ours, "forest": 0.7, "datawig": 0.705}},
        "accuracy",
    )  # fmt: skip
    said = lines(runs)
    assert said["mixed: accuracy less that of forest, the least of the rates"].kept is kept
    assert said["tables: accuracy less that of a net per column"].kept is kept


def test_series_are_promised_by_holes_and_rate() -> None:
    panel_runs = made({("panel", 0.1, 0): {"deep": 0.46, "linear": 1.0, "brits": 0.45}},
                      part="sequences")  # fmt: skip
    for mechanism, kept in (("points", True), ("runs", False)):
        said = lines(panel_runs.assign(mechanism=mechanism))
        assert said[f"panel, {mechanism} 10%: nRMSE over that of lines"].kept is kept
        assert said[f"panel, {mechanism} 30%: nRMSE over that of lines"].kept is None
        assert said["panel: nRMSE over that of brits at equal CPU time, worst cell"].kept is False


@pytest.mark.parametrize(("shares", "kept"), [((0.90, 0.92), True), ((0.85, 0.88), False),
                                              ((0.94, 0.95), False)])  # fmt: skip
def test_coverage_is_promised_on_both_sides(shares: tuple[float, float], kept: bool) -> None:
    runs = made({("iris", 0.1, i): {"deep": share} for i, share in enumerate(shares)}, "coverage")
    line = lines(runs)["share of hidden numbers in their 90 % intervals"]
    assert line.value == pytest.approx(sum(shares) / 2)
    assert line.kept is kept


def test_time_is_promised_beside_forests() -> None:
    runs = made({("mixed", 0.1, 0): {"deep": 30.0, "forest": 4.0}}, "cpu_seconds")
    said = lines(runs)
    assert said["mixed: CPU seconds"].kept is True
    assert said["mixed: CPU seconds over those of forest"].value == pytest.approx(7.5)
    assert said["mixed: CPU seconds over those of forest"].kept is False


def test_checks_are_promised() -> None:
    cost = {("mixed", 0.2, 0): {"deep-kept": True}, ("bc", 0.2, 0): {"deep-kept": False}}
    said = lines(made(cost, "loaded", "cost"))
    assert said["saved and loaded: share of tables with identical fills"].value == 0.5
    assert said["saved and loaded: share of tables with identical fills"].kept is False
    assert said["same seed twice: share of tables with identical fills"].kept is None


def test_nothing_measured_is_nothing_kept() -> None:
    said = lines(latest([]))
    del said["lines of greyknn/deep"]
    assert len(said) > 20
    assert {line.kept for line in said.values()} == {None}


def test_the_overview_has_ours_beside_the_best_other() -> None:
    rows = {row["cell"]: row for row in overview(made(), "tables")}
    assert rows["iris mcar 10%"]["beside best"] == pytest.approx(1.0)
    assert rows["iris mcar 10%"]["spread"] == pytest.approx(0.2 / math.sqrt(2), abs=1e-3)
    assert rows["wine mcar 10%"]["deep"] == pytest.approx(0.3)
    (row,) = overview(made({("mixed", 0.1, 0): {"deep": 0.7, "knn": 0.6}}, "accuracy"), "tables")
    assert row["beside best"] == pytest.approx(0.1)
