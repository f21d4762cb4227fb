"""A comparison as a folder: variants, simpler answers and controls on the same cases and splits.

Every figure works from the stored scores; a variant that fails is named and does not stop the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from mmfuse.building import tree
from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.splits import assign
from mmfuse.data.table import Table
from mmfuse.decide.scores import ScoreTable, log_scores
from mmfuse.errors import MmfuseError, RunError, SpecError
from mmfuse.events import Notice, Watch, silent
from mmfuse.labels import Labels
from mmfuse.metrics import LARGER_IS_BETTER, REPORTED
from mmfuse.spec import Card
from mmfuse.study import controls, variants
from mmfuse.study.designs import Design, Split, blank_table, outer_splits
from mmfuse.study.ledger import Ledger
from mmfuse.study.outside import read_outside
from mmfuse.study.resampling import over_labels
from mmfuse.study.shelf import Shelf, aligned, put, spec_digest, stored
from mmfuse.study.variants import Role, Variant

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
        blanks = [ScoreTable.load(path) for path in sorted((self.folder / CASES).glob("*.npz"))]
        made = []
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

    def save(self) -> None:
        """Writes `study.json`, whole or not at all."""
        about = {"format": FORMAT, "case_is": self.case_is, "reference": self.reference,
                 "design": asdict(self.design), "notes": self.notes,
                 "speakers": [asdict(speaker) for speaker in self.speakers]}  # fmt: skip
        scratch = self.folder / f".{STUDY}"
        scratch.write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
        scratch.replace(self.folder / STUDY)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a study's folder. Raises: RunError if it is none, or of a newer mmfuse."""
        path = folder / STUDY
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            speakers = [Speaker(**{**given, "keys": tuple(map(tuple, given["keys"]))}) for given in about["speakers"]]
            if about["format"] > FORMAT:
                raise RunError(f"is of format {about['format']}", f"format {FORMAT}", "update mmfuse", str(path))
            return cls(
                folder, Design(**about["design"]), about["case_is"], about["reference"], speakers, about["notes"]
            )
        except FileNotFoundError:
            raise RunError("is no study", "a folder that `mmfuse compare` wrote", "check --out", str(folder)) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"cannot be read: {error}", "what `mmfuse compare` wrote", where=str(path)) from error


def _joined(blanks: Sequence[ScoreTable]) -> ScoreTable:
    if len(blanks) == 1:
        return blanks[0]
    columns = {
        word: np.concatenate([getattr(blank, word) for blank in blanks])
        for word in ("ids", "groups", "split", "folds", "targets")
    }
    return replace(blanks[0], **columns)  # type: ignore[arg-type]  # each of its own type


def compare(
    named: Sequence[Variant],
    table: Table,
    card: Card,
    root: Path,
    out: Path,
    design: Design,
    *,
    outside: Mapping[str, Path] | None = None,
    catalog: Catalog | None = None,
    device: str = "auto",
    watch: Watch = silent,
) -> Study:
    """Fits what is new and writes the study to `out`. `named` are the variants (the first is the reference), `root` the
    folder of the table, `outside` predictions made elsewhere by name.

    Raises: SpecError, TableError or RunError for what makes every variant impossible; the failure of one is written
    down.
    """
    catalog = catalog or Catalog()
    cases = Cases(table, card, root)
    split = assign(cases, card.split, watch).astype(object)
    splits = outer_splits(cases, split, design, card.split.seed)
    shelf = Shelf(out, table, root, catalog, device, watch)
    _write_blanks(out, cases, splits)
    study = Study(out, design, cases.card.cases.case_is, named[0].name if named else "")
    work = _Work(study, shelf, cases.labels, splits, watch)
    for name, file in (outside or {}).items():
        work.add_outside(name, file, cases)
    for variant in named:
        work.add(variant)
    if named and design.baselines:
        _baselines(work, named[0], catalog)
    if named and design.controls:
        _controls(work, named[0], cases, split, catalog)
    study.reference = study.reference or study.speakers[0].name
    study.save()
    return study


def _write_blanks(out: Path, cases: Cases, splits: Sequence[Split]) -> None:
    place = out / CASES
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*.npz"):
        old.unlink()
    for number, split in enumerate(splits):
        blank_table(cases, split, number).save(place / f"{number:02d}.npz")


