"""How a comparison is laid out: seeds, outer folds, and what is looked at. All variants get the same cases and splits.

Outer folds are drawn outside `test` unless it is said in so many words; `valid` lies inside each fold; groups stay
whole in both (law 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.data.splits import fold_numbers
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, TableError
from mmfuse.labels import Ints
from mmfuse.seeds import derive

Split = NDArray[np.object_]


@dataclass(frozen=True)
class Design:
    """What a comparison does beside fitting its variants."""

    seeds: int = 1
    """How many fits of each variant, of the plan's seed and the ones after it."""
    folds: int = 0
    """Outer folds; 0: the split as it is."""
    refold: Literal["outside-test", "all"] = "outside-test"
    """What outer folds are drawn from: `train` and `valid`, or all cases of the split, the test cases too."""
    baselines: bool = True
    """Whether simpler answers stand beside the variants."""
    controls: bool = True
    """Whether what else could explain a gain is fitted for the reference."""
    metric: str = "macro-auc"
    """What is compared."""
    select: str = ""
    """The metric by which one variant is chosen, never on `test`; empty: all are shown."""
    select_on: Literal["auto", "valid", "inner"] = "auto"
    """Where it is chosen: on `valid`, or on inner folds of the training part; auto: on `valid` if there is one."""
    inner: int = 3
    """Inner folds in each training part, fitted where something is chosen on them, with the first seed; 0: none."""
    delta: float = 0.02
    """The largest difference that does not matter."""

    @property
    def chooses_by(self) -> str:
        """The metric that chooses."""
        return self.select or self.metric

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.folds == 1 or self.folds < 0 or self.delta <= 0 or self.inner == 1 or self.inner < 0:
            raise SpecError(
                f"{self.seeds} seeds, {self.folds} folds, {self.inner} inner folds, delta {self.delta:g}",
                "one seed or more; no folds, or two or more; a delta above 0",
            )
        if self.refold == "all" and not self.folds:
            raise SpecError("--refold all without --folds", "outer folds to be drawn from all cases", "--folds 5")
        if self.select_on != "auto" and not self.select:
            raise SpecError(
                f"--select-on {self.select_on} without --select", "a metric to choose by", "--select log-loss"
            )

    def refuse_nothing_to_select_on(self, has_valid: bool) -> None:
        """Raises: SpecError where one variant is to be chosen and there is nothing but `test` to choose it on."""
        if not self.select:
            return
        if self.select_on == "valid" and not has_valid:
            raise SpecError("--select-on valid, and no case is `valid`", "cases to choose on", "--select-on inner")
        if not self.inner and (self.select_on == "inner" or not has_valid):
            raise SpecError("--select without `valid` and without inner folds", "cases to choose on", "--inner 3")

    def needs_inner(self, has_valid: bool) -> tuple[bool, bool]:
        """Whether inner folds are fitted for the variants, and for the single modalities."""
        on_inner = self.select_on == "inner" or (self.select_on == "auto" and not has_valid)
        return bool(self.inner and self.select and on_inner), bool(self.inner and self.baselines and not has_valid)


def outer_splits(cases: Cases, split: Split, design: Design, seed: int) -> list[Split]:
    """The split of each outer fold, where the fold's own cases are `test`; without folds the split as it is.

    Raises: TableError where there are fewer groups than folds.
    """
    if not design.folds:
        if not (split == "test").any():
            mend = "a [split] with `test`, or --folds 5"
            raise TableError("no case is `test`", "cases that no variant learns from", mend)
        return [split]
    drawn_from = ("train", "valid", "test") if design.refold == "all" else ("train", "valid")
    pool = np.flatnonzero(np.isin(split.astype(str), drawn_from))
    share = (split == "valid").sum() / max(1, np.isin(split.astype(str), ("train", "valid")).sum())
    fold = _drawn(cases, pool, design.folds, derive(seed, "outer"))
    splits = []
    for number in range(design.folds):
        words = np.full(len(cases), "", dtype=object)
        words[pool[fold == number]] = "test"
        rest = pool[fold != number]
        words[rest] = "train"
        if share:
            inner = _drawn(cases, rest, max(2, round(1 / share)), derive(seed, "inner", number))
            words[rest[inner == 0]] = "valid"
        splits.append(words)
    return splits


def inner_numbers(cases: Cases, split: Split, design: Design, seed: int, fold: int) -> Ints:
    """(n,) the inner fold of each training case of an outer fold, -1 for all others; groups whole.

    Raises: TableError where there are fewer groups than folds.
    """
    numbers, train = np.full(len(cases), -1, dtype=np.int64), np.flatnonzero(split == "train")
    numbers[train] = _drawn(cases, train, design.inner, derive(seed, "choosing", fold))
    return numbers


def inner_split(split: Split, numbers: Ints, number: int) -> Split:
    """The split of one inner fold: its cases are `test`, and the `test` cases of the outer fold are in none."""
    words = np.where(split == "test", "", split).astype(object)
    words[numbers == number] = "test"
    return words


def _drawn(cases: Cases, index: Ints, count: int, seed: int) -> Ints:
    taken = cases.take(index)
    return fold_numbers(taken.groups, taken.targets, cases.labels, count, seed)


def blank_table(cases: Cases, split: Split, fold: int) -> ScoreTable:
    """The `valid` and `test` cases of one outer fold, with no scores yet; `folds` is the outer fold."""
    words = split.astype(np.str_)
    whole = _blank(cases, words, np.full(len(cases), fold))
    return whole.take(np.isin(words, ("valid", "test")))


def inner_table(cases: Cases, numbers: Ints, fold: int, count: int) -> ScoreTable:
    """The training cases of one outer fold, with no scores yet; `folds` numbers the inner folds of all outer ones."""
    words = np.where(numbers >= 0, "inner", "").astype(np.str_)
    return _blank(cases, words, np.where(numbers >= 0, numbers + fold * count, -1)).take(numbers >= 0)


def _blank(cases: Cases, words: NDArray[np.str_], folds: Ints) -> ScoreTable:
    return ScoreTable({}, cases.ids, cases.groups, words, folds, cases.targets, cases.labels, cases.card.cases.case_is)
