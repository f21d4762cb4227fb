"""CSV → columns of text, with what was inferred about it; and which reader reads which file.

Bytes are decoded once; Arrow splits and strips them. Nothing here decides what a cell means beyond the words that the
card calls missing. Of Arrow only what does not import pandas is used (not `pyarrow.array`, not `to_numpy`).
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.encodings import decoded, doubts
from mmfuse.data.limits import (
    BYTES,
    CELL,
    Read,
    left_out,
    refuse_bytes,
    refuse_cell,
    refuse_size,
    runs,
    without_empty_rows,
)
from mmfuse.data.parquet import read_parquet
from mmfuse.data.words import Texts, check_names, named, texts
from mmfuse.data.workers import in_chunks
from mmfuse.data.xlsx import read_xlsx
from mmfuse.errors import TableError

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

_SEPARATORS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
_STATED = re.compile(r"sep=([,;\t|])(?:\r\n?|\n)")
"""Spreadsheets may state the separator in a first line of its own."""
_BLANK = re.compile(r"\n\r?\n|\r\r")
_SPACES = re.compile(r"(?:(?<=[\r\n])|\A)[^\S\r\n]+(?=[\r\n]|\Z)")
_ABOVE = re.compile(r"(?:[^\S\r\n]*(?:[,;\t|][^\S\r\n]*)*(?:\r\n?|\n))+")
_SAMPLE = 1 << 18
_RECORDS = 100
_COMMA = r"^[+-]?\d*,\d+$"
_POINT = r"^[+-]?\d*\.\d+$"
# A comma before exactly three digits may also part thousands.
_SURE_COMMA = r"^[+-]?(0,\d+|\d{4,},\d+|\d*,(\d{1,2}|\d{4,}))$"


def read_csv(path: Path, missing: frozenset[str]) -> Read:
    """Separator, encoding and decimal sign are inferred and told in the notes.

    Raises: TableError for an empty file, ragged rows (with their lines), an unclosed quote, faulty column names, NUL
    bytes, or more than is read (`limits`).
    """
    refuse_bytes(path, path.stat().st_size, BYTES)
    text, encoding = decoded(path)
    text = _without_blanks(text)
    body = _from_header(text)
    stated = _STATED.match(body)
    before = _lines(text[: len(text) - len(body)])
    if stated:
        body = _from_header(body[stated.end() :])
        above = _lines(text[: len(text) - len(body)])
        text = "\n" * above + body  # lines keep their numbers
        before = above - 1  # spreadsheets do not show it
    if not body.strip():
        raise TableError("is empty", "a header and a row a case", "write the table again", str(path))
    separator = stated[1] if stated else _separator(body)
    names = _header(path, text, body, separator)
    refuse_size(path, 1 if '"' in body else body.count("\n"), len(names))
    columns = [_strip(column) for column in _split(path, text, body, separator, len(names))]
    refuse_size(path, len(columns[0]), len(columns))
    _check_cells(path, names, columns)
    numbers, names, columns, empty = _named(names, columns)
    check_names(names, str(path), numbers)
    decimal, remark = _decimal(columns, separator, body)
    sign = "comma" if decimal == "," else "point"
    inferred = f"separator {_SEPARATORS[separator]}, encoding {encoding}, decimal {sign}"
    found = {name: _objects(column, missing) for name, column in zip(names, columns, strict=True)}
    rows = _rows(body, separator, len(columns[0]), before) if columns else None
    kept = without_empty_rows(found, rows, lambda places: _is_empty(columns, places))
    return kept._replace(
        notes=(inferred, *left_out(empty), *kept.notes, *remark, *doubts(text, encoding)), decimal=decimal
    )


def _without_blanks(text: str) -> str:
    """Take the blanks out of lines that hold nothing else, but not within quotes."""
    if _SPACES.search(text) is None:
        return text
    return '"'.join(_SPACES.sub("", part) if i % 2 == 0 else part for i, part in enumerate(text.split('"')))


def _from_header(text: str) -> str:
    """The text from the first line that holds more than blanks and separators; else the first that is not blank."""
    above = _ABOVE.match(text)
    rest = text[above.end() :] if above else text
    return rest if rest.strip() else text.lstrip("\r\n")


def _is_empty(columns: Sequence[ChunkedArray], places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(n,) whether no cell of the rows at `places` (n,) holds anything."""
    empty = np.ones(len(places), bool)
    for column in columns:
        cells = (word for start, length in runs(places) for word in column.slice(start, length).to_pylist())
        empty &= np.fromiter((not word for word in cells), bool, len(places))
    return empty


def _lines(text: str) -> int:
    return len(text.splitlines())


def _header(path: Path, text: str, body: str, separator: str) -> list[str]:
    """The column names. Raises: TableError for a name longer than is read, or a quote that is not closed."""
    try:
        return [name.strip() for name in next(_records(body, separator))]
    except csv.Error as error:
        _check_records(path, text, separator, 0)
        raise refuse_cell(path, "header") from error


def _check_cells(path: Path, names: Sequence[str], columns: Sequence[ChunkedArray]) -> None:
    """Raises: TableError for a cell that is too long."""
    from pyarrow import compute

    for name, column in zip(names, columns, strict=True):
        longest = compute.max(compute.binary_length(column)).as_py() or 0
        if longest > CELL and compute.max(compute.utf8_length(column)).as_py() > CELL:
            raise refuse_cell(path, name)


