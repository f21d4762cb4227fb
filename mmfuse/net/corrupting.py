"""A corruption of an image modality as a change of what was read: what a network is shown in a stress test.

Each case's change is drawn from a seed of its id, modality and corruption alone: the same in every batch and for all
its images, and at a higher severity the same draw, only more of it. Like all that alters it is never learnt from (law
2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmfuse.errors import SpecError
from mmfuse.net.altering import Alter, Reading
from mmfuse.net.sets import case_of, changed_rows
from mmfuse.seeds import generator


class Corruption(NamedTuple):
    """A change of one image, with a name in the mapping that holds it."""

    about: str
    levels: tuple[float, ...]
    """What `change` is given at severity 1, 2 …"""
    change: Callable[[Tensor, float, np.random.Generator], Tensor]
    """(3, height, width) in [0, 1], level, the case's own generator → the same shape, in [0, 1]; what it is given stays
    as it was."""
    removes: bool = False
    """Whether the modality is taken away instead of changed."""


def corrupted(modality: str, name: str, corruption: Corruption, severity: int, seed: int = 0) -> Alter:
    """The change of one image modality by a corruption; `name` is what its draws are seeded by, `severity` counts from
    1.

    Raises: SpecError for an unknown severity.
    """
    if not 1 <= severity <= len(corruption.levels):
        raise SpecError(f"severity {severity} of '{name}'", f"1 to {len(corruption.levels)}")
    level = corruption.levels[severity - 1]

    def alter(read: Reading) -> Reading:
        if corruption.removes:
            gone = torch.zeros_like(read.present[modality])
            return read._replace(present={**read.present, modality: gone})
        given = read.inputs[modality]
        whose = read.ids[case_of(given)]

        def spoilt(images: Tensor) -> Tensor:
            changed = [
                corruption.change(image, level, generator(seed, "stress", modality, name, case))
                for image, case in zip(images, whose.tolist(), strict=True)
            ]
            return torch.stack(changed) if changed else images

        return read._replace(inputs={**read.inputs, modality: changed_rows(given, spoilt)})

    return alter


def unaltered(read: Reading) -> Reading:
    """The reading as it is: what corrupted ones are compared with goes the same way through the network."""
    return read
