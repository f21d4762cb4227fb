"""A network whose answer about a case depends on the cases beside it says so when it has been trained."""

import numpy as np
import pytest
import torch
from tiny_parts import Flat, Lin, Numbers, make_cases, make_spec
from torch import nn

from mmfuse.builtin.fusions import Concat
from mmfuse.events import Notice
from mmfuse.net.predicting import fit_network
from mmfuse.parts import Encoder, FeatureFusion
from mmfuse.wiring import wire

SPLIT = np.array(["train"] * 10 + ["valid"] * 2, dtype=object)


class Centred(nn.Module):
    """A batch norm without a scale: in eval mode it takes away the running mean, or (not `tracked`) the batch's."""

    def __init__(self, tracked):
        super().__init__()
        self.tracked = tracked
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.mean += 0.1 * (x.detach().mean() - self.mean)
        return x - (self.mean if self.tracked and not self.training else x.mean(dim=0))


class Batchy(Encoder):
    """A linear layer and statistics of the batch; `tracked`: running ones in eval mode."""

    tracked: bool = False

    def build(self, shape):
        return nn.Sequential(nn.Linear(shape[0], 4), Centred(self.tracked))


class Crowd(FeatureFusion):
    """Takes the mean over cases away."""

    def build(self, flows):
        class Joined(nn.Module):
            def forward(self, features, present):
                vector = torch.cat([each.vector for each in features.values()], dim=1)
                return vector - vector.mean(dim=0)

        return Joined()


def told_of(encoder, fusion=None):
    torch.set_num_threads(1)
    modalities = {"one": Numbers(column="one"), "two": Numbers(column="two")}
    encoders = {"numbers": {"part": encoder, "weights": "none"}}
    spec = make_spec(modalities, encoders, head=Lin(), fusion=fusion or Concat())
    labels = np.array(["a", "b"])[np.arange(12) % 2]
    cases = make_cases(spec, {"one": [None, *range(1, 12)], "two": [*range(11), None], "y": labels}, 12)
    told = []
    fit_network(spec, wire(spec), cases, SPLIT, None, device="cpu", watch=told.append)
    return [event.text for event in told if isinstance(event, Notice) and "the case beside it" in event.text]


@pytest.mark.parametrize(
    ("encoder", "fusion", "who"), [(Batchy(), None, "the encoder of"), (Flat(), Crowd(), "the fusion")]
)
def test_batch_statistics_in_eval_mode_are_said_once(encoder, fusion, who):
    (text,) = told_of(encoder, fusion)
    assert who in text
    assert "depends on what is predicted with it" in text


@pytest.mark.parametrize("encoder", [Batchy(tracked=True), Flat()])
def test_running_statistics_are_no_fault(encoder):
    assert not told_of(encoder)
