"""`stress`: on whose cases it speaks, what it counts, what it shows and writes, and what it refuses."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import mmfuse as library
from mmfuse.cli import main

CARD = """
[cases]
id = "id"
[labels]
bright = ["no", "yes"]
[modalities]
scan = { use = "image", column = "scan", size = 8 }
meta = { use = "table", numeric = ["age"] }
[split]
column = "split"
"""
PLAN = """
[network]
encoders.image = { use = "pixels" }
encoders.table = { use = "linear" }
fusion = "concat"
head = "linear"
[training]
epochs = 2
best = { metric = "" }
[prediction]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    where, rng = tmp_path_factory.mktemp("stress"), np.random.default_rng(0)
    lines = ["id,scan,age,bright,split"]
    for case in range(60):
        grey = np.clip(80 + 80 * (case % 2) + 30 * rng.standard_normal((8, 8)), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(where / f"{case}.png")
        split = ("train", "train", "valid", "test")[case // 2 % 4]
        lines.append(f"c{case},{case}.png,{rng.normal():.3f},{('no', 'yes')[case % 2]},{split}")
    (where / "cases.csv").write_text("\n".join(lines) + "\n")
    (where / "cases.toml").write_text(CARD)
    (where / "plan.toml").write_text(PLAN)
    words = ["train", where / "plan.toml", where / "cases.csv", "--out", where / "run"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return where


def test_tables_and_json(folder, mmfuse, tmp_path):
    out = tmp_path / "stress.json"
    words = ["stress", folder / "run", folder / "cases.csv", "--on", "valid", "--corruption", "noise"]
    shown = mmfuse(*words, "--corruption", "absent", "--json", out)
    assert "stress of 'fused' on `valid`: 14 cases" in shown.output
    lines = [line.split()[:2] for line in shown.output.splitlines()]
    assert lines.count(["clean", "14"]) == 1
    assert [words for words in lines if words[:1] == ["noise"]] == [["noise", "1"], ["noise", "2"], ["noise", "3"]]
    told = json.loads(out.read_text())
    assert [trial["corruption"] for trial in told["trials"]] == ["noise"] * 3 + ["absent"]
    assert told["trials"][1]["level"] == 0.1
    pair = told["trials"][3]
    gap = pair["figures"]["entropy"]["value"] - told["clean"]["entropy"]["value"]
    assert pair["differences"]["entropy"]["value"] == pytest.approx(gap)
    again = mmfuse(*words, "--corruption", "absent", "--json", "-")
    assert json.loads(again.stdout) == told


def test_test_is_counted_and_all_warns(folder, mmfuse):
    words = ["stress", folder / "run", folder / "cases.csv", "--corruption", "absent"]
    assert "opened, the first time" in mmfuse(*words).output
    assert "opened, time 2" in mmfuse(*words).output
    shown = mmfuse(*words, "--on", "all").output
    assert "46 of 60 cases have ids that this run learnt from" in shown
    assert "on all cases given: 60 cases" in shown


def test_cases_of_another_table(folder, mmfuse, tmp_path):
    rows = (folder / "cases.csv").read_text().splitlines()
    few = folder / "few.csv"
    few.write_text("\n".join([rows[0], *[row for row in rows[1:] if row.endswith("test")][:9]]) + "\n")
    shown = mmfuse("stress", folder / "run", few, "--card", folder / "cases.toml", "--corruption", "absent").output
    assert "5 of the run's 14 `test` cases are not in" in shown
    few.write_text("\n".join([rows[0], rows[1].replace("c0,", "new,")]) + "\n")
    refused = mmfuse("stress", folder / "run", few, "--card", folder / "cases.toml", code=1).output
    assert "none of its 1 cases is among the 14 `test` cases of the run" in refused
    assert "--on all" in refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--corruption", "nois"), "did you mean 'noise'"),
        (("--modality", "meta"), "no image modality is called 'meta'"),
        (("--label", "brihgt"), "did you mean 'bright'"),
        (("--source", "scheme1"), "no source is called 'scheme1'"),
    ],
)
def test_refusals(folder, mmfuse, words, message):
    assert message in mmfuse("stress", folder / "run", folder / "cases.csv", "--on", "valid", *words, code=1).output


def test_list(mmfuse):
    shown = mmfuse("stress", "--list").output
    assert all(name in shown for name in library.CORRUPTIONS)
