"""Decisions in the engine's hands: a rule fitted on scores, and how it speaks. The engine, not the rule, decides who
abstains (law 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from mmfuse.attribution import attributed
from mmfuse.decide.folding import FeatureSource
from mmfuse.decide.scores import ScoreTable, log_scores, stack
from mmfuse.errors import PartError, RunError
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.parts import DecisionFusion, Rule

SUMS = 1e-6
"""How far from one the answer of a stored rule may sum."""


@dataclass(frozen=True, eq=False)
class FittedRule:
    """A decision's rule and what it reads."""

    name: str
    part: DecisionFusion
    reads: tuple[str, ...]
    labels: Labels
    rule: Rule

    @classmethod
    def learn(cls, name: str, part: DecisionFusion, reads: tuple[str, ...], table: ScoreTable, index: Ints) -> Self:
        """Fits the rule on those cases."""
        chosen = {read: table.sources[read][:, index] for read in reads}
        scores = stack(chosen, reads, table.labels, part.per_view)
        with attributed(part, "`fit`", f"decisions.{name}"):
            rule = part.fit(scores, table.targets[index], table.labels, np.ones(len(index)))
        return cls(name, part, reads, table.labels, rule)

    def speak(self, sources: Mapping[str, Floats], features: FeatureSource | None, index: Ints) -> Floats:
        """(len(index), columns) probabilities; NaN where all that it reads abstain.

        Raises: PartError if the rule's answer has another shape, or none where a source speaks.
        """
        chosen = {read: sources[read][:, index] for read in self.reads}
        scores = stack(chosen, self.reads, self.labels, self.part.per_view)
        silent = np.isnan(scores).any(axis=(1, 3)).all(axis=0)
        p = np.full((len(index), self.labels.columns), np.nan)
        if silent.all():
            return p
        with attributed(self.part, "its rule", f"decisions.{self.name}"):
            answer = np.asarray(self.rule(scores[:, :, ~silent], self.labels))
        if answer.shape != ((~silent).sum(), self.labels.columns) or not np.isfinite(answer).all():
            raise PartError(
                f"the rule gave an array of shape {answer.shape} with {(~np.isfinite(answer)).sum()} NaN or infinite",
                f"({int((~silent).sum())}, {self.labels.columns}) probabilities, where at least one source speaks",
                f"check the part '{self.part.name}' with mmfuse.testing.check",
                f"decision '{self.name}'",
            )
        p[~silent] = answer
        return p

    def save(self, folder: Path) -> None:
        """Writes the rule's record."""
        self.rule.save(folder / "rule")

    @classmethod
    def load(cls, folder: Path, name: str, part: DecisionFusion, reads: tuple[str, ...], labels: Labels) -> Self:
        """Reads what `save` wrote, and asks it once.

        Raises: RunError where it is broken, or belongs to other sources or classes.
        """
        with attributed(part, "`rule.load`", f"decisions.{name}"):
            rule = part.rule.load(folder / "rule")
        loaded = cls(name, part, reads, labels, rule)
        blank = log_scores(labels.normalise(np.zeros((1, labels.columns))))
        try:
            p = loaded.speak(dict.fromkeys(reads, blank), None, np.arange(1))
            sums = np.array([p[0, part].sum() for part in labels.slices.values()])
            fault = "" if (np.abs(sums - 1) < SUMS).all() and (p >= 0).all() else f"it gives {p[0].tolist()}"
        except Exception as error:  # a part's own code, on what was stored
            fault = f"{type(error).__name__}: {error}"
        if fault:
            found = f"makes no probabilities of {len(reads)} sources: {fault}"
            raise RunError(found, "the rule that was stored", "copy the run again", str(folder / "rule"))
        return loaded
