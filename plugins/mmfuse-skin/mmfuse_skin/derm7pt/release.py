"""Reads the official layout of derm7pt and compares it with what the official release holds.

Structure that cannot be read is refused at once; differing counts are gathered: the adapter refuses or notes
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmfuse import Faults, Table, TableError, nearest
from mmfuse_skin.columns import read_columns
from mmfuse_skin.derm7pt import facts

LAYOUT = (
    "release_v0/images and release_v0/meta with meta.csv, train_indexes.csv, valid_indexes.csv and test_indexes.csv"
)
UNPACK = "unpack the release again"
DIFFERS = "use the unchanged official release, or `--set strict=false` to go on with differences as notes"


class Images(NamedTuple):
    """Paths below `images/` by row; None where there is none."""

    clinic: list[str | None]
    derm: list[str | None]
    replaced: list[int]
    """Rows whose clinical image is the dermoscopic one put in its place."""
    lost: list[str]
    """Named by the table, but not there."""


class Release(NamedTuple):
    """A release as it was read; all lists are by row of meta.csv."""

    folder: Path
    meta: Table
    lists: Mapping[str, Sequence[int]]
    """Row positions of each split, in file order."""
    split: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    images: Images


class Differences(Faults):
    """What differs from the official release."""

    def compare(self, where: str, what: str, found: object, expected: object) -> None:
        """Notes it if `found` is not what was expected."""
        if found != expected:
            self.add(where, f"{what}: {found}", str(expected), DIFFERS)


def read_release(release: Path) -> Release:
    """Reads the folder `release_v0`, or one or two levels above it.

    Raises: TableError for a missing file or column, an unknown raw word, and index lists that do not partition the
    rows.
    """
    folder = _find(release)
    path = folder / "meta" / "meta.csv"
    meta = read_columns(path, facts.COLUMNS)
    lists = {split: _positions(folder / "meta" / f"{split}_indexes.csv") for split in facts.SPLITS}
    return Release(folder, meta, lists, _split(lists, len(meta), folder), _grouped(meta), _images(meta, folder))


def runs(positions: Sequence[int]) -> list[int]:
    """Lengths of the ascending runs of a list: it breaks where a position is smaller than the one before."""
    breaks = [i for i in range(1, len(positions)) if positions[i] < positions[i - 1]]
    return [end - start for start, end in zip([0, *breaks], [*breaks, len(positions)], strict=True)]


def differences(found: Release) -> Differences:
    """All that differs from the official release: rows, splits, folds, classes, raw words, metadata, images, scores."""
    out = Differences()
    out.compare("meta.csv", "rows", len(found.meta), facts.ROWS)
    for split in facts.SPLITS:
        out.compare(
            f"{split}_indexes.csv", "lengths of the sorted runs", runs(found.lists[split]), list(facts.RUNS[split])
        )
        replaced = sum(found.split[row] == split for row in found.images.replaced)
        expected = facts.MISSING_CLINICAL[split]
        out.compare(f"meta.csv, clinic, {split}", "rows without a clinical image of their own", replaced, expected)
    for criterion in facts.CRITERIA:
        counts = Counter(zip(found.labels[criterion.column], found.split, strict=True))
        for name, numbers in criterion.counts.items():
            for split, number in zip(facts.SPLITS, numbers, strict=True):
                out.compare(f"meta.csv, {criterion.column}, {split}", f"rows of '{name}'", counts[name, split], number)
        if criterion.regrouped:
            _compare_words(
                found.meta,
                criterion.column,
                {w: n for words in criterion.classes.values() for w, n in words.items()},
                out,
            )
    for column, words in facts.METADATA.items():
        _compare_words(found.meta, column, words, out)
    named = {path for column in ("clinic", "derm") for path in found.meta[column]}
    out.compare("meta.csv, clinic and derm", "different images", len(named), facts.IMAGES)
    if found.images.lost:
        out.add(
            "images",
            f"{len(found.images.lost)} files are missing: {some(found.images.lost)}",
            "every image of meta.csv",
            DIFFERS,
        )
    _compare_scores(found, out)
    return out


def some(items: Sequence[object]) -> str:
    """The first five, and how many more."""
    shown = ", ".join(map(str, items[:5]))
    return shown if len(items) <= 5 else f"{shown} and {len(items) - 5} more"


def _find(release: Path) -> Path:
    candidates = (release, release / "release_v0", release / "release_v0" / "release_v0")
    folder = next((folder for folder in candidates if (folder / "meta" / "meta.csv").is_file()), None)
    if folder is None:
        raise TableError(
            "no meta/meta.csv, neither here nor in release_v0", LAYOUT, "name the unpacked release_v0", str(release)
        )
    faults = Faults()
    for name in (*(f"meta/{split}_indexes.csv" for split in facts.SPLITS), "images"):
        if not (folder / name).exists():
            faults.add(str(folder / name), "is not there", LAYOUT, UNPACK)
    faults.raise_as(TableError)
    return folder


def _positions(path: Path) -> list[int]:
    """Zero-based row positions in file order."""
    table = read_columns(path, ("indexes",))
    faults = Faults()
    for row, word in enumerate(table["indexes"]):
        if word is None or not word.isdecimal():
            expected = "a zero-based row position of meta.csv"
            faults.add(table.where(row, "indexes"), f"'{word or ''}'", expected, UNPACK)
    faults.raise_as(TableError)
    return [int(word) for word in table["indexes"]]


def _split(lists: Mapping[str, Sequence[int]], rows: int, folder: Path) -> list[str]:
    """The split of each row.

    Raises: TableError unless each row stands in exactly one list, once.
    """
    times = Counter(position for positions in lists.values() for position in positions)
    wrong = {
        "beyond the last row": sorted(position for position in times if position >= rows),
        "more than once": sorted(position for position, n in times.items() if n > 1),
        "never": [position for position in range(rows) if position not in times],
    }
    faults = Faults()
    for what, positions in wrong.items():
        if positions:
            expected = f"each of the {rows} rows of meta.csv in exactly one list"
            faults.add(
                str(folder / "meta" / "*_indexes.csv"),
                f"row positions named {what}: {some(positions)}",
                expected,
                UNPACK,
            )
    faults.raise_as(TableError)
    by_position = {position: split for split, positions in lists.items() for position in positions}
    return [by_position[row] for row in range(rows)]


def _grouped(meta: Table) -> dict[str, list[str]]:
    """{label: class of each row}, by the names of the raw words.

    Raises: TableError listing every unknown raw word with its first row.
    """
    faults = Faults()
    labels: dict[str, list[str]] = {}
    for criterion in facts.CRITERIA:
        known = {word: name for name, words in criterion.classes.items() for word in words}
        unknown: dict[str | None, int] = {}
        for row, word in enumerate(meta[criterion.column]):
            if word not in known:
                unknown.setdefault(word, row)
        for word, row in unknown.items():
            found = "an empty cell" if word is None else f"unknown word '{word}'"
            expected = f"one of {', '.join(known)}"
            faults.add(meta.where(row, criterion.column), found, expected, nearest(word or "", known))
        labels[criterion.column] = [known.get(word, "") for word in meta[criterion.column]]
    faults.raise_as(TableError)
    return labels


def _images(meta: Table, folder: Path) -> Images:
    clinic, derm = list(meta["clinic"]), list(meta["derm"])
    replaced = [
        row for row, (left, right) in enumerate(zip(clinic, derm, strict=True)) if left is not None and left == right
    ]
    named = {path for path in (*clinic, *derm) if path is not None}
    lost = sorted(path for path in named if not (folder / "images" / path).is_file())
    there = named.difference(lost)
    own = [path if path in there and row not in replaced else None for row, path in enumerate(clinic)]
    return Images(own, [path if path in there else None for path in derm], replaced, lost)


def _compare_words(meta: Table, column: str, words: Mapping[str, int], out: Differences) -> None:
    counts = Counter(meta[column])
    for word in dict.fromkeys([*words, *counts]):
        what = "empty cells" if word is None else f"rows of '{word}'"
        out.compare(f"meta.csv, {column}", what, counts[word], words.get(word, 0))


def _compare_scores(found: Release, out: Differences) -> None:
    """The score must be the sum of its row's points: a check that columns were not shifted against each other."""
    wrong = []
    for row, given in enumerate(found.meta["seven_point_score"]):
        points = sum(criterion.points.get(found.labels[criterion.column][row], 0) for criterion in facts.CRITERIA)
        if given != str(points):
            wrong.append(int(found.meta.rows[row]))
    if wrong:
        out.add(
            "meta.csv, seven_point_score",
            f"not the sum of the criteria's points in rows {some(wrong)}",
            "equal in all",
            DIFFERS,
        )
