"""The findings of a probe, in words: each names label, source, interval, cases, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmfuse.data.findings import Finding
from mmfuse.data.spelling import toml_key
from mmfuse.data.splits import Names
from mmfuse.data.words import SHOWN, named
from mmfuse.labels import Ints, Label
from mmfuse.study.classical import holm
from mmfuse.study.probing.copies import near_copies
from mmfuse.study.probing.facts import SIDE, Seen
from mmfuse.study.probing.reading import Reading
from mmfuse.study.probing.sources import FEW, Source, kinds

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

CHANCE = 0.05
"""That anything at all is found where there is nothing: over all questions together (Holm)."""
_ACCIDENT = 0.01
"""The same of categories that hold none or all of a class."""
_FLAT = 1e-3
_STRONGEST = 4
_PICTURES = 40_000
"""More would be compared for longer than anyone waits: time grows with the square."""


class Answer(NamedTuple):
    """What one source says of one class."""

    source: Source
    label: str
    name: str
    """The class."""
    reading: Reading
    p: float
    """That it tells no more than is expected of it."""


class Asked(NamedTuple):
    """A label as it is asked."""

    label: Label
    truth: Ints
    """(n,) -1 where unknown or in `test`."""
    folds: Ints
    """(n,) -1 where not asked."""
    classes: tuple[int, ...]
    """That have enough cases; of two, the positive alone."""


def source_findings(answers: Sequence[Answer]) -> list[Finding]:
    """Each source that tells too much, with every label of which it does, by the class it tells best."""
    judged = [answer for answer in answers if answer.source.expected.level == "warning"]
    found: dict[str, list[Answer]] = {}
    for answer in _beyond(judged):
        found.setdefault(answer.source.where, []).append(answer)
    findings = []
    for where, some in found.items():
        source = some[0].source
        mend = source.expected.mend.format(column=toml_key(source.column))
        text = f"alone it tells {_by_label(some)}; expected of it: at most about {source.expected.auc:g}"
        if source.beside:
            text += f", and no more than of {source.beside}"
        findings.append(Finding("warning", where, text, mend))
    return findings


def marked_findings(answers: Sequence[Answer]) -> list[Finding]:
    """The columns that the card marks and that do tell a label: as it should be, none of them is an input."""
    found: dict[str, list[Answer]] = {}
    for answer in _beyond([answer for answer in answers if answer.source.expected.level == "info"]):
        found.setdefault(answer.label, []).append(answer)
    findings = []
    for label, some in found.items():
        best = _best(some)
        shown = named(f"{one.source.column} {one.reading} ('{one.name}')" for one in best)
        text = f"told by {len(best)} columns that the card marks, none of which is an input: {shown}"
        findings.append(Finding("info", f"label {label}", text))
    return findings


def strongest_findings(answers: Sequence[Answer]) -> list[Finding]:
    """For each label, how many sources were asked and the few that tell most of it."""
    findings = []
    for label in dict.fromkeys(answer.label for answer in answers):
        best = _best(one for one in answers if one.label == label and one.source.expected.level != "info")
        telling = [one for one in best if _tells(one)]
        shown = ", ".join(f"{one.source.where} {one.reading} ('{one.name}')" for one in telling[:_STRONGEST])
        if best:
            what = f"the strongest: {shown}" if shown else "none tells any two cases apart"
            text = f"{len(best)} sources asked alone, out of fold, without `test`; {what}"
            findings.append(Finding("info", f"label {label}", text))
    return findings


def _tells(answer: Answer) -> bool:
    """Whether it tells any two cases apart: what gives each the same number has an AUC of .5, of no width."""
    reading = answer.reading
    return abs(reading.value - 0.5) > _FLAT or reading.high - reading.low > _FLAT


def _beyond(answers: Sequence[Answer]) -> list[Answer]:
    """Those that tell more than expected, clearly and by no accident."""
    adjusted = holm(np.array([answer.p for answer in answers]))
    return [
        answer
        for answer, p in zip(answers, adjusted.tolist(), strict=True)
        if p < CHANCE and answer.reading.low > answer.source.expected.clearly
    ]


def _best(answers: Iterable[Answer]) -> list[Answer]:
    """Of each source the class that it tells best, the strongest source first."""
    best: dict[str, Answer] = {}
    for answer in sorted(answers, key=lambda one: -one.reading.value):
        best.setdefault(answer.source.where, answer)
    return list(best.values())


def _by_label(answers: Sequence[Answer]) -> str:
    """`label y ('b' from the others: AUC 0.80 [0.75, 0.84], n = 300)`, for each label."""
    labels: dict[str, list[Answer]] = {}
    for answer in answers:
        labels.setdefault(answer.label, []).append(answer)
    words = []
    for label, some in labels.items():
        one = _best(some)[0]
        more = f", as {len(some) - 1} more of its classes" if len(some) > 1 else ""
        n = one.reading.positives + one.reading.negatives
        words.append(f"label {label} ('{one.name}' from the others{more}: {one.reading}, n = {n})")
    return ", ".join(words)


def category_findings(cases: Cases, asked: Sequence[Asked], columns: Iterable[str]) -> list[Finding]:
    """Categories of 20 or more cases that hold none or all of a class, where that is no accident."""
    tables = {
        column: kinds(cases.table[column], cases.table.decimal)
        for column in columns
        if not (column in cases.card.columns and cases.card.columns[column].marked)
    }
    found = []
    for one in asked:
        known = one.truth >= 0
        shares = np.bincount(one.truth[known], minlength=len(one.label.classes)) / known.sum()
        for column, (names, codes) in tables.items():
            here = known & (codes >= 0)
            held = np.zeros((len(names), len(shares)), dtype=np.int64)
            np.add.at(held, (codes[here], one.truth[here]), 1)
            sizes = held.sum(axis=1)
            none_or_all = (held == 0) | (held == sizes[:, None])
            for kind, c in np.argwhere(none_or_all & (sizes >= FEW)[:, None]).tolist():
                share = shares[c] if held[kind, c] else 1 - shares[c]
                if c not in one.classes or share <= 0:
                    continue
                groups = len(np.unique(cases.groups[here & (codes == kind)]))
                what = f"'{names[kind]}' ({sizes[kind]} cases) holds {'only' if held[kind, c] else 'none of'}"
                text = f"{what} '{one.label.classes[c]}'"
                found.append((groups * math.log(share), one.label.name, column, text))
    # Each category × class is a question of its own; so few as these are what chance leaves of all of them.
    questions = max(1, sum(len(one.classes) * len(names) for one in asked for names, _ in tables.values()))
    said: dict[tuple[str, str], list[str]] = {}
    for chance, label, column, text in found:
        if chance < math.log(_ACCIDENT / questions):
            said.setdefault((label, column), []).append(text)
    mend = "who decided who stands there? a model may learn this in place of the disease"
    return [
        Finding("warning", f"label {label}", f"column {column}: {named(texts)}", mend)
        for (label, column), texts in said.items()
    ]


def unseen_findings(seen: Sequence[Seen]) -> list[Finding]:
    findings = []
    for one in seen:
        here = sum(facts is not None for facts in one.facts)
        if here < FEW:
            text = f"column {one.column}: {here} images can be read; nothing is asked of them ({FEW} are needed)"
            findings.append(
                Finding("warning", f"modality {one.modality}", text, "check `root` in [cases] and the paths")
            )
    return findings


def copy_findings(cases: Cases, split: Names, seen: Sequence[Seen]) -> list[Finding]:
    """Near-copies across splits. Files that are the same byte by byte the audit names already."""
    pictures = [(case, one.column, facts) for one in seen for case, facts in enumerate(one.facts) if facts is not None]
    if len(pictures) > _PICTURES:
        text = f"{len(pictures)} images: near-copies are looked for among up to {_PICTURES:,}, so not here"
        return [Finding("info", "images", text)]
    small = np.array([facts.small for _, _, facts in pictures], dtype=np.uint8).reshape(-1, SIDE, SIDE)
    pairs = near_copies(small, np.array([split[case] for case, _, _ in pictures], dtype=np.str_))
    pairs = [pair for pair in pairs if pictures[pair.one][2].content != pictures[pair.other][2].content]
    if not pairs:
        return []

    def place(at: int) -> str:
        case, column, _ = pictures[at]
        return f"row {cases.table.rows[case]} (id {cases.ids[case]}), {column}, {split[case]}"

    pairs.sort(key=lambda pair: -pair.correlation)
    shown = [f"{place(p.one)} = {place(p.other)}, {p.turn} (correlation {p.correlation:.3f})" for p in pairs[:SHOWN]]
    rest = f" | and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    text = f"{len(pairs)} pairs of nearly the same picture stand in two splits: {' | '.join(shown)}{rest}"
    mend = "look at them; if they are one lesion or one visit, put their cases in one group, or drop one of each"
    return [Finding("warning", "images", text, mend)]
