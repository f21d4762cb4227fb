"""A tiny table with a card and a plan, for commands that need cases."""

import os

import numpy as np
import pytest
from click.testing import CliRunner

from mmfuse.cli import main

CARD = """
[cases]
id = "case"
case_is = "eye"
group = "patient"

[labels]
answer = ["no", "yes"]
grade = { classes = ["low", "mid", "high"], ordered = true }

[modalities]
left = { use = "table", numeric = ["a", "b"] }
right = { use = "table", numeric = ["c"], categorical = ["d"] }

[split]
column = "split"
"""

PLAN = """
[network]
encoders.table = { use = "mlp", widths = [8] }
fusion = "concat"
head = "linear"
side_heads = true

[training]
epochs = 2
batch = 32

[decisions.final]
use = "mean"
reads = ["fused", "table"]
"""


def draw(cases=60):
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 2, cases)
    lines = ["case,patient,a,b,c,d,answer,grade,split"]
    for i in range(cases):
        a, c = (rng.normal(answer[i]), rng.normal(-answer[i])) if i else ("", "")
        split = "train" if i < cases * 0.6 else "valid" if i < cases * 0.8 else "test"
        d = "" if i == 0 else "xy"[i % 2]
        b = "" if i == 0 else rng.normal()
        lines.append(
            f"e{i:03d},p{i:03d},{a},{b},{c},{d},{['no', 'yes'][answer[i]]},{['low', 'mid', 'high'][i % 3]},{split}"
        )
    return "\n".join(lines) + "\n"


def write(folder):
    (folder / "cases.csv").write_text(draw())
    (folder / "cases.toml").write_text(CARD)
    (folder / "plan.toml").write_text(PLAN)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with cases.csv, its card and a plan, made the working folder."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path)


@pytest.fixture
def mmfuse():
    """Runs the command line."""

    def run(*words, code=0):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == code, f"{result.exit_code}\n{result.output}\n{result.exc_info}"
        return result

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder as `here` is, with a run in it; read it, do not change it."""
    os.environ.setdefault("MMFUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
    import torch

    torch.set_num_threads(1)
    folder = write(tmp_path_factory.mktemp("trained"))
    words = ["train", folder / "plan.toml", folder / "cases.csv", "--out", folder / "run", "--seed", "3"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    (folder / "told.txt").write_text(result.stdout)
    return folder
