"""A run folder: the same scores on another machine, every file checked, strict JSON, whole or not at all."""

import csv
import json
import resource
import shutil
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cohort import CATALOG, TRAINING, TWO_STAGES, Nearest, cases_of, columns, pipeline_of

import mmfuse
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import RunError, SpecError
from mmfuse.events import EpochEnded, Event, Notice
from mmfuse.hooks import hookimpl
from mmfuse.pipeline import Pipeline
from mmfuse.run import FORMAT, MANIFEST, Run, refuse_existing

FILES = ["spec.toml", "environment.json", "splits.csv", "scores.npz", "seen.npz", "metrics.json", "events.jsonl"]


@dataclass(frozen=True)
class Odd(Event):
    """Holds what JSON does not know."""

    values: dict


@pytest.fixture(scope="module")
def fitted():
    import torch

    torch.set_num_threads(1)
    pipeline = pipeline_of(decisions=TWO_STAGES, training={**TRAINING, "epochs": 1})
    return pipeline.fit(cases_of(pipeline.spec))


@pytest.fixture(scope="module")
def stored(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    fitted.save(folder)
    return folder


@pytest.fixture
def run(stored, tmp_path):
    """A copy that a test may harm."""
    return shutil.copytree(stored, tmp_path / "copy")


def load(folder, catalog=CATALOG):
    return Pipeline.load(folder, catalog=catalog, device="cpu")


def test_a_run_moved_elsewhere_gives_the_same_scores_bit_for_bit(fitted, run, tmp_path):
    moved = run.rename(tmp_path / "another machine")
    again = load(moved)
    assert again.spec == fitted.spec
    new = cases_of(fitted.spec, n=30, seed=5)
    expected, found = fitted.sources(new), again.sources(new)
    assert list(found.sources) == list(expected.sources)
    for name, scores in expected.sources.items():
        np.testing.assert_array_equal(found.sources[name], scores)
        np.testing.assert_array_equal(again.scores.sources[name], fitted.scores.sources[name])


def test_what_was_loaded_can_be_stored_again(fitted, run, tmp_path):
    again = load(run)
    again.save(tmp_path / "second")
    third = load(tmp_path / "second")
    new = cases_of(fitted.spec, n=10, seed=5)
    np.testing.assert_array_equal(third.predict_proba(new), fitted.predict_proba(new))
    for name, digests in fitted.seen.items():
        np.testing.assert_array_equal(third.seen[name], digests)


def test_what_stands_in_a_run(fitted, stored):
    assert set(FILES) < {path.name for path in stored.iterdir()}
    assert (stored / "network" / "network.safetensors").is_file()
    environment = Run(stored).environment
    assert environment["seed"] == fitted.spec.plan.seed
    assert environment["versions"]["mmfuse"] == mmfuse.__version__
    assert {"torch", "numpy", "scikit-learn"} <= set(environment["versions"])
    assert [plugin["name"] for plugin in environment["plugins"]] == ["builtin", "Brings"]
    assert environment["cases"]["n"] == 60
    assert len(environment["cases"]["ids_sha256"]) == 64
    spec = tomllib.loads((stored / "spec.toml").read_text())
    assert spec["training"]["loss"]["use"] == "cross-entropy"
    assert spec["decisions"]["stage"]["features"] == ["table"]


def test_splits_and_scores_stand_alone(fitted, stored):
    rows = list(csv.DictReader((stored / "splits.csv").open(encoding="utf-8")))
    assert [row["id"] for row in rows] == [*fitted.scores.ids]
    assert [row["split"] for row in rows] == [*fitted.scores.split]
    assert [int(row["fold"]) for row in rows] == [*fitted.scores.folds]
    table = ScoreTable.load(stored / "scores.npz")
    np.testing.assert_array_equal(table.probabilities("final"), fitted.scores.probabilities("final"))


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def strict(text):
    return json.loads(text, parse_constant=refuse)


def test_json_is_strict(stored):
    for path in stored.rglob("*.json"):
        strict(path.read_text())
    for line in (stored / "events.jsonl").read_text().splitlines():
        strict(line)


def test_what_is_not_finite_is_null_and_what_json_does_not_know_is_text(fitted, tmp_path):
    kept, odd = (
        list(fitted.events),
        {1: np.float32("nan"), "a": np.arange(2), "b": (np.inf, np.int64(3)), "c": tmp_path},
    )
    more = [EpochEnded("n", 1, 2, {"loss": float("nan")}, {"m": -float("inf")}), Odd(odd), Notice("größer")]
    fitted.events.extend((1.0, event) for event in more)
    try:
        fitted.save(tmp_path / "run")
    finally:
        fitted.events[:] = kept
    *_, epoch, told, notice = map(strict, (tmp_path / "run" / "events.jsonl").read_text().splitlines())
    assert (epoch["event"], epoch["losses"], epoch["valid"]) == ("EpochEnded", {"loss": None}, {"m": None})
    assert told["values"] == {"1": None, "a": [0, 1], "b": [None, 3], "c": str(tmp_path)}
    assert notice["text"] == "größer"


@pytest.mark.parametrize("name", [*FILES, "network/network.safetensors", "network/network.json", "stages/order.json"])
def test_a_changed_truncated_or_missing_file_is_named(run, name):
    path = run / name
    content = path.read_bytes()
    changed = bytes([content[0] ^ 1]) + content[1:]
    for harm, words in (
        (changed, "was changed since"),
        (content[:-1], f"has {len(content) - 1} bytes"),
        (None, "is missing"),
    ):
        path.unlink(missing_ok=True)
        if harm is not None:
            path.write_bytes(harm)
        with pytest.raises(RunError, match=words) as caught:
            load(run)
        assert str(path) in str(caught.value)
    path.write_bytes(content)
    load(run)


def test_all_harm_is_told_at_once(run):
    (run / "spec.toml").unlink()
    (run / "scores.npz").write_bytes(b"")
    with pytest.raises(RunError) as caught:
        Run(run).verify()
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "7",
        "{}",
        '{"format": "x"}',
        '{"format": 1}',
        '{"format": 1, "files": 3}',
        '{"format": 1, "files": {"a": {}}}',
    ],
)
def test_a_broken_manifest_is_named(run, content):
    (run / MANIFEST).write_text(content)
    with pytest.raises(RunError, match="cannot be read") as caught:
        load(run)
    assert str(run / MANIFEST) in str(caught.value)


