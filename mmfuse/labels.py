"""Labels and their classes, laid side by side as columns: one code path for binary, multi-class and multi-label.

A label is a question with a closed list of classes. Scores are arrays whose last axis is `columns` = all classes of all
labels. Only this module takes a softmax or an argmax over columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

ROUNDING = 1e-12
"""Sums this close to one are one. Probabilities that are brought to a sum of one again would differ in their last bits,
and what was equal would be no longer."""

DIGITS = 2e-6
"""How far from one stored probabilities may sum, as those of float32 and of six digits do, and still be taken as they
stand."""

UNKNOWN = -1
"""The target of a case whose label cell is empty: it weighs nothing."""


@dataclass(frozen=True)
class Label:
    """One question.

    `positive` is the class that sensitivity and its kin speak of; `weight` counts in losses and means over labels.
    """

    name: str
    classes: tuple[str, ...]
    column: str = ""
    positive: str = ""
    ordered: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"label {self.name!r} needs two or more distinct classes, found {list(self.classes)}")
        object.__setattr__(self, "column", self.column or self.name)
        object.__setattr__(self, "positive", self.positive or self.classes[-1])
        if self.positive not in self.classes:
            raise ValueError(f"label {self.name!r}: positive class {self.positive!r} is none of {list(self.classes)}")


class Labels(Sequence[Label]):
    """All labels of a table, in the card's order."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = tuple(labels)
        ends = np.cumsum([len(label.classes) for label in self._labels], dtype=int).tolist()
        self.slices = {
            label.name: slice(end - len(label.classes), end) for label, end in zip(self._labels, ends, strict=True)
        }
        """The columns of each label, by name, in order."""
        self.columns: int = ends[-1] if ends else 0
        """Number of columns: classes summed over labels."""

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, index: int) -> Label: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Label, ...]: ...

    def __getitem__(self, index: int | slice) -> Label | tuple[Label, ...]:
        return self._labels[index]

    def __iter__(self) -> Iterator[Label]:
        return iter(self._labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and self._labels == other._labels

    def __hash__(self) -> int:
        return hash(self._labels)

    def __repr__(self) -> str:
        return f"Labels({list(self._labels)!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the labels, in order."""
        return tuple(label.name for label in self._labels)

    @property
    def column_names(self) -> tuple[str, ...]:
        """`label:class` for each column."""
        return tuple(f"{label.name}:{name}" for label in self._labels for name in label.classes)

    @property
    def weights(self) -> Floats:
        """(labels,) weight of each label."""
        return np.array([label.weight for label in self._labels], dtype=float)

    def log_softmax(self, logits: Floats) -> Floats:
        """(…, columns) → (…, columns) log-probabilities; NaN stays NaN, and a label of -inf alone becomes NaN. A
        probability of exactly 0 is not lifted.
        """
        out = np.empty(np.shape(logits), dtype=np.result_type(logits, np.float32))
        for part in self.slices.values():
            z = np.asarray(logits[..., part], dtype=out.dtype)
            with np.errstate(invalid="ignore"):  # -inf alone
                z = z - np.max(z, axis=-1, keepdims=True)
            out[..., part] = z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))
        return out

    def log_probabilities(self, scores: Floats) -> Floats:
        """(…, columns) logits or log-probabilities → (…, columns) log-probabilities, as `log_softmax`; but what are
        log-probabilities already stay as they are to the bit, so that equal ones stay equal, whatever stands beside.
        """
        out = self.log_softmax(scores)
        for part in self.slices.values():
            given = np.asarray(scores[..., part], dtype=out.dtype)
            with np.errstate(over="ignore"):
                are = np.abs(np.exp(given).sum(axis=-1, keepdims=True) - 1) <= DIGITS
            out[..., part] = np.where(are, given, out[..., part])
        return out

    def softmax(self, logits: Floats) -> Floats:
        """(…, columns) → (…, columns) probabilities that sum to one within each label; NaN stays NaN."""
        return np.exp(self.log_softmax(logits))

    def normalise(self, weights: Floats) -> Floats:
        """(…, columns) non-negative → probabilities; a label whose weights are all zero becomes uniform.

        What sums to one but for rounding stays as it is.
        """
        out = np.array(weights, dtype=np.result_type(weights, np.float32))
        for part in self.slices.values():
            total = out[..., part].sum(axis=-1, keepdims=True)
            total = np.where(np.abs(total - 1) <= ROUNDING, 1, total)
            size = part.stop - part.start
            out[..., part] = np.where(total == 0, 1.0 / size, out[..., part] / np.where(total == 0, 1, total))
        return out

    def argmax(self, scores: Floats) -> Ints:
        """(…, columns) → (…, labels) index of the highest class (the first of equals); -1 where a score is NaN."""
        picks = []
        for part in self.slices.values():
            block = scores[..., part]
            silent = np.isnan(block).any(axis=-1)
            picks.append(np.where(silent, UNKNOWN, np.argmax(np.where(np.isnan(block), -np.inf, block), axis=-1)))
        nothing = np.empty((*np.shape(scores)[:-1], 0), dtype=np.int64)
        return np.stack(picks, axis=-1).astype(np.int64) if picks else nothing

    def one_hot(self, targets: Ints) -> Floats:
        """(…, labels) class indices → (…, columns) of 0 and 1; an unknown label is 0 in all its columns."""
        blocks = [
            np.arange(part.stop - part.start) == np.asarray(targets)[..., i, None]
            for i, part in enumerate(self.slices.values())
        ]
        nothing = np.empty((*np.shape(targets)[:-1], 0))
        return np.concatenate([nothing, *blocks], axis=-1).astype(float)

    def counts(self, targets: Ints) -> Floats:
        """(cases, labels) → (columns,) how many cases have each class."""
        truth = np.asarray(targets)
        counts = np.zeros(self.columns)
        for i, part in enumerate(self.slices.values()):
            counts[part] = np.bincount(truth[truth[:, i] >= 0, i], minlength=part.stop - part.start)
        return counts

    def prior(self, targets: Ints) -> Floats:
        """(cases, labels) → (columns,) share of each class among the cases where the label is known.

        One half is added to each count, so that no class has probability 0.
        """
        return self.normalise(self.counts(targets) + 0.5)
