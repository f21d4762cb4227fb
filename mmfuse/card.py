"""The card: what a table holds. It is one of a spec's two trees (`mmfuse.spec`), equal to a TOML file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mmfuse.errors import Faults
from mmfuse.knobs import Node, Words, as_word
from mmfuse.labels import Label, Labels
from mmfuse.parts import Modality

OPEN = "?"
"""The positive class of a label that a person has still to name."""
POSITIVE = "name the class that sensitivity, predictive values and operating points are to speak of"


class CasesSection(Node):
    """How cases are named and told apart."""

    id: str
    """Column of the unique id, read as text."""
    weight: str = ""
    """Column of numbers ≥ 0: how much a case counts in the network's loss, beside the mean of the training cases; an
    empty cell is 1. Figures, decisions and second stages count every case once. Empty: all alike.
    """
    case_is: str = "case"
    """The unit, printed on every table: lesion, patient, eye …"""
    group: str = ""
    """Column of what is kept whole in every split and fold (patient); empty: each case by itself."""
    root: str = "."
    """Folder of relative paths, itself relative to the card."""
    missing: Words = ("",)
    """Only these words are missing."""


class LabelLine(Node):
    """One label; a list of classes is short for it."""

    written: ClassVar[str] = "a list of classes, or a table"

    classes: Words
    """The closed list of answers; two for a binary label."""
    column: str = ""
    """The table's column; empty: the label's name."""
    positive: Annotated[str, BeforeValidator(as_word)] = ""
    """The class that sensitivity speaks of; empty: the last. `?`: still to be said, and nothing is trained until then.
    """
    ordered: bool = False
    """Whether the classes are grades, from the least to the most; no figure reads it yet."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """How much it counts in the loss and in means over labels."""

    @model_validator(mode="before")
    @classmethod
    def _list(cls, given: Any) -> Any:  # noqa: ANN401
        return {"classes": given} if isinstance(given, list | tuple) else given

    @property
    def is_open(self) -> bool:
        """Whether the positive class is still to be said."""
        return self.positive == OPEN and OPEN not in self.classes


def _in_one_step(values: dict[str, str]) -> dict[str, str]:
    twice = [word for word in values.values() if values.get(word, word) != word]
    if twice:
        raise ValueError(f"'{twice[0]}' is itself replaced by '{values[twice[0]]}'; name the last word at once")
    return values


class ColumnLine(Node):
    """A column of any kind: how it came to be known (what was `known` only after the diagnosis, or made by a model, is
    no input), and which of its words mean another.
    """

    known: str = ""
    """When or how it came to be known; anything but empty or `before the diagnosis` marks it."""
    allow: bool = False
    """Allowed as an input nevertheless, by name."""
    values: Annotated[dict[str, Annotated[str, BeforeValidator(as_word)]], AfterValidator(_in_one_step)] = {}  # noqa: RUF012
    """Words and what to read in their place, `{ Male = "male" }`: in labels, inputs, groups and splits alike. One of
    `missing` makes the cell missing.
    """

    @property
    def marked(self) -> bool:
        """Whether it is refused as an input."""
        return bool(self.known) and self.known != "before the diagnosis" and not self.allow


class SplitSection(Node):
    """Who is `train`, `valid` and `test`: a column, or drawn here. Groups stay whole."""

    column: str = ""
    """A column that says `train`, `valid` or `test`; it decides alone. Empty: drawn, as the rest says."""
    fractions: dict[Literal["train", "valid", "test"], Annotated[float, Field(gt=0, le=1)]] = {  # noqa: RUF012
        "train": 0.7,
        "valid": 0.15,
        "test": 0.15,
    }
    """Shares of the cases; what they leave over is in no split."""
    stratify: bool = True
    """Keep each class's share in every split, over all labels."""
    seed: int = 0
    """Of the drawing; the plan's seed does not touch it."""
    by: str = ""
    """A date column: the earliest train, the latest test."""
    leave_out: str = ""
    """A column whose `values` become `test` whole (a site, a device)."""
    values: Words = ()
    """Of `leave_out`."""
    labelled: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the `train` cases that training may use, drawn by group and stratified; the others are in no split.
    Pretraining reads them all: it reads no label.
    """


class SourceSection(Node):
    """Where the data come from."""

    name: str = ""
    """The dataset."""
    licence: str = ""
    """Under which it may be used."""
    cite: str = ""
    """What is to be cited."""
    notes: Words = ()
    """What a user should know: known faults, what was left out."""


class Card(Node):
    """What a table holds; it stands beside the table."""

    cases: CasesSection
    labels: dict[str, LabelLine] = {}  # noqa: RUF012
    modalities: dict[str, Modality] = {}  # noqa: RUF012
    columns: dict[str, ColumnLine] = {}  # noqa: RUF012
    split: SplitSection = SplitSection()
    source: SourceSection = SourceSection()

    @property
    def label_set(self) -> Labels:
        """All labels, in order."""
        lines = {
            name: line.model_dump() | ({"positive": ""} if line.is_open else {}) for name, line in self.labels.items()
        }
        return Labels([Label(name, **line) for name, line in lines.items()])


def open_positives(card: Card) -> Faults:
    """Return a fault for each label whose positive class is still to be said (`positive = "?"`)."""
    faults = Faults()
    for name, line in card.labels.items():
        if line.is_open:
            found, expected = "the positive class is still open", f"one of {', '.join(line.classes)}"
            faults.add(f"labels.{name}.positive", found, expected, f'{POSITIVE}: positive = "{line.classes[-1]}", say')
    return faults
