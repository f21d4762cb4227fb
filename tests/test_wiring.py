"""Names against the card: group words, sources, inputs that are refused, and who needs folds."""

import pytest
from specs import tree

import mmfuse
from mmfuse.errors import SpecError
from mmfuse.hooks import hookimpl
from mmfuse.parts import FeatureFusion, SecondStage
from mmfuse.wiring import wire


class Stage(SecondStage):
    """A second stage."""


class Triple(FeatureFusion):
    """Takes three."""

    @property
    def arity(self):
        return (3, 3)

    def objections(self, modalities):
        return tuple(f"{name} is no image" for name, use in modalities.items() if use != "image")


class OfMaps(FeatureFusion):
    """Reads the maps of encoders."""

    @property
    def needs(self):
        return ("maps",)


class Brings:
    @hookimpl
    def mmfuse_parts(self):
        return [Stage, Triple, OfMaps]


CATALOG = mmfuse.Catalog(Brings(), installed=False)


def wired(**sections):
    return wire(mmfuse.load(tree(**sections), catalog=CATALOG))


def network(**knobs):
    return {**tree()["network"], **knobs}


def refused(**sections):
    with pytest.raises(SpecError) as caught:
        mmfuse.load(tree(**sections), catalog=CATALOG)
    return {fault.where: str(fault) for fault in caught.value.faults}


def test_a_use_stands_for_its_modalities_without_a_line_of_their_own():
    own = {"use": "timm", "model": "resnet18"}
    wiring = wired(network=network(encoders={"table": "linear", "derm": own, "image": {"use": "timm", "share": True}}))
    assert {name: line for name, (line, _) in wiring.encoders.items()} == {
        "clinic": "image",
        "derm": "derm",
        "meta": "table",
    }
    assert list(wiring.encoders) == ["clinic", "derm", "meta"]
    assert wiring.encoders["derm"][1].part.model == "resnet18"
    assert wiring.encoders["clinic"][1].share


def test_sources_are_fused_and_side_heads():
    assert wired().sources == ("fused",)
    assert wired(network=network(side_heads=True)).sources == ("fused", "clinic", "derm", "meta")
    alone = network(encoders={"table": "linear"}, side_heads=True)
    assert wired(network=alone).sources == ("fused",)
    assert wired(network=network(head="")).sources == ()


def test_decisions_read_what_stands_above_by_name_or_use():
    wiring = wired(
        network=network(side_heads=True),
        decisions={
            "one": {"use": "mean", "reads": ["image", "fused", "clinic"]},
            "two": {"use": "stage", "reads": "one", "features": ["table"]},
        },
        training={"best": {"sources": ["image"]}},
    )
    assert wiring.decisions[0].reads == ("clinic", "derm", "fused")
    assert wiring.decisions[1].features == ("meta",)
    assert wiring.best_sources == ("clinic", "derm")
    assert wiring.answer == "two"
    assert wiring.all_sources == ("fused", "clinic", "derm", "meta", "one", "two")
    assert wired().answer == "fused"


def test_augmentations_change_images():
    assert wired(augment={"g": {"use": "geometry", "on": "image"}}).augment[0][1] == ("clinic", "derm")
    told = refused(augment={"g": {"use": "geometry", "on": ["derm", "meta"]}})
    assert "'meta' is no image" in told["augment.g.on"]


def test_a_fusion_of_maps_needs_encoders_that_give_some():
    plain = network(fusion="of-maps", encoders={"image": {"use": "timm", "model": "resnet18"}})
    told = refused(network=plain)["network.fusion"]
    assert "no encoder gives any: clinic, derm" in told
    assert "levels = [3, 4, 5]" in told
    maps = {"use": "timm", "model": "resnet18", "levels": [5]}
    assert wired(network=network(fusion="of-maps", encoders={"image": "timm", "derm": maps})).sources == ("fused",)


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        (["fusd"], "did you mean 'fused'?"),
        (["later"], "no source above is called 'later'"),
        (["one"], "no source above is called 'one'"),
        (["image"], "'image' has no side head"),
        (["derm"], "side_heads = true"),
    ],
)
def test_what_is_not_above_is_refused(reads, words):
    decisions = {"one": {"use": "mean", "reads": reads}, "later": {"use": "mean", "reads": ["fused"]}}
    assert words in refused(decisions=decisions)["decisions.one.reads"]


