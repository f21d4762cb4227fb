"""Official layouts written afresh, image files of one byte: what an adapter reads of them is their names."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

Row = dict[str, str]


def write_csv(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def data() -> Path:
    folder = os.environ.get("MMFUSE_DATA")
    if not folder:
        pytest.skip("MMFUSE_DATA names no folder of real data")
    return Path(folder)


class BusbraFolder:
    """Ten cases in the layout of BUS-BRA: case 9 has one view alone; two cases a fold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []
        self.folds: list[Row] = []
        self.split: list[Row] = []
        for case in range(10):
            for side in ("single",) if case == 9 else ("left", "right"):
                name = f"bus_{case:04}-{side[0]}"
                pathology = ("benign", "malignant")[case % 2]
                self.rows.append({
                    "ID": name, "Case": str(case), "Histology": "cyst", "Pathology": pathology, "BIRADS": "4",
                    "Device": "GE Logiq 5", "Width": "300", "Height": "200", "Side": side, "BBOX": f"[{case},1,2,3]",
                })  # fmt: skip
                fold = str(case // 2 + 1)
                marks = {f"valid_{k}": "NaN" if str(k) == fold else str(k % 2) for k in range(1, 6)}
                self.folds.append({"ID": name, "Pathology": pathology, "kFold": fold, **marks})
        self.image = "Images/{}.png"

    def write(self) -> Path:
        write_csv(self.folder / "bus_data.csv", self.rows)
        if self.folds:
            write_csv(self.folder / "5-fold-cv.csv", self.folds)
        if self.split:
            write_csv(self.folder / "split.csv", self.split)
        for row in self.rows:
            path = self.folder / self.image.format(row["ID"])
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
        return self.folder


@pytest.fixture
def busbra(tmp_path: Path) -> BusbraFolder:
    return BusbraFolder(tmp_path / "busbra")


class BreastFolder:
    """Eight patients in the layout of BrEaST, the last without a lesion."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = "clinical_data.csv"
        self.image = "images/{}.png"
        self.rows: list[Row] = []
        for case in range(1, 9):
            self.rows.append({
                "CaseID": str(case), "Image_filename": f"case{case:03}.png", "Mask_tumor_filename": f"m{case}.png",
                "Mask_other_filename": "", "Pixel_size": "0.01", "Age": "" if case == 2 else f"{40 + case}.0",
                "Tissue_composition": "lactating&homogeneous: fat", "Signs": ("no", "not available")[case % 2],
                "Symptoms": "nipple discharge", "Shape": "oval", "Margin": "circumscribed", "Echogenicity": "anechoic",
                "Posterior_features": "no", "Halo": "no", "Calcifications": "no", "Skin_thickening": "no",
                "Interpretation": "Cyst", "BIRADS": "2", "Verification": "confirmed by biopsy", "Diagnosis": "Cyst",
                "Classification": "normal" if case == 8 else ("benign", "malignant")[case % 2],
            })  # fmt: skip

    def write(self) -> Path:
        write_csv(self.folder / self.name, self.rows)
        for row in self.rows:
            path = self.folder / self.image.format(Path(row["Image_filename"]).stem)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
        return self.folder


@pytest.fixture
def breast(tmp_path: Path) -> BreastFolder:
    return BreastFolder(tmp_path / "breast")
