"""How often intervals hold the true value, and paired tests reject where there is no difference, in drawn studies.

    python benchmarks/coverage.py [STUDIES]

Each study draws two equally good sources with scores that are normal within each class; groups share a part of the
score and of the class. The true accuracy and AUC are known from the normal distribution. The table of
`docs/judging.md` is what this prints; `tests/study/test_coverage.py` holds `auto` to it.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

import mmfuse

LABELS = mmfuse.Labels([mmfuse.Label("d", ("no", "yes"))])


class Study(NamedTuple):
    """How studies of one kind are drawn."""

    name: str
    groups: int
    size: int = 1
    """Cases of a group."""
    positive: float = 0.4
    """Share of positive cases; from 1 on, their exact number."""
    apart: float = 1.4
    """Distance of the classes' mean scores, in standard deviations: AUC .84 at 1.4, .99 at 3.29."""
    alike: float = 0.0
    """Share of the score's variance, and half of that of the class, that a group has in common."""


STUDIES = {
    study.name: study
    for study in (
        Study("300 cases", 300),
        Study("40 groups of 8", 40, 8, alike=0.3),
        Study("30 groups of 10", 30, 10, alike=0.3),
        Study("20 groups of 10", 20, 10, alike=0.3),
        Study("10 groups of 30", 10, 30, alike=0.3),
        Study("5 groups of 60", 5, 60, alike=0.3),
        Study("12 positives of 60", 60, positive=12),
        Study("5 positives of 300", 300, positive=5),
        Study("AUC .99, 300 cases", 300, apart=3.29),
        Study("AUC .99, 40 groups of 8", 40, 8, apart=3.29, alike=0.3),
        Study("accuracy .995, 60 cases", 60, apart=5.152),
        Study("accuracy 1, 300 cases", 300, apart=20.0),
    )
}


def share_below(z: float) -> float:
    """Of a standard normal."""
    return math.erfc(-z / math.sqrt(2)) / 2


def truth(study: Study) -> dict[str, float]:
    """True values in the population from which studies are drawn."""
    right = share_below(study.apart / 2)
    return {"accuracy": right, "balanced-accuracy": right, "macro-auc": share_below(study.apart / math.sqrt(2))}


def draw(study: Study, rng: np.random.Generator, sources: Sequence[float] = (0.0, 0.0)) -> mmfuse.ScoreTable:
    """Scores of one study; `sources`: what is added to each source's distance of the classes."""
    cases = study.groups * study.size
    group = np.repeat(np.arange(study.groups), study.size)

    def shared(part: float) -> np.ndarray:
        return math.sqrt(part) * rng.normal(size=study.groups)[group] + math.sqrt(1 - part) * rng.normal(size=cases)

    if study.positive >= 1:
        positive = rng.permutation(cases) < study.positive
    else:
        positive = shared(0.5 if study.alike else 0.0) < NormalDist().inv_cdf(study.positive)
    common = shared(study.alike)
    scores = {}
    for number, more in enumerate(sources):
        own = math.sqrt(0.7) * common + math.sqrt(0.3) * shared(study.alike)
        margin = own + (study.apart + more) * positive - (study.apart + more) / 2
        scores[f"s{number}"] = np.stack([np.zeros(cases), margin], axis=1)[None]
    ids = np.arange(cases).astype(str)
    return mmfuse.ScoreTable(
        sources=scores,
        ids=ids,
        groups=group.astype(str),
        split=np.full(cases, "test"),
        folds=np.full(cases, -1),
        targets=positive.astype(int)[:, None],
        labels=LABELS,
    )


class Counted(NamedTuple):
    """Of many studies."""

    covered: float
    """Share of the intervals given that hold the true value; NaN where none was given."""
    given: float
    """Share of the studies with an interval."""
    width: float
    """Mean width of those."""


def coverage(study: Study, metric: str, method: str, studies: int, seed: int = 0) -> Counted:
    """Draws studies and counts."""
    rng = np.random.default_rng(seed)
    true, held, widths = truth(study)[metric], 0, []
    for _ in range(studies):
        made = mmfuse.interval(draw(study, rng, (0.0,)), "s0", metric=metric, label="d", method=method, replicates=600)
        if not math.isnan(made.low):
            assert made.high > made.low, made
            held += made.low <= true <= made.high
            widths.append(made.high - made.low)
    given = len(widths)
    return Counted(held / given if given else math.nan, given / studies, float(np.mean(widths)) if given else math.nan)


