"""Scores of all sources about all cases, and how stages look at them.

A source is an array (views, cases, columns) of logits or log-probabilities, NaN where it abstains and -inf where a
probability is exactly 0; the softmax over a label's columns is the probability, to the bit the one that was stored. A
`ScoreTable` is self-sufficient: every figure works from `scores.npz` alone, without images, torch or a spec.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import aside, picked, room
from mmfuse.data.workers import in_chunks
from mmfuse.decide.stored import read_scores
from mmfuse.errors import PartError, RunError, nearest
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.summaries import Summarized, counted

_ARRAYS = ("ids", "groups", "split", "folds", "targets", "prior")


def log_scores(p: Floats) -> Floats:
    """(cases, columns) probabilities → (1, cases, columns) log-probabilities as a source: -inf for 0; NaN stays NaN."""
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(p, 0.0))[None]  # a rule's rounding may lie just below zero


def mean_of_views(source: Floats, labels: Labels) -> Floats:
    """(views, cases, columns) scores → (cases, columns): the mean over views of the probabilities."""
    mean = room(source.shape[1:], float)
    for part in in_chunks(len(mean)):
        mean[part] = np.exp(labels.log_probabilities(np.asarray(source[:, part], dtype=float))).mean(axis=0)
    return mean


def stack(sources: Mapping[str, Floats], names: Sequence[str], labels: Labels, per_view: bool) -> Floats:
    """(sources, views, cases, columns) log-probabilities of the named sources.

    With `per_view` every view's log-softmax, and a source of one view stands at each view of the others; without, one
    view: the logarithm of the mean over views of the probabilities.

    Raises: PartError if views differ in number and neither is 1.
    """
    if not per_view:
        with np.errstate(divide="ignore"):
            return np.stack([np.log(mean_of_views(sources[name], labels))[None] for name in names])
    views = max(len(sources[name]) for name in names)
    odd = [name for name in names if len(sources[name]) not in (1, views)]
    if odd:
        raise PartError(
            f"source '{odd[0]}' has {len(sources[odd[0]])} views",
            f"1 or {views}, as the others",
            f"read {list(names)} apart",
        )
    logs = [labels.log_probabilities(np.asarray(sources[name], dtype=float)) for name in names]
    return np.stack([np.broadcast_to(log, (views, *log.shape[1:])) for log in logs])


@dataclass(frozen=True, eq=False, repr=False)
class ScoreTable(Summarized):
    """What every source says about every case.

    `prior` (columns,) are the shares of classes in `train`; left out, they are counted here.
    """

    sources: Mapping[str, Floats]
    """{name: (views, n, columns)}: a network's raw logits, a stage's log-probabilities (-inf: exactly 0); NaN where it
    abstains."""
    ids: NDArray[np.str_]
    groups: NDArray[np.str_]
    split: NDArray[np.str_]
    """`train`, `valid`, `test`, or `` for a case in none."""
    folds: Ints
    """(n,) number of the fold whose network did not see the case; -1: in none."""
    targets: Ints
    """(n, labels), -1 unknown."""
    labels: Labels
    case_is: str = "case"
    prior: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for name in ("ids", "groups", "split"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)).astype(np.str_, copy=False))
        for name in ("folds", "targets"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)).astype(np.int64, copy=False))
        if not len(self.prior):
            object.__setattr__(self, "prior", self.labels.prior(self.targets[self.split == "train"]))
        for name, source in self.sources.items():
            if source.ndim != 3 or source.shape[1:] != (len(self), self.labels.columns):
                raise PartError(
                    f"source '{name}' has shape {source.shape}",
                    f"(views, {len(self)} cases, {self.labels.columns} columns)",
                )

    def __len__(self) -> int:
        return len(self.ids)

    def summary(self) -> dict[str, str]:
        """Return what stands here, without an id."""
        counts = {name: int((self.split == name).sum()) for name in ("train", "valid", "test")}
        return {
            "cases": counted(len(self), self.case_is),
            "split": ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none",
            "sources": ", ".join(self.sources) or "none",
            "labels": ", ".join(self.labels.names),
        }

    def probabilities(self, source: str) -> Floats:
        """(n, columns): the mean over views of the probabilities; NaN where the source abstains.

        Raises: RunError for a source that is not here.
        """
        if source not in self.sources:
            known = list(self.sources)
            raise RunError(f"no source is called '{source}'", f"one of {known}", nearest(source, known))
        return mean_of_views(self.sources[source], self.labels)

    def take(self, chosen: NDArray[Any]) -> ScoreTable:
        """The cases of a mask or an index; the training prior stays."""
        names = ("ids", "groups", "split", "folds", "targets")
        taken: dict[str, Any] = {name: picked(getattr(self, name), chosen) for name in names}
        return replace(self, sources={name: source[:, chosen] for name, source in self.sources.items()}, **taken)

    def with_source(self, name: str, scores: Floats) -> ScoreTable:
        """The same table with one more source."""
        return replace(self, sources={**self.sources, name: aside(scores)})

    def save(self, path: str | Path) -> None:
        """Writes one npz; names and classes stand in it as JSON text. Equal tables give equal bytes."""
        about = {
            "case_is": self.case_is,
            "sources": list(self.sources),
            "labels": [{**vars(label), "classes": list(label.classes)} for label in self.labels],
        }
        arrays: dict[str, Any] = {f"source-{i}": source for i, source in enumerate(self.sources.values())}
        arrays.update({name: getattr(self, name) for name in _ARRAYS})
        with Path(path).open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about, ensure_ascii=False)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote; nothing in it is executed.

        Raises: RunError if the file is missing, truncated or holds something else: other shapes, classes that are
        none, infinite scores, words that say no split.
        """
        return cls(**read_scores(Path(path)))
