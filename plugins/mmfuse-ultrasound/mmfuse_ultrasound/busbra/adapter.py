"""Adapter of BUS-BRA: breast ultrasound, one or two views of a lesion, benign or malignant; official folds by case.

What a reader said of the image (BI-RADS, the box around the lesion) or what the pathologist found (histology) is kept,
marked in the card, so that it is refused as an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mmfuse import Adapter, Table, TableError, Tidy
from mmfuse_ultrasound.busbra.release import FOLDS, PATHOLOGY, Release, read_release

FULL = (1875, 1064)
"""Images and cases of the full release (Gómez-Flores et al. 2023)."""
MARKED = {
    "histology": "after the diagnosis",
    "birads": "said by a reader of the images, with the diagnosis in mind",
    "box": "drawn around the lesion by a reader",
}
"""Column (or how it ends) → when it came to be known."""
Words = Sequence[str | None]


class Busbra(Adapter):
    """BUS-BRA (Gómez-Flores et al. 2023): breast ultrasound, one or two views, benign or malignant, official folds."""

    views: Literal["pair", "any", "single"] = "pair"
    """pair: a row a case, of the cases that have both views; any: a row for every case, a lone view stands as `left`;
    single: a row an image, the images of a case being one group.
    """
    test_fold: Annotated[int, Field(ge=0, le=5)] = 0
    """The official fold that becomes `test`; the next one becomes `valid`. 0: split.csv, or a split drawn by case."""
    strict: bool = True
    """Refuse a release with images that are not there; false: say so in the notes and leave them empty."""

    def tidy(self, release: Path) -> Tidy:
        """Reads the folder that holds `bus_data.csv`, with the images in it or in a folder of it (`Images`); the
        official `5-fold-cv.csv` and a `split.csv` (Case, split) beside them are used if they are there.

        Raises: TableError for a release that contradicts itself, if `strict` for an incomplete one, and for a
        `test_fold` without folds: all at once.
        """
        found = read_release(Path(release))
        if self.strict:
            found.gaps.raise_as(TableError)
        if self.test_fold and not found.folds:
            raise TableError(
                f"no {FOLDS}", "the official folds, for `test_fold`", "leave `test_fold` out", str(found.folder)
            )
        table = _images_as_rows(found) if self.views == "single" else _cases_as_rows(found, self.views == "pair")
        table = table.with_columns(self._split(found, [str(case) for case in table["case"]]))
        gaps = [f"{fault.where}: {fault.found}" for fault in found.gaps]
        return Tidy(table, self._card(found, table), (*self._notes(found, table), *gaps))

    def _split(self, found: Release, cases: Sequence[str]) -> dict[str, Words]:
        if self.test_fold:
            words = {str(self.test_fold): "test", str(self.test_fold % 5 + 1): "valid"}
            return {"split": [words.get(found.folds.get(case, ""), "train") for case in cases]}
        return {"split": [found.split.get(case) for case in cases]} if found.split else {}

    def _card(self, found: Release, table: Table) -> dict[str, Any]:
        single = self.views == "single"
        marked = {name: known for name in table.names for end, known in MARKED.items() if name.endswith(end)}
        views = ("view",) if single else ("left", "right")
        split = {"column": "split"} if "split" in table else {"fractions": {"train": 0.6, "valid": 0.2, "test": 0.2}}
        return {
            "cases": {
                "id": "image" if single else "case",
                "case_is": "image" if single else "lesion",
                **({"group": "case"} if single else {}),
                "root": str(found.folder.resolve()),
            },
            "labels": {"pathology": {"classes": list(PATHOLOGY), "positive": "malignant"}},
            "modalities": {view: {"use": "image", "column": view, "size": 224} for view in views},
            "columns": {name: {"known": known} for name, known in marked.items()},
            "split": split,
            "source": {
                "name": "BUS-BRA",
                "licence": "the dataset's own permissive licence; every use must cite the article",
                "cite": "W. Gómez-Flores, M. J. Gregorio-Calas, W. C. A. Pereira. BUS-BRA: A Breast Ultrasound Dataset "
                "for Assessing Computer-aided Diagnosis Systems. Medical Physics, 2023",
                "notes": ["Images carry burned-in callipers, text and the name of the scanner."],
            },
        }

    def _notes(self, found: Release, table: Table) -> tuple[str, ...]:
        images, cases = len(found.table), len(found.rows)
        whole = "the full release" if (images, cases) == FULL else f"the full release has {FULL[0]} of {FULL[1]}"
        notes = [f"{images} images of {cases} cases; {whole}."]
        alone = sum("single" in own for own in found.rows.values())
        if alone and self.views == "pair":
            notes.append(f"{alone} cases have one view alone and are left out; `--set views=any` keeps them.")
        elif alone and self.views == "any":
            notes.append(f"{alone} cases have one view alone: it stands as `left`, `right` is absent.")
        if found.folds:
            notes.append(
                "`fold` is the official fold. The official validation marks are not used: they put the two views of "
                "one case on both sides."
            )
        if "split" not in table:
            notes.append("There is no split.csv: the card draws a split by case.")
        return tuple(notes)


def _cases_as_rows(found: Release, pairs: bool) -> Table:
    """A row a case; of `pairs` those alone that have a left and a right view."""
    rows = {case: own for case, own in found.rows.items() if not pairs or ("single" not in own and len(own) == 2)}
    lefts = [own.get("left", own.get("single")) for own in rows.values()]
    rights = [own.get("right") for own in rows.values()]
    columns: dict[str, Words] = {"case": list(rows), **_of_cases(found, [[*own.values()] for own in rows.values()])}
    for view, own in (("left", lefts), ("right", rights)):
        columns[view] = [None if row is None else found.images.get(str(found.table["ID"][row])) for row in own]
        columns[f"{view}_box"] = [None if row is None else found.table["BBOX"][row] for row in own]
    return Table.of(columns)


def _images_as_rows(found: Release) -> Table:
    """A row an image."""
    own = [row for rows in found.rows.values() for row in rows.values()]
    table = found.table
    return Table.of(
        {
            "image": [table["ID"][row] for row in own],
            "case": [table["Case"][row] for row in own],
            "side": [table["Side"][row] for row in own],
            **_of_cases(found, [[row] for row in own]),
            "view": [found.images.get(str(table["ID"][row])) for row in own],
            "box": [table["BBOX"][row] for row in own],
        }
    )


def _of_cases(found: Release, rows: Sequence[Sequence[int]]) -> dict[str, Words]:
    """What is said of a case; where its views were scored differently, both scores."""

    def said(column: str) -> list[str | None]:
        words = [[found.table[column][row] for row in own] for own in rows]
        return ["; ".join(dict.fromkeys(filter(None, own))) or None for own in words]

    folds = [found.folds.get(str(found.table["Case"][own[0]])) for own in rows]
    columns: dict[str, Words] = {name.lower(): said(name) for name in ("Pathology", "Device", "Histology", "BIRADS")}
    return {**columns, **({"fold": folds} if found.folds else {})}
