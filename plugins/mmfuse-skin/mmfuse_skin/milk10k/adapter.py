"""Adapter of MILK10k: a clinical close-up and a dermoscopic photograph of each lesion, metadata, eleven diagnoses.

Two rows a lesion become one. What a model made from the images (MONET_*) and what was known only after the diagnosis is
kept, marked in the card, so that it is refused as an input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmfuse import Adapter, Table, TableError, Tidy
from mmfuse_skin.milk10k.release import MODALITIES, Release, read_release

MODEL_MADE = "MONET_"
MELANOMA = "MEL"
FULL = 5240
"""Lesions of the full training release (challenge.isic-archive.com/landing/milk10k)."""
NAMES: Mapping[str, str] = {"age_approx": "age", "sex": "sex", "skin_tone_class": "skin_tone", "site": "site"}
"""The metadata's column → the cases'."""


class Milk10k(Adapter):
    """MILK10k (MILK study team, ISIC archive 2025): clinical + dermoscopic images, metadata, 11 diagnoses."""

    strict: bool = True
    """Refuse lesions that stand in one table only and images that are not there; false: say so in the notes."""

    def tidy(self, release: Path) -> Tidy:
        """Reads the folder that holds the tables, by the names of the ISIC archive, of the challenge, or plain ones;
        a `split.csv` (lesion_id, split) beside them is used if it is there.

        Raises: TableError for tables that contradict themselves and, if `strict`, for incomplete ones: all at once.
        """
        found = read_release(Path(release))
        if self.strict:
            found.gaps.raise_as(TableError)
        table = _table(found)
        gaps = [f"{fault.where}: {fault.found}" for fault in found.gaps]
        return Tidy(table, _card(found, table), (*_notes(found), *gaps))


def _table(found: Release) -> Table:
    lesions = list(found.rows)
    columns: dict[str, Sequence[str | None]] = {
        "lesion_id": lesions,
        "diagnosis": [found.diagnosis.get(lesion) for lesion in lesions],
        **{modality: [found.images[lesion].get(modality) for lesion in lesions] for modality in MODALITIES.values()},
        **{name: [_said(found, lesion, column) for lesion in lesions] for column, name in NAMES.items()},
    }
    if found.split:
        columns["split"] = [found.split.get(lesion) for lesion in lesions]
    kept = [name for name in found.metadata.names if name.startswith(MODEL_MADE) or name == "image_manipulation"]
    for modality in MODALITIES.values():
        for name in kept:
            columns[f"{modality}_{name}"] = [_of_image(found, lesion, modality, name) for lesion in lesions]
    for name, words in found.supplement.items():
        columns[name] = [_supplemented(found, lesion, words) for lesion in lesions]
    return Table.of(columns)


def _said(found: Release, lesion: str, column: str) -> str | None:
    return found.metadata[column][next(iter(found.rows[lesion].values()))]


def _of_image(found: Release, lesion: str, modality: str, column: str) -> str | None:
    row = found.rows[lesion].get(modality)
    return None if row is None else found.metadata[column][row]


def _supplemented(found: Release, lesion: str, words: Mapping[str, str]) -> str | None:
    """What the supplement says of the lesion's images; it says the same of both, or both are kept."""
    said = [words[isic] for row in found.rows[lesion].values() if (isic := found.metadata["isic_id"][row]) in words]
    return "; ".join(dict.fromkeys(said)) or None


def _card(found: Release, table: Table) -> dict[str, Any]:
    marked = {name: "made by a model from the images" for name in table.names if MODEL_MADE in name}
    marked |= dict.fromkeys(found.supplement, "after the diagnosis")
    label: dict[str, Any] = {"classes": list(found.classes)}
    if MELANOMA in found.classes:
        label["positive"] = MELANOMA
    return {
        "cases": {"id": "lesion_id", "case_is": "lesion", "root": str(found.folder.resolve())},
        "labels": {"diagnosis": label},
        "modalities": {
            **{modality: {"use": "image", "column": modality, "size": 224} for modality in MODALITIES.values()},
            "meta": {"use": "table", "numeric": ["age", "skin_tone"], "categorical": ["sex", "site"]},
        },
        "columns": {name: {"known": known} for name, known in marked.items()},
        "split": {"column": "split"}
        if found.split
        else {"fractions": {"train": 0.7, "valid": 0.15, "test": 0.15}, "seed": 0},
        "source": {
            "name": "MILK10k",
            "licence": "CC BY-NC, attribution: MILK study team",
            "cite": "MILK study team. MILK10k. ISIC Archive, 2025. doi:10.34970/648456",
            "notes": ["No patient id exists: lesions of one patient may stand on both sides of a split."],
        },
    }


def _notes(found: Release) -> tuple[str, ...]:
    notes = ["No patient id exists: lesions of one patient may stand on both sides of the split."]
    size = len(found.rows)
    if size == FULL:
        notes.append(f"The full release: {FULL} lesions.")
    else:
        notes.append(f"{size} lesions; the full release has {FULL}: a part of it.")
    for modality in MODALITIES.values():
        alone = sum(modality not in rows for rows in found.rows.values())
        if alone:
            notes.append(f"{alone} lesions have no {modality} image in the metadata: absent.")
    if not found.supplement:
        notes.append("There is no supplement: the columns of the finer diagnosis are left out.")
    if found.split:
        left = sum(lesion not in found.split for lesion in found.rows)
        notes.append(f"The split is read from split.csv{f'; {left} lesions are in none' if left else ''}.")
    else:
        notes.append("There is no split.csv: the card draws a split by lesion.")
    return tuple(notes)
