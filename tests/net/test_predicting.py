"""Who speaks about whom: out-of-fold scores are honest, and what is fitted predicts the same after it was stored."""

import json

import numpy as np
import pytest
import torch
from tiny_parts import Flat, Memo, Numbers, Side, make_cases, make_spec, two_pictures

from mmfuse.data.inputs import read_inputs
from mmfuse.errors import RunError, SpecError
from mmfuse.events import Notice, StepEnded, StepStarted
from mmfuse.net.predicting import FittedNetwork, fit_network
from mmfuse.net.weights import read_tensors
from mmfuse.spec import BestEpoch, PredictionSection, TrainingSection
from mmfuse.wiring import wire

MEMO = TrainingSection(epochs=25, batch=16, lr=0.1, best=BestEpoch(metric=""))


def memo_case(n=120, training=MEMO, seed=0):
    """A network that can remember every case, and labels that are lots."""
    spec = make_spec({"number": Numbers(column="number")}, {"number": Memo(size=n)}, training=training)
    labels = np.random.default_rng(seed).integers(0, 2, n)
    cases = make_cases(spec, {"number": range(n), "y": np.array(["a", "b"])[labels]}, n)
    split = np.array(["train"] * (n - 20) + ["valid"] * 10 + ["test"] * 10, dtype=object)
    folds = np.where(split == "train", np.arange(n) % 4, -1)
    return spec, wire(spec), cases, split, folds


def right(scores, cases, rows):
    return (scores[:, rows].mean(axis=0).argmax(axis=1) == cases.targets[rows, 0]).mean()


def test_a_network_that_remembers_is_at_chance_out_of_fold():
    spec, wiring, cases, split, folds = memo_case()
    train = np.flatnonzero(split == "train")
    fitted, scores = fit_network(spec, wiring, cases, split, folds, device="cpu")
    assert scores["fused"].shape == (1, 120, 2)
    assert right(fitted.predict(cases)["fused"], cases, train) == 1.0  # it does remember what it learnt from
    # an unseen number reads an embedding that never moved: the same answer for each of them, within a fold
    for fold in range(4):
        answers = scores["fused"][0, train[folds[train] == fold]]
        assert np.ptp(answers, axis=0).max() == 0
    assert 0.3 < right(scores["fused"], cases, train) < 0.7
    assert not np.isnan(scores["fused"]).any()


@pytest.mark.parametrize("serve", ["refit", "folds"])
def test_who_speaks(serve):
    training = MEMO.model_copy(update={"serve": serve, "epochs": 3})
    spec, wiring, cases, split, folds = memo_case(training=training)
    folds[:7] = -1
    split[-3:] = ""
    events = []
    fitted, scores = fit_network(spec, wiring, cases, split, folds, device="cpu", watch=events.append)
    steps = [event.name for event in events if isinstance(event, StepStarted)]
    expected = ["fold 1", "fold 2", "fold 3", "fold 4"]
    assert steps == (expected if serve == "folds" else ["network", *expected])
    assert [event.name for event in events if isinstance(event, StepEnded)] == steps
    silent = np.isnan(scores["fused"][0]).any(axis=1)
    assert silent.tolist() == [i < 7 for i in range(120)]
    others = np.flatnonzero(split != "train")
    again = fitted.predict(cases)["fused"]
    np.testing.assert_allclose(again[:, others], scores["fused"][:, others], rtol=1e-6)
    assert list(fitted.members) == (expected if serve == "folds" else ["network"])
    assert any(isinstance(event, Notice) and "out-of-fold" in event.text for event in events) == (serve == "refit")


def test_folds_speak_by_the_mean_of_their_probabilities():
    training = MEMO.model_copy(update={"serve": "folds", "epochs": 3})
    spec, wiring, cases, split, folds = memo_case(training=training)
    fitted, _ = fit_network(spec, wiring, cases, split, folds, device="cpu")
    alone = [
        FittedNetwork(spec, wiring, {name: member}).predict(cases)["fused"] for name, member in fitted.members.items()
    ]
    mean = np.mean([cases.labels.softmax(scores) for scores in alone], axis=0)
    np.testing.assert_allclose(np.exp(fitted.predict(cases)["fused"]), mean, atol=1e-6)


def test_without_folds_training_cases_get_nothing():
    spec, wiring, cases, split, _ = memo_case(training=MEMO.model_copy(update={"epochs": 1}))
    _, scores = fit_network(spec, wiring, cases, split, None, device="cpu")
    assert (np.isnan(scores["fused"][0]).any(axis=1) == (split == "train")).all()


