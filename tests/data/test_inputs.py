"""Blocks give each case its own rows; files are decoded once; what cannot be read is named."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse.card import Card, CasesSection
from mmfuse.data import workers
from mmfuse.data.cache import Store, stores
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_key
from mmfuse.data.inputs import Block, read_inputs
from mmfuse.data.table import Table
from mmfuse.errors import PartError, TableError
from mmfuse.events import Notice, Progress, silent
from mmfuse.parts import Reader

OPENED: list[str] = []
"""Files that NumberReader opened; tests empty it."""


@pytest.fixture(autouse=True)
def nothing_opened():
    OPENED.clear()


@pytest.fixture(autouse=True, params=[workers.CHUNK, 2], ids=["all at once", "two at a time"])
def chunk(request, monkeypatch):
    monkeypatch.setattr(workers, "CHUNK", request.param)


@dataclasses.dataclass(frozen=True, eq=False)
class NumberReader(Reader):
    """Reads files that hold one number as (2, 3) images of it; `bad` in a file is an error or, if so told, absent."""

    column: str = "path"
    absent: bool = False
    version: str = "1"

    @property
    def shape(self):
        return (2, 3)

    @property
    def dtype(self):
        return "uint8"

    def files(self, rows):
        return rows.paths(self.column)

    def fingerprint(self):
        return f"numbers {self.version}"

    def read(self, rows):
        values, present = np.zeros((len(rows), 2, 3), np.uint8), np.zeros(len(rows), bool)
        faults = []
        for i, path in enumerate(self.files(rows)):
            if path is None:
                continue
            OPENED.append(path.name)
            text = path.read_text() if path.exists() else "bad"
            if text.startswith("bad"):
                faults.append(rows.where(i, self.column))
                continue
            values[i], present[i] = int(text), True
        if faults and not self.absent:
            raise TableError("; ".join(faults))
        return values, present


@dataclasses.dataclass(frozen=True, eq=False)
class CellReader(Reader):
    """Reads a column of numbers; `wrong` spoils what it gives."""

    wrong: str = ""

    @property
    def shape(self):
        return (2,)

    def read(self, rows):
        cells = rows.numbers("x")
        present = ~np.isnan(cells)
        if self.wrong == "nan":
            present[:] = True
        dtype = np.float64 if self.wrong == "dtype" else np.float32
        width = 3 if self.wrong == "shape" else 2
        values = np.repeat(np.where(present & ~np.isnan(cells), cells, np.nan)[:, None], width, 1)
        return (values if self.wrong == "nan" else np.where(present[:, None], values, 99)).astype(dtype), present


def cases_of(folder, columns):
    size = len(next(iter(columns.values())))
    card = Card(cases=CasesSection(id="id", root=str(folder)))
    return Cases(Table.of({"id": [f"c{i}" for i in range(size)], **columns}), card)


def write(folder, **files):
    past = time.time_ns() - 10**12
    for name, text in files.items():
        (folder / name).write_text(str(text))
        os.utime(folder / name, ns=(past, past))


def read(reader, cases, watch=silent):
    return read_inputs({"m": reader}, cases, watch)["m"]


def test_each_case_gets_its_file_and_each_content_is_decoded_once(tmp_path):
    write(tmp_path, a=1, b=2, copy=1)
    cases = cases_of(tmp_path, {"path": ["b", "a", "", "b", "copy"]})
    block = read(NumberReader(), cases)
    assert sorted(OPENED) == ["a", "b"]
    assert block.shape == (2, 3)
    assert block.dtype == np.uint8
    assert len(block) == 5
    assert block.present.tolist() == [True, True, False, True, True]
    assert block.take([0, 1, 2, 3, 4])[:, 0, 0].tolist() == [2, 1, 0, 2, 1]
    assert block.take(np.array([4, 2, 0]))[:, 1, 2].tolist() == [1, 0, 2]
    assert block.keys[1] == block.keys[4] == content_key(b"1").encode()
    assert block.keys[2] == b""
    assert block.take([0, 1]).flags.c_contiguous


def test_a_second_look_decodes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("mmfuse.data.contents._SETTLED", 0)
    write(tmp_path, a=1, b=2)
    cases = cases_of(tmp_path, {"path": ["b", "a"]})
    first = read(NumberReader(), cases)
    OPENED.clear()
    events = []
    second = read(NumberReader(), cases, events.append)
    assert OPENED == events == []
    assert (second.take(slice(None)) == first.take(slice(None))).all()
    assert (second.keys == first.keys).all()


def test_a_file_that_changes_between_its_key_and_its_pixels_is_refused(tmp_path):
    """What is decoded is kept under the content that was looked at; it must be that content."""
    write(tmp_path, a=1)
    cases = cases_of(tmp_path, {"path": ["a"]})

    class Swapping(NumberReader):
        def read(self, rows):
            (tmp_path / "new").write_text("2")
            (tmp_path / "new").replace(tmp_path / "a")
            return super().read(rows)

    with pytest.raises(TableError, match="a changed while files were read"):
        read(Swapping(), cases)
    write(tmp_path, a=1)
    assert read(NumberReader(), cases).take([0]).max() == 1


def test_a_changed_file_or_fingerprint_is_decoded_anew(tmp_path):
    write(tmp_path, a=1)
    cases = cases_of(tmp_path, {"path": ["a"]})
    read(NumberReader(), cases)
    (tmp_path / "a").write_text("7")
    assert read(NumberReader(), cases).take([0]).max() == 7
    OPENED.clear()
    read(NumberReader(version="2"), cases)
    assert OPENED == ["a"]


def test_faults_of_all_files_come_at_once_and_name_row_and_file(tmp_path):
    write(tmp_path, **{f"f{i}": f"bad {i}" if i in (3, 58) else i for i in range(60)})
    cases = cases_of(tmp_path, {"path": [*(f"f{i}" for i in range(60)), "gone"]})
    with pytest.raises(TableError) as error:
        read(NumberReader(), cases)
    text = str(error.value)
    assert "(id c3)" in text
    assert "(id c58)" in text
    assert "(id c60)" in text


def test_faults_of_all_modalities_come_at_once(tmp_path):
    write(tmp_path, f=1)
    cases = cases_of(tmp_path, {"path": ["f", "gone"], "other": ["away", "f"]})
    with pytest.raises(TableError) as error:
        read_inputs({"m": NumberReader(), "n": NumberReader(column="other")}, cases)
    assert [fault.found.partition("(id ")[2] for fault in error.value.faults] == [
        "c1), column path",
        "c0), column other",
    ]


def test_reading_gives_up_where_every_file_is_bad(tmp_path):
    write(tmp_path, **{f"f{i}": "bad" for i in range(5)})
    names = [f"gone{i}" for i in range(2000)]
    with pytest.raises(TableError, match=r"stopped after \d+ of 2000 files"):
        read(NumberReader(), cases_of(tmp_path, {"path": names}))
    assert len(OPENED) < 1500


def test_unreadable_files_may_count_as_absent_and_are_told(tmp_path):
    write(tmp_path, a=1, broken="bad")
    cases = cases_of(tmp_path, {"path": ["broken", "a", "gone", "broken", ""]})
    events = []
    block = read(NumberReader(absent=True), cases, events.append)
    assert block.present.tolist() == [False, True, False, False, False]
    assert block.keys.tolist() == [b"", content_key(b"1").encode(), b"", b"", b""]
    assert block.take([0, 1, 2])[:, 0, 0].tolist() == [0, 1, 0]
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert notice.level == "warning"
    assert "m: 3 of 4 files cannot be read and count as absent, the first in " in notice.text
    assert "row 2 (id c0)" in notice.text
    assert str(tmp_path) not in notice.text  # it is kept in the run: rows, not paths
    # It is told again, and a file that is mended counts.
    write(tmp_path, broken=5, gone=6)
    assert read(NumberReader(absent=True), cases).take([0, 2])[:, 0, 0].tolist() == [5, 6]


def test_progress_ends_with_all(tmp_path):
    write(tmp_path, **{f"f{i}": i for i in range(40)})
    events = []
    read(NumberReader(), cases_of(tmp_path, {"path": [f"f{i}" for i in range(40)]}), events.append)
    part = min(40, workers.CHUNK)
    assert events[-1] == Progress("decoding m", part, part)


def test_columns_are_read_into_memory(tmp_path):
    block = read(CellReader(), cases_of(tmp_path, {"x": ["1.5", "", "2", "1.5"]}))
    assert block.dtype == np.float32
    assert block.present.tolist() == [True, False, True, True]
    assert block.take([0, 1, 2]).tolist() == [[1.5, 1.5], [0, 0], [2, 2]]
    assert block.keys[0] == block.keys[3] != block.keys[2]
    assert block.keys[1] == b""
    assert block.take([]).shape == (0, 2)


@pytest.mark.parametrize(("wrong", "found"), [("shape", r"\(2, 3\)"), ("dtype", "float64"), ("nan", "not finite")])
def test_a_reader_that_does_not_keep_its_word_is_refused(tmp_path, wrong, found):
    with pytest.raises(PartError, match=found):
        read(CellReader(wrong), cases_of(tmp_path, {"x": ["1", ""]}))


def test_modalities_keep_their_names_and_order(tmp_path):
    write(tmp_path, a=1)
    cases = cases_of(tmp_path, {"path": ["a"], "x": ["1"]})
    blocks = read_inputs({"z": CellReader(), "image": NumberReader()}, cases)
    assert list(blocks) == ["z", "image"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_memory_and_stored_blocks_take_alike(data):
    size = data.draw(st.integers(0, 8))
    array = np.arange(size * 6, dtype=np.float32).reshape(size, 2, 3) + 1
    present = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), dtype=bool)
    memory = Block.memory(array, present)
    store = Store("t", "any", (2, 3), "float32")
    slots = store.get(memory.keys.tolist(), lambda missing: [(missing, array[missing])])
    stored = Block.stored(store, slots, lambda: memory.keys)
    index = data.draw(st.lists(st.integers(0, size - 1), max_size=10)) if size else []
    expected = (array * present[:, None, None])[np.array(index, dtype=int)]
    for block in (memory, stored):
        assert (block.present == present).all()
        assert (block.take(index) == expected).all()
        assert (block.take(present) == array[present]).all()
        assert (block.take(slice(1, None)) == (array * present[:, None, None])[1:]).all()


def test_a_block_in_memory_is_its_own():
    array = np.ones((2, 3), np.float32)
    block = Block.memory(array)
    array[:] = 5
    block.take([0])[:] = 7
    assert block.take([0, 1]).max() == 1
    assert Block.memory(np.ones((1, 4), np.float32)).keys != Block.memory(np.ones((1, 2, 2), np.float32)).keys


@pytest.mark.slow
@pytest.mark.skipif("MMFUSE_DATA" not in os.environ, reason="MMFUSE_DATA names no folder of real data")
def test_milk10k_is_decoded_once_and_fast():
    from mmfuse.builtin.modalities import Image

    root = Path(os.environ["MMFUSE_DATA"]) / "milk10k" / "images"
    names = sorted(path.name for path in root.iterdir())
    cases = cases_of(root, {"path": names})
    reader = Image(column="path").fit(cases.rows())
    begun = time.monotonic()
    block = read(reader, cases)
    cold = time.monotonic() - begun
    begun = time.monotonic()
    again = read(reader, cases)
    warm = time.monotonic() - begun
    assert block.present.all()
    assert len(block) == 2000
    assert warm < cold / 4
    some = reader.read(cases.rows([5, 1234]))[0]
    assert (again.take([5, 1234]) == some).all()


def test_pixels_that_the_disk_changed_are_decoded_anew(tmp_path):
    write(tmp_path, a=1, b=2)
    cases = cases_of(tmp_path, {"path": ["a", "b", "a"]})
    read(NumberReader(), cases)
    (rows,) = [folder / "rows.bin" for folder in stores()]
    data = bytearray(rows.read_bytes())
    data[0] ^= 64
    rows.write_bytes(data)
    told = []
    block = read(NumberReader(), cases, told.append)
    OPENED.clear()
    assert block.take([1, 0, 2])[:, 0, 0].tolist() == [2, 1, 1]
    assert OPENED == ["a"]
    assert [event.text for event in told if isinstance(event, Notice)] == [
        "m: 2 rows of the cache were damaged and are decoded anew"
    ]
    data[0] ^= 64
    rows.write_bytes(data)
    write(tmp_path, a=3)
    block = read(NumberReader(), cases)  # of the new file, which stands behind the damaged row
    assert block.take([0])[0, 0, 0] == 3
