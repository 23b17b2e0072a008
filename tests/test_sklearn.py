"""What scikit-learn expects of a transformer, and what we expect of an imputer."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks as checks

from greyknn import GreyKNNImputer

VARIANTS = [
    GreyKNNImputer(),
    GreyKNNImputer("fwgknn", n_neighbors="masked"),
    GreyKNNImputer("iknn", n_neighbors=5, metric_on="imputed"),
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
]


@checks.parametrize_with_checks(VARIANTS)
def test_scikit_learn_checks(estimator: GreyKNNImputer, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore:X .* feature names")  # the checks' own doing
@pytest.mark.parametrize("check", MORE_CHECKS, ids=lambda check: check.__name__)
def test_checks_that_scikit_learn_does_not_run_by_itself(check: Any) -> None:
    estimator = GreyKNNImputer()
    check(type(estimator).__name__, clone(estimator))
