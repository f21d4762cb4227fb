"""A split that is given in Python is held to what a column is: one word a case, every group whole; at every door."""

import dataclasses

import numpy as np
import pytest
from cohort import cases_of, columns, pipeline_of, spec_of

import mmfuse
from mmfuse.data.splits import straddling
from mmfuse.errors import TableError

ALTERNATING = np.array(["train", "test"] * 30, dtype=object)
"""Two cases a patient: each of the 30 patients on both sides."""
WHOLE = np.repeat(["train", "train", "valid", "test", "train"] * 6, 2).astype(object)

DOORS = {
    "fit": lambda spec, cases, split: pipeline_of().fit(cases, split),
    "fit_network": lambda spec, cases, split: mmfuse.fit_network(
        spec, mmfuse.wire(spec), cases, split, None, device="cpu"
    ),
    "probe": lambda spec, cases, split: mmfuse.probe(cases, split, files=False),
    "resolution": lambda spec, cases, split: mmfuse.resolution(cases, split),
}
WORDS = {
    **DOORS,
    "audit": lambda spec, cases, split: mmfuse.audit(cases, split, files=False),
    "cautions": mmfuse.cautions,
}


@pytest.mark.parametrize("door", DOORS)
def test_groups_on_both_sides_are_refused_by_name(door):
    spec = spec_of()
    with pytest.raises(TableError) as caught:
        DOORS[door](spec, cases_of(spec), ALTERNATING)
    assert "30 groups straddle two splits: 'p0' in train and test; 'p1' in train and test" in str(caught.value)
    assert "the split that was given" in str(caught.value)


@pytest.mark.parametrize("door", WORDS)
@pytest.mark.parametrize("split", [WHOLE[:-1], ["training"] * 60, WHOLE[:, None]])
def test_a_split_of_other_length_or_words_is_refused(door, split):
    spec = spec_of()
    with pytest.raises(TableError, match=r"one word a case|the words 'training'"):
        WORDS[door](spec, cases_of(spec), split)


def test_steps_refuse_words_that_name_no_split():
    with pytest.raises(TableError, match="the words 'training'"):
        pipeline_of().steps(np.array(["training"] * 4))
    assert pipeline_of().steps(["train", "test"]).networks == ("network",)


def test_the_audit_names_torn_groups_among_its_findings():
    found = mmfuse.audit(cases_of(spec_of()), ALTERNATING, files=False)
    assert any(finding.level == "error" and "30 groups stand in two splits" in finding.text for finding in found)


def test_a_whole_split_is_taken_as_it_is():
    cases = cases_of(spec_of())
    scores = pipeline_of().fit(cases, WHOLE.tolist()).scores
    np.testing.assert_array_equal(scores.split, WHOLE.astype(str))


def test_folds_that_tear_a_group_are_refused_by_name():
    spec, cases = spec_of(), cases_of(spec_of())
    with pytest.raises(TableError, match="group 'p0' stands in the folds 0 and 1"):
        mmfuse.fit_network(spec, mmfuse.wire(spec), cases, WHOLE, np.arange(60) % 2, device="cpu")
    with pytest.raises(TableError, match="one whole number a case"):
        mmfuse.fit_network(spec, mmfuse.wire(spec), cases, WHOLE, np.zeros(59, int), device="cpu")


def test_scores_of_torn_groups_are_not_decided_on():
    spec = spec_of()
    table = pipeline_of().fit(cases_of(spec), WHOLE).scores
    torn = dataclasses.replace(table, split=ALTERNATING)
    with pytest.raises(TableError, match="30 groups straddle two splits"):
        mmfuse.fit_decisions(spec, mmfuse.wire(spec), torn, None)


def test_straddling_groups_stand_in_the_order_of_their_first_case():
    groups = np.array(["z", "z", "a", "a", "m", "m"])
    split = np.array(["test", "valid", "train", "test", "", "test"])
    assert straddling(groups, split) == {"z": ("valid", "test"), "a": ("train", "test")}
    assert straddling(columns_groups := np.array(columns(n=4)["patient"]), np.array(["train"] * 4)) == {}
    assert len(columns_groups) == 4
