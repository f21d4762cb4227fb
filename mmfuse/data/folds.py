"""What a pipeline settles about its cases before anything learns: the split, what can be learnt, the folds of training.

Groups stay whole: a copy that did not see one case of a group saw none of them (law 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import numbered, picked, room
from mmfuse.data.cases import Cases
from mmfuse.data.cautions import cautions
from mmfuse.data.splits import assign, fold_numbers, given_split, labelled_only
from mmfuse.errors import SpecError, TableError, nearest
from mmfuse.events import Notice, Watch
from mmfuse.labels import Ints
from mmfuse.spec import FoldColumn, Spec


def settled_split(spec: Spec, cases: Cases, given: Any, watch: Watch) -> NDArray[Any]:  # noqa: ANN401
    """(n,) of train, valid, test or "": the one `given`, else the card's; what can be learnt from it is settled, and
    what head and loss have to say of it is told.

    Raises: TableError or SpecError where nothing could be learnt.
    """
    split = assign(cases, spec.card.split, watch) if given is None else given
    split = labelled_only(cases, given_split(split, cases), spec.card.split, watch)
    refuse_unlearnable(cases, split, watch)
    for caution in cautions(spec, cases, split):
        watch(Notice(str(caution), "warning"))
    return split


def refuse_unlearnable(cases: Cases, split: NDArray[Any], watch: Watch) -> None:
    """Tells of labels with one class among the training cases.

    Raises: TableError for fewer than two training cases or a label that is known for none of them; SpecError for a card
    without labels.
    """
    train = split == "train"
    if train.sum() < 2:
        found = f"training cases: {train.sum()} of {len(split)}"
        raise TableError(found, "two or more", "look at [split], or `mmfuse check`", cases.table.source)
    if not cases.labels:
        raise SpecError("the card has no labels", "labels to learn", "add [labels]")
    for index, label in enumerate(cases.labels):
        known = set(cases.targets[train, index].tolist()) - {-1}
        if not known:
            where = f"{cases.table.source}, column {label.column}"
            found = f"label '{label.name}' is known for no training case"
            raise TableError(found, "some known cells", "fill the column, or take the label out of the card", where)
        if len(known) == 1:
            only = label.classes[next(iter(known))]
            text = f"label '{label.name}' has one class among the training cases ('{only}'): nothing to tell apart"
            watch(Notice(text, "warning"))


def training_folds(
    cases: Cases, split: NDArray[Any], wanted: int | FoldColumn, seed: int, needed: bool = True
) -> NDArray[np.int64]:
    """(n,) fold of each training case; -1: in none, nobody speaks about it out of fold.

    Fewer folds than wanted where there are fewer groups.

    Raises: TableError where a column's groups straddle folds, or folds are needed and there is one group alone.
    """
    folds = room(len(cases), np.int64, -1)
    train = np.flatnonzero(split == "train")
    if isinstance(wanted, FoldColumn):
        folds[train] = _by_column(cases, train, wanted)
        return folds
    groups = picked(cases.groups, train)
    k = min(wanted, len(numbered(groups)[0]))
    if k >= 2:
        folds[train] = fold_numbers(groups, picked(cases.targets, train), cases.labels, k, seed)
    elif needed:
        raise TableError(
            "all training cases are of one group: no network can speak about a case whose group it has not seen",
            "two groups or more in `train`",
            "look at [split] and at `group` in [cases]",
        )
    return folds


def given_folds(folds: Any, cases: Cases, split: NDArray[Any]) -> Ints:  # noqa: ANN401  # whatever holds numbers
    """Return the (n,) fold numbers that a caller gives for `cases`.

    Raises: TableError if they are not one whole number a case, or name the groups of `train` that stand in two folds.
    """
    given = np.asarray(folds)
    if given.shape != (len(cases),) or given.dtype.kind not in "iu":
        found = f"folds of shape {given.shape}, {given.dtype}"
        raise TableError(found, f"({len(cases)},): one whole number a case, -1 for none")
    first: dict[str, int] = {}
    train = np.flatnonzero(split == "train")
    for group, fold in zip(cases.groups[train].tolist(), given[train].tolist(), strict=True):
        if first.setdefault(group, fold) != fold:
            found = f"group '{group}' stands in the folds {first[group]} and {fold}"
            raise TableError(found, "each group whole in one fold", "training_folds draws them so", cases.table.source)
    return given.astype(np.int64, copy=False)


def _by_column(cases: Cases, train: Ints, wanted: FoldColumn) -> Ints:
    """(len(train),) the place of each case's value in `predict`, -1 for any other value."""
    where = f"{cases.table.source}, column {wanted.column}"
    values = cases.table[wanted.column][train]
    absent = [value for value in wanted.predict if value not in values]
    if absent:
        known = sorted({value for value in values if value is not None})
        expected = f"the values of training.folds.predict: {list(wanted.predict)}"
        raise TableError(f"no training case has {absent}", expected, nearest(absent[0], known), where)
    numbers = {value: number for number, value in enumerate(wanted.predict)}
    folds = np.array([numbers.get(value, -1) for value in values], dtype=np.int64)
    first: dict[str, tuple[int, str | None]] = {}
    for group, fold, value in zip(cases.groups[train].tolist(), folds.tolist(), values, strict=True):
        before = first.setdefault(group, (fold, value))
        if before[0] != fold:
            found = f"group '{group}' has both '{before[1]}' and '{value}'"
            raise TableError(found, "each group whole in one fold", "name another column, or folds = 5", where)
    return folds
