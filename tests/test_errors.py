"""Faults are told with found, expected and mend, all at once, and unknown words with the nearest known one."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmfuse.errors import Fault, Faults, MmfuseError, SpecError, TableError, nearest, placed


def test_a_fault_says_where_found_expected_and_mend():
    text = str(SpecError("found this", "that", "do so", "plan.toml, key"))
    assert text == "plan.toml, key: found this\n  expected: that\n  mend: do so"
    assert str(SpecError("found this")) == "found this"


def test_several_faults_are_numbered_in_order():
    error = TableError([Fault("a", "one"), Fault("b", "two", mend="mend it")])
    assert str(error) == "2 faults:\n1. a: one\n2. b: two\n  mend: mend it"
    assert [fault.where for fault in error.faults] == ["a", "b"]


def test_gathered_faults_are_raised_as_the_room_s_error_and_none_is_none():
    faults = Faults()
    faults.raise_as(SpecError)
    faults.add("x", "wrong", "right", "turn it")
    with pytest.raises(SpecError) as caught:
        faults.raise_as(SpecError)
    assert caught.value.faults == (Fault("x", "wrong", "right", "turn it"),)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "encoders.image"),
        ("encoders", "encoders.image"),
        ("encoders.model", "encoders.image.model"),
        ("w.safetensors", "encoders.image, w.safetensors"),
    ],
)
def test_a_part_s_fault_is_given_the_place_of_its_line(given, told):
    with pytest.raises(SpecError) as caught, placed("encoders.image", "encoders"):
        raise SpecError("wrong", where=given)
    assert caught.value.faults == (Fault(told, "wrong"),)


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_cross_processes_whole(again):
    error = SpecError([Fault("a", "one", "two", "three"), Fault("b", "four")])
    assert again(error).faults == error.faults
    assert type(again(error)) is SpecError


@pytest.mark.parametrize("kind", MmfuseError.__subclasses__())
def test_every_refusal_is_one_family(kind):
    with pytest.raises(MmfuseError, match="no"):
        raise kind("no")


@pytest.mark.parametrize(
    ("word", "mend"),
    [
        ("simplx", "did you mean 'simplex'?"),
        ("SVM", "did you mean 'svm'?"),
        ("zebra", "known: simplex, svm"),
    ],
)
def test_nearest_names_the_one_meant_else_all(word, mend):
    assert nearest(word, ["svm", "simplex"]) == mend


def test_nearest_names_the_first_few_of_many():
    assert nearest("zebra", [f"column_{i:02}" for i in range(30)]).endswith("column_11 and 18 more")


def test_nearest_of_nothing():
    assert nearest("x", []) == "none is known here"


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.data())
def test_nearest_knows_every_known_word(known, data):
    word = data.draw(st.sampled_from(known))
    assert nearest(word, known) in {f"did you mean '{other}'?" for other in known if other.lower() == word.lower()}
