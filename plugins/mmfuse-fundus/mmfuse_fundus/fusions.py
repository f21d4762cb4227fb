"""Fusions of a pair (two eyes, two views): `concat-conv`, `symmetric-pair` and `spatial-correlation`.

Modalities are taken by name, in sorted order, so the order of a dict never matters. Maps are read from the last one
that an encoder gives (`levels`). Nothing here imports torch before `build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mmfuse import FeatureFusion, FlowShape, SpecError

if TYPE_CHECKING:
    from torch import nn

Absent = Literal["other", "stand-in"]
Width = Annotated[int, Field(ge=0)]
PAIR = (2, 2)
LAST = (-1,)
"""Of the maps, the last one alone is read."""
WHERE = "network.fusion"


class ConcatConv(FeatureFusion):
    """The last maps side by side, mixed by a 3×3 and a 1×1 convolution; an absent one enters by its stand-in.

    conv3×3 → batch norm → ReLU → conv1×1, times one learned scale, then the mean over places: the feature fusion module
    of a re-implementation of Li et al. 2022 (Micromachines 13(6):947); the paper itself says only that features are
    fused. It tells the two eyes apart.
    """

    width: Width = 0
    """Channels between the convolutions and of the result. 0: those of the first map, as in the re-implementation; with
    two ResNet50s the 3×3 convolution then has 75 million weights."""
    scale: Annotated[float, Field(gt=0)] = 0.5
    """What the learned scale starts at."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("maps",)

    @property
    def map_levels(self) -> tuple[int, ...]:
        return LAST

    @property
    def arity(self) -> tuple[int, int]:
        return PAIR

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        return _without_maps(self.name, modalities)

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, `width`).

        Raises: SpecError where an encoder gives no maps, or the last ones are of unequal size.
        """
        from mmfuse_fundus.modules.fusions import ConvolvedPair

        maps = _last_maps(flows, self.name)
        _refuse_unequal_sizes(maps, self.name)
        return ConvolvedPair(tuple(maps), [shape[0] for shape in maps.values()], self.width, self.scale)


class SymmetricPair(FeatureFusion):
    """[a + b, |a - b|, a · b]: what is in either, what differs, what is in both; who is left or right does not matter.

    Exactly the same after exchanging the two, if their encoder is shared.
    """

    of: Literal["vector", "map"] = "vector"
    """What is paired: the vectors, or the last maps place by place before the mean over places (for pairs that lie upon
    each other, such as a right eye and a mirrored left one)."""
    width: Width = 0
    """Both are first projected to this width, by one layer that they share; 0: taken as they are."""
    absent: Absent = "other"
    """Where one is absent, the other stands for both, so that exchange changes nothing there either; or its stand-in
    enters, which knows whom it stands for."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("vector",) if self.of == "vector" else ("maps",)

    @property
    def symmetric(self) -> bool:
        return True

    @property
    def map_levels(self) -> tuple[int, ...]:
        return LAST

    @property
    def arity(self) -> tuple[int, int]:
        return PAIR

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        return _without_maps(self.name, modalities) if self.of == "map" else ()

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, 3 times the width).

        Raises: SpecError for unequal widths or sizes, or where an encoder gives no maps that are to be read.
        """
        from mmfuse_fundus.modules.fusions import PairFeatures

        if self.of == "vector":
            shapes: Mapping[str, tuple[int, ...]] = {name: (flows[name].width,) for name in sorted(flows)}
        else:
            shapes = _last_maps(flows, self.name)
            _refuse_unequal_sizes(shapes, self.name)
        _refuse_unequal_widths(shapes, self.name)
        return PairFeatures(tuple(shapes), next(iter(shapes.values())), self.width, self.absent == "other")


class SpatialCorrelation(FeatureFusion):
    """Every place of one map looks at all places of the other and takes over what corresponds to it.

    A = softmax(θ(L)ᵀ φ(R) / √width) over the places of R; L' = [L, A g(R)], R' likewise with L; then the mean over
    places. The idea of DCNet (Li et al., ISBI 2020; He et al., Biomedical Signal Processing and Control 63:102167,
    2021), whose exact projections are not public. The root is ours: without it the softmax is saturated from the start.
    """

    width: Annotated[int, Field(ge=1)] = 256
    """Channels of θ, φ and g, each a 1×1 convolution."""
    tied: bool = False
    """The same θ, φ, g both ways and [L' + R', |L' - R'|] at the end: exactly the same after exchanging the two, if
    their encoder is shared. Otherwise each has its own g, one affinity serves both ways (its transpose backwards), and
    the end is [L', R']."""
    absent: Absent = "other"
    """Where one is absent, the other stands for both; or its stand-in enters."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("maps",)

    @property
    def symmetric(self) -> bool:
        return self.tied

    @property
    def map_levels(self) -> tuple[int, ...]:
        return LAST

    @property
    def arity(self) -> tuple[int, int]:
        return PAIR

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        return _without_maps(self.name, modalities)

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, channels of both + 2 · `width`).

        Raises: SpecError where an encoder gives no maps; for unequal ones where they are tied or may stand for each
        other.
        """
        from mmfuse_fundus.modules.fusions import CorrelatedPair, TiedCorrelatedPair

        maps = _last_maps(flows, self.name)
        if self.tied or self.absent == "other":
            _refuse_unequal_widths(maps, self.name)
            _refuse_unequal_sizes(maps, self.name)
        make = TiedCorrelatedPair if self.tied else CorrelatedPair
        return make(tuple(maps), [shape[0] for shape in maps.values()], self.width, self.absent == "other")


def _without_maps(fusion: str, modalities: Mapping[str, str]) -> tuple[str, ...]:
    odd = [f"'{name}' ({use})" for name, use in modalities.items() if use in ("table", "vector")]
    return (f"'{fusion}' mixes maps, and {' and '.join(odd)} has none: give it to a second stage",) if odd else ()


def _last_maps(flows: Mapping[str, FlowShape], fusion: str) -> dict[str, tuple[int, int, int]]:
    """(channels, height, width) of the last map of each modality, by sorted name."""
    none = [name for name in sorted(flows) if not flows[name].maps]
    if none:
        raise SpecError(
            f"fusion '{fusion}' reads maps, and the encoder of {' and '.join(map(repr, none))} gives none",
            "encoders that give maps",
            "levels = [5] in the encoder's line (`timm`, `attention-resnet`)",
            WHERE,
        )
    return {name: flows[name].maps[-1] for name in sorted(flows)}


def _refuse_unequal_sizes(maps: Mapping[str, tuple[int, ...]], fusion: str) -> None:
    if len({shape[1:] for shape in maps.values()}) > 1:
        found = ", ".join(f"{name} {shape[1]}×{shape[2]}" for name, shape in maps.items())
        raise SpecError(
            f"fusion '{fusion}' was given maps of unequal size: {found}",
            "maps of one size",
            "the same `size` for both images, and the same `levels`",
            WHERE,
        )


def _refuse_unequal_widths(shapes: Mapping[str, tuple[int, ...]], fusion: str) -> None:
    if len({shape[0] for shape in shapes.values()}) > 1:
        found = ", ".join(f"{name} {shape[0]}" for name, shape in shapes.items())
        raise SpecError(
            f"fusion '{fusion}' was given features of unequal width: {found}",
            "equal widths: the two are exchanged for each other",
            "one encoder for both (share = true), or `concat-conv`",
            WHERE,
        )
