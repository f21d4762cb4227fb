"""Files that are no images: read one at a time and kept, at `check`, `train` and `predict`; one that a reader
chokes on is named with its row, and nothing else is lost."""

from __future__ import annotations

import dataclasses
import re
import struct
from typing import ClassVar, Literal

import numpy as np
import pytest

from mmfuse.advice.audit import audit
from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.inputs import column_faults, read_inputs
from mmfuse.data.table import Table
from mmfuse.errors import PartError, PartFailedError, TableError
from mmfuse.events import Notice
from mmfuse.hooks import hookimpl
from mmfuse.parts import Modality, Reader
from mmfuse.pipeline import Pipeline
from mmfuse.study.probing.sources import asked_columns
from mmfuse.toml import load

ASKED: list[int] = []
"""How many rows each `read` was asked for."""
OPENED: list[str] = []


@dataclasses.dataclass(frozen=True, eq=False)
class TraceReader(Reader):
    """Four numbers of four bytes each; a file that is cut off is struct's own error."""

    column: str
    on_error: str

    @property
    def shape(self):
        return (4,)

    def files(self, rows):
        return rows.paths(self.column)

    def fingerprint(self):
        return "trace 1"

    def read(self, rows):
        ASKED.append(len(rows))
        values, present = np.zeros((len(rows), 4), np.float32), np.zeros(len(rows), bool)
        for i, path in enumerate(self.files(rows)):
            if path is not None:
                OPENED.append(path.name)
                values[i], present[i] = struct.unpack("4f", path.read_bytes()), True
        return values, present


class Trace(Modality):
    """A trace in a file of its own."""

    reader: ClassVar = TraceReader
    column: str
    on_error: Literal["raise", "absent"] = "raise"

    @property
    def columns(self):
        return (self.column,)

    def fit(self, rows):
        return TraceReader(self.column, self.on_error)


class Plugin:
    @hookimpl
    def mmfuse_parts(self):
        return [Trace]


CATALOG = Catalog(Plugin())
PLAN = {"decisions": {"final": {"use": "logistic", "features": ["wave"]}}}


@pytest.fixture(autouse=True)
def nothing_asked():
    ASKED.clear()
    OPENED.clear()


def made(folder, n=40, broken=(), on_error="raise"):
    rng = np.random.default_rng(0)
    answer = np.arange(n) % 2
    for i in range(n):
        content = struct.pack("4f", *(rng.normal(size=4) + answer[i]))
        (folder / f"t{i}.bin").write_bytes(content[:9] if i in broken else content)
    table = Table.of(
        {
            "id": [f"c{i}" for i in range(n)],
            "file": [f"t{i}.bin" for i in range(n)],
            "answer": ["no" if a == 0 else "yes" for a in answer],
            "split": ["test" if i % 4 == 3 else "train" for i in range(n)],
        }
    )
    card = {
        "cases": {"id": "id"},
        "labels": {"answer": ["no", "yes"]},
        "modalities": {"wave": {"use": "trace", "column": "file", "on_error": on_error}},
        "split": {"column": "split"},
    }
    spec = load(PLAN, card, catalog=CATALOG)
    return spec, Cases(table, spec.card, folder)


def test_each_file_is_opened_once_by_check_of_columns_training_and_prediction(tmp_path):
    spec, cases = made(tmp_path)
    pipeline = Pipeline(spec, catalog=CATALOG).fit(cases)
    assert max(ASKED) <= 16
    assert sorted(OPENED) == sorted(f"t{i}.bin" for i in range(40))
    p = pipeline.predict_proba(cases)
    assert len(OPENED) == 40
    assert not np.isnan(p).any()
    assert len(pipeline.flags(cases)) == 40
    assert len(OPENED) == 40


def test_check_looks_at_one_file_at_a_time_or_at_none(tmp_path):
    _, cases = made(tmp_path)
    split = np.array(cases.table["split"].tolist(), dtype=object)
    assert not [one for one in audit(cases, split, files=False) if one.level == "error"]
    assert not OPENED
    assert not [one for one in audit(cases, split) if one.level == "error"]
    assert set(ASKED) == {1}
    assert len(OPENED) == 40


def test_names_of_files_are_no_words_to_be_judged(tmp_path):
    """As of images: neither an identifier among the inputs, nor a column that is asked alone."""
    _, cases = made(tmp_path)
    split = np.array(cases.table["split"].tolist(), dtype=object)
    assert not [str(one) for one in audit(cases, split, files=False) if "different words" in one.text]
    assert "file" not in asked_columns(cases)


def test_a_librarys_own_error_is_placed_where_the_part_called_it(tmp_path, monkeypatch):
    _, cases = made(tmp_path)
    monkeypatch.setattr(TraceReader, "read", lambda self, rows: np.load(self.files(rows)[0]))
    found = next(str(one) for one in column_faults(cases, ["wave"]))
    assert re.search(r"test_file_readers\.py, line \d+\)$", found.splitlines()[0]), found


