"""The positive class, and several labels at once, against scikit-learn."""

import numpy as np
import pytest
from problems import BINARY, LABELS, drawn, problem
from sklearn import metrics as reference

from mmfuse.metrics import MEASURES, side


def side_of(name, truth, called):
    told = {
        "sensitivity": lambda: reference.recall_score(truth, called, zero_division=np.nan),
        "specificity": lambda: reference.recall_score(~truth, ~called, zero_division=np.nan),
        "ppv": lambda: reference.precision_score(truth, called, zero_division=np.nan),
        "npv": lambda: reference.precision_score(~truth, ~called, zero_division=np.nan),
    }
    return told[name]()


@pytest.mark.parametrize("threshold", [None, 0.0, 1e-9, 0.4, 0.99])
@pytest.mark.parametrize("name", ["sensitivity", "specificity", "ppv", "npv"])
@pytest.mark.parametrize("labels", [LABELS, BINARY], ids=["several classes", "binary"])
def test_the_positive_class_against_the_rest(labels, name, threshold):
    for seed in range(6):
        p, targets, weight = problem(seed, labels)
        found = side(name, threshold)(p, targets, labels, weight)
        for r in range(len(weight)):
            for index, label in enumerate(labels):
                block, truth = drawn(p, targets, labels, weight[r], index)
                k = label.classes.index(label.positive)
                called = block.argmax(axis=1) == k if threshold is None else block[:, k] >= threshold
                np.testing.assert_allclose(found[r, index], side_of(name, truth == k, called), atol=1e-12)


def together(p, targets, weight):
    """Answers and truth (positive: 1) of the cases of which all is known, as often as they weigh."""
    index = np.array([label.classes.index(label.positive) for label in BINARY])
    whole = (targets >= 0).all(axis=1) & ~np.isnan(p).any(axis=1)
    times = np.where(whole, weight, 0).astype(int)
    truth, called = (targets == index), (BINARY.argmax(p) == index)
    return np.repeat(truth, times, axis=0), np.repeat(called, times, axis=0)


REFERENCE = {
    "exact-match": lambda t, c: reference.accuracy_score(t, c),
    "hamming": lambda t, c: reference.hamming_loss(t, c),
    "micro-f1": lambda t, c: reference.f1_score(t, c, average="micro"),
    "positive-macro-f1": lambda t, c: reference.f1_score(t, c, average="macro"),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_several_labels_together(name):
    for seed in range(6):
        p, targets, weight = problem(seed, BINARY, cases=100, known=1.0)
        found = MEASURES[name].score(p, targets, BINARY, weight)
        assert found.shape == (len(weight), 1)
        for r in range(len(weight)):
            assert found[r, 0] == pytest.approx(REFERENCE[name](*together(p, targets, weight[r])), abs=1e-12)


def test_exact_match_asks_for_cases_of_which_all_is_known():
    p, targets, weight = problem(1, BINARY, known=0.8)
    found = MEASURES["exact-match"].score(p, targets, BINARY, weight)
    for r in range(len(weight)):
        assert found[r, 0] == pytest.approx(REFERENCE["exact-match"](*together(p, targets, weight[r])))


def test_hamming_counts_every_known_pair():
    p, targets, _ = problem(1, BINARY, known=0.8)
    known = (targets >= 0) & ~np.isnan(p[:, ::2])
    wrong = (BINARY.argmax(p) != targets)[known]
    assert MEASURES["hamming"].score(p, targets, BINARY, None)[0, 0] == pytest.approx(wrong.mean())


def test_labels_with_few_positives_are_in_no_macro_f1():
    p, targets, _ = problem(1, BINARY, cases=100, known=1.0)
    targets[:, 0] = 0
    targets[:9, 0] = 1  # nine positives
    truth, called = together(p, targets, np.ones(100))
    expected = np.mean([reference.f1_score(truth[:, i], called[:, i]) for i in (1, 2)])
    found = MEASURES["positive-macro-f1"].score(p, targets, BINARY, None)[0, 0]
    assert found == pytest.approx(expected)
    targets[9, 0] = 1  # a tenth
    truth, called = together(p, targets, np.ones(100))
    found = MEASURES["positive-macro-f1"].score(p, targets, BINARY, None)[0, 0]
    assert found == pytest.approx(reference.f1_score(truth, called, average="macro"))


def test_they_suit_several_labels_of_two_classes_alone():
    for name, measure in MEASURES.items():
        assert measure.suits(BINARY)
        assert measure.suits(LABELS) == (name not in REFERENCE)


@pytest.mark.parametrize("name", ["balanced-accuracy", "macro-f1"])
def test_one_class_alone_is_undefined_for_what_means_over_classes(name):
    p, targets, _ = problem(1, LABELS, known=1.0)
    targets[:, 1] = 1
    weight = np.ones((2, len(p)))
    weight[1, targets[:, 0] != 2] = 0  # in the second replicate the first label has one class as well
    found = MEASURES[name].score(p, targets, LABELS, weight)
    assert np.isfinite(found[0, 0])
    assert np.isnan([found[0, 1], found[1, 0], found[1, 1]]).all()
    assert np.isfinite(MEASURES["accuracy"].score(p, targets, LABELS, weight)).all()


def test_without_a_positive_case_of_any_label_there_is_no_micro_f1():
    p, _, _ = problem(1, BINARY, known=1.0)
    negative = np.array([1 - label.classes.index(label.positive) for label in BINARY])
    assert np.isnan(MEASURES["micro-f1"].score(p, np.tile(negative, (len(p), 1)), BINARY, None)).all()
