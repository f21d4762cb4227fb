"""What a column looks like: numbers, categories, several categories a cell, dates, paths of images, words of its own.

Drawn from the cells and the column's name alone; `describe` says what it makes of it, and a person decides.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from functools import cached_property

from mmfuse.advice.leaks import name_words, names_someone
from mmfuse.advice.vocabulary import means_missing, missing_among_numbers
from mmfuse.data.dates import days
from mmfuse.data.spelling import variants
from mmfuse.data.table import Table, canonical
from mmfuse.data.words import all_numbers, many_numbers, number
from mmfuse.errors import TableError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
_HEAD = 32
"""Different words by which it is seen whether a column holds dates or units at all."""
_FEW_NUMBERS = 3
"""So few different numbers beside other words are names of categories."""
_UNIT = re.compile(
    r"[<>≤≥~≈]?\s*[+-]?\d+([.,]\d+)?\s*(%|°c?|[mµunkc]?[gml]|[mcµ]m[²³23]?|mmol/l|mg/d?l|y|yr|yrs|years?|mo|mos|months?|w|wks?"
    r"|weeks?|d|days?|h|hrs?|hours?|min|j|jahre?|monate?|tage?|ans?|mois|jours?|anos|años|meses|dias|días|лет|мес|мм|см|г|岁|歳)\.?"
    r"|\d{1,3}([,.' ]\d{3})+([.,]\d+)?",
    re.IGNORECASE,
)
"""A number with its unit, or with signs between thousands."""
_CODES = frozenset(
    {"class", "type", "code", "category", "device", "site", "side", "kind", "status", "centre", "center"}
)
"""Words in the names of columns whose whole numbers are names, not amounts."""
_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_SIGNS = ("&", ";", "|", "+", ",", "/")
_MOST_CATEGORIES = 50


class Profile:
    """One column: its words in their one form, with counts, and what they look like."""

    def __init__(self, table: Table, name: str) -> None:
        self.name = name
        self.ordered_words = name_words(name)
        self.name_words = frozenset(self.ordered_words)
        self.rows = len(table)
        self.decimal = table.decimal
        cells: Counter[str | None] = Counter(table[name].tolist())
        cells.pop(None, None)
        self.raw: Counter[str] = cells  # type: ignore[assignment]  # None is out
        """Words as they stand."""
        self.numeric = bool(self.raw) and all_numbers(self.raw, self.decimal)
        """Whether all words but `blanks` are numbers."""
        self.blanks: Counter[str] = Counter()
        """Words that look like missing values. Beside numbers they hold no digit, and cannot mean 0."""
        self.strange: Counter[str] = Counter()
        """Beside numbers, which are half of the cells or more: words that are no numbers, and may mean something."""
        if not self.numeric:
            self._sort_words()
        self.counts: Counter[str] = Counter()
        """Words in their one form, without `blanks`."""
        for word, count in self.raw.items():
            if word not in self.blanks:
                form = canonical(word, table.decimal)
                self.counts[form] = self.counts.get(form, 0) + count

    def _sort_words(self) -> None:
        others = Counter({w: n for w, n in self.raw.items() if math.isnan(number(w, self.decimal))})
        blanks = Counter({word: count for word, count in others.items() if means_missing(word)})
        if "-" in blanks and any(not word.strip("+") for word in others):  # a negative finding, beside positive ones
            del blanks["-"]
        numbers = {word for word in self.raw if word not in others}
        sure = Counter({word: count for word, count in blanks.items() if missing_among_numbers(word)})
        cells = sum(self.raw[word] for word in numbers)
        if numbers and len(others) == len(sure):
            self.numeric, self.blanks = True, sure
        elif len(numbers) > _FEW_NUMBERS and cells >= (self.raw.total() - sure.total()) / 2:
            self.blanks, self.strange = sure, others - sure
        else:
            self.blanks = blanks

    @property
    def known(self) -> int:
        """Cells that hold something else than a blank."""
        return self.counts.total()

    @property
    def empty(self) -> bool:
        return not self.counts

    @property
    def constant(self) -> bool:
        words = len(self.counts) - (len(self.variants) if len(self.counts) > 1 else 0)
        return words == 1 and (not self.blanks or self.numeric)

    @property
    def unique(self) -> bool:
        """A word of its own in every row."""
        return self.raw.total() == self.rows == len(self.raw) > 0

    @property
    def own_words(self) -> bool:
        """(Nearly) every cell has a word of its own, or there are too many for categories."""
        return len(self.counts) > min(_MOST_CATEGORIES, self.known / 2)

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
            days(itertools.islice(self.counts, _HEAD), "")
            return days(self.counts, "")[1]
        except TableError:
            return ""

    @cached_property
    def image(self) -> bool:
        if self.numeric:
            return False
        paths = sum(count for word, count in self.counts.items() if word.lower().endswith(IMAGE_SUFFIXES))
        return self.known > 0 and paths >= 0.9 * self.known

    @cached_property
    def units(self) -> Counter[str]:
        """Numbers with units or with signs between thousands, where they are half of the cells or more."""
        if self.numeric or not any(_UNIT.fullmatch(word) for word in itertools.islice(self.counts, _HEAD)):
            return Counter()
        found = Counter({word: count for word, count in self.counts.items() if _UNIT.fullmatch(word)})
        plain = sum(count for word, count in self.counts.items() if not math.isnan(number(word)))
        return found if found.total() + plain >= self.known / 2 else Counter()

    @cached_property
    def variants(self) -> dict[str, str]:
        """{word: the spelling to take for it} of words (of several in a cell: of each) that another one equals but for
        case and spaces.
        """
        if self.numeric or self.own_words:
            return {}
        if not self.separator:
            return variants(self.counts)
        pieces: Counter[str] = Counter()
        for word, count in self.counts.items():
            pieces.update({piece.strip(): count for piece in word.split(self.separator) if piece.strip()})
        return variants(pieces)

    @property
    def is_number(self) -> bool:
        """Whether it measures or counts, and is no closed list of classes."""
        return self.numeric and not self.name_words & _CODES and many_numbers(self.counts)

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
            alone = {piece for piece in pieces if piece in self.counts or means_missing(piece)}
            cells = sum(self.counts[word] for word in several)
            if len(several) >= 2 and cells >= max(2, 0.02 * self.known) and len(alone) >= 0.5 * len(pieces):
                return sign
        return ""


def no_files(profile: Profile) -> Counter[str]:
    """Return the words that are no names of image files."""
    return Counter({word: n for word, n in profile.raw.items() if not word.lower().endswith(IMAGE_SUFFIXES)})


def decimal_commas(profile: Profile) -> Counter[str]:
    """Return numbers with a comma in a table of decimal points, where numbers are half of the cells or more."""
    if profile.numeric or profile.decimal != ".":
        return Counter()
    found = Counter({word: n for word, n in profile.counts.items() if _COMMA.fullmatch(word)})
    sure = any(_UNIT.fullmatch(word) is None for word in found)  # 1,234 may be a thousand
    plain = sum(count for word, count in profile.counts.items() if not math.isnan(number(word)))
    return found if sure and found.total() + plain >= profile.known / 2 else Counter()
