"""Fixed augmented draws of frozen modalities: kept like any feature, one of them read per case and epoch."""

import numpy as np
import pytest
import torch
from tiny_parts import Brighten, Flat, Numbers, Picture, Side, make_cases, make_spec
from torch import nn

from mmfuse.data.cache import stores
from mmfuse.events import EpochEnded, Notice
from mmfuse.net.assembling import Assembler, fit_readers
from mmfuse.net.batches import read_batch
from mmfuse.net.network import FusionNetwork
from mmfuse.net.predicting import fit_network
from mmfuse.net.views import DRAWS, IDENTITY
from mmfuse.parts import Encoder
from mmfuse.seeds import derive
from mmfuse.spec import TrainingSection
from mmfuse.wiring import wire

CASES, TRAIN = 12, np.arange(8)
SPLIT = np.array(["train"] * 8 + ["valid"] * 4, dtype=object)


class Light(Encoder):
    """The mean of each colour."""

    def build(self, shape):
        class Mean(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(()))

            def forward(self, images):
                return images.mean(dim=(2, 3)) * self.scale

        return Mean()


def cohort(views, seed=0, limit=20.0, tied=True):
    training = TrainingSection(epochs=3, batch=4, feature_views=views, cache_limit=limit, frozen_precision="32-true")
    spec = make_spec(
        {"one": Picture(column="one"), "two": Picture(column="two"), "age": Numbers(column="age")},
        {
            "picture": {"part": Light(), "frozen": True, "weights": "none"},
            "numbers": {"part": Flat(), "weights": "none"},
        },
        fusion=Side(),
        training=training,
        augment={"bright": {"part": Brighten(), "on": "picture", "tied": tied}},
        seed=seed,
    )
    two = [None if i == 3 else i + 100 for i in range(CASES)]
    columns = {"one": range(CASES), "two": two, "age": range(CASES), "y": ["a", "b"] * (CASES // 2)}
    return spec, wire(spec), make_cases(spec, columns, CASES)


def assembled(spec, wiring, cases, learns=TRAIN):
    network = FusionNetwork(spec, wiring, {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}, cases.labels).eval()
    readers = fit_readers(spec, wiring, cases, TRAIN)
    return Assembler(spec, wiring, cases, lambda event: None).data(network, readers, (IDENTITY,), learns)


def drawn(case, number, *whose):
    """What `Brighten` adds to a case under a draw, computed anew."""
    seed = derive(0, "feature view", 0, "brighten", number, f"case{case}", *whose)
    return float(torch.rand(1, generator=torch.Generator().manual_seed(seed)) + 1.0)


def test_each_case_is_read_under_the_view_that_was_picked_the_same_in_all_modalities():
    data = assembled(*cohort(views=3))
    assert data.still == {"one", "two"}
    plain = read_batch(data, TRAIN).known_of(IDENTITY)
    picked = data.picked(np.random.default_rng(5))
    assert set(picked.picks.tolist()) == {0, 1, 2}
    given = read_batch(picked, TRAIN).known_of(IDENTITY)
    for case in TRAIN.tolist():
        number = int(picked.picks[case])
        more = drawn(case, number - 1) if number else 0.0
        for modality in ("one", "two"):
            change = (given[modality]["vector"] - plain[modality]["vector"])[case]
            expected = 0.0 if (modality, case) == ("two", 3) else more
            torch.testing.assert_close(change, torch.full((3,), expected), rtol=0, atol=1e-5)
    assert len({drawn(case, number) for case in range(8) for number in range(2)}) == 16
    # in another order, a part of them
    some = np.array([6, 1, 4])
    again = read_batch(picked, some).known_of(IDENTITY)
    assert torch.equal(again["one"]["vector"], given["one"]["vector"][some])


def test_modalities_of_a_line_that_is_not_tied_get_draws_of_their_own():
    """Also from one cache: the draws of a tied line and of an untied one are never taken for each other."""
    tied, untied = (assembled(*cohort(views=3, tied=one)) for one in (True, False))
    for data, whose in ((tied, ()), (untied, ("one",))):
        plain = read_batch(data, TRAIN).known_of(IDENTITY)
        picked = data.picked(np.random.default_rng(5))
        given = read_batch(picked, TRAIN).known_of(IDENTITY)
        by = {m: (given[m]["vector"] - plain[m]["vector"])[:, 0].numpy() for m in ("one", "two")}
        augmented = [i for i in TRAIN if picked.picks[i] and i != 3]
        assert len(augmented) > 2
        expected = [drawn(case, int(picked.picks[case]) - 1, *whose) for case in augmented]
        np.testing.assert_allclose(by["one"][augmented], expected, atol=1e-5)
        if whose:
            expected = [drawn(case, int(picked.picks[case]) - 1, "two") for case in augmented]
            assert (np.abs(by["one"] - by["two"])[augmented] > 1e-3).all()
        np.testing.assert_allclose(by["two"][augmented], expected, atol=1e-5)


def test_draws_are_of_training_cases_alone_and_shared_by_seeds_and_folds():
    def fit(seed):
        spec, wiring, cases = cohort(views=4, seed=seed)
        epochs = []
        fitted, scores = fit_network(spec, wiring, cases, SPLIT, np.arange(CASES) % 2, watch=epochs.append)
        return fitted, scores, [event for event in epochs if isinstance(event, EpochEnded)]

    def held():
        return {folder.name: (folder / "rows.bin").stat().st_size for folder in stores() if "vectors" in folder.name}

    fitted, first, epochs = fit(seed=0)
    rows = sorted(size // 16 for size in held().values())  # three numbers and a checksum
    # one and two are read alike: 12 + 11 pictures as they are, 3 draws of 8 + 7
    assert rows == [23, 45]
    assert len(epochs) == 9
    again = fit(seed=0)[1]
    assert all(np.array_equal(first[source], again[source], equal_nan=True) for source in first)
    assert not np.array_equal(first["fused"], fit(seed=1)[1]["fused"], equal_nan=True)
    before = held()
    fitted.predict(cohort(views=4)[2])
    assert held() == before


@pytest.mark.parametrize("views", [0, 1])
def test_one_view_is_none(views):
    spec, wiring, cases = cohort(views)
    events = []
    _, scores = fit_network(spec, wiring, cases, SPLIT, None, watch=events.append)
    data = assembled(spec, wiring, cases)
    assert all(set(by) == {IDENTITY} for by in data.known.values())
    assert data.picked(np.random.default_rng(0)) is data
    told = [event.text for event in events if isinstance(event, Notice)]
    assert [text for text in told if "not augmented" in text and "training.feature_views" in text]
    bare = spec.model_copy(update={"plan": spec.plan.model_copy(update={"augment": {}})})
    _, without = fit_network(bare, wire(bare), cases, SPLIT, None)
    assert np.array_equal(scores["fused"], without["fused"], equal_nan=True)


def test_it_is_told_and_it_changes_what_is_learnt():
    events = []
    spec, wiring, cases = cohort(views=3)
    _, scores = fit_network(spec, wiring, cases, SPLIT, None, watch=events.append)
    assert any("under 2 fixed augmented draws" in event.text for event in events if isinstance(event, Notice))
    _, plain = fit_network(*cohort(views=0), SPLIT, None)
    assert not np.array_equal(scores["fused"], plain["fused"], equal_nan=True)


def test_above_the_limit_images_are_augmented_as_they_run_each_epoch():
    data = assembled(*cohort(views=3, limit=0.0))
    assert not data.known
    assert data.still == frozenset()
    assert assembled(*cohort(views=0, limit=0.0)).still == {"one", "two"}
    # 12 + 11 vectors of 12 bytes fit, draws do not: all or nothing of a modality
    data = assembled(*cohort(views=3, limit=(12 + 16) * 12 / 1e9))
    assert set(data.known) == {"two"}
    assert DRAWS in data.known["two"]
    assert data.still == {"two"}
