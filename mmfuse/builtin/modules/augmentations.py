"""What the builtin augmentations build: a draw a case on the CPU, then a batched change on the images' device.

Every draw takes the same number of random numbers a case whatever the knobs, and nothing else is random: what becomes
of a case depends on its own row of the draw alone. Cases that are not changed are passed on bit by bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from kornia.enhance import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation_with_gray_subtraction
from kornia.geometry.transform import warp_affine
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmfuse.builtin.augmentations import Blur, Colour, Crop, Geometry, Grey


def change(images: Tensor, changed: Tensor, how: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`images` with those that are `changed` (cases,) replaced by `how` of them, in float32, clipped to [0, 1].

    `how` is given the images to change and their indices, on the CPU.
    """
    rows = changed.nonzero()[:, 0]
    if not len(rows):
        return images
    there = rows.to(images.device)
    # Coordinates in half precision would be off by pixels.
    with torch.autocast(images.device.type, enabled=False):
        new = how(images[there].float(), rows).clamp(0, 1)
    return images.index_copy(0, there, new.to(images.dtype))


def between(low: float, high: float, u: Tensor) -> Tensor:
    return low + (high - low) * u


class AffineChange(nn.Module):
    """One affine map a case about the image's centre.

    `linear` (cases, 2, 2) acts on (x, y) in pixels, `shift` (cases, 2) is in widths and heights.
    """

    def __init__(self, knobs: Geometry) -> None:
        super().__init__()
        self.knobs = knobs

    def draw(self, cases: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`linear`, `shift`, and `changed` (cases,) bool."""
        knobs, u = self.knobs, torch.rand(cases, 11, generator=generator)
        on = u[:, 0] < knobs.p
        mirrored, flipped, turned, free = (on & (u[:, i] < knobs.each) for i in range(1, 5))
        mirrored, flipped, turned = mirrored & knobs.flip_x, flipped & knobs.flip_y, turned & knobs.rotate90
        x, y = 1.0 - 2.0 * mirrored, 1.0 - 2.0 * flipped
        flips = torch.diag_embed(torch.stack([x, y], dim=1))
        angle = torch.deg2rad(between(-knobs.rotation, knobs.rotation, u[:, 5])) * free
        scale = torch.where(free, between(*knobs.scale, u[:, 6]), 1.0)
        slant = torch.tan(torch.deg2rad(between(-knobs.shear, knobs.shear, u[:, 7]))) * free
        shear = torch.eye(2).repeat(cases, 1, 1)
        shear[:, 0, 1] = slant
        quarters = torch.floor(u[:, 8] * 4) * turned
        shift = between(-knobs.shift, knobs.shift, u[:, 9:11]) * free[:, None]
        linear = _turn(quarters * (math.pi / 2)).round() @ _turn(angle) @ shear @ flips * scale[:, None, None]
        changed = (linear != torch.eye(2)).flatten(1).any(1) | (shift != 0).any(1)
        return {"linear": linear, "shift": shift, "changed": changed}

    def forward(self, images: Tensor, draw: dict[str, Tensor]) -> Tensor:
        """(cases, 3, height, width) in [0, 1] → the same."""
        height, width = images.shape[-2:]
        centre = torch.tensor([(width - 1) / 2, (height - 1) / 2])
        moved = centre + draw["shift"] * torch.tensor([width, height]) - draw["linear"] @ centre
        matrices = torch.cat([draw["linear"], moved[:, :, None]], dim=2)

        def warp(some: Tensor, rows: Tensor) -> Tensor:
            there = matrices[rows].to(some.device)
            return warp_affine(some, there, (height, width), self.knobs.interpolation, self.knobs.padding)

        return change(images, draw["changed"], warp)


def _turn(angle: Tensor) -> Tensor:
    """(cases,) radians → (cases, 2, 2)."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)


class ColourChange(nn.Module):
    """Contrast, brightness, saturation and hue, in this order; a factor or amount a case."""

    def __init__(self, knobs: Colour) -> None:
        super().__init__()
        self.knobs = knobs

    def draw(self, cases: int, generator: torch.Generator) -> dict[str, Tensor]:
        """(cases,) each: `contrast`, `saturation` factors, `brightness` amount, `hue` in radians, `changed` bool."""
        knobs, u = self.knobs, torch.rand(cases, 5, generator=generator)
        return {
            "changed": u[:, 0] < knobs.p,
            "contrast": between(1 - knobs.contrast, 1 + knobs.contrast, u[:, 1]),
            "brightness": between(-knobs.brightness, knobs.brightness, u[:, 2]),
            "saturation": between(1 - knobs.saturation, 1 + knobs.saturation, u[:, 3]),
            "hue": between(-knobs.hue, knobs.hue, u[:, 4]) * (2 * math.pi),
        }

    def forward(self, images: Tensor, draw: dict[str, Tensor]) -> Tensor:
        """(cases, 3, height, width) in [0, 1] → the same."""

        def colour(some: Tensor, rows: Tensor) -> Tensor:
            at = {name: value[rows].to(some.device) for name, value in draw.items()}
            # Clipped once, after both: contrast alone may leave the range and brightness bring it back.
            some = adjust_brightness(adjust_contrast(some, at["contrast"], clip_output=False), at["brightness"])
            if self.knobs.saturation:
                some = adjust_saturation_with_gray_subtraction(some, at["saturation"])
            # The way to HSV and back takes longer than all else together.
            return adjust_hue(some, at["hue"]) if self.knobs.hue else some

        return change(images, draw["changed"], colour)


class CropChange(nn.Module):
    """A box a case, resized to the whole image: its size and corner along x and y, as shares of the image."""

    def __init__(self, knobs: Crop) -> None:
        super().__init__()
        self.knobs = knobs

    def draw(self, cases: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`size` and upper left `corner` (cases, 2) as shares of the image along x and y, `changed` (cases,) bool."""
        knobs, u = self.knobs, torch.rand(cases, 5, generator=generator)
        area = between(*knobs.scale, u[:, 1])
        root = torch.exp(between(math.log(knobs.ratio[0]), math.log(knobs.ratio[1]), u[:, 2]) / 2)
        # A box too wide or too high for its area is cut to the image.
        size = torch.stack([area.sqrt() * root, area.sqrt() / root], dim=1).clamp(max=1)
        return {"changed": u[:, 0] < knobs.p, "size": size, "corner": u[:, 3:5] * (1 - size)}

    def forward(self, images: Tensor, draw: dict[str, Tensor]) -> Tensor:
        """(cases, 3, height, width) in [0, 1] → the same."""
        height, width = images.shape[-2:]
        # Pixels are squares: the box's edges, not the centres of its outer pixels, become the image's edges.
        # The centre of pixel j lies at j + 0.5, so j goes to (j + 0.5 - corner) / size - 0.5.
        shift = (0.5 - draw["corner"] * torch.tensor([width, height])) / draw["size"] - 0.5
        matrices = torch.cat([torch.diag_embed(1 / draw["size"]), shift[:, :, None]], dim=2)

        def resize(some: Tensor, rows: Tensor) -> Tensor:
            return warp_affine(some, matrices[rows].to(some.device), (height, width), "bilinear", "border")

        return change(images, draw["changed"], resize)


class GreyChange(nn.Module):
    """Brightness in all three channels."""

    def __init__(self, knobs: Grey) -> None:
        super().__init__()
        self.knobs = knobs

    def draw(self, cases: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`changed` (cases,) bool."""
        return {"changed": torch.rand(cases, generator=generator) < self.knobs.p}

    def forward(self, images: Tensor, draw: dict[str, Tensor]) -> Tensor:
        """(cases, 3, height, width) in [0, 1] → the same."""

        def grey(some: Tensor, rows: Tensor) -> Tensor:
            red, green, blue = some.unbind(dim=1)
            return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].expand_as(some)

        return change(images, draw["changed"], grey)


class BlurChange(nn.Module):
    """A Gauss of its own width a case, along one axis and then the other; the border is mirrored."""

    def __init__(self, knobs: Blur) -> None:
        super().__init__()
        self.knobs = knobs

    def draw(self, cases: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`sigma` (cases,) as a share of the shorter side, `changed` (cases,) bool."""
        u = torch.rand(cases, 2, generator=generator)
        return {"changed": u[:, 0] < self.knobs.p, "sigma": between(*self.knobs.sigma, u[:, 1])}

    def forward(self, images: Tensor, draw: dict[str, Tensor]) -> Tensor:
        """(cases, 3, height, width) in [0, 1] → the same."""
        side = min(images.shape[-2:])
        # Three of the widest Gauss that the knobs allow, so that a case does not depend on its neighbours; a mirror
        # reaches no further than the image.
        reach = max(min(math.ceil(3 * self.knobs.sigma[1] * side), side - 1), 0)
        places = torch.arange(-reach, reach + 1)

        def blur(some: Tensor, rows: Tensor) -> Tensor:
            sigma = (draw["sigma"][rows] * side).to(some.device)[:, None]
            weight = torch.exp(-((places.to(some.device) / sigma) ** 2) / 2)
            weight = (weight / weight.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
            flat = some.flatten(0, 1)[None]  # each channel of each case is a group with its own weights
            wide = functional.pad(flat, (reach, reach, 0, 0), mode="reflect")
            flat = functional.conv2d(wide, weight[:, None, None, :], groups=len(weight))
            high = functional.pad(flat, (0, 0, reach, reach), mode="reflect")
            return functional.conv2d(high, weight[:, None, :, None], groups=len(weight))[0].view_as(some)

        return change(images, draw["changed"], blur)
