"""What the pair fusions build: modules `(features, present)` → `Fused`, taking the two modalities by sorted name.

Where one is absent, either its stand-in (which its tensors hold) or the other's features enter; its own input never
reaches a result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmfuse import Features, Fused


def of_both(
    names: tuple[str, ...],
    features: Mapping[str, Features],
    present: Mapping[str, Tensor],
    read: Callable[[Features], Tensor],
    other: bool,
) -> tuple[Tensor, Tensor]:
    """(batch, …) of either modality; with `other`, what is absent is replaced by the one that is there."""
    a, b = (read(features[name]) for name in names)
    if not other:
        return a, b
    here_a, here_b = (present[name].view(-1, *[1] * (a.dim() - 1)) for name in names)
    # Where neither is there both stand-ins stay: such a case has no prediction.
    return torch.where(~here_a & here_b, b, a), torch.where(~here_b & here_a, a, b)


def last_map(features: Features) -> Tensor:
    return features.maps[-1]


def vector(features: Features) -> Tensor:
    return features.vector


def over_places(x: Tensor) -> Tensor:
    """(batch, channels, …) → (batch, channels): the mean over all places."""
    return x.flatten(2).mean(dim=2)


class ConvolvedPair(nn.Module):
    """scale · conv1×1(ReLU(BN(conv3×3([a, b])))), then the mean over places."""

    def __init__(self, names: tuple[str, ...], channels: Sequence[int], width: int, scale: float) -> None:
        super().__init__()
        self.names = names
        width = width or channels[0]
        self.mix = nn.Sequential(
            nn.Conv2d(sum(channels), width, 3, padding=1, bias=False),  # the norm has one
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
        )
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        maps = torch.cat([last_map(features[name]) for name in self.names], dim=1)
        return Fused(over_places(self.scale * self.mix(maps)))


class PairFeatures(nn.Module):
    """[a + b, |a - b|, a · b] of vectors, or of maps and then the mean over places. `shape` is that of one case."""

    def __init__(self, names: tuple[str, ...], shape: tuple[int, ...], width: int, other: bool) -> None:
        super().__init__()
        self.names, self.other = names, other
        self.read = vector if len(shape) == 1 else last_map
        layer = nn.Linear if len(shape) == 1 else _pointwise
        self.project: nn.Module = layer(shape[0], width) if width else nn.Identity()

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        a, b = of_both(self.names, features, present, self.read, self.other)
        a, b = self.project(a), self.project(b)
        paired = torch.cat([a + b, (a - b).abs(), a * b], dim=1)
        return Fused(paired if paired.dim() == 2 else over_places(paired))


class CorrelatedPair(nn.Module):
    """[L, A g(R)] and [R, Aᵀ g(L)] with one affinity, each softmax over the places that are looked at."""

    def __init__(self, names: tuple[str, ...], channels: Sequence[int], width: int, other: bool) -> None:
        super().__init__()
        self.names, self.other = names, other
        first, second = channels
        self.theta, self.phi = _pointwise(first, width), _pointwise(second, width)
        self.value_first, self.value_second = _pointwise(first, width), _pointwise(second, width)

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        a, b = of_both(self.names, features, present, last_map, self.other)
        affinity = _affinity(self.theta(a), self.phi(b))
        to_a = _looked_up(affinity, self.value_second(b))
        to_b = _looked_up(affinity.transpose(1, 2), self.value_first(a))
        return Fused(torch.cat([over_places(a), to_a, over_places(b), to_b], dim=1))


class TiedCorrelatedPair(nn.Module):
    """The same projections both ways, then [L' + R', |L' - R'|]."""

    def __init__(self, names: tuple[str, ...], channels: Sequence[int], width: int, other: bool) -> None:
        super().__init__()
        self.names, self.other = names, other
        self.theta, self.value = _pointwise(channels[0], width), _pointwise(channels[0], width)
        # A key's bias would add the same to every place, which a softmax does not see.
        self.phi = nn.Conv2d(channels[0], width, 1, bias=False)

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        a, b = of_both(self.names, features, present, last_map, self.other)
        one, other = self._changed(a, b), self._changed(b, a)
        return Fused(torch.cat([one + other, (one - other).abs()], dim=1))

    def _changed(self, a: Tensor, b: Tensor) -> Tensor:
        """(batch, channels + width): the mean over places of [a, A g(b)]."""
        return torch.cat([over_places(a), _looked_up(_affinity(self.theta(a), self.phi(b)), self.value(b))], dim=1)


def _pointwise(channels: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 1)


def _affinity(query: Tensor, key: Tensor) -> Tensor:
    """(batch, width, h, w) twice → (batch, places of the query, places of the key), before the softmax."""
    return query.flatten(2).transpose(1, 2) @ key.flatten(2) / query.shape[1] ** 0.5


def _looked_up(affinity: Tensor, value: Tensor) -> Tensor:
    """The mean over places of softmax(affinity) · value → (batch, width)."""
    return (torch.softmax(affinity, dim=2).mean(dim=1, keepdim=True) @ value.flatten(2).transpose(1, 2)).squeeze(1)
