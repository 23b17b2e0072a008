"""The loops on an NVIDIA GPU: leaves of ``formula.py`` bound with numba-cuda, in tiles and warps.

What a card offers: the functions of ``greyknn_kernels.cpu`` that pay there, with the same
arguments and the same results.
"""

from __future__ import annotations

from greyknn_kernels.cuda.card import Card

__all__ = ["Card"]
