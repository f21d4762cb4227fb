"""The recipes built on FusionM4Net: each loads with the cards of the adapters, keeps what its name promises, and names
no column. Those of SM3 are in test_sm3_recipes.py."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

import mmfuse
from mmfuse_skin import Derm7pt, Milk10k, mmfuse_recipes

SM3 = {"sm3", "sm3-paper", "linear-probe", "knn-probe", "fine-tune"}
RECIPES = {path.stem: path for path in mmfuse_recipes() if path.stem not in SM3}
ANY_TABLE = sorted(set(RECIPES) - {"fusionm4net-paper"})


@pytest.fixture
def cards(official_derm7pt, milk10k) -> dict[str, dict[str, Any]]:
    return {
        "derm7pt": Derm7pt().tidy(official_derm7pt.folder).card,
        "milk10k": Milk10k().tidy(milk10k.write()).card,
    }


def test_names_and_first_lines():
    assert sorted(RECIPES) == ["first-look", "fusionm4net", "fusionm4net-paper", "two-stage"]
    recipes = mmfuse.Catalog().recipes
    for name, path in RECIPES.items():
        assert path.read_text(encoding="utf-8").startswith("# ")
        assert recipes[name].about
        assert recipes[name].origin == "mmfuse-skin"


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("dataset", ["derm7pt", "milk10k"])
def test_loads_with_either_card(cards, name, dataset):
    halves = name == "fusionm4net-paper" and dataset == "milk10k"
    spec = mmfuse.load(name, cards[dataset], sets=["training.folds=2"] if halves else [])
    wiring = mmfuse.wire(spec)
    assert wiring.sources == ("fused", "clinic", "derm")
    assert wiring.answer == "final"
    assert wiring.decisions[0].name == "scheme1"
    assert set(wiring.decisions[0].reads) == {"fused", "clinic", "derm"}
    assert wiring.needs_folds(has_valid=True)
    assert spec == mmfuse.load(tomllib.loads(mmfuse.dump(spec)))


@pytest.mark.parametrize("name", ANY_TABLE)
def test_names_no_column_class_or_modality(cards, name):
    plan = tomllib.loads(RECIPES[name].read_text(encoding="utf-8"))
    words = set(_words(plan))
    for card in cards.values():
        named = {*card["modalities"], *card["labels"], *card["columns"], "half", "fold"}
        named |= {word for line in card["labels"].values() for word in line["classes"]}
        assert not words & named


@pytest.mark.parametrize("name", ANY_TABLE)
def test_other_tables(name):
    eyes = {use: {"use": "image", "column": use, "size": 96} for use in ("left", "right")}
    card = {
        "cases": {"id": "id", "group": "patient"},
        "labels": {"glaucoma": ["no", "yes"], "cataract": ["no", "yes"]},
        "modalities": {**eyes, "chart": {"use": "table", "numeric": ["age"]}},
    }
    wiring = mmfuse.wire(mmfuse.load(name, card))
    assert wiring.sources == ("fused", "left", "right")


@pytest.mark.parametrize("name", ["first-look", "two-stage"])
def test_baselines_are_read_by_nobody(cards, name):
    wiring = mmfuse.wire(mmfuse.load(name, cards["milk10k"]))
    baselines = [decision for decision in wiring.decisions if not decision.reads]
    assert ("clinic", "derm", "meta") in [decision.features for decision in baselines]
    read = {source for decision in wiring.decisions for source in decision.reads}
    assert not read & {decision.name for decision in baselines}


def test_the_paper(cards):
    spec = mmfuse.load("fusionm4net-paper", cards["derm7pt"])
    training, network = spec.plan.training, spec.plan.network
    encoder = network.encoders["image"]
    assert (encoder.part.channels, encoder.part.normalise, encoder.frozen) == ("bgr", "none", False)
    assert (training.optimiser, training.lr, training.weight_decay) == ("adam", 3e-5, 0.0)
    assert (training.epochs, training.batch, training.schedule, training.schedule_by) == (250, 32, "cosine", "epoch")
    assert training.loss.class_weight == "none"
    assert set(training.best.sources) == {"fused", "clinic", "derm"}
    assert (training.folds.column, training.folds.predict) == ("half", ("b",))
    on = {line.part.name: line.on for line in spec.plan.augment.values()}
    assert on == {"geometry": ("clinic", "derm"), "colour": ("clinic",)}
    assert len(spec.plan.prediction.views) == 6
    lines = spec.plan.decisions
    assert {lines[name].learn for name in ("scheme1", "final")} == {"valid-reused"}
    assert {lines[name].part.objective for name in ("scheme1", "final")} == {"accuracy"}
    assert (lines["scheme1"].part.mix, lines["final"].part.mix) == ("logits", "probabilities")
    assert lines["svm"].features == ("meta",)


def test_the_paper_with_its_own_metadata_and_without_crop(cards):
    sets = [
        "modalities.image.steps=[]",
        'modalities.meta.categorical=["level_of_diagnostic_difficulty","elevation","location","sex","management"]',
        "columns.management.allow=true",
        "columns.level_of_diagnostic_difficulty.allow=true",
    ]
    spec = mmfuse.load("fusionm4net-paper", cards["derm7pt"], sets=sets)
    assert spec.card.modalities["derm"].steps == ()
    with pytest.raises(mmfuse.SpecError, match="management"):
        mmfuse.load("fusionm4net-paper", cards["derm7pt"], sets=sets[:2])


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for item in value.values() for word in _words(item)] + list(value)
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [value] if isinstance(value, str) else []
