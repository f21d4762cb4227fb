"""What a frozen encoder gives to a second stage says nothing of the cases that a copy of the stage is fitted without:
its reader is fitted anew (law 2). Shown by a modality that knows its training cases by heart."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from cohort import CARD, TRAINING, cases_of, columns

import mmfuse
from mmfuse import Modality, Reader, SecondStage
from mmfuse.errors import SpecError
from mmfuse.hooks import hookimpl


@dataclass(frozen=True, eq=False)
class Remembers(Reader):
    """Who was there when it was fitted."""

    known: tuple[str, ...]
    wide: bool

    @property
    def shape(self):
        return (2 + (len(self.known) if self.wide else 0),)

    def read(self, rows):
        there = np.isin(rows.ids, self.known)
        values = np.zeros((len(rows), *self.shape), dtype=np.float32)
        values[:, 0], values[:, 1] = there, ~there
        return values, np.ones(len(rows), dtype=bool)


class ByHeart(Modality):
    """Whether a case was among those that it was fitted to; `wide`: in a width that depends on them, as categories
    do."""

    reader: ClassVar = Remembers
    wide: bool = False

    @property
    def columns(self):
        return ("age",)

    def fit(self, rows):
        return Remembers(tuple(rows.ids.tolist()), self.wide)


class Watching:
    """A classifier that notes what it is fitted on and asked."""

    log: ClassVar[list] = []

    def __init__(self):
        self.classes_ = np.arange(0)

    def fit(self, inputs, truth):
        self.classes_, self.inputs = np.unique(truth), inputs
        return self

    def predict_proba(self, inputs):
        self.log.append((self.inputs, inputs))
        return np.full((len(inputs), len(self.classes_)), 1 / len(self.classes_))


class Watches(SecondStage):
    """Reads features, and notes them."""

    calibrate: str = "none"

    def estimator(self, seed):
        return Watching()

    def save(self, estimator, path):
        path.write_text("nothing is kept")


class Brings:
    @hookimpl
    def mmfuse_parts(self):
        return [ByHeart, Watches]


CATALOG = mmfuse.Catalog(Brings(), installed=False)


def fitted(wide=False, frozen=True, **encoder):
    Watching.log.clear()
    heart = {"use": "by-heart", **({"wide": True} if wide else {})}
    card = {**CARD, "labels": {"sign": ["no", "yes"]}, "modalities": {**CARD["modalities"], "heart": heart}}
    line = {"use": "linear", "width": 3, "frozen": frozen, **encoder}
    plan = {
        "network": {"encoders": {"table": "linear", "heart": line}, "fusion": "concat", "head": "linear"},
        "training": TRAINING,
        "decisions": {"stage": {"use": "watches", "reads": [], "features": ["heart"]}},
    }
    spec = mmfuse.load(plan, card, catalog=CATALOG)
    pipeline = mmfuse.Pipeline(spec, catalog=CATALOG, device="cpu")
    return pipeline.fit(cases_of(spec, columns(unknown=0.0)))


@pytest.mark.parametrize("wide", [False, True], ids=["one width", "width by fold"])
def test_a_copy_reads_nothing_that_was_learnt_from_the_cases_it_is_fitted_without(wide):
    pipeline = fitted(wide)
    learnt, asked = zip(*Watching.log, strict=True)
    n = int((pipeline.scores.split == "train").sum())
    copies = [(known, new) for known, new in zip(learnt, asked, strict=True) if len(known) < n]
    assert len(copies) >= 2
    assert sum(len(new) for _, new in copies) == n
    for known, new in copies:
        assert len(np.unique(known, axis=0)) == 1  # all were there
        assert len(np.unique(new, axis=0)) == 1
        assert not np.allclose(known[0], new[0])  # and none of these was
    whole = [(known, new) for known, new in zip(learnt, asked, strict=True) if len(known) == n]
    assert all(not np.allclose(known[0], new[0]) for known, new in whole)


def test_the_whole_stage_reads_what_the_network_reads(tmp_path):
    """Nothing of a copy's own reader is kept, and a stored run answers as before."""
    pipeline = fitted()
    cases = cases_of(pipeline.spec, columns(n=12, seed=5, unknown=0.0))
    assert pipeline.decisions.fitted["stage"].readers == {"heart": None}
    vectors, _ = pipeline.network.embed(cases, "heart")
    Watching.log.clear()
    pipeline.sources(cases)
    asked = Watching.log[-1][1]
    np.testing.assert_array_equal(asked[:, :3], vectors)


def test_vectors_of_what_learns_nothing_are_shared_by_all_copies(monkeypatch):
    """The reader of a vector without scale is the same in every fold: the network's own vectors are read."""
    calls = []
    network = mmfuse.net.fitted.FittedNetwork
    embed = network.embed
    monkeypatch.setattr(
        network, "embed", lambda self, *given, **more: calls.append(more) or embed(self, *given, **more)
    )
    plan = {
        "network": {"encoders": {"vector": {"use": "linear", "frozen": True}}, "head": "linear"},
        "training": TRAINING,
        "decisions": {"stage": {"use": "watches", "reads": [], "features": ["vector"]}},
    }
    spec = mmfuse.load(plan, {**CARD, "labels": {"sign": ["no", "yes"]}}, catalog=CATALOG)
    mmfuse.Pipeline(spec, catalog=CATALOG, device="cpu").fit(cases_of(spec, columns(unknown=0.0)))
    assert [call.get("reader") for call in calls] == [None]


def test_weights_from_elsewhere_are_not_made_up_for_another_width(tmp_path):
    pipeline = fitted(wide=True)
    pipeline.save(tmp_path / "run")
    with pytest.raises(SpecError, match="its frozen encoder, read by a second stage, has weights for"):
        fitted(wide=True, weights=str(tmp_path / "run"))
