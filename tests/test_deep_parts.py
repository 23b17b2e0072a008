"""What the deep imputer is made of, against loops that share nothing with it."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

import naive
import naive_targets

torch = pytest.importorskip("torch")

from deep_tables import CATEGORICAL, block_of, generator, laid_out, table  # noqa: E402
from greyknn.deep import copies, gaussian, grey, layout  # noqa: E402
from greyknn.deep.copies import draw_holes, folds_of  # noqa: E402
from greyknn.deep.gaussian import Gaussian, fit_gaussian  # noqa: E402
from greyknn.deep.grey import Grey, Kernel  # noqa: E402
from greyknn.deep.layout import Layout  # noqa: E402
from greyknn.deep.priors import Normal, fit_priors, guesses  # noqa: E402
from greyknn.deep.sequences import Timeline  # noqa: E402
from greyknn.table import Schema  # noqa: E402
from greyknn.table.dates import Clock  # noqa: E402

pytestmark = pytest.mark.jit


# --- layout -----------------------------------------------------------------------------------


def naive_rows(values: Any, fitted: Any) -> tuple[list[Any], ...]:
    """Dense, embeddings, seen and told of each row in loops."""
    columns = [[x for x in column if not math.isnan(x)] for column in fitted.T.tolist()]
    dense, embeds, seen, told = [], [], [], []
    for row in values.tolist():
        here: dict[str, list[Any]] = {"dense": [], "embeds": [], "seen": [], "told": []}
        for p in np.argsort(CATEGORICAL, kind="stable"):
            x, column = row[p], columns[p]
            missing = math.isnan(x)
            here["seen"].append(not missing)
            if not CATEGORICAL[p]:
                z = 0.0 if missing else (x - fmean(column)) / pstdev(column)
                here["dense"].append(min(max(z, -10.0), 10.0))
                here["told"].append(not missing)
                continue
            counts = Counter(column)
            ranked = sorted(counts, key=lambda code: (-counts[code], code))
            here["dense"] += [float(x == code) for code in ranked]
            here["told"].append(x in ranked)
            often = [code for code in ranked if counts[code] >= 2]
            here["embeds"].append(0 if missing else often.index(x) + 2 if x in often else 1)
        for name, whole in zip(here, (dense, embeds, seen, told)):
            whole.append(here[name])
    return dense, embeds, seen, told


def test_rows_are_what_a_loop_makes_of_them() -> None:
    fitted = table()
    new = table(seed=1)
    new[0] = [1e9, 3.0, -1e9, 0.0]  # beyond all that was seen, and a level that was not
    known = laid_out(fitted)
    for values in (fitted, new):
        rows = known.rows(values)
        dense, embeds, seen, told = naive_rows(values, fitted)
        np.testing.assert_allclose(rows.dense.numpy(), dense, atol=2e-5)
        assert rows.embeds.tolist() == embeds
        assert rows.seen.tolist() == seen
        assert rows.told.tolist() == told
    assert 2 in rows.embeds[:, 0]
    assert rows.embeds[0].tolist()[0] == layout.OTHER
    assert not rows.told[0, 2]
    assert rows.seen[0, 2]


def test_each_output_belongs_to_its_column_and_each_head_to_its_code() -> None:
    values = table()
    known = laid_out(values)
    assert known.columns.tolist() == [0, 2, 1, 3]
    assert known.owner.tolist() == [0, 1, 2, 2, 2, 3, 3, 3]
    assert known.n_outputs == 8
    for cell, column in ((2, 1), (3, 3)):
        rows = known.rows(values)
        for place, code in enumerate(known.codes_of(cell)):
            one = rows.dense[:, known.blocks[cell]][:, place].numpy() == 1.0
            assert (one == (values[:, column] == code)).all()


def test_numbers_are_scaled_without_overflow_and_a_constant_is_left() -> None:
    values = np.array([[1e308, 7.0, -3.0], [-1e308, 7.0, np.nan], [1e308, np.nan, -3.0]])
    known = Layout.fit(values, np.zeros(3, bool), np.zeros(3, int), np.ones(3, bool))
    dense = known.rows(values).dense.numpy()
    np.testing.assert_allclose(dense[:, 0], [0.5**0.5, -(2.0**0.5), 0.5**0.5], rtol=1e-6)
    assert (dense[:, 1:] == 0.0).all()
    assert known.scales[1:].tolist() == [1.0, 1.0]


def test_a_category_has_so_many_outputs_and_the_rest_is_looked_at_only() -> None:
    counts = [3] * layout.MOST_HEADS + [2, 1]
    values = np.repeat(np.arange(len(counts)), counts).astype(float)[:, None]
    yes = np.ones(1, dtype=bool)
    known = Layout.fit(values, yes, np.array([len(counts)]), yes)
    rows = known.rows(values[-4:])
    assert known.n_outputs == layout.MOST_HEADS
    assert rows.told[:, 0].tolist() == [True, False, False, False]
    assert (rows.dense[1:] == 0).all()
    assert rows.embeds[:, 0].tolist() == [129, 130, 130, layout.OTHER]
    assert known.n_embeddings == (131,)


def test_an_extended_layout_keeps_what_codes_meant() -> None:
    values = table()
    known = laid_out(values)
    new = table(seed=1)[:6]
    new[:, 1] = [4, 5, 4, 0, 1, 3]
    new[:, 3] = [3, 3, np.nan, 0, 1, 2]
    more = known.extended(new, np.array([0, 6, 0, 4]))
    before, after = known.rows(values), more.rows(values)
    assert more.heads == (5, 4)
    old = [0, 1, 2, 3, 4, 7, 8, 9]  # new outputs stand behind those of their category
    assert torch.equal(after.dense[:, old], before.dense)
    assert not after.dense[:, [5, 6, 10]].any()
    assert torch.equal(after.embeds, before.embeds)
    assert torch.equal(after.told, before.told)
    rows = more.rows(new)
    assert rows.dense[:, 5].tolist() == [1, 0, 1, 0, 0, 0]
    assert rows.dense[:, 6].tolist() == [0, 1, 0, 0, 0, 0]
    assert rows.dense[:, 10].tolist() == [1, 1, 0, 0, 0, 0]
    # A level that fit knew of, but never saw, has neither output nor embedding, then as now.
    assert rows.told[:, 2].tolist() == [True, True, True, True, True, False]
    assert rows.embeds[:, 0].tolist()[5] == layout.OTHER
    assert len(set(rows.embeds[[0, 1], 0].tolist()) - set(before.embeds[:, 0].tolist())) == 2
    for place, column in enumerate((1, 3)):
        both = Counter([*values[:, column].tolist(), *new[:, column].tolist()])
        assert more.counts[place].tolist() == [both[float(c)] for c in range((6, 4)[place])]


def test_an_extended_layout_has_no_more_outputs_than_any() -> None:
    codes = np.arange(layout.MOST_HEADS - 1, dtype=float)[:, None]
    yes = np.ones(1, dtype=bool)
    known = Layout.fit(codes, yes, np.array([len(codes)]), yes)
    new = np.arange(127.0, 130.0)[:, None]
    rows = known.extended(new, np.array([130])).rows(new)
    assert rows.told[:, 0].tolist() == [True, False, False]
    assert rows.dense.sum().item() == 1.0


# --- folds ------------------------------------------------------------------------------------


def test_a_cell_has_its_fold_by_its_row_and_column_alone() -> None:
    ids = np.arange(50)
    some = np.random.default_rng(0).permutation(50)[:20]
    whole = folds_of(ids, 6, 8, seed=5)
    assert torch.equal(folds_of(ids[some], 6, 8, seed=5), whole[some])
    assert torch.equal(folds_of(ids, 4, 8, seed=5), whole[:, :4])
    assert not torch.equal(folds_of(ids, 6, 8, seed=6), whole)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("members", [2, 3, 8])
def test_folds_are_balanced_and_columns_independent(members: int, seed: int) -> None:
    folds = folds_of(np.arange(4000), 4, members, seed).numpy()
    assert folds.min() == 0
    assert folds.max() == members - 1
    for column in folds.T:
        assert chisquare(np.bincount(column, minlength=members)).pvalue > 1e-4
    for a, b in ((0, 1), (1, 2), (0, 3)):
        pairs = np.bincount(folds[:, a] * members + folds[:, b], minlength=members**2)
        assert chi2_contingency(pairs.reshape(members, members)).pvalue > 1e-4
    for column in (0, 1):  # and of the next row
        pairs = np.bincount(folds[1:, 0] * members + folds[:-1, column], minlength=members**2)
        assert chi2_contingency(pairs.reshape(members, members)).pvalue > 1e-4


# --- the Gaussian -----------------------------------------------------------------------------


def gaussian_rows(n_rows: int, seed: int = 0, gaps: float = 0.3) -> tuple[Any, Any, Any]:
    """Rows, what is seen of them, and their covariance."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(4, 4))
    covariance = mixing @ mixing.T + 0.3 * np.eye(4)
    rows = rng.multivariate_normal([1.0, -2.0, 0.0, 3.0], covariance, n_rows)
    return rows, rng.random(rows.shape) >= gaps, covariance


