"""What a disk has changed is never served: rows and lines of the index are compared with their checksums."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from mmfuse.data.blocks import Block
from mmfuse.data.cache import DamagedRowsError, Store, cache_root, cache_size, clear_cache

KEYS = [f"key{i}" for i in range(6)]


def made(missing):
    for position in missing:
        yield [position], np.full((1, 3, 5), position, np.float32)


def filled(shape=(3, 5)):
    store = Store("images", "one", shape, "float32")
    return store, store.get(KEYS, made)


def flip(store, place):
    path = store.folder / "rows.bin"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def refuses(missing):
    raise AssertionError(f"asked to make {missing}")


@pytest.mark.parametrize("place", [0, 30, 59, 60, 63])  # of a row of 60 bytes and its checksum of 4
def test_a_flipped_bit_of_a_row_is_found_and_that_row_alone_is_made_again(place):
    store, slots = filled()
    flip(store, 2 * 64 + place)
    again = Store("images", "one", (3, 5), "float32")
    assert (again.get(KEYS, refuses) == slots).all()
    assert again.take(slots[[0, 1]]).shape == (2, 3, 5)
    with pytest.raises(DamagedRowsError, match="1 rows of the cache were changed") as caught:
        again.take(slots)
    assert caught.value.slots.tolist() == [slots[2]]
    asked: list[int] = []
    renewed = again.get(KEYS, lambda missing: (asked.extend(missing), made(missing))[1])
    assert asked == [2]
    assert renewed[2] == len(KEYS), "another process may still know the damaged row by its place"
    for one in (again, Store("images", "one", (3, 5), "float32")):
        assert one.take(renewed)[:, 0, 0].tolist() == list(range(6))


SWAP = ["UPDATE rows SET slot = 100 WHERE slot = 1", "UPDATE rows SET slot = 1 WHERE slot = 2",
        "UPDATE rows SET slot = 2 WHERE slot = 100"]  # fmt: skip
RENAME = ["UPDATE rows SET key = 'key9' WHERE slot = 0"]


@pytest.mark.parametrize("changes", [SWAP, RENAME])
def test_a_line_of_the_index_that_leads_to_another_row_is_not_followed(changes):
    store, _ = filled()
    with sqlite3.connect(store.folder / "index.sqlite") as database:
        for change in changes:
            database.execute(change)
    database.close()
    again = Store("images", "one", (3, 5), "float32")
    found = again.get([*KEYS, "key9"], made)
    assert again.take(found)[:, 0, 0].tolist() == list(range(7))


def test_what_a_process_has_compared_is_not_compared_again(monkeypatch):
    import zlib

    store, slots = filled()
    store.take(slots)
    sums = []
    monkeypatch.setattr("mmfuse.data.row_files.zlib.crc32", lambda data: sums.append(1) or zlib.adler32(data))
    store.take(slots)
    assert not sums


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3), (3, 8, 8)])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_rows_of_any_size_come_back(shape, dtype):
    rows = np.random.default_rng(0).integers(0, 200, (6, *shape)).astype(dtype)
    store = Store("a", "x", shape, dtype)
    slots = store.get(KEYS, lambda missing: [(missing[:4], rows[missing[:4]]), (missing[4:], rows[missing[4:]])])
    assert (Store("a", "x", shape, dtype).take(slots[::-1]) == rows[::-1]).all()


def test_a_block_makes_damaged_rows_anew():
    store, slots = filled()
    flip(store, 10)
    keys = np.array([*KEYS, KEYS[0]], "S32")
    here = np.concatenate([slots, slots[:1]])
    asked = []

    def again(index):
        asked.append(index.tolist())
        return store.get(keys[index], made)

    fresh = Store("images", "one", (3, 5), "float32")
    block = Block.stored(fresh, here, lambda: keys, again)
    assert block.take([1, 0, 6])[:, 0, 0].tolist() == [1, 0, 0]
    assert asked == [[0, 6]]
    assert block.take(slice(None))[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert len(asked) == 1


def test_what_a_kill_left_of_a_damaged_store_is_counted_and_cleared():
    store, _ = filled()
    size = cache_size()
    store.folder.rename(cache_root() / ".discarded-1-2")
    assert cache_size() == size
    assert clear_cache() == size
    assert not list(cache_root().iterdir())