def test_a_newer_format_is_refused(run):
    manifest = json.loads((run / MANIFEST).read_text())
    (run / MANIFEST).write_text(json.dumps({**manifest, "format": FORMAT + 1}))
    with pytest.raises(RunError, match=rf"format {FORMAT + 1}(.|\n)*update mmfuse"):
        load(run)


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(RunError, match="is no run"):
        load(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        load(tmp_path / "missing")


def test_a_missing_plugin_is_named(run):
    with pytest.raises(RunError) as caught:
        load(run, mmfuse.Catalog(installed=False))
    text = str(caught.value)
    assert "was made with plugins that are not here: Brings (given)" in text
    assert "no decision or stage is called 'straight'" in text
    assert "--plugin" in text


def test_a_plugin_that_had_failed_already_is_not_missed(fitted, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('always')")
    with_broken = object.__new__(type(fitted))
    vars(with_broken).update(vars(fitted))
    with_broken.catalog = mmfuse.Catalog(*fitted.catalog._given, files=[tmp_path / "broken.py"], installed=False)
    with_broken.save(tmp_path / "run")
    with pytest.raises(RunError) as caught:
        load(tmp_path / "run", mmfuse.Catalog(installed=False))
    assert "plugins that are not here: Brings (given)" in str(caught.value)
    assert "broken" not in str(caught.value)


def test_another_file_of_a_plugin_is_told(fitted, tmp_path):
    file = tmp_path / "own.py"
    file.write_text("import mmfuse\n\n@mmfuse.hookimpl\ndef mmfuse_watch(event):\n    pass\n")
    made = object.__new__(type(fitted))
    vars(made).update(vars(fitted))
    made.catalog = mmfuse.Catalog(*fitted.catalog._given, files=[file], installed=False)
    made.save(tmp_path / "run")
    for change, expected in (("", 0), ("# another\n", 1)):
        file.write_text(file.read_text() + change)
        told = []
        catalog = mmfuse.Catalog(*fitted.catalog._given, files=[file], installed=False)
        Pipeline.load(tmp_path / "run", catalog=catalog, device="cpu", watch=told.append)
        assert ["plugin 'own' is not the file" in event.text for event in told] == [True] * expected


def test_other_versions_of_a_plugin_are_named(run):
    class Brings:
        @hookimpl
        def mmfuse_parts(self):
            return [Nearest]

    with pytest.raises(RunError, match=r"does not fit here(.|\n)*use the versions that made the run"):
        load(run, mmfuse.Catalog(Brings(), installed=False))


def test_a_changed_spec_is_not_taken_for_a_missing_plugin(run):
    (run / "spec.toml").write_text("")
    with pytest.raises(RunError) as caught:
        Run(run).spec(CATALOG)
    assert "plugins" not in str(caught.value)


def test_an_existing_folder_is_refused_and_left_alone(fitted, run, tmp_path):
    with pytest.raises(RunError, match="holds a run already"):
        fitted.save(run)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for path in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(RunError, match="exists already"):
            refuse_existing(path)
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    fitted.save(tmp_path / "empty")
    assert load(tmp_path / "empty").spec == fitted.spec


def test_nothing_is_left_where_writing_fails(fitted, tmp_path, monkeypatch):
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(ScoreTable, "save", fail)
        expected = RunError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            fitted.save(tmp_path / "run")
        assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """A real limit on the size of files, in a process of its own, from one byte up to what each file needs."""
    code = """
    import resource, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    from cohort import cases_of, pipeline_of
    from mmfuse.errors import RunError
    pipeline = pipeline_of(decisions={"s": {"use": "straight", "reads": ["fused"]}}, training={"epochs": 1, "folds": 2})
    pipeline.fit(cases_of(pipeline.spec))
    out = Path(sys.argv[1])
    pipeline.save(out / "whole")
    sizes = sorted({path.stat().st_size for path in (out / "whole").rglob("*") if path.is_file()})
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for size in [1, *(size - 1 for size in sizes)]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            pipeline.save(out / "run")
        except RunError as error:
            text = str(error)
        else:
            raise AssertionError(f"written with {size} bytes a file")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert "cannot be written" in text and str(out / "run") in text and "free space, or another" in text, text
        assert [path.name for path in out.iterdir()] == ["whole"], (size, list(out.iterdir()))
    print(len(sizes))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 8
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_metadata_alone_makes_a_run_too(tmp_path):
    pipeline = pipeline_of(network="", decisions={"s": {"use": "nearest", "features": ["table"]}})
    cells = columns()
    cells["split"] = ["train" if split == "valid" else split for split in cells["split"]]
    cases = cases_of(pipeline.spec, cells)
    pipeline.fit(cases).save(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == {}
    assert not (tmp_path / "run" / "network").exists()
    np.testing.assert_array_equal(load(tmp_path / "run").predict_proba(cases), pipeline.predict_proba(cases))


def test_an_unfitted_pipeline_is_no_run(tmp_path):
    with pytest.raises(SpecError, match="not fitted"):
        pipeline_of().save(tmp_path / "run")
