"""Cells are text. Here typed values become words and words become numbers, the same whatever file they stood in.

1, 1.0 and "1" are one word; only words the card lists are missing; a word that is no number is named, never guessed at.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.errors import Faults, TableError

Texts = NDArray[np.object_]
"""(n,) of str | None."""
SHOWN = 8
"""How many of a kind an error lists before it counts the rest."""

_SAMPLE = 2**13
"""Cells by which it is seen whether a column's words recur."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NUMBERS = re.compile(
    r"(?:[+-]?(?:\d{1,99}(?:\.\d{0,99})?|\.\d{1,99})(?:[eE][+-]?\d{1,2})?\n)*+", re.ASCII
)  # so short that all are finite
_FRACTION = re.compile(r"([+-]?\d+)\.(\d*)", re.ASCII)
_TITLES = 3
_NO_NUMBERS = "add the words to `missing` in [cases], name the column under `categorical`, or mend the cells"
_COMMAS = "write decimal points, or make numbers of the cells in the spreadsheet; other words: add them to `missing`"
_FRACTIONS, _WHOLE = 10, 20
"""So many different numbers may be names of classes."""
_TRUTHS = (len("true"), len("false"))
_ENDS = ("0", ".")


def as_text(value: Any) -> str | None:  # noqa: ANN401  # whatever a cell holds
    """A typed cell as its word; None and NaN (no value at all) stay None.

    Integral numbers lose their point ("1"), dates are ISO (midnight falls away), booleans are `true` and `false`.
    Text is stripped, and each sign spelt in one way (Unicode's NFC); bytes are text in UTF-8.

    Raises: TableError for bytes that are no such text.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() if value.isascii() else unicodedata.normalize("NFC", value.strip())
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, np.generic) and not isinstance(value, np.floating):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return _float_text(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if _is_midnight(value) else value.isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value).strip()


def _decoded(value: bytes) -> str | None:
    try:
        return as_text(value.decode())
    except UnicodeDecodeError as error:
        found = f"bytes that are no text in UTF-8: {value[:16]!r}"
        raise TableError(found, "text, numbers or dates", "decode the cells first") from error


def _float_text(value: float | np.floating[Any]) -> str | None:
    if math.isnan(value):
        return None
    if abs(float(value)) < 1e15 and float(value).is_integer():
        return str(int(value))
    return str(value)


def _is_midnight(value: datetime.datetime) -> bool:
    return value.time() == datetime.time() and value.tzinfo is None


def canonical(word: str, decimal: str = ".") -> str:
    """The one form of a class, group or category, so that 1, 1.0 and "1" are the same, and TRUE and true.

    Leading zeros are kept: "01" and "1" differ.
    """
    if len(word) in _TRUTHS and (small := word.lower()) in ("true", "false"):
        return small
    if decimal == "." and word[-1:] not in _ENDS:  # most words: nothing can be taken off
        return word
    match = _FRACTION.fullmatch(word.replace(decimal, ".", 1) if decimal != "." else word)
    if match is None:
        return word
    whole, fraction = match[1], match[2].rstrip("0")
    if not fraction and not whole.strip("+-0"):
        whole = whole.lstrip("+-")
    return f"{whole}.{fraction}" if fraction else whole


def number(word: str, decimal: str = ".") -> float:
    """A word's number, NaN if it is none. Words for NaN and infinity, and thousands separators, are no numbers."""
    if decimal != ".":
        if "." in word:
            return math.nan
        word = word.replace(decimal, ".", 1)
    if _NUMBER.fullmatch(word) is None:
        return math.nan
    value = float(word)
    return value if math.isfinite(value) else math.nan


def all_numbers(words: Collection[str], decimal: str = ".") -> bool:
    """Return whether each word is a number as `number` reads it; of many words in a small part of the time."""
    lines = "\n".join(words) + "\n"
    if decimal != ".":
        lines = "e" if "." in lines else lines.replace(decimal, ".")
    if lines.count("\n") == len(words) and _NUMBERS.fullmatch(lines):
        return True
    return not any(math.isnan(number(word, decimal)) for word in words)


