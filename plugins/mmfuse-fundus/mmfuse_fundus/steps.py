"""Steps on fundus photographs: `disc-crop`, `clahe` and `ben-graham`, done once before the cache.

Left eyes are mirrored by the core's own step: `modalities.left.steps = [{ use = "mirror" }]`. OpenCV is imported where
a step works, not before.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mmfuse import Step
from mmfuse_fundus.disc import Disc, Pixels, find_disc

GREY = 128
"""Where local contrast is nought."""


class DiscCrop(Step):
    """Cuts a fundus photograph to its bright disc; a picture in which none stands out stays as it is.

    Robust to dark, off-centre, already cropped and letterboxed pictures: the disc is the largest connected region that
    is brighter than the darkest corner.
    """

    square: bool = True
    """Make the crop square, so that a later change of size does not stretch it: a disc cut at the picture's edge is
    completed in black on that side."""
    margin: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Left around the disc, as a share of its radius."""
    tolerance: Annotated[float, Field(ge=0, lt=0.5)] = 0.02
    """A crop that would move no edge further than this share of its side is not done: the picture is cropped
    already."""

    def apply(self, image: Pixels) -> Pixels:
        """(height, width, 3) uint8 RGB → the same kind, any size."""
        disc = find_disc(image)
        if disc is None:
            return image
        height, width = image.shape[:2]
        top, bottom, left, right = self._box(disc, height, width)
        moved = max(abs(top), abs(height - bottom)) / height, max(abs(left), abs(width - right)) / width
        if max(moved) <= self.tolerance:
            return image
        inside = image[max(top, 0) : bottom, max(left, 0) : right]
        out = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
        y, x = max(-top, 0), max(-left, 0)
        out[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        return out

    def _box(self, disc: Disc, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, bottom, left, right; beyond the picture where a cut disc is completed."""
        margin = round(self.margin * disc.radius)
        if self.square:
            rows, columns = disc.rows.grown(disc.side, height), disc.columns.grown(disc.side, width)
            return rows[0] - margin, rows[1] + margin, columns[0] - margin, columns[1] + margin
        top, bottom = max(disc.rows.start - margin, 0), min(disc.rows.stop + margin, height)
        return top, bottom, max(disc.columns.start - margin, 0), min(disc.columns.stop + margin, width)


class Clahe(Step):
    """Contrast-limited adaptive histogram equalisation of the lightness (L of CIE Lab); colours stay.

    Pizer et al., "Adaptive histogram equalization and its variations", Computer Vision, Graphics, and Image Processing
    39:355-368, 1987, as OpenCV computes it.
    """

    clip: Annotated[float, Field(gt=0)] = 2.0
    """How often a bin may hold what an even histogram would; the larger, the more contrast and noise."""
    tiles: Annotated[int, Field(ge=1, le=256)] = 8
    """Tiles along each side; each has a histogram of its own."""

    def apply(self, image: Pixels) -> Pixels:
        """(height, width, 3) uint8 RGB → the same shape."""
        import cv2

        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        equalise = cv2.createCLAHE(clipLimit=self.clip, tileGridSize=(self.tiles, self.tiles))
        lab[..., 0] = equalise.apply(np.ascontiguousarray(lab[..., 0]))
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)


class BenGraham(Step):
    """Local contrast instead of brightness: `gain` · I - `gain` · Gauss(I, σ) + 128, σ in proportion to the disc.

    B. Graham, "Kaggle diabetic retinopathy detection competition report", University of Warwick, 2015: gain 4, σ a
    thirtieth of the disc's radius, the rim cut at 0.9 of it. Of a large photograph take a smaller copy first
    (`resize`): the blur costs in proportion to σ.
    """

    gain: Annotated[float, Field(gt=0)] = 4.0
    """How much local contrast is amplified."""
    sigma: Annotated[float, Field(gt=0, le=1)] = 1 / 30
    """Of the Gaussian, as a share of the disc's radius (others use 10 pixels at 224: 0.09). Where no disc stands out,
    half the shorter side counts as the radius."""
    inside: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the radius that stays; beyond it all is grey (128), since the rim itself is the strongest contrast. 0,
    or where no disc stands out: nothing is masked."""

    def apply(self, image: Pixels) -> Pixels:
        """(height, width, 3) uint8 RGB → the same shape."""
        import cv2

        disc = find_disc(image)
        radius = min(image.shape[:2]) / 2 if disc is None else disc.radius
        exact = image.astype(np.float32)
        # Beyond the edge the picture goes on as a mirror image: black there would be a rim of its own.
        blurred = cv2.GaussianBlur(exact, (0, 0), max(self.sigma * radius, 0.3), borderType=cv2.BORDER_REFLECT_101)
        out = np.clip(np.rint(self.gain * (exact - blurred) + GREY), 0, 255).astype(np.uint8)
        if disc is not None and self.inside:
            out[_beyond(disc, self.inside, image.shape[0], image.shape[1])] = GREY
        return out


def _beyond(disc: Disc, share: float, height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(height, width) where a place lies outside `share` of the disc's radius."""
    (top, bottom), (left, right) = disc.rows.grown(disc.side, height), disc.columns.grown(disc.side, width)
    y, x = np.ogrid[:height, :width]
    y, x = y - (top + bottom - 1) / 2, x - (left + right - 1) / 2
    return np.asarray(y * y + x * x > (share * disc.radius) ** 2)
