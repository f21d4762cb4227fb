"""Official layouts written afresh, image files empty: what an adapter reads of them is their names."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmfuse_skin.derm7pt import facts

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


class Derm7ptFolder:
    """A folder like the official release: 1,011 rows with its counts, drawn in an order of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        generator = np.random.default_rng(7)
        order = iter(generator.permutation(1011).tolist())
        self.lists = {
            split: [position for length in facts.RUNS[split] for position in sorted(next(order) for _ in range(length))]
            for split in facts.SPLITS
        }
        self.rows: list[Row] = [dict.fromkeys(facts.COLUMNS, "") for _ in range(1011)]
        for criterion in facts.CRITERIA:
            words = {
                name: iter([word for word, n in words.items() for _ in range(n)])
                for name, words in criterion.classes.items()
            }
            for place, split in enumerate(facts.SPLITS):
                names = [name for name, counts in criterion.counts.items() for _ in range(counts[place])]
                for position, name in zip(generator.permutation(self.lists[split]).tolist(), names, strict=True):
                    self.rows[position][criterion.column] = next(words[name])
                    points = criterion.points.get(name, 0)
                    score = int(self.rows[position]["seven_point_score"] or 0) + points
                    self.rows[position]["seven_point_score"] = str(score)
        for column, counts in facts.METADATA.items():
            drawn = generator.permutation([word for word, n in counts.items() for _ in range(n)]).tolist()
            for row, word in zip(self.rows, drawn, strict=True):
                row[column] = word
        for i, row in enumerate(self.rows):
            row |= {"case_num": str(i + 1), "clinic": f"NEL/Nel{i:04}.jpg", "derm": f"A1l/Aal{i:04}.JPG"}
        self.replaced = self.lists["train"][:2] + self.lists["valid"][:5] + self.lists["test"][:2]
        for position in self.replaced:
            self.rows[position] |= {"clinic": self.rows[position]["derm"], "notes": "Clinical missing"}

    def write(self, images: bool = True) -> Path:
        write_csv(self.folder / "meta" / "meta.csv", self.rows)
        for split, positions in self.lists.items():
            write_csv(self.folder / "meta" / f"{split}_indexes.csv", [{"indexes": str(p)} for p in positions])
        (self.folder / "images").mkdir(exist_ok=True)
        for path in {row[column] for row in self.rows for column in ("clinic", "derm")} if images else ():
            (self.folder / "images" / path).parent.mkdir(exist_ok=True)
            (self.folder / "images" / path).touch()
        return self.folder


@pytest.fixture
def derm7pt(tmp_path: Path) -> Derm7ptFolder:
    return Derm7ptFolder(tmp_path / "release_v0")


@pytest.fixture(scope="session")
def official_derm7pt(tmp_path_factory: pytest.TempPathFactory) -> Derm7ptFolder:
    folder = Derm7ptFolder(tmp_path_factory.mktemp("derm7pt") / "release_v0")
    folder.write()
    return folder


CLASSES = ("AKIEC", "BCC", "MEL", "NV")


class Milk10kFolder:
    """A few lesions in the layout of MILK10k; `names` are those of its three tables."""

    def __init__(self, folder: Path, lesions: int = 8) -> None:
        self.folder = folder
        self.metadata: list[Row] = []
        self.truth: list[Row] = []
        self.supplement: list[Row] = []
        for i in range(lesions):
            lesion = f"IL_{i:07}"
            said = {"age_approx": f"{30 + 5 * i}.0", "sex": "male", "skin_tone_class": str(i % 6), "site": "trunk"}
            for offset, kind in enumerate(("clinical: close-up", "dermoscopic")):
                isic = f"ISIC_{2 * i + offset:07}"
                image = {"lesion_id": lesion, "image_type": kind, "isic_id": isic, "image_manipulation": "altered"}
                self.metadata.append({**image, **said, "MONET_hair": f"0.{offset}{i}"})
                self.supplement.append({"isic_id": isic, "diagnosis_full": "Nevus, NOS", "diagnosis_confirm_type": "h"})
            self.truth.append({"lesion_id": lesion, **{n: f"{float(n == CLASSES[i % 4])}" for n in CLASSES}})
        self.split: list[Row] = []
        self.names = ("metadata.csv", "groundtruth.csv", "supplement.csv")
        self.image: Callable[[Row], str] = lambda row: f"images/{row['isic_id']}.jpg"

    def paths(self) -> Iterator[Path]:
        return (self.folder / self.image(row) for row in self.metadata)

    def write(self) -> Path:
        for name, rows in zip(self.names, (self.metadata, self.truth, self.supplement), strict=True):
            write_csv(self.folder / name, rows)
        if self.split:
            write_csv(self.folder / "split.csv", self.split)
        for path in self.paths():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return self.folder


@pytest.fixture
def milk10k(tmp_path: Path) -> Milk10kFolder:
    return Milk10kFolder(tmp_path / "milk10k")
