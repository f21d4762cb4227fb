"""The first sheet of an xlsx workbook → columns of text. A narrow reader of our own: it streams the sheet's XML and
keeps only cells that hold something, so that an empty cell far away costs nothing.

openpyxl is asked which number formats are dates, and what day a number is.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmfuse.data.limits import (
    CELL,
    COLUMNS,
    Read,
    as_table_error,
    empty_rows,
    left_out,
    refuse_bytes,
    refuse_cell,
    refuse_size,
)
from mmfuse.data.words import as_text, check_names, named, texts
from mmfuse.data.workbook import RichText, Workbook, unescaped
from mmfuse.errors import TableError

PACKED = 2**28
"""Bytes of a workbook at most."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How old workbooks and those with a password begin."""
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})", re.ASCII)
_COUNTED = 8


def read_xlsx(path: Path, missing: frozenset[str]) -> Read:
    """The first sheet; its first row that holds anything is the header, wherever it begins. Cells become words
    (`words.as_text`); empty cells are missing.

    Raises: TableError if openpyxl is not installed, the file is no sound workbook or larger than is read, a formula has
    no stored value, or column names are faulty.
    """
    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        mend = "pip install 'mmfuse[xlsx]', or save the sheet as CSV"
        raise TableError("xlsx needs openpyxl, which is not installed", "", mend, str(path)) from error
    refuse_bytes(path, path.stat().st_size, PACKED)
    data = path.read_bytes()
    if data.startswith(_OLE):
        found = "is no xlsx workbook: it has a password, or is an old .xls"
        raise TableError(found, "xlsx", "save it without a password as .xlsx, or as CSV", str(path))
    with (
        as_table_error(path, "xlsx workbook", "save it again, or as CSV"),
        zipfile.ZipFile(io.BytesIO(data)) as archive,
    ):
        book, sheet = Workbook(path, archive), _Sheet()
        if part := book.first_sheet():
            reading = _Cells(path, sheet, book)
            book.parse(part, reading.start, reading.end, reading.text)
    return _table(path, sheet, book.titles, missing)


# ── from cells to columns ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Sheet:
    """What a sheet holds: (row, column, word) of every cell that is not empty, in order of rows; counted from 1."""

    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    uncomputed: list[str] = field(default_factory=list)
    """Cells whose formula has no stored value."""
    merged: list[str] = field(default_factory=list)


def _table(path: Path, sheet: _Sheet, titles: Sequence[str], missing: frozenset[str]) -> Read:
    if sheet.uncomputed:
        raise TableError(
            f"formulas without a stored value in cells {named(sheet.uncomputed)}",
            "the value of each formula, as spreadsheet programs store it",
            "open the workbook in such a program and save it, or save the sheet as CSV",
            str(path),
        )
    if not sheet.words:
        expected = "a header and a row a case"
        raise TableError("its first sheet is empty", expected, "move the table to the first sheet", str(path))
    rows, row_of = np.unique(np.array(sheet.rows, np.int64), return_inverse=True)
    used, column_of = np.unique(np.array(sheet.columns, np.int64), return_inverse=True)
    refuse_size(path, len(rows), len(used))
    cells = np.full((len(used), len(rows)), None, dtype=object)
    cells[column_of, row_of] = sheet.words
    names = ["" if cell is None else cell for cell in cells[:, 0]]
    gaps = sorted(set(range(1, int(used[-1]) + 1)) - set(used.tolist()))
    check_names(names, str(path), [int(number) for number in used])
    columns = {name: texts(None if word in missing else word for word in cells[i, 1:]) for i, name in enumerate(names)}
    others = f"; not read: {named(titles[1:])}" if len(titles) > 1 else ""
    between = sorted(set(range(int(rows[0]), int(rows[-1]))) - set(rows.tolist()))
    notes = [f"xlsx, sheet '{titles[0]}'{others}", *left_out(gaps), *empty_rows(between)]
    if sheet.merged:
        notes.append(f"merged cells hold one value, in their first cell; the others are missing: {named(sheet.merged)}")
    return Read(columns, tuple(notes), ".", rows[1:])


# ── the elements ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Cells:
    """Cells of a sheet, one after the other, into a `_Sheet`."""

    def __init__(self, path: Path, sheet: _Sheet, book: Workbook) -> None:
        self._path, self._sheet, self._book = path, sheet, book
        self._row = self._column = 0
        self._kind, self._style = "n", 0
        self._value: list[str] | None = None
        self._length = 0
        self._formula = self._in_value = self._in_data = False
        self._inline = ""
        self._rich = RichText(path, self._take_inline, "is")
        self._is_rich = False

    def _take_inline(self, text: str) -> None:
        self._inline = text

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == "c":
            self._open(given)
        elif name == "v":
            self._value, self._in_value, self._length = [], True, 0
        elif name == "f":
            self._formula = True
        elif name == "row":
            self._row = int(given["r"]) if "r" in given else self._row + 1
            self._column = 0
        elif name == "is":
            self._is_rich = True
        elif name == "mergeCell" and len(self._sheet.merged) <= _COUNTED:
            self._sheet.merged.append(given.get("ref", ""))
        if self._is_rich:
            self._rich.start(name, given)

    def _open(self, given: dict[str, str]) -> None:
        if "r" in given:
            letters, row = _REFERENCE.fullmatch(given["r"]).groups()  # type: ignore[union-attr]  # a broken one is told
            self._row, self._column = int(row), _column(letters)
        else:
            self._column += 1
        if self._column > COLUMNS:
            refuse_size(self._path, 1, self._column)
        self._kind, self._style = given.get("t", "n"), int(given.get("s", 0))
        self._value, self._formula, self._inline = None, False, ""

    def text(self, piece: str) -> None:
        if self._in_value and self._value is not None:
            self._value.append(piece)
            self._length += len(piece)
            if self._length > CELL:
                raise refuse_cell(self._path, _letters(self._column))
        elif self._is_rich:
            self._rich.text(piece)

    def end(self, name: str) -> None:
        if name == "v":
            self._in_value = False
        elif name == "c":
            self._close()
        if self._is_rich:
            self._rich.end(name)
            self._is_rich = name != "is"

    @property
    def _place(self) -> str:
        return f"{_letters(self._column)}{self._row}"

    def _close(self) -> None:
        # An empty text may be what a formula gives; other kinds without a value were never computed.
        if self._formula and not (self._value if self._kind != "str" else self._value is not None):
            if len(self._sheet.uncomputed) <= _COUNTED:
                self._sheet.uncomputed.append(self._place)
            return
        word = as_text(self._content("".join(self._value or ())))
        if word and "\0" in word:
            raise refuse_cell(self._path, _letters(self._column), f"cell {self._place} holds NUL")
        if word:
            self._sheet.rows.append(self._row)
            self._sheet.columns.append(self._column)
            self._sheet.words.append(word)

    def _content(self, text: str) -> Any:  # noqa: ANN401  # whatever a cell holds
        if self._kind == "inlineStr":
            return self._inline
        if not text:
            return None
        if self._kind == "n":
            return self._book.number(text, self._style)
        if self._kind == "s":
            index = int(text)
            if not 0 <= index < len(self._book.shared):
                raise IndexError(f"cell {self._place} names shared text {index} of {len(self._book.shared)}")
            return self._book.shared[index]
        if self._kind == "b":
            return bool(int(text))
        if self._kind == "d":
            from openpyxl.utils.datetime import from_ISO8601

            return from_ISO8601(text)
        return unescaped(text)  # a formula's text, or an error's word


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


def _letters(number: int) -> str:
    text = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        text = chr(65 + rest) + text
    return text
