"""``python -m bench.paper``: what it draws, what it quotes, and how it scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.naive_bayes import GaussianNB

from bench.paper import pictures, printed, tables
from bench.paper.problems import DROPPED, iris, problems, read
from bench.paper.scoring import filled, honest_accuracy, table_accuracy
from bench.paper.simulation import normal_classes, random_correlations, random_gaps
from bench.paper_tables import cubes_gaps, four_cubes, iris_gaps
from greyknn.evaluation.fillers import Filler
from greyknn.evaluation.tables import Data

# Benchmarks are no part of what is covered.
pytestmark = pytest.mark.jit

CUBE_BITS = (0.40, 0.28, 0.21)

# ---- what is drawn


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_correlations_are_valid(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(50):
        matrix = random_correlations(n, rng)
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diag(matrix), 1.0)
        assert np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize("n", [2, 4])
def test_correlations_are_uniform_over_all_matrices(n: int) -> None:
    # Each correlation then has density proportional to (1 - r^2)^(n / 2 - 1), wherever it stands.
    rng = np.random.default_rng(0)
    drawn = np.array([random_correlations(n, rng) for _ in range(3000)])
    marginal = stats.beta(n / 2, n / 2, loc=-1, scale=2)
    for i, j in zip(*np.triu_indices(n, 1)):
        assert stats.kstest(drawn[:, i, j], marginal.cdf).pvalue > 0.001, (i, j)


def test_three_correlations_fill_the_elliptope_evenly() -> None:
    # Uniform over the valid triples: rejection from the cube is an independent way to draw them.
    rng = np.random.default_rng(1)
    ours = [np.linalg.det(random_correlations(3, rng)) for _ in range(3000)]
    a, b, c = rng.uniform(-1, 1, (3, 6000))
    theirs = 1 + 2 * a * b * c - a**2 - b**2 - c**2
    assert stats.ks_2samp(ours, theirs[theirs > 0]).pvalue > 0.001


def test_classes_have_their_own_means_and_deviations() -> None:
    drawn = [normal_classes(np.random.default_rng(seed)) for seed in range(30)]
    X, y = np.array([X for X, _ in drawn]), drawn[0][1]
    assert X.shape == (30, 300, 4)
    assert np.bincount(y).tolist() == [100, 100, 100]
    for label in range(3):
        part = X[:, y == label]
        np.testing.assert_allclose(part.mean(axis=(0, 1)), label, atol=0.15)
        deviations = part.std(axis=1, ddof=1)
        assert 0.8 < deviations.min() < 1.1 < 1.9 < deviations.max() < 2.3


@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_every_class_loses_the_rate(rate: float) -> None:
    X, y = normal_classes(np.random.default_rng(0))
    gaps = random_gaps(X, y, rate, seed=3)
    assert not gaps[:, :2].any()
    for label in range(3):
        assert gaps[y == label][:, 2:].sum(axis=0).tolist() == [round(100 * rate)] * 2


def test_gaps_depend_on_what_is_observed() -> None:
    X, y = normal_classes(np.random.default_rng(0))
    gaps = np.mean([random_gaps(X, y, 0.2, seed) for seed in range(40)], axis=0)
    score = X[:, 0] - X[:, 1]
    for label in range(3):
        rows = y == label
        assert stats.spearmanr(score[rows], gaps[rows, 2]).statistic > 0.5
        assert stats.spearmanr(score[rows], gaps[rows, 3]).statistic < -0.5


def test_cubes_tell_the_bits_that_the_paper_prints() -> None:
    drawn = [four_cubes(np.random.default_rng(seed)) for seed in range(50)]
    X, y = np.vstack([X for X, _ in drawn]), np.concatenate([y for _, y in drawn])
    for column, bits in enumerate(CUBE_BITS):
        joint = np.array([
            np.histogram(X[y == label, column], bins=np.arange(-0.5, 0.5, 0.002))[0]
            for label in (0, 1)
        ]) / len(X)  # fmt: skip
        product = joint.sum(axis=0) * joint.sum(axis=1, keepdims=True)
        seen = joint > 0
        measured = float((joint[seen] * np.log2(joint[seen] / product[seen])).sum())
        assert measured == pytest.approx(bits, abs=0.02)


def test_reference_gaps() -> None:
    assert iris_gaps(0.05, 3).shape == (150, 4)
    assert iris_gaps(0.05, 3).sum() == 30
    assert (iris_gaps(0.05, 3) != iris_gaps(0.05, 4)).any()
    cells = cubes_gaps(0.2, 0)
    assert cells.sum(axis=0).tolist() == [80] + [0] * 22


# ---- what is quoted


@pytest.mark.parametrize(
    ("problem", "rate", "method", "rmse"),
    [
        ("cubes", 0.2, "mice", 0.2607),
        ("normal", 0.1, "miknn", 0.0871),
        ("iris", 0.05, "cgknn", 0.0509),
        ("iris", 0.2, "gknn", 0.1246),
        ("voting", 0.1, "forest", 0.1002),
        ("hepatitis", 0.2, "fwgknn", 0.0898),
    ],
)
def test_printed_errors(problem: str, rate: float, method: str, rmse: float) -> None:
    assert printed.RMSE[problem][rate][method] == rmse


def test_printed_accuracies() -> None:
    assert printed.ACCURACY["cubes"][0.1]["cgknn"] == 96.92
    assert printed.ACCURACY["cubes"][0.2]["none"] == 76.84
    assert printed.ACCURACY["normal"][0.2]["iknn"] == 83.91
    assert printed.ACCURACY["normal"][0.1]["none"] == 75.13


# ---- how it is scored


def majority(X: pd.DataFrame, y: Any) -> pd.DataFrame:
    """Write the label, if it is told, into the gaps, and 0 otherwise."""
    fills = pd.Series(0.0, index=X.index) if y is None else y.astype(float)
    return X.apply(lambda cells: cells.fillna(fills))


def noise() -> tuple[Data, Any]:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 4)), np.tile([0, 10], 100)
    return Data.of(X, y, None, "noise"), rng.random((200, 4)) < 0.3


@pytest.mark.parametrize("label", ["y", "column"])
def test_only_the_leaky_accuracy_sees_test_labels(label: Any) -> None:
    data, removed = noise()
    filler = Filler(majority if label == "y" else Blind(), label)
    values = filled(data, Filler(majority), removed)
    assert table_accuracy(data, values, GaussianNB(), 0) > 80
    assert honest_accuracy(data, filler, removed, GaussianNB(), 0) < 60


class Blind:
    """Of peers: what it learns from has a column of labels, or it knows none."""

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        told = X["label"].astype(float) if "label" in X else None
        return (
            X.drop(columns="label", errors="ignore")
            .pipe(majority, told)
            .join(X[["label"]] if "label" in X else X[[]])
        )


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_have_ours_beside_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ENTRANTS", ("mice", "cgknn"))
    monkeypatch.setattr(tables, "SLOW", ("mice",))
    problem = next(problem for problem in problems(None) if problem.key == "iris")
    said: list[str] = []
    rows = tables.compare(replace(problem, rates=(0.1,), repeats=2, slow_repeats=0), said.append)
    by_method = {row["method"]: row for row in rows}
    assert list(by_method) == ["mice", "cgknn", "complete"]
    assert len(said) == 2
    ours = by_method["cgknn"]
    assert ours["paper RMSE"] == 0.0950
    assert 0.05 < ours["RMSE"] < by_method["mice"]["RMSE"]
    assert ours["imputed"] != ours["RMSE"]
    assert by_method["mice"]["imputed"] is None
    assert by_method["mice"]["honest %"] is None
    assert ours["honest %"] > 90
    assert by_method["complete"]["honest %"] == pytest.approx(95.5, abs=1)


def test_voting_loses_the_column_that_the_paper_lacks(tmp_path: Path) -> None:
    table = pd.DataFrame({"aid": ["y", "n"] * 5, DROPPED: ["n", "y"] * 5, "class": ["a", "b"] * 5})
    table.to_csv(tmp_path / "voting.csv", index=False)
    facts = {"file": "voting.csv", "target": "class", "rows": 10, "numeric": []}
    facts["categorical"] = ["aid", DROPPED]
    (tmp_path / "datasets.json").write_text(pd.Series({"voting": facts}).to_json())
    assert list(read(tmp_path)["voting"].frame) == ["aid"]


# ---- what is drawn of it


def test_bars_are_bits_in_order() -> None:
    (axes,) = pictures.information([iris()]).axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([0.386, 0.681, 1.264, 1.343], abs=0.001)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [
        "sepal width (cm)",
        "sepal length (cm)",
        "petal length (cm)",
        "petal width (cm)",
    ]


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_lines_are_accuracies_by_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "REPEATS", 1)
    monkeypatch.setattr(pictures, "ITERATIONS", 2)
    problem = next(problem for problem in problems(None) if problem.key == "iris")
    (axes,) = pictures.iterations(replace(problem, rates=(0.4,))).axes
    assert axes.get_title(loc="left") == "Iris, 40% removed"
    # Twice for each method: leaky, then honest; and the accuracy without gaps.
    assert len(axes.lines) == 7
    for leaky, honest in zip(axes.lines[:-1:2], axes.lines[1::2]):
        assert leaky.get_xdata().tolist() == [1, 2]
        assert (leaky.get_ydata() > honest.get_ydata()).all()
