"""The network's one meaning of "missing", its sizes, and what is held fixed."""

import itertools

import numpy as np
import pytest
import torch
from tiny_parts import Coarse, Conv, Flat, Lin, Loud, Numbers, Picture, Side, make_spec, two_pictures
from torch import nn

from mmfuse.errors import PartError, SpecError
from mmfuse.net.features import Features, as_kept, levels_of
from mmfuse.net.network import FusionNetwork, module_key
from mmfuse.parts import Encoder, FlowShape, Head
from mmfuse.wiring import wire

SHAPES = {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}


def build(fusion=None, name="network", **options):
    spec, wiring = two_pictures(fusion, **options)
    return FusionNetwork(spec, wiring, SHAPES, spec.card.label_set, name)


def batch(cases, seed=0):
    given = torch.Generator().manual_seed(seed)
    inputs = {modality: torch.rand(cases, *shape, generator=given) for modality, shape in SHAPES.items()}
    return inputs, {modality: torch.ones(cases, dtype=torch.bool) for modality in SHAPES}


def test_sizes_are_measured():
    network = build(Side(reads_all=True))
    assert network.widths == {"one": 4, "two": 4, "age": 4}
    assert network.heads["fused"][1].in_features == 3 * 4 + 2 * (4 + 4) + 2 * 4
    outputs = network(*batch(5))
    assert {source: tuple(given.logits.shape) for source, given in outputs.scores.items()} == {
        "fused": (5, 2),
        "one": (5, 2),
        "two": (5, 2),
        "age": (5, 2),
    }
    assert [tuple(level.shape) for level in outputs.features["one"].maps] == [(5, 4, 8, 8), (5, 4, 2, 2)]


