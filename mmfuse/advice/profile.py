"""What a column looks like: numbers, categories, several categories a cell, dates, paths of images, words of its own.

Drawn from the cells and the column's name alone; `describe` says what it makes of it, and a person decides.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property

from mmfuse.advice.leaks import name_words, names_someone
from mmfuse.data.dates import days
from mmfuse.data.table import Table, canonical
from mmfuse.data.words import number
from mmfuse.errors import TableError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
BLANKS = frozenset({
    "na", "n/a", "n.a.", "nan", "none", "null", "nil", "not available", "not applicable", "not known", "not recorded",
    "unknown", "unk", "unspecified", "missing", "?", "-", "--", ".", "",
})  # fmt: skip
"""Words that may stand for a missing value, in small letters."""

_CODES = frozenset(
    {"class", "type", "code", "category", "device", "site", "side", "kind", "status", "centre", "center"}
)
"""Words in the names of columns whose whole numbers are names, not amounts."""
_SIGNS = ("&", ";", "|", "+", ",", "/")
_MOST_CATEGORIES = 50


class Profile:
    """One column: its words in their one form, with counts, and what they look like."""

    def __init__(self, table: Table, name: str) -> None:
        self.name = name
        self.name_words = frozenset(name_words(name))
        self.rows = len(table)
        self.decimal = table.decimal
        self.raw = Counter(word for word in table[name] if word is not None)
        """Words as they stand."""
        blanks = {word for word in self.raw if word.lower() in BLANKS}
        self.blanks = Counter({word: self.raw[word] for word in self.raw if word in blanks | self._odd(blanks)})
        """Words that look like missing values: known ones, and a few that stand among numbers."""
        self.counts: Counter[str] = Counter()
        """Words in their one form, without `blanks`."""
        for word, count in self.raw.items():
            if word not in self.blanks:
                self.counts[canonical(word, table.decimal)] += count

    def _odd(self, blanks: set[str]) -> set[str]:
        """The at most three words that stand among numbers, where at least four in five other cells hold one."""
        words = {word for word in self.raw if word not in blanks}
        odd = {word for word in words if math.isnan(number(canonical(word, self.decimal)))}
        cells, strange = (sum(self.raw[word] for word in some) for some in (words, odd))
        return odd if len(odd) <= 3 < len(words - odd) and strange <= 0.2 * cells else set()

    @property
    def known(self) -> int:
        """Cells that hold something else than a blank."""
        return self.counts.total()

    @property
    def empty(self) -> bool:
        return not self.counts

    @property
    def constant(self) -> bool:
        return len(self.counts) == 1 and (not self.blanks or self.numeric)

    @property
    def unique(self) -> bool:
        """A word of its own in every row."""
        return self.raw.total() == self.rows == len(self.raw) > 0

    @property
    def own_words(self) -> bool:
        """(Nearly) every cell has a word of its own, or there are too many for categories."""
        return len(self.counts) > min(_MOST_CATEGORIES, self.known / 2)

    @cached_property
    def numeric(self) -> bool:
        return bool(self.counts) and not any(math.isnan(number(word)) for word in self.counts)

    @property
    def amount(self) -> bool:
        """Numbers that measure: more than two, and not the codes of something."""
        if not self.numeric or len(self.counts) <= 2:
            return False
        whole = all("." not in word and "e" not in word.lower() for word in self.counts)
        return not (whole and len(self.counts) <= 20 and self.name_words & _CODES)

    @cached_property
    def date(self) -> str:
        """The form of its dates, empty if it holds none."""
        if not self.counts or (self.numeric and "date" not in self.name_words):
            return ""
        try:
            return days(self.counts, "")[1]
        except TableError:
            return ""

    @cached_property
    def image(self) -> bool:
        paths = sum(count for word, count in self.counts.items() if word.lower().endswith(IMAGE_SUFFIXES))
        return self.known > 0 and paths >= 0.9 * self.known

    @property
    def names_cases(self) -> bool:
        """Its name speaks of patients, lesions, ids …, and it has many words."""
        return names_someone(self.name) and len(self.counts) > max(2, 0.05 * self.known)

    @cached_property
    def separator(self) -> str:
        """The sign between several categories of a cell: most of the pieces must also stand alone in a cell."""
        if self.numeric:
            return ""
        for sign in _SIGNS:
            several = {word for word in self.counts if sign in word.strip(sign)}
            pieces = {piece.strip() for word in several for piece in word.split(sign)} - {""}
            alone = {piece for piece in pieces if piece in self.counts or piece.lower() in BLANKS}
            cells = sum(self.counts[word] for word in several)
            if len(several) >= 2 and cells >= max(2, 0.02 * self.known) and len(alone) >= 0.5 * len(pieces):
                return sign
        return ""
