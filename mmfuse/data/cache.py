"""Decode once: rows of one shape and dtype in a memory-mapped file, found again by the content they were made of.

A row's bytes are on disk before the index speaks of them, in one transaction that no other process can enter: a
process killed at any moment leaves nothing wrong, and several may fill one store. Each row and each line of the index
has a checksum, compared when a process first reads it: what a disk has changed is never served. What lies here is
patient data: folders are closed to other users.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import room
from mmfuse.data.contents import MEMORY
from mmfuse.data.disk import cache_root, clearly, private_folder, reading, transaction
from mmfuse.data.row_files import RowFile, Slots
from mmfuse.data.workers import in_chunks
from mmfuse.errors import RunError

__all__ = ["Store", "cache_root", "cache_size", "clear_cache"]

FORMAT = 2
"""Raised when the layout of a store changes; stores of other formats are made anew."""

_INDEX, _ROWS = "index.sqlite", "rows.bin"
_OURS = {_INDEX, _ROWS, *(f"{_INDEX}-{end}" for end in ("journal", "wal", "shm"))}
_DISCARDED = ".discarded-"
_FOLDER = re.compile(r"[a-z][a-z0-9-]*-[0-9a-f]{32}")
_BATCH_BYTES = 32 * 2**20
_BATCH_SECONDS = 2.0

Array = NDArray[Any]
Keys = Sequence[str] | NDArray[np.bytes_]
"""ASCII, as long as they like."""
Made = Iterable[tuple[Sequence[int], Array]]
Several = Iterable[tuple[Sequence[int], Sequence[Array]]]


def stores() -> tuple[Path, ...]:
    """The folders of all stores, by name. Whatever else lies in the cache's root is not ours."""
    root = cache_root()
    found = sorted(path for path in root.iterdir() if _FOLDER.fullmatch(path.name)) if root.is_dir() else []
    return tuple(path for path in found if path.is_dir() and not _foreign(path))


def cache_size() -> int:
    """Bytes that the cache holds on disk."""
    inner = [file for folder in (*stores(), *_discarded()) for file in folder.iterdir()]
    return sum(file.stat().st_size for file in [*inner, *_memory()])


def clear_cache() -> int:
    """Deletes all stores and what is remembered of files, and nothing that mmfuse did not write.

    Returns the bytes that were freed. Raises: RunError if they may not be deleted.
    """
    freed = cache_size()
    with clearly(cache_root()):
        for folder in (*stores(), *_discarded()):
            shutil.rmtree(folder)
        for file in _memory():
            file.unlink()
    return freed


def _memory() -> list[Path]:
    return sorted(cache_root().glob(f"{MEMORY}*"))


def _discarded() -> list[Path]:
    """Damaged stores that a process was killed over while it removed them."""
    found = [path for path in cache_root().glob(f"{_DISCARDED}*") if path.is_dir()]
    return sorted(path for path in found if not _foreign(path))


def _foreign(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in _OURS)


class _DamagedError(Exception):
    """What lies in a store's folder is not what was once written."""


class DamagedRowsError(RunError):
    """Rows are not as they were written. They are forgotten: whoever asks for their keys again has them made anew."""

    def __init__(self, slots: Slots, folder: Path) -> None:
        found = f"{len(slots)} rows of the cache were changed since they were written"
        super().__init__(found, "what was written", "run again: they are made anew; look after the disk", str(folder))
        self.slots = slots


