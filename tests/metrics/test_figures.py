"""Every metric against scikit-learn on random problems with ties, weights, missing classes, unknown labels and
abstention.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
from problems import BINARY, LABELS, drawn, problem
from sklearn import metrics as reference

from mmfuse.errors import TableError
from mmfuse.labels import Labels
from mmfuse.metrics import (
    LARGER_IS_BETTER,
    METRICS,
    REPORTED,
    Measure,
    class_auc,
    evaluate,
    weighted_auc,
    weighted_average_precision,
)


def auc(block, truth):
    values = [
        reference.roc_auc_score(truth == k, block[:, k])
        for k in range(block.shape[1])
        if 0 < (truth == k).sum() < len(truth)
    ]
    return np.mean(values)


def average_precision(block, truth):
    wanted = [1] if block.shape[1] == 2 else range(block.shape[1])
    return np.mean([reference.average_precision_score(truth == k, block[:, k]) for k in wanted if (truth == k).any()])


REFERENCE = {
    "accuracy": lambda b, t: reference.accuracy_score(t, b.argmax(1)),
    "balanced-accuracy": lambda b, t: reference.balanced_accuracy_score(t, b.argmax(1)),
    "macro-f1": lambda b, t: reference.f1_score(t, b.argmax(1), average="macro", zero_division=0),
    "macro-auc": auc,
    "average-precision": average_precision,
    "log-loss": lambda b, t: reference.log_loss(t, b, labels=list(range(b.shape[1]))),
    "brier": lambda b, t: np.mean(((b - np.eye(b.shape[1])[t]) ** 2).sum(1)),
}


@pytest.mark.parametrize("name", METRICS)
def test_equals_scikit_learn_on_every_replicate(name):
    for seed in range(20):
        p, targets, weight = problem(seed)
        found = METRICS[name](p, targets, LABELS, weight)
        assert found.shape == (len(weight), len(LABELS))
        for r in range(len(weight)):
            for index in range(len(LABELS)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = REFERENCE[name](*drawn(p, targets, LABELS, weight[r], index))
                assert found[r, index] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_without_weight_is_weight_one_and_scale_does_not_matter(name):
    p, targets, _ = problem(3)
    plain = METRICS[name](p, targets, LABELS, None)
    np.testing.assert_allclose(METRICS[name](p, targets, LABELS, np.full((1, len(p)), 0.3)), plain, rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_undefined_is_nan(name):
    p, targets, weight = problem(1)
    assert np.isnan(METRICS[name](p, np.full_like(targets, -1), LABELS, weight)).all()
    assert np.isnan(METRICS[name](np.full_like(p, np.nan), targets, LABELS, weight)).all()
    assert np.isnan(METRICS[name](p, targets, LABELS, np.zeros_like(weight))).all()


@pytest.mark.parametrize("name", METRICS)
def test_the_truth_is_best(name):
    p, targets, weight = problem(5)
    p, targets = np.nan_to_num(p, nan=0.5), np.maximum(targets, 0)
    perfect = LABELS.one_hot(targets)
    better, worse = METRICS[name](perfect, targets, LABELS, weight), METRICS[name](p, targets, LABELS, weight)
    if name in LARGER_IS_BETTER:
        assert (better == 1).all()
        assert (worse < 1).all()
    else:
        assert (better == 0).all()
        assert (worse > 0).all()


def test_auc_of_many_replicates_in_chunks(monkeypatch):
    p, targets, _ = problem(0)
    weight = np.random.default_rng(0).exponential(size=(50, len(p)))
    whole = class_auc(p, targets, LABELS, weight)
    monkeypatch.setattr("mmfuse.metrics.ranking.CELLS", 150)
    np.testing.assert_array_equal(class_auc(p, targets, LABELS, weight), whole)


def test_auc_with_real_weights_equals_scikit_learn():
    rng = np.random.default_rng(2)
    score, positive = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.3
    weight = rng.exponential(size=(4, 80))
    for row, found in zip(weight, weighted_auc(score, positive, weight), strict=True):
        assert found == pytest.approx(reference.roc_auc_score(positive, score, sample_weight=row), abs=1e-12)


def test_average_precision_with_real_weights_equals_scikit_learn():
    rng = np.random.default_rng(2)
    score, positive = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.3
    weight = rng.exponential(size=(4, 80))
    for row, found in zip(weight, weighted_average_precision(score, positive, weight), strict=True):
        assert found == pytest.approx(reference.average_precision_score(positive, score, sample_weight=row), abs=1e-12)


@pytest.mark.parametrize("name", ["macro-auc", "average-precision"])
def test_rare_classes_are_left_out_in_every_replicate(name):
    """Which classes count is settled by the cases, not by how often a resample drew them."""
    p, targets, weight = problem(1, cases=200)
    rare = np.flatnonzero((targets[:, 0] == 3) & ~np.isnan(p[:, 0]))
    targets[rare[9:], 0] = 2
    weight[:, rare] *= 5
    found = REPORTED[name](p, targets, LABELS, weight)
    metric = {"macro-auc": reference.roc_auc_score, "average-precision": reference.average_precision_score}[name]
    for r in range(len(weight)):
        block, truth = drawn(p, targets, LABELS, weight[r], 0)
        assert found[r, 0] == pytest.approx(np.mean([metric(truth == k, block[:, k]) for k in range(3)]))


@dataclass
class Table:
    """The least that an evaluation reads."""

    sources: dict
    split: np.ndarray
    targets: np.ndarray
    prior: np.ndarray
    labels: Labels = field(default_factory=lambda: LABELS)
    case_is: str = "lesion"

    def probabilities(self, source):
        return self.sources[source]


def table(cases=200):
    rng = np.random.default_rng(0)
    targets = np.stack([rng.choice(4, cases, p=[0.6, 0.2, 0.17, 0.03]), rng.integers(0, 2, cases)], axis=1)
    split = np.repeat(["train", "test"], cases // 2)
    p = LABELS.normalise(LABELS.one_hot(targets) + rng.random((cases, LABELS.columns)))
    silent = np.full_like(p, np.nan)
    return Table({"good": p, "silent": silent}, split, targets, LABELS.prior(targets[split == "train"]))


def test_evaluation_of_every_source_and_label():
    given = table()
    result = evaluate(given)
    assert json.loads(json.dumps(result)) == result
    assert result["cases"] == 100
    good = result["sources"]["good"]["grade"]
    test = given.split == "test"
    truth, block = given.targets[test, 0], given.sources["good"][test, :4]
    assert good["cases"] == 100
    assert good["accuracy"] == pytest.approx((block.argmax(1) == truth).mean())
    rare = int((truth == 3).sum())
    assert 0 < rare < 10
    assert good["left_out"] == {"d": rare}
    counted = [reference.roc_auc_score(truth == k, block[:, k]) for k in range(3)]
    assert good["macro-auc"] == pytest.approx(np.mean(counted))
    assert result["mean"]["good"]["accuracy"] == pytest.approx(
        (good["accuracy"] + result["sources"]["good"]["sign"]["accuracy"]) / 2
    )
    assert result["counts"]["grade"]["d"] == rare


def test_evaluation_of_the_trivial_and_the_silent():
    given = table()
    result = evaluate(given)
    truth = given.targets[given.split == "test", 0]
    majority, prior = result["trivial"]["majority"]["grade"], result["trivial"]["prior"]["grade"]
    assert majority["accuracy"] == pytest.approx((truth == 0).mean())
    assert majority["macro-auc"] == prior["macro-auc"] == 0.5
    assert prior["log-loss"] == pytest.approx(-np.log(given.prior[:4])[truth].mean())
    silent = result["sources"]["silent"]["sign"]
    assert silent["cases"] == 0
    assert silent["accuracy"] is None
    assert silent["left_out"] == {"no": 0, "yes": 0}
    assert result["mean"]["silent"]["accuracy"] is None


def test_the_positive_class_is_named_and_few_of_it_are_in_no_mean():
    given = table()
    test = given.split == "test"
    result = evaluate(given)
    assert result["positive"] == {"grade": "d", "sign": "yes"}
    grade, sign = (result["sources"]["good"][label] for label in ("grade", "sign"))
    assert (grade["few"], sign["few"]) == (True, False)
    assert grade["positives"] == (given.targets[test, 0] == 3).sum()
    assert (grade["sensitivity"], sign["cases"]) != (None, 0)
    assert result["mean"]["good"]["sensitivity"] == sign["sensitivity"]
    assert result["mean"]["good"]["accuracy"] == pytest.approx((grade["accuracy"] + sign["accuracy"]) / 2)
    truth, block = given.targets[test, 0], given.sources["good"][test, :4]
    for k, name in enumerate("abcd"):
        of_class = grade["by_class"][name]
        assert of_class["cases"] == (truth == k).sum()
        assert of_class["auc"] == pytest.approx(reference.roc_auc_score(truth == k, block[:, k]))
        assert of_class["average-precision"] == pytest.approx(
            reference.average_precision_score(truth == k, block[:, k])
        )


def test_labels_of_two_classes_are_judged_together_too():
    p, targets, _ = problem(0, BINARY, known=1.0, cases=100)
    given = Table({"one": p}, np.repeat(["train", "test"], 50), targets, BINARY.prior(targets[:50]), BINARY)
    result = evaluate(given)
    right = BINARY.argmax(p[50:]) == targets[50:]
    assert result["together"]["one"]["exact-match"] == pytest.approx(right.all(axis=1).mean())
    assert result["together"]["one"]["hamming"] == pytest.approx(1 - right.mean())
    assert set(result["trivial_together"]) == {"majority", "prior"}
    assert evaluate(table())["together"] == {"good": {}, "silent": {}}


def test_metrics_that_are_given_are_shown_and_failing_ones_named():
    def raises(p, targets, labels, weight):
        raise KeyError("no such thing")

    given = {
        "mine": Measure(lambda p, targets, labels, weight: np.full((len(weight), 2), 0.5)),
        "of-all": Measure(lambda p, targets, labels, weight: np.full((len(weight), 1), 0.25), by_label=False),
        "broken": Measure(raises),
        "wide": Measure(lambda p, targets, labels, weight: np.zeros((len(weight), 3))),
        "unsuited": Measure(raises, suits=lambda labels: len(labels) > 2),
    }
    result = evaluate(table(), metrics=given)
    assert json.loads(json.dumps(result)) == result
    assert result["sources"]["good"]["grade"]["mine"] == result["mean"]["good"]["mine"] == 0.5
    assert result["together"]["good"] == {"of-all": 0.25}
    assert result["sources"]["good"]["grade"]["broken"] is None
    assert result["failed"]["broken"] == "KeyError: 'no such thing'"
    assert "(1, 3) instead of (1, 2)" in result["failed"]["wide"]
    assert set(result["failed"]) == {"broken", "wide"}
    assert "accuracy" not in result["sources"]["good"]["grade"]


def test_evaluation_on_a_split_that_is_not_there():
    with pytest.raises(TableError, match="no case is 'tset'") as caught:
        evaluate(table(), "tset")
    assert "did you mean 'test'?" in str(caught.value)
    assert evaluate(table(), "all")["cases"] == 200
