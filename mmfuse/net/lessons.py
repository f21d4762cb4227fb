"""What a network learns by: one forward pass from batches to named losses, as the one training loop wants it.

With labels it is network and loss (`Learner`); without, network and objective (`net.pretraining`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmfuse.attribution import attributed
from mmfuse.errors import PartError
from mmfuse.net.batches import Batch
from mmfuse.net.features import ALIKE, Features, Fused, Outputs, Scores, nothing_of
from mmfuse.net.gathering import gather, in_parts, joined
from mmfuse.net.network import FusionNetwork
from mmfuse.net.views import IDENTITY
from mmfuse.parts import Loss


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


def learning_from(tensor: Tensor, network: FusionNetwork) -> Tensor:
    """The same, with a gradient (of zero) where it has none: other processes may learn from theirs, and all go back
    together."""
    if joined()[1] == 1 or tensor.requires_grad or not tensor.is_floating_point():
        return tensor
    learns = next((p for p in network.parameters() if p.requires_grad), None)
    return tensor if learns is None else tensor + nothing_of([learns])


def of_all(outputs: Outputs, targets: Tensor, network: FusionNetwork) -> tuple[Outputs, Tensor]:
    """Outputs and targets of a slice → those of the whole batch, which joined processes hold slice by slice, so that a
    loss is that of one process whatever it takes a mean over. What a fusion adds becomes its mean over cases.

    Only scores, vectors and presence are joined: maps and tokens would be more to send than the gradients.
    """
    if joined()[1] == 1:
        return outputs, targets
    one = torch.ones(len(targets), device=targets.device)
    own: dict[tuple[str, str], Tensor] = {("targets", ""): targets, ("weight", ""): one * outputs.weight}
    own |= {("score", source): scores.logits for source, scores in outputs.scores.items()}
    own |= {("view", name): scores.logits for name, (scores, _) in outputs.views.items()}
    own |= {("counts", name): weight for name, (_, weight) in outputs.views.items()}
    own |= {("vector", modality): features.vector for modality, features in outputs.features.items()}
    own |= {("present", modality): mask for modality, mask in outputs.present.items()}
    own |= {("loss", name): one * loss for name, loss in outputs.fused.losses.items()}
    own["fused", ""] = outputs.fused.vector
    flat = [tensor.reshape(len(tensor), -1).float() for tensor in own.values()]
    side_by_side = torch.cat(flat, dim=1)
    parts = gather(learning_from(side_by_side, network)).split([tensor.shape[1] for tensor in flat], dim=1)
    cases = zip(own.items(), parts, strict=True)
    every = {key: part.reshape(len(part), *like.shape[1:]).to(like.dtype) for (key, like), part in cases}

    def named(what: str) -> dict[str, Tensor]:
        return {name: tensor for (kind, name), tensor in every.items() if kind == what}

    views, counts = named("view"), named("counts")
    whole = Outputs(
        {source: Scores(logits) for source, logits in named("score").items()},
        {name: (Scores(logits), counts[name]) for name, logits in views.items()},
        {modality: Features(vector) for modality, vector in named("vector").items()},
        Fused(every["fused", ""], losses={name: loss.mean() for name, loss in named("loss").items()}),
        named("present"),
        every["weight", ""],
    )
    return whole, every["targets", ""]


class Learner(Lesson):
    """Network and loss in one forward pass, as distribution wants it. `weight` (all cases): how much each counts in the
    loss; one number: all alike."""

    weight: Tensor

    def __init__(
        self, network: FusionNetwork, loss: nn.Module, weight: Tensor = ALIKE, part: Loss | None = None
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self._made_by = (loss if part is None else part,)
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """The batch's losses by name: the loss part's, and what the fusion adds."""
        (batch,) = draws
        made = self.network(batch.inputs, batch.present, batch.known_of(IDENTITY))
        weight = self.weight[torch.from_numpy(batch.index)] if self.weight.dim() else self.weight
        outputs, targets = of_all(made._replace(weight=weight), batch.targets, self.network)
        with attributed(self._made_by[0], "`forward`", "training.loss"):
            own = self.loss(outputs, targets, progress)
        twice = sorted(set(own) & set(outputs.fused.losses))
        if twice:
            found = f"loss and fusion both name a loss {twice}"
            raise PartError(found, "names of their own", "rename one of them", "training.loss")
        losses = {**own, **outputs.fused.losses}
        if self.network.sharded and losses:  # what lies in parts is used by all processes together, or by none
            whole = [p for p in self.parameters() if p.requires_grad and not in_parts(p)]
            losses[min(losses)] = losses[min(losses)] + nothing_of(whole)
        return losses
