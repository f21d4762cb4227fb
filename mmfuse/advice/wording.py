"""What the words of labels, inputs and groups say of a card: an open positive class, numbers called labels, the same
word but for case, words that mean no value.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.advice.vocabulary import missing_among_numbers, names_time
from mmfuse.card import open_positives
from mmfuse.data.findings import Finding
from mmfuse.data.readers import holds_paths
from mmfuse.data.spelling import value_map, variants
from mmfuse.data.words import all_numbers, canonical, listed, many_numbers, named

if TYPE_CHECKING:
    from mmfuse.card import LabelLine
    from mmfuse.data.cases import Cases

BINS = "cut it into classes in a column of its own (`<50`, `50 to 70` …), or leave it as an input"
"""What to do with a number that is called a label."""
SURVIVAL = (
    "of a survival time make a class, as `event within 2 years`, from time and event, and leave its cell empty for"
    " whoever was followed for less without one"
)
_FAR = 1_000_000
_MOST_CATEGORIES = 50
"""Different words; in a column of more, most of which stand once, they are no categories."""


def wording_findings(cases: Cases) -> list[Finding]:
    """Return findings on the words of labels, of inputs that are categories, and of groups."""
    faults = open_positives(cases.card)
    findings = [
        Finding("error", one.where, f"{one.found} ({one.expected}); nothing is trained before", one.mend)
        for one in faults
    ]
    for name, line in cases.card.labels.items():
        findings += _of_label(name, line)
    for name, modality in cases.card.modalities.items():
        if not holds_paths(modality):
            for column in modality.columns:
                findings += _of_input(cases, name, column)
    return findings + _of_groups(cases)


def number_labels(labels: dict[str, LabelLine]) -> list[Finding]:
    """Return an error for each label whose classes are values of a number."""
    findings = []
    for name, line in labels.items():
        if many_numbers(line.classes):
            values = [float(word) for word in line.classes]
            found = f"is a number: {len(values)} classes from {min(values):g} to {max(values):g}"
            is_time = names_time((line.column or name).replace("_", " ").split())
            findings.append(Finding("error", f"label {name}", found, f"{BINS}; {SURVIVAL}" if is_time else BINS))
    return findings


def _of_label(name: str, line: LabelLine) -> list[Finding]:
    where, column = f"label {name}", line.column or name
    findings = number_labels({name: line})
    alike = variants(dict.fromkeys(line.classes, 0))
    if alike:
        mend = f"{value_map(column, alike)}, and take {named(alike)} out of the classes"
        findings.append(Finding("warning", where, f"classes are the same word but for case: {_pairs(alike)}", mend))
    empty = [word for word in line.classes if missing_among_numbers(word)]
    if empty:
        positive = f", and '{empty[-1]}' is the positive class" if (line.positive or line.classes[-1]) in empty else ""
        text = f"its {'class' if len(empty) == 1 else 'classes'} {named(empty)} probably mean no value{positive}"
        mend = "list them under `missing` in [cases] and take them out of the classes"
        findings.append(Finding("warning", where, text, mend))
    return findings


def _of_input(cases: Cases, modality: str, column: str) -> list[Finding]:
    counts, where = _counts(cases, column), f"{cases.table.source}, column {column}"
    if counts and all_numbers({*cases.table[column].tolist()} - {None}, cases.table.decimal):
        return _outliers(cases, column, where)
    if len(counts) > max(_MOST_CATEGORIES, counts.total() / 2):
        return []
    findings = []
    alike = variants(counts)
    if alike:
        text = f"the same word but for case is several categories of modality '{modality}': {_pairs(alike)}"
        findings.append(Finding("warning", where, text, value_map(column, alike)))
    empty = Counter({word: count for word, count in counts.items() if missing_among_numbers(word)})
    if empty:
        text = f"holds {listed(empty)}, probably missing: a category, unless you list it under `missing` in [cases]"
        findings.append(Finding("info", where, text))
    return findings


def _outliers(cases: Cases, column: str, where: str) -> list[Finding]:
    """Numbers beside which all others are one: a typing error, or a code for missing."""
    values = cases.table.numbers(column) / 4  # differences of huge numbers stay finite
    low, middle, high = np.quantile(values[~np.isnan(values)], (0.1, 0.5, 0.9))
    far = np.flatnonzero(np.abs(values - middle) > _FAR * (high - low)) if high > low else ()
    if not len(far):
        return []
    words = named(f"{cases.table[column][i]} in row {cases.table.rows[i]}" for i in far)
    text = f"over {_FAR:,} times farther from the middle than most: {words}; scaled, all others are one number"
    return [
        Finding("warning", where, text, "mend the cells (a unit, a decimal sign, a code for missing?), or empty them")
    ]


def _of_groups(cases: Cases) -> list[Finding]:
    group = cases.card.cases.group
    alike = variants(_counts(cases, group)) if group else {}
    if not alike:
        return []
    text = f"groups are the same word but for case: {_pairs(alike)}; each is a group of its own"
    return [
        Finding("warning", f"{cases.table.source}, column {group}", text, f"one patient? {value_map(group, alike)}")
    ]


def _counts(cases: Cases, column: str) -> Counter[str]:
    words = Counter(cases.table[column].tolist())
    counts: Counter[str] = Counter()
    for word, count in words.items():
        if word is not None:
            counts[canonical(word, cases.table.decimal)] += count
    return counts


def _pairs(alike: dict[str, str]) -> str:
    return named(f"'{word}' and '{meant}'" for word, meant in alike.items())
