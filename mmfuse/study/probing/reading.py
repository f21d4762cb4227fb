"""How well a source tells a class from the others: cross-fitted answers, and the AUC of pairs within a fold.

Scores of two folds come from two fits and are not on one scale, so pairs across folds are never compared. Intervals
count groups, not cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmfuse.labels import Floats, Ints

Z = 1.959964
"""Of a two-sided 95 % interval."""

_BINS = 8
"""Of numbers: quantiles of the training cases."""
_PRIOR_CASES = 4.0
"""So many cases of the prior are added to each category, so that a rare one claims little."""
_FITS = 1.5
"""How much wider than its placements say a cross-fitted AUC spreads where there is nothing to be told: 1.3 to 1.6 in
simulations, whatever the source and the number of cases."""


class Answerer(Protocol):
    """A source of answers, learnt anew in each fold."""

    def answer(self, train: Ints, truth: Floats, asked: Ints) -> Floats:
        """(len(train), classes) of 0 and 1 → (len(asked), classes) scores; both are positions of cases."""
        ...

    def held(self, cases: Ints, residual: Floats) -> Floats:
        """(len(cases), m) truths less their mean → (m,) how much of their sum of squares the source's figures hold."""
        ...


@dataclass(frozen=True, eq=False)
class Categories:
    """Answers with each category's share of a class among the training cases; -1 is a category like any other."""

    codes: Ints
    """(n,)"""

    def answer(self, train: Ints, truth: Floats, asked: Ints) -> Floats:
        """Shares drawn towards the prior."""
        return _shares(self.codes[train], truth, self.codes[asked])

    def held(self, cases: Ints, residual: Floats) -> Floats:
        """Pearson's statistic, but for the drawing towards the prior."""
        return _held(self.codes[cases], residual)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Answers as `Categories` does, by the bin of a number: quantiles of the training cases, and one for missing."""

    values: Floats
    """(n,), NaN where missing."""

    def answer(self, train: Ints, truth: Floats, asked: Ints) -> Floats:
        """Shares of each bin, drawn towards the prior."""
        return _shares(self._bins(train, train), truth, self._bins(train, asked))

    def held(self, cases: Ints, residual: Floats) -> Floats:
        """That of the bins as categories."""
        return _held(self._bins(cases, cases), residual)

    def _bins(self, train: Ints, asked: Ints) -> Ints:
        known, values = self.values[train][~np.isnan(self.values[train])], self.values[asked]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
        return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))


@dataclass(frozen=True, eq=False)
class Measures:
    """Answers with a ridge regression on many standardised figures (Hoerl, Kennard, Technometrics 1970).

    The penalty is a tenth of the training cases: with figures that say nothing it answers next to nothing.
    """

    values: Floats
    """(n, figures)"""

    def answer(self, train: Ints, truth: Floats, asked: Ints) -> Floats:
        """Linear in the figures; constant ones say nothing."""
        x, middle, spread = self._standardised(train)
        weights = np.linalg.solve(self._penalised(x), x.T @ (truth - truth.mean(axis=0)))
        # A value far outside what was seen is held at its edge, or one odd picture would outshout all others.
        return np.clip((self.values[asked] - middle) / spread, -5, 5) @ weights

    def held(self, cases: Ints, residual: Floats) -> Floats:
        """Squares of the penalised fit."""
        x = self._standardised(cases)[0]
        turned = np.linalg.solve(np.linalg.cholesky(self._penalised(x)), x.T @ residual)
        return np.asarray((turned**2).sum(axis=0))

    def _standardised(self, train: Ints) -> tuple[Floats, Floats, Floats]:
        seen = self.values[train]
        middle, spread = seen.mean(axis=0), seen.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)
        return (seen - middle) / spread, middle, spread

    @staticmethod
    def _penalised(x: Floats) -> Floats:
        return np.asarray(x.T @ x + 0.1 * len(x) * np.eye(x.shape[1]))


def _held(codes: Ints, residual: Floats) -> Floats:
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) != 0])
    sums, sizes = np.add.reduceat(residual[order], starts, axis=0), np.diff(np.r_[starts, len(codes)])
    return np.asarray((sums**2 / (sizes + _PRIOR_CASES)[:, None]).sum(axis=0))


def _shares(seen: Ints, truth: Floats, asked: Ints) -> Floats:
    kinds, member = np.unique(seen, return_inverse=True)
    counts = np.zeros((len(kinds) + 1, truth.shape[1]))
    np.add.at(counts, member, truth)
    prior = truth.mean(axis=0)
    shares = (counts + _PRIOR_CASES * prior) / (counts.sum(axis=1, keepdims=True) + _PRIOR_CASES)
    at = np.searchsorted(kinds, asked)
    known = (at < len(kinds)) & (kinds[np.minimum(at, len(kinds) - 1)] == asked)
    return np.asarray(shares[np.where(known, at, len(kinds))])


def cross_fitted(source: Answerer, there: NDArray[np.bool_], truth: Ints, classes: int, folds: Ints) -> Floats:
    """(n, classes) answers to each case from a fit without its fold; NaN where source or truth (-1) is absent."""
    out = np.full((len(truth), classes), np.nan)
    usable = there & (truth >= 0)
    hot = np.eye(classes)
    for fold in np.unique(folds[usable]):
        train, asked = np.flatnonzero(usable & (folds != fold)), np.flatnonzero(usable & (folds == fold))
        if len(train):
            out[asked] = source.answer(train, hot[truth[train]], asked)
    return out


@dataclass(frozen=True, eq=False)
class Reading:
    """An AUC with what its error comes from."""

    value: float
    error: float
    """Standard error, over groups."""
    positives: int
    negatives: int
    influence: Floats
    """(n,) what each case adds to the value beyond the mean; 0 where it was not asked."""

    @property
    def low(self) -> float:
        """Of the 95 % interval, made on the logit scale so that it stays below 1.

        It covers the choice of cases. Near 0.5, where the fits are as uncertain as the cases, it is widened to that.
        """
        return self._end(-Z)

    @property
    def high(self) -> float:
        """Of the 95 % interval."""
        return self._end(Z)

    def p_above(self, level: float) -> float:
        """One-sided p-value of an AUC of at most `level`."""
        inner = self._inner
        return upper_tail((_logit(inner) - _logit(level)) * inner * (1 - inner) / self.error)

    @property
    def _inner(self) -> float:
        edge = 0.5 / min(self.positives, self.negatives)
        return min(max(self.value, edge), 1 - edge)

    def _end(self, z: float) -> float:
        inner = self._inner
        z *= _FITS if abs(self.value - 0.5) < 3 * self.error else 1.0
        return 1 / (1 + math.exp(-(_logit(inner) + z * self.error / (inner * (1 - inner)))))

    def __str__(self) -> str:
        return f"AUC {self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def upper_tail(z: float) -> float:
    """Chance that a standard normal number exceeds `z`."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def hanley_mcneil(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC from the counts alone (Hanley, McNeil, Radiology 1982, eq. 1)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(spread / (positives * negatives))