def naive_means(rows: Any, seen: Any, mean: Any, covariance: Any) -> Any:
    filled = rows.copy()
    for row, told in zip(filled, seen):
        if told.any():
            inner = np.linalg.solve(covariance[np.ix_(told, told)], row[told] - mean[told])
            row[~told] = mean[~told] + covariance[np.ix_(~told, told)] @ inner
        else:
            row[:] = mean
    return filled


def likelihood(rows: Any, seen: Any, model: Gaussian) -> float:
    """Log likelihood of what is seen, row by row."""
    mean, covariance = model.mean.numpy(), model.covariance.numpy()
    total = 0.0
    for row, told in zip(rows, seen):
        if told.any():
            part, away = covariance[np.ix_(told, told)], (row - mean)[told]
            total -= 0.5 * (
                np.linalg.slogdet(2 * np.pi * part)[1] + away @ np.linalg.solve(part, away)
            )
    return total


def test_conditional_means_are_those_of_a_loop_that_solves_row_by_row() -> None:
    rows, seen, covariance = gaussian_rows(60)
    seen[3] = False
    seen[4] = True
    mean = np.array([0.5, -1.0, 2.0, 0.0])
    model = Gaussian(*map(torch.from_numpy, (mean, covariance)))
    filled = model.fill(*map(torch.from_numpy, (rows, seen))).numpy()
    np.testing.assert_allclose(filled, naive_means(rows, seen, mean, covariance), atol=1e-9)
    assert (filled[seen] == rows[seen]).all()
    np.testing.assert_allclose(filled[3], mean)


