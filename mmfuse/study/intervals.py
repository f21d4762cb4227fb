"""Intervals of one figure: how far it would move with other cases.

Every interval says what it covers, is never of zero width, and is not given at all where its level cannot be kept:
with fewer than 10 groups, or 10 groups of a class that the metric speaks of. `docs/judging.md` has the simulation that
the choice of method rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Floats, Ints
from mmfuse.metrics import REPORTED, OperatingPoints, Wanted, asked, at_point
from mmfuse.metrics.answers import SIDES
from mmfuse.study.resampling import (
    BLOCKS,
    Sample,
    Support,
    check_words,
    drawn_again,
    leaving_out,
    one_class_folds,
    sample,
    support_of,
)

LEVEL = 0.95
"""Of every interval: the share of studies in which it should hold the true value."""

FEWEST_GROUPS = 10
"""Below it no interval is given."""

FEW_GROUPS = 30
"""Below it an interval comes with a warning."""

INNER = 1000
"""Replicates of the bootstrap-t, each with a jackknife of its own."""

_CELLS = 1 << 22
_SAME = 1e-9
"""Standard errors below it are none."""


@dataclass(frozen=True)
class Interval:
    """A figure with the interval that holds its true value in 95 of 100 studies."""

    value: float
    low: float
    """NaN, like `high`, where no interval is given; `note` says why."""
    high: float
    method: str
    """`jackknife-t`, `bca`, `percentile`, `bootstrap-t`, `clopper-pearson` (nothing varies), or `none`."""
    groups: int
    """How many groups of cases were resampled."""
    cases: int
    covers: str
    """What would be drawn anew in another study, and what would not."""
    note: str = ""
    """A warning, or why there is no interval."""

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:.3f} (no interval: {self.note})"
        return f"{self.value:.3f} (95 % {self.low:.3f} … {self.high:.3f})"


class Scale(NamedTuple):
    """Where a figure is nearly normal: intervals are made there and brought back, so that they keep to its range."""

    forward: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    """Derivative of `forward`."""
    least: float
    most: float


UNIT = Scale(special.logit, special.expit, lambda x: 1 / (x * (1 - x)), 0.0, 1.0)
POSITIVE = Scale(np.log, np.exp, lambda x: 1 / x, 0.0, np.inf)
PLAIN = Scale(lambda x: x, lambda x: x, np.ones_like, -np.inf, np.inf)
_SHARES = (
    "accuracy", "balanced-accuracy", "macro-f1", "micro-f1", "positive-macro-f1", "macro-auc", "average-precision",
    "sensitivity", "specificity", "ppv", "npv", "exact-match", "hamming",
)  # fmt: skip
SCALES: Mapping[str, Scale] = {**dict.fromkeys(_SHARES, UNIT), **dict.fromkeys(("log-loss", "brier"), POSITIVE)}
"""By metric; any other is taken as it is."""


def scale_of(metric: Wanted) -> Scale:
    """Where intervals of a metric are made."""
    return SCALES.get(asked(metric).name, PLAIN)


class Resampled(NamedTuple):
    """What a method may use."""

    value: float
    left_out: Floats
    """(blocks,) the figure without each group."""
    freedom: int
    """Degrees of freedom of its standard error."""
    drawn: Callable[[], Floats]
    """(replicates,) the figure of each bootstrap resample."""
    studentised: Callable[[Scale], Floats]
    """(replicates,) of those, (figure − value) / standard error, on a scale."""


def standard_error(left_out: Floats) -> float:
    """Of a figure, from its values without each group (Efron & Stein, Ann. Stat. 9, 1981)."""
    return float(np.sqrt((len(left_out) - 1) / len(left_out) * np.sum((left_out - left_out.mean()) ** 2)))


def jackknife_t(given: Resampled, scale: Scale) -> tuple[float, float]:
    """Student's t around the figure, with the jackknife's standard error, on the scale where it is nearly normal."""
    value = np.asarray(given.value)
    half = special.stdtrit(given.freedom, (1 + LEVEL) / 2) * standard_error(given.left_out) * scale.slope(value)
    return float(scale.back(scale.forward(value) - half)), float(scale.back(scale.forward(value) + half))


def percentile(given: Resampled, scale: Scale) -> tuple[float, float]:
    """Percentiles of the bootstrap (Efron 1979); too narrow below some 100 groups."""
    low, high = np.quantile(given.drawn(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def bca(given: Resampled, scale: Scale) -> tuple[float, float]:
    """Bias-corrected and accelerated percentiles (Efron, J. Am. Stat. Assoc. 82, 1987)."""
    drawn = given.drawn()
    below = (np.mean(drawn < given.value) + np.mean(drawn <= given.value)) / 2
    bias = special.ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    lean = given.left_out.mean() - given.left_out
    acceleration = np.sum(lean**3) / (6 * np.sum(lean**2) ** 1.5)
    z = bias + special.ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    low, high = np.quantile(drawn, special.ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def bootstrap_t(given: Resampled, scale: Scale) -> tuple[float, float]:
    """Percentiles of the studentised bootstrap, each replicate with a jackknife (Hall, Ann. Stat. 16, 1988)."""
    value = np.asarray(given.value)
    tails = np.quantile(given.studentised(scale), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    error = standard_error(given.left_out) * scale.slope(value)
    low, high = scale.back(scale.forward(value) - error * tails[::-1])
    return float(low), float(high)


METHODS: Mapping[str, Callable[[Resampled, Scale], tuple[float, float]]] = {
    "auto": jackknife_t,
    "jackknife-t": jackknife_t,
    "bca": bca,
    "percentile": percentile,
    "bootstrap-t": bootstrap_t,
}
"""`auto` is the method that kept its level best in the simulation."""


def freedom(rarest: int) -> int:
    """Degrees of freedom of a jackknife's standard error: one less than the groups that hold the rarest class."""
    return min(rarest, BLOCKS) - 1