class Store:
    """Rows of one shape and dtype, each under the key of its content, in the folder `ROOT/NAME-HASH`.

    `fingerprint` is all that decides a row beside its key (steps, sizes, versions; a network's weights): another one
    is another folder. A damaged store is emptied, since all that it held can be made again.

    Raises: RunError if the folder holds files that mmfuse did not write, or cannot be written.
    """

    def __init__(self, name: str, fingerprint: str, shape: Sequence[int], dtype: str) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self._about = json.dumps([FORMAT, name, fingerprint, self.shape, self.dtype.str])
        digest = hashlib.blake2b(self._about.encode(), digest_size=16).hexdigest()
        self.folder = cache_root() / f"{name}-{digest}"
        self._rows = RowFile(self.folder / _ROWS, self.shape, self.dtype)
        with clearly(self.folder):
            self._open()

    def __len__(self) -> int:
        """How many rows it holds."""
        with clearly(self.folder), reading(self.folder / _INDEX) as database:
            return int(database.execute("SELECT count(*) FROM rows").fetchone()[0])

    def get(self, keys: Keys, make: Callable[[list[int]], Made]) -> Slots:
        """(n,) the slot of each key, -1 where there is none; `take` reads slots.

        If any rows are missing, `make` is called with their positions in `keys` (the first of equal keys; never the
        empty key, which stands for an absent case): once or, of very many keys, for one part of them after the other.
        It yields (positions, (len(positions), *shape) array), as large or small as it likes; a position that it does
        not yield stays without a row. Rows are committed as they come, so that what was made before a failure is kept.

        Raises: RunError if the disk is full or refuses; whatever `make` raises.
        """
        (slots,) = get_together((self,), keys, lambda missing: ((some, (rows,)) for some, rows in make(missing)))
        return slots

    def _found(self, keys: Sequence[str]) -> dict[str, int]:
        with clearly(self.folder), reading(self.folder / _INDEX) as database:
            return _slots(database, keys)

    def take(self, slots: Slots) -> Array:
        """(len(slots), *shape) the rows at these slots, in memory; zeros for slot -1.

        Raises: DamagedRowsError for rows that are not as they were written.
        """
        out, bad = self._rows.read(slots)
        if len(bad):
            with clearly(self.folder), transaction(self.folder / _INDEX) as database:
                # Their places stay taken: another process may still know them by these.
                question = "UPDATE rows SET key = 'damaged ' || slot WHERE slot = ?"
                database.executemany(question, [(slot,) for slot in bad.tolist()])
            raise DamagedRowsError(bad, self.folder)
        return out

    def _open(self) -> None:
        private_folder(self.folder)
        if foreign := _foreign(self.folder):
            raise RunError(
                f"holds files that mmfuse did not write: {', '.join(foreign[:5])}",
                "an empty folder, or a store of mmfuse",
                "move them away, or set MMFUSE_CACHE to another folder",
                str(self.folder),
            )
        try:
            self._check()
        except sqlite3.OperationalError:  # locked, full, not permitted: says nothing about what lies there
            raise
        except (_DamagedError, sqlite3.DatabaseError):
            # Renamed first: another process finds the whole folder or none. Its own open files outlive their names.
            aside = self.folder.with_name(f"{_DISCARDED}{os.getpid()}-{time.time_ns()}")
            self.folder.rename(aside)
            shutil.rmtree(aside)
            private_folder(self.folder)
            self._check()

    def _check(self) -> None:
        with transaction(self.folder / _INDEX) as database:
            database.execute("CREATE TABLE IF NOT EXISTS about (text TEXT NOT NULL)")
            database.execute(
                "CREATE TABLE IF NOT EXISTS rows"
                " (key TEXT PRIMARY KEY, slot INTEGER NOT NULL UNIQUE, checksum INTEGER NOT NULL)"
            )
            about = [text for (text,) in database.execute("SELECT * FROM about")]
            if not about:
                database.execute("INSERT INTO about VALUES (?)", (self._about,))
            elif about != [self._about]:
                raise _DamagedError(f"it is about {about}")
            (sound,) = database.execute("PRAGMA quick_check(1)").fetchone()
            (end,) = database.execute("SELECT coalesce(max(slot) + 1, 0) FROM rows").fetchone()
            if sound != "ok" or end > self._rows.count:
                raise _DamagedError("the index is broken, or speaks of more rows than there are")

    def _write(self, pieces: Sequence[tuple[Sequence[str], Array]]) -> dict[str, int]:
        with transaction(self.folder / _INDEX) as database:
            # Another process may have been faster.
            slots = _slots(database, [key for keys, _ in pieces for key in keys])
            (end,) = database.execute("SELECT coalesce(max(slot) + 1, 0) FROM rows").fetchone()
            placed: dict[str, int] = {}
            fresh: list[Array] = []
            at = end
            for keys, rows in pieces:
                new = [i for i, key in enumerate(keys) if key not in slots]
                fresh.append(rows if len(new) == len(rows) else rows[new])
                placed.update({keys[i]: at + place for place, i in enumerate(new)})
                at += len(new)
            self._rows.append(end, fresh)
            lines = [(key, slot, _line_sum(key, slot)) for key, slot in placed.items()]
            database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", lines)
        return slots | placed

    def refuse_unfit(self, count: int, rows: Array) -> None:
        """Raises: ValueError unless these are `count` rows of this store."""
        if rows.shape != (count, *self.shape) or rows.dtype != self.dtype:
            expected = f"{(count, *self.shape)} {self.dtype}"
            raise ValueError(f"rows of {rows.shape} {rows.dtype} were made where {expected} was expected")


