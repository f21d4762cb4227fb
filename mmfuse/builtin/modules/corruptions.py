"""The corruptions that come with mmfuse: noise, speckle, blur, darkness, places taken or moved, the whole image spoilt.

Each changes one image in [0, 1] by a level, with the random numbers of its case; grey images stay grey.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmfuse import Corruption

GRID = 14
"""Patches along each side of an image, for what takes or moves patches."""


def _field(image: Tensor, rng: np.random.Generator) -> Tensor:
    """(height, width) standard normal numbers, the same in all channels: grey images stay grey."""
    drawn = rng.standard_normal((image.shape[1], image.shape[2]), dtype=np.float32)
    return torch.from_numpy(drawn).to(image.device)


def _noise(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    return (image + level * _field(image, rng)).clamp(0, 1)


def _speckle(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    return (image * (1 + level * _field(image, rng))).clamp(0, 1)


def _blur(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    """Gaussian; its deviation is `level` of the shorter side."""
    height, width = image.shape[1:]
    sigma = level * min(height, width)
    radius = min(math.ceil(3 * sigma), min(height, width) - 1)
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-0.5 * (steps / max(sigma, 1e-6)) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(image[None].float(), [radius] * 4, mode="reflect")
    three = kernel.repeat(3, 1, 1, 1)
    down = functional.conv2d(padded, three.transpose(2, 3), groups=3)
    return functional.conv2d(down, three, groups=3)[0].clamp(0, 1)


def _darken(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    return image * (1 - level)


def _patches(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    places = rng.permutation(GRID * GRID)[: round(level * GRID * GRID)]
    kept = np.ones(GRID * GRID, dtype=bool)
    kept[places] = False
    rows, columns = (np.arange(side) * GRID // side for side in image.shape[1:])
    mask = kept.reshape(GRID, GRID)[np.ix_(rows, columns)]
    return image * torch.from_numpy(mask).to(image.device)


def _static(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    drawn = rng.random((image.shape[1], image.shape[2]), dtype=np.float32)
    return torch.from_numpy(drawn).to(image.device).expand_as(image).contiguous()


def _shuffled(image: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    """Patches in another order; what is left over at the right and lower edge of an odd size stays."""
    high, wide = (max(1, side // GRID) for side in image.shape[1:])
    rows, columns = min(GRID, image.shape[1] // high), min(GRID, image.shape[2] // wide)
    inner = image[:, : rows * high, : columns * wide].reshape(3, rows, high, columns, wide)
    tiles = inner.permute(1, 3, 0, 2, 4).reshape(rows * columns, 3, high, wide)
    tiles = tiles[torch.from_numpy(rng.permutation(rows * columns)).to(image.device)]
    out = image.clone()
    out[:, : rows * high, : columns * wide] = (
        tiles.reshape(rows, columns, 3, high, wide).permute(2, 0, 3, 1, 4).reshape(3, rows * high, columns * wide)
    )
    return out


CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("normal noise is added, of deviation .05, .1, .2", (0.05, 0.1, 0.2), _noise),
    "speckle": Corruption("multiplied by 1 + normal noise, of deviation .15, .3, .6", (0.15, 0.3, 0.6), _speckle),
    "blur": Corruption("Gaussian, deviation .5, 1, 2 % of the shorter side", (0.005, 0.01, 0.02), _blur),
    "darkening": Corruption("30, 50, 70 % of the light is taken", (0.3, 0.5, 0.7), _darken),
    "patches": Corruption("25, 50, 75 % of 14 × 14 patches are black", (0.25, 0.5, 0.75), _patches),
    "shuffled": Corruption("the whole image: its 14 × 14 patches in another order", (1.0,), _shuffled),
    "static": Corruption("the whole image: noise in its place", (1.0,), _static),
    "absent": Corruption("the whole image: taken away", (1.0,), _darken, removes=True),
}
"""What a stress test shows, in the order in which it shows it."""
