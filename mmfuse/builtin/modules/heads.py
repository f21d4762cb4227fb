"""What the builtin heads build: modules (batch, width) → `Scores`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmfuse import Scores
from mmfuse.builtin.modules.layers import perceptron


class LayerHead(nn.Module):
    """Layers, then one linear layer to the logits of all columns."""

    def __init__(self, layers: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.classifier = classifier

    def forward(self, vector: Tensor) -> Scores:
        return Scores(self.classifier(self.layers(vector)))


def perceptron_head(
    width: int, widths: Sequence[int], columns: int, norm: str, activation: str, dropout: float
) -> LayerHead:
    layers = perceptron(width, widths, norm, activation, dropout)
    return LayerHead(layers, nn.Linear(widths[-1] if widths else width, columns))