def get_together(stores: Sequence[Store], keys: Keys, make: Callable[[list[int]], Several]) -> list[Slots]:
    """`Store.get` of several stores whose rows are made together: `make` is asked for what any of them lacks and yields
    (positions, an array for each store). Of very many keys it is asked for a part after the other."""
    given = np.asarray(keys, dtype=np.bytes_)
    out = [room(len(given), np.int64, -1) for _ in stores]
    for part in in_chunks(len(given)):
        words = given[part].astype(np.str_).tolist()
        for slots, found in zip(out, _get_some(stores, words, part.start, make), strict=True):
            slots[part] = found
    return out


def _get_some(
    stores: Sequence[Store], keys: list[str], start: int, make: Callable[[list[int]], Several]
) -> list[list[int]]:
    """The slots of these keys, the first of which stands at `start`."""
    first: dict[str, int] = {}
    for position, key in enumerate(keys, start):
        if key:
            first.setdefault(key, position)
    found = [store._found(list(first)) for store in stores]
    missing = [position for key, position in first.items() if not all(key in slots for slots in found)]
    if missing:
        for pieces in _batches(stores, make(missing)):
            named = [([keys[position - start] for position in some], arrays) for some, arrays in pieces]
            for i, store in enumerate(stores):
                with clearly(store.folder):
                    found[i] |= store._write([(some, arrays[i]) for some, arrays in named])
    return [[slots.get(key, -1) for key in keys] for slots in found]


def _batches(stores: Sequence[Store], made: Several) -> Iterator[list[tuple[Sequence[int], Sequence[Array]]]]:
    """What was made, gathered until it is worth a transaction (each waits for the disk)."""
    pieces: list[tuple[Sequence[int], Sequence[Array]]] = []
    begun, held = time.monotonic(), 0
    for some, arrays in made:
        for store, rows in zip(stores, arrays, strict=True):
            store.refuse_unfit(len(some), rows)
            held += rows.nbytes
        pieces.append((some, arrays))
        if held >= _BATCH_BYTES or time.monotonic() - begun > _BATCH_SECONDS:
            yield pieces
            pieces, begun, held = [], time.monotonic(), 0
    if pieces:
        yield pieces


def _slots(database: sqlite3.Connection, keys: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(keys), 500):
        some = list(keys[start : start + 500])
        marks = ",".join("?" * len(some))
        for key, slot, checksum in database.execute(f"SELECT * FROM rows WHERE key IN ({marks})", some):
            if checksum == _line_sum(key, slot):
                found[key] = slot
    return found


def _line_sum(key: str, slot: int) -> int:
    return zlib.crc32(f"{key} {slot}".encode())
