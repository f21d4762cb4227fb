"""CSV and Parquet as others write them: blank lines, empty columns, bytes, checksums; and the limits."""

from __future__ import annotations

import datetime
import random
import resource
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mmfuse import Table, TableError, read_table
from mmfuse.data.limits import CELL, COLUMNS


def csv_of(folder, content):
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet_of(folder, columns, **how):
    path = folder / "t.parquet"
    parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **how)
    return path


def refused_at_once(path, match):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(TableError, match=match):
        read_table(path)
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 2**10


# ── CSV ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["id,x", "a,1", "b,2"], [2, 3]),
        (["id,x", "", "a,1", "", "", "b,2", "", ""], [3, 6]),
        (["", "id,x", "a,1", "b,2"], [3, 4]),
        (["id,x", 'a,"1', "", '2"', "", "b,2"], [2, 4]),
        (["sep=,", "id,x", "a,1", "", "b,2"], [2, 4]),
    ],
)
def test_rows_are_numbered_as_a_spreadsheet_does(tmp_path, lines, rows, end):
    table = read_table(csv_of(tmp_path, end.join(lines)))
    assert table["id"].tolist() == ["a", "b"]
    assert table.rows.tolist() == rows
    assert table.where(1).endswith(f"row {rows[1]}")


def test_columns_of_nothing_are_left_out(tmp_path):
    table = read_table(csv_of(tmp_path, ";id;x;;\n;a;1;;\n;b;2; ;\n"))
    assert table.names == ("id", "x")
    assert "left out: number 1, 4, 5" in table.notes[1]
    with pytest.raises(TableError, match="columns without a name: number 1"):
        read_table(csv_of(tmp_path, ",id\n7,a\n"))
    with pytest.raises(TableError, match="columns without a name: number 1, 2"):
        read_table(csv_of(tmp_path, ",\n,\n"))


def test_one_spelling_of_each_sign(tmp_path):
    apart = "id,gro\u0308ße,ort\na,1,Ko\u0308ln\n"
    table = read_table(csv_of(tmp_path, apart))
    assert table.names == ("id", "größe", "ort")
    assert table["ort"].tolist() == ["Köln"]
    with pytest.raises(TableError, match="2 columns are named 'größe'"):
        read_table(csv_of(tmp_path, "gro\u0308ße,größe\n1,2\n"))
    assert Table.of({"ort": ["Ko\u0308ln"]})["ort"].tolist() == ["Köln"]
    assert read_table(parquet_of(tmp_path, {"gro\u0308ße": ["u\u0308"]}))["größe"].tolist() == ["ü"]


@pytest.mark.parametrize("content", ["sep=;\n", "sep=;\n\n\n", "sep=;"])
def test_a_stated_separator_alone_is_no_table(tmp_path, content):
    path = csv_of(tmp_path, content)
    if content.endswith("\n"):
        with pytest.raises(TableError, match="is empty"):
            read_table(path)
    else:
        assert read_table(path).names == ("sep=",)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (f"id,x\na,{'y' * (CELL + 1)}\n", "column x: a cell of more than 131,072 characters"),
        (f"id,{'y' * (CELL + 1)}\n1,2\n", "a cell of more than 131,072 characters"),
        (f'id,x\na,"{"y" * CELL}\nb,"2"\n', "line 2: a cell of more than"),
        (f'"id,x\n{"a,1" * CELL}\n', "line 1"),
        ("id,x\na,1\0\n", "NUL"),
        ("\ufeffid,x\na,1\0\n".encode("utf-16"), "NUL"),
        ("," * COLUMNS + "\n", "columns"),
        (f"{','.join(f'c{i}' for i in range(100_000))}\n" + "\n" * 2 + "," * 99_999 + "\n" * 2000, "100,000,000"),
    ],
)
def test_what_is_too_much_is_refused(tmp_path, content, match):
    refused_at_once(csv_of(tmp_path, content), match)


def test_letters_are_counted_not_bytes(tmp_path):
    assert read_table(csv_of(tmp_path, f"id\n{'ü' * CELL}\n"))["id"][0] == "ü" * CELL


# ── Parquet ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(4), pa.dictionary(pa.int32(), pa.binary())])
@pytest.mark.parametrize("coded", [True, False])
def test_bytes_are_the_text_that_they_are(tmp_path, kind, coded):
    words = [b"male", None, b"m\xc3\xa4n", b"male"]
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    column = pa.array(words, value)
    path = parquet_of(tmp_path, {"id": list("abcd"), "sex": column.cast(kind)}, use_dictionary=coded)
    assert read_table(path)["sex"].tolist() == ["male", None, "män", "male"]
    path = parquet_of(tmp_path, {"sex": pa.array([b"\xff\xfe\x00\x01"], value).cast(kind)}, use_dictionary=coded)
    with pytest.raises(TableError, match="column sex: bytes that are no text in UTF-8"):
        read_table(path)


def test_bytes_in_frames_and_tables():
    assert Table.of({"sex": [b"male", None]})["sex"].tolist() == ["male", None]
    with pytest.raises(TableError, match="table, column sex: bytes that are no text"):
        Table.of({"sex": [b"\xff"]})