def test_a_network_needs_something_to_encode_and_a_fusion():
    told = refused(network=network(encoders={"imag": "timm"}))
    assert "did you mean 'image'?" in told["network.encoders.imag"]
    assert "encoded and nothing fuses them" in refused(network=network(fusion=""))["network.fusion"]
    assert "no modality of the card" in refused(network=network(encoders={}))["network.encoders"]
    assert "neither a network nor a decision" in refused(network="")["network"]
    assert "the card has no labels" in refused(labels={})["network.head"]


def test_fusions_say_how_many_and_which_they_take():
    told = refused(network=network(fusion="triple"))
    assert "meta is no image" in told["network.fusion"]
    two = network(fusion="triple", encoders={"image": "timm"})
    assert "2 encoded modalities" in refused(network=two)["network.fusion"]
    assert "expected: 3 for 'triple'" in refused(network=two)["network.fusion"]


def test_names_may_not_be_taken_twice():
    assert (
        "group word or a source"
        in refused(modalities={"table": {"use": "table", "numeric": ["a"]}})["modalities.table"]
    )
    told = refused(modalities={**tree()["modalities"], "fused": {"use": "table", "numeric": ["a"]}})
    assert "group word or a source" in told["modalities.fused"]
    for name in ("fused", "derm", "image"):
        decisions = {name: {"use": "mean", "reads": ["fused"]}}
        assert "already a source, a modality or a use" in refused(decisions=decisions)[f"decisions.{name}"]


def test_labels_are_checked():
    told = refused(labels={"a": ["x"], "b": ["x", "x"], "c": {"classes": ["yes", "no"], "positive": "yse"}})
    assert "two or more" in told["labels.a"]
    assert "stands twice" in told["labels.b"]
    assert "did you mean 'yes'?" in told["labels.c.positive"]


def test_an_input_holds_no_answer_and_nothing_marked():
    labels = {"y": {"classes": ["no", "yes"], "column": "age"}}
    assert "column 'age' is the label 'y'" in refused(labels=labels)["modalities.meta"]
    columns = {"age": {"known": "after the diagnosis"}}
    told = refused(columns=columns)["modalities.meta"]
    assert "known after the diagnosis" in told
    assert "allow it by name: [columns] age = { known = …, allow = true }" in told
    assert wired(columns={"age": {"known": "after the diagnosis", "allow": True}})
    assert wired(columns={"age": {"known": "before the diagnosis"}})
    assert wired(columns={"other": {"known": "after the diagnosis"}})


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ({"use": "timm"}, "an image whose encoder learns"),
        ({"use": "timm", "frozen": ["layer1"]}, "an image whose encoder learns"),
        (None, "an image that no encoder reads"),
        ({"use": "timm", "frozen": True}, ""),
    ],
)
def test_features_of_trained_images_never_cross(encoder, words):
    encoders = {"table": "linear", **({"image": encoder} if encoder else {})}
    sections = {
        "network": network(encoders=encoders),
        "decisions": {"s": {"use": "stage", "features": ["derm", "meta"]}},
    }
    if words:
        told = refused(**sections)["decisions.s.features"]
        assert words in told
        assert "frozen = true" in told
    else:
        assert wired(**sections).decisions[0].features == ("derm", "meta")


