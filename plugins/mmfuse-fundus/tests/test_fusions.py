"""The pair fusions against their formulas written out, exchange of the eyes, one eye alone, and refusals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from pairs import EYES, FLOW, SHAPE, exchanged, features, network, noise, who
from torch.nn import functional

from mmfuse import FlowShape, SpecError
from mmfuse.testing import checks
from mmfuse_fundus import ConcatConv, SpatialCorrelation, SymmetricPair

SYMMETRIC = [
    *(SymmetricPair(of=of, width=width) for of, width in product(("vector", "map"), (0, 5))),
    SpatialCorrelation(width=5, tied=True),
]
ALL = [
    *SYMMETRIC,
    SymmetricPair(absent="stand-in"),
    ConcatConv(),
    ConcatConv(width=5),
    SpatialCorrelation(width=5),
    SpatialCorrelation(width=5, tied=True, absent="stand-in"),
    SpatialCorrelation(width=5, absent="stand-in"),
]
BOTH = dict.fromkeys(EYES, FLOW)


def built(part, flows=BOTH):
    torch.manual_seed(0)
    return part.build(flows).eval()


@pytest.mark.parametrize("part", ALL, ids=str)
def test_contract(part):
    for one in checks(part):
        one()


# ── formulas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_symmetric_pair_of_vectors():
    given = features()
    a, b = (given[eye].vector.numpy() for eye in EYES)
    expected = np.concatenate([a + b, np.abs(a - b), a * b], axis=1)
    np.testing.assert_allclose(built(SymmetricPair())(given, who()).vector.numpy(), expected, rtol=1e-6)


def test_symmetric_pair_of_maps_pairs_places_before_the_mean():
    given = features()
    a, b = (given[eye].maps[-1].numpy() for eye in EYES)
    expected = np.concatenate([a + b, np.abs(a - b), a * b], axis=1).mean(axis=(2, 3))
    found = built(SymmetricPair(of="map"))(given, who()).vector.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_symmetric_pair_projects_both_by_one_layer():
    given, module = features(), built(SymmetricPair(width=5))
    assert sum(weight.numel() for weight in module.parameters()) == 7 * 5 + 5
    with torch.no_grad():
        a, b = (functional.linear(given[eye].vector, module.project.weight, module.project.bias) for eye in EYES)
        expected = torch.cat([a + b, (a - b).abs(), a * b], dim=1)
        torch.testing.assert_close(module(given, who()).vector, expected)


@pytest.mark.parametrize("width", [0, 5])
def test_concat_conv(width):
    given, module = features(), built(ConcatConv(width=width, scale=0.25))
    first, norm, _, last = module.mix
    assert first.weight.shape == (width or 6, 12, 3, 3)
    with torch.no_grad():
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
        x = functional.conv2d(torch.cat([given[eye].maps[-1] for eye in EYES], dim=1), first.weight, padding=1)
        shift, spread = norm.running_mean[:, None, None], (norm.running_var[:, None, None] + norm.eps) ** 0.5
        x = ((x - shift) / spread * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0)
        expected = 0.25 * (torch.einsum("bchw,oc->bohw", x, last.weight[:, :, 0, 0]) + last.bias[:, None, None])
        found = module(given, who()).vector
    torch.testing.assert_close(found, expected.mean(dim=(2, 3)), atol=1e-5, rtol=1e-5)


def test_the_scale_starts_at_a_half_and_learns():
    module = built(ConcatConv())
    assert module.scale.item() == 0.5
    module(features(), who()).vector.square().sum().backward()
    assert module.scale.grad.abs() > 0


def attended(query, key, value):
    """softmax(Qᵀ K / √d) V, place by place, in double precision: (batch, places, width)."""
    q, k, v = (x.flatten(2).double().numpy() for x in (query, key, value))
    out = np.zeros((len(q), q.shape[2], v.shape[1]))
    for case, place in product(range(len(q)), range(q.shape[2])):
        scores = np.array([q[case, :, place] @ k[case, :, other] for other in range(k.shape[2])]) / np.sqrt(q.shape[1])
        weights = np.exp(scores - scores.max())
        out[case, place] = v[case] @ (weights / weights.sum())
    return out


def convolved(layer, x):
    return functional.conv2d(x, layer.weight, layer.bias)


def test_spatial_correlation_attends_both_ways():
    given, module = features(), built(SpatialCorrelation(width=5))
    with torch.no_grad():
        a, b = (3 * given[eye].maps[-1] for eye in EYES)
        given = {eye: given[eye]._replace(maps=(given[eye].maps[0], x)) for eye, x in zip(EYES, (a, b), strict=True)}
        theta, phi = convolved(module.theta, a), convolved(module.phi, b)
        to_a = attended(theta, phi, convolved(module.value_second, b)).mean(axis=1)
        to_b = attended(phi, theta, convolved(module.value_first, a)).mean(axis=1)
        found = module(given, who()).vector.numpy()
    means = [x.mean(dim=(2, 3)).numpy() for x in (a, b)]
    np.testing.assert_allclose(found, np.concatenate([means[0], to_a, means[1], to_b], axis=1), atol=1e-5)


def test_tied_spatial_correlation_projects_both_ways_alike():
    given, module = features(), built(SpatialCorrelation(width=5, tied=True))
    with torch.no_grad():
        changed = []
        for one, other in (EYES, EYES[::-1]):
            a, b = given[one].maps[-1], given[other].maps[-1]
            taken = attended(convolved(module.theta, a), convolved(module.phi, b), convolved(module.value, b))
            changed.append(np.concatenate([a.mean(dim=(2, 3)).numpy(), taken.mean(axis=1)], axis=1))
        found = module(given, who()).vector.numpy()
    expected = np.concatenate([changed[0] + changed[1], np.abs(changed[0] - changed[1])], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# ── exchange, absence ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("part", SYMMETRIC, ids=str)
@pytest.mark.parametrize("here", [(True, True), (True, False), (False, True)])
def test_exchange_changes_nothing_with_both_eyes_or_one(part, here):
    module, given, present = built(part), features(), who(*here)
    assert part.symmetric
    with torch.no_grad():
        one = module(given, present).vector
        other = module(exchanged(given), exchanged(present)).vector
    assert float((one - other).abs().max()) <= 1e-6


@pytest.mark.parametrize("part", [ConcatConv(), SpatialCorrelation(width=5)], ids=str)
def test_the_others_tell_the_eyes_apart(part):
    module = built(part)
    assert not part.symmetric
    with torch.no_grad():
        one, other = (module(each, who()).vector for each in (features(), exchanged(features())))
    assert float((one - other).abs().max()) > 1e-2


@pytest.mark.parametrize("part", [*SYMMETRIC, SpatialCorrelation(width=5)], ids=str)
def test_an_eye_alone_stands_for_both(part):
    module, given = built(part), features()
    twice = {"left": given["left"], "right": given["left"]}
    with torch.no_grad():
        alone = module(given, who(right=False)).vector
        torch.testing.assert_close(alone, module(twice, who()).vector)


@pytest.mark.parametrize(
    "part", [SymmetricPair(absent="stand-in"), ConcatConv(), SpatialCorrelation(width=5, absent="stand-in")], ids=str
)
def test_or_its_stand_in_enters(part):
    module, given = built(part), features()
    with torch.no_grad():
        torch.testing.assert_close(module(given, who(right=False)).vector, module(given, who()).vector)


@pytest.mark.parametrize("fusion", ['"symmetric-pair"', '{ use = "spatial-correlation", tied = true, width = 8 }'])
def test_exchange_through_a_network_with_a_shared_encoder(fusion):
    """mean |p(L, R) - p(R, L)| of whole networks: both eyes, left only, right only."""
    net = network(f"""