def test_labels_of_others_and_of_the_fold_itself_do_not_matter():
    spec, wiring, cases, split, folds = memo_case(n=60, training=MEMO.model_copy(update={"epochs": 2}))
    first = fit_network(spec, wiring, cases, split, folds, device="cpu")[1]["fused"]
    other = cases.take(np.arange(60))
    held = (folds == 0) | (split == "test")
    other.targets = np.where(held[:, None], 1 - cases.targets, cases.targets)
    second = fit_network(spec, wiring, other, split, folds, device="cpu")[1]["fused"]
    mine = folds == 0
    np.testing.assert_array_equal(first[:, mine], second[:, mine])
    assert not np.array_equal(first[:, folds == 1], second[:, folds == 1])


def test_readers_learn_in_each_fold_anew():
    spec = make_spec(
        {"age": Numbers(column="age", centred=True)}, {"age": Flat()}, training=TrainingSection(epochs=1, serve="folds")
    )
    cases = make_cases(spec, {"age": range(12), "y": ["a", "b"] * 6}, 12)
    split, folds = np.array(["train"] * 12, dtype=object), np.arange(12) // 6
    fitted, _ = fit_network(spec, wire(spec), cases, split, folds, device="cpu")
    assert [member.readers["age"].mean for member in fitted.members.values()] == [8.5, 2.5]


def pictures(n=24, **options):
    training = options.pop("training", TrainingSection(epochs=2, batch=6, modality_dropout=0.2))
    spec, wiring = two_pictures(Side(), training=training, **options)
    rng = np.random.default_rng(0)
    numbers = [[None if rng.random() < 0.3 else i + 100 * column for i in range(n)] for column in range(3)]
    numbers[0][0] = numbers[1][0] = numbers[2][0] = None
    cases = make_cases(
        spec, {"one": numbers[0], "two": numbers[1], "age": numbers[2], "y": rng.choice(["a", "b"], n)}, n
    )
    split = np.array(["train"] * 16 + ["valid"] * 4 + ["test"] * 4, dtype=object)
    folds = np.where(split == "train", np.arange(n) % 2, -1)
    return spec, wiring, cases, split, folds


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("serve", ["refit", "folds"])
def test_saved_and_loaded_it_says_the_same(tmp_path, frozen, serve):
    training = TrainingSection(epochs=2, batch=6, serve=serve)
    views = PredictionSection(views=("identity", "flip-x", "rotate-90"))
    spec, wiring, cases, split, folds = pictures(training=training, frozen=frozen, prediction=views)
    fitted, scores = fit_network(spec, wiring, cases, split, folds, device="cpu")
    assert scores["one"].shape == (3, 24, 2)
    fitted.save(tmp_path / "network")
    again = FittedNetwork.load(tmp_path / "network", spec, wiring, "cpu")
    for source, given in fitted.predict(cases).items():
        np.testing.assert_array_equal(given, again.predict(cases)[source])
        np.testing.assert_allclose(given[:, 16:], scores[source][:, 16:], rtol=1e-5, atol=1e-6)
    assert again.presence_patterns == fitted.presence_patterns
    files = {path.suffix for path in (tmp_path / "network").rglob("*") if path.is_file()}
    assert files <= {".safetensors", ".json", ".npz"}


@pytest.mark.parametrize("frozen", [True, False])
def test_views_need_not_hold_the_image_as_it_is(frozen):
    spec, wiring, cases, split, _ = pictures(frozen=frozen, prediction=PredictionSection(views=("flip-x",)))
    both, *_ = pictures(frozen=frozen, prediction=PredictionSection(views=("identity", "flip-x")))
    flipped, scores = fit_network(spec, wiring, cases, split, None, device="cpu")
    _, expected = fit_network(both, wiring, cases, split, None, device="cpu")
    for source in scores:  # trained on images as they are all the same
        np.testing.assert_allclose(scores[source][0], expected[source][1], atol=1e-6)
    assert flipped.predict(cases)["fused"].shape[0] == 1


def test_views_differ_and_are_what_the_changed_picture_gives():
    views = PredictionSection(views=("identity", "flip-x"))
    spec, wiring, cases, split, _ = pictures(prediction=views, frozen=True)
    fitted, scores = fit_network(spec, wiring, cases, split, None, device="cpu")
    both = ~np.isnan(scores["one"]).any(axis=(0, 2))
    assert both.any()
    assert not np.allclose(scores["one"][0, both], scores["one"][1, both])
    assert np.array_equal(scores["age"][0], scores["age"][1], equal_nan=True)
    # cached vectors of the mirrored picture are what the network says of it when it is mirrored by hand
    member = fitted.members["network"]
    blocks = read_inputs(member.readers, cases)
    inputs = {m: torch.from_numpy(block.take(slice(None))).float() for m, block in blocks.items()}
    inputs = {m: (tensor / 255).flip(-1) if tensor.dim() == 4 else tensor for m, tensor in inputs.items()}
    with torch.no_grad():
        said = member.network(inputs, {m: torch.from_numpy(block.present) for m, block in blocks.items()})
    for source in ("fused", "one", "two"):
        by_hand = said.scores[source].logits.numpy()[16:]
        np.testing.assert_allclose(scores[source][1, 16:], by_hand, rtol=1e-4, atol=1e-5)


