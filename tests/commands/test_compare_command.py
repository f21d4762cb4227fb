"""`mmfuse compare` from the command line: what it shows, keeps, refuses and counts."""

import csv
import re

import numpy as np
import pytest

QUICK = ["--no-baselines", "--no-controls", "-q"]


@pytest.fixture
def larger(here):
    """The folder with 160 cases: 96 train, 32 valid, 32 test."""
    rng = np.random.default_rng(0)
    lines = ["case,patient,a,b,c,d,answer,grade,split"]
    for i in range(160):
        answer, (a, b, c) = rng.integers(0, 2), rng.normal(size=3)
        cells = [f"{a + answer:.3f},{b:.3f},{c - answer:.3f},{'xy'[i % 2]}", ",,,"][i == 0]
        split = "train" if i < 96 else "valid" if i < 128 else "test"
        lines.append(f"e{i:03d},p{i:03d},{cells},{['no', 'yes'][answer]},{['low', 'mid', 'high'][i % 3]},{split}")
    (here / "cases.csv").write_text("\n".join(lines) + "\n")
    return here


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_plans_become_a_study(larger, mmfuse):
    result = mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", "--vary", "network.fusion=[concat, sum]",
                    "--metric", "balanced-accuracy")  # fmt: skip
    assert "comparison on 32 test cases (one case is one eye)" in result.stdout
    assert "reference: plan (fusion=concat)" in result.stdout
    for name in ("left alone", "right alone", "metadata only", "logistic, late", "left shuffled", "presence alone"):
        assert name in result.stdout
    assert "comparisons named beforehand, p after Holm" in result.stdout
    assert "exploratory" in result.stdout
    assert "best of 2 on `test`" in result.stdout
    assert re.search(r"these test cases were evaluated \d+ times by \d+ specs on this machine", result.stdout)
    figures, differences = rows_of(larger / "study/comparison.csv"), rows_of(larger / "study/differences.csv")
    assert {row["label"] for row in figures} == {"mean over labels", "answer", "grade"}
    assert {row["family"] for row in differences} == {"beforehand", "exploratory"}
    assert all(row["p_holm"] == "" for row in differences if row["family"] == "exploratory")
    headlines = rows_of(larger / "study/headlines.csv")
    assert {row["label"] for row in headlines} == {"mean over labels", "answer", "grade"}
    told = result.stdout.split("does fusion help? against every single modality")[1].split("differences in")[0]
    for row in headlines:  # of the reference on each label, of the others as a mean over labels
        shown = row["name"] == "plan (fusion=concat)" or row["label"] == "mean over labels"
        assert (row["sentence"] in told) == shown
    shown = mmfuse("compare", "--out", "study", "--show")
    assert shown.stdout.split("\n\nstudy:")[0].strip() in result.stdout.strip()


def test_a_study_is_shown_without_cases_or_torch(larger, mmfuse):
    import subprocess
    import sys

    mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", *QUICK)
    (larger / "cases.csv").unlink()
    (larger / "plan.toml").unlink()
    program = "import sys; from mmfuse.cli import main; main(sys.argv[1:], standalone_mode=False); "
    program += "sys.exit('torch' in sys.modules)"
    words = ["compare", "--out", "study", "--show", "--metric", "accuracy"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def test_the_choice_on_valid_is_the_headline(larger, mmfuse):
    result = mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", *QUICK, "--select", "accuracy",
                    "--vary", "training.epochs=[1, 2]", "--metric", "accuracy")  # fmt: skip
    assert re.search(r"chosen on `valid` by accuracy: plan \(epochs=[12]\); accuracy on `test` 0\.\d+", result.stdout)
    assert "optimistic" not in result.stdout


def test_one_that_fails_is_named_and_the_others_are_shown(larger, mmfuse):
    result = mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", *QUICK, "--networks-only",
                    "--vary", "training.lr=[0.01, 1e30]", code=1)  # fmt: skip
    assert "failed: plan (lr=1e+30)" in result.stdout
    assert re.search(r"plan \(lr=0.01\) +variant +32", result.stdout)


def test_folds_are_drawn_outside_test_unless_it_is_said(larger, mmfuse):
    words = ["compare", "plan.toml", "cases.csv", "--out", "study", *QUICK, "--networks-only", "--folds", "2"]
    assert "comparison on 128 test cases" in mmfuse(*words).stdout
    everyone = mmfuse(*words, "--refold", "all").stdout
    assert "comparison on 160 test cases" in everyone
    assert "`test` included" in everyone


def test_predictions_from_elsewhere_need_no_plan(larger, mmfuse):
    held = [f"e{i:03d}" for i in range(128, 160)]
    one = "\n".join(["case,answer:no,answer:yes", *(f"{case},0.4,0.6" for case in held)])
    (larger / "tool.csv").write_text(one)
    (larger / "people.csv").write_text("\n".join(["case,answer", *(f"{case},yes" for case in held)]))
    words = ["compare", "cases.csv", "--out", "study", "--with", "tool=tool.csv", "--with", "people=people.csv"]
    result = mmfuse(*words, "--metric", "accuracy")
    assert "reference: tool" in result.stdout
    assert re.search(r"people +outside +32", result.stdout)
    (larger / "tool.csv").write_text(one.replace("e128", "e128x").replace("e130,0.4", "e130,0.5"))
    refused = mmfuse(*words, code=1)
    assert "2 faults" not in refused.stdout
    for words in ("other cases: 'e128x'", "1 of 32 test cases are missing: e128", "do not sum to one"):
        assert words in refused.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give CASES"),
        (["cases.csv"], "nothing to compare"),
        (["plan.toml", "cases.csv", "--show"], "--show takes no plans"),
        (["cases.csv", "--with", "tool"], "expected NAME=FILE"),
        (["cases.csv", "--with", "a=b", "--with", "a=c"], "given twice"),
    ],
)
def test_wrong_usage_is_named(here, mmfuse, words, told):
    assert told in mmfuse("compare", *words, "--out", "study", code=2).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--metric", "balanced-acuracy"], "balanced-accuracy"),
        (["--vary", "network.fusion=concat"], "KEY="),
        (["--vary", "network.fusion=[concat, nothing]"], "no fusion is called 'nothing'"),
        (["--delta", "0"], "delta"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_fitted(here, mmfuse, words, told):
    assert told in mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", *words, code=1).stderr
    assert not (here / "study").exists()


def test_evaluate_and_compare_count_the_same_looks(trained, mmfuse, tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "state"))
    first = mmfuse("evaluate", trained / "run")
    assert "these test cases were evaluated once by 1 spec on this machine" in first.stderr
    assert "evaluated 2 times by 1 spec on" in mmfuse("evaluate", trained / "run").stderr
    same = ["compare", trained / "plan.toml", trained / "cases.csv", "--out", tmp_path / "study", *QUICK]
    assert "evaluated 3 times by 1 spec on" in mmfuse(*same, "--set", "seed=3").stdout
    assert "evaluated 3 times by 1 spec on" in mmfuse(*same, "--set", "seed=3").stdout
    assert "evaluated 4 times by 2 specs on" in mmfuse(*same, "--set", "seed=4").stdout


def test_where_all_fail_nothing_is_shown_as_if_it_stood(here, mmfuse):
    result = mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", *QUICK, "--networks-only",
                    "--set", "training.lr=1e30", code=1)  # fmt: skip
    assert "failed: plan:" in result.stdout
    assert "helps" not in result.stdout
