"""What a comparison would fit, known before it begins: each line of it, how many fits it takes, and which stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.splits import assign
from mmfuse.data.table import Table, as_table
from mmfuse.errors import MmfuseError
from mmfuse.events import Watch, silent
from mmfuse.pipeline import Pipeline
from mmfuse.spec import Card, Spec
from mmfuse.study import controls
from mmfuse.study.choosing import check_metric
from mmfuse.study.comparing import Maker, baseline_makers, has_valid, held_out, one_of, refuse_same_names, seeded
from mmfuse.study.designs import Design, Split, inner_numbers, inner_split, outer_splits
from mmfuse.study.outside import read_outside
from mmfuse.study.shelf import Shelf
from mmfuse.study.variants import Role, Variant


class Planned(NamedTuple):
    """A variant of a comparison."""

    name: str
    role: Role
    networks: int
    """Trained by each fit, at most."""
    fits: int
    standing: int
    """How many of them stand in the study's folder already."""
    spec: Spec | None
    """None: predictions made elsewhere."""
    learns: np.ndarray
    """(n,) positions of the training cases of the first fit."""


class ComparisonPlan(NamedTuple):
    """All that a comparison would do."""

    lines: tuple[Planned, ...]
    notes: tuple[str, ...]
    """What is left out, and why."""
    cases: Cases


def plan_comparison(
    named: Sequence[Variant],
    table: Table,
    card: Card,
    root: str | Path,
    out: str | Path,
    design: Design,
    *,
    outside: Mapping[str, str | Path] | None = None,
    catalog: Catalog | None = None,
    watch: Watch = silent,
) -> ComparisonPlan:
    """Return what `compare` with the same arguments would fit; nothing is fitted or written.

    Raises: as `compare` before it fits anything, and what it would say of predictions made elsewhere.
    """
    catalog, root, out, outside = catalog or Catalog(), Path(root), Path(out), outside or {}
    table = as_table(table, card.cases.missing)
    cases = Cases(table, card, root)
    for word in (design.metric, design.chooses_by):
        check_metric(word, catalog, cases.labels)
    split = assign(cases, card.split, watch).astype(object)
    splits = outer_splits(cases, split, design, card.split.seed)
    design.refuse_nothing_to_select_on(has_valid(splits))
    refuse_same_names(named, outside, design, card)
    shelf, lines, notes = Shelf(out, table, root, catalog, "auto", watch), list[Planned](), list[str]()
    for name, file in outside.items():
        read_outside(Path(file), name, cases, held_out(cases, splits))
        lines.append(Planned(name, "outside", 0, 0, 0, None, np.arange(0)))
    makers: list[Maker] = []
    if named and design.baselines:
        makers += baseline_makers(named[0], catalog)
    if named and design.controls:
        made = controls.all_but_slots(named[0], cases, split, catalog)
        makers += [(name, partial(one_of, make)) for name, make in made]
    for variant in [*named, *_made(makers, notes)]:
        asked = _fits(variant, splits, cases, design, card.split.seed)
        standing = sum(shelf.stands(spec, variant.table, one) for spec, one in asked) if out.is_dir() else 0
        networks = len(Pipeline(variant.spec, catalog=catalog).steps(splits[0]).networks)
        learns = np.flatnonzero(splits[0] == "train")
        lines.append(Planned(variant.name, variant.role, networks, len(asked), standing, variant.spec, learns))
    if named and design.controls and any(line.role == "single" for line in lines):
        notes.append("one control more: the best single modality in all slots, once it is known which is best")
    return ComparisonPlan(tuple(lines), tuple(notes), cases)


def _made(makers: Sequence[Maker], notes: list[str]) -> list[Variant]:
    found: list[Variant] = []
    for name, make in makers:
        try:
            found += make()
        except MmfuseError as error:
            notes.append(f"{name}: left out; {error.faults[0].found}")
    return found


def _fits(
    variant: Variant, splits: Sequence[Split], cases: Cases, design: Design, seed: int
) -> list[tuple[Spec, Split]]:
    """All that is fitted of a variant: by seed and outer fold, and on the inner folds that something is chosen by."""
    count = design.seeds if variant.seeded else 1
    asked = [(seeded(variant.spec, number), split) for number in range(count) for split in splits]
    for_variants, for_singles = design.needs_inner(has_valid(splits))
    if {"variant": for_variants, "single": for_singles}.get(variant.role):
        for fold, split in enumerate(splits):
            try:
                numbers = inner_numbers(cases, split, design, seed, fold)
            except MmfuseError:  # too few groups: `compare` notes it, or refuses where a variant is to be chosen
                continue
            asked += [(variant.spec, inner_split(split, numbers, k)) for k in range(int(numbers.max()) + 1)]
    return asked
