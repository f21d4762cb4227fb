"""The figures that evaluations show, as parts, so that a plugin's metrics stand beside them as equals.

Formulas, sources and what is undefined: `mmfuse.MEASURES`, which training and comparisons use too. The positive class
is the card's `positive`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mmfuse import MEASURES, Labels, Metric, side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Ints = NDArray[np.integer]

Threshold = Literal["argmax"] | Annotated[float, Field(ge=0, le=1)]


def _number(threshold: Threshold) -> float | None:
    return None if threshold == "argmax" else threshold


class Accuracy(Metric):
    """Share of cases whose most probable class is right."""

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["accuracy"].score(p, targets, labels, weight)


class BalancedAccuracy(Metric):
    """Mean recall over the classes that occur; undefined where only one does."""

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["balanced-accuracy"].score(p, targets, labels, weight)


class MacroF1(Metric):
    """Mean F1 over the classes that occur or are answered; undefined where only one occurs."""

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["macro-f1"].score(p, targets, labels, weight)


class MacroAuc(Metric):
    """Mean over classes of the area under the ROC curve, one against the rest; rare classes are left out."""

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["macro-auc"].score(p, targets, labels, weight)


class AveragePrecision(Metric):
    """Area under the precision-recall steps of the positive class; of more than two, the mean over classes."""

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["average-precision"].score(p, targets, labels, weight)


class LogLoss(Metric):
    """Mean of -ln of the probability of the true class, in nats."""

    @property
    def larger_is_better(self) -> bool:
        return False

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["log-loss"].score(p, targets, labels, weight)


class Brier(Metric):
    """Mean squared distance of the probabilities from the truth, summed over classes."""

    @property
    def larger_is_better(self) -> bool:
        return False

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["brier"].score(p, targets, labels, weight)


class CalibrationSlope(Metric):
    """Slope of calibration: below 1 the probabilities are too extreme, above too timid."""

    @property
    def ideal(self) -> float:
        return 1.0

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["calibration-slope"].score(p, targets, labels, weight)


class CalibrationIntercept(Metric):
    """Calibration in the large: below 0 the probabilities are too high, above too low."""

    @property
    def ideal(self) -> float:
        return 0.0

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["calibration-intercept"].score(p, targets, labels, weight)


class CalibrationError(Metric):
    """Expected calibration error: mean distance of probability and frequency over 10 bins of equal mass."""

    @property
    def larger_is_better(self) -> bool:
        return False

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["calibration-error"].score(p, targets, labels, weight)


class Entropy(Metric):
    """Mean predictive entropy in nats: how certain the probabilities sound, right or wrong."""

    @property
    def ideal(self) -> float:
        return math.nan

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["entropy"].score(p, targets, labels, weight)


class Sensitivity(Metric):
    """Share of positive cases that are called positive."""

    threshold: Threshold = "argmax"
    """A case is called positive if the probability of the positive class is at least this (from 0: every case);
    `argmax`: if it is the most probable class."""

    @property
    def of_positive(self) -> bool:
        return True

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return side("sensitivity", _number(self.threshold))(p, targets, labels, weight)


class Specificity(Metric):
    """Share of negative cases that are not called positive."""

    threshold: Threshold = "argmax"
    """A case is called positive if the probability of the positive class is at least this (from 0: every case);
    `argmax`: if it is the most probable class."""

    @property
    def of_positive(self) -> bool:
        return True

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return side("specificity", _number(self.threshold))(p, targets, labels, weight)


class Ppv(Metric):
    """Positive predictive value: share of positives among the cases called positive."""

    threshold: Threshold = "argmax"
    """A case is called positive if the probability of the positive class is at least this (from 0: every case);
    `argmax`: if it is the most probable class."""

    @property
    def of_positive(self) -> bool:
        return True

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return side("ppv", _number(self.threshold))(p, targets, labels, weight)


class Npv(Metric):
    """Negative predictive value: share of negatives among the cases not called positive."""

    threshold: Threshold = "argmax"
    """A case is called positive if the probability of the positive class is at least this (from 0: every case);
    `argmax`: if it is the most probable class."""

    @property
    def of_positive(self) -> bool:
        return True

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return side("npv", _number(self.threshold))(p, targets, labels, weight)


class ExactMatch(Metric):
    """Share of cases of which every label is right (several labels of two classes)."""

    @property
    def by_label(self) -> bool:
        return False

    def suits(self, labels: Labels) -> bool:
        return MEASURES["exact-match"].suits(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["exact-match"].score(p, targets, labels, weight)


class Hamming(Metric):
    """Share of (case, label) pairs that are wrong (several labels of two classes)."""

    @property
    def larger_is_better(self) -> bool:
        return False

    @property
    def by_label(self) -> bool:
        return False

    def suits(self, labels: Labels) -> bool:
        return MEASURES["hamming"].suits(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["hamming"].score(p, targets, labels, weight)


class MicroF1(Metric):
    """F1 of the positive classes, hits and misses of all labels added up."""

    @property
    def by_label(self) -> bool:
        return False

    def suits(self, labels: Labels) -> bool:
        return MEASURES["micro-f1"].suits(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["micro-f1"].score(p, targets, labels, weight)


class PositiveMacroF1(Metric):
    """Mean over labels of the F1 of the positive class; labels with few positives are left out."""

    @property
    def by_label(self) -> bool:
        return False

    def suits(self, labels: Labels) -> bool:
        return MEASURES["positive-macro-f1"].suits(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        return MEASURES["positive-macro-f1"].score(p, targets, labels, weight)
