"""Altered inputs: what a network says when what was read is changed before it: two modalities exchanged, noise, places
blacked out.

Whatever was known beforehand of an encoder (vectors, maps of frozen ones) is left aside, so that the change reaches
everything behind it. Nothing altered is ever learnt from or kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmfuse.errors import PartError
from mmfuse.net.batches import Batch, NetworkData, in_order, read_batch
from mmfuse.net.network import NOTHING, FusionNetwork, encoded
from mmfuse.net.presence import Present
from mmfuse.net.sets import Given
from mmfuse.net.working import answering_batch, answers


class Reading(NamedTuple):
    """Some cases as they were read, before any encoder."""

    ids: NDArray[np.str_]
    """(batch,) of the cases: a random change is drawn from a seed of the case's id, never of its place in a batch."""
    inputs: dict[str, Given]
    """{modality: (batch, *shape) float, on the device}; images in [0, 1], tables and vectors as their reader scales
    them; zeros where absent. `Several` where cases hold several images."""
    present: dict[str, Tensor]
    """{modality: (batch,) bool, on the CPU} who has it."""


Alter = Callable[[Reading], Reading]
"""A change of a reading: the same modalities, shapes and number of cases. Batches come in any size and from several
threads, so it keeps no state and treats each case by itself. It must not write into the tensors that it is given."""


def altered_batch(batch: Batch, ids: NDArray[np.str_], alter: Alter) -> Batch:
    """The batch after the change.

    Raises: PartError where the change gives other modalities or shapes.
    """
    before = Reading(ids[batch.index], dict(batch.inputs), dict(batch.present))
    after = alter(before)
    for name, old, new in (("inputs", before.inputs, after.inputs), ("present", before.present, after.present)):
        expected, found = ({m: tuple(t.shape) for m, t in by.items()} for by in (old, new))
        if found != expected:
            raise PartError(f"an alteration gives {name} {found}", f"{expected}, as read", "keep modalities and shapes")
    return Batch(batch.index, dict(after.inputs), {}, dict(after.present), batch.targets)


def altered_vectors(
    network: FusionNetwork, modality: str, data: NetworkData, alter: Alter, batch: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """((n, width) vectors of a frozen encoder that read altered inputs, (n,) present); zeros where absent. `data` knows
    no features beforehand."""
    device, width = next(network.parameters()).device, network.widths[modality]
    images = modality in data.images
    jobs = in_order(np.arange(len(data)), answering_batch(batch, device, images))

    def vectors(module: FusionNetwork, given: Batch) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        changed = altered_batch(given.to(device), data.ids, alter)
        who = Present(changed.present[modality], device)
        made = encoded(module, modality, changed.inputs, NOTHING, who)
        out = torch.zeros(len(given), width) if made is None else who.spread(made.vector.float(), 0.0)
        return out.cpu().numpy(), changed.present[modality].cpu().numpy()

    found = list(answers(network, lambda some: read_batch(data, some), vectors, jobs, device, images))
    if not found:
        return np.zeros((0, width), np.float32), np.zeros(0, bool)
    return np.concatenate([some for some, _ in found]), np.concatenate([there for _, there in found])


def exchanged(one: str, other: str) -> Alter:
    """The change that gives each of two modalities what the other one read, presence with it.

    Raises (when it works): PartError where their shapes differ.
    """
    names = {one: other, other: one}

    def alter(read: Reading) -> Reading:
        inputs = {m: read.inputs[names.get(m, m)] for m in read.inputs}
        present = {m: read.present[names.get(m, m)] for m in read.present}
        return Reading(read.ids, inputs, present)

    return alter
