"""A drafted card: what it holds, what it leaves out, and that it says so."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mmfuse import Cases, Table, TableError, assign, audit, describe, load_card, read_table
from mmfuse.advice.profile import Profile

N = 120


def clinic(**columns) -> Table:
    rng = np.random.default_rng(0)
    base = {
        "lesion_id": [f"L{i:03}" for i in range(N)],
        "patient": [f"P{i // 2}" for i in range(N)],
        "Derm path": [f"derm/{i}.jpg" if i % 5 else None for i in range(N)],
        "image": [f"clinic/{i}.PNG" for i in range(N)],
        "age": [*rng.integers(20, 90, N - 2).tolist(), "NA", "n/a"],
        "sex": rng.choice(["f", "m", "unknown"], N).tolist(),
        "device type": rng.integers(1, 4, N).tolist(),
        "symptoms": rng.choice(["pain", "itch", "pain&itch", "itch&bleeding", "bleeding", "none"], N).tolist(),
        "remark": [f"words of case {i}" for i in range(N)],
        "seen on": [f"2020-01-{1 + i % 28:02}" for i in range(N)],
        "country": ["CH"] * N,
        "void": [None] * N,
        "BI-RADS": rng.choice(["2", "3", "4a"], N).tolist(),
        "cnn_prob": rng.random(N).tolist(),
        "diagnosis": rng.choice(["melanoma", "nevus", "bcc"], N).tolist(),
        "set": rng.choice(["training", "val", "test"], N).tolist(),
    }
    return Table.of({**base, **columns}, source="t.csv")


def test_a_card_is_drafted_of_every_column():
    tree, notes = describe(clinic())
    assert tree == {
        "cases": {
            "id": "lesion_id",
            "case_is": "lesion",
            "group": "patient",
            "root": ".",
            "missing": ["", "NA", "n/a"],
        },
        "labels": {"diagnosis": ["bcc", "nevus", "melanoma"]},
        "modalities": {
            "derm": {"use": "image", "column": "Derm path"},
            "picture": {"use": "image", "column": "image"},
            "meta": {
                "use": "table",
                "numeric": ["age"],
                "categorical": ["sex", "device type"],
                "multi": {"symptoms": "&"},
            },
        },
        "columns": {"BI-RADS": {"known": "after the diagnosis"}, "cnn_prob": {"known": "made by a model"}},
        "split": {"column": "set"},
    }
    text = "\n".join(notes)
    for column in tree["modalities"]["meta"]["categorical"]:
        assert column in text
    for said in (
        "id: 'lesion_id'",
        "group: 'patient', 60 in 120 rows",
        "'NA' (1), 'n/a' (1) stand among the numbers of 'age'",
        "'sex' holds 'unknown'",
        "positive class 'melanoma'",
        "please check: BI-RADS: taken as 'after the diagnosis'",
        "please check: cnn_prob: taken as 'made by a model'",
        "please check: device type: numbers taken as categories",
        "left out: remark: words of their own",
        "left out: seen on: dates",
        "left out: country: one word",
        "left out: void: empty",
        "split: column 'set'",
    ):
        assert said in text, said


def test_the_draft_is_a_card_that_works(tmp_path):
    table = clinic(patient=[f"P{i}" for i in range(N)])
    table.write(tmp_path / "cases.csv")
    tree, _ = describe(read_table(tmp_path / "cases.csv"))
    card = load_card(tree)
    cases = Cases.load(tmp_path / "cases.csv", card)
    split = assign(cases, card.split)
    assert set(split.tolist()) == {"train", "valid", "test"}
    assert np.isnan(cases.rows().numbers("age")).sum() == 2
    assert not [finding for finding in audit(cases, split, files=False) if finding.level == "error"]


def test_what_is_given_is_taken():
    tree, notes = describe(clinic(), labels=["sex", "device type"], group="diagnosis", id="remark")
    assert tree["cases"]["id"] == "remark"
    assert tree["cases"]["group"] == "diagnosis"
    # nothing says which class is the positive one, so it is asked for; what is probably missing never stands last
    assert tree["labels"] == {
        "sex": {"classes": ["unknown", "f", "m"], "positive": "?"},
        "device type": {"classes": ["1", "2", "3"], "positive": "?"},
    }
    assert not any("by its name" in note for note in notes)


def test_given_columns_must_be_there_and_hold_classes():
    with pytest.raises(TableError) as caught:
        describe(clinic(), labels=["diagnose"], group="patients")
    assert [fault.mend for fault in caught.value.faults] == ["did you mean 'diagnosis'?", "did you mean 'patient'?"]
    with pytest.raises(TableError, match="holds 1 different words"):
        describe(clinic(), labels=["country"])


def test_without_a_unique_column_there_are_no_cases():
    with pytest.raises(TableError, match="no column has a word of its own"):
        describe(Table.of({"a": ["x", "x"], "b": [1, 1]}))


@pytest.mark.parametrize(
    ("columns", "best"),
    [
        ({"x": [0.5, 1.5], "name": ["a", "b"]}, "name"),
        ({"file": ["a.jpg", "b.jpg"], "name": ["a", "b"]}, "name"),
        ({"visit": ["1", "2"], "id": ["a", "b"]}, "id"),
        ({"code": ["1", "2"], "LesionID": ["a", "b"]}, "LesionID"),
        ({"file": ["a.jpg", "b.jpg"], "x": [0.5, 1.5]}, "file"),
    ],
)
def test_the_best_id(columns, best):
    assert describe(Table.of(columns))[0]["cases"]["id"] == best


def test_an_image_may_be_the_id_and_an_input():
    tree, _ = describe(Table.of({"file": [f"{i}.jpg" for i in range(4)], "label": ["a", "b"] * 2}))
    assert tree["cases"]["id"] == tree["modalities"]["picture"]["column"] == "file"


def test_columns_of_zeros_and_ones_beside_labels_are_left_out():
    rng = np.random.default_rng(0)
    ones = {name: rng.integers(0, 2, N).tolist() for name in "NDG"}
    table = Table.of({"id": range(N), "smoker": ones["N"], "age": rng.integers(20, 80, N).tolist(), **ones})
    tree, notes = describe(table, labels=["D"])
    assert tree["modalities"]["meta"] == {"use": "table", "numeric": ["age"], "categorical": ["smoker"]}
    assert any(note.startswith("left out: N, G hold 0 and 1 beside a label") for note in notes)
    tree, notes = describe(table)
    assert "N" not in tree["modalities"]["meta"]["categorical"]
    assert any("label: none found" in note for note in notes)
    assert any("no column of image files" in note for note in notes)
    assert any("please check every input" in note for note in notes)


def test_many_columns_of_numbers_are_a_vector():
    rng = np.random.default_rng(0)
    values = {f"e{i}": rng.normal(size=6).tolist() for i in range(20)}
    tree, _ = describe(Table.of({"id": range(6), **values}))
    assert tree["modalities"] == {"e": {"use": "vector", "numeric": ["e*"]}}
    tree, _ = describe(Table.of({"id": range(6), "eye": ["l", "r"] * 3, **values}))
    assert tree["modalities"]["e"]["numeric"] == list(values)


def profile(cells, name="x") -> Profile:
    return Profile(Table.of({name: cells}), name)


def test_profiles():
    assert profile(["1", "2", "NA", "3.5"]).amount
    assert not profile(["0", "1", "1"]).amount
    assert not profile(["1", "2", "3"], "site").amount
    assert profile(["20190331", "20200101"], "date").date
    assert not profile(["20190331", "20200101"], "count").date
    assert profile(["31.3.2019", "1.4.2019"]).date.startswith("day/month/year")
    assert profile(["a.jpg", "b.JPEG", None]).image
    assert not profile(["a.jpg", "words"]).image


def test_a_separator_needs_pieces_that_stand_alone():
    assert profile(["a&b", "a", "b", "b&a", "c"]).separator == "&"
    assert profile(["carcinoma, invasive", "nevus, acral", "nevus", "carcinoma, in situ"]).separator == ""
    assert profile(["1,5", "2,5"]).separator == ""


DATA = os.environ.get("MMFUSE_DATA")


@pytest.mark.skipif(not DATA, reason="MMFUSE_DATA names no folder with the real tables")
def test_real_tables_lose_their_leaks():
    tree, _ = describe(read_table(Path(DATA) / "breast_usg" / "clinical_data.csv"))
    assert tree["cases"]["id"] == "CaseID"
    assert tree["labels"] == {"Classification": ["benign", "normal", "malignant"]}
    assert {"BIRADS", "Diagnosis", "Interpretation", "Verification", "Mask_tumor_filename"} <= set(tree["columns"])
    assert tree["modalities"]["meta"]["multi"]["Symptoms"] == "&"
    tree, _ = describe(read_table(Path(DATA) / "busbra" / "bus_data.csv"))
    assert tree["cases"]["group"] == "Case"
    assert set(tree["columns"]) == {"Histology", "BIRADS"}
    tree, _ = describe(read_table(Path(DATA) / "odir5k" / "annotations.csv"), labels=list("NDGCAHMO"))
    assert set(tree["columns"]) == {"Left-Diagnostic Keywords", "Right-Diagnostic Keywords"}
    assert tree["modalities"]["meta"] == {"use": "table", "numeric": ["Patient Age"], "categorical": ["Patient Sex"]}
    tree, _ = describe(read_table(Path(DATA) / "milk10k" / "metadata.csv"))
    assert all(name in tree["columns"] for name in ("MONET_hair", "MONET_pigmented"))
    assert tree["cases"]["group"] == "lesion_id"


def test_a_word_among_numbers_is_proposed_as_missing():
    table = Table.of(
        {"id": [str(i) for i in range(30)], "depth": ["k. A." if i % 10 == 0 else f"{i / 7:.2f}" for i in range(30)]}
    )
    card, notes = describe(table)
    assert "k. A." in card["cases"]["missing"]
    assert card["modalities"]["meta"]["numeric"] == ["depth"]
    assert any("k. A." in note for note in notes)
