"""ODIR-5K by eye: what the keywords say is the label. No official labels of eyes exist, so card, notes and every report
name the cases as eyes with labels from keywords; eyes of a patient stay together in splits and folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmfuse import Table, TableError, Tidy
from mmfuse_fundus.odir5k.facts import CLASSES, LABELS, SIDES
from mmfuse_fundus.odir5k.keywords import Said
from mmfuse_fundus.odir5k.notes import counted, numbered, said_of, split_and_source
from mmfuse_fundus.odir5k.release import Release

CASE_IS = "eye (labels from keywords)"
MEANING = (
    "No official labels of eyes exist: each eye's labels were read from the doctors' diagnostic keywords (suspected "
    "counts as found; words about the image decide nothing; every other word is O). Not the challenge's task; other "
    "tables of ODIR eyes differ from this one."
)


def tidy_eyes(
    found: Release,
    images: Mapping[str, Sequence[str | None]],
    rows: Sequence[int],
    ages: Sequence[float | None],
    notes: Sequence[str],
) -> Tidy:
    """A row an eye whose image is there and whose keywords decide something.

    Raises: TableError if no eye is left.
    """
    eyes = [(row, side) for row in rows for side in SIDES if images[side][row] is not None]
    said = {eye: said_of(found, *eye) for eye in eyes}
    kept = [eye for eye in eyes if said[eye].labels]
    if not kept:
        raise TableError("no eye's keywords state a label", "diagnostic keywords", "", found.table.source)
    table = _table(found, images, kept, said, ages)
    return Tidy(table, _card(found), (MEANING, *_notes(found, eyes, kept, said), *notes))


def _name(found: Release, eye: tuple[int, str]) -> str:
    return f"{found.ids[eye[0]]}_{eye[1]}"


def _table(
    found: Release,
    images: Mapping[str, Sequence[str | None]],
    kept: Sequence[tuple[int, str]],
    said: Mapping[tuple[int, str], Said],
    ages: Sequence[float | None],
) -> Table:
    columns: dict[str, Sequence[Any]] = {
        "eye_id": [_name(found, eye) for eye in kept],
        "patient_id": [found.ids[row] for row, _ in kept],
        **{letter: [CLASSES[letter in said[eye].labels] for eye in kept] for letter in LABELS},
        "fundus": [images[side][row] for row, side in kept],
        "side": [side for _, side in kept],
        "age": [ages[row] for row, _ in kept],
        "sex": [found.sexes[row] for row, _ in kept],
        "keywords": [found.table[f"{side.capitalize()}-Diagnostic Keywords"][row] for row, side in kept],
    }
    if found.split:
        columns["split"] = [found.split.get(found.ids[row]) for row, _ in kept]
    return Table.of(columns)


def _card(found: Release) -> dict[str, Any]:
    return {
        "cases": {
            "id": "eye_id", "case_is": CASE_IS, "group": "patient_id", "root": str(found.folder.resolve()),
        },
        "labels": {letter: {"classes": list(CLASSES), "positive": CLASSES[1]} for letter in LABELS},
        "modalities": {
            "fundus": {"use": "image", "column": "fundus", "size": 224},
            "meta": {"use": "table", "numeric": ["age"], "categorical": ["sex"]},
        },
        "columns": {"keywords": {"known": "states the label"}},
        **split_and_source(found, ", eyes (labels from keywords)", (MEANING,)),
    }  # fmt: skip


def _notes(
    found: Release, eyes: Sequence[tuple[int, str]], kept: Sequence[tuple[int, str]], said: Mapping[Any, Said]
) -> list[str]:
    labels = np.array([[letter in said[eye].labels for letter in LABELS] for eye in kept])
    notes = [f"Labels, read from keywords: {counted(labels, 'eye')}."]
    silent = [_name(found, eye) for eye in eyes if not said[eye].labels]
    if silent:
        notes.append(f"Left out, no keyword states a label: {numbered(silent, 'eye')}.")
    torn = [_name(found, eye) for eye in kept if said[eye].contradiction]
    if torn:
        notes.append(f"Contradiction, a normal fundus beside a disease, the disease decides: {numbered(torn, 'eye')}.")
    others = sorted({word for eye in kept for word in said[eye].others})
    if others:
        notes.append(f"{len(others)} keywords counted as O: {', '.join(others)}.")
    return notes
