"""The explicit matrices are equations 32, 33 and 35."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from greyknn import grey_relational_coefficients, grey_relational_grades
from strategies import Case, cases


def test_by_hand() -> None:
    # Scaled: 0, 0.5, 1. Row 0: Dmin 0.5, Dmax 1, so (0.5 + 0.5) / (d + 0.5).
    X = [[0.0], [5.0], [10.0]]
    coefficients = grey_relational_coefficients(X)[:, :, 0]
    expected = [[np.nan, 1.0, 2 / 3], [1.0, np.nan, 1.0], [2 / 3, 1.0, np.nan]]
    np.testing.assert_allclose(coefficients, expected)
    np.testing.assert_allclose(grey_relational_grades(X), expected)


@given(case=cases(), rho=st.sampled_from([0.5, 0.2]))
def test_coefficients_and_grades(case: Case, rho: float) -> None:
    scaled = naive.scale(case.table, case.categorical)[0]
    options: dict[str, Any] = {"rho": rho, "categorical_features": case.categorical}
    ours = grey_relational_coefficients(case.X, **options)
    weights = np.arange(1.0, len(case.categorical) + 1)
    grades = grey_relational_grades(case.X, weights=weights, **options)
    for row in range(len(scaled)):
        others = [other for other in range(len(scaled)) if other != row]
        donors = [scaled[other] for other in others]
        reference = naive.grey_coefficients(scaled[row], donors, case.categorical, rho)
        np.testing.assert_allclose(ours[row, others], reference, atol=1e-12)
        assert np.isnan(ours[row, row]).all()
        lambdas = (weights / weights.sum()).tolist()
        expected = [naive.grey_grade(coefficients, lambdas) for coefficients in reference]
        np.testing.assert_allclose(grades[row, others], expected, atol=1e-12)


def test_two_tables_share_the_scale_of_the_second() -> None:
    Y = pd.DataFrame({"a": [0.0, 10.0, None], "b": ["x", "y", "y"]})
    X = pd.DataFrame({"a": [20.0], "b": ["y"]})
    coefficients = grey_relational_coefficients(X, Y)
    # Scaled differences 2 and 1: Dmin 1, Dmax 2.
    np.testing.assert_allclose(coefficients, [[[2 / 3, 0.0], [1.0, 1.0], [0.0, 1.0]]])


def test_partition_compares_within_classes() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((9, 2)), np.array(list("aaabbbbcc"))
    grades = grey_relational_grades(X, partition=y)
    same = (y[:, None] == y) & ~np.eye(9, dtype=bool)
    assert (np.isnan(grades) == ~same).all()
    scale = X / np.ptp(X, axis=0)
    reference = naive.grey_coefficients(scale[0].tolist(), scale[1:3].tolist(), [False, False], 0.5)
    np.testing.assert_allclose(
        grades[0, 1:3], [naive.grey_grade(row, [0.5, 0.5]) for row in reference]
    )


def test_empty_columns_are_similar_to_nothing() -> None:
    coefficients = grey_relational_coefficients([[1.0, np.nan], [2.0, np.nan]])
    assert coefficients[0, 1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rho": 0}, "rho=0 must be above 0"),
        ({"Y": [[1.0]], "partition": [0, 1]}, "cannot go with Y"),
        ({"partition": [0, None]}, "missing labels"),
        ({"weights": [1.0, 2.0]}, "1 numbers"),
        ({"weights": [-1.0]}, "not negative"),
        ({"weights": [0.0]}, "not all 0"),
        ({"weights": [np.nan]}, "not negative"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grey_relational_grades([[1.0], [2.0]], **arguments)
