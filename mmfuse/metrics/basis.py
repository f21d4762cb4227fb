"""What all figures share: which cases count for a label, weighted ratios, and which classes are frequent enough.

A case whose label is unknown, or about which the source abstains (NaN), weighs nothing for that label (law 3); what is
undefined is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.labels import Floats, Ints, Label, Labels

Score = Callable[[Floats, Ints, Labels, Floats | None], Floats]
"""`(p, targets, labels, weight) -> (replicates, labels)`; without `weight`, one replicate of ones."""

FEWEST = 10
"""Cases of a class, and cases of its other classes, below which its own figures are not counted in an evaluation."""

CELLS = 1 << 16
"""Numbers that are held at once per working array (0.5 MB, which a processor's own cache holds)."""


class Answered(NamedTuple):
    """One label on the cases where it is known and spoken about."""

    p: Floats
    """(n, classes)"""
    truth: Ints
    """(n,)"""
    weight: Floats
    """(replicates, n)"""
    positive: int
    """Index of the positive class."""


def weights_of(cases: int, weight: Floats | None) -> Floats:
    """(replicates, cases); one replicate of ones where none is given."""
    return np.ones((1, cases)) if weight is None else np.atleast_2d(np.asarray(weight, dtype=float))


def known_and_spoken(p: Floats, targets: Ints, labels: Labels) -> NDArray[np.bool_]:
    """(cases, labels) where the label is known and the source does not abstain."""
    spoken = [~np.isnan(p[:, part]).any(axis=1) for part in labels.slices.values()]
    return (np.asarray(targets) >= 0) & (np.stack(spoken, axis=1) if spoken else np.ones(np.shape(targets), dtype=bool))


def answered(p: Floats, targets: Ints, labels: Labels, weight: Floats | None) -> list[Answered]:
    """Each label on its own cases."""
    weights, chosen = weights_of(len(p), weight), known_and_spoken(p, targets, labels)
    given = []
    for index, label in enumerate(labels):
        ok, block = chosen[:, index], np.asarray(p[:, labels.slices[label.name]], dtype=float)
        truth, positive = np.asarray(targets)[:, index], label.classes.index(label.positive)
        if ok.all():  # nothing is copied
            given.append(Answered(block, truth, weights, positive))
        else:
            given.append(Answered(block[ok], truth[ok], weights[:, ok], positive))
    return given


def by_label(
    p: Floats, targets: Ints, labels: Labels, weight: Floats | None, figure: Callable[[Answered], Floats]
) -> Floats:
    """`figure` of each label's answered cases, side by side: (replicates, labels)."""
    columns = [figure(given) for given in answered(p, targets, labels, weight)]
    return np.stack(columns, axis=-1) if columns else np.empty((len(weights_of(len(p), weight)), 0))


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below; NaN where nothing is below."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def mean(values: Floats) -> Floats:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))


def average(values: Floats, weight: Floats) -> Floats:
    """(n,) values, (replicates, n) weights → (replicates,) weighted mean."""
    return ratio(weight @ values, weight.sum(axis=1))


def class_counts(p: Floats, targets: Ints, labels: Labels) -> NDArray[np.int64]:
    """(columns,) known and spoken cases of each class."""
    return labels.counts(np.where(known_and_spoken(p, targets, labels), targets, -1)).astype(np.int64)


def counted(p: Floats, targets: Ints, labels: Labels) -> NDArray[np.bool_]:
    """(columns,) whether a class has at least 10 cases, and 10 others, among those known and spoken about.

    Each case counts once, whatever it weighs: replicates are made a few at a time, and which classes count must not
    depend on who stands in the same part. An interval so speaks of the same classes as its figure.
    """
    counts = class_counts(p, targets, labels)
    out = np.zeros(labels.columns, dtype=bool)
    for part in labels.slices.values():
        out[part] = np.minimum(counts[part], counts[part].sum() - counts[part]) >= FEWEST
    return out


def positive_column(labels: Labels, label: Label) -> int:
    """The column of a label's positive class."""
    return labels.slices[label.name].start + label.classes.index(label.positive)


def over_classes(columns: Floats, labels: Labels) -> Floats:
    """(replicates, columns) → (replicates, labels): the mean over each label's classes of what is defined."""
    blocks = [mean(columns[:, part]) for part in labels.slices.values()]
    return np.stack(blocks, axis=-1) if blocks else np.empty((len(columns), 0))


def all_binary(labels: Labels) -> bool:
    """Whether there are two or more labels, each of two classes: what is called multi-label."""
    return len(labels) > 1 and all(len(label.classes) == 2 for label in labels)


class Measure(NamedTuple):
    """A figure that comes with mmfuse, and what an evaluation must know about it."""

    score: Score
    """`(p, targets, labels, weight) → (replicates, labels)`, or `(replicates, 1)` where it is not `by_label`."""
    ideal: float = np.inf
    """The value that is best: inf, larger is better; -inf, smaller is; NaN, none is; else the nearer the better."""
    by_label: bool = True
    """Whether it gives a figure for each label, or one over all labels together."""
    of_positive: bool = False
    """Whether it speaks of the positive class against the rest."""
    suits: Callable[[Labels], bool] = lambda labels: True
    """Whether it has a meaning for these labels."""
    ranks: bool = False
    """Whether it compares cases with one another; over folds it then speaks of cases of one fold alone."""
    trivial: Callable[[Labels, Floats], Mapping[str, Floats]] = lambda labels, prior: {}
    """{name: (columns,) probabilities} of constant predictors that stand beside it, given the shares of classes."""
    remark: str = ""
    """A sentence that stands below its figures."""


def merit(ideal: float, value: Floats | float) -> Floats:
    """A figure so turned that larger is better: itself, its negative, or minus its distance from a finite `ideal`."""
    if np.isinf(ideal):
        return np.asarray(value, dtype=float) * np.sign(ideal)
    return -np.abs(np.asarray(value, dtype=float) - ideal)
