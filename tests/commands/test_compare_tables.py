"""`mmfuse compare` over several tables: what it shows, keeps and refuses."""

import csv
import json
import re

import numpy as np
import pytest
from conftest import CARD

QUICK = ["--no-baselines", "--no-controls", "-q"]
BOTH = ["--train", "mine.csv", "--test", "theirs.csv"]
MANY = ["--tables", "mine=mine.csv", "--tables", "theirs=theirs.csv", "--tables", "graded=graded.csv"]


def write_table(folder, name, seed, shift=1.0, n=120, card=CARD):
    rng = np.random.default_rng(seed)
    lines = ["case,patient,a,b,c,d,answer,grade,split"]
    for i in range(n):
        answer, (a, b, c) = rng.integers(0, 2), rng.normal(size=3)
        split = "train" if i < 0.6 * n else "valid" if i < 0.8 * n else "test"
        cells = f"{a + shift * answer:.3f},{b:.3f},{c - shift * answer:.3f},{'xy'[i % 2]}"
        grade = ["low", "mid", "high"][i % 3]
        lines.append(f"{name}{i:03d},{name}p{i:03d},{cells},{['no', 'yes'][answer]},{grade},{split}")
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.toml").write_text(card)


@pytest.fixture
def tables(here, monkeypatch):
    """The folder with `mine`, `theirs` (alike, of another strength) and `graded`, which asks one question less."""
    monkeypatch.setenv("MMFUSE_CACHE", str(here / "state"))
    write_table(here, "mine", 0, shift=2.0)
    write_table(here, "theirs", 1, shift=0.2)
    write_table(here, "graded", 2, card=CARD.replace('answer = ["no", "yes"]\n', ""))
    return here


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_table_is_learnt_on_and_another_tested(tables, mmfuse):
    result = mmfuse("compare", "plan.toml", *BOTH, "--out", "study", "-q", "--no-controls", "--metric", "macro-auc")
    text = result.stdout
    assert "learnt on mine, tested on theirs" in text
    assert "comparison on 120 test cases (one case is one eye)" in text
    assert re.search(r"mine → theirs +metadata only +1\.000 +0\.\d+ +-0\.\d+ +-0\.\d+ … -0\.\d+ +worse there", text)
    assert re.search(r"mine → theirs +answer:yes +\d+\.\d% +\d+\.\d%", text)
    assert "these test cases were evaluated" in text
    matrix, shifts = rows_of(tables / "study/matrix.csv"), rows_of(tables / "study/shifts.csv")
    assert {(row["learnt on"], row["tested on"]) for row in matrix} == {("mine", "mine"), ("mine", "theirs")}
    by_name = {row["name"]: row for row in shifts if row["label"] == "answer"}
    assert by_name["metadata only"]["verdict"] == "worse there"
    plan = by_name["plan"]
    assert float(plan["there"]) - float(plan["here"]) == pytest.approx(float(plan["difference"]), abs=1e-5)
    whole = json.loads((tables / "study/matrix.json").read_text())
    assert [pair["tested on"] for pair in whole["pairs"]] == ["mine", "theirs"]
    shown = mmfuse("compare", "--out", "study", "--show")
    assert shown.stdout == text
    alone = mmfuse("compare", "--out", "study/mine-to-theirs", "--show")
    assert "comparison on 120 test cases" in alone.stdout


def test_each_plan_on_each_table(tables, mmfuse):
    words = ["compare", "plan.toml", *MANY, "--out", "study", *QUICK, "--metric", "balanced-accuracy"]
    text = mmfuse(*words).stdout
    for title in ("mine → theirs", "theirs → mine", "graded"):
        assert title in text
    assert "graded and mine are compared apart: the label 'answer'" in text
    before = {path: path.stat().st_mtime_ns for path in (tables / "study").glob("*/variants/*")}
    text = mmfuse(*words, "--vary", "network.fusion=[concat, sum]").stdout
    assert re.search(r"mine → theirs +plan \(fusion=sum\) +plan \(fusion=concat\) +[+-]0\.\d+", text)
    after = {path: path.stat().st_mtime_ns for path in (tables / "study").glob("*/variants/*")}
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)
    other = mmfuse("compare", "--out", "study", "--show", "--metric", "accuracy").stdout
    assert "accuracy on test cases" in other


