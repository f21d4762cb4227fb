"""Who speaks about whom (law 2): of the cases that a step learnt on it speaks out of fold, through copies that were not
fitted on the case; of every other case the one fitted on the whole set speaks. Groups stay whole. What a copy reads of
its own cases may come from networks that saw the case (`docs/architecture.md`, how far law 2 goes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import room
from mmfuse.data.splits import fold_numbers
from mmfuse.decide.scores import ScoreTable
from mmfuse.events import Notice, Progress, Watch
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.learnt import Learnt

FOLDS = 5

OUTSIDE = -1
"""The fold of a case that the step neither learns from nor shares a group with."""


class FeatureSource(Protocol):
    """The arrays of a stage's feature modalities, as the engine asks for them."""

    def fit(self, modality: str, index: Ints, whole: bool = True) -> Learnt | None:
        """What reading the modality learns, from those cases alone; None: nothing is learnt (vectors of a frozen
        encoder). Where that is not the `whole` set, cases are left out of which nothing may be known.
        """
        ...

    def read(self, modality: str, learnt: Learnt | None, index: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        """(len(index), width) values and which of the cases are present."""
        ...


class Speaker(Protocol):
    """A fitted decision or second stage."""

    def speak(self, sources: Mapping[str, Floats], features: FeatureSource, index: Ints) -> Floats:
        """(len(index), columns) probabilities about those cases; NaN where it abstains."""
        ...

    def save(self, folder: Path) -> None:
        """Writes itself, without pickle."""
        ...


class Learning(NamedTuple):
    """The set that a step learns on."""

    cases: Ints
    """The cases learnt from."""
    folds: Ints
    """(n,) of all cases: the fold whose copy speaks about the case; -1: the one fitted on the whole set speaks."""

    def numbers(self) -> list[int]:
        """The folds that there are."""
        return sorted({*self.folds.tolist()} - {OUTSIDE})


def learning(table: ScoreTable, split: str, usable: NDArray[np.bool_], seed: int) -> Learning:
    """The usable cases of a split and their folds: the network's own where they are complete and keep groups whole,
    else drawn.

    A case of the same split that is not learnt from, but whose group is, belongs to its group's fold. Fewer than two
    groups: all are of one fold, of which nobody can speak.
    """
    index = np.flatnonzero((table.split == split) & usable)
    groups, numbers = table.groups[index], table.folds[index]
    if not _will_do(numbers, groups):
        numbers = draw_folds(groups, table.targets[index], table.labels, seed)
    fold_of = dict(zip(groups.tolist(), numbers.tolist(), strict=True))
    folds = np.full(len(table), OUTSIDE)
    in_split = np.flatnonzero(table.split == split)
    folds[in_split] = [fold_of.get(group, OUTSIDE) for group in table.groups[in_split].tolist()]
    return Learning(index, folds)


def _will_do(folds: Ints, groups: NDArray[np.str_]) -> bool:
    pairs = {*zip(groups.tolist(), folds.tolist(), strict=True)}
    return bool((folds >= 0).all()) and len(np.unique(folds)) >= 2 and len(pairs) == len(np.unique(groups))


def draw_folds(groups: NDArray[np.str_], targets: Ints, labels: Labels, seed: int) -> Ints:
    """(n,) fold numbers with groups whole, stratified over the labels; all 0 where there are fewer than two groups."""
    k = min(FOLDS, len(np.unique(groups)))
    if k < 2:
        return np.zeros(len(groups), dtype=np.int64)
    return np.asarray(fold_numbers(groups, targets, labels, k, seed))


def speak_honestly(
    learn: Callable[[Ints], Speaker],
    table: ScoreTable,
    features: FeatureSource,
    given: Learning,
    name: str,
    watch: Watch,
) -> tuple[Speaker, Floats]:
    """The speaker that learnt from the whole set, and (n, columns) probabilities about every case, none by a copy
    that saw the case's group.

    NaN, and a warning, where leaving a fold out leaves nothing to learn from.
    """
    folds = given.numbers()
    what, total = f"fitting '{name}'", len(folds) + 1
    p = room((len(table), table.labels.columns), float, np.nan)
    whole = learn(given.cases)
    outside = np.flatnonzero(given.folds == OUTSIDE)
    p[outside] = whole.speak(table.sources, features, outside)
    watch(Progress(what, 1, total))
    for done, fold in enumerate(folds, 2):
        rest = given.cases[given.folds[given.cases] != fold]
        about = np.flatnonzero(given.folds == fold)
        if len(rest):
            p[about] = learn(rest).speak(table.sources, features, about)
        else:
            watch(Notice(_ALONE.format(name=name, n=len(about)), "warning"))
        watch(Progress(what, done, total))
    return whole, p


_ALONE = (
    "'{name}' learns from one group alone, so nobody who has not seen it can speak about its {n} cases: "
    "they have no prediction of '{name}'"
)
