"""Holding a module, or named parts of it, fixed: no gradient, and running statistics that stay as they are; and running
one that is wholly held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mmfuse.errors import Faults, SpecError, nearest
from mmfuse.net.features import Features, as_features

IMAGE_BATCH = 4
"""Axes of a batch of images."""


def hold_all(module: nn.Module) -> None:
    """Holds all of it: no parameter learns, and it stays in eval mode."""
    module.requires_grad_(False)
    module.eval()


def run_frozen(module: nn.Module, inputs: Tensor, precision: str) -> Features:
    """What a wholly held encoder gives. Images go through it in `precision` (bf16-mixed: its weights stay float32, its
    convolutions work in bfloat16), whatever precision there is around it; anything else in full."""
    half = precision == "bf16-mixed" and inputs.dim() == IMAGE_BATCH
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=half):
        given = as_features(module(inputs))
    return given._replace(vector=given.vector.float()) if half else given


def hold_named(module: nn.Module, prefixes: Sequence[str], where: str) -> tuple[nn.Module, ...]:
    """Holds the parameters whose dotted name is, or stands below, one of `prefixes`; returns the normalisation layers
    among them, which are to be kept in eval mode.

    Raises: SpecError for a prefix that no submodule or parameter of `module` has.
    """
    faults = Faults()
    known = {name for name, _ in module.named_modules() if name} | {name for name, _ in module.named_parameters()}
    for prefix in prefixes:
        if prefix not in known:
            short = sorted(known, key=lambda name: (name.count("."), name))[:40]
            faults.add(
                where, f"the encoder has no submodule '{prefix}'", mend=nearest(prefix, _near(prefix, known) or short)
            )
    faults.raise_as(SpecError)
    for name, parameter in module.named_parameters():
        if _below(name, prefixes):
            parameter.requires_grad_(False)
    return tuple(
        layer for name, layer in module.named_modules() if isinstance(layer, _NormBase) and _below(name, prefixes)
    )


def _below(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _near(prefix: str, known: set[str]) -> list[str]:
    """Names that are alike: spelt alike, or ending alike (the user left out the name of a wrapper)."""
    return [name for name in _sorted(known) if name.endswith("." + prefix)] or list(_sorted(known))


def _sorted(names: set[str]) -> Iterator[str]:
    yield from sorted(names, key=lambda name: (name.count("."), name))
