"""A cohort of scores with a group behind every case, features that hold the group, and parts that refuse to speak
about whom they saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mmfuse import (
    Card,
    CasesSection,
    DecisionFusion,
    DecisionLine,
    LabelLine,
    Modality,
    Plan,
    Reader,
    Rule,
    SecondStage,
    Spec,
    Wiring,
)
from mmfuse.decide.scores import ScoreTable
from mmfuse.wiring import WiredDecision


@dataclass(frozen=True, eq=False)
class Centred(Reader):
    """What reading a table learns: its mean."""

    mean: np.ndarray


class Numbers(Modality):
    """A table of numbers that the test holds."""

    reader = Centred

    @property
    def columns(self):
        return ("numbers",)


CARD = Card(
    cases=CasesSection(id="id", group="patient"),
    labels={"grade": LabelLine(classes=("a", "b", "c")), "sign": LabelLine(classes=("no", "yes"))},
    modalities={"meta": Numbers()},
)
LABELS = CARD.label_set


@dataclass
class Held:
    """Features for the engine. The first column is the case's group, left as it is; the others are centred. Fits are
    remembered.
    """

    values: np.ndarray
    present: np.ndarray
    fits: list = field(default_factory=list)

    def fit(self, modality, index, whole=True):
        self.fits.append(np.array(index))
        mean = self.values[index][self.present[index]].sum(axis=0) / max(1, self.present[index].sum())
        return Centred(np.concatenate([[0.0], mean[1:]]))

    def read(self, modality, learnt, index):
        values = np.where(self.present[index, None], self.values[index] - learnt.mean, np.nan)
        return values, self.present[index]


def cohort(n=120, seed=0, splits=(0.5, 0.25), absent=0.0, unknown=0.1, folds=None, signal=1.5):
    """(table, features): two cases a patient, sources `fused` and `derm` whose difference of the first two logits is
    the group's number.
    """
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // 2
    targets = np.stack([rng.integers(0, 3, n), rng.integers(0, 2, n)], axis=1)
    split = np.repeat(["train", "valid", "test"], np.diff([0, *(int(n * s) // 2 * 2 for s in np.cumsum(splits)), n]))
    sources = {}
    for name in ("fused", "derm"):
        logits = rng.normal(size=(2, n, 5)) + signal * LABELS.one_hot(targets)
        logits[:, rng.random(n) < absent] = np.nan
        sources[name] = logits
    values = np.concatenate([groups[:, None], rng.normal(size=(n, 2)) + targets], axis=1).astype(float)
    targets[rng.random(targets.shape) < unknown] = -1
    folds = np.where(split == "train", groups % 4, -1) if folds is None else folds
    table = ScoreTable(sources, np.arange(n).astype(str), groups.astype(str), split, folds, targets, LABELS, "lesion")
    return table, Held(values, rng.random(n) >= absent)


def plan(*decisions, labels=None, seed=0):
    """(spec, wiring) of decisions given as (name, part, reads, features) or with a fifth: `learn`."""
    lines, wired = {}, []
    for name, part, reads, features, *learn in decisions:
        lines[name] = DecisionLine(part=part, reads=reads, features=features, learn=learn[0] if learn else "auto")
        wired.append(WiredDecision(name, lines[name], reads, features))
    card = CARD if labels is None else CARD.model_copy(update={"labels": labels})
    return Spec(card=card, plan=Plan(seed=seed, decisions=lines)), Wiring({}, (), ("fused", "derm"), (), tuple(wired))


def groups_of(inputs):
    """The groups that a stage's inputs speak of: the column after the sources' blocks is found by its name in
    `Witness`.
    """
    return {*np.round(inputs).astype(int).tolist()}


class Witness:
    """A classifier that refuses to answer about a group it learnt from. `column` holds the group."""

    def __init__(self, column):
        self.column = column

    def fit(self, inputs, truth):
        self.seen = groups_of(inputs[:, self.column])
        self.shares = np.bincount(truth) / len(truth)
        return self

    def check(self, inputs):
        both = self.seen & groups_of(inputs[:, self.column])
        assert not both, f"answers about groups {both}, which it learnt from"


class Probable(Witness):
    """…with probabilities."""

    def predict_proba(self, inputs):
        self.check(inputs)
        return np.repeat(self.shares[None], len(inputs), axis=0)


class Deciding(Witness):
    """…with decision values only."""

    def decision_function(self, inputs):
        self.check(inputs)
        values = np.repeat(self.shares[None], len(inputs), axis=0)
        return values[:, 1] if values.shape[1] == 2 else values


class WitnessStage(SecondStage):
    """Learns from nobody it speaks about, or fails."""

    column: int = 0
    decides: bool = False

    def estimator(self, seed):
        return (Deciding if self.decides else Probable)(self.column)


@dataclass(frozen=True, eq=False)
class WitnessRule(Rule):
    """Fails where it is asked about a case whose first two log-probabilities it was fitted on."""

    seen: np.ndarray

    def __call__(self, scores, labels):
        assert not np.isin(_mark(scores), self.seen).any(), "speaks about a case that it learnt from"
        return labels.normalise(np.exp(np.nan_to_num(scores, nan=-1.0)).mean(axis=(0, 1)))


class WitnessDecision(DecisionFusion):
    """Learns from nobody it speaks about, or fails."""

    rule = WitnessRule

    def fit(self, scores, targets, labels, weight):
        return WitnessRule(_mark(scores))


def _mark(scores):
    return scores[0, 0, :, 0] - scores[0, 0, :, 1]
