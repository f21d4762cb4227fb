"""Paired differences: against a plain loop, and with the coverage that they claim."""

import numpy as np
import pytest

from mmfuse import Label, Labels, ScoreTable, SpecError, bootstrap_weights, evaluate, paired_difference

LABELS = Labels([Label("d", ("a", "b")), Label("e", ("x", "y", "z"), weight=2.0)])


def table(n=60, seed=0, groups=None):
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(0, 2, n), rng.integers(0, 3, n)], axis=1)
    truth = LABELS.one_hot(targets)
    sources = {
        name: (strength * truth + rng.normal(size=truth.shape))[None] for name, strength in (("good", 2), ("poor", 0.5))
    }
    ids = np.array([f"c{i}" for i in range(n)])
    return ScoreTable(
        sources=sources,
        ids=ids,
        groups=ids if groups is None else groups,
        split=np.array(["test"] * n),
        folds=np.full(n, -1),
        targets=targets,
        labels=LABELS,
        case_is="case",
    )


def test_weights_resample_whole_groups():
    groups = np.array(["p", "p", "q", "r", "r", "r"])
    weights = bootstrap_weights(groups, 200, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert np.array_equal(weights, bootstrap_weights(groups, 200, seed=1))


def test_the_difference_is_that_of_a_plain_loop():
    scores = table()
    gap = paired_difference(scores, "good", "poor", metric="accuracy", label="d", method="bootstrap", replicates=300)
    right = {name: LABELS.argmax(scores.probabilities(name))[:, 0] == scores.targets[:, 0] for name in ("good", "poor")}
    assert gap.value == pytest.approx(right["good"].mean() - right["poor"].mean())
    drawn = [
        np.average(right["good"], weights=w) - np.average(right["poor"], weights=w)
        for w in bootstrap_weights(scores.groups, 300, seed=0)
    ]
    assert (gap.low, gap.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert gap.low < gap.value < gap.high


def test_labels_are_meant_by_weight():
    scores = table()
    each = {name: paired_difference(scores, "good", "poor", metric="accuracy", label=name).value for name in "de"}
    both = paired_difference(scores, "good", "poor", metric="accuracy").value
    assert both == pytest.approx((each["d"] + 2 * each["e"]) / 3)


def test_intervals_cover_the_true_difference_about_as_often_as_they_say():
    truth = paired_difference(table(20000, seed=99), "good", "poor", metric="accuracy", label="d", replicates=2).value
    hits = 0
    for seed in range(100):
        gap = paired_difference(table(80, seed), "good", "poor", metric="accuracy", label="d", replicates=400)
        hits += gap.low <= truth <= gap.high
    assert 86 <= hits <= 100


def test_unknown_words_are_refused():
    with pytest.raises(SpecError, match="good"):
        paired_difference(table(), "goood", "poor", metric="accuracy")
    with pytest.raises(SpecError, match="accuracy"):
        paired_difference(table(), "good", "poor", metric="acuracy")


def test_the_macro_auc_is_that_of_evaluations():
    """Rare classes are left out of both, or the difference would not be that of the figures shown."""
    scores = table(60)
    scores.targets[:, 1] = np.where(np.arange(60) < 4, 2, scores.targets[:, 1] % 2)
    shown = evaluate(scores, on="test")["sources"]
    gap = paired_difference(scores, "good", "poor", metric="macro-auc", label="e").value
    assert shown["good"]["e"]["left_out"] == {"z": 4}
    assert gap == pytest.approx(shown["good"]["e"]["macro-auc"] - shown["poor"]["e"]["macro-auc"])
