"""What rows that were kept from fit tell: metrics, and whether labels are as frequent elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.metrics import precision_recall_curve, precision_recall_fscore_support

from greyknn.arrays import Floats

ALIKE = 0.1
"""Labels that predictions tell apart by less than this cannot be counted by predictions."""


@dataclass(frozen=True)
class Checked:
    """Rows that were kept from fit, and what was said about them.

    Attributes
    ----------
    levels : tuple
        Labels that fit saw; empty if the output is a number.
    truth : tuple of length n_rows
        Their observed outputs; there may be labels that fit did not see.
    said : array of shape (n_rows, n_levels) or (n_rows,)
        Probabilities of the levels, or numbers.
    frequency : array of shape (n_levels,)
        Of the levels among the rows of fit.
    """

    levels: tuple[Any, ...]
    truth: tuple[Any, ...]
    said: Floats
    frequency: Floats

    def metrics(self) -> dict[str, Any]:
        """By Datawig's names; see ``SimpleImputer.load_metrics``."""
        if not self.levels:
            return of_numbers(np.array(self.truth, dtype=float), self.said)
        return of_labels(self.truth, self.said, self.levels)


def of_numbers(truth: Floats, predicted: Floats) -> dict[str, Any]:
    """Mean squared and absolute error, and the share of the variance that is explained."""
    away, spread = predicted - truth, float(((truth - truth.mean()) ** 2).mean())
    mse = float((away**2).mean())
    return {
        "mse": mse, "mae": float(np.abs(away).mean()),
        "r2": 1.0 - mse / spread if spread > 0.0 else float(mse == 0.0),
        "num_applicable_rows": len(truth),
    }  # fmt: skip


def of_labels(truth: Sequence[Any], shares: Floats, levels: Sequence[Any]) -> dict[str, Any]:
    """Precision, recall and F1 of each label and on average; the confusion of labels.

    Parameters
    ----------
    truth : sequence of length n_rows
    shares : array of shape (n_rows, n_levels)
    levels : sequence of length n_levels
    """
    # By number: labels need not be strings, nor be comparable.
    number = {label: place for place, label in enumerate(dict.fromkeys([*levels, *truth]))}
    names = list(number)
    codes = np.array([number[label] for label in truth])
    told = shares.argmax(axis=1)
    counts = np.bincount(codes, minlength=len(names))
    order = [int(place) for place in np.argsort(-counts, kind="stable") if counts[place]]
    right = float((codes == told).mean())
    out: dict[str, Any] = {
        "class_counts": [(names[place], int(counts[place])) for place in order],
        "num_classes": len(order),
        "num_applicable_rows": len(codes),
        "avg_accuracy": right,
        "weighted_accuracy": right,
    }
    kinds = ("precision", "recall", "f1")
    for prefix, average, labels in (
        ("avg", "macro", None), ("weighted", "weighted", None), ("class", None, order)
    ):  # fmt: skip
        scores = precision_recall_fscore_support(
            codes, told, average=average, labels=labels, zero_division=0.0
        )
        for kind, score in zip(kinds, scores, strict=False):
            out[f"{prefix}_{kind}"] = score.tolist() if average is None else float(score)
    confusion = []
    for place in order:
        taken = np.bincount(told[codes == place], minlength=len(names))
        most = np.argsort(-taken, kind="stable")
        confusion.append((names[place], [(names[i], int(taken[i])) for i in most if taken[i]]))
    out["confusion_matrix"] = confusion
    out["precision_recall_curves"] = {}
    for place in order:
        if place < len(levels):
            curve = precision_recall_curve(codes == place, shares[:, place])
            parts = zip(("precision", "recall", "thresholds"), curve, strict=True)
            out["precision_recall_curves"][names[place]] = {
                name: part.tolist() for name, part in parts
            }
    return out


def label_weights(checked: Checked, shares: Floats) -> tuple[Floats, float]:
    """How much more frequent each label is among other rows than among those of fit.

    Lipton, Wang and Smola (2018): if rows of a label look alike in both, then what is said about
    the others is, on average, what is said about rows of each label, times the label's frequency.
    Probabilities stand in for predictions, which takes less from chance, and frequencies are found
    by least squares under what they must fulfil: none is negative, and they sum to 1.

    Parameters
    ----------
    checked : Checked
    shares : array of shape (n_others, n_levels)
        Probabilities of the labels of other rows.

    Returns
    -------
    weights : array of shape (n_levels,)
        1 for labels that none of the rows checked has.
    apart : float
        How well labels are told apart, from 0, when weights mean nothing, to 1.
    """
    levels, frequency = checked.levels, checked.frequency
    truth = np.array([[label == level for level in levels] for label in checked.truth], float)
    present = truth.any(axis=0)
    weights = np.ones(len(levels))
    if not present.any():
        return weights, 0.0
    confusion = checked.said.T @ truth[:, present] / truth[:, present].sum(axis=0)
    firm = 100.0  # their sum counts more than chance differences
    matrix = np.vstack([confusion, np.full(confusion.shape[1], firm)])
    rest = frequency[~present].sum()
    elsewhere = nnls(matrix, np.append(shares.mean(axis=0), firm * (1.0 - rest)))[0]
    weights[present] = elsewhere / frequency[present]
    return weights, float(np.linalg.svd(confusion, compute_uv=False).min())
