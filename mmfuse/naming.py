"""Fixed words against the names of users: which words mean something else, and which columns two names would share.

The columns of a prediction file are known here alone, so that whoever writes or reads such a file agrees with what card
and plan were checked against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from mmfuse.card import Card
from mmfuse.errors import Faults, nearest

FUSED = "fused"
"""The source of the head on the fused vector."""
TRIVIAL = ("majority", "prior")
"""What answers without any input, beside the sources in every evaluation."""
FLAGS, AT = "flags", "at"
"""In a prediction file: what calls for care; behind a label's name, whether a case is called positive."""
ID_WORDS = ("id", "ids")
"""Beside the card's own word: what the ids of cases are called in prediction files that were made elsewhere."""
FEATURE_WORDS = ("ids", "vectors")
"""Arrays of a file of features that are no modality."""


def prediction_columns(
    id_column: str, labels: Mapping[str, Sequence[str]], with_points: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Return every column of a prediction file in order, and what it holds, for `labels` {label: its classes}.

    The ids; for each label its class, the probability of each class and, for the labels in `with_points`, whether the
    case is called positive at the operating point; the flags.
    """
    columns = [(id_column, "the ids of the cases")]
    for name, classes in labels.items():
        columns.append((name, f"the answer of label '{name}'"))
        columns += [(f"{name}:{word}", f"class '{word}' of label '{name}'") for word in classes]
        if name in with_points:
            columns.append((f"{name}:{AT}", f"the operating point of label '{name}'"))
    return [*columns, (FLAGS, "the flags")]


def label_faults(card: Card) -> Faults:
    """Return what is wrong with the classes of labels."""
    faults = Faults()
    for name, line in card.labels.items():
        where = f"labels.{name}"
        if len(line.classes) < 2:
            faults.add(where, f"{len(line.classes)} classes", "two or more")
        if len(set(line.classes)) != len(line.classes):
            faults.add(where, "a class stands twice", mend="name each class once")
        if line.positive and not line.is_open and line.positive not in line.classes:
            faults.add(
                f"{where}.positive", f"no class is called '{line.positive}'", mend=nearest(line.positive, line.classes)
            )
    return faults


def name_faults(card: Card, with_points: Collection[str] = ()) -> Faults:
    """Return what is wrong with names of labels, classes and modalities: two that would share a column of a prediction
    file or a file of a run, and words that mean something else."""
    faults, meaning = Faults(), defaultdict[str, list[str]](list)
    labels = {name: tuple(dict.fromkeys(line.classes)) for name, line in card.labels.items()}
    for column, what in prediction_columns(card.cases.id, labels, with_points) if labels else ():
        meaning[column].append(what)
    for column, several in meaning.items():
        if len(several) > 1:
            found = f"in a prediction file column '{column}' would hold {' and '.join(several)}"
            mend = "give a label, or a class, another name: the label's `column` may stay as it is in the table"
            faults.add("labels", found, "names that are told apart", mend)
    for name in card.labels:
        if name in ID_WORDS and card.cases.id != name:
            found = f"a label is called '{name}', which in files of predictions means the ids"
            mend = f"give it another name, and `column = '{name}'` for the table's"
            faults.add(f"labels.{name}", found, mend=mend)
    faults.extend(_alike(card.modalities, "modalities", "modality"))
    return faults


def source_faults(name: str, where: str) -> Faults:
    """Return what speaks against a decision of this name."""
    faults = Faults()
    if name in TRIVIAL:
        found = f"'{name}' stands beside the sources in every evaluation, without any input"
        faults.add(where, found, mend="give it another name")
    return faults


def _alike(names: Iterable[str], where: str, kind: str) -> Faults:
    """Names that some disks cannot tell apart: each gives files their name."""
    faults, seen = Faults(), dict[str, str]()
    for name in names:
        before = seen.setdefault(name.casefold(), name)
        if before != name:
            found = f"'{before}' and '{name}' differ in case alone: their files in a run would be one on some disks"
            faults.add(f"{where}.{name}", found, f"a {kind} of another name", "give one of them another name")
    return faults


def feature_faults(modalities: Collection[str]) -> Faults:
    """Return what speaks against these modalities as arrays of one file of features (.npz)."""
    faults = Faults()
    for name in modalities:
        if name in FEATURE_WORDS:
            found = f"in a file of features '{name}' means something else than modality '{name}'"
            faults.add(f"modalities.{name}", found, f"a modality called neither {' nor '.join(FEATURE_WORDS)}",
                       "write .csv or .parquet, or call the modality otherwise")  # fmt: skip
    return faults


def twice(columns: Iterable[str]) -> list[str]:
    """Return the columns that stand more than once."""
    seen, found = set[str](), dict[str, None]()
    for column in columns:
        if column in seen:
            found[column] = None
        seen.add(column)
    return list(found)
