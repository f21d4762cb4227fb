"""Cases: a table seen through its card. Rows: what a modality may see of them, without labels and marked columns.

Every fault of table against card is found in one look and named by file, row and column (law 11). An empty label cell
is unknown (-1).
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.table import Table, Texts, canonical, numbers, read_table
from mmfuse.data.words import SHOWN, named
from mmfuse.data.workers import in_chunks
from mmfuse.errors import Faults, TableError, nearest
from mmfuse.labels import UNKNOWN, Label

if TYPE_CHECKING:
    from mmfuse.spec import Card

Index = Any
"""Whatever NumPy takes as an index of one axis: positions, a mask, a slice."""

SET_SIGN = ";"
"""Between the paths of one cell: several images of one case."""


class Rows:
    """What a Modality and a Reader see of some cases: no label columns, no columns that the card marks."""

    def __init__(self, ids: NDArray[np.str_], table: Table, root: Path, refused: Mapping[str, tuple[str, str]]) -> None:
        self.ids = ids
        """(n,) text."""
        self.root = root
        self._table = table
        self._refused = refused

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that may be read."""
        return tuple(name for name in self._table.names if name not in self._refused)

    def take(self, index: Index) -> Rows:
        """The rows at `index`."""
        table = self._table.take(index)
        return Rows(self.ids[index if len(table) else []], table, self.root, self._refused)

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
        return self._table[column]

    def categories(self, column: str) -> Texts:
        """(n,) object array of str | None in their one form (`canonical`): 1, 1.0 and "1" are the same."""
        decimal = self._table.decimal
        words = self.text(column)
        known = {word: None if word is None else canonical(word, decimal) for word in set(words)}
        out = np.empty(len(words), dtype=object)
        out[:] = [known[word] for word in words]
        return out

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(n,) float64, NaN where missing.

        Raises: TableError listing the words that are no numbers.
        """
        table = self._table
        return numbers(self.text(column), table.decimal, f"{table.source}, column {column}", table.rows)

    def paths(self, column: str) -> tuple[Path | None, ...]:
        """The absolute path in each cell, relative ones below the card's root; None where missing.

        Raises: TableError naming the rows whose path climbs out of the root.
        """
        cells = self.text(column)
        faults = Faults()
        check_paths(self._table, column, self.root, faults, self.ids)
        faults.raise_as(TableError)
        return tuple(None if cell is None else resolve(cell, self.root) for cell in cells)

    def several(self, columns: Sequence[str]) -> bool:
        """Whether a row may hold several paths: there are several columns, or a cell has a `;`."""
        return len(columns) != 1 or any(SET_SIGN in (cell or "") for cell in self.text(columns[0]))

    def apart(self, columns: Sequence[str]) -> tuple[Rows, NDArray[np.int64]]:
        """One row for each path in these columns (in a cell, `;` stands between several), where the other columns of
        them are empty; and (rows,) the position of the row that it comes from, ascending."""
        texts = {column: self.text(column) for column in columns}
        if not self.several(columns):
            here = np.flatnonzero([cell is not None for cell in texts[columns[0]]])
            return self.take(here), here
        cells = ((i, name, texts[name][i] or "") for i in range(len(self)) for name in texts)
        found = [(i, name, path.strip()) for i, name, cell in cells for path in cell.split(SET_SIGN) if path.strip()]
        of = np.array([i for i, _, _ in found], dtype=np.int64)
        alone = {name: [path if name == column else None for _, column, path in found] for name in texts}
        taken = self.take(of)
        return Rows(taken.ids, taken._table.with_columns(alone), self.root, self._refused), of

    def where(self, index: int, column: str = "") -> str:
        """`FILE, row N (id ID), column NAME`, for messages."""
        return _place(self._table, index, str(self.ids[index]), column)


class Cases:
    """A table seen through its card.

    With `labelled=False` label columns may be absent and are not looked at: all targets are -1 (new cases).

    Raises: TableError with all faults: missing columns, missing or repeated ids, unknown classes, inputs that the card
    refuses, paths that climb out of the root.
    """

    def __init__(self, table: Table, card: Card, folder: str | Path = Path(), *, labelled: bool = True) -> None:
        self.table = table
        self.card = card
        self.labels = card.label_set
        self.labelled = labelled
        self.root = Path(os.path.normpath(Path(folder).absolute() / card.cases.root))
        """Of relative paths; absolute."""
        faults = Faults()
        notes: list[str] = []
        if not len(table):
            faults.add(table.source, "holds no rows", "a row a case", "check that the right file is named")
        self.ids = _read_ids(table, card.cases.id, faults)
        """(n,) text, unique."""
        self.groups = _read_groups(table, card.cases.group, self.ids, faults, notes)
        """(n,) text; a case without a group is one by itself."""
        self.targets = np.full((len(table), len(self.labels)), UNKNOWN, dtype=np.int64)
        """(n, labels) class index, -1 unknown."""
        if labelled:
            for i, label in enumerate(self.labels):
                self.targets[:, i] = _read_targets(table, label, self.ids, faults)
        self._refused = _refusals(card)
        _check_inputs(self, faults)
        faults.raise_as(TableError)
        notes += _unmatched_marks(table, card) if labelled else []
        self.notes = (*table.notes, *notes)
        """What reading inferred and what the user should know."""

    @classmethod
    def load(cls, path: str | Path, card: Card, *, labelled: bool = True) -> Cases:
        """Reads the table at `path`; the card's root is relative to its folder."""
        return cls(read_table(path, card.cases.missing), card, Path(path).parent, labelled=labelled)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Index = None, columns: Iterable[str] | None = None) -> Rows:
        """What a modality may see of the cases at `index` (default: all), and only of `columns` where given."""
        refused = dict(self._refused)
        if columns is not None:
            kept = set(columns)
            reason = ("it is not among the columns that the modality says it reads", "name it in `columns`")
            refused |= {name: reason for name in self.table.names if name not in kept and name not in refused}
        rows = Rows(self.ids, self.table, self.root, refused)
        return rows if index is None else rows.take(index)

    def take(self, index: Index) -> Cases:
        """The cases at `index`."""
        taken = copy.copy(self)
        taken.table = self.table.take(index)
        index = index if len(taken.table) else []
        taken.ids, taken.groups, taken.targets = self.ids[index], self.groups[index], self.targets[index]
        return taken

    def where(self, index: int, column: str = "") -> str:
        """`FILE, row N (id ID), column NAME`, for messages."""
        return _place(self.table, index, str(self.ids[index]), column)


