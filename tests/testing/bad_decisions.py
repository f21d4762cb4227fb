"""Planted bad parts behind the network: each breaks one check of the kit and, as far as may be, no other."""

from dataclasses import dataclass, field

import numpy as np

from mmfuse import DecisionFusion, Rule, SecondStage

# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class MeanRule(Rule):
    """The mean of who speaks."""

    def __call__(self, scores, labels):
        with np.errstate(all="ignore"):
            p = np.exp(scores)
            silent = np.isnan(p)
            count = (~silent).sum(axis=(0, 1))
            return np.where(count > 0, np.where(silent, 0, p).sum(axis=(0, 1)) / np.maximum(count, 1), np.nan)


class Mean(DecisionFusion):
    """A good decision."""

    rule = MeanRule

    def fit(self, scores, targets, labels, weight):
        return self.rule()


@dataclass(frozen=True, eq=False)
class SumRule(MeanRule):
    """Twice the mean."""

    def __call__(self, scores, labels):
        return 2 * super().__call__(scores, labels)


class Unnormalised(Mean):
    """Sums to two."""

    rule = SumRule


@dataclass(frozen=True, eq=False)
class GuessingRule(MeanRule):
    """Has an answer for everything."""

    def __call__(self, scores, labels):
        return np.nan_to_num(super().__call__(scores, labels), nan=1 / 2)


class Guesses(Mean):
    """Answers where all abstain."""

    rule = GuessingRule


class NeedsAll(Mean):
    """Cannot learn where a source abstains."""

    def fit(self, scores, targets, labels, weight):
        if np.isnan(scores).any():
            raise ValueError("NaN")
        return self.rule()


class NeedsTargets(Mean):
    """Cannot learn from nothing."""

    def fit(self, scores, targets, labels, weight):
        np.average(np.ones(len(targets)), weights=targets[:, 0] >= 0)
        return self.rule()


@dataclass(frozen=True, eq=False)
class LogRule(MeanRule):
    """Weighs logarithms, the last one with nothing."""

    def __call__(self, scores, labels):
        speaks = ~np.isnan(scores).any(axis=(1, 3))
        weights = speaks * np.append(np.ones(len(scores) - 1), 0.0)[:, None]
        weights = np.where(weights.sum(axis=0) > 0, weights, speaks)
        logs = np.where(speaks[:, None, :, None], scores, 0.0)
        with np.errstate(all="ignore"):
            mixed = (weights[:, None, :, None] * logs).sum(axis=(0, 1)) / weights.sum(axis=0)[:, None]
            return labels.softmax(mixed)


class Logs(Mean):
    """Makes NaN of a probability of zero."""

    rule = LogRule


@dataclass(frozen=True, eq=False)
class BatchRule(MeanRule):
    """Follows the crowd."""

    def __call__(self, scores, labels):
        p = super().__call__(scores, labels)
        return 0.5 * p + 0.5 * np.nanmean(p, axis=0)


class Crowd(Mean):
    """Mixes cases."""

    rule = BatchRule


@dataclass(frozen=True, eq=False)
class HiddenRule(MeanRule):
    """Remembers something beside its fields."""

    memory: list = field(default_factory=list, init=False)

    def save(self, stem):
        MeanRule().save(stem)

    @classmethod
    def load(cls, stem):
        return cls()

    def __call__(self, scores, labels):
        p = super().__call__(scores, labels)
        return labels.normalise(p**2) if self.memory else p


class Hidden(Mean):
    """Is another after save and load."""

    rule = HiddenRule

    def fit(self, scores, targets, labels, weight):
        made = HiddenRule()
        made.memory.append(1)
        return made


class SpoilsScores(Mean):
    """Writes into its input."""

    def fit(self, scores, targets, labels, weight):
        scores -= 1
        return self.rule()


# ── second stages ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Stage(SecondStage):
    """A good second stage."""

    def estimator(self, seed):
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression()


class Regresses(SecondStage):
    """Is no classifier."""

    def estimator(self, seed):
        from sklearn.linear_model import Ridge

        return Ridge()


class TwoOnly(SecondStage):
    """Knows two classes at most."""

    def estimator(self, seed):
        from sklearn.linear_model import LogisticRegression

        class Two(LogisticRegression):
            """Refuses more."""

            def fit(self, x, y):
                if len(set(y)) > 2:
                    raise ValueError("two classes")
                return super().fit(x, y)

        return Two()


class Unseeded(SecondStage):
    """Forgets the seed."""

    def estimator(self, seed):
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=3)


class SpoilsTable(SecondStage):
    """Writes into its table."""

    def estimator(self, seed):
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(copy=False), Stage().estimator(seed))


class Unstorable(SecondStage):
    """Holds a function that is not stored."""

    def estimator(self, seed):
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        return make_pipeline(FunctionTransformer(lambda x: x), Stage().estimator(seed))
