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
from mmfuse.decide.scores import ScoreTable, stack
from mmfuse.errors import PartError
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.parts import DecisionFusion, Rule


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

    def speak(self, sources: Mapping[str, Floats], features: FeatureSource, index: Ints) -> Floats:
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
        if answer.shape != ((~silent).sum(), self.labels.columns) or np.isnan(answer).any():
            raise PartError(
                f"the rule gave an array of shape {answer.shape} with {int(np.isnan(answer).sum())} NaN",
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
        """Reads what `save` wrote."""
        return cls(name, part, reads, labels, part.rule.load(folder / "rule"))
