"""`mmfuse lint`: published figures, typed or in files; and the findings of an evaluation."""

import json

import pytest


def test_the_figures_of_a_paper_are_held_against_each_other(mmfuse):
    told = mmfuse("lint", "accuracy=.9423", "precision=.9909", "recall=.9923", "labels=8", code=1).stdout
    assert "'accuracy' of 8 labels does not say which" in told
    assert "accuracy 0.9423 is too small for precision 0.9909 and recall 0.9923" in told
    assert "at least 0.9832" in told
    assert mmfuse("lint", "accuracy=94.23%", "precision=99.09%", "recall=99.23%", code=1).stdout.count("\n") == 1


def test_rounding_is_that_of_the_coarsest_figure(mmfuse):
    """Accuracy .98 may be .985: with two digits nothing contradicts, with four it does."""
    assert "nothing contradicts" in mmfuse("lint", "accuracy=.98", "precision=.99", "recall=.99").stdout
    mmfuse("lint", "accuracy=.9750", "precision=.9909", "recall=.9923", code=1)
    mmfuse("lint", "accuracy=.98", "precision=.9909", "recall=.9923", "--rounding", "0", code=1)


def test_what_no_rule_speaks_of_is_said(mmfuse):
    told = mmfuse("lint", "dice=3", "accuracy=.9").stdout
    assert "not looked at, as no rule speaks of them: dice" in told
    assert "nothing contradicts" not in mmfuse("lint", "dice=.3").stdout


def test_files_hold_a_table_of_answers_a_line_or_an_object(mmfuse, tmp_path):
    csv = tmp_path / "paper.csv"
    csv.write_text("method,accuracy,kappa\nours,.805,.838\ntheirs,.9,.8\n")
    told = mmfuse("lint", csv, code=1).stdout
    assert "paper.csv, line 2: kappa 0.838 is larger than accuracy 0.805" in told
    assert "paper.csv, line 3: nothing contradicts" in told
    file = tmp_path / "paper.json"
    file.write_text(json.dumps({"ours": {"accuracy": 0.95, "sensitivity": 0.9, "specificity": 0.8}}))
    assert "paper.json, ours: accuracy 0.95 does not lie between" in mmfuse("lint", file, code=1).stdout


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        (["accuracy=high"], 1, "'high' is no number"),
        (["accuracy=94.2"], 1, "is no share"),
        (["accuracy=.9", "accuracy=.8"], 2, "accuracy is given twice"),
        (["accuracy=.9", "labels=few"], 1, "labels=few"),
        (["nowhere.json"], 1, "cannot be read"),
        (["accuracy=.9", "paper.json"], 2, "give NAME=VALUE words, or one FILE"),
    ],
)
def test_what_is_no_figure_is_named(mmfuse, here, words, code, found):
    assert found in mmfuse("lint", *words, code=code).output


def test_broken_files_are_named(mmfuse, tmp_path):
    (tmp_path / "no.json").write_text("{")
    assert "is no JSON" in mmfuse("lint", tmp_path / "no.json", code=1).output
    (tmp_path / "empty.json").write_text("[]")
    assert "holds no figures" in mmfuse("lint", tmp_path / "empty.json", code=1).output


def test_an_evaluation_is_read_and_sound(mmfuse, trained, tmp_path):
    mmfuse("evaluate", trained / "run", "--on", "valid", "--json", tmp_path / "figures.json", "-q")
    told = json.loads((tmp_path / "figures.json").read_text())
    assert told["lint"] == []
    assert "nothing contradicts" in mmfuse("lint", tmp_path / "figures.json").stdout
