"""Cases: every fault of table against card at once; rows show neither labels nor marked columns."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from mmfuse import Card, Cases, ColumnLine, Label, Labels, Modality, Table, TableError
from mmfuse.card import CasesSection


class Picture(Modality):
    """A stand-in that names its columns; nothing is read through it."""

    name: ClassVar[str] = "picture"
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    @property
    def is_image(self) -> bool:
        return True


class Cells(Picture):
    """A stand-in for a table."""

    name: ClassVar[str] = "cells"

    @property
    def is_image(self) -> bool:
        return False


def card(**sections) -> Card:
    cases = {"id": "id", "group": "patient", **sections.pop("cases", {})}
    return Card(
        cases=CasesSection(**cases), labels=sections.pop("labels", {"diagnosis": ["nevus", "melanoma"]}), **sections
    )


def table(**columns) -> Table:
    base = {
        "id": ["a", "b", "c", "d"],
        "patient": ["1", "1.0", None, "2"],
        "diagnosis": ["nevus", None, "melanoma", "nevus"],
        "age": ["30", "40,5", None, "x"],
        "derm": ["a.jpg", "sub/../b.jpg", None, "/data/d.jpg"],
    }
    return Table.of({**base, **columns}, decimal=",", source="t.csv")


def test_targets_groups_and_labels(tmp_path):
    cases = Cases(table(), card(), tmp_path)
    assert len(cases) == 4
    assert cases.labels == Labels([Label("diagnosis", ("nevus", "melanoma"))])
    assert cases.ids.tolist() == ["a", "b", "c", "d"]
    assert cases.ids.dtype.kind == cases.groups.dtype.kind == "U"
    assert cases.targets.tolist() == [[0], [-1], [1], [0]]
    assert cases.targets.dtype == np.int64
    assert cases.groups.tolist() == ["1", "1", "case c", "2"]
    assert any("1 cases name no group" in note for note in cases.notes)


def test_a_lone_case_shares_no_group_called_like_its_id():
    groups = Cases(table(id=["a", "b", "2", "d"]), card()).groups
    assert groups[2] != groups[3]


def test_without_a_group_column_each_case_is_its_own():
    assert Cases(table(), card(cases={"group": ""})).groups.tolist() == ["a", "b", "c", "d"]


def test_classes_match_whatever_their_form():
    labels = {"x": {"classes": ["0", "1"], "column": "n"}, "y": {"classes": ["false", "true"], "column": "b"}}
    cases = Cases(table(n=["1.0", "0,0", 1, "1"], b=["TRUE", "False", True, None]), card(labels=labels))
    assert cases.targets.tolist() == [[1, 1], [0, 0], [1, 1], [1, -1]]


def test_equal_classes_are_refused():
    with pytest.raises(TableError, match=r"that are one: 1, 1\.0"):
        Cases(table(), card(labels={"diagnosis": ["1", "1.0"]}))


def test_all_faults_come_at_once():
    bad = table(
        id=["a", "a", None, "d"],
        diagnosis=["melanom", "nevus", "melanom", "other"],
        derm=["../a.jpg", "b.jpg", None, None],
        management=["cut", "wait", "cut", "cut"],
    )
    modalities = {"derm": Picture(names=("derm", "clinic")), "meta": Cells(names=("age", "management", "diagnosis"))}
    marked = {"management": ColumnLine(known="after the diagnosis")}
    labels = {"diagnosis": ["nevus", "melanoma"], "streaks": ["absent", "present"]}
    wrong = card(cases={"group": "patients"}, modalities=modalities, columns=marked, labels=labels)
    with pytest.raises(TableError) as caught:
        Cases(bad, wrong, Path("/data"))
    texts = [str(fault) for fault in caught.value.faults]
    expected = [
        "t.csv, column id: no id in rows 4",
        "t.csv, column id: ids that are not unique: 'a' in rows 2, 3",
        "t.csv: no column 'patients'",
        "t.csv, row 2 (id a), column diagnosis: 'melanom' is no class of label 'diagnosis' (2 rows)",
        "t.csv, row 5 (id d), column diagnosis: 'other' is no class",
        "t.csv: no column 'streaks', of label 'streaks'",
        "t.csv, row 2 (id a), column derm: '../a.jpg' climbs out of the root",
        "t.csv: no column 'clinic', which modality 'derm' reads",
        "t.csv, column management: cannot be an input of modality 'meta': the card says it became known 'after",
        "t.csv, column diagnosis: cannot be an input of modality 'meta': it is the column of label 'diagnosis'",
    ]
    assert len(texts) == len(expected)
    for text, start in zip(texts, expected, strict=True):
        assert text.startswith(start)
    assert "did you mean 'patient'?" in texts[2]
    assert "did you mean 'melanoma'?" in texts[3]
    assert "allow = true" in texts[8]


def test_many_unknown_classes_are_counted():
    many = Table.of({"id": range(30), "diagnosis": [f"w{i}" for i in range(30)]})
    with pytest.raises(TableError) as caught:
        Cases(many, card(cases={"group": ""}))
    assert len(caught.value.faults) == 9
    assert "22 more words in 22 rows" in caught.value.faults[-1].found


def test_no_rows_and_no_id_column():
    with pytest.raises(TableError, match="holds no rows"):
        Cases(Table.of({"id": [], "diagnosis": []}), card(cases={"group": ""}))
    with pytest.raises(TableError, match="no column 'case', the id") as caught:
        Cases(table(), card(cases={"id": "case"}))
    assert len(caught.value.faults) == 1


def test_new_cases_need_no_labels():
    new = Table.of({"id": ["a"], "patient": ["1"]})
    with pytest.raises(TableError, match="no column 'diagnosis'"):
        Cases(new, card())
    assert Cases(new, card(), labelled=False).targets.tolist() == [[-1]]
    known = Cases(table(diagnosis=["?", "?", "?", "?"]), card(), labelled=False)
    assert (known.targets == -1).all()
    with pytest.raises(TableError, match="label 'diagnosis'"):
        known.rows().text("diagnosis")


def test_rows_read_text_numbers_categories_and_paths(tmp_path):
    rows = Cases(table(), card(cases={"root": "../images"}), tmp_path / "tables").rows()
    assert rows.text("patient").tolist() == ["1", "1.0", None, "2"]
    assert rows.categories("patient").tolist() == ["1", "1", None, "2"]
    np.testing.assert_array_equal(rows.take([0, 1, 2]).numbers("age"), [30, 40.5, np.nan])
    root = tmp_path / "images"
    assert rows.paths("derm") == (root / "a.jpg", root / "b.jpg", None, Path("/data/d.jpg"))
    with pytest.raises(TableError, match=r"t\.csv, column age: no numbers: 'x' \(1, in row 5\)"):
        rows.numbers("age")
    assert rows.take([2]).where(0, "derm") == "t.csv, row 4 (id c), column derm"


@pytest.mark.parametrize(
    ("cell", "refused"),
    [("../x.jpg", True), ("a/../../x.jpg", True), ("a/../x.jpg", False), ("..x.jpg", False), ("..\\x.jpg", True)],
)
def test_paths_stay_below_the_root(cell, refused):
    rows = Cases(table(derm=["a.jpg", cell, None, None]), card(), Path("/data")).rows()
    if refused:
        with pytest.raises(TableError, match=r"row 3 \(id b\), column derm: .* climbs out of the root"):
            rows.paths("derm")
    else:
        assert rows.paths("derm")[1].is_relative_to("/data")


def test_backslashes_of_relative_paths_are_slashes():
    rows = Cases(table(derm=["sub\\a.jpg", None, None, None]), card(), Path("/data")).rows()
    assert rows.paths("derm")[0] == Path("/data/sub/a.jpg")


def test_marked_columns_are_refused_with_the_mend_and_allowed_by_name():
    treated = table(treatment=["a", "b", "c", "d"])
    cases = Cases(treated, card(columns={"treatment": ColumnLine(known="after the diagnosis")}))
    assert "treatment" not in cases.rows().columns
    with pytest.raises(TableError, match=r"after the diagnosis.*\n.*\n.*allow = true"):
        cases.rows().text("treatment")
    for line in (ColumnLine(known="after the diagnosis", allow=True), ColumnLine(known="before the diagnosis")):
        assert Cases(treated, card(columns={"treatment": line})).rows().text("treatment")[0] == "a"


def test_rows_of_named_columns_show_no_others():
    rows = Cases(table(), card()).rows([0], columns=["age"])
    assert rows.columns == ("age",)
    with pytest.raises(TableError, match="not among the columns"):
        rows.paths("derm")
    with pytest.raises(TableError, match="no column 'agee'"):
        rows.text("agee")


def test_a_mark_on_no_column_is_told():
    notes = Cases(table(), card(columns={"managment": ColumnLine(known="after the diagnosis")})).notes
    assert any(note.startswith("[columns] marks what the table does not have: managment; ") for note in notes)
    many = {f"score{i}": ColumnLine(known="a model") for i in range(20)}
    (note,) = [note for note in Cases(table(), card(columns=many)).notes if "[columns]" in note]  # one line, not 20
    assert "and 12 more" in note


def test_take_keeps_rows_together():
    cases = Cases(table(), card())
    taken = cases.take([3, 0])
    assert taken.ids.tolist() == ["d", "a"]
    assert taken.targets.tolist() == [[0], [0]]
    assert taken.groups.tolist() == ["2", "1"]
    assert taken.rows().text("derm").tolist() == ["/data/d.jpg", "a.jpg"]
    assert taken.where(0) == "t.csv, row 5 (id d)"
    assert len(cases.take(cases.groups == "1")) == 2
    assert len(cases.take([])) == len(cases.rows([])) == 0
    assert len(cases) == 4


def test_load_reads_with_the_cards_missing_words(tmp_path):
    (tmp_path / "cases.csv").write_text("id,patient,diagnosis,derm\n01,1,NA,a.jpg\n02,1,nevus,\n")
    cases = Cases.load(tmp_path / "cases.csv", card(cases={"missing": ("NA", ""), "root": "images"}))
    assert cases.ids.tolist() == ["01", "02"]
    assert cases.targets.tolist() == [[-1], [0]]
    assert cases.rows().paths("derm") == (tmp_path / "images" / "a.jpg", None)
