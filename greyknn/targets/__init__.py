"""Target-weighted grey kNN: neighbourhoods propose a fill, leave-one-out errors dispose.

Every column with gaps is a target with donors, weights and a model of its own. Several ways to
average donors propose a value: near rows, rows that resemble the gap's in a ridge regression whose
kernel is the grey relational grade, and a line through all. How much each counts is what would
have restored the observed cells best, each left out in turn.
"""

from greyknn.targets.model import TargetModel, TargetReport

__all__ = ["TargetModel", "TargetReport"]
