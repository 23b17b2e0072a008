"""The bare search beside its ceiling and its peers, in pairs of cells a second.

    python -m bench.search

The ceiling is a bare loop in the same run: the same blocks, scored and forgotten, by as many
threads.  Where pykeops works (it wants a C++ compiler) its argKmin of the same formula is
measured too.  ``NUMBA_CPU_NAME=haswell`` shows a processor without AVX-512.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from sklearn.neighbors import NearestNeighbors

from bench.report import seconds, show
from greyknn.donors import DonorTable, Geometry
from greyknn.neighbors import nearest
from greyknn_kernels import cpu
from greyknn_kernels.cpu import threads
from greyknn_kernels.packing import BLOCK, aligned

N_DONORS = 20_000
N_QUERIES = 8_192
N_PEER = 512
SHAPES = [(8, 10), (20, 5), (20, 30), (20, 64), (50, 5), (50, 30), (200, 5), (200, 30)]
TILE = 32


@numba.njit(error_model="numpy", fastmath=True)  # type: ignore[untyped-decorator]
def bare_block(cells: Any, offset: Any, block: Any, scores: Any) -> None:
    """Sum of inverse coefficients, four to a division: what no search can beat."""
    for donor in range(BLOCK):
        scores[donor] = 0.0
    for column in range(0, len(cells), 4):
        x0, x1, x2, x3 = block[column], block[column + 1], block[column + 2], block[column + 3]
        q0, q1, q2, q3 = cells[column], cells[column + 1], cells[column + 2], cells[column + 3]
        for donor in range(BLOCK):
            a0 = abs(q0 - x0[donor]) + offset
            a1 = abs(q1 - x1[donor]) + offset
            a2 = abs(q2 - x2[donor]) + offset
            a3 = abs(q3 - x3[donor]) + offset
            a01 = a0 * a1
            a23 = a2 * a3
            scores[donor] += ((a0 + a1) * a23 + (a2 + a3) * a01) / (a01 * a23)


@numba.njit(error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
def bare_loop(begin: int, end: int, queries: Any, blocks: Any, scores: Any, kept: Any) -> None:
    """Every query with every block, tile by tile."""
    for tile in range(begin, end, TILE):
        for number in range(len(blocks)):
            for query in range(tile, min(tile + TILE, end)):
                bare_block(queries[query], np.float32(0.5), blocks[number], scores)
                kept[query] += scores[0]


def ceiling(n_columns: int) -> float:
    """Pairs of cells a second of the bare loop."""
    rng = np.random.default_rng(0)
    blocks = aligned((-(-N_DONORS // BLOCK), n_columns, BLOCK))
    blocks[...] = rng.random(blocks.shape)
    queries = rng.random((N_QUERIES, n_columns), dtype=np.float32)
    kept = np.zeros(N_QUERIES, np.float32)

    def some(begin: int, end: int) -> None:
        bare_loop(begin, end, queries, blocks, aligned((BLOCK,)), kept)

    def run() -> None:
        threads.share(some, N_QUERIES, float(N_DONORS * n_columns), (), multiple=TILE)

    run()
    return N_QUERIES * len(blocks) * BLOCK * n_columns / seconds(run, 5)


def main() -> None:
    """Uniform numbers with gaps: the search has nothing to profit from but its own loops."""
    rng = np.random.default_rng(0)
    rows = []
    for n_columns, k in SHAPES:
        values = rng.random((N_DONORS, n_columns))
        values[rng.random(values.shape) < 0.1] = np.nan
        weights = rng.random(n_columns)
        weights /= weights.sum()
        row: dict[str, Any] = {"columns": n_columns, "k": k}
        bare = ceiling(n_columns)
        for metric in ("grey", "heom", "euclidean"):
            geometry = Geometry(metric, np.zeros(n_columns, dtype=bool), 0.5, cpu)
            counts = np.ones(n_columns) if metric == "euclidean" else weights
            everyone = np.arange(N_DONORS)
            donors = DonorTable(geometry, counts, values, everyone, np.zeros_like(everyone))
            asked = everyone[:N_QUERIES]

            def run() -> None:
                nearest(donors, counts, k, values[asked], rows=asked)

            run()
            rate = N_QUERIES * N_DONORS * n_columns / seconds(run, 5)
            row[f"{metric}, G/s"] = rate / 1e9
            if metric == "grey":
                row["bare loop, G/s"] = bare / 1e9
                row["share of it"] = rate / bare
                row |= beside_peers(values, weights, k, rate)
        rows.append(row)
    target = numba.config.CPU_NAME
    show(
        "search" + f"_{target}" * bool(target),
        f"Search of {N_QUERIES} among {N_DONORS} rows, 10 % gaps, exact",
        rows,
    )


def beside_peers(values: Any, weights: Any, k: int, rate: float) -> dict[str, float]:
    """How many times as fast as others; they get the table without gaps, and fewer queries."""
    cells = np.nan_to_num(values).astype(np.float32)
    few = cells[:N_PEER]
    work = N_PEER * cells.size
    peer = NearestNeighbors(n_neighbors=k, metric="manhattan", algorithm="brute").fit(cells)
    times = {
        "times numpy": rate * seconds(lambda: in_numpy(cells, weights, k)) * 8 / work,
        "times scikit-learn": rate * seconds(lambda: peer.kneighbors(few), 3) / work,
    }
    try:
        keops = in_keops(cells, few, weights, k)
        times["times pykeops"] = rate * seconds(keops) / work
    except Exception as failure:  # no pykeops, or no compiler for it
        print(f"pykeops is left out: {failure!r}")
    return times


def in_keops(cells: Any, few: Any, weights: Any, k: int) -> Callable[[], Any]:
    """The same formula by pykeops, compiled."""
    from pykeops.numpy import LazyTensor

    donors, queries = LazyTensor(cells[None]), LazyTensor(few[:, None])
    folded = LazyTensor(weights.astype(np.float32)[None, None])
    distances = -(folded / ((queries - donors).abs() + 0.5)).sum(-1)

    def run() -> Any:
        return distances.argKmin(k, dim=1)

    run()
    return run


def in_numpy(cells: Any, weights: Any, k: int) -> Any:
    """The nearest of an eighth of the queries, as one would write it in numpy."""
    few = cells[: N_PEER // 8]
    total = np.zeros((len(few), len(cells)), dtype=np.float32)
    for column, weight in enumerate(weights.astype(np.float32)):
        difference = np.abs(few[:, None, column] - cells[None, :, column])
        total += weight / (difference + np.float32(0.5))
    best = np.argpartition(-total, k, axis=1)[:, :k]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(total, best, 1), 1), 1)


if __name__ == "__main__":
    main()
