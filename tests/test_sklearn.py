"""What scikit-learn expects of a transformer, and what we expect of an imputer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks as checks

from greyknn import GreyKNNImputer

VARIANTS = [
    GreyKNNImputer(),
    GreyKNNImputer("fwgknn", n_neighbors="masked"),
    GreyKNNImputer("iknn", n_neighbors=5, metric_on="imputed"),
    GreyKNNImputer("miknn", label_use="cross-fit"),
    GreyKNNImputer("tgknn"),
]

MORE_CHECKS = [
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
    checks.check_get_feature_names_out_error,
    checks.check_dataframe_column_names_consistency,
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_global_output_transform_pandas,
    checks.check_global_set_output_transform_polars,
    checks.check_param_validation,
    checks.check_inplace_ensure_writeable,
    checks.check_estimators_partial_fit_n_features,
]


@checks.parametrize_with_checks(VARIANTS)
def test_scikit_learn_checks(estimator: GreyKNNImputer, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore:X .* feature names")  # the checks' own doing
@pytest.mark.parametrize("check", MORE_CHECKS, ids=lambda check: check.__name__)
def test_checks_that_scikit_learn_does_not_run_by_itself(check: Any) -> None:
    estimator = GreyKNNImputer()
    check(type(estimator).__name__, clone(estimator))


# --- as in scikit-learn's own tests of imputers (sklearn/impute/tests/test_common.py)


@pytest.mark.parametrize("estimator", VARIANTS, ids=lambda variant: variant.method)
def test_a_value_missing_only_at_transform(estimator: GreyKNNImputer) -> None:
    out = clone(estimator).fit([[1], [2]]).transform([[3], [np.nan]])
    assert out.tolist() == [[3.0], [2.0]]  # whole numbers in fit, a whole number in the gap


@pytest.mark.parametrize("estimator", VARIANTS, ids=lambda variant: variant.method)
@pytest.mark.filterwarnings("ignore:n_neighbors=", "ignore:Filling stopped")
def test_pandas_integers_with_gaps(estimator: GreyKNNImputer) -> None:
    n = np.nan
    X = np.array([[n, 1, 5, n, 1], [2, n, 1, n, 2], [6, 3, n, n, 3], [1, 2, 9, 7, 4]])
    expected = clone(estimator).fit_transform(X)
    out = clone(estimator).fit_transform(pd.DataFrame(X, dtype="Int16", columns=list("abcde")))
    assert (out.dtypes == "Int16").all()
    assert np.abs(out.to_numpy(dtype=float) - expected).max() <= 0.5


@pytest.mark.parametrize("keep", [True, False])
def test_no_column_is_ever_dropped(keep: bool) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": [np.nan] * 3, "c": [1.0, 2.0, 3.0]})
    imputer = GreyKNNImputer("iknn", n_neighbors=1, keep_empty_features=keep)
    if not keep:
        with pytest.raises(ValueError, match="'b' has no observed value"):
            imputer.fit(frame)
        return
    with pytest.warns(UserWarning, match="stay empty: 'b'"):
        imputer.fit(frame)
    assert imputer.get_feature_names_out().tolist() == ["a", "b", "c"]
    assert list(imputer.transform(frame).columns) == ["a", "b", "c"]
