"""What was planted is found, by name; nothing is found on clean cohorts; what cannot be asked is named."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import mmfuse
from mmfuse.builtin.synthetic import Synthetic
from mmfuse.study.probing.facts import facts_of

DATA = os.environ.get("MMFUSE_DATA")
N = 300


class Drawn:
    """A synthetic cohort on disk."""

    def __init__(self, folder, cases=N, seed=0):
        self.folder = folder
        tidy = Synthetic(cases=cases, seed=seed, size=48).tidy(folder)
        self.table, self.card = tidy.table, tidy.card
        self.cases = mmfuse.Cases(self.table, mmfuse.load_card(self.card), folder)
        self.split = mmfuse.assign(self.cases, self.cases.card.split)

    def alarms(self, columns=None, card=None, files=False):
        cases = mmfuse.Cases(
            self.table.with_columns(columns or {}), mmfuse.load_card({**self.card, **(card or {})}), self.folder
        )
        return [str(one) for one in mmfuse.probe(cases, self.split, files=files) if one.level == "warning"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Not to be changed."""
    return Drawn(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def mine(drawn, tmp_path):
    """The same with images of its own, to be changed."""
    copy = object.__new__(Drawn)
    copy.__dict__.update(drawn.__dict__)
    for path in drawn.folder.glob("images/*/*.png"):
        target = tmp_path / path.relative_to(drawn.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    copy.folder = tmp_path
    copy.card = {**drawn.card, "cases": {**drawn.card["cases"], "root": str(tmp_path)}}
    return copy


def malignant(drawn):
    return np.array([word == "malignant" for word in drawn.table["diagnosis"]])


def test_nothing_is_found_on_a_clean_cohort_and_the_strongest_are_shown(drawn):
    findings = mmfuse.probe(drawn.cases, drawn.split)
    assert [str(one) for one in findings if one.level != "info"] == []
    (line,) = [one for one in findings if one.where == "label sun_damage"]
    assert line.text.startswith(
        "12 sources asked alone, out of fold, without `test`; the strongest: column age AUC 0.8"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_nothing_is_found_on_other_clean_cohorts(tmp_path, seed):
    assert Drawn(tmp_path, N + 40 * seed, seed).alarms(files=True) == []


def test_a_planted_device_is_found(drawn):
    rng = np.random.default_rng(0)
    device = np.where(rng.random(N) < np.where(malignant(drawn), 0.75, 0.35), "A", "B")
    (said,) = drawn.alarms({"device": device})
    assert said.startswith("column device: alone it tells label diagnosis ('malignant' from the others: AUC 0.")
    assert "expected of it: at most about 0.5" in said
    assert "mend: " in said
    assert "leave_out" in said


def test_a_device_that_has_nothing_to_do_with_it_is_not(drawn):
    rng = np.random.default_rng(1)
    assert drawn.alarms({"device": rng.choice(["A", "B", "C"], N), "scanned": rng.normal(size=N)}) == []


def test_a_planted_post_diagnosis_column_is_found_as_an_input_and_beside(drawn):
    rng = np.random.default_rng(0)
    treated = np.where(rng.random(N) < 0.97, malignant(drawn), ~malignant(drawn))
    columns = {"management": np.where(treated, "excision", "follow-up")}
    table = {"use": "table", "numeric": ["age"], "categorical": ["sex", "site", "management"]}
    for card in ({}, {"modalities": {**drawn.card["modalities"], "meta": table}}):
        (said,) = drawn.alarms(columns, card)
        assert said.startswith("column management: alone it tells label diagnosis")
        assert '[columns] management = { known = "after the diagnosis" }' in said
    marked = {"columns": {"management": {"known": "after the diagnosis"}}}
    assert drawn.alarms(columns, marked) == []


def test_a_pattern_of_missing_cells_is_found(drawn):
    rng = np.random.default_rng(0)
    gone = rng.random(N) < np.where(malignant(drawn), 0.5, 0.1)
    sites = [None if missing else word for missing, word in zip(gone, drawn.table["site"], strict=True)]
    found = drawn.alarms({"site": sites})
    assert [said.split(":")[0] for said in found] == ["missing cells"]


def test_a_category_that_holds_only_one_class_is_found(drawn):
    rng = np.random.default_rng(0)
    clinic = np.where(malignant(drawn) & (rng.random(N) < 0.4), "oncology", rng.choice(["a", "b"], N))
    found = drawn.alarms({"clinic_name": clinic})
    (said,) = [one for one in found if "'oncology'" in one]
    assert said.startswith("label diagnosis: column clinic_name: 'oncology' (")
    assert "holds only 'malignant'" in said


def test_a_planted_border_mark_is_found(mine):
    for i in np.flatnonzero(malignant(mine)):
        if mine.table["derm"][i]:
            path = mine.folder / mine.table["derm"][i]
            image = Image.open(path).convert("RGB")
            ImageDraw.Draw(image).rectangle((2, 1, 6, 4), fill=(40, 60, 150))
            image.save(path)
    (said,) = mine.alarms(files=True)
    assert said.startswith("images of derm, border: alone it tells label diagnosis ('malignant' from the others: AUC")


def test_files_that_are_written_differently_are_found(mine):
    for i in np.flatnonzero(malignant(mine)):
        if mine.table["clinic"][i] and i % 2:
            path = mine.folder / mine.table["clinic"][i]
            Image.open(path).save(path, format="JPEG", quality=95)
    (said,) = mine.alarms(files=True)
    assert said.startswith("images of clinic, how files are written: alone it tells label diagnosis")


def test_black_margins_are_found(mine):
    for i in np.flatnonzero(malignant(mine)):
        if mine.table["clinic"][i] and i % 2:
            path = mine.folder / mine.table["clinic"][i]
            ImageOps.expand(Image.open(path).resize((40, 48)), (4, 0), 0).save(path)
    assert any(said.startswith("images of clinic, black or white margins: ") for said in mine.alarms(files=True))


def test_a_mirrored_copy_of_a_training_image_in_test_is_found(mine):
    there = np.array([cell is not None for cell in mine.table["derm"]])
    one, other = (int(np.flatnonzero(there & (mine.split == name))[3]) for name in ("train", "test"))
    ImageOps.mirror(Image.open(mine.folder / mine.table["derm"][one])).save(mine.folder / mine.table["derm"][other])
    (said,) = mine.alarms(files=True)
    assert "1 pairs of nearly the same picture stand in two splits" in said
    assert "mirrored left to right" in said
    for i in (one, other):
        assert f"id {mine.cases.ids[i]}" in said


# ── what cannot be asked ──────────────────────────────────────────────────────────────────────────────────────────────


def test_labels_of_test_cases_are_not_looked_at(drawn):
    rng = np.random.default_rng(0)
    told = np.where(drawn.split == "test", drawn.table["diagnosis"], rng.choice(["x", "y"], N))
    assert drawn.alarms({"told": [word or "x" for word in told]}) == []


def infos(cells, classes, card=None, split=None, files=False, folder="."):
    tree = {"cases": {"id": "id", "group": "g"}, "labels": {"y": classes}, "modalities": {}, **(card or {})}
    cases = mmfuse.Cases(mmfuse.Table.of(cells), mmfuse.load_card(tree), folder)
    return [str(one) for one in mmfuse.probe(cases, split or np.array(["train"] * len(cases)), files=files)]


def cells(n=60, **columns):
    base = {"id": [f"c{i}" for i in range(n)], "g": [f"p{i}" for i in range(n)], "x": [i % 7 for i in range(n)]}
    return {**base, **columns}


def test_a_class_of_one_case_is_named_and_left_out():
    said = infos(cells(y=["rare"] + ["a", "b"] * 29 + ["a"]), ["a", "b", "rare"])
    assert any("not asked what tells 'rare' (1 cases in 1 groups)" in line for line in said)
    assert any("1 sources asked" in line for line in said)


def test_a_class_in_too_few_groups_for_the_folds_is_named():
    groups = ["p0"] * 20 + [f"p{i}" for i in range(20, 60)]
    said = infos(cells(y=["b"] * 20 + ["a"] * 40, g=groups), ["a", "b"])
    assert said == [
        "label y: not asked what tells 'b' (20 cases in 1 groups): 10 cases in 5 groups are needed, and as many others;"
        " cases in `test` do not count"
    ]


def test_a_label_of_one_class_or_of_none_is_named():
    assert "not asked what tells 'b' (0 cases in 0 groups)" in infos(cells(y=["a"] * 60), ["a", "b"])[0]
    assert "not asked what tells 'b' (0 cases in 0 groups)" in infos(cells(y=[None] * 60), ["a", "b"])[0]


def test_images_that_are_all_missing_are_named(tmp_path):
    card = {"modalities": {"photo": {"use": "image", "column": "file"}}}
    y = ["a", "b"] * 30
    for files in ([None] * 60, [f"no-{i}.png" for i in range(60)]):
        said = infos(cells(y=y, file=files), ["a", "b"], card, files=True, folder=tmp_path)
        assert any("modality photo: column file: 0 images can be read; nothing is asked of them" in one for one in said)


def test_a_file_that_is_no_image_has_no_facts(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    assert facts_of(tmp_path / "a.png") is None
    assert facts_of(tmp_path / "none.png") is None


def test_pictures_of_16_bits_are_looked_at_as_they_are(tmp_path):
    steps = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(steps).save(tmp_path / "fine.png")
    Image.fromarray((steps // 16).astype(np.uint8)).save(tmp_path / "coarse.png")
    fine, coarse = facts_of(tmp_path / "fine.png"), facts_of(tmp_path / "coarse.png")
    assert fine.light == pytest.approx(coarse.light, abs=0.01)
    assert np.abs(fine.small.astype(int) - coarse.small).max() <= 2


def test_numbers_of_an_embedding_are_not_asked_one_by_one():
    y = ["a", "b"] * 30
    card = {"modalities": {"emb": {"use": "vector", "numeric": ["e*"]}}}
    said = infos(cells(y=y, e0=[word == "a" for word in y], e1=y), ["a", "b"], card)
    assert not any("column e" in line for line in said)


# ── real data ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="MMFUSE_DATA names no folder of real data")
def test_the_pattern_of_missing_cells_tells_malignancy_in_breast_ultrasound():
    """BrEaST: "not available" in signs, symptoms and tissue depends on the diagnosis; AUC about .65."""
    folder = Path(DATA, "breast_usg")
    missing = ["", "not available"]
    table = mmfuse.read_table(folder / "clinical_data.csv", missing)
    table = table.with_columns({"file": [name.replace(".png", ".jpg") for name in table["Image_filename"]]})
    clinical = {"use": "table", "numeric": ["Age"], "categorical": ["Tissue_composition", "Signs", "Symptoms"]}
    card = {
        "cases": {"id": "CaseID", "root": str(folder / "images"), "missing": missing},
        "labels": {"Classification": ["normal", "benign", "malignant"]},
        "modalities": {"image": {"use": "image", "column": "file"}, "clinical": clinical},
    }
    cases = mmfuse.Cases(table, mmfuse.load_card(card), folder)
    for split in (np.array(["train"] * len(cases)), mmfuse.assign(cases, cases.card.split)):
        found = [one for one in mmfuse.probe(cases, split) if one.level == "warning" and one.where == "missing cells"]
        assert len(found) == 1
        assert "'malignant' from the others" in found[0].text
        assert any(f"AUC 0.{auc} [" in found[0].text for auc in range(62, 70))
