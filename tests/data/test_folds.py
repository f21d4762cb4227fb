"""What is settled before anything learns: the split, labels that can be learnt, folds that keep groups whole."""

import numpy as np
import pytest

import mmfuse
from mmfuse import Card, Cases, CasesSection, FoldColumn, LabelLine, Table
from mmfuse.card import ColumnLine
from mmfuse.data.folds import refuse_unlearnable, training_folds
from mmfuse.data.splits import checked_split
from mmfuse.errors import SpecError, TableError

CARD = Card(
    cases=CasesSection(id="id", group="patient"),
    labels={"y": LabelLine(classes=("no", "yes"))},
    columns={"half": ColumnLine()},
)
SPLIT = np.array(["train"] * 8 + ["valid", "test"], dtype=object)


def cases(patients="aabbccddef", halves="xxyyxxyyxy", labels="nynynynyny"):
    words = {"n": "no", "y": "yes", "-": None}
    cells = {
        "id": [f"i{i}" for i in range(10)],
        "patient": list(patients),
        "half": [None if half == "-" else half for half in halves],
        "y": [words[label] for label in labels],
    }
    return Cases(Table.of(cells), CARD)


def test_splits_are_words_of_the_right_number():
    np.testing.assert_array_equal(checked_split(["train", "", "test", "valid"], 4), ["train", "", "test", "valid"])
    for odd in (["train"], [["train"]], "train"):
        with pytest.raises(TableError, match="one word a case"):
            checked_split(odd, 2)
    with pytest.raises(TableError, match="the words 'Train', None"):
        checked_split(["Train", None], 2)


@pytest.mark.parametrize("wanted", [2, 3, 5])
def test_drawn_folds_keep_groups_whole_and_leave_the_rest_out(wanted):
    given = cases()
    folds = training_folds(given, SPLIT, wanted, seed=1)
    np.testing.assert_array_equal(folds[8:], [-1, -1])
    np.testing.assert_array_equal(folds[0:8:2], folds[1:8:2])
    assert set(folds[:8]) == set(range(min(wanted, 4)))
    np.testing.assert_array_equal(folds, training_folds(given, SPLIT, wanted, seed=1))


def test_one_group_has_no_folds():
    given = cases(patients="aaaaaaaaef")
    np.testing.assert_array_equal(training_folds(given, SPLIT, 5, seed=1, needed=False), np.full(10, -1))
    with pytest.raises(TableError, match="all training cases are of one group"):
        training_folds(given, SPLIT, 5, seed=1)


def test_folds_by_a_column_are_numbered_in_the_order_of_predict():
    given = cases()
    folds = training_folds(given, SPLIT, FoldColumn(column="half", predict=("y", "x")), seed=1)
    np.testing.assert_array_equal(folds, [1, 1, 0, 0, 1, 1, 0, 0, -1, -1])
    folds = training_folds(given, SPLIT, FoldColumn(column="half", predict="y"), seed=1)
    np.testing.assert_array_equal(folds, [-1, -1, 0, 0, -1, -1, 0, 0, -1, -1])
    folds = training_folds(cases(halves="--yyxxyyxy"), SPLIT, FoldColumn(column="half", predict="x"), seed=1)
    np.testing.assert_array_equal(folds[:8], [-1, -1, -1, -1, 0, 0, -1, -1])


def test_a_group_that_straddles_folds_is_refused_by_name():
    for halves in ("xyyyxxyyxy", "x-yyxxyyxy"):
        with pytest.raises(TableError, match=r"column half: group 'a' has both 'x' and '(y|None)'"):
            training_folds(cases(halves=halves), SPLIT, FoldColumn(column="half", predict="x"), seed=1)
    outside = cases(halves="zxyyxxyyxy", patients="gabbccddef")
    assert (training_folds(outside, SPLIT, FoldColumn(column="half", predict="y"), seed=1)[:2] == -1).all()


def test_values_and_columns_that_are_not_there_are_told():
    with pytest.raises(TableError, match=r"no training case has \['z'\]"):
        training_folds(cases(), SPLIT, FoldColumn(column="half", predict=("x", "z")), seed=1)
    with pytest.raises(TableError, match="did you mean 'half'"):
        training_folds(cases(), SPLIT, FoldColumn(column="halv", predict="x"), seed=1)


def test_what_cannot_be_learnt():
    told = []
    refuse_unlearnable(cases(), SPLIT, told.append)
    assert not told
    refuse_unlearnable(cases(labels="nnnnnn--yy"), SPLIT, told.append)
    assert [notice.level for notice in told] == ["warning"]
    assert "'y' has one class among the training cases ('no')" in told[0].text
    with pytest.raises(TableError, match="label 'y' is known for no training case"):
        refuse_unlearnable(cases(labels="--------yn"), SPLIT, told.append)
    with pytest.raises(TableError, match="training cases: 1 of"):
        refuse_unlearnable(cases(), np.array(["train"] + ["test"] * 9, dtype=object), told.append)
    bare = Cases(cases().table, CARD.model_copy(update={"labels": {}}))
    with pytest.raises(SpecError, match="the card has no labels"):
        refuse_unlearnable(bare, SPLIT, mmfuse.silent)