def test_what_is_under_a_hole_is_not_read() -> None:
    rows, seen, covariance = gaussian_rows(60)
    model = Gaussian(torch.zeros(4, dtype=torch.float64), torch.from_numpy(covariance))
    other = np.where(seen, rows, 1e6)
    fills = [model.fill(*map(torch.from_numpy, (x, seen))) for x in (rows, other)]
    fits = [fit_gaussian(*map(torch.from_numpy, (x, seen)), generator()) for x in (rows, other)]
    assert torch.equal(*fills)
    assert torch.equal(fits[0].covariance, fits[1].covariance)


def test_the_likelihood_does_not_fall_from_one_iteration_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, seen, _ = gaussian_rows(150)
    monkeypatch.setattr(gaussian, "SHRINKING", 0.0)  # with it, the aim is another
    monkeypatch.setattr(gaussian, "SETTLED", 0.0)
    found = []
    for n_iterations in range(12):
        monkeypatch.setattr(gaussian, "MOST_ITERATIONS", n_iterations)
        model = fit_gaussian(*map(torch.from_numpy, (rows, seen)), generator())
        found.append(likelihood(rows, seen, model))
    gains = np.diff(found)
    assert (gains > -1e-3).all(), gains
    assert found[-1] > found[0] + 1.0


def test_a_known_covariance_is_found_again() -> None:
    rows, seen, covariance = gaussian_rows(4000)
    model = fit_gaussian(*map(torch.from_numpy, (rows, seen)), generator())
    scale = np.sqrt(np.outer(*[np.diag(covariance)] * 2))
    assert np.abs((model.covariance.numpy() - covariance) / scale).max() < 0.08
    assert np.abs(model.mean.numpy() - [1.0, -2.0, 0.0, 3.0]).max() < 0.15
    filled = model.fill(*map(torch.from_numpy, (rows, seen))).numpy()
    best = naive_means(rows, seen, np.array([1.0, -2.0, 0.0, 3.0]), covariance)
    error, least = (np.sqrt(((x - rows)[~seen] ** 2).mean()) for x in (filled, best))
    assert error < 1.02 * least


