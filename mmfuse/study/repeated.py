"""Several seeds of one plan: a metric a seed, their mean, and an interval over groups of cases and seeds together.

A maximum over seeds is never taken: it grows with the number of tries. One interval covers both what other cases and
what other seeds would change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, TableError
from mmfuse.labels import Floats, Ints
from mmfuse.metrics import Wanted
from mmfuse.seeds import generator
from mmfuse.study.intervals import (
    FEWEST_GROUPS,
    LEVEL,
    PLAIN,
    Interval,
    Resampled,
    Scale,
    freedom,
    interval,
    jackknife_t,
    no_draws,
    no_draws_on,
    scale_of,
    standard_error,
)
from mmfuse.study.paired import Difference, paired_difference
from mmfuse.study.resampling import Resamples, Sample, drawn_again, leaving_out, sample, support_of

TWO_LEVELS = "two-level bootstrap"
"""Groups of cases, then seeds."""

One = TypeVar("One", Interval, Difference)
Weight = Floats | Resamples | None
Figures = Callable[[Weight], Floats]
"""Under weights of cases, (seeds, replicates)."""


class Repeated(NamedTuple):
    """A figure of several seeds, as it is resampled."""

    groups: NDArray[np.str_]
    """(n,) of the cases."""
    figures: Figures
    own: Floats
    """(seeds,)"""
    left_out: Floats
    """(seeds, blocks) without each block of groups."""
    scale: Scale
    rarest: int
    """Groups of the rarest class that the metric speaks of, in the seed that has the fewest."""


def over_seeds(
    tables: Sequence[ScoreTable],
    source: str,
    *,
    metric: Wanted,
    on: str = "test",
    label: str = "",
    within: Sequence[int] | Ints = (),
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean over seeds of `metric` of a source, with its 95 % interval over the choice of groups and of seeds.

    `tables`: the scores of one plan trained with each seed, on the same cases. The interval is that of a two-level
    bootstrap (groups of cases, then seeds: Davison & Hinkley, Bootstrap Methods, 1997, §3.8), on the scale of the
    metric, with percentiles widened for few groups and few seeds (Hesterberg, Am. Statistician 69, 2015); it is never
    narrower than jackknife-t gives over the groups alone, so that a seed that is counted again tells nothing more.

    Raises: SpecError for an unknown word or fewer than two tables; TableError if their cases differ.
    """
    samples = _same_cases(tables, on, within)
    singles = [interval(table, source, metric=metric, on=on, label=label, within=within) for table in tables]

    def figures(weight: Weight) -> Floats:
        return np.stack([_figure(one, source, metric, label, weight) for one in samples])

    rarest = min(_rarest(one, metric, label, one.table.probabilities(source)) for one in samples)
    return _combined(singles, _repeated(samples, figures, scale_of(metric), rarest), replicates, seed)


def difference_over_seeds(
    tables: Sequence[ScoreTable],
    one: str,
    other: str,
    *,
    metric: Wanted,
    on: str = "test",
    label: str = "",
    within: Sequence[int] | Ints = (),
    replicates: int = 2000,
    seed: int = 0,
) -> Difference:
    """Mean over seeds of the paired difference of two sources, with its 95 % interval over groups and seeds.

    `tables` hold both sources, a table a seed, on the same cases. The p-value is that of Student's t with the two
    variances added.

    Raises: SpecError for an unknown word or fewer than two tables; TableError if their cases differ.
    """
    samples = _same_cases(tables, on, within)
    singles = [
        paired_difference(table, one, other, metric=metric, on=on, label=label, within=within) for table in tables
    ]

    def figures(weight: Weight) -> Floats:
        return np.stack([_gap(single, one, other, metric, label, weight) for single in samples])

    rarest = min(_rarest(single, metric, label, *_both(single, one, other)) for single in samples)
    given = _repeated(samples, figures, PLAIN, rarest)
    made = _combined(singles, given, replicates, seed)
    if made.method == "none":
        return replace(made, p=np.nan)
    if made.method != TWO_LEVELS:
        return made
    error, free, _ = _spread(given)
    return replace(made, p=float(2 * special.stdtr(free, -abs(made.value) / error)))


def _repeated(samples: Sequence[Sample], figures: Figures, scale: Scale, rarest: int) -> Repeated:
    groups = samples[0].table.groups
    return Repeated(groups, figures, figures(None)[:, 0], figures(leaving_out(groups)), scale, rarest)


def _combined(singles: Sequence[One], given: Repeated, replicates: int, seed: int) -> One:
    """The mean of what each seed gives, with the interval over groups and seeds; none where one of them has none, the
    widest of them where neither groups nor seeds move it.
    """
    values, first = np.array([single.value for single in singles]), singles[0]
    made = replace(
        first, value=float(values.mean()), covers=_covers(first.covers, len(singles)), note=_each(values, first)
    )
    silent = [single.note for single in singles if np.isnan(single.low)]
    if silent:
        return replace(made, low=np.nan, high=np.nan, method="none", note=silent[0])
    low, high = _two_levels(given, replicates, seed)
    if high > low:
        return replace(made, low=low, high=high, method=TWO_LEVELS)
    widest = max(singles, key=lambda single: single.high - single.low)
    return replace(widest, value=made.value, covers=made.covers, note=made.note)


def _figure(chosen: Sample, source: str, metric: Wanted, label: str, weight: Weight) -> Floats:
    p = chosen.table.probabilities(source)
    return chosen.overall(metric, p, chosen.figure(metric, p, weight), label)


