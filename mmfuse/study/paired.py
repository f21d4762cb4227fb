"""Paired differences of two sources on the same cases, each with its interval, its p-value and what it covers.

The groups are what is resampled; tests that take every case as an independent draw refuse groups of several cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Floats, Ints
from mmfuse.metrics import Wanted, asked
from mmfuse.study.classical import Tested, corrected_t, delong, mcnemar
from mmfuse.study.intervals import (
    FEW_GROUPS,
    FEWEST_GROUPS,
    LEVEL,
    UNIT,
    few_groups,
    freedom,
    scale_of,
    standard_error,
    tail_bound,
)
from mmfuse.study.resampling import (
    Resamples,
    Sample,
    Support,
    check_words,
    drawn_again,
    leaving_out,
    one_class_folds,
    sample,
    support_of,
)

_SAME = 1e-9


@dataclass(frozen=True)
class Difference:
    """A paired difference of two sources on the same cases, with its 95 % interval."""

    value: float
    low: float
    """NaN, like `high`, where no interval is given; `note` says why."""
    high: float
    groups: int
    """How many groups were resampled."""
    p: float = float("nan")
    """Two-sided p-value of no difference; NaN where the method has none."""
    method: str = ""
    metric: str = ""
    cases: int = 0
    covers: str = ""
    """What would be drawn anew in another study, and what would not."""
    note: str = ""
    """A warning, or why there is no interval."""
    ideal: float = float("inf")
    """Of the metric: larger is better, or, where it is negative, smaller."""

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:+.3f} (no interval: {self.note})" if self.note else f"{self.value:+.3f} (no interval)"
        return f"{self.value:+.3f} (95 % {self.low:+.3f} … {self.high:+.3f})"


class Pair(NamedTuple):
    """Two sources on the cases about which both speak."""

    sample: Sample
    metric: Wanted
    label: str
    one: Floats
    """(n, columns); NaN where either abstains."""
    other: Floats
    support: Support
    value: float

    def gaps(self, weight: Floats | Resamples) -> Floats:
        """(replicates,) differences under weights of cases."""
        one, other = (self.sample.figure(self.metric, p, weight) for p in (self.one, self.other))
        return self.sample.overall(self.metric, self.one, one - other, self.label)


class Settings(NamedTuple):
    """Of the bootstrap."""

    replicates: int
    seed: int


def paired_difference(
    table: ScoreTable,
    one: str,
    other: str,
    *,
    metric: Wanted,
    on: str = "test",
    label: str = "",
    method: str = "auto",
    within: Sequence[int] | Ints = (),
    replicates: int = 2000,
    seed: int = 0,
) -> Difference:
    """`metric`, as evaluations show it, of source `one` minus that of `other` on the same cases, with a 95 % interval.

    Over the label named, or meant over all labels by their weight. Cases about which either source abstains are left
    out of both. `method`: `auto` (`jackknife-t`: Student's t over groups), `bootstrap` (percentiles, of groups),
    `delong` (the AUC of one binary label), `mcnemar` (the accuracy of one label), `corrected-t` (over the folds of the
    table). `within`: fold numbers of all cases; an AUC then compares cases of the same fold alone. Below 10 groups, or
    10 groups of the rarest class that the metric speaks of, there is no interval; below 30 it comes with a warning.

    Raises: SpecError for an unknown metric, source, label or method, or a method that cannot speak of this metric or
    these groups; TableError for an empty split or a case that stands in it twice.
    """
    check_words(table, metric, [one, other], label)
    if method not in METHODS:
        raise SpecError(f"no method is called '{method}'", f"one of {[*METHODS]}", nearest(method, METHODS))
    chosen = sample(table, on, within)
    first, second = chosen.table.probabilities(one), chosen.table.probabilities(other)
    silent = np.isnan(first) | np.isnan(second)
    first, second = np.where(silent, np.nan, first), np.where(silent, np.nan, second)
    figures = (chosen.figure(metric, first) - chosen.figure(metric, second))[0]
    value = float(chosen.overall(metric, first, figures[None], label)[0])
    support = support_of(chosen.supports(metric, first), figures, chosen.labels, label)
    pair = Pair(chosen, metric, label, first, second, support, value)
    return METHODS[method](pair, Settings(replicates, seed))


def _difference(pair: Pair, method: str, found: Tested, note: str = "") -> Difference:
    support = pair.support
    warning = few_groups(support) if support.fewest < FEW_GROUPS else ""
    words = "; ".join(word for word in (note, *_odd_folds(pair), warning) if word)
    covers = pair.sample.covers(support.cases, support.groups)
    wanted = asked(pair.metric)
    return Difference(
        found.value, found.low, found.high, support.groups, found.p, method, wanted.name, support.cases, covers, words,
        wanted.figure.ideal,
    )  # fmt: skip


def _odd_folds(pair: Pair) -> list[str]:
    if not pair.label or len(np.unique(pair.sample.strata)) < 2:
        return []
    odd = one_class_folds(pair.sample, pair.sample.labels.names.index(pair.label))
    return [f"one class alone, so no pair, in fold {', '.join(map(str, odd))}"] if odd else []


def _no_interval(pair: Pair, why: str = "") -> Difference:
    return _difference(pair, "none", Tested(pair.value, np.nan, np.nan, np.nan), why)


def _resampled(pair: Pair, method: str, made: Callable[[Floats], Tested]) -> Difference:
    """What every resampling shares: when there is no interval, and what stands for it where nothing varies."""
    if np.isnan(pair.value):
        return _no_interval(pair, "undefined: too few cases, or only one class")
    if pair.support.fewest < FEWEST_GROUPS:
        return _no_interval(pair)
    left_out = pair.gaps(leaving_out(pair.sample.table.groups))
    if np.isnan(left_out).any():
        return _no_interval(pair, "undefined without one of the groups")
    if standard_error(left_out) >= _SAME:
        return _difference(pair, method, made(left_out))
    if scale_of(pair.metric) is not UNIT or abs(pair.value) >= _SAME:
        return _no_interval(pair, "every group gives the same difference")
    bound = tail_bound(pair.support.fewest)
    found = Tested(pair.value, -bound, bound, 1.0)
    return _difference(pair, "clopper-pearson", found, "the two sources earn the same in every group")


def _jackknife_t(pair: Pair, settings: Settings) -> Difference:
    """Student's t with the jackknife's standard error over groups (Efron & Stein, Ann. Stat. 9, 1981)."""

    def made(left_out: Floats) -> Tested:
        error, free = standard_error(left_out), freedom(pair.support.fewest)
        half = float(special.stdtrit(free, (1 + LEVEL) / 2)) * error
        p = float(2 * special.stdtr(free, -abs(pair.value) / error))
        return Tested(pair.value, pair.value - half, pair.value + half, p)

    return _resampled(pair, "jackknife-t", made)


def _bootstrap(pair: Pair, settings: Settings) -> Difference:
    """Percentiles of the bootstrap of groups; the p-value is twice the smaller share of resamples beyond zero."""

    def made(left_out: Floats) -> Tested:
        drawn = pair.gaps(drawn_again(pair.sample.table.groups, settings.replicates, settings.seed))
        drawn = drawn[~np.isnan(drawn)]
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
        return Tested(pair.value, float(low), float(high), float(min(1.0, 2 * (beyond + 1) / (len(drawn) + 1))))

    return _resampled(pair, "bootstrap", made)


def _one_label(pair: Pair, method: str, metric: str) -> tuple[str, NDArray[np.bool_], Ints]:
    """The label that a test speaks of, its answered cases and their classes; refuses what the test cannot speak of."""
    names = pair.sample.labels.names
    label = pair.label or (names[0] if len(names) == 1 else "")
    if asked(pair.metric).name != metric or not label:
        found = f"'{method}' for {asked(pair.metric).name} of {label or f'{len(names)} labels'}"
        raise SpecError(found, f"{metric} of one label", "name the label, or use method 'auto'")
    index, part = names.index(label), pair.sample.labels.slices[label]
    truth = pair.sample.table.targets[:, index]
    answered = (truth >= 0) & ~np.isnan(pair.one[:, part]).any(axis=1)
    groups = len(np.unique(pair.sample.table.groups[answered]))
    if groups < answered.sum():
        raise SpecError(
            f"'{method}' on {int(answered.sum())} cases of {groups} groups",
            "one case a group: the test takes cases as independent",
            "use method 'auto', which resamples groups",
        )
    return label, answered, truth[answered]


def _delong(pair: Pair, settings: Settings) -> Difference:
    label, answered, truth = _one_label(pair, "delong", "macro-auc")
    part = pair.sample.labels.slices[label]
    if part.stop - part.start != 2:
        found = f"'delong' for label '{label}' of {part.stop - part.start} classes"
        raise SpecError(found, "two classes", "use method 'auto'")
    if len(np.unique(pair.sample.strata[answered])) > 1:
        raise SpecError("'delong' over several folds", "cases of one fold", "use method 'auto'")
    if np.isnan(pair.value) or pair.support.fewest < FEWEST_GROUPS:
        return _no_interval(pair, "undefined: too few cases, or only one class" if np.isnan(pair.value) else "")
    column = part.start + 1
    tested = delong(pair.one[answered, column], pair.other[answered, column], truth == 1)
    return _difference(pair, "delong", tested, "nothing varies" if np.isnan(tested.low) else "")


def _mcnemar(pair: Pair, settings: Settings) -> Difference:
    label, answered, truth = _one_label(pair, "mcnemar", "accuracy")
    if pair.support.fewest < FEWEST_GROUPS:
        return _no_interval(pair)
    part = pair.sample.labels.slices[label]
    right = [p[answered, part].argmax(axis=1) == truth for p in (pair.one, pair.other)]
    return _difference(pair, "mcnemar", mcnemar(*right))


def _corrected_t(pair: Pair, settings: Settings) -> Difference:
    """Differences fold by fold, of cases that the fold's network did not see."""
    folds = pair.sample.table.folds
    numbers = np.unique(folds[folds >= 0])
    if len(numbers) < 2:
        found = f"'corrected-t' on cases of {len(numbers)} folds"
        raise SpecError(found, "two or more", "on = 'train' of a run with folds")
    gaps = pair.gaps((folds == numbers[:, None]).astype(float))
    odd = [int(number) for number, gap in zip(numbers, gaps, strict=True) if np.isnan(gap)]
    if odd:
        raise SpecError(
            f"{asked(pair.metric).name} is undefined in fold {', '.join(map(str, odd))}",
            "each class in each fold",
            "fewer folds, or method 'auto' with `within`",
        )
    tested = corrected_t(gaps, 1 / (len(numbers) - 1))
    made = _difference(pair, "corrected-t", tested, "nothing varies" if np.isnan(tested.low) else "")
    covers = f"the choice of training and test cases among {len(numbers)} folds; not of seeds"
    return replace(made, covers=covers)


METHODS: Mapping[str, Callable[[Pair, Settings], Difference]] = {
    "auto": _jackknife_t,
    "jackknife-t": _jackknife_t,
    "bootstrap": _bootstrap,
    "delong": _delong,
    "mcnemar": _mcnemar,
    "corrected-t": _corrected_t,
}
"""`auto` is the method that kept its level best in the simulation (`docs/judging.md`)."""
