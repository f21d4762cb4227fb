"""Workbooks: what a sheet shows becomes text, rows keep their numbers, what is broken or hostile is refused by name."""

from __future__ import annotations

import datetime
import io
import random
import resource
import time
import zipfile

import pytest

from mmfuse import TableError, read_table
from mmfuse.data.workbook import DEPTH, PART

openpyxl = pytest.importorskip("openpyxl")

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def parts_of(sheet, shared=""):
    """The parts of the smallest workbook whose sheet holds this XML."""
    rel = "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>{}</Relationships>"
    one = "<Relationship Id='{}' Type='{}/{}' Target='{}'/>"
    return {
        "_rels/.rels": rel.format(one.format("r1", RELS, "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f"<workbook xmlns='{MAIN}' xmlns:r='{RELS}'><sheets><sheet name='S' sheetId='1' r:id='r1'/>"
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": rel.format(
            one.format("r1", RELS, "worksheet", "/xl/sheet.xml") + one.format("r2", RELS, "sharedStrings", "s.xml")
        ),
        "xl/sheet.xml": sheet,
        "xl/s.xml": f"<sst xmlns='{MAIN}'>{shared}</sst>",
    }


def written(folder, rows="", shared="", **parts):
    path = folder / "t.xlsx"
    sheet = f"<worksheet xmlns='{MAIN}'><sheetData>{rows}</sheetData></worksheet>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**parts_of(sheet, shared), **parts}.items():
            archive.writestr(name, text)
    return path


def saved(folder, cells, book=None):
    """A workbook of {place: value}."""
    book = book or openpyxl.Workbook()
    for place, value in cells.items():
        book.active[place] = value
    book.save(folder / "t.xlsx")
    return folder / "t.xlsx"


def columns_of(path):
    return {name: column.tolist() for name, column in read_table(path).columns.items()}


def text(place, word):
    return f"<c r='{place}' t='inlineStr'><is><t>{word}</t></is></c>"


# ── what a sheet says ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_table_that_begins_in_another_place(tmp_path):
    cells = {"B3": "id", "C3": "x", "E3": "y", "B4": "a", "C4": 1, "E6": "late", "B6": "b"}
    table = read_table(saved(tmp_path, cells))
    assert {n: c.tolist() for n, c in table.columns.items()} == {
        "id": ["a", "b"],
        "x": ["1", None],
        "y": [None, "late"],
    }
    assert table.rows.tolist() == [4, 6]
    assert table.where(1, "y").endswith("row 6, column y")
    assert "left out: number 1, 4" in table.notes[1]


def test_a_column_without_a_name_that_holds_something_is_refused(tmp_path):
    with pytest.raises(TableError, match="columns without a name: number 3"):
        read_table(saved(tmp_path, {"B1": "id", "B2": "a", "C2": "?"}))


def test_formulas_without_a_value_are_named(tmp_path):
    with pytest.raises(TableError, match=r"formulas without a stored value in cells B2, B3") as refused:
        read_table(saved(tmp_path, {"A1": "id", "B1": "x", "A2": "a", "B2": "=1+1", "A3": "b", "B3": "=A1"}))
    assert "save it" in str(refused.value)


def test_stored_values_of_formulas_are_read(tmp_path):
    head = f"<row>{text('A1', 'id')}{text('B1', 'x')}{text('C1', 'y')}</row>"
    rows = (
        f"<row r='2'>{text('A2', 'a')}<c r='B2'><f>1+1</f><v>2</v></c><c r='C2' t='str'><f>T(1)</f><v></v></c></row>"
        f"<row r='3'>{text('A3', 'b')}<c r='B3' t='e'><f>1/0</f><v>#DIV/0!</v></c>"
        "<c r='C3' t='str'><f>A1</f><v>two_x000A_lines</v></c></row>"
    )
    assert columns_of(written(tmp_path, head + rows)) == {
        "id": ["a", "b"],
        "x": ["2", "#DIV/0!"],
        "y": [None, "two\nlines"],
    }


def test_merged_cells_are_told(tmp_path):
    book = openpyxl.Workbook()
    book.active.merge_cells("B2:B3")
    table = read_table(saved(tmp_path, {"A1": "id", "B1": "x", "A2": "a", "B2": "both", "A3": "b"}, book))
    assert table["x"].tolist() == ["both", None]
    assert "merged cells hold one value" in table.notes[1]
    assert "B2:B3" in table.notes[1]


def test_dates_durations_and_the_other_epoch(tmp_path):
    cells = {"A1": "id", "B1": "d", "C1": "t", "D1": "u", "A2": 1}
    values = {"B2": datetime.date(2024, 2, 29), "C2": datetime.time(10, 30), "D2": datetime.timedelta(hours=30)}
    for epoch in (openpyxl.utils.datetime.WINDOWS_EPOCH, openpyxl.utils.datetime.MAC_EPOCH):
        book = openpyxl.Workbook()
        book.epoch = epoch
        read = columns_of(saved(tmp_path, {**cells, **values}, book))
        assert read == {"id": ["1"], "d": ["2024-02-29"], "t": ["10:30:00"], "u": ["1 day, 6:00:00"]}


def test_east_asian_dates(tmp_path):
    book = openpyxl.Workbook()
    path = saved(tmp_path, {"A1": "id", "A2": 45351}, book)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts["xl/styles.xml"] = parts["xl/styles.xml"].replace('numFmtId="0"', 'numFmtId="31"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert read_table(path)["id"].tolist() == ["2024-02-29"]


def test_rich_text_without_how_it_is_said(tmp_path):
    shared = "<si><t>id</t></si><si><r><t>東</t></r><r><t>京</t></r><rPh sb='0' eb='2'><t>トウキョウ</t></rPh></si>"
    rows = "<row><c t='s'><v>0</v></c></row><row><c t='s'><v>1</v></c></row>"
    assert columns_of(written(tmp_path, rows, shared)) == {"id": ["東京"]}


def test_the_values_are_those_that_openpyxl_reads(tmp_path):
    draw = random.Random(0)
    kinds = [
        lambda: draw.choice(["male", " x ", "0017", "ä", "<&>", "1e5"]),
        lambda: draw.randint(-(10**9), 10**9),
        lambda: draw.random() * 10 ** draw.randint(-8, 8),
        lambda: draw.random() < 0.5,
        lambda: datetime.datetime(2000, 1, 1) + datetime.timedelta(seconds=draw.randint(0, 10**9)),
        lambda: None,
    ]
    book = openpyxl.Workbook()
    book.active.append([f"c{i}" for i in range(12)])
    for i in range(200):
        book.active.append([i, *(draw.choice(kinds)() for _ in range(11))])
    book.save(tmp_path / "t.xlsx")
    again = openpyxl.load_workbook(tmp_path / "t.xlsx", data_only=True)
    from mmfuse.data.words import as_text

    expected = [[as_text(cell) or None for cell in row] for row in again.active.iter_rows(min_row=2, values_only=True)]
    assert [list(row) for row in zip(*read_table(tmp_path / "t.xlsx").columns.values(), strict=True)] == expected


# ── what is broken or hostile ─────────────────────────────────────────────────────────────────────────────────────────


def refused_at_once(path, match):
    """Refused within two seconds of work and 200 MiB."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(TableError, match=match):
        read_table(path)
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


def test_a_cell_at_the_far_end_costs_nothing(tmp_path):
    far = f"<row r='1'>{text('A1', 'id')}</row><row r='1048576'>{text('XFD1048576', 'x')}</row>"
    refused_at_once(written(tmp_path, far), "columns without a name: number 16384")
    assert columns_of(written(tmp_path, far.replace("XFD1048576", "A1048576"))) == {"id": ["x"]}


def test_many_rows_of_one_far_cell_each_are_no_wide_table(tmp_path):
    head = f"<row r='1'>{''.join(f'<c><v>{i}</v></c>' for i in range(16384))}</row>"
    rows = "".join(f"<row r='{i}'><c r='A{i}'><v>1</v></c></row>" for i in range(2, 20000))
    refused_at_once(written(tmp_path, head + rows), r"at most 100,000,000 cells")


@pytest.mark.parametrize("size", [PART + 1, 40 * 2**20])
def test_a_sheet_that_unpacks_to_much_is_not_unpacked(tmp_path, size):
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts_of("").items():
            if name != "xl/sheet.xml":
                archive.writestr(name, content)
        with archive.open("xl/sheet.xml", "w", force_zip64=True) as file:
            for _ in range(size // 2**20 + 1):
                file.write(b" " * 2**20)
    assert path.stat().st_size < 2**20
    refused_at_once(path, "unpacks from")


def test_entities_depth_and_long_cells_are_refused(tmp_path):
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;'>]>"
    refused_at_once(written(tmp_path, **{"xl/sheet.xml": f"{bomb}<worksheet>&b;</worksheet>"}), "document type")
    deep = "<a>" * (DEPTH + 1)
    refused_at_once(written(tmp_path, deep + deep.replace("<", "</")), f"at most {DEPTH}")
    for long in (text("A1", "x" * 200_000), f"<c t='str'><v>{'x' * 200_000}</v></c>"):
        refused_at_once(written(tmp_path, f"<row>{long}</row>"), "131,072 characters")
    refused_at_once(written(tmp_path, "", f"<si><t>{'x' * 200_000}</t></si>"), "131,072 characters")
    refused_at_once(written(tmp_path, f"<row>{text('A1', 'a_x0000_b')}</row>"), "cell A1 holds NUL")


@pytest.mark.parametrize(
    "rows",
    [
        "<row r='x'/>",
        "<row><c r='$1'/></row>",
        "<row><c t='s'><v>7</v></c></row>",
        "<row><c t='s'><v>-1</v></c></row>",
        "<row><c><v>1_0</v></c></row>",
        "<row><c t='b'><v>maybe</v></c></row>",
        "<row><c t='d'><v>soon</v></c></row>",
        "<row>",
    ],
)
def test_cells_that_make_no_sense(tmp_path, rows):
    with pytest.raises(TableError, match="is no sound xlsx workbook"):
        read_table(written(tmp_path, rows))


@pytest.mark.parametrize("lost", ["_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/sheet.xml"])
def test_parts_that_are_missing(tmp_path, lost):
    path = written(tmp_path, f"<row>{text('A1', 'id')}</row>")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != lost}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(TableError, match="is no sound xlsx workbook"):
        read_table(path)


def test_no_broken_workbook_is_read_as_other_cells(tmp_path):
    path = saved(tmp_path, {"A1": "id", "B1": "x", **{f"A{i}": i for i in range(2, 40)}, "B5": "word"})
    whole, sound = path.read_bytes(), columns_of(path)
    draw = random.Random(0)
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(draw.choice([1, 1, 4])):
            broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken[: draw.choice([len(whole), len(whole), draw.randrange(len(whole))])])
        try:
            read = columns_of(path)
        except TableError:
            continue
        assert read == sound


def test_a_password_or_an_old_workbook_is_named(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    with pytest.raises(TableError, match=r"has a password, or is an old \.xls"):
        read_table(tmp_path / "t.xlsx")


def test_a_workbook_of_charts_alone_is_empty(tmp_path):
    book = openpyxl.Workbook()
    book.create_chartsheet("chart")
    del book["Sheet"]
    held = io.BytesIO()
    book.save(held)
    (tmp_path / "t.xlsx").write_bytes(held.getvalue())
    with pytest.raises(TableError, match="first sheet is empty"):
        read_table(tmp_path / "t.xlsx")
