"""One step for mmfuse: a fixed change of an image, made once, before the cache."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

import mmfuse


class NewPart(mmfuse.Step):
    """Scales each colour until its mean is grey (grey-world colour constancy)."""

    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    """0: the image as it is; 1: the means of the three colours are equal."""

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(height, width, 3) uint8 → the same kind."""
        means = np.maximum(image.mean(axis=(0, 1)), 1.0)
        gain = 1 + self.strength * (means.mean() / means - 1)
        return np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
