"""Losses on scores: `cross-entropy` and `focal`, one way of averaging for both.

Per source and label: the mean over the cases whose label is known and where the source speaks. Then the mean over
labels by the card's weights, and over sources by `sources`. What is unknown or abstains weighs nothing; where nobody is
known the loss is zero, never NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mmfuse import Labels, Loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

ClassWeight = Literal["none", "balanced"]
Weight = Annotated[float, Field(ge=0)]


class CrossEntropy(Loss):
    """Cross-entropy of each label's softmax."""

    weighs_cases: ClassVar[bool] = True
    accumulates: ClassVar[bool] = True
    class_weight: ClassWeight = "none"
    """`balanced`: a case of class c counts n / (K n_c) times, K classes, n known training cases, n_c of class c; 0 if
    there are none."""
    largest_weight: Weight = 0.0
    """No class counts more than this; 0: unlimited. For labels with classes of a handful of cases."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target that is spread evenly over a label's classes (Szegedy et al. 2016, arXiv 1512.00567)."""
    sources: dict[str, Weight] = {}  # noqa: RUF012  # pydantic copies
    """Weight of a source in the mean over sources, by its name; `view/NAME` for a fusion's further views. Not named:
    1."""

    def build(self, labels: Labels, counts: NDArray[np.floating]) -> nn.Module:
        """→ a module: (outputs, targets, progress) → {source: its share}; the shares sum to the loss.

        The mean divides by the number of cases, not by the sum of their class weights: rare classes keep their weight
        in every batch.
        """
        from mmfuse.builtin.modules.losses import CrossEntropyTerm, SourceMean, class_weights

        weight = class_weights(labels, counts, self.class_weight == "balanced", self.largest_weight)
        return SourceMean(labels, CrossEntropyTerm(labels, weight, self.smoothing), self.sources)


class Focal(Loss):
    """Focal loss: cross-entropy in which cases that are already right count less.

    Lin, Goyal, Girshick, He, Dollár, "Focal loss for dense object detection", 2017, arXiv 1708.02002, eq. 5:
    -alpha_t (1 - p_t)^gamma log p_t, with p_t the softmax probability of the true class.
    """

    weighs_cases: ClassVar[bool] = True
    accumulates: ClassVar[bool] = True
    gamma: Annotated[float, Field(ge=0)] = 2.0
    """How much less; 0 is cross-entropy."""
    class_weight: ClassWeight = "none"
    """The paper's alpha. `balanced`: n / (K n_c) for class c, K classes, n known training cases, n_c of class c; 0 if
    there are none."""
    largest_weight: Weight = 0.0
    """No class counts more than this; 0: unlimited."""
    sources: dict[str, Weight] = {}  # noqa: RUF012  # pydantic copies
    """Weight of a source in the mean over sources, by its name; `view/NAME` for a fusion's further views. Not named:
    1."""

    def build(self, labels: Labels, counts: NDArray[np.floating]) -> nn.Module:
        """→ a module: (outputs, targets, progress) → {source: its share}; the shares sum to the loss."""
        from mmfuse.builtin.modules.losses import FocalTerm, SourceMean, class_weights

        weight = class_weights(labels, counts, self.class_weight == "balanced", self.largest_weight)
        return SourceMean(labels, FocalTerm(weight, self.gamma), self.sources)
