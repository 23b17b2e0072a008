"""How much a column tells about the class, or about another column, and the weights made of it.

All information is in bits and comes from observed cells only, before anything is filled.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greyknn.arrays import Bools, Floats, Ints
from greyknn.methods import Method
from greyknn.progress import Progress, silent
from greyknn.sharing import share

EXACT_ROWS = 512
"""Up to this many rows window sums are exact; above, densities are binned."""

BINS_PER_WINDOW = 16
"""Bins to one window's standard deviation, one column."""

JOINT_BINS_PER_WINDOW = 6
JOINT_BINS = 2048
"""The same for two columns, and the most bins along one of them."""

NO_INFORMATION = 1e-12
"""Bits that rounding leaves where columns are independent: counted as 0."""

WEIGHING = 100.0
"""Operations it takes to weigh one cell, roughly."""

REACH = 9.0
"""Standard deviations after which a window is nothing."""


def column_weights(
    method: Method,
    values: Floats,
    categorical: Bools,
    labels: Ints,
    kernels: ModuleType,
    progress: Progress = silent,
) -> Floats:
    """The weights lambda of a method's distance (equation 30).

    Parameters
    ----------
    method : Method
    values : array of shape (n_rows, n_columns)
        Scaled numbers and category codes, NaN where missing.
    categorical : array of shape (n_columns,)
    labels : array of shape (n_rows,)
        Class codes, -1 for rows without a label.
    kernels : module
    progress : callable

    Returns
    -------
    array of shape (n_columns,), or (n_columns, n_columns) with a row for each target column
        Each row sums to 1. Where no column tells anything, all count the same. HEOM without
        weights counts every column 1, as in equation 7.
    """
    n_columns = values.shape[1]
    if method.weights == "none":
        return np.full(n_columns, 1.0 / n_columns if method.metric == "grey" else 1.0)
    if method.weights == "class":
        return class_weights(values, categorical, labels, kernels, progress)
    information = feature_information(values, categorical, kernels, progress)
    others = 1.0 - np.eye(n_columns)
    return normalized(information, others)


def class_weights(
    values: Floats,
    categorical: Bools,
    labels: Ints,
    kernels: ModuleType,
    progress: Progress = silent,
) -> Floats:
    """Each column's share of the information about the class (equation 30)."""
    information = class_information(values, categorical, labels, kernels, progress)
    return normalized(information, np.ones(values.shape[1]))


def class_information(
    values: Floats,
    categorical: Bools,
    labels: Ints,
    kernels: ModuleType,
    progress: Progress = silent,
) -> Floats:
    """Mutual information of each column with the class, bits (equations 18 and 24 to 29).

    Parameters
    ----------
    values, categorical, labels, kernels, progress : as in ``column_weights``

    Returns
    -------
    array of shape (n_columns,)
        At least 0; 0 for columns that are constant or observed in fewer than two labelled rows.
    """
    information = np.zeros(values.shape[1])
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    labels = labels[order]  # sorted: what sorts them once more has little to do

    def inform(begin: int, end: int) -> None:
        for column in range(begin, end):
            cells = values[order, column]
            observed = ~np.isnan(cells)
            cells, classes = cells[observed], labels[observed]
            if categorical[column]:
                information[column] = _plug_in(cells.astype(np.int64), classes)
            else:
                information[column] = _parzen(cells, classes, kernels)

    def report(done: int, total: int) -> None:
        progress("weights", done, total)

    share(inform, len(categorical), WEIGHING * len(order), report)
    return information


