"""What a network learns by: one forward pass from batches to named losses, as the one training loop wants it.

With labels it is network and loss (`Learner`); without, network and objective (`net.pretraining`).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmfuse.errors import PartError
from mmfuse.net.batches import Batch
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


class Learner(Lesson):
    """Network and loss in one forward pass, as distribution wants it."""

    def __init__(self, network: FusionNetwork, loss: nn.Module) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """The batch's losses by name: the loss part's, and what the fusion adds."""
        (batch,) = draws
        outputs = self.network(batch.inputs, batch.present, batch.known_of(IDENTITY))
        own = self.loss(outputs, batch.targets, progress)
        twice = sorted(set(own) & set(outputs.fused.losses))
        if twice:
            raise PartError(
                f"loss and fusion both name a loss {twice}", "names of their own", "rename one of them", "training.loss"
            )
        return {**own, **outputs.fused.losses}
