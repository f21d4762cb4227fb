"""One encoder for mmfuse. torch is imported inside `build`, so that listing the parts stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    from torch import nn


class NewPart(mmfuse.Encoder):
    """Two small convolutions of an image and the mean over its places."""

    width: Annotated[int, Field(ge=1)] = 32
    """Length of the feature vector."""

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """(batch, channels, height, width) in [0, 1] → (batch, width)."""
        from torch import nn

        return nn.Sequential(
            nn.BatchNorm2d(shape[0]),  # an encoder normalises its own input
            nn.Conv2d(shape[0], self.width, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.width, self.width, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
