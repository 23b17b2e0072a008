"""Sums of Parzen windows over all pairs of points: a thread for each point."""

from __future__ import annotations

import math

from numba import cuda

from greyknn_kernels import formula
from greyknn_kernels.cuda.binding import kernel, leaf

THREADS = 64
"""In a block."""

_gaussian = leaf(formula.gaussian)


@kernel(THREADS)
def class_entropies(points, starts, scale, sums, entropies):
    """Uncertainty of the class at each point (equations 26 to 29).

    Parameters
    ----------
    points, starts, scale, entropies : as in ``cpu.information.class_entropies``
    sums : array of shape (n_classes, n), float64
        Scratch.
    """
    place = cuda.grid(1)
    if place >= len(points):
        return
    center = points[place]
    total = 0.0
    for label in range(len(starts) - 1):
        within = 0.0
        for neighbor in range(starts[label], starts[label + 1]):
            within += _gaussian((center - points[neighbor]) * scale)
        sums[label, place] = within
        total += within
    entropy = 0.0
    for label in range(len(starts) - 1):
        share = sums[label, place] / total
        if share > 0.0:
            entropy -= share * math.log2(share)
    entropies[place] = entropy


@kernel(THREADS)
def joint_information(x, z, x_scale, z_scale, information):
    """``log2(p(x, z) / (p(x) p(z)))`` at each point (equation 22).

    Parameters
    ----------
    x, z, x_scale, z_scale, information : as in ``cpu.information.joint_information``
    """
    place = cuda.grid(1)
    if place >= len(x):
        return
    x_sum = 0.0
    z_sum = 0.0
    both = 0.0
    for neighbor in range(len(x)):
        x_window = _gaussian((x[place] - x[neighbor]) * x_scale)
        z_window = _gaussian((z[place] - z[neighbor]) * z_scale)
        x_sum += x_window
        z_sum += z_window
        both += x_window * z_window
    information[place] = math.log2(len(x) * both / (x_sum * z_sum))