def placed(score: Floats, positive: NDArray[np.bool_], folds: Ints, groups: NDArray) -> Reading | None:
    """The AUC of pairs within a fold, folds weighted by their pairs; None where no fold has both sides.

    `score` (n,), NaN where silent. The error comes from placement values (DeLong, DeLong, Clarke-Pearson, Biometrics
    1988) summed within groups before they are squared (Obuchowski, Biometrics 1997); near 1, where placements hardly
    vary, it is at least that of Hanley and McNeil, so that no interval has zero width.
    """
    spoken = ~np.isnan(score)
    sides = {
        int(fold): (np.flatnonzero(mine & positive), np.flatnonzero(mine & ~positive))
        for fold in np.unique(folds[spoken])
        for mine in [spoken & (folds == fold)]
    }
    sides = {fold: (yes, no) for fold, (yes, no) in sides.items() if len(yes) and len(no)}
    pairs = sum(len(yes) * len(no) for yes, no in sides.values())
    if not pairs:
        return None
    influence = np.zeros(len(score))
    value = 0.0
    for yes, no in sides.values():
        share = len(yes) * len(no) / pairs
        above, below = _placements(score[yes], score[no]), 1 - _placements(score[no], score[yes])
        auc = float(above.mean())
        value += share * auc
        influence[yes] = share * (above - auc) / len(yes)
        influence[no] = share * (below - auc) / len(no)
    m, n = sum(len(yes) for yes, _ in sides.values()), sum(len(no) for _, no in sides.values())
    edge = 0.5 / min(m, n)
    inner = min(max(value, edge), 1 - edge)
    least = hanley_mcneil(inner, m, n) if abs(value - 0.5) > 0.45 else 1e-12
    return Reading(value, max(grouped_error(influence, groups), least), m, n, influence)


def _placements(score: Floats, against: Floats) -> Floats:
    """The share of `against` that each score exceeds, ties counted half."""
    ordered = np.sort(against)
    won = np.searchsorted(ordered, score, "left") + np.searchsorted(ordered, score, "right")
    return np.asarray(won / (2 * len(against)))


def grouped_error(influence: Floats, groups: NDArray) -> float:
    """Standard error of a sum of influences, those of one group added first."""
    _, member = np.unique(groups, return_inverse=True)
    sums = np.bincount(member, influence)
    used = int(np.count_nonzero(sums)) or 1
    return math.sqrt(float((sums**2).sum()) * used / max(used - 1, 1))


def p_of_gain(one: Reading, other: Reading, groups: NDArray) -> float:
    """One-sided p-value of `one` telling no more than `other` on the same cases."""
    error = grouped_error(one.influence - other.influence, groups)
    return upper_tail((one.value - other.value) / max(error, 1e-12))
