"""Parquet → columns of text, and the one way a Parquet file is opened: checksums of pages are verified where the file
has them, and nothing unpacks to more than the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.limits import (
    BYTES,
    CELL,
    Read,
    as_table_error,
    refuse_bytes,
    refuse_cell,
    refuse_size,
    runs,
    without_empty_rows,
)
from mmfuse.data.words import Texts, as_text, check_names, texts
from mmfuse.data.workers import in_chunks
from mmfuse.errors import TableError

if TYPE_CHECKING:
    from pyarrow import ChunkedArray
    from pyarrow import DataType as Kind
    from pyarrow import Table as ArrowTable
    from pyarrow.parquet import ParquetFile

_MEND = "write it again"


def read_parquet(path: Path, missing: frozenset[str]) -> Read:
    """Numbers, dates and booleans become words (`words.as_text`), bytes the text that they are in UTF-8; null and NaN
    are missing.

    Raises: TableError if the file is no sound Parquet or larger than is read, or a column holds lists, structures or
    bytes that are no text.
    """
    with as_table_error(path, "Parquet file", _MEND):
        file = open_parquet(path)
        names = [as_text(name) or "" for name in file.schema_arrow.names]
        check_names(names, str(path))
        for name, kind in zip(names, file.schema_arrow.types, strict=True):
            if _is_nested(kind):
                found = f"column '{name}' holds {kind}"
                raise TableError(found, "one value a cell", "write its parts into columns of their own", str(path))
        table = file.read()
        columns = {
            name: _column(path, name, column, missing) for name, column in zip(names, table.columns, strict=True)
        }
        kept = without_empty_rows(columns, None, lambda rows: _is_empty(table, rows))
        meta = table.schema.metadata or {}
        decimal = "," if meta.get(b"mmfuse.decimal") == b"," else "."
        return kept._replace(notes=("Parquet", *kept.notes), decimal=decimal)


def _is_empty(table: ArrowTable, places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(n,) whether no cell of the rows at `places` (n,) holds anything; a word for missing is something."""
    empty = np.ones(len(places), bool)
    for column in table.columns:
        cells = (value for start, length in runs(places) for value in column.slice(start, length).to_pylist())
        empty &= np.fromiter((not as_text(value) for value in cells), bool, len(places))
    return empty


def open_parquet(path: str | Path) -> ParquetFile:
    """Open a Parquet file, as pyarrow's, of which the footer alone is read; checksums of pages are verified later.

    Raises: TableError for more cells or bytes than are read; OSError or ArrowException for what is no Parquet.
    """
    from pyarrow import parquet

    path = Path(path)
    file = parquet.ParquetFile(path, page_checksum_verification=True)
    about = file.metadata  # its columns are not looked at: Arrow ends the process over some that are broken
    refuse_size(path, about.num_rows, about.num_columns)
    sizes = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
    refuse_bytes(path, sum(max(size, 0) for size in sizes), BYTES)
    # Words that recur stay what they are in the file, numbers into a dictionary: written out they may take any size.
    columns = [file.schema.column(i) for i in range(about.num_columns)]
    coded = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    return parquet.ParquetFile(path, page_checksum_verification=True, read_dictionary=coded) if coded else file


def _is_nested(kind: Kind) -> bool:
    from pyarrow import types

    return types.is_nested(kind) or (types.is_dictionary(kind) and types.is_nested(kind.value_type))


def _column(path: Path, name: str, column: ChunkedArray, missing: frozenset[str]) -> Texts:
    """(n,) words. Raises: TableError for bytes that are no text, and cells that are too long."""
    from pyarrow import types

    def checked(value: Any) -> str | None:  # noqa: ANN401  # whatever a cell holds
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                raise refuse_cell(path, name, f"bytes that are no text in UTF-8 ({value[:8]!r} …)") from error
        word = as_text(value)
        if word is not None and (len(word) > CELL or "\0" in word):
            raise refuse_cell(path, name, *(["a cell with NUL"] if "\0" in word else []))
        return None if word in missing else word

    if types.is_dictionary(column.type):
        return texts(_coded(column, checked))
    return texts(map(checked, _values(column)))


def _coded(column: ChunkedArray, word: Callable[[Any], str | None]) -> Iterator[str | None]:
    """The word of each cell; each entry of a dictionary is looked at once."""
    held: tuple[Any, list[str | None]] = (None, [])
    for chunk in column.chunks:
        if held[0] is None or not chunk.dictionary.equals(held[0]):
            held = chunk.dictionary, [word(value) for value in chunk.dictionary.to_pylist()]
        for part in in_chunks(len(chunk)):
            for index in chunk.indices.slice(part.start, part.stop - part.start).to_pylist():
                yield None if index is None else held[1][index]


def _values(column: ChunkedArray) -> Iterator[Any]:
    import pyarrow
    from pyarrow import types

    kind = column.type
    if (types.is_timestamp(kind) or types.is_duration(kind)) and kind.unit == "ns":
        with suppress(pyarrow.ArrowInvalid):  # Python counts microseconds; what is finer stays as it is
            column = column.cast(
                pyarrow.timestamp("us", kind.tz) if types.is_timestamp(kind) else pyarrow.duration("us")
            )
    # A float32's own shortest digits (0.1), not those of its double (0.10000000149…).
    single = types.is_float32(kind) or types.is_float16(kind)
    for part in in_chunks(len(column)):
        cells = column.slice(part.start, part.stop - part.start).to_pylist()
        yield from (None if value is None else np.float32(value) for value in cells) if single else cells
