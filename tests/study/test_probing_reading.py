"""Cross-fitted answers and their AUC: against brute force, published figures, and noise that must say nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmfuse.study.probing.association import orders, p_of_association
from mmfuse.study.probing.reading import (
    Categories,
    Measures,
    Numbers,
    cross_fitted,
    hanley_mcneil,
    p_of_gain,
    placed,
)
from mmfuse.study.probing.sources import BESIDE, Source


def alone(n):
    return np.array([f"g{i}" for i in range(n)])


def pairs_won(score, positive):
    wins = [(a > b) + 0.5 * (a == b) for a in score[positive] for b in score[~positive]]
    return np.mean(wins), len(wins)


@given(st.integers(0, 10_000))
def test_the_auc_is_that_of_pairs_within_folds(seed):
    rng = np.random.default_rng(seed)
    n = 60
    score, positive, folds = rng.integers(0, 6, n).astype(float), rng.random(n) < 0.4, rng.integers(0, 3, n)
    score[rng.random(n) < 0.1] = np.nan
    mine = [~np.isnan(score) & (folds == fold) for fold in range(3)]
    won = [pairs_won(score[m], positive[m]) for m in mine if 0 < positive[m].sum() < m.sum()]
    reading = placed(score, positive, folds, alone(n))
    if won:
        expected = sum(auc * pairs for auc, pairs in won) / sum(pairs for _, pairs in won)
        assert reading.value == pytest.approx(expected)
    else:
        assert reading is None


def test_the_error_is_delongs():
    """Against the textbook form: S10 / m + S01 / n from the matrix of all pairs."""
    rng = np.random.default_rng(0)
    positive = np.arange(300) < 120
    score = np.round(rng.normal(positive * 0.8), 1)
    psi = (score[positive][:, None] > score[~positive]) + 0.5 * (score[positive][:, None] == score[~positive])
    variance = np.var(psi.mean(axis=1), ddof=1) / 120 + np.var(psi.mean(axis=0), ddof=1) / 180
    reading = placed(score, positive, np.zeros(300, int), alone(300))
    assert reading.value == pytest.approx(psi.mean())
    assert reading.error == pytest.approx(np.sqrt(variance), rel=0.01)


def test_copies_of_a_patient_do_not_narrow_the_interval():
    rng = np.random.default_rng(1)
    positive = rng.random(150) < 0.5
    score = rng.normal(positive * 1.0)
    folds = np.zeros(150, int)
    once = placed(score, positive, folds, alone(150))
    thrice = [np.repeat(values, 3) for values in (score, positive, folds, alone(150))]
    assert placed(*thrice).error == pytest.approx(once.error, rel=1e-6)
    assert placed(*thrice[:3], alone(450)).error < 0.7 * once.error


def test_certainty_still_has_an_interval():
    positive = np.arange(40) < 15
    reading = placed(positive.astype(float), positive, np.zeros(40, int), alone(40))
    assert reading.value == 1
    assert 0.75 < reading.low < 0.99 < reading.high < 1


def test_hanley_and_mcneils_own_example():
    """Radiology 1982, p. 32: an AUC of .893 with 51 abnormal and 58 normal images has a standard error of .032."""
    assert hanley_mcneil(0.893, 51, 58) == pytest.approx(0.032, abs=6e-4)


def test_nobody_learns_from_whom_it_answers():
    class Spy:
        def answer(self, train, truth, asked):
            assert not set(train) & set(asked)
            assert len(truth) == len(train)
            assert {*folds[train]} & {*folds[asked]} == set()
            return np.zeros((len(asked), 2))

    rng = np.random.default_rng(0)
    truth, folds = rng.integers(-1, 2, 50), rng.integers(0, 5, 50)
    there = rng.random(50) < 0.8
    out = cross_fitted(Spy(), there, truth, 2, folds)
    assert np.array_equal(~np.isnan(out[:, 0]), there & (truth >= 0))


def noise(rng, n):
    few = rng.integers(-1, 4, n)
    numbers = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    return [
        Categories(few),
        Categories(rng.integers(0, n // 3, n)),
        Numbers(numbers),
        Measures(rng.normal(size=(n, 40))),
    ]


def asked(source, truth, groups, seed, thorough=False):
    everyone = np.arange(len(truth))
    asked = Source("s", BESIDE, source, np.ones(len(truth), bool))
    return p_of_association(asked, truth == 1, everyone, groups, seed, thorough)


def test_noise_tells_nothing_and_p_values_mean_what_they_say():
    """150 studies of 60 patients with two lesions each, a source: 5 % of p-values below .05, within 1.96 errors."""
    rng = np.random.default_rng(0)
    p = {i: [] for i in range(4)}
    covered = []
    for study in range(150):
        groups = np.repeat([f"g{i}" for i in range(60)], 2)
        truth, folds = np.repeat(rng.random(60) < 0.4, 2).astype(int), np.repeat(rng.integers(0, 5, 60), 2)
        for i, source in enumerate(noise(rng, 120)):
            score = cross_fitted(source, np.ones(120, bool), truth, 2, folds)[:, 1]
            reading = placed(score, truth == 1, folds, groups)
            covered.append(reading.low < 0.5 < reading.high)
            p[i].append(asked(source, truth, groups, study))
    for values in p.values():
        assert np.mean(np.array(values) < 0.05) < 0.05 + 1.96 * np.sqrt(0.05 * 0.95 / 150)
        assert 0.35 < np.mean(values) < 0.65
    assert np.mean(covered) > 0.92


def test_shuffling_keeps_patients_whole():
    groups = np.array(["a", "b", "a", "c", "d", "d", "e"])
    for order in orders(groups, 0)[:50]:
        assert sorted(order) == list(range(7))
        assert {frozenset(order[groups == g]) for g in "ad"} == {frozenset({0, 2}), frozenset({4, 5})}


def test_the_statistic_is_pearsons_and_its_tail_is_reached():
    from scipy.stats import chi2_contingency

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 900)
    truth = (rng.random(900) < 0.3 + 0.08 * codes).astype(int)
    table = np.array([[np.sum((codes == c) & (truth == t)) for t in (0, 1)] for c in range(3)])
    held = Categories(codes).held(np.arange(900), (truth - truth.mean())[:, None])[0]
    pearson = chi2_contingency(table, correction=False)
    assert held / (truth.mean() * (1 - truth.mean())) == pytest.approx(pearson.statistic, rel=0.03)
    assert np.log(asked(Categories(codes), truth, alone(900), 0)) == pytest.approx(np.log(pearson.pvalue), rel=0.25)


def test_a_rare_category_of_a_rare_class_is_counted_out():
    """Against Fisher's exact test; the fitted tail alone falls too fast where so few cases are expected."""
    from scipy.stats import fisher_exact

    codes, truth = np.repeat([0, 0, 1, 1], [360, 8, 28, 4]), np.repeat([0, 1, 0, 1], [360, 8, 28, 4])
    exact = fisher_exact([[360, 8], [28, 4]]).pvalue
    counted = asked(Categories(codes), truth, alone(400), 0, thorough=True)
    assert 0.003 < exact < 0.02
    assert counted == pytest.approx(exact, rel=0.6)