def test_a_plan_that_suits_one_table_alone_is_named_and_the_rest_is_shown(tables, mmfuse):
    text = (tables / "plan.toml").read_text()
    (tables / "answering.toml").write_text(text.replace("batch = 32", 'batch = 32\nbest = { sources = ["left"] }'))
    one = CARD.replace("left = {", "only = {").replace(
        'right = { use = "table", numeric = ["c"], categorical = ["d"] }', ""
    )
    write_table(tables, "graded", 2, card=one)
    result = mmfuse(
        "compare", "plan.toml", "answering.toml", *MANY, "--out", "study", *QUICK, "--networks-only", code=1
    )
    assert "failed: graded: answering:" in result.stdout
    assert re.search(r"^answering +variant +0", result.stdout, re.MULTILINE)


def test_a_broken_table_stops_no_other(tables, mmfuse):
    path = tables / "graded.csv"
    path.write_text(path.read_text().replace(",low,", ",lowest,"))
    result = mmfuse("compare", "plan.toml", *MANY, "--out", "study", *QUICK, code=1)
    assert "failed: graded:" in result.stdout
    assert "'lowest' is no class of label 'grade'" in result.stdout
    assert "mine → theirs" in result.stdout


def edited(tables, name, suffix, *change):
    path = tables / f"{name}.{suffix}"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("theirs", "toml", '"no", "yes"', '"no", "maybe", "yes"'), "classes no, maybe, yes there, no, yes here"),
        (("theirs", "toml", "right =", "other ="), "the modality 'right' is in one of the tables alone"),
        (("theirs", "csv", "answer", "result"), "no column 'answer', of label 'answer'"),
        (("theirs", "csv", "theirs", "mine"), "all 120 cases stand in mine.csv too (120 by id, 120 by group)"),
    ],
)
def test_tables_that_do_not_go_together_are_refused(tables, mmfuse, change, told):
    edited(tables, *change)
    assert told in mmfuse("compare", "plan.toml", *BOTH, "--out", "study", *QUICK, code=1).stderr
    assert not (tables / "study").exists()


def test_one_file_is_no_two_tables(tables, mmfuse):
    words = ["compare", "plan.toml", "--train", "mine.csv", "--test", "./mine.csv", "--out", "study", *QUICK]
    assert "two tables are one file" in mmfuse(*words, code=1).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plan.toml", "--train", "mine.csv"], "--train and --test go together"),
        ([*BOTH], "give a PLAN"),
        (["plan.toml", *BOTH, *MANY], "--tables or --train and --test"),
        (["plan.toml", *BOTH, "--with", "a=b.csv"], "--with speaks of one table"),
        (["plan.toml", *BOTH, "--card", "mine.toml"], "--card belongs to one table"),
        (["plan.toml", "mine.csv", "--test-on", "all"], "--test-on and --local-ids speak of another table"),
        (["plan.toml", "--tables", "mine"], "expected NAME=FILE"),
        (["plan.toml", "mine.csv", *BOTH], "mine.csv stands among the plans"),
        ([*BOTH, "--show"], "--show takes no plans"),
    ],
)
def test_wrong_usage_is_named(tables, mmfuse, words, told):
    assert told in mmfuse("compare", *words, "--out", "study", code=2).stderr


def test_a_folder_is_of_one_kind(tables, mmfuse):
    mmfuse("compare", "plan.toml", "mine.csv", "--out", "study", *QUICK)
    refused = mmfuse("compare", "plan.toml", *BOTH, "--out", "study", *QUICK, code=1)
    assert "is a study of one table" in refused.stderr
    mmfuse("compare", "plan.toml", *BOTH, "--out", "two", *QUICK)
    refused = mmfuse("compare", "plan.toml", "mine.csv", "--out", "two", *QUICK, code=1)
    assert "is a comparison over several tables" in refused.stderr