def feature_information(
    values: Floats, categorical: Bools, kernels: ModuleType, progress: Progress = silent
) -> Floats:
    """Mutual information of every two columns, bits (equations 19, 22 and 24 to 29).

    Parameters
    ----------
    values, categorical, kernels, progress : as in ``column_weights``

    Returns
    -------
    array of shape (n_columns, n_columns)
        Symmetric, with a diagonal of 0; from the rows where both columns are observed.
    """
    n_columns = values.shape[1]
    observed = ~np.isnan(values)
    information = np.zeros((n_columns, n_columns))
    for i in range(n_columns):
        for j in range(i):
            rows = observed[:, i] & observed[:, j]
            x, z = values[rows, i], values[rows, j]
            if categorical[i] and categorical[j]:
                bits = _plug_in(x.astype(np.int64), z.astype(np.int64))
            elif categorical[i]:
                bits = _parzen(z, x.astype(np.int64), kernels)
            elif categorical[j]:
                bits = _parzen(x, z.astype(np.int64), kernels)
            else:
                bits = _joint_parzen(x, z, kernels)
            information[i, j] = information[j, i] = bits
        progress("weights", i * (i + 1) // 2, n_columns * (n_columns - 1) // 2)
    return information


def normalized(information: Floats, allowed: Floats) -> Floats:
    """Rows that sum to 1; ``allowed`` in equal parts where there is no information."""
    information = np.where(information.sum(axis=-1, keepdims=True) > 0, information, allowed)
    total = information.sum(axis=-1, keepdims=True)
    weights: Floats = np.divide(information, total, out=np.zeros_like(information), where=total > 0)
    return weights


def _entropy(counts: Floats | Ints) -> float:
    """Entropy of a distribution given by counts, bits (equations 16, 17 and 25)."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _plug_in(x: Ints, z: Ints) -> float:
    """I(X;Z) = H(X) + H(Z) - H(X,Z) from observed frequencies (equation 23)."""
    if len(x) == 0:
        return 0.0
    _, x = np.unique(x, return_inverse=True)
    _, z = np.unique(z, return_inverse=True)
    joint = np.unique(x * (z.max() + 1) + z, return_counts=True)[1]
    bits = _entropy(np.bincount(x)) + _entropy(np.bincount(z)) - _entropy(joint)
    return bits if bits > NO_INFORMATION else 0.0


def _window(cells: Floats) -> float:
    """Standard deviation of a Parzen window, h * s with h = 1 / ln n; 0 without spread."""
    if len(cells) < 2 or cells.min() == cells.max():
        return 0.0
    return float(cells.std(ddof=1) / np.log(len(cells)))


def _parzen(cells: Floats, classes: Ints, kernels: ModuleType) -> float:
    """I(X;Y) = H(Y) - H(Y|X) of a number and a class (equations 24 to 29)."""
    window = _window(cells)
    if window == 0.0:
        return 0.0
    counts = np.bincount(classes)
    counts = counts[counts > 0]
    starts = np.concatenate([[0], np.cumsum(counts)])
    points = cells[np.argsort(classes, kind="stable")]
    if len(points) <= EXACT_ROWS:
        entropies = np.empty(len(points))
        kernels.class_entropies(points, starts, 1.0 / window, entropies)
        conditional = float(entropies.mean())
    else:
        taps = _window_taps(BINS_PER_WINDOW)
        conditional = kernels.binned_class_entropy(points, starts, window / BINS_PER_WINDOW, taps)
    bits = _entropy(counts) - conditional
    return bits if bits > NO_INFORMATION else 0.0


def _joint_parzen(x: Floats, z: Floats, kernels: ModuleType) -> float:
    """I(X;Z) of two numbers by product windows (equation 22)."""
    windows = _window(x), _window(z)
    if 0.0 in windows:
        return 0.0
    if len(x) <= EXACT_ROWS:
        information = np.empty(len(x))
        kernels.joint_information(
            np.ascontiguousarray(x), np.ascontiguousarray(z),
            1.0 / windows[0], 1.0 / windows[1], information,
        )  # fmt: skip
        bits = float(information.mean())
    else:
        bits = _binned_joint_information(x, z, windows)
    return bits if bits > NO_INFORMATION else 0.0


def _binned_joint_information(x: Floats, z: Floats, windows: tuple[float, float]) -> float:
    """The same from a joint density on a grid; columns with far outliers get wider bins."""
    axes = []
    for cells, window in zip((x, z), windows, strict=True):
        width = max(window / JOINT_BINS_PER_WINDOW, float(np.ptp(cells)) / (JOINT_BINS - 2))
        axes.append((*_linear_bins(cells, width), _window_taps(window / width)))
    (x_shares, x_nodes, x_bins, x_taps), (z_shares, z_nodes, z_bins, z_taps) = axes
    shares = x_shares[:, :, None] * z_shares[:, None, :]
    nodes = x_nodes[:, :, None] * z_bins + z_nodes[:, None, :]
    mass = np.bincount(nodes.ravel(), shares.ravel(), minlength=x_bins * z_bins)
    mass = mass.reshape(x_bins, z_bins)
    density = _smoothed(mass, np.outer(x_taps, z_taps)).ravel()
    x_density = _smoothed(mass.sum(axis=1), x_taps)
    z_density = _smoothed(mass.sum(axis=0), z_taps)
    joint = (shares * density[nodes]).sum(axis=(1, 2))
    product = (x_shares * x_density[x_nodes]).sum(axis=1)
    product *= (z_shares * z_density[z_nodes]).sum(axis=1)
    return float(np.log2(len(x) * joint / product).mean())


def _linear_bins(cells: Floats, width: float) -> tuple[Floats, Ints, int]:
    """Each cell's shares (n, 2) in its two nearest grid nodes (n, 2), and how many nodes."""
    place = (cells - cells.min()) / width
    node = place.astype(np.int64)
    share = place - node
    n_bins = int(node.max()) + 2
    return np.column_stack([1.0 - share, share]), np.column_stack([node, node + 1]), n_bins


@lru_cache(maxsize=4)
def _window_taps(bins_per_window: float) -> Floats:
    """A Gaussian window on the grid, without the spread that the grid itself adds.

    Sharing a point between two nodes and reading between two nodes add a variance of 1/6 each.
    """
    reach = int(REACH * bins_per_window) + 1
    place = np.arange(-reach, reach + 1)
    taps: Floats = np.exp(-0.5 * place**2 / max(bins_per_window**2 - 1.0 / 3.0, 0.05))
    return taps


def _smoothed(mass: NDArray[Any], taps: Floats) -> Floats:
    """A density on the grid, by fast Fourier transforms."""
    from scipy.signal import oaconvolve  # 0.1 s that small tables need not wait for

    density: Floats = oaconvolve(mass, taps, mode="same")
    return density
