"""Heads: `linear` and `mlp`.

The columns of all labels come from one layer, which equals a linear classifier a label, side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mmfuse import Head, Labels

if TYPE_CHECKING:
    from torch import nn


class Linear(Head):
    """One linear layer."""

    def build(self, width: int, labels: Labels) -> nn.Module:
        """→ a module: (batch, width) → `Scores`, logits (batch, columns)."""
        from mmfuse.builtin.modules.heads import perceptron_head

        return perceptron_head(width, (), labels.columns, "none", "silu", 0.0)


class Mlp(Head):
    """Layers of linear, norm, activation and dropout, then one linear layer to all columns.

    With its defaults the head of FusionM4Net (Tang et al., Medical Image Analysis 76:102307, 2022).
    """

    widths: tuple[Annotated[int, Field(ge=1)], ...] = (512, 128)
    """Width of each layer before the last; empty: none."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """After each activation."""
    norm: Literal["batch", "layer", "none"] = "batch"
    """Before each activation; `batch` uses running statistics where a batch holds one case."""
    activation: Literal["silu", "relu", "gelu"] = "silu"
    """Of each layer."""

    def build(self, width: int, labels: Labels) -> nn.Module:
        """→ a module: (batch, width) → `Scores`, logits (batch, columns)."""
        from mmfuse.builtin.modules.heads import perceptron_head

        return perceptron_head(width, self.widths, labels.columns, self.norm, self.activation, self.dropout)
