"""From blocks of cases to batches on the device: shuffled or in order, images scaled to [0, 1] there.

Known features of frozen encoders are read like inputs, batch by batch from the disk: never the whole set at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmfuse.labels import Ints
from mmfuse.net.features import VECTOR, EffectiveBatch
from mmfuse.net.sets import Given, Several, changed_rows
from mmfuse.net.views import DRAWS, IDENTITY

if TYPE_CHECKING:
    from mmfuse.data.inputs import Block

Index = NDArray[np.integer]
Views = Mapping[str, Mapping[str, "Block"]]
Places = tuple[Index, Index | None]
"""Rows, and of each the case that it belongs to, as `Block.places` gives them."""


@dataclass(frozen=True)
class NetworkData:
    """What one network reads of some cases."""

    ids: NDArray[np.str_]
    targets: Ints
    blocks: Mapping[str, Block]
    """Of every encoded modality."""
    images: frozenset[str]
    """The modalities that views and augmentations apply to."""
    known: Mapping[str, Views] = field(default_factory=dict)
    """{modality: {view: {level: block}}} known features of frozen encoders, row by row; their inputs are not read."""
    still: frozenset[str] = frozenset()
    """The modalities that augmentations leave alone: their encoders are frozen."""
    picks: Ints | None = None
    """(n,) under which of the known draws each case is read (0: as it is); None: all as they are."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def present(self) -> dict[str, NDArray[np.bool_]]:
        return {modality: block.there for modality, block in self.blocks.items()}

    def picked(self, rng: np.random.Generator) -> NetworkData:
        """The same for one epoch: of each case one of its known views, the same one in all modalities."""
        looks = [(by[DRAWS][VECTOR], by[IDENTITY][VECTOR]) for by in self.known.values() if DRAWS in by]
        counts = {len(drawn) // max(len(plain), 1) for drawn, plain in looks}
        return replace(self, picks=rng.integers(0, 1 + max(counts), len(self))) if counts else self

    @property
    def heavy(self) -> bool:
        """Whether a network works on more than vectors: images, known maps or tokens."""
        levels = {level for views in self.known.values() for by in views.values() for level in by}
        return bool(self.images - set(self.known)) or bool(levels - {VECTOR})

    @property
    def anything(self) -> NDArray[np.bool_]:
        """(n,) which cases have any encoded modality."""
        return np.asarray(np.stack([block.there for block in self.blocks.values()]).any(axis=0))


class Group(NamedTuple):
    """The batches whose gradients one step adds up, of which one is at hand."""

    cases: Index
    """Positions of all their cases."""
    effective: EffectiveBatch
    batch: int
    """Cases of the batch at hand, in all processes."""

    @property
    def share(self) -> float:
        """Of the batch at hand in all cases."""
        return self.batch / len(self.cases)


class Batch:
    """Some cases, as tensors. It is no tuple and no dataclass, so that Fabric hands it on as it is (it would round
    floats to the working precision before an encoder has normalised them)."""

    def __init__(
        self,
        index: Index,
        inputs: dict[str, Given],
        known: dict[str, dict[str, dict[str, Given]]],
        present: dict[str, Tensor],
        targets: Tensor,
    ) -> None:
        self.index = index
        """Positions among the cases."""
        self.inputs = inputs
        self.known = known
        """By modality, view and level."""
        self.present = present
        """On the CPU: looking at masks there costs no wait."""
        self.targets = targets
        self.group: Group | None = None
        """What it is a part of, where several batches make one step."""

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device) -> Batch:
        """On the device, as floats; what was kept as float16 too."""
        inputs = _on(device, self.inputs, to_floats)
        known = {
            modality: {view: _on(device, levels, Tensor.float) for view, levels in views.items()}
            for modality, views in self.known.items()
        }
        made = Batch(self.index, inputs, known, self.present, self.targets.to(device, non_blocking=True))
        made.group = self.group
        return made

    def known_of(self, view: str) -> dict[str, dict[str, Given]]:
        """Known features by modality and level; those of a modality that is no image are the same in all views."""
        return {modality: by[view if view in by else IDENTITY] for modality, by in self.known.items()}


def _on(device: torch.device, by: Mapping[str, Given], change: Callable[[Tensor], Tensor]) -> dict[str, Given]:
    return {
        name: changed_rows(given, lambda tensor: change(tensor.to(device, non_blocking=True)))
        for name, given in by.items()
    }


def to_floats(tensor: Tensor) -> Tensor:
    """What an encoder is given: bytes are images and become [0, 1]; images lie channels last in memory."""
    if tensor.dtype == torch.uint8:
        tensor = tensor.float().div_(255)
    return tensor.float().contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor.float()


def read_batch(data: NetworkData, index: Index, views: Sequence[str] = (IDENTITY,), pin: bool = False) -> Batch:
    """The cases at `index`, on the CPU; pinned memory lets a CUDA device fetch them while it works."""

    def tensor(array: NDArray) -> Tensor:
        made = torch.from_numpy(np.ascontiguousarray(array))
        return made.pin_memory() if pin else made

    def rows(m: str, array: NDArray) -> Given:
        of = places[m][1]
        return tensor(array) if of is None else Several(tensor(array), torch.from_numpy(of))

    places = {m: block.places(index) for m, block in data.blocks.items()}
    inputs = {m: rows(m, b.take(places[m][0])) for m, b in data.blocks.items() if m not in data.known}
    wanted = {m: views if m in data.images else (IDENTITY,) for m in data.known}
    known = {
        m: {v: {level: rows(m, _rows(data, by, v, level, index, places[m])) for level in by[v]} for v in wanted[m]}
        for m, by in data.known.items()
    }
    present = {m: torch.from_numpy(block.there[index]) for m, block in data.blocks.items()}
    return Batch(index, inputs, known, present, tensor(data.targets[index]))


def _rows(data: NetworkData, known: Views, view: str, level: str, index: Index, places: Places) -> NDArray:
    """Known rows of the cases at `index`; where draws were picked, of each case the one that was."""
    plainly, (rows, of) = known[view][level], places
    if data.picks is None or view != IDENTITY or DRAWS not in known:
        return plainly.take(rows)
    picks = data.picks[index if of is None else index[of]]
    out = np.zeros((len(rows), *plainly.shape), plainly.dtype)
    plain = np.flatnonzero(picks == 0)
    drawn = np.flatnonzero(picks)
    out[plain] = plainly.take(rows[plain])
    out[drawn] = known[DRAWS][level].take((picks[drawn] - 1) * len(plainly) + rows[drawn])
    return out


def shuffled(index: Index, size: int, rng: np.random.Generator, fewest: int = 2) -> list[Index]:
    """`index` in a random order, cut into batches of `size`. A last batch of fewer than `fewest` cases joins the one
    before it (no statistics can be taken of one case), unless `size` is smaller."""
    batches = in_order(rng.permutation(index), size)
    if size >= fewest and len(batches) > 1 and len(batches[-1]) < fewest:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def in_order(index: Index, size: int) -> list[Index]:
    """`index` cut into batches of `size`, the last one as long as it comes."""
    return [index[start : start + size] for start in range(0, len(index), size)]
