"""A comparison as a folder: variants, simpler answers and controls on the same cases and splits.

Every figure works from the stored scores; a variant that fails is named and does not stop the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmfuse.building import tree
from mmfuse.card import Card
from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.splits import assign
from mmfuse.data.table import Table, as_table
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import Faults, MmfuseError, SpecError, TableError
from mmfuse.events import FitName, Notice, Watch, silent
from mmfuse.labels import Ints, Labels
from mmfuse.spec import Spec
from mmfuse.study import controls, variants
from mmfuse.study.choosing import FLATTERED, INNER, best_single, check_metric, grounds, metric_named
from mmfuse.study.designs import Design, Split, blank_table, inner_numbers, inner_split, inner_table, outer_splits
from mmfuse.study.folder import CASES, Speaker, Study
from mmfuse.study.ledger import Ledger
from mmfuse.study.outside import read_outside
from mmfuse.study.shelf import Asked, Shelf, Workers, in_words, put, remarks_of, spec_digest, stored
from mmfuse.study.variants import Role, Variant


def compare(
    named: Sequence[Variant],
    table: Table,
    card: Card,
    root: str | Path,
    out: str | Path,
    design: Design,
    *,
    outside: Mapping[str, str | Path] | None = None,
    catalog: Catalog | None = None,
    device: str = "auto",
    watch: Watch = silent,
    workers: Workers | None = None,
) -> Study:
    """Fits what is new and writes the study to `out`. `named` are the variants (the first is the reference), `root` the
    folder of the table, `outside` predictions made elsewhere by name, `workers` whoever fits for us (`RayWorkers`).

    Raises: SpecError, TableError or RunError for what makes every variant impossible; the failure of one is written
    down.
    """
    catalog, root, out = catalog or Catalog(), Path(root), Path(out)
    table = as_table(table, card.cases.missing)
    cases = Cases(table, card, root)
    for word in (design.metric, design.chooses_by):
        check_metric(word, catalog, cases.labels)
    split = assign(cases, card.split, watch).astype(object)
    splits = outer_splits(cases, split, design, card.split.seed)
    design.refuse_nothing_to_select_on(has_valid(splits))
    refuse_same_names(named, outside or {}, design, card)
    shelf = Shelf(out, table, root, catalog, device, watch, workers)
    study = Study(out, design, cases.card.cases.case_is, named[0].name if named else "")
    inner = _inner_numbers(study, cases, splits, card.split.seed) if named else []
    # Whatever may be refused is refused before anything is written.
    tested = held_out(cases, splits)
    told = {name: read_outside(Path(file), name, cases, tested) for name, file in (outside or {}).items()}
    _write_blanks(out, CASES, [blank_table(cases, split, fold) for fold, split in enumerate(splits)])
    _write_blanks(out, INNER, [inner_table(cases, one, fold, design.inner) for fold, one in enumerate(inner)])
    work = _Work(study, shelf, cases.labels, splits, inner, watch)
    for name, (scores, classes_only) in told.items():
        work.add_outside(name, scores, classes_only)
    work.add_all(named)
    if named and design.baselines:
        work.try_all(baseline_makers(named[0], catalog))
    if named and design.controls:
        _controls(work, named[0], cases, split, catalog)
    study.reference = study.reference or study.speakers[0].name
    if study.named("single") and grounds(study.tables(), study.inner_table(), study.named("single")).on == "test":
        study.notes.append(FLATTERED)
        watch(Notice(FLATTERED, "warning"))
    study.save()
    return study


def refuse_same_names(named: Sequence[Variant], outside: Mapping[str, str | Path], design: Design, card: Card) -> None:
    """Raises: SpecError where two lines of the comparison would have one name: of the scores that of one is left."""
    taken = [source for variant in named for source in variant.sources]
    if named and design.baselines:
        taken += [*variants.BESIDE, *(f"{modality}{variants.ALONE}" for modality in card.modalities)]
    if named and design.controls:
        taken += [name for modality in card.modalities for name in controls.names_of(modality)] + [*controls.NAMES]
    words, faults = [*taken, *outside], Faults()
    for name in dict.fromkeys(name for name in words if words.count(name) > 1):
        mend = "another NAME after --with, or another name of the plan's file"
        faults.add("", f"two lines of the comparison are called '{name}'", "names that differ", mend)
    faults.raise_as(SpecError)


def _write_blanks(out: Path, name: str, blanks: Sequence[ScoreTable]) -> None:
    place = out / name
    if blanks:
        place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*.npz"):
        old.unlink()
    for number, blank in enumerate(blanks):
        blank.save(place / f"{number:02d}.npz")


def held_out(cases: Cases, splits: Sequence[Split]) -> NDArray[np.str_]:
    """Ids of the cases that any of these splits tests."""
    return np.unique(np.concatenate([cases.ids[split == "test"] for split in splits]))


def has_valid(splits: Sequence[Split]) -> bool:
    """Return whether any of these splits has cases to choose on."""
    return any(bool((split == "valid").any()) for split in splits)


def _inner_numbers(study: Study, cases: Cases, splits: Sequence[Split], seed: int) -> list[Ints]:
    """By outer fold, the inner fold of each training case; nothing where nothing is chosen on inner folds.

    Raises: TableError where a variant is to be chosen and there are too few groups; else that is noted.
    """
    design = study.design
    for_variants, for_singles = design.needs_inner(has_valid(splits))
    if not (for_variants or for_singles):
        return []
    try:
        return [inner_numbers(cases, split, design, seed, fold) for fold, split in enumerate(splits)]
    except TableError as error:
        if for_variants:
            raise
        study.notes.append(f"no inner folds: {error.faults[0].found}")
        return []


class _Work:
    """Adds speakers to a study, one variant after the other."""

    def __init__(
        self,
        study: Study,
        shelf: Shelf,
        labels: Labels,
        splits: Sequence[Split],
        inner: Sequence[Ints],
        watch: Watch,
    ) -> None:
        self.study, self.shelf, self.labels, self.splits, self.watch = study, shelf, labels, splits, watch
        self.inner = inner
        for_variants, for_singles = study.design.needs_inner(has_valid(splits))
        self.chosen: dict[Role, bool] = {"variant": for_variants, "single": for_singles}
        self.ledger = Ledger()

    def add_all(self, many: Sequence[Variant]) -> None:
        """Fits variants for every seed and fold, or finds them."""
        self.shelf.fit_all(fit for variant in many for fit in self._fits(variant))
        for variant in many:
            self._add(variant)

    def _fits(self, variant: Variant) -> Iterator[Asked]:
        """All that `_add` asks for."""
        for number in range(self._seeds(variant)):
            for fold, split in enumerate(self.splits):
                yield seeded(variant.spec, number), variant.table, split, self._name(variant, number, fold)
        if self.chosen.get(variant.role):
            for fold, splits in enumerate(self._inner_splits()):
                for inner, split in enumerate(splits):
                    yield variant.spec, variant.table, split, self._name(variant, 0, fold, inner)

    def _name(self, variant: Variant, number: int, fold: int, inner: int | None = None) -> FitName:
        """By what the events of a fit are told from those of the others; what there is one of alone is not named."""
        return FitName(
            variant=variant.name,
            seed=number + 1 if self._seeds(variant) > 1 else None,
            fold=fold + 1 if len(self.splits) > 1 else None,
            inner_fold=None if inner is None else inner + 1,
        )

    def _add(self, variant: Variant) -> None:
        keys: list[tuple[str, ...]] = []
        try:
            if variant.spec.card.label_set != self.labels:
                raise SpecError("has other labels than the reference", "one set of labels", "a study of its own")
            for number in range(self._seeds(variant)):
                keys.append(tuple(self._fitted(variant, number, fold) for fold in range(len(self.splits))))
            inner = self._fitted_inside(variant) if self.chosen.get(variant.role) else ()
        except Exception as error:  # whatever a part raises is this variant's failure alone
            failure = in_words(error)
            before = next((speaker.name for speaker in self.study.failed if speaker.failure == failure), "")
            why = f"for the same reason as {before}" if before else failure
            self.watch(Notice(f"{variant.name} failed: {why}", "warning"))
            self.study.speakers += [Speaker(name, variant.role, failure=failure) for name in variant.sources]
            return
        self.study.speakers += [
            Speaker(name, variant.role, source, tuple(keys), inner=inner) for name, source in variant.sources.items()
        ]
        remarks = (text for by_fold in keys for key in by_fold for text in remarks_of(self.study.folder, key))
        for text in dict.fromkeys(remarks):
            self.study.notes += [text] if text not in self.study.notes else []

    def _seeds(self, variant: Variant) -> int:
        return self.study.design.seeds if variant.seeded else 1

    def _inner_splits(self) -> list[list[Split]]:
        """By outer fold, the split of each inner one."""
        return [
            [inner_split(split, numbers, number) for number in range(int(numbers.max()) + 1)]
            for split, numbers in zip(self.splits, self.inner, strict=True)
        ]

    def _fitted_inside(self, variant: Variant) -> tuple[tuple[str, ...], ...]:
        """Fits a variant on the inner folds of each training part, or finds it; `test` is not looked at."""
        keys = []
        for fold, splits in enumerate(self._inner_splits()):
            self.watch(Notice(f"{variant.name}: {len(splits)} inner folds of `train`, to choose by"))
            names = [self._name(variant, 0, fold, inner) for inner in range(len(splits))]
            found = zip(splits, names, strict=True)
            keys.append(tuple(self.shelf.fitted(variant.spec, variant.table, one, name) for one, name in found))
        return tuple(keys)

    def _fitted(self, variant: Variant, number: int, fold: int) -> str:
        spec = seeded(variant.spec, number)
        many = [f"seed {number + 1} of {self.study.design.seeds}"] if self.study.design.seeds > 1 else []
        many += [f"fold {fold + 1} of {len(self.splits)}"] if len(self.splits) > 1 else []
        self.watch(Notice(": ".join([variant.name, ", ".join(many)]) if many else variant.name))
        key = self.shelf.fitted(spec, variant.table, self.splits[fold], self._name(variant, number, fold))
        if key in self.shelf.fresh:
            self.shelf.fresh.remove(key)
            scores = stored(self.study.folder, key)
            self.ledger.add(scores.take(scores.split == "test"), spec_digest(tree(spec.card) | tree(spec.plan)))
        return key

    def try_all(self, makers: Iterable[Maker]) -> None:
        """Adds what each maker gives; one that refuses is noted."""
        found: list[Variant] = []
        for name, make in makers:
            try:
                found += make()
            except MmfuseError as error:
                self.study.notes.append(f"{name}: left out; {error.faults[0].found}")
        self.add_all(found)

    def add_outside(self, name: str, scores: ScoreTable, classes_only: bool) -> None:
        """Takes over predictions that were made elsewhere."""
        key = spec_digest({"cases": {}, "outside": name, "p": scores.sources[name].tolist()})[:32]
        put(self.study.folder, key, scores, {})
        self.study.speakers.append(Speaker(name, "outside", name, ((key,),), classes_only))


def seeded(spec: Spec, number: int) -> Spec:
    """The spec with its seed `number` further."""
    return spec.model_copy(update={"plan": spec.plan.model_copy(update={"seed": spec.plan.seed + number})})


Maker = tuple[str, Callable[[], Sequence[Variant]]]
"""A name, and what gives variants of it; it may refuse."""


def baseline_makers(reference: Variant, catalog: Catalog) -> list[Maker]:
    """Return who makes the simpler answers beside a reference."""
    return [
        ("each modality alone", partial(variants.singles, reference)),
        ("metadata only", partial(variants.metadata, reference, catalog)),
        ("logistic regressions", partial(variants.logistics, reference, catalog)),
    ]


def _controls(work: _Work, reference: Variant, cases: Cases, split: Split, catalog: Catalog) -> None:
    makers = controls.all_but_slots(reference, cases, split, catalog)
    study, singles = work.study, work.study.named("single")
    metric = metric_named(study.design.chooses_by, catalog)
    best, _ = best_single(grounds(study.tables(), study.inner_table(), singles), singles, metric)
    if best:
        modality = best.removesuffix(variants.ALONE)
        makers.insert(0, (f"{modality} in all slots", partial(controls.in_all_slots, reference, modality)))
    work.try_all([(name, partial(one_of, make)) for name, make in makers])


def one_of(make: Callable[[], Variant]) -> list[Variant]:
    """Return what a maker of one variant gives, as one of many does."""
    return [make()]
