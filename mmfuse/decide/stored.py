"""Stored scores are looked at whole before any figure is made of them: shapes, classes, words and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from mmfuse.data.aside import aside, numbered, room
from mmfuse.data.workers import in_chunks
from mmfuse.formats.json_files import parse_json
from mmfuse.formats.npz_files import Npz
from mmfuse.labels import Label, Labels

SPLITS = ("", "train", "valid", "test", "inner")
"""The words that say where a case stands."""


class _Label(TypedDict):
    name: str
    classes: list[str]
    column: str
    positive: str
    ordered: bool
    weight: float


class _About(TypedDict):
    case_is: str
    sources: list[str]
    labels: list[_Label]


def read_scores(path: Path) -> dict[str, Any]:
    """Return the fields of the score table that is stored there.

    Raises: RunError naming what in the file is no score table.
    """
    with Npz(path, expected="a scores.npz of mmfuse", mend="copy the run again") as stored:
        about = parse_json(stored.text("about"), _About, where=str(path), expected="a scores.npz of mmfuse")
        labels = _labels(stored, about["labels"])
        fields = _cases(stored, labels)
        names, n = about["sources"], len(fields["ids"])
        if len(set(names)) < len(names):
            raise stored.fault(f"holds two sources of one name: {names}")
        sources = {}
        for i, name in enumerate(names):
            source = stored.read(f"source-{i}", "f", (None, n, labels.columns), room)
            if fault := _fault_of_source(source, labels):
                raise stored.fault(f"source '{name}' {fault}")
            sources[name] = source
        prior = stored.read("prior", "f", (labels.columns,))
        if not _are_shares(prior, labels):
            raise stored.fault("'prior' holds no shares that sum to one within each label")
        return {**fields, "sources": sources, "prior": prior, "labels": labels, "case_is": about["case_is"]}


def _labels(stored: Npz, told: list[_Label]) -> Labels:
    try:
        labels = Labels([Label(**{**label, "classes": tuple(label["classes"])}) for label in told])  # type: ignore[arg-type]
    except ValueError as error:
        raise stored.fault(f"cannot be read: {error}") from error
    weights = labels.weights
    if len(set(labels.names)) < len(labels) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise stored.fault(f"holds labels {list(labels.names)} of weights {weights.tolist()}")
    return labels


def _cases(stored: Npz, labels: Labels) -> dict[str, NDArray[Any]]:
    """What is known of each case, as it was stored."""
    ids = stored.read("ids", "US", (None,), room)
    n = len(ids)
    groups, split = stored.read("groups", "US", (n,), room), stored.read("split", "US", (n,), room)
    folds = stored.read("folds", "iu", (n,), room)
    targets = stored.read("targets", "iu", (n, len(labels)), room)
    try:
        words = numbered(split.astype(np.str_, copy=False))[0].tolist()
        differ = len(numbered(ids.astype(np.str_, copy=False))[0])
        groups.astype(np.str_, copy=False)
    except ValueError as error:  # text beyond ASCII
        raise stored.fault(f"cannot be read: {error}") from error
    if strange := sorted({*words} - {*SPLITS}):
        raise stored.fault(f"'split' holds {strange[:3]}", f"the words {', '.join(SPLITS[1:])}")
    if differ < n:
        raise stored.fault(f"{n - differ} ids stand there twice")
    if n and not (folds.min() >= -1 and folds.max() < max(n, 2**15)):
        raise stored.fault(f"'folds' reaches from {folds.min()} to {folds.max()}", "numbers of folds, or -1")
    for index, label in enumerate(labels):
        of_label = targets[:, index]
        if n and not (of_label.min() >= -1 and of_label.max() < len(label.classes)):
            raise stored.fault(
                f"targets of '{label.name}' reach from {of_label.min()} to {of_label.max()}",
                f"-1 to {len(label.classes) - 1}: it has {len(label.classes)} classes",
            )
    return {"ids": ids, "groups": groups, "split": split, "folds": aside(folds), "targets": aside(targets)}


def _fault_of_source(source: NDArray[Any], labels: Labels) -> str:
    """Why an array (views, n, columns) is no source; empty if it is one. Zero chance is minus infinity."""
    if not len(source):
        return "has no views"
    for part in in_chunks(source.shape[1]):
        some = source[:, part]
        if np.isposinf(some).any():
            return "holds infinity"
        for name, columns in labels.slices.items():
            if np.isneginf(some[..., columns]).all(axis=-1).any():
                return f"gives no class of '{name}' any chance"
    return ""


def _are_shares(prior: NDArray[Any], labels: Labels) -> bool:
    sums = np.array([prior[part].sum() for part in labels.slices.values()])
    return bool(np.isfinite(prior).all() and (prior >= 0).all() and (np.abs(sums - 1) < 1e-6).all())
