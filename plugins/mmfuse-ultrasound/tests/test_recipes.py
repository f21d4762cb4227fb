"""The recipes: each loads with the cards of the adapters, keeps what its name promises, and trains an epoch."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmfuse
from mmfuse_ultrasound import BreastUsg, Busbra, mmfuse_recipes

RECIPES = {path.stem: path for path in mmfuse_recipes()}
ABLATION = [f"agf-{name}" for name in ("concat", "intra", "inter", "local", "global", "random", "erase")]
SMALL = [
    "network.encoders.image.model=test_efficientnet",
    "network.encoders.image.weights=none",
    "training.epochs=1",
    "training.folds=2",
]
"""What makes any of them tiny."""


def plan_of(name: str) -> dict[str, Any]:
    return tomllib.loads(RECIPES[name].read_text(encoding="utf-8"))


@pytest.fixture
def cards(busbra, breast) -> dict[str, dict[str, Any]]:
    return {"busbra": Busbra().tidy(busbra.write()).card, "breast": BreastUsg().tidy(breast.write()).card}


def test_names_and_first_lines():
    assert sorted(RECIPES) == sorted([*ABLATION, "agfnet-style", "ultrasound-clinical", "ultrasound-pair"])
    recipes = mmfuse.Catalog().recipes
    for name, path in RECIPES.items():
        assert path.read_text(encoding="utf-8").startswith("# ")
        assert recipes[name].about
        assert recipes[name].origin == "mmfuse-ultrasound"
        assert "reproduc" not in recipes[name].about


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_loads_with_the_cards(cards, name):
    dataset = "breast" if name == "ultrasound-clinical" else "busbra"
    spec = mmfuse.load(name, cards[dataset])
    wiring = mmfuse.wire(spec)
    heads = ("scan", "clinical") if dataset == "breast" else ("left", "right")
    assert wiring.sources == ("fused", *heads)
    assert wiring.answer == ("final" if name.startswith("ultrasound") else "fused")
    assert spec == mmfuse.load(tomllib.loads(mmfuse.dump(spec)))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_names_no_column_class_or_modality(cards, name):
    words = set(_words(plan_of(name)))
    for card in cards.values():
        named = {*card["modalities"], *card["labels"], *card["columns"], "fold", "split"}
        named |= {word for line in card["labels"].values() for word in line["classes"]}
        assert not words & named


def test_the_ablation_differs_in_the_fusion_alone():
    whole = plan_of("agfnet-style")
    fusions = {name: plan_of(name)["network"].pop("fusion") for name in ABLATION}
    for name in ABLATION:
        plan = plan_of(name)
        plan["network"]["fusion"] = whole["network"]["fusion"]
        assert plan == whole
    assert fusions["agf-erase"] == whole["network"]["fusion"]
    assert fusions["agf-concat"] == {"use": "concat"}
    same = {"use": "attention-guided", "width": 256, "heads": 8, "places": 196}
    assert fusions["agf-global"] == same
    assert fusions["agf-local"] == {**same, "global_learning": False}
    assert fusions["agf-intra"] == {**same, "global_learning": False, "inter": False}
    assert fusions["agf-inter"] == {**same, "global_learning": False, "intra": False}
    rebuilt = {**fusions["agf-erase"]["reconstruction"], "by": "random"}
    assert fusions["agf-random"] == {**same, "reconstruction": rebuilt}


def test_full_size():
    plan = plan_of("agfnet-style")
    encoder = plan["network"]["encoders"]["image"]
    assert (encoder["model"], encoder["levels"], encoder.get("share", False)) == ("resnet50", [3, 4, 5], False)
    assert plan["network"]["fusion"]["reconstruction"]["by"] == "erase"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Forty cases of two grey pictures and a number; one has one picture alone."""
    folder, rng = tmp_path_factory.mktemp("cohort"), np.random.default_rng(0)
    lines = ["id,first,second,age,sign,split"]
    for case in range(40):
        for name in ("first", "second"):
            grey = rng.integers(0, 200, (64, 64), dtype=np.uint8)
            grey[20:40, 20:40] += np.uint8(50 * (case % 2))
            Image.fromarray(grey).save(folder / f"{name}{case}.png")
        second = "" if case == 3 else f"second{case}.png"
        split = ("train", "train", "train", "valid")[case // 2 % 4]
        lines.append(f"c{case},first{case}.png,{second},{rng.normal():.3f},{('no', 'yes')[case % 2]},{split}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_trains_an_epoch_on_any_table_with_two_images(cohort, name, monkeypatch):
    import torch

    torch.set_num_threads(1)
    monkeypatch.setenv("MMFUSE_CACHE", str(cohort / "cache"))
    images = {name: {"use": "image", "column": name, "size": 64} for name in ("first", "second")}
    card = {
        "cases": {"id": "id"},
        "labels": {"sign": ["no", "yes"]},
        "modalities": {**images, "meta": {"use": "table", "numeric": ["age"]}},
        "split": {"column": "split"},
    }
    spec = mmfuse.load(name, card, sets=SMALL)
    cases = mmfuse.Cases.load(cohort / "cases.csv", spec.card)
    pipeline = mmfuse.Pipeline(spec, device="cpu").fit(cases)
    assert pipeline.scores is not None
    valid = pipeline.scores.split == "valid"
    assert np.isfinite(pipeline.scores.probabilities(pipeline.wiring.answer)[valid]).all()


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for item in value.values() for word in _words(item)] + list(value)
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [value] if isinstance(value, str) else []
