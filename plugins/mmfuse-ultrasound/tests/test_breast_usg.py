"""The adapter of BrEaST: clinical columns alone are inputs, near-labels are marked, missing words are missing."""

from __future__ import annotations

from collections import Counter

import pytest

from mmfuse import TableError, load_card
from mmfuse_ultrasound import BreastUsg


def test_inputs_and_marks(breast):
    tidy = BreastUsg().tidy(breast.write())
    table, card = tidy.table, load_card(tidy.card)
    assert len(table) == 7
    assert table["scan"][0] == "images/case001.png"
    assert card.modalities["clinical"].columns == ("Age", "Tissue_composition", "Signs", "Symptoms")
    assert card.modalities["clinical"].multi["Signs"] == "&"
    marked = {name for name, line in card.columns.items() if line.marked}
    assert {"BIRADS", "Shape", "Margin", "Interpretation", "Verification", "Diagnosis", "Mask_tumor_filename"} <= marked
    assert set(table.names) == {*marked, *card.modalities["clinical"].columns, "CaseID", "scan", "Classification"}
    assert card.labels["classification"].classes == ("benign", "malignant")


def test_not_available_is_missing_and_no_is_not(breast):
    table = BreastUsg().tidy(breast.write()).table
    assert list(table["Signs"][:3]) == [None, "no", None]
    assert table["Age"][1] is None
    assert any("Age 1" in note and "Signs 4" in note for note in BreastUsg().tidy(breast.folder).notes)


def test_cases_without_a_lesion(breast):
    tidy = BreastUsg(keep_normal=True).tidy(breast.write())
    assert tidy.card["labels"]["classification"]["classes"] == ["normal", "benign", "malignant"]
    assert Counter(tidy.table["Classification"])["normal"] == 1
    assert any("1 patients without a lesion are left out" in note for note in BreastUsg().tidy(breast.folder).notes)


def test_names_of_the_release(breast):
    breast.name = "BrEaST-Lesions-USG-clinical-data-Dec-15-2023.csv"
    breast.image = "BrEaST-Lesions_USG-images_and_masks/{}.jpg"
    assert BreastUsg().tidy(breast.write()).table["scan"][0].endswith("masks/case001.jpg")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(list(breast.rows[0]))
    for row in breast.rows:
        book.active.append([int(word) if name == "CaseID" else word or None for name, word in row.items()])
    (breast.folder / breast.name).unlink()
    book.save(breast.folder / "clinical.xlsx")
    assert list(BreastUsg().tidy(breast.folder).table["CaseID"]) == [str(case) for case in range(1, 8)]


@pytest.mark.parametrize(
    ("row", "cells", "message"),
    [
        (0, {"Classification": "begnin"}, "row 2, column Classification: 'begnin'"),
        (1, {"CaseID": "1"}, "case 1 once more"),
        (2, {"Image_filename": ""}, "row 4, column Image_filename: an empty cell"),
    ],
)
def test_refusals(breast, row, cells, message):
    breast.rows[row] |= cells
    with pytest.raises(TableError, match=message):
        BreastUsg().tidy(breast.write())


def test_columns_and_images_that_are_not_there(breast):
    folder = breast.write()
    (folder / "images" / "case003.png").unlink()
    with pytest.raises(TableError, match="1 images are not there: case003"):
        BreastUsg().tidy(folder)
    assert BreastUsg(strict=False).tidy(folder).table["scan"][2] is None
    (folder / "images" / "case003.png").write_bytes(b"")
    with pytest.raises(TableError, match=r"case003\.png: an empty file of 0 bytes"):
        BreastUsg().tidy(folder)
    for row in breast.rows:
        row["age"] = row.pop("Age")
    with pytest.raises(TableError, match="no column 'Age'"):
        BreastUsg().tidy(breast.write())


def test_two_tables_or_two_files_of_one_image(breast):
    folder = breast.write()
    (folder / "other").mkdir()
    (folder / "other" / "case001.jpg").write_bytes(b"x")
    with pytest.raises(TableError, match="two files of one image"):
        BreastUsg().tidy(folder)
    (folder / "clinical_data.tsv").write_text("x\ty\n")
    with pytest.raises(TableError, match="several tables may be meant"):
        BreastUsg().tidy(folder)


def test_real_release(data):
    tidy = BreastUsg().tidy(data / "breast_usg")
    assert Counter(tidy.table["Classification"]) == {"benign": 154, "malignant": 98}
    assert all(tidy.table["scan"])