def rejection(study: Study, metric: str, method: str, studies: int, seed: int = 0) -> float:
    """Share of studies of two equally good sources whose p-value is below 0.05; NaN where none was given."""
    rng = np.random.default_rng(seed)
    p = np.array(
        [
            mmfuse.paired_difference(
                draw(study, rng), "s0", "s1", metric=metric, label="d", method=method, replicates=600
            ).p
            for _ in range(studies)
        ]
    )
    given = p[~np.isnan(p)]
    return float((given < 0.05).mean()) if len(given) else math.nan


def seeds_coverage(study: Study, seeds: int, spread: float, studies: int, seed: int = 0) -> float:
    """Share of intervals over seeds that hold the true mean accuracy; seeds differ by `spread` in `apart`."""
    rng = np.random.default_rng(seed)
    likely = np.random.default_rng(1).normal(scale=spread, size=200_000)
    true, held = float(np.mean([share_below((study.apart + more) / 2) for more in likely[:20_000]])), 0
    for _ in range(studies):
        table = draw(study, rng, rng.normal(scale=spread, size=seeds).tolist())
        tables = [_only(table, f"s{number}") for number in range(seeds)]
        made = mmfuse.over_seeds(tables, "s", metric="accuracy", replicates=600)
        held += made.low <= true <= made.high
    return held / studies


class Trained(NamedTuple):
    """Studies in which two equally good models learn in every fold, as the corrected resampled t has it."""

    name: str
    cases: int
    folds: int
    apart: float = 0.6
    """Distance of the classes in each of a model's five inputs, in standard deviations."""


TRAINED = {one.name: one for one in (Trained("100 cases, 5 folds", 100, 5), Trained("200 cases, 10 folds", 200, 10))}
INPUTS = 5


def draw_trained(study: Trained, rng: np.random.Generator) -> mmfuse.ScoreTable:
    """Out-of-fold scores of two models with inputs of their own that tell the same: each is the difference of the class
    means, learnt from the other folds.
    """
    truth = rng.integers(0, 2, study.cases)
    inputs = rng.normal(size=(study.cases, 2 * INPUTS)) + study.apart * truth[:, None]
    folds = rng.permutation(np.arange(study.cases) % study.folds)
    scores = {name: np.zeros((1, study.cases, 2)) for name in ("s0", "s1")}
    for fold in range(study.folds):
        seen, held = folds != fold, folds == fold
        for number, of_model in enumerate(scores.values()):
            own = inputs[:, INPUTS * number : INPUTS * (number + 1)]
            low, high = (own[seen & (truth == answer)].mean(axis=0) for answer in (0, 1))
            of_model[0, held, 1] = (own[held] - (low + high) / 2) @ (high - low)
    ids = np.arange(study.cases).astype(str)
    return mmfuse.ScoreTable(scores, ids, ids, np.full(study.cases, "train"), folds, truth[:, None], LABELS)


def rejection_over_folds(study: Trained, metric: str, studies: int, seed: int = 0) -> dict[str, float]:
    """Share of studies that call two equally good models different: by the corrected resampled t, by the t-test over
    folds without the correction, and by the jackknife-t over cases. NaN where none could be made.
    """
    rng, found = np.random.default_rng(seed), {"corrected-t": [], "t, uncorrected": [], "jackknife-t": []}
    for _ in range(studies):
        table = draw_trained(study, rng)
        for name in ("corrected-t", "jackknife-t"):
            within = table.folds if name == "jackknife-t" else ()
            made = mmfuse.paired_difference(
                table, "s0", "s1", metric=metric, label="d", on="train", method=name, within=within
            )
            found[name].append(made.p)
        made = mmfuse.paired_difference(table, "s0", "s1", metric=metric, label="d", on="train", method="corrected-t")
        error = (made.high - made.value) / T_QUANTILE[study.folds]
        shrunk = error / math.sqrt(1 / study.folds + 1 / (study.folds - 1)) / math.sqrt(study.folds)
        found["t, uncorrected"].append(float(abs(made.value) / shrunk < T_QUANTILE[study.folds]))
    return {name: float(np.mean([value < 0.05 for value in values])) for name, values in found.items()}