def tail_bound(units: int) -> float:
    """The largest chance that is compatible with 0 of `units` (Clopper & Pearson, Biometrika 26, 1934, for 0 hits)."""
    return 1.0 - float(((1 - LEVEL) / 2) ** (1 / units))


def interval(
    table: ScoreTable,
    source: str,
    *,
    metric: Wanted,
    on: str = "test",
    label: str = "",
    method: str = "auto",
    within: Sequence[int] | Ints = (),
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """`metric` of a source, as evaluations show it, with its 95 % interval over the choice of groups of cases.

    Of the label named, or the mean over all labels by their weight. `within`: fold numbers of all cases of the table;
    an AUC then compares cases of the same fold alone. Below 10 groups, or 10 groups of the rarest class that the metric
    speaks of, there is no interval; below 30 it comes with a warning. Where nothing varies (an accuracy of 1) it is the
    exact bound.

    Raises: SpecError for an unknown metric, source, label or method; TableError for an empty split or a case that
    stands in it twice.
    """
    check_words(table, metric, [source], label)
    if method not in METHODS:
        raise SpecError(f"no method is called '{method}'", f"one of {[*METHODS]}", nearest(method, METHODS))
    chosen = sample(table, on, within)
    p = chosen.table.probabilities(source)
    figures = chosen.figure(metric, p)
    left_out = chosen.overall(metric, p, chosen.figure(metric, p, leaving_out(chosen.table.groups)), label)

    def drawn() -> Floats:
        weight = drawn_again(chosen.table.groups, replicates, seed)
        out = chosen.overall(metric, p, chosen.figure(metric, p, weight), label)
        return out[~np.isnan(out)]

    def studentised(scale: Scale) -> Floats:
        return _studentised(chosen, metric, p, label, scale, seed)

    support = support_of(chosen.supports(metric, p), figures[0], chosen.labels, label)
    value = float(chosen.overall(metric, p, figures, label)[0])
    given = Resampled(value, left_out, freedom(support.fewest), drawn, studentised)
    return _made(chosen, metric, label, support, given, method)


def intervals(
    table: ScoreTable,
    *,
    on: str = "test",
    metrics: Iterable[Wanted] = tuple(REPORTED),
    within: Sequence[int] | Ints = (),
) -> dict[str, dict[str, dict[str, Interval]]]:
    """{source: {label: {metric: its interval}}}, as `interval` gives them; the label `` is the mean over labels.

    Raises: SpecError for an unknown metric; TableError for an empty split or a case that stands in it twice.
    """
    metrics = list(metrics)
    for metric in metrics:
        check_words(table, metric, [], "")
    chosen = sample(table, on, within)
    weight = leaving_out(chosen.table.groups, whole=True)
    out: dict[str, dict[str, dict[str, Interval]]] = {}
    for source in table.sources:
        p = chosen.table.probabilities(source)
        by_label: dict[str, dict[str, Interval]] = {label: {} for label in (*chosen.labels.names, "")}
        for metric in metrics:
            figures, supports = chosen.figure(metric, p, weight), chosen.supports(metric, p)
            for label, by_metric in by_label.items():
                if label and figures.shape[1] != len(chosen.labels):
                    continue  # a figure of all labels together
                support = support_of(supports, figures[0], chosen.labels, label)
                values = chosen.overall(metric, p, figures, label)
                given = Resampled(float(values[0]), values[1:], freedom(support.fewest), no_draws, no_draws_on)
                by_metric[asked(metric).name] = _made(chosen, metric, label, support, given, "auto")
        out[source] = by_label
    return out


def intervals_at(
    table: ScoreTable, points: OperatingPoints, *, on: str = "test"
) -> dict[str, dict[str, dict[str, Interval]]]:
    """{source: {label: {figure: its interval}}} of sensitivity, specificity, ppv and npv at stored operating points.

    The threshold is taken as it stands: what choosing it on other cases would change is not covered.

    Raises: TableError for an empty split or a case that stands in it twice.
    """
    out: dict[str, dict[str, dict[str, Interval]]] = {}
    for source in table.sources:
        found = points.of(source)
        out[source] = {
            label: {
                name: interval(table, source, metric=at_point(name, point.threshold), on=on, label=label)
                for name in SIDES
            }
            for label, point in found.items()
        }
    return {source: made for source, made in out.items() if made}


def no_draws() -> Floats:
    """Where nothing is drawn."""
    return np.empty(0)


def no_draws_on(scale: Scale) -> Floats:
    """Where nothing is drawn."""
    return np.empty(0)


def _made(chosen: Sample, metric: Wanted, label: str, support: Support, given: Resampled, method: str) -> Interval:
    """The interval of one figure, or why there is none."""
    covers = chosen.covers(support.cases, support.groups)
    notes = [few_groups(support)] if support.fewest < FEW_GROUPS else []
    if label and len(np.unique(chosen.strata)) > 1:
        odd = one_class_folds(chosen, chosen.labels.names.index(label))
        notes += [f"one class alone, so no pair, in fold {', '.join(map(str, odd))}"] if odd else []

    def none(why: str) -> Interval:
        return Interval(given.value, np.nan, np.nan, "none", support.groups, support.cases, covers, why)

    if np.isnan(given.value):
        return none("undefined: too few cases, or only one class")
    if support.fewest < FEWEST_GROUPS:
        return none(few_groups(support))
    if np.isnan(given.left_out).any():
        return none("undefined without one of the groups")
    scale = scale_of(metric)
    name = next(name for name, made in METHODS.items() if made is METHODS[method] and name != "auto")
    at_end = min(given.value - scale.least, scale.most - given.value) < _SAME
    if at_end or standard_error(given.left_out) < _SAME:
        if not np.isfinite(scale.most) or not at_end:
            return none("every resample gives the same value")
        bound, name = tail_bound(support.fewest), "clopper-pearson"
        low, high = (1 - bound, 1.0) if given.value > 0.5 else (0.0, bound)
    else:
        low, high = METHODS[method](given, scale)
    return Interval(given.value, low, high, name, support.groups, support.cases, covers, "; ".join(notes))


def few_groups(support: Support) -> str:
    """That there are few groups, and of what."""
    units = "cases" if support.cases == support.groups else "groups"
    of = f" {support.rarest}" if support.rarest else ""
    what = "an interval needs 10" if support.fewest < FEWEST_GROUPS else "the interval is rough"
    return f"only {support.fewest} {units}{of}: {what}"


def _studentised(chosen: Sample, metric: Wanted, p: Floats, label: str, scale: Scale, seed: int) -> Floats:
    """(replicates,) studentised differences from the value, where they are defined."""
    groups = chosen.table.groups
    names, member = np.unique(groups, return_inverse=True)
    outer, copies = (drawn_again(of, INNER, seed) for of in (groups, names))  # the same draw, a column a group
    without = (np.arange(len(names))[:, None] == member).astype(float)
    step = max(1, _CELLS // (len(names) * len(member)))
    value = scale.forward(chosen.overall(metric, p, chosen.figure(metric, p), label))
    out = []
    for weight, count in zip(outer.rows(step), copies.rows(step), strict=True):
        figures = chosen.overall(metric, p, chosen.figure(metric, p, weight), label)
        inner = np.maximum(weight[:, None, :] - without, 0.0).reshape(-1, len(member))
        left_out = chosen.overall(metric, p, chosen.figure(metric, p, inner), label).reshape(count.shape)
        # a group that was drawn twice can be left out twice, one copy at a time; one that was not drawn, never
        left_out = np.where(count > 0, left_out, 0.0)
        mean = (count * left_out).sum(axis=1, keepdims=True) / len(names)
        squares = (count * (left_out - mean) ** 2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt((len(names) - 1) / len(names) * squares) * scale.slope(figures)
            out.append((scale.forward(figures) - value) / error)
    drawn = np.concatenate(out)
    return drawn[np.isfinite(drawn)]
