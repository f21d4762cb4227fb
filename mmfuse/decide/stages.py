"""The honest engine: decisions and second stages in the plan's order, each reading earlier sources by name (law 2).

What a step learnt on, it speaks about out of fold; about every other case the step fitted on the whole set speaks.
Decisions learn on `valid`, second stages on `train`; the user arranges none of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.readers import load_reader
from mmfuse.data.splits import refuse_torn_groups
from mmfuse.decide.folding import OUTSIDE, FeatureSource, Learning, Speaker, learning, speak_honestly
from mmfuse.decide.rules import FittedRule
from mmfuse.decide.scores import ScoreTable, log_scores
from mmfuse.decide.second import FittedStage, Stage
from mmfuse.errors import RunError, SpecError
from mmfuse.events import Notice, Watch, silent
from mmfuse.formats.json_files import read_json
from mmfuse.labels import Floats, Ints
from mmfuse.learnt import Learnt
from mmfuse.parts import SecondStage
from mmfuse.seeds import derive
from mmfuse.spec import Spec
from mmfuse.wiring import WiredDecision, Wiring

__all__ = ["FeatureSource", "FittedDecisions", "fit_decision", "fit_decisions"]

_REUSED = (
    "'{name}' learns on `valid` and speaks about the same cases (learn = 'valid-reused'): "
    "its figures on `valid` are optimistic, and so is what is learnt from them there"
)


@dataclass(frozen=True, eq=False)
class FittedDecisions:
    """All decisions and second stages of a pipeline, in order."""

    fitted: Mapping[str, Speaker]

    @property
    def readers(self) -> dict[str, Learnt]:
        """{modality: reader} of all that second stages read beside scores, vectors of frozen encoders left out."""
        learnt = [speaker.readers for speaker in self.fitted.values() if isinstance(speaker, FittedStage)]
        return {name: reader for readers in learnt for name, reader in readers.items() if reader is not None}

    def apply(self, sources: Mapping[str, Floats], features: FeatureSource, n: int) -> dict[str, Floats]:
        """The sources of `n` new cases, with one more for each decision: (1, n, columns) log-probabilities, NaN where
        it abstains.
        """
        out = dict(sources)
        for name, speaker in self.fitted.items():
            out[name] = log_scores(speaker.speak(out, features, np.arange(n)))
        return out

    def save(self, folder: Path) -> None:
        """Writes one folder a decision, and their order."""
        folders = {name: _folder(number, name) for number, name in enumerate(self.fitted, 1)}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "order.json").write_text(json.dumps(folders, indent=1, ensure_ascii=False), encoding="utf-8")
        for name, speaker in self.fitted.items():
            speaker.save(folder / folders[name])

    @classmethod
    def load(cls, folder: Path, spec: Spec, wiring: Wiring) -> Self:
        """Reads what `save` wrote, through the parts that the spec names.

        Raises: RunError naming the file that is missing, broken or not of this spec.
        """
        order = folder / "order.json"
        stored = list(read_json(order, dict[str, str], expected="the decisions' order", mend="copy the run again"))
        expected = [wired.name for wired in wiring.decisions]
        if stored != expected:
            raise RunError(f"holds decisions {stored}", f"{expected}, as in the spec", "copy the run again", str(order))
        return cls({w.name: _load(folder / _folder(i, w.name), w, spec) for i, w in enumerate(wiring.decisions, 1)})


def fit_decisions(
    spec: Spec, wiring: Wiring, table: ScoreTable, features: FeatureSource, *, watch: Watch = silent
) -> tuple[FittedDecisions, ScoreTable]:
    """Fits every decision in order. The table given back has one more source for each, out of fold about every
    case that it learnt from.

    `features.fit` and `features.read` are asked about the table's cases, by position.

    Raises: SpecError if a decision has nothing to learn from; PartError if a part breaks its contract; TableError for
    groups that stand in two splits.
    """
    refuse_torn_groups(table.groups, table.split, "the table of scores")
    fitted: dict[str, Speaker] = {}
    for wired in wiring.decisions:
        fitted[wired.name], scores = fit_decision(spec, wired, table, features, watch=watch)
        table = table.with_source(wired.name, scores)
    return FittedDecisions(fitted), table


def fit_decision(
    spec: Spec, wired: WiredDecision, table: ScoreTable, features: FeatureSource, *, watch: Watch = silent
) -> tuple[Speaker, Floats]:
    """Fits one decision on a table that has all sources it reads; gives it and its (1, n, columns) honest
    log-probabilities.
    """
    part, name, reads = wired.line.part, wired.name, wired.reads
    split = wired.learns_on(bool((table.split == "valid").any()))
    usable = _spoken_about(table, reads) if reads else np.ones(len(table), dtype=bool)
    given = learning(table, split, usable, derive(spec.plan.seed, name, "folds"))
    if not len(given.cases):
        raise SpecError(*_nothing(split, wired))
    if _reuses(wired, split == "valid"):
        watch(Notice(_REUSED.format(name=name), "warning"))
        given = Learning(given.cases, np.full(len(table), OUTSIDE))

    def learn(index: Ints) -> Speaker:
        if isinstance(part, SecondStage):
            whole = len(index) == len(given.cases)
            return FittedStage.learn(_stage(wired, part, spec), table, features, index, watch, whole)
        return FittedRule.learn(name, part, reads, table, index)

    speaker, p = speak_honestly(learn, table, features, given, name, watch)
    return speaker, log_scores(p)


def reused(wiring: Wiring, has_valid: bool) -> tuple[str, ...]:
    """Return a sentence for each decision that speaks about the very cases of `valid` that it learns on."""
    return tuple(_REUSED.format(name=wired.name) for wired in wiring.decisions if _reuses(wired, has_valid))


def _reuses(wired: WiredDecision, has_valid: bool) -> bool:
    return wired.line.learn == "valid-reused" and wired.learns_on(has_valid) == "valid"


def _spoken_about(table: ScoreTable, reads: tuple[str, ...]) -> NDArray[np.bool_]:
    """(n,) whether any of these sources speaks about the case."""
    return np.any([~np.isnan(table.sources[read]).any(axis=(0, 2)) for read in reads], axis=0)


def _nothing(split: str, wired: WiredDecision) -> tuple[str, str, str, str]:
    where = f"decisions.{wired.name}"
    if split == "train" and wired.reads:
        found = f"none of {list(wired.reads)} speaks out of fold about a train case"
        return found, "scores by networks that did not see it", "set training.folds, or let it learn on valid", where
    return f"there is no {split} case to learn from", "one or more", "give the split some cases", where


def _stage(wired: WiredDecision, part: SecondStage, spec: Spec) -> Stage:
    return Stage(wired.name, part, wired.reads, wired.features, spec.card.label_set, spec.plan.seed)


def _folder(number: int, name: str) -> str:
    """A decision's folder: names may hold what no file name may."""
    return f"{number}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}"


def _load(folder: Path, wired: WiredDecision, spec: Spec) -> Speaker:
    part = wired.line.part

    def reader_of(modality: str, stem: Path) -> Learnt:
        return load_reader(modality, spec.card.modalities[modality], stem)

    if isinstance(part, SecondStage):
        return FittedStage.load(folder, _stage(wired, part, spec), reader_of)
    return FittedRule.load(folder, wired.name, part, wired.reads, spec.card.label_set)
