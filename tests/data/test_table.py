"""Tables: what a file says becomes text, what is inferred is told, what is wrong is named."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse import Table, TableError, numbers, read_table
from mmfuse.data.table import canonical


def written(folder: Path, content: str | bytes, name: str = "cases.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_cells_are_text_and_only_listed_words_are_missing(tmp_path):
    path = written(tmp_path, "id,age,note\n0017, 3.0 ,None\n0018,NA,\n0019,nan,na\n")
    table = read_table(path, missing=("", "NA"))
    assert table["id"].tolist() == ["0017", "0018", "0019"]
    assert table["age"].tolist() == ["3.0", None, "nan"]
    assert table["note"].tolist() == ["None", None, "na"]
    assert read_table(path, missing=("None",))["note"].tolist() == [None, "", "na"]
    assert len(table) == 3
    assert table.names == ("id", "age", "note")


@pytest.mark.parametrize(("separator", "shown"), [(",", "','"), (";", "';'"), ("\t", "tab"), ("|", "'|'")])
def test_separators_are_found_and_told(tmp_path, separator, shown):
    lines = [["id", "text", "x"], ["1", '"a;b,c|d\te"', "2"], ["2", "plain", "3"]]
    table = read_table(written(tmp_path, "\n".join(separator.join(line) for line in lines)))
    assert table["text"].tolist() == ["a;b,c|d\te", "plain"]
    assert f"separator {shown}" in table.notes[0]


def test_the_separator_gives_even_rows_not_most_pieces(tmp_path):
    content = "id;symptoms, signs\n1;pain\n2;lump, pain, heat\n"
    assert read_table(written(tmp_path, content)).names == ("id", "symptoms, signs")


def test_a_stated_separator_is_taken(tmp_path):
    table = read_table(written(tmp_path, "sep=;\r\nid;a,b\r\n1;2,5\r\n"))
    assert table.names == ("id", "a,b")
    assert table.numbers("a,b").tolist() == [2.5]
    with pytest.raises(TableError, match="line 4 has 1 cells"):
        read_table(written(tmp_path, "sep=;\nid;a\n1;2\n3\n"))


def test_one_column_is_a_table(tmp_path):
    assert read_table(written(tmp_path, "id\na\nb\n"))["id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("codec", "shown"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("cp1252", "cp1252"), ("utf-32", "utf-32")],
)
def test_encodings(tmp_path, codec, shown):
    table = read_table(
        written(
            tmp_path, "id,ort\n1,Köln\n2,Łódź\n".replace("Łódź", "Łódź" if "utf" in codec else "Málaga").encode(codec)
        )
    )
    assert table.names == ("id", "ort")
    assert table["ort"][0] == "Köln"
    assert f"encoding {shown}" in table.notes[0]


def test_bytes_that_cp1252_lacks_are_latin_1(tmp_path):
    assert "latin-1" in read_table(written(tmp_path, b"id,x\n1,\x81\xe9\n")).notes[0]


def test_binary_is_refused(tmp_path):
    with pytest.raises(TableError, match="NUL bytes"):
        read_table(written(tmp_path, b"id,x\n1,\x00\n"))


def test_decimal_comma_between_semicolons(tmp_path):
    table = read_table(written(tmp_path, "id;age;bmi\n1;2,5;23,456\n2;3;-1,0\n"))
    assert table.decimal == ","
    assert "decimal comma" in table.notes[0]
    np.testing.assert_array_equal(table.numbers("age"), [2.5, 3.0])
    np.testing.assert_array_equal(table.numbers("bmi"), [23.456, -1.0])


@pytest.mark.parametrize(("cell", "decimal"), [("1,234", "."), ("1,5", ","), ("0,125", ","), ("pain, heat", ".")])
def test_between_commas_a_thousand_is_no_decimal(tmp_path, cell, decimal):
    assert read_table(written(tmp_path, f'id,x\n1,"{cell}"\n')).decimal == decimal


def test_both_decimal_signs_are_told(tmp_path):
    table = read_table(written(tmp_path, "id;a;b\n1;2,5;0.5\n2;3,5;x\n"))
    assert table.decimal == ","
    assert "both occur" in table.notes[1]


def test_quotes_hold_newlines_separators_and_quotes(tmp_path):
    table = read_table(written(tmp_path, 'id,note\r\n1,"two\r\nlines, and a ""quote"""\r\n2,5" wide\r\n'))
    assert table["note"].tolist() == ['two\r\nlines, and a "quote"', '5" wide']


