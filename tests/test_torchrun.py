"""Several processes of one training, launched by torchrun: the loss curve and the scores of one process, each case
predicted once, one voice, and a resumed training."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mmfuse

PLAN = """
[augment.geometry]
use = "geometry"
on = ["image"]
[network]
encoders.image = { use = "timm", model = "test_vit", weights = "none" }
encoders.table = { use = "linear" }
fusion = "concat"
head = "linear"
side_heads = true
[training]
epochs = 2
batch = 15
modality_dropout = 0.2
[decisions.final]
use = "simplex"
reads = ["fused", "image"]
step = 0.25
learn = "train"
"""
"""Nothing in it takes statistics over a batch: those are each process's own."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("torchrun")
    command(place, "adapt", "synthetic", "drawn", "--out", "cases.csv", "--set", "cases=60", "--set", "size=48")
    (place / "plan.toml").write_text(PLAN)
    return place


def command(place, *words, processes=0, agents=1, code=0):
    """What `mmfuse` said on stdout and stderr, alone or by so many processes of each of several agents."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes else []
    if agents > 1:
        launch += ["--nnodes", str(agents), "--rdzv-backend", "c10d", "--rdzv-id", "test", "--rdzv-endpoint"]
        launch += [f"localhost:{free_port()}"]
    line = [sys.executable, *launch, "-m", "mmfuse", *words]
    environment = {**os.environ, "MMFUSE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    pipes = {"cwd": place, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(line, **pipes) for _ in range(agents)]
    said = [one.communicate(timeout=300) for one in running]
    assert all((one.returncode != 0) == bool(code) for one in running), said
    return "".join(out for out, _ in said), "".join(err for _, err in said)


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def train(place, out, *more, **how):
    size = ["--set", "modalities.image.size=32", "--set", "training.folds=2"]
    return command(
        place, "train", "plan.toml", "cases.csv", "--out", out, "--device", "cpu", "--json-log", *size, *more, **how
    )


@pytest.fixture(scope="module")
def one(place):
    return train(place, "one")


def epochs(said):
    told = [json.loads(line) for line in said[1].splitlines() if line.startswith("{")]
    return [event["losses"] for event in told if "losses" in event]


def same(place, one, other):
    first, second = (mmfuse.ScoreTable.load(place / name / "scores.npz") for name in (one, other))
    assert first.sources.keys() == second.sources.keys()
    for source, scores in first.sources.items():
        np.testing.assert_allclose(second.sources[source], scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("processes", "agents"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.slow)])
def test_several_processes_learn_what_one_does(place, one, processes, agents):
    """Batches of 15 do not divide by two: slices differ by a case, and no case is read twice."""
    said = train(place, f"of-{agents}", processes=processes, agents=agents)
    curve, alone = epochs(said), epochs(one)
    assert len(curve) == len(alone) == 2 * 3  # one voice: the network and two folds
    for mine, other in zip(alone, curve, strict=True):
        assert other == pytest.approx(mine, abs=1e-5)
    same(place, "one", f"of-{agents}")
    assert said[0].count("written after") == 1


@pytest.mark.parametrize("shard", ["false", "true"])
def test_several_processes_accumulate_as_one_does(place, shard):
    """Gradients are exchanged with the last batch of a step; of some steps that one lacks what an earlier one had."""
    few = ("--set", "training.batch=3", "--set", "training.accumulate=3", "--set", "training.epochs=1")
    few += ("--set", "training.modality_dropout=0.5", "--set", f"training.shard={shard}")
    alone = train(place, f"added-{shard}", *few)
    said = train(place, f"added-by-two-{shard}", *few, processes=2)
    for mine, other in zip(epochs(alone), epochs(said), strict=True):
        assert other == pytest.approx(mine, abs=1e-5)
    same(place, f"added-{shard}", f"added-by-two-{shard}")


def test_processes_that_hold_parts_of_the_weights_learn_what_one_does(place):
    """In slices of one and two cases an encoder often has nobody to read in one process, and somebody in the other."""
    few = ("--set", "training.batch=3", "--set", "training.epochs=1", "--set", "training.modality_dropout=0.5")
    few += ("--set", "training.clip=0.5")
    alone = train(place, "alone", *few)
    said = train(place, "parts", *few, "--set", "training.shard=true", processes=2)
    for mine, other in zip(epochs(alone), epochs(said), strict=True):
        assert other == pytest.approx(mine, abs=1e-5)
    same(place, "alone", "parts")


def test_what_is_refused_is_said_once(place):
    _, told = train(place, "refused", "--set", "network.fusion=som", processes=2, code=1)
    assert told.count("no fusion is called 'som'") == 1
    assert not (place / "refused.work").exists()
    _, told = train(place, "few", "--set", "training.batch=1", processes=2, code=1)
    assert told.count("a batch of 1 for 2 processes") == 1
    parts = ("--set", "training.shard=true", "--set", "training.average=ema", "--set", "training.compile=true")
    _, told = train(place, "both", *parts, processes=2, code=1)
    assert [told.count(f"shard = true with {other}") for other in ("average = 'ema'", "compile = true")] == [1, 1]
    _, told = command(place, "parts", processes=2, code=2)
    assert told.count("leave torchrun out") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the launched processes in /proc")
@pytest.mark.parametrize("shard", ["false", "true"])
def test_a_training_of_several_goes_on_after_a_kill(place, one, shard):
    out = f"killed-{shard}"
    work, parts = place / f"{out}.work", ["--set", f"training.shard={shard}"]
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "mmfuse", "train"]
    line += ["plan.toml", "cases.csv", "--out", out, "--device", "cpu", "-q", "--set", "training.folds=2", *parts]
    environment = {**os.environ, "MMFUSE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    line += ["--set", "modalities.image.size=32"]
    running = subprocess.Popen(line, cwd=place, env=environment, stderr=subprocess.DEVNULL)
    while running.poll() is None and not (work / "network" / "done").exists():
        time.sleep(0.05)
    launched = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    for process in [running.pid, *map(int, launched)]:  # what torchrun launched outlives it
        os.kill(process, signal.SIGKILL)
    running.wait()
    if not (place / out).exists():
        train(place, out, "--resume", *parts, processes=2)
    same(place, "one", out)
    assert not work.exists()
