"""The recipes of SM3: they load with any card and do what they say; pretraining can be stopped, and what rests on it
tells so.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import mmfuse
from mmfuse.cli import main
from mmfuse_skin import Derm7pt, Milk10k, mmfuse_recipes

RECIPES = {path.stem: path for path in mmfuse_recipes()}
PRETRAINING, EVALUATIONS = ("sm3", "sm3-paper"), ("linear-probe", "knn-probe", "fine-tune")
NETWORK = ["network.encoders.image.model=test_resnet", "network.encoders.image.weights=none"]
SMALL = [
    *NETWORK, "network.head.width=8", "pretexts.contrast.hidden=[8]", "pretexts.contrast.width=4",
    "pretexts.contrast.epochs=2", "pretexts.clusters.epochs=2", "training.batch=16",
]  # fmt: skip
CATALOG = mmfuse.Catalog()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    tidy = CATALOG.find("adapter", "synthetic")(cases=40, size=48, absent=0.2).tidy(folder)
    return tidy, folder


def cases_of(cohort, spec):
    return mmfuse.Cases(cohort[0].table, spec.card, cohort[1])


def load(cohort, name, *sets):
    return mmfuse.load(name, cohort[0].card, catalog=CATALOG, sets=list(sets))


@pytest.mark.parametrize("name", [*PRETRAINING, *EVALUATIONS])
def test_any_card_will_do(name, official_derm7pt, milk10k):
    plan = tomllib.loads(RECIPES[name].read_text(encoding="utf-8"))
    eyes = {use: {"use": "image", "column": use, "size": 96} for use in ("left", "middle", "right")}
    other = {"cases": {"id": "id"}, "labels": {"glaucoma": ["no", "yes"]}, "modalities": eyes}
    for card in (Derm7pt().tidy(official_derm7pt.folder).card, Milk10k().tidy(milk10k.write()).card, other):
        spec = mmfuse.load(name, card)
        wiring = mmfuse.wire(spec)
        assert wiring.encoders.keys() == {m for m, part in card["modalities"].items() if part["use"] == "image"}
        named = {*card["modalities"], *card["labels"]}
        assert not named & {word for section in plan.values() if isinstance(section, dict) for word in section}
        assert spec == mmfuse.load(tomllib.loads(mmfuse.dump(spec)))
        if name in PRETRAINING:
            assert list(spec.plan.pretexts) == ["contrast", "clusters"]
            assert spec.plan.pretexts["clusters"].hold_encoders
            assert not any(line.tied for line in spec.plan.augment.values())


def test_the_paper(official_derm7pt):
    spec = mmfuse.load("sm3-paper", Derm7pt().tidy(official_derm7pt.folder).card)
    contrast, clusters = spec.plan.pretexts.values()
    assert (contrast.part.temperature, contrast.part.hidden, contrast.part.width) == (0.1, (2048, 2048), 128)
    assert (contrast.part.pairing, contrast.part.within, contrast.part.across) == ("same-view", 1, 1)
    assert (contrast.epochs, contrast.batch, contrast.lr) == (400, 96, 1e-6)
    assert (clusters.epochs, clusters.batch, clusters.lr, clusters.part.temperature) == (150, 256, 1e-4, 1)
    assert (spec.plan.training.optimiser, spec.plan.training.weight_decay) == ("adamw", 0.05)
    assert spec.plan.training.schedule == "constant"
    assert [step.pixels for step in spec.card.modalities["derm"].steps] == [25]
    head = spec.plan.network.head
    assert (head.width, head.attention_heads, head.ffn, head.dropout) == (512, 1, 128, 0.1)


def test_only_a_linear_layer_learns(cohort):
    spec = load(cohort, "linear-probe", *NETWORK, "training.epochs=2")
    pipeline = mmfuse.Pipeline(spec, catalog=CATALOG, device="cpu").fit(cases_of(cohort, spec))
    network = pipeline.network.members["network"].network
    shapes = {name: reader.shape for name, reader in pipeline.network.members["network"].readers.items()}
    first = mmfuse.FusionNetwork(spec, pipeline.wiring, shapes, spec.card.label_set).state_dict()
    learnt = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    linear = {f"heads.fused.{name}" for name, _ in network.heads["fused"].named_parameters()}
    assert sorted(p.dim() for p in network.heads["fused"].parameters()) == [1, 2], "one linear layer"
    # What stands for an absent image is that layer's answer to "absent".
    absent = {f"standins.{name}.offsets.vector" for name in ("clinic", "derm")}
    assert learnt == linear | absent
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, first[name])}
    assert linear <= moved
    assert not {name for name in moved if name.startswith("encoders.")}
    assert network.fusion is not None
    assert not list(network.fusion.parameters())


def test_nothing_learns_in_the_knn_probe(cohort):
    spec = load(cohort, "knn-probe", *NETWORK)
    pipeline = mmfuse.Pipeline(spec, catalog=CATALOG, device="cpu").fit(cases_of(cohort, spec))
    assert list(pipeline.scores.sources) == ["knn"]
    network = pipeline.network.members["network"].network
    assert all(name.startswith("standins.") for name, p in network.named_parameters() if p.requires_grad)
    assert not network.heads


def pretrained(cohort, work=None, stop_at=None, told=None):
    spec = load(cohort, "sm3", *SMALL)

    def watch(event):
        (told if told is not None else []).append(event)
        if stop_at is not None and isinstance(event, mmfuse.EpochEnded) and (event.network, event.epoch) == stop_at:
            raise InterruptedError

    made = mmfuse.Pretraining(spec, catalog=CATALOG, device="cpu", watch=watch)
    return made.fit(cases_of(cohort, spec), work=work)


def state_of(made):
    return made.network.members["network"].network.state_dict()


def test_killed_half_way_it_comes_to_the_same(cohort, tmp_path):
    spec = load(cohort, "sm3", *SMALL)
    cases = cases_of(cohort, spec)
    about = mmfuse.identity(spec, cases, mmfuse.assign(cases, spec.card.split), [], "cpu")
    told = []
    whole = state_of(pretrained(cohort, told=told))
    epochs = [event for event in told if isinstance(event, mmfuse.EpochEnded)]
    assert [event.network for event in epochs] == ["pretext contrast"] * 2 + ["pretext clusters"] * 2
    assert set(epochs[0].losses) == {"within clinic", "within derm", "across clinic derm"}
    assert {f"clusters {label}" for label in spec.card.labels} == set(epochs[-1].losses)
    for stop in (("pretext contrast", 1), ("pretext clusters", 1)):
        run = tmp_path / stop[0]
        with pytest.raises(InterruptedError):
            pretrained(cohort, mmfuse.Work.open(run, about, False), stop)
        again = state_of(pretrained(cohort, mmfuse.Work.open(run, about, True)))
        assert all(torch.equal(value, again[name]) for name, value in whole.items()), stop


def test_what_rests_on_test_images_says_so_each_time(cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cohort[0].table.write(cohort[1] / "cases.csv")
    (cohort[1] / "cases.toml").write_text(mmfuse.dump(mmfuse.load_card(cohort[0].card)), encoding="utf-8")
    table = str(cohort[1] / "cases.csv")

    def run(*words):
        result = CliRunner().invoke(main, [*words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    sets = [
        word for one in (*SMALL, "training.transductive=true", "pretexts.clusters.epochs=1") for word in ("--set", one)
    ]
    assert "reads the" in run("pretrain", "sm3", table, "--out", "before", *sets)
    start = ["--set", NETWORK[0], "--set", "network.encoders.image.weights=before", "--set", "training.epochs=1"]
    said = "test images without their labels (transductive)"
    assert said in run("train", "linear-probe", table, "--out", "after", *start)
    assert said in run("evaluate", "after", "--no-intervals")
    assert said in mmfuse.Run(Path("after")).remarks[0]
