"""Datawig's ``complete``: all gaps of a frame in one call."""

from __future__ import annotations

from typing import Any

from greyknn.deep.datawig import settings
from greyknn.deep.imputer import DeepImputer
from greyknn.messages import warn


def complete(
    data_frame: Any,
    precision_threshold: float = 0.0,
    inplace: bool = False,
    hpo: bool = False,
    verbose: int = 0,
    num_epochs: int | None = None,
    iterations: int = 1,
    output_path: str = ".",
) -> Any:
    """Fill all gaps of a pandas frame: numbers, categories, booleans, dates and free text.

    One ``DeepImputer`` is fitted to the whole frame, where Datawig fits a model for each column
    and leaves text empty. Columns keep their dtypes, and observed cells their values.

    Parameters
    ----------
    data_frame : DataFrame
        With any index. A column without any value stays empty, of which a warning tells.
    precision_threshold : float, default=0.0
        A category stays missing where held-out cells that looked as sure were right in a smaller
        share.
    inplace : bool, default=False
        Whether the frame itself is filled.
    hpo : bool, default=False
        Whether settings are searched for by ``DeepImputer.tune``, which takes ten times as long.
    verbose : int, default=0
        If positive, progress is shown on stderr.
    num_epochs : int, optional
        As in ``SimpleImputer.fit``.
    iterations : int, default=1
        Ignored: all columns are filled at once.
    output_path : str, default="."
        Ignored: nothing is written.

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    if not isinstance(data_frame, pd.DataFrame):
        raise TypeError(
            f"data_frame is a {type(data_frame).__name__}; complete takes pandas frames, and "
            "DeepImputer().fit_transform all others."
        )
    if not 0.0 <= precision_threshold <= 1.0:
        raise ValueError(f"precision_threshold={precision_threshold!r} must be from 0 to 1.")
    settings.ignore("complete", iterations=iterations != 1)
    gaps = data_frame.isna()
    empty = list(data_frame.columns[gaps.all()])
    if empty:
        warn(f"Columns without any value stay empty: {', '.join(map(repr, empty))}.")
    if not (gaps.any() & ~gaps.all()).any():
        return data_frame if inplace else data_frame.copy()
    deep = DeepImputer(
        min_precision=precision_threshold or None, keep_empty_features=True, verbose=verbose,
        **settings.chosen(len(data_frame), None, num_epochs, None, None, None, None),
    )  # fmt: skip
    if hpo:
        deep.tune(data_frame)
        filled = deep.transform(data_frame)
    else:
        filled = deep.fit_transform(data_frame)
    if not inplace:
        return filled
    for place in range(data_frame.shape[1]):
        data_frame.isetitem(place, filled.iloc[:, place])
    return data_frame
