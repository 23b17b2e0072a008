"""Every method and option against the paper in loops (naive.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils import check_random_state

import greyknn
import naive
from asserts import assert_fills_close, assert_observed_kept
from greyknn import METHODS, GreyKNNImputer, Method
from greyknn.selection import masked_folds, stratified_folds
from strategies import Case, cases, plain

pytestmark = pytest.mark.filterwarnings(
    "ignore:n_neighbors=", "ignore:Filling stopped", "ignore:.*rows did not settle"
)

PAPERS = list(naive.METHODS)
"""The methods of the paper; what else there is has its own reference."""

METRIC_ON = st.sampled_from(["observed", "imputed"])
DONORS = st.sampled_from(["all", "observed"])
K = st.integers(1, 12)
RHO = st.sampled_from([0.5, 0.1, 1.0])


def rules(method: Method) -> dict[str, Any]:
    return {
        "metric": method.metric,
        "weights": method.weights,
        "partition": method.partition,
        "average": method.average,
    }


@contextmanager
def without_accidental_ties(metric_on: str) -> Iterator[None]:
    """Pass over tables where rounding decides who is near.

    Filled values enter "imputed" distances, and the mean of two cells is as far from one as from
    the other, up to its last bit.
    """
    exact = naive.totals

    def watched(query: Any, donors: Any, *rest: Any) -> list[float]:
        totals: list[float] = exact(query, donors, *rest)
        order = sorted(range(len(totals)), key=totals.__getitem__)
        for near, far in pairwise(order):
            close = totals[far] - totals[near] <= 1e-12
            assume(not close or donors[near] == donors[far])
        return totals

    if metric_on == "imputed":
        naive.totals = watched
    try:
        yield
    finally:
        naive.totals = exact


def fitted(case: Case, method: str, **options: Any) -> tuple[GreyKNNImputer, NDArray[np.float64]]:
    imputer = GreyKNNImputer(method, categorical_features=case.categorical, **options)
    return imputer, imputer.fit_transform(case.X, case.y)


def lambdas(imputer: GreyKNNImputer) -> Any:
    return imputer.feature_weights_.tolist()


def test_the_five_methods_are_those_of_the_paper() -> None:
    assert {name: rules(METHODS[name]) for name in PAPERS} == naive.METHODS
    assert set(METHODS) - set(PAPERS) == {"tgknn"}  # which has tests of its own


@pytest.mark.parametrize("method", PAPERS)
@given(case=cases(), k=K, metric_on=METRIC_ON, donors=DONORS, rho=RHO)
def test_fills_are_those_of_the_paper(
    method: str, case: Case, k: int, metric_on: str, donors: str, rho: float
) -> None:
    options: dict[str, Any] = {"metric_on": metric_on, "donors": donors, "rho": rho, "max_iter": 6}
    imputer, ours = fitted(case, method, n_neighbors=k, **options)
    with without_accidental_ties(metric_on):
        reference = naive.impute(
            case.table, case.y, case.categorical, k=k, lambdas=lambdas(imputer), **options,
            **rules(METHODS[method]),
        )  # fmt: skip
    assert_observed_kept(case.X, ours)
    assert_fills_close(ours, reference.filled, case.X)
    np.testing.assert_allclose(imputer.convergence_, reference.convergence, atol=1e-9)
    assert imputer.n_iter_ == reference.n_iter
    assert imputer.converged_ == reference.converged


@pytest.mark.parametrize("method", PAPERS)
@given(case=cases(), k=K, metric_on=METRIC_ON, donors=DONORS, seed=st.integers(0, 99))
def test_new_rows_are_filled_without_labels_and_each_by_itself(
    method: str, case: Case, k: int, metric_on: str, donors: str, seed: int
) -> None:
    options: dict[str, Any] = {"metric_on": metric_on, "donors": donors, "max_iter": 6}
    imputer, _ = fitted(case, method, n_neighbors=k, **options)
    rng = np.random.default_rng(seed)
    new = case.X[rng.integers(len(case.X), size=5)]
    numbers = ~np.array(case.categorical)
    new[:, numbers] *= rng.normal(1.0, 1.0, new[:, numbers].shape)  # also outside the range of fit
    new[rng.random(new.shape) < 0.4] = np.nan
    ours = imputer.transform(new)
    arguments = {"k": k, "lambdas": lambdas(imputer), **options, **rules(METHODS[method])}
    with without_accidental_ties(metric_on):
        reference = naive.transform(
            naive.impute(case.table, case.y, case.categorical, **arguments),
            case.table, case.y, case.categorical, plain(new), **arguments,
        )  # fmt: skip
    assert_observed_kept(new, ours)
    assert_fills_close(ours, reference, case.X, tol=1e-7)
    for row in range(len(new)):
        alone = imputer.transform(new[row : row + 1])
        assert (alone == ours[row : row + 1]).all()


@pytest.mark.parametrize("method", PAPERS)
@given(case=cases(max_rows=40), metric_on=METRIC_ON)
def test_k_by_the_label(method: str, case: Case, metric_on: str) -> None:
    imputer, _ = fitted(case, method, n_neighbors="cv", metric_on=metric_on, max_iter=1)
    known = [label for label in case.y or [] if label is not None]
    if len(set(known)) < 2:
        assert (
            imputer.n_neighbors_
            == fitted(case, method, n_neighbors="masked", metric_on=metric_on, max_iter=1)[
                0
            ].n_neighbors_
        )
        return
    codes = np.unique(known, return_inverse=True)[1]
    folds: list[int | None] = [None] * len(case.X)
    for row, fold in zip(
        [i for i, label in enumerate(case.y or []) if label is not None],
        stratified_folds(codes, check_random_state(0)),
        strict=True,
    ):
        folds[row] = int(fold)
    vote = None if METHODS[method].weights == "feature" else lambdas(imputer)
    try:
        with without_accidental_ties(metric_on):
            k, errors = naive.choose_k_cv(
                case.table, case.y, case.categorical, folds, metric_on=metric_on, lambdas=vote,
                **rules(METHODS[method]),
            )  # fmt: skip
    except ValueError:  # no row could be scored
        assert (imputer.selection_errors_ == 0).all()
        return
    np.testing.assert_allclose(imputer.selection_errors_, list(errors.values()))
    assert imputer.n_neighbors_ == k


@pytest.mark.parametrize("method", PAPERS)
@given(case=cases(), metric_on=METRIC_ON, donors=DONORS)
def test_k_by_masked_cells(method: str, case: Case, metric_on: str, donors: str) -> None:
    options: dict[str, Any] = {"metric_on": metric_on, "donors": donors}
    imputer, _ = fitted(case, method, n_neighbors="masked", max_iter=1, **options)
    labels = [0 if case.y is None else case.y[row] for row in range(len(case.X))]
    member = np.array([label is not None or not METHODS[method].partition for label in labels])
    parts = masked_folds(~np.isnan(case.X) & member[:, None], check_random_state(0))
    masks = [[(int(row), int(column)) for row, column in part] for part in parts]
    try:
        with without_accidental_ties(metric_on):
            k, errors = naive.choose_k_masked(
                case.table, case.y, case.categorical, masks, lambdas=lambdas(imputer), **options,
                **rules(METHODS[method]),
            )  # fmt: skip
    except ValueError:  # no cell could be scored
        assert imputer.n_neighbors_ == 1
        return
    np.testing.assert_allclose(
        imputer.selection_errors_, list(errors.values()), rtol=1e-7, atol=1e-9
    )
    assert imputer.n_neighbors_ == k


@given(case=cases(), method=st.sampled_from(PAPERS))
def test_weights_are_those_of_the_paper(case: Case, method: str) -> None:
    imputer, _ = fitted(case, method, n_neighbors=3, max_iter=1)
    scaled = naive.scale(case.table, case.categorical)[0]
    kind = METHODS[method].weights
    if kind == "none":
        reference: Any = naive.uniform_weights(len(case.categorical), METHODS[method].metric)
    elif kind == "class":
        reference = naive.class_weights(scaled, case.y, case.categorical)
    else:
        reference = naive.feature_weights(scaled, case.categorical)
    np.testing.assert_allclose(imputer.feature_weights_, reference, rtol=1e-8, atol=1e-9)


@given(case=cases(), method=st.sampled_from(PAPERS), k=K)
def test_explained_donors_add_up_to_the_fill(case: Case, method: str, k: int) -> None:
    imputer, filled = fitted(case, method, n_neighbors=k, max_iter=50, tol=0.0)
    for row, column in np.argwhere(np.isnan(case.X)):
        donors = imputer.explain(int(row), int(column))
        if not donors:
            continue
        assert sum(donor.weight for donor in donors) == pytest.approx(1.0)
        assert [d.distance for d in donors] == sorted(d.distance for d in donors)
        assert all(donor.observed == ~np.isnan(case.X[donor.row, column]) for donor in donors)
        if case.categorical[column]:
            votes = dict.fromkeys({donor.value for donor in donors}, 0.0)
            for donor in donors:
                votes[donor.value] += donor.weight
            assert votes[filled[row, column]] == pytest.approx(max(votes.values()))
        elif imputer.converged_:
            mean = sum(donor.weight * donor.value for donor in donors)
            spread = np.nanmax(case.X[:, column]) - np.nanmin(case.X[:, column])
            assert filled[row, column] == pytest.approx(mean, abs=1e-6 * spread + 1e-12)


def test_explain_refuses_observed_cells_and_unknown_columns() -> None:
    imputer = GreyKNNImputer("iknn", n_neighbors=1).fit([[1.0, np.nan], [1.0, 2.0]])
    assert [donor.row for donor in imputer.explain(0, 1)] == [1]
    for row, column, message in (
        (1, 1, "in row 1 of column 1 was not filled"),
        (0, 0, "was not filled"),
        (0, 7, "no column 7"),
        (0, "a", "no column 'a'"),
        (5, 1, "rows 0 to 1"),
        (-1, 1, "no row -1"),
    ):
        with pytest.raises(KeyError, match=message):
            imputer.explain(row, column)
    with pytest.raises(TypeError, match="row='0' must be a position"):
        imputer.explain("0", 1)  # type: ignore[arg-type]


def test_impute_is_fit_transform() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((30, 3))
    X[rng.random(X.shape) < 0.2] = np.nan
    y = rng.integers(0, 2, 30)
    assert (greyknn.impute(X, y) == GreyKNNImputer().fit_transform(X, y)).all()
