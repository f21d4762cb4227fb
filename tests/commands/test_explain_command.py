"""`explain`: pictures that show what they should, private files, safe names, and refusals before the work."""

import csv
import itertools
import json
import stat

import numpy as np
import pytest
from PIL import Image

import mmfuse as toolkit
from mmfuse.commands.drawing import blend, matrix_of, safe_names, spread

CARD = """
[cases]
id = "case"
[labels]
answer = ["no", "yes"]
[modalities]
left = { use = "image", column = "left", size = 16 }
right = { use = "image", column = "right", size = 16 }
meta = { use = "table", numeric = ["age"], categorical = ["sex"] }
[split]
column = "split"
"""
PLAN = """
[network]
encoders.image = { use = "pixels" }
encoders.table = { use = "linear" }
fusion = "concat"
head = "linear"
side_heads = true
[training]
epochs = 2
batch = 8
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with a table of drawn pictures and a run; ids that no file may be called like."""
    import torch
    from click.testing import CliRunner

    from mmfuse.cli import main

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    ids = ["../up", "a", "A", "x y", *(f"c{i}" for i in range(20))]
    lines = ["case,left,right,age,sex,answer,split"]
    for i, name in enumerate(ids):
        for side in ("left", "right"):
            drawn = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(drawn).save(folder / f"{side}{i}.png")
        left = "" if name == "a" else f"left{i}.png"
        split = "train" if i < 18 else "valid"
        lines.append(f"{name},{left},right{i}.png,{i},{'fm'[i % 2]},{['no', 'yes'][i % 2]},{split}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    (folder / "cases.toml").write_text(CARD)
    (folder / "plan.toml").write_text(PLAN)
    words = ["train", folder / "plan.toml", folder / "cases.csv", "--out", folder / "run", "-q"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_pictures_are_written_for_the_owner_alone(pictures, tmp_path, mmfuse):
    out = tmp_path / "out"
    words = ("explain", pictures / "run", pictures / "cases.csv", "--case", "../up", "--case", "A", "--out", out)
    told = mmfuse(*words, "--deletion", "--steps", 4)
    assert "not why" in told.stdout
    tree = json.loads((out / "explanation.json").read_text())
    assert [case["case"] for case in tree] == ["../up", "A"]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {mode(path) for path in files} == {0o600}
    assert {mode(path) for path in (out, *(p for p in out.rglob("*") if p.is_dir()))} == {0o700}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]  # nothing beside the folder
    named = [out / told["file"] for case in tree for told in case["files"]]
    assert sorted(named) == sorted(path for path in files if path.suffix == ".png")
    assert len(named) == 2 * (2 + 1 + 2)  # two pictures, bars, two curves
    for path in named:
        with Image.open(path) as image:
            assert image.width > 300
    rows = list(csv.DictReader((out / "deletion.csv").open()))
    assert len(rows) == 2 * 2 * 11
    first = [row for row in rows if row["case"] == "../up" and row["modality"] == "left"]
    area = tree[0]["deletions"][0]["area"]
    assert float(first[0]["area"]) == pytest.approx(area, abs=1e-5)
    y = [float(row["random_mean"]) - float(row["p"]) for row in first]
    assert area == pytest.approx(sum((a + b) / 20 for a, b in itertools.pairwise(y)), abs=1e-4)


def test_what_stands_is_not_overwritten_unless_told(pictures, tmp_path, mmfuse):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    words = ("explain", pictures / "run", pictures / "cases.csv", "--case", "c3", "--out", out, "--steps", 2)
    assert "--force" in mmfuse(*words, code=1).stderr
    mmfuse(*words, "--force")
    assert (out / "mine.txt").read_text() == "kept"
    tree = json.loads(mmfuse(*words, "--force", "--json").stdout)
    assert tree[0]["targets"][0]["label"] == "answer"
    within = ("explain", pictures / "run", pictures / "cases.csv", "--case", "c3", "--out", pictures / "run" / "stages")
    assert "within" in mmfuse(*within, "--force", code=1).stderr


def test_an_absent_input_is_told_and_has_no_picture(pictures, tmp_path, mmfuse):
    words = ("explain", pictures / "run", pictures / "cases.csv", "--case", "a", "--out", tmp_path / "out")
    told = mmfuse(*words, "--steps", 2)
    assert "case a has no 'left'" in told.stderr
    assert {path.name.split("-")[0] for path in (tmp_path / "out").rglob("*.png")} == {"right.png", "bars"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--case", "c99"), 1, "no case is called 'c99'"),
        (("--case", "c1", "--label", "anser"), 1, "did you mean 'answer'"),
        (("--case", "c1", "--class", "maybe"), 1, "no class 'maybe'"),
        (("--case", "c1", "--source", "final"), 1, "a source of the network: fused, left, right, meta"),
        (("--case", "a", "--source", "left"), 1, "case a"),
        (("--exchange", "left,right"), 2, "leave --case and --out"),
        ((), 2, "--case ID"),
        (("--case", "c1", "--seed", "3"), 2, "--seed: has no effect, no places"),
        (("--case", "c1", "--method", "grad-cam", "--steps", "3"), 2, "--steps: has no effect"),
    ],
)
def test_refusals_write_nothing(pictures, tmp_path, mmfuse, words, code, said):
    out = tmp_path / "out"
    told = mmfuse("explain", pictures / "run", pictures / "cases.csv", "--out", out, *words, code=code).stderr
    assert said in told
    assert not out.exists()


