"""The card's case weights: read, defaulted, and refused by row."""

import numpy as np
import pytest
from tiny_parts import Flat, Numbers, make_spec

from mmfuse.advice.audit import audit
from mmfuse.data.cases import Cases
from mmfuse.data.table import Table
from mmfuse.data.weighing import case_weights
from mmfuse.errors import TableError


def cases_of(words, column="w", weight="w", labelled=True):
    spec = make_spec({"age": Numbers(column="age")}, {"age": Flat()})
    card = spec.card.model_copy(update={"cases": spec.card.cases.model_copy(update={"weight": weight})})
    n = len(words)
    cells = {"id": [f"c{i}" for i in range(n)], "age": ["1"] * n, "y": ["a", "b"] * (n // 2) + ["a"] * (n % 2)}
    return Cases(Table.of({**cells, column: list(words)}), card, labelled=labelled)


def test_numbers_are_read_and_an_empty_cell_is_one():
    assert case_weights(cases_of(["2", "0.5", None, "0"])).tolist() == [2, 0.5, 1, 0]
    assert case_weights(cases_of(["2", "x", "0"], weight="")).tolist() == [1, 1, 1]


def test_negative_weights_are_refused_by_row():
    with pytest.raises(TableError, match=r"column w: negative weights in rows 3, 4\n"):
        case_weights(cases_of(["1", "-0.5", "-1"]))
    with pytest.raises(TableError, match=r"rows 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"):
        case_weights(cases_of([f"-{i}" for i in range(1, 12)]))


def test_words_are_refused_by_row():
    with pytest.raises(TableError, match=r"column w: no numbers: 'much' \(1, in row 3\)"):
        case_weights(cases_of(["1", "much"]))
    with pytest.raises(TableError, match="inf"):
        case_weights(cases_of(["1", "inf"]))


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(TableError, match=r"no column 'wheight'(?s:.*)'weight'"):
        case_weights(cases_of(["1"], column="weight", weight="wheight"))


def test_an_input_cannot_be_the_weight():
    with pytest.raises(TableError, match="modality 'age' reads the case weights"):
        case_weights(cases_of(["1", "2"], weight="age"))


def test_the_audit_says_so():
    cases = cases_of(["1", "-2"])
    found = audit(cases, np.array(["train", "train"], dtype=object), files=False)
    assert [finding.level for finding in found if "negative weights in rows 3" in finding.text] == ["error"]


def test_without_labels_nothing_is_weighed():
    assert case_weights(cases_of(["1", "2"], column="other", labelled=False)).tolist() == [1, 1]
