"""Predictions that were made elsewhere, by another tool or by people, as scores of the same cases.

Whatever is wrong with them is named, all at once, and nothing wrong becomes a number. A row of empty cells is an
abstention; a case that is not spoken about at all is a fault.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.data.formulas import unguarded
from mmfuse.data.spelling import but_for_case, mapped
from mmfuse.data.table import Table, canonical, read_table
from mmfuse.data.words import listed, named
from mmfuse.decide.scores import ScoreTable, log_scores
from mmfuse.errors import Faults, SpecError, TableError, nearest
from mmfuse.formats.npz_files import Npz
from mmfuse.labels import Floats, Label
from mmfuse.metrics.answers import SIDES
from mmfuse.naming import ID_WORDS, name_faults

SUMS = 1e-3
"""How far from one the probabilities of a label may sum: six digits are enough, percent are not."""

CELLS = 10_000_000
"""So many cells at most in an npz of predictions."""

CLASSES_ONLY = ("accuracy", "balanced-accuracy", "macro-f1", *SIDES)
"""The metrics of predictions that are classes without probabilities."""


def read_outside(path: str | Path, name: str, cases: Cases, held: NDArray[np.str_]) -> tuple[ScoreTable, bool]:
    """Scores of all cases (NaN where nothing was said) with the one source `name`, and whether they are classes alone.

    A table (CSV, Parquet) or npz of `id` (or the card's id column) and, for each label, `label:class` probabilities,
    or `label` with the class. `held` are the ids of the test cases, all of which must stand in it.

    Raises: TableError with every fault: unknown, repeated or missing cases, unknown classes, probabilities outside
    [0, 1] or that do not sum to one.
    """
    path = Path(path)
    name_faults(cases.card).raise_as(SpecError)
    table = _from_npz(path) if path.suffix.lower() == ".npz" else unguarded(read_table(path))
    faults = Faults()
    column = next((word for word in (cases.card.cases.id, *ID_WORDS) if word in table), "")
    if not column:
        expected = f"a column '{cases.card.cases.id}' or 'id'"
        raise TableError("names no cases", expected, nearest(cases.card.cases.id, table.names), str(path))
    lines = {label: cases.card.columns.get(label.column) for label in cases.labels if label.name in table}
    maps = {label.name: line.values for label, line in lines.items() if line is not None and line.values}
    table = table.with_columns({name: mapped(table[name], maps[name], ("",), table.decimal) for name in maps})
    rows = _rows(path, table, column, cases, held, faults)
    speaks = [label for label in cases.labels if _columns(table, label)]
    if not speaks:
        raise TableError(
            f"predicts no label: its columns are {', '.join(table.names)}",
            "columns like " + ", ".join(cases.labels.column_names[:3]),
            where=str(path),
        )
    p = np.full((len(cases), cases.labels.columns), np.nan)
    classes_only = False
    for label in speaks:
        only = _columns(table, label) == [label.name]
        classes_only |= only
        said = (_classes if only else _probabilities)(path, table, label, faults)
        p[np.array([row for row in rows if row >= 0], dtype=int), cases.labels.slices[label.name]] = said[
            [index for index, row in enumerate(rows) if row >= 0]
        ]
    faults.raise_as(TableError)
    blank = np.full(len(cases), -1)
    split = np.where(np.isin(cases.ids, held), "test", "")
    return ScoreTable({name: log_scores(p)}, cases.ids, cases.groups, split, blank, cases.targets, cases.labels,
                      cases.card.cases.case_is), classes_only  # fmt: skip


def _from_npz(path: Path) -> Table:
    expected = "an npz of arrays `id` and `label:class`, (cases,) each"
    with Npz(path, expected=expected, mend="save the arrays again", error=TableError) as file:
        names, n = list(file), None
        columns, cells = {}, 0
        for name in names:
            array = file.read(name, shape=(n,))
            n, cells = len(array), cells + len(array)
            if cells > CELLS:
                raise file.fault(f"holds more than {CELLS:,} cells")
            if array.dtype.kind == "f" and np.isinf(array).any():
                raise file.fault(f"'{name}' holds infinity in row {int(np.argmax(np.isinf(array))) + 1}")
            if array.dtype.kind == "S":
                try:
                    array = array.astype(np.str_)
                except ValueError as error:
                    raise file.fault(f"'{name}' holds what is no text") from error
            columns[name] = array.tolist()
        return Table.of(columns, ("", "nan"), source=str(path))


def _rows(path: Path, table: Table, column: str, cases: Cases, held: NDArray[np.str_], faults: Faults) -> list[int]:
    """The place of each line's case; -1 for one that is no case here."""
    place = {word: index for index, word in enumerate(cases.ids.tolist())}
    words = [word or "" for word in table[column]]
    where = f"{path}, column {column}"
    strange = [word for word in words if word not in place]
    if strange:
        shown = listed(Counter(strange))
        faults.add(where, f"{len(strange)} lines are of other cases: {shown}", "ids of the table of cases")
    counts = Counter(words)
    twice = [word for word, count in counts.items() if count > 1 and word in place]
    if twice:
        faults.add(where, f"{len(twice)} cases stand more than once: {named(twice)}", "one line a case")
    missing = sorted(set(held.tolist()) - set(words))
    if missing:
        mend = "add them; a line of empty cells says that nothing was predicted"
        faults.add(
            where, f"{len(missing)} of {len(held)} test cases are missing: {named(missing)}", "all of them", mend
        )
    return [place.get(word, -1) for word in words]


def _columns(table: Table, label: Label) -> list[str]:
    return [word for word in (label.name, *(f"{label.name}:{name}" for name in label.classes)) if word in table]


def _probabilities(path: Path, table: Table, label: Label, faults: Faults) -> Floats:
    """(lines, classes)"""
    wanted = [f"{label.name}:{name}" for name in label.classes]
    absent = [word for word in wanted if word not in table]
    if absent:
        faults.add(str(path), f"no columns {', '.join(absent)}", f"one a class of '{label.name}'")
        return np.full((len(table), len(wanted)), np.nan)
    p = np.stack([table.numbers(word) for word in wanted], axis=1)
    where, empty = f"{path}, label {label.name}", np.isnan(p)
    torn = empty.any(axis=1) & ~empty.all(axis=1)
    outside = ((p < 0) | (p > 1)).any(axis=1)
    sums = ~empty.any(axis=1) & ~outside & (np.abs(p.sum(axis=1) - 1) > SUMS + 1e-9)
    for bad, found, expected in (
        (torn, "some classes have a probability and others have none", "all, or none of them"),
        (outside, "probabilities outside [0, 1]", "probabilities, no logits and no percent"),
        (sums, "probabilities that do not sum to one", "a sum of one over the classes of a label"),
    ):
        if bad.any():
            first = int(np.argmax(bad))
            seen = ", ".join("—" if np.isnan(value) else f"{value:g}" for value in p[first])
            faults.add(where, f"{int(bad.sum())} lines hold {found}; row {table.rows[first]}: {seen}", expected)
    return p


def _classes(path: Path, table: Table, label: Label, faults: Faults) -> Floats:
    """(lines, classes) of 0 and 1."""
    known = {canonical(name): index for index, name in enumerate(label.classes)}
    words = [None if word is None else canonical(word, table.decimal) for word in table[label.name]]
    unknown = Counter(word for word in words if word is not None and word not in known)
    if unknown:
        same = but_for_case(next(iter(unknown)), label.classes)
        mend = f"'{next(iter(unknown))}' is the same word as '{same}' but for case: write it so" if same else ""
        expected = f"one of {', '.join(label.classes)}"
        faults.add(f"{path}, column {label.name}", f"no classes: {listed(unknown)}", expected, mend)
    p = np.full((len(words), len(label.classes)), np.nan)
    for line, word in enumerate(words):
        if word in known:
            p[line] = 0.0
            p[line, known[word]] = 1.0
    return p
