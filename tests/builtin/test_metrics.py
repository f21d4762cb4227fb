"""The figures as parts: each keeps the contract, and equals what evaluations show."""

import numpy as np
import pytest

import mmfuse
from mmfuse.testing import check

PARTS = [entry.part() for entry in mmfuse.Catalog(installed=False).entries if entry.role == "metric"]
LABELS = mmfuse.Labels([mmfuse.Label("a", ("no", "yes")), mmfuse.Label("b", ("yes", "no"), positive="yes")])


def problem(cases=60):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (cases, 2))
    p = LABELS.softmax(rng.normal(size=(cases, 4)) + LABELS.one_hot(targets))
    return p, targets, LABELS, rng.poisson(1.0, (5, cases)).astype(float)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_part_keeps_its_contract(part):
    check(part)


@pytest.mark.parametrize("threshold", [0, 1e-9, 0.2, 1.0])
@pytest.mark.parametrize("name", ["sensitivity", "specificity", "ppv", "npv"])
def test_the_part_with_a_threshold_keeps_its_contract(name, threshold):
    part = mmfuse.Catalog(installed=False).find("metric", name)(threshold=threshold)
    if 0.1 < threshold < 1:
        check(part)
    chance, truth = problem()[0][:, 1], problem()[1][:, 0]
    called = chance >= threshold
    table = {
        "sensitivity": (called & (truth == 1)).sum() / (truth == 1).sum(),
        "specificity": (~called & (truth == 0)).sum() / (truth == 0).sum(),
        "ppv": (called & (truth == 1)).sum() / called.sum() if called.any() else np.nan,
        "npv": (~called & (truth == 0)).sum() / (~called).sum() if not called.all() else np.nan,
    }
    p, targets, labels, _ = problem()
    found = part.score(p, targets, labels, np.ones((1, len(p))))[0, 0]
    np.testing.assert_allclose(found, table[name])


def test_parts_and_measures_are_the_same_figures():
    assert {part.name for part in PARTS} == {*mmfuse.MEASURES}
    for part in PARTS:
        measure = mmfuse.MEASURES[part.name]
        np.testing.assert_array_equal(part.score(*problem()), measure.score(*problem()))
        about = (part.ideal, part.by_label, part.of_positive)
        np.testing.assert_equal(about, (measure.ideal, measure.by_label, measure.of_positive))  # NaN is NaN
        three = mmfuse.Labels([mmfuse.Label("c", ("x", "y", "z"))])
        for labels in (LABELS, three):
            assert part.suits(labels) == measure.suits(labels)
