"""Pretraining by two processes (torchrun): the losses of one."""

import json
import os
import subprocess
import sys

import pytest

PLAN = """
[augment.geometry]
use = "geometry"
on = ["image"]
[network]
encoders.image = { use = "timm", model = "test_vit", weights = "none" }
fusion = "concat"
head = { use = "label-relation", dropout = 0.0 }
[training]
epochs = 2
batch = 15
modality_dropout = 0.2
[pretexts.contrast]
use = "cross-modal-contrast"
hidden = [8]
width = 4
[pretexts.clusters]
use = "pseudo-labels"
"""


def mmfuse(place, *words, processes=0):
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes else []
    environment = {**os.environ, "MMFUSE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, *launch, "-m", "mmfuse", *words]
    done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert not done.returncode, done.stderr
    return done.stderr


def test_pretraining_of_several_is_that_of_one(tmp_path):
    mmfuse(tmp_path, "adapt", "synthetic", "drawn", "--out", "cases.csv", "--set", "cases=60", "--set", "size=48")
    (tmp_path / "plan.toml").write_text(PLAN)
    curves = []
    for processes in (0, 2):
        words = ["pretrain", "plan.toml", "cases.csv", "--out", f"weights-{processes}", "--device", "cpu"]
        said = mmfuse(tmp_path, *words, "--json-log", "--set", "modalities.image.size=32", processes=processes)
        told = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        curves.append([event["losses"] for event in told if "losses" in event])
    assert len(curves[0]) == len(curves[1]) == 4
    for mine, other in zip(*curves, strict=True):
        assert other == pytest.approx(mine, abs=1e-3)