@pytest.mark.parametrize("coded", [True, False])
def test_words_that_recur_read_as_they_stand(tmp_path, coded):
    draw = random.Random(0)
    words = [draw.choice(["a", "b ", None, "", "NA"]) for _ in range(30_000)]
    path = parquet_of(tmp_path, {"x": words, "id": [f"c{i}" for i in range(30_000)]}, use_dictionary=coded,
                      row_group_size=7_000)  # fmt: skip
    expected = [None if word in (None, "", "NA") else word.strip() for word in words]
    table = read_table(path, missing=("", "NA"))
    assert table["x"].tolist() == expected
    assert table["id"].tolist() == [f"c{i}" for i in range(30_000)]


def test_fine_times_need_no_pandas(tmp_path):
    moment = np.array(["2024-02-29T10:30", "NaT"], "datetime64[ns]")
    durations = pa.array([90 * 10**9, None], pa.duration("ns"))
    path = parquet_of(tmp_path, {"id": ["a", "b"], "t": pa.array(moment), "d": durations})
    code = f"import sys, mmfuse; t = mmfuse.read_table({str(path)!r})\n"
    code += "print(list(t['t']), list(t['d']), 'pandas' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['2024-02-29T10:30:00', None] ['0:01:30', None] False"


def test_a_flipped_bit_in_a_page_with_its_checksum_is_refused(tmp_path):
    draw = random.Random(0)
    columns = {"id": [f"case {i}" for i in range(500)], "x": [draw.choice("abc") for _ in range(500)]}
    path = tmp_path / "t.parquet"
    Table.of(columns).write(path)  # what mmfuse writes holds them
    whole, sound = path.read_bytes(), read_table(path)
    about = parquet.ParquetFile(path).metadata.row_group(0)
    ends = [about.column(i).total_compressed_size for i in range(2)]
    refused = 0
    for _ in range(200):
        broken = bytearray(whole)
        broken[4 + draw.randrange(sum(ends))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        try:
            read = read_table(path)
        except TableError:
            refused += 1
            continue
        for name in columns:  # pages' own headers hold figures that decide nothing
            assert read[name].tolist() == sound[name].tolist()
    assert refused > 150


def test_whatever_is_broken_is_a_table_error(tmp_path):
    draw = random.Random(0)
    day = datetime.datetime(2024, 2, 29, 10, 30)
    kinds = {"id": ["a", "b"], "t": [day, None], "b": [b"x", b"y"], "f": [0.5, None], "w": ["x", "x"]}
    path = parquet_of(tmp_path, kinds)
    whole = path.read_bytes()
    for _ in range(400):
        broken = bytearray(whole)
        for _ in range(draw.choice([1, 2, 8])):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        path.write_bytes(broken[: draw.choice([len(whole), draw.randrange(len(whole))])])
        with suppress(TableError):
            read_table(path)


def test_metadata_of_columns_are_not_looked_at(tmp_path, monkeypatch):
    """Arrow may end the process over those of a broken file, where reading the file raises."""
    from pyarrow import parquet

    class Shy:
        """As what it wraps, but for the metadata of a column."""

        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            assert name != "column"
            found = getattr(self.inner, name)
            return (lambda index: Shy(found(index))) if name == "row_group" else found

    whole = parquet.ParquetFile

    class Watched(whole):
        metadata = property(lambda self: Shy(whole.metadata.fget(self)))

    path = parquet_of(tmp_path, {"id": ["a", "b"], "x": ["u", "v"]})
    monkeypatch.setattr(parquet, "ParquetFile", Watched)
    assert [*read_table(path)["x"]] == ["u", "v"]


@pytest.mark.parametrize("value", [pa.array([2**62], pa.timestamp("us")), pa.array([2**30], pa.date32())])
def test_days_that_no_calendar_has(tmp_path, value):
    with pytest.raises(TableError, match="is no sound Parquet file"):
        read_table(parquet_of(tmp_path, {"id": value}))


def test_small_files_of_much_are_refused(tmp_path):
    many = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000_000 // 64, np.int8)), ["x"])
    refused_at_once(parquet_of(tmp_path, {f"c{i}": many for i in range(64)}), "100,000,000 cells")
    assert (tmp_path / "t.parquet").stat().st_size < 2**20
    refused_at_once(parquet_of(tmp_path, {"id": ["a"], "x": ["y" * (CELL + 1)]}), "column x: a cell of more than")
    refused_at_once(parquet_of(tmp_path, {"id": ["a\0"]}), "column id: a cell with NUL")


def test_a_long_word_that_recurs_is_held_once(tmp_path):
    word = "y" * CELL
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(50_000, np.int32)), [word])
    path = parquet_of(tmp_path, {"x": words}, store_schema=False)  # 6 GB of text
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_table(path)["x"].tolist() == [word] * 50_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 2**10


@pytest.mark.parametrize("column", [pa.array([], pa.list_(pa.float64())), pa.array([], pa.float64())])
def test_vectors_of_no_rows_are_refused(tmp_path, column):
    from mmfuse import Card, Cases, CasesSection
    from mmfuse.builtin.modalities import Vector

    parquet_of(tmp_path, {"ids": pa.array([], pa.string()), "vectors": column})
    rows = Cases(Table.of({"id": ["a"]}), Card(cases=CasesSection(id="id")), tmp_path).rows()
    with pytest.raises(TableError, match="holds no rows"):
        Vector(file="t.parquet").fit(rows)
