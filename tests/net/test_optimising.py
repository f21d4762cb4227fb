"""The learning rate against its formulas, and the optimiser it drives."""

import math

import numpy as np
import pytest
import torch
from test_training import pictures_data, train
from tiny_parts import Conv, Flat, Numbers, Picture, Side, make_spec, two_pictures
from torch import nn

from mmfuse.data.inputs import Block
from mmfuse.errors import SpecError
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import make_optimiser, rate_factor, rates_of
from mmfuse.spec import TrainingSection
from mmfuse.wiring import wire


def test_by_epoch_is_the_papers_formula():
    section = TrainingSection(epochs=250, schedule_by="epoch")
    steps, per_epoch = 250 * 13, 13
    for epoch in (0, 1, 77, 249):
        for step in (0, 5, 12):
            expected = (1 + math.cos(math.pi * epoch / 250)) / 2
            assert rate_factor(section, epoch * 13 + step, steps, per_epoch) == pytest.approx(expected, abs=1e-12)


def test_by_step_is_sgdr_and_ends_near_zero():
    section = TrainingSection()
    values = [rate_factor(section, step, 100, 10) for step in range(100)]
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5)
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx((1 + math.cos(math.pi * 0.99)) / 2)


@pytest.mark.parametrize("by", ["step", "epoch"])
def test_warm_up_rises_linearly_and_then_the_cosine_begins(by):
    section = TrainingSection(warmup=0.1, schedule_by=by)
    values = [rate_factor(section, step, 100, 5) for step in range(100)]
    assert values[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert values[10] == 1
    assert values[55] == pytest.approx((1 + math.cos(math.pi * 45 / 90)) / 2)


def test_constant_stays():
    section = TrainingSection(schedule="constant", warmup=0.2)
    assert [rate_factor(section, step, 10, 5) for step in range(10)] == [0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("word", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimisers(word, kind):
    module = nn.Linear(3, 2)
    optimiser = make_optimiser(TrainingSection(optimiser=word, weight_decay=0.3), module, torch.device("cpu"), {})
    assert type(optimiser).__name__ == kind
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay == {id(module.weight): 0.3, id(module.bias): 0.0}


@pytest.mark.parametrize("word", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("average", ["none", "ema"])
def test_every_optimiser_learns_where_batches_lack_a_modality(word, average):
    """The first batch lacks one modality, later ones have it, and one modality is never there."""
    section = TrainingSection(epochs=4, batch=2, optimiser=word, lr=0.01, average=average)
    data = pictures_data(absent=0.0)
    data.blocks["one"] = Block.memory(data.blocks["one"].take(np.arange(30)), np.arange(30) == 4)
    data.blocks["two"] = Block.memory(data.blocks["two"].take(np.arange(30)), np.zeros(30, bool))
    spec, wiring = two_pictures(training=section)
    before = FusionNetwork(spec, wiring, {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}, spec.card.label_set)
    start = before.state_dict()
    network, _ = train(spec, wiring, data)
    state = network.state_dict()
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert not torch.equal(state["encoders.one.stem.0.weight"], start["encoders.one.stem.0.weight"])
    assert torch.equal(state["encoders.two.stem.0.weight"], start["encoders.two.stem.0.weight"])


def test_gradients_that_come_late_are_stepped_by_as_unfused_momentum_does():
    moved = {}
    for fused in (True, False):
        one, late = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
        holder = nn.ParameterList([one, late])
        optimiser = make_optimiser(TrainingSection(optimiser="sgd", lr=0.1), holder, torch.device("cpu"), {})
        if not fused:
            optimiser = torch.optim.SGD(holder, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=False)
        for step in range(4):
            optimiser.zero_grad()
            (one.square().sum() + (late.square().sum() if step > 1 else 0)).backward()
            optimiser.step()
        moved[fused] = torch.stack([one, late]).detach()
    torch.testing.assert_close(moved[True], moved[False])


def test_nothing_to_learn_is_refused():
    with pytest.raises(SpecError, match="no parameter"):
        make_optimiser(TrainingSection(), nn.Linear(2, 2).requires_grad_(False), torch.device("cpu"), {})


class Staged(Conv):
    """Tells its two stages, and leaves the norm of the top unsaid."""

    def stages(self, module):
        names = [name for name, _ in module.named_parameters() if name != "top.1.weight"]
        return {name: int(name.startswith("top")) for name in names}


def rated(training, **lines):
    """A network of a picture and a number with these lines, and its wiring."""
    modalities = {"one": Picture(column="one"), "age": Numbers(column="age")}
    spec = make_spec(modalities, lines, fusion=Side(), training=training)
    return spec, wire(spec)


def test_rates_by_encoder_and_by_stage():
    line = {"part": Staged(), "weights": "none", "lr": 0.1, "layer_decay": 0.5}
    spec, wiring = rated(TrainingSection(), one=line, age={"part": Flat(), "weights": "none", "lr": 3.0})
    network = FusionNetwork(spec, wiring, {"one": (3, 8, 8), "age": (1,)}, spec.card.label_set)
    section = TrainingSection(lr=0.01, weight_decay=0.3)
    optimiser = make_optimiser(section, network, torch.device("cpu"), rates_of(network))
    groups = {parameter: group for group in optimiser.param_groups for parameter in group["params"]}
    share = {name: groups[parameter]["share"] for name, parameter in network.named_parameters()}
    assert share["encoders.one.stem.0.weight"] == share["encoders.one.stem.1.bias"] == pytest.approx(0.05)
    assert share["encoders.one.top.0.weight"] == share["encoders.one.top.1.weight"] == pytest.approx(0.1)
    assert share["encoders.age.1.weight"] == 3
    assert {value for name, value in share.items() if not name.startswith("encoders.")} == {1.0}
    assert all(group["weight_decay"] == (0.3 if p.dim() > 1 else 0) for p, group in groups.items())
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(network.parameters()))


def test_training_steps_by_these_rates():
    """One step of plain gradient descent: what a factor changes is the step's length, and no other weight's."""
    moved = {}
    for lr in (1.0, 0.25):
        section = TrainingSection(epochs=1, batch=20, optimiser="sgd", schedule="constant", lr=0.01, weight_decay=0)
        line = {"part": Conv(), "weights": "none", "lr": lr}
        spec, wiring = rated(section, one=line, age={"part": Flat(), "weights": "none"})
        data = pictures_data(absent=0.0)
        before = FusionNetwork(spec, wiring, {"one": (3, 8, 8), "age": (1,)}, spec.card.label_set).state_dict()
        data.blocks.pop("two")
        network, _ = train(spec, wiring, data)
        moved[lr] = {name: parameter.detach() - before[name] for name, parameter in network.named_parameters()}
    for name, by in moved[1.0].items():
        factor = 0.25 if name.startswith("encoders.one") else 1.0
        torch.testing.assert_close(moved[0.25][name], by * factor, rtol=1e-3, atol=1e-8)
        still = name in ("encoders.one.stem.0.bias", "encoders.one.top.0.bias")  # normalisation takes them away again
        assert still or "observed" in name or "offsets" in name or by.abs().max() > 0


def test_layers_that_are_not_told_cannot_decay():
    line = {"part": Conv(), "weights": "none", "layer_decay": 0.5}
    spec, wiring = rated(TrainingSection(), one=line, age={"part": Flat(), "weights": "none"})
    network = FusionNetwork(spec, wiring, {"one": (3, 8, 8), "age": (1,)}, spec.card.label_set)
    with pytest.raises(SpecError, match="layer_decay for encoder 'conv' of 'one', which tells no stages"):
        rates_of(network)
