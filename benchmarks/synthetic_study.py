"""Does the pipeline find what the synthetic cohort holds? Each seed has a cohort and networks of its own.

    python benchmarks/synthetic_study.py [--cases 600] [--seeds 0 1 2]

Prints, on held-out cases of all seeds together (patients resampled, 95 %): fused against each single image on the
synergy label, `final` against `scheme1` on every label, and every source against the ideal observer of the modalities
it sees, on the same cases.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

import mmfuse
from mmfuse.commands.demo import ideal_observer

METRIC = "balanced-accuracy"


def fitted(seed: int, cases: int) -> tuple[mmfuse.ScoreTable, mmfuse.Wiring]:
    """One seed's test cases: what its pipeline says, and beside it `ideal:SUBSET`, what the ideal observer says."""
    catalog = mmfuse.Catalog()
    with tempfile.TemporaryDirectory() as folder:
        tidy = catalog.find("adapter", "synthetic")(cases=cases, seed=seed, size=64).tidy(Path(folder))
        spec = mmfuse.load("demo", tidy.card, catalog=catalog, sets=[f"seed={seed}"])
        pipeline = mmfuse.Pipeline(spec, catalog=catalog).fit(mmfuse.Cases(tidy.table, spec.card, Path(folder)))
        ideal = ideal_observer(pipeline.scores, Path(folder) / "truth.csv")
    views = {f"ideal:{subset}": scores for subset, scores in ideal.sources.items()}
    both = dataclasses.replace(pipeline.scores, sources={**pipeline.scores.sources, **views})
    return named(both.take(both.split == "test"), seed), pipeline.wiring


def named(table: mmfuse.ScoreTable, seed: int) -> mmfuse.ScoreTable:
    """Ids and groups that differ between seeds."""
    ids, groups = ([f"{seed}/{name}" for name in names] for names in (table.ids, table.groups))
    return dataclasses.replace(table, ids=np.array(ids), groups=np.array(groups))


def together(tables: list[mmfuse.ScoreTable]) -> mmfuse.ScoreTable:
    words = ("ids", "groups", "split", "folds", "targets")
    joined = {word: np.concatenate([getattr(table, word) for table in tables]) for word in words}
    sources = {name: np.concatenate([t.sources[name] for t in tables], axis=1) for name in tables[0].sources}
    return dataclasses.replace(tables[0], sources=sources, **joined)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=600)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = options.parse_args()
    runs = [fitted(seed, given.cases) for seed in given.seeds]
    scores, wiring = together([table for table, _ in runs]), runs[0][1]
    print(f"{len(scores)} test cases of {len(set(scores.groups))} patients, seeds {given.seeds}; {METRIC}\n")
    for single in wiring.encoders:
        for table in [*(table for table, _ in runs), scores]:
            gap = mmfuse.paired_difference(table, "fused", single, metric=METRIC, label="diagnosis")
            print(f"diagnosis, fused − {single}, {gap.groups} patients: {gap}")
    for label in scores.labels.names:
        gap = mmfuse.paired_difference(scores, "final", "scheme1", metric=METRIC, label=label)
        print(f"{label}, final − scheme1: {gap}")
    figures = mmfuse.evaluate(scores, on="test")["sources"]
    for label in scores.labels.names:
        for source in wiring.all_sources:
            ideal = f"ideal:{'+'.join(wiring.sees(source))}"
            gap = mmfuse.paired_difference(scores, source, ideal, metric=METRIC, label=label)
            reached, best = (figures[name][label][METRIC] for name in (source, ideal))
            verdict = "ABOVE THE IDEAL" if gap.low > 0 else ""
            print(f"{label}, {source}: {reached:.3f}, ideal {best:.3f}, difference {gap} {verdict}")


if __name__ == "__main__":
    main()
