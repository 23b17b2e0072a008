"""The loops on the processor: leaves of ``formula.py`` bound with numba, parallel over rows."""

from greyknn_kernels.cpu.averaging import fill
from greyknn_kernels.cpu.grades import coefficients
from greyknn_kernels.cpu.information import class_entropies, joint_information
from greyknn_kernels.cpu.search import extremes, nearest

__all__ = [
    "class_entropies",
    "coefficients",
    "extremes",
    "fill",
    "joint_information",
    "nearest",
]
