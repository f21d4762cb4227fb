"""What every adapter asks of a released table: that it has the columns of the official layout, all faults at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmfuse import Faults, Table, TableError, nearest, read_table


def read_columns(path: Path, columns: Sequence[str]) -> Table:
    """The table at `path`.

    Raises: TableError naming each of `columns` that it lacks.
    """
    table, faults = read_table(path), Faults()
    for column in columns:
        if column not in table.names:
            expected = f"columns {', '.join(columns)}"
            faults.add(str(path), f"no column '{column}'", expected, nearest(column, table.names))
    faults.raise_as(TableError)
    return table
