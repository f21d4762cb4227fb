"""Balanced sampling: shares by hand, counts in an epoch, and the seed."""

import numpy as np
import pytest
from test_training import pictures_data, train
from tiny_parts import two_pictures

from mmfuse.events import EpochEnded
from mmfuse.net.sampling import balanced, even_shares
from mmfuse.spec import TrainingSection

UNEVEN = np.array([0] * 30 + [1] * 9 + [2] * 3 + [-1] * 6)[:, None]


def test_shares_of_one_label():
    shares = even_shares(UNEVEN)
    assert shares.sum() == pytest.approx(1)
    assert [shares[UNEVEN[:, 0] == value].sum() for value in (0, 1, 2, -1)] == pytest.approx([1 / 3] * 3 + [0])
    assert shares[0] == pytest.approx(1 / 90)


def test_of_several_labels_each_gives_an_even_part():
    targets = np.array([[0, 0], [0, 1], [0, -1], [1, -1]])
    assert even_shares(targets) == pytest.approx([(1 / 6 + 1 / 2) / 2, (1 / 6 + 1 / 2) / 2, 1 / 12, 1 / 4])
    targets = np.array([[0, -1], [1, -1]])
    assert even_shares(targets) == pytest.approx([0.5, 0.5]), "a label of which nothing is known has no part"


def test_an_epoch_shows_each_case_as_often_as_its_share_says():
    index = np.arange(100, 148)
    targets = np.full((200, 1), -1)
    targets[index] = UNEVEN
    drawn = balanced(index, targets, np.random.default_rng(0))
    assert len(drawn) == 48
    assert [int((targets[drawn, 0] == value).sum()) for value in (0, 1, 2)] == pytest.approx([16] * 3, abs=1)
    counts = np.array([(drawn == case).sum() for case in index])
    share = even_shares(UNEVEN) * 48
    assert (np.abs(counts - share) < 1).all()
    many = [balanced(index, targets, np.random.default_rng(seed)) for seed in range(300)]
    mean = np.mean([[(one == case).sum() for case in index] for one in many], axis=0)
    assert mean == pytest.approx(share, abs=0.15)


def test_the_seed_decides_and_nothing_known_is_all_once():
    index = np.arange(48)
    one, same, other = (balanced(index, UNEVEN, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()
    unknown = np.full_like(UNEVEN, -1)
    assert balanced(index, unknown, np.random.default_rng(0)).tolist() == index.tolist()


def test_balanced_training_lifts_a_rare_class():
    data = pictures_data(absent=0.0)
    data.targets[:20, 0] = np.arange(20) % 10 == 0
    rare = {}
    for sampling in ("all", "balanced"):
        events = []
        section = TrainingSection(epochs=8, batch=5, lr=0.02, sampling=sampling, best={"metric": ""})
        spec, wiring = two_pictures(training=section)
        network, _ = train(spec, wiring, data, events)
        assert sum(isinstance(event, EpochEnded) for event in events) == 8
        bias = network.heads["fused"][1].bias.detach()
        rare[sampling] = float(bias[1] - bias[0])
    assert rare["balanced"] > rare["all"] + 0.05
