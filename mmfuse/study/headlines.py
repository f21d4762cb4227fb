"""Whether fusion helps, in one sentence: held against every single modality at once, with what else could explain it.

A modality that looks best on `valid` may be the weaker one on `test`: to beat that one alone says little of fusion. The
claim is an intersection-union test (Berger, Technometrics 24, 1982): it stands only where the difference from each
single modality does, so its p-value is the largest of theirs and needs no correction for their number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmfuse.metrics import merit
from mmfuse.study.paired import Difference
from mmfuse.study.verdicts import HELPS, HURTS, SAME, UNCLEAR, direction, verdict

ALPHA = 0.05
"""Against which Holm's p-values are held."""


@dataclass(frozen=True)
class Headline:
    """What may be said of one speaker against all single modalities, on one label or overall."""

    name: str
    label: str
    word: str
    """`helps`: better than each; `hurts`: worse than one; `no difference larger than δ` from one, and worse than none;
    or `cannot tell with these cases`."""
    differences: Mapping[str, Difference]
    """{single modality: the speaker's figure less its}, the one that is least behind first."""
    p_holm: float
    """Of the claim, within the family, where it takes the place of the best single modality; NaN where it has none."""
    sentence: str
    """The whole of it: which modality is better on `test`, and which control reaches it, stand in the same sentence."""


class Claim(NamedTuple):
    """A speaker against all single modalities."""

    name: str
    label: str
    differences: Mapping[str, Difference]

    @property
    def gains(self) -> dict[str, float]:
        """{single modality: by how much the speaker is better}, the least first; NaN last."""
        found = {name: float(merit(direction(gap), gap.value)) for name, gap in self.differences.items()}
        return dict(sorted(found.items(), key=lambda pair: (math.isnan(pair[1]), pair[1])))

    @property
    def p(self) -> float:
        """Where the speaker is better than each: the largest p-value, NaN where one is undefined. Where one is better
        than it: the smallest of such, times the number of modalities that could have been (Bonferroni).
        """
        behind = [self.differences[name].p for name, gain in self.gains.items() if gain < 0]
        known = [p for p in behind if not math.isnan(p)]
        if known:
            return min(1.0, len(self.differences) * min(known))
        return math.nan if behind else float(np.max([gap.p for gap in self.differences.values()]))


class Facts(NamedTuple):
    """What else stands in the sentence."""

    metric: str
    delta: float
    figures: Mapping[str, float]
    """{speaker: its figure on `test`}."""
    best: str
    """The single modality that was chosen, and on which cases."""
    chosen_on: str
    reaching: Sequence[str]
    """Controls that are not clearly beaten: `'NAME' reaches SPEAKER`."""
    missing: Sequence[str]
    """Single modalities that could not be fitted."""
    several: bool
    """Whether there are several labels."""
    whose: str
    """` of REFERENCE`, whose modalities they are; empty where the claim speaks of the reference itself."""

    def figure(self, name: str) -> float:
        """NaN where there is none."""
        return self.figures.get(name, math.nan)


def headline(claim: Claim, p_holm: float, facts: Facts) -> Headline:
    """The word and the sentence of a claim."""
    word, why = _word(claim, p_holm, facts)
    ordered = {name: claim.differences[name] for name in claim.gains}
    against = ", ".join(f"{gap} against {name}" for name, gap in ordered.items())
    head = f"{_subject(claim, word, facts)}: {facts.metric} {against}{why}"
    told = [*_better(claim, facts), *(f"the control {words}" for words in facts.reaching)]
    told += [f"{name} could not be fitted and is not compared" for name in facts.missing]
    sentence = f"{head}; but {', and '.join(told)}" if told else head
    return Headline(claim.name, claim.label, word, ordered, p_holm, sentence)


def _word(claim: Claim, p_holm: float, facts: Facts) -> tuple[str, str]:
    """The word, and why it is another than the intervals alone would give."""
    words = {verdict(gap, facts.delta).word for gap in claim.differences.values()}
    own = HURTS if HURTS in words else HELPS if words == {HELPS} else SAME if words == {SAME, HELPS} else UNCLEAR
    own = SAME if words == {SAME} else own
    if own == SAME:
        return own, f" ({NOT_ADJUSTED})"
    if own == UNCLEAR or (own == HELPS and facts.missing):
        return UNCLEAR, ""
    if not p_holm <= ALPHA:
        return UNCLEAR, f" ({own} by its intervals, not after Holm: p = {p_holm:.2g})"
    return own, f"; p = {p_holm:.2g} after Holm"


NOT_ADJUSTED = "by its own 95 % interval, not adjusted for the family"
"""What is said wherever a difference within the family is none."""


def _subject(claim: Claim, word: str, facts: Facts) -> str:
    where = f" on {claim.label}" if claim.label else " as a mean over labels" if facts.several else ""
    return {
        HELPS: f"{claim.name} helps{where}, against each single modality{facts.whose}",
        HURTS: f"{claim.name} hurts{where}, against a single modality{facts.whose}",
        SAME: f"{claim.name} differs{where} from a single modality{facts.whose} by no more than {facts.delta:g}",
        UNCLEAR: f"whether {claim.name} helps{where} cannot be told with these cases",
    }[word]


def _better(claim: Claim, facts: Facts) -> list[str]:
    """Single modalities that are better on `test` than the speaker, or than the one that was chosen."""
    told, better = [], math.copysign(1.0, direction(next(iter(claim.differences.values()))))
    for name, gain in claim.gains.items():
        others = [claim.name] if gain < 0 else []
        if better * facts.figure(name) > better * facts.figure(facts.best):
            others.append(facts.best)
        if others:
            shown = " and than ".join(f"{one} ({facts.figure(one):.3f})" for one in others)
            chosen = f", which was chosen on {facts.chosen_on}" if facts.best in others else ""
            told.append(f"{name} ({facts.figure(name):.3f}) is better on `test` than {shown}{chosen}")
    return told
