"""A fitted model <-> a safetensors file that holds no code.

Tensors are safetensors' own; all else is one JSON document in the metadata, which says what kind of
model it is and of which version of the format, and holds a checksum of every byte of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from greyknn.deep.tree import Decoder, Encoder

_KEY = "greyknn"  # the only one in the metadata: several come in an order that varies
_BLANK = b"0" * 64  # stands for the checksum while it is computed


def write(
    path: str | os.PathLike[str], state: Any, *, kind: str, version: int, classes: Sequence[type]
) -> None:
    """Write a state to a file, replacing the file at once when all of it is on the disk.

    Parameters
    ----------
    path : path
    state : tree
        Of dicts, lists, tuples, dataclasses and arrays of objects; with None, bools, ints, floats,
        strings, bytes, Decimal, Fraction, dates, datetimes, timedeltas, time zones, numpy arrays
        and scalars, torch tensors and pandas.Timestamp. Types and bits are kept; byte order,
        layout in memory and what is shared (one array in two places) are not.
    kind : str
        What is saved, such as "DeepImputer".
    version : int
        Version of the format, from 1.
    classes : sequence of dataclasses
        Those that may occur in the state. Fields with a default whose names begin with an
        underscore, or that the constructor does not take, are caches, and are not saved.

    Raises
    ------
    TypeError
        The state holds what cannot be saved; the message says where. Nothing is written.
    ValueError
        It is nested too deeply, or has more than about 100 MB beside arrays and tensors. Nothing
        is written.
    ImportError
        Without safetensors and torch.
    """
    library = _safetensors()
    encoder = Encoder(classes)
    document = {
        "kind": kind, "version": version, "sha256": _BLANK.decode(), "state": encoder.node(state)
    }  # fmt: skip
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        data = library.torch.save(encoder.tensors, metadata={_KEY: text})
    except library.SafetensorError as error:
        raise ValueError(
            f"The state has {len(text):,} characters beside its arrays and tensors, and "
            f"safetensors cannot write them ({error}): keep long lists as numpy arrays."
        ) from error
    at = data.index(_BLANK)
    # A link stays a link, and a temporary file beside the real one can take its place at once.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            for part in (data[:at], _digest(data, at).encode(), memoryview(data)[at + 64 :]):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read(
    path: str | os.PathLike[str],
    *,
    kind: str,
    version: int,
    classes: Sequence[type],
    device: Any = "cpu",
) -> Any:
    """Read what `write` wrote; its code never runs, for it has none.

    Parameters
    ----------
    path : path
    kind, classes : as in `write`
    version : int
        The newest version that can be read.
    device : torch device
        Where tensors go; arrays stay on the processor.

    Returns
    -------
    tree
        The state, its dataclasses made without their constructors.

    Raises
    ------
    ValueError
        The file is damaged, something else, or newer; whatever bytes it holds.
    OSError
        It cannot be opened.
    ImportError
        Without safetensors and torch.
    """
    library = _safetensors()
    import torch

    torch.empty(0, device=device)  # a device that is not there is no fault of the file
    data = Path(path).read_bytes()
    document = _document(path, data, kind, version)
    _check_digest(path, data, document.get("sha256"))
    try:
        tensors = library.torch.load(data)
    except Exception as error:  # of Rust's, or what its tensors are made with
        raise _unreadable(path, kind, error) from error
    try:
        state = Decoder(tensors, classes, device).value(document["state"])
        if tensors:
            raise ValueError(f"tensor {min(tensors)!r} has no place in its state")
    except Decoder.FAILURES as error:
        raise _unreadable(path, kind, error) from error
    return state


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            'Models are saved and loaded by safetensors and torch: pip install "greyknn[deep]".'
        ) from error
    return safetensors


def _document(path: Any, data: bytes, kind: str, version: int) -> dict[str, Any]:
    """Return the JSON document of a file of the kind and no newer than the version."""
    try:
        size = int.from_bytes(data[:8], "little")
        if size > len(data) - 8:
            raise ValueError(f"a header of {size} bytes in a file of {len(data)}")
        header = json.loads(data[8 : 8 + size])
        text = header.get("__metadata__", {}).get(_KEY)
    except Decoder.FAILURES as error:
        raise ValueError(
            f"{path} is not a safetensors file, or only part of one ({error}): name a file that "
            f"greyknn's {kind} saved, or copy it again."
        ) from error
    foreign = ValueError(
        f"{path} is a safetensors file, but not a greyknn {kind}: name a file that one saved."
    )
    if text is None:
        raise foreign
    try:
        document: dict[str, Any] = json.loads(text, parse_constant=_no_number)
        found, written = document["kind"], document["version"]
    except Decoder.FAILURES as error:
        raise _damaged(path) from error
    if found != kind:
        raise foreign
    if type(written) is int and written > version:
        raise ValueError(
            f"{path} was written by a newer greyknn (format {written}; this one reads up to "
            f"{version}): update greyknn."
        )
    if type(written) is not int or written < 1:
        raise _damaged(path)
    return document


def _check_digest(path: Any, data: bytes, digest: Any) -> None:
    known = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    # Its first occurrence, for it stands before the state.
    at = data.find(digest.encode()) if known else -1
    if at < 0 or _digest(data, at) != digest:
        raise _damaged(path)


def _digest(data: bytes, at: int) -> str:
    """Checksum of a file whose own checksum begins at byte `at`."""
    view = memoryview(data)
    sums = hashlib.sha256(view[:at])
    sums.update(_BLANK)
    sums.update(view[at + len(_BLANK) :])
    return sums.hexdigest()


def _damaged(path: Any) -> ValueError:
    return ValueError(
        f"{path} is damaged: its bytes are not those that were saved. Copy it again from where it "
        "came from, or save the model again."
    )


def _unreadable(path: Any, kind: str, error: Exception) -> ValueError:
    reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return ValueError(
        f"{path} is whole, but not as greyknn writes a {kind} ({reason}): save the model again "
        "with this version of greyknn."
    )


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
