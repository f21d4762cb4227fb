"""Averages of weights: their formulas computed apart, statistics taken anew, what is kept, resumption bit for bit."""

import numpy as np
import pytest
import torch
from test_training import CPU, Dropping, pictures_data, state_of
from tiny_parts import Brighten, Lin, two_pictures

from mmfuse.events import EpochEnded
from mmfuse.net import checkpoints
from mmfuse.net.answering import answer
from mmfuse.net.averaging import Average, Exponential, Stochastic
from mmfuse.net.lessons import Learner
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import first_averaged, rate_factor
from mmfuse.net.training import train_network
from mmfuse.spec import BestEpoch, TrainingSection

SHAPES = {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}


def network_of(frozen=False, **options):
    spec, wiring = two_pictures(frozen=frozen, **options)
    return FusionNetwork(spec, wiring, SHAPES, spec.card.label_set), spec, wiring


def trained(after=None, checkpoint=None, valid=10, data=None, **section):
    """(network, what its training left, the weights that it had after each epoch)."""
    section = TrainingSection(**{"epochs": 6, "batch": 7, "lr": 0.05, **section})
    network, spec, wiring = network_of(training=section, head=Dropping(), augment=AUGMENT)
    states = []

    def watch(event):
        if isinstance(event, EpochEnded):
            states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
            if event.epoch == after:
                raise KeyboardInterrupt

    found = train_network(
        network, data or pictures_data(), np.arange(20), np.arange(20, 20 + valid), spec=spec, wiring=wiring,
        labels=spec.card.label_set, device=CPU, watch=watch, checkpoint=checkpoint,
    )  # fmt: skip
    return network, found, states


AUGMENT = {"bright": {"part": Brighten(), "on": "picture"}}


def test_the_exponential_average_is_its_recursion():
    network, _, _ = network_of()
    average = Exponential(Learner(network, torch.nn.Identity()), TrainingSection(average="ema", ema_decay=0.4))
    name, expected = "encoders.age.1.weight", None
    for step in range(8):
        weight = network.get_parameter(name)
        with torch.no_grad():
            weight.copy_(torch.full_like(weight, float(step**2)))
        network.standin("age").observed.fill_(step == 7)
        average.after_step()
        decay = min(0.4, (1 + step) / (10 + step))
        expected = float(step**2) if expected is None else decay * expected + (1 - decay) * step**2
    assert average.tensors[name].unique().tolist() == pytest.approx([expected])
    assert average.tensors["standins.age.observed"].item() is True
    with average.worn(lambda: None):
        assert network.get_parameter(name).unique().tolist() == pytest.approx([expected])
    assert network.get_parameter(name).unique().tolist() == [49.0]


def test_frozen_encoders_are_not_copied():
    network, _, _ = network_of(frozen=True)
    average = Exponential(Learner(network, torch.nn.Identity()), TrainingSection(average="ema"))
    average.after_step()
    assert any(name.startswith("encoders.age.") for name in average.tensors)
    assert not any(name.startswith(("encoders.one.", "encoders.two.")) for name in average.tensors)


def test_swa_is_the_mean_of_the_last_epochs():
    network, found, states = trained(average="swa", swa_share=0.5, best=BestEpoch(metric=""))
    assert found.epochs == found.best_epoch == 6
    for name, parameter in network.named_parameters():
        mean = torch.stack([state[name] for state in states[3:]]).mean(dim=0)
        torch.testing.assert_close(parameter.detach(), mean)
    alone = trained(best=BestEpoch(metric=""))[2]
    same = [all(torch.equal(one[name], other[name]) for name in one) for one, other in zip(alone, states, strict=True)]
    assert same == [True] * 3 + [False] * 3, "from epoch 4 on the rate stays"


def test_before_it_averages_swa_trains_as_nothing_did():
    """At a constant rate the weights beside an average are those of a training without one."""
    _, _, states = trained(average="swa", schedule="constant")
    _, _, plain = trained(schedule="constant")
    assert all(torch.equal(states[-1][name], plain[-1][name]) for name in plain[-1] if "running" not in name)


def test_swa_takes_statistics_anew_from_the_training_cases():
    """Without dropout or augmentation: the mean of what reaches the batch norm in the averaged network."""
    section = TrainingSection(epochs=4, batch=20, lr=0.05, average="swa", best=BestEpoch(metric=""))
    network, spec, wiring = network_of(training=section, head=Lin(normed=True))
    data = pictures_data(absent=0.0)
    train_network(
        network, data, np.arange(20), np.arange(0), spec=spec, wiring=wiring, labels=spec.card.label_set, device=CPU,
        watch=lambda event: None,
    )  # fmt: skip
    assert network.heads["fused"][0].momentum == 0.1
    stem, given = network.encoders["one"].stem, []
    stem[1].register_forward_hook(lambda module, inputs, output: given.append(inputs[0]))
    answer(network, data, np.arange(20), batch=20)
    everything = torch.cat(given)
    assert len(everything) == 20
    torch.testing.assert_close(stem[1].running_mean, everything.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stem[1].running_var, everything.var(dim=(0, 2, 3)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_the_average_is_what_is_watched_and_kept(average):
    data = pictures_data()
    network, found, states = trained(average=average, swa_share=0.5, ema_decay=0.6, data=data)
    own = states[found.best_epoch - 1]
    same = all(torch.equal(own[name], parameter) for name, parameter in network.named_parameters())
    assert same == (average == "swa" and found.best_epoch == 4), "the first mean of swa is of one epoch"
    labels = network_of()[1].card.label_set
    p = labels.softmax(answer(network, data, np.arange(20, 30))["fused"][0].astype(float))
    assert found.best_value == pytest.approx(-np.log(p[np.arange(10), data.targets[20:30, 0]]).mean(), rel=1e-5)
    assert found.best_epoch >= (4 if average == "swa" else 1)


@pytest.mark.parametrize("average", ["ema", "swa"])
@pytest.mark.parametrize("after", [2, 4, 5])
def test_a_training_that_goes_on_is_the_same_bit_for_bit(average, after, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))  # a checkpoint an epoch, however short
    whole, found, _ = trained(average=average, swa_share=0.5)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(after=after, checkpoint=path, average=average, swa_share=0.5)
    again, other, states = trained(checkpoint=path, average=average, swa_share=0.5)
    assert len(states) == 6 - after
    assert torch.equal(state_of(whole), state_of(again))
    assert found == other


def test_which_epochs_swa_averages_and_at_which_rate():
    assert [first_averaged(TrainingSection(epochs=n, swa_share=s)) for n, s in ((8, 0.25), (1, 0.1), (10, 1))] == [
        7,
        1,
        1,
    ]
    plain = TrainingSection(epochs=8)
    section = plain.model_copy(update={"average": "swa"})
    rates = [rate_factor(section, step, 40, 5) for step in range(40)]
    assert rates[:31] == [rate_factor(plain, step, 40, 5) for step in range(31)]
    assert set(rates[30:]) == {rates[30]}


def test_none_keeps_nothing():
    network, _, _ = network_of()
    average = Average(Learner(network, torch.nn.Identity()), TrainingSection())
    before = state_of(network)
    average.after_step()
    average.after_epoch(1)
    average.put()
    with average.worn(lambda: pytest.fail("no statistics are taken")):
        assert torch.equal(before, state_of(network))
    assert not average.tensors
    assert not Stochastic(Learner(network, torch.nn.Identity()), TrainingSection()).counts
