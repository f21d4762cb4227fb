"""The steps that come with mmfuse: fixed changes of an image, done once before it is cached."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mmfuse import Step, TableError

Pixels = NDArray[np.uint8]
Side = Annotated[int, Field(ge=1, le=8192)]

LUMA = np.array([299, 587, 114], dtype=np.uint32)
"""Thousandths of red, green and blue in brightness (ITU-R BT.601)."""


class BorderCrop(Step):
    """Cuts the same margin off all four sides: a black frame, a ruler."""

    pixels: Annotated[int, Field(ge=0)] = 0
    """Width of the margin."""
    fraction: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """In place of `pixels`: the margin as a share of each side's length."""

    @model_validator(mode="after")
    def _one_margin(self) -> Self:
        if self.pixels and self.fraction:
            raise ValueError("the margin is given twice; leave out `pixels` or `fraction`")
        return self

    def apply(self, image: Pixels) -> Pixels:
        """Raises: TableError if the margins meet."""
        height, width = image.shape[:2]
        high, wide = (self.pixels or round(side * self.fraction) for side in (height, width))
        if 2 * high >= height or 2 * wide >= width:
            raise TableError(
                f"a margin of {max(high, wide)} pixels leaves nothing of {width} × {height}",
                "a margin narrower than half the image",
                "cut less, or leave this image out",
            )
        return np.ascontiguousarray(image[high : height - high, wide : width - wide])


class Resize(Step):
    """Brings an image to a size before further steps."""

    size: Side | tuple[Side, Side] = 224
    """The side of a square, or (height, width)."""
    aspect: Literal["stretch", "pad", "crop"] = "stretch"
    """How another shape becomes this one: stretched, whole between black bars, or its middle."""
    resize: Literal["bilinear", "bicubic", "lanczos", "area"] = "bilinear"
    """The filter; all are antialiased."""

    def apply(self, image: Pixels) -> Pixels:
        from mmfuse.builtin.decoding import image_of, pixels_of, resized

        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return pixels_of(resized(image_of(image), height, width, self.aspect, self.resize))


class Grey(Step):
    """Takes the colours out: brightness in all three channels."""

    def apply(self, image: Pixels) -> Pixels:
        luma = (image @ LUMA + 500) // 1000
        return np.repeat(luma.astype(np.uint8)[..., None], 3, axis=2)


class Mirror(Step):
    """Swaps left and right: a left eye as a right one."""

    def apply(self, image: Pixels) -> Pixels:
        return np.ascontiguousarray(image[:, ::-1])


class CentreMask(Step):
    """Blacks out the middle, so that only the frame is left: what an answer could be read from beside the lesion."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """The share of each side's length that is masked."""

    def apply(self, image: Pixels) -> Pixels:
        out = image.copy()
        height, width = image.shape[:2]
        top, left = (round(side * (1 - self.fraction) / 2) for side in (height, width))
        out[top : height - top, left : width - left] = 0
        return out
