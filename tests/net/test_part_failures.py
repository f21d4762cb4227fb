"""An exception of a part's own code names the part, who brought it and where; refusals and interruptions pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mmfuse.attribution import attributed, brought_by
from mmfuse.catalog import Catalog
from mmfuse.errors import PartError, PartFailedError, SpecError
from mmfuse.hooks import hookimpl
from mmfuse.learnt import Learnt
from mmfuse.parts import Augmentation, DecisionFusion, Encoder, FeatureFusion, Head, Loss, Pretext, Rule, SecondStage
from mmfuse.pipeline import Pipeline
from mmfuse.pretraining import Pretraining
from mmfuse.toml import load
from tests.tiny_parts import Picture, make_cases


class BoomError(Exception):
    """A stranger's own error."""


class Late(nn.Module):
    """Fails from its `calm`th call on: a blank pass or two go well."""

    def __init__(self, inner, calm=0):
        super().__init__()
        self.inner, self.calm, self.calls = inner, calm, 0

    def forward(self, *given):
        self.calls += 1
        if self.calls > self.calm:
            raise BoomError("late")
        return self.inner(*given)


class Enc(Encoder):
    """An encoder that fails."""

    when: str = ""

    def build(self, shape):
        if self.when == "build":
            raise BoomError("no")
        inner = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 4))
        return Late(inner, 1) if self.when == "forward" else inner

    def start(self, module, weights):
        if self.when == "start":
            raise BoomError("no")


class Fus(FeatureFusion):
    """A fusion that fails."""

    when: str = ""

    def objections(self, modalities):
        if self.when == "objections":
            raise BoomError("no")
        return ()

    def build(self, flows):
        if self.when == "build":
            raise BoomError("no")

        class Sum(nn.Module):
            def forward(self, features, present):
                return sum(given.vector for given in features.values())

        return Late(Sum(), 1) if self.when == "forward" else Sum()


class Hea(Head):
    """A head that fails."""

    when: str = ""

    def build(self, width, labels):
        if self.when == "build":
            raise BoomError("no")
        inner = nn.Linear(width, labels.columns)
        return Late(inner, 1) if self.when == "forward" else inner


class Los(Loss):
    """A loss that fails."""

    when: str = ""

    def build(self, labels, counts):
        if self.when == "build":
            raise BoomError("no")
        return Late(nn.Identity())


class Aug(Augmentation):
    """An augmentation that fails."""

    when: str = ""

    def build(self):
        if self.when == "build":
            raise BoomError("no")
        when = self.when

        class Change(nn.Module):
            def draw(self, cases, generator):
                if when == "draw":
                    raise BoomError("no")
                return {"x": torch.rand(cases, generator=generator)}

            def forward(self, images, draw):
                raise BoomError("no")

        return Change()


class Broken(Rule, Learnt):
    """A rule that fails."""

    def __call__(self, scores, labels):
        raise BoomError("no")


class Dec(DecisionFusion):
    """A decision that fails."""

    rule = Broken
    when: str = ""

    def fit(self, scores, targets, labels, weight):
        if self.when == "fit":
            raise BoomError("no")
        return Broken()


class Never:
    """A classifier that fails."""

    def __init__(self, when):
        self.when = when

    def fit(self, x, y):
        if self.when == "fit":
            raise BoomError("no")
        return self

    def predict_proba(self, x):
        raise BoomError("no")


class Sta(SecondStage):
    """A second stage that fails."""

    when: str = ""

    def estimator(self, seed):
        if self.when == "estimator":
            raise BoomError("no")
        return Never(self.when)


class Pre(Pretext):
    """A pretext that fails."""

    when: str = ""

    def objections(self, modalities):
        if self.when == "objections":
            raise BoomError("no")
        return ()

    def build(self, widths, labels, cases):
        if self.when == "build":
            raise BoomError("no")
        when = self.when

        class Objective(nn.Module):
            def begin_epoch(self, epoch, embed):
                if when == "begin_epoch":
                    raise BoomError("no")
                return ()

            def forward(self, draws, position, gather):
                raise BoomError("no")

        return Objective()


class Plugin:
    @hookimpl
    def mmfuse_parts(self):
        return [Enc, Fus, Hea, Los, Aug, Dec, Sta, Pre, Picture]


CATALOG = Catalog(Plugin(), installed=False)


