"""Rows without any content, as exports leave them; titles above a table; files that are not in UTF-8."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow import parquet

from mmfuse import TableError, describe, read_table


def csv_of(folder, content):
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("lines", "rows", "told"),
    [
        (["id;x", "a;1", "b;2", ";", ";", ";"], [2, 3], "3 rows of empty cells are left out: rows 4, 5, 6"),
        (["id;x", ";", "a;1", "", " ; ", "b;2"], [3, 6], "2 rows of empty cells are left out: rows 2, 5"),
        (["id;x", '"";""', "a;1", "b;2"], [3, 4], "1 row of empty cells is left out: row 2"),
        ([";", " ;", "id;x", "a;1", "b;2"], [4, 5], ""),
        (["id;x", "a;1", "b;2", "   ", "\t", " "], [2, 3], ""),
        (["id;x", "  ", 'a;"1', "  ", '"', " ", "b;2"], [3, 5], ""),
    ],
)
def test_rows_of_separators_are_no_cases(tmp_path, lines, rows, told, end):
    table = read_table(csv_of(tmp_path, end.join(lines) + end))
    assert table["id"].tolist() == ["a", "b"]
    assert table["x"].tolist() == ["1", "2"]
    assert table.rows.tolist() == rows
    assert [note for note in table.notes if "empty cells" in note] == ([told] if told else [])


def test_blanks_within_a_cell_stay(tmp_path):
    table = read_table(csv_of(tmp_path, 'id,x\na,"one\n  \ntwo"\n   \n'))
    assert table["x"].tolist() == ["one\n  \ntwo"]


def test_an_id_is_found_above_rows_of_separators(tmp_path):
    rows = "".join(f"p{i};{i % 2}\n" for i in range(30))
    card, _ = describe(read_table(csv_of(tmp_path, f"patient;malignant\n{rows};\n;\n")))
    assert card["cases"]["id"] == "patient"


def test_rows_of_missing_words_are_cases(tmp_path):
    table = read_table(csv_of(tmp_path, "id,x\na,1\nNA,NA\n"), missing=("", "NA"))
    assert len(table) == 2


def test_a_table_of_empty_rows_alone_has_no_cases(tmp_path):
    table = read_table(csv_of(tmp_path, "id,x\n,\n,\n"))
    assert table.names == ("id", "x")
    assert len(table) == 0


def test_empty_rows_of_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"id": ["a", None, "b", " "], "x": [1.0, None, None, float("nan")]}), path)
    table = read_table(path)
    assert table["id"].tolist() == ["a", "b"]
    assert table.rows.tolist() == [2, 4]
    assert "2 rows of empty cells are left out: rows 3, 5" in table.notes


def test_empty_rows_of_a_sheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["id", "x"], ["a", 1], [None, " "], ["b", 2], [" ", None]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx")
    assert table["id"].tolist() == ["a", "b"]
    assert table.rows.tolist() == [2, 4]
    assert "1 row of empty cells is left out: row 3" in table.notes


def test_a_title_above_the_table_is_named(tmp_path):
    with pytest.raises(TableError, match="title") as refused:
        read_table(csv_of(tmp_path, "Study of skin;;\n;;\nid;age;sex\na;1;f\n"))
    assert "'Study of skin'" in str(refused.value)


@pytest.mark.parametrize("codec", ["gb18030", "cp1251", "cp1252"])
def test_what_a_file_says_in_a_guessed_encoding_is_shown(tmp_path, codec):
    word = {"gb18030": "恶性", "cp1251": "женский", "cp1252": "weiß"}[codec]
    path = csv_of(tmp_path, f"id,x\n1,{word}\n".encode(codec))
    read_as = word.encode(codec).decode("cp1252")
    (told,) = [note for note in read_table(path).notes if "no UTF-8" in note]
    assert f"'{read_as}'" in told
    with pytest.raises(TableError, match="no UTF-8"):
        describe(read_table(path), labels=["诊断"])


def test_utf8_is_not_doubted(tmp_path):
    assert len(read_table(csv_of(tmp_path, "id,x\n1,weiß\n")).notes) == 1
    assert len(read_table(csv_of(tmp_path, b"id,x\n1,y\n")).notes) == 1
