"""What a study shows: figures of every speaker, and differences on the same test cases with the words that they allow.

The family is named beforehand: the variants of the command line against the reference, the best single modality (chosen
on other cases) and the late logistic regression; its p-values are Holm's. All else is exploratory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmfuse.catalog import Catalog
from mmfuse.decide.scores import ScoreTable
from mmfuse.metrics import REPORTED, Wanted, asked
from mmfuse.study.choosing import FLATTERED, best_of, check_metric, grounds, metric_named
from mmfuse.study.contests import OVERALL, Compared, Contest, contests_of, headlines_of, reached
from mmfuse.study.folder import Speaker, Study
from mmfuse.study.headlines import Headline
from mmfuse.study.intervals import Interval, interval
from mmfuse.study.optimism import best_of_several, outer_folds
from mmfuse.study.outside import CLASSES_ONLY
from mmfuse.study.repeated import over_seeds
from mmfuse.study.resampling import sample


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
    ideal: float = math.inf
    """Of the metric: larger is better, or, where it is negative, smaller."""
    headlines: list[Headline] = field(default_factory=list)
    """Whether fusion helps: each of the family against every single modality at once, overall and on each label."""


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
    compared = Compared(study, tables, study.inner_table(), wanted, chooses_by, _spoken(study, held))
    out = Judgement(metric, study.design.delta, len(held), len(np.unique(held.groups)), study.case_is)
    out.ideal = asked(wanted).figure.ideal
    questions = [OVERALL, *(compared.answered if len(held.labels) > 1 else ())]
    for speaker in study.standing:
        out.lines += [_line(tables, speaker, wanted, question) for question in questions]
    able = [speaker.name for speaker in study.standing if not speaker.classes_only or metric in CLASSES_ONLY]
    asked_of = questions if asked(wanted).figure.by_label else [OVERALL]
    best = {question: compared.best_single(able, question) for question in asked_of}
    chosen = {question: single for question, (single, _) in best.items()}
    contests, claims = contests_of(compared, able, chosen)
    figures: dict[str, dict[str, float]] = {}
    for line in out.lines:
        figures.setdefault(line.label, {})[line.name] = line.figures.get(out.metric, math.nan)
    out.contests, out.headlines = headlines_of(compared, able, figures, contests, claims, chosen)
    out.warnings += [*compared.lacks(able), *(why for _, why in best.values() if why)]
    family = [name for name in study.family if name in able]
    if study.design.select:
        _choose(compared, out)
    elif len(family) > 1 and len({compared.spoken[name] for name in family}) == 1:
        out.best, out.optimism = best_of_several(tables, family, wanted)
    out.reached = reached(study, out.contests)
    if compared.singles(able) and compared.of_singles(able).on == "test" and FLATTERED not in study.notes:
        out.warnings.append(FLATTERED)
    return out


def _choose(compared: Compared, out: Judgement) -> None:
    """The variant that is chosen, never on `test`."""
    names = compared.study.named("variant")
    found = grounds(compared.tables, compared.inner, names, compared.study.design.select_on)
    out.chosen = best_of(found, names, compared.chooses_by) if found.on != "test" else ""
    out.chosen_on = found.words if out.chosen else ""
    if not out.chosen:
        why = "there are no other cases than `test`" if found.on == "test" else f"undefined on {found.words}"
        out.warnings.append(f"nothing is chosen by {compared.study.design.select}: {why}")


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
        held = sample(table, "test", outer_folds(table))
        p = held.table.probabilities(speaker.name)
        cases = _answered(held.table, p, label)
        for name, one in shown.items():
            by_seed[name].append(float(held.overall(one, p, held.figure(one, p), label)[0]))
    figures = {name: float(np.mean(values)) for name, values in by_seed.items()}
    spread = {name: float(np.std(values, ddof=1)) if len(values) > 1 else math.nan for name, values in by_seed.items()}
    made = None
    if compared.name in shown and not np.isnan(figures[compared.name]):
        if len(seeds) > 1:
            made = over_seeds(seeds, speaker.name, metric=metric, label=label, within=outer_folds(seeds[0]))
        else:
            made = interval(seeds[0], speaker.name, metric=metric, label=label, within=outer_folds(seeds[0]))
    return Line(speaker.name, speaker.role, label, cases, figures, spread, made)


def _answered(held: ScoreTable, p: np.ndarray, label: str) -> int:
    """Cases that count: the label is known and spoken about (overall: any label)."""
    columns = [held.labels.names.index(label)] if label else range(len(held.labels))
    parts = list(held.labels.slices.values())
    known = [(held.targets[:, i] >= 0) & ~np.isnan(p[:, parts[i]]).any(axis=1) for i in columns]
    return int(np.any(known, axis=0).sum())
