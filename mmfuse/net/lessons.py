"""What a network learns by: one forward pass from batches to named losses, as the one training loop wants it.

With labels it is network and loss (`Learner`); without, network and objective (`net.pretraining`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmfuse.attribution import attributed, named_part
from mmfuse.errors import PartError
from mmfuse.net.batches import Batch, Index
from mmfuse.net.features import ALIKE, Features, Fused, Outputs, Scores, nothing_of
from mmfuse.net.gathering import gather, in_parts, joined
from mmfuse.net.network import FusionNetwork
from mmfuse.net.views import IDENTITY
from mmfuse.parts import Loss

TINY = torch.finfo(torch.float32).tiny
"""Where nothing is counted, a sum of nothing is divided by it."""


class Lesson(nn.Module):
    """All that learns in one training, the network within it; everything it holds is in a checkpoint."""

    network: FusionNetwork
    draws: int = 1
    """How many augmented readings of a batch a step takes."""
    broken: Tensor | None = None
    """(cases,) of the last batch (of all processes), which had a score or a vector that is not finite."""

    def begin_epoch(self, epoch: int) -> tuple[str, ...]:
        """Called before each epoch (from 1); gives sentences that the user should read."""
        return ()

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """Losses by name, of one batch under its augmented readings; `progress` in [0, 1] is the share of training that
        is done. Those of the batches of one step add up to the step's."""
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
    loss is that of one process whatever it takes a mean over. What a fusion adds becomes its mean over what it counts.

    Only scores, vectors and presence are joined: maps and tokens would be more to send than the gradients.
    """
    if joined()[1] == 1:
        return outputs, targets
    one = torch.ones(len(targets), device=targets.device)
    counted = loss_counts(network, outputs.present)
    own: dict[tuple[str, str], Tensor] = {("targets", ""): targets, ("weight", ""): one * outputs.weight}
    own |= {("score", source): scores.logits for source, scores in outputs.scores.items()}
    own |= {("view", name): scores.logits for name, (scores, _) in outputs.views.items()}
    own |= {("counts", name): weight for name, (_, weight) in outputs.views.items()}
    own |= {("vector", modality): features.vector for modality, features in outputs.features.items()}
    own |= {("present", modality): mask for modality, mask in outputs.present.items()}
    own |= {("loss", name): counted.get(name, one) * loss for name, loss in outputs.fused.losses.items()}
    own |= {("counted", name): counted.get(name, one) for name in outputs.fused.losses}
    own["fused", ""] = outputs.fused.vector
    flat = [tensor.reshape(len(tensor), -1).float() for tensor in own.values()]
    side_by_side = torch.cat(flat, dim=1)
    parts = gather(learning_from(side_by_side, network)).split([tensor.shape[1] for tensor in flat], dim=1)
    cases = zip(own.items(), parts, strict=True)
    every = {key: part.reshape(len(part), *like.shape[1:]).to(like.dtype) for (key, like), part in cases}

    def named(what: str) -> dict[str, Tensor]:
        return {name: tensor for (kind, name), tensor in every.items() if kind == what}

    views, counts, totals = named("view"), named("counts"), named("counted")
    losses = {name: loss.sum() / totals[name].sum().clamp(min=TINY) for name, loss in named("loss").items()}
    whole = Outputs(
        {source: Scores(logits) for source, logits in named("score").items()},
        {name: (Scores(logits), counts[name]) for name, logits in views.items()},
        {modality: Features(vector) for modality, vector in named("vector").items()},
        Fused(every["fused", ""], losses=losses),
        named("present"),
        every["weight", ""],
    )
    return whole, every["targets", ""]


def loss_counts(network: FusionNetwork, present: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return how much each case counts in a loss that the fusion adds, {name: (cases,)}; not named: all alike."""
    part = network.parts[0]
    if part == "":
        return {}
    with attributed(part, "`loss_counts`", "network.fusion"):
        return part.loss_counts(network.flows, present)


def fusion_losses(outputs: Outputs, network: FusionNetwork) -> dict[str, Tensor]:
    """What the fusion adds: means over the whole batch → its share of the means over the effective batch."""
    if outputs.effective is None or not outputs.fused.losses:
        return dict(outputs.fused.losses)
    own, every = (loss_counts(network, present) for present in (outputs.present, outputs.effective.present))
    own_cases, every_cases = (len(next(iter(p.values()))) for p in (outputs.present, outputs.effective.present))
    shares = {name: counts.sum() / every[name].sum().clamp(min=TINY) for name, counts in own.items()}
    return {name: loss * shares.get(name, own_cases / every_cases) for name, loss in outputs.fused.losses.items()}


