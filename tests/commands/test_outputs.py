"""What commands write: numbers where the format knows them, never a half, and no work for a place that cannot be."""

import shutil

import pytest

import mmfuse as toolkit


def test_probabilities_are_numbers_in_parquet(trained, tmp_path, mmfuse):
    from pyarrow import parquet

    for name in ("p.parquet", "p.csv"):
        mmfuse("predict", trained / "run", trained / "cases.csv", "--out", tmp_path / name)
    stored = parquet.read_table(tmp_path / "p.parquet")
    kinds = {field.name: str(field.type) for field in stored.schema}
    assert {kinds[name] for name in kinds if ":" in name} == {"double"}
    assert {kinds[name] for name in kinds if ":" not in name} == {"string"}
    text = toolkit.read_table(tmp_path / "p.csv")
    for name in kinds:
        if ":" in name:
            given = text.numbers(name)
            assert stored.column(name).to_pylist() == [None if p != p else p for p in given.tolist()]


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "run", "cases.csv", "--out", "file/p.csv"),
        ("predict", "run", "cases.csv", "--out", "folder.csv"),
        ("train", "plan.toml", "cases.csv", "--out", "file/run"),
        ("train", "plan.toml", "cases.csv", "--out", "run/within"),
        ("embed", "run", "cases.csv", "--out", "file/e.npz"),
        ("describe", "cases.csv", "--out", "file/card.toml"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(trained, tmp_path, mmfuse, monkeypatch, words):
    def no_work(*args, **given):
        raise AssertionError("worked first")

    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    (tmp_path / "copy" / "file").write_text("")
    (tmp_path / "copy" / "folder.csv").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(toolkit, "Pipeline", no_work)
    told = mmfuse(*words, code=1).stderr
    assert words[-1] in told
    assert "mend: another --out" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_a_skeleton_appears_whole_or_not_at_all(tmp_path, mmfuse, monkeypatch):
    from pathlib import Path

    write = Path.write_text

    def fails(self, text, **how):
        if self.name == "README.md":
            raise OSError(28, "No space left on device")
        return write(self, text, **how)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "write_text", fails)
    assert "tiny-conv: the disk is full" in mmfuse("new-plugin", "tiny-conv", code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_that_is_left_out_is_told_once_and_stops_nothing(trained, tmp_path, mmfuse):
    (tmp_path / "broken.py").write_text("raise RuntimeError('the licence server is away\\nfor good')\n")
    words = ("--plugin", tmp_path / "broken.py", "predict", trained / "run", trained / "cases.csv")
    told = mmfuse(*words, "--out", tmp_path / "p.csv").stderr
    assert told.count("left out") == 1
    assert "is left out: import: RuntimeError: the licence server is away for good" in told
