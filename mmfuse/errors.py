"""What went wrong, said the same way everywhere: what was found, what was expected, and the mend (law 11).

All faults of one look come at once: collect them in `Faults`, then `raise_as` the error of the room.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
"""What begins a new line or leaves room, but for the blank."""
_UNSEEN = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""What moves a cursor, colours a terminal or turns the direction of text."""


def visible(text: str, lines: bool = False) -> str:
    """Return text that may be shown: control characters of a stranger's cells and file names are written out (`\\x1b`),
    breaks become blanks; with `lines` line ends stay.

    It is the one place where that is done: faults, findings and the command line's screen pass here.
    """
    if text.isascii() and text.isprintable():
        return text
    if lines:
        return "\n".join(visible(line) for line in text.split("\n"))
    return _UNSEEN.sub(_written_out, _BREAKS.sub(" ", text))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


_LONGEST = 4000
"""Characters of a line: a cell may hold a hundred thousand."""


_MOST = 100
"""Faults of one message; `faults` holds all."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `where` names file, row and key."""

    where: str
    found: str
    expected: str = ""
    mend: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.mend:
            lines.append(f"  mend: {self.mend}")
        return "\n".join(visible(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …") for line in lines)


class MmfuseError(Exception):
    """Any refusal by mmfuse. `faults` holds everything that was found wrong, in reading order."""

    def __init__(self, found: str | Iterable[Fault], expected: str = "", mend: str = "", where: str = "") -> None:
        self.faults = (Fault(where, found, expected, mend),) if isinstance(found, str) else tuple(found)
        super().__init__(self.faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return str(self.faults[0])
        shown = [f"{i}. {fault}" for i, fault in enumerate(self.faults[:_MOST], 1)]
        more = [f"and {len(self.faults) - _MOST} more"] if len(self.faults) > _MOST else []
        return "\n".join([f"{len(self.faults)} faults:", *shown, *more])


class SpecError(MmfuseError):
    """A card or plan that cannot be carried out."""


class TableError(MmfuseError):
    """A table of cases, or a file it names, that cannot be read as the card says."""


class PartError(MmfuseError):
    """A part that does not keep its role's contract."""


class PartFailedError(PartError):
    """A part whose own code raised something else; that exception is the `__cause__`."""


class PluginError(MmfuseError):
    """A plugin that cannot be used, or two that clash."""


class RunError(MmfuseError):
    """A run folder that cannot be written or read."""


class Faults(list[Fault]):
    """Faults gathered in one look."""

    cause: BaseException | None = None
    """Of the first that has one: an exception of a part's own code."""

    def take_over(self, error: MmfuseError) -> None:
        """Add the faults of a refusal; what caused it stays with them."""
        self.extend(error.faults)
        self.cause = self.cause or error.__cause__

    def add(self, where: str, found: str, expected: str = "", mend: str = "") -> None:
        """Adds one more."""
        self.append(Fault(where, found, expected, mend))

    def raise_as(self, error: type[MmfuseError]) -> None:
        """Raises `error` with all that was gathered; does nothing if there is none."""
        if self and self.cause is not None:
            raise error(self) from self.cause
        if self:
            raise error(self)


@contextmanager
def placed(where: str, general: str) -> Iterator[None]:
    """A part does not know its line: faults that it raises within are given the line's place, which stands for the
    `general` one that it may name."""
    try:
        yield
    except SpecError as error:
        told = [(fault, fault.where.removeprefix(general)) for fault in error.faults]
        places = [where + rest if rest != fault.where or not rest else f"{where}, {rest}" for fault, rest in told]
        raise SpecError(replace(fault, where=w) for (fault, _), w in zip(told, places, strict=True)) from error


NAMED = 12
"""So many names at most stand in a message."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The mend for an unknown word: the nearest known name, else the known ones (the first few of many)."""
    known = list(known)
    spelt = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{spelt[close[0]]}'?"
    if not known:
        return "none is known here"
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return f"known: {', '.join(sorted(known)[:NAMED])}{more}"
