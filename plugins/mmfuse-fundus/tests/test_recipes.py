"""The recipes: each names no column, loads with the adapter's card, learns a tiny epoch on both eyes, and the ablation
differs in what it says it differs in.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmfuse
from mmfuse import Cases, Pipeline
from mmfuse_fundus import Odir5k, mmfuse_recipes

RECIPES = {path.stem: path for path in mmfuse_recipes()}
ABLATION = ("bfpc-plain", "bfpc-attention", "bfpc-fusion", "bfpc-both", "bfpc-net")
SMALL = {"fundus-pair": ["network.encoders.image.model=test_efficientnet", "training.folds=2"]}
SMALL |= {name: ["network.encoders.image.model=resnet10t", "network.head.widths=[8]"] for name in ABLATION}
"""Smaller encoders; nothing else is changed but the length of training and the size of pictures."""


def tiny(name: str) -> list[str]:
    return [
        *SMALL[name], "network.encoders.image.weights=none", "training.epochs=1", "training.batch=8",
        "modalities.image.size=32",
    ]  # fmt: skip


def eyes(folder: Path, patients: int = 24) -> tuple[Path, dict[str, Any]]:
    """A small release: a bright spot says diabetic, in either eye; the last patients lack one eye each."""
    rng, rows = np.random.default_rng(0), []
    (folder / "Train").mkdir(parents=True)
    columns = ["ID", "Patient Age", "Patient Sex", "Left-Fundus", "Right-Fundus", "Left-Diagnostic Keywords"]
    columns += ["Right-Diagnostic Keywords", *"NDGCAHMO"]
    for number in range(patients):
        ill = number % 2
        for side in ("left", "right"):
            if number >= patients - 2 and (side == "left") == (number == patients - 1):
                continue
            disc = (np.hypot(*np.mgrid[-1:1:40j, -1:1:40j]) < 0.9)[..., None]
            picture = disc * rng.integers(60, 90, (40, 40, 3)) + disc * ill * 60
            Image.fromarray(picture.astype(np.uint8)).save(folder / "Train" / f"{number}_{side}.png")
        bits = [1 - ill, ill, *[int(number % 5 == k) * ill for k in range(6)]]
        word = "diabetic retinopathy" if ill else "normal fundus"
        sex = "Male" if number % 3 else "Female"
        rows.append([number, 40 + number, sex, f"{number}_left.jpg", f"{number}_right.jpg", word, word, *bits])
    lines = [",".join(map(str, row)) for row in [columns, *rows]]
    (folder / "annotations.csv").write_text("\n".join(lines))
    tidy = Odir5k().tidy(folder)
    tidy.table.write(folder / "cases.csv")
    split = {"fractions": {"train": 0.7, "valid": 0.3}, "stratify": False, "seed": 1}
    return folder / "cases.csv", {**tidy.card, "split": split}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return eyes(tmp_path_factory.mktemp("eyes") / "release")


def test_names_and_first_lines():
    assert sorted(RECIPES) == sorted([*ABLATION, "fundus-pair"])
    recipes = mmfuse.Catalog().recipes
    for name, path in RECIPES.items():
        assert path.read_text(encoding="utf-8").startswith("# ")
        assert recipes[name].about
        assert recipes[name].origin == "mmfuse-fundus"


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_names_no_column_class_or_modality(name, release):
    plan = tomllib.loads(RECIPES[name].read_text(encoding="utf-8"))
    card = release[1]
    named = {*card["modalities"], *card["labels"], *card["columns"], "yes", "no", "age", "sex"} - {
        "C"
    }  # a knob of `logistic`
    assert not set(_words(plan)) & named
    assert set(plan.get("modalities", {})) <= {"image"}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_learns(name, release):
    table, card = release
    spec = mmfuse.load(name, card, sets=tiny(name))
    assert spec == mmfuse.load(tomllib.loads(mmfuse.dump(spec)))
    cases = Cases.load(table, spec.card)
    pipeline = Pipeline(spec, device="cpu").fit(cases)
    p = pipeline.predict_proba(cases)
    assert p.shape == (24, 16)
    assert np.isfinite(p).all()  # those with one eye are answered as well
    assert np.allclose(p.reshape(24, 8, 2).sum(axis=2), 1, atol=1e-5)


def test_what_the_ablation_changes(release):
    specs = {name: mmfuse.load(name, release[1]) for name in ABLATION}
    lines = {name: spec.plan.network.encoders["image"] for name, spec in specs.items()}
    attention = [lines[name].part.attention for name in ABLATION]
    assert attention == ["none", "both", "none", "both", "both"]
    assert [specs[name].plan.network.fusion.name for name in ABLATION] == [
        "concat", "concat", "concat-conv", "concat-conv", "concat-conv",
    ]  # fmt: skip
    for side in ("left", "right"):
        steps = [[step.name for step in specs[name].card.modalities[side].steps] for name in ABLATION]
        assert steps == [[], [], [], [], ["disc-crop", "clahe"]]
    for name, spec in specs.items():
        assert spec.plan.training == specs["bfpc-net"].plan.training, name
        assert spec.plan.augment == specs["bfpc-net"].plan.augment, name
        assert spec.plan.network.head == specs["bfpc-net"].plan.network.head, name
        assert (lines[name].part.model, lines[name].share) == ("resnet50", True)
        assert spec.plan.decisions == {}
    assert specs["bfpc-net"].plan.network.head.name == "softmax-over-labels"
    assert specs["bfpc-net"].plan.training.loss.name == "categorical-over-labels"


def test_the_pair_and_what_stands_beside(release):
    wiring = mmfuse.wire(mmfuse.load("fundus-pair", release[1]))
    assert wiring.sources == ("fused", "left", "right")
    assert wiring.answer == "final"
    read = {source for decision in wiring.decisions for source in decision.reads}
    baselines = [decision for decision in wiring.decisions if not decision.reads]
    assert baselines
    assert not read & {decision.name for decision in baselines}
    assert {modality for decision in wiring.decisions for modality in decision.features} == {"left", "right", "meta"}


def test_an_eye_that_is_no_picture_is_named(tmp_path):
    table, card = eyes(tmp_path / "release")
    (tmp_path / "release" / "Train" / "5_right.png").write_bytes(b"no picture")
    spec = mmfuse.load("fundus-pair", card, sets=tiny("fundus-pair"))
    with pytest.raises(mmfuse.TableError, match=r"5_right\.png") as caught:
        Pipeline(spec, device="cpu").fit(Cases.load(table, spec.card))
    assert "column right" in str(caught.value)


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for item in value.values() for word in _words(item)] + list(value)
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [value] if isinstance(value, str) else []
