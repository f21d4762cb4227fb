"""One loss for mmfuse. torch is imported inside `build`, so that listing the parts stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class NewPart(mmfuse.Loss):
    """Cross-entropy of every source, smoothed, summed over the labels."""

    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the target that is spread over all classes."""

    def build(self, labels: mmfuse.Labels, counts: np.ndarray) -> nn.Module:
        """(outputs, (batch, labels) targets with -1 unknown, progress) → {source: scalar}."""
        from torch import nn
        from torch.nn.functional import cross_entropy

        smoothing = self.smoothing

        class Smoothed(nn.Module):
            def forward(self, outputs: mmfuse.Outputs, targets: Tensor, progress: float) -> dict[str, Tensor]:
                losses = {}
                for source, scores in outputs.scores.items():
                    # zero, but of the network, for batches in which nothing is known
                    losses[source] = scores.logits.nan_to_num().sum() * 0
                    for index, columns in enumerate(labels.slices.values()):
                        logits, target = scores.logits[:, columns], targets[:, index]
                        # an unknown label weighs nothing, and neither does a source that abstains (NaN)
                        counted = (target >= 0) & ~logits.isnan().any(dim=1)
                        if counted.any():
                            loss = cross_entropy(logits[counted], target[counted], label_smoothing=smoothing)
                            losses[source] = losses[source] + loss
                return losses

        return Smoothed()


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
