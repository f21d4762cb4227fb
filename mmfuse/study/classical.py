"""Paired tests from the literature, on plain arrays: DeLong, McNemar, the corrected resampled t, and Holm's correction.

All but Holm take each case (or resample) as one independent draw; who calls them sees to it that this is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.errors import SpecError
from mmfuse.labels import Floats


class Tested(NamedTuple):
    """A difference with its 95 % interval and the two-sided p-value of no difference."""

    value: float
    low: float
    high: float
    p: float


def delong_parts(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(classifiers, n) scores, (n,) bool → (classifiers,) AUCs and their (classifiers, classifiers) covariance.

    By midranks, in n log n (Sun & Xu, IEEE Signal Processing Letters 21, 2014) of the estimator of DeLong, DeLong &
    Clarke-Pearson, Biometrics 44, 1988.

    Raises: SpecError with fewer than two positives or two negatives.
    """
    from scipy.stats import rankdata

    scores, positive = np.atleast_2d(np.asarray(scores, dtype=float)), np.asarray(positive, dtype=bool)
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise SpecError(f"{m} positive and {n} negative cases", "two or more of each")
    among_all = rankdata(scores, axis=1)
    among_positive, among_negative = rankdata(scores[:, positive], axis=1), rankdata(scores[:, ~positive], axis=1)
    of_positive = (among_all[:, positive] - among_positive) / n
    of_negative = 1.0 - (among_all[:, ~positive] - among_negative) / m
    covariance = np.atleast_2d(np.cov(of_positive)) / m + np.atleast_2d(np.cov(of_negative)) / n
    return of_positive.mean(axis=1), covariance


def delong(one: Floats, other: Floats, positive: NDArray[np.bool_]) -> Tested:
    """Difference of two correlated AUCs on the same cases (normal, two-sided).

    Raises: SpecError with fewer than two positives or two negatives.
    """
    from scipy.special import ndtr

    auc, covariance = delong_parts(np.stack([one, other]), positive)
    gap = float(auc[0] - auc[1])
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0)))
    if error < 1e-12:
        return Tested(gap, np.nan, np.nan, 1.0 if abs(gap) < 1e-12 else np.nan)
    return Tested(gap, gap - 1.959964 * error, gap + 1.959964 * error, float(2 * ndtr(-abs(gap) / error)))


def mcnemar(one_right: NDArray[np.bool_], other_right: NDArray[np.bool_]) -> Tested:
    """Difference of two accuracies on the same cases.

    The p-value is the exact binomial one of the discordant cases (McNemar, Psychometrika 12, 1947; exact: Mosteller,
    Biometrics 8, 1952); the interval is that of Agresti & Min (Statistics in Medicine 24, 2005): one half added to each
    cell of the 2 × 2 table, so that it has a width where no case is discordant.
    """
    from scipy.stats import binomtest

    one_right, other_right = np.asarray(one_right, dtype=bool), np.asarray(other_right, dtype=bool)
    n = len(one_right)
    wins, losses = int((one_right & ~other_right).sum()), int((other_right & ~one_right).sum())
    p = float(binomtest(wins, wins + losses, 0.5).pvalue) if wins + losses else 1.0
    total, b, c = n + 2.0, wins + 0.5, losses + 0.5
    middle = (b - c) / total
    half = 1.959964 * float(np.sqrt((b + c) - (b - c) ** 2 / total)) / total
    return Tested((wins - losses) / n, max(middle - half, -1.0), min(middle + half, 1.0), p)


def corrected_t(differences: Sequence[float] | Floats, test_share: float) -> Tested:
    """The corrected resampled t-test: mean of differences over folds or resamples whose training sets overlap.

    `test_share`: test cases over training cases in each (1 / (k - 1) with k folds). The variance of a fold's difference
    is counted (1 / J + test_share) times, not 1 / J (Nadeau & Bengio, Machine Learning 52, 2003, eq. 19).

    Raises: SpecError with fewer than two differences or one that is undefined.
    """
    from scipy.special import stdtr, stdtrit

    gaps = np.asarray(differences, dtype=float)
    if len(gaps) < 2 or not np.isfinite(gaps).all():
        raise SpecError(f"differences {gaps.tolist()}", "two or more, each defined")
    mean, spread = float(gaps.mean()), float(gaps.var(ddof=1))
    error = float(np.sqrt((1 / len(gaps) + test_share) * spread))
    if error < 1e-12:
        return Tested(mean, np.nan, np.nan, 1.0 if abs(mean) < 1e-12 else np.nan)
    half = float(stdtrit(len(gaps) - 1, 0.975)) * error
    return Tested(mean, mean - half, mean + half, float(2 * stdtr(len(gaps) - 1, -abs(mean) / error)))


def holm(p: Sequence[float] | Floats) -> Floats:
    """p-values of a family of comparisons that was named beforehand → adjusted ones (Holm, Scand. J. Stat. 6, 1979).

    Each may be held against the level itself. NaN stays NaN and is no part of the family.

    Raises: SpecError for a value outside [0, 1].
    """
    given = np.asarray(p, dtype=float)
    defined = ~np.isnan(given)
    if ((given[defined] < 0) | (given[defined] > 1)).any():
        raise SpecError(f"p-values {given.tolist()}", "each in [0, 1]")
    order = np.argsort(given[defined], kind="stable")
    steps = given[defined][order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    out = np.full(given.shape, np.nan)
    out[defined] = adjusted
    return out
