"""Labels for one training case in twenty: does learning without labels first beat a random start of the same network?

    python benchmarks/sm3_synthetic.py [--cases 1000] [--seeds 0 1 2] [--epochs 40]

Each seed has a cohort and networks of its own: `mmfuse pretrain sm3` on training and valid cases, then `fine-tune` on
5 % of the training labels, from those weights and from a random start, all else equal (the last epoch is kept, so no
label of `valid` is looked at); and from a random start at the rate that suits it best. Prints the paired differences on
held-out cases, patients resampled, 95 %. What is set below was settled on cohorts of other seeds (100 and above).
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

import mmfuse

METRICS = ("balanced-accuracy", "macro-auc")
NETWORK = ["network.encoders.image.model=test_resnet", "network.encoders.image.weights=none"]
SPLIT = ['split.fractions={"train"=0.6,"valid"=0.1,"test"=0.3}']
BEFORE = [
    "pretexts.contrast.hidden=[256]", "pretexts.contrast.width=64", "training.lr=2e-3", "network.head.width=64",
    "augment.colour.brightness=0.15", "augment.colour.contrast=0.15", "augment.colour.saturation=0.1",
    "augment.colour.hue=0.0", "augment.grey.p=0.0", "augment.crop.scale=[0.6,1.0]",
]  # fmt: skip
AFTER = ["split.labelled=0.05", "network.head.width=64", "training.batch=16", "training.best.metric="]
RATE, FASTER = "training.lr=1e-3", "training.lr=3e-3"
"""Of all arms; and the one at which the random start did best on other cohorts, so that it is not held back."""


def fitted(seed: int, given: argparse.Namespace) -> mmfuse.ScoreTable:
    """The test cases of one seed, under both starts."""
    catalog = mmfuse.Catalog()
    with tempfile.TemporaryDirectory() as folder:
        tidy = catalog.find("adapter", "synthetic")(cases=given.cases, seed=seed, size=48).tidy(Path(folder))
        common, run = [*NETWORK, *SPLIT, f"seed={seed}"], Path(folder) / "run"
        epochs = [f"pretexts.contrast.epochs={given.epochs}", f"pretexts.clusters.epochs={given.clusters}"]
        spec = mmfuse.load("sm3", tidy.card, catalog=catalog, sets=[*common, *BEFORE, *epochs, *given.before])
        cases = mmfuse.Cases(tidy.table, spec.card, Path(folder))
        began = time.process_time()
        mmfuse.Pretraining(spec, catalog=catalog, device="cpu").fit(cases).save(run)
        print(f"seed {seed}: pretrained in {time.process_time() - began:.0f} s of CPU", flush=True)
        tables = {}
        starts = {
            "random": [RATE],
            "random, faster": [FASTER],
            "pretrained": [RATE, f"network.encoders.image.weights={run}"],
        }
        for name, start in starts.items():
            after = [f"training.epochs={given.after_epochs}", *given.after]
            later = mmfuse.load("fine-tune", tidy.card, catalog=catalog, sets=[*common, *AFTER, *after, *start])
            fit = mmfuse.Pipeline(later, catalog=catalog, device="cpu")
            tables[name] = fit.fit(mmfuse.Cases(tidy.table, later.card, Path(folder))).scores
        labelled = int((tables["random"].split == "train").sum())
        print(f"seed {seed}: {labelled} labelled training cases, {time.process_time() - began:.0f} s", flush=True)
    both = {name: table.sources["fused"] for name, table in tables.items()}
    table = dataclasses.replace(tables["random"], sources=both)
    return named(table.take(table.split == "test"), seed)


def kept(seed: int, given: argparse.Namespace) -> mmfuse.ScoreTable:
    """`fitted`, or what it gave before."""
    if given.scores is None:
        return fitted(seed, given)
    file = given.scores / f"{seed}.npz"
    if not file.is_file():
        given.scores.mkdir(parents=True, exist_ok=True)
        fitted(seed, given).save(file)
    return mmfuse.ScoreTable.load(file)


def named(table: mmfuse.ScoreTable, seed: int) -> mmfuse.ScoreTable:
    """Ids and groups that differ between seeds."""
    ids, groups = ([f"{seed}/{name}" for name in names] for names in (table.ids, table.groups))
    return dataclasses.replace(table, ids=np.array(ids), groups=np.array(groups))


def together(tables: list[mmfuse.ScoreTable]) -> mmfuse.ScoreTable:
    words = ("ids", "groups", "split", "folds", "targets")
    joined = {word: np.concatenate([getattr(table, word) for table in tables]) for word in words}
    sources = {name: np.concatenate([t.sources[name] for t in tables], axis=1) for name in tables[0].sources}
    return dataclasses.replace(tables[0], sources=sources, **joined)


def show(title: str, table: mmfuse.ScoreTable) -> None:
    print(f"\n{title}: {len(table)} test cases of {len(set(table.groups))} patients")
    for metric in METRICS:
        for label in ("", *table.labels.names):
            reached = {name: mmfuse.interval(table, name, metric=metric, label=label).value for name in table.sources}
            print(f"  {metric}, {label or 'mean of the labels'}: {told(reached)}")
            for other in ("random", "random, faster"):
                gap = mmfuse.paired_difference(table, "pretrained", other, metric=metric, label=label)
                print(f"    pretrained − {other}: {gap}")


def told(reached: dict[str, float]) -> str:
    return "; ".join(f"{name} {value:.3f}" for name, value in reached.items())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=1000)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--epochs", type=int, default=40, help="of the contrast")
    options.add_argument("--clusters", type=int, default=1, help="epochs of the pseudo-labels")
    options.add_argument("--after-epochs", type=int, default=40, help="of the fine-tuning")
    options.add_argument("--scores", type=Path, help="a folder where scores are kept, and used again if they are there")
    options.add_argument("--before", nargs="*", default=[], help="further K=V of the pretraining")
    options.add_argument("--after", nargs="*", default=[], help="further K=V of the fine-tuning")
    given = options.parse_args()
    tables = [kept(seed, given) for seed in given.seeds]
    for seed, table in zip(given.seeds, tables, strict=True):
        show(f"seed {seed}", table)
    if len(tables) > 1:
        show("all seeds", together(tables))


if __name__ == "__main__":
    main()
