"""A good metric, and one bad metric for each check."""

import numpy as np

from mmfuse import Metric


class Accuracy(Metric):
    """A good metric."""

    def score(self, p, targets, labels, weight):
        picks = labels.argmax(p)
        counted = weight[:, :, None] * self.known(p, targets, picks)
        with np.errstate(all="ignore"):
            return (counted * (picks == targets)).sum(axis=1) / counted.sum(axis=1)

    def known(self, p, targets, picks):
        return (targets >= 0) & (picks >= 0)


class OneNumber(Accuracy):
    """Gives one number for all labels."""

    def score(self, p, targets, labels, weight):
        return super().score(p, targets, labels, weight).mean(axis=1)


class Weightless(Accuracy):
    """Ignores the weights."""

    def score(self, p, targets, labels, weight):
        return super().score(p, targets, labels, np.ones_like(weight))


class CountsUnknown(Accuracy):
    """Counts unknown labels as wrong."""

    def known(self, p, targets, picks):
        return np.ones(targets.shape)


class UpsideDown(Accuracy):
    """Says that less is better."""

    @property
    def larger_is_better(self):
        return False


class FirstHalf(Accuracy):
    """Trusts the first cases more."""

    def score(self, p, targets, labels, weight):
        return super().score(p, targets, labels, weight) + 0.01 * np.nan_to_num(p[0, 0])


class TooWide(Accuracy):
    """Says that it is of all labels together, and gives one a label."""

    @property
    def by_label(self):
        return False


class Together(Accuracy):
    """A good metric of all labels together."""

    @property
    def by_label(self):
        return False

    def suits(self, labels):
        return all(len(label.classes) == 2 for label in labels)

    def score(self, p, targets, labels, weight):
        picks = labels.argmax(p)
        known = self.known(p, targets, picks)
        with np.errstate(all="ignore"):
            return ((weight @ (known & (picks == targets))).sum(axis=1) / (weight @ known).sum(axis=1))[:, None]


class SuitsNobody(Accuracy):
    """Has a meaning for no labels."""

    def suits(self, labels):
        return False


class NoPredictor(Accuracy):
    """Names a trivial predictor that is no probability."""

    def trivial(self, labels, prior):
        return {"zeros": np.zeros(labels.columns)}


class WrongIdeal(Accuracy):
    """Names an ideal that honest probabilities do not come to."""

    @property
    def ideal(self):
        return 0.0


class BesideOthers(Accuracy):
    """Leaves out labels of which no replicate weighs both classes: what is beside a replicate reaches its value."""

    def score(self, p, targets, labels, weight):
        there = np.any(weight > 0, axis=0)
        both = [len(np.unique(targets[there & (targets[:, i] >= 0), i])) > 1 for i in range(len(labels))]
        return np.where(both, super().score(p, targets, labels, weight), np.nan)
