"""Seeds are derived by name: the same on every machine, and one name's never depends on another's."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmfuse.seeds import derive, generator

names = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 99)), max_size=3)


def test_seeds_are_the_same_everywhere():
    expected = int.from_bytes(hashlib.sha256(b"7/fold/3").digest()[:4], "little")
    assert derive(7, "fold", 3) == expected


@given(st.integers(), names)
def test_seeds_fit_every_library(seed, given_names):
    assert 0 <= derive(seed, *given_names) < 2**32
    assert derive(seed, *given_names) == derive(seed, *given_names)


@given(names, names)
def test_other_names_give_other_seeds(one, other):
    if [str(name) for name in one] != [str(name) for name in other]:
        assert derive(0, *one) != derive(0, *other)


def test_a_slash_in_a_name_is_not_two_names():
    assert len({derive(0, "a/b"), derive(0, "a", "b"), derive(0, "a\\/b"), derive(0, "a\\", "b")}) == 4


def test_other_seeds_draw_other_numbers():
    draws = {generator(seed, "x").integers(2**40) for seed in range(50)}
    assert len(draws) == 50
    np.testing.assert_array_equal(generator(3, "x").random(4), generator(3, "x").random(4))
