"""Drafts a card from any table, for a person to correct: everything inferred is told in the notes, nothing is certain.

In doubt a column is left out of the inputs: a card that says too little is mended in a minute, one that leaks is
believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mmfuse.advice.drafting import DraftedInputs
from mmfuse.advice.leaks import name_words, names_someone
from mmfuse.advice.profile import Profile
from mmfuse.advice.vocabulary import (
    disease_class,
    known_later,
    made_by_model,
    missing_among_numbers,
    names_event,
    names_time,
)
from mmfuse.advice.wording import BINS, SURVIVAL
from mmfuse.card import OPEN
from mmfuse.data.encodings import GUESSED
from mmfuse.data.spelling import variants
from mmfuse.data.splits import SYNONYMS
from mmfuse.data.table import Table, as_table
from mmfuse.data.words import listed, named, number
from mmfuse.errors import Faults, TableError, nearest

LATER = "after the diagnosis"
MADE = "made by a model"

_LABELS = frozenset({
    "label", "labels", "diagnosis", "dx", "class", "classification", "target", "outcome", "groundtruth", "pathology",
    "malignant", "benign", "malignancy",
})  # fmt: skip
_BESIDE_LABELS = frozenset({
    "final", "true", "ground", "truth", "gt", "lesion", "tumor", "tumour", "binary", "main", "name", "code", "group",
    "1", "2", "3",
})  # fmt: skip
_PEOPLE = (
    "patient",
    "subject",
    "participant",
    "person",
    "individual",
    "donor",
    "mrn",
    "lesion",
    "nodule",
    "case",
    "study",
)
_UNITS = ("lesion", "nodule", "eye", "patient", "exam", "examination", "study", "visit", "image", "case")
_MOST_CLASSES = 20
_MOST_GIVEN_CLASSES = 200
_BLOCK = 3


def describe(
    table: Table,
    labels: Sequence[str] = (),
    group: str = "",
    id: str = "",
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the card as its TOML tree, notes on all that was inferred). `labels`, `group` and `id` name columns where given;
    `table` is a `Table` or a pandas DataFrame.

    Raises: TableError for a given column that is not there or has too many classes, or if no column is unique.
    """
    table = as_table(table)
    _check_given(table, (*labels, *filter(None, (group, id))))
    draft = _Draft(table)
    draft.name_cases(id, group)
    draft.find_split()
    draft.find_labels(labels)
    draft.mark()
    draft.set_aside_label_blocks()
    inputs = DraftedInputs(draft.profiles, draft.left)
    draft.map_inputs(inputs.modalities)
    card = draft.card(inputs.modalities)
    return card, (*table.notes, *draft.notes, *inputs.notes, *_doubts(inputs.modalities))


def _doubts(modalities: dict[str, Any]) -> list[str]:
    """What no table can say of itself."""
    uses = {knobs["use"] for knobs in modalities.values()}
    told = [] if "image" in uses else ["images: no column of image files; where there are images, add one of paths"]
    if "table" in uses:
        told.append("please check every input: is it known before the diagnosis, and no reader's judgement?")
    return told


def _check_given(table: Table, names: Iterable[str]) -> None:
    faults = Faults()
    guessed = [note for note in table.notes if note.startswith(GUESSED)]
    for name in names:
        if name not in table:
            mend = "; ".join(filter(None, (nearest(name, table.names), *guessed)))
            faults.add(table.source, f"no column '{name}'", "a column of the table", mend)
    faults.raise_as(TableError)


