"""What training shows: how a lesson is learnt and from which cases, the batches of an epoch, and each of them as a step
sees it: hidden, augmented, on the device.

All chance is drawn for the whole of what one step adds up (`training.accumulate`), however many batches it is cut into
and however many processes share it: one large batch and its parts are shown the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmfuse.events import Watch
from mmfuse.net.augmenting import Augmenter
from mmfuse.net.batches import Batch, Group, Index, NetworkData, read_batch, shuffled
from mmfuse.net.checkpoints import Checkpoint
from mmfuse.net.features import EffectiveBatch
from mmfuse.net.gathering import joined, share
from mmfuse.net.presence import Pattern, hide, patterns_of, stacked
from mmfuse.net.sampling import balanced
from mmfuse.net.watching import Watched
from mmfuse.net.working import ahead
from mmfuse.seeds import derive, generator
from mmfuse.spec import TrainingSection


@dataclass(frozen=True)
class Course:
    """How a lesson is learnt, and from which cases."""

    data: NetworkData
    train: Index
    valid: Index
    section: TrainingSection
    seed: int
    watched: Watched | None
    """By what the best epoch is chosen; None: the last one is kept."""
    augmenter: Augmenter
    device: torch.device
    watch: Watch
    name: str
    """All seeds are derived from it."""
    checkpoint: Checkpoint = Checkpoint(None)  # noqa: RUF009  # one that keeps nothing
    answers: int = 64
    """Cases a batch when `valid` is answered."""

    def batches(self, epoch: int) -> list[Index]:
        """Return the training cases in the order of an epoch, batch by batch."""
        rng = generator(self.seed, self.name, "order", epoch)
        even = self.section.sampling == "balanced"
        train = balanced(self.train, self.data.targets, rng) if even else self.train
        return shuffled(train, self.section.batch, rng, max(2, joined()[1]))


class Shown(NamedTuple):
    """One batch of an epoch, as often as a step draws."""

    draws: tuple[Batch, ...]
    """This process's share of it."""
    cases: Index
    """All its cases."""
    step: int
    """Which step of the epoch adds it up, from 0."""
    is_last: bool
    """Whether that step is then made."""


def shown(course: Course, draws: int, epoch: int, patterns: set[Pattern]) -> Iterator[Shown]:
    """Yield the batches of an epoch as training shows them; the patterns of presence that occur are put into
    `patterns`."""
    data, batches = course.data, course.batches(epoch)
    hiding = generator(course.seed, course.name, "modality-dropout", epoch)
    drawing = torch.Generator().manual_seed(derive(course.seed, course.name, "augmentation", epoch))
    pinned = course.device.type == "cuda"
    picked = data.picked(generator(course.seed, course.name, "feature-view", epoch))
    own = ahead(lambda index: read_batch(picked, index[share(len(index))], pin=pinned), batches)
    for step, group in enumerate(_groups(batches, course.section.accumulate)):
        index = np.concatenate(group)
        present = _present(course, index, hiding)
        patterns.update(patterns_of({name: mask.numpy() for name, mask in present.items()}))
        effective, start = None, 0
        if len(group) > 1:
            on_device = {name: mask.to(course.device) for name, mask in present.items()}
            effective = EffectiveBatch(torch.from_numpy(data.targets[index]).to(course.device), on_device)
        before = drawing.get_state()
        for whole, last in zip(group, [False] * (len(group) - 1) + [True], strict=True):
            first, end, _ = share(len(whole)).indices(len(whole))
            part = slice(start + first, start + end)
            batch = next(own)
            batch.present.update({name: mask[part] for name, mask in present.items()})
            batch.group = None if effective is None else Group(index, effective, len(whole))
            drawing.set_state(before)
            made = tuple(batch.to(course.device) for _ in range(draws))
            for drawn in made:
                course.augmenter.change(drawn, drawing, part, len(index))
            yield Shown(made, whole, step, last)
            start += len(whole)


def _groups(batches: Sequence[Index], size: int) -> list[Sequence[Index]]:
    """Batches by the step that adds them up."""
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def _present(course: Course, index: Index, rng: np.random.Generator) -> dict[str, Tensor]:
    """Who has what after modality dropout: {modality: (cases,)}, on the CPU."""
    present: dict[str, NDArray[np.bool_]] = {name: block.there[index] for name, block in course.data.blocks.items()}
    if course.section.modality_dropout > 0:
        kept = hide(stacked(present, list(present)), course.section.modality_dropout, rng)
        present = {name: kept[:, j].copy() for j, name in enumerate(present)}
    return {name: torch.from_numpy(mask) for name, mask in present.items()}
