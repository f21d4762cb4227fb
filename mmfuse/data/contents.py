"""The content of files as keys, remembered by the state that a file is in, so that a second look reads no file.

A state is path, inode, size, and the times of the last change of content (`mtime`) and of anything (`ctime`). A program
may set the first of these times back, and a copy may have the same size; the second is the system's own, and a file
that takes another's place by renaming has another inode. In doubt (it changed just before it was read) a file is read
again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
import zlib
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
    """One state of a file."""

    path: bytes
    inode: int
    size: int
    written: int
    changed: int

    @property
    def age(self) -> int:
        """The nanoseconds since anything about it changed."""
        return time.time_ns() - max(self.written, self.changed)


class Content(NamedTuple):
    """What a file held when it was looked at."""

    key: str
    """Of its content; empty where it is no file that can be read."""
    seen: _Seen | None = None

    def still_stands(self, path: Path) -> bool:
        """Whether the file is in the state in which it had this content."""
        return self.seen is not None and self.seen == _look(path)


def content_key(data: bytes) -> str:
    """32 hexadecimal digits (BLAKE2b, RFC 7693) that stand for these bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def content_keys(paths: Sequence[Path], watch: Watch = silent, what: str = "files") -> list[str]:
    """Return the content key of each file, in order; empty where it is no file that can be read (a device or pipe may
    have no end). A file that changed is read anew."""
    found = contents(paths, watch, what)
    return [found[path].key for path in paths]


def contents(paths: Sequence[Path], watch: Watch = silent, what: str = "files") -> dict[Path, Content]:
    """Return what each of these files holds now. A file that changed is read anew."""
    seen = {path: _look(path) for path in dict.fromkeys(paths)}
    there = {path: look for path, look in seen.items() if look is not None}
    memory = cache_root() / MEMORY
    with clearly(cache_root()):
        private_folder(cache_root())
        keys = _recall(memory, there)
    found = {path: Content(keys[path], there[path]) if path in keys else Content("") for path in seen}
    unread = [path for path in there if path not in keys]
    fresh: list[Content] = []
    for done, (path, read, is_settled) in enumerate(in_threads(_read, unread), 1):
        found[path] = read
        if is_settled:
            fresh.append(read)
        if done % _BATCH == 0 or done == len(unread):
            watch(Progress(f"looking through {what}", done, len(unread)))
            with clearly(cache_root()):
                _remember(memory, fresh)
            fresh = []
    return found


def _look(path: Path) -> _Seen | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a path that the system cannot even name
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    name = os.fsencode(path.absolute())
    # An inode may fill all 64 bits, SQLite's numbers have a sign.
    return _Seen(name, status.st_ino & (2**63 - 1), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: Path) -> tuple[Path, Content, bool]:
    """Path, content (without its state where that changed while it was read), and whether that may be remembered."""
    before = _look(path)
    is_settled = before is not None and before.age > _SETTLED
    try:
        with path.open("rb") as file:
            key = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return path, Content(""), False
    still = before == _look(path)
    return path, Content(key, before if still else None), still and is_settled


def _recall(memory: Path, there: dict[Path, _Seen]) -> dict[Path, str]:
    try:
        _prepare(memory)
        with reading(memory) as database:
            question = (
                "SELECT key, checksum FROM contents"
                " WHERE path = ? AND inode = ? AND size = ? AND written = ? AND changed = ?"
            )
            found = {path: (look, database.execute(question, look).fetchone()) for path, look in there.items()}
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # only a memory: what is damaged is forgotten
        memory.unlink(missing_ok=True)
        _prepare(memory)
        return {}
    return {
        path: row[0] for path, (look, row) in found.items() if row is not None and row[1] == _checksum(look, row[0])
    }


def _checksum(look: _Seen, key: str) -> int:
    """A bit that flips on the disk must not give a file another's content."""
    return zlib.crc32(f"{tuple(look)} {key}".encode())


def _prepare(memory: Path) -> None:
    with transaction(memory) as database:
        database.execute("DROP TABLE IF EXISTS files")  # an older memory, which knew path, size and one time alone
        database.execute(
            "CREATE TABLE IF NOT EXISTS contents (path BLOB PRIMARY KEY, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
            " written INTEGER NOT NULL, changed INTEGER NOT NULL, key TEXT NOT NULL, checksum INTEGER NOT NULL)"
        )


def _remember(memory: Path, fresh: Iterable[Content]) -> None:
    rows = [(*one.seen, one.key, _checksum(one.seen, one.key)) for one in fresh if one.seen is not None]
    if rows:
        with transaction(memory) as database:
            database.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
