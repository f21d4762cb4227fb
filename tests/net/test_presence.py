"""Hiding modalities, gathering present cases, patterns, views, random state."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmfuse.errors import SpecError
from mmfuse.net.presence import Present, hide, patterns_of, single_case_safe
from mmfuse.net.randomness import own_randomness
from mmfuse.net.views import VIEWS, check_views

masks = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=n, max_size=n)
)


@settings(deadline=None, max_examples=50)
@given(masks, st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_hiding_keeps_at_least_one_and_never_invents(rows, rate, seed):
    present = np.array(rows, dtype=bool)
    kept = hide(present, rate, np.random.default_rng(seed))
    assert not (kept & ~present).any()
    assert (kept.any(axis=1) == present.any(axis=1)).all()
    if rate == 0:
        assert (kept == present).all()


def test_hiding_has_its_rate_and_is_even():
    present = np.ones((40_000, 2), dtype=bool)
    kept = hide(present, 0.3, np.random.default_rng(0))
    # both hidden (.09) happens only before one is given back, evenly: each is kept with .7 + .09 / 2
    assert kept.mean(axis=0) == pytest.approx([0.745, 0.745], abs=0.01)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_gather_and_spread(there):
    who = Present(torch.tensor(there), torch.device("cpu"))
    full = torch.arange(len(there) * 6.0).reshape(-1, 2, 3)
    back = who.spread(who.gather(full), -1.0)
    assert torch.equal(back, torch.where(torch.tensor(there)[:, None, None], full, -1.0))


def test_spread_lets_gradients_through():
    who = Present(torch.tensor([True, False, True]), torch.device("cpu"))
    given_, fill = torch.ones(2, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    (who.spread(given_, fill) * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert given_.grad.tolist() == [[1, 1], [3, 3]]
    assert fill.grad.tolist() == [2, 2]


def test_one_case_has_no_batch_statistics():
    norm = nn.BatchNorm1d(3)
    held = nn.BatchNorm1d(3).eval()
    both = nn.Sequential(norm, held)
    with pytest.raises(ValueError, match="more than 1 value"):
        both(torch.ones(1, 3))
    norm.reset_running_stats()
    with single_case_safe(both, 1):
        both(torch.ones(1, 3))
    assert norm.training
    assert not held.training
    assert norm.num_batches_tracked == 0


def test_patterns():
    present = {"b": np.array([True, True, False]), "a": np.array([True, False, False])}
    assert patterns_of(present) == [("a", "b"), ("b",), ()]


def test_views_are_what_their_names_say():
    images = torch.tensor([[[[1, 2], [3, 4]]] * 3])
    found = {name: view(images)[0, 0].tolist() for name, view in VIEWS.items()}
    assert found == {
        "identity": [[1, 2], [3, 4]],
        "flip-x": [[2, 1], [4, 3]],
        "flip-y": [[3, 4], [1, 2]],
        "rotate-90": [[2, 4], [1, 3]],
        "rotate-180": [[4, 3], [2, 1]],
        "rotate-270": [[3, 1], [4, 2]],
    }


def test_views_are_checked_at_once():
    with pytest.raises(SpecError) as caught:
        check_views(("flip_x", "identity", "identity", "rotate-90"), {"one": (3, 4, 6)})
    text = str(caught.value)
    assert "3 faults" in text
    assert "did you mean 'flip-x'?" in text
    assert "'identity' stands 2 times" in text
    assert "4×6" in text
    assert check_views(("identity", "flip-x"), {}) == ("identity",)


def test_random_state_is_left_alone():
    before = torch.rand(1, generator=None), np.random.get_state()[1].copy(), random.getstate()
    state = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with own_randomness(7):
            draws.append((torch.rand(1).item(), np.random.random(), random.random()))
    assert draws[0] == draws[1]
    assert torch.equal(state, torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()
