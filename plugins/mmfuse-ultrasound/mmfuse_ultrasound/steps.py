"""Steps for ultrasound images: a crop of burned-in borders, and a contrast that keeps speckle.

NumPy alone. Both leave an image in which there is nothing to go by (black, of one grey) as it is.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mmfuse import Step

Pixels = NDArray[np.uint8]
Level = Annotated[int, Field(ge=0, le=255)]

GAP = 0.02
"""Dark rows (or columns) up to this share of the side are part of what they lie in."""
LIT = 0.02
"""Share of a row (or column) that must be brighter than `dark` for the row to be tissue, not border."""


class UltrasoundCrop(Step):
    """Cuts black borders, and what is written in them, off an ultrasound image.

    A row or column is border where at most 2 % of its pixels are brighter than `dark`. The longest run of others is the
    scan; text and scales that a black gap parts from it go with the border. A side that would lose more than `most` is
    not touched: a deep shadow or an echo-free depth is a finding, not a border. A black image stays as it is.
    """

    dark: Level = 16
    """Grey level up to which a pixel counts as black; JPEG's ripple around black is of some levels."""
    most: Annotated[float, Field(gt=0, lt=0.5)] = 0.25
    """The largest share of a side's length that is cut at either of its ends."""

    def apply(self, image: Pixels) -> Pixels:
        lit = image.max(axis=2) > self.dark
        top, bottom = self._span(lit)
        left, right = self._span(lit[top:bottom].T)
        return np.ascontiguousarray(image[top:bottom, left:right])

    def _span(self, lit: NDArray[np.bool_]) -> tuple[int, int]:
        """Where the scan begins and ends along the first axis; all of it where nothing is lit."""
        size = len(lit)
        inside = np.flatnonzero(lit.mean(axis=1) > LIT)
        if not len(inside):
            return 0, size
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > max(2, round(GAP * size))) + 1)
        longest = max(runs, key=len)
        start, end = int(longest[0]), int(longest[-1]) + 1
        most = self.most * size
        return (start if start <= most else 0), (end if size - end <= most else size)


class SpeckleContrast(Step):
    """Stretches the greys between two percentiles over the whole range, mildly, the same map for every pixel.

    Speckle is multiplicative interference whose local statistics carry the texture (Burckhardt, IEEE Trans. Sonics
    Ultrason. 25, 1978), and shadow and enhancement behind a lesion are signs. One rising map of the grey level keeps
    the order of all pixels, so both stay; local equalisation (CLAHE) would lift the noise of echo-free places and level
    the shadows. Black stays black.
    """

    low: Annotated[float, Field(ge=0, lt=50)] = 1.0
    """Percentile of brightness that becomes black."""
    high: Annotated[float, Field(gt=50, le=100)] = 99.0
    """Percentile of brightness that becomes white."""
    gamma: Annotated[float, Field(ge=0.4, le=2.5)] = 1.0
    """Exponent after the stretch; below 1 lifts the dark greys."""
    gain: Annotated[float, Field(ge=1, le=8)] = 2.0
    """The steepest stretch: a dark image is not blown up to noise."""

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.high - self.low < 10:
            raise ValueError(f"between the percentiles {self.low:g} and {self.high:g} lies too little; low 1, high 99")
        return self

    def apply(self, image: Pixels) -> Pixels:
        bright = image.max(axis=2)
        scan = bright[bright > 0]  # black corners of a sector say nothing about the tissue
        if not len(scan):
            return image.copy()
        low, high = np.percentile(scan, [self.low, self.high])
        if high - low < 1:
            return image.copy()
        width = max(high - low, 255 / self.gain)
        greys = np.clip((np.arange(256) - low) / width, 0, 1) ** self.gamma
        return np.rint(255 * greys).astype(np.uint8)[image]
