"""What is learnt is stored as JSON + npz and comes back as it was; what cannot is refused by name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mmfuse.errors import RunError
from mmfuse.learnt import Learnt


@dataclass(frozen=True, eq=False)
class Scaler(Learnt):
    column: str
    mean: float
    on: bool
    words: tuple[str, ...]
    nested: dict[str, tuple[tuple[int, ...], str]]
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class One(Learnt):
    value: Any


SCALER = Scaler("größe, cm", 1.5, True, ("a", "ü"), {"x": ((1, 2), "y")}, np.array([[1.0, np.nan]], np.float32))

plain = st.recursive(
    st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


def test_a_record_comes_back(tmp_path):
    SCALER.save(tmp_path / "new" / "folder" / "v1.0")
    again = Scaler.load(tmp_path / "new" / "folder" / "v1.0")
    for name in ("column", "mean", "on", "words", "nested"):
        assert getattr(again, name) == getattr(SCALER, name)
    np.testing.assert_array_equal(again.scale, SCALER.scale)
    assert again.scale.dtype == np.float32
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["v1.0.json", "v1.0.npz"]


@settings(max_examples=60, deadline=None)
@given(plain)
def test_plain_values_come_back_as_they_were(tmp_path_factory, value):
    stem = tmp_path_factory.mktemp("learnt") / "one"
    One(value).save(stem)
    assert One.load(stem).value == value


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(st.sampled_from(["<f4", "<f8", "<i8", "?", "<U5"]), arrays.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_bit_for_bit(tmp_path_factory, array):
    stem = tmp_path_factory.mktemp("learnt") / "one"
    One(array).save(stem)
    again = One.load(stem).value
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_numpy_s_numbers_are_stored_as_numbers(tmp_path):
    One((np.float32(0.5), np.int64(3), np.bool_(True), np.str_("x"))).save(tmp_path / "one")
    assert One.load(tmp_path / "one").value == (0.5, 3, True, "x")


@pytest.mark.parametrize(
    "value",
    [
        None,
        object(),
        {1: "an integer as key"},
        (1, {2, 3}),
        Path("x"),
        np.array([{}], dtype=object),
        (np.zeros(2),),
        {"a": [b"bytes"]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_things_are_refused_by_name(tmp_path, value):
    with pytest.raises(TypeError, match=r"One\.value holds"):
        One(value).save(tmp_path / "one")
    assert not list(tmp_path.iterdir())


def test_an_old_array_does_not_stay(tmp_path):
    One(np.zeros(3)).save(tmp_path / "one")
    One("text").save(tmp_path / "one")
    assert One.load(tmp_path / "one").value == "text"


def broken_json(folder):
    (folder / "one.json").write_text('{"column": ')


def no_table(folder):
    (folder / "one.json").write_text("[1, 2]")


def number(folder):
    (folder / "one.json").write_text("7")


def not_utf8(folder):
    (folder / "one.json").write_bytes(b"\xff\xfe\x00")


def missing(folder):
    (folder / "one.json").unlink()


def truncated(folder):
    content = (folder / "one.npz").read_bytes()
    (folder / "one.npz").write_bytes(content[: len(content) // 2])


def empty(folder):
    (folder / "one.npz").write_bytes(b"")


def without_arrays(folder):
    (folder / "one.npz").unlink()


def other_fields(folder):
    state = json.loads((folder / "one.json").read_text())
    (folder / "one.json").write_text(json.dumps({**state, "median": 3}))


def pickled(folder):
    np.savez(folder / "one.npz", scale=np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "harm",
    [broken_json, no_table, number, not_utf8, missing, truncated, empty, without_arrays, other_fields, pickled],
)
def test_broken_files_are_named(tmp_path, harm):
    SCALER.save(tmp_path / "one")
    harm(tmp_path)
    with pytest.raises(RunError) as caught:
        Scaler.load(tmp_path / "one")
    assert str(tmp_path / "one") in str(caught.value)
    assert "mend:" in str(caught.value)
