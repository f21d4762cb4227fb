"""training.compile: compiled encoders learn what others do, answers are never compiled, and what cannot be compiled is
said."""

import pytest
import torch
from test_training import pictures_data, train
from tiny_parts import two_pictures

from mmfuse.errors import SpecError
from mmfuse.events import EpochEnded
from mmfuse.spec import TrainingSection

CHANGES = {"epochs": 2, "batch": 8, "lr": 0.03, "modality_dropout": 0.2}


def learnt(**more):
    """The network, and the mean losses of each epoch."""
    spec, wiring = two_pictures(training=TrainingSection(**CHANGES, **more))
    events = []
    network, _ = train(spec, wiring, pictures_data(), events)
    return network, [loss for event in events if isinstance(event, EpochEnded) for loss in event.losses.values()]


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without its slow code generator; how often encoders ran compiled."""
    calls, compile_ = [], torch.compile

    def quick(function):
        run = compile_(function, backend="aot_eager")

        def counted(images):
            calls.append(torch.is_grad_enabled())
            return run(images)

        return counted

    monkeypatch.setattr(torch, "compile", quick)
    return calls


def test_compiled_encoders_learn_the_same_and_answers_are_not_compiled(traced):
    _, plain = learnt()
    assert not traced
    network, losses = learnt(compile=True)
    assert traced
    assert all(traced)  # with gradients: nothing that answers
    assert network.compiled == {}
    assert losses == pytest.approx(plain, abs=1e-5)


def test_what_cannot_be_compiled_is_said(monkeypatch):
    class BackendError(RuntimeError):
        __module__ = "torch._dynamo.exc"

    def failing(function):
        def run(images):
            raise BackendError("no compiler found\nmore")

        return run

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(SpecError, match="cannot be compiled: no compiler found"):
        learnt(compile=True)


@pytest.mark.slow
def test_torchs_own_code_generator(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    assert learnt(compile=True)[1] == pytest.approx(learnt()[1], abs=1e-4)
