"""Where outputs are written before they take their place, and what killed processes left there.

A scratch file or folder stands beside its place and names the process that writes it. Whoever writes to the same place
next removes those of processes that are gone.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_MARK = re.compile(r"(?P<where>[0-9a-f]{6})-(?P<pid>[0-9]+)-[0-9a-f]{8}")
_OLD = 7 * 24 * 3600.0
"""Seconds after which what another machine was writing is taken for left behind."""


def scratch_beside(path: Path) -> Path:
    """Return a new hidden name beside `path` for what is being written there; what processes that are gone were writing
    to the same place is removed."""
    remove_left(path)
    return path.with_name(f".{path.name}.{_here()}-{os.getpid()}-{secrets.token_hex(4)}")


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path`, closed to other users; it is gone at the end, unless it was renamed.

    Raises: OSError where the disk refuses.
    """
    scratch = scratch_beside(path)
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_left(path: Path) -> None:
    """Remove what processes that are gone were writing to `path`."""
    start = f".{path.name}."
    with suppress(OSError):  # a folder that is not there, or may not be read
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(start)]
        for name in names:
            left, mark = path.with_name(name), _MARK.fullmatch(name.removeprefix(start))
            if mark is not None and _is_left(left, mark["where"], int(mark["pid"])):
                _remove(left)


def _is_left(left: Path, where: str, pid: int) -> bool:
    if where == _here() and sys.platform != "win32":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # another user's
            return False
        return False
    return time.time() - left.lstat().st_mtime > _OLD


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        with suppress(OSError):
            left.unlink()


@cache
def _here() -> str:
    """The machine, and the room within it, that numbers of processes belong to."""
    try:
        room = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116  # a link that leads to no file
    except OSError:
        room = 0
    return hashlib.blake2b(f"{platform.node()} {room}".encode(), digest_size=3).hexdigest()
