"""Two commands that would write one output: the second is refused at once, and is told who is at it."""

import json
import re
import signal
import subprocess
import sys

import pytest

LONG = ["--set", "training.epochs=100000"]
COMMANDS = {
    "train": ["train", "plan.toml", "cases.csv", "--out", "out"],
    "pretrain": ["pretrain", "pre.toml", "cases.csv", "--out", "out"],
    "compare": ["compare", "plan.toml", "cases.csv", "--out", "out"],
    "demo": ["demo", "--out", "out"],
}


@pytest.fixture
def busy(here):
    """A training of `out` that does not end."""
    command = [sys.executable, "-m", "mmfuse", *COMMANDS["train"], *LONG, "--json-log"]
    process = subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for line in process.stderr:
        if b"EpochEnded" in line:
            break
    yield process
    process.kill()
    process.wait()


def test_the_second_is_refused_at_once_and_the_first_goes_on(here, mmfuse, busy):
    before = sorted(path.name for path in here.iterdir())
    for words in COMMANDS.values():
        told = mmfuse(*words, code=1).output
        assert re.search(rf"out: process {busy.pid} on .* \(since .*\) works at it", told)
        assert "give another --out" in told
        assert sorted(path.name for path in here.iterdir()) == before
    mmfuse(*COMMANDS["train"], "--dry-run")
    assert busy.poll() is None


def test_after_a_kill_nobody_holds_it(here, mmfuse, busy):
    busy.send_signal(signal.SIGKILL)
    busy.wait()
    assert json.loads((here / ".out.lock.json").read_text())["pid"] == busy.pid
    told = mmfuse(*COMMANDS["train"], code=1).output
    assert "an interrupted training stands here" in told
    mmfuse(*COMMANDS["train"], "--set", "training.epochs=3", code=1)
    names = sorted(path.name for path in here.iterdir())
    assert names == ["cases.csv", "cases.toml", "out.work", "plan.toml"]


@pytest.mark.parametrize("command", ["train", "compare"])
def test_nothing_is_left_of_the_lock(here, mmfuse, command):
    mmfuse(*COMMANDS[command])
    assert not [path.name for path in here.iterdir() if path.name.startswith(".")]
