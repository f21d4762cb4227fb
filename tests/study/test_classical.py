"""The literature's tests against independent computations: plain loops, SciPy, worked numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmfuse import SpecError, corrected_t, delong, holm, mcnemar
from mmfuse.study.classical import delong_parts


def plain_delong(one, other, positive):
    """Every pair of a positive and a negative case, one by one: DeLong et al. 1988, eq. 1 to 7."""

    def wins(score):
        x, y = score[positive], score[~positive]
        return np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])

    kernels = [wins(np.asarray(one)), wins(np.asarray(other))]
    m, n = kernels[0].shape
    auc = [kernel.mean() for kernel in kernels]
    variance = 0.0
    for i, a in enumerate(kernels):
        for j, b in enumerate(kernels):
            of_positive = sum((a[k].mean() - auc[i]) * (b[k].mean() - auc[j]) for k in range(m)) / (m - 1)
            of_negative = sum((a[:, k].mean() - auc[i]) * (b[:, k].mean() - auc[j]) for k in range(n)) / (n - 1)
            variance += (1 if i == j else -1) * (of_positive / m + of_negative / n)
    return auc[0] - auc[1], np.sqrt(max(variance, 0.0))


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("seed", range(4))
def test_delong_equals_an_independent_implementation(seed, digits):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    one, other = (np.round(positive * shift + rng.normal(size=60), digits) for shift in (1.2, 0.6))
    found = delong(one, other, positive)
    gap, error = plain_delong(one, other, positive)
    assert found.value == pytest.approx(gap, abs=1e-9)
    assert (found.high - found.low) / 2 == pytest.approx(stats.norm.ppf(0.975) * error, abs=1e-6)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(gap) / error), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12))
def test_delong_on_few_tied_cases(seed, m, n):
    rng = np.random.default_rng(seed)
    positive = np.r_[np.ones(m, dtype=bool), np.zeros(n, dtype=bool)]
    one, other = rng.integers(0, 4, (2, m + n)).astype(float)
    gap, error = plain_delong(one, other, positive)
    found = delong(one, other, positive)
    assert found.value == pytest.approx(gap, abs=1e-9)
    if error > 1e-6:
        assert (found.high - found.low) / 2 == pytest.approx(1.959964 * error, abs=1e-6)


def test_delong_of_one_auc_is_scipys_mann_whitney():
    rng = np.random.default_rng(0)
    positive = rng.random(80) < 0.5
    score = positive + rng.normal(size=80)
    auc, covariance = delong_parts(score, positive)
    u = stats.mannwhitneyu(score[positive], score[~positive]).statistic
    assert auc[0] == pytest.approx(u / positive.sum() / (~positive).sum())
    assert covariance.shape == (1, 1)


def test_delong_of_the_same_scores_and_of_too_few():
    same = delong(np.arange(6.0), np.arange(6.0), np.arange(6) % 2 == 0)
    assert (same.value, same.p) == (0.0, 1.0)
    assert np.isnan(same.low)
    with pytest.raises(SpecError, match="1 positive and 5 negative"):
        delong(np.arange(6.0), np.arange(6.0), np.arange(6) == 0)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 0), (7, 2), (25, 12), (80, 60)])
def test_mcnemar_is_the_binomial_test_of_the_discordant(wins, losses):
    n = 300
    one, other = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    other[:wins] = False
    one[wins : wins + losses] = False
    found = mcnemar(one, other)
    small = min(wins, losses)
    p = min(1.0, 2 * stats.binom.cdf(small, wins + losses, 0.5)) if wins + losses else 1.0
    assert found.p == pytest.approx(p)
    assert found.value == pytest.approx((wins - losses) / n)
    assert found.low < found.value < found.high
    assert (found.high - found.low) / 2 == pytest.approx(
        1.96 * np.sqrt(wins + losses - (wins - losses) ** 2 / n) / n, rel=0.05, abs=0.008
    )


def test_the_corrected_t_counts_the_overlap_of_training_sets():
    gaps = [0.02, 0.05, 0.01, 0.04, 0.03]
    found, naive = corrected_t(gaps, 0.25), corrected_t(gaps, 0.0)
    t = stats.ttest_1samp(gaps, 0)
    assert naive.p == pytest.approx(t.pvalue)
    assert (naive.low, naive.high) == pytest.approx(tuple(t.confidence_interval(0.95)), abs=1e-9)
    # (1/5 + 1/4) / (1/5) = 2.25, so the interval is 1.5 times as wide
    assert found.high - found.low == pytest.approx(1.5 * (naive.high - naive.low))
    assert found.p == pytest.approx(2 * stats.t.sf(t.statistic / 1.5, 4))
    with pytest.raises(SpecError, match="two or more"):
        corrected_t([0.1], 0.25)
    with pytest.raises(SpecError, match="nan"):
        corrected_t([0.1, np.nan], 0.25)


def test_holm_on_a_worked_family():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.01, np.nan, 0.2])
    assert found[[0, 2]] == pytest.approx([0.02, 0.2])
    assert np.isnan(found[1])
    with pytest.raises(SpecError, match=r"\[0, 1\]"):
        holm([1.2])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_the_plain_and_bonferronis(p):
    found = holm(p)
    assert (found >= np.array(p) - 1e-12).all()
    assert (found <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= -1e-12).all()
