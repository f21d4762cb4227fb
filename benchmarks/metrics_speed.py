"""How long 2,000 bootstrap replicates of every figure take: 1,000 cases, 8 labels, 6 sources.

    python benchmarks/metrics_speed.py [--classes 2] [--replicates 2000]

Prints the seconds of each metric and their sum.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import mmfuse


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("replicates", 2000), ("cases", 1000), ("labels", 8), ("sources", 6), ("classes", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    rng = mmfuse.generator(0, "speed")
    classes = tuple(f"class {k}" for k in range(given.classes))
    labels = mmfuse.Labels([mmfuse.Label(f"label {k}", classes) for k in range(given.labels)])
    shares = np.array([2.0, *np.ones(given.classes - 1)])
    targets = rng.choice(given.classes, size=(given.cases, given.labels), p=shares / shares.sum())
    logits = rng.normal(size=(given.sources, given.cases, labels.columns)) + labels.one_hot(targets)
    weight = mmfuse.bootstrap_weights(np.arange(given.cases).astype(str), given.replicates, 0)
    whole = 0.0
    for name, measure in mmfuse.MEASURES.items():
        began = time.perf_counter()
        if measure.suits(labels):
            for source in logits:
                measure.score(labels.softmax(source), targets, labels, weight)
        seconds = time.perf_counter() - began
        whole += seconds
        print(f"{name:24} {seconds:6.2f} s")
    print(f"{'all':24} {whole:6.2f} s")


if __name__ == "__main__":
    main()