def test_decisions_and_stages_read_what_suits_them():
    cases = {
        "decisions.s.features": {"use": "mean", "reads": ["fused"], "features": ["meta"]},
        "decisions.s.reads": {"use": "temperature", "reads": []},
        "decisions.s.learn": {"use": "stage", "reads": ["fused"], "learn": "valid"},
        "decisions.s": {"use": "mean"},
    }
    for where, line in cases.items():
        assert {name.startswith("decisions.s") for name in refused(decisions={"s": line})} == {True}, where
    assert "a second stage" in refused(decisions={"s": cases["decisions.s.features"]})["decisions.s.features"]
    assert "leave `learn` out" in refused(decisions={"s": cases["decisions.s.learn"]})["decisions.s.learn"]
    assert "reads nothing" in refused(decisions={"s": cases["decisions.s"]})["decisions.s"]


def test_a_recipe_s_tables_do_no_harm_where_there_are_none():
    images = {name: tree()["modalities"][name] for name in ("clinic", "derm")}
    sections = {
        "modalities": images,
        "network": network(encoders={"image": "timm"}),
        "decisions": {"s": {"use": "stage", "reads": ["fused"], "features": ["table"]}},
    }
    assert wired(**sections).decisions[0].features == ()
    sections["decisions"]["s"].pop("reads")
    assert "no modality and no use is called 'table'" in refused(**sections)["decisions.s.features"]


def test_metrics_of_the_best_epoch_are_known():
    assert "did you mean 'log-loss'?" in refused(training={"best": {"metric": "logloss"}})["training.best.metric"]
    assert (
        "no 'entropy' is better" in refused(training={"best": {"metric": {"use": "entropy"}}})["training.best.metric"]
    )
    assert wired(training={"best": {"metric": ""}})


@pytest.mark.parametrize("has_valid", [False, True])
@pytest.mark.parametrize("learn", ["auto", "train", "valid", "valid-reused"])
def test_where_a_decision_learns(learn, has_valid):
    decision = wired(decisions={"d": {"use": "simplex", "reads": ["fused"], "learn": learn}}).decisions[0]
    assert decision.learns_on(has_valid) == ("train" if learn == "train" or not has_valid else "valid")
    assert not decision.is_stage


def test_second_stages_learn_on_train():
    stage = wired(decisions={"s": {"use": "stage", "reads": ["fused"]}}).decisions[0]
    assert stage.is_stage
    assert (stage.learns_on(True), stage.learns_on(False)) == ("train", "train")


RULE = {"use": "simplex", "reads": ["fused"]}
STAGE = {"use": "stage", "reads": ["fused"]}


@pytest.mark.parametrize(
    ("decisions", "with_valid", "without"),
    [
        ({}, False, False),
        ({"d": RULE}, False, True),
        ({"d": {**RULE, "learn": "train"}}, True, True),
        ({"s": STAGE}, True, True),
        ({"s": {"use": "stage", "features": ["meta"]}}, False, False),
        ({"d": RULE, "s": {"use": "stage", "reads": ["d"]}}, True, True),
        ({"s": {"use": "stage", "features": ["meta"]}, "t": {"use": "stage", "reads": ["s"]}}, False, False),
        ({"s": {"use": "stage", "features": ["meta"]}, "d": {"use": "simplex", "reads": ["s"]}}, False, False),
    ],
)
def test_folds_are_needed_where_something_learns_from_the_network_on_train(decisions, with_valid, without):
    wiring = wired(decisions=decisions)
    assert (wiring.needs_folds(True), wiring.needs_folds(False)) == (with_valid, without)


def test_metadata_alone_needs_no_network():
    wiring = wired(network="", decisions={"s": {"use": "stage", "features": ["table"]}})
    assert (wiring.encoders, wiring.sources, wiring.best_sources, wiring.answer) == ({}, (), (), "s")


def test_all_faults_come_at_once():
    sections = {
        "labels": {"y": ["no", "no"]},
        "network": network(encoders={"imag": "timm"}),
        "decisions": {"d": {"use": "mean", "reads": ["x"]}},
    }
    assert set(refused(**sections)) >= {"labels.y", "network.encoders.imag", "decisions.d.reads"}
