"""Labels of two classes as one question "which of these diseases?", and what such a softmax cannot say.

The positive class is the card's. Only NumPy: head and loss tell their cautions before anything is built.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse import UNKNOWN, Labels, SpecError


class Counted(NamedTuple):
    """Positive labels among some cases."""

    cases: int
    """Those with any known label."""
    positives: int
    """Positive labels, summed over cases."""
    with_any: int
    """Cases with one positive label or more."""
    several: int
    """Cases with two or more."""

    @property
    def recall_cap(self) -> float:
        """The highest micro-averaged recall at threshold 0.5, where one label a case at most is called positive."""
        return self.with_any / self.positives if self.positives else 1.0

    @property
    def exact_cap(self) -> float:
        """The highest share of cases with every label right at threshold 0.5."""
        return (self.cases - self.several) / self.cases if self.cases else 1.0


def counted(labels: Labels, targets: NDArray[np.integer]) -> Counted:
    """Counts in `targets` (cases, labels) of class indices, -1 unknown."""
    true = np.asarray(targets) == positive_classes(labels)
    several = true.sum(axis=1)
    return Counted(
        int((np.asarray(targets) != UNKNOWN).any(axis=1).sum()),
        int(true.sum()),
        int((several > 0).sum()),
        int((several > 1).sum()),
    )


def positive_classes(labels: Labels) -> NDArray[np.int64]:
    """(labels,) the index of each label's positive class."""
    return np.array([label.classes.index(label.positive) for label in labels], dtype=np.int64)


def positive_columns(labels: Labels) -> NDArray[np.int64]:
    """(labels,) the column of each label's positive class."""
    starts = np.array([part.start for part in labels.slices.values()], dtype=np.int64)
    return starts + positive_classes(labels)


def refuse_others(labels: Labels, part: str, where: str) -> None:
    """Raises: SpecError unless there are two labels or more, each of two classes; it names those that are not."""
    odd = [f"'{label.name}' has {len(label.classes)}" for label in labels if len(label.classes) != 2]
    if odd or len(labels) < 2:
        found = f"{part} was given labels that are not yes or no: {', '.join(odd)}" if odd else f"{len(labels)} label"
        raise SpecError(
            found,
            "two labels or more of two classes each: a softmax over diseases",
            "`mlp` with `cross-entropy`, which take labels of any kind",
            where,
        )
