"""The methods as data: what each of the paper's imputers measures, weighs and averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints


@dataclass(frozen=True)
class Method:
    """One k-nearest-neighbour imputer of mixed tables.

    Parameters
    ----------
    metric : {"grey", "heom"}
        1 - grey relational grade (equations 32 to 36), or the heterogeneous Euclidean-overlap
        metric (equations 7 to 10, 31).
    weights : {"none", "class", "feature"}
        Columns count the same; by their mutual information with the class (equation 30); or, for
        each column that is filled, by their mutual information with that column.
    partition : bool
        Whether a labelled row takes its neighbours and its starting fill from its own class.
    average : {"weighted", "plain"}
        Near neighbours count more (equations 11, 12, 36), or all the same.
    """

    metric: Literal["grey", "heom"]
    weights: Literal["none", "class", "feature"]
    partition: bool
    average: Literal["weighted", "plain"]

    def __post_init__(self) -> None:
        for field, allowed in get_type_hints(type(self)).items():
            given = getattr(self, field)
            choices = get_args(allowed) or (True, False)
            if given not in choices:
                raise ValueError(f"{field}={given!r} is none of {', '.join(map(repr, choices))}.")


METHODS = {
    "cgknn": Method("grey", weights="class", partition=True, average="weighted"),
    "fwgknn": Method("grey", weights="feature", partition=True, average="weighted"),
    "gknn": Method("grey", weights="none", partition=True, average="plain"),
    "miknn": Method("heom", weights="class", partition=False, average="weighted"),
    "iknn": Method("heom", weights="none", partition=False, average="weighted"),
}
