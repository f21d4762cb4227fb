"""Differences on the same test cases and the words that they allow: of the family that was named beforehand, and of the
rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mmfuse.decide.scores import ScoreTable
from mmfuse.metrics import Wanted, asked
from mmfuse.study.choosing import Grounds, best_single, grounds
from mmfuse.study.classical import holm
from mmfuse.study.folder import Study
from mmfuse.study.headlines import ALPHA, NOT_ADJUSTED, Claim, Facts, Headline, headline
from mmfuse.study.optimism import outer_folds
from mmfuse.study.paired import Difference, paired_difference
from mmfuse.study.repeated import difference_over_seeds
from mmfuse.study.variants import LATE
from mmfuse.study.verdicts import HELPS, HURTS, SAME, UNCLEAR, verdict

AS_FAR = " as far as can be told"
"""What is said of a control that is neither beaten nor clearly as good."""
OVERALL = ""
"""The label that stands for the mean over labels, by their weight."""


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
    """Why the word is another than the interval alone would give, or says less than it seems to."""


@dataclass(frozen=True)
class Compared:
    """What contests are made from: a study's scores, the metric, and who answers what."""

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


def contests_of(
    compared: Compared, able: Sequence[str], best: Mapping[str, str]
) -> tuple[list[Contest], list[tuple[Claim, float]]]:
    """`best` {label: the best single modality there}. Also what may be claimed against all single modalities, with
    Holm's p-values within the family, where each claim takes the place of the best single modality.
    """
    family, rest, against_all = [], [], []
    study, tables, singles = compared.study, compared.tables, compared.singles(able)
    simpler = [name for name in study.named("metadata", "logistic", "control") if name in able]
    many_seeds = {speaker.name for speaker in study.standing if len(speaker.keys) > 1}
    for question, single in best.items():
        against = [study.reference, single, LATE]
        for one in study.family:
            for other in dict.fromkeys(against):
                if one in able and other in able and one != other:
                    family.append((one, other, question))
            against_all += [(one, other, question) for other in singles if one in able and one != other]
        others = [name for name in (*singles, *simpler) if name not in (single, LATE)]
        rest += [(study.reference, other, question) for other in others if study.reference in able]
    lists = (family, rest, against_all)
    family, rest, against_all = ([one for one in many if compared.is_asked(*one)] for many in lists)
    made = {}
    for one, other, question in dict.fromkeys((*family, *rest, *against_all)):
        seeds = tables if {one, other} & many_seeds else tables[:1]
        made[one, other, question] = _difference(seeds, one, other, compared.metric, question)
    adjusted = holm([made[contest].p for contest in family])
    first = [
        _contest(contest, made[contest], study.design.delta, float(p), in_family=True)
        for contest, p in zip(family, adjusted, strict=True)
    ]
    second = [_contest(contest, made[contest], study.design.delta, math.nan, in_family=False) for contest in rest]
    by_claim: dict[tuple[str, str], dict[str, Difference]] = {}
    for one, other, question in against_all:
        by_claim.setdefault((one, question), {})[other] = made[one, other, question]
    claims = [Claim(one, question, differences) for (one, question), differences in by_claim.items()]
    apart = [made[contest].p for contest in family if contest[1] not in singles]
    p_holm = holm([*apart, *(claim.p for claim in claims)])[len(apart) :]
    return first + second, list(zip(claims, p_holm.tolist(), strict=True))


