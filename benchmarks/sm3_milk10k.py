"""What a linear layer reads from MILK10k's images: learnt without labels, random, and from ImageNet.

    MMFUSE_DATA=FOLDER MMFUSE_WEIGHTS=FILE.safetensors python benchmarks/sm3_milk10k.py [--size 64] [--epochs 20]

FOLDER holds `milk10k/` as the ISIC archive gives it (and a `split.csv`); FILE holds ImageNet weights of timm's
tf_efficientnet_lite0, the backbone of all three arms. `mmfuse pretrain sm3` reads training and valid images from a
random start; then `linear-probe`, and beside it, on the same frozen vectors, a logistic regression on standardised
inputs (C settled beforehand) and the vote of the 20 nearest. `--on test` opens test.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

import mmfuse

METRICS = ("macro-auc", "balanced-accuracy")
MODEL = "network.encoders.image.model=tf_efficientnet_lite0"
START = "network.encoders.image.weights="
PRETRAIN = [
    "pretexts.contrast.hidden=[512]", "training.lr=1e-3", "training.batch=100", "network.head.width=128",
    "augment.colour.brightness=0.2", "augment.colour.contrast=0.2", "augment.colour.saturation=0.15",
    "augment.colour.hue=0.01", "augment.grey.p=0.05",
]  # fmt: skip
STAGES = [
    'decisions.logistic={"use"="logistic","C"=0.01,"features"=["image"]}',
    'decisions.knn={"use"="knn","votes"="distance","features"=["image"]}',
]


def probed(catalog: mmfuse.Catalog, tidy: mmfuse.Tidy, folder: Path, weights: str, size: int) -> mmfuse.ScoreTable:
    """The scores of all probes on encoders that start from `weights`."""
    sets = [MODEL, f"{START}{weights}", f"modalities.image.size={size}", *STAGES]
    spec = mmfuse.load("linear-probe", tidy.card, catalog=catalog, sets=sets)
    return mmfuse.Pipeline(spec, catalog=catalog, device="cpu").fit(mmfuse.Cases(tidy.table, spec.card, folder)).scores


def pretrained(catalog: mmfuse.Catalog, tidy: mmfuse.Tidy, folder: Path, run: Path, given: argparse.Namespace) -> None:
    """Writes a run that learnt without labels."""
    sets = [MODEL, f"{START}none", f"modalities.image.size={given.size}", *PRETRAIN]
    sets += [f"pretexts.contrast.epochs={given.epochs}", f"pretexts.clusters.epochs={given.clusters}"]
    spec = mmfuse.load("sm3", tidy.card, catalog=catalog, sets=sets)

    def told(event: mmfuse.Event) -> None:
        if isinstance(event, mmfuse.EpochEnded) and (event.epoch == 1 or event.epoch % 5 == 0):
            terms = ", ".join(f"{name} {value:.2f}" for name, value in event.losses.items())
            print(f"  {event.network}, epoch {event.epoch}: {terms}", flush=True)

    cases = mmfuse.Cases(tidy.table, spec.card, folder)
    mmfuse.Pretraining(spec, catalog=catalog, device="cpu", watch=told).fit(cases).save(run)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, default=64)
    options.add_argument("--epochs", type=int, default=20, help="of the contrast")
    options.add_argument("--clusters", type=int, default=2, help="epochs of the pseudo-labels")
    options.add_argument("--run", type=Path, help="where what is pretrained is kept; used again if it is there")
    options.add_argument("--on", default="valid", choices=["valid", "test"])
    given = options.parse_args()
    catalog, folder = mmfuse.Catalog(), Path(os.environ["MMFUSE_DATA"]) / "milk10k"
    tidy = catalog.find("adapter", "milk10k")().tidy(folder)
    began, worked = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as place:
        run = given.run or Path(place) / "run"
        if not run.exists():
            pretrained(catalog, tidy, folder, run, given)
        print(
            f"pretrained in {time.perf_counter() - began:.0f} s, {time.process_time() - worked:.0f} s of CPU",
            flush=True,
        )
        arms = {"pretrained": str(run), "random": "none", "ImageNet": os.environ["MMFUSE_WEIGHTS"]}
        tables = {arm: probed(catalog, tidy, folder, weights, given.size) for arm, weights in arms.items()}
    sources = {f"{arm} {name}": s for arm, table in tables.items() for name, s in table.sources.items()}
    table = dataclasses.replace(tables["random"], sources=sources)
    print(f"all in {time.perf_counter() - began:.0f} s; {(table.split == given.on).sum()} cases of `{given.on}`")
    for metric in METRICS:
        for probe in tables["random"].sources:
            print(f"\n{metric}, {'linear layer' if probe == 'fused' else probe}")
            for arm in arms:
                print(f"  {arm}: {mmfuse.interval(table, f'{arm} {probe}', metric=metric, on=given.on)}")
            for other in ("random", "ImageNet"):
                pair = f"pretrained {probe}", f"{other} {probe}"
                gap = mmfuse.paired_difference(table, *pair, metric=metric, on=given.on)
                print(f"  pretrained − {other}: {gap}")


if __name__ == "__main__":
    main()
