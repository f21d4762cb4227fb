"""The optimiser that a plan names, over what learns, and its learning rate over training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mmfuse.errors import SpecError
from mmfuse.net.network import FusionNetwork
from mmfuse.spec import TrainingSection

FUSED_ON = ("cpu", "cuda")
"""Devices on which torch has all three optimisers as one kernel (torch ≥ 2.4)."""


def rates_of(network: FusionNetwork) -> dict[nn.Parameter, float]:
    """The factors that encoders' lines ask for: `lr` times `layer_decay` a stage below the top one.

    Raises: SpecError where `layer_decay` is asked of an encoder that has no stages.
    """
    rates = {}
    for modality in network.modalities:
        line, encoder = network.lines[modality], network.encoder(modality)
        stages = line.part.stages(encoder) if line.layer_decay < 1 else {}
        if line.layer_decay < 1 and not stages:
            found = f"layer_decay for encoder '{line.part.name}' of '{modality}', which tells no stages"
            mend = "lr = … on its line is one factor for all of it"
            raise SpecError(found, "an encoder that does, as `timm` does", mend, "network.encoders")
        top = max(stages.values(), default=0)
        for name, parameter in encoder.named_parameters():
            rates[parameter] = line.lr * line.layer_decay ** (top - stages.get(name, top))
    return rates


def make_optimiser(
    section: TrainingSection, network: nn.Module, device: torch.device, rates: Mapping[nn.Parameter, float]
) -> Optimizer:
    """Adam, AdamW, or SGD with Nesterov momentum 0.9, fused where torch can. Weight decay is for weights: biases,
    normalisation and stand-ins (anything of one dimension) do not decay. Each group has its `share` of the rate, from
    `rates` (1 where a parameter is not in it).

    Raises: SpecError if nothing learns.
    """
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not learning:
        expected = "a head, a fusion, or an encoder that is not frozen"
        raise SpecError("no parameter of the network learns", expected, where="network")
    found: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter in learning:
        found.setdefault((parameter.dim() <= 1, rates.get(parameter, 1.0)), []).append(parameter)
    decay = {False: section.weight_decay, True: 0.0}
    groups = [{"params": found[few, by], "weight_decay": decay[few], "share": by} for few, by in sorted(found)]
    # Clipping must see unscaled gradients; a fused step in 16-mixed unscales them itself, after clipping.
    fused = device.type in FUSED_ON and not (section.precision == "16-mixed" and section.clip > 0)
    if section.optimiser == "sgd":
        optimiser = SGD(groups, lr=section.lr, momentum=0.9, nesterov=True, fused=fused)
        if fused:
            _begin_at_rest(optimiser, learning)
        return optimiser
    made = Adam if section.optimiser == "adam" else AdamW
    return made(groups, lr=section.lr, fused=fused)


def _begin_at_rest(optimiser: SGD, learning: Sequence[nn.Parameter]) -> None:
    """Give every parameter a velocity of zero, from which torch's own first step would start too.

    The fused kernel makes velocities in the first step alone, of the parameters that have a gradient then: one that
    gets its first gradient later, because a batch lacked its modality, ends in a TypeError (torch 2.14).
    """
    for parameter in learning:
        optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def warmup_steps(section: TrainingSection, steps: int) -> int:
    """How many of all `steps` (of the optimiser) the rate rises in."""
    return min(round(section.warmup * steps), steps - 1) if section.warmup else 0


def first_averaged(section: TrainingSection) -> int:
    """The first epoch (from 1) of those that `average = "swa"` averages."""
    return section.epochs - max(1, round(section.swa_share * section.epochs)) + 1


def rate_factor(section: TrainingSection, step: int, steps: int, per_epoch: int) -> float:
    """Factor in [0, 1] at optimiser step `step` (from 0) of `steps`, with `per_epoch` of them in an epoch.

    During warm-up (step + 1) / warm-up steps; after it, for `cosine`, (1 + cos(π t)) / 2 with t the share of the
    remaining steps that are done (Loshchilov, Hutter, SGDR, 2017, eq. 5, without restarts). `schedule_by = "epoch"`
    holds the value of an epoch's first step throughout it: without warm-up that is (1 + cos(π epoch / epochs)) / 2.
    With `average = "swa"` the rate of the first step of the averaged epochs stays to the end.
    """
    if section.average == "swa":
        step = min(step, (first_averaged(section) - 1) * per_epoch)
    rising = warmup_steps(section, steps)
    if step < rising:
        return (step + 1) / rising
    if section.schedule == "constant":
        return 1.0
    at = step // per_epoch * per_epoch if section.schedule_by == "epoch" else step
    return 0.5 * (1 + math.cos(math.pi * max(at - rising, 0) / (steps - rising)))
