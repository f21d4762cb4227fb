"""A training that is stopped anywhere and resumed is the training that was not."""

import json

import numpy as np
import pytest
from cohort import TWO_STAGES, cases_of, pipeline_of

import mmfuse
from mmfuse.discovery import PluginInfo
from mmfuse.errors import RunError
from mmfuse.events import EpochEnded, Notice, StepEnded
from mmfuse.net.checkpoints import Checkpoint
from mmfuse.work import Work, identity

PLAN = {"decisions": TWO_STAGES, "training": {"epochs": 3, "batch": 16, "lr": 0.02, "folds": 2, "patience": 2}}


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread():
    import torch

    torch.set_num_threads(1)


class Killed(Exception):  # noqa: N818  # what happened, not what went wrong
    """Stands for a process that is gone."""


def fit(work=None, stop_after=None):
    """(pipeline, events); stopped at that event."""
    told = []

    def watch(event):
        told.append(event)
        if stop_after is not None and len(told) > stop_after:
            raise Killed

    pipeline = pipeline_of(watch, **PLAN)
    return pipeline.fit(cases_of(pipeline.spec, n=60), work=work), told


def opened(tmp_path, resume):
    pipeline = pipeline_of(**PLAN)
    cases = cases_of(pipeline.spec, n=60)
    split = mmfuse.assign(cases, pipeline.spec.card.split)
    return Work.open(
        tmp_path / "run", identity(pipeline.spec, cases, split, [PluginInfo("a", "of b", "1.0")], "cpu"), resume
    )


@pytest.fixture(scope="module")
def whole():
    return fit()


def same(one, other):
    for name in one.scores.sources:
        np.testing.assert_array_equal(one.scores.sources[name], other.scores.sources[name])
    for name, member in one.network.members.items():
        state, again = member.network.state_dict(), other.network.members[name].network.state_dict()
        assert all((state[key] == again[key]).all() for key in state)
        assert member.trained == other.network.members[name].trained


def test_stopped_at_any_event_and_resumed_it_is_the_same(whole, tmp_path):
    pipeline, events = whole
    assert len(events) > 15
    for stop in range(1, len(events), 2):
        place = tmp_path / f"stop {stop}"
        place.mkdir()
        with pytest.raises(Killed):
            fit(opened(place, False), stop)
        again, _ = fit(opened(place, True))
        same(pipeline, again)


def test_what_is_done_is_not_done_again(whole, tmp_path):
    pipeline, events = whole
    last = max(i for i, event in enumerate(events) if isinstance(event, EpochEnded))
    with pytest.raises(Killed):
        fit(opened(tmp_path, False), last)
    work = opened(tmp_path, True)
    assert work.is_done("network")
    assert work.is_done("fold 1")
    assert not work.is_done("fold 2")
    assert not list(work.step("network").glob("checkpoint*")), "a step that is done needs no checkpoint"
    again, told = fit(work)
    epochs = [event for event in told if isinstance(event, EpochEnded)]
    assert {event.network for event in epochs} <= {"fold 2"}
    assert any(isinstance(event, Notice) and "goes on after epoch" in event.text for event in told)
    assert sum(isinstance(event, StepEnded) for event in told) == sum(isinstance(e, StepEnded) for e in events)
    same(pipeline, again)


def test_work_of_another_training_is_refused_by_what_differs(tmp_path):
    with pytest.raises(Killed):
        fit(opened(tmp_path, False), 8)
    with pytest.raises(RunError, match=r"an interrupted training stands here(?s:.*)--resume"):
        opened(tmp_path, False)
    about = json.loads((tmp_path / "run.work" / "work.json").read_text())
    with pytest.raises(RunError, match="another spec, another set of versions"):
        Work.open(tmp_path / "run", {**about, "spec": "", "set of versions": ""}, True)
    with pytest.raises(RunError, match="another table"):
        Work.open(tmp_path / "run", {**about, "table": ""}, True)
    Work.open(tmp_path / "run", about, True)
    (tmp_path / "run.work" / "work.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        Work.open(tmp_path / "run", about, True)


def test_nothing_done_is_nothing_to_resume(tmp_path):
    work = opened(tmp_path, True)
    assert not work.holds_anything
    work.step("network")
    opened(tmp_path, False)
    work.remove_if_empty()
    assert not work.folder.exists()


def test_a_broken_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"half")
    with pytest.raises(RunError, match=r"checkpoint.safetensors: cannot be read"):
        Checkpoint(path).read()
    with pytest.raises(RunError, match="cannot be written"):
        Checkpoint(tmp_path / "no" / "folder" / ("x" * 300)).write({}, {})


def test_the_table_is_told_apart_by_its_cells(tmp_path):
    pipeline = pipeline_of(**PLAN)
    one, other = (cases_of(pipeline.spec, n=60, seed=seed) for seed in (0, 1))
    split = mmfuse.assign(one, pipeline.spec.card.split)
    digests = [identity(pipeline.spec, cases, split, [], "cpu") for cases in (one, one, other)]
    assert digests[0] == digests[1]
    slow, other = PluginInfo("a", "of b", "1.0", seconds=2.0), PluginInfo("a", "of b", "1.1")
    versions = [identity(pipeline.spec, one, split, [given], "cpu")["set of versions"] for given in (slow, other)]
    assert (
        versions[0] == identity(pipeline.spec, one, split, [PluginInfo("a", "of b", "1.0")], "cpu")["set of versions"]
    )
    assert versions[0] != versions[1]
    assert digests[0]["table"] != digests[2]["table"]
    assert digests[0]["spec"] == digests[2]["spec"]


def test_another_process_is_the_same_set_of_versions():
    """What the import of plugins cost, which differs each time, is no part of a training."""
    pipeline = pipeline_of(**PLAN)
    cases = cases_of(pipeline.spec, n=60)
    split = mmfuse.assign(cases, pipeline.spec.card.split)
    one, other = (mmfuse.Catalog().plugins for _ in range(2))
    assert [plugin.seconds for plugin in one] != [plugin.seconds for plugin in other]
    digests = [identity(pipeline.spec, cases, split, plugins, "cpu") for plugins in (one, other, one[1:])]
    assert digests[0] == digests[1]
    assert digests[0]["set of versions"] != digests[2]["set of versions"]
