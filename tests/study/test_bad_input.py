"""What must never become a number: each is named where it is met, and none turned into a figure."""

from dataclasses import replace

import numpy as np
import pytest
from eyes import CARD, columns

import mmfuse
from mmfuse import Cases, SpecError, Table, TableError, interval, intervals, over_seeds, paired_difference
from mmfuse.study.outside import read_outside
from tests.study.tables import binary, noisy

METRICS = ("accuracy", "macro-auc")


def test_scores_for_other_cases():
    """Of another seed: neither an interval nor a difference; of another tool: the lines are named (test_outside)."""
    one = noisy(120)
    other = replace(one, ids=np.array([f"x{i}" for i in range(120)]))
    with pytest.raises(TableError, match="seed 2 speaks of other cases than seed 1: 240 are in one alone, among them"):
        over_seeds([one, other], "s0", metric="accuracy")
    cases = Cases(Table.of(columns(n=8)), mmfuse.load_card(CARD))
    with pytest.raises(TableError, match=r"8 of 8 test cases are missing: e0000, e0001"):
        _outside(cases, {"case": ["zzz"], "both:no": [0.5], "both:yes": [0.5]})


def _outside(cases, cells):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "them.csv"
        Table.of(cells).write(path)
        return read_outside(path, "them", cases, cases.ids)


@pytest.mark.parametrize("metric", METRICS)
def test_duplicated_cases(metric):
    one = noisy(60)
    twice = one.take(np.r_[np.arange(60), 3, 7])
    for ask in (
        lambda: interval(twice, "s0", metric=metric),
        lambda: paired_difference(twice, "s0", "s1", metric=metric),
        lambda: intervals(twice),
    ):
        with pytest.raises(TableError, match=r"2 cases stand in 'test' more than once, among them 'c3'"):
            ask()


def test_duplicated_cases_in_the_table_of_cases():
    cells = columns(n=8)
    cells["case"] = ["e0000", *cells["case"][:7]]
    with pytest.raises(TableError, match="e0000"):
        Cases(Table.of(cells), mmfuse.load_card(CARD))


def test_a_fold_with_one_class():
    """It adds no pair and is named; a test fold by fold refuses it, since there its figure is no number."""
    rng = np.random.default_rng(0)
    folds = np.repeat([0, 1, 2], 40)
    truth = np.where(folds == 1, 0, rng.integers(0, 2, 120))
    table = binary(truth, truth + rng.normal(size=120), truth + rng.normal(size=120), folds=folds)
    without = table.take(folds != 1)
    made = interval(table, "s0", metric="macro-auc", label="d", within=folds)
    assert "one class alone, so no pair, in fold 1" in made.note
    expected = interval(without, "s0", metric="macro-auc", label="d", within=folds[folds != 1])
    assert made.value == pytest.approx(expected.value)
    with pytest.raises(SpecError, match="macro-auc is undefined in fold 1"):
        paired_difference(table, "s0", "s1", metric="macro-auc", label="d", method="corrected-t")
    alone = mmfuse.evaluate(table.take(folds == 1))["sources"]["s0"]["d"]
    assert alone["macro-auc"] is None
    assert alone["sensitivity"] is None


def test_a_class_that_is_missing_in_test():
    """What speaks of it is undefined, says so and has no interval; what does not, has one."""
    rng = np.random.default_rng(0)
    truth = np.zeros(80, dtype=int)
    table = binary(truth, rng.normal(size=80) - 1, rng.normal(size=80) - 1)
    shown = mmfuse.evaluate(table)["sources"]["s0"]["d"]
    assert shown["macro-auc"] is None
    assert shown["left_out"] == {"no": 80, "yes": 0}
    made = interval(table, "s0", metric="macro-auc", label="d")
    assert np.isnan([made.value, made.low, made.high]).all()
    assert "undefined: too few cases, or only one class" in made.note
    gap = paired_difference(table, "s0", "s1", metric="macro-auc", label="d")
    assert np.isnan([gap.value, gap.low, gap.high, gap.p]).all()
    assert mmfuse.verdict(gap).word == "cannot tell with these cases"
    assert interval(table, "s0", metric="accuracy", label="d").low > 0


def test_a_group_in_two_splits():
    whole = noisy(120, size=4)
    torn = replace(whole, split=np.where(np.arange(120) < 62, "train", "test"))
    for ask in (
        lambda: interval(torn, "s0", metric="accuracy"),
        lambda: paired_difference(torn, "s0", "s1", metric="accuracy"),
        lambda: intervals(torn),
    ):
        with pytest.raises(TableError, match=r"1 groups stand in 'test' and in train: '15'"):
            ask()
    sound = replace(whole, split=np.where(np.arange(120) < 60, "train", "test"))
    assert interval(sound, "s0", metric="accuracy").low > 0


def test_outer_folds_may_turn_a_group_from_valid_to_test():
    """Each outer fold has a `valid` of its own; only in one and the same fold may a group not stand in both."""
    whole = noisy(120, size=4)
    ids = np.concatenate([whole.ids, whole.ids])
    split = np.concatenate([np.repeat(["valid", "test"], 60), np.repeat(["test", "valid"], 60)])
    both = replace(
        whole, ids=ids, groups=np.tile(whole.groups, 2), split=split, folds=np.repeat([0, 1], 120),
        targets=np.tile(whole.targets, (2, 1)),
        sources={name: np.tile(s, (1, 2, 1)) for name, s in whole.sources.items()},
    )  # fmt: skip
    assert interval(both, "s0", metric="accuracy").cases == 120
    torn = replace(both, folds=np.zeros(240, dtype=int))
    with pytest.raises(TableError, match="30 groups stand in 'test' and in valid"):
        interval(torn, "s0", metric="accuracy")


def test_a_group_in_two_splits_of_the_table_of_cases():
    cells = columns(n=8)
    cells["patient"] = ["p"] * 8
    cases = Cases(Table.of(cells), mmfuse.load_card(CARD))
    with pytest.raises(TableError, match="1 groups straddle two splits: 'p' in"):
        mmfuse.assign(cases, cases.card.split)


def test_a_prediction_file_whose_rows_do_not_sum_to_one():
    cases = Cases(Table.of(columns(n=4)), mmfuse.load_card(CARD))
    cells = {"case": cases.ids.tolist(), "both:no": [0.5, 0.5, 0.5, 0.9], "both:yes": [0.5, 0.5, 0.5, 0.3]}
    with pytest.raises(TableError, match=r"1 lines hold probabilities that do not sum to one; row 5: 0.9, 0.3"):
        _outside(cases, cells)


def test_a_metric_without_a_meaning_for_the_labels():
    with pytest.raises(SpecError, match="metric 'hamming' does not suit the labels"):
        interval(noisy(60), "s0", metric="hamming")
