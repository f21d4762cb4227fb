"""The head `softmax-over-labels`: several yes-or-no labels answered as one question, which disease it is.

For one two-class label a disease, each with an answer of its own, take the core's `mlp` or `linear`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mmfuse import Head, Labels
from mmfuse_fundus.counting import counted, refuse_others

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

WHERE = "network.head"


class SoftmaxOverLabels(Head):
    """One softmax over the positive classes of all labels; a label's columns are [log(1 - p), log p].

    Li et al. 2022 (Micromachines 13(6):947) classify eight labels by a softmax. Its probabilities sum to one over
    labels, so at threshold 0.5 a case has one positive label at most, whatever it has in truth: `cautions` tells the
    cap. The layers before it are those of a re-implementation (1024, 512, dropout 0.5); the paper's are not known.
    Learn it by `categorical-over-labels`.
    """

    widths: tuple[Annotated[int, Field(ge=1)], ...] = (1024, 512)
    """Width of each layer before the last; empty: none."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """After each activation."""
    activation: Literal["relu", "silu", "gelu"] = "relu"
    """Of each layer."""

    def cautions(self, labels: Labels, targets: NDArray[np.integer]) -> tuple[str, ...]:
        """The cap, where some of these cases have several positive labels."""
        refuse_others(labels, f"head '{self.name}'", WHERE)
        found = counted(labels, targets)
        if not found.several:
            return ()
        return (
            f"{found.several} of {found.cases} training cases have several positive labels, and a softmax over labels "
            f"calls one a case at most (threshold 0.5): micro-averaged recall is capped at {found.recall_cap:.2%} "
            f"({found.with_any} of {found.positives} positive labels), every label right at {found.exact_cap:.2%} of "
            "cases; an `mlp` head has no such cap",
        )

    def build(self, width: int, labels: Labels) -> nn.Module:
        """→ a module: (batch, width) → `Scores`, log-probabilities (batch, columns).

        Raises: SpecError unless there are two labels or more, each of two classes.
        """
        from mmfuse_fundus.modules.labels import SharedSoftmax

        refuse_others(labels, f"head '{self.name}'", WHERE)
        return SharedSoftmax(width, self.widths, labels, self.activation, self.dropout)
