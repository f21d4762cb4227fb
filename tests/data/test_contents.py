"""A file's key is its content's, whatever is remembered of it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time

import pytest

from mmfuse.data import contents
from mmfuse.data.cache import cache_root
from mmfuse.data.contents import MEMORY, content_key, content_keys
from mmfuse.events import Progress

LONG_AGO = time.time_ns() - 10**12


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files that have just been made count as files at rest."""
    monkeypatch.setattr(contents, "_SETTLED", 0)


def write(path, data, changed=LONG_AGO):
    path.write_bytes(data)
    os.utime(path, ns=(changed, changed))
    return path


@pytest.fixture
def reads(monkeypatch):
    """The files that were read, in order."""
    seen = []
    real = contents._read
    monkeypatch.setattr(contents, "_read", lambda path: (seen.append(path), real(path))[1])
    return seen


def test_keys_are_of_the_content(tmp_path):
    a, b, c = (write(tmp_path / name, data) for name, data in [("a", b"same"), ("b", b"same"), ("c", b"other")])
    keys = content_keys([a, b, c, a])
    assert keys[0] == keys[1] == keys[3] != keys[2]
    assert keys[0] == content_key(b"same") == hashlib.blake2b(b"same", digest_size=16).hexdigest()


def test_a_file_is_read_once(tmp_path, reads):
    a, b = write(tmp_path / "a", b"1"), write(tmp_path / "b", b"2")
    first = content_keys([a, b, a])
    assert sorted(reads) == [a, b]
    assert content_keys([b, a]) == [first[1], first[0]]
    assert len(reads) == 2


def test_a_file_that_changes_is_read_anew(tmp_path, reads):
    a = write(tmp_path / "a", b"1")
    assert content_keys([a]) == [content_key(b"1")]
    write(a, b"2", LONG_AGO + 1)  # the same size
    assert content_keys([a]) == [content_key(b"2")]
    write(a, b"22", LONG_AGO + 1)  # the same time
    assert content_keys([a]) == [content_key(b"22")]
    assert len(reads) == 3


def test_a_file_that_has_just_changed_is_not_trusted(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(contents, "_SETTLED", 2 * 10**9)
    now = time.time_ns()
    a = write(tmp_path / "a", b"1", now)
    content_keys([a])
    write(a, b"2", now)  # the same size and time: a coarse clock
    assert content_keys([a]) == [content_key(b"2")]


def test_an_old_file_that_was_just_put_there_is_not_trusted(tmp_path, reads, monkeypatch):
    """An archive that is unpacked gives its files their old times; the system's own time says that they are new."""
    monkeypatch.setattr(contents, "_SETTLED", 2 * 10**9)
    a = write(tmp_path / "a", b"1")
    content_keys([a])
    content_keys([a])
    assert len(reads) == 2


def in_place(path, data):
    time.sleep(0.02)  # the clock of the file system
    write(path, data)


def beside_and_renamed(path, data):
    write(path.with_name("new"), data).replace(path)


def removed_and_made_again(path, data):
    time.sleep(0.02)
    path.unlink()
    write(path, data)


@pytest.mark.parametrize("replace", [in_place, beside_and_renamed, removed_and_made_again])
def test_another_content_of_the_same_size_and_time_is_seen(tmp_path, replace):
    a = write(tmp_path / "a", b"left")
    before = a.stat()
    assert content_keys([a]) == [content_key(b"left")]
    replace(a, b"rite")
    after = a.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert content_keys([a]) == [content_key(b"rite")]
    assert content_keys([a]) == [content_key(b"rite")]


def test_two_files_that_change_places_are_seen(tmp_path):
    """The eyes of an archive, whose files all have one time."""
    left, right = write(tmp_path / "left", b"OS"), write(tmp_path / "right", b"OD")
    assert content_keys([left, right]) == [content_key(b"OS"), content_key(b"OD")]
    left.rename(tmp_path / "other")
    right.rename(left)
    (tmp_path / "other").rename(right)
    assert content_keys([left, right]) == [content_key(b"OD"), content_key(b"OS")]


def test_the_state_that_has_a_content_is_told(tmp_path):
    a = write(tmp_path / "a", b"1")
    found = contents.contents([a, tmp_path / "none"])
    assert found[a].still_stands(a)
    assert not found[tmp_path / "none"].still_stands(tmp_path / "none")
    beside_and_renamed(a, b"2")
    assert not found[a].still_stands(a)


def test_a_flipped_bit_of_the_memory_is_read_past(tmp_path, reads):
    a = write(tmp_path / "a", b"1")
    content_keys([a])
    with sqlite3.connect(cache_root() / MEMORY) as database:
        database.execute("UPDATE contents SET key = ?", (content_key(b"2"),))
    database.close()
    assert content_keys([a]) == [content_key(b"1")]
    assert len(reads) == 2


def test_what_cannot_be_read_has_no_key(tmp_path):
    a = write(tmp_path / "a", b"1")
    assert content_keys([tmp_path / "none", a, tmp_path]) == ["", content_key(b"1"), ""]


def test_odd_names(tmp_path):
    names = ["ä b'c\".jpg", "line\nbreak"]
    paths = [write(tmp_path / name, name.encode()) for name in names]
    assert content_keys(paths) == content_keys(paths) == [content_key(name.encode()) for name in names]


def test_a_damaged_memory_is_forgotten(tmp_path):
    a = write(tmp_path / "a", b"1")
    content_keys([a])
    (cache_root() / MEMORY).write_bytes(b"no database" * 100)
    assert content_keys([a]) == [content_key(b"1")]
    assert content_keys([a]) == [content_key(b"1")]


def test_progress_is_told_and_only_where_there_is_work(tmp_path):
    paths = [write(tmp_path / str(i), bytes([i])) for i in range(5)]
    events = []
    content_keys(paths, events.append, "the files of derm")
    assert events == [Progress("looking through the files of derm", 5, 5)]
    content_keys(paths, events.append, "the files of derm")
    assert len(events) == 1
