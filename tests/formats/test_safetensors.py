"""Headers of safetensors files: places, types and names are looked at before a tensor is."""

import json
import struct

import pytest

from mmfuse import RunError, SpecError, check_safetensors

SOUND = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
         "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]}}  # fmt: skip


def stored(path, header, size=16):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    return path


def test_a_sound_header(tmp_path):
    heads = check_safetensors(stored(tmp_path / "a", {**SOUND, "__metadata__": {"k": "v"}}), expected="weights")
    assert heads == {"a": ("F32", (2,)), "b": ("I64", ())}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, "lies at"),
        ({"b": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}, "begins at 0, not at 8"),
        ({"b": {"dtype": "I64", "shape": [], "data_offsets": [16, 24]}}, "begins at 16, not at 8"),
        ({"b": {"dtype": "X", "shape": [], "data_offsets": [8, 16]}}, "of the type 'X'"),
        ({"b": {"dtype": "I64", "shape": [-1, -1], "data_offsets": [8, 16]}}, "has the shape"),
        ({"b": {"dtype": "I64", "shape": [True], "data_offsets": [8, 16]}}, "has the shape"),
        ({"b": {"dtype": "I64", "shape": [1] * 40, "data_offsets": [8, 16]}}, "has the shape"),
        ({"b": {"dtype": "I64", "shape": [2**40, 2**40], "data_offsets": [8, 16]}}, "lies at"),
        ({"b": {}}, "of the type None"),
        ({"b": 3}, "valid dictionary"),
    ],
    ids=range(10),
)
def test_what_does_not_hold_together_is_named(tmp_path, change, found):
    with pytest.raises(RunError, match=found):
        check_safetensors(stored(tmp_path / "a", {**SOUND, **change}), expected="weights")


def test_a_torn_file(tmp_path):
    path = stored(tmp_path / "a", SOUND, size=15)
    with pytest.raises(SpecError, match="15 are there"):
        check_safetensors(path, expected="weights", error=SpecError)
    for content in (b"", b"1234567", struct.pack("<Q", 2**60) + b"{}", path.read_bytes()[:40]):
        path.write_bytes(content)
        with pytest.raises(RunError):
            check_safetensors(path, expected="weights")


def test_one_name_twice(tmp_path):
    one = json.dumps(SOUND["a"])
    with pytest.raises(RunError, match="'a' stands twice"):
        check_safetensors(stored(tmp_path / "a", f'{{"a": {one}, "a": {one}}}'.encode(), 8), expected="weights")
