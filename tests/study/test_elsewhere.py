"""Fits by workers of Ray: the study of one process, a worker that is killed, a fit that fails; and a fit that was
interrupted goes on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mmfuse
from mmfuse.cli import main
from mmfuse.study.shelf import Shelf

PARTS = '''
"""An encoder that kills its process the first time that it is built, and one that cannot be built."""
import os, signal
from pathlib import Path
import mmfuse

class Frail(mmfuse.Encoder):
    """Dies once."""
    mark: str = ""
    def build(self, shape):
        import torch
        mark = Path(self.mark)
        if self.mark and not mark.exists():
            mark.mkdir()  # a file that a spec names would be part of what it is
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.nn.Linear(shape[0], 4)

class Broken(mmfuse.Encoder):
    """Fails."""
    def build(self, shape):
        raise RuntimeError("it will not be built")

@mmfuse.hookimpl
def mmfuse_parts():
    return [Frail, Broken]
'''
PLAN = """
[network]
encoders.table = {{ use = "{part}" {more} }}
fusion = "concat"
head = "linear"
[training]
epochs = 2
batch = 32
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere")
    rng = np.random.default_rng(0)
    n = 120
    a, b = rng.normal(size=(2, n))
    kind = np.where(a + b + rng.normal(size=n) > 0, "yes", "no")
    split = np.where(np.arange(n) % 2 == 0, "train", np.where(np.arange(n) % 4 == 1, "valid", "test"))
    columns = {"id": [f"c{i}" for i in range(n)], "a": a, "b": b, "kind": kind, "split": split}
    mmfuse.Table.of({name: [str(cell) for cell in cells] for name, cells in columns.items()}).write(place / "cases.csv")
    (place / "cases.toml").write_text(
        '[cases]\nid = "id"\n[labels]\nkind = ["no", "yes"]\n[split]\ncolumn = "split"\n[modalities]\n'
        'one = { use = "table", numeric = ["a"] }\nother = { use = "table", numeric = ["b"] }\n'
    )
    (place / "parts.py").write_text(PARTS)
    (place / "frail.toml").write_text(PLAN.format(part="frail", more=""))
    (place / "dies.toml").write_text(PLAN.format(part="frail", more=f', mark = "{place / "died"}"'))
    (place / "broken.toml").write_text(PLAN.format(part="broken", more=""))
    return place


def compare(place, out, *words):
    line = [sys.executable, "-m", "mmfuse", "--plugin", str(place / "parts.py"), "compare", *words]
    line += [str(place / "cases.csv"), "--out", str(place / out), "--seeds", "2", "--device", "cpu"]
    environment = {**os.environ, "MMFUSE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)


def scores(study):
    return {path.parent.name: mmfuse.ScoreTable.load(path) for path in (study / "variants").glob("*/scores.npz")}


def test_ray_gives_the_study_of_one_process_and_survives_a_killed_worker(place):
    pytest.importorskip("ray", reason="Ray is not installed")
    alone = compare(place, "alone", "frail.toml")
    assert alone.returncode == 0, alone.stderr
    many = compare(place, "many", "frail.toml", "dies.toml", "broken.toml", "--on", "ray")
    assert many.returncode == 1  # a variant failed
    assert (place / "died").exists()
    assert "RuntimeError: it will not be built" in many.stdout
    one, other = scores(place / "alone"), scores(place / "many")
    assert len(other) == len(one) + 2  # `dies` in two seeds
    for key, table in one.items():
        assert table.sources.keys() == other[key].sources.keys()
        for source, given in table.sources.items():
            np.testing.assert_array_equal(other[key].sources[source], given)
    again = compare(place, "many", "frail.toml", "dies.toml", "--on", "ray")
    assert again.returncode == 0, again.stderr
    assert "fits, by Ray" not in again.stderr  # nothing is new
    assert not list((place / "many" / "variants").glob("*.work"))
    assert not list((place / "many" / "variants").glob(".*"))


LISTENERS = """
import mmfuse
from pathlib import Path

def listening():
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[3] == "0A"}

before = listening()
with mmfuse.RayWorkers().at_work():
    new = listening() - before
    assert new and all(address.partition(":")[0].endswith("0100007F") for address in new), new
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for listeners in /proc")
def test_on_this_machine_nobody_else_is_listened_to():
    pytest.importorskip("ray", reason="Ray is not installed")
    done = subprocess.run([sys.executable, "-c", LISTENERS], capture_output=True, text=True, timeout=120, check=False)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize(
    ("on", "words"), [("dask", "no workers are called 'dask'"), ("ray:localhost:1", "no Ray cluster")]
)
def test_what_cannot_be_worked_on_is_refused(place, on, words, monkeypatch):
    if on.startswith("ray"):
        pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.chdir(place)
    line = ["compare", "frail.toml", "cases.csv", "--out", "nothing", "--on", on, "--plugin", "parts.py"]
    line += ["--vary", "training.epochs=[1, 2]"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code, done.output
    assert words in done.output


def test_without_ray_the_mend_is_said(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setitem(sys.modules, "ray", None)
    done = CliRunner().invoke(
        main, ["--plugin", "parts.py", "compare", "frail.toml", "broken.toml", "cases.csv", "--out", "x", "--on", "ray"]
    )
    assert done.exit_code == 1
    assert "pip install 'mmfuse[ray]'" in done.output


class _Stopped(BaseException):
    pass


def test_a_fit_of_a_study_that_was_interrupted_goes_on(place, tmp_path):
    """Killed behind the first network, it does not learn that one again, and ends with the same scores."""
    catalog = mmfuse.Catalog(files=[place / "parts.py"])
    card = mmfuse.load_card(place / "cases.toml", catalog)
    plan = tmp_path / "folds.toml"
    plan.write_text(
        PLAN.format(part="frail", more="")
        + 'folds = 3\n[decisions.final]\nuse = "simplex"\nreads = ["fused"]\nlearn = "train"\n'
    )
    spec = mmfuse.load(plan, card, catalog=catalog)
    table = mmfuse.read_table(place / "cases.csv")
    split = np.array(table["split"], dtype=object)

    def stop(event):
        if isinstance(event, mmfuse.StepEnded) and event.name == "fold 1":
            raise _Stopped

    def shelf(folder, watch=mmfuse.silent):
        return Shelf(folder, table, place, catalog, "cpu", watch)

    whole = shelf(tmp_path / "whole").fitted(spec, None, split)
    with pytest.raises(_Stopped):
        shelf(tmp_path / "stopped", stop).fitted(spec, None, split)
    told = []
    key = shelf(tmp_path / "stopped", told.append).fitted(spec, None, split)
    learnt = {event.network for event in told if isinstance(event, mmfuse.EpochEnded)}
    assert learnt == {"fold 2", "fold 3"}
    assert key == whole
    for source, given in scores(tmp_path / "whole")[key].sources.items():
        np.testing.assert_array_equal(scores(tmp_path / "stopped")[key].sources[source], given)
    assert not Path(tmp_path / "stopped" / "variants" / f"{key}.work").exists()
