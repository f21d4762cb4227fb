"""One head for mmfuse. torch is imported inside `build`, so that listing the parts stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    from torch import nn


class NewPart(mmfuse.Head):
    """A normalised vector, dropout, and one linear map to the columns of all labels."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Chance that an entry of the vector is hidden in training."""

    def build(self, width: int, labels: mmfuse.Labels) -> nn.Module:
        """(batch, width) → (batch, columns) logits."""
        from torch import nn

        return nn.Sequential(nn.LayerNorm(width), nn.Dropout(self.dropout), nn.Linear(width, labels.columns))


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
