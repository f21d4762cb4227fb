"""Intervals: against plain loops, never of zero width, and none where the cases are too few."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmfuse import Label, Labels, ScoreTable, SpecError, TableError, evaluate, interval, intervals, jackknife_weights
from mmfuse.metrics import REPORTED, weighted_auc
from mmfuse.study.intervals import METHODS
from tests.study.tables import binary, noisy


def right(table, source="s0"):
    return table.labels.argmax(table.probabilities(source))[:, 0] == table.targets[:, 0]


def test_the_jackknife_is_that_of_a_plain_loop():
    table = noisy(80, size=2)
    made = interval(table, "s0", metric="accuracy", label="d")
    hits, value = right(table), right(table).mean()
    left_out = [hits[table.groups != group].mean() for group in np.unique(table.groups)]
    error = np.sqrt(39 / 40 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)) / (value * (1 - value))
    half, middle = stats.t.ppf(0.975, 39) * error, np.log(value / (1 - value))
    assert made.method == "jackknife-t"
    assert (made.groups, made.cases) == (40, 80)
    assert (made.low, made.high) == pytest.approx(tuple(1 / (1 + np.exp(-(middle + np.array([-half, half]))))))
    assert made.covers == "the choice of 40 groups (80 cases); not of training cases or seeds"


def test_bca_is_that_of_scipy():
    """The same method, with other draws: equal within their error."""
    table = noisy(60, seed=3)
    made = interval(table, "s0", metric="accuracy", method="bca", replicates=8000)
    theirs = stats.bootstrap((right(table).astype(float),), np.mean, n_resamples=8000, method="BCa", random_state=0)
    assert (made.low, made.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.018)


def test_the_bootstrap_t_is_that_of_a_plain_loop():
    table = noisy(20, seed=1)
    made = interval(table, "s0", metric="log-loss", method="bootstrap-t")
    p = table.probabilities("s0")[np.arange(20), table.targets[:, 0]]
    losses, rng = -np.log(p), np.random.default_rng(7)
    value = np.log(losses.mean())
    drawn = []
    for _ in range(4000):
        taken = losses[rng.integers(0, 20, 20)]
        drawn.append((np.log(taken.mean()) - value) / (taken.std(ddof=1) / np.sqrt(20) / taken.mean()))
    tails = np.quantile(drawn, [0.025, 0.975])
    error = losses.std(ddof=1) / np.sqrt(20) / losses.mean()
    assert (made.low, made.high) == pytest.approx(tuple(np.exp(value - error * tails[::-1])), rel=0.08)
    assert "only 20 cases" in made.note


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("metric", ["accuracy", "macro-auc", "log-loss"])
def test_every_method_gives_a_range_around_the_figure(method, metric):
    table = noisy(90, size=3)
    made = interval(table, "s0", metric=metric, method=method, replicates=300)
    assert made.low < made.value < made.high
    assert made.value == evaluate(table)["sources"]["s0"]["d"][metric]


def test_all_at_once_are_those_one_by_one():
    table = noisy(90, size=3)
    for source, labels in intervals(table).items():
        for label, metrics in labels.items():
            for metric, made in metrics.items():
                single = interval(table, source, metric=metric, label=label)
                assert (str(made), made.method, made.note) == (str(single), single.method, single.note)
    assert set(intervals(table)["s0"]["d"]) == set(REPORTED)


def test_five_groups_give_no_interval_and_ten_a_warning():
    five = interval(noisy(100, size=20), "s0", metric="accuracy")
    assert np.isnan(five.low)
    assert five.method == "none"
    assert "only 5 groups: an interval needs 10" in str(five)
    ten = interval(noisy(100, size=10), "s0", metric="accuracy")
    assert ten.low < ten.high
    assert ten.note == "only 10 groups: the interval is rough"
    assert interval(noisy(100), "s0", metric="accuracy").note == ""


def test_a_rare_class_is_named():
    truth = np.r_[np.ones(5, dtype=int), np.zeros(195, dtype=int)]
    table = binary(truth, np.random.default_rng(0).normal(size=200) + truth)
    assert "only 5 cases hold the class 'yes'" in interval(table, "s0", metric="balanced-accuracy", label="d").note
    assert interval(table, "s0", metric="accuracy").low > 0
    auc = interval(table, "s0", metric="macro-auc")
    assert np.isnan(auc.value)
    assert "undefined" in auc.note
    assert interval(table, "s0", metric="specificity", label="d").low > 0
    assert np.isnan(interval(table, "s0", metric="sensitivity", label="d").low)


def test_a_class_that_is_missing_gives_no_number():
    made = interval(binary(np.zeros(50, dtype=int), np.arange(50.0)), "s0", metric="macro-auc", label="d")
    assert np.isnan([made.value, made.low, made.high]).all()
    assert "only one class" in made.note


@pytest.mark.parametrize(
    ("metric", "units"), [("accuracy", 100), ("balanced-accuracy", 30), ("macro-auc", 30), ("sensitivity", 30)]
)
def test_perfect_figures_have_the_exact_bound(metric, units):
    truth = (np.arange(100) < 30).astype(int)
    made = interval(binary(truth, 8.0 * truth - 4), "s0", metric=metric)
    assert (made.value, made.high, made.method) == (1.0, 1.0, "clopper-pearson")
    assert made.low == pytest.approx(stats.beta.ppf(0.025, units, 1))


def test_nothing_right_has_the_exact_bound_too():
    truth = np.arange(40) % 2
    made = interval(binary(truth, 4 - 8.0 * truth), "s0", metric="accuracy")
    assert (made.value, made.low) == (0.0, 0.0)
    assert made.high == pytest.approx(stats.beta.ppf(0.975, 1, 40))


def test_a_source_that_answers_all_alike_has_no_interval_of_zero_width():
    made = interval(binary(np.arange(60) % 2, np.zeros(60)), "s0", metric="log-loss")
    assert np.isnan(made.low)
    assert "same value" in made.note


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_interval_has_zero_width(data):
    n = data.draw(st.integers(10, 40))
    truth = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    margin = data.draw(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0]), min_size=n, max_size=n))
    size = data.draw(st.integers(1, 2))
    table = binary(truth, margin, groups=np.arange(n) // size)
    for metric in ("accuracy", "balanced-accuracy", "macro-auc", "log-loss", "ppv"):
        made = interval(table, "s0", metric=metric, label="d")
        assert np.isnan(made.low) == np.isnan(made.high) == (made.method == "none")
        if made.method == "none":
            assert made.note
        else:
            assert made.low < made.high
            assert made.low <= made.value <= made.high


def test_an_auc_over_folds_compares_pairs_within_a_fold_alone():
    rng = np.random.default_rng(0)
    truth, folds = rng.integers(0, 2, 120), np.repeat([0, 1, 2], 40)
    margin = truth + rng.normal(size=120) + 10.0 * folds  # each fold's network has a scale of its own
    table = binary(truth, margin, folds=folds)
    pooled = interval(table, "s0", metric="macro-auc", label="d")
    within = interval(table, "s0", metric="macro-auc", label="d", within=folds)
    won = pairs = 0.0
    for fold in range(3):
        here = folds == fold
        m, n = truth[here].sum(), (1 - truth[here]).sum()
        won += m * n * weighted_auc(margin[here], truth[here] == 1, np.ones((1, 40)))[0]
        pairs += m * n
    assert within.value == pytest.approx(won / pairs)
    assert within.value > pooled.value + 0.1
    assert within.low < within.value < within.high
    assert interval(table, "s0", metric="accuracy", within=folds).value == right(table).mean()
    precision = interval(table, "s0", metric="average-precision", within=folds)
    assert precision.value > interval(table, "s0", metric="average-precision").value


def test_a_fold_with_one_class_is_named():
    rng = np.random.default_rng(0)
    folds = np.repeat([0, 1, 2], 40)
    truth = np.where(folds == 2, 1, rng.integers(0, 2, 120))
    made = interval(binary(truth, truth + rng.normal(size=120)), "s0", metric="macro-auc", label="d", within=folds)
    assert "one class alone, so no pair, in fold 2" in made.note


def test_the_mean_over_labels_is_that_of_evaluations():
    rng = np.random.default_rng(0)
    labels = Labels([Label("d", ("a", "b")), Label("e", ("x", "y", "z"), weight=2.0), Label("f", ("u", "v"))])
    targets = np.stack([rng.integers(0, k, 200) for k in (2, 3, 2)], axis=1)
    targets[:, 2] = np.arange(200) < 4
    scores = {"s": (labels.one_hot(targets) + rng.normal(size=(200, labels.columns)))[None]}
    ids = np.arange(200).astype(str)
    table = ScoreTable(scores, ids, ids, np.full(200, "test"), np.full(200, -1), targets, labels)
    shown, made = evaluate(table)["mean"]["s"], intervals(table)["s"][""]
    assert {metric: one.value for metric, one in made.items()} == pytest.approx(shown)
    assert made["balanced-accuracy"].note == "only 4 cases hold the class 'v' of 'f': an interval needs 10"
    assert made["sensitivity"].method == "none" or made["sensitivity"].low > 0


def test_many_groups_are_left_out_in_blocks():
    weights = jackknife_weights(np.repeat(np.arange(1000), 2).astype(str))
    assert weights.shape == (400, 2000)
    assert ((weights == 0).sum(axis=0) == 1).all()
    assert set((weights == 0).sum(axis=1)) == {4, 6}
    table = noisy(3000)
    value = right(table).mean()
    made = interval(table, "s0", metric="accuracy")
    assert made.high - made.low == pytest.approx(2 * 1.96 * np.sqrt(value * (1 - value) / 3000), rel=0.15)


def test_bad_input_is_named():
    table = noisy(40)
    twice = dataclasses.replace(table, ids=np.where(np.arange(40) == 1, "c0", table.ids))
    with pytest.raises(TableError, match=r"1 cases stand in 'test' more than once, among them 'c0'"):
        interval(twice, "s0", metric="accuracy")
    with pytest.raises(TableError, match="no case is 'valid'"):
        interval(table, "s0", metric="accuracy", on="valid")
    with pytest.raises(TableError, match="fold numbers of 3 cases"):
        interval(table, "s0", metric="accuracy", within=[0, 1, 2])
    with pytest.raises(SpecError, match="did you mean 'jackknife-t'"):
        interval(table, "s0", metric="accuracy", method="jacknife-t")
    with pytest.raises(SpecError, match="no source is called 's7'"):
        interval(table, "s7", metric="accuracy")
    with pytest.raises(SpecError, match="no label is called 'x'"):
        interval(table, "s0", metric="accuracy", label="x")
