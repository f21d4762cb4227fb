"""One recipe on several tables: fitted and tested within each and, where tables ask the same of the same inputs, on the
cases of the others too.

Each pair (learnt on, tested on) is a study in a folder of its own; what was fitted for a table speaks about all pairs.
No case is tested that could have been learnt from (law 2); a pair that cannot be is named and stops no other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Self

import numpy as np

from mmfuse.card import Card
from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.disk import whole_file
from mmfuse.data.splits import assign
from mmfuse.data.table import Table
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import MmfuseError, RunError, SpecError, TableError
from mmfuse.events import Notice, Watch, silent
from mmfuse.formats.json_files import read_json
from mmfuse.formats.toml_files import read_toml
from mmfuse.provenance import refuse_seen
from mmfuse.study.choosing import INNER
from mmfuse.study.comparing import compare
from mmfuse.study.designs import Design, Split, blank_table
from mmfuse.study.folder import CASES, Speaker, Study
from mmfuse.study.ledger import Ledger
from mmfuse.study.pooling import SPLIT, Domain, Pool, Tested, TestOn, differences, held_in, pooled
from mmfuse.study.shelf import SCORES, VARIANTS, Workers, put, spec_digest, stored
from mmfuse.study.stored import StoredTransfer
from mmfuse.toml import load
from mmfuse.wiring import wire

TRANSFER = "transfer.json"
FORMAT = 1
BLANK = "00.npz"


@dataclass(frozen=True)
class Crossing:
    """Learnt on one table, tested on another or on its own test cases."""

    train: str
    test: str
    folder: str
    """Of its study, below the transfer's."""
    failure: str = ""
    """Why there is no study; empty: there is."""

    @property
    def title(self) -> str:
        """`A`, or `A → B`."""
        return self.train if self.train == self.test else f"{self.train} → {self.test}"


