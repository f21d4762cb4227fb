"""Working memory hardly grows with the cases: what a whole training holds beyond its table, few cases and many."""

import json
import subprocess
import sys
import textwrap

import pytest

CODE = """
import ctypes, gc, json, sys, threading, time
from pathlib import Path
import numpy as np
import mmfuse

def memory():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("RssAnon"))

most = []
def look():
    while True:
        most.append(memory())
        time.sleep(0.005)

place, cases = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
age, kind = rng.integers(1, 99, cases), rng.random(cases) < 0.3
with (place / "cases.csv").open("w") as file:
    file.write("id,patient,age,sex,kind\\n")
    file.writelines(f"l{i:07d},p{i // 2:07d},{age[i]},{'mf'[i % 2]},{'ab'[int(kind[i])]}\\n" for i in range(cases))
card = {
    "cases": {"id": "id", "group": "patient"},
    "labels": {"kind": ["a", "b"]},
    "modalities": {"meta": {"use": "table", "numeric": ["age"], "categorical": ["sex"]}},
    "split": {"fractions": {"train": 0.6, "valid": 0.2, "test": 0.2}},
}
plan = {
    "network": {"encoders": {"table": "linear"}, "fusion": "concat", "head": "linear"},
    "training": {"epochs": 1, "batch": 2000},
    "decisions": {"sure": {"use": "temperature", "reads": ["fused"]}},
}
pipeline = mmfuse.Pipeline(mmfuse.load({**card, **plan}), device="cpu")
import torch, pyarrow.csv, pyarrow.compute
before = memory()
table = mmfuse.read_table(place / "cases.csv")
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
held = memory() - before
threading.Thread(target=look, daemon=True).start()
found = mmfuse.Cases(table, pipeline.spec.card, place)
pipeline.fit(found)
pipeline.save(place / "run")
read = mmfuse.Pipeline.load(place / "run", device="cpu")
read.predict_proba(found.take(pipeline.scores.split == "test"))
mmfuse.evaluate(read.scores)
mmfuse.intervals(read.scores, metrics=("macro-auc", "accuracy"))
print(json.dumps([max(most) - held, held]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what a process holds")
def test_a_training_of_many_cases_works_in_the_memory_of_one_of_few(tmp_path):
    found = []
    for cases in (5_000, 400_000):
        place = tmp_path / str(cases)
        place.mkdir()
        line = [sys.executable, "-c", textwrap.dedent(CODE), str(place), str(cases)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout.splitlines()[-1]))
    (few, _), (many, table) = found
    assert table > 50  # MB: the table itself grows
    assert many < 1.2 * few, found