class _Draft:
    """A card in the making. Each step takes the columns that it explains out of `left`."""

    def __init__(self, table: Table) -> None:
        self.source = table.source
        self.profiles = {name: Profile(table, name) for name in table.names}
        self.left = dict(self.profiles)
        self.notes: list[str] = []
        self.cases: dict[str, Any] = {}
        self.labels: dict[str, Any] = {}
        self.columns: dict[str, Any] = {}
        self.split: dict[str, Any] = {}

    def card(self, modalities: dict[str, Any]) -> dict[str, Any]:
        parts = {"cases": self.cases, "labels": self.labels, "modalities": modalities, "columns": self.columns}
        return {name: part for name, part in {**parts, "split": self.split}.items() if part}

    def name_cases(self, given_id: str, given_group: str) -> None:
        """[cases]: id, group, unit, missing words."""
        name = given_id or _best_id(self.profiles.values(), self.source)
        if not given_id:
            self.notes.append(f"id: '{name}', a word of its own in every row")
        units = [word for word in name_words(name) if word in _UNITS]
        self.cases = {"id": name, "case_is": units[0] if units else "case"}
        if not self.left[name].image:
            del self.left[name]
        group = given_group or _best_group(self.left.values())
        if group and group != name:
            self.cases["group"] = group
            repeats = self.profiles[group]
            self.notes.append(f"group: '{group}', {len(repeats.raw)} in {repeats.raw.total()} rows")
            self.left.pop(group, None)
        else:
            self.notes.append("group: none found, each case by itself; name the patient's column if there is one")
        words, told = _missing_words(list(self.profiles.values()))
        self.cases |= {"root": ".", "missing": ["", *words]}
        self.notes += told

    def find_split(self) -> None:
        """[split]: a column of train, valid and test."""
        found = [
            profile.name
            for profile in self.left.values()
            if len(profile.raw) <= 4 * len(SYNONYMS)
            and len({SYNONYMS.get(word.lower(), "") for word in profile.raw} - {""}) > 1
            and all(word.lower() in SYNONYMS for word in profile.raw)
        ]
        for name in found:
            del self.left[name]
        if found:
            best = next((name for name in found if "split" in name.lower()), found[0])
            self.split = {"column": best}
            others = [name for name in found if name != best]
            self.notes.append(f"split: column '{best}'" + (f"; not {named(others)}" if others else ""))

    def find_labels(self, given: Sequence[str]) -> None:
        """[labels]: the given columns, else those of few words whose names say so."""
        for name in given:
            _check_label(self.profiles[name], self.source)
        names = list(given) or [profile.name for profile in self.left.values() if _looks_like_label(profile)]
        for name in names:
            self._add_label(name, "" if given else ", by its name")
        if not given:
            numbers = [
                profile.name for profile in self.left.values() if _is_called_label(profile) and profile.is_number
            ]
            if numbers:
                self.notes.append(f"no label: {named(numbers)}: called like a label, but a number; {BINS}")
        if not names:
            self.notes.append("label: none found; name the column of what is to be predicted")
        self._find_survival()

    def _add_label(self, name: str, how: str) -> None:
        profile = self.profiles[name]
        self.left.pop(name, None)
        self._map_variants(name)
        classes, positive = _classes(profile, self.cases["missing"])
        self.labels[name] = classes if positive else {"classes": classes, "positive": OPEN}
        told = f"positive class '{positive}' (the last)" if positive else "please name its `positive` class"
        self.notes.append(f"label: '{name}'{how}; {told}: {named(classes)}")
        doubtful = Counter(
            {word: count for word, count in profile.blanks.items() if word in classes and missing_among_numbers(word)}
        )
        if doubtful:
            self.notes = [note for note in self.notes if not note.startswith(f"'{name}' holds ")]
            text = f"label '{name}': {listed(doubtful)} {'are' if len(doubtful) > 1 else 'is'} probably missing"
            self.notes.append(f"please check: {text}; list it under `missing` and take it out of the classes")

    def _map_variants(self, name: str) -> None:
        """[columns] values: words that are the same but for case and spaces."""
        words = self.profiles[name].variants
        if words:
            self.columns[name] = {"values": words}
            alike = ", ".join(f"'{word}' = '{meant}'" for word, meant in words.items())
            self.notes.append(f"please check: '{name}': the same word but for case: {alike}; mapped by `values`")

    def _find_survival(self) -> None:
        """Times with a column of events beside: told, since neither alone is a label."""
        times = [p.name for p in self.left.values() if p.amount and names_time(p.ordered_words)]
        events = [p.name for p in self.profiles.values() if names_event(p.ordered_words) and len(p.counts) == 2]
        if times and events:
            text = f"please check: {named(times)} with {named(events)}: survival times, it seems; {SURVIVAL}"
            self.notes.append(text)
            for name in [name for name in (*times, *events) if name in self.left]:
                del self.left[name]
                self.columns[name] = {"known": LATER}

    def mark(self) -> None:
        """[columns]: names that speak of what is known only later, or of a model."""
        for known, telling in ((MADE, made_by_model), (LATER, known_later)):
            found = [name for name, profile in self.left.items() if telling(profile.ordered_words)]
            for name in found:
                del self.left[name]
                self.columns[name] = {"known": known}
            if found:
                self.notes.append(f"please check: {named(found)}: taken as '{known}' by name, so refused as inputs")

    def map_inputs(self, modalities: dict[str, Any]) -> None:
        """[columns] values, for the categories that are inputs; and a word on groups, which are not mapped."""
        for knobs in modalities.values():
            for name in (*knobs.get("categorical", ()), *knobs.get("multi", ())):
                self._map_variants(name)
        group = self.cases.get("group", "")
        alike = variants(self.profiles[group].counts) if group else {}
        if alike:
            shown = named(f"'{word}' and '{meant}'" for word, meant in alike.items())
            self.notes.append(f"please check: group '{group}': the same word but for case: {shown}; one patient?")

    def set_aside_label_blocks(self) -> None:
        """Columns of 0 and 1 beside a label of 0 and 1, or in a row where no label is known, may be further labels."""
        order = list(self.profiles)
        blocks: list[list[str]] = [[]]
        for name in order:
            if set(self.profiles[name].counts) == {"0", "1"} and (name in self.left or name in self.labels):
                blocks[-1].append(name)
            elif blocks[-1]:
                blocks.append([])
        for block in blocks:
            rest = [name for name in block if name in self.left]
            labelled = len(rest) < len(block)
            if rest and (labelled or (not self.labels and len(block) >= _BLOCK)):
                for name in rest:
                    del self.left[name]
                beside = "beside a label of 0 and 1" if labelled else "side by side"
                text = f"left out: {named(rest)} hold 0 and 1 {beside}; name them as labels, or as `categorical` inputs"
                self.notes.append(text)


