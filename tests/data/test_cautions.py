"""What head and loss say of the training cases: told before anything learns, and by `check`."""

import numpy as np
import pytest
from torch import nn

import mmfuse
from mmfuse import Head, Loss, Notice, Pipeline, SecondStage, SpecError, Table
from mmfuse.data.cautions import cautions

CARD = {
    "cases": {"id": "id"},
    "labels": {"answer": ["a", "b"]},
    "modalities": {"meta": {"use": "table", "numeric": ["age"]}},
}
PLAN = {"network": {"encoders": {"meta": {"use": "linear"}}, "head": "linear"}}
SPLIT = np.array(["train", "train", "valid", "train", "train"], dtype=object)


class Worried(Head):
    """Counts what is positive."""

    def cautions(self, labels, targets):
        if len(labels) > 1:
            raise SpecError(f"{len(labels)} labels", "one", "take one away", "network.head")
        return (f"{int((targets == 1).sum())} of {len(targets)} are positive",)

    def build(self, width, labels):
        return nn.Linear(width, labels.columns)


class Anxious(Loss):
    """Says two things, and then cannot be built."""

    def cautions(self, labels, targets):
        return ("one", "two")

    def build(self, labels, counts):
        raise SpecError("training was reached", "", "")


def made(card=CARD, head=None, loss=None):
    spec = mmfuse.load(PLAN, card)
    network = spec.plan.network.model_copy(update={} if head is None else {"head": head})
    training = spec.plan.training.model_copy(update={} if loss is None else {"loss": loss})
    spec = spec.model_copy(update={"plan": spec.plan.model_copy(update={"network": network, "training": training})})
    table = Table.of({"id": list("12345"), "age": list("56789"), **{name: list("abbba") for name in card["labels"]}})
    return spec, mmfuse.Cases(table, spec.card)


def test_most_parts_say_nothing():
    assert cautions(*made(), SPLIT) == []


def test_they_are_asked_about_training_cases_alone():
    found = cautions(*made(head=Worried(), loss=Anxious()), SPLIT)
    assert [(one.level, one.where, one.text) for one in found] == [
        ("warning", "network.head", "2 of 4 are positive"),
        ("warning", "training.loss", "one"),
        ("warning", "training.loss", "two"),
    ]
    everyone = np.full(5, "train", dtype=object)
    assert cautions(*made(head=Worried()), everyone)[0].text == "3 of 5 are positive"


def test_without_a_head_nobody_is_asked():
    assert cautions(*made(head="", loss=Anxious()), SPLIT) == []


def test_they_are_told_before_training():
    spec, cases = made(head=Worried(), loss=Anxious())
    told = []
    with pytest.raises(SpecError, match="training was reached"):
        Pipeline(spec, watch=told.append, device="cpu").fit(cases, SPLIT)
    warnings = [one.text for one in told if isinstance(one, Notice) and one.level == "warning"]
    assert warnings == ["network.head: 2 of 4 are positive", "training.loss: one", "training.loss: two"]


def test_a_part_may_refuse_the_labels_before_anything_is_built():
    spec, cases = made(CARD | {"labels": {"answer": ["a", "b"], "other": ["a", "b"]}}, head=Worried())
    with pytest.raises(SpecError, match=r"network.head: 2 labels"):
        cautions(spec, cases, SPLIT)


class Slow(SecondStage):
    """Takes its time."""

    def cautions(self, labels, targets):
        return (f"{len(targets)} cases take long",)

    def estimator(self, seed):
        raise AssertionError


def test_second_stages_are_asked_too():
    spec, cases = made()
    plan = {**PLAN, "decisions": {"final": {"use": "simplex", "reads": ["fused"]}}}
    spec = mmfuse.load(plan, CARD)
    line = spec.plan.decisions["final"].model_copy(update={"part": Slow()})
    plan = spec.plan.model_copy(update={"decisions": {"final": line}})
    (told,) = cautions(spec.model_copy(update={"plan": plan}), cases, SPLIT)
    assert (told.level, told.where, told.text) == ("warning", "decisions.final", "4 cases take long")
    bare = plan.model_copy(update={"network": ""})
    assert len(cautions(spec.model_copy(update={"plan": bare}), cases, SPLIT)) == 1
