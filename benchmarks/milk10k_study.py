"""Frozen features on MILK10k: is the sound recipe worse than logistic regressions on the same features?

    MMFUSE_DATA=FOLDER MMFUSE_WEIGHTS=FILE.safetensors python benchmarks/milk10k_study.py [RECIPE …]

FOLDER holds `milk10k/` as the ISIC archive gives it (and a `split.csv`); FILE holds ImageNet weights of timm's
tf_efficientnet_lite0. Seeds 0, 1, 2 change everything but the split; differences are paired, seed by seed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import mmfuse

SEEDS = (0, 1, 2)
METRIC = "macro-auc"


def fitted(recipe: str, seed: int) -> mmfuse.ScoreTable:
    catalog = mmfuse.Catalog()
    release = Path(os.environ["MMFUSE_DATA"]) / "milk10k"
    tidy = catalog.find("adapter", "milk10k")().tidy(release)
    sets = [f"seed={seed}", f"network.encoders.image.weights={os.environ['MMFUSE_WEIGHTS']}"]
    spec = mmfuse.load(recipe, {**tidy.card}, catalog=catalog, sets=sets)
    began = time.perf_counter()
    pipeline = mmfuse.Pipeline(spec, catalog=catalog).fit(mmfuse.Cases(tidy.table, spec.card, release))
    print(f"{recipe}, seed {seed}: fitted in {time.perf_counter() - began:.0f} s")
    return pipeline.scores


def main() -> None:
    for recipe in sys.argv[1:] or ["first-look", "two-stage"]:
        runs = {seed: fitted(recipe, seed) for seed in SEEDS}
        answer = list(runs[0].sources)[-1]
        baselines = [name for name in runs[0].sources if name == "baseline" or name.startswith("logistic-")]
        for seed, scores in runs.items():
            figures = mmfuse.evaluate(scores, on="test")["sources"]
            line = ", ".join(f"{name} {value['diagnosis']['macro-auc']:.3f}" for name, value in figures.items())
            print(f"\n{recipe}, seed {seed}, test ({(scores.split == 'test').sum()} lesions), macro AUC: {line}")
            for one, other in [(answer, name) for name in baselines] + [("fused", "clinic"), ("fused", "derm")]:
                print(f"  {one} − {other}: {mmfuse.paired_difference(scores, one, other, metric=METRIC)}")


if __name__ == "__main__":
    main()
