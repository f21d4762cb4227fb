"""The content of files as keys, remembered by path, size and time of change, so that a second look reads no file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mmfuse.data.disk import cache_root, clearly, private_folder, reading, transaction
from mmfuse.data.workers import in_threads
from mmfuse.events import Progress, Watch, silent

MEMORY = "files.sqlite"
"""In the cache's root: which content each file had when it was last looked at."""

_SETTLED = 2 * 10**9
"""Nanoseconds. A file that changed this short a time ago may change again without a new time; it is not remembered."""
_BATCH = 512


class _Seen(NamedTuple):
    path: bytes
    size: int
    changed: int


def content_key(data: bytes) -> str:
    """32 hexadecimal digits (BLAKE2b, RFC 7693) that stand for these bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def content_keys(paths: Sequence[Path], watch: Watch = silent, what: str = "files") -> list[str]:
    """The content key of each file, in order; empty where it is no file that can be read (a device or pipe may have no
    end). A file that changed is read anew."""
    seen = {path: _look(path) for path in dict.fromkeys(paths)}
    there = {path: look for path, look in seen.items() if look is not None}
    memory = cache_root() / MEMORY
    with clearly(cache_root()):
        private_folder(cache_root())
        keys = _recall(memory, there)
    unread = [path for path in there if path not in keys]
    fresh: list[tuple[_Seen, str]] = []
    for done, (path, look, key) in enumerate(in_threads(_read, unread), 1):
        keys[path] = key
        if key and look is not None:
            fresh.append((look, key))
        if done % _BATCH == 0 or done == len(unread):
            watch(Progress(f"looking through {what}", done, len(unread)))
            with clearly(cache_root()):
                _remember(memory, fresh)
            fresh = []
    return [keys.get(path, "") for path in paths]


def _look(path: Path) -> _Seen | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a path that the system cannot even name
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Seen(os.fsencode(path.absolute()), status.st_size, status.st_mtime_ns)


def _read(path: Path) -> tuple[Path, _Seen | None, str]:
    """Path, what may be remembered of the file, and its key."""
    before, now = _look(path), time.time_ns()
    try:
        with path.open("rb") as file:
            key = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return path, None, ""
    settled = before is not None and before == _look(path) and now - before.changed > _SETTLED
    return path, before if settled else None, key


def _recall(memory: Path, there: dict[Path, _Seen]) -> dict[Path, str]:
    try:
        _prepare(memory)
        with reading(memory) as database:
            question = "SELECT key FROM files WHERE path = ? AND size = ? AND changed = ?"
            found = {path: database.execute(question, look).fetchone() for path, look in there.items()}
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # only a memory: what is damaged is forgotten
        memory.unlink(missing_ok=True)
        _prepare(memory)
        return {}
    return {path: row[0] for path, row in found.items() if row is not None}


def _prepare(memory: Path) -> None:
    with transaction(memory) as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS files"
            " (path BLOB PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL, key TEXT NOT NULL)"
        )


def _remember(memory: Path, fresh: Iterable[tuple[_Seen, str]]) -> None:
    rows = [(*look, key) for look, key in fresh]
    if rows:
        with transaction(memory) as database:
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
