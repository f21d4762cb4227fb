"""Arrays that hold something of every case, laid aside once they are large: in a file without a name among the cache,
which the system takes out of memory when it needs it, and which is gone with the process, however that ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.disk import cache_root, clearly, private_folder
from mmfuse.data.workers import in_chunks

LARGE = 2**21
"""Bytes from which on an array is laid aside."""

Array = NDArray[Any]
Index = Any
"""Whatever NumPy takes as an index of one axis: positions, a mask, a slice."""


def room(shape: int | Sequence[int], dtype: Any, fill: Any = None) -> Array:  # noqa: ANN401  # whatever NumPy takes
    """An array to be written to, of zeros or of `fill`; aside where it is large.

    Raises: RunError if the disk has no room for it.
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    made = np.zeros(shape, dtype) if size < LARGE or dtype.hasobject else _mapped(shape, dtype, size)
    if fill is not None:
        made[...] = fill
    return made


def aside(array: Array) -> Array:
    """The same values, aside where they are large. Raises: RunError if the disk has no room for them."""
    if array.nbytes < LARGE or array.dtype.hasobject:
        return array
    made = room(array.shape, array.dtype)
    made[...] = array
    return made


def picked(array: Array, index: Index) -> Array:
    """`array[index]`, aside where it is large. Raises: RunError if the disk has no room for it."""
    if isinstance(index, slice):
        return np.asarray(array[index])
    places = positions(index, len(array))
    if array.dtype.hasobject:
        return np.asarray(array[places])
    made = room((len(places), *array.shape[1:]), array.dtype)
    for part in in_chunks(len(places)):
        made[part] = array[places[part]]
    return made


def positions(index: Index, count: int) -> NDArray[np.int64]:
    """The positions among `count` that an index means. Raises: IndexError for what is none, or a mask of another
    length."""
    if isinstance(index, slice):
        return np.arange(*index.indices(count))
    places = np.asarray(index)
    if places.dtype.kind in "iu":
        return places.astype(np.int64, copy=False)
    return np.arange(count)[places if places.size else []]


def numbered(words: Array) -> tuple[Array, NDArray[np.int64]]:
    """(n,) words → those that differ, in order, and (n,) which of them each is, as `np.unique` gives them."""
    words = np.asarray(words)
    order = aside(np.argsort(words, kind="stable"))
    new, which = np.ones(len(words), bool), room(len(words), np.int64)
    for part in in_chunks(len(words)):
        some = words[order[max(part.start - 1, 0) : part.stop]]  # with the one before them
        new[max(part.start, 1) : part.stop] = some[1:] != some[:-1]
    done = -1
    for part in in_chunks(len(words)):
        which[order[part]] = done + np.cumsum(new[part])
        done += int(new[part].sum())
    return picked(words, order[new]), which


def _mapped(shape: int | Sequence[int], dtype: np.dtype[Any], size: int) -> Array:
    with clearly(cache_root()):
        private_folder(cache_root())
        with tempfile.TemporaryFile(dir=cache_root()) as file:
            _reserve(file, size)
            return np.asarray(np.memmap(file, dtype, mode="r+", shape=shape))  # type: ignore[call-overload]


def _reserve(file: IO[bytes], size: int) -> None:
    """Takes the room now: a full disk is an error here, and a dead process when a mapped page finds none."""
    with suppress(AttributeError, OSError):  # not every system and every disk can
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, LARGE):
        file.write(bytes(min(LARGE, size - start)))
    file.flush()
