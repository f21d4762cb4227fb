"""How far probabilities may be taken at their word: log loss, Brier, the slope, intercept and error of calibration; and
how certain they sound (entropy).

Slope, intercept and error look at one probability a case. Of two classes it is that of the positive class, against
whether the case is positive. Of more it is that of the answer, against whether the answer is right (top label; Guo et
al., ICML 2017; Gupta, Ramdas, ICLR 2022): one-against-rest intercepts would cancel in a mean over classes, and rare
classes have none.
"""

from __future__ import annotations

import numpy as np

from mmfuse.labels import Floats, Ints, Labels
from mmfuse.metrics.basis import CELLS, Answered, average, by_label, ratio
from mmfuse.metrics.recalibration import SMALLEST, intercept, slope

BINS = 10
"""Of the calibration error."""


def log_loss(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean of -ln of the probability of the true class, in nats; probabilities are clipped to [1e-12, 1]."""

    def figure(given: Answered) -> Floats:
        of_truth = np.take_along_axis(given.p, given.truth[:, None], axis=1)[:, 0]
        return average(-np.log(np.clip(of_truth, SMALLEST, 1.0)), given.weight)

    return by_label(p, targets, labels, weight, figure)


def brier(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean squared distance of the probabilities from the truth, summed over classes: in [0, 2].

    Source: Brier, Monthly Weather Review 78, 1950, eq. 2. With two classes it is twice the form that looks at one of
    them.
    """

    def figure(given: Answered) -> Floats:
        truth = given.truth[:, None] == np.arange(given.p.shape[1])
        return average(((given.p - truth) ** 2).sum(axis=1), given.weight)

    return by_label(p, targets, labels, weight, figure)


def entropy(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean predictive entropy, -sum of p ln p over the classes, in [0, ln classes] nats: 0 is certain, right or wrong.

    Source: Shannon, Bell System Technical Journal 27, 1948. It says nothing of truth: on spoilt inputs it should rise.
    """

    def figure(given: Answered) -> Floats:
        p = np.clip(given.p, SMALLEST, 1.0)
        return average(-(given.p * np.log(p)).sum(axis=1), given.weight)

    return by_label(p, targets, labels, weight, figure)


def _event(given: Answered) -> tuple[Floats, Floats]:
    """(n,) the probability that is looked at, and (n,) 0 or 1, whether it came true."""
    if given.p.shape[1] == 2:
        return given.p[:, given.positive], (given.truth == given.positive).astype(float)
    return given.p.max(axis=1), (given.p.argmax(axis=1) == given.truth).astype(float)


def calibration_slope(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Slope of the logistic regression of what came true on the logit of its probability: 1 is ideal, below 1 the
    probabilities are too extreme, above too timid.

    Sources: Cox, Biometrika 45, 1958; Van Calster et al., BMC Medicine 17:230, 2019. NaN where one outcome is absent,
    all probabilities are equal, or they separate the outcomes (the slope is then infinite).
    """
    return by_label(p, targets, labels, weight, lambda given: slope(*_event(given), given.weight))


def calibration_intercept(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Calibration in the large: what must be added to the logit (slope 1) so that the probabilities add up to what came
    true. 0 is ideal, below 0 the probabilities are too high, above too low.

    Source: Van Calster et al., BMC Medicine 17:230, 2019. NaN where one outcome is absent.
    """
    return by_label(p, targets, labels, weight, lambda given: intercept(*_event(given), given.weight))


def calibration_error(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Expected calibration error: mean distance of probability and frequency over 10 bins of equal mass, in [0, 1].

    A case that lies on the border of two bins counts in both, in parts; cases of equal probability stay together.
    Source: Naeini et al., AAAI 2015, with the equal-mass bins of Nixon et al., CVPR workshops 2019. It is not debiased:
    of perfect probabilities q it is about sqrt(20 v / (pi n)), v the mean of q (1 - q), so it compares sources on the
    same cases and says little of few.
    """
    return by_label(p, targets, labels, weight, lambda given: binned_error(*_event(given), given.weight))


def binned_error(chance: Floats, came: Floats, weight: Floats, bins: int = BINS) -> Floats:
    """`chance` (n,) in [0, 1], `came` (n,) 0 or 1, `weight` (replicates, n) → (replicates,).

    The bins are cut from the curve of cumulated `chance - came` over cumulated weight, so that a case of weight 2 is
    two cases.
    """
    out = np.full(len(weight), np.nan)
    order = np.argsort(chance, kind="stable")
    _, first = np.unique(chance[order], return_index=True)
    gap, ends = (chance - came)[order], np.append(first[1:], len(order)) - 1
    levels = np.arange(1, bins) / bins
    step = max(1, CELLS // max(1, len(order)))
    for start in range(0, len(weight) if len(order) else 0, step):
        block = weight[start : start + step][:, order]
        mass = np.zeros((len(block), len(ends) + 1))
        drift = np.zeros_like(mass)  # both curves begin at nothing
        mass[:, 1:], drift[:, 1:] = np.cumsum(block, axis=1)[:, ends], np.cumsum(block * gap, axis=1)[:, ends]
        total = mass[:, -1:]
        wanted = levels * total
        right = np.stack([np.searchsorted(row, marks) for row, marks in zip(mass, wanted, strict=True)])
        right = np.clip(right, 1, len(ends))
        below, above = (np.take_along_axis(mass, right - shift, axis=1) for shift in (1, 0))
        low, high = (np.take_along_axis(drift, right - shift, axis=1) for shift in (1, 0))
        cuts = low + (high - low) * (wanted - below) / np.where(above > below, above - below, 1.0)
        pieces = np.abs(np.diff(np.concatenate([drift[:, :1], cuts, drift[:, -1:]], axis=1), axis=1))
        out[start : start + step] = ratio(pieces.sum(axis=1), total[:, 0])
    return out
