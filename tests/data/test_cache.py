"""The cache keeps what it was given under its key, whoever is killed, whoever fills it at the same time."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmfuse.data.cache import Store, cache_root, cache_size, clear_cache
from mmfuse.errors import RunError

FILLER = textwrap.dedent("""
    import sys, time
    import numpy as np
    from mmfuse.data import cache

    cache._BATCH_BYTES = 1  # every yield is a transaction of its own
    first, last, pause, report = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    keys = [f"key{i}" for i in range(first, last)]
    store = cache.Store("images", "one", (3, 64, 64), "uint8")

    def make(missing):
        print("begun", flush=True)
        for position in missing:
            time.sleep(pause)
            yield [position], np.full((1, 3, 64, 64), int(keys[position][3:]) % 251, np.uint8)
            if report == "tell":
                print(position, flush=True)

    store.get(keys, make)
    print("done", flush=True)
""")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def filler(first, last, pause, report="silent", **options):
    command = [sys.executable, "-c", FILLER, str(first), str(last), str(pause), report]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def numbered(keys, dtype="uint8", shape=(3, 64, 64)):
    """A maker whose row is its key's number, and the positions it was asked for."""
    asked = []

    def make(missing):
        asked.extend(missing)
        for position in missing:
            yield [position], np.full((1, *shape), int(keys[position][3:]) % 251, dtype)

    return make, asked


def refuses(missing):
    raise AssertionError(f"asked to make {missing}")


def check_rows(store, keys, slots):
    rows = store.take(slots)
    for key, row in zip(keys, rows, strict=True):
        assert (row == int(key[3:]) % 251).all(), key


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_rows_come_back_and_are_made_once(dtype):
    keys = [f"key{i}" for i in (3, 1, 3, 2)]
    make, asked = numbered(keys, dtype, (5,))
    store = Store("features", "weights abc", (5,), dtype)
    slots = store.get(keys, make)
    assert asked == [0, 1, 3]
    assert slots[0] == slots[2]
    check_rows(store, keys, slots)
    again = Store("features", "weights abc", (5,), dtype)
    assert len(again) == 3
    assert (again.get(keys, refuses) == slots).all()
    check_rows(again, keys, slots)
    assert again.take(slots).dtype == dtype


def test_filling_holds_one_batch_in_memory(monkeypatch):
    import tracemalloc

    monkeypatch.setattr("mmfuse.data.cache._BATCH_BYTES", 10**6)
    store = Store("a", "x", (10**5,), "uint8")
    keys = [f"key{i}" for i in range(100)]
    tracemalloc.start()
    slots = store.get(keys, numbered(keys, shape=(10**5,))[0])
    store.take(slots[:3])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(store) == 100
    assert peak < 3 * 10**6


def test_another_fingerprint_shape_or_dtype_is_another_store():
    folders = {
        Store(*about).folder
        for about in [("a", "x", (2,), "uint8"), ("a", "y", (2,), "uint8"), ("a", "x", (3,), "uint8"),
                      ("a", "x", (2,), "float32"), ("b", "x", (2,), "uint8")]
    }  # fmt: skip
    assert len(folders) == 5


def test_absent_and_unmade_rows_have_no_slot_and_are_zeros():
    store = Store("a", "x", (2,), "uint8")
    slots = store.get(["", "bad", "good"], lambda missing: [([2], np.array([[7, 8]], np.uint8))])
    assert slots.tolist() == [-1, -1, 0]
    assert store.take(slots).tolist() == [[0, 0], [0, 0], [7, 8]]
    asked: list[int] = []
    store.get(["", "bad", "good"], lambda missing: asked.extend(missing) or [])
    assert asked == [1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=5), st.integers(1, 5))
def test_any_sequence_of_gets_reads_what_was_made(tmp_path, gets, piece):
    fingerprint = f"{tmp_path}{time.monotonic_ns()}"
    for numbers in gets:
        store = Store("a", fingerprint, (2,), "float32")
        keys = [f"key{i}" for i in numbers]

        def make(missing, keys=keys):
            for start in range(0, len(missing), piece):
                some = missing[start : start + piece]
                yield some, np.array([[int(keys[p][3:])] * 2 for p in some], np.float32)

        check_rows(store, keys, store.get(keys, make))


def test_rows_of_the_wrong_kind_are_refused():
    store = Store("a", "x", (2,), "uint8")
    with pytest.raises(ValueError, match="float64"):
        store.get(["k"], lambda missing: [([0], np.zeros((1, 2)))])
    with pytest.raises(ValueError, match="hold nothing"):
        Store("a", "x", (0,), "uint8")


def test_what_was_made_before_a_failure_is_kept(monkeypatch):
    monkeypatch.setattr("mmfuse.data.cache._BATCH_BYTES", 1)
    store = Store("a", "x", (2,), "uint8")

    def make(missing):
        yield [0], np.ones((1, 2), np.uint8)
        raise RuntimeError("a bad file")

    with pytest.raises(RuntimeError, match="a bad file"):
        store.get(["good", "bad"], make)
    assert len(store) == 1


