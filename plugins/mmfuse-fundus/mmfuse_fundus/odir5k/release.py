"""Reads a release of ODIR-5K: the table of annotations (xlsx or csv, a row a patient) and the folder of its images.

What contradicts the layout is refused at once, all faults together; what is merely incomplete or implausible is
gathered: the adapter refuses or notes it. The derived table of single eyes is refused, with the reason.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmfuse import Faults, Table, TableError, nearest, numbers, read_table
from mmfuse_fundus.odir5k.facts import COLUMNS, LABELS, OLDEST, PER_EYE, SEXES, SIDES

TABLES = ("*Annotation*.xlsx", "*Annotation*.csv", "*annotation*.xlsx", "*annotation*.csv", "data.xlsx", "data.csv")
"""What the table is called, whatever else is in its name; it may lie some folders down."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
DERIVED = "full_df.csv"
NEWEST = "V2"
SPLITS = ("train", "valid", "test")
DEPTH = 3
UNCHANGED = "use the unchanged release"
INCOMPLETE = "mend the release, or `--set strict=false` to go on with what is there"


class Release(NamedTuple):
    """A release as it was read; whatever is by patient stands in the table's order."""

    folder: Path
    table: Table
    ids: tuple[str, ...]
    labels: np.ndarray
    """(patients, 8) bool, as the release states them."""
    images: Mapping[str, tuple[str | None, ...]]
    """Side → path below the folder of each patient's image that is there."""
    image_folder: str
    ages: tuple[float | None, ...]
    sexes: tuple[str | None, ...]
    """`female` or `male`; None where the cell is empty or holds neither."""
    split: Mapping[str, str]
    """Patient → split; empty if there is no split.csv."""
    extra: tuple[str, ...]
    """Columns that the official layout has not."""
    lost: tuple[str, ...]
    """Images that the table names and the folder has not."""
    gaps: Faults
    """Patients without any image, and ages and sexes that are none."""


def read_release(folder: Path, images: str = "") -> Release:
    """Reads the release in `folder`; its images lie in `images` below it, or (empty) where most of them are found.

    Raises: TableError for a table that is missing, lacks columns, is of single eyes, holds a patient twice or a label
    that is not 0 or 1; and for a split that is none of train, valid, test.
    """
    path = _find_table(folder)
    table = _read(path)
    faults = Faults()
    ids, labels = _ids(table, faults), _labels(table, faults)
    faults.raise_as(TableError)
    gaps = Faults()
    where, found, lost = _images(folder, images, table, faults)
    faults.raise_as(TableError)
    ages, sexes = _ages(table, gaps), _sexes(table, gaps)
    blind = [ids[row] for row in range(len(ids)) if all(found[side][row] is None for side in SIDES)]
    if blind:
        expected = "an image of one eye or both, named as in the columns Left-Fundus and Right-Fundus"
        gaps.add(
            str(folder / where),
            f"{len(blind)} of {len(ids)} patients without any image: {some(blind)}",
            expected,
            INCOMPLETE,
        )
    extra = tuple(name for name in table.names if name not in COLUMNS)
    return Release(folder, table, ids, labels, found, where, ages, sexes, _split(folder), extra, lost, gaps)


def some(items: Sequence[str]) -> str:
    """The first five, and how many more."""
    shown = ", ".join(items[:5])
    return shown if len(items) <= 5 else f"{shown} and {len(items) - 5} more"


def _folders(folder: Path) -> Iterator[Path]:
    """The folder and those some levels below it, upper ones first."""
    level = [folder]
    for _ in range(DEPTH + 1):
        yield from level
        level = [
            child
            for parent in level
            for child in sorted(parent.iterdir())
            if child.is_dir() and not child.name.startswith(".")
        ]


def _find_table(folder: Path) -> Path:
    """Raises: TableError where there is none, or more than one."""
    if folder.is_file():
        raise TableError("is a file", "the folder that holds table and images", f"name {folder.parent}", str(folder))
    if not folder.is_dir():
        raise TableError("no such folder", "the unpacked folder of ODIR-5K", "", str(folder))
    found = {path for place in _folders(folder) for name in TABLES for path in place.glob(name)}
    tables = sorted(path for path in found if not path.name.startswith(("~", ".")))
    newest = [path for path in tables if NEWEST in path.stem]
    if len(newest) == 1:
        return newest[0]
    if len(tables) == 1:
        return tables[0]
    if tables:
        told = some([str(path.relative_to(folder)) for path in tables])
        raise TableError(f"{len(tables)} tables of annotations: {told}", "one", "name the folder of one", str(folder))
    derived = next((path for place in _folders(folder) for path in place.glob(DERIVED)), None)
    if derived is not None:
        _read(derived)
    raise TableError(
        "holds no table of annotations",
        f"a table called {' or '.join(TABLES[:2])}, as the challenge's ODIR-5K_Training_Annotations(Updated)_V2.xlsx",
        "name the unpacked folder of ODIR-5K",
        str(folder),
    )


def _read(path: Path) -> Table:
    """Raises: TableError for a table of single eyes, and naming each column that is missing."""
    table, faults = read_table(path), Faults()
    if any(name in table.names for name in PER_EYE):
        raise TableError(
            "a table of single eyes: it repeats each patient's labels N … O in the rows of both eyes, while its "
            "`target` holds one label an eye, made from the keywords; read as patients, patients would stand in it "
            "twice and an eye would carry the other eye's disease",
            "the challenge's table, a row a patient",
            "use ODIR-5K_Training_Annotations(Updated)_V2.xlsx of the same release; for single eyes add "
            "`--set level=eye`, which reads every label of an eye from its keywords",
            str(path),
        )
    for column in COLUMNS:
        if column not in table.names:
            expected = f"columns {', '.join(COLUMNS)}"
            faults.add(str(path), f"no column '{column}'", expected, nearest(column, table.names))
    faults.raise_as(TableError)
    return table


