"""What a network learns by: one forward pass from batches to named losses, as the one training loop wants it.

With labels it is network and loss (`Learner`); without, network and objective (`net.pretraining`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmfuse.errors import PartError
from mmfuse.net.batches import Batch
from mmfuse.net.features import ALIKE
from mmfuse.net.network import FusionNetwork
from mmfuse.net.views import IDENTITY


class Lesson(nn.Module):
    """All that learns in one training, the network within it; everything it holds is in a checkpoint."""

    network: FusionNetwork
    draws: int = 1
    """How many augmented readings of a batch a step takes."""

    def begin_epoch(self, epoch: int) -> tuple[str, ...]:
        """Called before each epoch (from 1); gives sentences that the user should read."""
        return ()

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """Losses by name, of one batch under its augmented readings; `progress` in [0, 1] is the share of training that
        is done."""
        raise NotImplementedError


def learning(lesson: Lesson, state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """A state without the encoders that are held whole: they stay as they were made. `prefix`: of the network in it."""
    network = lesson.network
    held = tuple(f"{prefix}encoders.{network.keys[m]}." for m in network.modalities if network.is_frozen(m))
    return {key: tensor for key, tensor in state.items() if not key.startswith(held)}


class Learner(Lesson):
    """Network and loss in one forward pass, as distribution wants it. `weight` (all cases): how much each counts in the
    loss; one number: all alike."""

    weight: Tensor

    def __init__(self, network: FusionNetwork, loss: nn.Module, weight: Tensor = ALIKE) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """The batch's losses by name: the loss part's, and what the fusion adds."""
        (batch,) = draws
        outputs = self.network(batch.inputs, batch.present, batch.known_of(IDENTITY))
        weight = self.weight[torch.from_numpy(batch.index)] if self.weight.dim() else self.weight
        own = self.loss(outputs._replace(weight=weight), batch.targets, progress)
        twice = sorted(set(own) & set(outputs.fused.losses))
        if twice:
            found = f"loss and fusion both name a loss {twice}"
            raise PartError(found, "names of their own", "rename one of them", "training.loss")
        return {**own, **outputs.fused.losses}
