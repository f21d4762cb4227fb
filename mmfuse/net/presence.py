"""Who has what: which cases of a batch have a modality, hiding modalities in training, and the patterns of presence
that were seen.

Law 3: an encoder sees present cases alone, so every tensor of one modality is gathered to them and spread back over the
batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Bools = NDArray[np.bool_]

Pattern = tuple[str, ...]
"""The modalities that one case has, by name in alphabetical order."""


class Present:
    """Which cases of a batch have a modality. Masks may lie on the CPU, where looking at them costs no wait for the
    device."""

    def __init__(self, mask: Tensor, device: torch.device) -> None:
        rows = mask.nonzero()[:, 0]
        self.batch, self.count, self.given = len(mask), len(rows), mask
        self.rows = rows.to(device, non_blocking=True)
        self.mask = mask.to(device, non_blocking=True)

    def gather(self, full: Tensor) -> Tensor:
        """(batch, …) → (count, …): the present cases."""
        return full if self.count == self.batch else full[self.rows]

    def spread(self, given: Tensor, fill: Tensor | float) -> Tensor:
        """(count, …) → (batch, …), with `fill` (a number, or what one absent case gets) where the modality is
        absent."""
        if self.count == self.batch:
            return given
        one = torch.as_tensor(fill, dtype=given.dtype, device=given.device)
        return one.expand(self.batch, *given.shape[1:]).index_copy(0, self.rows, given)


@contextmanager
def single_case_safe(module: nn.Module, cases: int) -> Iterator[None]:
    """For a call with one case, batch normalisation uses its running statistics: one case has no batch statistics
    (where every map is a single number, torch refuses; elsewhere they would be those of one image)."""
    held = (
        [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.training] if cases == 1 else []
    )
    for layer in held:
        layer.eval()
    try:
        yield
    finally:
        for layer in held:
            layer.train()


def hide(present: Bools, rate: float, rng: np.random.Generator) -> Bools:
    """Modality dropout: (cases, modalities) → the same, each present one hidden with chance `rate`; a case that has any
    keeps at least one, drawn evenly among those it has."""
    kept = present & (rng.random(present.shape) >= rate)
    lots = np.where(present, rng.random(present.shape), -1.0)
    emptied = present.any(axis=1) & ~kept.any(axis=1)
    kept[emptied, lots[emptied].argmax(axis=1)] = True
    return kept


def stacked(present: Mapping[str, Bools], modalities: Sequence[str]) -> Bools:
    """{modality: (cases,)} → (cases, modalities)."""
    return np.stack([np.asarray(present[modality], dtype=bool) for modality in modalities], axis=1)


def patterns_of(present: Mapping[str, Bools]) -> list[Pattern]:
    """The pattern of each case."""
    modalities = sorted(present)
    if not modalities:
        return []
    rows, which = np.unique(stacked(present, modalities), axis=0, return_inverse=True)
    words = [tuple(name for name, there in zip(modalities, row, strict=True) if there) for row in rows]
    return [words[i] for i in which.ravel()]