def test_ragged_rows_are_named_by_line(tmp_path):
    content = 'id,a,b\n1,"x\ny",2\n2,3\n4,5,6\n7,8,9,10\n'
    with pytest.raises(TableError, match=r"line 4 has 2, line 6 has 4 cells") as caught:
        read_table(written(tmp_path, content))
    assert "cases.csv" in str(caught.value)
    assert "3 cells in every row" in str(caught.value)


def test_an_unclosed_quote_is_named(tmp_path):
    with pytest.raises(TableError, match="line 3: a quote opens"):
        read_table(written(tmp_path, 'id,a\n1,2\n2,"3\n4,5\n'))


def test_all_faulty_names_at_once(tmp_path):
    with pytest.raises(TableError) as caught:
        read_table(written(tmp_path, "id,,a,a,b,b\n1,2,3,4,5,6\n"))
    assert [fault.found[:25] for fault in caught.value.faults] == [
        "columns without a name: n",
        "2 columns are named 'a': ",
        "2 columns are named 'b': ",
    ]


@pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
def test_an_empty_file_is_refused(tmp_path, content):
    with pytest.raises(TableError, match="empty"):
        read_table(written(tmp_path, content))


@pytest.mark.parametrize("text", ["id", "id,x", "id,x\n"])
def test_a_header_alone_is_a_table_of_no_rows(tmp_path, text):
    assert len(read_table(written(tmp_path, text))) == 0


def test_unknown_kinds_and_absent_files_name_what_is_known(tmp_path):
    with pytest.raises(TableError, match=r"\.parquet"):
        read_table(tmp_path / "cases.sav")
    written(tmp_path, "id\n1\n")
    with pytest.raises(TableError, match=r"did you mean 'cases\.csv'"):
        read_table(tmp_path / "case.csv")
    with pytest.raises(TableError, match="cannot write"):
        Table.of({"id": ["1"]}).write(tmp_path / "x.sav")


def test_typed_files_read_as_the_csv_does(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    day = datetime.datetime(2020, 3, 1)
    moment = datetime.datetime(2020, 3, 1, 10, 30)
    rows = [["0017", 1, 1.0, 0.1, True, day, moment], ["x", None, 2.5, 1e20, False, None, None]]
    names = ["id", "int", "float", "small", "flag", "day", "moment"]
    book = openpyxl.Workbook()
    for row in [names, *rows, [None] * 7]:
        book.active.append(row)
    book.create_sheet("legend").append(["unused"])
    book.save(tmp_path / "t.xlsx")
    types = [pa.string(), pa.int64(), pa.float64(), pa.float32(), pa.bool_(), pa.date32(), pa.timestamp("us")]
    columns = {n: pa.array([row[i] for row in rows], t) for i, (n, t) in enumerate(zip(names, types, strict=True))}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    expected = [
        ["0017", "1", "1", "0.1", "true", "2020-03-01", "2020-03-01T10:30:00"],
        ["x", None, "2.5", "1e+20", "false", None, None],
    ]
    for name in ("t.xlsx", "t.parquet"):
        table = read_table(tmp_path / name)
        assert [list(row) for row in zip(*table.columns.values(), strict=True)] == expected, name
    assert "legend" in read_table(tmp_path / "t.xlsx").notes[0]


def test_parquet_lists_are_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"id": ["1"], "v": [[1, 2]]}), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="column 'v' holds list"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.xlsx", "t.parquet"])
def test_files_of_another_kind_are_named(tmp_path, name):
    with pytest.raises(TableError, match=f"{name}: is no"):
        read_table(written(tmp_path, "id,x\n1,2\n", name))


def test_without_openpyxl_the_mend_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(TableError, match=r"mmfuse\[xlsx\]"):
        read_table(written(tmp_path, "", "t.xlsx"))


def test_from_frame_knows_all_kinds_of_missing():
    pd = pytest.importorskip("pandas")
    columns = {
        "id": ["01", "2"],
        "x": [1.0, np.nan],
        "n": pd.array([1, pd.NA], "Int64"),
        "d": [pd.Timestamp("2020-01-02"), pd.NaT],
        "c": pd.Categorical(["a", None]),
    }
    frame = pd.DataFrame(columns, index=[7, 8])
    table = Table.from_frame(frame)
    assert {name: column.tolist() for name, column in table.columns.items()} == {
        "id": ["01", "2"], "x": ["1", None], "n": ["1", None], "d": ["2020-01-02", None], "c": ["a", None],
    }  # fmt: skip
    frame.columns = ["id", "x", "x", "d", "c"]
    with pytest.raises(TableError, match="2 columns are named 'x'"):
        Table.from_frame(frame)


