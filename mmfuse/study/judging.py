"""What a study shows: figures of every speaker, and differences on the same test cases with the words that they allow.

The family is named beforehand: the variants of the command line against the reference, the best single modality (chosen
on `valid`) and the late logistic regression; its p-values are Holm's. All else is exploratory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Labels
from mmfuse.metrics import LARGER_IS_BETTER, MEASURES, REPORTED
from mmfuse.study.classical import holm
from mmfuse.study.comparing import Speaker, Study, best_on_valid
from mmfuse.study.intervals import Interval, interval
from mmfuse.study.outside import CLASSES_ONLY
from mmfuse.study.paired import Difference, paired_difference
from mmfuse.study.repeated import difference_over_seeds, over_seeds
from mmfuse.study.resampling import RANKING, bootstrap_weights, sample
from mmfuse.study.variants import LATE
from mmfuse.study.verdicts import HELPS, HURTS, UNCLEAR, verdict

ALPHA = 0.05
"""Against which Holm's p-values are held."""

OPTIMISM = 500
"""Resamples from which the optimism of the best of several is reckoned."""

OVERALL = ""
"""The label that stands for the mean over labels, by their weight."""


@dataclass(frozen=True)
class Line:
    """The figures of one speaker on one label (or overall)."""

    name: str
    role: str
    label: str
    cases: int
    figures: dict[str, float]
    """Mean over seeds of every metric that it can be asked for."""
    spread: dict[str, float]
    """Standard deviation over seeds."""
    interval: Interval | None = None
    """Of the metric that is compared."""


@dataclass(frozen=True)
class Contest:
    """One against another on the same test cases."""

    one: str
    other: str
    label: str
    difference: Difference
    word: str
    """`helps`, `hurts`, `no difference larger than δ` or `cannot tell with these cases`."""
    needed: int
    """About how many groups would tell; 0 where it is told, or nothing can be reckoned."""
    p_holm: float = float("nan")
    """Within the family; NaN for what is exploratory."""
    in_family: bool = False
    remark: str = ""
    """Why the word is another than the interval alone would give."""


@dataclass
class Judgement:
    """Everything that a study shows."""

    metric: str
    delta: float
    cases: int
    groups: int
    case_is: str
    lines: list[Line] = field(default_factory=list)
    contests: list[Contest] = field(default_factory=list)
    chosen: str = ""
    """The variant that `--select` chose on `valid`."""
    optimism: float = 0.0
    """By how much the best of the variants shown on `test` is expected to exceed itself; 0 where one was chosen."""
    best: str = ""
    """The best of the variants on `test`, where none was chosen."""
    reached: list[str] = field(default_factory=list)
    """Sentences: controls that reach the fused model, and what explains its gain then."""


def judge(study: Study, metric: str = "") -> Judgement:
    """Figures and differences of a study, from its stored scores. `metric`: another one than the study's.

    Raises: SpecError for an unknown metric; RunError for broken scores.
    """
    metric = metric or study.design.metric
    check_metric(metric)
    check_metric(study.design.chooses_by)
    tables = study.tables()
    held = sample(tables[0], "test").table
    out = Judgement(metric, study.design.delta, len(held), len(np.unique(held.groups)), study.case_is)
    labels = tables[0].labels
    questions = [OVERALL, *(labels.names if len(labels) > 1 else ())]
    for speaker in study.standing:
        out.lines += [_line(tables, speaker, metric, question) for question in questions]
    able = [speaker for speaker in study.standing if not speaker.classes_only or metric in CLASSES_ONLY]
    out.contests = _contests(study, tables, [speaker.name for speaker in able], metric, questions)
    family = [name for name in study.family if name in {speaker.name for speaker in able}]
    if study.design.select:
        out.chosen = best_on_valid(tables, study.named("variant"), study.design.select)
    elif len(family) > 1:
        out.best, out.optimism = _best_of(tables, family, metric)
    out.reached = _reached(study, out.contests)
    return out


def check_metric(word: str) -> None:
    """Raises: SpecError for an unknown metric, or one of which neither more nor less is better."""
    directed = [name for name in REPORTED if math.isinf(MEASURES[name].ideal)]
    if word not in directed:
        raise SpecError(f"no metric to compare by is called '{word}'", f"one of {directed}", nearest(word, directed))


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line(tables: Sequence[ScoreTable], speaker: Speaker, metric: str, label: str) -> Line:
    folded = len(_within(tables[0])) > 0
    asked = [name for name in REPORTED if not folded or name not in RANKING or name == "macro-auc"]
    asked = [name for name in asked if not speaker.classes_only or name in CLASSES_ONLY]
    by_seed: dict[str, list[float]] = {name: [] for name in asked}
    cases = 0
    seeds = tables[: len(speaker.keys)]
    for table in seeds:
        held = sample(table, "test", _within(table))
        p = held.table.probabilities(speaker.name)
        cases = _answered(held.table, p, label)
        for name in asked:
            by_seed[name].append(float(held.overall(name, p, held.figure(name, p), label)[0]))
    figures = {name: float(np.mean(values)) for name, values in by_seed.items()}
    spread = {name: float(np.std(values, ddof=1)) if len(values) > 1 else math.nan for name, values in by_seed.items()}
    made = None
    if metric in asked and not np.isnan(figures[metric]):
        if len(seeds) > 1:
            made = over_seeds(seeds, speaker.name, metric=metric, label=label, within=_within(seeds[0]))
        else:
            made = interval(seeds[0], speaker.name, metric=metric, label=label, within=_within(seeds[0]))
    return Line(speaker.name, speaker.role, label, cases, figures, spread, made)


