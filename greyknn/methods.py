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
    weights : {"none", "class", "feature", "target"}
        Columns count the same; by their mutual information with the class (equation 30); or, for
        each column that is filled, by their mutual information with that column. "target" is the
        same with the noise taken out, and the class as one more column.
    partition : bool
        Whether a labelled row takes its neighbours and its starting fill from its own class.
    average : {"weighted", "plain", "stacked"}
        Near neighbours count more (equations 11, 12, 36), or all the same. "stacked" goes with
        weights "target": of several averages of donors each counts as much as makes the
        leave-one-out error of observed cells least.
    rho : float, default=0.5
        Distinguishing coefficient (equation 32), unless the user gives one.
    """

    metric: Literal["grey", "heom"]
    weights: Literal["none", "class", "feature", "target"]
    partition: bool
    average: Literal["weighted", "plain", "stacked"]
    rho: float = 0.5

    def __post_init__(self) -> None:
        for field, allowed in get_type_hints(type(self)).items():
            given = getattr(self, field)
            choices = get_args(allowed) or (True, False)
            if allowed is not float and given not in choices:
                raise ValueError(f"{field}={given!r} is none of {', '.join(map(repr, choices))}.")
        if not self.rho > 0:
            raise ValueError(f"rho={self.rho!r} must be above 0.")
        stacked = self.average == "stacked"
        if stacked != (self.weights == "target"):
            raise ValueError(
                f'weights="target" and average="stacked" go together; got {self.weights!r} and '
                f"{self.average!r}."
            )
        if stacked and (self.metric != "grey" or self.partition):
            raise ValueError('weights="target" needs metric="grey" and partition=False.')

    @property
    def uses_class(self) -> bool:
        """Whether a label, where there is one, says something about the fill."""
        return self.partition or self.weights in ("class", "target")


METHODS = {
    "cgknn": Method("grey", weights="class", partition=True, average="weighted"),
    "fwgknn": Method("grey", weights="feature", partition=True, average="weighted"),
    "gknn": Method("grey", weights="none", partition=True, average="plain"),
    "miknn": Method("heom", weights="class", partition=False, average="weighted"),
    "iknn": Method("heom", weights="none", partition=False, average="weighted"),
    "tgknn": Method(
        "grey",
        weights="target",
        partition=False,
        average="stacked",
        rho=0.2,  # of ranks
    ),
}
