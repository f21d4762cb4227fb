"""Learning without labels: who is read, what is not looked at, what comes of it, and that it can be stopped."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from cohort import CARD, columns
from torch import nn

import mmfuse
from mmfuse import Cases, Pretext, Table
from mmfuse.errors import RunError, SpecError, TableError
from mmfuse.events import EpochEnded, Notice
from mmfuse.hooks import hookimpl
from mmfuse.work import Work, identity


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread():
    torch.set_num_threads(1)


class Objective(nn.Module):
    """The fused vectors of two readings agree, and each case is near its place of the last epoch."""

    def __init__(self, width, cases, log):
        super().__init__()
        self.project = nn.Linear(width, 3)
        self.register_buffer("places", torch.zeros(cases, 3))
        self.log = log

    def begin_epoch(self, epoch, embed):
        self.places.copy_(self.project(embed(lambda outputs: outputs.fused.vector)).detach() + 0.1)
        self.log["places"] = self.places.shape
        return ("a remark",) if epoch == 2 else ()

    def forward(self, draws, position, gather):
        self.log["scores"] = {name: scores.logits.shape for name, scores in draws[0].scores.items()}
        self.log.setdefault("positions", set()).update(position.tolist())
        one, two = (self.project(outputs.fused.vector) for outputs in draws)
        return {"agree": (one - two).square().mean(), "stay": (one - self.places[position]).square().mean()}


class Agree(Pretext):
    """Two readings agree."""

    log: ClassVar[dict] = {}

    @property
    def draws(self):
        return 2

    def objections(self, modalities):
        return ("it reads two modalities",) if len(modalities) < 2 else ()

    def build(self, widths, labels, cases):
        self.log.clear()
        self.log["widths"] = dict(widths)
        return Objective(widths["fused"], cases, self.log)


class Brings:
    @hookimpl
    def mmfuse_parts(self):
        return [Agree]


CATALOG = mmfuse.Catalog(Brings(), installed=False)
NETWORK = {
    "encoders": {"table": {"use": "mlp", "widths": [6], "dropout": 0.2}, "vector": {"use": "mlp", "widths": [8]}},
    "fusion": "concat",
    "head": "linear",
}


def spec_of(**plan):
    made = {
        "network": NETWORK,
        "training": {"epochs": 4, "batch": 16, "lr": 0.02, "modality_dropout": 0.2},
        "pretexts": {"first": "agree", "second": {"use": "agree", "epochs": 2, "hold_encoders": True}},
    }
    return mmfuse.load({**made, **plan}, CARD, catalog=CATALOG)


def cases_of(spec, cells=None):
    return Cases(Table.of(cells or columns(60)), spec.card, labelled=False)


def pretrained(spec=None, cases=None, work=None, stop_after=None, told=None):
    spec = spec or spec_of()
    told = [] if told is None else told

    def watch(event):
        told.append(event)
        if stop_after is not None and len(told) > stop_after:
            raise InterruptedError

    made = mmfuse.Pretraining(spec, catalog=CATALOG, device="cpu", watch=watch)
    return made.fit(cases or cases_of(spec), work=work)


def state_of(made):
    return made.network.members["network"].network.state_dict()


def test_test_cases_and_labels_are_left_out():
    cells = columns(60)
    one = pretrained(cases=cases_of(spec_of(), cells))
    outside = sum(word != "test" for word in cells["split"])
    log = Agree.log
    assert log["places"] == (outside, 3)
    assert log["positions"] == set(range(outside))
    assert set(log["widths"]) == {"meta", "emb", "fused"}
    there = [word == "test" for word in cells["split"]]
    changed = {**cells, "e0": ["9" if test else word for word, test in zip(cells["e0"], there, strict=True)]}
    unlabelled = {name: column for name, column in changed.items() if name not in ("sign", "grade")}
    two = pretrained(cases=cases_of(spec_of(), unlabelled))
    assert all(torch.equal(value, state_of(two)[name]) for name, value in state_of(one).items())


def test_transductive_is_said_and_reads_all():
    told = []
    spec = spec_of(training={"epochs": 1, "transductive": True})
    pretrained(spec, told=told)
    assert Agree.log["places"] == (60, 3)
    assert any("transductive" in event.text for event in told if isinstance(event, Notice))


def test_each_step_learns_what_its_line_says():
    told = []
    spec = spec_of()
    made = pretrained(spec, told=told)
    epochs = [(event.network, event.epochs) for event in told if isinstance(event, EpochEnded)]
    assert epochs == [("pretext first", 4)] * 4 + [("pretext second", 2)] * 2
    assert all({"agree", "stay"} <= set(e.losses) for e in told if isinstance(e, EpochEnded))
    assert any("a remark" in event.text for event in told if isinstance(event, Notice))
    only = spec_of(pretexts={"first": "agree"})
    first = state_of(pretrained(only))
    encoders = {name for name in first if name.startswith("encoders.")}
    assert all(torch.equal(first[name], state_of(made)[name]) for name in encoders), "the second step holds encoders"
    assert all(p.requires_grad for p in made.network.members["network"].network.parameters())


def test_stopped_anywhere_and_resumed_it_is_the_same(tmp_path):
    spec = spec_of()
    cases = cases_of(spec)
    split = mmfuse.assign(cases, spec.card.split)
    about = identity(spec, cases, split, [], "cpu")
    told = []
    whole = state_of(pretrained(spec, cases, told=told))
    for stop in range(1, len(told)):
        run = tmp_path / str(stop)
        with pytest.raises(InterruptedError):
            pretrained(spec, cases, Work.open(run, about, False), stop)
        again = state_of(pretrained(spec, cases, Work.open(run, about, True)))
        assert all(torch.equal(value, again[name]) for name, value in whole.items()), stop


def test_a_run_that_others_start_from(tmp_path):
    spec = spec_of()
    made = pretrained(spec)
    made.save(tmp_path / "run")
    state = state_of(made)
    lines = {
        "table": {**NETWORK["encoders"]["table"], "weights": str(tmp_path / "run"), "frozen": True},
        "vector": {**NETWORK["encoders"]["vector"], "weights": f"{tmp_path / 'run'}#emb", "frozen": True},
    }
    plan = {"network": {**NETWORK, "encoders": lines}, "training": {"epochs": 1, "folds": 2}}
    later = mmfuse.load(plan, CARD, catalog=CATALOG)
    pipeline = mmfuse.Pipeline(later, catalog=CATALOG, device="cpu")
    pipeline.fit(Cases(Table.of(columns(60)), later.card))
    trained = pipeline.network.members["network"].network.state_dict()
    same = [name for name in state if name.startswith("encoders.")]
    assert same
    assert all(torch.equal(state[name], trained[name]) for name in same)
    whole = mmfuse.load({**plan, "network": {**NETWORK, "weights": str(tmp_path / "run")}}, CARD, catalog=CATALOG)
    told = []
    mmfuse.Pipeline(whole, catalog=CATALOG, device="cpu", watch=told.append).fit(
        Cases(Table.of(columns(60)), whole.card)
    )
    assert any("tensors come from" in event.text for event in told if isinstance(event, Notice))
    with pytest.raises(RunError, match="learnt without labels"):
        mmfuse.Pipeline.load(tmp_path / "run", catalog=CATALOG)
    with pytest.raises(RunError, match="learnt without labels"):
        _ = mmfuse.Run(tmp_path / "run").scores


def test_what_cannot_be_pretrained_is_refused():
    with pytest.raises(SpecError, match=r"no \[pretexts\]"):
        pretrained(spec_of(pretexts={}))
    alone = {**NETWORK, "encoders": {"vector": "linear"}, "fusion": ""}
    with pytest.raises(SpecError, match=r"pretexts.first: it reads two modalities(?s:.*)pretexts.second"):
        pretrained(spec_of(network=alone))
    with pytest.raises(SpecError, match="no pretext is called 'agre'"):
        spec_of(pretexts={"a": "agre"})


class Answers(Agree):
    """Reads the head."""

    @property
    def needs(self):
        return ("fusion", "head")


class Late(Agree):
    """Cannot be built."""

    def build(self, widths, labels, cases):
        raise SpecError("does not fit")


def test_what_an_objective_needs_is_asked_before_anything_is_learnt():
    class More:
        @hookimpl
        def mmfuse_parts(self):
            return [Agree, Answers, Late]

    catalog = mmfuse.Catalog(More(), installed=False)

    def made(told, network, **pretexts):
        plan = {"network": network, "training": {"epochs": 1}, "pretexts": pretexts}
        spec = mmfuse.load(plan, CARD, catalog=catalog)
        made = mmfuse.Pretraining(spec, catalog=catalog, device="cpu", watch=told.append)
        return made.fit(cases_of(spec))

    headless, told = {**NETWORK, "head": ""}, []
    with pytest.raises(
        SpecError, match=r"pretexts.last: 'answers' reads the network's head, and there is none(?s:.*)\[network\]"
    ):
        made(told, headless, first="agree", last="answers")
    made(told, headless, first="agree")
    made(told, NETWORK, first="answers")
    told.clear()
    with pytest.raises(SpecError, match=r"pretexts.last(?s:.*)does not fit"):
        made(told, NETWORK, first="agree", last="late")
    assert not [event for event in told if isinstance(event, EpochEnded)]


def test_a_share_of_the_labels_by_group():
    spec = mmfuse.load({"network": NETWORK, "training": {"epochs": 1}, "split": {"column": "split", "labelled": 0.3}},
                       CARD, catalog=CATALOG)  # fmt: skip
    told = []
    pipeline = mmfuse.Pipeline(spec, catalog=CATALOG, device="cpu", watch=told.append)
    cases = Cases(Table.of(columns(200)), spec.card)
    pipeline.fit(cases)
    split, whole = pipeline.scores.split, np.array(cases.table["split"])
    left = (split == "train").sum() / (whole == "train").sum()
    assert 0.25 < left < 0.35
    assert (split[whole != "train"] == whole[whole != "train"]).all()
    kept, out = set(cases.groups[split == "train"]), set(cases.groups[(whole == "train") & (split == "")])
    assert not kept & out
    assert any("labelled = 0.3" in event.text for event in told if isinstance(event, Notice))


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_averages_are_kept_without_labels_too(average):
    training = {"epochs": 4, "batch": 16, "lr": 0.02, "sampling": "balanced"}
    plain, averaged = (state_of(pretrained(spec_of(training={**training, "average": w}))) for w in ("none", average))
    moved = {name for name in plain if not torch.equal(plain[name], averaged[name])}
    assert {name for name in plain if name.startswith("encoders.") and name.endswith("weight")} <= moved
    assert all(tensor.isfinite().all() for tensor in averaged.values())


def test_a_split_that_tears_groups_is_refused_by_name():
    made, cases = mmfuse.Pretraining(spec_of(), catalog=CATALOG, device="cpu"), cases_of(spec_of())
    with pytest.raises(TableError, match="30 groups straddle two splits: 'p0' in train and test"):
        made.fit(cases, np.array(["train", "test"] * 30))
    with pytest.raises(TableError, match="one word a case"):
        made.fit(cases, np.array(["train", "train", "test"]))
    assert made.network is None


class Halting(Agree):
    """Agrees until it gives no number, which passes for an abstention."""

    contrasts: ClassVar[bool] = True

    def build(self, widths, labels, cases):
        class Silent(Objective):
            def forward(self, draws, position, gather):
                heard = torch.stack([~d.fused.vector.isnan().any(dim=1) for d in draws]).all(dim=0)
                one, two = (self.project(d.fused.vector[heard]) for d in draws)
                return {"agree": 1e30 * (one - two).square().sum()}

        return Silent(widths["fused"], cases, self.log)


def test_an_objective_that_diverges_is_an_error_and_nothing_is_kept():
    """Its own loss would be 0 once nobody is heard."""
    catalog = mmfuse.Catalog(Halts(), installed=False)
    training = {"epochs": 20, "batch": 16, "lr": 1e20, "optimiser": "sgd", "schedule": "constant"}
    given = {"network": NETWORK, "training": training, "pretexts": {"p": "halting"}}
    spec = mmfuse.load(given, CARD, catalog=catalog)
    told = []
    made = mmfuse.Pretraining(spec, catalog=catalog, device="cpu", watch=told.append)
    with pytest.raises(SpecError, match=r"pretext p, epoch \d+") as caught:
        made.fit(cases_of(spec))
    assert "finite" in str(caught.value)
    assert all(e.losses["agree"] > 0 for e in told if isinstance(e, EpochEnded))


class Halts:
    @hookimpl
    def mmfuse_parts(self):
        return [Halting, Agree]


def test_accumulated_contrasts_are_told():
    catalog = mmfuse.Catalog(Halts(), installed=False)
    for use, warned in (("halting", True), ("agree", False)):
        training = {"epochs": 1, "batch": 8, "accumulate": 2, "lr": 1e-30}
        given = {"network": NETWORK, "training": training, "pretexts": {"p": use}}
        spec, told = mmfuse.load(given, CARD, catalog=catalog), []
        mmfuse.Pretraining(spec, catalog=catalog, device="cpu", watch=told.append).fit(cases_of(spec))
        said = [event.text for event in told if isinstance(event, Notice) and event.level == "warning"]
        assert [f"'{use}' tells a case apart" in text for text in said if "accumulate" in text] == [True] * warned


def test_batches_of_a_step_without_labels_are_one_large_batch():
    """Weighed by the number of cases, which is what the objective's means are over."""
    line = {"use": "mlp", "widths": [6], "dropout": 0.0, "norm": "layer"}
    network = {**NETWORK, "encoders": {"table": line, "vector": line}, "fusion": "mean"}
    found = []
    for batch, many in ((16, 1), (4, 4), (8, 2)):
        training = {"epochs": 2, "batch": batch, "accumulate": many, "lr": 0.05, "optimiser": "sgd"}
        made = pretrained(spec_of(network=network, training=training, pretexts={"p": "agree"}))
        found.append({name: value for name, value in state_of(made).items() if "standins" not in name})
    for other in found[1:]:
        for name, tensor in found[0].items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-5, atol=1e-6)
