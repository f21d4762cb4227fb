"""npz files within limits: bombs, lies about shape or size, flipped bytes and foreign types are refused by name."""

import io
import zipfile

import numpy as np
import pytest

from mmfuse import Npz, RunError, TableError
from mmfuse.formats import npz_files

ARRAYS = {"ids": np.array(["a", "bé"]), "p": np.arange(6.0).reshape(2, 3), "on": np.array([True, False])}


def stored(path, **arrays):
    np.savez(path, **arrays)
    return path


def opened(path, **options):
    return Npz(path, expected="arrays", **options)


def with_member(path, name, content, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array",
    [*ARRAYS.values(), np.zeros((0, 3)), np.float32(2.5), np.asfortranarray(np.arange(6).reshape(2, 3)),
     np.array([b"x"]), np.arange(3, dtype=">i4"), np.array("word")],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)  # fmt: skip
def test_arrays_are_read_as_numpy_reads_them(tmp_path, save, array):
    save(tmp_path / "a.npz", x=array)
    with opened(tmp_path / "a.npz") as file:
        found = file.read("x")
    np.testing.assert_array_equal(found, array)
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")


def test_every_flipped_bit_is_an_error_or_changes_nothing(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **ARRAYS)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            with opened(path) as file:
                for name in set(file) & set(ARRAYS):
                    np.testing.assert_array_equal(file.read(name), ARRAYS[name])
        except RunError:
            refused += 1
    assert refused > len(content) / 2


def test_a_small_file_that_unpacks_to_two_gigabytes_is_refused_unopened(tmp_path):
    path, zeros = tmp_path / "bomb.npz", bytes(2**20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy(np.zeros(0, np.uint8))[:-1].replace(b"(0,)", b"(268435456,)"))
        for _ in range(256):
            member.write(zeros)
    assert path.stat().st_size < 2**20
    with pytest.raises(TableError, match=r"unpacks to 268,435,\d+ bytes"):
        opened(path, error=TableError)


def test_what_the_header_says_is_held_against_what_is_there(tmp_path):
    content = npy(np.arange(4, dtype=np.int64))
    for other in (b"(5,)", b"(3,)", b"(-4,)", b"(9999999999999999999999,)"):
        path = with_member(tmp_path / "a.npz", "x.npy", content.replace(b"(4,)", other))
        with opened(path) as file, pytest.raises(RunError, match="'x'"):
            file.read("x")


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([{}], dtype=object), "holds object"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "holds datetime64"),
        (np.zeros(2, [("a", "i4")]), "not truth values or whole numbers"),
        (np.zeros(2, complex), "complex"),
    ],
)
def test_other_types_are_not_read(tmp_path, array, found):
    with opened(with_member(tmp_path / "a.npz", "x.npy", npy(array))) as file, pytest.raises(RunError, match=found):
        file.read("x")


def test_text_that_is_none_and_truth_that_is_neither(tmp_path):
    wrong = np.array([0xD800], np.uint32).view("<U1")
    with opened(stored(tmp_path / "a.npz", x=wrong)) as file, pytest.raises(RunError, match="no text"):
        file.read("x")
    neither = stored(tmp_path / "b.npz", x=np.array([7], np.uint8).view(bool))
    with opened(neither) as file, pytest.raises(RunError, match="neither true nor false"):
        file.read("x")


def test_shapes_and_kinds_are_asked_for(tmp_path):
    with opened(stored(tmp_path / "a.npz", **ARRAYS)) as file:
        assert file.read("p", "f", (None, 3)).shape == (2, 3)
        with pytest.raises(RunError, match=r"'p' has the shape \(2, 3\), not \(any, 4\)"):
            file.read("p", "f", (None, 4))
        with pytest.raises(RunError, match="'ids' holds text, not numbers"):
            file.read("ids", "f")
        with pytest.raises(RunError, match="no array 'q'"):
            file.read("q")


def test_members_are_counted_and_named_once(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy(np.zeros(1)))
        archive.writestr("x", npy(np.ones(1)))
    with pytest.raises(RunError, match="two arrays of one name"):
        opened(tmp_path / "a.npz")
    monkeypatch.setattr(npz_files, "MEMBERS", 2)
    with pytest.raises(RunError, match="holds 3 arrays"):
        opened(stored(tmp_path / "b.npz", **ARRAYS))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", b"\0" * 100])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(RunError, match="cannot be read"):
        opened(tmp_path / "a.npz")
    with pytest.raises(RunError, match="no such file"):
        opened(tmp_path / "b.npz")
