"""Sums of Parzen windows over all pairs of points."""

from __future__ import annotations

from typing import Any

import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import inner, kept, leaf, loop

WINDOW_TILE = 64
"""Points whose window sums are accumulated side by side."""

_gaussian = leaf(formula.gaussian)


@loop
def class_entropies(
    begin: int, end: int, points: Any, starts: Any, scale: float, entropies: Any
) -> None:
    """Uncertainty of the class at some points, by Parzen windows (equations 26 to 29).

    Parameters
    ----------
    begin, end : int
        The points.
    points : array of shape (n,), float64
        One column's observed numbers, sorted by class.
    starts : array of shape (n_classes + 1,), int64
        Class ``c`` is ``points[starts[c]:starts[c + 1]]``.
    scale : float
        ``1 / (h * s)``, the inverse standard deviation of a window.
    entropies : array of shape (n,), float64
        Written: ``-sum_c P(c|x_j) log2 P(c|x_j)``, bits.
    """
    n_classes = len(starts) - 1
    for start in range(begin, end, WINDOW_TILE):
        size = min(WINDOW_TILE, end - start)
        sums = np.zeros((n_classes, WINDOW_TILE))
        centers = np.zeros(WINDOW_TILE)
        centers[:size] = points[start : start + size]
        for label in range(n_classes):
            for neighbor in range(starts[label], starts[label + 1]):
                point = points[neighbor]
                for member in range(WINDOW_TILE):
                    sums[label, member] += _gaussian((centers[member] - point) * scale)
        for member in range(size):
            total = 0.0
            for label in range(n_classes):
                total += sums[label, member]
            entropy = 0.0
            for label in range(n_classes):
                share = sums[label, member] / total
                if share > 0.0:
                    entropy -= share * np.log2(share)
            entropies[start + member] = entropy


@inner
def _smooth(mass: Any, taps: Any, density: Any) -> None:
    """A Gaussian window over every occupied bin; ``density`` reaches over both ends."""
    density[:] = 0.0
    for node in range(len(mass)):
        if mass[node] > 0.0:
            part = density[node : node + len(taps)]
            for tap in range(len(taps)):
                part[tap] += mass[node] * taps[tap]


@inner
def _share_out(points: Any, low: float, width: float, mass: Any) -> None:
    """Each point's mass to its two nearest nodes."""
    for point in points:
        place = (point - low) / width
        node = int(place)
        mass[node] += 1.0 - (place - node)
        mass[node + 1] += place - node


@kept
def binned_class_entropy(points: Any, starts: Any, width: float, taps: Any) -> float:
    """Mean uncertainty of the class, from class densities on a grid (equation 29).

    Parameters
    ----------
    points, starts : as in ``class_entropies``
    width : float
        Between two nodes of the grid.
    taps : array of odd length, float64
        A window on the grid.

    Returns
    -------
    float
        Bits.
    """
    low = points.min()
    n_nodes = int((points.max() - low) / width) + 2
    reach = len(taps) // 2
    mass = np.zeros(n_nodes)
    _share_out(points, low, width, mass)
    total = np.empty(n_nodes + 2 * reach)
    _smooth(mass, taps, total)
    within = np.empty(n_nodes)
    density = np.empty(n_nodes + 2 * reach)
    entropy = 0.0
    for label in range(len(starts) - 1):
        within[:] = 0.0
        _share_out(points[starts[label] : starts[label + 1]], low, width, within)
        _smooth(within, taps, density)
        for node in range(n_nodes):
            if mass[node] > 0.0 and density[node + reach] > 0.0:
                share = min(density[node + reach] / total[node + reach], 1.0)
                entropy -= mass[node] * share * np.log2(share)
    return entropy / len(points)


@loop
def joint_information(
    begin: int, end: int, x: Any, z: Any, x_scale: float, z_scale: float, information: Any
) -> None:
    """``log2(p(x, z) / (p(x) p(z)))`` at some points, by Parzen windows (equation 22).

    Parameters
    ----------
    begin, end : int
        The points.
    x, z : array of shape (n,), float64
        Two columns' numbers in the rows where both are observed.
    x_scale, z_scale : float
        Inverse standard deviations of the windows.
    information : array of shape (n,), float64
        Written, bits.
    """
    n_points = len(x)
    for start in range(begin, end, WINDOW_TILE):
        size = min(WINDOW_TILE, end - start)
        x_centers = np.zeros(WINDOW_TILE)
        z_centers = np.zeros(WINDOW_TILE)
        x_centers[:size] = x[start : start + size]
        z_centers[:size] = z[start : start + size]
        x_sums = np.zeros(WINDOW_TILE)
        z_sums = np.zeros(WINDOW_TILE)
        sums = np.zeros(WINDOW_TILE)
        for neighbor in range(n_points):
            x_point = x[neighbor]
            z_point = z[neighbor]
            for member in range(WINDOW_TILE):
                x_window = _gaussian((x_centers[member] - x_point) * x_scale)
                z_window = _gaussian((z_centers[member] - z_point) * z_scale)
                x_sums[member] += x_window
                z_sums[member] += z_window
                sums[member] += x_window * z_window
        for member in range(size):
            ratio = n_points * sums[member] / (x_sums[member] * z_sums[member])
            information[start + member] = np.log2(ratio)
