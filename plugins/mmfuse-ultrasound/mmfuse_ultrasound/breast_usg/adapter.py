"""Adapter of BrEaST: one breast-ultrasound image a patient and a clinical table; benign, malignant or normal.

Inputs are the image and what was known before it was read: age, tissue, signs, symptoms. What the reader described in
the image (shape, margin, BI-RADS …) nearly states the label, and the rest was known after the diagnosis: marked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmfuse import Adapter, Faults, Table, TableError, Tidy, nearest
from mmfuse_ultrasound.releases import UNCHANGED, find_images, find_table, read_columns

DATASET = "BrEaST"
TABLES = ("*clinical*data*.*", "*clinical*.*")
IMAGE, CASE, LABEL = "Image_filename", "CaseID", "Classification"
NUMERIC = ("Age",)
SEVERAL = ("Tissue_composition", "Signs", "Symptoms")
"""Cells of several words, `palpable&redness`."""
BY_THE_READER = (
    "Shape", "Margin", "Echogenicity", "Posterior_features", "Halo", "Calcifications", "Skin_thickening",
    "Interpretation", "BIRADS", "Mask_tumor_filename", "Mask_other_filename",
)  # fmt: skip
AFTERWARDS = ("Verification", "Diagnosis")
CLASSES = ("normal", "benign", "malignant")
MISSING = "not available"
FULL = 256


class BreastUsg(Adapter):
    """BrEaST (Pawłowska et al. 2024): a breast-ultrasound image and clinical data a patient, benign or malignant."""

    keep_normal: bool = False
    """Keep the cases without a lesion, as a third class; there are four of them, so the figures of it mean nothing."""
    strict: bool = True
    """Refuse a release with images that are not there; false: say so in the notes and leave them empty."""

    def tidy(self, release: Path) -> Tidy:
        """Reads the folder that holds the clinical table (xlsx or csv), with the images in it or in a folder of it,
        known by the stem of `Image_filename`. The word "not available" is a missing cell.

        Raises: TableError for a missing table or column, unknown or repeated cases, empty image files and, if `strict`,
        for images that are not there.
        """
        folder, gaps = Path(release), Faults()
        needed = (CASE, IMAGE, *NUMERIC, *SEVERAL, *BY_THE_READER, *AFTERWARDS, LABEL)
        table = read_columns(find_table(folder, TABLES, DATASET), needed, DATASET)
        _check(table)
        normal = table[LABEL] == "normal"
        kept = table if self.keep_normal else table.take(~normal)
        stems = [Path(name).stem for name in kept[IMAGE]]
        images = find_images(folder, stems, gaps)
        if self.strict:
            gaps.raise_as(TableError)
        columns = {name: [None if word == MISSING else word for word in kept[name]] for name in needed if name != IMAGE}
        tidy = Table.of({CASE: columns.pop(CASE), "scan": [images.get(stem) for stem in stems], **columns})
        notes = [f"{len(table)} patients; the full release has {FULL}."] if len(table) != FULL else []
        if normal.any():
            word = (
                "kept, as a class of their own" if self.keep_normal else "left out; `--set keep_normal=true` keeps them"
            )
            notes.append(f"{int(normal.sum())} patients without a lesion are {word}.")
        notes.append(_missing_note(tidy))
        return Tidy(tidy, self._card(folder), (*notes, *(f"{fault.where}: {fault.found}" for fault in gaps)))

    def _card(self, folder: Path) -> dict[str, Any]:
        classes = CLASSES if self.keep_normal else CLASSES[1:]
        marked = {name: {"known": "said by the reader of the image"} for name in BY_THE_READER}
        return {
            "cases": {"id": CASE, "case_is": "patient", "root": str(folder.resolve())},
            "labels": {"classification": {"classes": list(classes), "column": LABEL, "positive": "malignant"}},
            "modalities": {
                "scan": {"use": "image", "column": "scan", "size": 224},
                "clinical": {"use": "table", "numeric": list(NUMERIC), "multi": dict.fromkeys(SEVERAL, "&")},
            },
            "columns": {**marked, **{name: {"known": "after the diagnosis"} for name in AFTERWARDS}},
            "split": {"fractions": {"train": 0.6, "valid": 0.2, "test": 0.2}, "seed": 0},
            "source": {
                "name": "BrEaST (Breast-Lesions-USG)",
                "licence": "CC BY 4.0",
                "cite": "A. Pawłowska et al. Curated benchmark dataset for ultrasound based breast lesion analysis. "
                "Scientific Data 11:148, 2024",
                "notes": [
                    "Which clinical cells are missing predicts the label by itself: look at the presence control.",
                    "Tissue_composition is read from the image, of the breast, not of the lesion.",
                ],
            },
        }


def _check(table: Table) -> None:
    """Raises: TableError naming each case that is nameless, repeated, without an image's name, or of no known class."""
    faults, seen = Faults(), set()
    for row, (case, image, word) in enumerate(zip(table[CASE], table[IMAGE], table[LABEL], strict=True)):
        if case is None or case in seen:
            found = "an empty cell" if case is None else f"case {case} once more"
            faults.add(table.where(row, CASE), found, "each case once", UNCHANGED)
        if image is None:
            faults.add(table.where(row, IMAGE), "an empty cell", "the image's file name", UNCHANGED)
        if word not in CLASSES:
            faults.add(table.where(row, LABEL), f"'{word or ''}'", ", ".join(CLASSES), nearest(word or "", CLASSES))
        seen.add(case)
    faults.raise_as(TableError)


def _missing_note(table: Table) -> str:
    shares = {name: sum(word is None for word in table[name]) for name in (*NUMERIC, *SEVERAL)}
    words = ", ".join(f"{name} {count}" for name, count in shares.items())
    return f"Missing clinical cells of {len(table)}: {words}. Which are missing predicts the label by itself."
