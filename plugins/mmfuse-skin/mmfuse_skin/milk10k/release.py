"""Reads a release of MILK10k: two rows of metadata a lesion (close-up, dermoscopic), one-hot ground truth, supplement.

The same tables go by three sets of names: the ISIC archive's download (`supplements/training_*.csv`), the challenge's,
and plain ones. What contradicts itself is refused at once; what is merely incomplete is gathered: the adapter refuses
or notes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmfuse import Faults, Table, TableError, nearest
from mmfuse_skin.columns import read_columns

METADATA = ("supplements/training_input.csv", "MILK10k_Training_Metadata.csv", "metadata.csv")
GROUND_TRUTH = ("supplements/training_gt.csv", "MILK10k_Training_GroundTruth.csv", "groundtruth.csv")
SUPPLEMENT = ("supplements/training_supp.csv", "MILK10k_Training_Supplement.csv", "supplement.csv")
IMAGE_FOLDERS = ("images", "MILK10k_Training_Input", "MILK10k_Training_Input/MILK10k_Training_Input", ".")
MODALITIES: Mapping[str, str] = {"clinical: close-up": "clinic", "dermoscopic": "derm"}
"""The metadata's `image_type` → modality."""
LESION = ("age_approx", "sex", "skin_tone_class", "site")
"""Columns of the metadata that speak of the lesion, the same in both of its rows."""
UNCHANGED = "use the unchanged release"
INCOMPLETE = "complete the release, or `--set strict=false` to go on with what is there"


class Release(NamedTuple):
    """A release as it was read; whatever is by lesion is keyed by lesion id, in the metadata's order."""

    folder: Path
    metadata: Table
    rows: Mapping[str, Mapping[str, int]]
    """Lesion → {modality: its row of the metadata}."""
    classes: tuple[str, ...]
    diagnosis: Mapping[str, str]
    """Lesion → class; lesions without ground truth are left out."""
    images: Mapping[str, Mapping[str, str]]
    """Lesion → {modality: path below the folder} of the images that are there."""
    supplement: Mapping[str, Mapping[str, str]]
    """Column → {ISIC id: word}; empty if there is no supplement."""
    split: Mapping[str, str]
    """Lesion → split; empty if there is no split.csv."""
    gaps: Faults
    """What is incomplete: lesions that stand in one table only, images that are not there."""


def read_release(folder: Path) -> Release:
    """Reads the release in `folder`.

    Raises: TableError for a missing table or column, an unknown image type, two images of one type in a lesion, rows of
    a lesion that contradict each other, ground truth that is not exactly one-hot, and a split that is none of train,
    valid, test.
    """
    metadata = _table(folder, METADATA, ("lesion_id", "isic_id", "image_type", *LESION))
    truth = _table(folder, GROUND_TRUTH, ("lesion_id",))
    rows = _rows(metadata)
    classes = tuple(name for name in truth.names if name != "lesion_id")
    diagnosis = _diagnosis(truth, classes)
    gaps = Faults()
    _compare(rows, diagnosis, metadata, truth, gaps)
    images = _images(folder, metadata, rows, gaps)
    return Release(folder, metadata, rows, classes, diagnosis, images, _supplement(folder), _split(folder), gaps)