def test_gradient_reaches_everything_that_learns():
    network = build(Side(reads_all=True))
    inputs, present = batch(6)
    for i, modality in enumerate(SHAPES):
        present[modality][i] = False
    outputs = network(inputs, present)
    sum(torch.nan_to_num(given.logits).square().sum() for given in outputs.scores.values()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fusion", [Side(reads_all=True), Loud()])
def test_content_of_an_absent_cell_changes_nothing(training, fusion):
    rng = np.random.default_rng(0)
    for _ in range(5):
        inputs, present = batch(6)
        for mask in present.values():
            mask &= torch.from_numpy(rng.random(6) < 0.6)
        found = []
        for filler in (0.0, torch.nan, 1e30):
            network = build(fusion).train(training)
            given = {m: torch.where(present[m].view(-1, *[1] * len(SHAPES[m])), t, filler) for m, t in inputs.items()}
            outputs = network(given, present)
            state = torch.cat([tensor.double().flatten() for tensor in network.state_dict().values()])
            found.append(
                torch.cat([outputs.fused.vector.flatten(), *[s.logits.flatten() for s in outputs.scores.values()]])
            )
            found[-1] = torch.cat([found[-1].double(), state])
        assert torch.equal(torch.nan_to_num(found[0], 99), torch.nan_to_num(found[1], 99))
        assert torch.equal(torch.nan_to_num(found[0], 99), torch.nan_to_num(found[2], 99))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cases", [1, 2, 3])
def test_every_presence_pattern_runs_and_abstains_where_it_must(training, cases):
    network = build(Side(reads_all=True), head=Lin(normed=True)).train(training)
    inputs, _ = batch(cases)
    for pattern in itertools.product([True, False], repeat=3):
        present = {m: torch.full((cases,), there) for m, there in zip(SHAPES, pattern, strict=True)}
        outputs = network(inputs, present)
        for m, there in zip(SHAPES, pattern, strict=True):
            assert outputs.scores[m].logits.isnan().all() == (not there)
            assert outputs.scores[m].logits.isfinite().all() == there
        assert outputs.scores["fused"].logits.isfinite().all() == any(pattern)
        assert outputs.fused.vector.isfinite().all()


def test_absence_is_by_case():
    network = build().eval()
    inputs, present = batch(4)
    present["one"][2] = False
    for modality in SHAPES:
        present[modality][3] = False
    outputs = network(inputs, present)
    assert outputs.scores["one"].logits.isnan().any(dim=1).tolist() == [False, False, True, True]
    assert outputs.scores["two"].logits.isnan().any(dim=1).tolist() == [False, False, False, True]
    assert outputs.scores["fused"].logits.isnan().any(dim=1).tolist() == [False, False, False, True]
    alone = network({m: t[:1] for m, t in inputs.items()}, {m: t[:1] for m, t in present.items()})
    torch.testing.assert_close(alone.scores["fused"].logits, outputs.scores["fused"].logits[:1])


def test_the_stand_in_is_the_running_mean_plus_the_offset():
    network = build(Side(reads_all=True))
    inputs, present = batch(8)
    outputs = network(inputs, present)
    seen = outputs.features["one"]
    standin = network.standin("one")
    torch.testing.assert_close(standin.mean_vector, seen.vector.mean(0))
    torch.testing.assert_close(standin.mean_map0, seen.maps[0].mean((0, 2, 3)))
    torch.testing.assert_close(standin.mean_tokens, seen.tokens.mean((0, 1)))
    before = standin.mean_vector.clone()
    present["one"][2:] = False
    inputs["one"] = inputs["one"] * 3
    again = network(inputs, present).features["one"]
    expected = before + 0.1 * 2 / 8 * (again.vector[:2].mean(0) - before)
    torch.testing.assert_close(standin.mean_vector, expected)
    with torch.no_grad():
        standin.offsets["vector"].fill_(0.25)
    network.eval()
    present["one"][:] = False
    absent = network(inputs, present).features["one"]
    torch.testing.assert_close(absent.vector, (expected + 0.25).expand(8, 4))
    torch.testing.assert_close(absent.maps[1], standin.mean_map1[None, :, None, None].expand(8, 4, 2, 2))
    torch.testing.assert_close(absent.tokens, standin.mean_tokens.expand(8, 4, 4))


def test_order_of_modalities_never_matters():
    inputs, present = batch(5)
    turned = [dict(reversed(given.items())) for given in (inputs, present)]
    network = build().eval()
    assert torch.equal(network(inputs, present).scores["fused"].logits, network(*turned).scores["fused"].logits)
    spec, _ = two_pictures()
    modalities = dict(reversed(spec.card.modalities.items()))
    other = spec.model_copy(update={"card": spec.card.model_copy(update={"modalities": modalities})})
    second = FusionNetwork(other, wire(other), SHAPES, other.card.label_set).eval()
    assert torch.equal(network(inputs, present).scores["fused"].logits, second(inputs, present).scores["fused"].logits)


def test_first_weights_have_seeds_of_their_own_and_leave_the_process_alone():
    before = torch.get_rng_state()
    same, again, other = build(), build(), build(name="fold 1")
    assert torch.equal(before, torch.get_rng_state())
    states = [network.state_dict()["encoders.one.stem.0.weight"] for network in (same, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert not torch.equal(states[0], same.state_dict()["encoders.two.stem.0.weight"])
    frozen = [build(frozen=True, name=name).state_dict()["encoders.one.stem.0.weight"] for name in ("a", "b")]
    assert torch.equal(*frozen)


@pytest.mark.parametrize("fusion", [Side(), Side(reads_all=True), Coarse()])
def test_a_frozen_encoder_never_moves_and_may_be_replaced_by_its_features(fusion):
    network = build(fusion, frozen=True).train()
    inputs, present = batch(6)
    present["one"][2] = False
    before = {key: tensor.clone() for key, tensor in network.encoder("one").state_dict().items()}
    outputs = network(inputs, present)
    outputs.scores["fused"].logits.nan_to_num().sum().backward()
    assert all(torch.equal(before[key], tensor) for key, tensor in network.encoder("one").state_dict().items())
    assert all(parameter.grad is None for parameter in network.encoder("one").parameters())
    known = {m: levels_of(outputs.features[m]) for m in ("one", "two")}
    assert known.keys() <= network.reads.keys()
    assert all(tuple(levels) == network.reads[m] for m, levels in known.items())
    twin = build(fusion, frozen=True).train()
    given = twin({"age": inputs["age"]}, present, known)
    for source, scores in outputs.scores.items():
        torch.testing.assert_close(given.scores[source].logits, scores.logits, rtol=0, atol=0, equal_nan=True)
    states = network.state_dict(), twin.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_map_that_is_not_read_keeps_its_place_without_places():
    network = build(Coarse(), frozen=True)
    assert network.reads == {"one": ("vector", "map1"), "two": ("vector", "map1"), "age": ("vector",)}
    features = network(*batch(5)).features["one"]
    assert [tuple(level.shape) for level in features.maps] == [(5, 4, 0, 0), (5, 4, 2, 2)]
    assert features.tokens is None
    trained = build(Coarse())(*batch(5)).features["one"]
    assert [tuple(level.shape) for level in trained.maps] == [(5, 4, 8, 8), (5, 4, 2, 2)]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_fusion_that_reads_more_than_it_declares_is_refused_before_anything_is_trained(frozen):
    with pytest.raises(PartError, match=r"'coarse'[\s\S]*map_levels|blank input"):
        build(Coarse(declares=(0,)), frozen=frozen)


def test_kept_maps_are_rounded_and_held_within_float16():
    flow = FlowShape(2, ((1, 1, 2),), (1, 2))
    given = Features(torch.tensor([[1 / 3, 1e6]]), (torch.tensor([[[[1e6, 1 / 3]]]]),), torch.tensor([[[-1e9, 1.0]]]))
    kept = as_kept(given, ("vector", "map0", "tokens"), flow)
    assert torch.equal(kept.vector, given.vector)
    assert kept.maps[0].flatten().tolist() == [65504.0, float(np.float16(1 / 3))]
    assert kept.tokens.flatten().tolist() == [-65504.0, 1.0]
    assert kept.maps[0].dtype == torch.float32


def test_named_submodules_are_held():
    network = build(frozen=("stem",)).train()
    inputs, present = batch(6)
    encoder = network.encoder("one")
    stem = {key: tensor.clone() for key, tensor in encoder.stem.state_dict().items()}
    top = encoder.top[1].running_mean.clone()
    network(inputs, present).scores["fused"].logits.square().sum().backward()
    assert all(torch.equal(stem[key], tensor) for key, tensor in encoder.stem.state_dict().items())
    assert not torch.equal(top, encoder.top[1].running_mean)
    assert encoder.stem[0].weight.grad is None
    assert encoder.top[0].weight.grad is not None
    with pytest.raises(SpecError, match=r"no submodule 'stme'[\s\S]*did you mean 'stem'"):
        build(frozen=("stme",))


def test_shared_encoders_are_one_module():
    network = build(share=True)
    assert network.encoder("one") is network.encoder("two")
    assert network.keys["one"] == "picture"
    inputs, present = batch(3)
    inputs["two"] = inputs["one"]
    network.eval()
    features = network(inputs, present).features
    assert torch.equal(features["one"].vector, features["two"].vector)
    spec, wiring = two_pictures(share=True)
    with pytest.raises(SpecError, match="unequal shapes"):
        FusionNetwork(spec, wiring, {**SHAPES, "two": (3, 16, 16)}, spec.card.label_set)


def test_views_and_losses_of_a_fusion_in_training_only():
    network = build(Loud())
    outputs = network(*batch(4))
    scores, weight = outputs.views["first"]
    assert scores.logits.shape == (4, 2)
    assert weight.tolist() == [0.5] * 4
    assert set(outputs.fused.losses) == {"spread"}
    assert network.eval()(*batch(4)).views == {}


def test_one_modality_needs_no_fusion_and_no_head_is_no_scores():
    spec = make_spec({"age": Numbers(column="age")}, {"age": Flat()})
    network = FusionNetwork(spec, wire(spec), SHAPES, spec.card.label_set).eval()
    present = {"age": torch.tensor([True, False])}
    outputs = network({"age": torch.ones(2, 1)}, present)
    assert torch.equal(outputs.fused.vector, outputs.features["age"].vector)
    assert outputs.scores["fused"].logits.isnan().any(dim=1).tolist() == [False, True]
    spec = make_spec({"one": Picture(column="one"), "two": Picture(column="two")}, {"picture": Conv()}, head="")
    network = FusionNetwork(spec, wire(spec), SHAPES, spec.card.label_set)
    outputs = network(*batch(3))
    assert outputs.scores == {}
    assert outputs.fused.vector.shape == (3, 0)


@pytest.mark.parametrize("name", ["a.b", "type", "keys", "plain", "50%", "half"])
def test_any_name_will_do_for_a_modality(name):
    spec = make_spec({name: Numbers(column="x"), "age": Numbers(column="age")}, {"numbers": Flat()}, fusion=Side())
    network = FusionNetwork(spec, wire(spec), {name: (1,), "age": (1,)}, spec.card.label_set)
    assert f"encoders.{module_key(name)}.1.weight" in network.state_dict()


def test_keys_stay_apart():
    names = ["a.b", "a%2Eb", "type", "type%", "", "%", "a", "forward", "forward%"]
    assert len({module_key(name) for name in names}) == len(names)


class Square(Encoder):
    """Gives a map where a vector is due."""

    def build(self, shape):
        return nn.Conv2d(3, 2, 1)


class Broken(Encoder):
    """Raises."""

    def build(self, shape):
        return nn.Linear(5, 5)


class Narrow(Head):
    """Too few columns."""

    def build(self, width, labels):
        return nn.Linear(width, 1)


@pytest.mark.parametrize(
    ("encoder", "head", "words"),
    [
        (Square(), Lin(), r"'square' gives a vector of shape \(2, 2, 8, 8\)"),
        (Broken(), Lin(), r"'broken' fails on a blank input"),
        (Conv(), Narrow(), r"'narrow' gives scores of shape \(2, 1\)[\s\S]*expected: \(2, 2\)"),
    ],
)
def test_a_part_that_breaks_its_contract_is_named(encoder, head, words):
    spec = make_spec({"one": Picture(column="one")}, {"one": encoder}, head=head)
    with pytest.raises(PartError, match=words):
        FusionNetwork(spec, wire(spec), SHAPES, spec.card.label_set)