def _number(word: str | None) -> float | None:
    """A cell's number with a decimal point or comma, NaN where it holds none; None where it is empty."""
    try:
        return None if word is None else float(numbers([word.replace(",", ".", 1)])[0])
    except TableError:
        return math.nan


def _patient(word: str | None) -> str | None:
    """An id in its one form: 5, 5.0 and 00005 are one patient."""
    number = _number(word)
    return word if number is None or not number.is_integer() else str(int(number))


def _ids(table: Table, faults: Faults) -> tuple[str, ...]:
    ids = [_patient(word) for word in table["ID"]]
    seen: set[str] = set()
    for row, patient in enumerate(ids):
        if patient is None or patient in seen:
            found = "an empty cell" if patient is None else f"patient {patient} once more"
            faults.add(table.where(row, "ID"), found, "each patient once", UNCHANGED)
        else:
            seen.add(patient)
    return tuple(patient or "" for patient in ids)


def _labels(table: Table, faults: Faults) -> np.ndarray:
    labels = np.zeros((len(table), len(LABELS)), dtype=bool)
    for column, letter in enumerate(LABELS):
        for row, word in enumerate(table[letter]):
            value = _number(word)
            if value not in (0, 1):
                faults.add(table.where(row, letter), f"'{word or ''}'", "0 or 1", UNCHANGED)
            labels[row, column] = value == 1
    return labels


def _ages(table: Table, gaps: Faults) -> tuple[float | None, ...]:
    """Years; None where the cell is empty or holds none."""
    ages: list[float | None] = []
    for row, word in enumerate(table["Patient Age"]):
        age = _number(word)
        if age is not None and not 0 <= age <= OLDEST:
            found = f"patient {table['ID'][row]} of age '{word}'"
            gaps.add(table.where(row, "Patient Age"), found, f"years from 0 to {OLDEST}, or an empty cell", INCOMPLETE)
            age = None
        ages.append(age)
    return tuple(ages)


def _sexes(table: Table, gaps: Faults) -> tuple[str | None, ...]:
    """Female or male, in small letters; None where the cell is empty or holds neither."""
    column = "Patient Sex"
    sexes = [word and word.lower() for word in table[column]]
    for row, sex in enumerate(sexes):
        if sex is not None and sex not in SEXES:
            found = f"patient {table['ID'][row]} of sex '{table[column][row]}'"
            gaps.add(table.where(row, column), found, "Female, Male or an empty cell", INCOMPLETE)
    return tuple(sex if sex in SEXES else None for sex in sexes)


def _images(
    folder: Path, given: str, table: Table, faults: Faults
) -> tuple[str, dict[str, tuple[str | None, ...]], tuple[str, ...]]:
    """The folder of images, the path of each patient's images below the release, and what is not there. Names may
    differ from the table's in case and suffix; one that is then of several files is a fault.

    Raises: TableError if `given` is no folder.
    """
    named = {side: list(table[f"{side.capitalize()}-Fundus"]) for side in SIDES}
    wanted = {_stem(name) for names in named.values() for name in names if name}
    if given and not (folder / given).is_dir():
        raise TableError("no such folder", "the folder of images", "mend or leave out `images`", str(folder / given))
    places = [folder / given] if given else list(_folders(folder))
    files = [_by_stem(place) for place in places]
    best = max(range(len(places)), key=lambda index: len(wanted & files[index].keys()))
    where = places[best].relative_to(folder)
    found: dict[str, tuple[str | None, ...]] = {}
    lost: list[str] = []
    for side, names in named.items():
        paths: list[str | None] = []
        for row, name in enumerate(names):
            there = _alike(name, files[best]) if name else []
            if len(there) > 1:
                place = table.where(row, f"{side.capitalize()}-Fundus")
                faults.add(place, f"'{name}' is the name of {' and '.join(there)}", "one file", "remove all but one")
            paths.append((where / there[0]).as_posix() if there else None)
            if name and not there:
                lost.append(name)
        found[side] = tuple(paths)
    return where.as_posix(), found, tuple(lost)


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", Path(name).stem).casefold()


def _by_stem(place: Path) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            files.setdefault(_stem(path.name), []).append(path.name)
    return files


def _alike(name: str, files: Mapping[str, list[str]]) -> list[str]:
    """The files that a name may mean: the one called so, else all of the same stem, else all but for case."""
    there = files.get(_stem(name), [])
    for same in (
        [file for file in there if file == name],
        [file for file in there if Path(file).stem == Path(name).stem],
    ):
        if same:
            return same
    return there


def _split(folder: Path) -> dict[str, str]:
    """Patient → split; empty where there is no split.csv."""
    path = folder / "split.csv"
    if not path.is_file():
        return {}
    table, faults = read_table(path), Faults()
    split: dict[str, str] = {}
    ids = [_patient(word) for word in table["ID"]]
    for row, (patient, word) in enumerate(zip(ids, table["split"], strict=True)):
        if word not in SPLITS:
            faults.add(
                table.where(row, "split"), f"'{word or ''}'", "train, valid or test", nearest(word or "", SPLITS)
            )
        elif patient is None or patient in split:
            found = "an empty cell" if patient is None else f"patient {patient} once more"
            faults.add(table.where(row, "ID"), found, "each patient once")
        else:
            split[patient] = word
    faults.raise_as(TableError)
    return split
