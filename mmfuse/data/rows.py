"""Rows: what a modality may see of some cases, without labels and columns that the card marks."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import Index, picked, positions
from mmfuse.data.spelling import mapped
from mmfuse.data.table import Table, Texts, canonical, numbers
from mmfuse.data.words import SHOWN, texts
from mmfuse.errors import Faults, TableError, nearest
from mmfuse.labels import Ints

SET_SIGN = ";"
"""Between the paths of one cell: several images of one case."""


class Rows:
    """What a Modality and a Reader see of some cases: no label columns, no columns that the card marks."""

    def __init__(
        self,
        ids: NDArray[np.str_],
        table: Table,
        root: Path,
        refused: Mapping[str, tuple[str, str]],
        at: Ints | None = None,
        values: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        self.ids = ids
        """(n,) text."""
        self.root = root
        self._table, self._at = table, at  # of which rows of it these are; None: all of them
        self._refused = refused
        self._values = values  # of [columns]; whole cells are replaced already

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that may be read."""
        return tuple(name for name in self._table.names if name not in self._refused)

    def take(self, index: Index) -> Rows:
        """The rows at `index`."""
        at = positions(index, len(self))
        ids = picked(self.ids, at)
        of = at if self._at is None else self._at[at]
        return Rows(ids, self._table, self.root, self._refused, of, self._values)

    def text(self, column: str) -> Texts:
        """(n,) object array of str | None, as the table has them.

        Raises: TableError if there is no such column, or it is a label or marked by the card.
        """
        if column in self._refused and column in self._table:
            reason, mend = self._refused[column]
            where = f"{self._table.source}, column {column}"
            raise TableError(f"cannot be an input: {reason}", "a column known beforehand", mend, where)
        if column not in self._table:
            raise TableError(
                f"no column '{column}'", "one of its columns", nearest(column, self.columns), self._table.source
            )
        return self._of(column)[column]

    def categories(self, column: str) -> Texts:
        """(n,) object array of str | None in their one form (`canonical`): 1, 1.0 and "1" are the same."""
        decimal = self._table.decimal
        words = self.text(column)
        known = {word: None if word is None else canonical(word, decimal) for word in set(words)}
        out = np.empty(len(words), dtype=object)
        out[:] = [known[word] for word in words]
        return out

    def sets(self, column: str, sign: str) -> list[set[str]]:
        """(n,) the categories of each cell, between which `sign` stands, in their one form; missing cells have none."""
        values, decimal = self._values.get(column, {}), self._table.decimal

        def pieces(cell: str) -> set[str]:
            words = texts(piece.strip() for piece in cell.split(sign) if piece.strip())
            meant = mapped(words, values, ("",), decimal) if values else words
            return {canonical(word, decimal) for word in meant if word is not None}

        cells = self.text(column)
        known = {cell: set() if cell is None else pieces(cell) for cell in set(cells)}
        return [known[cell] for cell in cells]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(n,) float64, NaN where missing.

        Raises: TableError listing the words that are no numbers.
        """
        words, table = self.text(column), self._table
        return numbers(words, table.decimal, f"{table.source}, column {column}", self._of().rows)

    def paths(self, column: str) -> tuple[Path | None, ...]:
        """The absolute path in each cell, relative ones below the card's root; None where missing.

        Raises: TableError naming the rows whose path climbs out of the root.
        """
        cells = self.text(column)
        faults = Faults()
        check_paths(self._of(column), column, self.root, faults, self.ids)
        faults.raise_as(TableError)
        return tuple(None if cell is None else resolve(cell, self.root) for cell in cells)

    def path(self, cell: str) -> Path:
        """The path that a text means, as a cell of paths would."""
        return resolve(cell, self.root)

    def several(self, columns: Sequence[str]) -> bool:
        """Whether a row may hold several paths: there are several columns, or a cell has a `;` that is not part of a
        file's name."""
        return len(columns) != 1 or any(
            SET_SIGN in (cell or "") and split_paths(cell, self.root) != [cell] for cell in self.text(columns[0])
        )

    def apart(self, columns: Sequence[str]) -> tuple[Rows, NDArray[np.int64]]:
        """One row for each path in these columns (in a cell, `;` stands between several, unless a file has it in its
        name), where the other columns of them are empty; and (rows,) the position of the row that it comes from,
        ascending."""
        texts = {column: self.text(column) for column in columns}
        if not self.several(columns):
            here = np.flatnonzero([cell is not None for cell in texts[columns[0]]])
            return self.take(here), here
        cells = ((i, name, texts[name][i] or "") for i in range(len(self)) for name in texts)
        found = [(i, name, path) for i, name, cell in cells for path in split_paths(cell, self.root)]
        of = np.array([i for i, _, _ in found], dtype=np.int64)
        alone = {name: [path if name == column else None for _, column, path in found] for name in texts}
        taken = self.take(of)
        return Rows(taken.ids, taken._of(*self._table.names).with_columns(alone), self.root, self._refused), of

    def where(self, index: int, column: str = "") -> str:
        """`FILE, row N (id ID), column NAME`, for messages."""
        return place(self._table, index if self._at is None else int(self._at[index]), str(self.ids[index]), column)

    def _of(self, *columns: str) -> Table:
        """These columns at these rows. Of a wide table the others are not copied."""
        whole = self._table
        narrow = Table({name: whole[name] for name in columns}, (), whole.decimal, whole.source, whole.rows)
        return narrow if self._at is None else narrow.take(self._at)


