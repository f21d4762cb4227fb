"""The audit: what a user should know of a table before anything is learnt from it. It changes nothing.

What makes a table unusable as the card says (unknown classes, repeated ids, missing columns) `Cases` refuses already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmfuse.advice.leaks import column_findings
from mmfuse.advice.pictures import picture_findings
from mmfuse.advice.wording import wording_findings
from mmfuse.data.findings import LEVELS, Finding, Level
from mmfuse.data.inputs import column_faults
from mmfuse.data.splits import SPLITS, Names, checked_split, straddling
from mmfuse.data.words import named
from mmfuse.errors import Fault, PartError
from mmfuse.events import Watch, silent

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

__all__ = ["Finding", "audit", "presence"]


def audit(cases: Cases, split: Names, *, files: bool = True, watch: Watch = silent) -> list[Finding]:
    """What is to be known of `cases` under `split` (n,) of `train`, `valid`, `test`, "": errors, warnings, then facts.

    With `files`, every image is decoded and compared with all others by content. Groups that stand in two splits are
    an error among the findings. Raises: TableError for a split that is not one word a case.
    """
    split = checked_split(split, len(cases))
    findings = [Finding("info", cases.table.source, note) for note in cases.notes]
    findings += _sizes(cases, split)
    findings += _groups(cases, split)
    findings += _classes(cases, split)
    findings += _presence(cases, split)
    try:  # files are looked at below, one at a time
        faults: Sequence[Fault] = column_faults(cases, cases.card.modalities, files=False)
    except PartError as error:
        faults = error.faults
    told = [Finding("error", fault.where, fault.found, fault.mend) for fault in faults]
    findings += told + wording_findings(cases) + column_findings(cases, split)
    if files:
        findings += [finding for finding in picture_findings(cases, split, watch) if finding not in told]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def presence(cases: Cases) -> dict[str, NDArray[np.bool_]]:
    """{modality: (n,) whether any of its cells is there}; modalities that read no columns of the table are left out."""
    there = {}
    for name, modality in cases.card.modalities.items():
        cells = [[cell is not None for cell in cases.table[column]] for column in modality.columns]
        if cells:
            there[name] = np.any(np.array(cells, dtype=bool), axis=0)
    return there


def _here(split: Names) -> list[str]:
    return [name for name in SPLITS if (split == name).any()]


def _sizes(cases: Cases, split: Names) -> list[Finding]:
    where = cases.table.source
    counts = ", ".join(f"{name} {(split == name).sum()}" for name in SPLITS)
    none = int((split == "").sum())
    unit = cases.card.cases.case_is
    text = f"{len(cases)} cases ({unit}) in {len(set(cases.groups.tolist()))} groups: {counts}" + (
        f", none {none}" if none else ""
    )
    findings = [Finding("info", where, text)]
    mend = "see [split] in the card"
    absent = [name for name in SPLITS if not (split == name).any()]
    if "train" in absent:
        findings.append(Finding("error", where, "no case is in `train`", mend))
    if "valid" in absent:
        text = "no case is in `valid`: the last epoch is kept, and decisions learn on out-of-fold `train`"
        findings.append(Finding("info", where, text, mend))
    if "test" in absent:
        findings.append(Finding("info", where, "no case is in `test`: there is no final figure", mend))
    return findings


def _groups(cases: Cases, split: Names) -> list[Finding]:
    torn = straddling(cases.groups, split)
    if not torn:
        return []
    shown = named(f"'{group}' in {' and '.join(names)}" for group, names in torn.items())
    column = cases.card.cases.group
    where = f"{cases.table.source}, column {column}" if column else cases.table.source
    text = f"{len(torn)} groups stand in two splits: {shown}"
    return [Finding("error", where, text, "move each group into one split: the same patient on both sides is a leak")]


def _classes(cases: Cases, split: Names) -> list[Finding]:
    """Counts of each class in each split; classes and labels that a split lacks."""
    findings = []
    counts = (
        {name: cases.labels.counts(cases.targets[split == name]) for name in _here(split)} if len(cases.labels) else {}
    )
    for label in cases.labels:
        columns = cases.labels.slices[label.name]
        where = f"label {label.name}"
        table = {name: counts[name][columns].astype(int) for name in counts}
        order = range(len(label.classes))
        shares = ", ".join(f"{label.classes[c]} {'/'.join(str(n[c]) for n in table.values())}" for c in order)
        unknown = int((cases.targets[:, list(cases.labels.names).index(label.name)] < 0).sum())
        text = f"{'/'.join(table)}: {shares}" + (f"; unknown {unknown}" if unknown else "")
        findings.append(Finding("info", where, text))
        for name, n in table.items():
            lacking = [label.classes[c] for c in order if not n[c]]
            if len(lacking) == len(label.classes):
                level: Level = "error" if name == "train" else "warning"
                text = f"is unknown of every case in `{name}`"
                findings.append(
                    Finding(level, where, text, "fill the label's column, or take the label out of the card")
                )
            elif lacking:
                effect = "never learnt" if name == "train" else "not judged there"
                text = f"no case in `{name}` of {named(lacking)}: {effect}"
                findings.append(
                    Finding("warning", where, text, "merge rare classes, or draw the split anew with `stratify`")
                )
    return findings


def _presence(cases: Cases, split: Names) -> list[Finding]:
    """The presence table; cases with nothing; patterns that occur outside `train` alone."""
    there = presence(cases)
    if not there:
        return []
    flags = np.stack(list(there.values()), axis=1)
    names = list(there)
    patterns = ["+".join(name for name, flag in zip(names, row, strict=True) if flag) for row in flags.tolist()]
    here = _here(split)
    counts = Counter(zip(patterns, split.tolist(), strict=True))
    findings = []
    for pattern, total in Counter(patterns).most_common():
        shares = ", ".join(f"{name} {counts[pattern, name]}" for name in here)
        if pattern:
            findings.append(Finding("info", "presence", f"{pattern}: {total} cases ({shares})"))
            if not counts[pattern, "train"] and "train" in here:
                text = f"{pattern}: such cases stand outside `train` alone; predictions on them will be flagged"
                findings.append(Finding("warning", "presence", text, "train with `modality_dropout`"))
    elsewhere = [name for name in cases.card.modalities if name not in there]
    if elsewhere:
        text = (
            f"{named(elsewhere)} not counted: in files of their own, so the table does not tell where they are absent"
        )
        findings.append(Finding("info", "presence", text))
    bare = cases.table.rows[~flags.any(axis=1)]
    if len(bare) and flags.shape[1] == len(cases.card.modalities):
        text = f"{len(bare)} cases have no modality at all: rows {named(bare.tolist())}"
        findings.append(Finding("warning", "presence", text, "drop them: they have no prediction"))
    return findings