def _named(
    names: Sequence[str], columns: Sequence[ChunkedArray]
) -> tuple[list[int], list[str], list[ChunkedArray], list[int]]:
    """Numbers, names and cells of the columns that have any, and the numbers of the others, counted from 1."""
    from pyarrow import compute

    empty = [
        i
        for i, (name, column) in enumerate(zip(names, columns, strict=True), 1)
        if not name and not compute.max(compute.binary_length(column)).as_py()
    ]
    empty = empty if len(empty) < len(names) else []
    gone = set(empty)
    kept = [i for i in range(1, len(names) + 1) if i not in gone]
    return kept, [names[i - 1] for i in kept], [columns[i - 1] for i in kept], empty


def _rows(body: str, separator: str, count: int, before: int) -> NDArray[np.int64] | None:
    """(n,) row of each case as a spreadsheet counts, which counts blank lines too; None where there is none."""
    if not before and _BLANK.search(body.rstrip("\r\n")) is None:
        return None
    try:
        rows = [i for i, record in enumerate(_records(body, separator), before + 1) if record][1:]
    except csv.Error:  # cells that Arrow splits otherwise
        return None
    return np.array(rows, np.int64) if len(rows) == count else None


def _records(text: str, separator: str, strict: bool = False) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)


def _separator(body: str) -> str:
    """The separator that gives most rows the header's width, and of equals the one that gives most columns."""
    best, best_rank = ",", (0.0, 1)
    sample = body[:_SAMPLE]
    for separator in _SEPARATORS:
        try:
            widths = [len(record) for record in itertools.islice(_records(sample, separator), _RECORDS) if record]
        except csv.Error:
            continue
        if len(sample) < len(body) and 1 < len(widths) < _RECORDS:
            widths.pop()  # cut off by the sample's end
        rank = (widths.count(widths[0]) / len(widths), widths[0])
        if widths[0] > 1 and rank > best_rank:
            best, best_rank = separator, rank
    return best


def _split(path: Path, text: str, body: str, separator: str, width: int) -> list[ChunkedArray]:
    import pyarrow
    from pyarrow import csv as arrow_csv

    if body.count('"') % 2:
        _check_records(path, text, separator, width)
    data = body.encode() if body.endswith("\n") else f"{body}\n".encode()  # Arrow stumbles over a lone header
    names = [f"f{i}" for i in range(width)]
    try:
        table = arrow_csv.read_csv(
            pyarrow.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows_after_names=1, block_size=min(max(len(data), 1 << 20), 1 << 26)
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values='"' in body),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False
            ),
        )
    except pyarrow.ArrowInvalid as error:
        _check_records(path, text, separator, width)
        raise TableError(
            f"cannot be split into columns: {error}", "a regular CSV", "write it again", str(path)
        ) from error
    return table.columns


def _check_records(path: Path, text: str, separator: str, width: int) -> None:
    """Raises TableError naming the lines of rows whose width is not the header's, or of an unclosed quote."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    ragged: list[str] = []
    first = 1
    try:
        for record in reader:
            if record and len(record) != width:
                ragged.append(f"line {first} has {len(record)}")
            first = reader.line_num + 1
    except csv.Error as error:
        if str(error).startswith("field larger"):
            found = f"line {first}: a cell of more than {CELL:,} characters; a quote there may not be closed"
        else:
            found = f"line {first}: a quote opens there that is not closed ({error})"
        raise TableError(found, "quotes in pairs", "close or double the quote", str(path)) from error
    if ragged:
        expected = f"{width} cells in every row, as in the header (separator {_SEPARATORS[separator]})"
        mend = "quote cells that hold the separator; fill up short rows"
        raise TableError(f"rows of unequal length: {named(ragged)} cells", expected, mend, str(path))


def _strip(column: ChunkedArray) -> ChunkedArray:
    from pyarrow import compute

    return compute.utf8_trim_whitespace(column)


def _objects(column: ChunkedArray, missing: frozenset[str]) -> Texts:
    return texts(None if word in missing else word for word in _cells(column))


def _cells(column: ChunkedArray) -> Iterator[Any]:
    """A few thousand at a time: of words that recur not all are objects at once."""
    for part in in_chunks(len(column)):
        yield from column.slice(part.start, part.stop - part.start).to_pylist()


def _decimal(columns: Sequence[ChunkedArray], separator: str, body: str) -> tuple[str, tuple[str, ...]]:
    """The decimal sign, and a remark where both occur. Only numbers with a comma inside speak for it."""
    if "," not in body or (separator == "," and '"' not in body):
        return ".", ()
    commas, points, sure = (sum(_matching(c, pattern) for c in columns) for pattern in (_COMMA, _POINT, _SURE_COMMA))
    # Between commas, "1,234" is more likely a thousand; between semicolons the comma was freed for decimals.
    decimal = "," if commas > points and (sure or separator != ",") else "."
    if not (commas and points):
        return decimal, ()
    return decimal, (f"numbers with a decimal point ({points} cells) and with a comma ({commas} cells) both occur",)


def _matching(column: ChunkedArray, pattern: str) -> int:
    from pyarrow import compute

    return compute.sum(compute.match_substring_regex(column, pattern)).as_py() or 0


READERS: dict[str, Callable[[Path, frozenset[str]], Read]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".parquet": read_parquet,
    ".xlsx": read_xlsx,
}
"""Reader by suffix."""
