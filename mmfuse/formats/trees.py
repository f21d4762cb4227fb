"""What trees of plain values (JSON, TOML) may hold: so deep, so long, and text that can be written again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEEPEST = 64
"""Tables and lists inside each other."""
BITS = 1024
"""Of whole numbers."""


def fault_of(value: Any, bits: int = BITS) -> str:  # noqa: ANN401  # whatever a format gives
    """Return what no tree may hold, in words; empty for a sound one. `bits` is the most that a whole number has.

    Works without recursion.
    """
    level = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner += item.keys()
                inner += item.values()
            elif isinstance(item, list | tuple):
                inner += item
            elif fault := _fault_of_leaf(item, bits):
                return fault
        if not inner:
            return ""
        level = inner
    return f"is nested deeper than {DEEPEST} levels"


def _fault_of_leaf(item: object, bits: int) -> str:
    if isinstance(item, int):
        return "" if item.bit_length() <= bits else f"holds a whole number of {item.bit_length()} bits"
    if isinstance(item, str) and not item.isascii() and any("\ud800" <= letter <= "\udfff" for letter in item):
        return "holds half a character (a lone surrogate)"
    return ""