[network]
encoders.image = {{ use = "attention-resnet", model = "resnet10t", weights = "none", share = true }}
fusion = {fusion}
head = "mlp"
""")
    images = {eye: torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(k)) for k, eye in enumerate(EYES)}
    images["left"] *= torch.linspace(0.1, 1, 6)[:, None, None, None]
    here = {"left": torch.tensor([1, 1, 1, 1, 0, 0]) > 0, "right": torch.tensor([1, 1, 0, 0, 1, 1]) > 0}
    with torch.no_grad():
        net.train()(images, here)
        net.eval()
        one = net(images, here).scores["fused"].logits
        other = net(exchanged(images), exchanged(here)).scores["fused"].logits
    assert float((one - other).abs().max()) <= 1e-6
    assert float(one.std(dim=0).max()) > 1e-3


# ── declarations, refusals ────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_declared():
    for part in ALL:
        assert part.arity == (2, 2)
        assert part.map_levels == (-1,)
        assert part.needs == (("vector",) if isinstance(part, SymmetricPair) and part.of == "vector" else ("maps",))


def test_three_inputs_and_tables_are_refused_before_anything_is_built():
    objections = ConcatConv().objections({"left": "image", "meta": "table"})
    assert len(objections) == 1
    assert "'meta' (table)" in objections[0]
    assert not SymmetricPair().objections({"left": "vector", "right": "vector"})
    assert SymmetricPair(of="map").objections({"left": "vector", "right": "vector"})


@pytest.mark.parametrize(
    ("part", "other", "words"),
    [
        (ConcatConv(), FlowShape(7), ["'right' gives none", "levels = [5]"]),
        (ConcatConv(), FlowShape(7, ((6, 4, 4),)), ["left 3×4, right 4×4", "same `size`"]),
        (SymmetricPair(), FlowShape(8, FLOW.maps), ["left 7, right 8", "share = true"]),
        (SymmetricPair(of="map"), FlowShape(7, ((5, 3, 4),)), ["left 6, right 5"]),
        (SpatialCorrelation(), FlowShape(7, ((5, 3, 4),)), ["left 6, right 5"]),
        (SpatialCorrelation(tied=True, absent="stand-in"), FlowShape(7, ((5, 3, 4),)), ["left 6, right 5"]),
    ],
)
def test_flows_that_do_not_fit(part, other, words):
    with pytest.raises(SpecError) as error:
        part.build({"left": FLOW, "right": other})
    assert all(word in str(error.value) for word in words)
    assert error.value.faults[0].where == "network.fusion"


def test_unequal_maps_are_taken_where_they_can_be():
    flows = {"left": FLOW, "right": FlowShape(9, ((5, 2, 2),))}
    given = features()
    given["right"] = given["right"]._replace(maps=(noise(3, 5, 2, 2),))
    vector = built(SpatialCorrelation(width=5, absent="stand-in"), flows)(given, who()).vector
    assert vector.shape == (3, 6 + 5 + 5 + 5)
    flows["right"] = FlowShape(9, ((5, 3, 4),))
    given["right"] = given["right"]._replace(maps=(noise(3, 5, 3, 4),))
    assert built(ConcatConv(), flows)(given, who()).vector.shape == (3, 6)
