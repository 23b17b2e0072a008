"""Sums of Parzen windows over all pairs of points."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from greyknn_kernels import formula
from greyknn_kernels.cpu.binding import leaf, loop

WINDOW_TILE = 64
"""Points whose window sums are accumulated side by side."""

_gaussian = leaf(formula.gaussian)


@loop
def class_entropies(points: Any, starts: Any, scale: float, entropies: Any) -> None:
    """Uncertainty of the class at each point, by Parzen windows (equations 26 to 29).

    Parameters
    ----------
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
    n_tiles = (len(points) + WINDOW_TILE - 1) // WINDOW_TILE
    for tile in numba.prange(n_tiles):
        start = tile * WINDOW_TILE
        size = min(WINDOW_TILE, len(points) - start)
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


@loop
def joint_information(x: Any, z: Any, x_scale: float, z_scale: float, information: Any) -> None:
    """``log2(p(x, z) / (p(x) p(z)))`` at each point, by Parzen windows (equation 22).

    Parameters
    ----------
    x, z : array of shape (n,), float64
        Two columns' numbers in the rows where both are observed.
    x_scale, z_scale : float
        Inverse standard deviations of the windows.
    information : array of shape (n,), float64
        Written, bits.
    """
    n_points = len(x)
    n_tiles = (n_points + WINDOW_TILE - 1) // WINDOW_TILE
    for tile in numba.prange(n_tiles):
        start = tile * WINDOW_TILE
        size = min(WINDOW_TILE, n_points - start)
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
