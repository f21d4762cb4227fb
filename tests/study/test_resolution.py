"""What a table can show: widths against published figures and simulations, and the lines that `check` prints."""

import numpy as np
import pytest

import mmfuse
from mmfuse.study.resolution import (
    half_width_of_auc,
    half_width_of_balanced,
    visible_in_auc,
    visible_in_balanced,
)


def test_the_width_of_an_auc_is_hanley_and_mcneils():
    assert half_width_of_auc(51, 58, 0.893) == pytest.approx(1.96 * 0.032, abs=1.5e-3)
    assert visible_in_auc(51, 58, 0.893) == pytest.approx((1.96 + 0.8416) * 0.0325, abs=1e-3)


def test_the_width_of_an_auc_covers_drawn_ones():
    """Scores whose AUC is .8: two normals 1.19 apart."""
    rng = np.random.default_rng(0)
    positive = np.arange(90) < 30
    drawn = [rng.normal(positive * 1.1902) for _ in range(800)]
    aucs = [(score[positive][:, None] > score[~positive]).mean() for score in drawn]
    assert np.mean(np.abs(np.array(aucs) - 0.8) < half_width_of_auc(30, 60)) == pytest.approx(0.95, abs=0.02)


def test_the_width_of_balanced_accuracy_covers_drawn_ones():
    rng = np.random.default_rng(0)
    counts = np.array([20, 60, 40])
    truth = np.repeat(np.arange(3), counts)
    values = []
    for _ in range(800):
        said = np.where(rng.random(120) < 0.8, truth, (truth + 1) % 3)
        values.append(np.mean([(said == truth)[truth == c].mean() for c in range(3)]))
    assert np.mean(np.abs(np.array(values) - 0.8) < half_width_of_balanced(counts)) == pytest.approx(0.95, abs=0.02)


def test_a_visible_difference_is_seen_four_times_in_five():
    """Two sources that differ on a fifth of the cases, by the difference that is called visible; a z-test of it."""
    rng = np.random.default_rng(0)
    counts = np.array([150, 250])
    delta = visible_in_balanced(counts)
    seen = []
    for _ in range(1500):
        gaps = [rng.choice([1, -1, 0], n, p=[0.1 + delta / 2, 0.1 - delta / 2, 0.8]) for n in counts]
        error = np.sqrt(sum(gap.var(ddof=1) / len(gap) for gap in gaps)) / 2
        seen.append(np.mean([gap.mean() for gap in gaps]) / error > 1.96)
    assert np.mean(seen) == pytest.approx(0.8, abs=0.04)


def test_more_cases_show_more():
    assert half_width_of_auc(100, 100) < half_width_of_auc(50, 100) < half_width_of_auc(25, 100)
    assert visible_in_balanced(np.array([40.0, 40.0])) == pytest.approx(
        2 * visible_in_balanced(np.array([160.0, 160.0]))
    )


def lines(y, classes, split, groups=None):
    n = len(y)
    table = mmfuse.Table.of({"id": [f"c{i}" for i in range(n)], "y": y, "g": groups or [f"p{i}" for i in range(n)]})
    cases = {"id": "id"} | ({"group": "g"} if groups else {})
    card = mmfuse.load_card({"cases": cases, "labels": {"y": classes}})
    return mmfuse.resolution(mmfuse.Cases(table, card), np.array(split))


def test_each_label_and_held_out_split_has_a_line():
    head, valid, test = lines(["a", "b"] * 60, ["a", "b"], ["train"] * 60 + ["valid"] * 20 + ["test"] * 40)
    assert "half-widths of 95 % intervals where AUC and recalls are 0.8" in head.text
    assert (valid.where, test.where) == ("label y, valid", "label y, test")
    auc, seen = half_width_of_auc(20, 20), visible_in_auc(20, 20)
    assert test.text.startswith(f"events a 20, b 20; AUC ±{auc:.3f}, differences from {seen:.3f}; balanced accuracy ±")


def test_cases_of_a_group_count_as_one():
    alone = lines(["a", "b"] * 60, ["a", "b"], ["test"] * 120)[1]
    pairs = lines(["a", "b"] * 60, ["a", "b"], ["test"] * 120, [f"p{i // 4}" for i in range(120)])[1]
    assert f"AUC ±{half_width_of_auc(60, 60):.3f}" in alone.text
    assert pairs.text.startswith("events a 60 in 30, b 60 in 30 groups;")
    assert f"AUC ±{half_width_of_auc(30, 30):.3f}" in pairs.text


def test_classes_that_are_too_few_are_named_and_not_counted():
    y = ["a"] * 40 + ["b"] * 40 + ["c"] * 4
    line = lines(y, ["a", "b", "c"], ["test"] * 84)[1]
    assert line.text.endswith("too few to count: c")
    assert f"balanced accuracy ±{half_width_of_balanced(np.array([40, 40])):.3f}" in line.text


@pytest.mark.parametrize("y", [["a"] * 40, ["a"] * 40 + ["b"] * 3, [None] * 40])
def test_a_split_that_can_show_nothing_is_warned_of(y):
    line = lines(y, ["a", "b"], ["test"] * len(y))[1]
    assert line.level == "warning"
    assert "too few to judge anything" in line.text


def test_without_held_out_cases_there_is_nothing_to_say():
    assert lines(["a", "b"] * 20, ["a", "b"], ["train"] * 40) == []
