"""Cells that a spreadsheet would take for formulas, and what keeps them text: an apostrophe in front.

A table's words come from strangers; opened in a spreadsheet, `=HYPERLINK(…)` is a link and no id. Only what is exported
for people is guarded, and what is read back as predictions is freed again; tables of cases stay as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mmfuse.data.words import number, texts

if TYPE_CHECKING:
    from mmfuse.data.table import Table

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""As narrow and as wide signs."""
_FORMULA = re.compile(f"[{_SIGNS}].")
_GUARDED = re.compile(f"'[{_SIGNS}].")


def guarded(table: Table, but: Iterable[str] = ()) -> Table:
    """Return the table with an apostrophe before every cell and column name that begins with `=`, `+`, `-` or `@` and
    is no number; cells of the columns `but`, which hold numbers alone, are not looked at."""
    return _changed(table, lambda word: f"'{word}" if _is_formula(word, table.decimal) else word, frozenset(but))


def unguarded(table: Table) -> Table:
    """Return the table without the apostrophes that `guarded` sets."""
    return _changed(table, lambda word: word[1:] if _GUARDED.match(word) else word, frozenset())


def _is_formula(word: str, decimal: str) -> bool:
    return _FORMULA.match(word) is not None and math.isnan(number(word, decimal))


def _changed(table: Table, change: Callable[[str], str], but: frozenset[str]) -> Table:
    columns = {
        change(name): column if name in but else texts(None if word is None else change(word) for word in column)
        for name, column in table.columns.items()
    }
    return type(table)(columns, table.notes, table.decimal, table.source, table.rows)
