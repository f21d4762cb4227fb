"""Trees of plain values become frozen ones; every fault of a look comes in one message, and none hides another."""

import copy
import random
import tomllib

import pytest
from specs import CARD, PLAN
from specs import tree as small

import mmfuse
from mmfuse.building import Broken, build, tree
from mmfuse.card import Card, LabelLine
from mmfuse.errors import Faults, MmfuseError, SpecError
from mmfuse.parts import Encoder, Step
from mmfuse.spec import NetworkSection, Plan, TrainingSection
from mmfuse.toml import read

CATALOG = mmfuse.Catalog(installed=False)


def faults_of(kind, raw):
    faults = Faults()
    made = build(kind, raw, "here", CATALOG, faults)
    return made, [(fault.where, fault.found, "; ".join(filter(None, (fault.expected, fault.mend)))) for fault in faults]


def loading(raw):
    with pytest.raises(SpecError) as caught:
        mmfuse.load(raw, catalog=CATALOG)
    return caught.value


def test_a_word_stands_for_a_part_without_knobs():
    made, faults = faults_of(Encoder, "linear")
    assert made == CATALOG.find("encoder", "linear")()
    assert not faults
    assert faults_of(Encoder, {"use": "linear", "width": 3})[0].width == 3


def test_what_is_built_passes_through():
    part = CATALOG.find("encoder", "linear")(width=3)
    assert faults_of(Encoder, part) == (part, [])
    section = NetworkSection(encoders={"x": part})
    assert faults_of(NetworkSection, section) == (section, [])
    assert faults_of(NetworkSection, {"encoders": {"x": part}}) == (section, [])


def test_parts_are_found_inside_parts():
    image = {"use": "image", "column": "c", "steps": ["grey", {"use": "border-crop", "pixels": 3}]}
    made, faults = faults_of(Card, {"cases": {"id": "id"}, "modalities": {"m": image}})
    assert not faults
    assert [type(step).name for step in made.modalities["m"].steps] == ["grey", "border-crop"]
    assert all(isinstance(step, Step) for step in made.modalities["m"].steps)


@pytest.mark.parametrize(
    ("raw", "where", "words"),
    [
        ("liner", "here", "did you mean 'linear'?"),
        ("", "here", "known:"),
        ({"width": 3}, "here", "no `use` in"),
        (7, "here", "no `use` in 7"),
        ({"use": "linear", "widht": 3}, "here.widht", "did you mean 'width'?"),
        ({"use": "linear", "width": 0}, "here.width", "found 0 greater than or equal to 1"),
        ({"use": "mlp", "widths": [8, "x"]}, "here.widths.1", "found 'x' a whole number"),
    ],
)
def test_a_fault_names_its_place_and_the_nearest_name(raw, where, words):
    made, faults = faults_of(Encoder, raw)
    assert isinstance(made, Broken)
    assert [fault[0] for fault in faults] == [where]
    assert words in " ".join(faults[0])


def test_a_value_that_fits_none_of_its_kinds_is_one_fault():
    _, faults = faults_of(TrainingSection, {"folds": "many"})
    assert faults == [("here.folds", "found 'many'", "a whole number or a table")]


def test_a_list_is_short_for_a_label_and_for_nothing_else():
    assert faults_of(LabelLine, ["a", "b"]) == (LabelLine(classes=("a", "b")), [])
    _, faults = faults_of(TrainingSection, {"best": ["fused"]})
    assert faults == [("here.best", "found ['fused']", "a table")]


def test_a_sound_knob_beside_an_unsound_one_is_read_as_it_would_be():
    error = loading(small(decisions={"one": {"use": "mean", "reads": "fused", "learn": "never"}}))
    assert [(fault.where, fault.found) for fault in error.faults] == [("decisions.one.learn", "found 'never'")]
    assert error.faults[0].expected == "'auto', 'train', 'valid' or 'valid-reused'"


@pytest.mark.parametrize("part", ["simplx", "svm"])
def test_a_part_that_is_not_here_is_one_fault(part):
    raw = small(decisions={"one": {"use": part, "reads": ["fusd"], "features": ["table"]}})
    raw["modalities"]["meta"] = {"use": "table", "numeric": ["age"]}
    assert [fault.where for fault in loading(raw).faults] == ["decisions.one", "decisions.one.reads"]