@pytest.mark.parametrize("word", [["--force"], ["--deletion"], ["--steps", "4"], ["--label", "answer"]])
def test_options_of_pictures_have_no_effect_on_an_exchange(pictures, mmfuse, word):
    words = ("explain", pictures / "run", pictures / "cases.csv", "--exchange", "left,right")
    assert f"{word[0]}: has no effect" in mmfuse(*words, *word, code=2).stderr


def test_exchange_is_told_by_source_and_label(pictures, mmfuse):
    words = ("explain", pictures / "run", pictures / "cases.csv", "--exchange", "left,right")
    tree = json.loads(mmfuse(*words, "--json").stdout)
    assert (tree["exchanged"], tree["cases"], tree["answer"]) == (["left", "right"], 23, "fused")
    figures = tree["sources"]["fused"]["answer"]
    assert 0 < figures["mean"] < figures["max"] <= 1
    assert f"{figures['mean']:.3g}" in mmfuse(*words).stdout
    assert "no encoder reads 'lefd'" in mmfuse(*words[:-1], "lefd,right", code=1).stderr
    assert "two inputs" in mmfuse(*words[:-1], "left", code=2).stderr
    assert "with itself" in mmfuse(*words[:-1], "left,left", code=1).stderr
    assert "as read" in mmfuse(*words[:-1], "left,meta", code=1).stderr


def test_exchange_is_that_of_swapped_cells(pictures):
    pipeline = toolkit.Pipeline.load(pictures / "run", device="cpu")
    cases = toolkit.Cases.load(pictures / "cases.csv", pipeline.spec.card)
    told = toolkit.exchange(pipeline, cases, "left", "right")
    some = cases.take(np.array([i for i, cell in enumerate(cases.table["left"]) if cell is not None]))
    cells = {"left": some.table["right"].tolist(), "right": some.table["left"].tolist()}
    swapped = toolkit.Cases(some.table.with_columns(cells), pipeline.spec.card, pictures)
    expected = np.abs(pipeline.predict_proba(some) - pipeline.predict_proba(swapped))
    np.testing.assert_allclose(told.differences["fused"], expected, atol=1e-6)
    assert told.mean("fused") == pytest.approx(expected.mean(), abs=1e-6)
    assert told.largest("fused", "answer") == pytest.approx(expected.max(), abs=1e-6)


def test_a_run_without_a_network_has_nothing_to_show(trained, tmp_path, mmfuse):
    (tmp_path / "alone.toml").write_text('[decisions.stage]\nuse = "logistic"\nfeatures = ["table"]\n')
    mmfuse("train", tmp_path / "alone.toml", trained / "cases.csv", "--out", tmp_path / "run", "-q")
    words = ("explain", tmp_path / "run", trained / "cases.csv")
    assert "no network" in mmfuse(*words, "--case", "e001", "--out", tmp_path / "out", code=1).stderr
    assert "no network" in mmfuse(*words, "--exchange", "left,right", code=1).stderr


def test_names_of_files():
    names = safe_names(["plain-1", "a/b", "a_b", "X", "x", "..", "", "ü", "n" * 300])
    assert names["plain-1"] == "plain-1"
    assert len({name.casefold() for name in names.values()}) == 9
    assert all(name.strip(".") and "/" not in name and len(name) < 80 for name in names.values())
    assert names["a_b"] == "a_b"


def test_overlays_colour_what_is_high():
    picture = np.full((20, 20, 3), 128, np.uint8)
    shown = np.zeros((2, 2))
    shown[0, 0] = 3
    target = toolkit.Target("answer", "yes", "fused", 0.5)
    seen = blend(picture, toolkit.Overlay("left", "attention", shown, None, ""))
    assert np.ptp(seen[0, 0]) > 0.05
    np.testing.assert_allclose(seen[-1, -1], 128 / 255, atol=0.02)
    shown[1, 1] = -3
    signed = blend(picture, toolkit.Overlay("left", "integrated-gradients", shown, target, ""))
    assert signed[0, 0, 0] > signed[0, 0, 2]  # red for
    assert signed[-1, -1, 2] > signed[-1, -1, 0]  # blue against


def test_an_even_map_is_told_from_one_that_picks_a_place():
    def told(shown, target=None):
        return spread(toolkit.Overlay("left", "attention", np.array(shown), target, ""))

    assert told([[0.25, 0.25], [0.25, 0.25]]) == "; from 1 to 1 times the mean"
    assert told([[0.0, 0.3], [0.1, 0.0]]) == "; from 0 to 3 times the mean"
    assert told([[0.0, 0.0]]) == ""  # nobody looks
    assert told([[-1.0, 2.0]], toolkit.Target("answer", "yes", "fused", 0.5)) == ""


def test_a_strangers_words_are_no_formula():
    labels = toolkit.Labels([toolkit.Label("$\\frac{", ("a", "$b")), toolkit.Label("y", ("no", "yes"))])
    assert matrix_of("$x/$\\oops{", np.eye(2), labels, "$id").startswith(b"\x89PNG")
    assert matrix_of("x/y", np.eye(4), labels, "id").startswith(b"\x89PNG")
