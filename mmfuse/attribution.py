"""Who is to blame: an exception of a part's own code becomes an error that names the part, who brought it, and where.

Refusals of mmfuse, interruptions, a lack of memory and a full disk pass as they are.
"""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from mmfuse.errors import MmfuseError, PartFailedError

GROUP = "mmfuse"
"""Of entry points."""
_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE)


class attributed:  # noqa: N801  # reads as a statement
    """Turn an exception that `who` raises within into a `PartFailedError`; the exception stays its `__cause__`.

    `who` is a part, or what a part made (a reader, a rule, a module); `doing` names the method; `where` the line of the
    plan or card, and the row where one is known.
    """

    def __init__(self, who: object, doing: str, where: str = "") -> None:
        self.who, self.doing, self.where = who, doing, where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Exception) and not passes(error):
            raise PartFailedError(
                f"{named_part(self.who)} fails in {self.doing}: {in_short(error, self.who)}",
                mend="look at what it was given, or report it to whoever wrote it; --traceback shows the whole way",
                where=self.where,
            ) from error


def passes(error: BaseException) -> bool:
    """Whether an exception says by itself what is wrong, or is nobody's fault: it is not put on a part."""
    if isinstance(error, MmfuseError | MemoryError) or not isinstance(error, Exception):
        return True
    # torch's own error for a full GPU is known here by its name alone
    return type(error).__name__ == "OutOfMemoryError" or (isinstance(error, OSError) and error.errno in _ROOM)


def attribute_facts(kind: type) -> None:
    """Put exceptions of a class's own properties on the part: what it says of itself is read in many places."""
    for name, fact in list(vars(kind).items()):
        if isinstance(fact, property) and fact.fget is not None:
            setattr(kind, name, property(_attributed_fact(fact.fget, name), fact.fset, fact.fdel, fact.__doc__))
        elif isinstance(fact, functools.cached_property):
            fact.func = _attributed_fact(fact.func, name)


def _attributed_fact(ask: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    @functools.wraps(ask)
    def told(who: object) -> Any:  # noqa: ANN401  # whatever the fact is
        with attributed(who, f"`{name}`"):
            return ask(who)

    return told


def named_part(who: object) -> str:
    """A part, or what a part made, in words: `encoder 'tiny' (mmfuse-tiny 0.2)`."""
    kind = type(who)
    role, name = getattr(kind, "role", ""), getattr(kind, "name", "")
    known = isinstance(role, str) and isinstance(name, str) and role and name
    return f"{role} '{name}' ({brought_by(kind)})" if known else f"{kind.__name__} ({brought_by(kind)})"


def brought_by(kind: type) -> str:
    """The distribution (with its version), file or module that a class comes from."""
    top = kind.__module__.partition(".")[0]
    if top == "mmfuse":
        return "mmfuse"
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.dist is not None and point.module.partition(".")[0] == top:
            return f"{point.dist.name} {point.dist.version}"
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or kind.__module__


def in_short(error: BaseException, who: object = None) -> str:
    """An exception in one line, and the line of code that raised it; of an exception of a library that `who` called,
    the line of its own file that called."""
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else text[:300] + " …"
    frames = traceback.extract_tb(error.__traceback__)
    home = type(who).__module__
    # a module of torch itself (a Sequential) says nothing of whose it is
    file = "" if home.partition(".")[0] == "torch" else getattr(sys.modules.get(home), "__file__", "")
    place = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
    at = "" if place is None else f" ({place.filename}, line {place.lineno})"
    return f"{type(error).__name__}{f': {text}' if text else ''}{at}"
