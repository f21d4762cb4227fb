"""What changes where something is tested on other cases than those it was made for: differences of two figures of one
source on two sets of cases that share none.

Nothing is paired here, so the interval is that of two independent figures; whatever differs between the tables (who is
ill, how images are made, how labels are given) is in it, not the plan alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmfuse.decide.scores import ScoreTable
from mmfuse.metrics import MEASURES, Wanted, asked, counted
from mmfuse.study.intervals import Interval
from mmfuse.study.judging import Judgement, Line
from mmfuse.study.paired import Difference
from mmfuse.study.transfer import Crossing, Transfer
from mmfuse.study.verdicts import HELPS, HURTS, UNCLEAR, verdict

BETTER, WORSE = "better there", "worse there"
_SAID = {HELPS: BETTER, HURTS: WORSE}


@dataclass(frozen=True)
class Shift:
    """A source's figure on the cases of another table, less that on its own table's test cases."""

    name: str
    role: str
    label: str
    home: Crossing
    away: Crossing
    here: float
    there: float
    difference: Difference
    """`there` less `here`."""
    word: str
    """`better there`, `worse there`, `no difference larger than δ` or `cannot tell with these cases`."""


def shifts(transfer: Transfer, judged: Mapping[Crossing, Judgement]) -> list[Shift]:
    """Of every source and label, for each pair of tables of which the first has test cases of its own. `judged`: what
    `judge` says of each standing cell."""
    homes = {cell.train: cell for cell in transfer.standing if cell.train == cell.test}
    found = []
    for away in transfer.standing:
        home = homes.get(away.train)
        if home is None or away == home:
            continue
        own = {(line.name, line.label): line for line in judged[home].lines}
        for line in judged[away].lines:
            beside = own.get((line.name, line.label))
            if beside is not None:
                found.append(_shift((home, away), (beside, line), judged[away]))
    return found


def _shift(pairs: tuple[Crossing, Crossing], lines: tuple[Line, Line], judged: Judgement) -> Shift:
    metric, (here, there) = judged.metric, lines
    values = here.figures.get(metric, math.nan), there.figures.get(metric, math.nan)
    if here.interval is None or there.interval is None:
        gap = Difference(values[1] - values[0], math.nan, math.nan, 0, metric=metric, note="no interval of either")
    else:
        gap = unpaired_difference(there.interval, here.interval, metric)
    gap = replace(gap, ideal=judged.ideal)
    found = verdict(gap, judged.delta)
    word = _SAID.get(found.word, found.word if found.word == UNCLEAR else f"no difference larger than {judged.delta:g}")
    return Shift(here.name, here.role, here.label, *pairs, *values, gap, word)


def counted_apart(home: ScoreTable, away: ScoreTable) -> str:
    """The classes that only one of two sets of test cases has enough of to count in a macro average, as a sentence;
    empty where they are the same. Such averages differ by what they are of."""
    counts: list[NDArray[np.bool_]] = []
    for table in (home, away):
        held = table.take(table.split == "test")
        counts.append(counted(np.zeros((len(held), held.labels.columns)), held.targets, held.labels))
    names, (here, there) = np.array(home.labels.column_names), counts
    sides = ((here & ~there, "here alone"), (there & ~here, "there alone"))
    told = [f"{', '.join(names[alone])} {where}" for alone, where in sides if alone.any()]
    return f"macro averages count {' and '.join(told)}" if told else ""


def unpaired_difference(one: Interval, other: Interval, metric: Wanted) -> Difference:
    """Figure `one` less `other` of two sets of cases that share none, with a 95 % interval made of theirs.

    A plugin's metric is given as itself: its name alone does not say whether larger is better.

    The distances of the figures to the ends of their intervals add up in squares (Newcombe, Stat. Med. 17, 1998; Zou &
    Donner, Stat. Med. 27, 2008: MOVER). No interval where either has none.
    """
    known = None if isinstance(metric, str) and metric not in MEASURES else asked(metric)
    name, ideal = (str(metric), math.inf) if known is None else (known.name, known.figure.ideal)
    value = one.value - other.value
    groups, cases = one.groups + other.groups, one.cases + other.cases
    covers = f"the choice of {one.groups} and {other.groups} groups of cases; not of training cases"
    if np.isnan([one.low, other.low]).any():
        note = next(each.note for each in (one, other) if math.isnan(each.low))
        return Difference(value, math.nan, math.nan, groups, math.nan, "none", name, cases, covers, note, ideal)
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Difference(value, low, high, groups, math.nan, "mover", name, cases, covers, ideal=ideal)
