"""From a table to figures by the commands alone: train, predict, evaluate, embed; and what they refuse."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from mmfuse import Run, evaluate


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# ── train ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_training_tells_its_cost_first_and_figures_last(trained):
    told = (trained / "told.txt").read_text()
    assert "cases: 60 (36 train, 12 valid, 12 test)" in told
    assert "networks to be trained: 1 (network)" in told
    assert "2 epochs at most, each of up to 36 cases: 72 passes of one case" in told
    assert "where: cpu" in told or "where: cuda" in told
    assert told.index("cost:") < told.index("figures on `valid`: 12 cases (one case is one eye)")
    assert told.count("final (the answer)") == 5  # two tables a label, one of the means
    assert told.count("majority") == told.count("prior  ") == 4


def test_the_seed_is_the_one_number(trained):
    assert "seed = 3" in (trained / "run" / "spec.toml").read_text()


def test_a_dry_run_writes_nothing(here, mmfuse):
    told = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--dry-run", "--set", "training.epochs=7").stdout
    assert "7 epochs at most" in told
    assert "nothing was trained, run was not written" in told
    assert sorted(path.name for path in here.iterdir()) == ["cases.csv", "cases.toml", "plan.toml"]


def test_folds_are_counted_where_a_decision_learns_on_train(here, mmfuse):
    sets = ["--set", "decisions.final.use=simplex", "--set", "decisions.final.learn=train", "--set", "training.folds=3"]
    told = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--dry-run", *sets).stdout
    assert "networks to be trained: 4 (network, fold 1, fold 2, fold 3)" in told
    assert "216 passes of one case" in told
    assert "learns on train (out of fold)" in told


def test_a_fold_column_costs_what_its_networks_learn_from(here, mmfuse):
    text = (
        (here / "plan.toml").read_text().replace("batch = 32", 'batch = 32\nfolds = { column = "d", predict = ["x"] }')
    )
    (here / "halves.toml").write_text(
        text + '\n[decisions.again]\nuse = "simplex"\nreads = ["fused"]\nlearn = "train"\n'
    )
    told = mmfuse("train", "halves.toml", "cases.csv", "--out", "run", "--dry-run").stdout
    assert "networks to be trained: 2 (network, fold 1)" in told
    of_others = sum(row["split"] == "train" and row["d"] != "x" for row in rows_of(here / "cases.csv"))
    assert f"{2 * (36 + of_others)} passes of one case" in told


def test_a_run_is_not_overwritten(trained, mmfuse):
    before = (trained / "run" / "manifest.json").read_bytes()
    told = mmfuse("train", trained / "plan.toml", trained / "cases.csv", "--out", trained / "run", code=1).stderr
    assert "holds a run already" in told
    assert "another --out" in told
    assert (trained / "run" / "manifest.json").read_bytes() == before


def test_a_table_without_a_card_is_told_how_to_get_one(here, mmfuse):
    (here / "cases.toml").unlink()
    told = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", code=1).stderr
    assert "no card" in told
    assert "mmfuse describe cases.csv --out cases.toml" in told


def test_json_log_holds_every_epoch(here, mmfuse):
    result = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--json-log")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [event["epoch"] for event in events if event["event"] == "EpochEnded"] == [1, 2]
    assert "figures on `valid`" in result.stdout


# ── predict ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_predictions_are_one_row_a_case_and_sum_to_one(trained, tmp_path, mmfuse):
    mmfuse("predict", trained / "run", trained / "cases.csv", "--out", tmp_path / "p.csv")
    rows = rows_of(tmp_path / "p.csv")
    answer, grade = ["answer", "answer:no", "answer:yes"], ["grade", "grade:low", "grade:mid", "grade:high"]
    assert list(rows[0]) == ["case", *answer, *grade, "flags"]
    assert [row["case"] for row in rows] == [f"e{i:03d}" for i in range(60)]
    assert all(rows[0][name] == "" for name in [*answer, *grade]), "a case with nothing has no prediction"
    for row in rows[1:]:
        for label, *columns in (answer, grade):
            p = {column: float(row[column]) for column in columns}
            assert sum(p.values()) == pytest.approx(1, abs=1e-5)
            assert max(p, key=p.get) == f"{label}:{row[label]}"


def test_new_cases_need_no_labels_and_no_card(trained, tmp_path, mmfuse):
    (tmp_path / "new.csv").write_text("case;patient;a;b;c;d\nn1;q1;0,5;1,5;-0,5;x\nn2;q2;1,0;0,0;;\n")
    mmfuse("predict", trained / "run", tmp_path / "new.csv", "--out", tmp_path / "p.parquet")
    assert (tmp_path / "p.parquet").stat().st_size > 0
    mmfuse("predict", trained / "run", tmp_path / "new.csv", "--out", tmp_path / "p.csv")
    assert [row["case"] for row in rows_of(tmp_path / "p.csv")] == ["n1", "n2"]


def test_a_pattern_that_training_never_showed_is_flagged(trained, tmp_path, mmfuse):
    (tmp_path / "new.csv").write_text("case,patient,a,b,c,d\nn1,q1,,,0.5,x\n")
    mmfuse("predict", trained / "run", tmp_path / "new.csv", "--out", tmp_path / "p.csv")
    assert rows_of(tmp_path / "p.csv")[0]["flags"]


def test_a_suffix_that_cannot_be_written_is_refused_before_the_work(trained, tmp_path, mmfuse):
    told = mmfuse("predict", trained / "run", trained / "cases.csv", "--out", tmp_path / "p.xlsx", code=1).stderr
    assert "one of .csv, .parquet" in told
    assert "predicting" not in told


def test_what_is_read_is_not_overwritten(trained, mmfuse):
    told = mmfuse("predict", trained / "run", trained / "cases.csv", "--out", trained / "cases.csv", code=1).stderr
    assert "would be overwritten" in told


def test_a_changed_file_of_a_run_is_named(trained, tmp_path, mmfuse):
    shutil.copytree(trained / "run", tmp_path / "run")
    path = tmp_path / "run" / "spec.toml"
    path.write_text(path.read_text() + "\n")
    told = mmfuse("predict", tmp_path / "run", trained / "cases.csv", "--out", tmp_path / "p.csv", code=1).stderr
    assert "spec.toml" in told
    assert not (tmp_path / "p.csv").exists()


# ── evaluate ────────────────────────────────────────────────────────────────────────────────────────────────


def test_figures_are_those_of_the_stored_scores(trained, tmp_path, mmfuse):
    told = mmfuse("evaluate", trained / "run", "--on", "valid", "--json", tmp_path / "f.json").stdout
    figures = json.loads((tmp_path / "f.json").read_text())
    expected = evaluate(Run(trained / "run").scores, on="valid")
    made, of_weights = figures.pop("intervals"), figures.pop("provenance")
    assert of_weights == []
    assert figures == json.loads(json.dumps(expected))
    of_answer = made["sources"]["final"]["answer"]["accuracy"]
    assert of_answer["value"] == expected["sources"]["final"]["answer"]["accuracy"]
    assert of_answer["low"] < of_answer["value"] < of_answer["high"]
    assert f"{of_answer['low']:.2f}–{of_answer['high']:.2f}" in told
    assert f"95 % intervals cover {made['covers']}" in told
    assert "12 cases; not of training cases or seeds" in made["covers"]
    shown = next(line for line in told.splitlines() if line.startswith("final (the answer)")).split()
    found = expected["sources"]["final"]["answer"]
    assert shown[3:6] == [str(found["cases"]), f"{found['accuracy']:.3f}", f"{found['balanced-accuracy']:.3f}"]


def test_intervals_can_be_left_out(trained, tmp_path, mmfuse):
    told = mmfuse("evaluate", trained / "run", "--on", "valid", "--no-intervals", "--json", tmp_path / "f.json").stdout
    assert "95 %" not in told
    assert "intervals" not in json.loads((tmp_path / "f.json").read_text())


def test_scores_alone_are_enough(trained, tmp_path, mmfuse):
    (tmp_path / "run").mkdir()
    for name in ("manifest.json", "scores.npz"):
        shutil.copy(trained / "run" / name, tmp_path / "run" / name)
    assert "majority" in mmfuse("evaluate", tmp_path / "run", "--on", "train").stdout


def test_every_opening_of_test_is_counted(trained, tmp_path, mmfuse):
    shutil.copytree(trained / "run", tmp_path / "run", ignore=shutil.ignore_patterns("test-opened.jsonl"))
    assert "the first time" in mmfuse("evaluate", tmp_path / "run").stderr
    mmfuse("evaluate", tmp_path / "run", "--on", "valid")
    assert "time 2" in mmfuse("evaluate", tmp_path / "run", "--on", "test").stderr
    mmfuse("predict", tmp_path / "run", trained / "cases.csv", "--out", tmp_path / "p.csv")  # the run is still whole


def test_new_labelled_cases_are_judged_beside_the_training_prior(trained, tmp_path, mmfuse):
    text = (trained / "cases.csv").read_text()
    (tmp_path / "new.csv").write_text(text.replace("e0", "n0").replace(",p0", ",q0"))
    result = mmfuse("evaluate", trained / "run", tmp_path / "new.csv", "--json", "-")
    figures = json.loads(result.stdout)
    assert figures["on"] == "all"
    assert "flatters" not in result.stderr
    stored = Run(trained / "run").scores
    train = stored.targets[stored.split == "train", 0]
    p = (np.bincount(train, minlength=2) + 0.5) / (len(train) + 1)
    all_targets = stored.targets[:, 0]
    assert figures["trivial"]["prior"]["answer"]["log-loss"] == pytest.approx(-np.log(p[all_targets]).mean())


def test_evaluating_on_what_was_learnt_from_is_said(trained, mmfuse):
    assert (
        "48 of 60 cases have ids that this run learnt from"
        in mmfuse("evaluate", trained / "run", trained / "cases.csv").stderr
    )


def test_on_and_cases_together_are_wrong_usage(trained, mmfuse):
    mmfuse("evaluate", trained / "run", trained / "cases.csv", "--on", "test", code=2)


# ── embed ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_features_of_first_weights_are_written_and_read_again(here, mmfuse):
    mmfuse("embed", "plan.toml", "cases.csv", "--out", "f.npz", "--modality", "left")
    with np.load("f.npz") as arrays:
        assert arrays["ids"].tolist() == [f"e{i:03d}" for i in range(60)]
        assert arrays["vectors"].shape == (60, 8)
        assert np.isnan(arrays["left"][0]).all()
        assert np.isfinite(arrays["left"][1:]).all()
    (here / "vectors.toml").write_text('[modalities]\nleft = { use = "vector", file = "f.npz" }\n' + CARD_REST)
    (here / "again.toml").write_text('[network]\nencoders.vector = "linear"\nhead = "linear"\n')
    told = mmfuse("train", "again.toml", "cases.csv", "--card", "vectors.toml", "--out", "run", "--dry-run").stdout
    assert "left: vector(file=f.npz) → linear" in told
    mmfuse("embed", "again.toml", "cases.csv", "--card", "vectors.toml", "--out", "g.npz", "--modality", "left")
    mmfuse("embed", "plan.toml", "cases.csv", "--out", "f.csv", "--modality", "left", "--modality", "right")
    assert list(rows_of(here / "f.csv")[0])[:2] == ["case", "left:0"]


CARD_REST = """
[cases]
id = "case"
[labels]
answer = ["no", "yes"]
[split]
column = "split"
"""


def test_a_trained_encoder_is_not_embedded(trained, tmp_path, mmfuse):
    told = mmfuse("embed", trained / "run", trained / "cases.csv", "--out", tmp_path / "f.npz", code=1).stderr
    assert "no encoder is frozen" in told
    assert not (tmp_path / "f.npz").exists()


# ── interrupted, and out of room ────────────────────────────────────────────────────────────────────────────


def start(folder, *words, before=lambda: None):
    """A command as from a shell in the foreground, whatever signals this process itself ignores."""

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        before()

    command = [sys.executable, "-c", "from mmfuse.cli import main; main()", *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare
    )


def test_ctrl_c_in_training_writes_no_run_and_says_how_to_go_on(here):
    words = ["train", "plan.toml", "cases.csv", "--out", "run", "--json-log", "--set", "training.epochs=100000"]
    process = start(here, *words)
    for line in process.stderr:
        if "EpochEnded" in line:
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted; what is done is kept in run.work: --resume goes on"
    assert sorted(path.name for path in here.iterdir()) == ["cases.csv", "cases.toml", "plan.toml", "run.work"]


@pytest.mark.parametrize("command", ["predict", "train"])
def test_a_full_disk_leaves_nothing_half_written(trained, tmp_path, command):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    cases, out = trained / "cases.csv", tmp_path / "out.csv"
    words = {"predict": [trained / "run", cases], "train": [trained / "plan.toml", cases]}[command]
    process = start(tmp_path, command, *words, "--out", out, before=limit)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    assert "Traceback" not in told
    assert re.search(r"[Ff]ile too large|grew over|no room left in the cache", told)
    assert not list(tmp_path.iterdir())


# ── the whole, on the embedded cohort ───────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_demo_shows_figures_beside_the_ideal_observer(tmp_path, mmfuse):
    told = mmfuse("demo", "--cases", 60, "--out", tmp_path / "run").stdout
    beside = told[told.index("beside the ideal observer") :]
    shown = [line.split() for line in beside.splitlines() if line.startswith("diagnosis ")]
    assert {line[1] for line in shown} == set(Run(tmp_path / "run").scores.sources)
    assert all(float(line[4]) >= 0.5 for line in shown)
    assert "only the images together answer" in beside
    mmfuse("predict", tmp_path / "run", tmp_path / "run-cohort" / "cases.csv", "--out", tmp_path / "p.csv")
