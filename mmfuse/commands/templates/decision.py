"""One decision for mmfuse: a rule that makes one prediction of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import mmfuse


@dataclass(frozen=True, eq=False)
class NewRule(mmfuse.Rule):
    """What was learnt: here, how much each class's highest probability counts."""

    sharpness: float

    def __call__(self, scores: np.ndarray, labels: mmfuse.Labels) -> np.ndarray:
        """(sources, 1, cases, columns) log-probabilities, NaN: silent → (cases, columns) probabilities."""
        # fmax leaves a silent source out and stays NaN where all are silent
        highest = np.fmax.reduce(scores[:, 0], axis=0)
        return labels.softmax(self.sharpness * highest)


class NewPart(mmfuse.DecisionFusion):
    """The highest probability that any source gives to a class, renormalised (Kittler 1998, the max rule)."""

    rule: ClassVar[type[mmfuse.Rule]] = NewRule

    sharpness: float = 1.0
    """Above 1 the answers move away from even odds, below 1 towards them."""

    def fit(self, scores: np.ndarray, targets: np.ndarray, labels: mmfuse.Labels, weight: np.ndarray) -> NewRule:
        return NewRule(self.sharpness)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
