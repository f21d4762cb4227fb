"""Decisions that come with mmfuse: knobs only. What they learn and how is in `rules` and `search`.

Each makes one prediction of the sources that its line `reads`, in that order.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from mmfuse import DecisionFusion, Labels, SpecError
from mmfuse.builtin.rules import Floats, Ints, MixtureRule, TemperatureRule, VoteRule, fit_temperatures

Mix = Literal["logits", "probabilities"]


class Simplex(DecisionFusion):
    """Weights on a simplex, searched: the lattice point with most hits, or the point with the least log loss.

    Source of the idea (one triple for all labels, on logits, by accuracy): Tang et al., FusionM4Net, Medical Image
    Analysis 76, 2022; here the search is exhaustive.
    """

    rule = MixtureRule
    objective: Literal["accuracy", "balanced-accuracy", "log-loss"] = "accuracy"
    """What is best on the cases learnt from; hits are counted, the log loss is solved exactly."""
    mix: Mix = "logits"
    """What is averaged: logits view by view, or probabilities."""
    scope: Literal["global", "label"] = "global"
    """One set of weights for all labels (the mean over labels is searched), or one a label."""
    step: Annotated[float, Field(ge=1e-6, le=1)] = 0.01
    """Of the lattice, a whole part of 1; the log loss needs none. Of equal candidates the one nearest to equal
    weights wins.
    """

    @field_validator("step")
    @classmethod
    def _whole(cls, step: float) -> float:
        if abs(round(1 / step) * step - 1) > 1e-9:
            raise ValueError(f"1 is no multiple of {step:g}; {1 / round(1 / step):g} would do")
        return step

    @property
    def per_view(self) -> bool:
        return self.mix == "logits"

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> MixtureRule:
        """(sources, views, cases, columns) → weights (sources, labels).

        Raises: SpecError where the lattice has more than a million candidates.
        """
        from mmfuse.builtin.search import least_log_loss, pose, search

        problem = pose(scores, targets, labels, weight, self.objective == "balanced-accuracy")
        each_label = self.scope == "label"
        if self.objective == "log-loss":
            return MixtureRule(least_log_loss(problem, self.mix, each_label), self.mix)
        return MixtureRule(search(problem, self.mix, self.step, each_label), self.mix)


class Weighted(DecisionFusion):
    """Fixed shares, in the order of `reads`."""

    rule = MixtureRule
    shares: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """One a source; they are divided by their sum. Empty: equal."""
    mix: Mix = "probabilities"
    """What is averaged: logits view by view, or probabilities."""

    @field_validator("shares")
    @classmethod
    def _some(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if shares and sum(shares) <= 0:
            raise ValueError("all shares are 0; give one source a share")
        return shares

    @property
    def per_view(self) -> bool:
        return self.mix == "logits"

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> MixtureRule:
        """Learns nothing.

        Raises: SpecError if there are not as many shares as sources.
        """
        shares = self.shares or (1.0,) * len(scores)
        if len(shares) != len(scores):
            raise SpecError(
                f"{len(shares)} shares for {len(scores)} sources", "one a source", "one share for each of `reads`"
            )
        return _mixture(np.array(shares, dtype=float), labels, self.mix)


class Mean(DecisionFusion):
    """The mean of the probabilities (linear opinion pool)."""

    rule = MixtureRule

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> MixtureRule:
        """Learns nothing."""
        return _mixture(np.ones(len(scores)), labels, "probabilities")


class Product(DecisionFusion):
    """The geometric mean of the probabilities, normalised (logarithmic opinion pool)."""

    rule = MixtureRule

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> MixtureRule:
        """Learns nothing."""
        return _mixture(np.ones(len(scores)), labels, "logits")


class Vote(DecisionFusion):
    """One vote a source; the mean probability decides between equals."""

    rule = VoteRule

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> VoteRule:
        """Learns nothing."""
        return VoteRule()


class Temperature(DecisionFusion):
    """Calibrates one source (or the mean of several): a temperature a label, by log loss."""

    rule = TemperatureRule

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> TemperatureRule:
        """(sources, 1, cases, columns) → a temperature a label."""
        return TemperatureRule(fit_temperatures(scores, targets, labels, weight))


def _mixture(shares: Floats, labels: Labels, mix: Mix) -> MixtureRule:
    return MixtureRule(np.repeat((shares / shares.sum())[:, None], len(labels), axis=1), mix)
