"""The one training loop: it learns, repeats itself bit by bit, keeps the best epoch, and says what went wrong."""

import numpy as np
import pytest
import torch
from tiny_parts import Brighten, Flat, Lin, Loud, Memo, Numbers, make_cases, make_spec, two_pictures
from torch import nn

from mmfuse.data.inputs import Block
from mmfuse.errors import PartError, SpecError
from mmfuse.events import EpochEnded, Notice
from mmfuse.net.answering import answer
from mmfuse.net.augmenting import Augmenter
from mmfuse.net.batches import NetworkData, in_order, read_batch, shuffled
from mmfuse.net.network import FusionNetwork
from mmfuse.net.training import train_network
from mmfuse.net.working import ahead
from mmfuse.parts import Loss
from mmfuse.spec import BestEpoch, TrainingSection
from mmfuse.wiring import wire

CPU = torch.device("cpu")


def pictures_data(n=30, seed=0, absent=0.3):
    rng = np.random.default_rng(seed)
    there = rng.random((n, 3)) > absent
    there[:, 2] |= ~there.any(axis=1)
    targets = rng.integers(0, 2, (n, 1))
    blocks = {
        name: Block.memory(rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8), there[:, i])
        for i, name in enumerate(("one", "two"))
    }
    blocks["age"] = Block.memory((targets + rng.normal(0, 0.3, (n, 1))).astype(np.float32), there[:, 2])
    return NetworkData(np.array([f"case{i}" for i in range(n)]), targets, blocks, frozenset({"one", "two"}))


def train(spec, wiring, data, events=None, valid=None, name="network"):
    shapes = {modality: block.shape for modality, block in data.blocks.items()}
    network = FusionNetwork(spec, wiring, shapes, spec.card.label_set, name)
    valid = np.arange(20, 30) if valid is None else valid
    events = [] if events is None else events
    trained = train_network(
        network, data, np.arange(20), valid, spec=spec, wiring=wiring, labels=spec.card.label_set, device=CPU,
        watch=events.append, name=name,
    )  # fmt: skip
    return network, trained


def state_of(network):
    return torch.cat([tensor.double().flatten() for tensor in network.state_dict().values()])


def test_it_learns_and_tells():
    training = TrainingSection(epochs=15, batch=8, lr=0.03)
    spec, wiring = two_pictures(training=training)
    data, events = pictures_data(), []
    network, trained = train(spec, wiring, data, events)
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    assert [event.epoch for event in epochs] == list(range(1, 16))
    assert epochs[-1].losses["fused"] < 0.5 * epochs[0].losses["fused"]
    assert set(epochs[0].losses) == {"fused", "one", "two", "age"}
    best = [event for event in epochs if event.best]
    assert best[-1].epoch == trained.best_epoch
    assert trained.best_value == min(event.valid["log-loss"] for event in epochs)
    assert epochs[3].cases_per_second > 0
    assert epochs[3].seconds_left > epochs[-1].seconds_left == 0
    assert not network.training


def test_the_best_epoch_is_really_restored():
    training = TrainingSection(epochs=12, batch=4, lr=0.5, optimiser="adam", schedule="constant")
    spec, wiring = two_pictures(training=training)
    data = pictures_data()
    network, trained = train(spec, wiring, data)
    assert trained.best_epoch < 12
    labels, valid = spec.card.label_set, np.arange(20, 30)
    p = labels.softmax(answer(network, data, valid)["fused"][0].astype(float))
    known = data.targets[valid, 0]
    assert trained.best_value == pytest.approx(-np.log(p[np.arange(10), known]).mean(), rel=1e-5)


def test_the_last_epoch_is_kept_without_valid_or_without_a_metric():
    spec, wiring = two_pictures(training=TrainingSection(epochs=3, batch=8))
    data, events = pictures_data(), []
    assert train(spec, wiring, data, valid=np.arange(0))[1].best_epoch == 3
    spec, wiring = two_pictures(training=TrainingSection(epochs=3, batch=8, best=BestEpoch(metric="")))
    assert train(spec, wiring, data)[1].best_epoch == 3
    spec, wiring = two_pictures()
    data.targets[20:] = -1
    assert train(spec, wiring, data, events)[1].best_epoch == 2
    assert any(isinstance(event, Notice) and "undefined" in event.text for event in events)


