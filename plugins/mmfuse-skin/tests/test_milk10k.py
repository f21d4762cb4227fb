"""The adapter of MILK10k: its three sets of names, what is marked, and what it refuses."""

from __future__ import annotations

from collections import Counter

import pytest

from mmfuse import TableError, load_card
from mmfuse_skin import Milk10k

LAYOUTS = {
    "plain": (("metadata.csv", "groundtruth.csv", "supplement.csv"), "images/{isic_id}.jpg"),
    "a folder a lesion": (("metadata.csv", "groundtruth.csv", "supplement.csv"), "images/{lesion_id}/{isic_id}.jpg"),
    "beside the tables": (("metadata.csv", "groundtruth.csv", "supplement.csv"), "{isic_id}.jpg"),
    "challenge": (
        tuple(f"MILK10k_Training_{name}.csv" for name in ("Metadata", "GroundTruth", "Supplement")),
        "MILK10k_Training_Input/{lesion_id}/{isic_id}.jpg",
    ),
    "archive": (
        tuple(f"supplements/training_{name}.csv" for name in ("input", "gt", "supp")),
        "images/{isic_id}.jpg",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(milk10k, layout):
    milk10k.names, pattern = LAYOUTS[layout]
    milk10k.image = lambda row: pattern.format(**row)
    table = Milk10k().tidy(milk10k.write()).table
    assert list(table["lesion_id"]) == [f"IL_{i:07}" for i in range(8)]
    assert list(table["diagnosis"]) == ["AKIEC", "BCC", "MEL", "NV"] * 2
    for row, lesion in enumerate(table["lesion_id"]):
        for offset, modality in enumerate(("clinic", "derm")):
            expected = pattern.format(lesion_id=lesion, isic_id=f"ISIC_{2 * row + offset:07}")
            assert table[modality][row].removeprefix("./") == expected
            assert (milk10k.folder / table[modality][row]).is_file()


def test_the_archive_metadata_gives_way_to_the_training_input(milk10k):
    milk10k.names, _ = LAYOUTS["archive"]
    milk10k.write()
    (milk10k.folder / "metadata.csv").write_text("isic_id,diagnosis_1\nISIC_0000000,Benign\n")
    assert len(Milk10k().tidy(milk10k.folder).table) == 8


def test_columns_and_marks(milk10k):
    tidy = Milk10k().tidy(milk10k.write())
    table = tidy.table
    assert table["age"][2] == "40.0"
    assert table["skin_tone"][2] == "2"
    assert table["clinic_MONET_hair"][3] == "0.03"
    assert table["derm_MONET_hair"][3] == "0.13"
    assert table["diagnosis_full"][0] == "Nevus, NOS"
    columns = tidy.card["columns"]
    assert columns["derm_MONET_hair"] == {"known": "made by a model from the images"}
    assert columns["diagnosis_full"] == {"known": "after the diagnosis"}
    card = load_card(tidy.card)
    assert card.labels["diagnosis"].positive == "MEL"
    assert card.labels["diagnosis"].classes == ("AKIEC", "BCC", "MEL", "NV")
    used = {column for modality in card.modalities.values() for column in modality.columns}
    assert used == {"clinic", "derm", "age", "skin_tone", "sex", "site"}
    assert not any(name in card.columns and card.columns[name].marked for name in used)
    assert "MILK study team" in card.source.licence


def test_order_of_rows_says_nothing(milk10k):
    milk10k.metadata.reverse()
    milk10k.truth.sort(key=lambda row: row["NV"])
    table = Milk10k().tidy(milk10k.write()).table
    by_lesion = dict(zip(table["lesion_id"], zip(table["diagnosis"], table["clinic"], strict=True), strict=True))
    assert by_lesion["IL_0000002"] == ("MEL", "images/ISIC_0000004.jpg")


def test_split(milk10k):
    drawn = Milk10k().tidy(milk10k.write())
    assert "split" not in drawn.table
    assert drawn.card["split"]["fractions"] == {"train": 0.7, "valid": 0.15, "test": 0.15}
    milk10k.split = [
        {"lesion_id": row["lesion_id"], "split": split}
        for row, split in zip(milk10k.truth, ["train"] * 5 + ["valid", "test"], strict=False)
    ]
    read = Milk10k().tidy(milk10k.write())
    assert read.card["split"] == {"column": "split"}
    assert list(read.table["split"]) == ["train"] * 5 + ["valid", "test", None]
    assert any("1 lesions are in none" in note for note in read.notes)
    milk10k.split[0]["split"] = "tset"
    with pytest.raises(TableError, match="did you mean 'test'"):
        Milk10k().tidy(milk10k.write())


def test_a_lesion_with_one_image(milk10k):
    del milk10k.metadata[1]
    tidy = Milk10k().tidy(milk10k.write())
    assert tidy.table["derm"][0] is None
    assert tidy.table["derm_MONET_hair"][0] is None
    assert tidy.table["clinic"][0] is not None
    assert any("1 lesions have no derm image" in note for note in tidy.notes)


def test_lost_files(milk10k):
    milk10k.write()
    next(milk10k.paths()).unlink()
    with pytest.raises(TableError, match=r"1 images are not there: ISIC_0000000\.jpg"):
        Milk10k().tidy(milk10k.folder)
    tidy = Milk10k(strict=False).tidy(milk10k.folder)
    assert tidy.table["clinic"][0] is None
    assert any("1 images are not there" in note for note in tidy.notes)


def test_lesions_in_one_table_only(milk10k):
    milk10k.truth[0]["lesion_id"] = "IL_9999999"
    milk10k.write()
    with pytest.raises(TableError) as caught:
        Milk10k().tidy(milk10k.folder)
    assert [fault.found.rpartition(" ")[2] for fault in caught.value.faults] == ["IL_0000000", "IL_9999999"]
    table = Milk10k(strict=False).tidy(milk10k.folder).table
    assert table["diagnosis"][0] is None
    assert "IL_9999999" not in table["lesion_id"]


@pytest.mark.parametrize("cells", [{"BCC": "1.0"}, {"AKIEC": "0.0"}, {"AKIEC": "0.5"}, {"AKIEC": ""}])
def test_ground_truth_must_be_one_hot(milk10k, cells):
    milk10k.truth[4] |= cells
    with pytest.raises(TableError, match="row 6: lesion IL_0000004"):
        Milk10k(strict=False).tidy(milk10k.write())


@pytest.mark.parametrize(
    ("row", "cells", "message"),
    [
        (1, {"image_type": "dermoscopy"}, "did you mean 'dermoscopic'"),
        (1, {"image_type": "clinical: close-up"}, "a second image"),
        (3, {"sex": "female"}, "lesion IL_0000001: male and female"),
        (3, {"lesion_id": ""}, "row 5, column lesion_id"),
    ],
)
def test_metadata_that_contradicts_itself(milk10k, row, cells, message):
    milk10k.metadata[row] |= cells
    with pytest.raises(TableError, match=message):
        Milk10k(strict=False).tidy(milk10k.write())


def test_repeated_ground_truth(milk10k):
    milk10k.truth.append(milk10k.truth[0])
    with pytest.raises(TableError, match="lesion IL_0000000 once more"):
        Milk10k().tidy(milk10k.write())


def test_what_is_no_release(milk10k, tmp_path):
    with pytest.raises(TableError, match=r"MILK10k_Training_Metadata\.csv"):
        Milk10k().tidy(tmp_path)
    for row in milk10k.metadata:
        row["skin_tone"] = row.pop("skin_tone_class")
    with pytest.raises(TableError, match="no column 'skin_tone_class'"):
        Milk10k().tidy(milk10k.write())


def test_without_supplement(milk10k):
    milk10k.write()
    (milk10k.folder / "supplement.csv").unlink()
    tidy = Milk10k().tidy(milk10k.folder)
    assert "diagnosis_full" not in tidy.table
    assert any("no supplement" in note for note in tidy.notes)


def test_real_release(data):
    tidy = Milk10k().tidy(data / "milk10k")
    counts = Counter(tidy.table["diagnosis"])
    assert counts["BCC"] == 250
    assert counts["MAL_OTH"] == 6
    assert len(tidy.card["labels"]["diagnosis"]["classes"]) == 11
    assert Counter(tidy.table["split"]) == {"train": 601, "valid": 200, "test": 199}
    assert any("a part of it" in note for note in tidy.notes)
