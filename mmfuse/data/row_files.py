"""Rows of one shape and dtype in one file, each with a checksum behind it, mapped where they are read.

A row is compared with its checksum (CRC-32) when a process first reads it, not each time: that costs a third of reading
it once, and nothing afterwards.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.errors import RunError

Array = NDArray[Any]
Slots = NDArray[np.int64]
_SUM = 4
"""Bytes of a checksum."""


class RowFile:
    """The file at `path`; a row goes by its slot, 0 … The folder above it is there."""

    def __init__(self, path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.path = path
        self.shape, self.dtype = tuple(shape), dtype
        self._row = int(np.prod(self.shape, dtype=np.int64)) * dtype.itemsize
        if self._row == 0:
            raise ValueError(f"a store of rows of shape {self.shape} would hold nothing")
        self._stride = -(-(self._row + _SUM) // 8) * 8
        self._mapped: Array = np.empty((0, self._stride), np.uint8)
        self._sound = np.zeros(0, bool)
        """By slot, whether this process has compared it with its checksum."""

    @property
    def count(self) -> int:
        """How many rows there are room for in the file as it is."""
        return self.path.stat().st_size // self._stride if self.path.exists() else 0

    def append(self, end: int, pieces: Sequence[Array]) -> None:
        """Write (n, *shape) rows from slot `end` on, and wait until they are on the disk.

        They are written, not assigned through the map: a full disk is an error here and a dead process there.
        """
        handle = os.open(self.path, os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            file.seek(end * self._stride)
            for rows in pieces:
                rest = _bytes_of(self._summed(rows)) if len(rows) else memoryview(b"")
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(handle)

    def read(self, slots: Slots) -> tuple[Array, Slots]:
        """Return (len(slots), *shape) the rows at these slots, zeros for slot -1; and those slots whose rows are not as
        they were written.

        Raises: RunError for slots that the file does not hold.
        """
        out = np.zeros((len(slots), *self.shape), self.dtype)
        held = np.flatnonzero(slots >= 0)
        if not len(held):
            return out, slots[:0]
        ascending = held[np.argsort(slots[held], kind="stable")]  # a disk likes to be read forwards
        mapped = self._whole(int(slots.max()))
        inner = np.empty(self.shape, self.dtype).strides
        whole, strides = (len(mapped), *self.shape), (self._stride, *inner)
        rows = np.ndarray(whole, self.dtype, buffer=mapped.reshape(-1).data, strides=strides)
        out[ascending] = rows[slots[ascending]]
        new = ascending[~self._sound[slots[ascending]]]
        sums = np.ascontiguousarray(mapped[slots[new], self._row : self._row + _SUM]).reshape(-1).view("<u4")
        sound = np.array([zlib.crc32(_bytes_of(out[at])) == s for at, s in zip(new, sums, strict=True)], dtype=bool)
        self._sound[slots[new[sound]]] = True
        return out, np.unique(slots[new[~sound]])

    def _whole(self, last: int) -> Array:
        """(rows, bytes) all rows with their checksums, mapped, at least as far as slot `last`."""
        if last >= len(self._mapped):
            count = self.count
            if last >= count:
                raise RunError(
                    f"row {last} is gone from the cache",
                    f"a file of at least {last + 1} rows",
                    "do not clear the cache while it is in use; run again",
                    str(self.path),
                )
            before = self._sound  # taken once: several threads read
            self._sound = np.concatenate([before, np.zeros(max(count - len(before), 0), bool)])
            self._mapped = np.asarray(np.memmap(self.path, np.uint8, mode="r", shape=(count, self._stride)))
        return self._mapped

    def _summed(self, rows: Array) -> Array:
        """(n, bytes) each row as it is stored: its bytes, their checksum, and what fills it up to its place."""
        whole = np.empty((len(rows), self._stride), np.uint8)
        whole[:, self._row :] = 0
        whole[:, : self._row] = np.frombuffer(_bytes_of(rows), np.uint8).reshape(len(rows), self._row)
        sums = np.array([zlib.crc32(row[: self._row].data) for row in whole], "<u4")
        whole[:, self._row : self._row + _SUM] = sums[:, None].view(np.uint8)
        return whole


def _bytes_of(rows: Array) -> memoryview:
    return memoryview(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
