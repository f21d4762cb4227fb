"""How much faster do two processes learn than one, each with one core?

    python benchmarks/ranks.py [ROUNDS] [CASES]

`mmfuse train` of two tf_efficientnet_lite0 (random start, 128 pixels, batches of 32, float32) on drawn lesions, on the
CPU: by one process with one thread, by two (torchrun, gloo) with one thread each, and by one with two threads, ROUNDS
(3) times alternating; medians of cases a second of the last epochs, and their ratios. Needs two idle cores.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PLAN = """
[network]
encoders.image = { use = "timm", model = "tf_efficientnet_lite0", weights = "none" }
fusion = "sum"
head = "linear"
[training]
epochs = 3
batch = 32
best = { metric = "" }
"""
ARMS = {"one process, one thread": (0, 1), "two processes, one thread each": (2, 1), "one process, two threads": (0, 2)}


def rates(place: Path, processes: int, threads: int, out: str) -> list[float]:
    """Cases a second of each epoch but the first."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes else []
    line = [sys.executable, *launch, "-m", "mmfuse", "train", "plan.toml", "cases.csv", "--out", out, "--device", "cpu"]
    line += ["--json-log", "--set", "modalities.image.size=128"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MMFUSE_CACHE": str(place / "cache")}
    done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    told = [json.loads(text) for text in done.stderr.splitlines() if text.startswith("{")]
    return [event["cases_per_second"] for event in told if "losses" in event][1:]


def main() -> None:
    rounds, cases = (int(word) for word in [*sys.argv[1:], *("3", "300")[len(sys.argv) - 1 :]])
    found: dict[str, list[float]] = {name: [] for name in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        draw = ["-m", "mmfuse", "adapt", "synthetic", "drawn", "--out", "cases.csv", "-q"]
        more = ["--set", f"cases={cases}", "--set", "size=128"]
        subprocess.run([sys.executable, *draw, *more], cwd=place, check=True, stdout=subprocess.DEVNULL)
        (place / "plan.toml").write_text(PLAN)
        for number in range(rounds):
            for name, (processes, threads) in ARMS.items():
                found[name] += rates(place, processes, threads, f"{processes}-{threads}-{number}")
    middle = {name: statistics.median(values) for name, values in found.items()}
    for name, value in middle.items():
        print(f"{name}: {value:.1f} cases a second ({min(found[name]):.1f} … {max(found[name]):.1f})")
    alone, two, threads = middle.values()
    print(f"two processes / one, a core each: {two / alone:.2f}; two processes / two threads: {two / threads:.2f}")


if __name__ == "__main__":
    main()