@pytest.mark.parametrize(
    "shape", [(1, 3), (5, 12), (2, 1), (40, 3)], ids=["one row", "n < d", "one column", "plain"]
)
def test_any_table_has_a_gaussian(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=shape)
    seen = rng.random(shape) < 0.7
    seen[:, 0] = False  # a column without any cell
    if shape[1] > 2:
        rows[:, 1], rows[:, 2] = 3.0, rows[:, -1]  # a constant, and two equal columns
    seen[-1] = False  # a row without any cell
    model = fit_gaussian(*map(torch.from_numpy, (rows, seen)), generator())
    assert torch.linalg.eigvalsh(model.covariance).min() > 0
    filled = model.fill(*map(torch.from_numpy, (rows, seen)))
    assert torch.isfinite(filled).all()
    assert filled.abs().max() < 10.0
    assert torch.equal(filled[torch.from_numpy(seen)], torch.from_numpy(rows[seen]))


def test_the_gaussian_prior_leaves_out_categories_with_many_levels() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(20, size=200).astype(float)
    values = np.column_stack([codes, codes / 10.0 + rng.normal(size=200), codes % 2])
    values[rng.random(values.shape) < 0.2] = np.nan
    known = Layout.fit(
        values, np.array([True, False, True]), np.array([20, 0, 2]), np.ones(3, bool)
    )
    rows = known.rows(values)
    prior = Normal.fit(known, rows, generator())
    assert prior.outputs.tolist() == [0, 21, 22]
    filled = prior.fill(values, rows)
    wide = known.blocks[1]
    assert torch.equal(filled[:, wide], known.frequencies(rows)[wide].expand(200, -1))


# --- the grey priors --------------------------------------------------------------------------


def cells_of(values: Any, known: Layout) -> list[list[float | None]]:
    return [
        [None if math.isnan(x) else x for x in row] for row in values[:, known.columns].tolist()
    ]


def outputs_of(rows: Any, known: Layout, row: int, cell: int) -> list[float]:
    return rows.dense[row, known.blocks[cell]].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_the_grey_prior_is_the_mean_of_near_rows_in_loops(seed: int) -> None:
    values = table(40, seed)
    values[7] = np.nan  # a row that is near to none
    values[8, 1:] = np.nan
    known = laid_out(values)
    rows = known.rows(values)
    ours = Grey.fit(known, values, rows).fill(values, rows).numpy()
    cells, kinds = cells_of(values, known), [False, False, True, False]  # ordered ones as numbers
    seen = naive_targets.ranks(cells, cells, kinds)
    weights = naive_targets.weights_of(naive_targets.all_information(seen, kinds, 4))
    compared = 0
    for cell in range(4):
        donors = [i for i, row in enumerate(cells) if row[cell] is not None]
        told = [outputs_of(rows, known, i, cell) for i in donors]
        for i, query in enumerate(seen):
            if cells[i][cell] is not None:
                continue
            found = naive.neighbours(
                query, [seen[d] for d in donors], donors, kinds, weights[cell], "grey", 0.2, 10
            )
            near = [(d, outputs_of(rows, known, row, cell)) for d, row in found or []]
            mean = naive_targets.near_mean(near, naive_targets.mean_of(told))
            np.testing.assert_allclose(ours[i, known.blocks[cell]], mean, atol=1e-5)
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("cell", range(4))
def test_what_a_row_has_in_the_column_itself_does_not_make_it_near(cell: int) -> None:
    """As a level that is too rare to be told, which is there and is to be filled."""
    values = table()
    known = laid_out(values)
    prior = Grey.fit(known, values, known.rows(values))
    without = values[:10].copy()
    without[:, known.columns[cell]] = np.nan
    found, expected = (prior.neighbors(prior.ranked(x), cell) for x in (values[:10], without))
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.distances, expected.distances)


def test_no_row_is_its_own_donor() -> None:
    values = table(30, 3, gaps=0.3)
    values[10:20] = values[:10]  # with the same gaps, so that twins are no donors, either
    known = laid_out(values)
    rows = known.rows(values)
    prior = Grey.fit(known, values, rows)
    looked_at = 0
    for cell in range(known.n_cells):
        lacking = np.flatnonzero(~rows.told[:, cell].numpy())
        found = prior.neighbors(prior.ranked(values[lacking]), cell)
        assert not np.isin(found.rows, lacking).any()
        looked_at += len(lacking)
    assert looked_at > 10