def test_others_may_not_look_in(root):
    store = Store("a", "x", (2,), "uint8")
    store.get(["k"], lambda missing: [([0], np.ones((1, 2), np.uint8))])
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert len(modes) >= 4
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_killed_filler_leaves_nothing_wrong():
    process = filler(0, 400, 0.005, "tell")
    assert process.stdout.readline() == "begun\n"
    while int(process.stdout.readline()) < 20:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    keys = [f"key{i}" for i in range(400)]
    store = Store("images", "one", (3, 64, 64), "uint8")
    assert 20 <= len(store) < 400
    make, asked = numbered(keys)
    slots = store.get(keys, make)
    assert len(asked) <= 380
    assert sorted(slots.tolist()) == list(range(400))
    check_rows(store, keys, slots)


def test_bytes_without_an_index_are_written_over(root):
    # A process killed between the bytes and the commit leaves a longer file; nothing speaks of its tail.
    store = Store("images", "one", (3, 64, 64), "uint8")
    keys = ["key1", "key2", "key3"]
    store.get(keys[:1], numbered(keys)[0])
    with (store.folder / "rows.bin").open("ab") as file:
        file.write(os.urandom(20000))
    again = Store("images", "one", (3, 64, 64), "uint8")
    slots = again.get(keys, numbered(keys)[0])
    assert slots.tolist() == [0, 1, 2]
    check_rows(again, keys, slots)


def test_two_processes_fill_one_store_at_the_same_time():
    fillers = [filler(0, 60, 0.001), filler(30, 90, 0.001), filler(0, 60, 0.001)]
    for process in fillers:
        out, err = process.communicate(timeout=60)
        assert out.endswith("done\n"), err
    keys = [f"key{i}" for i in range(90)]
    store = Store("images", "one", (3, 64, 64), "uint8")
    slots = store.get(keys, refuses)
    assert sorted(slots.tolist()) == list(range(90))
    check_rows(store, keys, slots)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of a process's files")
def test_a_full_disk_is_a_clear_error_and_what_was_stored_stays():
    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # 16 rows of 12 KiB

    process = filler(0, 60, 0, preexec_fn=limit)
    out, err = process.communicate(timeout=60)
    assert "done" not in out
    assert "RunError" in err
    assert "no room left in the cache" in err
    assert "MMFUSE_CACHE" in err
    keys = [f"key{i}" for i in range(60)]
    store = Store("images", "one", (3, 64, 64), "uint8")
    assert 10 <= len(store) <= 16
    check_rows(store, keys, store.get(keys, numbered(keys)[0]))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_a_clear_error(root):
    root.mkdir(mode=0o500)
    with pytest.raises(RunError, match="MMFUSE_CACHE"):
        Store("a", "x", (2,), "uint8")


def test_a_root_that_is_a_file_is_a_clear_error(root):
    root.write_text("")
    with pytest.raises(RunError, match="MMFUSE_CACHE"):
        Store("a", "x", (2,), "uint8")


def damage_index(folder):
    (folder / "index.sqlite").write_bytes(b"no database at all" * 100)


def damage_rows(folder):
    os.truncate(folder / "rows.bin", 3)


def lose_rows(folder):
    (folder / "rows.bin").unlink()


def tell_of_another(folder):
    with sqlite3.connect(folder / "index.sqlite") as database:
        database.execute("UPDATE about SET text = 'something else'")
    database.close()


@pytest.mark.parametrize("damage", [damage_index, damage_rows, lose_rows, tell_of_another])
def test_a_damaged_store_is_made_anew(damage):
    keys = ["key1", "key2"]
    store = Store("images", "one", (3, 64, 64), "uint8")
    store.get(keys, numbered(keys)[0])
    damage(store.folder)
    again = Store("images", "one", (3, 64, 64), "uint8")
    make, asked = numbered(keys)
    check_rows(again, keys, again.get(keys, make))
    assert asked == [0, 1]


def test_a_foreign_folder_is_refused_and_left_alone():
    folder = Store("a", "x", (2,), "uint8").folder
    (folder / "thesis.docx").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.docx"):
        Store("a", "x", (2,), "uint8")
    clear_cache()
    assert (folder / "thesis.docx").read_text() == "years of work"


def test_size_and_clearing(root):
    assert cache_size() == 0
    assert clear_cache() == 0
    store = Store("a", "x", (1000,), "uint8")
    store.get(["k"], lambda missing: [([0], np.ones((1, 1000), np.uint8))])
    (root / "notes.txt").write_text("mine")
    size = cache_size()
    assert size > 1000
    assert clear_cache() == size
    assert cache_size() == 0
    assert [path.name for path in root.iterdir()] == ["notes.txt"]


def test_rows_that_were_cleared_under_a_reader_are_missed():
    store = Store("a", "x", (2,), "uint8")
    slots = store.get(["k"], lambda missing: [([0], np.ones((1, 2), np.uint8))])
    clear_cache()
    with pytest.raises(RunError, match="gone from the cache"):
        store.take(slots)


def test_the_root_is_the_platforms_unless_it_is_named(monkeypatch):
    assert cache_root() == Path(os.environ["MMFUSE_CACHE"])
    monkeypatch.delenv("MMFUSE_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root() == Path("/somewhere/mmfuse")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "mmfuse"
