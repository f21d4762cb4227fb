"""Paired differences by each method, what each refuses, and the words that follow from them."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from mmfuse import Difference, SpecError, TableError, corrected_t, delong, evaluate, mcnemar, paired_difference, verdict
from tests.study.tables import binary, noisy


def right(table, source):
    return table.labels.argmax(table.probabilities(source))[:, 0] == table.targets[:, 0]


def test_the_default_is_students_paired_t_for_single_cases():
    """For a mean over cases that are groups of their own, the jackknife over groups is the paired t-test."""
    table = noisy(100)
    gap = paired_difference(table, "s0", "s1", metric="accuracy")
    t = stats.ttest_rel(right(table, "s0").astype(float), right(table, "s1").astype(float))
    assert gap.p == pytest.approx(t.pvalue)
    assert (gap.low, gap.high) == pytest.approx(tuple(t.confidence_interval(0.95)))
    assert gap.method == "jackknife-t"
    assert (gap.groups, gap.cases) == (100, 100)
    assert "the choice of 100 cases" in gap.covers


def test_groups_widen_the_interval_of_cases_that_are_alike():
    one = noisy(60)
    index = np.repeat(np.arange(60), 3)
    table = dataclasses.replace(one.take(index), ids=np.arange(180).astype(str))
    whole = paired_difference(table, "s0", "s1", metric="macro-auc")
    apart = paired_difference(dataclasses.replace(table, groups=table.ids), "s0", "s1", metric="macro-auc")
    single = paired_difference(one, "s0", "s1", metric="macro-auc")
    assert whole.high - whole.low == pytest.approx(single.high - single.low, rel=0.05)
    assert apart.high - apart.low < 0.65 * (whole.high - whole.low)


def test_each_test_is_that_of_its_arrays():
    table = noisy(100)
    margins = [table.sources[name][0][:, 1] for name in ("s0", "s1")]
    by_auc = paired_difference(table, "s0", "s1", metric="macro-auc", method="delong")
    assert by_auc.p == pytest.approx(delong(*margins, table.targets[:, 0] == 1).p)
    assert by_auc.value == pytest.approx(delong(*margins, table.targets[:, 0] == 1).value)
    by_accuracy = paired_difference(table, "s0", "s1", metric="accuracy", method="mcnemar")
    assert by_accuracy.p == mcnemar(right(table, "s0"), right(table, "s1")).p
    by_bootstrap = paired_difference(table, "s0", "s1", metric="macro-auc", method="bootstrap")
    assert (by_bootstrap.low, by_bootstrap.high) == pytest.approx((by_auc.low, by_auc.high), abs=0.02)
    assert by_bootstrap.p == pytest.approx(by_auc.p, abs=0.05)


def test_the_corrected_t_is_of_the_folds():
    folds = np.repeat(np.arange(5), 40)  # the AUC of an evaluation needs ten cases of a class
    table = noisy(200, split="train", folds=folds)
    gap = paired_difference(table, "s0", "s1", metric="macro-auc", on="train", method="corrected-t")
    truth, each = table.targets[:, 0], []
    for fold in range(5):
        sick, well = (folds == fold) & (truth == 1), (folds == fold) & (truth == 0)
        margins = [table.sources[name][0][:, 1] for name in ("s0", "s1")]
        one, other = (stats.mannwhitneyu(margin[sick], margin[well]).statistic for margin in margins)
        each.append((one - other) / (sick.sum() * well.sum()))
    expected = corrected_t(each, 0.25)
    assert (gap.value, gap.p) == pytest.approx((expected.value, expected.p))
    assert "5 folds" in gap.covers


def test_a_fold_with_one_class_is_named():
    folds = np.repeat(np.arange(5), 20)
    table = noisy(100, split="train", folds=folds)
    table.targets[folds == 3, 0] = 1
    with pytest.raises(SpecError, match="undefined in fold 3"):
        paired_difference(table, "s0", "s1", metric="macro-auc", on="train", method="corrected-t")
    gap = paired_difference(table, "s0", "s1", metric="macro-auc", label="d", on="train", within=folds)
    assert "one class alone, so no pair, in fold 3" in gap.note
    with pytest.raises(SpecError, match="0 folds"):
        paired_difference(noisy(), "s0", "s1", metric="accuracy", method="corrected-t")


@pytest.mark.parametrize(("method", "metric"), [("delong", "macro-auc"), ("mcnemar", "accuracy")])
def test_what_takes_cases_as_independent_refuses_groups(method, metric):
    with pytest.raises(SpecError, match="120 cases of 60 groups"):
        paired_difference(noisy(120, size=2), "s0", "s1", metric=metric, method=method)
    with pytest.raises(SpecError, match="for log-loss of d"):
        paired_difference(noisy(), "s0", "s1", metric="log-loss", method=method)


def test_identical_sources_have_an_interval_that_is_not_of_zero_width():
    truth = np.arange(60) % 2
    table = binary(truth, truth - 0.4, truth - 0.4)
    for method in ("auto", "bootstrap"):
        gap = paired_difference(table, "s0", "s1", metric="accuracy", method=method)
        assert (gap.value, gap.p, gap.method) == (0.0, 1.0, "clopper-pearson")
        assert gap.high == -gap.low == pytest.approx(1 - 0.025 ** (1 / 60))
    loss = paired_difference(table, "s0", "s1", metric="log-loss")
    assert np.isnan(loss.low)
    assert "same difference" in loss.note


def test_few_groups_and_a_missing_class():
    assert "only 5 groups" in str(paired_difference(noisy(100, size=20), "s0", "s1", metric="accuracy"))
    assert "rough" in paired_difference(noisy(100, size=5), "s0", "s1", metric="accuracy").note
    nothing = paired_difference(binary(np.zeros(40, int), np.arange(40), np.arange(40)), "s0", "s1", metric="macro-auc")
    assert np.isnan([nothing.value, nothing.low, nothing.p]).all()
    assert "undefined" in nothing.note


def test_cases_about_which_one_abstains_are_left_out_of_both():
    table = noisy(100)
    table.sources["s1"][:, :30] = np.nan
    gap = paired_difference(table, "s0", "s1", metric="accuracy")
    spoken = evaluate(table.take(np.arange(30, 100)))["sources"]
    assert gap.value == pytest.approx(spoken["s0"]["d"]["accuracy"] - spoken["s1"]["d"]["accuracy"])
    assert gap.cases == 70


def test_bad_input_is_named():
    table = noisy(40)
    twice = dataclasses.replace(table, ids=np.full(40, "c0"))
    with pytest.raises(TableError, match="more than once"):
        paired_difference(twice, "s0", "s1", metric="accuracy")
    with pytest.raises(SpecError, match="no method is called 'wilcoxon'"):
        paired_difference(table, "s0", "s1", metric="accuracy", method="wilcoxon")


# ── verdicts ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "low", "high", "metric", "word"),
    [
        (0.05, 0.01, 0.09, "accuracy", "helps"),
        (-0.05, -0.09, -0.01, "accuracy", "hurts"),
        (-0.05, -0.09, -0.01, "log-loss", "helps"),
        (0.05, 0.01, 0.09, "log-loss", "hurts"),
        (0.0, -0.01, 0.015, "accuracy", "no difference larger than δ"),
        (0.01, 0.002, 0.018, "accuracy", "no difference larger than δ"),
        (0.03, -0.01, 0.07, "accuracy", "cannot tell with these cases"),
        (0.01, -0.01, 0.03, "accuracy", "cannot tell with these cases"),
        (0.03, np.nan, np.nan, "accuracy", "cannot tell with these cases"),
    ],
)
def test_the_word_for_an_interval(value, low, high, metric, word):
    found = verdict(Difference(value, low, high, 100, metric=metric))
    assert found.word == word
    assert (found.about_how_many_needed > 100) == (word.startswith("cannot") and not np.isnan(low))


def test_about_how_many_would_be_needed():
    """Twice the half-width that would tell needs four times the groups."""
    assert verdict(Difference(0.03, -0.03, 0.09, 100, metric="accuracy")).about_how_many_needed == 400
    assert verdict(Difference(0.0, -0.04, 0.04, 100, metric="accuracy")).about_how_many_needed == 400
    assert "about 400 groups" in str(verdict(Difference(0.0, -0.04, 0.04, 100, metric="accuracy")))
    with pytest.raises(SpecError, match="delta"):
        verdict(Difference(0.0, -0.04, 0.04, 100), delta=0.0)


@pytest.mark.parametrize("metric", ["entropy", "calibration-slope"])
def test_no_word_where_neither_more_nor_less_is_better(metric):
    with pytest.raises(SpecError, match="neither more nor less"):
        verdict(Difference(0.3, 0.2, 0.4, 100, metric=metric))


def test_the_number_needed_would_have_told():
    small = paired_difference(noisy(150, seed=5), "s0", "s1", metric="accuracy")
    needed = verdict(small, delta=0.02).about_how_many_needed
    assert verdict(small).word.startswith("cannot")
    half = (small.high - small.low) / 2 * np.sqrt(150 / needed)
    assert half <= max(abs(small.value), 0.02 - abs(small.value)) * 1.02
