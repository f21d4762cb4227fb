"""`probe`: asks every source for every label and says which tell more than should be expected (see the package)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.data.findings import LEVELS, Finding
from mmfuse.data.splits import Names, fold_numbers, given_split
from mmfuse.data.words import named
from mmfuse.events import Watch, silent
from mmfuse.labels import UNKNOWN, Label, Labels
from mmfuse.metrics import FEWEST
from mmfuse.study.probing.association import p_of_association
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
from mmfuse.study.probing.sources import Source, picture_sources, table_sources

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

FOLDS = 5
"""Of the cross-fitting, and the groups that a class needs."""


def probe(cases: Cases, split: Names, *, files: bool = True, seed: int = 0, watch: Watch = silent) -> list[Finding]:
    """What each label could be read from, source by source, for `split` (n,) of `train`, `valid`, `test`, "".

    Warnings name label, source, cross-fitted AUC with its 95 % interval, cases, and what to do. A warning stands where
    the AUC clearly exceeds what is expected of such a source (an input: .85; what should tell nothing: .5; a border:
    what the same figures tell of the picture's inside), with p < .05 over all questions together (Holm). Labels of
    `test` cases are not looked at; their images are, for copies. With `files`, images are decoded.

    Raises: TableError for a split that is not one word a case, or that tears a group.
    """
    split = given_split(split, cases)
    seen = look(cases, watch) if files else []
    findings = unseen_findings(seen)
    asked = []
    for index, label in enumerate(cases.labels):
        one, words = _prepared(cases, split, index, label, seed)
        findings += words
        asked += [one] if one is not None else []
    sources = [*table_sources(cases), *picture_sources(seen)]
    answers = list(_answers(cases, sources, asked, seed))
    findings += source_findings(answers) + marked_findings(answers) + strongest_findings(answers)
    findings += category_findings(cases, asked) + copy_findings(cases, split, seen)
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


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


def _answers(cases: Cases, sources: Sequence[Source], asked: Sequence[Asked], seed: int) -> Iterator[Answer]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):  # many small solutions, which threads would only slow
        for one in asked:
            known = np.flatnonzero(one.truth >= 0)
            places = {source.where: _readings(cases, source, one) for source in sources}
            for source in sources:
                for c, reading in places[source.where].items():
                    p = _chance(cases, source, reading, places.get(source.beside, {}).get(c))
                    # What is not found anyway counts among the questions without being permuted.
                    if source.expected.auc <= 0.5 and p < CHANCE and reading.low > source.expected.clearly:
                        warns = source.expected.level == "warning"
                        p = max(p, p_of_association(source, one.truth == c, known, cases.groups, seed, warns))
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
