"""The learning rate against its formulas, and the optimiser it drives."""

import math

import pytest
import torch
from torch import nn

from mmfuse.errors import SpecError
from mmfuse.net.optimising import make_optimiser, rate_factor
from mmfuse.spec import TrainingSection


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
    optimiser = make_optimiser(TrainingSection(optimiser=word, weight_decay=0.3), module, torch.device("cpu"))
    assert type(optimiser).__name__ == kind
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay == {id(module.weight): 0.3, id(module.bias): 0.0}


def test_nothing_to_learn_is_refused():
    with pytest.raises(SpecError, match="no parameter"):
        make_optimiser(TrainingSection(), nn.Linear(2, 2).requires_grad_(False), torch.device("cpu"))