class Learner(Lesson):
    """Network and loss in one forward pass, as distribution wants it. `weight` (all cases): how much each counts in the
    loss; one number: all alike. `part`: what made the loss."""

    weight: Tensor

    def __init__(
        self, network: FusionNetwork, loss: nn.Module, weight: Tensor = ALIKE, part: Loss | None = None
    ) -> None:
        super().__init__()
        self.network, self.loss, self.accumulates = network, loss, part is not None and part.accumulates
        self._made_by = (loss if part is None else part,)
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """The batch's losses by name: the loss part's, and what the fusion adds."""
        (batch,) = draws
        made = self.network(batch.inputs, batch.present, batch.known_of(IDENTITY))
        outputs, targets = of_all(made._replace(weight=self._weight(batch.index)), batch.targets, self.network)
        if batch.group is not None:
            every = batch.group.effective._replace(weight=self._weight(batch.group.cases))
            outputs = outputs._replace(effective=every)
        self.broken = broken_cases(outputs)
        with attributed(self._made_by[0], "`forward`", "training.loss"):
            given = self.loss(outputs, targets, progress)
        own = checked_losses(given, self._made_by[0], "training.loss")
        if outputs.effective is not None and not self.accumulates:
            own = {name: term * known_share(targets, outputs.effective.targets) for name, term in own.items()}
        twice = sorted(set(own) & set(outputs.fused.losses))
        if twice:
            found = f"loss and fusion both name a loss {twice}"
            raise PartError(found, "names of their own", "rename one of them", "training.loss")
        losses = {**own, **fusion_losses(outputs, self.network)}
        if losses and not any(term.requires_grad for term in losses.values()):  # processes go back together
            losses[min(losses)] = learning_from(losses[min(losses)], self.network)
        if self.network.sharded and losses:  # what lies in parts is used by all processes together, or by none
            whole = [p for p in self.parameters() if p.requires_grad and not in_parts(p)]
            losses[min(losses)] = losses[min(losses)] + nothing_of(whole)
        return losses

    def _weight(self, index: Index) -> Tensor:
        return self.weight[torch.from_numpy(index)] if self.weight.dim() else self.weight


def checked_losses(given: object, who: object, where: str) -> dict[str, Tensor]:
    """Return what the `forward` of a loss or objective gave, if it is {name: scalar}. Raises: PartError."""
    mend = 'return {"name": tensor}; where nothing counts, logits.nan_to_num().sum() * 0'
    if not isinstance(given, Mapping):
        raise PartError(f"{named_part(who)} gave {_told(given)}", "{name: scalar tensor}", mend, where)
    for name, term in given.items():
        if not isinstance(name, str) or not isinstance(term, Tensor) or term.dim():
            found = f"{named_part(who)} gave {_told(term)} for {name!r}"
            raise PartError(found, "a scalar tensor for each name", mend, where)
    return dict(given)


def _told(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def known_share(targets: Tensor, every: Tensor) -> Tensor:
    """Of the cases with a known label, (cases, labels) -1 unknown, how many of `every` are in the batch at hand."""
    own, all_known = ((given >= 0).any(dim=1).sum() for given in (targets, every))
    return own / all_known.clamp(min=1)


def broken_cases(outputs: Outputs) -> Tensor:
    """Return which cases, (cases,) on the device, have a vector or a score that is no finite number although something
    is present that it is made of: NaN is how a source abstains, and nothing may look like it."""
    anyone = torch.stack([*outputs.present.values()]).any(dim=0)
    made = [(outputs.fused.vector, anyone)]
    made += [(features.vector, outputs.present[modality]) for modality, features in outputs.features.items()]
    made += [(scores.logits, outputs.present.get(source, anyone)) for source, scores in outputs.scores.items()]
    made += [(scores.logits, anyone) for scores, _ in outputs.views.values()]
    with torch.no_grad():
        return torch.stack([there & ~tensor.isfinite().all(dim=1) for tensor, there in made]).any(dim=0)
