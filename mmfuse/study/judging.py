"""What a study shows: figures of every speaker, and differences on the same test cases with the words that they allow.

The family is named beforehand: the variants of the command line against the reference, the best single modality (chosen
on other cases) and the late logistic regression; its p-values are Holm's. All else is exploratory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmfuse.catalog import Catalog
from mmfuse.decide.scores import ScoreTable
from mmfuse.labels import Labels
from mmfuse.metrics import REPORTED, Wanted, asked, merit
from mmfuse.study.choosing import FLATTERED, Grounds, best_of, best_single, check_metric, grounds, metric_named
from mmfuse.study.classical import holm
from mmfuse.study.folder import Speaker, Study
from mmfuse.study.intervals import Interval, interval
from mmfuse.study.outside import CLASSES_ONLY
from mmfuse.study.paired import Difference, paired_difference
from mmfuse.study.repeated import difference_over_seeds, over_seeds
from mmfuse.study.resampling import drawn_again, sample
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
    """The variant that `--select` chose."""
    chosen_on: str = ""
    """On which cases: `` `valid` ``, or inner folds of `train`."""
    optimism: float = 0.0
    """By how much the best of the variants shown on `test` is expected to exceed itself; 0 where one was chosen."""
    best: str = ""
    """The best of the variants on `test`, where none was chosen."""
    reached: list[str] = field(default_factory=list)
    """Sentences: controls that reach the fused model, and what explains its gain then."""
    warnings: list[str] = field(default_factory=list)
    """Sentences: what was chosen on `test`, or could not be chosen."""


def judge(study: Study, metric: str = "", *, catalog: Catalog | None = None) -> Judgement:
    """Figures and differences of a study, from its stored scores. `metric`: another one than the study's, a `Metric` of
    `catalog` (all installed plugins by default) among them.

    Raises: SpecError for an unknown metric; RunError for broken scores.
    """
    metric = metric or study.design.metric
    tables = study.tables()
    check_metric(metric, catalog, tables[0].labels)
    check_metric(study.design.chooses_by, catalog, tables[0].labels)
    wanted = metric_named(metric, catalog)
    held = sample(tables[0], "test").table
    chooses_by = metric_named(study.design.chooses_by, catalog)
    compared = _Compared(study, tables, study.inner_table(), wanted, chooses_by, _spoken(study, held))
    out = Judgement(metric, study.design.delta, len(held), len(np.unique(held.groups)), study.case_is)
    questions = [OVERALL, *(compared.answered if len(held.labels) > 1 else ())]
    for speaker in study.standing:
        out.lines += [_line(tables, speaker, wanted, question) for question in questions]
    able = [speaker.name for speaker in study.standing if not speaker.classes_only or metric in CLASSES_ONLY]
    asked_of = questions if asked(wanted).figure.by_label else [OVERALL]
    best = {question: compared.best_single(able, question) for question in asked_of}
    out.contests = _contests(compared, able, {question: single for question, (single, _) in best.items()})
    out.warnings += [*compared.lacks(able), *(why for _, why in best.values() if why)]
    family = [name for name in study.family if name in able]
    if study.design.select:
        compared.choose(out)
    elif len(family) > 1 and len({compared.spoken[name] for name in family}) == 1:
        out.best, out.optimism = _best_of(tables, family, wanted)
    out.reached = _reached(study, out.contests)
    if compared.singles(able) and compared.of_singles(able).on == "test" and FLATTERED not in study.notes:
        out.warnings.append(FLATTERED)
    return out


@dataclass(frozen=True)
class _Compared:
    """What contests are made from."""

    study: Study
    tables: Sequence[ScoreTable]
    inner: ScoreTable | None
    metric: Wanted
    chooses_by: Wanted
    spoken: Mapping[str, tuple[str, ...]]
    """By speaker, the labels that it answers in any test case."""

    @property
    def answered(self) -> list[str]:
        """The labels that anyone answers, as the card orders them."""
        return [name for name in self.tables[0].labels.names if any(name in of for of in self.spoken.values())]

    def shared(self, one: str, other: str) -> list[str]:
        """The labels that both answer."""
        return [name for name in self.spoken[one] if name in self.spoken[other]]

    def is_asked(self, one: str, other: str, question: str) -> bool:
        """Whether both answer it. A mean over labels of which they share one would be that label once more."""
        shared = self.shared(one, other)
        if question:
            return question in shared
        return len(shared) > 1 or len(self.tables[0].labels) == 1 or not asked(self.metric).figure.by_label

    def lacks(self, able: Sequence[str]) -> list[str]:
        """Sentences about those whose figures cannot be read beside the others'."""
        told = []
        for name, of in self.spoken.items():
            if name not in able:
                found = f"'{name}' gave classes without probabilities: {asked(self.metric).name} cannot be said of it"
                told.append(f"{found}; --metric balanced-accuracy can")
            if len(of) < len(self.answered):
                told.append(f"'{name}' answers {', '.join(of) or 'nothing'} alone; its mean over labels is over that")
        silent = [name for name in self.tables[0].labels.names if name not in self.answered]
        return [*told, f"nobody answers {', '.join(silent)}"] if silent else told

    def singles(self, able: Sequence[str]) -> list[str]:
        return [name for name in self.study.named("single") if name in able]

    def of_singles(self, able: Sequence[str]) -> Grounds:
        return grounds(self.tables, self.inner, self.singles(able))

    def best_single(self, able: Sequence[str], question: str) -> tuple[str, str]:
        label = question if asked(self.chooses_by).figure.by_label else OVERALL
        return best_single(self.of_singles(able), self.singles(able), self.chooses_by, label)

    def choose(self, out: Judgement) -> None:
        """The variant that is chosen, never on `test`."""
        names = self.study.named("variant")
        found = grounds(self.tables, self.inner, names, self.study.design.select_on)
        out.chosen = best_of(found, names, self.chooses_by) if found.on != "test" else ""
        out.chosen_on = found.words if out.chosen else ""
        if not out.chosen:
            why = "there are no other cases than `test`" if found.on == "test" else f"undefined on {found.words}"
            out.warnings.append(f"nothing is chosen by {self.study.design.select}: {why}")


