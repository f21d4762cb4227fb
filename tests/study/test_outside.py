"""Predictions made elsewhere: what is wrong with them is named, all at once, and nothing wrong becomes a number."""

import numpy as np
import pytest
from eyes import CARD

import mmfuse
from mmfuse import Cases, Table, TableError, read_outside

CELLS = {
    "case": ["a", "b", "c", "d"],
    "patient": ["1", "2", "3", "4"],
    **{name: ["1", "2", "3", "4"] for name in ("l0", "l1", "r0", "r1", "age")},
    "sex": ["f"] * 4,
    "split": ["train", "test", "test", "test"],
    "both": ["no", "yes", "no", "yes"],
    "one": ["no", "no", "yes", "yes"],
}
CASES = Cases(Table.of(CELLS), mmfuse.load_card(CARD))
HELD = np.array(["b", "c", "d"])
GOOD = {"case": ["d", "c", "b"], "both:no": [0.1, 0.6, 1], "both:yes": [0.9, 0.4, 0]}


def read(tmp_path, columns, name="them.csv"):
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **{word: np.array(cells) for word, cells in columns.items()})
    else:
        Table.of(columns).write(path)
    return read_outside(path, "them", CASES, HELD)


@pytest.mark.parametrize("name", ["them.csv", "them.parquet", "them.npz"])
def test_probabilities_find_their_cases(tmp_path, name):
    scores, classes_only = read(tmp_path, GOOD, name)
    p = scores.probabilities("them")
    assert not classes_only
    assert np.allclose(p[1:, :2], [[1, 0], [0.6, 0.4], [0.1, 0.9]])
    assert np.isnan(p[0]).all()
    assert np.isnan(p[:, 2:]).all()


def test_classes_alone_are_kept_as_such(tmp_path):
    scores, classes_only = read(tmp_path, {"id": ["b", "c", "d"], "one": ["yes", "", "no"], "remark": ["x", "y", "z"]})
    assert classes_only
    assert np.allclose(scores.probabilities("them")[1, 2:], [0, 1])
    assert np.isnan(scores.probabilities("them")[2]).all()


def test_classes_are_mapped_as_the_card_says(tmp_path):
    said = {"id": ["b", "c", "d"], "one": ["Yes", "NO", "no"]}
    with pytest.raises(TableError, match="'Yes' is the same word as 'yes' but for case"):
        read(tmp_path, said)
    columns = {**CARD.get("columns", {}), "one": {"values": {"Yes": "yes", "NO": "no"}}}
    cases = Cases(Table.of(CELLS), mmfuse.load_card({**CARD, "columns": columns}))
    scores, _ = read_outside(tmp_path / "them.csv", "them", cases, HELD)
    assert np.allclose(scores.probabilities("them")[1:, 2:], [[0, 1], [1, 0], [1, 0]])


def test_a_row_of_empty_cells_abstains(tmp_path):
    scores, _ = read(tmp_path, {**GOOD, "both:no": [0.1, "", 1], "both:yes": [0.9, "", 0]})
    assert np.isnan(scores.probabilities("them")[2]).all()


FAULTS = {
    "other cases": ({**GOOD, "case": ["d", "c", "zzz"]}, "1 lines are of other cases: 'zzz'"),
    "missing": ({word: cells[:2] for word, cells in GOOD.items()}, "1 of 3 test cases are missing: b"),
    "twice": ({word: [*cells, cells[0]] for word, cells in GOOD.items()}, "more than once: d"),
    "sums": ({**GOOD, "both:no": [0.5, 0.6, 1]}, "1 lines hold probabilities that do not sum to one; row 2: 0.5, 0.9"),
    "percent": ({**GOOD, "both:no": [10, 0.6, 1]}, "outside"),
    "torn": ({**GOOD, "both:no": [0.1, "", 1]}, "some classes have a probability and others have none"),
    "a class absent": ({"case": GOOD["case"], "both:no": GOOD["both:no"]}, "no columns both:yes"),
    "the first class absent": ({"case": GOOD["case"], "both:yes": GOOD["both:yes"]}, "no columns both:no"),
    "an unknown class": ({"case": GOOD["case"], "both": ["yes", "no", "perhaps"]}, "no classes: 'perhaps'"),
    "no label": ({"case": GOOD["case"], "p": [1, 1, 1]}, "predicts no label"),
    "no id": ({"both": ["yes", "no", "no"]}, "names no cases"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_wrong_is_named(tmp_path, what):
    columns, words = FAULTS[what]
    with pytest.raises(TableError, match=words):
        read(tmp_path, columns)


def test_all_faults_come_at_once(tmp_path):
    columns = {"case": ["d", "d", "zzz"], "both:no": [0.3, 2, 1], "both:yes": [0.9, 0.4, 0]}
    with pytest.raises(TableError) as error:
        read(tmp_path, columns)
    assert len(error.value.faults) == 5


def test_what_is_no_npz_is_named(tmp_path):
    (tmp_path / "them.npz").write_bytes(b"nothing")
    with pytest.raises(TableError, match="cannot be read"):
        read_outside(tmp_path / "them.npz", "them", CASES, HELD)
