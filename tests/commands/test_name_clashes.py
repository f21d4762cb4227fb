"""Names of users against fixed words, where commands write or read files: refused before anything is computed."""

import json

import numpy as np


def test_predict_refuses_an_id_column_that_is_a_label(trained, tmp_path, mmfuse):
    text = (trained / "cases.csv").read_text().replace("case,", "answer,", 1).replace(",answer,", ",truth,", 1)
    (tmp_path / "new.csv").write_text(text)
    (tmp_path / "new.toml").write_text('[cases]\nid = "answer"\ngroup = "patient"\n')
    told = mmfuse("predict", trained / "run", tmp_path / "new.csv", "--out", tmp_path / "p.csv", code=1).output
    assert "column 'answer' would hold the ids of the cases and the answer of label 'answer'" in told
    assert not (tmp_path / "p.csv").exists()


def test_a_run_of_a_source_called_file_is_resumed_as_any_other(here, mmfuse):
    """A source gives an array its name, and numpy has arguments of its own."""
    card = (here / "cases.toml").read_text().replace("left =", "file =")
    (here / "cases.toml").write_text(card)
    mmfuse("train", "plan.toml", "cases.csv", "--out", "run")
    figures = json.loads(mmfuse("evaluate", "run", "--json", "-", "--no-intervals").stdout)
    assert "file" in figures["sources"]


def test_embed_keeps_its_own_words(here, mmfuse):
    card = (here / "cases.toml").read_text().replace("left =", "ids =")
    (here / "cases.toml").write_text(card)
    plan = (here / "plan.toml").read_text().replace("widths = [8]", "widths = [8], frozen = true")
    (here / "plan.toml").write_text(plan)
    told = mmfuse("embed", "plan.toml", "cases.csv", "--out", "f.npz", code=1).output
    assert "in a file of features 'ids' means something else than modality 'ids'" in told
    mmfuse("embed", "plan.toml", "cases.csv", "--out", "f.csv")
    mmfuse("embed", "plan.toml", "cases.csv", "--out", "f.npz", "--modality", "right")
    with np.load("f.npz") as stored:
        assert len(stored["ids"]) == 60


def test_embed_refuses_an_id_column_that_is_a_feature(here, mmfuse):
    (here / "cases.toml").write_text((here / "cases.toml").read_text().replace('id = "case"', 'id = "left:0"'))
    (here / "cases.csv").write_text((here / "cases.csv").read_text().replace("case,", "left:0,", 1))
    plan = (here / "plan.toml").read_text().replace("widths = [8]", "widths = [8], frozen = true")
    (here / "plan.toml").write_text(plan)
    told = mmfuse("embed", "plan.toml", "cases.csv", "--out", "f.csv", code=1).output
    assert "column 'left:0' would hold the ids and a feature of 'left'" in told


def test_compare_refuses_predictions_called_as_a_line_of_its_own(here, mmfuse):
    mmfuse("train", "plan.toml", "cases.csv", "--out", "run")
    mmfuse("predict", "run", "cases.csv", "--out", "p.csv")
    for name in ("plan", "left alone", "metadata only", "right shuffled"):
        told = mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", "--with", f"{name}=p.csv", code=1).output
        assert f"two lines of the comparison are called '{name}'" in told
        assert not (here / "study").exists()


def test_predictions_made_elsewhere_are_not_read_for_labels_that_share_columns(here, mmfuse):
    card = (
        (here / "cases.toml")
        .read_text()
        .replace('answer = ["no", "yes"]', 'flags = { classes = ["no", "yes"], column = "answer" }')
    )
    (here / "cases.toml").write_text(card)
    (here / "p.csv").write_text("case,flags\n" + "".join(f"e{i:03d},yes\n" for i in range(60)))
    told = mmfuse("compare", "cases.csv", "--out", "study", "--with", "mine=p.csv", code=1).output
    assert "column 'flags' would hold" in told
