"""Is a training that is killed (SIGKILL) at random moments, and resumed, the training that was not? Bit for bit?

    python benchmarks/kills.py [KILLS]

A two-stage plan with folds on a synthetic cohort, on the CPU. Each of KILLS (50) trainings is killed once, at a moment
drawn evenly over the time that the whole takes, then resumed to its end; scores, weights and second stages are compared
as bytes, and no work may be left beside them. Then the same for two processes that fill one cache.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PLAN = """
[network]
encoders.image = { use = "timm", model = "resnet10t", weights = "none", share = true }
encoders.table = { use = "mlp", widths = [8] }
fusion = "concat"
head = "linear"
side_heads = true
[training]
epochs = 3
batch = 32
folds = 3
[decisions.svm]
use = "svm"
reads = ["fused"]
features = ["table"]
[decisions.final]
use = "simplex"
reads = ["fused", "svm"]
step = 0.1
"""
LEFT_OUT = {"environment.json", "events.jsonl", "manifest.json"}
"""They hold times."""


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "mmfuse", *map(str, words), "-q"]


def run(words: Sequence[str], cache: Path, seconds: float | None = None) -> bool:
    """Whether it ended by itself; killed after `seconds`."""
    process = subprocess.Popen(words, env={**os.environ, "MMFUSE_CACHE": str(cache)}, stdout=subprocess.DEVNULL)
    try:
        if process.wait(timeout=seconds):
            sys.exit(f"{' '.join(words)} failed")
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in LEFT_OUT]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def same(one: Path, other: Path) -> bool:
    """Equal bytes; of archives, which hold times and (skops) addresses in memory, equal arrays."""
    a, b = content(one), content(other)
    differ = [name for name in a.keys() | b.keys() if a.get(name) != b.get(name)]
    return a.keys() == b.keys() and all(_same_archives(one / name, other / name) for name in differ)


def _same_archives(one: Path, other: Path) -> bool:
    if one.suffix == ".skops":
        return _members(one) == _members(other)
    return one.suffix == ".npz" and _same_arrays(one, other)


def _members(path: Path) -> list[bytes]:
    with zipfile.ZipFile(path) as archive:
        return sorted(archive.read(name) for name in archive.namelist() if name.endswith(".npy"))


def _same_arrays(one: Path, other: Path) -> bool:
    with np.load(one, allow_pickle=False) as a, np.load(other, allow_pickle=False) as b:
        return a.files == b.files and all(np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f") for k in a.files)


def kill_trainings(kills: int, place: Path) -> None:
    cases, plan, cache = place / "cases.csv", place / "plan.toml", place / "cache"
    plan.write_text(PLAN, encoding="utf-8")
    run(command("adapt", "synthetic", place / "drawn", "--out", cases, "--set", "cases=120", "--set", "size=48"), cache)
    train = ["train", plan, cases, "--device", "cpu", "--set", "modalities.image.size=32", "--out"]
    run(command(*train, place / "first"), cache)
    began = time.perf_counter()
    run(command(*train, place / "whole"), cache)
    whole = time.perf_counter() - began
    draws, stopped, equal = random.Random(0), 0, 0
    for number in range(kills):
        out = place / f"run{number}"
        stopped += not run(command(*train, out), cache, draws.uniform(0.2, whole))
        if not out.exists():
            run(command(*train, out, "--resume"), cache)
        left = [path.name for path in place.iterdir() if path.name.startswith((f"{out.name}.work", f".{out.name}."))]
        equal += same(place / "whole", out) and not left
        shutil.rmtree(out)
    print(
        f"{stopped} of {kills} trainings of {whole:.1f} s were killed and resumed; {equal} are equal to the whole one"
    )


def kill_caches(kills: int, place: Path) -> None:
    """Two processes fill one cache; one is killed; what is read afterwards is what a fresh cache gives."""
    cases, draws, equal = place / "cases.csv", random.Random(1), 0
    fresh = place / "fresh"
    embed = ["embed", place / "frozen.toml", cases, "--device", "cpu", "--set", "modalities.image.size=64", "--out"]
    frozen = 'encoders.image = { use = "timm", model = "resnet10t", weights = "none", frozen = true }'
    (place / "frozen.toml").write_text(f'[network]\n{frozen}\nfusion = "concat"\nhead = "linear"\n', encoding="utf-8")
    began = time.perf_counter()
    run(command(*embed, place / "whole.npz"), fresh)
    whole = time.perf_counter() - began
    for number in range(kills):
        cache, out = place / f"cache{number}", place / f"out{number}.npz"
        environment = {**os.environ, "MMFUSE_CACHE": str(cache)}
        beside = command(*embed, place / "beside.npz")
        other = subprocess.Popen(beside, env=environment, stdout=subprocess.DEVNULL)
        run(command(*embed, out), cache, draws.uniform(0.5, whole))
        other.wait()
        run(command(*embed, out), cache)
        equal += _same_arrays(place / "whole.npz", out)
        shutil.rmtree(cache)
    print(f"{kills} fillings of a cache by two processes, one of them killed: {equal} read the same")


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        kill_trainings(kills, Path(folder))
        kill_caches(max(kills * 2 // 5, 1), Path(folder))


if __name__ == "__main__":
    main()
