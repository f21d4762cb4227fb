"""Fixed words against the names of users: what would share a column or a file is refused, and nothing else."""

import numpy as np
import pytest

from mmfuse.card import Card
from mmfuse.errors import SpecError
from mmfuse.labels import Label, Labels
from mmfuse.learnt import save_arrays
from mmfuse.naming import feature_faults, name_faults, prediction_columns
from mmfuse.toml import load

PLAN = {"network": {"encoders": {"table": "mlp"}, "head": "linear"}}
TABLE = {"use": "table", "numeric": ["a"]}


def card(labels=None, modalities=None, id="id"):
    return {"cases": {"id": id}, "labels": labels or {"dx": ["no", "yes"]}, "modalities": modalities or {"m": TABLE}}


def faults(plan=PLAN, **given):
    with pytest.raises(SpecError) as raised:
        load(plan, card(**given))
    return str(raised.value)


@pytest.mark.parametrize(
    ("given", "column"),
    [
        ({"labels": {"id": ["no", "yes"]}}, "'id' would hold the ids of the cases and the answer of label 'id'"),
        ({"labels": {"eye": ["no", "yes"]}, "id": "eye"}, "'eye' would hold the ids"),
        ({"labels": {"flags": ["no", "yes"]}}, "'flags' would hold the answer of label 'flags' and the flags"),
        ({"labels": {"dx": ["no", "a:x"], "dx:a": ["x", "y"]}}, "'dx:a:x' would hold class 'a:x' of label 'dx' and"),
        ({"labels": {"dx": ["no", "a"], "dx:a": ["x", "y"]}}, "'dx:a' would hold class 'a' of label 'dx' and"),
        ({"labels": {"dx": ["no", "yes"]}, "id": "dx:yes"}, "'dx:yes' would hold the ids"),
        ({"id": "flags"}, "'flags' would hold the ids of the cases and the flags"),
    ],
)  # fmt: skip
def test_two_names_that_would_share_a_column_are_refused(given, column):
    assert column in faults(**given)


def test_a_class_called_at_is_refused_only_beside_an_operating_point():
    labels = {"dx": ["no", "at"]}
    load(PLAN, card(labels=labels))
    plan = {**PLAN, "prediction": {"operating_points": {"dx": "sensitivity >= 0.9"}}}
    assert "'dx:at' would hold class 'at' of label 'dx' and the operating point" in faults(plan, labels=labels)


@pytest.mark.parametrize("name", ["id", "ids"])
def test_a_label_may_not_be_called_as_ids_are_in_files_made_elsewhere(name):
    assert f"a label is called '{name}'" in faults(labels={name: ["no", "yes"]}, id="case")


@pytest.mark.parametrize("name", ["fused", "majority", "prior"])
def test_sources_have_names_of_their_own(name):
    assert f"'{name}'" in faults(modalities={name: TABLE})
    decisions = {**PLAN, "decisions": {name: {"use": "mean", "reads": ["fused"]}}}
    assert f"'{name}'" in faults(decisions)


def test_modalities_that_differ_in_case_alone_are_refused():
    assert "'Left' and 'left' differ in case alone" in faults(modalities={"Left": TABLE, "left": TABLE})


def test_other_names_pass():
    labels = {"at": ["flags", "id"], "DX": ["at", "a:b"], "dx": ["at", "b"], "file": ["x", "y"]}
    plan = {"network": {**PLAN["network"], "fusion": "concat"}}
    load(plan, card(labels=labels, modalities={"file": TABLE, "ids": TABLE, "vectors": TABLE}))


def test_the_columns_of_a_prediction_file():
    columns = prediction_columns("id", {"dx": ["no", "yes"]}, ["dx"])
    assert [name for name, _ in columns] == ["id", "dx", "dx:no", "dx:yes", "dx:at", "flags"]
    labels = Labels([Label("dx", ("no", "yes"))])
    assert set(labels.column_names) < {name for name, _ in columns}
    assert not name_faults(Card(cases={"id": "id"}))


def test_arrays_of_a_file_of_features():
    assert [fault.where for fault in feature_faults(["image", "ids", "vectors", "file"])] == [
        "modalities.ids",
        "modalities.vectors",
    ]


def test_arrays_may_be_called_as_numpy_calls_its_own_arguments(tmp_path):
    arrays = {"file": np.arange(3), "allow_pickle": np.ones((2, 2)), "a/b": np.array("x")}
    save_arrays(tmp_path / "x.npz", arrays)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as stored:
        assert all(np.array_equal(stored[name], array) for name, array in arrays.items())
