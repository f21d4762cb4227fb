"""The cohort as a folder, a table and a card. What the pictures show and what an ideal observer thinks of it goes to
`truth.csv` alone, never into the table, so that nothing can learn from it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmfuse import Table, TableError, generator, read_json, whole_file
from mmfuse.builtin.cohort import pictures
from mmfuse.builtin.cohort.canvas import Canvas
from mmfuse.builtin.cohort.model import (
    AGES,
    COLOUR,
    DAMAGE,
    ELEVATION,
    IMAGES,
    LABELS,
    SEXES,
    SITES,
    STRUCTURE,
    Model,
)
from mmfuse.builtin.cohort.observer import posteriors
from mmfuse.builtin.cohort.sampling import Cohort

RELEASE = "mmfuse synthetic cohort"
VERSION = 1
"""Of the pictures and the model; another number draws another cohort."""

_VALUES = {"elevation": ELEVATION, "structure": STRUCTURE, "colour": COLOUR, "freckles": DAMAGE}
_CELLS: dict[str, Sequence[Any]] = {"age": AGES, "sex": SEXES, "site": SITES}
_PENS = {"clinic": pictures.clinic, "derm": pictures.derm}


def lesion_id(case: int) -> str:
    return f"L{case + 1:05d}"


def image_path(modality: str, case: int) -> str:
    """Relative to the folder."""
    return f"images/{modality}/{lesion_id(case)}.png"


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


def write(folder: Path, model: Model, cohort: Cohort, size: int, knobs: dict[str, Any]) -> None:
    """Draws the pictures and writes `truth.csv`; `release.json` goes first, so a drawing that was cut short is taken
    up again.

    Raises: TableError if the folder holds something else.
    """
    marker = {"release": RELEASE, "version": VERSION, "knobs": knobs}
    _refuse_others(folder, marker)
    for modality in IMAGES:
        (folder / "images" / modality).mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "release.json") as scratch:
        scratch.write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    for modality, case, picture in drawn(cohort, size):
        Image.fromarray(picture).save(folder / image_path(modality, case), compress_level=3)
    with (folder / "truth.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_truth_rows(model, cohort))


def drawn(cohort: Cohort, size: int) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """(modality, case, picture) of every image that is present."""
    canvas = Canvas.of(size)
    for case, patient in enumerate(cohort.patients.tolist()):
        tone = pictures.skin_tone(generator(cohort.seed, "synthetic", "skin", patient))
        for modality, pen in _PENS.items():
            if cohort.images[modality][case]:
                shown = {attribute: int(values[case]) for attribute, values in cohort.shown[modality].items()}
                yield modality, case, pen(generator(cohort.seed, "synthetic", modality, case), canvas, tone, shown)


def _refuse_others(folder: Path, marker: dict[str, Any]) -> None:
    if folder.exists() and not folder.is_dir():
        raise TableError("is a file", "a folder, new or empty", "name another folder", str(folder))
    path = folder / "release.json"
    mend = "name another folder, or remove this one first"
    if not path.exists():
        found = [name for name in ("images", "truth.csv") if (folder / name).exists()]
        if found:
            expected = "a new folder, or one that a synthetic cohort was drawn into"
            raise TableError(f"holds {' and '.join(found)} of something else", expected, mend, str(folder))
        return
    held = read_json(path, expected="what a synthetic cohort wrote", mend=mend, error=TableError)
    if held != marker:
        raise TableError(f"is another release: {_said(held)}", f"{_said(marker)}, or a new folder", mend, str(path))


def _said(marker: Any) -> str:  # noqa: ANN401  # whatever a JSON file holds
    if not isinstance(marker, dict) or marker.get("release") != RELEASE or not isinstance(marker.get("knobs"), dict):
        return "not of a synthetic cohort"
    return f"{RELEASE} {marker.get('version')} with " + ", ".join(f"{k}={v}" for k, v in marker["knobs"].items())


# ── the truth, which is never an input ──────────────────────────────────────────────────────────────────────────────


def _truth_rows(model: Model, cohort: Cohort) -> Iterator[list[str]]:
    labels = model.labels
    ideal = posteriors(model, cohort)
    shown = [(m, a) for m in IMAGES for a in cohort.shown[m]]
    yield [
        "lesion_id",
        *(f"true:{name}" for name in LABELS),
        *(f"shown:{m}:{a}" for m, a in shown),
        *(f"ideal:{subset}:{column}" for subset in ideal for column in labels.column_names),
    ]
    for case in range(len(cohort)):
        yield [
            lesion_id(case),
            *(classes[cohort.truth[name][case]] for name, classes in LABELS.items()),
            *(_VALUES[a][cohort.shown[m][a][case]] if cohort.images[m][case] else "" for m, a in shown),
            *("" if np.isnan(p) else repr(float(p)) for block in ideal.values() for p in block[case]),
        ]


# ── table and card ──────────────────────────────────────────────────────────────────────────────────────────────────


def tabulate(cohort: Cohort) -> Table:
    """The tidy cases; what is absent or unknown is an empty cell."""
    columns: dict[str, list[Any]] = {
        "lesion_id": [lesion_id(case) for case in range(len(cohort))],
        "patient_id": [f"P{patient + 1:05d}" for patient in cohort.patients],
    }
    for modality, present in cohort.images.items():
        columns[modality] = [image_path(modality, case) if there else None for case, there in enumerate(present)]
    for name, values in _CELLS.items():
        columns[name] = [values[i] if i < len(values) else None for i in cohort.cells[name]]
    for name, classes in LABELS.items():
        told = zip(cohort.truth[name], cohort.known[name], strict=True)
        columns[name] = [classes[value] if known else None for value, known in told]
    return Table.of(columns)


def card(folder: Path, size: int, seed: int) -> dict[str, Any]:
    """The card as its TOML tree."""
    return {
        "cases": {"id": "lesion_id", "case_is": "lesion", "group": "patient_id", "root": str(folder.resolve())},
        "labels": {name: list(classes) for name, classes in LABELS.items()},
        "modalities": {
            **{modality: {"use": "image", "column": modality, "size": size} for modality in IMAGES},
            "meta": {"use": "table", "numeric": ["age"], "categorical": ["sex", "site"]},
        },
        "split": {"fractions": {"train": 0.6, "valid": 0.15, "test": 0.25}, "seed": seed},
        "source": {
            "name": RELEASE,
            "licence": "CC0-1.0",
            "cite": f"Drawn by mmfuse, adapter synthetic, version {VERSION}",
            "notes": [
                "No patient, no lesion: every picture is drawn. What an ideal observer reaches is in docs/synthetic.md."
            ],
        },
    }


def notes(cohort: Cohort) -> tuple[str, ...]:
    """What the user should know of this draw."""
    absent = ", ".join(f"{int((~there).sum())} {modality}" for modality, there in cohort.images.items())
    unknown = ", ".join(f"{int((~known).sum())} {name}" for name, known in cohort.known.items())
    return (
        f"{len(cohort)} drawn lesions of {len(np.unique(cohort.patients))} patients.",
        f"Absent images: {absent}. Unknown labels: {unknown}.",
        "truth.csv holds what is true and what an ideal observer thinks: for judging, never an input.",
    )
