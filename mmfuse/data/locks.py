"""Who works at an output: one process at a time, and whoever comes second is told who was first.

A lock is the system's (by `filelock`): it falls with the process that holds it, however that ends, so a lock file that
is left behind holds nothing up.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

from mmfuse.errors import RunError
from mmfuse.events import Notice, Watch, silent

_NONE = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a disk without locks answers."""


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Tell whether this process alone holds the lock file `path` while this lasts.

    It does not where another one does, or where the disk has no locks. Who held it removes the file at the end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield _acquire(path, stack) == "mine"


@contextmanager
def taken(out: Path, watch: Watch = silent) -> Iterator[None]:
    """Keep what is written at `out` to this process while this lasts, by `.NAME.lock` beside it (or by `.lock` in it,
    where it is a folder among others that may not be written to).

    Raises: RunError naming the process, host and time of who holds it already, or where nothing can be written there.
    """
    out = out.absolute()
    beside = not out.is_dir() or os.access(out.parent, os.W_OK)
    lock = out.with_name(f".{out.name}.lock") if beside else out / ".lock"
    about = lock.with_name(f"{lock.name}.json")
    with ExitStack() as stack:
        try:
            stack.callback(_remove_empty, _made(lock.parent))
            whose = _acquire(lock, stack)
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            raise RunError(found, "a folder that can be written", "another --out", str(out)) from error
        if whose == "no locks":
            watch(Notice(f"{lock.parent} has no locks: see to it that no other process writes {out.name}", "warning"))
        elif whose == "another's":
            mend = "wait until it is done, stop it, or give another --out"
            raise RunError(f"{_holder(about)} works at it", "one process at a time", mend, str(out))
        else:
            stack.callback(about.unlink, missing_ok=True)
            with suppress(OSError):
                about.write_text(json.dumps(_myself()), encoding="utf-8")
        yield


def _acquire(path: Path, stack: ExitStack) -> Literal["mine", "another's", "no locks"]:
    """Hold the lock until the stack is closed, if it can; say whose it is, or that the disk has none.

    Raises: OSError for whatever else the disk refuses.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        return "another's"
    except NotImplementedError:
        return "no locks"
    except OSError as error:
        if isinstance(error, PermissionError) and path.exists():  # another user's
            return "another's"
        if error.errno in _NONE:
            return "no locks"
        raise
    stack.callback(lock.release)
    # Removed while it is held: who has opened it meanwhile sees that it has no name any more, and asks anew. (filelock
    # before 3.30 removes it once more as it lets go, and by then it may be the next one's.)
    stack.callback(_unlink, path)
    return "mine"


def _unlink(path: Path) -> None:
    with suppress(OSError):  # Windows keeps what is open
        path.unlink(missing_ok=True)


def _made(folder: Path) -> list[Path]:
    """Those of a folder and its parents that were not there and now are, the innermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):  # something lies there by now
        for folder in folders:
            folder.rmdir()


def _myself() -> dict[str, object]:
    return {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}


def _holder(about: Path) -> str:
    """Whoever wrote that it holds the lock, in words."""
    try:
        told = json.loads(about.read_text(encoding="utf-8"))
        return f"process {told['pid']} on {told['host']} (since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # just begun, or another user's
        return "another process"