def spec_of(**changes):
    card = {
        "cases": {"id": "id"},
        "labels": {"y": ["a", "b"]},
        "modalities": {"one": {"use": "picture", "column": "one"}, "two": {"use": "picture", "column": "two"}},
        "split": {"column": "split"},
    }
    plan = {
        "network": {"encoders": {"picture": "enc"}, "fusion": "fus", "head": "hea"},
        "training": {"epochs": 1, "batch": 8},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        plan[section] = {**plan.get(section, {}), **({name: value} if name else value)}
    return load(plan, card, catalog=CATALOG)


def cases_of(spec, n=24):
    cells = {
        "one": [str(i) for i in range(n)],
        "two": [str(100 + i) for i in range(n)],
        "y": ["ab"[i % 2] for i in range(n)],
        "split": ["valid" if i % 3 == 2 else "train" for i in range(n)],
    }
    return make_cases(spec, cells, n)


def fitted(changes):
    spec = spec_of(**changes)
    return Pipeline(spec, catalog=CATALOG, device="cpu").fit(cases_of(spec))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network__encoders": {"picture": {"use": "enc", "when": "build"}}}, ["encoder 'enc'", "`build`"]),
        ({"network__encoders": {"picture": {"use": "enc", "when": "start"}}}, ["encoder 'enc'", "`start`"]),
        ({"network__encoders": {"picture": {"use": "enc", "when": "forward"}}}, ["encoder 'enc'", "modality one"]),
        (
            {"network__encoders": {"picture": {"use": "enc", "when": "forward", "frozen": True}}},
            ["encoder 'enc'", "modality one", "`forward`"],
        ),
        ({"network__fusion": {"use": "fus", "when": "objections"}}, ["fusion 'fus'", "`objections`"]),
        ({"network__fusion": {"use": "fus", "when": "build"}}, ["fusion 'fus'", "`build`", "network.fusion"]),
        ({"network__fusion": {"use": "fus", "when": "forward"}}, ["fusion 'fus'", "`forward`"]),
        ({"network__head": {"use": "hea", "when": "build"}}, ["head 'hea'", "`build`"]),
        ({"network__head": {"use": "hea", "when": "forward"}}, ["head 'hea'", "`forward`", "network.head"]),
        ({"training__loss": {"use": "los", "when": "build"}}, ["loss 'los'", "`build`", "training.loss"]),
        ({"training__loss": {"use": "los"}}, ["loss 'los'", "`forward`"]),
        ({"augment__a": {"use": "aug", "on": ["picture"], "when": "build"}}, ["augmentation 'aug'", "`build`"]),
        ({"augment__a": {"use": "aug", "on": ["picture"], "when": "draw"}}, ["augmentation 'aug'", "`draw`"]),
        ({"augment__a": {"use": "aug", "on": ["picture"]}}, ["augmentation 'aug'", "`forward`"]),
        ({"decisions__d": {"use": "dec", "reads": ["fused"], "when": "fit"}}, ["decision 'dec'", "`fit`"]),
        ({"decisions__d": {"use": "dec", "reads": ["fused"]}}, ["decision 'dec'", "its rule", "decisions.d"]),
        ({"decisions__d": {"use": "sta", "reads": ["fused"], "when": "estimator"}}, ["stage 'sta'", "`estimator`"]),
        ({"decisions__d": {"use": "sta", "reads": ["fused"], "when": "fit"}}, ["stage 'sta'", "Never failed"]),
        ({"decisions__d": {"use": "sta", "reads": ["fused"]}}, ["stage 'sta'", "predicts", "decisions.d"]),
    ],
)
def test_who_failed_is_said(changes, words):
    with pytest.raises(PartFailedError) as raised:
        fitted(changes)
    told = str(raised.value)
    assert all(word in told for word in [*words, "test_part_failures.py", "BoomError"]), told
    assert isinstance(raised.value.__cause__, BoomError)


@pytest.mark.parametrize("when", ["objections", "build", "begin_epoch", "forward"])
def test_so_it_is_in_pretraining(when):
    spec = spec_of(pretexts__p={"use": "pre", "when": when})
    with pytest.raises(PartFailedError) as raised:
        Pretraining(spec, catalog=CATALOG, device="cpu").fit(cases_of(spec))
    assert f"pretext 'pre' ({__file__}) fails in `{when}`: BoomError" in str(raised.value)


@pytest.mark.parametrize(
    "error", [SpecError("x"), PartError("x"), MemoryError(), KeyboardInterrupt(), torch.OutOfMemoryError("x")]
)
def test_what_says_what_is_wrong_by_itself_passes(error):
    with pytest.raises(type(error)) as raised, attributed(Enc(), "`build`"):
        raise error
    assert raised.value is error


def test_an_error_that_iterators_know_is_no_exception():
    with pytest.raises(PartFailedError, match="StopIteration"), attributed(Enc(), "`build`"):
        raise StopIteration


def test_who_brought_a_part():
    assert brought_by(Pipeline) == "mmfuse"
    assert brought_by(Enc) == __file__
    skin = Catalog().find("stage", "svm")
    assert brought_by(skin).startswith("mmfuse-metadata ")


def test_a_loss_adds_nothing_to_what_is_stored():
    from mmfuse.net.lessons import Learner

    learner = Learner(nn.Linear(2, 2), nn.Linear(2, 1))
    assert sorted(learner.state_dict()) == ["loss.bias", "loss.weight", "network.bias", "network.weight"]
