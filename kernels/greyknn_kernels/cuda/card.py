"""One GPU and the loops that run on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.core import config

from greyknn_kernels.cuda import averaging, differences, information, search
from greyknn_kernels.cuda.binding import WARP
from greyknn_kernels.cuda.memory import Residents, is_out_of_memory, parts_of
from greyknn_kernels.layout import Donors, Found, Measure, Queries


class _Quiet:
    """No warning that a small table cannot keep a whole card busy; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = getattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS", 0)
                config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                config.CUDA_LOW_OCCUPANCY_WARNINGS = self._before


_quiet = _Quiet()


class Card:
    """A GPU, by its number; what donors it was given stay there while they live.

    Parameters
    ----------
    index : int
    """

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self._residents = Residents()

    @contextmanager
    def _current(self) -> Iterator[None]:
        with cuda.gpus[self.index], _quiet:
            try:
                yield
            except Exception as failure:
                if not is_out_of_memory(failure):
                    raise
                free, total = cuda.current_context().get_memory_info()
                raise MemoryError(
                    f"GPU {self.index} is full: {free / 2**20:,.0f} of {total / 2**20:,.0f} MiB "
                    "are free, which is not enough even for a small part of this table. End what "
                    "else runs there, or use device='cpu'."
                ) from failure

    def nearest(
        self, metric: int, prunable: bool, measures: Measure, donors: Donors, queries: Queries,
        found: Found, report: Callable[[int, int], None] | None = None,
    ) -> None:  # fmt: skip
        """See ``search.nearest``."""
        with self._current():
            search.nearest(
                self._residents, metric, prunable, measures, donors, queries, found, report
            )

    def extremes(
        self, queries: Any, groups: Any, kin: Any, starts: Any, columns: Any, column_kin: Any,
        observed: Any, smallest: Any, largest: Any,
    ) -> None:  # fmt: skip
        """See ``cpu.differences.extremes``."""
        smallest[:] = np.inf
        largest[:] = 0.0
        n_queries, n_columns = queries.shape
        if n_queries == 0 or n_columns == 0:
            smallest[:] = 0.0
            return
        upload, threads = cuda.to_device, differences.THREADS
        with self._current():
            rest = upload(groups), upload(kin), upload(starts)
            low, high = (cuda.device_array(n_queries, np.float64) for _ in range(2))
            for some in parts_of(n_columns, 12.0 * columns.shape[1] + 8.0 * n_queries):
                numbers = columns[some], column_kin[some]
                if len(numbers[0]) == n_columns:  # kept for other queries
                    numbers = self._residents.of(columns), self._residents.of(column_kin)
                else:
                    numbers = upload(numbers[0]), upload(numbers[1])
                differences.extremes[-(-n_queries // threads), threads](
                    upload(np.ascontiguousarray(queries[:, some])), *rest, *numbers,
                    upload(observed[some]), low, high,
                )  # fmt: skip
                np.minimum(smallest, low.copy_to_host(), out=smallest)
                np.maximum(largest, high.copy_to_host(), out=largest)
        smallest[smallest == np.inf] = 0.0

    def fill(
        self, average: int, n_neighbors: int, lists: Any, columns: Any, categorical: Any,
        table: Any, donors: Any, distances: Any, counts: Any, filled: Any,
    ) -> None:  # fmt: skip
        """See ``cpu.averaging.fill``."""
        if len(lists) == 0:
            return
        upload, threads = cuda.to_device, WARP * averaging.WARPS
        with self._current():
            known = upload(donors), upload(distances), upload(counts)
            for some in parts_of(table.shape[1], 8.0 * len(table)):
                here = np.flatnonzero((columns >= some.start) & (columns < some.stop))
                if len(here) == 0:
                    continue
                near = lists[here]
                firsts = np.flatnonzero(np.diff(near, prepend=near[0] - 1, append=near[-1] + 1))
                out = upload(filled[here])
                averaging.fill[-(-(len(firsts) - 1) // averaging.WARPS), threads](
                    average, n_neighbors, upload(firsts), upload(near),
                    upload(columns[here] - some.start), upload(categorical[some]),
                    upload(np.ascontiguousarray(table[:, some])), *known, out,
                )  # fmt: skip
                filled[here] = out.copy_to_host()

    def class_entropies(self, points: Any, starts: Any, scale: float, entropies: Any) -> None:
        """See ``cpu.information.class_entropies``."""
        n_points = len(points)
        if n_points == 0:
            return
        with self._current():
            out = cuda.device_array(n_points, np.float64)
            sums = cuda.device_array((len(starts) - 1, n_points), np.float64)
            information.class_entropies[-(-n_points // information.THREADS), information.THREADS](
                cuda.to_device(points), cuda.to_device(starts), scale, sums, out
            )
            out.copy_to_host(entropies)

    def joint_information(self, x: Any, z: Any, x_scale: float, z_scale: float, bits: Any) -> None:
        """See ``cpu.information.joint_information``."""
        if len(x) == 0:
            return
        with self._current():
            out = cuda.device_array(len(x), np.float64)
            information.joint_information[-(-len(x) // information.THREADS), information.THREADS](
                cuda.to_device(x), cuda.to_device(z), x_scale, z_scale, out
            )
            out.copy_to_host(bits)
