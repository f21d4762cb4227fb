"""A training that was killed from outside, and what the command says and does about it."""

import os
import signal
import subprocess
import sys

import numpy as np

from mmfuse import Run

WORDS = ["train", "plan.toml", "cases.csv", "--out", "run", "--device", "cpu"]
MORE = ["--set", "decisions.final.use=simplex", "--set", "decisions.final.learn=train", "--set", "training.folds=2",
        "--set", "training.epochs=25"]  # fmt: skip


def killed(folder, after, *more):
    """A training that is killed once `after` epochs are done."""
    command = [sys.executable, "-m", "mmfuse", *WORDS, *more, "--json-log"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for line in process.stderr:
        after -= b'"EpochEnded"' in line
        if not after:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)


def test_killed_and_resumed_it_is_the_same_run(here, mmfuse):
    mmfuse(*WORDS, *MORE, "--set", "seed=0")
    whole = Run(here / "run").scores
    (here / "run").rename(here / "whole")
    killed(here, 40, *MORE, "--set", "seed=0")
    assert not (here / "run").exists()
    assert (here / "run.work" / "network" / "done").is_file()
    refused = mmfuse(*WORDS, *MORE, "--set", "seed=0", code=1).stderr
    assert "run.work: an interrupted training stands here" in refused
    assert "--resume goes on with it" in refused
    other = mmfuse(*WORDS, *MORE, "--set", "seed=1", "--resume", code=1).stderr
    assert "was interrupted with another spec" in other
    told = mmfuse(*WORDS, *MORE, "--set", "seed=0", "--resume")
    assert "network, epoch" not in told.stderr
    again = Run(here / "run").scores
    assert [*again.sources] == [*whole.sources]
    for name in whole.sources:
        np.testing.assert_array_equal(again.sources[name], whole.sources[name])
    assert not (here / "run.work").exists()


def test_a_fault_of_the_plan_leaves_no_work(here, mmfuse):
    told = mmfuse(*WORDS, "--set", "training.lr=1e30", "--set", "training.epochs=5", code=1).stderr
    assert "expected: finite scores" in told
    assert sorted(path.name for path in here.iterdir()) == ["cases.csv", "cases.toml", "plan.toml"]
