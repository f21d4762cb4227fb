"""What a second stage reads of a case: probabilities of earlier sources ⊕ features, always full, with one indicator
for each that is absent.

An absent source is the training prior, an absent modality the mean of the training rows that have it (law 3); both
are learnt anew in every fold, as is everything that reading a modality learns (law 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.decide.folding import FeatureSource
from mmfuse.decide.scores import mean_of_views
from mmfuse.errors import TableError
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.learnt import Learnt


class Block(NamedTuple):
    """One source or modality of some cases."""

    values: Floats
    """(n, width); whatever stands in absent rows is never looked at."""
    present: NDArray[np.bool_]


def source_blocks(sources: Mapping[str, Floats], reads: tuple[str, ...], labels: Labels, index: Ints) -> list[Block]:
    """The probabilities that each source gives about those cases."""
    blocks = []
    for read in reads:
        p = mean_of_views(sources[read][:, index], labels)
        blocks.append(Block(p, np.asarray(~np.isnan(p).any(axis=1))))
    return blocks


def feature_blocks(features: FeatureSource, readers: Mapping[str, Learnt | None], index: Ints) -> list[Block]:
    """The arrays of each modality for those cases.

    Raises: TableError if a present row holds NaN or infinity.
    """
    blocks = []
    for modality, learnt in readers.items():
        values, present = features.read(modality, learnt, index)
        values, present = np.asarray(values, dtype=float), np.asarray(present, dtype=bool)
        faulty = int((~np.isfinite(values[present]).all(axis=1)).sum())
        if faulty:
            raise TableError(
                f"{faulty} of {int(present.sum())} present rows hold NaN or infinity",
                "finite numbers",
                "impute them, or mark the rows as missing",
                f"modality '{modality}'",
            )
        blocks.append(Block(values, present))
    return blocks


@dataclass(frozen=True, eq=False)
class Filling(Learnt):
    """What stands for absent sources and modalities."""

    fill: Floats
    """(sum of widths,)"""
    widths: tuple[int, ...]

    @classmethod
    def learn(cls, read: list[Block], featured: list[Block], targets: Ints, labels: Labels) -> Self:
        """From the blocks of the training cases: the prior over the cases a source speaks about, the mean over the
        rows present.
        """
        fills = [labels.prior(targets[block.present]) for block in read]
        fills += [block.values[block.present].sum(axis=0) / max(1, block.present.sum()) for block in featured]
        return cls(np.concatenate(fills), tuple(len(fill) for fill in fills))

    def matrix(self, blocks: list[Block]) -> tuple[Floats, NDArray[np.bool_]]:
        """(n, width + blocks) inputs, an indicator of absence behind each block's values; and which cases have
        anything at all.
        """
        columns, anything = [], np.zeros(len(blocks[0].present), dtype=bool)
        ends = np.cumsum(self.widths)
        for block, end, width in zip(blocks, ends, self.widths, strict=True):
            if block.values.shape[1] != width:
                raise TableError(f"{block.values.shape[1]} columns", f"{width}, as in training")
            filled = np.where(block.present[:, None], block.values, self.fill[end - width : end])
            columns += [filled, ~block.present[:, None]]
            anything |= block.present
        return np.concatenate(columns, axis=1, dtype=float), anything
