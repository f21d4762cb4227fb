"""Adapter of derm7pt: clinical and dermoscopic photographs, the seven-point checklist and metadata of 1,011 lesions.

Raw words are grouped into classes by name; the official split, the ten folds of its authors and FusionM4Net's halves
become columns. Every count is compared with the official release: nothing is repaired silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmfuse import Adapter, Table, TableError, Tidy
from mmfuse_skin.derm7pt import facts
from mmfuse_skin.derm7pt.release import Release, differences, read_release, runs

JUDGED: Mapping[str, str] = {
    "management": "after the diagnosis",
    "level_of_diagnostic_difficulty": "after the diagnosis: judged by an annotator",
    "seven_point_score": "after the diagnosis: the sum of the labels' points",
    "case_id": "an identifier, no property of the lesion",
    "notes": "after the diagnosis: remarks of the annotators",
}
"""Column → how it came to be known, for the columns that are no inputs."""


class Derm7pt(Adapter):
    """derm7pt (Kawahara et al. 2019): clinical + dermoscopic images, metadata, 8 labels, the official split."""

    strict: bool = True
    """Refuse a release whose counts or files differ from the official ones; false: say so in the notes."""

    def tidy(self, release: Path) -> Tidy:
        """Reads the folder `release_v0`, or one or two levels above it.

        Raises: TableError for a missing file or column, an unknown raw word, index lists that do not
        partition the rows, and, if `strict`, all that differs from the official release at once.
        """
        found = read_release(Path(release))
        faults = differences(found)
        if self.strict:
            faults.raise_as(TableError)
        different = [f"{fault.where}: {fault.found} (official release: {fault.expected})" for fault in faults]
        return Tidy(_table(found), _card(found.folder), (*_notes(found), *different))


def _folds(lists: Mapping[str, Sequence[int]]) -> dict[int, str]:
    """Row → number of its fold, from 1: each ascending run of an index list was one fold of the authors."""
    fold: dict[int, str] = {}
    number = 0
    for split in facts.SPLITS:
        positions = iter(lists[split])
        for length in runs(lists[split]):
            number += 1
            fold |= {next(positions): str(number) for _ in range(length)}
    return fold


def _table(found: Release) -> Table:
    meta = found.meta
    fold = _folds(found.lists)
    half = {row: "a" if place < facts.FIRST_HALF else "b" for place, row in enumerate(found.lists["train"])}
    rows = range(len(meta))
    columns: dict[str, Sequence[str | None]] = {
        "case_num": meta["case_num"],
        **{criterion.column: found.labels[criterion.column] for criterion in facts.CRITERIA},
        "clinic": found.images.clinic,
        "derm": found.images.derm,
        **{name: meta[name] for name in ("elevation", "location", "sex")},
        "split": found.split,
        "fold": [fold[row] for row in rows],
        "half": [half.get(row) for row in rows],
        **{name: meta[name] for name in JUDGED},
        **{f"{criterion.column}_raw": meta[criterion.column] for criterion in facts.CRITERIA if criterion.regrouped},
    }
    return Table.of(columns)


def _card(folder: Path) -> dict[str, Any]:
    image = {"use": "image", "size": 224, "steps": [{"use": "border-crop", "pixels": facts.BORDER}]}
    labels = {
        criterion.column: {"classes": list(criterion.classes), "positive": criterion.positive}
        for criterion in facts.CRITERIA
    }
    raw = [f"{criterion.column}_raw" for criterion in facts.CRITERIA if criterion.regrouped]
    return {
        "cases": {"id": "case_num", "case_is": "lesion", "root": str((folder / "images").resolve())},
        "labels": labels,
        "modalities": {
            "clinic": {**image, "column": "clinic"},
            "derm": {**image, "column": "derm"},
            "meta": {"use": "table", "categorical": ["elevation", "location", "sex"]},
        },
        "columns": {
            **{name: {"known": known} for name, known in JUDGED.items()},
            **{name: {"known": "after the diagnosis: a label's raw word"} for name in raw},
        },
        "split": {"column": "split"},
        "source": {
            "name": "derm7pt",
            "licence": "Images for research only, not to be redistributed: see the terms of the release",
            "cite": "Kawahara J, Daneshvar S, Argenziano G, Hamarneh G. Seven-point checklist and skin lesion "
            "classification using multitask multimodal neural nets. IEEE J Biomed Health Inform 23(2):538-546, 2019. "
            "doi:10.1109/JBHI.2018.2824327",
            "notes": [
                "No patient id exists: lesions of one patient may stand on both sides of a split.",
                "fold: the ten folds of the authors, recovered from the index lists (1-4 train, 5-6 valid, 7-10 test).",
                f"half: the train list in file order, cut as FusionM4Net does: a = first {facts.FIRST_HALF}, b = rest.",
            ],
        },
    }


def _notes(found: Release) -> tuple[str, ...]:
    cases = ", ".join(str(found.meta["case_num"][row]) for row in found.images.replaced)
    return (
        f"{len(found.images.replaced)} lesions have no clinical image of their own (the release repeats the "
        f"dermoscopic one): absent for case_num {cases or 'none'}.",
        "No patient id exists: lesions of one patient may stand on both sides of the split.",
        f"{', '.join(JUDGED)} and the raw words of labels are no inputs unless the card allows them by name.",
    )
