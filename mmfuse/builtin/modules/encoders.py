"""What the builtin encoders build: modules that give `Features` in one pass. Each normalises its own input (law 4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmfuse import Features, SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and standard deviation a colour."""


class Colours(nn.Module):
    """RGB in [0, 1] → what a model was trained on: (x - mean) / std a colour, then the colours' order."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], bgr: bool = False) -> None:
        super().__init__()
        self.bgr = bgr
        # Knobs decide these numbers, so they are no weights: a stored network is not asked for them.
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) → the same shape."""
        scaled = (images - self.mean) / self.std
        return scaled.flip(1) if self.bgr else scaled


class TimmEncoder(nn.Module):
    """A timm model without classifier: (batch, 3, height, width) in [0, 1] → `Features`.

    `size` is the (height, width) it was made for.

    Raises: SpecError when made with levels that the model has not.
    """

    model: Any
    """timm's models share a protocol (`forward_intermediates`, `forward_head` …), but no type."""

    def __init__(
        self,
        model: nn.Module,
        size: tuple[int, int],
        *,
        normalise: str = "model",
        bgr: bool = False,
        levels: tuple[int, ...] = (),
        tokens: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.size = size
        own = self.model.pretrained_cfg
        mean, std = {**NUMBERS, "model": (own["mean"], own["std"])}[normalise]
        self.colours = Colours(mean, std, bgr)
        self.levels = len(levels)
        self.tokens = tokens
        strides = _strides(model) if levels or tokens else []
        # Only the last norm puts the tokens of equal blocks on a common scale; pyramids are read as they are.
        self.norm = len(set(strides)) == 1
        self.indices = _indices(strides, levels, tokens, own.get("architecture", type(model).__name__))

    def forward(self, images: Tensor) -> Features:
        x = self.colours(images)
        if not self.indices:
            return Features(self.model(x).flatten(1))
        final, maps = self.model.forward_intermediates(x, indices=self.indices, norm=self.norm)
        tokens = maps[-1].flatten(2).transpose(1, 2) if self.tokens else None
        return Features(self.model.forward_head(final).flatten(1), tuple(maps[: self.levels]), tokens)


def _strides(model: Any) -> list[int]:  # noqa: ANN401  # timm's models share no type
    """Image pixels a place of each map that the model can give, in order; empty if it gives none."""
    try:
        info = model.feature_info
        _ = model.forward_intermediates
    except AttributeError:
        return []
    return [entry["reduction"] for entry in (info if isinstance(info, list) else info.info)]


def _indices(strides: list[int], levels: tuple[int, ...], tokens: bool, name: str) -> list[int]:
    """Which maps to take, ascending: the last of each level, and the very last for the tokens."""
    if not levels and not tokens:
        return []
    if not strides:
        raise SpecError(
            f"timm's {name} gives neither maps nor tokens",
            "a model that gives what is between its layers",
            "leave `levels` and `tokens` out, or take another model",
            "network.encoders",
        )
    # Patches of 14 pixels count as level 4: the nearest power of two.
    last = {round(math.log2(stride)): index for index, stride in enumerate(strides)}
    unknown = [level for level in levels if level not in last]
    if unknown:
        has = ", ".join(map(str, sorted(last)))
        raise SpecError(
            f"timm's {name} has no maps of levels {unknown}",
            f"levels among: {has}",
            f"levels = [{has}]",
            "network.encoders",
        )
    taken = sorted({last[level] for level in levels})
    return [*taken, len(strides) - 1] if tokens and len(strides) - 1 not in taken else taken


class VectorEncoder(nn.Module):
    """Layers over rows: (batch, width) → `Features` of a vector."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, rows: Tensor) -> Features:
        return Features(self.layers(rows))


class PixelEncoder(nn.Module):
    """The image as it is: (batch, 3, height, width) → `Features` of its mean a colour and one map."""

    def __init__(self, normalise: str) -> None:
        super().__init__()
        self.colours = Colours(*NUMBERS[normalise])

    def forward(self, images: Tensor) -> Features:
        x = self.colours(images)
        return Features(x.mean(dim=(2, 3)), (x,))
