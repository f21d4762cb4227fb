"""Which of the training cases an epoch shows where classes are to be even; from the epoch's own seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmfuse.labels import UNKNOWN, Ints
from mmfuse.net.batches import Index


def balanced(train: Index, targets: Ints, rng: np.random.Generator) -> Index:
    """As many cases as `train` has, each as often as its share of them says, rounded up or down by chance: systematic
    sampling (Madow 1949) in a random order. Where no label is known (learning without labels) every case once."""
    order = rng.permutation(train)
    ends = np.cumsum(even_shares(targets[order])) * len(order)
    if not ends[-1]:
        return train
    drawn: Index = order[
        np.searchsorted(ends, np.arange(len(order)) + rng.random(), side="right").clip(max=len(order) - 1)
    ]
    return drawn


def even_shares(targets: Ints) -> NDArray[np.float64]:
    """(n, labels) classes → (n,) shares that sum to 1: of each label with known cases an even part, of that each of its
    classes that occur an even part, of that each of its cases. All 0 where nothing is known."""
    parts = []
    for column in targets.T:
        classes, which, counts = np.unique(column, return_inverse=True, return_counts=True)
        there = classes != UNKNOWN
        if there.any():
            parts.append((there / (counts * there.sum()))[which])
    return np.mean(parts, axis=0) if parts else np.zeros(len(targets))
