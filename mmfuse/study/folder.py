"""A study as a folder: who speaks, on which cases, and where their scores stand. Every figure works from it alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from mmfuse.decide.scores import ScoreTable, log_scores
from mmfuse.errors import RunError, SpecError
from mmfuse.formats.json_files import read_json
from mmfuse.study.choosing import INNER
from mmfuse.study.designs import Design
from mmfuse.study.shelf import aligned, stored
from mmfuse.study.stored import StoredStudy
from mmfuse.study.variants import Role

_KEY = re.compile(r"[\w.-]+")
STUDY = "study.json"
CASES = "cases"
FORMAT = 1


@dataclass(frozen=True)
class Speaker:
    """One line of a comparison: whose scores are looked at."""

    name: str
    role: Role
    source: str = ""
    keys: tuple[tuple[str, ...], ...] = ()
    """By seed, then by fold: where its scores stand."""
    classes_only: bool = False
    """It gave classes, no probabilities: only metrics that need classes speak of it."""
    inner: tuple[tuple[str, ...], ...] = ()
    """By outer fold, then by inner fold: where the scores stand that something is chosen by; empty: it has none."""
    failure: str = ""
    """Why it could not be fitted; empty: it was."""


@dataclass
class Study:
    """What a study's folder holds."""

    folder: Path
    design: Design
    case_is: str
    reference: str
    speakers: list[Speaker] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""

    @property
    def family(self) -> tuple[str, ...]:
        """The variants that were named beforehand."""
        return tuple(speaker.name for speaker in self.standing if speaker.role in ("variant", "outside"))

    @property
    def standing(self) -> list[Speaker]:
        """Those that were fitted."""
        return [speaker for speaker in self.speakers if not speaker.failure]

    @property
    def failed(self) -> list[Speaker]:
        """Those that were not."""
        return [speaker for speaker in self.speakers if speaker.failure]

    def named(self, *roles: Role) -> list[str]:
        """The names of those that stand and have one of these roles."""
        return [speaker.name for speaker in self.standing if speaker.role in roles]

    def tables(self) -> list[ScoreTable]:
        """A score table a seed: the `valid` and `test` cases of all folds (`folds` numbers them), a source a speaker.

        Raises: RunError where stored scores are missing or speak of other cases.
        """
        blanks, made = self._blanks(CASES), []
        for seed in range(self.design.seeds):
            sources = {}
            for speaker in self.standing:
                by_fold = speaker.keys[min(seed, len(speaker.keys) - 1)]
                parts = []
                for number, blank in enumerate(blanks):
                    scores = stored(self.folder, by_fold[min(number, len(by_fold) - 1)])
                    parts.append(aligned(scores, speaker.source, blank.ids))
                sources[speaker.name] = log_scores(np.concatenate(parts))
            made.append(replace(_joined(blanks), sources=sources))
        return made

    def inner_table(self) -> ScoreTable | None:
        """The training cases as inner folds see them (split `inner`, a number a fold), a source a speaker that has
        them; None where nothing is chosen on inner folds.

        Raises: RunError where stored scores are missing or speak of other cases.
        """
        blanks, sources = self._blanks(INNER), {}
        for speaker in self.standing:
            if blanks and len(speaker.inner) == len(blanks):
                parts = [self._inner_part(speaker, blank, fold) for fold, blank in enumerate(blanks)]
                sources[speaker.name] = log_scores(np.concatenate(parts))
        return replace(_joined(blanks), sources=sources) if sources else None

    def _inner_part(self, speaker: Speaker, blank: ScoreTable, fold: int) -> np.ndarray:
        p, numbers = np.full((len(blank), blank.labels.columns), np.nan), np.unique(blank.folds)
        for number, key in zip(numbers, speaker.inner[fold], strict=True):
            here = blank.folds == number
            p[here] = aligned(stored(self.folder, key), speaker.source, blank.ids[here])
        return p

    def _blanks(self, place: str) -> list[ScoreTable]:
        return [ScoreTable.load(path) for path in sorted((self.folder / place).glob("*.npz"))]

    def save(self) -> None:
        """Writes `study.json`, whole or not at all."""
        about = {"format": FORMAT, "case_is": self.case_is, "reference": self.reference,
                 "design": asdict(self.design), "notes": self.notes,
                 "speakers": [asdict(speaker) for speaker in self.speakers]}  # fmt: skip
        scratch = self.folder / f".{STUDY}"
        scratch.write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
        scratch.replace(self.folder / STUDY)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads a study's folder. Raises: RunError if it is none, or of a newer mmfuse."""
        folder = Path(folder)
        path = folder / STUDY
        expected = "what `mmfuse compare` wrote"
        if not path.is_file():
            raise RunError("is no study", "a folder that `mmfuse compare` wrote", "check --out", str(folder))
        about = read_json(path, StoredStudy, expected=expected, newest=FORMAT)
        speakers = [Speaker(**{**given, **_tupled(given)}) for given in about["speakers"]]
        if fault := _fault_of(speakers, about["reference"]):
            raise RunError(fault, expected, "compare again", str(path))
        try:
            design = Design(**about["design"])
        except SpecError as error:
            raise RunError([replace(fault, where=str(path)) for fault in error.faults]) from error
        return cls(folder, design, about["case_is"], about["reference"], speakers, about["notes"])


def _fault_of(speakers: Sequence[Speaker], reference: str) -> str:
    """What is wrong with the lines of a study, in words."""
    names = [speaker.name for speaker in speakers]
    if len(set(names)) < len(names):
        return "holds two lines of one name"
    if speakers and reference and reference not in names:
        return f"has the reference '{reference}', and lines {', '.join(names)}"
    keys = [key for speaker in speakers for by_seed in (*speaker.keys, *speaker.inner) for key in by_seed]
    if any(not _KEY.fullmatch(key) for key in keys):
        return "names scores by what is no key"
    bare = [one.name for one in speakers if not one.failure and not (one.keys and all(one.keys))]
    return f"says of '{bare[0]}' neither where its scores stand nor why there are none" if bare else ""


def _tupled(given: Mapping[str, Any]) -> dict[str, Any]:
    """A speaker's keys as it had them; a study of an older mmfuse has no inner ones."""
    return {word: tuple(map(tuple, given.get(word, ()))) for word in ("keys", "inner")}


def _joined(blanks: Sequence[ScoreTable]) -> ScoreTable:
    if len(blanks) == 1:
        return blanks[0]
    columns = {
        word: np.concatenate([getattr(blank, word) for blank in blanks])
        for word in ("ids", "groups", "split", "folds", "targets")
    }
    return replace(blanks[0], **columns)  # type: ignore[arg-type]  # each of its own type
