"""A network that reads brightness: darkening one image costs what it should, and figures are of the stored scores."""

import numpy as np
import pytest
from PIL import Image

import mmfuse
from mmfuse import Cases, SpecError, Table

SIDE = 16


def some(*names):
    return {name: mmfuse.CORRUPTIONS[name] for name in names}


CARD = {
    "cases": {"id": "id"},
    "labels": {"bright": ["no", "yes"]},
    "modalities": {
        "near": {"use": "image", "column": "near", "size": SIDE},
        "far": {"use": "image", "column": "far", "size": SIDE},
    },
    "split": {"column": "split"},
}
PLAN = {
    "network": {"encoders": {"image": {"use": "pixels"}}, "fusion": "concat", "head": "linear", "side_heads": True},
    "training": {"epochs": 40, "batch": 16, "lr": 0.01, "best": {"metric": ""}, "folds": 2},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """`near` shows the label by its brightness, `far` shows nothing."""
    import torch

    torch.set_num_threads(1)
    folder, rng = tmp_path_factory.mktemp("stress"), np.random.default_rng(0)
    truth = np.arange(90) % 2
    for case, bright in enumerate(truth):
        for name, mean in (("near", 90 + 90 * bright), ("far", 128)):
            grey = np.clip(mean + 20 * rng.standard_normal((SIDE, SIDE)), 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{name}{case}.png")
    table = Table.of(
        {
            "id": [f"c{case}" for case in range(90)],
            "bright": ["yes" if one else "no" for one in truth],
            **{name: [f"{name}{case}.png" for case in range(90)] for name in ("near", "far")},
            "split": ["train"] * 50 + ["test"] * 40,
        }
    )
    spec = mmfuse.load(PLAN, CARD)
    cases = Cases(table, spec.card, folder)
    return mmfuse.Pipeline(spec, device="cpu").fit(cases), cases.take(np.arange(50, 90))


def test_figures_are_those_of_the_altered_pipeline(fitted):
    pipeline, cases = fitted
    found = mmfuse.stress(pipeline, cases, some("darkening", "absent"))
    assert [trial.source for trial in found.trials] == [
        f"{modality} {word}"
        for modality in ("near", "far")
        for word in ("darkening 1", "darkening 2", "darkening 3", "absent 1")
    ]
    assert (found.source, len(found.table)) == ("fused", 40)
    expected = pipeline.sources(
        cases, altered=mmfuse.corrupted("near", "darkening", mmfuse.CORRUPTIONS["darkening"], 3)
    )
    np.testing.assert_array_equal(found.table.sources["near darkening 3"], expected.sources["fused"])
    np.testing.assert_allclose(found.table.sources["clean"], pipeline.sources(cases).sources["fused"], atol=1e-5)
    trial = found.trials[2]
    told = found.suffered(trial, "accuracy")
    right = {
        name: (found.table.probabilities(name).argmax(axis=1) == cases.targets[:, 0]).mean()
        for name in ("clean", trial.source)
    }
    assert told.figure.value == pytest.approx(right[trial.source])
    assert told.difference.value == pytest.approx(right[trial.source] - right["clean"])


def test_what_carries_the_label_is_what_suffers(fitted):
    pipeline, cases = fitted
    found = mmfuse.stress(pipeline, cases, some("darkening"))
    assert found.clean("accuracy").value > 0.95
    near, far = found.suffered(found.trials[2], "accuracy"), found.suffered(found.trials[5], "accuracy")
    assert near.difference.high < -0.2
    assert abs(far.difference.value) < 0.2


def test_a_source_that_abstains_is_compared_where_it_speaks(fitted):
    pipeline, cases = fitted
    found = mmfuse.stress(pipeline, cases, some("absent", "static"), source="near", modalities=["near"])
    absent = next(trial for trial in found.trials if trial.corruption == "absent")
    assert np.isnan(found.table.sources[absent.source]).all()
    assert found.suffered(absent, "accuracy").difference.cases == 0
    assert np.isnan(found.suffered(absent, "accuracy").difference.value)


def test_a_seed_is_a_seed(fitted):
    pipeline, cases = fitted

    def drawn(asked, seed):
        found = mmfuse.stress(pipeline, asked, some("static"), modalities=["near"], seed=seed)
        return found.table.sources["near static 1"]

    whole = drawn(cases, 0)
    np.testing.assert_allclose(drawn(cases.take(np.arange(7, 12)), 0), whole[:, 7:12], atol=1e-5)
    assert not np.allclose(drawn(cases, 1), whole)


def test_what_is_unknown_is_named(fitted):
    pipeline, cases = fitted
    for words, message in (
        ({"modalities": ["nera"]}, r"no image modality is called 'nera'(.|\n)*'near'"),
        ({"source": "final"}, "no source is called 'final'"),
        ({"modalities": ["nera"], "source": "final"}, r"2 faults(.|\n)*'nera'(.|\n)*'final'"),
    ):
        with pytest.raises(SpecError, match=message):
            mmfuse.stress(pipeline, cases, some("absent"), **words)
