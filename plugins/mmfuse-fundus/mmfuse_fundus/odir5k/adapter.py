"""Adapter of ODIR-5K: left and right fundus photographs, age and sex, eight diagnoses that a patient may have together.

Labels are recounted, never assumed; keywords state the label and are marked so; nothing is repaired silently: every
patient or eye that is emptied or left out is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import model_validator

from mmfuse import Adapter, Table, TableError, Tidy
from mmfuse_fundus.odir5k.eyes import tidy_eyes
from mmfuse_fundus.odir5k.facts import ANTERIOR, ANTERIOR_KEYWORD, CLASSES, ISSUES, LABELS, SIDES
from mmfuse_fundus.odir5k.keywords import words_of
from mmfuse_fundus.odir5k.notes import general_notes, label_notes, numbered, split_and_source
from mmfuse_fundus.odir5k.release import Release, read_release

Policy = Literal["keep", "drop-eye", "drop-patient"]


class Odir5k(Adapter):
    """ODIR-5K (Peking University, 2019): left + right fundus photographs, age, sex, 8 diagnoses of a patient."""

    level: Literal["patient", "eye"] = "patient"
    """What a case is: a patient, with the labels of the release; or an eye, with labels that are read from the
    doctors' keywords (no official ones exist), grouped by patient."""
    known_issues: Policy = "keep"
    """What becomes of eyes whose image is no usual fundus photograph (the front of the eye, a turned copy of the other
    eye, other pre-processing): `keep`, as published figures do; the image is dropped; or the patient."""
    mirror: bool = False
    """Left eyes are swapped left to right, so that both look like right eyes; only of patients."""
    placeholder_ages: tuple[float, ...] = (1.0,)
    """Ages, in years, that stand for an unknown one and become empty: those aged 1 are a series of grown-up myopes."""
    images: str = ""
    """The folder of images below the release; empty: where most of them are found."""
    strict: bool = True
    """Refuse patients without any image, impossible ages and unknown sexes; false: leave such patients out, empty such
    cells, and say so in the notes."""

    @model_validator(mode="after")
    def _mirrors_patients(self) -> Self:
        if self.mirror and self.level == "eye":
            raise ValueError("`mirror` turns the left images of patients; at level 'eye' left and right are one input")
        return self

    def tidy(self, release: Path) -> Tidy:
        """Reads the challenge's folder: annotations (xlsx or csv), images `<id>_left.jpg` and `<id>_right.jpg`
        anywhere below; a `split.csv` (ID, split) beside them is used if it is there.

        Raises: TableError for tables that contradict the layout, the derived per-eye table, and, if `strict`, patients
        without an image, impossible ages and unknown sexes: all at once.
        """
        found = read_release(Path(release), self.images)
        if self.strict:
            found.gaps.raise_as(TableError)
        chosen = _choose(found, self.known_issues)
        ages = tuple(None if age in self.placeholder_ages else age for age in found.ages)
        notes = (
            *general_notes(found, self.placeholder_ages),
            *chosen.notes,
            *(f"{fault.where}: {fault.found}" for fault in found.gaps),
        )
        if self.level == "eye":
            return tidy_eyes(found, chosen.images, chosen.rows, ages, notes)
        table = _table(found, chosen, ages)
        return Tidy(table, _card(found, self.mirror), (*label_notes(found, chosen.rows), *notes))


class _Chosen(NamedTuple):
    """What the policy leaves."""

    rows: tuple[int, ...]
    images: Mapping[str, Sequence[str | None]]
    notes: tuple[str, ...]


def _issues(found: Release) -> dict[tuple[int, str], str]:
    """(row, side) → what is wrong with its image, of images that are there: listed, or said by the keywords."""
    wrong: dict[tuple[int, str], str] = {}
    for row, patient in enumerate(found.ids):
        for side in SIDES:
            said = words_of(found.table[f"{side.capitalize()}-Diagnostic Keywords"][row])
            told = ISSUES.get(f"{patient}_{side}", ANTERIOR if ANTERIOR_KEYWORD in said else "")
            if told and found.images[side][row] is not None:
                wrong[row, side] = told
    return wrong


def _choose(found: Release, policy: Policy) -> _Chosen:
    wrong, notes = _issues(found), []
    images = {side: list(found.images[side]) for side in SIDES}
    hit = {row for row, _ in wrong} if policy == "drop-patient" else set()
    for row, side in wrong if policy == "drop-eye" else ():
        images[side][row] = None
    done = {"keep": "kept", "drop-eye": "emptied", "drop-patient": "left out with the patient"}[policy]
    by_reason: dict[str, list[str]] = {}
    for (row, side), reason in wrong.items():
        by_reason.setdefault(reason, []).append(f"{found.ids[row]}_{side}")
    notes += [f"Known issue, {done}: {', '.join(eyes)} {reason}." for reason, eyes in by_reason.items()]
    blind = [row for row in range(len(found.ids)) if all(images[side][row] is None for side in SIDES)]
    if blind:
        notes.append(f"Left out, no image of either eye: {numbered([found.ids[row] for row in blind], 'patient')}.")
    rows = tuple(row for row in range(len(found.ids)) if row not in hit and row not in set(blind))
    if not rows:
        raise TableError("no patient is left", "patients with an image", "keep known issues", found.table.source)
    return _Chosen(rows, images, tuple(notes))


def _table(found: Release, chosen: _Chosen, ages: Sequence[float | None]) -> Table:
    rows, table = chosen.rows, found.table
    columns: dict[str, Sequence[Any]] = {
        "patient_id": [found.ids[row] for row in rows],
        **{letter: [CLASSES[int(found.labels[row, i])] for row in rows] for i, letter in enumerate(LABELS)},
        **{side: [chosen.images[side][row] for row in rows] for side in SIDES},
        "age": [ages[row] for row in rows],
        "sex": [found.sexes[row] for row in rows],
    }
    for side in SIDES:
        columns[f"{side}_keywords"] = [table[f"{side.capitalize()}-Diagnostic Keywords"][row] for row in rows]
    if found.split:
        columns["split"] = [found.split.get(found.ids[row]) for row in rows]
    return Table.of(columns)


def _card(found: Release, mirror: bool) -> dict[str, Any]:
    modalities: dict[str, Any] = {side: {"use": "image", "column": side, "size": 224} for side in SIDES}
    if mirror:
        modalities["left"]["steps"] = [{"use": "mirror"}]
    modalities["meta"] = {"use": "table", "numeric": ["age"], "categorical": ["sex"]}
    return {
        "cases": {"id": "patient_id", "case_is": "patient", "root": str(found.folder.resolve())},
        "labels": {letter: {"classes": list(CLASSES), "positive": CLASSES[1]} for letter in LABELS},
        "modalities": modalities,
        "columns": {f"{side}_keywords": {"known": "states the label"} for side in SIDES},
        **split_and_source(found),
    }
