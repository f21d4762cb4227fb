"""How tensors lie in memory: images channels last, sequences and volumes as they are, all in one network."""

import numpy as np
import pytest
import torch
from test_training import pictures_data
from tiny_parts import Conv, Flat, Numbers, Picture, Side, make_spec
from torch import nn

from mmfuse.data.inputs import Block
from mmfuse.net.answering import answer
from mmfuse.net.batches import NetworkData, to_floats
from mmfuse.net.devices import ready
from mmfuse.net.network import FusionNetwork
from mmfuse.net.training import train_network
from mmfuse.parts import Encoder
from mmfuse.spec import TrainingSection
from mmfuse.wiring import wire

CPU = torch.device("cpu")


class Line(Encoder):
    """Reads a sequence."""

    def build(self, shape):
        return nn.Sequential(nn.Conv1d(shape[0], 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())


class Cube(Encoder):
    """Reads a volume."""

    def build(self, shape):
        return nn.Sequential(nn.Conv3d(shape[0], 4, 3), nn.BatchNorm3d(4), nn.AdaptiveAvgPool3d(1), nn.Flatten())


class Upward(Encoder):
    """Convolves an image there and back."""

    def build(self, shape):
        return nn.Sequential(
            nn.Conv2d(3, 4, 2, stride=2), nn.ConvTranspose2d(4, 2, 2, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_images_volumes_and_sequences_learn_in_one_network(precision):
    """The encoders of "line" and "cube" are given blocks of floats; the card's modalities only name them."""
    modalities = {"one": Picture(column="one"), "two": Picture(column="two")}
    modalities |= {name: Numbers(column=name) for name in ("line", "cube", "age")}
    parts = {"one": Conv(), "two": Upward(), "line": Line(), "cube": Cube(), "age": Flat()}
    encoders = {name: {"part": part, "weights": "none"} for name, part in parts.items()}
    training = TrainingSection(epochs=2, batch=6, precision=precision)
    spec = make_spec(modalities, encoders, fusion=Side(), side_heads=True, training=training)
    data, rng = pictures_data(), np.random.default_rng(1)
    blocks = dict(data.blocks)
    for name, shape in (("line", (2, 9)), ("cube", (1, 5, 6, 7))):
        blocks[name] = Block.memory(rng.random((30, *shape)).astype(np.float32), rng.random(30) > 0.3)
    data = NetworkData(data.ids, data.targets, blocks, data.images)
    shapes = {name: block.shape for name, block in blocks.items()}
    network = FusionNetwork(spec, wire(spec), shapes, spec.card.label_set)
    train_network(
        network, data, np.arange(20), np.arange(20, 30), spec=spec, wiring=wire(spec), labels=spec.card.label_set,
        device=CPU, watch=lambda event: None,
    )  # fmt: skip
    for name, block in blocks.items():
        scores = answer(network, data, np.arange(30))[name][0]
        assert (np.isfinite(scores).all(axis=1) == block.there).all()
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last), name
        elif isinstance(layer, nn.Conv3d | nn.Conv1d):
            assert layer.weight.is_contiguous(), name


def test_only_images_of_a_batch_are_laid_channels_last():
    assert to_floats(torch.zeros(2, 3, 4, 5)).is_contiguous(memory_format=torch.channels_last)
    assert to_floats(torch.zeros(2, 1, 3, 4, 5)).is_contiguous()
    assert to_floats(torch.zeros(2, 3, 4)).is_contiguous()


def test_a_layer_that_is_no_convolution_keeps_its_layout():
    class Places(nn.Conv2d):
        def __init__(self):
            super().__init__(3, 4, 3)
            self.volume = nn.Conv3d(1, 2, 3)

    module = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), Places()])
    ready(module, CPU)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[1].weight.is_contiguous()
    assert module[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[2].volume.weight.is_contiguous()