def test_knobs_of_the_line_are_refused_where_they_say_nothing():
    _, faults = faults_of(NetworkSection, {"encoders": {"x": {"use": "linear", "reads": ["y"]}}})
    knobs = "knobs of this line: ['frozen', 'layer_decay', 'lr', 'pool', 'share', 'weights']"
    assert faults == [("here.encoders.x.reads", "`reads` says nothing here", knobs)]


def test_a_part_s_own_check_tells_its_reason():
    _, faults = faults_of(Card, {"cases": {"id": "id"}, "modalities": {"m": {"use": "table"}}})
    assert faults == [
        (
            "here.modalities.m",
            "a table of no columns; name some under `numeric`, `categorical` or `multi`",
            "",
        )
    ]


def test_five_different_faults_come_in_one_message():
    raw = small(
        training={"epochs": 0, "loss": "cross-entropie"},
        decisions={"final": {"use": "simplex", "reads": ["fusd"], "stpe": 0.1}},
        nonsense={},
    )
    raw["network"]["encoders"]["imgae"] = raw["network"]["encoders"].pop("image")
    error = loading(raw)
    told = {fault.where: f"{fault.found} {fault.expected} {fault.mend}" for fault in error.faults}
    assert "known: augment" in told["nonsense"]
    assert "found 0 greater than or equal to 1" in told["training.epochs"]
    assert "did you mean 'cross-entropy'?" in told["training.loss"]
    assert "did you mean 'step'?" in told["decisions.final.stpe"]
    assert "did you mean 'fused'?" in told["decisions.final.reads"]
    assert "did you mean 'image'?" in told["network.encoders.imgae"]
    assert str(error).startswith("6 faults:")


def test_a_broken_part_hides_nothing_and_causes_no_second_fault():
    raw = small(
        decisions={"one": {"use": "simplx", "reads": ["fused"]}, "two": {"use": "mean", "reads": ["one", "zero"]}}
    )
    error = loading(raw)
    assert [fault.where for fault in error.faults] == ["decisions.one", "decisions.two.reads"]


def test_tree_is_complete_and_undoes_build():
    for kind, text in ((Card, CARD), (Plan, PLAN)):
        made, faults = faults_of(kind, tomllib.loads(text))
        assert not faults
        plain = tree(made)
        assert faults_of(kind, plain) == (made, [])
        assert tree(faults_of(kind, plain)[0]) == plain
    assert plain["decisions"]["final"]["mix"] == "logits"
    assert plain["network"]["encoders"]["image"]["share"] is True
    assert plain["training"]["batch"] == 8


VALUES = (
    5,
    "",
    -1,
    "word",
    [],
    ["a"],
    {},
    {"use": "nope"},
    {"use": 5},
    True,
    None,
    {"a": 1},
    [[1]],
    [{}],
    "image",
    "timm",
)


def places(node, path=()):
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, value in inner for place in ((*path, key), *places(value, (*path, key)))]


def spoilt(whole, rng):
    """A good tree with one to three places removed, renamed or overwritten."""
    raw = copy.deepcopy(whole)
    for _ in range(rng.randint(1, 3)):
        *way, last = rng.choice(places(raw))
        node = raw
        for step in way:
            node = node[step]
        act = rng.random()
        if act < 0.2:
            del node[last]
        elif act < 0.4 and isinstance(node, dict):
            node[f"{last}x"] = node.pop(last)
        else:
            node[last] = copy.deepcopy(rng.choice(VALUES))
    return raw


def test_whatever_is_wrong_is_told_as_faults_and_nothing_else_is_raised(tmp_path):
    whole = {}
    for text in (CARD, PLAN):
        (tmp_path / "part.toml").write_text(text)
        whole |= read(tmp_path / "part.toml")
    mmfuse.load(whole, catalog=CATALOG)
    refused, nowhere = 0, []
    for seed in range(400):
        raw = spoilt(whole, random.Random(seed))
        try:
            mmfuse.load(raw, catalog=CATALOG)
        except MmfuseError as error:
            refused += 1
            nowhere += [str(fault) for fault in error.faults if not fault.where and "no card" not in fault.found]
    assert refused > 250
    assert not nowhere
