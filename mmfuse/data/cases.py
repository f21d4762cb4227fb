"""Cases: a table seen through its card.

Every fault of table against card is found in one look and named by file, row and column (law 11). An empty label cell
is unknown (-1).
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import Index, picked, positions, room
from mmfuse.data.rows import Rows, as_spelt, check_paths, place
from mmfuse.data.spelling import but_for_case, mapped, value_map
from mmfuse.data.table import Table, Texts, as_table, canonical, read_table
from mmfuse.data.words import SHOWN, named
from mmfuse.data.workers import in_chunks
from mmfuse.errors import Faults, TableError, nearest
from mmfuse.labels import UNKNOWN, Label
from mmfuse.summaries import Summarized, counted

if TYPE_CHECKING:
    from mmfuse.card import Card


class Cases(Summarized):
    """A table seen through its card. `table` is a `Table` or a pandas DataFrame.

    With `labelled=False` the columns of labels and group may be absent, and labels are not looked at: all targets are
    -1 (new cases).

    Raises: TableError with all faults: missing columns, missing or repeated ids, unknown classes, inputs that the card
    refuses, paths that climb out of the root.
    """

    def __init__(
        self,
        table: Table | Any,  # noqa: ANN401  # a pandas frame, never imported
        card: Card,
        folder: str | Path = Path(),
        *,
        labelled: bool = True,
    ) -> None:
        self.table = table = _meant(as_table(table, card.cases.missing), card)
        """With words as the card's `values` say."""
        self.card = card
        self.labels = card.label_set
        self.labelled = labelled
        self.root = as_spelt(Path(os.path.normpath(Path(folder).absolute() / card.cases.root)))
        """Of relative paths; absolute."""
        faults = Faults()
        notes: list[str] = []
        if not len(table):
            faults.add(table.source, "holds no rows", "a row a case", "check that the right file is named")
        self.ids = _read_ids(table, card.cases.id, faults)
        """(n,) text, unique."""
        group = card.cases.group if labelled or card.cases.group in table else ""  # nothing is learnt of new cases
        self.groups = _read_groups(table, group, self.ids, faults, notes)
        """(n,) text; a case without a group is one by itself."""
        self.targets = room((len(table), len(self.labels)), np.int64, UNKNOWN)
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

    def summary(self) -> dict[str, str]:
        """Return what stands here, without a cell."""
        labels = [f"{label.name} ({len(label.classes)} classes)" for label in self.labels]
        return {
            "table": self.table.source,
            "cases": counted(len(self), self.card.cases.case_is),
            "groups": str(len(np.unique(self.groups))) if self.card.cases.group else "each case by itself",
            "labels": ", ".join(labels) if self.labelled else "not read",
            "modalities": ", ".join(self.card.modalities) or "none",
        }

    def rows(self, index: Index = None, columns: Iterable[str] | None = None) -> Rows:
        """What a modality may see of the cases at `index` (default: all), and only of `columns` where given."""
        refused = dict(self._refused)
        if columns is not None:
            kept = set(columns)
            reason = ("it is not among the columns that the modality says it reads", "name it in `columns`")
            refused |= {name: reason for name in self.table.names if name not in kept and name not in refused}
        values = {name: line.values for name, line in self.card.columns.items()}
        rows = Rows(self.ids, self.table, self.root, refused, values=values)
        return rows if index is None else rows.take(index)

    def take(self, index: Index) -> Cases:
        """The cases at `index`."""
        taken, index = copy.copy(self), positions(index, len(self))
        taken.table = self.table.take(index)
        taken.ids, taken.groups = picked(self.ids, index), picked(self.groups, index)
        taken.targets = picked(self.targets, index)
        return taken

    def where(self, index: int, column: str = "") -> str:
        """`FILE, row N (id ID), column NAME`, for messages."""
        return place(self.table, index, str(self.ids[index]), column)


def as_cases(given: Cases | Table | Any, card: Card, *, labelled: bool) -> Cases:  # noqa: ANN401  # a pandas frame
    """Return cases as they are, or a table or pandas DataFrame seen through `card`, with paths from the working folder.

    Raises: TableError for anything else, and what `Cases` refuses.
    """
    return given if isinstance(given, Cases) else Cases(given, card, labelled=labelled)


def _meant(table: Table, card: Card) -> Table:
    """The table with the words that `values` of [columns] replaces."""
    lines = {name: line.values for name, line in card.columns.items() if line.values and name in table}
    if not lines:
        return table
    missing, decimal = card.cases.missing, table.decimal
    return table.with_columns({name: mapped(table[name], values, missing, decimal) for name, values in lines.items()})


# ── reading the card's columns ────────────────────────────────────────────────────────────────────────────────────────


def _no_column(table: Table, column: str, role: str, faults: Faults, mend: str = "") -> None:
    near = nearest(column, table.names)
    faults.add(
        table.source, f"no column '{column}', {role}", "a column of that name", f"{near}; {mend}" if mend else near
    )


def _read_ids(table: Table, column: str, faults: Faults) -> NDArray[np.str_]:
    if column not in table:
        _no_column(table, column, "the id that the card names in [cases]", faults)
        return table.rows.astype(np.str_)
    words = table[column]
    where = f"{table.source}, column {column}"
    has_id = np.fromiter((word is not None for word in words), bool, len(words))
    if not has_id.all():
        rows = named(table.rows[~has_id])
        faults.add(where, f"no id in rows {rows}", "an id in every row", "number the cases, or drop the rows")
    ids = _each(words, lambda i, word: str(table.rows[i]) if word is None else word)
    told = picked(ids, has_id)
    told.sort()
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
    found = room(len(words), "U1")
    for part in in_chunks(len(words)):
        some = np.array([form(i, word) for i, word in enumerate(words[part], part.start)], np.str_)
        if some.dtype.itemsize > found.dtype.itemsize:
            narrow, found = found, room(len(words), some.dtype)
            found[: part.start] = narrow[: part.start]
        found[part] = some
    return found


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
            place(table, first, str(ids[first]), label.column),
            f"'{word}' is no class of label '{label.name}'" + (f" ({count} rows)" if count > 1 else ""),
            f"one of {', '.join(label.classes)}",
            _mend_of_class(word, label),
        )
    if len(counts) > SHOWN:
        rest = sum(counts.values()) - sum(count for _, count in counts.most_common(SHOWN))
        found = f"{len(counts) - SHOWN} more words in {rest} rows are no classes of label '{label.name}'"
        faults.add(f"{table.source}, column {label.column}", found, f"one of {', '.join(label.classes)}")
    return np.fromiter((codes[word] for word in words), np.int64, len(words))


def _mend_of_class(word: str, label: Label) -> str:
    same = but_for_case(word, label.classes)
    if same:
        return f"the same word as '{same}' but for case: {value_map(label.column, {word: same})} in the card"
    return f"{nearest(word, label.classes)}; else add the class to the card, or the word to `missing`"


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
