"""The audit tells what is wrong with a table, and does not cry over a sound one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmfuse import Card, Cases, Catalog, Table, audit
from mmfuse.advice.audit import presence
from mmfuse.advice.leaks import name_words, names_someone
from mmfuse.card import CasesSection

CATALOG = Catalog(installed=False)
Picture: type = CATALOG.find("modality", "image")
Cells: type = CATALOG.find("modality", "table")


N = 60
SPLIT = np.array(["train"] * 40 + ["valid"] * 10 + ["test"] * 10)


def cohort(folder=".", modalities=None, group="g", labels=None, **columns) -> Cases:
    rng = np.random.default_rng(0)
    base = {
        "id": [f"c{i}" for i in range(N)],
        "g": [f"p{i // 2}" for i in range(N)],
        "y": ["a", "b", "c"] * 20,
        "age": rng.integers(20, 80, N).tolist(),
        "sex": rng.choice(["f", "m"], N).tolist(),
    }
    modalities = modalities or {"meta": Cells(categorical=("age", "sex"))}
    card = Card(
        cases=CasesSection(id="id", group=group, case_is="lesion"),
        labels=labels or {"y": ["a", "b", "c"]},
        modalities=modalities,
    )
    return Cases(Table.of({**base, **columns}, source="t.csv"), card, folder)


def said(findings, level=None) -> list[str]:
    return [str(finding) for finding in findings if level in (None, finding.level)]


def alarms(findings) -> list[str]:
    return said(findings, "error") + said(findings, "warning")


def test_a_sound_table_raises_no_alarm_and_is_described():
    findings = audit(cohort(), SPLIT)
    assert alarms(findings) == []
    texts = said(findings)
    assert "t.csv: 60 cases (lesion) in 30 groups: train 40, valid 10, test 10" in texts
    assert "label y: train/valid/test: a 14/3/3, b 13/4/3, c 13/3/4" in texts
    assert "presence: meta: 60 cases (train 40, valid 10, test 10)" in texts


def test_groups_across_splits_are_an_error():
    split = SPLIT.copy()
    split[0], split[3] = "test", ""
    (text,) = said(audit(cohort(), split), "error")
    assert "1 groups stand in two splits: 'p0' in train and test" in text


def test_splits_without_cases():
    text = " ".join(said(audit(cohort(), np.full(N, ""))))
    assert "no case is in `train`" in text
    assert "no case is in `valid`" in text
    assert "no case is in `test`" in text
    assert "none 60" in text


def test_classes_that_a_split_lacks():
    rare = ["a", "b"] * 30
    rare[:2], rare[55] = ["c", "c"], None
    warnings = said(audit(cohort(y=rare), SPLIT), "warning")
    assert [text.split("\n")[0] for text in warnings] == [
        "label y: no case in `valid` of c: not judged there",
        "label y: no case in `test` of c: not judged there",
    ]
    assert "unknown 1" in " ".join(said(audit(cohort(y=rare), SPLIT), "info"))
    nothing = audit(cohort(y=[None] * 40 + ["a"] * 20), SPLIT)
    assert "label y: is unknown of every case in `train`" in said(nothing, "error")[0]
    never = said(audit(cohort(y=["a", "b"] * 30), SPLIT), "warning")
    assert "no case in `train` of c: never learnt" in never[0]


def test_presence_patterns(tmp_path):
    clinic = [None if i in (3, 50, 51) else "x.jpg" for i in range(N)]
    derm = [None if i == 3 else "x.jpg" for i in range(N)]
    cases = cohort(
        tmp_path, {"clinic": Picture(column="clinic"), "derm": Picture(column="derm")}, clinic=clinic, derm=derm
    )
    assert {name: int(there.sum()) for name, there in presence(cases).items()} == {"clinic": 57, "derm": 59}
    findings = audit(cases, SPLIT, files=False)
    assert "presence: clinic+derm: 57 cases (train 39, valid 10, test 8)" in said(findings, "info")
    warnings = said(findings, "warning")
    assert any(text.startswith("presence: derm: such cases stand outside `train` alone") for text in warnings)
    assert any("1 cases have no modality at all: rows 5" in text for text in warnings)


def test_presence_names_what_stands_in_files(tmp_path):
    np.savez(tmp_path / "v.npz", ids=np.array([f"c{i}" for i in range(N)]), vectors=np.zeros((N, 2)))
    vector = CATALOG.find("modality", "vector")
    cases = cohort(tmp_path, {"deep": vector(file="v.npz"), "meta": Cells(numeric=["age"])}, age=["1", "2"] * 30)
    told = [text for text in said(audit(cases, SPLIT, files=False), "info") if text.startswith("presence")]
    assert told[0].startswith("presence: meta: 60 cases")
    assert told[1].startswith("presence: deep not counted")


def test_inputs_that_say_nothing_or_too_much():
    y = ["a", "b", "c"] * 20
    columns = {
        "flat": ["x"] * N,
        "empty": [None] * N,
        "mrn": [f"M{i}" for i in range(N)],
        "keywords": [{"a": "mel", "b": "nev", "c": "bcc"}[word] for word in y],
        "nearly": ["1", *y[1:]],
        "code": [f"{ord(word) + 100 * (i % 3)}" for i, word in enumerate(y)],
        "age": list(range(N)),
    }
    cases = cohort(modalities={"meta": Cells(categorical=(*columns, "sex", "id"))}, **columns)
    warnings = {text.split("column ")[1].split(":")[0]: text for text in said(audit(cases, SPLIT), "warning")}
    assert set(warnings) == {"flat", "empty", "mrn", "keywords", "nearly", "code", "id"}
    assert "holds 'x' alone" in warnings["flat"]
    assert "holds nothing" in warnings["empty"]
    assert "identifier or free text" in warnings["mrn"]
    assert "determines label 'y'" in warnings["keywords"]
    assert 'keywords = { known = "after the diagnosis" }' in warnings["keywords"]
    assert "determines label 'y'" in warnings["nearly"]
    assert "tells cases apart" in warnings["id"]


def test_nearly_determined_labels_are_suspected_and_common_classes_are_not():
    y = ["a", "b", "c"] * 20
    slip = ["b", *y[1:]]
    assert (
        "nearly determines (98.3% of cases)"
        in alarms(audit(cohort(modalities={"m": Cells(categorical=("k",))}, k=slip), SPLIT))[0]
    )
    common = ["a"] * 58 + ["b", "c"]
    findings = audit(cohort(y=common), SPLIT)
    assert not any("determines" in text for text in said(findings))


def test_people_who_are_not_the_group():
    patients = [f"q{i % 25}" for i in range(N)]
    found = audit(cohort(group="", patientID=patients, visitor=patients), SPLIT)
    (text,) = alarms(found)
    assert "column patientID: 20 of its values stand in two splits ('q0' in train and test, 'q1' in" in text
    assert 'group = "patientID"' in text
    assert alarms(audit(cohort(group="patientID", patientID=[f"q{i // 2}" for i in range(N)]), SPLIT)) == []


def test_words_of_a_name():
    assert name_words("patientID") == name_words("Patient ID") == name_words("patient_id") == ("patient", "id")
    assert name_words("MRN") == ("mrn",)
    assert name_words("idle") == ("idle",)
    assert name_words("Übersicht_links") == ("übersicht", "links")


@pytest.mark.parametrize("name", ["patient", "Patient ID", "lesion_no", "isic_id", "MRN", "CaseID", "subject name"])
def test_names_of_columns_that_name_someone(name):
    assert names_someone(name)


@pytest.mark.parametrize(
    "name", ["Patient Age", "lesion_size", "idle", "number of cases", "site", "Mask_tumor_filename"]
)
def test_names_of_columns_that_do_not(name):
    assert not names_someone(name)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(1)
    for i in range(N):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(tmp_path / f"{i}.jpg")
    return tmp_path


def pictures(folder, names, **knobs) -> Cases:
    return cohort(folder, {"derm": Picture(column="derm", **knobs)}, derm=names)


def test_sound_images_raise_no_alarm(images):
    heard = []
    findings = audit(pictures(images, [f"{i}.jpg" for i in range(N)]), SPLIT, watch=heard.append)
    assert alarms(findings) == []
    assert heard[-1].done == heard[-1].total == N


def test_files_that_are_not_there_or_broken_are_named(images):
    whole = (images / "7.jpg").read_bytes()
    (images / "7.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "8.jpg").write_text("no image")
    names = [f"{i}.jpg" for i in range(N)]
    names[5] = "gone.jpg"
    errors = said(audit(pictures(images, names), SPLIT), "error")
    assert len(errors) == 3
    assert errors[0].startswith(f"t.csv, row 7 (id c5), column derm, file {images / 'gone.jpg'}: no such file")
    assert "7.jpg: cannot be read as an image (" in errors[1]
    assert "8.jpg: its content is of none of the formats that are read" in errors[2]
    assert "on_error = 'absent'" in errors[2]
    assert audit(pictures(images, names), SPLIT, files=False) == audit(pictures(images, names), SPLIT, files=False)
    assert not said(audit(pictures(images, names), SPLIT, files=False), "error")
    assert not said(audit(pictures(images, names, on_error="absent"), SPLIT), "error")


def test_the_audit_refuses_what_reading_will_refuse(images):
    """A file that Pillow could open is unreadable all the same where the modality says so."""
    Image.new("RGB", (8, 8)).save(images / "3.gif")
    Image.new("F", (8, 8)).save(images / "4.tiff")
    names = [f"{i}.jpg" for i in range(N)]
    names[3:7] = ["3.gif", "4.tiff", ".", "/dev/zero"]
    errors = said(audit(pictures(images, names, max_pixels=10_000), SPLIT), "error")
    assert [text.partition(": ")[2].partition("\n")[0] for text in errors] == [
        "its content is of none of the formats that are read",
        "32 bits a channel",
        "is a folder",
        "is no regular file",
    ]
    assert "at most" not in "".join(errors)
    few = said(audit(pictures(images, names[:3] * 20, max_pixels=1), SPLIT), "error")
    assert "raise `max_pixels`" in few[0]


def test_words_among_numbers_are_an_error_with_all_columns(images):
    ages, sizes = ["30"] * N, ["1.5"] * N
    ages[4], ages[50], sizes[59] = "sixty", "sixty", "big"
    cases = cohort(modalities={"meta": Cells(numeric=("age", "size"))}, age=ages, size=sizes)
    assert [text.partition("\n")[0] for text in said(audit(cases, SPLIT), "error")] == [
        "t.csv, column age: no numbers: 'sixty' (2, first in row 6)",
        "t.csv, column size: no numbers: 'big' (1, in row 61)",
    ]


def test_decimal_commas_are_numbers_and_no_free_text():
    table = Table.of({"id": range(N), "y": ["a", "b"] * 30, "x": [f"{i},5" for i in range(N)]}, decimal=",")
    card = Card(
        cases=CasesSection(id="id"),
        labels={"y": ["a", "b"]},
        modalities={"m": CATALOG.find("modality", "table")(numeric=("x",))},
    )
    assert not [text for text in alarms(audit(Cases(table, card), SPLIT)) if "column x" in text]


@pytest.mark.parametrize(("grey", "kind"), [(0, "png"), (3, "jpg"), (255, "png")])
def test_images_of_one_colour_are_named(images, grey, kind):
    Image.new("L", (9, 7), grey).save(images / f"blank.{kind}")
    names = [f"blank.{kind}", *[f"{i}.jpg" for i in range(1, N)]]
    told = alarms(audit(pictures(images, names), SPLIT))
    assert len(told) == 1
    assert "modality derm: 1 images are of one colour and show nothing: row 2 (id c0)" in told[0]


def test_a_wrong_root_gives_a_few_lines(images):
    errors = said(audit(pictures(images / "elsewhere", [f"{i}.jpg" for i in range(N)]), SPLIT), "error")
    assert len(errors) == 9
    assert "60 of 60 images cannot be used" in errors[-1]


def test_identical_images_are_a_leak_across_splits(images):
    for source, copy in ((0, 59), (2, 6), (10, 11)):
        (images / f"{copy}.jpg").write_bytes((images / f"{source}.jpg").read_bytes())
    findings = audit(pictures(images, [f"{i}.jpg" for i in range(N)]), SPLIT)
    (leak,) = said(findings, "error")
    assert (
        "identical images stand in two splits: a leak: row 2 (id c0), derm, train = row 61 (id c59), derm, test" in leak
    )
    (doubt,) = said(findings, "warning")
    assert "identical images belong to different groups: row 4 (id c2)" in doubt
    assert any("several cases of one group: row 12 (id c10)" in text for text in said(findings, "info"))


def test_one_image_twice_in_a_case(images):
    names = [f"{i}.jpg" for i in range(N)]
    both = cohort(
        images, {"l": Picture(column="left"), "r": Picture(column="right")}, left=names, right=["0.jpg", *[None] * 59]
    )
    assert any("identical images stand twice in one case" in text for text in said(audit(both, SPLIT), "warning"))
