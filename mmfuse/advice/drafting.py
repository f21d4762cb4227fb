"""The inputs of a drafted card: which columns are images, vectors, numbers, categories; which are left out and why."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from mmfuse.advice.leaks import name_words
from mmfuse.advice.profile import Profile, decimal_commas, no_files
from mmfuse.advice.vocabulary import has_digit
from mmfuse.data.words import listed, named

_TAKEN = frozenset({"image", "table", "vector", "fused"})
_FILE_WORDS = frozenset({"file", "filename", "path", "name", "jpg", "png"})
_VECTOR = 16


class DraftedInputs:
    """[modalities] from the columns in `left` that nothing else explains; `notes` tell what became of each."""

    def __init__(self, profiles: Mapping[str, Profile], left: Mapping[str, Profile]) -> None:
        self.profiles = profiles
        self.left = dict(left)
        self.notes: list[str] = []
        self.modalities: dict[str, Any] = {}
        self._find_images()
        self._find_vectors()
        self._find_columns()

    def _find_images(self) -> None:
        """Columns of image files, each a modality; those that are called alike but for a number are one set."""
        families: dict[str, list[str]] = defaultdict(list)
        for name in [name for name, profile in self.left.items() if profile.image]:
            del self.left[name]
            families[name.rstrip("0123456789") or name].append(name)
        for stem, names in families.items():
            title = stem if len(names) > 1 else names[0]
            words = [word for word in name_words(title) if word not in _FILE_WORDS]
            modality, several = self._modality_name(words, "picture"), len(names) > 1
            self.modalities[modality] = {"use": "image", **({"columns": names} if several else {"column": names[0]})}
            told = f"please check: modality '{modality}': {named(names)} taken as a set of images a case"
            told = told if several else f"modality '{modality}': images of column '{names[0]}'"
            self.notes.append(f"{told}; set `root` to their folder")
            self.notes += [_told_of_words(name, odd) for name in names if (odd := no_files(self.profiles[name]))]

    def _find_vectors(self) -> None:
        """Many columns of numbers called alike: embeddings made elsewhere."""
        families: dict[str, list[str]] = defaultdict(list)
        for name, profile in self.left.items():
            match = re.fullmatch(r"(.*?)\d+", name)
            if match and profile.numeric:
                families[match[1]].append(name)
        for stem, names in families.items():
            if len(names) >= _VECTOR:
                found = set(names)
                alike = stem and all(name in found for name in self.profiles if name.startswith(stem))
                for name in names:
                    del self.left[name]
                modality = self._modality_name(name_words(stem), "embedding")
                self.modalities[modality] = {"use": "vector", "numeric": [f"{stem}*"] if alike else names}
                self.notes.append(
                    f"modality '{modality}': {len(names)} columns {names[0]} to {names[-1]} as one vector"
                )

    def _find_columns(self) -> None:
        """The rest: one `table` modality of numbers and categories; what is neither is left out."""
        amounts, categories, multi, out = [], [], {}, defaultdict(list)
        for name, profile in self.left.items():
            reason = _unusable(profile)
            if reason:
                out[reason].append(name)
            elif profile.amount:
                amounts.append(name)
            elif profile.separator:
                multi[name] = profile.separator
            elif profile.own_words:
                out["words of their own in most cells"].append(name)
            else:
                categories.append(name)
        knobs = {"numeric": amounts, "categorical": categories, "multi": multi}
        if amounts or categories or multi:
            self.modalities[self._modality_name((), "meta")] = {
                "use": "table",
                **{knob: value for knob, value in knobs.items() if value},
            }
            for knob, names in knobs.items():
                if names:
                    self.notes.append(f"{knob}: {named(names)}")
        codes = [name for name in categories if self.profiles[name].numeric and len(self.profiles[name].counts) > 2]
        if codes:
            self.notes.append(f"please check: {named(codes)}: numbers taken as categories by name")
        for reason, names in out.items():
            self.notes.append(f"left out: {named(names)}: {reason}")

    def _modality_name(self, words: Iterable[str], otherwise: str) -> str:
        name = "_".join(words) or otherwise
        name = otherwise if name in _TAKEN else name
        taken = {*self.modalities, *_TAKEN}
        return next(n for n in (name, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in taken)


def _told_of_words(name: str, words: Counter[str]) -> str:
    text = f"please check: '{name}' holds {listed(words)}, no image file, it seems"
    return f"{text}; if that means that there is none, list it under `missing` in [cases]"


def _unusable(profile: Profile) -> str:
    if profile.empty:
        return "empty"
    if profile.constant:
        return "one word in all cells"
    if profile.names_cases:
        return "names of cases or people"
    if profile.date:
        return "dates (for a split by time: [split] by = …)"
    if commas := decimal_commas(profile):
        return (
            f"numbers with a decimal comma, stored as text: {listed(commas)}; make numbers of them in the"
            " spreadsheet, or write decimal points"
        )
    if any(has_digit(word) for word in profile.strange):
        return (
            f"{listed(profile.strange)} beside numbers: below or above what could be measured, ranges or units, so not"
            " missing; write numbers in their place, or name the column under `categorical`"
        )
    if profile.strange:
        return (
            f"{listed(profile.strange)} beside numbers; if that means missing, list it under `missing` in [cases] and"
            " the column under `numeric`; else write numbers in its place"
        )
    if profile.units:
        return f"numbers with units or other signs: {listed(profile.units)}; take these off, so that numbers are left"
    return ""
