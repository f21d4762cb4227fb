"""Tables and vectors: what is learnt is learnt of training rows alone, and nothing unseen can explode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from mmfuse import Card, Cases, CasesSection, LabelLine, TableError
from mmfuse import Table as Cells
from mmfuse.builtin.modalities import Table, Vector


def rows_of(columns, folder=".", ids=None, **card):
    size = len(next(iter(columns.values())))
    ids = ids or [f"c{i}" for i in range(size)]
    return Cases(
        Cells.of({"id": ids, **columns}), Card(cases=CasesSection(id="id", root=str(folder)), **card), labelled=False
    ).rows()


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-999, 999)), min_size=1, max_size=12), st.data())
def test_numbers_are_imputed_and_scaled_as_scikit_learn_does(train, data):
    new = data.draw(st.lists(st.one_of(st.none(), st.integers(-999, 999)), min_size=1, max_size=5))
    reader = Table(numeric=("x",)).fit(rows_of({"x": train}))
    values, present = reader.read(rows_of({"x": new}))
    assert reader.names == ("x", "x (missing)")
    assert reader.shape == (2,)
    assert values.dtype == np.float32
    assert present.tolist() == [v is not None for v in new]
    assert values[:, 1].tolist() == [v is None for v in new]
    seen = {v for v in train if v is not None}
    if len(seen) < 2:
        assert (values[:, 0] == 0).all()  # nothing was learnt from a column that does not vary
        return
    column = np.array([[np.nan if v is None else v] for v in train], float)
    imputer, scaler = SimpleImputer(strategy="median"), StandardScaler()
    scaler.fit(imputer.fit_transform(column))
    expected = scaler.transform(imputer.transform(np.array([[np.nan if v is None else v] for v in new], float)))
    np.testing.assert_allclose(values[:, 0], expected[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("train", [["50", "50", "50"], ["0.1"] * 7, ["", ""], ["7"]])
def test_a_column_that_does_not_vary_cannot_explode(train):
    reader = Table(numeric=("x",)).fit(rows_of({"x": train}))
    assert reader.read(rows_of({"x": ["1e9", "-3", ""]}))[0][:, 0].tolist() == [0, 0, 0]


def test_tiny_numbers_vary_too():
    reader = Table(numeric=("x",)).fit(rows_of({"x": ["1e-12", "3e-12"]}))
    np.testing.assert_allclose(reader.read(rows_of({"x": ["1e-12", "3e-12"]}))[0][:, 0], [-1, 1], rtol=1e-6)


def test_words_among_numbers_are_listed():
    with pytest.raises(TableError, match="'unknown' \\(2, first in row 3\\)") as error:
        Table(numeric=("age",)).fit(rows_of({"age": ["5", "unknown", "unknown", "n/a"]}))
    assert "column age" in str(error.value)
    assert "'n/a' (1, in row 5)" in str(error.value)


# ── categories ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_categories_are_one_hot_with_unknown_and_missing():
    reader = Table(categorical=("sex",)).fit(rows_of({"sex": ["male", "", "female", "male"]}))
    assert reader.names == ("sex=female", "sex=male", "sex (unknown)", "sex (missing)")
    values, present = reader.read(rows_of({"sex": ["male", "female", "other", ""]}))
    assert values.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert present.tolist() == [True, True, True, False]


def test_1_and_1_0_are_one_category_and_01_is_not():
    reader = Table(categorical=("x",)).fit(rows_of({"x": ["1", "1.0", "2", "01"]}))
    assert reader.names[:3] == ("x=01", "x=1", "x=2")
    assert reader.read(rows_of({"x": ["1.00"]}))[0].tolist() == [[0, 1, 0, 0, 0]]


def test_several_categories_in_a_cell():
    reader = Table(multi={"signs": "&"}).fit(rows_of({"signs": ["redness & warmth", "warmth", "", "nipple discharge"]}))
    assert reader.names[:3] == ("signs=nipple discharge", "signs=redness", "signs=warmth")
    values, present = reader.read(rows_of({"signs": ["warmth&redness", "warmth & pain", "", "pain&fever&"]}))
    assert values.tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert present.tolist() == [True, True, False, True]


def test_a_row_is_absent_where_all_its_cells_are_missing():
    columns = {"a": ["1", "", ""], "b": ["", "x", ""], "c": ["", "", ""]}
    reader = Table(numeric=("a",), categorical=("b",), multi={"c": ","}).fit(rows_of(columns))
    values, present = reader.read(rows_of(columns))
    assert present.tolist() == [True, True, False]
    assert values.shape == (3, *reader.shape) == (3, len(reader.names))
    assert reader.names == ("a", "a (missing)", "b=x", "b (unknown)", "b (missing)", "c (unknown)", "c (missing)")
    values, present = reader.read(rows_of(columns).take([]))
    assert values.shape == (0, 7)
    assert present.shape == (0,)


def test_flags_say_what_training_never_saw():
    train = {"age": ["20", "60", ""], "dose": ["", "", ""], "sex": ["m", "f", "m"], "signs": ["a&b", "", "a"]}
    new = {"age": ["61", "20", ""], "dose": ["3", "", ""], "sex": ["x", "f", ""], "signs": ["c&a&d", "b", ""]}
    modality = Table(numeric=("age", "dose"), categorical=("sex",), multi={"signs": "&"})
    reader = modality.fit(rows_of(train))
    assert reader.flags(rows_of(train)) == ("", "", "")
    first, *rest = reader.flags(rows_of(new))
    assert rest == ["", ""]
    assert first == (
        "age 61 (training: 20 to 60); dose 3 (training: was always missing); sex 'x' (not in training); "
        "signs 'c' (not in training); signs 'd' (not in training)"
    )


def test_what_was_learnt_is_stored(tmp_path):
    train = rows_of({"age": ["20", "60", ""], "sex": ["m", "f", ""], "signs": ["a&b", "", "a"]})
    reader = Table(numeric=("age",), categorical=("sex",), multi={"signs": "&"}).fit(train)
    reader.save(tmp_path / "meta")
    again = Table.reader.load(tmp_path / "meta")
    assert again.names == reader.names
    new = rows_of({"age": ["33", ""], "sex": ["x", "f"], "signs": ["b", "z"]})
    assert (again.read(new)[0] == reader.read(new)[0]).all()
    assert again.flags(new) == reader.flags(new)


@pytest.mark.parametrize("knobs", [{}, {"numeric": ("a", "a")}, {"numeric": ("a",), "categorical": ("a",)},
                                   {"multi": {"a": ""}}, {"numeric": ("",)}])  # fmt: skip
def test_a_table_of_nothing_or_of_columns_named_twice_is_refused(knobs):
    with pytest.raises(ValidationError):
        Table(**knobs)


# ── vectors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_vectors_from_columns():
    columns = {"e0": ["1", "2", ""], "e1": ["3", "", ""], "e10": ["5", "6", ""], "other": ["9", "9", "9"]}
    modality = Vector(numeric=("e*",))
    assert modality.columns == ()
    assert Vector(numeric=("e1", "e*")).columns == ("e1",)
    reader = modality.fit(rows_of(columns))
    values, present = reader.read(rows_of(columns))
    assert reader.names == ("e0", "e1", "e10")
    assert reader.shape == (3,)
    assert values[0].tolist() == [1, 3, 5]
    assert present.tolist() == [True, False, False]
    assert np.isfinite(values).all()


def test_patterns_never_find_a_label():
    columns = {"e0": ["1"], "e_label": ["2"]}
    reader = Vector(numeric=("e*",)).fit(
        rows_of(columns, labels={"y": LabelLine(classes=("1", "2"), column="e_label")})
    )
    assert reader.columns == ("e0",)
    with pytest.raises(TableError, match=r"like 'z\*'"):
        Vector(numeric=("z*",)).fit(rows_of(columns))


def test_vectors_are_scaled_where_told(tmp_path):
    train = {"e0": ["1", "3", "", "1000"], "e1": ["5", "5", "5", ""]}  # the last two lack a number: not learnt from
    reader = Vector(numeric=("e0", "e1"), scale=True).fit(rows_of(train))
    reader.save(tmp_path / "v")
    for each in (reader, Vector.reader.load(tmp_path / "v")):
        values, present = each.read(rows_of({"e0": ["1", "3", "4"], "e1": ["5", "50", "5"]}))
        assert values.tolist() == [[-1, 0], [1, 0], [2, 0]]
        assert present.all()


def write_vectors(folder, suffix, ids, vectors):
    path = folder / f"v.{suffix}"
    if suffix == "npz":
        np.savez(path, ids=np.array(ids), vectors=np.array(vectors, np.float32))
    else:
        import pyarrow
        from pyarrow import parquet

        columns = {f"e{j}": [row[j] for row in vectors] for j in range(len(vectors[0]))}
        parquet.write_table(pyarrow.table({"ids": ids, "vectors": vectors, "note": ["x"] * len(ids), **columns}), path)
    return path.name


@pytest.mark.parametrize(("suffix", "knobs"), [("npz", {}), ("parquet", {}), ("parquet", {"numeric": ("e*",)})])
def test_vectors_from_a_file_by_id(tmp_path, suffix, knobs):
    name = write_vectors(tmp_path, suffix, ["c2", "c0", "far", "c3"], [[1, 2], [3, 4], [5, 6], [np.nan, 8]])
    modality = Vector(file=name, **knobs)
    assert modality.columns == ()
    rows = rows_of({"x": ["", "", "", ""]}, tmp_path)
    reader = modality.fit(rows)
    values, present = reader.read(rows)
    assert present.tolist() == [True, False, True, False]
    assert values[present].tolist() == [[3, 4], [1, 2]]
    assert reader.read(rows.take([2]))[0].tolist() == [[1, 2]]
    assert len(reader.names) == 2


def test_ids_that_are_numbers(tmp_path):
    name = write_vectors(tmp_path, "npz", [7, 8], [[1, 2], [3, 4]])
    rows = rows_of({"x": [""]}, tmp_path, ids=["8"])
    assert Vector(file=name).fit(rows).read(rows)[0].tolist() == [[3, 4]]


def test_files_that_cannot_be_used_are_refused(tmp_path):
    rows = rows_of({"x": [""]}, tmp_path)
    cases = {
        "gone.npz": "no such file",
        write_vectors(tmp_path, "npz", ["a"], [[1]]): "none of the 1 cases",
        "objects.npz": "'ids' holds object",
        "cut.npz": "cannot be read",
        "words.npz": "cannot be read",
        "words.parquet": "cannot be read",
        "shape.npz": r"\(3,\)",
        "twice.npz": "twice",
        "names.npz": "no array 'ids'",
    }
    np.savez(tmp_path / "objects.npz", ids=np.array(["c0"], dtype=object), vectors=np.zeros((1, 2)))
    np.savez(tmp_path / "cut.npz", ids=np.array(["c0"]), vectors=np.zeros((1, 200)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:700])
    (tmp_path / "words.npz").write_text("words")
    (tmp_path / "words.parquet").write_text("words")
    np.savez(tmp_path / "shape.npz", ids=np.array(["c0"]), vectors=np.zeros(3))
    np.savez(tmp_path / "twice.npz", ids=np.array(["c0", "c0"]), vectors=np.zeros((2, 2)))
    np.savez(tmp_path / "names.npz", id=np.array(["c0"]), vectors=np.zeros((1, 2)))
    for name, found in cases.items():
        with pytest.raises(TableError, match=found) as error:
            Vector(file=name).fit(rows)
        assert name in str(error.value)


def test_vectors_of_another_width_than_in_training_are_refused(tmp_path):
    rows = rows_of({"x": [""]}, tmp_path)
    name = write_vectors(tmp_path, "npz", ["c0"], [[1, 2]])
    reader = Vector(file=name).fit(rows)
    write_vectors(tmp_path, "npz", ["c0"], [[1, 2, 3]])
    with pytest.raises(TableError, match="3 numbers"):
        reader.read(rows)


@pytest.mark.parametrize("knobs", [{}, {"file": "v.pkl"}, {"file": "v.npz", "numeric": ("a",)}])
def test_vectors_need_one_source(knobs):
    with pytest.raises(ValidationError):
        Vector(**knobs)