def _find(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _table(folder: Path, names: Sequence[str], columns: Sequence[str]) -> Table:
    path = _find(folder, names)
    if path is None:
        raise TableError(
            "the folder has none of its names", " or ".join(names), "name the unpacked folder of MILK10k", str(folder)
        )
    return read_columns(path, columns)


def _rows(metadata: Table) -> dict[str, dict[str, int]]:
    faults = Faults()
    rows: dict[str, dict[str, int]] = {}
    for row, (lesion, kind) in enumerate(zip(metadata["lesion_id"], metadata["image_type"], strict=True)):
        modality = MODALITIES.get(kind or "")
        if lesion is None:
            faults.add(metadata.where(row, "lesion_id"), "an empty cell", "a lesion id", UNCHANGED)
        elif modality is None:
            faults.add(
                metadata.where(row, "image_type"),
                f"'{kind or ''}'",
                " or ".join(MODALITIES),
                nearest(kind or "", MODALITIES),
            )
        elif modality in rows.setdefault(lesion, {}):
            faults.add(
                metadata.where(row),
                f"a second image '{kind}' of lesion {lesion}",
                "one image of each type a lesion",
                UNCHANGED,
            )
        else:
            rows[lesion][modality] = row
    for lesion, own in rows.items():
        for column in LESION:
            said = [metadata[column][row] for row in own.values()]
            if len(set(said)) > 1:
                found = f"lesion {lesion}: {' and '.join(str(word) for word in said)}"
                faults.add(
                    metadata.where(max(own.values()), column), found, "the same in all rows of a lesion", UNCHANGED
                )
    faults.raise_as(TableError)
    return rows


def _diagnosis(truth: Table, classes: Sequence[str]) -> dict[str, str]:
    """Lesion → class.

    Raises: TableError for each row that is not exactly one-hot, and each lesion named twice.
    """
    cells = np.stack([truth.numbers(name) for name in classes], axis=1) if classes else np.zeros((len(truth), 0))
    one_hot = ((cells == 0) | (cells == 1)).all(axis=1) & (cells.sum(axis=1) == 1)
    faults = Faults()
    diagnosis: dict[str, str] = {}
    for row, lesion in enumerate(truth["lesion_id"]):
        if lesion is None or lesion in diagnosis:
            found = "an empty cell" if lesion is None else f"lesion {lesion} once more"
            faults.add(truth.where(row, "lesion_id"), found, "each lesion once", UNCHANGED)
        elif not one_hot[row]:
            ones = [name for name, cell in zip(classes, cells[row], strict=True) if cell != 0]
            found = f"lesion {lesion}: {', '.join(ones) or 'no class'}"
            faults.add(truth.where(row), found, f"one of {', '.join(classes)} is 1, all others 0", UNCHANGED)
        else:
            diagnosis[lesion] = classes[int(cells[row].argmax())]
    faults.raise_as(TableError)
    return diagnosis


def _compare(
    rows: Mapping[str, object], diagnosis: Mapping[str, str], metadata: Table, truth: Table, gaps: Faults
) -> None:
    for missing, source in (
        ([lesion for lesion in rows if lesion not in diagnosis], truth.source),
        ([lesion for lesion in diagnosis if lesion not in rows], metadata.source),
    ):
        if missing:
            found = f"{len(missing)} lesions of the other table are not in it: {_some(missing)}"
            gaps.add(source, found, "the same lesions in metadata and ground truth", INCOMPLETE)


def _images(
    folder: Path, metadata: Table, rows: Mapping[str, Mapping[str, int]], gaps: Faults
) -> dict[str, dict[str, str]]:
    """Flat in a folder of images, or in a folder a lesion."""
    images: dict[str, dict[str, str]] = {}
    lost = []
    for lesion, own in rows.items():
        images[lesion] = {}
        for modality, row in own.items():
            isic = metadata["isic_id"][row]
            places = [
                place for base in IMAGE_FOLDERS for place in (f"{base}/{isic}.jpg", f"{base}/{lesion}/{isic}.jpg")
            ]
            path = _find(folder, places)
            if path is None:
                lost.append(f"{isic}.jpg")
            else:
                images[lesion][modality] = path.relative_to(folder).as_posix()
    if lost:
        expected = f"every image of the metadata in one of {', '.join(IMAGE_FOLDERS)}, flat or in a folder a lesion"
        gaps.add(str(folder), f"{len(lost)} images are not there: {_some(lost)}", expected, INCOMPLETE)
    return images


def _supplement(folder: Path) -> dict[str, dict[str, str]]:
    path = _find(folder, SUPPLEMENT)
    if path is None:
        return {}
    table = _table(folder, SUPPLEMENT, ("isic_id",))
    columns = [name for name in table.names if name != "isic_id"]
    return {
        column: {isic: word for isic, word in zip(table["isic_id"], table[column], strict=True) if word is not None}
        for column in columns
    }


def _split(folder: Path) -> dict[str, str]:
    if _find(folder, ("split.csv",)) is None:
        return {}
    table = _table(folder, ("split.csv",), ("lesion_id", "split"))
    faults = Faults()
    split: dict[str, str] = {}
    for row, (lesion, word) in enumerate(zip(table["lesion_id"], table["split"], strict=True)):
        if word not in ("train", "valid", "test"):
            faults.add(
                table.where(row, "split"),
                f"'{word or ''}'",
                "train, valid or test",
                nearest(word or "", ("train", "valid", "test")),
            )
        elif lesion is None or lesion in split:
            faults.add(
                table.where(row, "lesion_id"),
                "an empty cell" if lesion is None else f"lesion {lesion} once more",
                "each lesion once",
            )
        else:
            split[lesion] = word
    faults.raise_as(TableError)
    return split


def _some(items: Sequence[str]) -> str:
    """The first five, and how many more."""
    shown = ", ".join(items[:5])
    return shown if len(items) <= 5 else f"{shown} and {len(items) - 5} more"
