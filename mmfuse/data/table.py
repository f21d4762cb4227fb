"""A table is columns of text; None is a missing cell. No table needs pandas, so that `check` starts fast.

Reading infers (separator, encoding, decimal comma) and shows what it inferred in `notes`; it never guesses at ids,
classes or what is missing. Rows are counted as a spreadsheet counts them: the header is row 1.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import positions
from mmfuse.data.disk import whole_file
from mmfuse.data.reading import READERS
from mmfuse.data.words import Texts, as_text, canonical, check_names, number, numbers, texts
from mmfuse.errors import TableError, nearest

__all__ = ["FIRST_ROW", "Table", "Texts", "canonical", "number", "numbers", "read_table"]

FIRST_ROW = 2
"""Row number of the first case: the header is row 1."""


@runtime_checkable
class _Frame(Protocol):
    """What tells a pandas DataFrame without importing pandas."""

    columns: Any
    iloc: Any
    dtypes: Any


class Table:
    """Columns of text: {name: (n,) object array of str | None}. Never changed; every method gives a new one."""

    def __init__(
        self,
        columns: Mapping[str, Texts],
        notes: Iterable[str] = (),
        decimal: str = ".",
        source: str = "table",
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.columns: dict[str, Texts] = dict(columns)
        self.notes = tuple(notes)
        """What reading inferred."""
        self.decimal = decimal
        self.source = source
        """The file, for messages."""
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise TableError(f"columns of unequal length: {lengths}", "one cell a row in each column", "", source)
        size = next(iter(lengths.values()), 0)
        self.rows = np.arange(FIRST_ROW, size + FIRST_ROW, dtype=np.int64) if rows is None else rows
        """(n,) row numbers in the file, for messages."""

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Iterable[Any]],
        missing: Sequence[str] = ("",),
        source: str = "table",
        decimal: str = ".",
    ) -> Self:
        """A table of values of any kind; None, NaN and the words in `missing` become None."""
        absent = set(missing)
        words = {
            as_text(str(name)) or "": _words(values, f"{source}, column {name}") for name, values in columns.items()
        }
        kept = {name: texts(None if word in absent else word for word in column) for name, column in words.items()}
        return cls(kept, source=source, decimal=decimal)

    @classmethod
    def from_frame(cls, frame: Any, missing: Sequence[str] = ("",)) -> Self:  # noqa: ANN401  # a pandas frame, never imported
        """A table of a pandas frame's columns (its index is left out); missing values (None, NaN, NaT, NA) become None.

        Raises: TableError if two columns have one name.
        """
        names = [as_text(str(name)) or "" for name in frame.columns]
        check_names(names, "frame")
        columns: dict[str, list[Any]] = {}
        for position, name in enumerate(names):
            series = frame.iloc[:, position]
            columns[name] = [
                None if absent else value for value, absent in zip(series.tolist(), series.isna().tolist(), strict=True)
            ]
        return cls.of(columns, missing, source="frame")

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Texts:
        if name not in self.columns:
            raise TableError(f"no column '{name}'", "one of its columns", nearest(name, self.columns), self.source)
        return self.columns[name]

    def __repr__(self) -> str:
        return f"Table({self.source!r}, {len(self)} rows, columns {list(self.columns)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in order."""
        return tuple(self.columns)

    def where(self, index: int, column: str = "") -> str:
        """`FILE, row N, column NAME`, for messages; `index` counts from 0."""
        place = f"{self.source}, row {self.rows[index]}"
        return f"{place}, column {column}" if column else place

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(n,) float64, NaN where missing.

        Raises: TableError listing the words that are no numbers.
        """
        return numbers(self[column], self.decimal, f"{self.source}, column {column}", self.rows)

    def take(self, index: Any) -> Table:  # noqa: ANN401  # whatever NumPy takes as an index of one axis
        """The rows at `index` (positions, a mask or a slice)."""
        index = positions(index, len(self))
        columns = {name: column[index] for name, column in self.columns.items()}
        return Table(columns, self.notes, self.decimal, self.source, self.rows[index])

    def with_columns(self, columns: Mapping[str, Iterable[Any]]) -> Table:
        """The table with further columns, or others in the place of those of the same name."""
        added = {name: texts(as_text(value) for value in values) for name, values in columns.items()}
        rows = self.rows if self.columns else None
        return Table({**self.columns, **added}, self.notes, self.decimal, self.source, rows)

    def write(self, path: str | Path, numeric: Iterable[str] = (), about: Mapping[str, str] | None = None) -> None:
        """Writes CSV (UTF-8; None is the empty cell) or Parquet, by suffix; the file appears whole or not at all.

        In Parquet the columns `numeric` are stored as numbers (float64, null where missing), the others as text, and
        `about` is the file's metadata, for which CSV has no place.

        Raises: TableError for another suffix, or a numeric column that holds other words; OSError where the disk
        refuses.
        """
        path = Path(path)
        write = _WRITERS.get(path.suffix.lower())
        if write is None:
            raise TableError(
                f"cannot write '{path.suffix}'", f"one of {', '.join(_WRITERS)}", "give the file such a name", str(path)
            )
        with whole_file(path) as scratch:
            write(self, scratch, frozenset(numeric), about or {})


def as_table(given: Any, missing: Sequence[str] = ("",)) -> Table:  # noqa: ANN401  # whatever a user hands over
    """Return a `Table` as it is, or one made of a pandas DataFrame; `missing` are the words for missing in a frame.

    Raises: TableError for anything else.
    """
    if isinstance(given, Table):
        return given
    if isinstance(given, _Frame) and not isinstance(given, type):
        return Table.from_frame(given, missing)
    if isinstance(given, str | Path):
        mend = "mmfuse.read_table(PATH), or mmfuse.Cases.load(PATH, card)"
        raise TableError("is a path, not a table", "a Table or a pandas DataFrame", mend, str(given))
    mend = "mmfuse.Table.of({column: cells}), or pandas.DataFrame(…); a frame of another library: its to_pandas()"
    raise TableError(f"is a {type(given).__name__}, not a table", "a Table or a pandas DataFrame", mend)


def read_table(path: str | Path, missing: Sequence[str] = ("",)) -> Table:
    """Reads CSV (TSV, TXT), Parquet or xlsx by suffix. All cells are stripped text; words in `missing` become None.

    Raises: TableError if the file is not there, is no such table, has ragged rows, or nameless or equal columns.
    """
    path = Path(path)
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise TableError(
            f"unknown kind of table '{path.suffix}'",
            f"one of {', '.join(READERS)}",
            "save it as one of these",
            str(path),
        )
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        mend = nearest(path.name, [p.name for p in path.parent.glob("*") if p.suffix.lower() in READERS])
        raise TableError(found, "a table of cases", mend, str(path))
    held = read(path, frozenset(missing))
    return Table(held.columns, held.notes, held.decimal, str(path), held.rows)


def _words(values: Iterable[Any], where: str) -> list[str | None]:
    try:
        return [as_text(value) for value in values]
    except TableError as error:
        raise TableError(replace(fault, where=where) for fault in error.faults) from error


def _write_csv(table: Table, path: Path, numeric: frozenset[str], about: Mapping[str, str]) -> None:
    # Between decimal commas a comma would only be told apart by quotes.
    separator = ";" if table.decimal == "," else ","
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerow(table.names)
        writer.writerows(zip(*table.columns.values(), strict=True))


def _write_parquet(table: Table, path: Path, numeric: frozenset[str], about: Mapping[str, str]) -> None:
    import pyarrow
    from pyarrow import parquet

    arrays = {
        name: pyarrow.array(table.numbers(name), pyarrow.float64(), from_pandas=True)
        if name in numeric
        else pyarrow.array(column.tolist(), pyarrow.string())
        for name, column in table.columns.items()
    }
    meta = {"mmfuse.decimal": table.decimal, **about}
    parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(meta), path, write_page_checksum=True)


_WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}