def _missing_words(profiles: Sequence[Profile]) -> tuple[list[str], list[str]]:
    """Return the words for missing in columns of numbers, which cannot be read otherwise, and notes on these and on
    others."""
    notes: list[str] = []
    spelled: Counter[str] = Counter()
    for profile in profiles:
        if profile.blanks and profile.numeric:
            spelled += profile.blanks
            notes.append(f"missing: {listed(profile.blanks)} stand among the numbers of '{profile.name}'")
    for profile in profiles:
        if profile.blanks and not profile.numeric:
            taken = Counter({word: count for word, count in profile.blanks.items() if word in spelled})
            words = Counter({word: count for word, count in profile.blanks.items() if word not in spelled})
            if taken:
                notes.append(f"missing: {listed(taken)} will then be missing in '{profile.name}' too")
            if words:
                likely = "probably missing" if any(map(missing_among_numbers, words)) else "a finding, or missing"
                told = f"{likely}: a category, unless you list it under `missing`"
                notes.append(f"'{profile.name}' holds {listed(words)}, {told}")
    return sorted(spelled), notes


def _best_id(profiles: Iterable[Profile], source: str) -> str:
    def rank(profile: Profile) -> int:
        fractions = profile.numeric and any(not number(word).is_integer() for word in profile.counts)
        wishes = (
            profile.name_words == {"id"},
            names_someone(profile.name),
            not profile.image and not fractions,
            profile.image,
        )
        return next((i for i, wish in enumerate(wishes) if wish), len(wishes))

    unique = sorted((profile for profile in profiles if profile.unique), key=rank)
    if not unique:
        found = "no column has a word of its own in every row"
        raise TableError(found, "an id for each case", "add one, or make one row of each case", source)
    return unique[0].name


def _best_group(profiles: Iterable[Profile]) -> str:
    found = [p for p in profiles if p.names_cases and not p.image and len(p.raw) < p.raw.total()]
    ranks = {p.name: min((_PEOPLE.index(w) for w in p.name_words if w in _PEOPLE), default=len(_PEOPLE)) for p in found}
    return min(ranks, key=lambda name: ranks[name], default="")


def _is_called_label(profile: Profile) -> bool:
    words = profile.name_words
    return bool(words & _LABELS) and words <= _LABELS | _BESIDE_LABELS


def _looks_like_label(profile: Profile) -> bool:
    return (
        _is_called_label(profile)
        and 2 <= len(profile.counts) <= _MOST_CLASSES
        and not (profile.image or profile.is_number)
    )


def _check_label(profile: Profile, source: str) -> None:
    """Raises: TableError for a given label that is a number, or no closed list of classes."""
    where = f"{source}, column {profile.name}"
    if profile.is_number:
        found = f"column '{profile.name}' is a number: {len(profile.counts)} different values"
        mend = f"{BINS}; {SURVIVAL}" if names_time(profile.ordered_words) else BINS
        raise TableError(found, "a label of few classes", mend, where)
    if not 2 <= len(profile.raw) <= _MOST_GIVEN_CLASSES:
        found = f"column '{profile.name}' holds {len(profile.raw)} different words"
        expected = f"2 to {_MOST_GIVEN_CLASSES} classes: a label is a closed list"
        raise TableError(found, expected, "group them into classes in a column of their own", source)


def _classes(profile: Profile, missing: Sequence[str]) -> tuple[list[str], str]:
    """Its words in order (numbers as numbers), those that look missing first, the positive one last; and this one,
    empty where no word says which it is."""
    words = [word for word in profile.counts if word not in profile.variants]
    words.sort(key=lambda word: (number(word), word) if profile.numeric else (0.0, word))
    positive = "1" if set(words) == {"0", "1"} else disease_class(words)
    words = sorted(words, key=lambda word: word == positive)
    return [word for word in sorted(profile.blanks) if word not in missing] + words, positive
