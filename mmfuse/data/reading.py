"""Files → columns of text: CSV, Parquet and xlsx, each with what was inferred about it.

Bytes are decoded once; Arrow splits and strips them. Nothing here decides what a cell means beyond the words that the
card calls missing. Of Arrow only what does not import pandas is used (not `pyarrow.array`, not `to_numpy`).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmfuse.data.words import Texts, as_text, check_names, named, texts
from mmfuse.data.workers import in_chunks
from mmfuse.errors import TableError

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

Read = tuple[dict[str, Texts], tuple[str, ...], str]
"""Columns, notes, decimal sign."""

_SEPARATORS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_STATED = re.compile(r"sep=([,;\t|])\r?\n")
"""Spreadsheets may state the separator in a first line of its own."""
_SAMPLE = 1 << 18
_RECORDS = 100
_COMMA = r"^[+-]?\d*,\d+$"
_POINT = r"^[+-]?\d*\.\d+$"
# A comma before exactly three digits may also part thousands.
_SURE_COMMA = r"^[+-]?(0,\d+|\d{4,},\d+|\d*,(\d{1,2}|\d{4,}))$"


# ── CSV ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_csv(path: Path, missing: frozenset[str]) -> Read:
    """Separator, encoding and decimal sign are inferred and told in the notes.

    Raises: TableError for an empty file, ragged rows (with their lines), an unclosed quote, or faulty column names.
    """
    text, encoding = _decode(path)
    body = text.lstrip("\r\n")
    if not body.strip():
        raise TableError("is empty", "a header and a row a case", "write the table again", str(path))
    stated = _STATED.match(body)
    if stated:
        body = body[stated.end() :]
        text = "\n" * text.count("\n", 0, len(text) - len(body)) + body  # lines keep their numbers
    separator = stated[1] if stated else _separator(body)
    names = [name.strip() for name in next(_records(body, separator))]
    check_names(names, str(path))
    columns = [_strip(column) for column in _split(path, text, body, separator, len(names))]
    decimal, remark = _decimal(columns, separator, body)
    sign = "comma" if decimal == "," else "point"
    notes = (f"separator {_SEPARATORS[separator]}, encoding {encoding}, decimal {sign}", *remark)
    return {name: _objects(column, missing) for name, column in zip(names, columns, strict=True)}, notes, decimal


def _decode(path: Path) -> tuple[str, str]:
    data = path.read_bytes()
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError as error:
                found = f"its first bytes say {encoding}, but at byte {error.start}: {error.reason}"
                raise TableError(found, "text in one encoding", "save it as UTF-8", str(path)) from error
    if b"\0" in data:
        found = "holds NUL bytes: it is no text, or UTF-16 without its mark"
        raise TableError(found, "a text file", "save it as CSV in UTF-8", str(path))
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


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


# ── typed files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read_parquet(path: Path, missing: frozenset[str]) -> Read:
    """Numbers, dates and booleans become words (`words.as_text`); null and NaN are missing.

    Raises: TableError if the file is no Parquet, or a column holds lists or structures.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise TableError(f"is no Parquet file: {error}", "Parquet", "write it again", str(path)) from error
    names = [name.strip() for name in table.column_names]
    check_names(names, str(path))
    columns = {}
    for name, column in zip(names, table.columns, strict=True):
        if pyarrow.types.is_nested(column.type):
            found = f"column '{name}' holds {column.type}"
            raise TableError(found, "one value a cell", "write its parts into columns of their own", str(path))
        columns[name] = _typed(column, missing)
    meta = table.schema.metadata or {}
    return columns, ("Parquet",), meta.get(b"mmfuse.decimal", b".").decode()


def _typed(column: ChunkedArray, missing: frozenset[str]) -> Texts:
    from pyarrow import types

    # A float32's own shortest digits (0.1), not those of its double (0.10000000149…).
    single = types.is_float32(column.type) or types.is_float16(column.type)
    values = (None if value is None else np.float32(value) for value in _cells(column)) if single else _cells(column)
    return _words(values, missing)


def _words(values: Iterable[Any], missing: frozenset[str]) -> Texts:
    return texts(None if word in missing else word for word in map(as_text, values))


def read_xlsx(path: Path, missing: frozenset[str]) -> Read:
    """The first sheet; its first row is the header. Cells become words (`words.as_text`); empty cells are missing.

    Raises: TableError if openpyxl is not installed, or the file is no workbook.
    """
    try:
        import openpyxl
    except ImportError as error:
        mend = "pip install 'mmfuse[xlsx]', or save the sheet as CSV"
        raise TableError("xlsx needs openpyxl, which is not installed", "", mend, str(path)) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # the library raises many kinds for broken archives
        raise TableError(f"is no xlsx workbook: {error}", "xlsx", "save it again, or as CSV", str(path)) from error
    try:
        sheets = book.worksheets
        rows = [list(row) for row in sheets[0].iter_rows(values_only=True)] if sheets else []
        titles = [sheet.title for sheet in sheets]
    finally:
        book.close()
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise TableError(
            "its first sheet is empty", "a header and a row a case", "move the table to the first sheet", str(path)
        )
    width = max(max(i for i, cell in enumerate(row, 1) if cell is not None) for row in rows)
    cells = [(row + [None] * width)[:width] for row in rows]
    names = [as_text(cell) or "" for cell in cells[0]]
    check_names(names, str(path))
    columns = {name: _words([row[i] for row in cells[1:]], missing) for i, name in enumerate(names)}
    others = f"; not read: {named(titles[1:])}" if len(titles) > 1 else ""
    return columns, (f"xlsx, sheet '{titles[0]}'{others}",), "."


READERS: dict[str, Callable[[Path, frozenset[str]], Read]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".parquet": read_parquet,
    ".xlsx": read_xlsx,
}
"""Reader by suffix."""
