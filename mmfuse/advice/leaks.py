"""Columns that tell too much or nothing: inputs that determine a label, identifiers, constants; people across splits.

These are suspicions drawn from counts alone; a person decides. Such leaks in public releases: keywords that state the
diagnosis, assessment categories, treatments, second identifiers of the same patient.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.advice.vocabulary import known_later, made_by_model
from mmfuse.data.findings import Finding
from mmfuse.data.readers import holds_paths
from mmfuse.data.spelling import toml_key
from mmfuse.data.splits import Names, straddling
from mmfuse.data.table import canonical
from mmfuse.data.words import number

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

WHO = frozenset({
    "patient", "subject", "person", "participant", "individual", "donor", "lesion", "nodule", "tumor", "tumour", "eye",
    "case", "study", "exam", "examination", "visit", "accession", "mrn", "pid", "uid", "id",
})  # fmt: skip
"""Words in the names of columns that tell cases, people or visits apart."""
_BESIDE = frozenset(
    {"no", "nr", "num", "number", "code", "name", "key", "index", "hash", "identifier", "ref", "pseudonym"}
)
_SURE = frozenset({"id", "uid", "mrn", "accession"})

_FEW = 20
"""Below so many known cells counts prove nothing."""
_NEARLY = 0.98


def name_words(name: str) -> tuple[str, ...]:
    """The words of a column's name: `patientID`, `patient_id` and `Patient ID` → (patient, id)."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(word.lower() for word in re.split(r"[\W_]+", spaced) if word)


def names_someone(name: str) -> bool:
    """Whether a column's name says that it tells cases or people apart: `lesion no`, `isic_id`, not `Patient Age`."""
    words = name_words(name)
    return bool(words) and (words[-1] in _SURE or (bool(set(words) & WHO) and set(words) <= WHO | _BESIDE))


def column_findings(cases: Cases, split: Names) -> list[Finding]:
    """Suspicions about single columns."""
    findings: list[Finding] = []
    for name, modality in cases.card.modalities.items():
        if not holds_paths(modality):
            for column in modality.columns:
                findings += _input_findings(cases, name, column) or _by_name(cases, name, column)
    return findings + _people(cases, split)


def _input_findings(cases: Cases, modality: str, column: str) -> list[Finding]:
    words = cases.table[column]
    where = f"{cases.table.source}, column {column}"
    known = [word for word in words if word is not None]
    kinds = {canonical(word, cases.table.decimal) for word in known}
    if len(kinds) < 2:
        what = f"holds '{next(iter(kinds))}' alone" if kinds else "holds nothing"
        return [Finding("warning", where, f"{what}, so modality '{modality}' learns nothing from it", "leave it out")]
    if cases.card.cases.id == column or (column == cases.card.cases.group and column):
        text = f"it tells cases apart and is an input of modality '{modality}'"
        return [Finding("warning", where, text, "leave it out: it means nothing for new cases")]
    worded = sum(np.isnan(number(kind)) for kind in kinds) > len(kinds) / 2
    if len(known) >= _FEW and worded and len(kinds) >= 0.9 * len(known):
        text = f"{len(kinds)} different words in {len(known)} cells: an identifier or free text, no category"
        return [Finding("warning", where, text, "leave it out, or split it into categories")]
    return _telling(cases, column, where)


def _by_name(cases: Cases, modality: str, column: str) -> list[Finding]:
    """Whether the column's name speaks of what is no input, unless the card says that it was known before."""
    line = cases.card.columns.get(column)
    if line is not None and line.known:  # `before the diagnosis`, or allowed by name
        return []
    words = name_words(column)
    said = "made by a model" if made_by_model(words) else "after the diagnosis" if known_later(words) else ""
    if not said:
        return []
    key = f"[columns] {toml_key(column)}"
    text = f"by its name it was {said if said.startswith('made') else f'known only {said}'}, and it is an input of"
    mend = f'{key} = {{ known = "{said}" }}; if it was known before: {key} = {{ known = "before the diagnosis" }}'
    return [Finding("warning", f"{cases.table.source}, column {column}", f"{text} modality '{modality}'", mend)]


def _telling(cases: Cases, column: str, where: str) -> list[Finding]:
    """Whether the column's words determine a label's classes, far better than the most frequent class does."""
    findings = []
    decimal = cases.table.decimal
    words = [None if word is None else canonical(word, decimal) for word in cases.table[column]]
    for i, label in enumerate(cases.labels):
        pairs = Counter(
            (w, t) for w, t in zip(words, cases.targets[:, i].tolist(), strict=True) if w is not None and t >= 0
        )
        total = pairs.total()
        by_word: dict[str, int] = defaultdict(int)
        by_class: Counter[int] = Counter()
        for (word, target), count in pairs.items():
            by_word[word] = max(by_word[word], count)
            by_class[target] += count
        # A word of its own for each case would determine anything.
        if total < _FEW or len(by_class) < 2 or len(by_word) > total / 4:
            continue
        share, base = sum(by_word.values()) / total, max(by_class.values()) / total
        if share >= _NEARLY and 1 - share < 0.2 * (1 - base):
            how = "determines" if share == 1 else f"nearly determines ({share:.1%} of cases)"
            key = f"[columns] {toml_key(column)}"
            mend = f'if it was known only after the diagnosis: {key} = {{ known = "after the diagnosis" }}'
            findings.append(Finding("warning", where, f"{how} label '{label.name}'", mend))
    return findings


def _people(cases: Cases, split: Names) -> list[Finding]:
    """Columns that seem to name people or lesions, are not the group, and stand on both sides of a split."""
    card = cases.card.cases
    skipped = {card.id, card.group, cases.card.split.column} | {label.column for label in cases.labels}
    findings = []
    for column in cases.table.names:
        if column in skipped or not names_someone(column):
            continue
        words = cases.table[column]
        known = np.array([word is not None for word in words], dtype=bool)
        names = np.array([word for word in words if word is not None], dtype=np.str_)
        kinds = len(set(names.tolist()))
        if kinds == len(names) or kinds < max(2, 0.05 * len(names)):
            continue
        torn = straddling(names, split[known])
        if torn:
            examples = ", ".join(f"'{name}' in {' and '.join(where)}" for name, where in list(torn.items())[:3])
            text = f"{len(torn)} of its values stand in two splits ({examples}), and it is not the group"
            mend = f'if it names people or lesions: [cases] group = "{column}"'
            findings.append(Finding("warning", f"{cases.table.source}, column {column}", text, mend))
    return findings
