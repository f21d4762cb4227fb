"""The loss `categorical-over-labels`: cross-entropy of one softmax over all yes-or-no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mmfuse import Labels, Loss
from mmfuse_fundus.counting import counted, refuse_others

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

WHERE = "training.loss"


class CategoricalOverLabels(Loss):
    """-Σ q log p over the positive classes of all labels, q the case's positive labels as shares.

    For the head `softmax-over-labels`, whose p sums to one over labels; other heads' p are divided by their sum. A case
    without a positive label teaches nothing. An unknown label is left out of both sums. The mean over cases that teach,
    then over sources; a label counts by its weight in the card.
    """

    accumulates: ClassVar[bool] = True
    target: Literal["normalised", "first"] = "normalised"
    """Of a case with k positive labels: each has a share of 1/k, or the first in the card's order is the only one.
    Which of them Li et al. 2022 took is not known; `normalised` forgets no disease."""

    def cautions(self, labels: Labels, targets: NDArray[np.integer]) -> tuple[str, ...]:
        """What becomes of cases with several positive labels, or with none."""
        refuse_others(labels, f"loss '{self.name}'", WHERE)
        found = counted(labels, targets)
        told = []
        if found.several and self.target == "normalised":
            told.append(
                f"{found.several} of {found.cases} training cases have several positive labels: each is taught as 1/k, "
                "so that none of them is to exceed 0.5"
            )
        elif found.several:
            told.append(
                f"{found.several} of {found.cases} training cases have several positive labels, of which the first "
                f"alone is taught: {found.positives - found.with_any} of {found.positives} are taught as absent"
            )
        if found.cases > found.with_any:
            told.append(f"{found.cases - found.with_any} training cases without a positive label teach nothing")
        return tuple(told)

    def build(self, labels: Labels, counts: NDArray[np.floating]) -> nn.Module:
        """→ a module: (outputs, targets, progress) → {source: its share}; the shares sum to the loss.

        Raises: SpecError unless there are two labels or more, each of two classes.
        """
        from mmfuse_fundus.modules.labels import Categorical

        refuse_others(labels, f"loss '{self.name}'", WHERE)
        return Categorical(labels, first=self.target == "first")