class _Work:
    """Adds speakers to a study, one variant after the other."""

    def __init__(self, study: Study, shelf: Shelf, labels: Labels, splits: Sequence[Split], watch: Watch) -> None:
        self.study, self.shelf, self.labels, self.splits, self.watch = study, shelf, labels, splits, watch
        self.ledger = Ledger()

    def add(self, variant: Variant) -> None:
        """Fits a variant for every seed and fold, or finds it."""
        seeds = self.study.design.seeds if variant.seeded else 1
        keys: list[tuple[str, ...]] = []
        try:
            if variant.spec.card.label_set != self.labels:
                raise SpecError("has other labels than the reference", "one set of labels", "a study of its own")
            for number in range(seeds):
                keys.append(tuple(self._fitted(variant, number, fold) for fold in range(len(self.splits))))
        except Exception as error:  # whatever a part raises is this variant's failure alone
            failure = str(error) if isinstance(error, MmfuseError) else f"{type(error).__name__}: {error}"
            self.watch(Notice(f"{variant.name} failed: {failure}", "warning"))
            self.study.speakers += [Speaker(name, variant.role, failure=failure) for name in variant.sources]
            return
        self.study.speakers += [
            Speaker(name, variant.role, source, tuple(keys)) for name, source in variant.sources.items()
        ]

    def _fitted(self, variant: Variant, number: int, fold: int) -> str:
        plan = variant.spec.plan
        spec = variant.spec.model_copy(update={"plan": plan.model_copy(update={"seed": plan.seed + number})})
        many = [f"seed {number + 1} of {self.study.design.seeds}"] if self.study.design.seeds > 1 else []
        many += [f"fold {fold + 1} of {len(self.splits)}"] if len(self.splits) > 1 else []
        before = self.shelf.fresh
        self.watch(Notice(": ".join([variant.name, ", ".join(many)]) if many else variant.name))
        key = self.shelf.fitted(spec, variant.table, self.splits[fold])
        if self.shelf.fresh > before:
            scores = stored(self.study.folder, key)
            self.ledger.add(scores.take(scores.split == "test"), spec_digest(tree(spec.card) | tree(spec.plan)))
        return key

    def try_all(self, makers: Iterable[tuple[str, Callable[[], Sequence[Variant]]]]) -> None:
        """Adds what each maker gives; one that refuses is noted."""
        for name, make in makers:
            try:
                found = list(make())
            except MmfuseError as error:
                self.study.notes.append(f"{name}: left out; {error.faults[0].found}")
                continue
            for variant in found:
                self.add(variant)

    def add_outside(self, name: str, file: Path, cases: Cases) -> None:
        """Takes over predictions that were made elsewhere."""
        held = np.unique(np.concatenate([cases.ids[split == "test"] for split in self.splits]))
        scores, classes_only = read_outside(file, name, cases, held)
        key = spec_digest({"cases": {}, "outside": name, "p": scores.sources[name].tolist()})[:32]
        put(self.study.folder, key, scores, {})
        self.study.speakers.append(Speaker(name, "outside", name, ((key,),), classes_only))


def _baselines(work: _Work, reference: Variant, catalog: Catalog) -> None:
    work.try_all(
        [
            ("each modality alone", partial(variants.singles, reference)),
            ("metadata only", partial(variants.metadata, reference, catalog)),
            ("logistic regressions", partial(variants.logistics, reference, catalog)),
        ]
    )


def _controls(work: _Work, reference: Variant, cases: Cases, split: Split, catalog: Catalog) -> None:
    makers = controls.all_but_slots(reference, cases, split, catalog)
    best = best_on_valid(work.study.tables(), work.study.named("single"), work.study.design.chooses_by)
    if best:
        modality = best.removesuffix(variants.ALONE)
        makers.insert(0, (f"{modality} in all slots", partial(controls.in_all_slots, reference, modality)))
    work.try_all([(name, partial(_one, make)) for name, make in makers])


def _one(make: Callable[[], Variant]) -> list[Variant]:
    return [make()]


def best_on_valid(tables: Sequence[ScoreTable], names: Sequence[str], metric: str, label: str = "") -> str:
    """Which of `names` is best on `valid`, by the mean over folds and seeds (and labels, unless one is named); empty
    where there are no names.

    Where no case is `valid` it is chosen on `test`: of single modalities, that flatters them and no fusion.
    """
    if not names:
        return ""
    on = "valid" if (tables[0].split == "valid").any() else "test"
    sign = 1 if metric in LARGER_IS_BETTER else -1
    means = {name: sign * _mean_figure(tables, name, metric, on, label) for name in names}
    known = {name: value for name, value in means.items() if not np.isnan(value)}
    return max(known, key=known.__getitem__) if known else names[0]


def _mean_figure(tables: Sequence[ScoreTable], name: str, metric: str, on: str, label: str) -> float:
    values = []
    for table in tables:
        for fold in np.unique(table.folds):
            part = table.take((table.folds == fold) & (table.split == on))
            figures = REPORTED[metric](part.probabilities(name), part.targets, part.labels, None)
            values.append(over_labels(figures, part.labels, label)[0])
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
