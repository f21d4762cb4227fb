"""Several tables of cases as one: whether they ask the same questions of the same inputs, which of their cases are the
same, and the table that one pipeline reads to learn from the first and speak about the others.

Cells of the others are put into the columns and words of the first; no case that may have been learnt from is tested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmfuse.card import Card, SplitSection
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_keys
from mmfuse.data.rows import SET_SIGN
from mmfuse.data.splits import assign
from mmfuse.data.table import Table, Texts, canonical
from mmfuse.data.words import named, number, texts
from mmfuse.errors import Faults, TableError
from mmfuse.events import Watch, silent
from mmfuse.labels import Ints, Label
from mmfuse.parts import Modality
from mmfuse.study.designs import Split
from mmfuse.study.variants import Variant

SPLIT, ID, GROUP = "split", "case of all tables", "group of all tables"
"""Columns of the pooled table; the first takes the place of one that is called so."""

TestOn = Literal["all", "test"]


@dataclass(frozen=True, eq=False)
class Domain:
    """A table of cases with the plans that are to be carried out on it. `root` is the folder of the table."""

    name: str
    variants: tuple[Variant, ...]
    """Of its card; the first is the reference."""
    table: Table
    card: Card
    root: Path
    refused: Mapping[str, str] = field(default_factory=dict)
    """{plan: why it cannot be carried out on this card}."""

    def cases(self) -> Cases:
        """Raises: TableError with every fault of table against card."""
        return Cases(self.table, self.card, self.root)


# ── whether two tables can stand in for each other ────────────────────────────────────────────────────────────────────


def differences(here: Domain, there: Domain) -> Faults:
    """Why what learns on `here` cannot speak about `there`: labels and classes (in any order), modalities and uses,
    columns of what is no image. Empty: it can."""
    faults = Faults()
    where = f"{there.table.source} beside {here.table.source}"
    ours, theirs = ({label.name: label for label in domain.card.label_set} for domain in (here, there))
    for name in [name for name in (*ours, *theirs) if not (name in ours and name in theirs)]:
        faults.add(where, f"the label '{name}' is in one of the tables alone", "the same labels", "change one card")
    for name in ours:
        if name in theirs:
            _compare_labels(ours[name], theirs[name], where, faults)
    inputs, others = here.card.modalities, there.card.modalities
    for name in [name for name in (*inputs, *others) if not (name in inputs and name in others)]:
        found = f"the modality '{name}' is in one of the tables alone"
        faults.add(where, found, "the same modalities", "change one card; an empty column makes it absent")
    for name in inputs:
        if name in others:
            _compare_modalities(name, (here, inputs[name]), (there, others[name]), where, faults)
    return faults


def _compare_labels(ours: Label, theirs: Label, where: str, faults: Faults) -> None:
    one, two = (tuple(canonical(name) for name in label.classes) for label in (ours, theirs))
    if set(one) != set(two):
        found = f"label '{ours.name}' has the classes {', '.join(theirs.classes)} there, {', '.join(ours.classes)} here"
        faults.add(where, found, "the same classes, in any order", "name them alike, or merge classes in the tables")
    elif ours.ordered and one != two:
        faults.add(where, f"label '{ours.name}' is ordered, and in another order there", "the same order")
    elif canonical(ours.positive) != canonical(theirs.positive):
        found = f"the positive class of '{ours.name}' is '{theirs.positive}' there and '{ours.positive}' here"
        faults.add(where, found, "the same class", f'positive = "{ours.positive}" in the label\'s line')


def _compare_modalities(
    name: str, ours: tuple[Domain, Modality], theirs: tuple[Domain, Modality], where: str, faults: Faults
) -> None:
    one, two = ours[1], theirs[1]
    if type(one) is not type(two):
        faults.add(where, f"modality '{name}' is '{two.name}' there and '{one.name}' here", "the same use")
    elif one.is_image and len(one.columns) != len(two.columns):
        found = f"modality '{name}' reads {len(two.columns)} columns of images there and {len(one.columns)} here"
        faults.add(where, found, "as many")
    elif not one.is_image and set(one.columns) != set(two.columns):
        odd = sorted({*one.columns} ^ {*two.columns})
        faults.add(where, f"modality '{name}' reads {named(odd)} in one of the tables alone", "the same columns")
    for domain, part in ours, theirs:
        for word in (value for _, value in part if isinstance(value, str) and value):
            if (domain.root / domain.card.cases.root / word).is_file():
                found = f"modality '{name}' is read from '{word}', which holds the cases of one table"
                faults.add(domain.table.source, found, "columns of the table", "write the vectors into columns")


def other_knobs(here: Domain, there: Domain) -> list[str]:
    """Sentences: knobs of modalities that differ; those of the first table are used for both."""
    told = []
    for name, part in here.card.modalities.items():
        other = dict(there.card.modalities[name])
        for knob, value in part:
            held = {word for one in (value, other[knob]) for word in _words(one)}
            if value != other[knob] and not held & {*part.columns, *there.card.modalities[name].columns}:
                told.append(f"{name}.{knob} is {value} in {here.name} and {other[knob]} in {there.name}: the former is"
                            " used for both")  # fmt: skip
    return told


def _words(value: object) -> set[str]:
    """The words in a knob's value: a word, a list of words, or the names of a table."""
    found = [value] if isinstance(value, str) else value if isinstance(value, tuple | list | dict) else []
    return {word for word in found if isinstance(word, str)}


