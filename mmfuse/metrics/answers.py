"""Figures of the answers that are given: the most probable class (the first of equals), or the positive class from a
threshold on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmfuse.labels import Floats, Ints, Labels
from mmfuse.metrics.basis import (
    Answered,
    Score,
    average,
    by_label,
    counted,
    known_and_spoken,
    mean,
    positive_column,
    ratio,
    weights_of,
)


def _confusion(given: Answered) -> tuple[Floats, Floats, Floats]:
    """(replicates, classes) weight of the cases that are hits, are of the class, were answered with the class."""
    classes = np.arange(given.p.shape[1])
    truth = given.truth[:, None] == classes
    picked = np.argmax(given.p, axis=1)[:, None] == classes
    sums = given.weight @ np.concatenate([truth & picked, truth, picked], axis=1).astype(float)
    hits, of_class, answers = np.split(sums, 3, axis=1)
    return hits, of_class, answers


def accuracy(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Share of cases whose most probable class is right."""
    return by_label(
        p, targets, labels, weight, lambda a: average((a.p.argmax(axis=1) == a.truth).astype(float), a.weight)
    )


def balanced_accuracy(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean recall over the classes that occur (in each replicate); NaN where only one does."""

    def figure(given: Answered) -> Floats:
        hits, of_class, _ = _confusion(given)
        return _of_classes(mean(ratio(hits, of_class)), of_class)

    return by_label(p, targets, labels, weight, figure)


def macro_f1(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean F1 over the classes that occur or are answered (in each replicate); NaN where only one occurs."""

    def figure(given: Answered) -> Floats:
        hits, of_class, picked = _confusion(given)
        return _of_classes(mean(ratio(2 * hits, of_class + picked)), of_class)

    return by_label(p, targets, labels, weight, figure)


def _of_classes(figure: Floats, of_class: Floats) -> Floats:
    """A mean over classes says nothing of how they are told apart where there is one: (replicates,), NaN there."""
    return np.where((of_class > 0).sum(axis=1) > 1, figure, np.nan)


# ── the positive class against the rest ─────────────────────────────────────────────────────────────────────────────

SIDES = ("sensitivity", "specificity", "ppv", "npv")


def sides(truth: np.ndarray, called: np.ndarray, weight: Floats) -> dict[str, Floats]:
    """Sensitivity, specificity, positive and negative predictive value: {name: (replicates,)}; NaN where undefined.

    `truth` and `called` (n,) bool, `weight` (replicates, n).
    """
    table = np.stack([truth & called, truth, called, np.ones_like(truth)], axis=1).astype(float)
    hits, positive, picked, whole = (weight @ table).T
    rejected = whole - positive - picked + hits
    return {
        "sensitivity": ratio(hits, positive),
        "specificity": ratio(rejected, whole - positive),
        "ppv": ratio(hits, picked),
        "npv": ratio(rejected, whole - picked),
    }


def side(name: str, threshold: float | None = None) -> Score:
    """The score of one of the four. A case is called positive if the probability of the positive class is at least
    `threshold` (from 0: every case); None: if it is the most probable class.
    """
    if threshold is None:
        return _side(name, lambda given: given.p.argmax(axis=1) == given.positive)
    return _side(name, lambda given: given.p[:, given.positive] >= threshold)


def _side(name: str, called: Callable[[Answered], np.ndarray]) -> Score:
    def score(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
        def figure(given: Answered) -> Floats:
            return sides(given.truth == given.positive, called(given), given.weight)[name]

        return by_label(p, targets, labels, weight, figure)

    return score


# ── all labels together ─────────────────────────────────────────────────────────────────────────────────────────────


def exact_match(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Share of cases of which every label is answered right (subset accuracy): (replicates, 1).

    Only cases of which every label is known and spoken about count.
    """
    whole = known_and_spoken(p, targets, labels).all(axis=1)
    right = (labels.argmax(p) == targets).all(axis=1)
    return average(right[whole].astype(float), weights_of(len(p), weight)[:, whole])[:, None]


def hamming(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Share of (case, label) pairs that are answered wrong, of those known and spoken about: (replicates, 1).

    One minus it is what some call the accuracy of several labels, or of bits.
    """
    known = known_and_spoken(p, targets, labels)
    wrong = known & (labels.argmax(p) != targets)
    weights = weights_of(len(p), weight)
    return ratio(weights @ wrong.sum(axis=1).astype(float), weights @ known.sum(axis=1).astype(float))[:, None]


def _positives(p: Floats, targets: Ints, labels: Labels, weight: Floats | None) -> tuple[Floats, Floats, Floats]:
    """(replicates, labels) twice the hits on the positive class; cases that are or were called positive, added; cases
    that are positive.
    """
    weights, known = weights_of(len(p), weight), known_and_spoken(p, targets, labels)
    index = np.array([label.classes.index(label.positive) for label in labels])
    truth, called = known & (targets == index), known & (labels.argmax(p) == index)
    positive = weights @ truth.astype(float)
    return 2 * (weights @ (truth & called).astype(float)), positive + weights @ called.astype(float), positive


def micro_f1(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """F1 of the positive classes, hits and misses of all labels added up: (replicates, 1); NaN without any positive."""
    hits, either, positive = _positives(p, targets, labels, weight)
    f1 = ratio(hits.sum(axis=1), either.sum(axis=1))
    return np.where(positive.sum(axis=1) > 0, f1, np.nan)[:, None]


def positive_macro_f1(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean over labels of the F1 of the positive class: (replicates, 1).

    A label with fewer than 10 positive or 10 negative cases is left out.
    """
    hits, either, _ = _positives(p, targets, labels, weight)
    enough = counted(p, targets, labels)[[positive_column(labels, label) for label in labels]]
    return mean(np.where(enough, ratio(hits, either), np.nan))[:, None]
