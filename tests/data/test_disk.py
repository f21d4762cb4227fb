"""Outputs appear whole or not at all, and a place where none can be written is refused before the work."""

import errno

import pytest

from mmfuse.data.disk import refuse_unwritable, whole_file
from mmfuse.data.table import Table, read_table
from mmfuse.errors import RunError, TableError


def test_a_file_appears_at_the_end_in_folders_that_are_made(tmp_path):
    path = tmp_path / "new" / "folder" / "f.txt"
    with whole_file(path) as scratch:
        scratch.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no room"), KeyboardInterrupt(), ValueError("no")])
def test_whatever_fails_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "f.txt"
    path.write_text("old")

    def fail():
        with whole_file(path) as scratch:
            scratch.write_text("new")
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):  # names the file, whatever was being written
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


def test_of_two_files_the_one_that_fails_is_named(tmp_path):
    def fail():
        with whole_file(tmp_path / "card") as scratch:
            scratch.write_text("card")
            with whole_file(tmp_path / "table"):
                raise OSError(errno.ENOSPC, "no room")

    with pytest.raises(OSError, match="no room") as caught:
        fail()
    assert caught.value.filename == str(tmp_path / "table")
    assert list(tmp_path.iterdir()) == []


def test_a_place_below_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file cannot be written to: Not a directory"):
        refuse_unwritable(tmp_path / "file" / "run")
    refuse_unwritable(tmp_path / "no" / "such" / "folder" / "yet")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_parquet_holds_numbers_where_it_is_told_to(tmp_path):
    from pyarrow import parquet

    table = Table.of({"id": ["01", "2"], "p": ["0.25", None]})
    table.write(tmp_path / "t.parquet", numeric=["p"])
    stored = parquet.read_table(tmp_path / "t.parquet")
    assert [str(field.type) for field in stored.schema] == ["string", "double"]
    assert stored.column("p").to_pylist() == [0.25, None]
    assert read_table(tmp_path / "t.parquet")["id"].tolist() == ["01", "2"]
    with pytest.raises(TableError, match="no numbers: 'x'"):
        Table.of({"p": ["x"]}).write(tmp_path / "u.parquet", numeric=["p"])
    assert not (tmp_path / "u.parquet").exists()
