"""Batches that one step adds up are one large batch: losses, gradients, weights; and what is told where not."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from test_training import CPU, pictures_data, state_of
from tiny_parts import Brighten, Flat, Lin, Loud, Numbers, Picture, make_spec
from torch import nn
from torch.nn.functional import cross_entropy

from mmfuse import EffectiveBatch, Features, Fused, Label, Labels, Outputs, Scores
from mmfuse.builtin.fusions import Mean
from mmfuse.builtin.losses import CrossEntropy, Focal
from mmfuse.events import EpochEnded, Notice
from mmfuse.net.averaging import Average
from mmfuse.net.batches import NetworkData
from mmfuse.net.checkpoints import Checkpoint, Kept
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import make_optimiser
from mmfuse.net.training import train_network
from mmfuse.parts import FeatureFusion, Loss
from mmfuse.spec import TrainingSection
from mmfuse.wiring import wire

LABELS = Labels([Label("diagnosis", ("a", "b", "c"), weight=2.0), Label("streaks", ("no", "yes"))])
LOSSES = [
    CrossEntropy(),
    CrossEntropy(class_weight="balanced", largest_weight=1.5, smoothing=0.1, sources={"fused": 3.0, "view/again": 0.5}),
    Focal(gamma=0.5, class_weight="balanced"),
    Focal(),
]


def drawn(cases=16, seed=0):
    """Logits of two sources and a view, targets a third of which are unknown, who has what, and case weights."""
    rng = np.random.default_rng(seed)
    targets = torch.tensor(np.stack([rng.integers(-1, 3, cases), rng.integers(-1, 2, cases)], axis=1))
    targets[: cases // 2, 0] = -1
    logits = [torch.tensor(rng.normal(size=(cases, 5))) for _ in range(3)]
    present = {"clinic": torch.tensor(rng.random(cases) > 0.4), "derm": torch.tensor(rng.random(cases) > 0.1)}
    return logits, targets, present, torch.tensor(rng.uniform(0, 2, cases))


def terms(module, logits, targets, present, weight, index, whole):
    fused, clinic, again = (given[index] for given in logits)
    anyone = torch.stack([*present.values()]).any(dim=0)[index]
    silent = torch.where(present["clinic"][index][:, None], clinic, torch.nan)
    heard = [torch.where(anyone[:, None], given, torch.nan) for given in (fused, again)]
    effective = None if whole else EffectiveBatch(targets, present, weight)
    vector = torch.zeros(len(index), 1)
    outputs = Outputs(
        {"fused": Scores(heard[0]), "clinic": Scores(silent)}, {"again": (Scores(heard[1]), weight[index] / 2)},
        {"clinic": Features(vector)}, Fused(vector), {m: mask[index] for m, mask in present.items()}, weight[index],
        effective,
    )  # fmt: skip
    return module(outputs, targets[index], 0.5)


@pytest.mark.parametrize("part", LOSSES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cuts", [(8,), (12,), (1, 2, 9), tuple(range(1, 16))])
def test_the_terms_of_parts_add_up_to_those_of_the_whole(part, dtype, cuts):
    module = part.build(LABELS, np.array([6.0, 3.0, 1.0, 8.0, 2.0]))
    logits, targets, present, weight = drawn()
    found = []
    for parts in ([np.arange(16)], np.split(np.arange(16), cuts)):
        leaves = [given.detach().clone().to(dtype).requires_grad_() for given in logits]
        total = {}
        for index in parts:
            for name, term in terms(module, leaves, targets, present, weight.to(dtype), index, len(parts) == 1).items():
                total[name] = total.get(name, 0) + term
        sum(total.values()).backward()
        found.append((total, torch.stack([leaf.grad for leaf in leaves])))
    (whole, gradients), (parts, others) = found
    for name, term in whole.items():
        torch.testing.assert_close(parts[name], term, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(others, gradients, rtol=1e-6, atol=1e-7)
    assert gradients.abs().max() > 1e-3


class KnownMean(Loss):
    """The mean over cases with a known label; it says nothing of accumulating."""

    def build(self, labels, counts):
        class Plain(nn.Module):
            def forward(self, outputs, targets, progress):
                logits = outputs.scores["fused"].logits
                known = targets[:, 0] >= 0
                zero = logits.nan_to_num().sum() * 0
                return {"mean": cross_entropy(logits[known], targets[known, 0]) if known.any() else zero}

        return Plain()


class Pairs(FeatureFusion):
    """The mean of what is there, with a loss on the cases that have both pictures."""

    weighs: bool = True

    def loss_counts(self, flows, present):
        return {"apart": (present["one"] & present["two"]).float()} if self.weighs else {}

    def build(self, flows):
        class Both(nn.Module):
            def forward(self, features, present):
                masks = torch.stack([present[name] for name in features], dim=1)[..., None]
                vectors = torch.stack([given.vector for given in features.values()], dim=1)
                both = present["one"] & present["two"]
                apart = (features["one"].vector - features["two"].vector).square().sum(dim=1)
                loss = torch.where(both, apart, 0.0).sum() / both.sum().clamp(min=1)
                mean = torch.where(masks, vectors, 0.0).sum(1) / masks.sum(1).clamp(min=1)
                return Fused(mean, {"halved": (mean / 2, torch.full((len(mean),), 0.5))}, {"apart": loss})

        return Both()


def learnt(batch, accumulate, *, loss=None, fusion=None, weights=None, absent=0.3, labels=None, **section):
    """The state after two epochs of plain steps, and what was told. Nothing in it is normalised over a batch."""
    training = TrainingSection(
        epochs=2, batch=batch, accumulate=accumulate, optimiser="sgd", lr=0.01, loss=loss or CrossEntropy(), **section
    )
    modalities = {"one": Picture(column="one"), "two": Picture(column="two"), "age": Numbers(column="age")}
    encoders = {name: {"part": Flat(), "weights": "none"} for name in modalities}
    spec = make_spec(
        modalities, encoders, fusion=fusion or Mean(), side_heads=True, training=training, labels=labels,
        augment={"bright": {"part": Brighten(), "on": "picture"}},
    )  # fmt: skip
    wiring, data = wire(spec), pictures_data(absent=absent)
    rng = np.random.default_rng(3)
    targets = np.stack([rng.integers(-1, 2, 30) for _ in spec.card.labels], axis=1)
    targets[:9, 0] = -1
    data = NetworkData(data.ids, targets, data.blocks, data.images)
    shapes = {modality: block.shape for modality, block in data.blocks.items()}
    network, events = FusionNetwork(spec, wiring, shapes, spec.card.label_set), []
    train_network(
        network, data, np.arange(20), np.arange(0), spec=spec, wiring=wiring, labels=spec.card.label_set, device=CPU,
        watch=events.append, weights=weights,
    )  # fmt: skip
    means = {name: value for name, value in network.state_dict().items() if "standins" not in name}
    return means, events


TWO = {"y": ["a", "b"], "z": {"classes": ["c", "d"], "weight": 3.0}}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"labels": TWO, "loss": CrossEntropy(class_weight="balanced", smoothing=0.1)},
        {"labels": TWO, "loss": Focal(sources={"one": 0.2})},
        {"weights": np.random.default_rng(5).uniform(0, 3, 30)},
        {"loss": KnownMean()},
        {"fusion": Pairs()},
        {"fusion": Loud(), "absent": 0.0},
        {"modality_dropout": 0.4, "labels": TWO},
        {"sampling": "balanced", "clip": 0.05},
    ],
    ids=lambda given: "-".join([*given, *(str(v) for v in given.values() if isinstance(v, Loss | FeatureFusion))]),
)
def test_one_batch_and_its_parts_make_the_same_steps(given):
    """Unknown labels, absent modalities, views, what a fusion adds, case weights, hidden and augmented cases; 20 cases
    as steps of 16 and 4."""
    whole, told = learnt(16, 1, **given)
    losses = [event.losses for event in told if isinstance(event, EpochEnded)]
    start = learnt(16, 1, **given, schedule="constant", warmup=0.0)[0]
    for batch, many in ((8, 2), (4, 4)):
        parts, said = learnt(batch, many, **given)
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
        for mine, other in zip(losses, [e.losses for e in said if isinstance(e, EpochEnded)], strict=True):
            assert other == pytest.approx(mine, rel=1e-6, abs=2e-6)
    assert any(not torch.equal(start[name], whole[name]) for name in whole)


def test_a_loss_of_the_fusion_that_does_not_say_what_it_counts_is_weighed_by_cases():
    """So the guard above would see it: among cases that lack a picture the parts then differ."""
    whole, parts = (learnt(*how, fusion=Pairs(weighs=False))[0] for how in ((16, 1), (4, 4)))
    assert any(not torch.allclose(parts[name], whole[name], rtol=1e-5, atol=1e-6) for name in whole)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_is_told_where_the_loss_does_not_say_what_its_means_are_over(accumulate):
    for loss, silent in ((KnownMean(), False), (CrossEntropy(), True)):
        _, told = learnt(5, accumulate, loss=loss)
        said = [e.text for e in told if isinstance(e, Notice) and f"a step adds up {accumulate} batches" in e.text]
        assert bool(said) == (accumulate > 1 and not silent)


def test_processes_exchange_gradients_with_the_last_batch_of_a_step_alone(monkeypatch):
    held, own = [], Fabric.no_backward_sync

    def seen(self, module, enabled=True):
        held.append(enabled)
        return own(self, module, enabled)

    monkeypatch.setattr(Fabric, "no_backward_sync", seen)
    learnt(6, 3)
    assert held == [True, True, False, False] * 2  # 20 cases: 6, 6, 6 and 2


def test_how_16_mixed_scales_the_loss_is_in_the_checkpoint(tmp_path):
    """The scale that a training has come to, and how many steps it has been well."""
    spec = make_spec({"age": Numbers(column="age")}, {"age": {"part": Flat(), "weights": "none"}}, head=Lin())
    network = FusionNetwork(spec, wire(spec), {"age": (1,)}, spec.card.label_set)
    lesson = SimpleNamespace(network=network, state_dict=network.state_dict, load_state_dict=network.load_state_dict)
    kept = {}
    for when in ("before", "after"):
        precision = MixedPrecision("16-mixed", "cpu")
        optimiser = make_optimiser(TrainingSection(), network, CPU, {})
        kept[when] = precision, Kept(lesson, optimiser, Average(lesson, TrainingSection()), precision)
    precision, before = kept["before"]
    precision.scaler.load_state_dict({**precision.scaler.state_dict(), "scale": 512.0, "_growth_tracker": 7})
    before.write(Checkpoint(tmp_path / "c.safetensors"))
    precision, after = kept["after"]
    assert precision.scaler.get_scale() != 512
    assert after.read(Checkpoint(tmp_path / "c.safetensors"))
    found = precision.scaler.state_dict()
    assert (found["scale"], found["_growth_tracker"]) == (512.0, 7)
    assert json.dumps(found)


def test_accumulating_is_the_same_bits_again():
    once, again = (learnt(4, 4, modality_dropout=0.3)[0] for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert state_of(SimpleNamespace(state_dict=lambda: once)).isfinite().all()
