"""How frozen encoders look at images, once and for all: under a test-time view, or under fixed augmented draws.

A draw depends on the plan's augmentations, its number and the case's id alone, not on the plan's seed: seeds, folds and
variants share what was computed. Modalities that one augmentation names share a case's draw unless its line says
`tied = false`, as in training: then the modality is part of the draw.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmfuse.data.aside import room
from mmfuse.data.workers import in_chunks
from mmfuse.net.augmenting import built, changed, drawn
from mmfuse.net.views import DRAWS, IDENTITY, VIEWS
from mmfuse.seeds import derive
from mmfuse.versions import code_digest
from mmfuse.wiring import Wiring

Positions = NDArray[np.integer]
"""Of what is looked at: number × cases + case, the numbers of draws from 0."""


_MARK = 12
"""Bytes that stand for a case."""


class Sight(nn.Module):
    """One way to look, `copies` times at each case."""

    copies = 1

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    @property
    def words(self) -> str:
        """Behind the modality's name, where progress is told."""
        return "" if self.name == IDENTITY else f" ({self.name})"

    @property
    def fingerprint(self) -> str:
        """All that decides it, beside the case."""
        return self.name

    def keys(self, contents: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
        """(copies × cases) a key of each look at each case, from keys of its content (empty: absent)."""
        return contents

    def forward(self, images: Tensor, positions: Positions) -> Tensor:
        """(batch, …) → the same shape, or its height and width exchanged."""
        return VIEWS[self.name](images)


class FixedDraws(Sight):
    """`copies` augmented draws of the images of one modality, of the cases in `learns`."""

    def __init__(
        self, wiring: Wiring, modality: str, copies: int, ids: NDArray[np.str_], learns: NDArray[np.integer]
    ) -> None:
        super().__init__(DRAWS)
        self.copies = copies
        lines = [(i, line) for i, (line, named) in enumerate(wiring.augment) if modality in named]
        whose = ["" if line.tied else modality for _, line in lines]
        self._names = [(i, line.part.name, who) for (i, line), who in zip(lines, whose, strict=True)]
        about = [
            [i, line.part.name, line.part.model_dump(mode="json"), code_digest(type(line.part)), *filter(None, [who])]
            for (i, line), who in zip(lines, whose, strict=True)
        ]
        self._about = json.dumps(about, sort_keys=True)
        self.parts = nn.ModuleList([built(line.part) for _, line in lines])
        self._made_by = [line.part for _, line in lines]
        self._ids = ids
        self._learns = np.zeros(len(self._ids), bool)
        self._learns[learns] = True

    @property
    def fingerprint(self) -> str:
        """The augmentations in order, their knobs and code."""
        return f"{DRAWS} {self._about}"

    def keys(self, contents: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
        """Of the content, the draw's number and the case; empty for cases that nothing is learnt from."""
        found = room((self.copies, len(contents)), f"S{contents.itemsize + len(f' {self.copies} ') + 2 * _MARK}")
        for part in in_chunks(len(contents)):
            words, marks = contents[part].astype(np.str_).tolist(), [_mark(one) for one in self._ids[part].tolist()]
            for number in range(self.copies):
                found[number, part] = [
                    f"{content} {number} {mark}" if content and wanted else ""
                    for content, mark, wanted in zip(words, marks, self._learns[part], strict=True)
                ]
        return found.reshape(-1)

    def forward(self, images: Tensor, positions: Positions) -> Tensor:
        """Each image under its draw, line after line."""
        numbers, cases = np.divmod(positions, len(self._ids))
        rows = torch.arange(len(images))
        for (place, name, whose), module, part in zip(self._names, self.parts, self._made_by, strict=True):
            draws = [
                drawn(part, module, 1, _own_generator(place, name, number, str(self._ids[case]), whose))
                for number, case in zip(numbers.tolist(), cases.tolist(), strict=True)
            ]
            together = {key: torch.cat([one[key] for one in draws]) for key in draws[0]}
            images = changed(part, module, images, rows, together)
        return images


def _mark(case: str) -> str:
    return hashlib.blake2b(case.encode(), digest_size=_MARK).hexdigest()


def _own_generator(place: int, name: str, number: int, case: str, whose: str) -> torch.Generator:
    """`whose`: the modality of a line that is not tied; empty: all that the line names share the draw."""
    own = (whose,) if whose else ()
    return torch.Generator().manual_seed(derive(0, "feature view", place, name, number, case, *own))
