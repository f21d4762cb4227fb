"""The head `label-relation`: a vector a label, and labels that look at each other before they answer.

Source: the label-relation-aware module of SM3 (Wang et al., Computer Methods and Programs in Biomedicine 265:108729,
2025), written from its description. Nothing here imports torch before `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from mmfuse import Head, Labels

if TYPE_CHECKING:
    from torch import nn

Count = Annotated[int, Field(ge=1)]


class LabelRelation(Head):
    """A projector a label, one transformer layer over the labels, a linear classifier a label.

    The layer is torch's `TransformerEncoderLayer` as it is by default: attention, then ReLU layers, each added and
    normalised after (post-norm). In eval mode `Scores.attention["labels"]` (batch, labels, labels) says how much each
    label (row) looks at each other one (column), a mean over attention heads; `Scores.tokens` (batch, labels, width)
    are the labels' vectors after the layer.
    """

    width: Count = 512
    """Of a label's vector."""
    attention_heads: Count = 1
    """Among which the width is divided."""
    ffn: Count = 128
    """Width of the layers after attention."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """In attention, after it, and in the layers after it."""
    label_embedding: bool = False
    """Whether a learnt vector a label is added to its projection; SM3 tells labels apart by their projectors alone."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.attention_heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.attention_heads} attention heads")
        return self

    def build(self, width: int, labels: Labels) -> nn.Module:
        """→ a module: (batch, width) → `Scores`, logits (batch, columns), tokens (batch, labels, `width` of the
        knob)."""
        from mmfuse_skin.modules.label_relation import Relation

        return Relation(self, width, labels)
