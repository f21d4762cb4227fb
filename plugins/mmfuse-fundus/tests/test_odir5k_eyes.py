"""ODIR-5K by eye: what keywords say, and that nobody can take such labels for official ones."""

from __future__ import annotations

import numpy as np
import pytest

from mmfuse import TableError, load_card
from mmfuse_fundus import Odir5k
from mmfuse_fundus.odir5k.facts import LABELS
from mmfuse_fundus.odir5k.keywords import Said, read_keywords, union


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("normal fundus", "N"),
        ("Normal  Fundus，lens dust", "N"),
        ("lens dust，normal fundus", "N"),
        ("mild nonproliferative retinopathy", "D"),
        ("moderate non proliferative retinopathy", "D"),
        ("severe proliferative diabetic retinopathy", "D"),
        ("suspected diabetic retinopathy", "D"),
        ("suspected glaucoma", "G"),
        ("cataract", "C"),
        ("dry age-related macular degeneration，glaucoma", "AG"),
        ("hypertensive retinopathy,diabetic retinopathy", "HD"),
        ("pathological myopia", "M"),
        ("myopia retinopathy", "M"),
        ("myopic maculopathy", "M"),
        ("maculopathy", "O"),
        ("pigment epithelium proliferation", "O"),
        ("refractive media opacity", "O"),
        ("a word never seen before", "O"),
        ("lens dust", ""),
        ("anterior segment image", ""),
        ("no fundus image", ""),
        ("low image quality，drusen", "O"),
        ("", ""),
        (None, ""),
    ],
)
def test_keywords(text, labels):
    said = read_keywords(text)
    assert said.labels == frozenset(labels)
    assert not said.contradiction


def test_a_normal_fundus_beside_a_disease():
    assert read_keywords("normal fundus，drusen") == Said(frozenset("O"), True, ("drusen",))


@pytest.mark.parametrize(
    ("left", "right", "labels"),
    [
        ("normal fundus", "normal fundus", "N"),
        ("normal fundus", "cataract", "C"),
        ("anterior segment image", "normal fundus", "N"),
        ("glaucoma", "drusen，cataract", "GOC"),
        ("no fundus image", "low image quality", ""),
    ],
)
def test_a_patient_has_what_either_eye_has(left, right, labels):
    assert union(read_keywords(left), read_keywords(right)) == frozenset(labels)


def test_a_row_an_eye(odir5k):
    tidy = Odir5k(level="eye").tidy(odir5k.write())
    table, card = tidy.table, load_card(tidy.card)
    assert len(table) == 15
    assert "1706_left" not in table["eye_id"]
    by_eye = {
        eye: "".join(letter for letter in LABELS if table[letter][row] == "yes")
        for row, eye in enumerate(table["eye_id"])
    }
    assert by_eye["5_left"] == "D"
    assert by_eye["5_right"] == "N"  # the patient's own label D is not the eye's
    assert by_eye["8_right"] == "G"
    assert by_eye["32_left"] == "HO"
    assert table["side"][0] == "left"
    assert (card.cases.id, card.cases.group) == ("eye_id", "patient_id")
    assert {modality.columns for modality in card.modalities.values()} == {("fundus",), ("age", "sex")}
    assert card.columns["keywords"].known == "states the label"
    notes = "\n".join(tidy.notes)
    assert "Left out, no keyword states a label: 1 eye (1706_left)" in notes
    assert "keywords counted as O: drusen, vitreous degeneration" in notes


def test_it_says_what_its_labels_are(odir5k):
    tidy = Odir5k(level="eye").tidy(odir5k.write())
    card = load_card(tidy.card)
    assert card.cases.case_is == "eye (labels from keywords)"
    assert card.source.name == "ODIR-5K, eyes (labels from keywords)"
    assert any("No official labels of eyes exist" in note for note in card.source.notes)
    assert tidy.notes[0].startswith("No official labels of eyes exist")


def test_policies_and_contradictions_by_eye(odir5k):
    odir5k.row("19")["Left-Diagnostic Keywords"] = "normal fundus，drusen"
    tidy = Odir5k(level="eye", known_issues="drop-eye").tidy(odir5k.write())
    left = set(tidy.table["eye_id"])
    assert not left & {"1706_left", "4580_left", "2177_left", "2177_right"}
    assert "4580_right" in left
    assert "the disease decides: 1 eye (19_left)" in "\n".join(tidy.notes)


def test_eyes_of_a_patient_share_its_split(odir5k):
    odir5k.split = [{"ID": row["ID"], "split": "test" if row["ID"] == "5" else "train"} for row in odir5k.rows]
    table = Odir5k(level="eye").tidy(odir5k.write()).table
    assert {eye for eye, split in zip(table["eye_id"], table["split"], strict=True) if split == "test"} == {
        "5_left",
        "5_right",
    }


def test_no_keywords_at_all(odir5k):
    for row in odir5k.rows:
        row |= {"Left-Diagnostic Keywords": "", "Right-Diagnostic Keywords": "low image quality"}
    with pytest.raises(TableError, match="no eye's keywords state a label"):
        Odir5k(level="eye").tidy(odir5k.write())


def test_real_eyes(data):
    table = Odir5k(level="eye").tidy(data / "odir5k").table
    assert len(table) == 1300
    counts = [int(np.sum(table[letter] == "yes")) for letter in LABELS]
    assert counts == [584, 325, 60, 46, 48, 38, 49, 196]