@pytest.mark.parametrize("cell", [0, 1, 2, 3])
def test_the_kernel_prior_is_a_ridge_regression_in_loops(cell: int) -> None:
    values = table(24, 1)
    known = laid_out(values)
    rows = known.rows(values)
    nearby = Grey.fit(known, values, rows)
    ours = Kernel.fit(nearby, rows, generator()).fill(values, rows).numpy()
    cells, kinds = cells_of(values, known), [False, False, True, False]
    seen = naive_targets.ranks(cells, cells, kinds)
    weights = naive_targets.weights_of(naive_targets.all_information(seen, kinds, 4))[cell]
    donors = [i for i, row in enumerate(cells) if row[cell] is not None]
    outputs = [outputs_of(rows, known, i, cell) for i in donors]

    def alike(a: Any, b: Any) -> float:
        grade = naive_targets.grade(a, b, weights, kinds, 0.2)
        return naive_targets.resemblance(grade, 10.0 / 3.0)

    matrix = [[alike(seen[i], seen[j]) for j in donors] for i in donors]
    trace = fmean(row[i] for i, row in enumerate(matrix))
    penalties = [penalty * trace for penalty in naive_targets.PENALTIES]
    penalty = min(
        penalties,
        key=lambda p: naive_targets.wrong(
            naive_targets.quickly_left_out(matrix, outputs, p), outputs
        ),
    )
    duals = naive_targets.ridge(matrix, outputs, penalty)
    lacking = [i for i, row in enumerate(cells) if row[cell] is None]
    for i in lacking:
        mean = naive_targets.mean_of(outputs)
        likeness = [alike(seen[i], seen[d]) + naive_targets.LEVEL for d in donors]
        expected = [
            m + math.fsum(k * dual[o] for k, dual in zip(likeness, duals))
            for o, m in enumerate(mean)
        ]
        np.testing.assert_allclose(ours[i, known.blocks[cell]], expected, atol=1e-4)
    assert lacking


def test_of_many_rows_regressions_stand_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grey, "MOST_PILLARS", 7)
    monkeypatch.setattr(grey, "MOST_SCOUTS", 5)
    values = table()
    known = laid_out(values)
    rows = known.rows(values)
    prior = Kernel.fit(Grey.fit(known, values, rows), rows, generator())
    assert {len(some) for some in prior.pillars.values()} == {7}
    assert torch.isfinite(prior.fill(values, rows)).all()


# --- copies with holes ------------------------------------------------------------------------


PRIORS = [("grey",), ("kernel",), ("em",), ("time",), ("grey", "kernel", "em")]


def changed(values: Any, known: Layout, hidden: Any) -> Any:
    """The table with other values in hidden cells, which are as common as the true ones."""
    other = values.copy()
    holes = np.zeros(values.shape, dtype=bool)
    holes[:, known.columns] = hidden.numpy()
    for column, categorical in enumerate(CATEGORICAL):
        some = holes[:, column]
        codes = (values[some, column] + 1) % (2 if column == 1 else 3)
        other[some, column] = codes if categorical else values[some, column] * -2.0 + 7.0
    return other


