"""`check`, dry runs and options: weights are looked at as training would, and what does nothing is refused."""

import json

import numpy as np
import pytest
from PIL import Image

CARD = """
[cases]
id = "case"
[labels]
answer = ["no", "yes"]
[modalities]
photo = { use = "image", column = "photo", size = 32 }
meta = { use = "table", numeric = ["x"] }
[split]
column = "split"
"""

PLAN = """
[network]
encoders.image = { use = "timm", model = "test_resnet", weights = "none" }
encoders.table = "mlp"
fusion = "concat"
head = "linear"
[training]
epochs = 1
[pretexts.first]
use = "cross-modal-contrast"
epochs = 2
batch = 8
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["case,photo,x,answer,split"]
    rng = np.random.default_rng(0)
    for i in range(24):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"c{i},{i}.png,{i % 7},{['no', 'yes'][i % 2]},{['train', 'train', 'valid', 'test'][i % 4]}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "cases.toml").write_text(CARD)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


WRONG = {
    "network.encoders.image.weights=gone.safetensors": "there are no weights at 'gone.safetensors'",
    "network.encoders.image.weights=w.pth": "first weights of this format are not read",
    "network.encoders.image.model=resnet5": "timm has no model 'resnet5'",
    "network.weights=before": "there are no weights at 'before'",
}


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("command", ["check", "plan", "card", "train", "pretrain", "compare"])
def test_what_training_would_refuse_is_refused_before(photos, mmfuse, command, text):
    (photos / "w.pth").write_bytes(b"x")
    words = {
        "check": ["check", "plan.toml", "cases.csv"],
        "plan": ["check", "plan.toml"],
        "card": ["check", "plan.toml", "--card", "cases.toml"],
        "train": ["train", "plan.toml", "cases.csv", "--out", "run", "--dry-run"],
        "pretrain": ["pretrain", "plan.toml", "cases.csv", "--out", "run", "--dry-run"],
        "compare": [
            "compare",
            "plan.toml",
            "cases.csv",
            "--vary",
            "training.lr=[0.1,0.2]",
            "--out",
            "run",
            "--dry-run",
        ],
    }[command]
    assert WRONG[text] in mmfuse(*words, "--set", text, code=1).output.replace("\n   ", "")
    assert not (photos / "run").exists()


def test_a_file_of_another_network_is_refused_before(photos, mmfuse):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("test_vit").state_dict(), photos / "other.safetensors")
    words = ["--set", "network.encoders.image.weights=other.safetensors"]
    assert "0 of the" in mmfuse("check", "plan.toml", "cases.csv", *words, code=1).output
    told = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--dry-run", *words, code=1).output
    assert "name the model that the file was made with" in told


def test_a_sound_plan_passes_them_all(photos, mmfuse):
    assert "dry run" in mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--dry-run").stdout
    assert "dry run" in mmfuse("pretrain", "plan.toml", "cases.csv", "--out", "run", "--dry-run").stdout
    mmfuse("check", "plan.toml", "cases.csv")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pretrain", "plan.toml", "cases.csv", "--out", "run", "--set", "training.epochs=1"], "`epochs` of its own"),
        (["train", "plan.toml", "cases.csv", "--out", "run", "--set", "pretexts.first.epochs=1"], "pretrain` alone"),
        (["check", "plan.toml", "cases.csv", "--set", "training.ema_decay=0.5"], "is not 'ema'"),
        (["check", "plan.toml", "--card", "cases.toml", "--set", "split.seed=3"], "decides alone"),
        (["embed", "plan.toml", "cases.csv", "--out", "f.npz", "--set", "training.lr=1"], "nothing learns"),
        (["compare", "plan.toml", "cases.csv", "--out", "study", "--vary", "training.swa_share=[0.1,0.2]"], "'swa'"),
    ],
)
def test_a_key_that_does_nothing_is_refused_by_every_command(photos, mmfuse, words, told):
    refused = mmfuse(*words, code=1).stderr
    assert "has no effect" in refused
    assert told in refused
    assert not (photos / "run").exists()


def test_a_dry_comparison_says_what_is_left_to_be_fitted(here, mmfuse):
    words = ["compare", "plan.toml", "cases.csv", "--seeds", "2", "--out", "study"]
    dry = mmfuse(*words, "--dry-run").stdout
    assert not (here / "study").exists()
    rows = {
        line.split("  ")[0]: line.split()[-3:] for line in dry.splitlines() if "variant" in line or "single" in line
    }
    assert rows["plan"][-2:] == ["2", "0"]
    assert {"plan", "left alone", "right alone"} < set(rows)
    assert "one control more" in dry
    mmfuse(*words, "--no-baselines", "--no-controls")
    kept = sorted(path.name for path in (here / "study").rglob("*"))
    again = mmfuse(*words, "--dry-run", "--no-baselines", "--no-controls").stdout
    assert "to be fitted: 0 fits, 0 networks" in again
    assert sorted(path.name for path in (here / "study").rglob("*")) == kept


def test_as_many_are_fitted_as_were_planned(here, mmfuse):
    words = ["compare", "plan.toml", "cases.csv", "--out", "study"]
    dry = mmfuse(*words, "--dry-run").stdout
    fits = int(dry.partition("to be fitted: ")[2].split()[0])
    mmfuse(*words)
    about = json.loads((here / "study" / "study.json").read_text())
    in_slots = [one for one in about["speakers"] if one["name"].endswith("in all slots")]
    stored = len([path for path in (here / "study" / "variants").iterdir() if path.is_dir()])
    assert stored == fits + len(in_slots)
    assert "to be fitted: 0 fits" in mmfuse(*words, "--dry-run").stdout


def test_predictions_made_elsewhere_are_read_by_a_dry_comparison(here, mmfuse):
    (here / "p.csv").write_text("case,answer\ne000,yes\n")
    told = mmfuse("compare", "cases.csv", "--with", "mine=p.csv", "--out", "study", "--dry-run", code=1).stderr
    assert "test cases are missing" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["compare", "plan.toml", "cases.csv", "--out", "s", "--refold", "all"], "--refold: has no effect"),
        (
            ["compare", "plan.toml", "cases.csv", "--out", "s", "--no-baselines", "--inner", "4"],
            "--inner: has no effect",
        ),
        (
            ["compare", "cases.csv", "--with", "a=p.csv", "--out", "s", "--seeds", "3"],
            "--seeds: has no effect, no PLAN",
        ),
        (["compare", "--out", "s", "--show", "--seeds", "3"], "--seeds: has no effect, --show fits nothing"),
        (["compare", "--train", "a.csv", "--test", "b.csv", "plan.toml", "--out", "s", "--dry-run"], "one table"),
        (["check", "plan.toml", "--no-files"], "--files: has no effect, no table"),
        (["evaluate", "run", "--device", "cpu"], "--device: has no effect"),
    ],
)
def test_an_option_that_does_nothing_is_refused(here, mmfuse, words, told):
    assert told in " ".join(mmfuse(*words, code=2).stderr.split())


def test_embed_of_a_run_takes_no_keys(trained, tmp_path, mmfuse):
    words = ["embed", trained / "run", trained / "cases.csv", "--out", tmp_path / "f.npz", "--set", "seed=1"]
    assert "--set speaks of a PLAN" in mmfuse(*words, code=2).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["check", "bare.toml", "cases.csv"],
        ["check", "bare.toml", "--card", "cases.toml"],
        ["check", "bare.toml"],
        ["train", "bare.toml", "cases.csv", "--out", "run"],
        ["train", "bare.toml", "cases.csv", "--out", "run", "--dry-run"],
        ["compare", "plan.toml", "bare.toml", "cases.csv", "--out", "run"],
        ["compare", "plan.toml", "bare.toml", "cases.csv", "--out", "run", "--dry-run"],
        ["compare", "bare.toml", "--train", "cases.csv", "--test", "others.csv", "--out", "run"],
    ],
)
def test_a_plan_that_answers_nothing_is_refused_before_anything_is_trained(here, mmfuse, words):
    (here / "bare.toml").write_text('[network]\nencoders.table = "mlp"\n')
    (here / "others.csv").write_text((here / "cases.csv").read_text())
    (here / "others.toml").write_text((here / "cases.toml").read_text())
    assert "neither a head nor a decision" in mmfuse(*words, code=1).output.replace("\n", " ")
    assert not (here / "run" / "manifest.json").exists()


def test_a_plan_of_pretexts_needs_no_answer(photos, mmfuse):
    (photos / "plan.toml").write_text(PLAN.replace('head = "linear"\n', ""))
    mmfuse("check", "plan.toml", "cases.csv")
    mmfuse("pretrain", "plan.toml", "cases.csv", "--out", "run", "--dry-run")
    assert "neither a head" in mmfuse("train", "plan.toml", "cases.csv", "--out", "run", code=1).stderr


def test_force_without_a_file_is_refused(here, mmfuse):
    assert "--force: has no effect" in mmfuse("describe", "cases.csv", "--force", code=2).stderr


@pytest.mark.parametrize(
    "words", [("check",), ("train", "--dry-run", "--out", "new"), ("compare", "--dry-run", "--out", "new")]
)
def test_weights_that_saw_the_test_cases_are_refused_before_anything_is_trained(trained, here, mmfuse, words):
    """The run learnt from what the other split holds out; by the run's own split nothing is said."""
    key = f"network.encoders.table.weights={trained / 'run'}"
    command, *rest = words
    mmfuse(command, "plan.toml", "cases.csv", "--set", key, *rest)
    text = (here / "cases.csv").read_text()
    turned = {",train": ",test", ",test": ",train"}
    lines = [
        line[: -len(end)] + turned[end] if (end := f",{line.rpartition(',')[2]}") in turned else line
        for line in text.splitlines()
    ]
    (here / "cases.csv").write_text("\n".join(lines) + "\n")
    told = mmfuse(command, "plan.toml", "cases.csv", "--set", key, *rest, code=1)
    assert "learnt from the labels of cases" in told.output
    assert not (here / "new").exists()
