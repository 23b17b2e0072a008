"""What scikit-learn is told about imputers of mixed tables."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._set_output import _get_output_config

from greyknn.table import to_library


class MixedTableImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of estimators that take numbers, categories, strings and gaps, and need no labels."""

    def _output(self, table: Any) -> Any:
        """A filled table in the library that ``set_output`` asks for.

        scikit-learn would copy another library's frame cell by cell, and lose its types.
        """
        return to_library(table, _get_output_config("transform", self)["dense"])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