# ── paths and places ──────────────────────────────────────────────────────────────────────────────────────────────────


def resolve(cell: str, root: Path) -> Path:
    """The path a cell means: absolute as it stands, else below `root`; there backslashes are slashes. Signs that may be
    spelt in two ways are spelt as the disk does."""
    path = Path(cell)
    path = path if path.is_absolute() else Path(os.path.normpath(root / cell.replace("\\", "/")))
    return path if cell.isascii() else as_spelt(path)


def as_spelt(path: Path) -> Path:
    """An absolute path with each name as the disk spells it: `ü` may be one sign there (NFC) or two (NFD)."""
    if str(path).isascii() or _exists(path):
        return path
    found = Path(path.anchor)
    for name in path.parts[1:]:
        spelt = (found / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        found = next((one for one in (found / name, *spelt) if _exists(one)), found / name)
    return found


def split_paths(cell: str, root: Path) -> list[str]:
    """The paths of one cell: what stands between its `;`, put together again where that is the name of a file."""
    pieces = cell.split(SET_SIGN)
    found: list[str] = []
    while pieces:
        taken = 1 if _is_file(pieces[0].strip(), root) else _together(pieces, root)
        found.append(SET_SIGN.join(pieces[:taken]).strip())
        pieces = pieces[taken:]
    return [path for path in found if path]


def _together(pieces: Sequence[str], root: Path) -> int:
    """How many of the first pieces are the name of one file; 1 where none are."""
    many = range(2, len(pieces) + 1)
    return next((n for n in many if _is_file(SET_SIGN.join(pieces[:n]).strip(), root)), 1)


def _is_file(cell: str, root: Path) -> bool:
    try:
        return bool(cell) and resolve(cell, root).is_file()
    except (OSError, ValueError):
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a path that the system cannot even name
        return False


def check_paths(table: Table, column: str, root: Path, faults: Faults, ids: NDArray[np.str_]) -> None:
    """Adds a fault for each of the first few cells whose relative path climbs out of `root`."""
    suspects = (i for i, cell in enumerate(table[column]) if cell is not None and ".." in cell)
    escapes = [i for i in suspects if _escapes(table[column][i], root)]
    for i in escapes[:SHOWN]:
        more = f" (and {len(escapes) - SHOWN} more rows)" if i == escapes[:SHOWN][-1] and len(escapes) > SHOWN else ""
        faults.add(
            place(table, i, str(ids[i]), column),
            f"'{table[column][i]}' climbs out of the root{more}",
            f"a path below {root}, or an absolute one",
            "set `root` in [cases] to the folder that holds all files",
        )


def _escapes(cell: str, root: Path) -> bool:
    return not Path(cell).is_absolute() and not resolve(cell, root).is_relative_to(root)


def place(table: Table, index: int, name: str, column: str) -> str:
    """`FILE, row N (id ID), column NAME`."""
    found = f"{table.source}, row {table.rows[index]} (id {name})"
    return f"{found}, column {column}" if column else found