def test_patience_stops_early():
    training = TrainingSection(epochs=50, batch=4, lr=0.5, schedule="constant", patience=2)
    spec, wiring = two_pictures(training=training)
    _, trained = train(spec, wiring, pictures_data())
    assert trained.epochs == trained.best_epoch + 2 < 50


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_same_seed_same_bits_and_the_process_is_left_alone(precision):
    training = TrainingSection(epochs=2, batch=7, modality_dropout=0.4, precision=precision, accumulate=2, clip=1.0)
    augment = {"bright": {"part": Brighten(), "on": "picture"}}
    spec, wiring = two_pictures(training=training, augment=augment, head=Dropping())
    before = torch.get_rng_state()
    first = state_of(train(spec, wiring, pictures_data())[0])
    torch.rand(5)
    np.random.rand(3)
    mid = torch.get_rng_state()
    second = state_of(train(spec, wiring, pictures_data())[0])
    assert torch.equal(first, second)
    assert torch.equal(mid, torch.get_rng_state())
    assert not torch.equal(before, mid)
    assert not torch.equal(first, state_of(train(spec, wiring, pictures_data(), name="fold 1")[0]))
    plan = spec.plan.model_copy(update={"seed": 1})
    assert not torch.equal(first, state_of(train(spec.model_copy(update={"plan": plan}), wiring, pictures_data())[0]))


class Dropping(Lin):
    """With dropout."""

    def build(self, width, labels):
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(width, labels.columns))


def test_patterns_are_recorded_as_they_were_shown():
    spec, wiring = two_pictures(training=TrainingSection(epochs=6, batch=8, modality_dropout=0.5))
    assert len(train(spec, wiring, pictures_data(absent=0.0))[1].patterns) == 7
    spec, wiring = two_pictures(training=TrainingSection(epochs=1, batch=8))
    assert train(spec, wiring, pictures_data(absent=0.0))[1].patterns == {("age", "one", "two")}


@pytest.mark.parametrize("batch", [1, 2, 19])
def test_batches_of_one_case_break_nothing(batch):
    spec, wiring = two_pictures(training=TrainingSection(epochs=1, batch=batch), head=Lin(normed=True))
    network, _ = train(spec, wiring, pictures_data())
    assert state_of(network).isfinite().all()


def test_shuffled_batches_hold_every_case_once():
    index = np.arange(5, 26)
    batches = shuffled(index, 5, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [5, 5, 5, 6]
    assert sorted(np.concatenate(batches)) == index.tolist()
    assert np.concatenate(batches).tolist() != index.tolist()
    assert [len(batch) for batch in shuffled(np.arange(1), 5, np.random.default_rng(0))] == [1]
    assert len(shuffled(index, 1, np.random.default_rng(0))) == 21


def test_reading_ahead_keeps_order_and_hands_errors_on():
    jobs = in_order(np.arange(10), 3)
    assert [some.tolist() for some in ahead(lambda some: some, jobs)] == [job.tolist() for job in jobs]

    def failing(some):
        if 4 in some:
            raise OSError("gone")
        return some

    with pytest.raises(OSError, match="gone"):
        list(ahead(failing, jobs))
    reader = ahead(lambda some: some, jobs)
    next(reader)
    reader.close()


class Exploding(Loss):
    """Not finite on one case."""

    def build(self, labels, counts):
        class Broken(nn.Module):
            def forward(self, outputs, targets, progress):
                assert 0 <= progress <= 1
                logits = outputs.scores["fused"].logits
                return {"bang": logits.sum() * (float("inf") if progress > 0.5 else 1.0)}

        return Broken()


def test_a_loss_that_is_not_finite_names_the_cases():
    spec, wiring = two_pictures(training=TrainingSection(epochs=2, batch=5, loss=Exploding(), lr=0.125))
    with pytest.raises(SpecError) as caught:
        train(spec, wiring, pictures_data())
    text = str(caught.value)
    assert "network, epoch 2" in text
    assert "loss 'bang'" in text
    assert text.count("case") >= 5
    assert "training.lr (now 0.125)" in text


class Answering(Loss):
    """Gives whatever it is told to."""

    what: str

    def build(self, labels, counts):
        what = self.what

        class Module(nn.Module):
            def forward(self, outputs, targets, progress):
                logits = outputs.scores["fused"].logits
                return {
                    "bare": logits.sum(),
                    "number": {"one": 0.0},
                    "many": {"one": logits.sum(dim=1)},
                    "nameless": {1: logits.sum()},
                }[what]

        return Module()


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("bare", r"gave a tensor of shape \(\)"),
        ("number", "gave a float for 'one'"),
        ("many", r"gave a tensor of shape \(\d+,\) for 'one'"),
        ("nameless", r"gave a tensor of shape \(\) for 1"),
    ],
)
def test_a_loss_that_gives_no_named_scalars_is_named(what, found):
    spec, wiring = two_pictures(training=TrainingSection(epochs=1, batch=5, loss=Answering(what=what)))
    with pytest.raises(PartError, match=f"loss 'answering' .*{found}") as refused:
        train(spec, wiring, pictures_data())
    assert refused.value.faults[0].where == "training.loss"


