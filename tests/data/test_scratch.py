"""What a killed process was writing is removed by whoever writes there next; what others are writing is left alone."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

from mmfuse.data import scratch
from mmfuse.data.disk import whole_file
from mmfuse.data.scratch import remove_left, scratch_beside, scratch_folder

WRITER = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from mmfuse.data.disk import whole_file
    from mmfuse.data.scratch import scratch_folder

    place = Path(sys.argv[1])
    with whole_file(place / "table.csv") as file, scratch_folder(place / "run") as folder:
        file.write_text("half")
        (folder / "weights").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
""")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def killed(tmp_path):
    """A folder in which a process was killed while it wrote."""
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=False)
    assert len(names(tmp_path)) == 2
    return tmp_path


def test_the_next_to_write_there_cleans_up(killed):
    with whole_file(killed / "other.csv") as file:
        file.write_text("whole")
    assert len(names(killed)) == 3
    with whole_file(killed / "table.csv") as file:
        file.write_text("whole")
    assert len(names(killed)) == 3
    with scratch_folder(killed / "run") as folder:
        folder.rename(killed / "run")
    assert names(killed) == ["other.csv", "run", "table.csv"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    with scratch_folder(tmp_path / "run") as folder, scratch_folder(tmp_path / "run") as other:
        assert folder != other
        assert oct(folder.stat().st_mode)[-3:] == "700"
        with whole_file(tmp_path / "run.csv") as file:
            file.write_text("whole")
            remove_left(tmp_path / "run.csv")
            assert len(names(tmp_path)) == 3
    assert names(tmp_path) == ["run.csv"]


def test_what_another_machine_writes_is_left_alone_until_it_is_old(tmp_path, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(scratch, "_here", lambda: "000000")
        left = scratch_beside(tmp_path / "run")
    left.mkdir()
    remove_left(tmp_path / "run")
    assert left.exists()
    week = time.time() - 8 * 24 * 3600
    os.utime(left, (week, week))
    remove_left(tmp_path / "run")
    assert not left.exists()


def test_files_of_other_names_are_left_alone(tmp_path):
    for name in (".run.", ".run.notes", ".run.000000-1-0000000", ".running.000000-1-00000000", "run.000000-1-00000000"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    before = names(tmp_path)
    remove_left(tmp_path / "run")
    assert names(tmp_path) == before