# ── paths ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def resolve(cell: str, root: Path) -> Path:
    """The path a cell means: absolute as it stands, else below `root`; there backslashes are slashes."""
    path = Path(cell)
    return path if path.is_absolute() else Path(os.path.normpath(root / cell.replace("\\", "/")))


def check_paths(table: Table, column: str, root: Path, faults: Faults, ids: NDArray[np.str_]) -> None:
    """Adds a fault for each of the first few cells whose relative path climbs out of `root`."""
    suspects = (i for i, cell in enumerate(table[column]) if cell is not None and ".." in cell)
    escapes = [i for i in suspects if _escapes(table[column][i], root)]
    for i in escapes[:SHOWN]:
        more = f" (and {len(escapes) - SHOWN} more rows)" if i == escapes[:SHOWN][-1] and len(escapes) > SHOWN else ""
        faults.add(
            _place(table, i, str(ids[i]), column),
            f"'{table[column][i]}' climbs out of the root{more}",
            f"a path below {root}, or an absolute one",
            "set `root` in [cases] to the folder that holds all files",
        )


def _escapes(cell: str, root: Path) -> bool:
    return not Path(cell).is_absolute() and not resolve(cell, root).is_relative_to(root)


# ── reading the card's columns ────────────────────────────────────────────────────────────────────────────────────────


def _place(table: Table, index: int, name: str, column: str) -> str:
    place = f"{table.source}, row {table.rows[index]} (id {name})"
    return f"{place}, column {column}" if column else place


def _no_column(table: Table, column: str, role: str, faults: Faults, mend: str = "") -> None:
    near = nearest(column, table.names)
    faults.add(
        table.source, f"no column '{column}', {role}", "a column of that name", f"{near}; {mend}" if mend else near
    )


def _read_ids(table: Table, column: str, faults: Faults) -> NDArray[np.str_]:
    fallback = table.rows.astype(np.str_)
    if column not in table:
        _no_column(table, column, "the id that the card names in [cases]", faults)
        return fallback
    words = table[column]
    where = f"{table.source}, column {column}"
    empty = [row for row, word in zip(table.rows, words, strict=True) if word is None]
    if empty:
        faults.add(where, f"no id in rows {named(empty)}", "an id in every row", "number the cases, or drop the rows")
    ids = _each(words, lambda i, word: str(table.rows[i]) if word is None else word)
    told = np.sort(ids[[word is not None for word in words]] if empty else ids)
    twice = told[1:][told[1:] == told[:-1]]
    if len(twice):
        repeated: dict[str, list[int]] = {}
        again = np.isin(ids, twice)
        for row, word in zip(table.rows[again], words[again], strict=True):
            if word is not None:
                repeated.setdefault(word, []).append(row)
        shown = [f"'{word}' in rows {named(rows)}" for word, rows in repeated.items()]
        more = f"; and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        faults.add(
            where,
            f"ids that are not unique: {'; '.join(shown[:SHOWN])}{more}",
            "one row a case",
            "name another column as `id`, or make one row of each case (a modality a column)",
        )
    return ids


