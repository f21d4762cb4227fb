"""Augmentations of images in training: `geometry`, `colour`, `crop`, `grey` and `blur`.

One draw a case, which no image size enters: images of any sizes share it. Images stay in [0, 1] and keep their size.
Nothing here imports torch or kornia before `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from mmfuse import Augmentation

if TYPE_CHECKING:
    from torch import nn

Chance = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Geometry(Augmentation):
    """Flips, quarter turns, rotation, scale, shift and shear, done at once as one affine map.

    A case is changed with chance `p`; then each of the flips, the quarter turn and the free affine map (rotation,
    scale, shift and shear together) is done with chance `each`, in this order. Image and content turn about the image's
    centre.
    """

    p: Chance = 1.0
    """Chance that a case is changed at all."""
    each: Chance = 0.5
    """Chance of each operation, in a case that is changed."""
    flip_x: bool = True
    """Mirror left and right."""
    flip_y: bool = True
    """Mirror top and bottom."""
    rotate90: bool = True
    """Turn by 0, 90, 180 or 270 degrees, equally likely."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 45.0
    """Largest angle in degrees, either way."""
    scale: tuple[Positive, Positive] = (0.8, 1.25)
    """Smallest and largest factor."""
    shift: Annotated[float, Field(ge=0, le=1)] = 0.0625
    """Largest shift along each axis, as a share of the image's width or height."""
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Largest shear angle in degrees along x, either way."""
    padding: Literal["reflection", "zeros", "border"] = "reflection"
    """What lies beyond the border."""
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    """Between pixels."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        _ascending("scale", self.scale)
        return self

    def build(self) -> nn.Module:
        """→ a module with `draw(cases, generator)` and `forward(images, draw)`; see `mmfuse.Augmentation`."""
        from mmfuse.builtin.modules.augmentations import AffineChange

        return AffineChange(self)


class Colour(Augmentation):
    """Contrast, brightness, saturation and hue.

    x → contrast · x + brightness, clipped to [0, 1]; then grey + saturation · (x - grey), clipped; then the hue turns.
    """

    p: Chance = 0.5
    """Chance that a case is changed."""
    brightness: Chance = 0.2
    """Largest amount added, either way; the full range is 1."""
    contrast: Chance = 0.2
    """The factor lies in [1 - contrast, 1 + contrast]."""
    saturation: Chance = 0.2
    """The factor lies in [1 - saturation, 1 + saturation]."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest turn of the hue, either way; the full circle is 1. Anything but 0 takes longer than all the rest."""

    def build(self) -> nn.Module:
        """→ a module with `draw(cases, generator)` and `forward(images, draw)`; see `mmfuse.Augmentation`."""
        from mmfuse.builtin.modules.augmentations import ColourChange

        return ColourChange(self)


class Crop(Augmentation):
    """A random part of the image, resized to the image's size.

    Random resized crop: Szegedy et al., "Going deeper with convolutions", 2015, arXiv 1409.4842, section 6.
    """

    p: Chance = 1.0
    """Chance that a case is changed."""
    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (0.5, 1.0)
    """Smallest and largest share of the image's area."""
    ratio: tuple[Positive, Positive] = (0.75, 1.3333)
    """Narrowest and widest part: its width over its height, relative to the image's own; uniform on a logarithmic
    scale."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        _ascending("scale", self.scale)
        _ascending("ratio", self.ratio)
        return self

    def build(self) -> nn.Module:
        """→ a module with `draw(cases, generator)` and `forward(images, draw)`; see `mmfuse.Augmentation`."""
        from mmfuse.builtin.modules.augmentations import CropChange

        return CropChange(self)


class Grey(Augmentation):
    """Takes the colours out: brightness (ITU-R BT.601) in all three channels."""

    p: Chance = 0.2
    """Chance that a case is changed."""

    def build(self) -> nn.Module:
        """→ a module with `draw(cases, generator)` and `forward(images, draw)`; see `mmfuse.Augmentation`."""
        from mmfuse.builtin.modules.augmentations import GreyChange

        return GreyChange(self)


class Blur(Augmentation):
    """Gaussian blur whose width is a share of the image, so that images of any size are blurred alike.

    SimCLR (Chen et al. 2020, appendix A) draws σ between 0.1 and 2 pixels at 224.
    """

    p: Chance = 0.5
    """Chance that a case is changed."""
    sigma: tuple[Positive, Positive] = (0.0005, 0.009)
    """Smallest and largest standard deviation, as a share of the image's shorter side; uniform between."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        _ascending("sigma", self.sigma)
        return self

    def build(self) -> nn.Module:
        """→ a module with `draw(cases, generator)` and `forward(images, draw)`; see `mmfuse.Augmentation`."""
        from mmfuse.builtin.modules.augmentations import BlurChange

        return BlurChange(self)


def _ascending(knob: str, given: tuple[float, float]) -> None:
    if given[0] > given[1]:
        raise ValueError(f"{knob} goes from {given[0]} down to {given[1]}; give the smaller number first")
