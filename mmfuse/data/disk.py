"""The disk: where the cache lies and how its files are opened (closed to other users, in transactions), and how outputs
are written: whole or not at all, with clear refusals.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmfuse.data.scratch import scratch_beside
from mmfuse.errors import RunError

_PATIENCE = 300.0
"""Seconds to wait for another process that is just writing."""

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_FULL_IN_SQLITE = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")


def cache_root() -> Path:
    """The cache's folder: the environment variable MMFUSE_CACHE, else `mmfuse` in the platform's folder for caches."""
    if given := os.environ.get("MMFUSE_CACHE"):
        return Path(given).expanduser().absolute()
    platforms = {
        "darwin": lambda: Path.home() / "Library" / "Caches",
        "win32": lambda: Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"),
    }
    place = platforms.get(sys.platform, lambda: Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))
    return place() / "mmfuse"


def private_folder(folder: Path) -> None:
    """Makes a folder of the cache, and the cache's root, closed to other users where they are not there yet."""
    cache_root().parent.mkdir(parents=True, exist_ok=True)
    cache_root().mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """Opens a database, closed to other users; transactions are begun by hand."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A database for questions alone."""
    database = connect(path)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction that writes; while it lasts no other process writes. Undone if anything is raised."""
    database = connect(path)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("COMMIT")
    finally:
        database.close()  # what was not committed is rolled back


@contextmanager
def clearly(folder: Path) -> Iterator[None]:
    """Turns what disk and database refuse into an error with its mend.

    Raises: RunError.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _refusal(folder, str(error), getattr(error, "sqlite_errorname", "") in _FULL_IN_SQLITE) from error
    except OSError as error:
        raise _refusal(folder, error.strerror or str(error), error.errno in _FULL) from error


def _refusal(folder: Path, found: str, full: bool) -> RunError:
    if full:
        return RunError(
            f"no room left in the cache: {found}",
            "room for what is decoded or computed once; what was stored so far is kept",
            "free some space (`mmfuse cache --clear`), or set MMFUSE_CACHE to a folder on a larger disk",
            str(folder),
        )
    return RunError(
        f"the cache cannot be used: {found}",
        "a folder that can be written",
        "set MMFUSE_CACHE to one; if it is damaged, `mmfuse cache --clear`",
        str(folder),
    )


# ── outputs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A new path beside `path` to be written to; at the end it takes the place of `path`. Whatever fails, nothing is
    left of it, and a file that was there stays as it was. What a killed process left of it is removed.

    Raises: OSError naming `path` where the disk refuses.
    """
    path = Path(path)
    scratch = scratch_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield scratch
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        if error.filename not in (None, str(scratch), scratch):  # another file that was written meanwhile
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def refuse_unwritable(path: str | Path) -> None:
    """Raises: RunError, before any work is done, where nothing could be written at `path` at its end."""
    path = Path(path)
    standing = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=standing):
            return
    except OSError as error:
        found = f"{standing} cannot be written to: {error.strerror}"
        raise RunError(found, "a folder that can be written", "another --out", str(path)) from error