def test_ctrl_c_goes_through():
    spec, wiring = two_pictures()

    def stop(event):
        raise KeyboardInterrupt

    shapes = {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}
    network = FusionNetwork(spec, wiring, shapes, spec.card.label_set)
    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train_network(
            network, pictures_data(), np.arange(20), np.arange(20, 30), spec=spec, wiring=wiring,
            labels=spec.card.label_set, device=CPU, watch=stop,
        )  # fmt: skip
    assert torch.equal(state, torch.get_rng_state())


def test_unknown_labels_teach_nothing():
    labels = {"y": ["a", "b"], "z": ["c", "d", "e"]}
    spec = make_spec({"age": Numbers(column="age")}, {"age": {"part": Flat(), "weights": "none"}}, labels=labels,
                     training=TrainingSection(epochs=1, batch=4, weight_decay=0))  # fmt: skip
    wiring = wire(spec)
    data = pictures_data()
    data = NetworkData(data.ids, np.full((30, 2), -1), {"age": data.blocks["age"]}, frozenset())
    network = FusionNetwork(spec, wiring, {"age": (1,)}, spec.card.label_set)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    with_none, _ = train(spec, wiring, data)
    assert all(torch.equal(before[name], parameter) for name, parameter in with_none.named_parameters())


def test_a_plan_without_a_loss_is_refused():
    spec, wiring = two_pictures(training=TrainingSection(epochs=1, batch=8))
    section = spec.plan.training.model_copy(update={"loss": ""})
    bare = spec.model_copy(update={"plan": spec.plan.model_copy(update={"training": section})})
    with pytest.raises(SpecError, match=r"training\.loss"):
        train(bare, wiring, pictures_data())


def test_the_fusions_losses_are_added():
    spec, wiring = two_pictures(Loud(), training=TrainingSection(epochs=1, batch=8))
    events = []
    train(spec, wiring, pictures_data(), events)
    assert "spread" in events[0].losses


def test_one_draw_a_case_is_shared_by_the_modalities_it_names():
    _spec, wiring = two_pictures(augment={"bright": {"part": Brighten(), "on": ["one", "two"]}})
    batch = read_batch(pictures_data(), np.arange(6)).to(CPU)
    before = {modality: tensor.clone() for modality, tensor in batch.inputs.items()}
    Augmenter(wiring, (), CPU).change(batch, torch.Generator().manual_seed(0))
    by = {m: (batch.inputs[m] - before[m])[:, 0, 0, 0] for m in ("one", "two")}
    both = batch.present["one"] & batch.present["two"]
    assert both.any()
    torch.testing.assert_close(by["one"][both], by["two"][both])
    assert (by["one"][~batch.present["one"]] == 0).all()
    assert (by["one"][batch.present["one"]] >= 1).all()
    assert torch.equal(before["age"], batch.inputs["age"])
    Augmenter(wiring, ("one", "two"), CPU).change(batch, torch.Generator())


def test_images_come_in_zero_to_one():
    batch = read_batch(pictures_data(), np.arange(6)).to(CPU)
    assert batch.inputs["one"].dtype == torch.float32
    assert 0.9 < batch.inputs["one"].max() <= 1
    assert batch.inputs["one"].is_contiguous(memory_format=torch.channels_last)


def test_memo_learns_its_cases_by_heart():
    spec = make_spec(
        {"age": Numbers(column="age")}, {"age": Memo()}, training=TrainingSection(epochs=30, batch=8, lr=0.1)
    )
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (30, 1))
    block = Block.memory(np.arange(30, dtype=np.float32)[:, None])
    data = NetworkData(np.arange(30).astype(str), targets, {"age": block}, frozenset())
    network, _ = train(spec, wire(spec), data, valid=np.arange(0))
    picked = answer(network, data, np.arange(20))["fused"][0].argmax(axis=1)
    assert (picked == targets[:20, 0]).all()
    assert make_cases(spec, {"age": range(3), "y": ["a", "b", None]}, 3).targets.tolist() == [[0], [1], [-1]]