def test_a_file_cut_off_is_a_finding_with_row_path_and_part_and_the_rest_is_looked_at(tmp_path):
    _, cases = made(tmp_path, broken=(5, 9))
    split = np.array(cases.table["split"].tolist(), dtype=object)
    errors = [one for one in audit(cases, split) if one.level == "error"]
    assert len(errors) == 2
    assert str(tmp_path / "t5.bin") in errors[0].where
    assert "row 7" in errors[0].where
    assert "TraceReader" in errors[0].text
    assert "unpack requires a buffer of 16 bytes" in errors[0].text
    assert len(set(OPENED)) == 40


def test_all_files_cut_off_are_named_before_anything_learns(tmp_path):
    spec, cases = made(tmp_path, broken=(5, 9))
    with pytest.raises(TableError) as raised:
        Pipeline(spec, catalog=CATALOG).fit(cases)
    assert ["t5.bin" in str(raised.value), "t9.bin" in str(raised.value)] == [True, True]
    assert isinstance(raised.value.__cause__, struct.error)


def test_a_file_cut_off_counts_as_absent_where_the_modality_says_so(tmp_path):
    spec, cases = made(tmp_path, broken=(5, 9), on_error="absent")
    split = np.array(cases.table["split"].tolist(), dtype=object)
    findings = audit(cases, split)
    assert not [one for one in findings if one.level == "error"]
    assert len([one for one in findings if "t5.bin" in one.where and one.level == "warning"]) == 1
    told = []
    block = read_inputs({"wave": TraceReader("file", "absent")}, cases, told.append)["wave"]
    assert np.flatnonzero(~block.present).tolist() == [5, 9]
    assert any(isinstance(one, Notice) and "2 of 40 files cannot be read" in one.text for one in told)
    assert np.isnan(Pipeline(spec, catalog=CATALOG).fit(cases).predict_proba(cases)).any(axis=1).sum() == 2


class CellsReader(TraceReader):
    """Reads cells, and fails on one."""

    def files(self, rows):
        return ()

    def read(self, rows):
        words = rows.text(self.column)
        if "t5.bin" in words.tolist():
            raise KeyError("t5")
        return np.zeros((len(rows), 4), np.float32), np.ones(len(rows), bool)


class Cells(Trace):
    """Cells."""

    def fit(self, rows):
        return CellsReader(self.column, "raise")


class Unfit(Trace):
    """Fails when it learns."""

    def fit(self, rows):
        raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Cells(column="file"), ["CellsReader", "`read`", "modality wave", "row 7", "KeyError"]),
        (Unfit(column="file"), ["modality 'unfit'", "`fit`", "modalities.wave", "ZeroDivisionError"]),
    ],
)
def test_code_of_a_modality_that_fails_is_named_with_the_part(tmp_path, part, words):
    _, cases = made(tmp_path)
    object.__setattr__(cases, "card", cases.card.model_copy(update={"modalities": {"wave": part}}))
    with pytest.raises(PartFailedError) as raised:
        column_faults(cases, ["wave"])
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert isinstance(raised.value.__cause__, KeyError | ZeroDivisionError)
    findings = audit(cases, np.full(40, "train", dtype=object))
    assert [one.level for one in findings if words[-1] in one.text] == ["error"]


def test_an_interruption_and_a_lack_of_memory_pass(tmp_path, monkeypatch):
    spec, cases = made(tmp_path, n=8)
    for kind in (KeyboardInterrupt, MemoryError):
        monkeypatch.setattr(TraceReader, "read", lambda self, rows, kind=kind: (_ for _ in ()).throw(kind()))
        with pytest.raises(kind):
            Pipeline(spec, catalog=CATALOG).fit(cases)


def test_flags_are_one_a_row(tmp_path, monkeypatch):
    spec, cases = made(tmp_path)
    pipeline = Pipeline(spec, catalog=CATALOG).fit(cases)
    monkeypatch.setattr(TraceReader, "flags", lambda self, rows: ("",))
    with pytest.raises(PartError, match="1 flags for 40 rows"):
        pipeline.flags(cases)


def test_a_reader_that_cannot_be_read_again_is_named(tmp_path, monkeypatch):
    spec, cases = made(tmp_path)
    Pipeline(spec, catalog=CATALOG).fit(cases).save(tmp_path / "run")
    monkeypatch.setattr(Trace, "load", lambda self, stem: {}["gone"])
    with pytest.raises(PartFailedError, match=r"modality 'trace' .* fails in `load`: KeyError"):
        Pipeline.load(tmp_path / "run", catalog=CATALOG)
