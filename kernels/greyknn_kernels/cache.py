"""Compiled loops on disk: found again by the next process, never by another greyknn.

numba keeps a compiled function until the file that defines it changes.  Our loops are made of
leaves in other files, so that is not enough: here the key is a hash of all kernel sources.  And
where nothing can be written, loops are compiled anew in each process, silently.
"""

from __future__ import annotations

import contextlib
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent


@cache
def stamp() -> str:
    """A hash of every kernel source."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class Stamped:
    """Put before one of numba's caches: by the stamp of all kernels, and without errors."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)  # type: ignore[call-arg]
        # The stamp is part of the name: two versions that share a directory never meet.
        numba: Any = self
        name = f"{numba._impl.filename_base}-{stamp()}"
        self._cache_file = type(numba._cache_file)(numba.cache_path, name, stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function, or None to compile it.

        What another process or a full disk spoilt can raise nearly anything, and says nothing
        about the function.
        """
        with contextlib.suppress(Exception):
            return super().load_overload(sig, target_context)  # type: ignore[misc]
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function if that is possible, over an index that cannot be read."""
        with contextlib.suppress(OSError):
            try:
                super().save_overload(sig, data)  # type: ignore[misc]
            except OSError:
                raise
            except Exception:
                self.flush()  # type: ignore[attr-defined]
                super().save_overload(sig, data)  # type: ignore[misc]


def kept(dispatcher: Any, kind: type[Stamped]) -> Any:
    """Give a compiled function a cache on disk, where there is a place for one.

    Parameters
    ----------
    dispatcher : numba dispatcher
    kind : class
        ``Stamped`` before the cache that numba has for such functions.

    Notes
    -----
    The place is numba's: ``NUMBA_CACHE_DIR``, else beside the sources, else the user's cache.
    """
    function = getattr(dispatcher, "py_func", None)
    if function is not None:  # with NUMBA_DISABLE_JIT there is nothing to keep
        # No place, or a numba whose inner parts have other names: compiled in each process.
        with contextlib.suppress(RuntimeError, OSError, AttributeError, TypeError):
            dispatcher._cache = kind(function)
    return dispatcher
