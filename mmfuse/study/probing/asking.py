"""`probe`: asks every source for every label and says which tell more than should be expected (see the package)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.data.findings import LEVELS, Finding
from mmfuse.data.splits import Names, fold_numbers, given_split
from mmfuse.data.words import named
from mmfuse.events import Watch, silent
from mmfuse.labels import UNKNOWN, Ints, Label, Labels
from mmfuse.metrics import FEWEST
from mmfuse.seeds import generator
from mmfuse.study.probing.association import orders, p_of_association
from mmfuse.study.probing.facts import look
from mmfuse.study.probing.reading import Reading, cross_fitted, p_of_gain, placed
from mmfuse.study.probing.saying import (
    CHANCE,
    Answer,
    Asked,
    category_findings,
    copy_findings,
    marked_findings,
    source_findings,
    strongest_findings,
    unseen_findings,
)
from mmfuse.study.probing.sources import Source, asked_columns, input_columns, picture_sources, table_sources

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

FOLDS = 5
"""Of the cross-fitting, and the groups that a class needs."""


QUICK_CASES, QUICK_COLUMNS, QUICK_QUESTIONS = 4_000, 200, 1_000
"""What a quick probe asks at most: cases, columns, and columns times classes. It takes seconds, not minutes."""


def probe(
    cases: Cases,
    split: Names,
    *,
    files: bool = True,
    quick: bool = False,
    seed: int = 0,
    watch: Watch = silent,
) -> list[Finding]:
    """What each label could be read from, source by source, for `split` (n,) of `train`, `valid`, `test`, "".

    Warnings name label, source, cross-fitted AUC with its 95 % interval, cases, and what to do. A warning stands where
    the AUC clearly exceeds what is expected of such a source (an input: .85; what should tell nothing: .5; a border:
    what the same figures tell of the picture's inside), with p < .05 over all questions together (Holm). Labels of
    `test` cases are not looked at; their images are, for copies. With `files`, images are decoded.

    With `quick`, columns and missing cells alone are asked, of 4,000 cases and 200 columns at most (whole groups are
    drawn, inputs come first), with a few permutations; the last finding says of how many.

    Raises: TableError for a split that is not one word a case, or that tears a group.
    """
    split = given_split(split, cases)
    if quick:
        return _quick(cases, split, seed)
    seen = look(cases, watch) if files else []
    findings = unseen_findings(seen)
    asked = []
    for index, label in enumerate(cases.labels):
        one, words = _prepared(cases, split, index, label, seed)
        findings += words
        asked += [one] if one is not None else []
    columns = asked_columns(cases)
    sources = [*table_sources(cases, columns, input_columns(cases)), *picture_sources(seen)]
    answers = list(_answers(cases, sources, asked, seed))
    findings += source_findings(answers) + marked_findings(answers) + strongest_findings(answers)
    findings += category_findings(cases, asked, columns) + copy_findings(cases, split, seen)
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def _quick(cases: Cases, split: Names, seed: int) -> list[Finding]:
    """The part of the probe that a table alone answers in seconds, and how much was asked."""
    index = _drawn(cases, split, seed)
    some, inputs = cases.take(index), input_columns(cases)
    known = set(inputs)
    every = sorted(asked_columns(cases), key=lambda name: name not in known)
    asked, findings = [], []
    for at, label in enumerate(cases.labels):
        one, words = _prepared(some, split[index], at, label, seed)
        findings += words
        asked += [one] if one is not None else []
    classes = sum(len(one.classes) for one in asked)
    columns = every[: min(QUICK_COLUMNS, QUICK_QUESTIONS // max(classes, 1))]
    answers = list(
        _answers(some, list(table_sources(some, columns, inputs[:QUICK_COLUMNS])), asked, seed, thorough=False)
    )
    findings += source_findings(answers) + marked_findings(answers) + strongest_findings(answers)
    findings += category_findings(some, asked, columns)
    shares = [f"{len(index)} of {int((split != 'test').sum())} cases" if len(index) < (split != "test").sum() else ""]
    shares += [f"{len(columns)} of {len(every)} columns" if len(columns) < len(every) else ""]
    bound = " and ".join(filter(None, shares))
    text = f"asked alone were columns and missing cells{f', of {bound}' if bound else ''}; `--probe` asks more"
    findings.append(
        Finding("info", cases.table.source, f"{text} (image files, borders, copies; all cases and columns)")
    )
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def _drawn(cases: Cases, split: Names, seed: int) -> Ints:
    """Positions of the cases outside `test`, or of so many as a quick probe asks: whole groups, drawn."""
    index = np.flatnonzero(split != "test")
    if len(index) <= QUICK_CASES:
        return index
    _, member, sizes = np.unique(cases.groups[index], return_inverse=True, return_counts=True)
    order = generator(seed, "quick probe").permutation(len(sizes))
    taken = np.zeros(len(sizes), dtype=bool)
    taken[order[np.cumsum(sizes[order]) <= QUICK_CASES]] = True
    return index[taken[member]]


def _prepared(cases: Cases, split: Names, index: int, label: Label, seed: int) -> tuple[Asked | None, list[Finding]]:
    """A label's folds and the classes that can be asked; what cannot is named."""
    truth = np.where(split == "test", UNKNOWN, cases.targets[:, index])
    known = truth >= 0
    counts = np.bincount(truth[known], minlength=len(label.classes))
    spread = [len(np.unique(cases.groups[truth == c])) for c in range(len(label.classes))]
    enough = [
        min(counts[c], counts.sum() - counts[c]) >= FEWEST
        and min(spread[c], len(np.unique(cases.groups[known & (truth != c)]))) >= FOLDS
        for c in range(len(label.classes))
    ]
    wanted = range(len(label.classes)) if len(label.classes) > 2 else [label.classes.index(label.positive)]
    classes = tuple(c for c in wanted if enough[c])
    left = [f"'{label.classes[c]}' ({counts[c]} cases in {spread[c]} groups)" for c in wanted if not enough[c]]
    words = []
    if left:
        text = f"not asked what tells {named(left)}: {FEWEST} cases in {FOLDS} groups are needed, and as many others"
        words.append(Finding("info", f"label {label.name}", f"{text}; cases in `test` do not count"))
    if not classes:
        return None, words
    folds = np.full(len(cases), -1, dtype=np.int64)
    folds[known] = fold_numbers(cases.groups[known], truth[known, None], Labels([label]), FOLDS, seed)
    return Asked(label, truth, folds, classes), words


def _answers(
    cases: Cases, sources: Sequence[Source], asked: Sequence[Asked], seed: int, thorough: bool = True
) -> Iterator[Answer]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):  # many small solutions, which threads would only slow
        for one in asked:
            known = np.flatnonzero(one.truth >= 0)
            first = cache(partial(orders, cases.groups[known], seed))
            places = {source.where: _readings(cases, source, one) for source in sources}
            for source in sources:
                for c, reading in places[source.where].items():
                    p = _chance(cases, source, reading, places.get(source.beside, {}).get(c))
                    # What is not found anyway counts among the questions without being permuted.
                    if source.expected.auc <= 0.5 and p < CHANCE and reading.low > source.expected.clearly:
                        warns = thorough and source.expected.level == "warning"
                        truth = one.truth == c
                        p = max(p, p_of_association(source, truth, known, cases.groups, seed, warns, first()))
                    yield Answer(source, one.label.name, one.label.classes[c], reading, p)


def _chance(cases: Cases, source: Source, reading: Reading, beside: Reading | None) -> float:
    """The p-value of a source that tells no more than is expected, or than the other does; 0 where nothing is expected:
    of that an AUC is no test.
    """
    expected = source.expected
    if expected.level == "shown":
        return 1.0
    if beside is None:
        return reading.p_above(expected.auc) if expected.auc > 0.5 else 0.0
    ways = [p_of_gain(reading, beside, cases.groups)]
    if expected.nearly < 1:
        ways.append(reading.p_above(expected.nearly))
    return min(len(ways) * min(ways), 1.0)


def _readings(cases: Cases, source: Source, asked: Asked) -> dict[int, Reading]:
    """By class, of the source's answers out of fold."""
    score = cross_fitted(source.answers, source.there, asked.truth, len(asked.label.classes), asked.folds)
    found = {c: placed(score[:, c], asked.truth == c, asked.folds, cases.groups) for c in asked.classes}
    return {
        c: reading
        for c, reading in found.items()
        if reading is not None and min(reading.positives, reading.negatives) >= FEWEST
    }
