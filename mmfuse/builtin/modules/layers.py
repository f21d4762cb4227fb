"""Layers that several builtin parts are made of. They take batches of any size, one case included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that uses the running statistics where a training batch has fewer than two cases."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, width) → (batch, width)."""
        if self.training and len(input) < 2:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(input)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": BatchNorm,
    "layer": nn.LayerNorm,
    "none": lambda width: nn.Identity(),
}


def perceptron(width: int, widths: Sequence[int], norm: str, activation: str, dropout: float) -> nn.Sequential:
    """(batch, width) → (batch, widths[-1]): linear → norm → activation → dropout for each width; none: the identity."""
    layers: list[nn.Module] = []
    for out in widths:
        layers += [nn.Linear(width, out), NORMS[norm](out), ACTIVATIONS[activation](), nn.Dropout(dropout)]
        width = out
    return nn.Sequential(*layers)
