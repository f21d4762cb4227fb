"""What is no finite number: a score of a present case is an error that names it, and no such weight is ever kept."""

import math

import numpy as np
import pytest
import torch
from cohort import cases_of, columns, pipeline_of
from safetensors.torch import load_file
from test_training import CPU, pictures_data, train
from tiny_parts import Flat, Numbers, Side, make_spec, two_pictures
from torch import nn

from mmfuse.data.inputs import Block
from mmfuse.errors import PartError, SpecError
from mmfuse.events import EpochEnded
from mmfuse.net.answering import answer
from mmfuse.net.batches import NetworkData
from mmfuse.net.network import FusionNetwork
from mmfuse.net.training import train_network
from mmfuse.parts import Encoder, Loss
from mmfuse.spec import TrainingSection
from mmfuse.wiring import wire


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_a_network_that_diverges_is_an_error_and_no_loss_of_zero(optimiser):
    section = TrainingSection(epochs=20, batch=8, lr=1e30, optimiser=optimiser, schedule="constant")
    spec, wiring = two_pictures(training=section)
    told = []
    with pytest.raises((SpecError, PartError)) as caught:
        train(spec, wiring, pictures_data(absent=0.0), told)
    text = str(caught.value)
    assert "network, epoch " in text
    assert "case" in text
    assert "not finite" in text or "is inf" in text or "is nan" in text
    epochs = [event for event in told if isinstance(event, EpochEnded)]
    assert all(math.isfinite(loss) and loss > 0 for event in epochs for loss in event.losses.values())


class Touchy(Encoder):
    """Has no answer for numbers above 100."""

    def build(self, shape):
        class Broken(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(1, 2)

            def forward(self, given):
                return torch.where(given > 100, torch.nan, self.layer(given))

        return Broken()


def numbers(value, at, there=True, epochs=2):
    """A plan of one number, which is `value` for the case `at`, and that case present or not."""
    spec = make_spec(
        {"age": Numbers(column="age"), "size": Numbers(column="size")},
        {"age": {"part": Touchy(), "weights": "none"}, "size": {"part": Flat(), "weights": "none"}},
        fusion=Side(), side_heads=True,
        training=TrainingSection(epochs=epochs, batch=7),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    given, present = rng.random((30, 1)).astype(np.float32), np.ones(30, bool)
    given[at], present[at] = value, there
    blocks = {"age": Block.memory(given, present), "size": Block.memory(rng.random((30, 1)).astype(np.float32))}
    return spec, NetworkData(np.array([f"c{i}" for i in range(30)]), rng.integers(0, 2, (30, 1)), blocks, frozenset())


def fitted(spec, data, **how):
    network = FusionNetwork(spec, wire(spec), {"age": (1,), "size": (1,)}, spec.card.label_set)
    told = []
    train_network(
        network, data, np.arange(20), np.arange(20, 30), spec=spec, wiring=wire(spec), labels=spec.card.label_set,
        device=CPU, watch=told.append, **how,
    )  # fmt: skip
    return network, told


@pytest.mark.parametrize(("at", "error", "epoch"), [(4, SpecError, "epoch 1"), (23, PartError, "epoch 1")])
def test_the_case_is_named_whether_it_is_learnt_from_or_chosen_by(at, error, epoch):
    with pytest.raises(error) as caught:
        fitted(*numbers(200.0, at))
    text = str(caught.value)
    assert f"network, {epoch}" in text
    assert f"cases c{at}" in text
    assert "c5" not in text


def test_what_stands_where_a_modality_is_absent_is_no_concern():
    network, told = fitted(*numbers(200.0, 4, there=False))
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    assert len([event for event in told if isinstance(event, EpochEnded)]) == 2


def test_a_case_without_an_answer_is_named_at_prediction():
    spec, data = numbers(0.5, 4)
    network, _ = fitted(spec, data)
    _, other = numbers(200.0, 27)
    with pytest.raises(PartError, match=r"cases c27.*not finite|not finite.*cases c27"):
        answer(network, other, np.arange(30))
    assert np.isfinite(answer(network, other, np.arange(27))["fused"]).all()


class Steep(Loss):
    """A finite number with a slope that is none, from half of the training on."""

    def build(self, labels, counts):
        class Root(nn.Module):
            def forward(self, outputs, targets, progress):
                logits = outputs.scores["fused"].logits
                at = logits.square().mean()
                return {"root": at + (0 * at).sqrt() if progress >= 0.5 else at}

        return Root()


@pytest.mark.parametrize("average", ["none", "ema", "swa"])
@pytest.mark.parametrize("valid", [True, False])
def test_weights_that_are_no_longer_finite_are_not_kept(average, valid, tmp_path):
    """The last step of the last epoch breaks them: no loss and no score tells."""
    section = TrainingSection(epochs=2, batch=20, loss=Steep(), average=average, swa_share=0.5)
    spec, wiring = two_pictures(training=section)
    data = pictures_data()
    shapes = {modality: block.shape for modality, block in data.blocks.items()}
    network = FusionNetwork(spec, wiring, shapes, spec.card.label_set)
    with pytest.raises(SpecError, match="network, epoch 2") as caught:
        train_network(
            network, data, np.arange(20), np.arange(20, 30) if valid else np.arange(0), spec=spec, wiring=wiring,
            labels=spec.card.label_set, device=CPU, watch=lambda event: None, checkpoint=tmp_path / "c.safetensors",
        )  # fmt: skip
    assert "weights that are not finite" in str(caught.value)
    assert "training.lr" in str(caught.value)
    kept = load_file(tmp_path / "c.safetensors")
    assert any(name.startswith("lesson/") for name in kept)
    assert all(tensor.isfinite().all() for tensor in kept.values() if tensor.is_floating_point())


def test_a_run_whose_weights_are_broken_predicts_nobody(tmp_path):
    pipeline = pipeline_of()
    cases = cases_of(pipeline.spec, columns(60))
    pipeline.fit(cases)
    pipeline.predict(cases)
    for member in pipeline.network.members.values():
        with torch.no_grad():
            next(member.network.heads.parameters()).fill_(torch.nan)
    with pytest.raises(PartError, match="not finite"):
        pipeline.predict(cases)
