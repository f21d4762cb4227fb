"""What an audit finds: a record said like an error (where, what, the mend) but weighed, since the user decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmfuse.errors import visible

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing that the user should know of the table.

    `error`: figures would be wrong, or a command would stop. `warning`: look at it. `info`: how things are.
    """

    level: Level
    where: str
    """File, row and column, or what it is about."""
    text: str
    mend: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return visible(f"{place}{self.text}") + (f"\n  mend: {visible(self.mend)}" if self.mend else "")