T_QUANTILE = {5: 2.776445, 10: 2.262157}
"""97.5 % quantiles of Student's t with one degree of freedom less than folds."""


def one_of_folds(task: tuple[str, str, int]) -> str:
    """Of the table of tests over folds."""
    name, metric, studies = task
    found = rejection_over_folds(TRAINED[name], metric, studies)
    return f"{name:24} {metric:18} " + "  ".join(f"{method} {100 * share:.1f}" for method, share in found.items())


def _only(table: mmfuse.ScoreTable, source: str) -> mmfuse.ScoreTable:
    return dataclasses.replace(table, sources={"s": table.sources[source]})


def one_line(task: tuple[str, str, int]) -> str:
    """Of the table of intervals: every method on the studies of one kind; the slow ones on a part of them."""
    name, metric, studies = task
    study, words = STUDIES[name], []
    methods = ["jackknife-t", "bca", "percentile"] + (["bootstrap-t"] if study.groups <= 30 else [])
    for method in methods:
        found = coverage(study, metric, method, max(20, studies // PART[method]))
        share = "" if found.given in (0, 1) else f" in {100 * found.given:.0f} %"
        words.append(f"{method} {100 * found.covered:.1f} ({found.width:.3f}){share}" if found.given else f"{method} –")
    return f"{name:24} {metric:18} {truth(study)[metric]:.3f}  " + "  ".join(words)


def one_test(task: tuple[str, str, int]) -> str:
    """Of the table of tests."""
    name, metric, studies = task
    study = STUDIES[name]
    methods = ["jackknife-t", "bootstrap"] + ([ALONE[metric]] if study.size == 1 else [])
    words = []
    for method in methods:
        found = rejection(study, metric, method, max(20, studies // 5) if method == "bootstrap" else studies)
        words.append(f"{method} –" if math.isnan(found) else f"{method} {100 * found:.1f}")
    return f"{name:24} {metric:18} " + "  ".join(words)


def one_of_seeds(task: tuple[int, float, int]) -> str:
    """Of the table of seeds."""
    seeds, spread, studies = task
    found = seeds_coverage(STUDIES["300 cases"], seeds, spread, max(20, studies // 4))
    return f"{seeds} seeds, which move the classes' distance by {spread}: {100 * found:.1f}"


PART = {"jackknife-t": 1, "bca": 5, "percentile": 5, "bootstrap-t": 20}
"""Slow methods are counted on every fifth or twentieth study."""

ALONE = {"accuracy": "mcnemar", "macro-auc": "delong"}
"""Tests that take cases as independent."""


def main(studies: int) -> None:
    """Prints the tables."""
    began = time.perf_counter()

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    with ProcessPoolExecutor(2) as pool:
        spread = [100 * math.sqrt(0.05 * 0.95 / n) for n in (studies, studies / 5, studies / 20)]
        say(f"coverage (mean width) of 95 % intervals in {studies} studies each (± {spread[0]:.1f});")
        say(f"bca and percentile in a fifth (± {spread[1]:.1f}), bootstrap-t in a twentieth (± {spread[2]:.1f})")
        metrics = ("accuracy", "balanced-accuracy", "macro-auc")
        for line in pool.map(one_line, [(name, metric, studies) for name in STUDIES for metric in metrics]):
            say(line)
        say(f"\nper cent of p < 0.05 in {studies} studies of two equally good sources (bootstrap: a fifth)")
        for line in pool.map(one_test, [(name, metric, studies) for name in STUDIES for metric in ALONE]):
            say(line)
        say("\nper cent of p < 0.05 of two equally good models that learn in every fold")
        for line in pool.map(one_of_folds, [(name, metric, studies) for name in TRAINED for metric in ALONE]):
            say(line)
        say("\ncoverage of the interval over seeds, accuracy, 300 cases")
        for line in pool.map(one_of_seeds, [(seeds, by, studies) for seeds in (2, 3, 5) for by in (0.0, 0.2)]):
            say(line)
    say(f"\nall in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
