"""What `study.json` and `transfer.json` hold, as types that reading is checked against."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from mmfuse.study.variants import Role

Small = Annotated[int, Field(ge=0, le=10_000)]


class StoredDesign(TypedDict):
    """A `Design`; an older mmfuse wrote fewer words."""

    seeds: NotRequired[Small]
    folds: NotRequired[Small]
    refold: NotRequired[Literal["outside-test", "all"]]
    baselines: NotRequired[bool]
    controls: NotRequired[bool]
    metric: NotRequired[str]
    select: NotRequired[str]
    select_on: NotRequired[Literal["auto", "valid", "inner"]]
    inner: NotRequired[Small]
    delta: NotRequired[Annotated[float, Field(allow_inf_nan=False)]]


class StoredSpeaker(TypedDict):
    """A `Speaker`."""

    name: str
    role: Role
    source: NotRequired[str]
    keys: NotRequired[list[list[str]]]
    classes_only: NotRequired[bool]
    inner: NotRequired[list[list[str]]]
    failure: NotRequired[str]


class StoredStudy(TypedDict):
    """`study.json`."""

    format: Small
    case_is: str
    reference: str
    design: StoredDesign
    notes: list[str]
    speakers: list[StoredSpeaker]


class StoredCrossing(TypedDict):
    """A `Crossing`."""

    train: str
    test: str
    folder: str
    failure: NotRequired[str]


class StoredTransfer(TypedDict):
    """`transfer.json`."""

    format: Small
    cells: list[StoredCrossing]
    notes: list[str]
