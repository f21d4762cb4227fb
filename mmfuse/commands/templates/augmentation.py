"""One augmentation for mmfuse. torch is imported inside `build`, so that listing the parts stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


class NewPart(mmfuse.Augmentation):
    """Makes each image brighter or darker by a random factor."""

    strength: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Largest share by which the brightness changes."""

    def build(self) -> nn.Module:
        """A module that draws once a case, and changes (cases, 3, height, width) in [0, 1] by what was drawn."""
        import torch
        from torch import nn

        strength = self.strength

        class Brightness(nn.Module):
            def draw(self, cases: int, generator: Generator) -> dict[str, Tensor]:
                return {"factor": 1 + strength * (2 * torch.rand(cases, generator=generator) - 1)}

            def forward(self, images: Tensor, draw: dict[str, Tensor]) -> Tensor:
                return (images * draw["factor"].to(images).view(-1, 1, 1, 1)).clamp(0, 1)

        return Brightness()


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