cell = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=6), st.sampled_from(["csv", "parquet"]))
def test_what_is_written_is_read_again(tmp_path_factory, rows, suffix):
    path = tmp_path_factory.mktemp("tables") / f"t.{suffix}"
    table = Table.of({"id": range(len(rows)), "a": [a for a, _ in rows], "b,;": [b for _, b in rows]})
    table.write(path)
    again = read_table(path)
    assert {name: column.tolist() for name, column in again.columns.items()} == {
        name: column.tolist() for name, column in table.columns.items()
    }
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_decimal_commas_survive_writing(tmp_path, suffix):
    table = Table.of({"id": ["1", "2"], "x": ["1,234", "5,678"]}, decimal=",")
    table.write(tmp_path / f"t.{suffix}")
    np.testing.assert_array_equal(read_table(tmp_path / f"t.{suffix}").numbers("x"), [1.234, 5.678])


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = written(tmp_path, "old")

    def full(table, scratch, numeric, about):
        scratch.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(sys.modules["mmfuse.data.table"]._WRITERS, ".csv", full)
    with pytest.raises(OSError, match="No space"):
        Table.of({"id": ["1"]}).write(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["cases.csv"]


def test_take_and_with_columns_keep_the_rows_of_the_file():
    table = Table.of({"id": ["a", "b", "c"]}).with_columns({"x": [1, 2.0, None]})
    taken = table.take([2, 0])
    assert taken["x"].tolist() == [None, "1"]
    assert taken.where(0, "x") == "table, row 4, column x"
    assert table.take(np.array([True, False, False]))["id"].tolist() == ["a"]
    assert len(table.take([])) == 0
    assert table.take(slice(1))["id"].tolist() == ["a"]


def test_an_unknown_column_is_answered_by_the_nearest():
    with pytest.raises(TableError, match="did you mean 'diagnosis'"):
        Table.of({"diagnosis": ["a"]})["diagnosos"]
    with pytest.raises(TableError, match="unequal length"):
        Table.of({"a": ["1"], "b": []})


def test_numbers():
    np.testing.assert_array_equal(numbers(["1", None, "-2.50", "+.5", "1e-3", "3."]), [1, np.nan, -2.5, 0.5, 0.001, 3])
    np.testing.assert_array_equal(numbers(["1,5", "2"], ","), [1.5, 2])
    assert numbers([]).shape == (0,)


@pytest.mark.parametrize(
    "word", ["nan", "inf", "-Infinity", "1_000", "1,000", "1 000", "0x1", "", "١", "1e999", "12 mm"]
)
def test_words_that_are_no_numbers_are_listed(word):
    with pytest.raises(TableError, match="no numbers") as caught:
        numbers(["1", word, word], where="t.csv, column x")
    assert f"'{word}' (2)" in str(caught.value)
    assert "t.csv, column x" in str(caught.value)


def test_a_point_between_decimal_commas_is_not_guessed():
    with pytest.raises(TableError, match=r"'1\.234' \(1\)"):
        numbers(["1.234", "1,5"], ",")


def test_many_words_are_counted():
    with pytest.raises(TableError, match="and 4 more"):
        numbers([f"w{i}" for i in range(12)])


@given(st.integers(-(10**12), 10**12))
def test_one_form_of_an_integer(value):
    forms = {canonical(str(value)), canonical(f"{value}.0"), canonical(f"{value}.00"), canonical(f"{value},0", ",")}
    assert forms == {str(value)}


def test_one_form_of_other_words():
    assert canonical("TRUE") == canonical("True") == "true"
    assert canonical("0.50") == "0.5"
    assert canonical("-0.0") == "0"
    assert canonical("01") == "01"
    assert canonical("4b") == "4b"
    assert canonical("1,0") == "1,0"


def test_reading_loads_nothing_heavy(tmp_path):
    path = written(tmp_path, "id;x\n1;2,5\n")
    Table.of({"id": ["1"]}).write(tmp_path / "t.parquet")
    code = (
        "import sys, mmfuse, mmfuse.advice.audit, mmfuse.advice.describe, mmfuse.data.splits\n"
        f"mmfuse.read_table({str(path)!r}); mmfuse.read_table({str(tmp_path / 't.parquet')!r})\n"
        "print(sorted({'torch', 'pandas', 'scipy', 'sklearn'} & {name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_words_that_recur_are_held_once(tmp_path):
    rows = "".join(f"case {i},kind {i % 3},{'' if i % 5 else 'x y'}\n" for i in range(1000))
    (tmp_path / "t.csv").write_text(f"id,kind,note\n{rows}")
    table = read_table(tmp_path / "t.csv")
    assert len({id(word) for word in table["kind"]}) == 3
    assert len({id(word) for word in table["note"]}) == 2
    assert table["kind"].tolist() == [f"kind {i % 3}" for i in range(1000)]
    assert table["id"].tolist() == [f"case {i}" for i in range(1000)]
