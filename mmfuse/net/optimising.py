"""The optimiser that a plan names, over what learns."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mmfuse.errors import SpecError
from mmfuse.spec import TrainingSection

FUSED_ON = ("cpu", "cuda")
"""Devices on which torch has all three optimisers as one kernel (torch ≥ 2.4)."""


def make_optimiser(section: TrainingSection, network: nn.Module, device: torch.device) -> Optimizer:
    """Adam, AdamW, or SGD with Nesterov momentum 0.9, fused where torch can. Weight decay is for weights: biases,
    normalisation and stand-ins (anything of one dimension) do not decay.

    Raises: SpecError if nothing learns.
    """
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not learning:
        raise SpecError(
            "no parameter of the network learns", "a head, a fusion, or an encoder that is not frozen", where="network"
        )
    groups = [
        {"params": [p for p in learning if p.dim() > 1], "weight_decay": section.weight_decay},
        {"params": [p for p in learning if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # Clipping must see unscaled gradients; a fused step in 16-mixed unscales them itself, after clipping.
    fused = device.type in FUSED_ON and not (section.precision == "16-mixed" and section.clip > 0)
    if section.optimiser == "sgd":
        return SGD(groups, lr=section.lr, momentum=0.9, nesterov=True, fused=fused)
    made = Adam if section.optimiser == "adam" else AdamW
    return made(groups, lr=section.lr, fused=fused)
