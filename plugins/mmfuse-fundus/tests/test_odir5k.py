"""ODIR-5K by patient: where the adapter looks, what it counts and marks, what its policies do, what it refuses."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from mmfuse import SpecError, TableError, load_card
from mmfuse_fundus import Odir5k
from mmfuse_fundus.odir5k.facts import ISSUES, LABELS

LAYOUTS = {
    "challenge": ("ODIR-5K_Training_Annotations(Updated)_V2.xlsx", "Train"),
    "as csv": ("ODIR-5K_Training_Annotations(Updated)_V2.csv", "ODIR-5K_Training_Dataset"),
    "beside each other": ("annotations.csv", "."),
    "in folders": ("ODIR-5K/ODIR-5K/data.xlsx", "ODIR-5K/ODIR-5K/Training Images"),
}


def notes_of(tidy) -> str:
    return "\n".join(tidy.notes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(odir5k, layout):
    odir5k.table, odir5k.image_folder = LAYOUTS[layout]
    tidy = Odir5k().tidy(odir5k.write())
    assert list(tidy.table["patient_id"]) == ["1", "5", "8", "19", "32", "1706", "2177", "4580"]
    for side in ("left", "right"):
        for patient, path in zip(tidy.table["patient_id"], tidy.table[side], strict=True):
            assert path.endswith(f"{patient}_{side}.jpg")
            assert (odir5k.folder / path).is_file()


def test_most_of_the_images_lie_in_the_folder_that_is_taken(odir5k):
    odir5k.write()
    other = odir5k.folder / "Thumbnails"
    other.mkdir()
    for name in odir5k.images[:3]:
        (other / name).touch()
    table = Odir5k().tidy(odir5k.folder).table
    assert {path.split("/")[0] for path in table["left"]} == {"Train"}
    table = Odir5k(images="Thumbnails", strict=False).tidy(odir5k.folder).table
    assert list(table["patient_id"]) == ["1", "5"]
    with pytest.raises(TableError, match="mend or leave out `images`"):
        Odir5k(images="Thumbs").tidy(odir5k.folder)


def test_columns_marks_and_card(odir5k):
    tidy = Odir5k().tidy(odir5k.write())
    table, card = tidy.table, load_card(tidy.card)
    assert table["sex"][0] == "female"
    assert table["age"][1] == "50"
    assert [table[letter][2] for letter in LABELS] == ["no", "no", "yes", "yes", "no", "no", "no", "no"]
    assert (card.cases.id, card.cases.case_is) == ("patient_id", "patient")
    assert list(card.labels) == list("NDGCAHMO")
    assert {(line.classes, line.positive) for line in card.labels.values()} == {(("no", "yes"), "yes")}
    used = {column for modality in card.modalities.values() for column in modality.columns}
    assert used == {"left", "right", "age", "sex"}
    for column in ("left_keywords", "right_keywords"):
        assert column in table
        assert card.columns[column].marked
        assert card.columns[column].known == "states the label"
    assert card.modalities["left"].steps == ()
    assert card.source.licence
    assert "2102.07978" in card.source.cite


def test_labels_are_recounted(odir5k):
    notes = notes_of(Odir5k().tidy(odir5k.write()))
    assert "N 3, D 1, G 1, C 1, A 1, H 1, M 2, O 2; 3 of 8 patients have several; density 18.8%" in notes
    assert "8 patients in" in notes
    assert "3500" in notes
    assert "Contradiction" not in notes


def test_contradictions_are_named_and_kept(odir5k):
    odir5k.row("1")["D"] = "1"
    odir5k.row("5")["D"] = "0"
    tidy = Odir5k().tidy(odir5k.write())
    assert "N beside a disease, kept as released: 1 patient (1)" in notes_of(tidy)
    assert "No label at all, kept as released: 1 patient (5)" in notes_of(tidy)
    assert "not what the keywords of both eyes say together, kept as released: 2 patients (1, 5)" in notes_of(tidy)
    assert (tidy.table["N"][0], tidy.table["D"][0]) == ("yes", "yes")


@pytest.mark.parametrize(
    ("policy", "patients", "emptied", "word"),
    [
        ("keep", 8, [], "kept"),
        ("drop-eye", 7, [("1706", "left"), ("4580", "left")], "emptied"),
        ("drop-patient", 5, [], "left out with the patient"),
    ],
)
def test_known_issues(odir5k, policy, patients, emptied, word):
    tidy = Odir5k(known_issues=policy).tidy(odir5k.write())
    table = tidy.table
    assert len(table) == patients
    found = [
        (patient, side) for side in ("left", "right") for i, patient in enumerate(table["patient_id"])
        if table[side][i] is None
    ]  # fmt: skip
    assert found == emptied
    assert f"Known issue, {word}: 1706_left shows the front of the eye" in notes_of(tidy)
    assert f"{word}: 4580_left is a turned copy" in notes_of(tidy)
    assert f"{word}: 2177_left, 2177_right was pre-processed" in notes_of(tidy)
    if policy == "drop-eye":
        assert "Left out, no image of either eye: 1 patient (2177)" in notes_of(tidy)


def test_the_list_of_issues_and_the_front_of_an_eye_elsewhere(odir5k):
    assert len(ISSUES) == 19
    odir5k.row("19")["Right-Diagnostic Keywords"] = "Anterior segment image"
    tidy = Odir5k(known_issues="drop-eye").tidy(odir5k.write())
    assert tidy.table["right"][3] is None
    assert "19_right, 1706_left shows the front" in notes_of(tidy)


def test_an_eye_whose_image_is_not_there_is_absent(odir5k):
    odir5k.images.remove("5_left.jpg")
    odir5k.row("8")["Right-Fundus"] = ""
    tidy = Odir5k().tidy(odir5k.write())
    assert tidy.table["left"][1] is None
    assert tidy.table["right"][1] is not None
    assert tidy.table["right"][2] is None
    assert "these eyes are absent: 1 image (5_left.jpg)" in notes_of(tidy)


def test_a_patient_without_any_eye(odir5k):
    odir5k.images = [name for name in odir5k.images if not name.startswith(("5_", "19_"))]
    odir5k.write()
    with pytest.raises(TableError, match=r"2 of 8 patients without any image: 5, 19"):
        Odir5k().tidy(odir5k.folder)
    tidy = Odir5k(strict=False).tidy(odir5k.folder)
    assert "5" not in tidy.table["patient_id"]
    assert "Left out, no image of either eye: 2 patients (5, 19)" in notes_of(tidy)


@pytest.mark.parametrize("age", ["300", "-4", "old"])
def test_an_impossible_age(odir5k, age):
    odir5k.row("8")["Patient Age"] = age
    odir5k.write()
    with pytest.raises(TableError, match=rf"row 4, column Patient Age: patient 8 of age '{age}'"):
        Odir5k().tidy(odir5k.folder)
    tidy = Odir5k(strict=False).tidy(odir5k.folder)
    assert tidy.table["age"][2] is None
    assert f"patient 8 of age '{age}'" in notes_of(tidy)


@pytest.mark.parametrize("sex", ["X", "f", "Femal"])
def test_an_unknown_sex(odir5k, sex):
    odir5k.row("8")["Patient Sex"] = sex
    odir5k.row("19")["Patient Sex"] = ""
    odir5k.write()
    with pytest.raises(TableError, match=rf"row 4, column Patient Sex: patient 8 of sex '{sex}'") as refused:
        Odir5k().tidy(odir5k.folder)
    assert "patient 19" not in str(refused.value)
    tidy = Odir5k(strict=False).tidy(odir5k.folder)
    assert list(tidy.table["sex"][:4]) == ["female", "male", None, None]
    assert f"patient 8 of sex '{sex}'" in notes_of(tidy)


def test_an_age_that_stands_for_none(odir5k):
    odir5k.row("5")["Patient Age"] = ""
    tidy = Odir5k().tidy(odir5k.write())
    assert tidy.table["age"][1] is None
    assert tidy.table["age"][7] is None
    assert "1 patient (4580), labels M 1" in notes_of(tidy)
    assert Odir5k(placeholder_ages=()).tidy(odir5k.folder).table["age"][7] == "1"


def test_all_gaps_come_at_once(odir5k):
    odir5k.row("8")["Patient Age"] = "300"
    odir5k.images = odir5k.images[2:]
    with pytest.raises(TableError) as caught:
        Odir5k().tidy(odir5k.write())
    assert len(caught.value.faults) == 2


def test_mirrored_left_eyes(odir5k):
    card = load_card(Odir5k(mirror=True).tidy(odir5k.write()).card)
    assert [step.name for step in card.modalities["left"].steps] == ["mirror"]
    assert card.modalities["right"].steps == ()
    with pytest.raises(ValueError, match="left and right are one input"):
        Odir5k(mirror=True, level="eye")


def test_split(odir5k):
    drawn = Odir5k().tidy(odir5k.write())
    assert "split" not in drawn.table
    assert drawn.card["split"]["fractions"] == {"train": 0.7, "valid": 0.15, "test": 0.15}
    odir5k.split = [{"ID": row["ID"], "split": "train"} for row in odir5k.rows[:-1]]
    read = Odir5k().tidy(odir5k.write())
    assert read.card["split"] == {"column": "split"}
    assert list(read.table["split"]) == ["train"] * 7 + [None]
    assert "1 patients are in none" in notes_of(read)
    odir5k.split[0]["split"] = "tset"
    with pytest.raises(TableError, match="did you mean 'test'"):
        Odir5k().tidy(odir5k.write())
    odir5k.split[0] = {"ID": "5", "split": "test"}
    with pytest.raises(TableError, match="patient 5 once more"):
        Odir5k().tidy(odir5k.write())


def test_the_table_of_single_eyes_is_refused(odir5k):
    for row in odir5k.rows:
        row |= {"filename": row["Right-Fundus"], "target": "[1, 0, 0, 0, 0, 0, 0, 0]"}
    odir5k.table = "full_df.csv"
    with pytest.raises(TableError, match=r"single eyes.*an eye would carry the other eye's disease") as caught:
        Odir5k().tidy(odir5k.write())
    assert "level=eye" in str(caught.value)
    odir5k.table = "annotations.csv"  # whatever its name
    with pytest.raises(TableError, match="a table of single eyes"):
        Odir5k().tidy(odir5k.write())


def test_the_table_of_patients_is_taken_where_both_are_there(odir5k):
    odir5k.write()
    (odir5k.folder / "full_df.csv").write_text("ID,filename,target\n1,1_left.jpg,x\n")
    assert len(Odir5k().tidy(odir5k.folder).table) == 8


def test_columns_that_are_missing_and_columns_too_many(odir5k):
    for row in odir5k.rows:
        row["Pateint Age"] = row.pop("Patient Age")
        row["Weight"] = "80"
    odir5k.write()
    with pytest.raises(TableError, match="no column 'Patient Age'") as caught:
        Odir5k().tidy(odir5k.folder)
    assert "did you mean 'Pateint Age'" in str(caught.value)
    for row in odir5k.rows:
        row["Patient Age"] = row.pop("Pateint Age")
    tidy = Odir5k().tidy(odir5k.write())
    assert "layout has not are left out: Weight" in notes_of(tidy)
    assert "Weight" not in tidy.table


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"G": "2"}, "row 3, column G: '2'"),
        ({"O": ""}, "row 3, column O: ''"),
        ({"ID": "1"}, "row 3, column ID: patient 1 once more"),
        ({"ID": ""}, "row 3, column ID: an empty cell"),
    ],
)
def test_rows_that_are_none(odir5k, cells, message):
    odir5k.row("5").update(cells)
    with pytest.raises(TableError, match=message):
        Odir5k(strict=False).tidy(odir5k.write())


def test_what_is_no_release(odir5k, tmp_path):
    with pytest.raises(TableError, match="no such folder"):
        Odir5k().tidy(tmp_path / "nowhere")
    with pytest.raises(TableError, match=r"Training_Annotations\(Updated\)_V2"):
        Odir5k().tidy(tmp_path)
    odir5k.write()
    with pytest.raises(TableError, match="is a file"):
        Odir5k().tidy(odir5k.folder / odir5k.table)
    one, other = odir5k.folder / "annotations_a.csv", odir5k.folder / "annotations_b.csv"
    shutil.copy(odir5k.folder / odir5k.table, other)
    assert len(Odir5k().tidy(odir5k.folder).table) == 8  # the one called V2
    (odir5k.folder / odir5k.table).rename(one)
    with pytest.raises(TableError, match=r"2 tables of annotations: annotations_a\.csv, annotations_b\.csv"):
        Odir5k().tidy(odir5k.folder)


def test_keywords_are_no_input(odir5k):
    import mmfuse

    card = Odir5k().tidy(odir5k.write()).card
    sets = ["modalities.meta.categorical=['sex', 'left_keywords']"]
    with pytest.raises(SpecError, match="left_keywords"):
        mmfuse.wire(mmfuse.load("fundus-pair", card, sets=sets))


def test_real_release(data):
    tidy = Odir5k().tidy(data / "odir5k")
    counts = {letter: Counter(tidy.table[letter])["yes"] for letter in LABELS}
    assert counts == {"N": 219, "D": 200, "G": 39, "C": 31, "A": 28, "H": 20, "M": 30, "O": 159}
    assert Counter(tidy.table["split"]) == {"train": 389, "valid": 131, "test": 130}
    assert "keywords of both eyes" not in notes_of(tidy)  # the rules reproduce every released label
    assert "5 patients (1563, 1568, 1599, 1600, 1603), labels M 5" in notes_of(tidy)


@pytest.mark.parametrize("form", ["{}.0", "{},0", "{:0>5}", "{:0>5}.0"])
def test_ids_ages_and_labels_as_spreadsheets_leave_them(odir5k, form):
    expected = Odir5k().tidy(odir5k.write())
    odir5k.split = [{"ID": form.format(row["ID"]), "split": "train"} for row in odir5k.rows]
    for row in odir5k.rows:
        for column in ("ID", "Patient Age", *LABELS):
            row[column] = form.format(row[column])
    tidy = Odir5k().tidy(odir5k.write())
    for column in expected.table.names:
        assert list(tidy.table[column]) == list(expected.table[column]), column
    assert list(tidy.table["split"]) == ["train"] * 8
    assert "Known issue, kept: 4580_left" in notes_of(tidy)  # which are listed by id


@pytest.mark.parametrize("age", ["nan", "inf", "1_0", "60,5,1"])
def test_what_python_takes_for_a_number_is_no_age(odir5k, age):
    odir5k.row("8")["Patient Age"] = age
    with pytest.raises(TableError, match="patient 8 of age"):
        Odir5k().tidy(odir5k.write())


def test_half_years_with_either_sign(odir5k):
    odir5k.row("8")["Patient Age"], odir5k.row("5")["Patient Age"] = "60,5", "50.5"
    tidy = Odir5k().tidy(odir5k.write())
    assert list(tidy.table["age"][1:3]) == ["50.5", "60.5"]


def test_one_patient_in_two_forms_is_told(odir5k):
    odir5k.row("5")["ID"] = "00001"
    with pytest.raises(TableError, match="row 3, column ID: patient 1 once more"):
        Odir5k().tidy(odir5k.write())


def test_images_whose_names_differ_in_case(odir5k):
    expected = Odir5k().tidy(odir5k.write()).table
    shutil.rmtree(odir5k.folder / odir5k.image_folder)
    odir5k.images = [
        name.replace("_left.jpg", "_Left.JPG").replace("_right.jpg", "_RIGHT.png") for name in odir5k.images
    ]
    tidy = Odir5k().tidy(odir5k.write())
    for side in ("left", "right"):
        assert all((odir5k.folder / path).is_file() for path in tidy.table[side])
        assert [path.lower()[:-4] for path in tidy.table[side]] == [path.lower()[:-4] for path in expected[side]]
    assert "these eyes are absent" not in notes_of(tidy)


def test_an_image_of_several_files_is_refused(odir5k):
    odir5k.write()
    folder = odir5k.folder / odir5k.image_folder
    (folder / "5_left.png").touch()
    (folder / "5_LEFT.jpg").touch()
    assert Odir5k().tidy(odir5k.folder).table["left"][1].endswith("5_left.jpg")  # the one that is called so
    (folder / "5_left.jpg").unlink()
    assert Odir5k().tidy(odir5k.folder).table["left"][1].endswith("5_left.png")
    (folder / "5_left.png").rename(folder / "5_Left.png")
    with pytest.raises(
        TableError, match=r"row 3, column Left-Fundus: '5_left\.jpg' is the name of 5_LEFT\.jpg and 5_Left"
    ):
        Odir5k().tidy(odir5k.folder)
