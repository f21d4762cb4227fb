"""Names of files and columns: one spelling of each sign, `;` within a name, columns that new cases need not have."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image as Pillow

import mmfuse
from mmfuse import Card, Cases, CasesSection, Table, TableError, load_card, read_table
from mmfuse.builtin.modalities import Image
from mmfuse.data.rows import split_paths

NFC, NFD = (unicodedata.normalize(form, "größe-Å") for form in ("NFC", "NFD"))


def picture(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", (8, 8), (level, level, level)).save(path)


def read(folder, cells, root="."):
    card = Card(cases=CasesSection(id="id", root=root))
    rows = Cases(Table.of({"id": range(len(cells)), "path": cells}), card, folder).rows()
    reader = Image(column="path", size=8).fit(rows)
    apart = reader.apart(rows)
    pixels, present = reader.read(apart[0] if apart else rows)
    assert present.all()
    return pixels[:, 0, 0, 0].tolist(), None if apart is None else apart[1].tolist()


@pytest.mark.parametrize("disk", [NFC, NFD])
@pytest.mark.parametrize("cell", [NFC, NFD])
def test_files_are_found_in_either_spelling(tmp_path, disk, cell):
    picture(tmp_path / disk / f"{disk}.png", 7)
    assert read(tmp_path, [f"{cell}/{cell}.png"]) == ([7], None)
    assert read(tmp_path, [f"{cell}.png"], root=cell) == ([7], None)
    assert read(tmp_path, [str(tmp_path / cell / f"{cell}.png")]) == ([7], None)


def test_a_name_that_is_there_is_taken_as_it_stands(tmp_path):
    picture(tmp_path / f"{NFC}.png", 1)
    picture(tmp_path / f"{NFD}.png", 2)
    assert read(tmp_path, [f"{NFC}.png"]) == ([1], None)


@pytest.mark.parametrize("table", [NFC, NFD])
@pytest.mark.parametrize("card", [NFC, NFD])
def test_columns_and_classes_are_found_in_either_spelling(tmp_path, table, card):
    (tmp_path / "c.csv").write_text(f"id,{table},age\n1,{table},5\n2,x,6\n")
    (tmp_path / "c.toml").write_text(
        f'[cases]\nid = "id"\n[labels]\ndx = {{ column = "{card}", classes = ["x", "{card}"] }}\n'
        '[modalities]\nmeta = { use = "table", numeric = ["age"] }\n'
    )
    cases = Cases.load(tmp_path / "c.csv", load_card(tmp_path / "c.toml"))
    assert cases.targets[:, 0].tolist() == [1, 0]
    with pytest.raises(TableError, match="it is the column of label 'dx'"):  # a label is none of the inputs in any
        cases.rows().text(NFC)
    with pytest.raises(TableError, match="no column"):
        cases.rows().text(NFD)
    raw = {"modalities": {}}
    mmfuse.set_value(raw, f"modalities.meta.numeric={card}")
    assert raw["modalities"]["meta"]["numeric"] == NFC


def test_a_sign_between_paths_may_stand_in_a_name(tmp_path):
    for level, name in enumerate(["a;b.png", "c.png", "d;e ;f.png", "a.png"], 1):
        picture(tmp_path / name, level)
    assert read(tmp_path, ["a;b.png", "c.png"]) == ([1, 2], None)
    assert read(tmp_path, ["a;b.png;c.png", "c.png; d;e ;f.png", "a.png;c.png"]) == (
        [1, 2, 2, 3, 4, 2],
        [0, 0, 1, 1, 2, 2],
    )
    assert split_paths("gone;b.png", tmp_path) == ["gone", "b.png"]
    assert split_paths(" ;c.png; ", tmp_path) == ["c.png"]
    assert split_paths(";", tmp_path) == []


def test_new_cases_need_no_group(tmp_path):
    card = Card(cases=CasesSection(id="id", group="patient"))
    new = Cases(Table.of({"id": ["1", "2"]}), card, labelled=False)
    assert new.groups.tolist() == ["1", "2"]
    there = Table.of({"id": ["1", "2"], "patient": ["p", "p"]})
    assert Cases(there, card, labelled=False).groups.tolist() == ["p", "p"]
    with pytest.raises(TableError, match="no column 'patient', the group"):
        Cases(Table.of({"id": ["1"]}), card)


@pytest.mark.parametrize("form", [NFC, NFD])
def test_ids_of_vectors_are_spelt_as_those_of_cases(tmp_path, form):
    np.savez(tmp_path / f"{form}.npz", ids=np.array([NFD, "b"]), vectors=np.eye(2))
    (tmp_path / "c.csv").write_text(f"id\n{NFC}\nb\n")
    rows = Cases(read_table(tmp_path / "c.csv"), Card(cases=CasesSection(id="id")), tmp_path).rows()
    from mmfuse.builtin.modalities import Vector

    values, present = Vector(file=f"{NFC}.npz").fit(rows).read(rows)
    assert present.all()
    assert values.tolist() == [[1, 0], [0, 1]]