def many_numbers(words: Collection[str]) -> bool:
    """Return whether these are values of a number, no names: more than 20 numbers, or more than 10 with fractions."""
    if len(words) <= _FRACTIONS or not all_numbers(words):
        return False
    return len(words) > _WHOLE or not all(float(word).is_integer() for word in words)


def numbers(
    values: Iterable[str | None], decimal: str = ".", where: str = "", rows: Iterable[int] | None = None
) -> NDArray[np.float64]:
    """(n,) words → (n,) float64, NaN where None.

    Raises: TableError listing the words that are no numbers, with their counts and the first of `rows` (n,) that each
    stands in; `where` names file and column.
    """
    words = list(values)
    known: dict[str | None, float] = {word: number(word, decimal) for word in set(words) if word is not None}
    refused = {word for word, value in known.items() if math.isnan(value)}
    if refused:
        counts = Counter(word for word in words if word is not None and word in refused)
        sign = "" if decimal == "." else f" with decimal sign '{decimal}'"
        first: dict[str | None, int] = {}
        for word, row in zip(words, () if rows is None else rows, strict=rows is not None):
            first.setdefault(word, row)
        raise TableError(
            f"no numbers: {listed(counts, first)}",
            f"numbers{sign}, or words that the card lists as missing",
            _COMMAS
            if decimal == "." and any(not math.isnan(number(word, ",")) for word in refused if word)
            else _NO_NUMBERS,
            where,
        )
    known[None] = math.nan
    return np.fromiter((known[word] for word in words), dtype=np.float64, count=len(words))


def listed(counts: Counter[str], first: Mapping[str | None, int] = MappingProxyType({})) -> str:
    """The most frequent words with their counts and the first row of each, where it is known, the rest as a number:
    `'NA' (12, first in row 3), 'n/a' (1, in row 7) and 2 more`.
    """
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    rows = {word: f", {'first ' if n > 1 else ''}in row {first[word]}" for word, n in shown if word in first}
    text = ", ".join(f"'{word}' ({count}{rows.get(word, '')})" for word, count in shown)
    return text + (f" and {len(counts) - len(shown)} more" if len(counts) > len(shown) else "")


def named(names: Iterable[object]) -> str:
    """The first few names, the rest as a number."""
    every = [str(name) for name in names]
    rest = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def texts(words: Iterable[str | None]) -> Texts:
    """Words as a column. Where words recur each is held once: a cell then takes 8 bytes."""
    rest = iter(words)
    first = list(itertools.islice(rest, _SAMPLE))
    held: dict[str | None, str | None] = {}
    recur = len(set(first)) <= len(first) / 2
    every = itertools.chain(first, rest)
    cells = [held.setdefault(word, word) for word in every] if recur else list(every)
    out = np.empty(len(cells), dtype=object)
    out[:] = cells
    return out


def check_names(names: Sequence[str], where: str, numbers: Sequence[int] = ()) -> None:
    """Raises TableError if a column has no name or two have the same; columns are numbered from 1, or by `numbers`."""
    faults = Faults()
    numbers = numbers or range(1, len(names) + 1)
    empty = [i for i, name in zip(numbers, names, strict=True) if not name]
    if empty:
        given = [name for name in names if name]
        mend = "name them in the header (a pandas index: write with index=False)"
        if given and len(given) < len(empty):
            titles = ", ".join(f"'{name}'" for name in given[:_TITLES])
            mend = f"if {titles} is a title and not the header, delete what stands above the header; else {mend}"
        faults.add(where, f"columns without a name: number {named(empty)}", "a name for each column", mend)
    places: dict[str, list[int]] = {}
    for i, name in zip(numbers, names, strict=True):
        places.setdefault(name, []).append(i)
    for name, numbered in places.items():
        if name and len(numbered) > 1:
            found = f"{len(numbered)} columns are named '{name}': number {named(numbered)}"
            faults.add(where, found, "one column a name", "rename or drop all but one")
    faults.raise_as(TableError)
