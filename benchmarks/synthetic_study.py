"""Does the pipeline find what the synthetic cohort holds? Seeds 0, 1, 2, each with a cohort and networks of its own.

    python benchmarks/synthetic_study.py [--cases 600]

Prints, on held-out cases of all seeds together (patients resampled, 95 %): fused against each single image on the
synergy label, `final` against `scheme1` on every label, and every source's lower bound beside the ideal observer of the
modalities it sees.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

import mmfuse
from mmfuse.commands.demo import ideal_observer

SEEDS = (0, 1, 2)
METRIC = "balanced-accuracy"


def fitted(seed: int, cases: int) -> tuple[mmfuse.ScoreTable, mmfuse.ScoreTable]:
    """Scores of one seed's pipeline and of the ideal observer, about the same test cases."""
    catalog = mmfuse.Catalog()
    with tempfile.TemporaryDirectory() as folder:
        adapter = catalog.find("adapter", "synthetic")(cases=cases, seed=seed)
        tidy = adapter.tidy(Path(folder))
        spec = mmfuse.load("demo", {**tidy.card}, catalog=catalog, sets=[f"seed={seed}"])
        table = mmfuse.Cases(tidy.table, spec.card, Path(folder))
        scores = mmfuse.Pipeline(spec, catalog=catalog).fit(table).scores
        ideal = ideal_observer(scores, Path(folder) / "truth.csv")
    test = scores.split == "test"
    return named(scores.take(test), seed), named(ideal.take(test), seed)


def named(table: mmfuse.ScoreTable, seed: int) -> mmfuse.ScoreTable:
    """Ids and groups that differ between seeds."""
    tag = f"{seed}/"
    return dataclasses.replace(
        table,
        ids=np.array([tag + name for name in table.ids]),
        groups=np.array([tag + name for name in table.groups]),
    )


def together(tables: list[mmfuse.ScoreTable]) -> mmfuse.ScoreTable:
    first = tables[0]
    joined = {
        name: np.concatenate([getattr(t, name) for t in tables])
        for name in ("ids", "groups", "split", "folds", "targets")
    }
    sources = {name: np.concatenate([t.sources[name] for t in tables], axis=1) for name in first.sources}
    return dataclasses.replace(first, sources=sources, **joined)


def lower_bound(table: mmfuse.ScoreTable, source: str, label: int) -> tuple[float, float]:
    """A source's balanced accuracy of one label and the lower end of its 95 % interval."""
    from mmfuse.metrics import METRICS

    weight = np.concatenate([np.ones((1, len(table))), mmfuse.bootstrap_weights(table.groups, 2000, 0)])
    values = METRICS[METRIC](table.probabilities(source), table.targets, table.labels, weight)[:, label]
    return float(values[0]), float(np.nanquantile(values[1:], 0.025))


def study(cases: int) -> tuple[mmfuse.ScoreTable, mmfuse.ScoreTable]:
    pairs = [fitted(seed, cases) for seed in SEEDS]
    return together([scores for scores, _ in pairs]), together([ideal for _, ideal in pairs])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=600)
    scores, ideal = study(options.parse_args().cases)
    print(f"{len(scores)} test cases of {len(set(scores.groups))} patients, seeds {SEEDS}\n")
    for single in ("clinic", "derm"):
        gap = mmfuse.paired_difference(scores, "fused", single, metric=METRIC, label="diagnosis")
        print(f"diagnosis (synergy): fused − {single}: {gap}")
    print()
    for label in scores.labels.names:
        gap = mmfuse.paired_difference(scores, "final", "scheme1", metric=METRIC, label=label)
        print(f"{label}: final − scheme1: {gap}")
    print("\nlabel, source, reached (lower end), ideal of the modalities it sees")
    subsets = {"clinic": "clinic", "derm": "derm", "fused": "clinic+derm"}
    for index, label in enumerate(scores.labels.names):
        for source in scores.sources:
            value, low = lower_bound(scores, source, index)
            best, _ = lower_bound(ideal, subsets.get(source, "clinic+derm+meta"), index)
            verdict = "ok" if low <= best else "ABOVE THE IDEAL"
            print(f"{label:14} {source:10} {value:.3f} ({low:.3f})  {best:.3f}  {verdict}")


if __name__ == "__main__":
    main()
