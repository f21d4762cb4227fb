"""The card: what a table holds. It stands beside the table, and no plan changes it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from mmfuse.knobs import Node
from mmfuse.labels import Label, Labels
from mmfuse.parts import Modality
from mmfuse.spec.words import Words, as_word


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
    """The class that sensitivity speaks of; empty: the last."""
    ordered: bool = False
    """Whether the classes are grades, from the least to the most; no figure reads it yet."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """How much it counts in the loss and in means over labels."""

    @model_validator(mode="before")
    @classmethod
    def _list(cls, given: Any) -> Any:  # noqa: ANN401
        return {"classes": given} if isinstance(given, list | tuple) else given


class ColumnLine(Node):
    """Provenance of a column: one that was `known` only after the diagnosis, or that a model made, is no input."""

    known: str = ""
    """When or how it came to be known; anything but empty or `before the diagnosis` marks it."""
    allow: bool = False
    """Allowed as an input nevertheless, by name."""

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
        return Labels([Label(name, **line.model_dump()) for name, line in self.labels.items()])
