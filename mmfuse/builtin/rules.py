"""What decisions learn, as records, and how each makes one prediction of several. NumPy only.

Every rule leaves out sources that abstain and shares their weight among those who speak (law 3); within each label
its answer sums to one; where all abstain it is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmfuse import Labels, Rule

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

ZERO = float(np.log(1e-12))
"""What the logarithm of a probability of exactly 0 counts as in a mean of logarithms: a source that rules a class out
is not to overrule all others by itself."""


def speaking(scores: Floats) -> Bools:
    """(sources, views, cases, columns) → (sources, cases): who speaks about whom."""
    return np.asarray(~np.isnan(scores).any(axis=(1, 3)))


def filled(scores: Floats, speaks: Bools) -> Floats:
    """The scores, 0 where a source abstains; -inf is a probability of exactly 0."""
    return np.where(speaks[:, None, :, None], scores, 0.0)


def finite(logs: Floats) -> Floats:
    """(…, classes) log-probabilities of one label, those of exactly 0 as `ZERO`, or as the least of the other classes
    where that is less still: no class overtakes another.
    """
    zero = np.isneginf(logs)
    if not zero.any():
        return logs
    least = np.where(zero, np.inf, logs).min(axis=-1, keepdims=True)
    return np.where(zero, np.minimum(least, ZERO), logs)


def chances(scores: Floats, speaks: Bools) -> Floats:
    """(sources, cases, columns) the mean over views of the probabilities, 0 where a source abstains."""
    return np.asarray(np.exp(filled(scores, speaks)).mean(axis=1) * speaks[:, :, None])


def shared(weights: Floats, speaks: Bools) -> Floats:
    """(sources, labels) weights → (sources, cases, labels) weights of those who speak, summing to one a case and label.

    Where only sources of weight zero speak, they speak equally; 0 where nobody does.
    """
    given = weights[:, None, :] * speaks[:, :, None]
    given = np.where(given.sum(axis=0) > 0, given, speaks[:, :, None].astype(float))
    total = given.sum(axis=0)
    return given / np.where(total > 0, total, 1.0)


def by_column(per_label: Floats, labels: Labels) -> Floats:
    """(…, labels) → (…, columns)."""
    return np.repeat(per_label, [len(label.classes) for label in labels], axis=-1)


@dataclass(frozen=True, eq=False)
class MixtureRule(Rule):
    """A weighted mean of logits (the mean over views of its softmax) or of probabilities."""

    weights: Floats
    """(sources, labels), summing to one over sources."""
    mix: str
    """`logits` or `probabilities`."""

    def __post_init__(self) -> None:
        sound = self.weights.ndim == 2 and np.isfinite(self.weights).all() and (self.weights >= 0).all()
        if not sound or self.mix not in ("logits", "probabilities"):
            raise ValueError(f"weights {self.weights.tolist()} of {self.mix}")

    def __call__(self, scores: Floats, labels: Labels) -> Floats:
        """(sources, views, cases, columns) log-probabilities → (cases, columns) probabilities."""
        speaks = speaking(scores)
        shares = by_column(shared(self.weights, speaks), labels)
        if self.mix == "logits":
            p = labels.softmax(_mixed_logs(filled(scores, speaks), shares, labels)).mean(axis=0)
        else:
            p = labels.normalise(np.einsum("snc,snc->nc", shares, chances(scores, speaks)))
        p[~speaks.any(axis=0)] = np.nan
        return p


def _mixed_logs(logs: Floats, shares: Floats, labels: Labels) -> Floats:
    """(views, cases, columns) mixtures of (sources, views, cases, columns); -inf where all that have a share say so."""
    tame = np.concatenate([finite(logs[..., part]) for part in labels.slices.values()], axis=-1)
    mixed = np.einsum("snc,svnc->vnc", shares, tame)
    ruled_out = (np.isneginf(logs) | (shares == 0)[:, None]).all(axis=0) & (shares > 0).any(axis=0)
    return np.where(ruled_out, -np.inf, mixed)


@dataclass(frozen=True, eq=False)
class VoteRule(Rule):
    """One vote a source; the mean probability decides between equals."""

    def __call__(self, scores: Floats, labels: Labels) -> Floats:
        """(sources, views, cases, columns) log-probabilities → (cases, columns): (votes + mean probability) /
        (sources + 1).

        A mean probability is at most 1 and can reach that only for a class with every vote: more votes always win.
        """
        speaks = speaking(scores)
        p = chances(scores, speaks)
        picks = labels.argmax(np.where(speaks[:, :, None], p, np.nan))
        count = speaks.sum(axis=0)[:, None]
        mean = labels.normalise(p.sum(axis=0))
        answer = (labels.one_hot(picks).sum(axis=0) + mean) / (count + 1)
        answer[~speaks.any(axis=0)] = np.nan
        return answer


def log_mean(scores: Floats, labels: Labels) -> Floats:
    """(sources, views, cases, columns) → (cases, columns) logarithm of the mean probability of those who speak, -inf
    where it is exactly 0; NaN where nobody speaks.
    """
    speaks = speaking(scores)
    shares = shared(np.ones((len(scores), len(labels))), speaks)
    with np.errstate(divide="ignore"):
        out = np.log(np.einsum("snc,snc->nc", by_column(shares, labels), chances(scores, speaks)))
    out[~speaks.any(axis=0)] = np.nan
    return out


@dataclass(frozen=True, eq=False)
class TemperatureRule(Rule):
    """The mean probability, its logarithm divided by a temperature a label; what is exactly 0 stays 0."""

    temperatures: Floats
    """(labels,)"""

    def __post_init__(self) -> None:
        if self.temperatures.ndim != 1 or not (np.isfinite(self.temperatures) & (self.temperatures > 0)).all():
            raise ValueError(f"temperatures {self.temperatures.tolist()}")

    def __call__(self, scores: Floats, labels: Labels) -> Floats:
        """(sources, views, cases, columns) log-probabilities → (cases, columns) probabilities."""
        return labels.softmax(log_mean(scores, labels) / by_column(self.temperatures, labels))


def fit_temperatures(scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
    """(labels,) temperature in [0.01, 100] with the least log loss of the mean probability; 1 where nothing is known.

    The loss is convex in the inverse temperature: its derivative is bisected. A case whose true class has probability 0
    has the same loss at every temperature, and does not count.
    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    logs = log_mean(scores, labels)
    out = np.ones(len(labels))
    for index, part in enumerate(labels.slices.values()):
        truth = targets[:, index]
        rows = (truth >= 0) & ~np.isnan(logs[:, part]).any(axis=1) & (weight > 0)
        rows[rows] = np.isfinite(np.take_along_axis(logs[rows, part], truth[rows, None], axis=1)[:, 0])
        if rows.any():
            out[index] = _temperature(logs[rows, part], truth[rows], weight[rows])
    return out


def _temperature(logs: Floats, truth: Ints, weight: Floats) -> float:
    of_truth = np.take_along_axis(logs, truth[:, None], axis=1)[:, 0]
    below, above = np.log(0.01), np.log(100.0)
    counting = np.where(np.isneginf(logs), 0.0, logs)  # 0 ln 0 is 0
    for _ in range(60):
        middle = (below + above) / 2
        z = logs / np.exp(middle)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        expected = (p * counting).sum(axis=1) / p.sum(axis=1)
        if weight @ (expected - of_truth) < 0:
            above = middle
        else:
            below = middle
    return float(np.exp((below + above) / 2))
