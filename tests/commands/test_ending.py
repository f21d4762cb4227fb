"""A command that is asked to end says what is kept, leaves nothing half-written, and ends with the signal's code."""

import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from mmfuse.cli import main
from mmfuse.commands.signals import EndedError, heeded

TRAIN = ["train", "plan.toml", "cases.csv", "--out", "run", "--set", "training.epochs=100000"]
COMPARE = ["compare", "plan.toml", "cases.csv", "--out", "run", "--set", "training.epochs=100000"]
TOLD = {
    "train": "interrupted by {}; what is done is kept in run.work: --resume goes on",
    "compare": "interrupted by {}; what was fitted is kept in run: the same command goes on from there",
}


def begun(folder, words, ignored=None):
    """The command once it learns, started as from a shell that ignores one signal."""

    def prepare():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    command = [sys.executable, "-m", "mmfuse", *words, "--json-log"]
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=prepare
    )
    for line in process.stderr:
        if "EpochEnded" in line:
            break
    return process


@pytest.mark.parametrize(
    ("words", "number"), [(TRAIN, signal.SIGTERM), (COMPARE, signal.SIGTERM), (TRAIN, signal.SIGHUP)]
)
def test_it_says_what_is_kept(here, words, number):
    process = begun(here, words)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert told.splitlines()[-1] == TOLD[words[0]].format(number.name)
    assert not [path.name for path in here.iterdir() if path.name.startswith(".")]
    assert (here / "run.work" / "network").is_dir() or words is COMPARE


def test_what_the_shell_ignores_is_ignored(here):
    process = begun(here, TRAIN, ignored=signal.SIGHUP)  # nohup
    process.send_signal(signal.SIGHUP)
    for line in process.stderr:
        if "EpochEnded" in line:
            break
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_signals_are_as_before_once_a_command_is_done():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    assert CliRunner().invoke(main, ["recipes"]).exit_code == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


@pytest.fixture
def default():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_second_signal_does_not_disturb_the_end(default):
    def end():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(EndedError) as caught, heeded():
        end()
    assert (caught.value.name, caught.value.code) == ("SIGTERM", 143)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_nothing_is_taken_in_a_thread_or_among_several_processes(default, monkeypatch):
    seen = []

    def look():
        with heeded():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    look()
    assert seen == [signal.SIG_DFL] * 2
