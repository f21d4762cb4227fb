"""One fusion for mmfuse. torch is imported inside `build`, so that listing the parts stays fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    from torch import Tensor, nn


class NewPart(mmfuse.FeatureFusion):
    """Each modality through its own linear map, then the mean of those that are present."""

    width: Annotated[int, Field(ge=1)] = 128
    """Length of the fused vector."""

    def build(self, flows: Mapping[str, mmfuse.FlowShape]) -> nn.Module:
        """{modality: Features} and {modality: (batch,) present} → (batch, width)."""
        import torch
        from torch import nn

        class Mean(nn.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.maps = nn.ModuleDict({name: nn.Linear(flow.width, width) for name, flow in flows.items()})

            def forward(self, features: dict[str, mmfuse.Features], present: dict[str, Tensor]) -> Tensor:
                mapped = torch.stack([self.maps[name](features[name].vector) for name in flows])
                here = torch.stack([present[name] for name in flows]).unsqueeze(2).to(mapped.dtype)
                # an absent modality weighs nothing; a case without any keeps a vector of zeros
                return (mapped * here).sum(dim=0) / here.sum(dim=0).clamp(min=1)

        return Mean(self.width)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