def _answered(held: ScoreTable, p: np.ndarray, label: str) -> int:
    """Cases that count: the label is known and spoken about (overall: any label)."""
    columns = [held.labels.names.index(label)] if label else range(len(held.labels))
    parts = list(held.labels.slices.values())
    known = [(held.targets[:, i] >= 0) & ~np.isnan(p[:, parts[i]]).any(axis=1) for i in columns]
    return int(np.any(known, axis=0).sum())


def _within(table: ScoreTable) -> np.ndarray | tuple[()]:
    """Outer folds, where there are several: an AUC compares cases of the same one."""
    return table.folds if len(np.unique(table.folds)) > 1 else ()


# ── differences ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _contests(
    study: Study, tables: Sequence[ScoreTable], able: Sequence[str], metric: str, questions: Sequence[str]
) -> list[Contest]:
    family, rest = [], []
    singles = [name for name in study.named("single") if name in able]
    simpler = [name for name in study.named("metadata", "logistic", "control") if name in able]
    many_seeds = {speaker.name for speaker in study.standing if len(speaker.keys) > 1}
    for question in questions:
        single = best_on_valid(tables, singles, study.design.chooses_by, question)
        against = [study.reference, single, LATE]
        for one in study.family:
            for other in dict.fromkeys(against):
                if one in able and other in able and one != other:
                    family.append((one, other, question))
        others = [name for name in (*singles, *simpler) if name not in (single, LATE)]
        rest += [(study.reference, other, question) for other in others if study.reference in able]
    made = {}
    for one, other, question in (*family, *rest):
        seeds = tables if {one, other} & many_seeds else tables[:1]
        made[one, other, question] = _difference(seeds, one, other, metric, question)
    adjusted = holm([made[contest].p for contest in family])
    first = [
        _contest(contest, made[contest], study.design.delta, float(p), in_family=True)
        for contest, p in zip(family, adjusted, strict=True)
    ]
    return first + [_contest(contest, made[contest], study.design.delta, math.nan, in_family=False) for contest in rest]


def _difference(tables: Sequence[ScoreTable], one: str, other: str, metric: str, label: str) -> Difference:
    if len(tables) > 1:
        return difference_over_seeds(tables, one, other, metric=metric, label=label, within=_within(tables[0]))
    return paired_difference(tables[0], one, other, metric=metric, label=label, within=_within(tables[0]))


def _contest(
    named: tuple[str, str, str], difference: Difference, delta: float, p_holm: float, in_family: bool
) -> Contest:
    """The word for a difference; within the family one that Holm's p-value does not bear out is none."""
    found = verdict(difference, delta)
    word, remark = found.word, ""
    if in_family and word in (HELPS, HURTS) and not p_holm <= ALPHA:
        word, remark = UNCLEAR, f"{word} by its interval, not after Holm"
    return Contest(*named, difference, word, found.about_how_many_needed, p_holm, in_family, remark)


def _reached(study: Study, contests: Sequence[Contest]) -> list[str]:
    """Which controls the reference does not clearly beat, for each label where it seems to help, and overall."""
    singles = set(study.named("single"))
    helped = {c.label for c in contests if c.one == study.reference and c.other in singles and c.word == HELPS}
    told = []
    for contest in contests:
        is_control = contest.other in study.named("control") and contest.one == study.reference
        counts = contest.label in helped or contest.label == OVERALL
        if is_control and counts and contest.word != HELPS and not math.isnan(contest.difference.value):
            subject = f"'{contest.other}' reaches {study.reference}" + (f" on {contest.label}" if contest.label else "")
            why = " as far as can be told" if contest.word == UNCLEAR else ""
            told.append(f"{subject}{why}: {study.reference} − {contest.other} {contest.difference}")
    return told


# ── the best of several ───────────────────────────────────────────────────────────────────────────────────────────────


def _best_of(tables: Sequence[ScoreTable], names: Sequence[str], metric: str) -> tuple[str, float]:
    """The best of `names` on `test`, and the expected maximum of their chance deviations: by so much the best is
    optimistic if all are equally good (bootstrap of groups, the same resamples for all)."""
    sign = 1 if metric in LARGER_IS_BETTER else -1
    values, drawn = [], []
    for name in names:
        by_seed = []
        for table in tables:
            held = sample(table, "test", _within(table))
            groups = held.table.groups
            weight = np.concatenate([np.ones((1, len(groups))), bootstrap_weights(groups, OPTIMISM, 0)])
            p = held.table.probabilities(name)
            by_seed.append(held.overall(metric, p, held.figure(metric, p, weight), OVERALL))
        mean = sign * np.mean(by_seed, axis=0)
        if not np.isnan(mean).all():
            values.append(mean[0])
            drawn.append(mean[1:] - np.nanmean(mean[1:]))
    if len(values) < len(names):
        return "", 0.0  # undefined for one of them: which is best cannot be said
    return names[int(np.argmax(values))], float(np.nanmean(np.max(drawn, axis=0)))


def words(labels: Labels, label: str) -> str:
    """How a label is called: `overall` where several are meant together."""
    return label or ("overall" if len(labels) > 1 else labels.names[0])