def _read_groups(
    table: Table, column: str, ids: NDArray[np.str_], faults: Faults, notes: list[str]
) -> NDArray[np.str_]:
    if not column:
        return ids
    if column not in table:
        _no_column(table, column, "the group that the card names in [cases]", faults)
        return ids
    words = table[column]
    alone = sum(word is None for word in words)
    if alone:
        notes.append(f"column {column}: {alone} cases name no group; each is a group by itself")
    # The prefix keeps a lone case apart from a group that happens to be called like its id.
    return _each(words, lambda i, word: f"case {ids[i]}" if word is None else canonical(word, table.decimal))


def _each(words: Texts, form: Callable[[int, str | None], str]) -> NDArray[np.str_]:
    """(n,) the form of each word, given its place too; a chunk after the other."""
    parts = (range(part.start, part.stop) for part in in_chunks(len(words)))
    return np.concatenate([np.array([form(i, words[i]) for i in part], np.str_) for part in parts])


def _read_targets(table: Table, label: Label, ids: NDArray[np.str_], faults: Faults) -> NDArray[np.int64]:
    if label.column not in table:
        _no_column(table, label.column, f"of label '{label.name}'", faults, "or give the label its `column`")
        return np.full(len(table), UNKNOWN, dtype=np.int64)
    known: dict[str | None, int] = {canonical(name): i for i, name in enumerate(label.classes)}
    if len(known) < len(label.classes):
        found = f"classes of label '{label.name}' that are one: {', '.join(label.classes)}"
        faults.add("card, [labels]", found, "distinct classes (1, 1.0 and TRUE, true are one)", "drop one of them")
    words = table[label.column]
    decimal = table.decimal
    codes = {word: UNKNOWN if word is None else known.get(canonical(word, decimal), -2) for word in set(words)}
    counts = Counter(word for word in words if codes[word] == -2)
    for word, count in counts.most_common(SHOWN):
        first = next(i for i, other in enumerate(words) if other == word)
        faults.add(
            _place(table, first, str(ids[first]), label.column),
            f"'{word}' is no class of label '{label.name}'" + (f" ({count} rows)" if count > 1 else ""),
            f"one of {', '.join(label.classes)}",
            f"{nearest(word, label.classes)}; else add the class to the card, or the word to `missing`",
        )
    if len(counts) > SHOWN:
        rest = sum(counts.values()) - sum(count for _, count in counts.most_common(SHOWN))
        found = f"{len(counts) - SHOWN} more words in {rest} rows are no classes of label '{label.name}'"
        faults.add(f"{table.source}, column {label.column}", found, f"one of {', '.join(label.classes)}")
    return np.fromiter((codes[word] for word in words), np.int64, len(words))


def _refusals(card: Card) -> dict[str, tuple[str, str]]:
    """{column: (why it cannot be an input, the mend)}."""
    refused = {
        name: (
            f"the card says it became known '{line.known}'",
            f'leave it out, or allow it by name: [columns] {name} = {{ known = "{line.known}", allow = true }}',
        )
        for name, line in card.columns.items()
        if line.marked
    }
    for label in card.label_set:
        refused[label.column] = (f"it is the column of label '{label.name}'", "take it out of the modality's columns")
    return refused


def _check_inputs(cases: Cases, faults: Faults) -> None:
    table = cases.table
    for name, modality in cases.card.modalities.items():
        for column in modality.columns:
            if column in cases._refused:
                reason, mend = cases._refused[column]
                where = f"{table.source}, column {column}"
                faults.add(
                    where, f"cannot be an input of modality '{name}': {reason}", "a column known beforehand", mend
                )
            elif column not in table:
                mend = "or add an empty one: its cells are absent"
                _no_column(table, column, f"which modality '{name}' reads", faults, mend)
            elif modality.is_image:
                check_paths(table, column, cases.root, faults, cases.ids)


def _unmatched_marks(table: Table, card: Card) -> list[str]:
    absent = [name for name in card.columns if name not in table]
    if not absent:
        return []
    near = nearest(absent[0], table.names) if len(absent) == 1 else "right, if they were taken out of it"
    return [f"[columns] marks what the table does not have: {named(absent)}; {near}"]