def headlines_of(
    compared: Compared,
    able: Sequence[str],
    figures: Mapping[str, Mapping[str, float]],
    contests: list[Contest],
    claims: Sequence[tuple[Claim, float]],
    best: Mapping[str, str],
) -> tuple[list[Contest], list[Headline]]:
    """The headlines; and the contests, those that help against the best single modality and not against each marked.

    `figures` {label: {speaker: its figure on `test`}}.
    """
    study, metric = compared.study, asked(compared.metric).name
    missing = [speaker.name for speaker in study.failed if speaker.role == "single"]
    chosen_on = compared.of_singles(able).words
    headlines = []
    for claim, p_holm in claims:
        reaching = _reaching(compared, able, claim, contests)
        whose = "" if claim.name == study.reference else f" of {study.reference}"
        facts = Facts(metric, study.design.delta, figures[claim.label], best[claim.label], chosen_on, reaching, missing,
                      len(compared.tables[0].labels) > 1, whose)  # fmt: skip
        headlines.append(headline(claim, p_holm, facts))
    words = {(one.name, one.label): one.word for one in headlines}
    marked = [
        replace(c, remark="not against each single modality")
        if c.word == HELPS and c.in_family and c.other == best[c.label] and words.get((c.one, c.label)) != HELPS
        else c
        for c in contests
    ]
    return marked, headlines


def _reaching(compared: Compared, able: Sequence[str], claim: Claim, contests: Sequence[Contest]) -> list[str]:
    """Controls that whoever claims does not clearly beat, on the label of the claim; they are made of the reference."""
    study, told = compared.study, []
    known = {(c.one, c.other, c.label): c.difference for c in contests}
    many_seeds = {speaker.name for speaker in study.standing if len(speaker.keys) > 1}
    for control in study.named("control"):
        pair = (claim.name, control, claim.label)
        if control not in able or not compared.is_asked(*pair):
            continue
        tables = compared.tables if {claim.name, control} & many_seeds else compared.tables[:1]
        gap = known.get(pair) or _difference(tables, claim.name, control, compared.metric, claim.label)
        word = verdict(gap, study.design.delta).word
        if word != HELPS and not math.isnan(gap.value):
            told.append(f"'{control}' reaches {claim.name}{AS_FAR if word == UNCLEAR else ''}")
    return told


def _difference(tables: Sequence[ScoreTable], one: str, other: str, metric: Wanted, label: str) -> Difference:
    if len(tables) > 1:
        return difference_over_seeds(tables, one, other, metric=metric, label=label, within=outer_folds(tables[0]))
    return paired_difference(tables[0], one, other, metric=metric, label=label, within=outer_folds(tables[0]))


def _contest(
    named: tuple[str, str, str], difference: Difference, delta: float, p_holm: float, in_family: bool
) -> Contest:
    """The word for a difference; within the family one that Holm's p-value does not bear out is none."""
    found = verdict(difference, delta)
    word, remark = found.word, ""
    if in_family and word in (HELPS, HURTS) and not p_holm <= ALPHA:
        word, remark = UNCLEAR, f"{word} by its interval, not after Holm"
    if in_family and word == SAME:
        remark = NOT_ADJUSTED
    return Contest(*named, difference, word, found.about_how_many_needed, p_holm, in_family, remark)


def _unbeaten(study: Study, contests: Sequence[Contest]) -> list[Contest]:
    """Controls that the reference does not clearly beat, for each label where it seems to help, and overall."""
    singles = set(study.named("single"))
    helped = {c.label for c in contests if c.one == study.reference and c.other in singles and c.word == HELPS}
    return [
        c
        for c in contests
        if c.other in study.named("control") and c.one == study.reference
        and (c.label in helped or c.label == OVERALL)
        and c.word != HELPS and not math.isnan(c.difference.value)
    ]  # fmt: skip


def reached(study: Study, contests: Sequence[Contest]) -> list[str]:
    """A sentence for each control that the reference does not clearly beat."""
    told = []
    for contest in _unbeaten(study, contests):
        subject = f"'{contest.other}' reaches {study.reference}" + (f" on {contest.label}" if contest.label else "")
        told.append(f"{subject}{_as_far(contest)}: {study.reference} − {contest.other} {contest.difference}")
    return told


def _as_far(contest: Contest) -> str:
    return AS_FAR if contest.word == UNCLEAR else ""
