"""Altered inputs reach everything behind them: encoders, fusion, side heads and the vectors that second stages read."""

import numpy as np
import pytest
import torch
from tiny_parts import Conv, Flat, Numbers, Picture, Side, make_cases, make_spec, two_pictures

from mmfuse.errors import PartError
from mmfuse.net.altering import Reading, exchanged
from mmfuse.net.predicting import fit_network
from mmfuse.wiring import wire

N = 12
SPLIT = np.array(["train"] * 10 + ["valid"] * 2, dtype=object)


def columns(**other):
    labels = np.array(["a", "b"])[np.arange(N) % 2]
    return {"one": [None, *range(1, N)], "two": [*range(100, 99 + N), None], "age": range(N), "y": labels, **other}


def fitted(**options):
    spec, wiring = two_pictures(**options)
    network, _ = fit_network(spec, wiring, make_cases(spec, columns(), N), SPLIT, None, device="cpu")
    return spec, network


@pytest.fixture(scope="module")
def frozen():
    return fitted(frozen=True, share=True)


@pytest.fixture(scope="module")
def learnt():
    return fitted()


@pytest.mark.parametrize("which", ["frozen", "learnt"])
def test_nothing_altered_is_nothing_changed(which, request):
    spec, network = request.getfixturevalue(which)
    cases = make_cases(spec, columns(), N)
    seen = []

    def look(read):
        seen.extend(read.ids)
        assert {m: t.shape[1:] for m, t in read.inputs.items()} == {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}
        assert 0 <= read.inputs["one"].min() <= read.inputs["one"].max() <= 1
        assert read.present["one"].dtype == torch.bool
        return read

    plain, altered = network.predict(cases), network.predict(cases, altered=look)
    assert sorted(seen) == sorted(cases.ids)
    assert plain.keys() == altered.keys() == {"fused", "one", "two", "age"}
    for source, scores in plain.items():
        np.testing.assert_allclose(altered[source], scores, atol=1e-5)


@pytest.mark.parametrize("which", ["frozen", "learnt"])
def test_exchanging_what_was_read_equals_exchanging_the_cells(which, request):
    spec, network = request.getfixturevalue(which)
    cells = columns()
    swapped = make_cases(spec, {**cells, "one": cells["two"], "two": cells["one"]}, N)
    altered = network.predict(make_cases(spec, cells, N), altered=exchanged("one", "two"))
    for source, scores in network.predict(swapped).items():
        np.testing.assert_allclose(altered[source], scores, atol=1e-5)
    assert np.isnan(altered["one"][0, -1]).all()  # presence goes with what was read
    assert np.isfinite(altered["one"][0, 0]).all()
    assert np.abs(altered["fused"] - network.predict(make_cases(spec, cells, N))["fused"]).max() > 1e-3


def test_a_hidden_modality_is_an_absent_one(learnt):
    spec, network = learnt

    def hide(read):
        nobody = {**read.present, "age": torch.zeros_like(read.present["age"])}
        return Reading(read.ids, read.inputs, nobody)

    hidden = network.predict(make_cases(spec, columns(), N), altered=hide)
    absent = network.predict(make_cases(spec, columns(age=[None] * N), N))
    for source, scores in absent.items():
        np.testing.assert_allclose(hidden[source], scores, atol=1e-5)


def test_the_vectors_that_second_stages_read_are_altered_too(frozen):
    spec, network = frozen
    cases = make_cases(spec, columns(), N)
    vectors, present = network.embed(cases, "one", altered=exchanged("one", "two"))
    expected, there = network.embed(cases, "two")
    np.testing.assert_array_equal(present, there)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert not vectors[~present].any()
    for_nobody, _ = network.embed(cases.take(np.arange(0)), "one", altered=exchanged("one", "two"))
    assert for_nobody.shape == (0, 4)


def test_another_shape_is_refused(learnt):
    spec, network = learnt
    cases = make_cases(spec, columns(), N)
    with pytest.raises(PartError, match=r"as read"):
        network.predict(cases, altered=exchanged("one", "age"))
    with pytest.raises(PartError, match=r"keep modalities"):
        network.predict(cases, altered=lambda read: Reading(read.ids, {}, read.present))


def test_fold_networks_are_altered_alike():
    modalities = {"one": Picture(column="one"), "two": Picture(column="two"), "age": Numbers(column="age")}
    encoders = {"picture": {"part": Conv(), "weights": "none"}, "numbers": {"part": Flat(), "weights": "none"}}
    spec = make_spec(modalities, encoders, fusion=Side())
    training = spec.plan.training.model_copy(update={"serve": "folds", "epochs": 1})
    spec = spec.model_copy(update={"plan": spec.plan.model_copy(update={"training": training})})
    cells = columns()
    folds = np.where(SPLIT == "train", np.arange(N) // 2 % 2, -1)
    network, _ = fit_network(spec, wire(spec), make_cases(spec, cells, N), SPLIT, folds, device="cpu")
    swapped = make_cases(spec, {**cells, "one": cells["two"], "two": cells["one"]}, N)
    altered = network.predict(make_cases(spec, cells, N), altered=exchanged("one", "two"))
    np.testing.assert_allclose(altered["fused"], network.predict(swapped)["fused"], atol=1e-5)