@pytest.mark.parametrize("names", PRIORS, ids="+".join)
@pytest.mark.parametrize("leaky", [False, True])
def test_priors_of_a_copy_know_nothing_of_what_it_hides(names: Any, leaky: bool) -> None:
    """And if priors are fitted to the whole table, the test sees that they do."""
    values = table(40, 4)
    known = laid_out(values)
    timeline = None
    if names == ("time",):
        timeline = Timeline.of(np.arange(40) // 4, np.arange(40.0))
        names = ("time", "grey") if leaky else names

    def block(some: Any) -> Any:
        fitted = fit_priors(names, known, some, known.rows(some), generator()) if leaky else None
        return block_of(some, known, names, fitted=fitted, timeline=timeline, n_copies=2)

    before = block(values)
    for copy in range(2):
        assert before.hidden[copy].sum() > 5
        after = block(changed(values, known, before.hidden[copy]))
        assert torch.equal(after.hidden, before.hidden)
        same = torch.equal(after.priors[copy], before.priors[copy])
        assert same is not leaky
        assert torch.equal(after.extras[copy], before.extras[copy])
        assert not torch.equal(after.rows.dense, before.rows.dense)


def test_observed_cells_pass_through_all_priors() -> None:
    values = table(40, 5)
    known = laid_out(values)
    block = block_of(values, known, ("grey", "kernel", "em"))
    seen = known.rows(values)
    for copy in range(3):
        told = (seen.told & ~block.hidden[copy])[:, known.owner]
        expected = seen.dense[:, None].expand(-1, 3, -1)
        shown = told[:, None].expand(-1, 3, -1)
        assert torch.equal(block.priors[copy][shown], expected[shown])
    plain = guesses([], values, seen, known)
    assert plain.shape == (40, 0, known.n_outputs)


def test_holes_are_in_observed_cells_at_the_rates_of_their_rows() -> None:
    values = table(4000, 6)
    known = laid_out(values)
    rows = known.rows(values)
    holes = draw_holes(rows, known, "mcar", generator())
    assert not (holes & ~rows.seen).any()
    low, high = copies.RATES
    share = holes.sum() / rows.seen.sum()
    assert abs(share - (low + high) / 2) < 0.01
    # Cells of a row share their rate: that two are hidden is more likely than by chance.
    both = rows.seen[:, 0] & rows.seen[:, 1]
    pair = (holes[:, 0] & holes[:, 1])[both].float().mean()
    rate = torch.linspace(low, high, 1001).square().mean()
    assert abs(pair - rate) < 0.015


@pytest.mark.parametrize("mask", ["mcar", "copy"])
def test_a_column_never_loses_its_last_cells(mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "RATES", (0.95, 1.0))
    values = table(40, 7)
    values[:, 2] = np.nan
    values[:3, 2] = [1.0, 2.0, 3.0]  # fewer than FEWEST
    values[:, 0] = np.nan
    values[:4, 0] = [1.0, 2.0, 3.0, 4.0]
    known = laid_out(values)
    rows = known.rows(values)
    lost = 0
    for seed in range(30):
        holes = draw_holes(rows, known, mask, generator(seed))
        assert not holes[:, 1].any()
        assert ((rows.told & ~holes).sum(0) > 0).all()
        lost += int(holes[:, 0].sum())
    assert lost > 0


def test_what_is_only_looked_at_is_hidden_by_rows() -> None:
    values = table(4000, 8)
    known = laid_out(values, targets=np.array([True, False, False, True]))
    rows = known.rows(values)
    holes = draw_holes(rows, known, "mcar", generator())
    both = rows.seen[:, 1] & rows.seen[:, 2]
    assert torch.equal(holes[both, 1], holes[both, 2])
    assert abs(holes[both, 1].float().mean() - copies.UNLABELLED) < 0.02


def test_copied_holes_are_the_gaps_of_another_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "RATES", (0.0, 0.0))
    values = table(60, 9, gaps=0.0)
    values[0, 2] = 1e4
    gaps = np.zeros(values.shape, dtype=bool)
    gaps[:20, :2] = True
    gaps[20:30, 3] = True
    values[gaps] = np.nan
    known = laid_out(values)
    rows = known.rows(values)
    holes = draw_holes(rows, known, "copy", generator(1)).numpy()
    lacks = ~rows.seen.numpy()
    patterns = {tuple(row) for row in lacks}
    adds = 0
    for mine, row in zip(holes, lacks):
        offered = {tuple(np.array(pattern) & ~row) for pattern in patterns}
        assert tuple(mine) in offered
        adds += mine.any()
    assert adds > 15
    assert not draw_holes(rows, known, "mcar", generator(1)).any()


def test_priors_of_many_rows_know_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_KNOWN", 15)
    values = table()
    known = laid_out(values)
    sizes = []

    def spy(names: Any, layout: Any, values: Any, rows: Any, generator: Any) -> Any:
        sizes.append((len(values), len(rows)))
        return fit_priors(names, layout, values, rows, generator)

    monkeypatch.setattr(copies, "fit_priors", spy)
    block = block_of(values, known)
    assert sizes == [(15, 15)] * 3
    assert torch.isfinite(block.priors).all()


# --- columns that grow ------------------------------------------------------------------------


