"""The adapter of BUS-BRA: rows by case or by image, official folds, what is marked, and what it refuses."""

from __future__ import annotations

from collections import Counter

import pytest

from mmfuse import TableError, load_card
from mmfuse_ultrasound import BreastUsg, Busbra


def test_pairs_by_case(busbra):
    tidy = Busbra().tidy(busbra.write())
    table = tidy.table
    assert list(table["case"]) == [str(case) for case in range(9)]
    assert list(table["pathology"]) == ["benign", "malignant"] * 4 + ["benign"]
    assert (table["left"][3], table["right"][3]) == ("Images/bus_0003-l.png", "Images/bus_0003-r.png")
    assert list(table["fold"]) == ["1", "1", "2", "2", "3", "3", "4", "4", "5"]
    card = load_card(tidy.card)
    assert list(card.modalities) == ["left", "right"]
    assert card.labels["pathology"].positive == "malignant"
    assert any("1 cases have one view alone and are left out" in note for note in tidy.notes)


def test_every_case_and_every_image(busbra):
    busbra.write()
    table = Busbra(views="any").tidy(busbra.folder).table
    assert (table["left"][9], table["right"][9], table["right_box"][9]) == ("Images/bus_0009-s.png", None, None)
    tidy = Busbra(views="single").tidy(busbra.folder)
    assert len(tidy.table) == 19
    assert tidy.card["cases"]["group"] == "case"
    assert Counter(tidy.table["side"]) == {"left": 9, "right": 9, "single": 1}
    assert tidy.table["view"][0] == "Images/bus_0000-l.png"


def test_what_a_reader_or_the_pathologist_said_is_marked(busbra):
    busbra.rows[1]["BIRADS"] = "5"
    for views in ("pair", "single"):
        tidy = Busbra(views=views).tidy(busbra.write())
        card = load_card(tidy.card)
        marked = {name for name, line in card.columns.items() if line.marked}
        assert marked == {name for name in tidy.table.names if name in ("histology", "birads") or "box" in name}
        assert not marked & {column for part in card.modalities.values() for column in part.columns}
    assert Busbra().tidy(busbra.folder).table["birads"][0] == "4; 5"


def test_official_folds_as_a_split(busbra):
    tidy = Busbra(test_fold=5, views="any").tidy(busbra.write())
    words = dict(zip(tidy.table["case"], tidy.table["split"], strict=True))
    assert {case for case, word in words.items() if word == "test"} == {"8", "9"}
    assert {case for case, word in words.items() if word == "valid"} == {"0", "1"}
    assert tidy.card["split"] == {"column": "split"}
    (busbra.folder / "5-fold-cv.csv").unlink()
    assert "fold" not in Busbra().tidy(busbra.folder).table
    with pytest.raises(TableError, match="no 5-fold-cv"):
        Busbra(test_fold=1).tidy(busbra.folder)


def test_split_file(busbra):
    assert Busbra().tidy(busbra.write()).card["split"]["fractions"]["train"] == 0.6
    busbra.split = [{"Case": str(case), "split": "train" if case < 6 else "test"} for case in range(9)]
    tidy = Busbra(views="any").tidy(busbra.write())
    assert list(tidy.table["split"]) == ["train"] * 6 + ["test"] * 3 + [None]
    busbra.split[0]["split"] = "tests"
    with pytest.raises(TableError, match="did you mean 'test'"):
        Busbra().tidy(busbra.write())


@pytest.mark.parametrize(
    ("row", "cells", "message"),
    [
        (0, {"Pathology": "bening"}, "row 2, column Pathology: 'bening'(.|\n)*did you mean 'benign'"),
        (1, {"Pathology": "malignant"}, "case 0: benign and malignant"),
        (1, {"Side": "left"}, "a second left view of case 0"),
        (1, {"Side": "up"}, "column Side: 'up'"),
        (2, {"Case": ""}, "row 4, column Case: an empty cell"),
    ],
)
def test_contradictions(busbra, row, cells, message):
    busbra.rows[row] |= cells
    with pytest.raises(TableError, match=message):
        Busbra(strict=False).tidy(busbra.write())


def test_a_case_in_two_folds(busbra):
    busbra.folds[1]["kFold"] = "3"
    with pytest.raises(TableError, match="case 0 stands in folds 1 and 3"):
        Busbra().tidy(busbra.write())


def test_images(busbra):
    busbra.image = "images/{}.jpg"
    folder = busbra.write()
    assert Busbra().tidy(folder).table["left"][0] == "images/bus_0000-l.jpg"
    (folder / "images" / "bus_0000-l.jpg").unlink()
    with pytest.raises(TableError, match="1 images are not there: bus_0000-l"):
        Busbra().tidy(folder)
    tidy = Busbra(strict=False).tidy(folder)
    assert tidy.table["left"][0] is None
    assert any("1 images are not there" in note for note in tidy.notes)
    (folder / "images" / "bus_0001-l.jpg").write_bytes(b"")
    with pytest.raises(TableError, match=r"bus_0001-l\.jpg: an empty file of 0 bytes"):
        Busbra(strict=False).tidy(folder)


def test_what_is_no_release(busbra, breast, tmp_path):
    with pytest.raises(TableError, match="no such folder"):
        Busbra().tidy(tmp_path / "nowhere")
    with pytest.raises(TableError, match=r"no bus_data\.\*; there is clinical_data\.csv"):
        Busbra().tidy(breast.write())
    for row in busbra.rows:
        row["Label"] = row.pop("Pathology")
        del row["Case"]
    with pytest.raises(TableError) as caught:
        Busbra().tidy(busbra.write())
    assert [fault.found for fault in caught.value.faults] == ["no column 'Case'", "no column 'Pathology'"]
    with pytest.raises(TableError, match=r"there is 5-fold-cv\.csv, bus_data\.csv"):
        BreastUsg().tidy(busbra.folder)


def test_real_release(data):
    tidy = Busbra().tidy(data / "busbra")
    assert len(tidy.table) == 290
    assert Counter(tidy.table["pathology"]) == {"benign": 195, "malignant": 95}
    assert len(Busbra(views="any").tidy(data / "busbra").table) == 330
    assert len(Busbra(views="single", test_fold=2).tidy(data / "busbra").table) == 620
