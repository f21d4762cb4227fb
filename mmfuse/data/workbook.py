"""The parts of an xlsx workbook: its first sheet, shared text and formats, read as a stream of XML elements.

Archives are read no further than `PART` bytes a part, `RATIO` times what is packed and `DEPTH` elements deep; document
types (and so entities) are refused. Methods raise whatever broken parts make them trip over.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.parsers import expat

from mmfuse.data.limits import CELL, refuse_cell
from mmfuse.errors import TableError

PART = 2**28
"""Bytes of a part at most, unpacked."""
RATIO, SMALL = 100, 2**23
"""So many times a part may be larger than packed, where it is larger than SMALL."""
DEPTH = 64
"""Elements within each other at most."""

_PIECE = 2**18
_EAST_ASIAN_DATES = frozenset({*range(27, 37), *range(50, 59)})
"""Number formats that are dates in Chinese, Japanese and Korean editions (ECMA-376, 18.8.30)."""
_CODE = 255
"""Signs of a number format at most."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")


class Workbook:
    """A workbook's parts."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self.titles: list[str] = []
        """Of the sheets that hold cells."""
        self.shared: list[str] = []
        self._dates, self._durations = frozenset[int](), frozenset[int]()
        self._since_1904 = False

    def first_sheet(self) -> str:
        """Finds the first sheet that holds cells (no chart), after the formats of all; empty where there is none."""
        workbook = self._related("", "officeDocument")[0]
        sheets: list[tuple[str, str]] = []

        def start(name: str, given: dict[str, str]) -> None:
            if name == "workbookPr":
                self._since_1904 = given.get("date1904", "") in ("1", "true")
            elif name == "sheet":
                sheets.append((given["name"], next(given[key] for key in given if _local(key) == "id")))

        self.parse(workbook, start)
        targets = dict(self._targets(workbook, "worksheet"))
        sheets = [(title, targets[key]) for title, key in sheets if key in targets]
        self.titles = [title for title, _ in sheets]
        for styles in self._related(workbook, "styles")[:1]:
            self._read_styles(styles)
        self.shared = [word for part in self._related(workbook, "sharedStrings")[:1] for word in self._strings(part)]
        return sheets[0][1] if sheets else ""

    def _related(self, part: str, kind: str) -> list[str]:
        return [target for _, target in self._targets(part, kind)]

    def _targets(self, part: str, kind: str) -> list[tuple[str, str]]:
        """(id, part) of what a part refers to."""
        folder, name = posixpath.split(part)
        found: list[tuple[str, str]] = []

        def start(element: str, given: dict[str, str]) -> None:
            if element == "Relationship" and given.get("Type", "").rsplit("/", 1)[-1] == kind:
                target = given["Target"]
                whole = target if target.startswith("/") else posixpath.join(folder, target)
                found.append((given["Id"], posixpath.normpath(whole).lstrip("/")))

        self.parse(posixpath.join(folder, "_rels", f"{name}.rels"), start)
        return found

    def _read_styles(self, part: str) -> None:
        from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format

        own: dict[int, str] = {}
        used: list[int] = []
        within: list[str] = []

        def start(name: str, given: dict[str, str]) -> None:
            if name == "numFmt":
                own[int(given["numFmtId"])] = given.get("formatCode", "")[:_CODE]
            elif name == "xf" and within[-1:] == ["cellXfs"]:
                used.append(int(given.get("numFmtId", 0)))
            elif name in ("cellXfs", "cellStyleXfs"):
                within.append(name)

        def end(name: str) -> None:
            if within[-1:] == [name]:
                within.pop()

        self.parse(part, start, end)
        codes = [own.get(number, BUILTIN_FORMATS.get(number, "")) for number in used]
        east = {i for i, number in enumerate(used) if number in _EAST_ASIAN_DATES and number not in own}
        self._dates = frozenset(i for i, code in enumerate(codes) if is_date_format(code)) | east
        self._durations = frozenset(i for i, code in enumerate(codes) if is_timedelta_format(code))

    def number(self, text: str, style: int) -> Any:  # noqa: ANN401  # a number or a date
        """A number as its format shows it: a date where it is one."""
        if _NUMBER.fullmatch(text) is None:
            raise ValueError(f"'{text[:40]}' is no number")
        value = float(text) if set(text) & set(".eE") else int(text)
        if style not in self._dates:
            return value
        from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

        try:
            return from_excel(value, MAC_EPOCH if self._since_1904 else WINDOWS_EPOCH, style in self._durations)
        except (OverflowError, ValueError):  # no day: spreadsheets show `####`
            return value

    def _strings(self, part: str) -> list[str]:
        strings: list[str] = []
        reading = RichText(self._path, strings.append, "si")
        self.parse(part, reading.start, reading.end, reading.text)
        return strings

    def parse(
        self,
        part: str,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] = lambda name: None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        """Calls back for each element (its local name and attributes) of a part, a piece after the other."""
        parser = expat.ParserCreate(namespace_separator=" ")
        depth = 0

        def opened(name: str, given: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > DEPTH:
                raise TableError(f"elements {depth} deep in {part}", f"at most {DEPTH}", "", str(self._path))
            start(_local(name), given)

        def closed(name: str) -> None:
            nonlocal depth
            depth -= 1
            end(_local(name))

        def doctype(*_: object) -> None:
            raise TableError(f"{part} states a document type", "XML without one", "save it again", str(self._path))

        parser.StartElementHandler, parser.EndElementHandler = opened, closed
        parser.StartDoctypeDeclHandler = doctype
        if text is not None:
            parser.buffer_text = True
            parser.CharacterDataHandler = text
        for piece in self._pieces(part):
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    def _pieces(self, part: str) -> Iterator[bytes]:
        about = self._archive.getinfo(part)
        if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise TableError(f"{part} is packed in an unusual way", "deflate", "save it again", str(self._path))
        packed_well = about.file_size > max(SMALL, RATIO * about.compress_size)
        if about.file_size > PART or packed_well:
            raise TableError(
                f"{part} unpacks from {about.compress_size / 2**20:.1f} to {about.file_size / 2**20:,.0f} MiB",
                f"at most {PART / 2**20:.0f} MiB, and {RATIO} times what is packed",
                "save the sheet as CSV",
                str(self._path),
            )
        with self._archive.open(about) as file:
            while piece := file.read(_PIECE):
                yield piece


@lru_cache(256)
def _local(name: str) -> str:
    return name.rpartition(" ")[2]


class RichText:
    """Text of rich strings: their runs joined, how they are pronounced left out."""

    def __init__(self, path: Path, give: Callable[[str], None], element: str) -> None:
        self._path, self._give, self._element = path, give, element
        self._pieces: list[str] = []
        self._is_text, self._aside, self._length = False, 0, 0

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == self._element:
            self._pieces, self._length = [], 0
        elif name == "rPh":
            self._aside += 1
        self._is_text = name == "t" and not self._aside

    def text(self, piece: str) -> None:
        if self._is_text:
            self._pieces.append(piece)
            self._length += len(piece)
            if self._length > CELL:
                raise refuse_cell(self._path, "of shared text")

    def end(self, name: str) -> None:
        self._is_text = False
        if name == "rPh":
            self._aside -= 1
        elif name == self._element:
            self._give(unescaped("".join(self._pieces)).strip())


def unescaped(text: str) -> str:
    """Text with `_x000D_` as the sign that it stands for (ECMA-376, ST_Xstring)."""
    return _ESCAPE.sub(_sign, text) if "_x" in text else text


def _sign(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code < 0xE000 else chr(code)  # half a sign is none