def test_an_extended_schema_keeps_codes_and_widens_ranges() -> None:
    pd = pytest.importorskip("pandas")
    old = pd.DataFrame({
        "n": [1.5, 9.0, None], "i": [3, 4, 5], "c": ["b", "a", "b"], "m": [1, "x", 2.5],
        "b": [True, False, True], "d": pd.to_datetime(["2020-01-05", "2020-01-07", None]),
    })  # fmt: skip
    new = pd.DataFrame({
        "n": [-2.0, None], "i": [9, 4], "c": ["c", "a"], "m": ["a", 1], "b": [False, True],
        "d": pd.to_datetime(["2020-01-06 12:30", "2021-01-01 00:00"]),
    })  # fmt: skip
    schema, coded = Schema.fit(old, dates=True)
    more = schema.extended(new)
    n, i, c, m, b, d = more.columns
    assert (n.low, n.high) == (-2.0, 9.0)
    assert (i.low, i.high, i.integer) == (3, 9, True)
    assert c.levels == ("a", "b", "c")
    assert m.levels[: len(schema.columns[3].levels)] == schema.columns[3].levels
    assert set(m.levels) == {1, "x", 2.5, "a"}
    assert b.levels == (False, True)
    assert d.unit == 60.0
    np.testing.assert_array_equal(more.encode(old).values, coded.values)
    assert more.encode(new).values[0, 2] == 2.0
    assert schema.columns[2].levels == ("a", "b")  # as it was
    with pytest.raises(ValueError, match="columns"):
        schema.extended(new.drop(columns="d"))
    with pytest.raises(ValueError, match="strings"):
        schema.extended(new.assign(n=["x", "y"]))


def test_an_extended_schema_takes_rows_without_values() -> None:
    pd = pytest.importorskip("pandas")
    schema, _ = Schema.fit(pd.DataFrame({"n": [1.0, 2.0], "c": ["a", "b"]}))
    none = pd.DataFrame({"n": [None, None], "c": [None, None]}, dtype=object)
    assert schema.extended(none) == schema


def test_whole_numbers_stay_whole_only_with_whole_ones() -> None:
    pd = pytest.importorskip("pandas")
    schema, _ = Schema.fit(pd.DataFrame({"i": [1, 2]}))
    column = schema.extended(pd.DataFrame({"i": [0.5, 7.0]})).columns[0]
    assert (column.low, column.high, column.integer) == (0.5, 7.0, False)


@pytest.mark.parametrize("swapped", [False, True])
def test_joined_clocks_tell_the_stamps_of_both(swapped: bool) -> None:
    days = np.array(["2020-01-05", "2020-03-07"], dtype="datetime64[D]")
    seconds = np.array(["2020-01-06T00:00:01", "2021-01-01T00:00:00"], dtype="datetime64[s]")
    parts = [Clock.of(days), Clock.of(seconds)]
    joined = parts[1].joined(parts[0]) if swapped else parts[0].joined(parts[1])
    both = np.concatenate([days.astype("datetime64[s]"), seconds])
    assert joined == Clock.of(both)
    assert joined.dtype == "datetime64[s]"
    assert joined.nearest(np.array([-np.inf, np.inf])).astype(str).tolist() == [
        "2020-01-05T00:00:00", "2021-01-01T00:00:00",
    ]  # fmt: skip


def test_joined_clocks_of_dates_far_apart_are_coarser() -> None:
    ancient = Clock.of(np.array(["0001-01-01"], dtype="datetime64[D]"))
    fine = Clock.of(np.array(["2020-01-01T00:00:00.123456789"], dtype="datetime64[ns]"))
    joined = ancient.joined(fine)
    assert joined == fine.joined(ancient)
    assert joined.dtype == "datetime64[us]"
    ends = joined.nearest(np.array([-np.inf, np.inf])).astype(str).tolist()
    assert ends == ["0001-01-01T00:00:00.000000", "2020-01-01T00:00:00.123457"]


def test_joined_clocks_of_durations_are_exact() -> None:
    fine = Clock.of(np.array([1, 3], dtype="timedelta64[ns]"))
    coarse = Clock.of(np.array([40_000], dtype="timedelta64[D]"))
    joined = fine.joined(coarse)
    assert (joined.dtype, joined.low, joined.high) == ("timedelta64[ns]", 1, 40_000 * 86400 * 10**9)
