"""A few patients in the layout of ODIR-5K, written afresh; their images are empty: an adapter reads their names.

Torch works on one thread, and the cache is each test's own.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest

from mmfuse_fundus.odir5k.facts import COLUMNS, LABELS

Row = dict[str, str]

PATIENTS = (
    ("1", "60", "Female", "normal fundus", "normal fundus", "N"),
    ("5", "50", "Male", "moderate non proliferative retinopathy", "normal fundus", "D"),
    ("8", "71", "Male", "cataract", "suspected glaucoma，lens dust", "GC"),
    ("19", "64", "Female", "drusen", "dry age-related macular degeneration", "AO"),
    ("32", "45", "Male", "hypertensive retinopathy,vitreous degeneration", "myopia retinopathy", "HMO"),
    ("1706", "38", "Female", "anterior segment image", "normal fundus", "N"),
    ("2177", "55", "Male", "normal fundus", "normal fundus", "N"),
    ("4580", "1", "Female", "pathological myopia", "pathological myopia", "M"),
)
"""Id, age, sex, keywords of the left and the right eye, labels."""


class Odir5kFolder:
    """The challenge's folder; change `rows`, `images` (names) or `split` before `write`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []
        for patient, age, sex, left, right, labels in PATIENTS:
            eyes = (f"{patient}_left.jpg", f"{patient}_right.jpg")
            cells = (patient, age, sex, *eyes, left, right, *(str(int(letter in labels)) for letter in LABELS))
            self.rows.append(dict(zip(COLUMNS, cells, strict=True)))
        self.images = [row[f"{side}-Fundus"] for row in self.rows for side in ("Left", "Right")]
        self.split: list[Row] = []
        self.table = "ODIR-5K_Training_Annotations(Updated)_V2.csv"
        self.image_folder = "Train"

    def row(self, patient: str) -> Row:
        return next(row for row in self.rows if row["ID"] == patient)

    def write(self) -> Path:
        self._table(self.folder / self.table, self.rows)
        if self.split:
            self._table(self.folder / "split.csv", self.split)
        (self.folder / self.image_folder).mkdir(parents=True, exist_ok=True)
        for name in self.images:
            (self.folder / self.image_folder / name).touch()
        return self.folder

    def _table(self, path: Path, rows: list[Row]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            return
        import openpyxl

        book = openpyxl.Workbook()
        book.active.append(list(rows[0]))
        for row in rows:
            book.active.append([int(cell) if cell.isdigit() else cell for cell in row.values()])
        book.save(path)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def odir5k(tmp_path: Path) -> Odir5kFolder:
    return Odir5kFolder(tmp_path / "ODIR-5K")


@pytest.fixture(scope="session")
def data() -> Path:
    folder = os.environ.get("MMFUSE_DATA")
    if not folder:
        pytest.skip("MMFUSE_DATA names no folder of real data")
    return Path(folder)
