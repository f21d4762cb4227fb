"""From a difference to a word: helps, hurts, no difference larger than δ, or cannot tell with these cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmfuse.errors import SpecError
from mmfuse.metrics import MEASURES
from mmfuse.study.paired import Difference

DELTA = 0.02
"""A difference that no one would act on."""

HELPS, HURTS, SAME, UNCLEAR = "helps", "hurts", "no difference larger than δ", "cannot tell with these cases"


@dataclass(frozen=True)
class Verdict:
    """What a difference says."""

    word: str
    """`helps`, `hurts`, `no difference larger than δ` or `cannot tell with these cases`."""
    about_how_many_needed: int
    """About so many groups (of the same size) would tell, if the difference is as large as it was found here; 0 where
    it is told, or where there is no interval to reckon from."""
    delta: float
    why: str
    """The sentence for a report."""

    def __str__(self) -> str:
        return self.why


def verdict(difference: Difference, delta: float = DELTA) -> Verdict:
    """The word for a difference `one - other` of a metric, whose direction (larger or smaller is better) counts.

    An interval within ±δ is *no difference larger than δ*, even if it leaves out zero: what is smaller than δ helps no
    one. Else one above zero *helps*, one below *hurts*, and any other *cannot tell*. The number of groups that would be
    needed scales the interval's half-width by 1 / √groups until it is smaller than the difference found, or fits
    between it and δ, whichever is easier.

    Raises: SpecError if δ is not positive, or neither more nor less of the metric is better.
    """
    if not delta > 0:
        raise SpecError(f"delta = {delta}", "a positive number")
    if not math.isinf(direction(difference)):
        raise SpecError(
            f"a verdict on {difference.metric}: neither more nor less of it is better", "a metric with a direction"
        )
    low, high = difference.low, difference.high
    if math.isnan(low) or math.isnan(high):
        return Verdict(UNCLEAR, 0, delta, f"{UNCLEAR}: {difference.note or 'there is no interval'}")
    better = 1 if direction(difference) > 0 else -1
    said = f"{difference}, δ {delta:g}"
    if -delta <= low and high <= delta:
        return Verdict(SAME, 0, delta, f"no difference larger than {delta:g}: {said}")
    if low > 0 or high < 0:
        word = HELPS if (low > 0) == (better > 0) else HURTS
        return Verdict(word, 0, delta, f"{word}: {said}")
    needed = about_how_many_needed(difference, delta)
    return Verdict(UNCLEAR, needed, delta, f"{UNCLEAR}: {said}; about {needed} groups would be needed")


def direction(difference: Difference) -> float:
    """Positive where a larger figure of the difference's metric is better, negative where a smaller one is."""
    known = MEASURES.get(difference.metric)
    return known.ideal if known is not None else difference.ideal


def about_how_many_needed(difference: Difference, delta: float = DELTA) -> int:
    """Groups at which the interval would tell, if the difference stays as found: two digits, rounded up.

    A half-width shrinks as 1 / √groups. It tells as soon as it is below |difference| or below δ - |difference|.
    """
    value = abs(difference.value)
    half = max(difference.high - difference.value, difference.value - difference.low)
    exact = difference.groups * (half / max(value, delta - value)) ** 2
    unit = 10 ** max(0, math.floor(math.log10(max(exact, 1.0))) - 1)
    return int(math.ceil(max(exact, difference.groups + 1) / unit) * unit)
