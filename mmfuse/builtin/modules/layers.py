"""Layers that several builtin parts are made of. The network sees to batches of one case (`net/presence.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
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
