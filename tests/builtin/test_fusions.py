"""Fusions: each formula against NumPy, modalities by name in any order, presence, and refusals of unequal widths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse import Features, FlowShape, SpecError
from mmfuse.builtin.fusions import Concat, Gated, Mean, Product, Sum

torch.set_num_threads(1)

NAMES = ("left", "derm", "type")  # `type` is an attribute of every torch module
EQUAL = dict.fromkeys(NAMES, FlowShape(6))
UNEQUAL = {"left": FlowShape(6), "derm": FlowShape(4), "type": FlowShape(3)}
EVERY = [Concat(width=5), Sum(width=5), Mean(width=5), Product(width=5), Gated(width=5)]
SKIPPING = [Sum(width=5, absent="skip"), Mean(width=5), Product(width=5, absent="skip")]


def draw(flows, cases=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = {m: Features(torch.randn(cases, flow.width, generator=generator)) for m, flow in flows.items()}
    present = {m: torch.rand(cases, generator=generator) < 0.6 for m in flows}
    return features, present


def arrays(features, present):
    return [features[m].vector.numpy() for m in sorted(features)], [
        present[m].numpy()[:, None] for m in sorted(present)
    ]


def test_formulas_of_full_vectors():
    features, present = draw(EQUAL)
    x, there = arrays(features, present)
    zero, one = np.zeros((7, 6)), np.ones((7, 6))
    counts = np.maximum(sum(there[i].astype(int) for i in range(3)), 1)
    expected = {
        Concat(): np.concatenate(x, axis=1),
        Sum(): x[0] + x[1] + x[2],
        Sum(absent="skip"): sum(np.where(there[i], x[i], zero) for i in range(3)),
        Mean(): sum(np.where(there[i], x[i], zero) for i in range(3)) / counts,
        Mean(absent="stand-in"): (x[0] + x[1] + x[2]) / 3,
        Product(): x[0] * x[1] * x[2],
        Product(absent="skip"): np.where(there[0], x[0], one)
        * np.where(there[1], x[1], one)
        * np.where(there[2], x[2], one),
    }
    for part, value in expected.items():
        np.testing.assert_allclose(
            part.build(EQUAL)(features, present).vector.numpy(), value, atol=1e-6, err_msg=repr(part)
        )


def test_projections_are_a_linear_layer_a_modality():
    features, present = draw(UNEQUAL)
    module = Sum(width=5).build(UNEQUAL)
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    expected = sum(
        features[m].vector.numpy() @ state[f"project.layers.of-{m}.weight"].T + state[f"project.layers.of-{m}.bias"]
        for m in UNEQUAL
    )
    np.testing.assert_allclose(module(features, present).vector.detach().numpy(), expected, atol=1e-5)


def test_gates_of_two_modalities_are_the_papers():
    flows = {"a": FlowShape(4), "b": FlowShape(3)}
    features, _ = draw(flows)
    present = {m: torch.ones(7, dtype=torch.bool) for m in flows}
    module = Gated(width=5).build(flows)
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    a, b = features["a"].vector.numpy(), features["b"].vector.numpy()
    z = 1 / (1 + np.exp(-np.concatenate([a, b], 1) @ (state["gates.of-a.weight"] - state["gates.of-b.weight"]).T))
    expected = z * np.tanh(a @ state["values.of-a.weight"].T) + (1 - z) * np.tanh(b @ state["values.of-b.weight"].T)
    np.testing.assert_allclose(module(features, present).vector.detach().numpy(), expected, atol=1e-5)


def test_gates_are_shared_among_those_present():
    features, _ = draw(UNEQUAL)
    module = Gated(width=5).build(UNEQUAL)
    for pattern in itertools.product([True, False], repeat=3):
        present = {m: torch.full((7,), on) for m, on in zip(UNEQUAL, pattern, strict=True)}
        heard = [m for m in UNEQUAL if present[m][0]] or list(UNEQUAL)
        state = {name: value.numpy() for name, value in module.state_dict().items()}
        everything = np.concatenate([features[m].vector.numpy() for m in sorted(UNEQUAL)], axis=1)
        gates = np.stack([np.exp(everything @ state[f"gates.of-{m}.weight"].T) for m in heard])
        values = np.stack([np.tanh(features[m].vector.numpy() @ state[f"values.of-{m}.weight"].T) for m in heard])
        expected = (gates / gates.sum(0) * values).sum(0)
        np.testing.assert_allclose(module(features, present).vector.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("part", EVERY, ids=repr)
@pytest.mark.parametrize("order", list(itertools.permutations(NAMES)), ids="-".join)
def test_the_order_of_a_dict_never_matters(part, order):
    torch.manual_seed(1)
    first = part.build(UNEQUAL)
    torch.manual_seed(1)
    second = part.build({m: UNEQUAL[m] for m in order})
    features, present = draw(UNEQUAL)
    again = second({m: features[m] for m in order}, {m: present[m] for m in reversed(order)})
    assert torch.equal(first(features, present).vector, again.vector)


@pytest.mark.parametrize("part", [Sum(), Mean(), Product(), Sum(absent="skip"), Mean(absent="stand-in")], ids=repr)
def test_exchanging_modalities_changes_no_symmetric_fusion(part):
    assert part.symmetric
    features, present = draw(EQUAL)
    module = part.build(EQUAL)
    turned = dict(zip(NAMES, NAMES[1:] + NAMES[:1], strict=True))
    again = module({m: features[turned[m]] for m in NAMES}, {m: present[turned[m]] for m in NAMES})
    torch.testing.assert_close(again.vector, module(features, present).vector)


def test_facts_that_the_checker_uses():
    for part in EVERY:
        assert part.needs == ("vector",)
        assert part.arity == (2, 0)
        assert not part.symmetric


@pytest.mark.parametrize("part", SKIPPING, ids=repr)
def test_what_is_skipped_is_not_read_at_all(part):
    features, present = draw(UNEQUAL)
    module = part.build(UNEQUAL)
    before = module(features, present).vector
    other = {m: Features(torch.where(present[m][:, None], features[m].vector, 1e6)) for m in UNEQUAL}
    assert torch.equal(module(other, present).vector, before)


@pytest.mark.parametrize("part", [*EVERY, *SKIPPING], ids=repr)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), pattern=st.lists(st.booleans(), min_size=3, max_size=3))
def test_no_presence_pattern_gives_nan_in_result_or_gradient(part, seed, pattern):
    features, present = draw(UNEQUAL, cases=3, seed=seed)
    for m, on in zip(UNEQUAL, pattern, strict=True):
        present[m][0] = on
        features[m].vector.requires_grad_()
    module = part.build(UNEQUAL)
    out = module(features, present).vector
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    for tensor in [*module.parameters(), *(one.vector for one in features.values())]:
        assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("part", EVERY, ids=repr)
def test_a_case_does_not_depend_on_its_neighbours(part):
    features, present = draw(UNEQUAL)
    module = part.build(UNEQUAL)
    alone = module({m: Features(f.vector[2:3]) for m, f in features.items()}, {m: p[2:3] for m, p in present.items()})
    torch.testing.assert_close(alone.vector, module(features, present).vector[2:3])


@pytest.mark.parametrize("part", [Sum(), Mean(), Product()], ids=repr)
def test_unequal_widths_are_refused_with_the_mend(part):
    with pytest.raises(SpecError) as error:
        part.build(UNEQUAL)
    for word in (part.name, "derm 4", "left 6", "type 3", "width = 256"):
        assert word in str(error.value)
    Concat().build(UNEQUAL)


def test_names_that_torch_does_not_take():
    flows = {"a.b": FlowShape(2), "a%2eb": FlowShape(3), "values": FlowShape(2)}
    features, present = draw(flows)
    for part in EVERY:
        module = part.build(flows)
        assert torch.isfinite(module(features, present).vector).all()
