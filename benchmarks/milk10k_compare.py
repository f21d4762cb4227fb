"""Do fusions of frozen features differ on MILK10k? And how long does it take to ask?

    MMFUSE_DATA=FOLDER MMFUSE_WEIGHTS=FILE.safetensors python benchmarks/milk10k_compare.py STUDY

Settled before the test cases were looked at: the recipe `first-look`, networks alone; the fusions concat (the
reference), sum, mean and gated; seeds 0, 1, 2; macro AUC; a difference of 0.02 matters. Then the same with `product`
beside, which fits that alone. FOLDER holds `milk10k/`, FILE ImageNet weights of timm's tf_efficientnet_lite0.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mmfuse.cli import main as commands

FUSIONS = ("concat", "sum", "mean", "gated")
ONE_MORE = "product"


def run(*words: str) -> None:
    began = time.perf_counter()
    commands(words, standalone_mode=False)
    print(f"\n{words[0]}: {time.perf_counter() - began:.0f} s of the clock\n")


def main() -> None:
    study = Path(sys.argv[1])
    study.mkdir(parents=True, exist_ok=True)
    cases = study / "cases.csv"
    run("adapt", "milk10k", str(Path(os.environ["MMFUSE_DATA"]) / "milk10k"), "--out", str(cases), "--force", "-q")
    for fusions in (FUSIONS, (*FUSIONS, ONE_MORE)):
        run(
            "compare", "first-look", str(cases), "--out", str(study / "study"), "--networks-only", "--seeds", "3", "-q",
            "--vary", f"network.fusion=[{', '.join(fusions)}]",
            "--set", f"network.encoders.image.weights={os.environ['MMFUSE_WEIGHTS']}",
        )  # fmt: skip


if __name__ == "__main__":
    main()
