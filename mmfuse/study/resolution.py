"""What a table can show before anything is trained on it: the half-width of intervals, and the smallest difference that
would be seen. From counts of classes alone; nothing is predicted.

Cases of one group count as one here, as if they were all alike: a careful bound. Where they differ, a little more can
be seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.data.findings import Finding
from mmfuse.data.splits import SPLITS, Names, given_split
from mmfuse.data.words import named
from mmfuse.metrics import FEWEST
from mmfuse.study.probing.reading import Z, hanley_mcneil

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases
    from mmfuse.labels import Label

RATE = 0.8
"""The AUC and the recall of each class at which widths are told."""
DISAGREE = 0.2
"""Share of the cases about which two sources differ in being right."""
TOGETHER = 0.5
"""Correlation of the AUCs of two sources on the same cases (Hanley, McNeil, Radiology 1983, table 1: .3 to .6)."""
_SEEN = Z + 0.841621
"""Standard errors from zero at which a difference is found four times in five."""


def half_width_of_auc(positives: float, negatives: float, auc: float = RATE) -> float:
    """Of a 95 % interval of an AUC (Hanley, McNeil, Radiology 1982, eq. 1)."""
    return Z * hanley_mcneil(auc, positives, negatives)


def visible_in_auc(positives: float, negatives: float, auc: float = RATE) -> float:
    """The paired difference of two AUCs that is found four times in five."""
    return _SEEN * hanley_mcneil(auc, positives, negatives) * math.sqrt(2 * (1 - TOGETHER))


def half_width_of_balanced(counts: np.ndarray, recall: float = RATE) -> float:
    """Of a 95 % interval of balanced accuracy, from the cases of each class: recalls are independent proportions."""
    return Z * math.sqrt(float((recall * (1 - recall) / counts).sum())) / len(counts)


def visible_in_balanced(counts: np.ndarray) -> float:
    """The paired difference of two balanced accuracies that is found four times in five (McNemar's variance)."""
    return _SEEN * math.sqrt(float((DISAGREE / counts).sum())) / len(counts)


def resolution(cases: Cases, split: Names) -> list[Finding]:
    """Per label and held-out split: cases of each class, how wide intervals will be, the smallest visible difference.

    Where `test` and `valid` are both there, each has a line. A class of fewer than ten cases, or ten others, is named
    and not counted: no figure of it means much.

    Raises: TableError for a split that is not one word a case, or that tears a group.
    """
    split = given_split(split, cases)
    findings = [
        _line(cases, label, name, _counts(cases, index, label, split == name))
        for name in SPLITS[1:]
        if (split == name).any()
        for index, label in enumerate(cases.labels)
    ]
    if findings:
        text = (
            f"half-widths of 95 % intervals where AUC and recalls are {RATE:g}; differences of two sources on the same"
            f" cases that are found four times in five, if they differ on {DISAGREE:.0%} of the cases"
            + ("; cases of one group count as one" if cases.card.cases.group else "")
        )
        findings.insert(0, Finding("info", "what can be seen", text))
    return findings


def _counts(cases: Cases, index: int, label: Label, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(classes,) cases, and groups, of each class."""
    truth = cases.targets[:, index]
    held = [chosen & (truth == c) for c in range(len(label.classes))]
    return np.array([mine.sum() for mine in held]), np.array([len(np.unique(cases.groups[mine])) for mine in held])


def _line(cases: Cases, label: Label, name: str, counts: tuple[np.ndarray, np.ndarray]) -> Finding:
    of_cases, of_groups = counts
    where = f"label {label.name}, {name}"
    grouped = bool(cases.card.cases.group) and bool((of_groups < of_cases).any())

    def said(c: int) -> str:
        return f"{label.classes[c]} {of_cases[c]}" + (f" in {of_groups[c]}" if grouped else "")

    events = f"events {', '.join(said(c) for c in range(len(label.classes)))}" + (" groups" if grouped else "")
    enough = np.minimum(of_cases, of_cases.sum() - of_cases) >= FEWEST
    few = [label.classes[c] for c in np.flatnonzero(~enough)]
    if enough.sum() < 2:
        return Finding(
            "warning",
            where,
            f"{events}: too few to judge anything ({FEWEST} cases of two classes are needed)",
            "hold out more cases ([split] fractions), merge classes, or judge by folds",
        )
    kept = of_groups[enough].astype(float)
    rest = kept.sum() - kept
    if len(label.classes) == 2:
        kind, width, seen = "AUC", half_width_of_auc(*kept), visible_in_auc(*kept)
    else:
        c = int(np.argmin(kept))
        kind = f"AUC of '{label.classes[np.flatnonzero(enough)[c]]}', the rarest counted,"
        width, seen = half_width_of_auc(kept[c], rest[c]), visible_in_auc(kept[c], rest[c])
    text = (
        f"{events}; {kind} ±{width:.3f}, differences from {seen:.3f};"
        f" balanced accuracy ±{half_width_of_balanced(kept):.3f}, from {visible_in_balanced(kept):.3f}"
        + (f"; too few to count: {named(few)}" if few else "")
    )
    return Finding("info", where, text)