def test_what_a_source_tells_is_found_whatever_its_kind():
    rng = np.random.default_rng(0)
    truth, folds = rng.integers(0, 2, 400), rng.integers(0, 5, 400)
    hit = np.where(rng.random(400) < 0.9, truth, 1 - truth)
    missing = np.where(hit == 1, np.nan, rng.normal(size=400))
    u_shaped = np.where(hit == 1, rng.choice([-3.0, 3.0], 400), 0.0) + rng.normal(size=400) * 0.3
    figures = np.column_stack([hit + rng.normal(size=400) * 0.1, rng.normal(size=(400, 30)), np.ones(400)])
    for source in (Categories(hit), Numbers(missing), Numbers(u_shaped), Measures(figures)):
        score = cross_fitted(source, np.ones(400, bool), truth, 2, folds)[:, 1]
        assert placed(score, truth == 1, folds, alone(400)).low > 0.8, source


def test_a_gain_is_judged_on_the_same_cases():
    rng = np.random.default_rng(0)
    positive, folds, groups = rng.random(300) < 0.5, rng.integers(0, 5, 300), alone(300)
    good, weak = rng.normal(positive * 2.0), rng.normal(positive * 0.3)
    one, other = (placed(score, positive, folds, groups) for score in (good, weak))
    assert p_of_gain(one, other, groups) < 1e-6
    assert p_of_gain(other, one, groups) > 0.99
    assert p_of_gain(one, one, groups) == pytest.approx(0.5)