@dataclass
class Transfer:
    """What the folder of a comparison over several tables holds."""

    folder: Path
    cells: list[Crossing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be paired, and why."""

    @property
    def standing(self) -> list[Crossing]:
        """The cells that hold a study."""
        return [cell for cell in self.cells if not cell.failure]

    def study(self, cell: Crossing) -> Study:
        """Raises: RunError if it cannot be read."""
        return Study.load(self.folder / cell.folder)

    def save(self) -> None:
        """Writes `transfer.json`, whole or not at all."""
        about = {"format": FORMAT, "cells": [asdict(cell) for cell in self.cells], "notes": self.notes}
        with whole_file(self.folder / TRANSFER) as scratch:
            scratch.write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads what `save` wrote. Raises: RunError if it is missing, broken, or of a newer mmfuse."""
        folder = Path(folder)
        path = folder / TRANSFER
        expected = "what `mmfuse compare --train` or `--tables` wrote"
        about = read_json(path, StoredTransfer, expected=expected, newest=FORMAT)
        cells = [Crossing(**given) for given in about["cells"]]
        odd = [cell.folder for cell in cells if Path(cell.folder).is_absolute() or ".." in Path(cell.folder).parts]
        if odd:
            raise RunError(f"names '{odd[0]}'", "folders of its own studies", "compare again", str(path))
        return cls(folder, cells, about["notes"])


def transfer(
    train: Domain,
    test: Domain,
    out: str | Path,
    design: Design,
    *,
    on: TestOn = "all",
    local_ids: bool = False,
    catalog: Catalog | None = None,
    device: str = "auto",
    watch: Watch = silent,
    workers: Workers | None = None,
) -> Transfer:
    """Fits the plans of `train` on its own cases and tests them on the cases of `test`: all of them, or those that its
    card calls `test`; beside it the own test cases of `train`, where it has some.

    Raises: SpecError or TableError where the tables do not ask the same of the same inputs, are one file, or no case of
    `test` is left that does not stand in `train`; whatever makes every variant impossible.
    """
    out = Path(out)
    _check([train, test], design)
    if design.folds:
        raise SpecError("outer folds together with a second table", "the split of the card", "leave out --folds")
    result = Transfer(out)
    work = _Work(result, design, catalog or Catalog(), device, watch, workers, local_ids)
    cases, split = _learnt(train, watch)
    tested = held_in(train, cases.take(split != ""), test, on, local_ids=local_ids, watch=watch)
    work.row(train, cases, split, [tested])
    result.save()
    return result


def across(
    domains: Sequence[Domain],
    out: str | Path,
    design: Design,
    *,
    on: TestOn = "test",
    local_ids: bool = False,
    catalog: Catalog | None = None,
    device: str = "auto",
    watch: Watch = silent,
    workers: Workers | None = None,
) -> Transfer:
    """Fits and tests the plans within each table, and tests what was fitted for one on the `test` cases (or all) of
    every other with the same labels and modalities.

    Raises: SpecError or TableError where two are one file or have one name, or where no table could be used at all.
    """
    out = Path(out)
    _check(domains, design)
    result = Transfer(out)
    work = _Work(result, design, catalog or Catalog(), device, watch, workers, local_ids)
    for domain in domains:
        try:
            cases, split = _learnt(domain, watch)
            if not domain.variants:
                raise SpecError(
                    "; ".join(dict.fromkeys(domain.refused.values())), "a plan that can be carried out on this table"
                )
            others = work.others(domain, cases.take(split != ""), domains, on)
            work.row(domain, cases, split, others)
        except MmfuseError as error:
            watch(Notice(f"{domain.name} failed: {error}", "warning"))
            result.cells.append(Crossing(domain.name, domain.name, domain.name, str(error)))
    if not result.standing:
        raise SpecError("; ".join(f"{cell.title}: {cell.failure}" for cell in result.cells), "a table that can be used")
    result.save()
    return result


def _check(domains: Sequence[Domain], design: Design) -> None:
    """Raises: SpecError for names that cannot be folders or stand twice; TableError for one file under two names."""
    for name in (domain.name for domain in domains):
        if not name.strip() or name.startswith(".") or set(name) & {*"/\\:"}:
            raise SpecError(f"a table is called '{name}'", "a name that can be a folder", "letters, digits, - and _")
    for what, words in (
        ("name", [domain.name.lower() for domain in domains]),
        ("file", [str(path.resolve()) for path in (Path(domain.table.source) for domain in domains) if path.is_file()]),
    ):
        twice = [word for word, times in groupby(sorted(words)) if len(list(times)) > 1]
        if twice:
            raise TableError(f"two tables are one {what}: {twice[0]}", f"another {what} each")


def _learnt(domain: Domain, watch: Watch) -> tuple[Cases, Split]:
    cases = domain.cases()
    return cases, assign(cases, domain.card.split, watch).astype(object)


class _Work:
    """Fits the plans of one table after the other, and writes down what came of each pair."""

    def __init__(
        self,
        result: Transfer,
        design: Design,
        catalog: Catalog,
        device: str,
        watch: Watch,
        workers: Workers | None,
        local_ids: bool,
    ) -> None:
        self.result, self.design, self.catalog, self.device, self.watch = result, design, catalog, device, watch
        self.workers, self.local_ids = workers, local_ids
        self.ledger = Ledger()

    def others(self, here: Domain, learnt: Cases, domains: Sequence[Domain], on: TestOn) -> list[Tested]:
        """The tables that what is learnt on `here` can speak about; where one cannot, it is noted or named."""
        found, result = [], self.result
        for there in (domain for domain in domains if domain is not here):
            why = differences(here, there)
            if why:
                note = f"{' and '.join(sorted((here.name, there.name)))} are compared apart: {why[0].found}"
                result.notes += [note] if here.name < there.name else []
            elif self.design.folds:
                note = "outer folds are drawn within a table: what is fitted in them is tested on no other"
                result.notes += [note] if note not in result.notes else []
            else:
                try:
                    found.append(held_in(here, learnt, there, on, local_ids=self.local_ids, watch=self.watch))
                except MmfuseError as error:
                    result.cells.append(Crossing(here.name, there.name, _folder(here, there), str(error)))
        return found

    def row(self, here: Domain, cases: Cases, split: Split, others: Sequence[Tested]) -> None:
        """Learnt on `here`: its own test cases first, where there are some, then each of `others`."""
        if not others:
            self._fitted(here, here.table, here.card, here.name, self.design)
            self.result.cells.append(Crossing(here.name, here.name, here.name))
            return
        pool = pooled(here, cases, others)
        own = bool((split == "test").any())
        first = here.name if own else _folder(here, others[0].domain)
        words = pool.split(split, 0 if own else 1)
        table = pool.table.with_columns({SPLIT: [word or None for word in words]})
        # what is made of these cases to explain a gain on them explains none on others
        design = self.design if own else replace(self.design, controls=False)
        study = self._fitted(here, table, pool.card, first, design)
        if own:
            self.result.cells.append(Crossing(here.name, here.name, first))
        else:
            self.result.notes.append(f"{here.name} has no test cases of its own")
            study.notes += others[0].notes
            study.save()
        for number, other in enumerate(others, 1):
            folder = _folder(here, other.domain)
            if folder != first:
                self._derived(study, folder, here, pool, pool.split(split, number), other)
            self.result.cells.append(Crossing(here.name, other.domain.name, folder))

    def _fitted(self, here: Domain, table: Table, card: Card, folder: str, design: Design) -> Study:
        """The plans on the cases of a table, which may be pooled with others: then their cards say so."""
        variants = []
        for variant in here.variants:
            own = variant.spec.card.model_copy(update={"cases": card.cases, "split": card.split})
            variants.append(replace(variant, spec=variant.spec.model_copy(update={"card": own})))
        self.watch(Notice(f"learning on {here.name}"))
        study = compare(
            variants, table, card, here.root, self.result.folder / folder, design,
            catalog=self.catalog, device=self.device, watch=self.watch, workers=self.workers,
        )  # fmt: skip
        study.speakers += [Speaker(name, "variant", failure=why) for name, why in here.refused.items()]
        if here.refused:
            study.notes.append(f"not every plan suits this table: the reference here is {study.reference}")
        study.save()
        return study

    def _derived(self, study: Study, name: str, here: Domain, pool: Pool, split: Split, other: Tested) -> None:
        """What was fitted already, about the cases of another table; controls stay with the cases they are made of."""
        cases, folder = Cases(pool.table, pool.card, here.root), self.result.folder / name
        (folder / CASES).mkdir(parents=True, exist_ok=True)
        blank_table(cases, split, 0).save(folder / CASES / BLANK)
        _copied_blanks(study.folder / INNER, folder / INNER)
        speakers = []
        for speaker in (one for one in study.speakers if one.role != "control"):
            failure = speaker.failure or self._refusal(study, speaker, cases, split)
            keys = dict.fromkeys(key for by_fold in speaker.keys for key in by_fold)
            for key in () if failure else keys:
                self._copied(study.folder, folder, key, split)
            for key in () if failure else (key for by_fold in speaker.inner for key in by_fold):
                put(folder, key, stored(study.folder, key), {})
            speakers.append(replace(speaker, failure=failure))
        notes = [*study.notes, *other.notes]
        unit = other.domain.card.cases.case_is
        Study(folder, study.design, unit, study.reference, speakers, notes).save()

    def _refusal(self, study: Study, speaker: Speaker, cases: Cases, split: Split) -> str:
        """Why weights that this speaker started from may not be tested on these cases: they have seen their labels."""
        spec = load(study.folder / VARIANTS / speaker.keys[0][0] / "spec.toml", catalog=self.catalog)
        try:
            refuse_seen(spec, wire(spec), cases, split, self.watch)
        except SpecError as error:
            return str(error)
        return ""

    def _copied(self, source: Path, folder: Path, key: str, split: Split) -> None:
        """The scores of the cases that are looked at here, under the same key; each further look is counted."""
        scores, words = stored(source, key), split.astype(np.str_)
        scores = replace(scores, split=words).take(np.isin(words, ("valid", "test")))
        place = folder / VARIANTS / key
        if (place / SCORES).is_file():
            standing = stored(folder, key)
            if np.array_equal(standing.ids, scores.ids) and np.array_equal(standing.split, scores.split):
                return
        told = source / VARIANTS / key / "spec.toml"
        spec = read_toml(told, error=RunError) if told.is_file() else {"cases": {}}
        put(folder, key, scores, {told.name: told.read_text(encoding="utf-8")} if told.is_file() else {})
        self.ledger.add(scores.take(scores.split == "test"), spec_digest(spec))


def _copied_blanks(source: Path, target: Path) -> None:
    """What something is chosen by inside the training cases goes with what is chosen."""
    for old in target.glob("*.npz"):
        old.unlink()
    for path in source.glob("*.npz"):
        target.mkdir(parents=True, exist_ok=True)
        ScoreTable.load(path).save(target / path.name)


def _folder(here: Domain, there: Domain) -> str:
    return f"{here.name}-to-{there.name}"
