"""What metrics keep: one value a replicate and label; a weight of 0 is a case that is not there, 2 is two cases; what
is unknown or silent weighs nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmfuse import Label, Labels, Metric
from mmfuse.testing.kit import Given, need

LABELS = Labels([Label("two", ("a", "b")), Label("three", ("a", "b", "never"))])
"""Tried first; class `never` occurs in no case."""
BINARY = Labels(
    [Label("first", ("no", "yes")), Label("second", ("no", "yes")), Label("third", ("yes", "no"), "", "yes")]
)
"""Tried next, for metrics of several labels of two classes."""
_FOR_EACH_CLASS = 40
"""Cases, so that half of them hold enough of each class for a metric that leaves rare ones out."""


def _labels_of(part: Metric, given: Given) -> Labels:
    """Labels that the metric suits; those tried first if it suits none."""
    tried = [LABELS, BINARY] if given.labels is None else [given.labels]
    return next((labels for labels in tried if part.suits(labels)), tried[0])


def _problem(part: Metric, given: Given) -> tuple[np.ndarray, np.ndarray, Labels]:
    """(cases, columns) probabilities that know something, (cases, labels) targets, some unknown, and the labels."""
    labels, rng = _labels_of(part, given), np.random.default_rng(1)
    occur = [max(2, len(label.classes) - 1) for label in labels]
    cases = _FOR_EACH_CLASS * max([2, *occur])
    targets = np.stack([rng.integers(0, most, cases) for most in occur], axis=1)
    logits = rng.normal(size=(cases, labels.columns)) + 1.5 * labels.one_hot(targets)
    targets[::7, 0] = -1
    targets[::5, -1] = -1
    return labels.softmax(logits), targets, labels


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=1e-6, atol=1e-6, equal_nan=True))


def suits_some_labels(part: Metric, given: Given) -> None:
    labels = _labels_of(part, given)
    need(
        bool(part.suits(labels)),
        f"suits neither labels of two and three classes nor three of two (asked last: {list(labels.names)})",
        "`suits(labels)` is true for the labels that it has a meaning for",
        "give labels that it suits: check(part, labels=Labels(...))",
    )


def gives_one_value_a_replicate_and_label(part: Metric, given: Given) -> None:
    p, targets, labels = _problem(part, given)
    values, width = part.score(p, targets, labels, np.ones((3, len(p)))), len(labels) if part.by_label else 1
    need(
        np.shape(values) == (3, width),
        f"gave {np.shape(values)} for 3 replicates and {len(labels)} labels",
        f"(3, {width}), since by_label = {part.by_label}",
    )
    need(bool(np.array_equal(values[0], values[1], equal_nan=True)), "differs between equal replicates", "the same")


def takes_each_replicate_by_itself(part: Metric, given: Given) -> None:
    """The engine asks for a few replicates at a time: who stands beside one must not reach its value."""
    p, targets, labels = _problem(part, given)
    weight = np.random.default_rng(4).integers(0, 3, (3, len(p))).astype(float)
    weight[1, targets[:, 0] == 0] = 0
    alone = np.concatenate([part.score(p, targets, labels, row[None]) for row in weight])
    need(
        _same(part.score(p, targets, labels, weight), alone),
        "the value of a replicate depends on the other rows of `weight`",
        "the value that it has by itself",
        "settle what holds for all replicates (which classes count) from `p` and `targets`, not from `weight`",
    )


def weighs_cases(part: Metric, given: Given) -> None:
    p, targets, labels = _problem(part, given)
    weight, half = np.ones((1, len(p))), len(p) // 2
    weight[0, half:] = 0
    hidden = part.score(p, targets, labels, weight)
    dropped = part.score(p[:half], targets[:half], labels, weight[:, :half])
    need(_same(hidden, dropped), "a case of weight 0 counts", "the value without it")
    twice = part.score(
        np.concatenate([p, p[:5]]), np.concatenate([targets, targets[:5]]), labels, np.ones((1, len(p) + 5))
    )
    weight = np.ones((1, len(p)))
    weight[0, :5] = 2
    need(
        _same(part.score(p, targets, labels, weight), twice),
        "a case of weight 2 is not two cases",
        "the value with the case twice",
    )


def lets_unknown_and_silent_cases_weigh_nothing(part: Metric, given: Given) -> None:
    p, targets, labels = _problem(part, given)
    ones = np.ones((1, len(p)))
    spoiled, moved = p.copy(), p.copy()
    spoiled[:4] = np.nan
    for index, columns in enumerate(labels.slices.values()):
        moved[targets[:, index] < 0, columns] = np.eye(columns.stop - columns.start)[0]
    silent, without = part.score(spoiled, targets, labels, ones), part.score(p[4:], targets[4:], labels, ones[:, 4:])
    need(_same(silent, without), "a case without prediction (NaN) counts", "the value without it")
    same = _same(part.score(moved, targets, labels, ones), part.score(p, targets, labels, ones))
    need(same, "an unknown label (-1) counts", "the value without it")


def prefers_right_answers(part: Metric, given: Given) -> None:
    if not math.isinf(part.ideal):  # it does not say how many answers are right
        return
    _, targets, labels = _problem(part, given)
    right = np.where(labels.one_hot(np.maximum(targets, 0)) > 0, 0.9, 0.05)
    right, wrong = labels.normalise(right), labels.normalise(1 - right)
    good, bad = (np.nanmean(part.score(p, targets, labels, np.ones((1, len(p))))) for p in (right, wrong))
    need(
        bool(good > bad if part.ideal > 0 else good < bad),
        f"is {good:.3g} for right answers and {bad:.3g} for wrong ones",
        f"larger_is_better = {good > bad}",
    )


def comes_to_its_ideal_for_honest_probabilities(part: Metric, given: Given) -> None:
    if not math.isfinite(part.ideal):
        return
    labels, rng = _labels_of(part, given), np.random.default_rng(3)
    p = labels.softmax(rng.normal(scale=1.5, size=(5000, labels.columns)))
    drawn = np.log(p) + rng.gumbel(size=p.shape)  # the argmax is a draw from p
    value = float(np.nanmean(part.score(p, labels.argmax(drawn), labels, np.ones((1, len(p))))))
    need(
        abs(value - part.ideal) < 0.2,
        f"is {value:.3g} where the truth was drawn from the probabilities",
        f"about its ideal, {part.ideal:g}",
        "name another `ideal`; larger_is_better is enough where there is none",
    )


def does_not_mind_the_order_of_cases(part: Metric, given: Given) -> None:
    p, targets, labels = _problem(part, given)
    order, ones = np.random.default_rng(2).permutation(len(p)), np.ones((1, len(p)))
    one, other = part.score(p, targets, labels, ones), part.score(p[order], targets[order], labels, ones)
    need(_same(one, other), "moves with the order of cases", "the same value in any order")


def its_trivial_predictors_are_probabilities(part: Metric, given: Given) -> None:
    labels = _labels_of(part, given)
    prior = labels.normalise(np.arange(1, labels.columns + 1, dtype=float))
    _, targets, _ = _problem(part, given)
    for name, p in dict(part.trivial(labels, prior)).items():
        p = np.asarray(p, dtype=float)
        need(
            p.shape == (labels.columns,),
            f"trivial predictor '{name}' has shape {p.shape}",
            f"({labels.columns},): one probability a column, the same for every case",
        )
        sums = [float(p[columns].sum()) for columns in labels.slices.values()]
        need(
            bool((p >= 0).all() and np.allclose(sums, 1)),
            f"trivial predictor '{name}' sums to {sums} over the classes of each label",
            "probabilities that sum to one within each label",
            "labels.normalise(weights) makes them so",
        )
        values = part.score(
            np.broadcast_to(p, (len(targets), labels.columns)), targets, labels, np.ones((1, len(targets)))
        )
        width = len(labels) if part.by_label else 1
        need(np.shape(values) == (1, width), f"cannot score its trivial predictor '{name}'", f"(1, {width})")


CHECKS: dict[str, tuple[Any, ...]] = {
    "metric": (
        suits_some_labels,
        gives_one_value_a_replicate_and_label,
        takes_each_replicate_by_itself,
        weighs_cases,
        lets_unknown_and_silent_cases_weigh_nothing,
        prefers_right_answers,
        comes_to_its_ideal_for_honest_probabilities,
        does_not_mind_the_order_of_cases,
        its_trivial_predictors_are_probabilities,
    ),
}
