"""How well probabilities order cases: area under the ROC curve and average precision, one class against the rest.

Cases are sorted once; all replicates of weights then go through cumulative sums in blocks that fit a processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmfuse.labels import Floats, Ints, Label, Labels
from mmfuse.metrics.basis import CELLS, answered, counted, over_classes, ratio, weights_of

Ranking = Callable[[Floats, Floats, Floats], Floats]


def weighted_auc(score: Floats, positive: Floats, weight: Floats) -> Floats:
    """Chance that a positive case scores above a negative one, ties counted half (Hanley, McNeil, Radiology 1982).

    `score` (n,), `positive` (n,) bool, `weight` (replicates, n) → (replicates,); NaN where either side is empty.
    """
    order = np.argsort(score, kind="stable")
    ranked, positive = score[order], positive[order]
    first, last = np.searchsorted(ranked, ranked[positive], "left"), np.searchsorted(ranked, ranked[positive], "right")
    out = np.empty(len(weight))
    step = max(1, CELLS // max(1, len(score)))
    for start in range(0, len(weight), step):
        block = weight[start : start + step][:, order]
        negative = np.zeros((len(block), len(score) + 1))
        np.cumsum(np.where(positive, 0.0, block), axis=1, out=negative[:, 1:])
        of_positive = block[:, positive]
        won = (of_positive * (negative[:, first] + negative[:, last])).sum(axis=1) / 2
        out[start : start + step] = ratio(won, of_positive.sum(axis=1) * negative[:, -1])
    return out


def weighted_average_precision(score: Floats, positive: Floats, weight: Floats) -> Floats:
    """Mean over positive cases of the precision among all that score as high or higher: the area under the
    precision-recall steps, without interpolation (Davis, Goadrich, ICML 2006). Without knowledge it is the share of
    positives.

    `score` (n,), `positive` (n,) bool, `weight` (replicates, n) → (replicates,); NaN where no case is positive.
    """
    order = np.argsort(-score, kind="stable")
    fallen, positive = -score[order], positive[order]
    last = np.searchsorted(fallen, fallen[positive], "right") - 1
    own = np.searchsorted(fallen[positive], fallen[positive], "right") - 1
    out = np.empty(len(weight))
    step = max(1, CELLS // max(1, len(score)))
    for start in range(0, len(weight), step):
        block = weight[start : start + step][:, order]
        of_positive = block[:, positive]
        above, hits = np.cumsum(block, axis=1)[:, last], np.cumsum(of_positive, axis=1)[:, own]
        # where nothing lies above, the case itself weighs nothing
        precision = hits / np.where(above > 0, above, 1.0)
        out[start : start + step] = ratio((of_positive * precision).sum(axis=1), of_positive.sum(axis=1))
    return out


def class_auc(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """(replicates, columns) AUC of each class against the other classes of its label."""
    out = _by_class(weighted_auc, p, targets, labels, weight, one_of_two)
    for part in labels.slices.values():
        if part.stop - part.start == 2:  # one probability is one minus the other, so both have the same AUC
            out[:, part] = np.nanmax(out[:, part], axis=1, keepdims=True, initial=-1.0)
    return np.where(out < 0, np.nan, out)


def class_average_precision(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """(replicates, columns) average precision of each class against the other classes of its label."""
    return _by_class(weighted_average_precision, p, targets, labels, weight, lambda label: label.classes)


def one_of_two(label: Label) -> tuple[str, ...]:
    """The positive class where there are two, else all."""
    return (label.positive,) if len(label.classes) == 2 else label.classes


def _by_class(
    ranking: Ranking,
    p: Floats,
    targets: Ints,
    labels: Labels,
    weight: Floats | None,
    wanted: Callable[[Label], Sequence[str]],
) -> Floats:
    """(replicates, columns); NaN for the classes that are not wanted."""
    out = np.full((len(weights_of(len(p), weight)), labels.columns), np.nan)
    for given, label in zip(answered(p, targets, labels, weight), labels, strict=True):
        for name in wanted(label):
            index = label.classes.index(name)
            column = labels.slices[label.name].start + index
            out[:, column] = ranking(given.p[:, index], given.truth == index, given.weight)
    return out


def macro_auc(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean over classes of one-against-rest AUC; a class that does not occur (in a replicate) is left out."""
    return over_classes(class_auc(p, targets, labels, weight), labels)


def average_precision(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Of two classes: average precision of the positive one. Of more: its mean over classes, one against the rest.

    A class that does not occur (in a replicate) is left out.
    """
    return over_classes(_of_interest(p, targets, labels, weight), labels)


def counted_macro_auc(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """The macro AUC over the classes that are `counted` among all cases given; NaN where there is none."""
    enough = counted(p, targets, labels)
    return over_classes(np.where(enough, class_auc(p, targets, labels, weight), np.nan), labels)


def counted_average_precision(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """The average precision over the classes that are `counted` among all cases given; NaN where there is none."""
    enough = counted(p, targets, labels)
    return over_classes(np.where(enough, _of_interest(p, targets, labels, weight), np.nan), labels)


def _of_interest(p: Floats, targets: Ints, labels: Labels, weight: Floats | None) -> Floats:
    return _by_class(weighted_average_precision, p, targets, labels, weight, one_of_two)
