"""Case weights in training: they weigh the loss, beside the mean of the training cases, and nothing else."""

import numpy as np
import pytest
import torch
from cohort import cases_of, columns, pipeline_of
from test_training import CPU, Exploding, pictures_data, state_of
from tiny_parts import two_pictures

from mmfuse.errors import SpecError, TableError
from mmfuse.net.network import FusionNetwork
from mmfuse.net.training import train_network
from mmfuse.spec import TrainingSection

TRAIN = np.arange(20)


def trained(weights, train=TRAIN, data=None, **section):
    spec, wiring = two_pictures(training=TrainingSection(**{"epochs": 2, "batch": 40, "optimiser": "sgd", **section}))
    network = FusionNetwork(spec, wiring, {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}, spec.card.label_set)
    events = []
    train_network(
        network, data or pictures_data(), train, np.arange(20, 30), spec=spec, wiring=wiring,
        labels=spec.card.label_set, device=CPU, watch=events.append, weights=weights,
    )  # fmt: skip
    return network, events


def test_equal_weights_change_no_bit():
    plain = state_of(trained(None)[0])
    assert torch.equal(plain, state_of(trained(np.full(30, 1.0))[0]))
    assert torch.equal(plain, state_of(trained(np.full(30, 7.0))[0]))


def test_a_weight_counts_beside_the_mean_of_the_training_cases():
    weights = np.random.default_rng(0).uniform(0, 3, 30)
    one, other = trained(weights)[0], trained(np.where(np.arange(30) < 20, 5 * weights, 99.0))[0]
    torch.testing.assert_close(state_of(one), state_of(other))
    assert not torch.allclose(state_of(one), state_of(trained(None)[0]))


def test_the_first_loss_is_the_weighted_mean():
    """Both classes once: with all the weight on one class, the loss is that class's alone."""
    data = pictures_data(absent=0.0)
    known = data.targets[:20, 0]
    losses = [
        trained(weights, data=data)[1][0].losses["fused"]
        for weights in (None, *((data.targets[:, 0] == k).astype(float) for k in (0, 1)))
    ]
    shares = [np.mean(known == k) for k in (0, 1)]
    assert losses[0] == pytest.approx(losses[1] * shares[0] + losses[2] * shares[1], rel=1e-5)
    assert losses[1] != pytest.approx(losses[2], rel=1e-3)


def test_the_watched_metric_counts_every_case_once():
    data = pictures_data()
    with_none, events = trained(None, data=data, lr=1e-9)
    _, others = trained(np.random.default_rng(0).uniform(0, 3, 30), data=data, lr=1e-9)
    assert others[0].valid["log-loss"] == pytest.approx(events[0].valid["log-loss"], rel=1e-4)
    assert not with_none.training


def test_what_cannot_weigh_is_refused():
    with pytest.raises(SpecError, match="the loss 'exploding' counts every case alike"):
        trained(np.arange(30.0), loss=Exploding())
    with pytest.raises(SpecError, match="every training case has weight 0"):
        trained(np.where(np.arange(30) < 20, 0.0, 1.0))


def test_the_cards_column_reaches_the_loss():
    """Through the pipeline: weights of 1 (and empty cells) change nothing, others do; unknown ones stop it early."""
    card, found = {"cases": {"id": "id", "group": "patient", "weight": "w"}}, {}
    for name, words in (("none", ["1", None]), ("some", ["0", "3"]), ("bad", ["1", "-3"])):
        pipeline = pipeline_of(card=card if name != "none" else None)
        cases = cases_of(pipeline.spec, {**columns(60), "w": words * 30})
        if name == "bad":
            with pytest.raises(TableError, match="negative weights in rows"):
                pipeline.fit(cases)
        else:
            found[name] = pipeline.fit(cases).scores.sources["fused"]
    ones = pipeline_of(card=card)
    again = ones.fit(cases_of(ones.spec, {**columns(60), "w": ["1", None] * 30})).scores.sources["fused"]
    np.testing.assert_array_equal(again, found["none"])
    assert not np.allclose(found["some"], again, equal_nan=True)
