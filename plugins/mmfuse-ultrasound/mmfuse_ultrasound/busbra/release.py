"""Reads a release of BUS-BRA: a row an image, one or two images (views) a case, official folds beside.

What contradicts itself (a case of two pathologies, in two folds, with two left views) is refused at once, all faults
together; what is merely incomplete is gathered: the adapter refuses or notes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mmfuse import Faults, Table, TableError, nearest
from mmfuse_ultrasound.releases import UNCHANGED, find_images, find_table, read_columns, some

DATASET = "BUS-BRA"
COLUMNS = ("ID", "Case", "Histology", "Pathology", "BIRADS", "Device", "Side", "BBOX")
SIDES = ("left", "right", "single")
PATHOLOGY = ("benign", "malignant")
SPLITS = ("train", "valid", "test")
FOLDS = "5-fold-cv.csv"
OF_A_CASE = ("Pathology", "Histology", "Device")
"""Columns that speak of the case, the same in all of its rows. (BIRADS does not: a reader scored each view.)"""


class Release(NamedTuple):
    """A release as it was read; whatever is by case is keyed by the case's number, in the table's order."""

    folder: Path
    table: Table
    rows: Mapping[str, Mapping[str, int]]
    """Case → {side: its row of the table}."""
    images: Mapping[str, str]
    """ID → path below the folder of the images that are there."""
    folds: Mapping[str, str]
    """Case → official fold 1 to 5; empty where the release has no file of folds."""
    split: Mapping[str, str]
    """Case → split; empty if there is no split.csv."""
    gaps: Faults
    """What is incomplete: images that are not there, rows without a fold."""


def read_release(folder: Path) -> Release:
    """Reads the release in `folder`.

    Raises: TableError for a missing table or column, unknown words, two images of one side in a case, rows of a case
    that contradict each other, a case in two folds, and empty image files.
    """
    table = read_columns(find_table(folder, ("bus_data.*",), DATASET), COLUMNS, DATASET)
    rows, gaps = _rows(table), Faults()
    images = find_images(folder, [word for word in table["ID"] if word is not None], gaps)
    return Release(folder, table, rows, images, _folds(folder, table, gaps), _split(folder), gaps)


def _rows(table: Table) -> dict[str, dict[str, int]]:
    faults = Faults()
    rows: dict[str, dict[str, int]] = {}
    for row, (name, case, side) in enumerate(zip(table["ID"], table["Case"], table["Side"], strict=True)):
        for column, word, words in (("Side", side, SIDES), ("Pathology", table["Pathology"][row], PATHOLOGY)):
            if word not in words:
                faults.add(table.where(row, column), f"'{word or ''}'", " or ".join(words), nearest(word or "", words))
        if case is None or name is None:
            faults.add(table.where(row, "ID" if name is None else "Case"), "an empty cell", "a name", UNCHANGED)
        elif side in rows.setdefault(case, {}):
            faults.add(table.where(row), f"a second {side} view of case {case}", "one view of each side", UNCHANGED)
        else:
            rows[case][side or ""] = row
    for case, own in rows.items():
        for column in OF_A_CASE:
            said = [table[column][row] for row in own.values()]
            if len(set(said)) > 1:
                found = f"case {case}: {' and '.join(map(str, said))}"
                faults.add(table.where(max(own.values()), column), found, "the same in all views of a case", UNCHANGED)
    faults.raise_as(TableError)
    return rows


def _folds(folder: Path, table: Table, gaps: Faults) -> dict[str, str]:
    """Case → fold.

    Raises: TableError where a case stands in two folds.
    """
    path = folder / FOLDS
    if not path.is_file():
        return {}
    official = read_columns(path, ("ID", "kFold"), DATASET)
    by_image = {
        name: (fold, row) for row, (name, fold) in enumerate(zip(official["ID"], official["kFold"], strict=True))
    }
    folds: dict[str, str] = {}
    faults, lost = Faults(), []
    for name, case in zip(table["ID"], table["Case"], strict=True):
        fold, row = by_image.get(name, (None, 0))
        if fold is None:
            lost.append(str(name))
        elif folds.setdefault(str(case), fold) != fold:
            found = f"case {case} stands in folds {folds[str(case)]} and {fold}"
            faults.add(official.where(row, "kFold"), found, "each case in one fold", UNCHANGED)
    faults.raise_as(TableError)
    if lost:
        gaps.add(str(path), f"{len(lost)} images are in no fold: {some(lost)}", "every image of bus_data", UNCHANGED)
    return folds


def _split(folder: Path) -> dict[str, str]:
    path = folder / "split.csv"
    if not path.is_file():
        return {}
    table, faults = read_columns(path, ("Case", "split"), DATASET), Faults()
    split: dict[str, str] = {}
    for row, (case, word) in enumerate(zip(table["Case"], table["split"], strict=True)):
        if word not in SPLITS:
            faults.add(table.where(row, "split"), f"'{word or ''}'", " or ".join(SPLITS), nearest(word or "", SPLITS))
        elif case is None or case in split:
            found = "an empty cell" if case is None else f"case {case} once more"
            faults.add(table.where(row, "Case"), found, "each case once")
        else:
            split[case] = word
    faults.raise_as(TableError)
    return split
