"""What a user of ODIR-5K is told: labels recounted, contradictions, what is missing, and where the data come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmfuse_fundus.odir5k.facts import FULL, LABELS, SIDES
from mmfuse_fundus.odir5k.keywords import Said, read_keywords, union
from mmfuse_fundus.odir5k.release import Release, some

LICENCE = "Research use only; not to be passed on: see the terms of the release"
CITE = (
    "Peking University International Competition on Ocular Disease Intelligent Recognition (ODIR-2019). Li N, Li T, "
    "Hu C, Wang K, Kang H. A benchmark of ocular disease intelligent recognition: one shot for multi-disease "
    "detection. arXiv:2102.07978, 2021"
)


def said_of(found: Release, row: int, side: str) -> Said:
    """What the keywords say of one eye."""
    return read_keywords(found.table[f"{side.capitalize()}-Diagnostic Keywords"][row])


def counted(labels: np.ndarray, unit: str) -> str:
    """`N 12, D 8 …` of (cases, 8) bool, how many have several, and how dense the labels are."""
    told = ", ".join(f"{letter} {count}" for letter, count in zip(LABELS, labels.sum(axis=0).tolist(), strict=True))
    several = int((labels.sum(axis=1) > 1).sum())
    return f"{told}; {several} of {len(labels)} {unit}s have several; density {labels.mean():.1%}"


def numbered(items: Sequence[str], what: str) -> str:
    """`3 patients (5, 8, 19)`."""
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'} ({some(items)})"


def general_notes(found: Release, placeholders: Sequence[float]) -> tuple[str, ...]:
    """What is true at either level."""
    size = len(found.ids)
    part = "the full training release" if size == FULL else f"a part of it: the full training release has {FULL}"
    notes = [f"{size} patients in {found.table.source}, {part}; images in {found.image_folder}."]
    if found.extra:
        notes.append(f"Columns that the official layout has not are left out: {', '.join(found.extra)}.")
    if found.lost:
        notes.append(f"Images that are not there, these eyes are absent: {numbered(found.lost, 'image')}.")
    placed = [row for row, age in enumerate(found.ages) if age in placeholders]
    if placed:
        alike = Counter("+".join(_stated(found, row)) or "no label" for row in placed)
        told = ", ".join(f"{labels} {count}" for labels, count in alike.most_common())
        notes.append(
            f"An age of {' or '.join(f'{age:g}' for age in placeholders)} stands for an unknown one, emptied: "
            f"{numbered([found.ids[row] for row in placed], 'patient')}, labels {told}. That it is unknown may "
            "itself tell where a patient came from."
        )
    if found.split:
        left = sum(patient not in found.split for patient in found.ids)
        notes.append(f"The split is read from split.csv{f'; {left} patients are in none' if left else ''}.")
    else:
        notes.append("There is no split.csv: the card draws a split by patient.")
    return tuple(notes)


def label_notes(found: Release, rows: Sequence[int]) -> tuple[str, ...]:
    """The released labels of these patients, recounted and questioned."""
    labels = found.labels[list(rows)]
    notes = [f"Labels, recounted: {counted(labels, 'patient')}."]
    normal = [found.ids[row] for row in rows if "N" in (stated := _stated(found, row)) and len(stated) > 1]
    none = [found.ids[row] for row in rows if not _stated(found, row)]
    wrong = [
        found.ids[row]
        for row in rows
        if union(*(said_of(found, row, side) for side in SIDES)) != frozenset(_stated(found, row))
    ]
    if normal:
        notes.append(f"Contradiction, N beside a disease, kept as released: {numbered(normal, 'patient')}.")
    if none:
        notes.append(f"No label at all, kept as released: {numbered(none, 'patient')}.")
    if wrong:
        notes.append(
            "Labels that are not what the keywords of both eyes say together, kept as released: "
            f"{numbered(wrong, 'patient')}."
        )
    return tuple(notes)


def split_and_source(found: Release, level: str = "", notes: Sequence[str] = ()) -> dict[str, Mapping[str, Any]]:
    """The card's sections [split] and [source]; `level` is added to the dataset's name."""
    drawn = {"fractions": {"train": 0.7, "valid": 0.15, "test": 0.15}, "seed": 0}
    return {
        "split": {"column": "split"} if found.split else drawn,
        "source": {
            "name": f"ODIR-5K{level}",
            "licence": LICENCE,
            "cite": CITE,
            "notes": [*notes, "A patient's labels are the union of both eyes; suspected counts as found."],
        },
    }


def _stated(found: Release, row: int) -> list[str]:
    """The released labels of a patient."""
    return [letter for letter, given in zip(LABELS, found.labels[row], strict=True) if given]