def test_abstention_and_flags():
    spec, wiring, cases, split, folds = pictures(training=TrainingSection(epochs=1, batch=6))
    fitted, scores = fit_network(spec, wiring, cases, split, folds, device="cpu")
    there = {m: np.array([word is not None for word in cases.table[m]]) for m in ("one", "two", "age")}
    others = split != "train"
    for modality, present in there.items():
        assert (np.isnan(scores[modality][0, :, 0]) == ~present).all()
    anything = np.stack(list(there.values())).any(axis=0)
    assert (np.isnan(scores["fused"][0, :, 0]) == ~anything).all()
    assert others.any()
    seen = fitted.presence(cases)
    assert {m: seen[m].tolist() for m in seen} == {m: there[m].tolist() for m in there}
    flags = fitted.pattern_flags(seen)
    assert flags[0] == "none of age, one, two is present"
    shown = {tuple(sorted(m for m in there if there[m][i])) for i in np.flatnonzero(split == "train")} - {()}
    assert fitted.presence_patterns == shown
    for i in np.flatnonzero(anything):
        assert (flags[i] == "") == (tuple(sorted(m for m in there if there[m][i])) in shown)
    new = {m: np.array([m == "two"]) for m in there}
    assert fitted.pattern_flags(new)[0] in ("", "training never showed two without age + one")


def test_frozen_vectors_are_given_and_trained_ones_are_not():
    spec, wiring, cases, split, folds = pictures(frozen=True)
    fitted, _ = fit_network(spec, wiring, cases, split, folds, device="cpu")
    vectors, present = fitted.embed(cases, "one")
    assert vectors.shape == (24, 4)
    assert (present == [word is not None for word in cases.table["one"]]).all()
    assert (vectors[~present] == 0).all()
    with pytest.raises(SpecError, match="learns from labels"):
        fitted.embed(cases, "age")
    with pytest.raises(SpecError, match="did you mean 'one'"):
        fitted.embed(cases, "ones")


def test_no_head_is_encoders_alone():
    spec, wiring = two_pictures("", head="", side_heads=False, frozen=True)
    _, _, cases, split, folds = pictures(frozen=True)
    fitted, scores = fit_network(spec, wiring, cases, split, folds, device="cpu")
    assert scores == {}
    assert fitted.embed(cases, "two")[0].shape == (24, 4)


def test_a_broken_folder_is_named(tmp_path):
    spec, wiring, cases, split, _ = pictures()
    fitted, _ = fit_network(spec, wiring, cases, split, None, device="cpu")
    fitted.save(tmp_path)
    weights = tmp_path / "network.safetensors"
    held = weights.read_bytes()
    weights.write_bytes(held[:-100])
    with pytest.raises(RunError, match=r"network\.safetensors"):
        FittedNetwork.load(tmp_path, spec, wiring, "cpu")
    weights.write_bytes(held)
    about = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(RunError, match="format 99"):
        FittedNetwork.load(tmp_path, spec, wiring, "cpu")
    (tmp_path / "network.json").write_text(json.dumps(about))
    other, other_wiring, *_ = pictures(share=True)
    with pytest.raises(RunError, match=r"missing[\s\S]*too many"):
        FittedNetwork.load(tmp_path, other, other_wiring, "cpu")
    assert all(tensor.device == torch.device("cpu") for tensor in read_tensors(weights).values())


def test_a_label_or_class_that_a_network_never_saw_breaks_nothing():
    labels = {"y": ["a", "b", "never"], "z": ["c", "d"]}
    encoders = {"age": {"part": Flat(), "weights": "none"}}
    spec = make_spec(
        {"age": Numbers(column="age")}, encoders, labels=labels, training=TrainingSection(epochs=2, batch=3)
    )
    y, z = ["a", "b"] * 10, [*["c", "d"] * 4, *[None] * 12]
    cases = make_cases(spec, {"age": range(20), "y": y, "z": z}, 20)
    split = np.array(["train"] * 16 + ["valid"] * 4, dtype=object)
    folds = np.where(split == "train", np.arange(20) // 8, -1)
    _, scores = fit_network(spec, wire(spec), cases, split, folds, device="cpu")
    assert np.isfinite(scores["fused"]).all()


def test_impossible_folds_are_refused():
    spec, wiring, cases, split, folds = memo_case(training=MEMO.model_copy(update={"epochs": 1}))
    with pytest.raises(SpecError, match="every training case"):
        fit_network(spec, wiring, cases, split, np.where(folds >= 0, 0, -1), device="cpu")
    with pytest.raises(SpecError, match="no case is `train`"):
        fit_network(spec, wiring, cases, np.full(120, "test", dtype=object), None, device="cpu")
    with pytest.raises(SpecError, match="no device"):
        fit_network(spec, wiring, cases, split, None, device="gpu")