def _spoken(study: Study, held: ScoreTable) -> dict[str, tuple[str, ...]]:
    found = {}
    for speaker in study.standing:
        silent = np.isnan(held.probabilities(speaker.name))
        found[speaker.name] = tuple(
            name for name, part in held.labels.slices.items() if not silent[:, part].any(axis=1).all()
        )
    return found


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line(tables: Sequence[ScoreTable], speaker: Speaker, metric: Wanted, label: str) -> Line:
    compared = asked(metric)
    shown: dict[str, Wanted] = {name: name for name in REPORTED}
    if compared.figure.by_label or not label:
        shown[compared.name] = metric
    shown = {name: one for name, one in shown.items() if not speaker.classes_only or name in CLASSES_ONLY}
    by_seed: dict[str, list[float]] = {name: [] for name in shown}
    cases = 0
    seeds = tables[: len(speaker.keys)]
    for table in seeds:
        held = sample(table, "test", _within(table))
        p = held.table.probabilities(speaker.name)
        cases = _answered(held.table, p, label)
        for name, one in shown.items():
            by_seed[name].append(float(held.overall(one, p, held.figure(one, p), label)[0]))
    figures = {name: float(np.mean(values)) for name, values in by_seed.items()}
    spread = {name: float(np.std(values, ddof=1)) if len(values) > 1 else math.nan for name, values in by_seed.items()}
    made = None
    if compared.name in shown and not np.isnan(figures[compared.name]):
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


def _contests(compared: _Compared, able: Sequence[str], best: Mapping[str, str]) -> list[Contest]:
    """`best` {label: the best single modality there}."""
    family, rest = [], []
    study, tables, singles = compared.study, compared.tables, compared.singles(able)
    simpler = [name for name in study.named("metadata", "logistic", "control") if name in able]
    many_seeds = {speaker.name for speaker in study.standing if len(speaker.keys) > 1}
    for question, single in best.items():
        against = [study.reference, single, LATE]
        for one in study.family:
            for other in dict.fromkeys(against):
                if one in able and other in able and one != other:
                    family.append((one, other, question))
        others = [name for name in (*singles, *simpler) if name not in (single, LATE)]
        rest += [(study.reference, other, question) for other in others if study.reference in able]
    family, rest = ([one for one in many if compared.is_asked(*one)] for many in (family, rest))
    made = {}
    for one, other, question in (*family, *rest):
        seeds = tables if {one, other} & many_seeds else tables[:1]
        made[one, other, question] = _difference(seeds, one, other, compared.metric, question)
    adjusted = holm([made[contest].p for contest in family])
    first = [
        _contest(contest, made[contest], study.design.delta, float(p), in_family=True)
        for contest, p in zip(family, adjusted, strict=True)
    ]
    return first + [_contest(contest, made[contest], study.design.delta, math.nan, in_family=False) for contest in rest]


def _difference(tables: Sequence[ScoreTable], one: str, other: str, metric: Wanted, label: str) -> Difference:
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


def _best_of(tables: Sequence[ScoreTable], names: Sequence[str], metric: Wanted) -> tuple[str, float]:
    """The best of `names` on `test`, and the expected maximum of their chance deviations: by so much the best is
    optimistic if all are equally good (bootstrap of groups, the same resamples for all)."""
    values, drawn = [], []
    for name in names:
        by_seed = []
        for table in tables:
            held = sample(table, "test", _within(table))
            groups = held.table.groups
            p = held.table.probabilities(name)
            own, drawn_of = held.figure(metric, p), held.figure(metric, p, drawn_again(groups, OPTIMISM, 0))
            by_seed.append(held.overall(metric, p, np.concatenate([own, drawn_of]), OVERALL))
        mean = merit(asked(metric).figure.ideal, np.mean(by_seed, axis=0))
        if not np.isnan(mean).all():
            values.append(mean[0])
            drawn.append(mean[1:] - np.nanmean(mean[1:]))
    if len(values) < len(names):
        return "", 0.0  # undefined for one of them: which is best cannot be said
    return names[int(np.argmax(values))], float(np.nanmean(np.max(drawn, axis=0)))


def words(labels: Labels, label: str) -> str:
    """How a label is called: `overall` where several are meant together."""
    return label or ("overall" if len(labels) > 1 else labels.names[0])
