"""What is proposed for a target, each row left out in turn, and how much each proposal counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

import naive_targets as naive
from greyknn.neighbors import Neighbors
from greyknn.targets import near, ridge, target
from greyknn.targets.design import Design
from greyknn.targets.stack import SHRINKING, stacked
from greyknn.targets.target import Resembling
from greyknn_kernels import cpu

Floats = NDArray[np.float64]

seeds = st.integers(0, 2**32 - 1)
n_outputs = st.integers(1, 3)
PENALTY = st.sampled_from([1e-3, 0.1, 3.0])


def kernel_of(rng: np.random.Generator, n_rows: int) -> Floats:
    """Some positive definite numbers within [0, 1]."""
    points = rng.normal(size=(n_rows, 2))
    return np.exp(-np.square(points[:, None] - points).sum(axis=2))


# --- ridge


@given(seed=seeds, n_rows=st.integers(2, 12), n_outputs=n_outputs, penalty=PENALTY)
def test_a_ridge_predicts_each_row_as_if_it_had_never_seen_it(
    seed: int, n_rows: int, n_outputs: int, penalty: float
) -> None:
    rng = np.random.default_rng(seed)
    kernel, outputs = kernel_of(rng, n_rows), rng.normal(size=(n_rows, n_outputs))
    duals, predicted = ridge.solve(kernel.copy(), outputs, penalty)
    plain = kernel.tolist(), outputs.tolist(), penalty
    np.testing.assert_allclose(duals, naive.ridge(*plain), rtol=1e-7, atol=1e-9)
    left_out = naive.ridge_left_out(*plain)  # fitted again without the row, but for the mean
    np.testing.assert_allclose(predicted, left_out, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(naive.quickly_left_out(*plain), left_out, rtol=1e-7, atol=1e-9)


@given(seed=seeds, n_rows=st.integers(3, 12), n_outputs=n_outputs)
def test_scouts_find_the_penalty_with_the_least_error(
    seed: int, n_rows: int, n_outputs: int
) -> None:
    rng = np.random.default_rng(seed)
    kernel = kernel_of(rng, n_rows)
    outputs = kernel[:, :n_outputs] + rng.choice([0.01, 1.0]) * rng.normal(size=(n_rows, n_outputs))
    trace = np.trace(kernel) / n_rows
    errors = [
        naive.wrong(
            naive.ridge_left_out(kernel.tolist(), outputs.tolist(), penalty * trace),
            outputs.tolist(),
        )
        for penalty in naive.PENALTIES
    ]
    found = ridge.scout(kernel, outputs)
    assert found.error == pytest.approx(min(errors), rel=1e-6)
    place = int(np.argmin(np.abs(np.array(naive.PENALTIES) * trace - found.penalty)))
    assert found.penalty == pytest.approx(naive.PENALTIES[place] * trace)
    assert errors[place] == pytest.approx(min(errors), rel=1e-6)


def test_rows_that_resemble_nobody_are_given_the_mean() -> None:
    outputs = np.array([[0.0], [1.0], [0.5]])
    kernel = np.zeros((3, 3))
    penalty = ridge.scout(kernel, outputs).penalty
    assert np.isfinite(penalty)
    duals, predicted = ridge.solve(kernel, outputs, penalty)
    assert np.isfinite(duals).all()
    assert np.isfinite(predicted).all()


@given(seed=seeds, n_outputs=n_outputs, sharpness=st.sampled_from([0.0, 10.0]))
def test_shares_of_a_ridge_are_what_it_proposes(
    seed: int, n_outputs: int, sharpness: float
) -> None:
    rng = np.random.default_rng(seed)
    rows, queries = rng.random((15, 3)), rng.random((4, 3))
    outputs = rng.normal(size=(15, n_outputs))
    kinds, weights, donors = np.zeros(3, dtype=bool), np.full(3, 1 / 3), rows.T.copy()
    grades, new = np.empty((15, 15)), np.empty((4, 15))
    cpu.resemblances(rows, donors, weights, kinds, 0.2, grades)
    cpu.resemblances(queries, donors, weights, kinds, 0.2, new)
    fitted, left_out = Resembling.fit(grades, outputs, (sharpness,))
    proposed = fitted.propose(cpu, 0.2, queries, donors, weights, kinds)
    shares = np.array([fitted.shares(grades, one) for one in new])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares @ outputs, proposed, rtol=1e-7, atol=1e-8)
    kernel = naive_kernel(grades, sharpness)
    expected = naive.ridge_left_out(kernel, outputs.tolist(), fitted.penalty)
    np.testing.assert_allclose(left_out, expected, rtol=1e-7, atol=1e-8)


def naive_kernel(grades: Floats, sharpness: float) -> list[list[float]]:
    return [[naive.resemblance(grade, sharpness) for grade in row] for row in grades.tolist()]


def test_the_sharper_kernel_is_taken_where_it_errs_less() -> None:
    grades = kernel_of(np.random.default_rng(0), 20)
    outputs = np.exp(10.0 * (grades[:, :1] - 1.0))
    assert Resembling.fit(grades, outputs, (10.0, 1e-3))[0].sharpness == 10.0
    assert Resembling.fit(grades, outputs, (1e-3, 10.0))[0].sharpness == 10.0
    assert Resembling.fit(grades, grades[:, :1], (0.0, 30.0))[0].sharpness == 0.0


def test_some_of_many_rows_choose_the_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    grades = kernel_of(np.random.default_rng(0), 30)
    outputs = grades[:, :1] + 0.1
    looked_at = []
    scout = ridge.scout

    def watched(kernel: Floats, some: Floats) -> Any:
        looked_at.append(kernel.shape)
        np.testing.assert_array_equal(some[[0, -1]], outputs[[0, -1]])  # from first to last
        return scout(kernel, some)

    monkeypatch.setattr(ridge, "scout", watched)
    monkeypatch.setattr(target, "MOST_SCOUTS", 7)
    fitted, predicted = Resembling.fit(grades, outputs, (10.0, 3.0))
    assert looked_at == [(7, 7)] * 2
    assert len(fitted.duals) == len(predicted) == 30


# --- line


@given(
    seed=seeds, n_rows=st.integers(3, 10), n_inputs=st.integers(1, 6), n_outputs=n_outputs,
    flaw=st.sampled_from(["", "constant", "twice"]),
)  # fmt: skip
def test_a_line_predicts_each_row_as_if_it_had_never_seen_it(
    seed: int, n_rows: int, n_inputs: int, n_outputs: int, flaw: str
) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_rows, n_inputs)) * 10.0 ** rng.integers(-5, 5, n_inputs)
    if flaw == "constant":
        inputs[:, 0] = 0.1
    elif flaw == "twice":
        inputs[:, -1] = inputs[:, 0]
    outputs = inputs[:, :1] / np.abs(inputs[:, :1]).max() + rng.normal(size=(n_rows, n_outputs))
    line, predicted = ridge.draw(inputs, outputs)
    center, spread = naive.standardized(inputs.tolist())
    rows = ((inputs - center) / spread).tolist()
    power = np.square(rows).sum() / n_inputs
    if power == 0.0:
        np.testing.assert_allclose(line.slopes, 0.0)
        np.testing.assert_allclose(line.intercept, outputs.mean(axis=0))
        return
    penalties = [penalty * power for penalty in naive.LINE_PENALTIES]
    tried = [naive.line_left_out(rows, outputs.tolist(), penalty) for penalty in penalties]
    errors = [naive.wrong(guess, outputs.tolist()) for guess in tried]
    place = int(np.argmin(np.abs(np.log(np.array(penalties) / line.penalty))))
    assert line.penalty == pytest.approx(penalties[place])
    assert errors[place] == pytest.approx(min(errors), rel=1e-6)
    np.testing.assert_allclose(predicted, tried[place], rtol=1e-6, atol=1e-7)
    new = rng.normal(size=(2, n_inputs)) * np.abs(inputs).max(axis=0)
    slopes = naive.line(rows, outputs.tolist(), line.penalty)
    expected = [naive.on_line(slopes, row) for row in ((new - center) / spread).tolist()]
    np.testing.assert_allclose(line.at(new), expected, rtol=1e-6, atol=1e-7)
    shares = np.array([line.shares(inputs, row) for row in new])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares @ outputs, line.at(new), rtol=1e-6, atol=1e-7)


def test_a_line_is_the_same_for_a_row_by_itself() -> None:
    rng = np.random.default_rng(0)
    line, _ = ridge.draw(rng.normal(size=(30, 9)), rng.normal(size=(30, 2)))
    new = rng.normal(size=(50, 9))
    alone = np.concatenate([line.at(row[None]) for row in new])
    np.testing.assert_array_equal(line.at(new), alone)


def test_inputs_of_a_line() -> None:
    n = np.nan
    table = np.array([[0.5, 2.0, 1.0], [n, 0.0, n], [0.1, n, 1.0]])
    design = Design.of(table, np.array([False, True, True]))
    assert design.columns.tolist() == [0, 1, 1, 2]
    filled = np.array([[0.5, 2.0, 1.0], [0.3, 0.0, n], [0.1, 7.0, 1.0]])
    expected = [[0.5, 0.0, 1.0, 1.0], [0.3, 1.0, 0.0, 0.0], [0.1, 0.0, 0.0, 1.0]]
    assert design.inputs(filled).tolist() == expected  # no level, or an unknown one, is all 0
    many = np.column_stack([np.arange(13.0), np.arange(13.0) % 12])
    assert set(Design.of(many, np.array([True, True])).columns) == {1}


# --- stack


def stack_of(seed: int, n_proposals: int, n_outputs: int) -> tuple[list[Floats], Floats]:
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(40, n_outputs))
    noise = rng.choice([0.1, 0.5, 2.0], n_proposals)
    common = rng.normal(size=outputs.shape)
    return [outputs + scale * (common + rng.normal(size=outputs.shape)) for scale in noise], outputs


@given(seed=seeds, n_proposals=st.integers(1, 5), n_outputs=n_outputs)
def test_shares_have_the_least_error_of_all(seed: int, n_proposals: int, n_outputs: int) -> None:
    proposals, outputs = stack_of(seed, n_proposals, n_outputs)
    best = min(np.square(proposal - outputs).sum() for proposal in proposals)

    def cost(shares: Floats) -> Any:
        whole = sum(share * proposal for share, proposal in zip(shares, proposals, strict=True))
        error = np.square(whole - outputs).sum()
        return error / best + SHRINKING**2 * np.square(shares - 1.0 / n_proposals).sum()

    ours = stacked(proposals, outputs)
    assert ours.sum() == pytest.approx(1.0)
    assert (ours >= 0.0).all()
    equal = np.full(n_proposals, 1.0 / n_proposals)
    theirs = minimize(
        cost, equal, method="SLSQP", bounds=[(0.0, 1.0)] * n_proposals, tol=1e-12,
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1.0},
    ).x  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert cost(ours) <= cost(theirs) * (1.0 + 1e-9)
    plain = [proposal.tolist() for proposal in proposals]
    np.testing.assert_allclose(ours, naive.stacked(plain, outputs.tolist()), atol=1e-8)


def test_a_proposal_that_does_not_err_is_shrunk_by_the_spread() -> None:
    proposals, outputs = stack_of(0, 2, 1)
    for error in (0.0, 1e-9, 1e-4, 1e-2):
        some = [outputs + 3.0 * error, outputs - error, outputs + 1e-3 * (proposals[1] - outputs)]
        plain = [proposal.tolist() for proposal in some]
        ours, expected = stacked(some, outputs), naive.stacked(plain, outputs.tolist())
        np.testing.assert_allclose(ours, expected, atol=1e-8)


def test_the_truth_gets_nearly_all_and_nonsense_nearly_nothing() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(200, 1))
    noise = [rng.normal(size=(200, 1)) for _ in range(3)]
    shares = stacked([noise[0], outputs, noise[1]], outputs)
    assert shares[1] > 0.97
    nonsense = stacked(
        [outputs + 0.1 * noise[0], 9.0 * noise[1], outputs + 0.1 * noise[2]], outputs
    )
    assert nonsense[1] < 0.01
    np.testing.assert_allclose(nonsense[[0, 2]], 0.5, atol=0.02)  # two that err as much
    np.testing.assert_allclose(stacked([noise[0]] * 4, outputs), 0.25)
    assert stacked([noise[0]], outputs).tolist() == [1.0]


@pytest.mark.parametrize("number", [0.3, 0.5])  # the mean of some is rounded, or exact
@pytest.mark.parametrize("error", [0.0, 1e-17, 5e-17, 0.4])
def test_equal_outputs_are_shared_somehow(number: float, error: float) -> None:
    outputs = np.full((10, 1), number)
    shares = stacked([outputs + error, outputs + error, outputs - error, outputs], outputs)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= 0.0).all()
    assert error * (shares[0] + shares[1] - shares[2]) == pytest.approx(0.0, abs=1e-6)


# --- near


@given(
    seed=seeds, n_queries=st.integers(1, 6), width=st.integers(1, 12), levels=st.integers(0, 3),
    equal=st.booleans(),
)  # fmt: skip
def test_means_of_every_size_are_those_of_loops(
    seed: int, n_queries: int, width: int, levels: int, equal: bool
) -> None:
    rng = np.random.default_rng(seed)
    given_column = rng.integers(0, levels, 30) * 1.0 if levels else rng.normal(size=30)
    counts = rng.integers(0, width + 1, n_queries)  # none where no cell says who is near
    distances = np.full((n_queries, width), np.inf)
    rows = np.full((n_queries, width), -1, dtype=np.int32)
    for query, count in enumerate(counts):
        rows[query, :count] = rng.permutation(30)[:count]
        distances[query, :count] = np.sort(rng.random(count))
        if equal:
            distances[query, : count // 2] = 0.0
    given_column[np.setdiff1d(np.arange(30), rows)] = np.nan  # who is no donor
    center = rng.random(max(levels, 1))
    found = Neighbors(rows, distances, counts)
    outputs = np.full((30, max(levels, 1)), np.nan)
    outputs[:] = given_column[:, None] == np.arange(levels) if levels else given_column[:, None]
    sizes = (1, 2, 3, 5, 8)
    means = dict(near.means(found, given_column, levels, sizes, center))
    assert list(means) == sorted({*(size for size in sizes if size <= width), min(width, 8)})
    for size, mean in means.items():
        for query, count in enumerate(counts):
            listed = [
                (float(distances[query, place]), outputs[rows[query, place]].tolist())
                for place in range(min(size, count))
            ]
            expected = naive.near_mean(listed, center.tolist())
            np.testing.assert_allclose(mean[query], expected, rtol=1e-9, atol=1e-12)
    for query, count in enumerate(counts):
        shares = near.shares(found, given_column)[query]
        assert (shares[count:] == 0.0).all()
        if equal and count > 1:
            assert shares[:count].tolist() == [1.0] * (count // 2) + [0.0] * (count - count // 2)