# ── which cases are the same ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Overlap:
    """Which cases of a table may stand in another: masks over its cases."""

    by_id: NDArray[np.bool_]
    by_group: NDArray[np.bool_]
    by_image: NDArray[np.bool_]
    with_them: NDArray[np.bool_]
    """Of the same group as one of these."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """All of them."""
        return self.by_id | self.by_group | self.by_image | self.with_them

    def __str__(self) -> str:
        kinds = (("by id", self.by_id), ("by group", self.by_group), ("by the content of an image", self.by_image),
                 ("of the same group as one of these", self.with_them))  # fmt: skip
        return ", ".join(f"{int(mask.sum())} {word}" for word, mask in kinds if mask.any())


def overlap(cases: Cases, others: Cases, *, local_ids: bool = False, watch: Watch = silent) -> Overlap:
    """The cases that stand in `others` too: by id, by group, by the content of an image file (digests as in
    `seen.npz`), and whole groups of these. With `local_ids` equal ids and groups are a coincidence."""
    none = np.zeros(len(cases), dtype=bool)
    grouped = bool(cases.card.cases.group and others.card.cases.group) and not local_ids
    by_id = none if local_ids else np.isin(cases.ids, others.ids)
    by_group = np.isin(cases.groups, others.groups) if grouped else none
    known = set().union(*image_keys(others, watch))
    by_image = np.array([not known.isdisjoint(keys) for keys in image_keys(cases, watch)], dtype=bool)
    found = by_id | by_group | by_image
    return Overlap(by_id, by_group, by_image, np.isin(cases.groups, np.unique(cases.groups[found])) & ~found)


def image_keys(cases: Cases, watch: Watch = silent) -> list[set[str]]:
    """For each case the content keys of its image files."""
    rows, out = cases.rows(), [set[str]() for _ in range(len(cases))]
    for modality in cases.card.modalities.values():
        for column in modality.columns if modality.is_image else ():
            alone, of = rows.apart([column])
            paths = [path for path in alone.paths(column) if path is not None]
            keys = content_keys(paths, watch, f"images of {cases.table.source}")
            for index, key in zip(of.tolist(), keys, strict=True):
                out[index] |= {key} - {""}
    return out


@dataclass(frozen=True, eq=False)
class Tested:
    """The cases of a table that something which learnt elsewhere is tested on."""

    domain: Domain
    cases: Cases
    index: Ints
    notes: tuple[str, ...]
    """What was left out, and why."""


def held_in(
    here: Domain, learnt: Cases, there: Domain, on: TestOn, *, local_ids: bool = False, watch: Watch = silent
) -> Tested:
    """The cases of `there` (all, or its `test`) whose labels are known and that do not stand in `learnt`.

    Raises: TableError where none is left; SpecError or TableError for a table that cannot stand beside `here`.
    """
    differences(here, there).raise_as(TableError)
    cases = there.cases()
    wanted: NDArray[np.bool_] = np.ones(len(cases), dtype=bool)
    if on == "test":
        wanted = np.asarray(assign(cases, there.card.split) == "test")
        if not wanted.any():
            raise TableError("no case is `test`", "test cases", "a [split], or --test-on all", there.table.source)
    known = np.any(cases.targets >= 0, axis=1)
    if not known[wanted].any():
        found = f"no label is known for any of {int(wanted.sum())} cases"
        raise TableError(found, "cases whose labels are known", "`mmfuse predict` needs none", there.table.source)
    same = overlap(cases, learnt, local_ids=local_ids, watch=watch)
    kept = wanted & known & ~same.mask
    notes = other_knobs(here, there)
    if (wanted & ~known).any():
        notes.append(f"{there.name}: {int((wanted & ~known).sum())} cases without any known label are left out")
    out: NDArray[np.bool_] = wanted & same.mask
    if out.any():
        shown = named(cases.ids[out].tolist())
        notes.append(f"{there.name}: {int(out.sum())} of {int(wanted.sum())} cases stand in {here.name} too and are"
                     f" left out ({same}): {shown}")  # fmt: skip
    if not kept.any():
        mend = "other cases; or --local-ids, if equal ids are of other people"
        found = f"all {int((wanted & known).sum())} cases stand in {here.table.source} too ({same})"
        raise TableError(found, "cases that nothing learnt from", mend, there.table.source)
    return Tested(there, cases, np.flatnonzero(kept), tuple(notes))


# ── one table of them all ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Pool:
    """The cases of the table that is learnt from, and behind them those of the others."""

    table: Table
    card: Card
    origin: Ints
    """(n,) 0 for the first table, then 1, 2 … in the order given."""

    def split(self, learnt: Split, number: int) -> Split:
        """(n,) words: of the first table `learnt`, its own test cases only for `number` 0; else the cases of another
        table are `test`."""
        words = np.full(len(self.origin), "", dtype=object)
        words[self.origin == 0] = learnt
        if number:
            words[(self.origin == 0) & (words == "test")] = ""
            words[self.origin == number] = "test"
        return words


def pooled(here: Domain, cases: Cases, others: Sequence[Tested]) -> Pool:
    """The pool of a table and of what else is tested on. `split` is to be written into its column by the caller.

    An id or group that is in use already gets its table's name before it.
    """
    columns = {name: [cases.table[name]] for name in here.table.names}
    ids, groups = [texts(cases.ids.tolist())], [_groups(cases)]
    for other in others:
        taken = other.cases.take(other.index)
        for name, cells in _brought(here, other.domain, taken).items():
            columns[name].append(cells)
        for words, parts in ((texts(taken.ids.tolist()), ids), (_groups(taken), groups)):
            parts.append(_apart(words, other.domain.name, set(np.concatenate(parts).tolist())))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    whole |= {ID: np.concatenate(ids), GROUP: np.concatenate(groups)}
    origin = np.concatenate([np.full(len(part), number) for number, part in enumerate(ids)])
    section = here.card.cases.model_copy(update={"id": ID, "group": GROUP})
    split = SplitSection(column=SPLIT, seed=here.card.split.seed)
    card = here.card.model_copy(update={"cases": section, "split": split})
    source = " + ".join([here.table.source, *(other.domain.table.source for other in others)])
    return Pool(Table(whole, decimal=here.table.decimal, source=source), card, origin)


def _groups(cases: Cases) -> Texts:
    """Cells of the group column in their one form; None where a case is a group by itself."""
    column, decimal = cases.card.cases.group, cases.table.decimal
    cells = cases.table[column] if column else [None] * len(cases)
    return texts(None if cell is None else canonical(cell, decimal) for cell in cells)


def _apart(words: Texts, name: str, used: set[str | None]) -> Texts:
    return texts(f"{name}/{word}" if word is not None and word in used else word for word in words)


def _brought(here: Domain, there: Domain, taken: Cases) -> dict[str, Texts]:
    """{column of the first table: cells of cases of another}; a column that it does not have is empty."""
    made: dict[str, Texts] = {}
    for name in here.table.names:
        cells = taken.table[name] if name in taken.table else texts([None] * len(taken))
        made[name] = _in_words(cells, there.table.decimal, here.table.decimal)
    for name, modality in here.card.modalities.items():
        if modality.is_image:
            for column, theirs in zip(modality.columns, there.card.modalities[name].columns, strict=True):
                alone, of = taken.rows().apart([theirs])
                paths: list[list[str]] = [[] for _ in range(len(taken))]
                for case, path in zip(of.tolist(), alone.paths(theirs), strict=True):
                    paths[case].append(str(path))
                made[column] = texts(SET_SIGN.join(some) or None for some in paths)
    asked = {label.name: label for label in here.card.label_set}
    for place, label in enumerate(taken.labels):
        ours = {canonical(word): word for word in asked[label.name].classes}
        spelt = [ours[canonical(word)] for word in label.classes]
        made[asked[label.name].column] = texts(None if at < 0 else spelt[at] for at in taken.targets[:, place])
    return made


def _in_words(cells: Texts, theirs: str, ours: str) -> Texts:
    """Numbers with another decimal sign, in ours."""
    if theirs == ours:
        return cells
    is_number = [cell is not None and not math.isnan(number(cell, theirs)) for cell in cells]
    return texts(cell.replace(theirs, ours, 1) if yes else cell for cell, yes in zip(cells, is_number, strict=True))
