"""Grades between a smallest difference of 0 and a largest of 1, and sums weighted by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import naive_targets as naive
from greyknn.scaling import Ranks
from greyknn_kernels import cpu
from greyknn_kernels.cpu import threads
from strategies import Case, cases, plain

Floats = NDArray[np.float64]

RHO = st.sampled_from([0.2, 0.5, 1e-6, 1e6])
seeds = st.integers(0, 2**32 - 1)


def compared(case: Case, seed: int) -> tuple[Floats, Floats, Any]:
    """Rows as ranks, weights of which some may be 0, and which columns hold codes."""
    rng = np.random.default_rng(seed)
    kinds = np.array(case.categorical)
    weights = rng.random(len(kinds)) * (rng.random(len(kinds)) < 0.8)
    weights /= max(weights.sum(), 1e-300)
    return Ranks.fit(case.X, kinds).scaled(case.X), weights, kinds


def grades_of(queries: Floats, donors: Floats, weights: Floats, kinds: Any, rho: float) -> Floats:
    grades = np.full((len(queries), len(donors)), np.nan)
    cpu.resemblances(queries, np.ascontiguousarray(donors.T), weights, kinds, rho, grades)
    return grades


@given(case=cases(), seed=seeds, rho=RHO)
def test_grades_are_those_of_loops(case: Case, seed: int, rho: float) -> None:
    rows, weights, kinds = compared(case, seed)
    queries = rows[::2]
    ours = grades_of(queries, rows, weights, kinds, rho)
    reference = [
        [naive.grade(a, b, weights.tolist(), kinds.tolist(), rho) for b in plain(rows)]
        for a in plain(queries)
    ]
    np.testing.assert_allclose(ours, reference, atol=1e-14)


def test_grades_by_hand() -> None:
    n = np.nan
    rows = np.array([[0.0, 1.0], [0.6, 1.0], [0.2, 0.0], [n, 1.0], [n, n]])
    grades = grades_of(rows, rows, np.array([0.75, 0.25]), np.array([False, True]), 0.2)
    expected = [1.0, 0.75 * 0.2 / 0.8 + 0.25, 0.75 * 0.2 / 0.4, 0.25, 0.0]
    np.testing.assert_allclose(grades[0], expected)
    assert (grades[4] == 0.0).all()  # who observed nothing resembles nobody, not even itself
    assert grades[3, 3] == 0.25


@given(case=cases(), seed=seeds, rho=RHO, sharpness=st.sampled_from([0.0, 10 / 3, 10.0]))
def test_grades_are_a_kernel(case: Case, seed: int, rho: float, sharpness: float) -> None:
    rows, weights, kinds = compared(case, seed)
    grades = grades_of(rows, rows, weights, kinds, rho)
    np.testing.assert_array_equal(grades, grades.T)
    kernel = np.exp(sharpness * (grades - 1.0)) if sharpness else grades
    assert np.linalg.eigvalsh(kernel).min() > -1e-12 * len(rows)


@given(
    case=cases(), seed=seeds, rho=RHO, sharpness=st.sampled_from([0.0, 10 / 3, 10.0]),
    level=st.sampled_from([0.0, 10.0]), n_outputs=st.integers(1, 3),
)  # fmt: skip
def test_sums_are_those_of_loops(
    case: Case, seed: int, rho: float, sharpness: float, level: float, n_outputs: int
) -> None:
    rows, weights, kinds = compared(case, seed)
    duals = np.random.default_rng(seed).normal(size=(len(rows), n_outputs))
    queries = np.ascontiguousarray(rows[:3])
    ours = np.full((3, n_outputs), np.nan)
    donors = np.ascontiguousarray(rows.T)
    cpu.resembling_sums(queries, donors, weights, kinds, rho, sharpness, level, duals, ours)
    for query, sums in zip(plain(queries), ours, strict=True):
        expected = [0.0] * n_outputs
        for row, dual in zip(plain(rows), duals.tolist(), strict=True):
            grade = naive.grade(query, row, weights.tolist(), kinds.tolist(), rho)
            for output, number in enumerate(dual):
                expected[output] += (naive.resemblance(grade, sharpness) + level) * number
        np.testing.assert_allclose(sums, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("workers", [1, 3])
def test_neither_steps_nor_threads_matter(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows, weights, kinds = rng.random((40, 3)), np.full(3, 1 / 3), np.zeros(3, dtype=bool)
    duals = rng.normal(size=(40, 2))

    def both() -> tuple[Floats, Floats]:
        sums = np.empty((40, 2))
        donors = np.ascontiguousarray(rows.T)
        cpu.resembling_sums(rows, donors, weights, kinds, 0.2, 10.0, 10.0, duals, sums)
        return grades_of(rows, rows, weights, kinds, 0.2), sums

    whole = both()
    monkeypatch.setattr(threads, "STEP", 1.0)
    monkeypatch.setattr(threads, "LEAST", 1.0)
    monkeypatch.setattr(threads, "n_threads", lambda: workers)
    for parts, before in zip(both(), whole, strict=True):
        np.testing.assert_array_equal(parts, before)
