"""What a reader of tables gives, and the limits that CSV, Parquet and xlsx share: a broken or hostile file is
refused by name, within seconds and little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.words import Texts, named
from mmfuse.errors import MmfuseError, TableError

CELL = 2**17
"""Characters of one cell at most."""
COLUMNS = 2**17
"""Columns at most."""
CELLS = 10**8
"""Rows times columns at most."""
BYTES = 2**31
"""Of a CSV file; of the columns of a Parquet file, unpacked."""


class Read(NamedTuple):
    """What a file of a table holds."""

    columns: dict[str, Texts]
    notes: tuple[str, ...]
    """What was inferred."""
    decimal: str
    """Decimal sign."""
    rows: NDArray[np.int64] | None = None
    """(n,) row number of each case as a spreadsheet counts; None: 2, 3, 4 …"""


def refuse_size(path: Path, rows: int, columns: int) -> None:
    """Raises: TableError for a table of more columns or cells than are read."""
    if columns > COLUMNS:
        found = f"{columns:,} columns"
        raise TableError(found, f"at most {COLUMNS:,}", "keep long vectors in a file of their own", str(path))
    if rows * columns > CELLS:
        found = f"{rows:,} rows of {columns:,} columns"
        raise TableError(found, f"at most {CELLS:,} cells", "leave out columns, or make several tables", str(path))


def refuse_cell(path: Path, column: str, found: str = f"a cell of more than {CELL:,} characters") -> TableError:
    """The refusal of a column with a cell that is none."""
    expected = f"text of at most {CELL:,} characters without NUL"
    return TableError(found, expected, "mend the cell, or leave the column out", f"{path}, column {column}")


def refuse_bytes(path: Path, size: int, limit: int) -> None:
    """Raises: TableError for more bytes than are read."""
    if size > limit:
        found = f"{size / 2**20:,.0f} MiB"
        raise TableError(found, f"at most {limit / 2**20:,.0f} MiB", "leave out columns or rows", str(path))


def left_out(empty: list[int]) -> tuple[str, ...]:
    """The note on columns that have neither name nor content, numbered from 1."""
    return (f"columns without name and content are left out: number {named(empty)}",) if empty else ()


def without_empty_rows(
    columns: dict[str, Texts], rows: NDArray[np.int64] | None, is_empty: Callable[[NDArray[np.intp]], NDArray[np.bool_]]
) -> Read:
    """Leave out the rows whose cells are all empty, and tell which; `rows` (n,) numbers them, 2, 3, 4 … where None.

    Words for missing are None in `columns` too, so `is_empty` is asked of rows (k,) of None alone which of them are.
    """
    size = len(next(iter(columns.values()), ()))
    absent = np.ones(size, bool)
    for cells in columns.values():
        absent &= np.equal(cells, None)  # type: ignore[call-overload]  # of objects it takes any
        if not absent.any():
            return Read(columns, (), ".", rows)
    empty = np.flatnonzero(absent)
    empty = empty[is_empty(empty)]
    if not len(empty):
        return Read(columns, (), ".", rows)
    numbers = np.arange(2, size + 2, dtype=np.int64) if rows is None else rows
    kept = {name: np.delete(cells, empty) for name, cells in columns.items()}
    return Read(kept, empty_rows(numbers[empty].tolist()), ".", np.delete(numbers, empty))


def runs(places: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """The start and the length of each run of places (n,) that follow one another."""
    for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
        if len(run):
            yield int(run[0]), len(run)


def empty_rows(numbers: Sequence[int]) -> tuple[str, ...]:
    """The note on rows without any content, by their numbers."""
    if not numbers:
        return ()
    several = len(numbers) > 1
    told = f"{len(numbers):,} rows of empty cells are" if several else "1 row of empty cells is"
    return (f"{told} left out: row{'s' if several else ''} {named(numbers)}",)


@contextmanager
def as_table_error(path: Path, kind: str, mend: str) -> Iterator[None]:
    """Turns whatever a library raises over the content of a file into a TableError; `kind` is what the file is not.

    Raises: TableError; errors of mmfuse as they are.
    """
    try:
        yield
    except MmfuseError:
        raise
    except Exception as error:  # libraries raise many kinds for broken files
        if isinstance(error, OSError) and error.errno is not None and error.filename:
            raise  # the disk refuses, not the content
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TableError(f"is no sound {kind}: {reason}", f"a whole {kind}", mend, str(path)) from error