def _both(chosen: Sample, one: str, other: str) -> tuple[Floats, Floats]:
    """Of the cases about which both speak."""
    first, second = chosen.table.probabilities(one), chosen.table.probabilities(other)
    silent = np.isnan(first) | np.isnan(second)
    return np.where(silent, np.nan, first), np.where(silent, np.nan, second)


def _rarest(chosen: Sample, metric: Wanted, label: str, *sources: Floats) -> int:
    """Groups that limit a figure of one source, or the difference of two."""
    figures = [chosen.figure(metric, p)[0] for p in sources]
    figure = figures[0] - figures[1] if len(figures) > 1 else figures[0]
    return support_of(chosen.supports(metric, sources[0]), figure, chosen.labels, label).fewest


def _gap(chosen: Sample, one: str, other: str, metric: Wanted, label: str, weight: Weight) -> Floats:
    first, second = _both(chosen, one, other)
    gaps = chosen.figure(metric, first, weight) - chosen.figure(metric, second, weight)
    return chosen.overall(metric, first, gaps, label)


def _same_cases(tables: Sequence[ScoreTable], on: str, within: Sequence[int] | Ints) -> list[Sample]:
    """The cases of each seed in the order of the first."""
    if len(tables) < 2:
        raise SpecError(f"scores of {len(tables)} seeds", "of two or more", "train with further seeds")
    samples = [sample(table, on, within) for table in tables]
    first = samples[0].table
    out = [samples[0]]
    for number, one in enumerate(samples[1:], 2):
        other = one.table
        odd = sorted({*first.ids.tolist()} ^ {*other.ids.tolist()})
        if odd:
            raise TableError(
                f"seed {number} speaks of other cases than seed 1: {len(odd)} are in one alone, among them '{odd[0]}'",
                f"the same {len(first)} cases in '{on}'",
                "keep the card's [split] seed the same; let the plan's seed vary",
            )
        place = {case: index for index, case in enumerate(other.ids.tolist())}
        order = np.array([place[case] for case in first.ids.tolist()])
        taken = other.take(order)
        if not np.array_equal(taken.targets, first.targets) or not np.array_equal(taken.groups, first.groups):
            raise TableError(f"seed {number} has other labels or groups for the same cases", "the same table of cases")
        out.append(Sample(taken, one.strata[order]))
    return out


def _spread(given: Repeated) -> tuple[float, float, float]:
    """Standard error of the mean over seeds, on a scale, its degrees of freedom (Satterthwaite 1946), and the standard
    deviation of seeds as the metric has it.

    The variance over groups is the jackknife's, with the degrees of freedom that one seed has. That over seeds is the
    spread of their figures less what the choice of groups adds to that spread, since networks of two seeds err on
    different cases: it is in the former already.
    """
    scale, own, left_out = given.scale, given.own, given.left_out
    of_seeds = _between(own, left_out)
    every = np.append(left_out, own)
    if every.min() > scale.least and every.max() < scale.most:  # the ends of the range are infinitely far
        own, left_out = scale.forward(own), scale.forward(left_out)
    seeds = len(own)
    of_groups = standard_error(left_out.mean(axis=0)) ** 2
    total = of_groups + _between(own, left_out) / seeds
    if not total > 0:
        return 0.0, 1.0, 0.0
    least = of_groups**2 / freedom(given.rarest) + (float(own.var(ddof=1)) / seeds) ** 2 / (seeds - 1)
    return float(np.sqrt(total)), max(1.0, float(total**2 / least)), float(np.sqrt(of_seeds))


def _between(own: Floats, left_out: Floats) -> float:
    """Variance between seeds: (seeds,) figures, (seeds, blocks) figures without each block of groups."""
    apart = left_out - left_out.mean(axis=0)
    shared = sum(standard_error(one) ** 2 for one in apart) / (len(own) - 1)
    return max(0.0, float(own.var(ddof=1)) - shared)


def _two_levels(given: Repeated, replicates: int, seed: int) -> tuple[float, float]:
    error, free, of_seeds = _spread(given)
    if error < 1e-9 or not np.isfinite(error):
        return np.nan, np.nan
    drawn = given.figures(drawn_again(given.groups, replicates, seed))
    seeds = len(drawn)
    picks = generator(seed, "seeds").integers(0, seeds, (replicates, seeds))
    middle = drawn.mean(axis=0)
    shift = np.take_along_axis(drawn.T, picks, axis=1).mean(axis=1) - middle
    # few seeds resampled spread less than seeds do, and more by what resampled groups add: to the variance it should be
    spread = float(np.sqrt(np.nanmean(drawn.var(axis=0))))
    both = middle + shift * (of_seeds / spread if spread > 0 else 0.0)
    count = max(FEWEST_GROUPS, len(np.unique(given.groups)))
    tail = special.ndtr(-np.sqrt(count / (count - 1)) * special.stdtrit(free, (1 + LEVEL) / 2))
    low, high = np.quantile(both[~np.isnan(both)], [tail, 1 - tail])
    least, most = _of_groups(given)
    return max(min(float(low), least), given.scale.least), min(max(float(high), most), given.scale.most)


def _of_groups(given: Repeated) -> tuple[float, float]:
    """The interval of the mean over these very seeds: jackknife-t over groups alone."""
    value, left_out = float(given.own.mean()), given.left_out.mean(axis=0)
    return jackknife_t(Resampled(value, left_out, freedom(given.rarest), no_draws, no_draws_on), given.scale)


def _covers(covers: str, seeds: int) -> str:
    return f"{covers.split(';')[0]} and of {seeds} seeds; not of training cases"


def _each(values: Floats, first: Interval | Difference) -> str:
    words = f"a seed: {', '.join(f'{value:.3f}' for value in values)}"
    return f"{words}; {first.note}" if first.note else words
