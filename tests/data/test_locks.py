"""One process at an output: the second is told who the first is, and a lock that was left behind holds nothing up."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from mmfuse.data.locks import alone, taken
from mmfuse.errors import RunError

HOLDER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from mmfuse.data.locks import taken

    with taken(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(600)
""")


@pytest.fixture
def other(tmp_path):
    """A process that holds `tmp_path/new/run`."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "new" / "run")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_second_is_told_who_the_first_is(tmp_path, other):
    run = tmp_path / "new" / "run"
    for _ in range(2):  # asking changes nothing
        with pytest.raises(RunError, match=rf"run: process {other.pid} on .* \(since \d{{4}}-.*works at it"):
            taken(run).__enter__()
    with taken(tmp_path / "new" / "another"):
        pass


def test_a_lock_falls_with_its_process(tmp_path, other):
    run = tmp_path / "new" / "run"
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert names(run.parent) == [".run.lock", ".run.lock.json"]
    with taken(run):
        assert json.loads((run.parent / ".run.lock.json").read_text())["pid"] == os.getpid()
        with pytest.raises(RunError, match=f"process {os.getpid()} "):
            taken(run).__enter__()
    assert names(run.parent) == []


def test_nothing_is_left_and_what_was_written_meanwhile_stays(tmp_path):
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), taken(tmp_path / "a" / "b" / "run"):
            raise error
        assert names(tmp_path) == []
    with taken(tmp_path / "a" / "run"):
        (tmp_path / "a" / "run").mkdir()
    assert names(tmp_path / "a") == ["run"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_among_others_that_may_not_be_written_is_locked_from_within(tmp_path):
    (tmp_path / "mounted" / "study").mkdir(parents=True)
    (tmp_path / "mounted").chmod(0o500)
    with taken(tmp_path / "mounted" / "study"):
        assert ".lock" in names(tmp_path / "mounted" / "study")
    assert names(tmp_path / "mounted" / "study") == []
    with pytest.raises(RunError, match="cannot be written"):
        taken(tmp_path / "mounted" / "new").__enter__()


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be written: (File exists|Not a directory)"):
        taken(tmp_path / "file" / "run").__enter__()


def test_a_disk_without_locks_is_said_and_goes_on(tmp_path, monkeypatch):
    import filelock

    def refuse(self):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    told = []
    with taken(tmp_path / "run", told.append):
        assert "has no locks" in told[0].text
    with alone(tmp_path / "l") as is_alone:
        assert not is_alone


COUNTER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from mmfuse.data.locks import alone

    lock, count = Path(sys.argv[1]), Path(sys.argv[2])
    done = 0
    while done < 150:
        with alone(lock) as is_alone:
            if is_alone:
                count.write_text(str(int(count.read_text()) + 1))
                done += 1
""")


def test_never_two_at_once_though_the_lock_is_removed_each_time(tmp_path):
    """Removing a lock that another process has opened must not let both hold it."""
    count = tmp_path / "count"
    count.write_text("0")
    command = [sys.executable, "-c", COUNTER, str(tmp_path / "lock"), str(count)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert count.read_text() == "600"
    assert names(tmp_path) == ["count"]
